//! The rule that other hosts use where they adapt at all: once a second one percentage for all frames, from the losses of the
//! second before.

use std::time::Duration;

use lumen_core::loss_control::GilbertChain;
use lumen_core::time::Timestamp;

const WINDOW: Duration = Duration::from_secs(1);
/// An average frame may be lost so often, by the binomial distribution.
const BEARABLE: f64 = 1e-3;
/// In percent; what remains without loss, and what is never passed.
const LEAST: usize = 5;
const MOST: usize = 50;

/// One percentage for all frames.
#[derive(Debug, Clone)]
pub struct Windowed {
    percent: usize,
    packets: u64,
    lost: u64,
    since: Timestamp,
    mean_frame: f64,
}

impl Default for Windowed {
    fn default() -> Self {
        Self { percent: 20, packets: 0, lost: 0, since: Timestamp::ZERO, mean_frame: 30.0 }
    }
}

impl Windowed {
    /// A packet arrived or is lost, as heard at `now`.
    pub fn packet(&mut self, lost: bool, now: Timestamp) {
        self.packets += 1;
        self.lost += u64::from(lost);
        if now.saturating_since(self.since) >= WINDOW {
            let chain = GilbertChain::independent(self.lost as f64 / self.packets as f64);
            let data = self.mean_frame.round().max(1.0) as usize;
            let enough = |&percent: &usize| {
                let parity = (data * percent).div_ceil(100);
                chain.more_than(parity, data + parity) <= BEARABLE
            };
            self.percent = (LEAST..MOST).find(enough).unwrap_or(MOST);
            (self.packets, self.lost, self.since) = (0, 0, now);
        }
    }

    /// Parity of a frame.
    pub fn parity(&mut self, data: usize) -> usize {
        self.mean_frame += (data as f64 - self.mean_frame) / 100.0;
        (data * self.percent).div_ceil(100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_percentage_follows_the_second_before() {
        let mut windowed = Windowed::default();
        let feed = |windowed: &mut Windowed, second: u64, one_in: u64| {
            for packet in 0..2000 {
                windowed.packet(packet % one_in == 0, Timestamp::from_micros(second * 1_000_000 + packet * 500));
            }
            windowed.packet(false, Timestamp::from_millis((second + 1) * 1000));
            windowed.parity(30)
        };
        let bad = feed(&mut windowed, 0, 10);
        let good = feed(&mut windowed, 1, 1_000_000);
        assert!(bad >= 9 && good <= 2, "{bad} {good}");
    }
}
