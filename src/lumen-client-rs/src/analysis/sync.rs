//! The offset between picture and sound: the test card flashes in the picture during which a second begins, and
//! clicks exactly when it begins.

use std::collections::VecDeque;

use lumen_core::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Flash and click further apart than this do not belong together.
const MAX_OFFSET: i64 = 400_000;
/// Flashes and clicks that wait for each other.
const MAX_WAITING: usize = 8;

/// Offsets measured so far.
#[derive(Debug, Clone, Default)]
pub struct AvSync {
    flashes: VecDeque<i64>,
    clicks: VecDeque<i64>,
    /// When, in seconds, and the offset in milliseconds.
    offsets: Vec<(f64, f64)>,
}

/// How far sound is behind the picture that belongs to it, in milliseconds; negative if it is ahead. Both count when
/// they are decoded, as in a client that shows and plays at once.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AvOffset {
    /// Flashes with a click.
    pub pairs: usize,
    /// The median.
    pub median_ms: f64,
    /// The smallest.
    pub min_ms: f64,
    /// The largest.
    pub max_ms: f64,
    /// How the offset changes, in milliseconds a minute; none for streams of less than ten pairs.
    pub drift_ms_per_minute: Option<f64>,
}

impl AvSync {
    /// A picture that was drawn at `unix_micros` of the host's wall clock flashes; it was decoded at `at`.
    pub fn flash(&mut self, unix_micros: u64, at: Timestamp) {
        // The second begins while the picture is shown, not when it was drawn.
        let until_second = (1_000_000 - unix_micros % 1_000_000) % 1_000_000;
        push(&mut self.flashes, at.as_micros() as i64 + until_second as i64);
        self.pair();
    }

    /// A click began at `at`.
    pub fn click(&mut self, at: Timestamp) {
        push(&mut self.clicks, at.as_micros() as i64);
        self.pair();
    }

    fn pair(&mut self) {
        while let (Some(flash), Some(click)) = (self.flashes.front(), self.clicks.front()) {
            let offset = click - flash;
            if offset > MAX_OFFSET {
                self.flashes.pop_front();
            } else if offset < -MAX_OFFSET {
                self.clicks.pop_front();
            } else {
                self.offsets.push((*flash as f64 / 1e6, offset as f64 / 1e3));
                self.flashes.pop_front();
                self.clicks.pop_front();
            }
        }
    }

    /// What was measured; none if no flash had a click.
    pub fn offset(&self) -> Option<AvOffset> {
        let mut sorted: Vec<f64> = self.offsets.iter().map(|(_, offset)| *offset).collect();
        sorted.sort_by(f64::total_cmp);
        Some(AvOffset {
            pairs: sorted.len(),
            median_ms: *sorted.get(sorted.len() / 2)?,
            min_ms: *sorted.first()?,
            max_ms: *sorted.last()?,
            drift_ms_per_minute: self.drift(),
        })
    }

    /// Slope of the line through all offsets, by least squares.
    fn drift(&self) -> Option<f64> {
        let count = self.offsets.len() as f64;
        if self.offsets.len() < 10 {
            return None;
        }
        let (time, offset) = self.offsets.iter().fold((0.0, 0.0), |(t, o), (time, offset)| (t + time, o + offset));
        let (time, offset) = (time / count, offset / count);
        let (mut above, mut below) = (0.0, 0.0);
        for (at, value) in &self.offsets {
            above += (at - time) * (value - offset);
            below += (at - time).powi(2);
        }
        (below > 0.0).then(|| above / below * 60.0)
    }
}

fn push(queue: &mut VecDeque<i64>, at: i64) {
    if queue.len() == MAX_WAITING {
        queue.pop_front();
    }
    queue.push_back(at);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_counts_from_the_second_not_from_the_drawing() {
        let mut sync = AvSync::default();
        for second in 1..=20u64 {
            // Drawn 6 ms before the second, decoded 20 ms after drawing; the click is heard 30 ms after its second.
            let second = second * 1_000_000;
            sync.flash(second - 6_000, Timestamp::from_micros(second + 14_000));
            sync.click(Timestamp::from_micros(second + 30_000));
        }
        let offset = sync.offset().unwrap();
        assert_eq!((offset.pairs, offset.median_ms, offset.max_ms), (20, 10.0, 10.0));
        assert!(offset.drift_ms_per_minute.unwrap().abs() < 1e-9);
    }

    #[test]
    fn a_missing_flash_or_click_spoils_no_other_pair() {
        let mut sync = AvSync::default();
        let at = |second: u64, millis: u64| Timestamp::from_millis(second * 1000 + millis);
        sync.click(at(1, 5));
        sync.flash(2_000_000, at(2, 0));
        sync.flash(3_000_000, at(3, 0));
        sync.click(at(3, 7));
        sync.click(at(4, 9));
        sync.flash(4_000_000, at(4, 0));
        let offset = sync.offset().unwrap();
        assert_eq!((offset.pairs, offset.min_ms, offset.max_ms), (2, 7.0, 9.0));
    }

    #[test]
    fn drift_is_a_slope() {
        let mut sync = AvSync::default();
        for second in 0..60u64 {
            sync.flash(second * 1_000_000, Timestamp::from_micros(second * 1_000_000));
            sync.click(Timestamp::from_micros(second * 1_000_100));
        }
        assert!((sync.offset().unwrap().drift_ms_per_minute.unwrap() - 6.0).abs() < 1e-6);
    }
}
