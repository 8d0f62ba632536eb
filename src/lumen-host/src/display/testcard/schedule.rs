//! The turns of frames: absolute, so that they never drift however late one is taken.

use std::time::{Duration, Instant};

use crate::frame::Mode;

/// When the frames of a display have their turns.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    start: Instant,
    mode: Mode,
}

impl Schedule {
    /// A schedule whose frame 0 is at `start`. The mode's rate must not be zero.
    pub const fn starting(start: Instant, mode: Mode) -> Self {
        Self { start, mode }
    }

    /// Time from one frame to the next, rounded down to nanoseconds.
    pub fn interval(self) -> Duration {
        self.mode.interval()
    }

    /// When frame `frame` has its turn: exact to the nanosecond for any number of frames.
    pub fn turn(self, frame: u64) -> Instant {
        let nanos = u128::from(frame) * u128::from(self.mode.rate_den) * 1_000_000_000 / u128::from(self.mode.rate_num);
        self.start + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The newest frame that has had its turn at `now`; frame 0 before that.
    pub fn newest(self, now: Instant) -> u64 {
        let nanos = now.saturating_duration_since(self.start).as_nanos();
        // The turn is rounded down, so its own nanosecond counts whole.
        let scaled = (nanos + 1) * u128::from(self.mode.rate_num) - 1;
        u64::try_from(scaled / (u128::from(self.mode.rate_den) * 1_000_000_000)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_is_newest_from_its_turn_to_the_next() {
        let modes = [
            Mode::new(640, 360, 60),
            Mode::new(640, 360, 144),
            Mode { rate_num: 60_000, rate_den: 1001, ..Mode::new(640, 360, 1) },
            Mode { rate_num: 24_000, rate_den: 1001, ..Mode::new(640, 360, 1) },
        ];
        let nanosecond = Duration::from_nanos(1);
        for mode in modes {
            let schedule = Schedule::starting(Instant::now(), mode);
            for frame in (0..500).chain(10_000_000..10_000_500) {
                assert_eq!(schedule.newest(schedule.turn(frame)), frame);
                assert_eq!(schedule.newest(schedule.turn(frame + 1) - nanosecond), frame);
            }
        }
    }

    #[test]
    fn a_day_of_frames_does_not_drift() {
        let start = Instant::now();
        let schedule = Schedule::starting(start, Mode { rate_num: 60_000, rate_den: 1001, ..Mode::new(640, 360, 1) });
        assert_eq!(schedule.turn(60_000 * 86) - start, Duration::from_secs(1001 * 86));
    }
}
