//! How much parity a block gets: a percentage, and more for small blocks.
//!
//! A fixed percentage protects small frames badly: of 15 packets and 3 of parity, more than 3 are lost once in 60
//! frames at 5 % loss. [`ParityPolicy::for_loss`] asks the binomial distribution instead: the fewest parity packets
//! with which a frame is lost no more often than wanted. Whatever comes out is a count that the client can compute from
//! the header percentage (protocol part 2, section 2.3).

use crate::fec::block_plan::{BlockParity, FecPercentage, MAX_BLOCKS};
use crate::fec::gf8::MAX_SHARDS;

/// What the network does and what may come of it. Rates are in parts per million.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct LossModel {
    /// Share of packets that get lost, independently of each other.
    pub packet_loss_ppm: u32,
    /// Share of frames that may be lost in spite of parity: the bound for each frame size. The average over sizes is
    /// about half of it, because parity comes in whole packets.
    pub frame_loss_ppm: u32,
    /// What the model may spend on parity, in percent of a block's data packets, rounded up, and one packet more. A
    /// higher fixed percentage is not cut.
    pub overhead_budget: FecPercentage,
}

impl Default for LossModel {
    /// 5 % of packets lost, at most 1 in 1000 frames of any size, within 35 % overhead.
    fn default() -> Self {
        Self { packet_loss_ppm: 50_000, frame_loss_ppm: 1_000, overhead_budget: FecPercentage::new(35) }
    }
}

/// Decides the parity of each block from its number of data packets. Pure: the same block always gets the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParityPolicy {
    percentage: FecPercentage,
    /// For 0..=254 data packets.
    blocks: Vec<BlockParity>,
}

impl ParityPolicy {
    /// A percentage, raised to `min_required` packets where the client asks for them
    /// (`x-nv-vqos[0].fec.minRequiredFecPackets`): the plain rule of section 2.3. 0 % means no parity at all.
    pub fn fixed(percentage: FecPercentage, min_required: u8) -> Self {
        let blocks = (0..MAX_SHARDS).map(|data| floor(data, percentage, min_required)).collect();
        Self { percentage, blocks }
    }

    /// At least [`ParityPolicy::fixed`], and as much more as `model` asks for. 0 % still means no parity at all.
    pub fn for_loss(percentage: FecPercentage, min_required: u8, model: LossModel) -> Self {
        let mut policy = Self::fixed(percentage, min_required);
        if percentage == FecPercentage::OFF {
            return policy;
        }
        let loss = rate(model.packet_loss_ppm);
        let mut wanted = 0;
        for (data, block) in policy.blocks.iter_mut().enumerate().skip(1) {
            // A block above half of the limit may be one of four, each of which can lose the frame. A third leaves
            // room for a last block that got the remainder.
            let blocks = if data * 3 > percentage.max_data_shards() { MAX_BLOCKS } else { 1 };
            let bearable = rate(model.frame_loss_ppm) / blocks as f64;
            let budget = model.overhead_budget.parity(data).saturating_add(1).min(MAX_SHARDS - data);
            while wanted < budget && block_loss(data, wanted, loss) > bearable {
                wanted += 1;
            }
            if wanted.min(budget) > block.shards {
                *block = BlockParity::at_least(data, wanted.min(budget)).unwrap_or(*block);
            }
        }
        policy
    }

    /// The percentage that every block gets at least; it decides how a frame is split into blocks.
    pub fn percentage(&self) -> FecPercentage {
        self.percentage
    }

    /// Parity of a block of `data` packets in a frame for which `in_force` is the percentage: none if that is
    /// [`FecPercentage::OFF`].
    pub fn block(&self, data: usize, in_force: FecPercentage) -> BlockParity {
        match self.blocks.get(data) {
            Some(&block) if in_force != FecPercentage::OFF => block,
            _ => BlockParity { shards: 0, percentage: FecPercentage::OFF },
        }
    }
}

impl Default for ParityPolicy {
    /// 20 %, at least 2 packets, and the default [`LossModel`].
    fn default() -> Self {
        Self::for_loss(FecPercentage::default(), 2, LossModel::default())
    }
}

/// The plain rule, kept within 255 shards: a client may ask for more packets than a block has room for.
fn floor(data: usize, percentage: FecPercentage, min_required: u8) -> BlockParity {
    let wanted = BlockParity::for_block(data, percentage, min_required);
    if data + wanted.shards <= MAX_SHARDS {
        return wanted;
    }
    (0..=MAX_SHARDS - data)
        .rev()
        .find_map(|parity| BlockParity::exactly(data, parity).ok())
        .unwrap_or(BlockParity { shards: 0, percentage: FecPercentage::OFF })
}

fn rate(ppm: u32) -> f64 {
    f64::from(ppm.min(1_000_000)) / 1e6
}

/// Probability that more than `parity` of `data + parity` packets are lost when each is lost with probability `loss`.
fn block_loss(data: usize, parity: usize, loss: f64) -> f64 {
    let packets = data + parity;
    let kept = 1.0 - loss;
    let mut exactly = (0..packets).fold(1.0, |product, _| product * kept);
    let mut at_most = exactly;
    for lost in 1..=parity {
        exactly *= (packets - lost + 1) as f64 / lost as f64 * loss / kept;
        at_most += exactly;
    }
    // Not a number only if every packet is lost.
    if at_most.is_nan() { 1.0 } else { (1.0 - at_most).max(0.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fec::block_plan::FrameSplit;

    /// Codec bytes of a packet at the usual packet size.
    const UNIT: usize = 1376;

    #[test]
    fn the_binomial_tail_is_right_at_known_points() {
        assert!((block_loss(1, 0, 0.05) - 0.05).abs() < 1e-12);
        assert!((block_loss(1, 1, 0.5) - 0.25).abs() < 1e-12);
        // 1 − Σ C(20,k)·0.05^k·0.95^(20−k) for k ≤ 5.
        assert!((block_loss(15, 5, 0.05) - 3.293e-4).abs() < 1e-6);
        assert_eq!(block_loss(10, 5, 1.0), 1.0);
        assert_eq!(block_loss(10, 0, 0.0), 0.0);
    }

    /// Sizes of a 10 Mbit/s stream at 60 frames a second: one key frame of three times the mean in ten seconds, the
    /// rest spread like a bell from half to one and a half times the mean. (bytes, weight).
    fn frame_sizes() -> Vec<(usize, f64)> {
        let mean = 10_000_000.0 / 8.0 / 60.0;
        let mut sizes = vec![((mean * 3.0) as usize, 1.0)];
        let bell = |x: f64| (-x * x / 2.0).exp();
        let steps = (-50..=50).map(|step| f64::from(step) / 100.0);
        let sum: f64 = steps.clone().map(|step| bell(step / 0.2)).sum();
        sizes.extend(steps.map(|step| ((mean * (1.0 + step)) as usize, 599.0 * bell(step / 0.2) / sum)));
        sizes
    }

    /// Share of frames lost and parity per data packet, over [`frame_sizes`].
    fn outcome(policy: &ParityPolicy, loss: f64) -> (f64, f64) {
        let (mut lost, mut frames, mut data_sent, mut parity_sent) = (0.0, 0.0, 0.0, 0.0);
        for (bytes, weight) in frame_sizes() {
            let split = FrameSplit::new((bytes + 8).div_ceil(UNIT), policy.percentage()).expect("fits");
            let mut kept = 1.0;
            for data in split.blocks() {
                let parity = policy.block(data, split.percentage()).shards;
                kept *= 1.0 - block_loss(data, parity, loss);
                data_sent += weight * data as f64;
                parity_sent += weight * parity as f64;
            }
            lost += weight * (1.0 - kept);
            frames += weight;
        }
        (lost / frames, parity_sent / data_sent)
    }

    #[test]
    fn at_720p60_10_mbit_and_5_percent_loss_fewer_than_1_in_1000_frames_are_lost_within_35_percent() {
        let (lost, overhead) = outcome(&ParityPolicy::default(), 0.05);
        assert!(lost < 0.7e-3, "{lost}");
        assert!(overhead < 0.33, "{overhead}");
    }

    #[test]
    fn a_plain_percentage_loses_many_times_more() {
        let (lost, _) = outcome(&ParityPolicy::fixed(FecPercentage::new(20), 2), 0.05);
        assert!(lost > 3e-3, "{lost}");
    }

    #[test]
    fn every_frame_size_keeps_to_the_bound_that_the_budget_allows() {
        let model = LossModel::default();
        let policy = ParityPolicy::for_loss(FecPercentage::new(20), 2, model);
        for data in 1..=FecPercentage::new(20).max_data_shards() {
            let block = policy.block(data, policy.percentage());
            assert!(block_loss(data, block.shards, 0.05) <= 1.0e-3, "{data}");
            assert!(
                block.shards <= model.overhead_budget.parity(data) + 1
                    || block.shards <= FecPercentage::new(20).parity(data).max(2),
                "{data}: {block:?}"
            );
        }
    }

    #[test]
    fn the_client_computes_the_same_count_and_no_block_passes_255_shards() {
        let models = [
            None,
            Some(LossModel::default()),
            Some(LossModel { packet_loss_ppm: 400_000, frame_loss_ppm: 1, overhead_budget: FecPercentage::new(255) }),
        ];
        for percent in [1, 5, 20, 50, 100, 255] {
            for min_required in [0, 2, 3, 17, 255] {
                for model in models {
                    let percentage = FecPercentage::new(percent);
                    let policy = match model {
                        None => ParityPolicy::fixed(percentage, min_required),
                        Some(model) => ParityPolicy::for_loss(percentage, min_required, model),
                    };
                    for data in 1..=percentage.max_data_shards() {
                        let block = policy.block(data, percentage);
                        assert_eq!(block.percentage.parity(data), block.shards);
                        assert!(data + block.shards <= MAX_SHARDS);
                        assert!(block.shards >= percentage.parity(data));
                    }
                }
            }
        }
    }

    #[test]
    fn no_percentage_means_no_parity_whatever_the_model_wants() {
        let policy = ParityPolicy::for_loss(FecPercentage::OFF, 2, LossModel::default());
        assert!((1..255).all(|data| policy.block(data, FecPercentage::OFF).shards == 0));
        let policy = ParityPolicy::default();
        assert_eq!(policy.block(20, FecPercentage::OFF).shards, 0);
    }
}
