//! Losses on purpose: datagrams that arrived are withheld by a seeded rule, so that a run can be repeated.

/// How much to lose.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossOptions {
    /// Video datagrams, in percent.
    pub video_percent: f64,
    /// Audio datagrams, in percent.
    pub audio_percent: f64,
    /// Datagrams that are lost in a row; the average rate stays.
    pub burst: u32,
    /// Where the random numbers begin.
    pub seed: u64,
}

impl Default for LossOptions {
    fn default() -> Self {
        Self { video_percent: 0.0, audio_percent: 0.0, burst: 1, seed: 1 }
    }
}

/// Decides which datagrams of one stream are withheld.
#[derive(Debug)]
pub struct Lossy {
    probability: f64,
    burst: u32,
    left: u32,
    state: u64,
}

impl Lossy {
    /// Loses `percent` of all datagrams, `burst` in a row.
    pub fn new(percent: f64, burst: u32, seed: u64) -> Self {
        let burst = burst.max(1);
        let rate = (percent / 100.0).clamp(0.0, 1.0);
        // A burst begins with probability p at each datagram outside of one: rate = p·b / (p·b + 1 − p).
        let probability = rate / (f64::from(burst) * (1.0 - rate) + rate);
        Self { probability, burst, left: 0, state: seed }
    }

    /// Whether the next datagram is lost.
    pub fn takes(&mut self) -> bool {
        if self.left > 0 {
            self.left -= 1;
            return true;
        }
        if self.probability <= 0.0 || self.random() >= self.probability {
            return false;
        }
        self.left = self.burst - 1;
        true
    }

    /// SplitMix64, as a number in 0..1.
    fn random(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept_whatever_the_burst() {
        for (percent, burst) in [(0.0, 1), (5.0, 1), (5.0, 8), (30.0, 3), (100.0, 2)] {
            let mut lossy = Lossy::new(percent, burst, 7);
            let lost = (0..200_000).filter(|_| lossy.takes()).count() as f64 / 2000.0;
            assert!((lost - percent).abs() < 1.0, "{percent} % in bursts of {burst}: {lost} %");
        }
    }

    #[test]
    fn a_seed_repeats_itself() {
        let run = |seed| {
            let mut lossy = Lossy::new(10.0, 2, seed);
            (0..1000).map(|_| lossy.takes()).collect::<Vec<_>>()
        };
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
    }
}
