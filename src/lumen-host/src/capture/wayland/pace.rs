//! When the next picture may be asked for: never more of them than the mode's rate in the long run, but at once
//! after one that came a little late, so that none is lost to the compositor's jitter.

use std::time::{Duration, Instant};

/// See the module.
#[derive(Debug)]
pub struct Pace {
    interval: Duration,
    /// When the next request would be made if all came evenly.
    due: Instant,
}

impl Pace {
    /// At most one picture each `interval`, the first at `now`.
    pub fn new(interval: Duration, now: Instant) -> Self {
        Self { interval, due: now }
    }

    /// When the next request may be made: up to one interval before its even time.
    pub fn earliest(&self) -> Instant {
        self.due.checked_sub(self.interval).unwrap_or(self.due)
    }

    /// A request was made at `now`. Turns that were not used are gone.
    pub fn asked(&mut self, now: Instant) {
        self.due = self.due.max(now) + self.interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(10);

    #[test]
    fn a_compositor_that_is_too_fast_is_asked_at_the_rate_of_the_mode() {
        let begin = Instant::now();
        let mut pace = Pace::new(INTERVAL, begin);
        let mut asked = 0;
        // Ready again each 8 ms.
        for turn in 0..1000 {
            let now = begin + Duration::from_millis(8) * turn;
            if now >= pace.earliest() {
                pace.asked(now);
                asked += 1;
            }
        }
        assert!((799..=802).contains(&asked), "{asked}");
    }

    #[test]
    fn jitter_costs_no_picture() {
        let begin = Instant::now();
        let mut pace = Pace::new(INTERVAL, begin);
        for turn in 0..1000u32 {
            let late = Duration::from_millis(u64::from(turn % 3) * 3);
            let now = begin + INTERVAL * turn + late;
            assert!(now >= pace.earliest(), "{turn}");
            pace.asked(now);
        }
    }

    #[test]
    fn a_pause_earns_no_burst() {
        let begin = Instant::now();
        let mut pace = Pace::new(INTERVAL, begin);
        pace.asked(begin);
        let later = begin + INTERVAL * 100;
        pace.asked(later);
        pace.asked(later);
        assert!(pace.earliest() > later);
    }
}
