//! How much parity a block gets: a percentage, and more for small blocks.
//!
//! A fixed percentage protects small frames badly: of 15 packets and 3 of parity, more than 3 are lost once in 60
//! frames at 5 % loss. [`ParityPolicy::for_loss`] asks the distribution of losses instead: the fewest parity packets
//! with which a frame is lost no more often than wanted. Whatever comes out is a count that the client can compute from
//! the header percentage (protocol part 2, section 2.3).

use crate::fec::block_plan::{BlockParity, FecPercentage, MAX_BLOCKS};
use crate::fec::gf8::MAX_SHARDS;
use crate::loss_control::GilbertChain;

/// What the network does and what may come of it. Rates are in parts per million.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct LossModel {
    /// Share of packets that get lost.
    pub packet_loss_ppm: u32,
    /// How many get lost in a row, on average, in thousandths; 0 for losses that are independent of each other.
    pub burst_milli: u32,
    /// Share of frames that may be lost in spite of parity: the bound for each frame size. The average over sizes is
    /// about half of it, because parity comes in whole packets.
    pub frame_loss_ppm: u32,
    /// What the model may spend on parity, in percent of a block's data packets, rounded up, and one packet more. A
    /// higher least percentage is not cut.
    pub overhead_budget: FecPercentage,
}

impl Default for LossModel {
    /// 5 % of packets lost, one by one, at most 1 in 1000 frames of any size, within 35 % overhead.
    fn default() -> Self {
        Self { packet_loss_ppm: 50_000, burst_milli: 0, frame_loss_ppm: 1_000, overhead_budget: FecPercentage::new(35) }
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
        Self::adapted(percentage, percentage, min_required, model)
    }

    /// What `model` asks for, and `least` at least; `split` decides how frames are split into blocks, and so how large they
    /// may be. A `least` of 0 % means no parity at all.
    pub fn adapted(split: FecPercentage, least: FecPercentage, min_required: u8, model: LossModel) -> Self {
        let mut policy = Self { percentage: split, ..Self::fixed(least, min_required) };
        if least == FecPercentage::OFF || split == FecPercentage::OFF {
            return policy;
        }
        let tails = Tails::new(GilbertChain::bursts(rate(model.packet_loss_ppm), f64::from(model.burst_milli) / 1e3));
        for (data, block) in policy.blocks.iter_mut().enumerate().skip(1) {
            // A block above half of the limit may be one of four, each of which can lose the frame. A third leaves
            // room for a last block that got the remainder.
            let blocks = if data * 3 > split.max_data_shards() { MAX_BLOCKS } else { 1 };
            let bearable = rate(model.frame_loss_ppm) / blocks as f64;
            let budget = model.overhead_budget.parity(data).saturating_add(1).min(MAX_SHARDS - data);
            let wanted = (0..budget).find(|&parity| tails.block_loss(data, parity) <= bearable).unwrap_or(budget);
            if wanted > block.shards {
                *block = BlockParity::at_least(data, wanted).unwrap_or(*block);
            }
        }
        policy
    }

    /// The percentage that decides how a frame is split into blocks; unless adapted, every block gets it at least.
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

/// Probabilities of losing blocks on one network.
struct Tails {
    /// For each number of packets, then for each number of lost ones: the probability of more.
    more: Vec<Vec<f64>>,
}

impl Tails {
    fn new(chain: GilbertChain) -> Self {
        let mut more = Vec::with_capacity(MAX_SHARDS + 1);
        chain.distributions(MAX_SHARDS, MAX_SHARDS, |_, distribution| {
            let mut sum = 0.0;
            let mut tail: Vec<f64> = distribution[1..]
                .iter()
                .rev()
                .map(|probability| {
                    sum += probability;
                    sum
                })
                .collect();
            tail.reverse();
            more.push(tail);
        });
        Self { more }
    }

    /// Probability that more than `parity` of `data + parity` packets are lost.
    fn block_loss(&self, data: usize, parity: usize) -> f64 {
        self.more[data + parity][parity]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fec::block_plan::FrameSplit;

    /// Codec bytes of a packet at the usual packet size.
    const UNIT: usize = 1376;

    fn block_loss(data: usize, parity: usize, loss: f64) -> f64 {
        GilbertChain::independent(loss).more_than(parity, data + parity)
    }

    #[test]
    fn probabilities_of_a_table_are_those_of_single_blocks() {
        let chain = GilbertChain::bursts(0.05, 4.0);
        let tails = Tails::new(chain);
        for (data, parity) in [(1, 0), (1, 1), (15, 5), (200, 55), (0, 255), (255, 0)] {
            let (table, single) = (tails.block_loss(data, parity), chain.more_than(parity, data + parity));
            assert!((table - single).abs() <= 1e-9 * single, "{data}+{parity}: {table} {single}");
        }
    }

    #[test]
    fn bursts_get_more_parity_and_an_adapted_rule_may_go_below_the_percentage_of_the_split() {
        let parity = |burst_milli, packet_loss_ppm| {
            let model = LossModel { burst_milli, packet_loss_ppm, ..LossModel::default() };
            let policy = ParityPolicy::adapted(FecPercentage::new(20), FecPercentage::new(5), 2, model);
            assert_eq!(policy.percentage(), FecPercentage::new(20));
            policy.block(100, policy.percentage()).shards
        };
        assert!(parity(5000, 20_000) > parity(0, 20_000));
        assert!(parity(0, 1000) < 20 && parity(0, 0) == 5);
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
            Some(LossModel {
                packet_loss_ppm: 400_000,
                burst_milli: 7000,
                frame_loss_ppm: 1,
                overhead_budget: FecPercentage::new(255),
            }),
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
