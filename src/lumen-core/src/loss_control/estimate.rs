//! What a network loses, estimated from what arrived.
//!
//! Two ways in. [`ReceiptEstimator`] is told of every packet, lost or not, in the order of sending. [`CountEstimator`] is
//! told only how many packets of a block are missing, which is what stock clients say; it gets the length of bursts from the
//! spread of those counts.

use super::chain::GilbertChain;

/// Loss rate, 0..=1, and mean number of packets that are lost in a row, 1 or more.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossEstimate {
    /// Share of packets.
    pub rate: f64,
    /// Mean burst.
    pub burst: f64,
}

impl LossEstimate {
    /// A network with these figures.
    pub fn chain(self) -> GilbertChain {
        GilbertChain::bursts(self.rate, self.burst)
    }
}

/// What is assumed before anything is known, with the weight of so many packets.
const PRIOR_PACKETS: f64 = 300.0;
const PRIOR_RATE: f64 = 0.0005;
/// Bursts that are assumed before any was seen: so many, of this mean length.
const PRIOR_BURSTS: f64 = 1.0;
const PRIOR_BURST: f64 = 2.0;
/// Packets after which an observation counts a third, for what is true now and for what is true in general.
const SHORT: f64 = 400.0;
const LONG: f64 = 12_000.0;
/// Standard deviations that are no mere chance.
const SIGNIFICANT: f64 = 2.5;
/// No network is believed to lose more.
const MOST: f64 = 0.6;
const LONGEST_BURST: f64 = 200.0;

/// Counts that fade.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Fading {
    packets: f64,
    lost: f64,
    bursts: f64,
}

impl Fading {
    fn fade(&mut self, keep: f64) {
        self.packets *= keep;
        self.lost *= keep;
        self.bursts *= keep;
    }

    fn rate(self) -> f64 {
        (self.lost + PRIOR_RATE * PRIOR_PACKETS) / (self.packets + PRIOR_PACKETS)
    }

    fn burst(self) -> f64 {
        (self.lost + PRIOR_BURST * PRIOR_BURSTS) / (self.bursts + PRIOR_BURSTS)
    }
}

/// The short memory's rate if it is worse than the long one's by more than chance: plans that follow chance are worse than
/// plans that stay.
fn present_rate(short: Fading, long: Fading, burst: f64) -> f64 {
    let general = long.rate();
    // The variance of a number of losses is its mean times this.
    let dispersion = 2.0 * burst - 1.0;
    let deviation = (general * dispersion / short.packets.max(1.0)).sqrt();
    let lately = short.lost / short.packets.max(1.0);
    if lately > general + SIGNIFICANT * deviation { lately } else { general }.min(MOST)
}

/// Estimates from receipts of single packets.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ReceiptEstimator {
    short: Fading,
    long: Fading,
    last_lost: bool,
}

impl ReceiptEstimator {
    /// The next packet in the order of sending arrived, or is known to be lost.
    pub fn packet(&mut self, lost: bool) {
        for (fading, window) in [(&mut self.short, SHORT), (&mut self.long, LONG)] {
            fading.fade(1.0 - 1.0 / window);
            fading.packets += 1.0;
            fading.lost += f64::from(lost);
            fading.bursts += f64::from(lost && !self.last_lost);
        }
        self.last_lost = lost;
    }

    /// The network as it is: what it did lately if that is worse than what it does in general and no mere chance, because bad
    /// times come in stretches; its bursts in general.
    pub fn estimate(&self) -> LossEstimate {
        let burst = self.long.burst().clamp(1.0, LONGEST_BURST);
        LossEstimate { rate: present_rate(self.short, self.long, burst), burst }
    }
}

/// Estimates from the number of missing packets of each block.
///
/// For long blocks the variance of that number over its mean is 2·burst − 1: 1 for single losses, more the longer they
/// last (a compound Poisson process with geometric bursts). So the counts alone tell the length of bursts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CountEstimator {
    short: Fading,
    long: Fading,
    blocks: f64,
    missing: f64,
    missing_squared: f64,
}

impl CountEstimator {
    /// A block of `packets` packets of which `missing` did not arrive; blocks without loss count, too.
    pub fn block(&mut self, packets: u32, missing: u32) {
        let (packets, missing) = (f64::from(packets), f64::from(missing.min(packets)));
        for (fading, window) in [(&mut self.short, SHORT), (&mut self.long, LONG)] {
            fading.fade((1.0 - 1.0 / window).powf(packets));
            fading.packets += packets;
            fading.lost += missing;
        }
        let keep = (1.0 - 1.0 / LONG).powf(packets);
        self.blocks = self.blocks * keep + 1.0;
        self.missing = self.missing * keep + missing;
        self.missing_squared = self.missing_squared * keep + missing * missing;
    }

    /// The network as it is.
    pub fn estimate(&self) -> LossEstimate {
        let burst = if self.missing > 0.0 {
            let dispersion = self.missing_squared / self.missing - self.missing / self.blocks;
            // Few losses say little about bursts.
            ((dispersion + 1.0) / 2.0 * self.missing + PRIOR_BURST * PRIOR_BURSTS) / (self.missing + PRIOR_BURSTS)
        } else {
            PRIOR_BURST
        };
        let burst = burst.clamp(1.0, LONGEST_BURST);
        LossEstimate { rate: present_rate(self.short, self.long, burst), burst }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netsim::{Loss, Random};

    const NETWORKS: [(f64, f64); 4] = [(0.01, 1.0), (0.05, 1.0), (0.05, 5.0), (0.1, 15.0)];

    /// Both estimators over the same packets, in blocks of 60; the mean of the last estimates.
    fn estimates(rate: f64, burst: f64) -> [LossEstimate; 2] {
        let mut process = Loss::Bursts { rate, length: burst }.start(Random::new(1));
        let (mut receipts, mut counts) = (ReceiptEstimator::default(), CountEstimator::default());
        let mut sums = [LossEstimate { rate: 0.0, burst: 0.0 }; 2];
        for block in 0..3000 {
            let mut missing = 0;
            for _ in 0..60 {
                let lost = process.next_is_lost();
                receipts.packet(lost);
                missing += u32::from(lost);
            }
            counts.block(60, missing);
            if block >= 1000 {
                for (sum, estimate) in sums.iter_mut().zip([receipts.estimate(), counts.estimate()]) {
                    sum.rate += estimate.rate / 2000.0;
                    sum.burst += estimate.burst / 2000.0;
                }
            }
        }
        sums
    }

    #[test]
    fn receipts_and_counts_find_rate_and_burst() {
        for (rate, burst) in NETWORKS {
            for estimate in estimates(rate, burst) {
                // The rate errs upwards: the worse of two memories.
                assert!((0.85..1.4).contains(&(estimate.rate / rate)), "{rate} {burst}: {estimate:?}");
                assert!((0.6..1.35).contains(&(estimate.burst / burst)), "{rate} {burst}: {estimate:?}");
            }
        }
    }

    #[test]
    fn a_network_that_becomes_bad_is_known_after_a_hundred_packets() {
        let mut estimator = ReceiptEstimator::default();
        for _ in 0..50_000 {
            estimator.packet(false);
        }
        assert!(estimator.estimate().rate < 0.001);
        for packet in 0..120 {
            estimator.packet(packet % 5 == 0);
        }
        assert!(estimator.estimate().rate > 0.01, "{:?}", estimator.estimate());
    }

    #[test]
    fn nonsense_counts_stay_in_range() {
        let mut estimator = CountEstimator::default();
        for (packets, missing) in [(0, 0), (0, 7), (u32::MAX, u32::MAX), (3, u32::MAX)] {
            estimator.block(packets, missing);
            let LossEstimate { rate, burst } = estimator.estimate();
            assert!((0.0..=MOST).contains(&rate) && (1.0..=LONGEST_BURST).contains(&burst), "{rate} {burst}");
        }
    }
}
