//! Loss control for stock clients: the parity rule of a GameStream stream, from what such clients say.
//!
//! They can't ask for packets, and say little: a frame FEC status for a block that needed repair or was lost, nothing for one
//! that came through, at most eight in 100 ms. The counts in it give the loss rate, their spread the length of bursts. Out
//! comes a [`ParityPolicy`] within the limits of the protocol: four blocks of 255, parity that a percentage can express.

use super::controller::Importance;
use super::estimate::{CountEstimator, LossEstimate};
use crate::fec::block_plan::FecPercentage;
use crate::gamestream::control::FrameFecStatus;
use crate::gamestream::packetizer::{LossModel, ParityPolicy};
use crate::gamestream::video::FrameIndex;

/// The parity that remains on a network that loses nothing, in percent.
const LEAST: FecPercentage = FecPercentage::new(5);
/// How much less often than ordinary frames key frames may be lost.
const KEY_CARE: u32 = 10;
/// Packets that must be accounted for before the rule moves from where it began.
const TRIAL: f64 = 3000.0;
/// The rule is made anew when the estimate has moved by this factor.
const STEP: f64 = 1.25;
/// Frames without a report between two reports, at most. An index that jumps further says nothing about them.
const MOST_QUIET: u32 = 1000;

/// The parity rules of one stream, by what depends on a frame. Both split frames in the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameParity {
    /// For frames that the next ones need.
    pub ordinary: ParityPolicy,
    /// For frames that everything after them needs.
    pub key: ParityPolicy,
}

impl FrameParity {
    /// The rule for a frame.
    pub fn of(&self, importance: Importance) -> &ParityPolicy {
        match importance {
            Importance::Ordinary => &self.ordinary,
            Importance::Key => &self.key,
        }
    }
}

/// Makes the parity rule of one GameStream stream.
#[derive(Debug, Clone)]
pub struct StockLossControl {
    split: FecPercentage,
    min_required: u8,
    budget: FecPercentage,
    estimator: CountEstimator,
    /// Up to here all frames are accounted for.
    accounted: Option<FrameIndex>,
    accounted_packets: f64,
    /// Rate and burst that the present rule was made for.
    made_for: Option<(f64, f64)>,
}

impl StockLossControl {
    /// For a stream whose frames are split at the percentage `split`, whose client wants at least `min_required` parity packets
    /// a block, and that may spend `budget`.
    pub fn new(split: FecPercentage, min_required: u8, budget: FecPercentage) -> Self {
        Self {
            split,
            min_required,
            budget,
            estimator: CountEstimator::default(),
            accounted: None,
            accounted_packets: 0.0,
            made_for: None,
        }
    }

    /// The rule while nothing is known of the network: the percentage, and what the default [`LossModel`] adds to it.
    pub fn initial(&self) -> FrameParity {
        let policy = ParityPolicy::for_loss(self.split, self.min_required, LossModel::default());
        FrameParity { ordinary: policy.clone(), key: policy }
    }

    /// The client said how a block fared. Frames between the last one that it spoke of and this one came through. Gives a new
    /// rule if there is reason for one.
    pub fn report(&mut self, status: &FrameFecStatus) -> Option<FrameParity> {
        let received = u32::from(status.received_data) + u32::from(status.received_parity);
        // Packets behind the highest that arrived are on their way, or were when the client spoke.
        let missing = u32::from(status.missing_before_highest);
        let block = u32::from(status.total_data) + u32::from(status.total_parity);
        let blocks = u32::from(status.block_count).clamp(1, 4);
        if let Some(accounted) = self.accounted {
            let quiet = status.frame.0.wrapping_sub(accounted.0).wrapping_sub(1);
            if quiet < MOST_QUIET {
                self.quiet_blocks(quiet * blocks, block);
            }
        }
        self.accounted = Some(status.frame);
        self.account(received + missing, missing);
        self.rule()
    }

    /// The client had nothing to say about the frames up to `newest`, each of about `packets` packets, and would have by now.
    pub fn quiet(&mut self, newest: FrameIndex, packets: u32) -> Option<FrameParity> {
        let frames = self.accounted.map_or(newest.0, |accounted| newest.0.wrapping_sub(accounted.0));
        if frames > MOST_QUIET {
            return None;
        }
        self.quiet_blocks(frames, packets);
        self.accounted = Some(newest);
        self.rule()
    }

    /// The client asked not to refer to the frames `first..=last`. Of those that it had not spoken of nothing had arrived, of
    /// about `packets` packets each; those before them came through.
    pub fn lost(&mut self, first: FrameIndex, last: FrameIndex, packets: u32) -> Option<FrameParity> {
        let (quiet, lost) = self.news(first, last)?;
        self.quiet_blocks(quiet, packets);
        for _ in 0..lost {
            self.account(packets, packets);
        }
        self.accounted = Some(last);
        self.rule()
    }

    /// Of how many of these frames nothing arrived.
    pub fn wholly_lost(&self, first: FrameIndex, last: FrameIndex) -> u32 {
        self.news(first, last).map_or(0, |(_, lost)| lost)
    }

    /// Frames before the lost ones, and lost ones, that are not accounted for.
    fn news(&self, first: FrameIndex, last: FrameIndex) -> Option<(u32, u32)> {
        let accounted = self.accounted.unwrap_or(FrameIndex(first.0.wrapping_sub(1)));
        let quiet = first.0.wrapping_sub(accounted.0).wrapping_sub(1);
        let news = last.0.wrapping_sub(accounted.0);
        // If the client spoke of the first ones already, the difference is negative.
        let quiet = if quiet < news { quiet } else { 0 };
        (1..=MOST_QUIET).contains(&news).then_some((quiet, news - quiet))
    }

    /// Nobody was there to hear what the client said about the frames up to `newest`.
    pub fn unheard(&mut self, newest: FrameIndex) {
        self.accounted = Some(newest);
    }

    /// What the network does, as far as known.
    pub fn estimate(&self) -> LossEstimate {
        self.estimator.estimate()
    }

    fn quiet_blocks(&mut self, blocks: u32, packets: u32) {
        for _ in 0..blocks {
            self.account(packets, 0);
        }
    }

    fn account(&mut self, packets: u32, missing: u32) {
        self.estimator.block(packets, missing);
        self.accounted_packets += f64::from(packets);
    }

    fn rule(&mut self) -> Option<FrameParity> {
        let LossEstimate { rate, burst } = self.estimator.estimate();
        let moved = |(old_rate, old_burst): (f64, f64)| {
            let ratio = |new: f64, old: f64| (new / old).max(old / new);
            ratio(rate, old_rate) > STEP || ratio(burst, old_burst) > STEP
        };
        if self.accounted_packets < TRIAL || !self.made_for.is_none_or(moved) {
            return None;
        }
        self.made_for = Some((rate, burst));
        let model = LossModel {
            packet_loss_ppm: (rate * 1e6) as u32,
            burst_milli: (burst * 1e3) as u32,
            overhead_budget: self.budget,
            ..LossModel::default()
        };
        let key = LossModel { frame_loss_ppm: model.frame_loss_ppm / KEY_CARE, ..model };
        let rule = |model| ParityPolicy::adapted(self.split, LEAST, self.min_required, model);
        Some(FrameParity { ordinary: rule(model), key: rule(key) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netsim::{Loss, Random};

    const SPLIT: FecPercentage = FecPercentage::new(20);

    fn status(frame: u32, missing: u16) -> FrameFecStatus {
        FrameFecStatus {
            frame: FrameIndex(frame),
            highest_received: 47,
            next_contiguous: 3,
            missing_before_highest: missing,
            total_data: 40,
            total_parity: 8,
            received_data: 40 - missing.min(40),
            received_parity: 8,
            fec_percentage: 20,
            block: 0,
            block_count: 1,
        }
    }

    /// Parity of a block of 40, ordinary and key, after the reports about so many frames.
    fn after(loss: Loss, frames: u32) -> (usize, usize) {
        let mut control = StockLossControl::new(SPLIT, 2, FecPercentage::new(50));
        let mut rule = control.initial();
        let mut process = loss.start(Random::new(1));
        for frame in 1..=frames {
            let missing = (0..48).filter(|_| process.next_is_lost()).count() as u16;
            let new = if missing > 0 {
                control.report(&status(frame, missing))
            } else if frame.is_multiple_of(30) {
                control.quiet(FrameIndex(frame), 48)
            } else {
                None
            };
            rule = new.unwrap_or(rule);
        }
        let parity = |importance| rule.of(importance).block(40, SPLIT).shards;
        (parity(Importance::Ordinary), parity(Importance::Key))
    }

    #[test]
    fn a_clean_network_gets_little_and_a_bursty_one_much() {
        let (initial, _) = after(Loss::None, 0);
        let (clean, clean_key) = after(Loss::None, 3000);
        let (lossy, lossy_key) = after(Loss::Bursts { rate: 0.015, length: 2.5 }, 3000);
        assert!(clean <= 4 && clean < initial && clean_key < initial, "{clean} {clean_key} {initial}");
        assert!(lossy > initial && lossy_key > lossy, "{lossy} {lossy_key} {initial}");
    }

    #[test]
    fn frames_of_which_nothing_arrived_count_once() {
        let mut control = StockLossControl::new(SPLIT, 2, FecPercentage::new(50));
        control.quiet(FrameIndex(100), 40);
        control.report(&status(101, 20));
        // Of 101 it spoke; 102 and 103 came through; of 104 and 105 nothing arrived.
        control.lost(FrameIndex(101), FrameIndex(101), 40);
        let before = control.accounted_packets;
        assert_eq!(control.wholly_lost(FrameIndex(104), FrameIndex(105)), 2);
        control.lost(FrameIndex(104), FrameIndex(105), 40);
        assert_eq!(control.accounted_packets - before, 4.0 * 40.0);
        control.lost(FrameIndex(104), FrameIndex(105), 40);
        assert_eq!(control.accounted_packets - before, 4.0 * 40.0, "said twice");
        control.lost(FrameIndex(104), FrameIndex(106), 40);
        assert_eq!(control.accounted_packets - before, 5.0 * 40.0, "the range grew");
        let loss = control.estimate().rate;
        control.unheard(FrameIndex(900));
        assert_eq!((control.estimate().rate, control.lost(FrameIndex(850), FrameIndex(899), 40)), (loss, None));
    }

    #[test]
    fn nothing_changes_before_there_is_evidence() {
        let mut control = StockLossControl::new(SPLIT, 2, FecPercentage::new(35));
        assert!((1..40).all(|frame| control.report(&status(frame, 6)).is_none()));
        assert_eq!(control.initial().ordinary, ParityPolicy::for_loss(SPLIT, 2, LossModel::default()));
    }

    #[test]
    fn reports_that_make_no_sense_do_no_harm() {
        let mut control = StockLossControl::new(SPLIT, 255, FecPercentage::new(255));
        for frame in [5, u32::MAX, 0, 3, 1 << 31, 7, 6] {
            for missing in [0, u16::MAX] {
                let mut odd = status(frame, missing);
                (odd.total_data, odd.total_parity, odd.block_count) = (u16::MAX, u16::MAX, 255);
                let _ = control.report(&odd);
                let _ = control.quiet(FrameIndex(frame.wrapping_add(1 << 30)), u32::MAX);
                let _ = control.lost(FrameIndex(frame), FrameIndex(frame.wrapping_mul(77)), u32::MAX);
            }
        }
        let rule = control.report(&status(8, 9)).unwrap_or_else(|| control.initial());
        assert!((1..=200).all(|data| data + rule.key.block(data, SPLIT).shards <= 255));
    }
}
