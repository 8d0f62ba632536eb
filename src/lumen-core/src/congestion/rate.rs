//! Rates, and the measuring of them.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Timestamp;

/// A rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BitsPerSecond(pub u64);

impl BitsPerSecond {
    /// A rate `factor` times as high.
    pub fn times(self, factor: f64) -> Self {
        // Casts of floats saturate.
        Self((self.0 as f64 * factor) as u64)
    }
}

/// Bytes that arrived lately.
#[derive(Debug, Clone, Default)]
pub(super) struct ArrivalRate {
    arrivals: VecDeque<(Timestamp, usize)>,
    bytes: usize,
}

impl ArrivalRate {
    const WINDOW: Duration = Duration::from_millis(500);

    pub(super) fn add(&mut self, at: Timestamp, bytes: usize) {
        self.arrivals.push_back((at, bytes));
        self.bytes += bytes;
        while let Some(&(first, bytes)) = self.arrivals.front()
            && at.saturating_since(first) > Self::WINDOW
        {
            self.arrivals.pop_front();
            self.bytes -= bytes;
        }
    }

    /// None before half of the window has been seen.
    pub(super) fn rate(&self) -> Option<BitsPerSecond> {
        let (first, _) = self.arrivals.front()?;
        let (last, bytes) = self.arrivals.back()?;
        let span = last.saturating_since(*first);
        // The last datagram begins the next span.
        let bits = (self.bytes - bytes) as f64 * 8.0;
        (span * 2 >= Self::WINDOW).then(|| BitsPerSecond((bits / span.as_secs_f64()) as u64))
    }
}

/// How fast the path lets through what is sent in one go: bytes by time between the first and the last arrival of a frame.
///
/// That is the rate of the bottleneck if the frame was sent faster, and otherwise that of sending; so a sender learns more by
/// sending frames a little faster than the path was seen to carry, and never much faster.
#[derive(Debug, Clone, Default)]
pub(super) struct Dispersion {
    rate: Option<f64>,
}

impl Dispersion {
    /// A frame of `bytes` bytes after its first packet arrived within `span`.
    pub(super) fn train(&mut self, bytes: usize, span: Duration) {
        if bytes < 4000 || span < Duration::from_micros(100) {
            return;
        }
        let rate = bytes as f64 * 8.0 / span.as_secs_f64();
        self.rate = Some(self.rate.map_or(rate, |old| old + (rate - old) / 16.0));
    }

    pub(super) fn rate(&self) -> Option<BitsPerSecond> {
        self.rate.map(|rate| BitsPerSecond(rate as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_stream_has_its_rate_and_an_old_one_is_forgotten() {
        let mut rate = ArrivalRate::default();
        for millis in 0..300 {
            rate.add(Timestamp::from_millis(millis), 1000);
        }
        assert_eq!(rate.rate(), Some(BitsPerSecond(8_000_000)));
        rate.add(Timestamp::from_millis(5000), 1000);
        assert_eq!(rate.rate(), None);
    }

    #[test]
    fn dispersion_is_the_rate_of_the_path() {
        let mut dispersion = Dispersion::default();
        dispersion.train(100, Duration::from_micros(1));
        assert_eq!(dispersion.rate(), None, "too short to say anything");
        for _ in 0..100 {
            dispersion.train(50_000, Duration::from_millis(8));
        }
        assert_eq!(dispersion.rate(), Some(BitsPerSecond(50_000_000)));
    }
}
