//! For stock clients, which tell of losses only: the loss half of the same controller.

use std::time::Duration;

use super::rate::BitsPerSecond;
use crate::time::Timestamp;

/// How often the rate may fall, and how often it rises.
const FALL_EVERY: Duration = Duration::from_millis(500);
const RISE_EVERY: Duration = Duration::from_secs(2);
const RISE: f64 = 1.04;
/// Above this share of lost packets the rate falls, below that it may rise.
const LOSSY: f64 = 0.10;
const LOSSLESS: f64 = 0.02;

/// A target rate from loss statistics. It never goes above the rate that the client negotiated.
#[derive(Debug, Clone)]
pub struct StockCongestion {
    negotiated: BitsPerSecond,
    least: BitsPerSecond,
    target: BitsPerSecond,
    changed_at: Option<Timestamp>,
    sent: u64,
    missing: u64,
}

impl StockCongestion {
    /// Starts at the rate that the client asked for.
    pub fn new(negotiated: BitsPerSecond, least: BitsPerSecond) -> Self {
        let least = least.min(negotiated);
        Self { negotiated, least, target: negotiated, changed_at: None, sent: 0, missing: 0 }
    }

    /// Since the last call `sent` packets were sent, of which `missing` were reported missing. Gives the rate if it changed.
    pub fn statistics(&mut self, sent: u64, missing: u64, now: Timestamp) -> Option<BitsPerSecond> {
        self.sent = self.sent.saturating_add(sent);
        self.missing = self.missing.saturating_add(missing.min(sent));
        let since = now.saturating_since(*self.changed_at.get_or_insert(now));
        let share = self.missing as f64 / self.sent.max(1) as f64;
        let rate = if share > LOSSY && since >= FALL_EVERY {
            self.target.times(1.0 - 0.5 * share)
        } else if share < LOSSLESS && since >= RISE_EVERY {
            self.target.times(RISE)
        } else if since >= RISE_EVERY {
            self.target
        } else {
            return None;
        };
        (self.sent, self.missing, self.changed_at) = (0, 0, Some(now));
        let rate = rate.clamp(self.least, self.negotiated);
        (rate != std::mem::replace(&mut self.target, rate)).then_some(rate)
    }

    /// The rate now.
    pub fn target(&self) -> BitsPerSecond {
        self.target
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heavy_loss_lowers_the_rate_and_none_brings_it_back_no_further_than_negotiated() {
        let (negotiated, least) = (BitsPerSecond(20_000_000), BitsPerSecond(2_000_000));
        let mut control = StockCongestion::new(negotiated, least);
        let run = |control: &mut StockCongestion, from: u64, seconds: u64, missing: u64| {
            for tick in 0..seconds * 10 {
                control.statistics(200, missing, Timestamp::from_millis(from * 1000 + tick * 100));
            }
            control.target()
        };
        assert_eq!(run(&mut control, 0, 20, 10), negotiated, "5 % are none of its business");
        let fallen = run(&mut control, 20, 5, 60);
        assert!(fallen < negotiated.times(0.5), "{fallen:?}");
        assert_eq!(run(&mut control, 25, 100, 0), negotiated);
        assert_eq!(run(&mut control, 125, 100, 200), least);
    }
}
