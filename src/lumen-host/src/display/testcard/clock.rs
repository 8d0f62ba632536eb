//! The card's clock: which wall time an instant has, which frame contains the start of a second, and how a time of
//! day is written. Picture and sound share one [`WallClock`], so that flash and click agree.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Nanoseconds in a second.
const SECOND: i64 = 1_000_000_000;

/// A difference between the two clocks that is a step of the wall clock and not the time between two readings.
const STEP: i64 = 5_000_000;

/// Maps instants to the wall clock. It follows steps of the wall clock when [`WallClock::observe`] sees them.
#[derive(Debug)]
pub struct WallClock {
    origin: Instant,
    /// Wall time of `origin` in nanoseconds since 1970.
    offset: AtomicI64,
}

/// Nanoseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixNanos(pub i64);

impl WallClock {
    /// A clock in which `origin` is at `wall`.
    pub fn new(origin: Instant, wall: UnixNanos) -> Self {
        Self { origin, offset: AtomicI64::new(wall.0) }
    }

    /// A clock that follows the system's.
    pub fn of_system() -> Self {
        Self::new(Instant::now(), UnixNanos::now())
    }

    /// The wall time of an instant, before or after the origin.
    pub fn at(&self, instant: Instant) -> UnixNanos {
        let offset = self.offset.load(Ordering::Relaxed);
        let nanos = |duration: Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
        UnixNanos(match instant.checked_duration_since(self.origin) {
            Some(since) => offset.saturating_add(nanos(since)),
            None => offset.saturating_sub(nanos(self.origin - instant)),
        })
    }

    /// Tells the clock that it is `wall` at `instant`. Small differences are the caller's own delay and are ignored.
    pub fn observe(&self, instant: Instant, wall: UnixNanos) {
        let error = wall.0.saturating_sub(self.at(instant).0);
        if error.abs() > STEP {
            self.offset.fetch_add(error, Ordering::Relaxed);
        }
    }
}

impl UnixNanos {
    /// What the system's clock says.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }

    /// Microseconds since 1970; zero before.
    pub fn micros(self) -> u64 {
        u64::try_from(self.0 / 1000).unwrap_or(0)
    }

    /// The whole second that this time lies in.
    pub fn second(self) -> i64 {
        self.0.div_euclid(SECOND)
    }

    /// The part of the second that has passed, 0.0..1.0.
    pub fn fraction(self) -> f32 {
        self.0.rem_euclid(SECOND) as f32 / SECOND as f32
    }

    /// The second that begins in the `span` from this time on, if one does.
    pub fn second_within(self, span: Duration) -> Option<i64> {
        let end = Self(self.0.saturating_add(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)));
        // A second that begins exactly at the end belongs to what follows.
        let last = Self(end.0 - 1).second();
        (last > Self(self.0 - 1).second()).then_some(last)
    }

    /// This time written as date and time of day, UTC.
    pub fn civil(self) -> Civil {
        let (days, second) = (self.second().div_euclid(86_400), self.second().rem_euclid(86_400));
        let (year, month, day) = date(days);
        Civil {
            year,
            month,
            day,
            hour: (second / 3600) as u8,
            minute: (second / 60 % 60) as u8,
            second: (second % 60) as u8,
            millisecond: (self.0.rem_euclid(SECOND) / 1_000_000) as u16,
        }
    }
}

/// A date and time of day, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    /// Year, Gregorian.
    pub year: i64,
    /// Month, 1..=12.
    pub month: u8,
    /// Day of the month, 1..=31.
    pub day: u8,
    /// Hour, 0..=23.
    pub hour: u8,
    /// Minute, 0..=59.
    pub minute: u8,
    /// Second, 0..=59.
    pub second: u8,
    /// Millisecond, 0..=999.
    pub millisecond: u16,
}

/// Year, month and day of a day counted from 1970-01-01.
fn date(days: i64) -> (i64, u8, u8) {
    // Years are counted from March, so that the leap day is the last day of a year and months have a regular pattern
    // of lengths: 153 days in every five. 719 468 days lie between 0000-03-01 and 1970-01-01; an era has 400 years.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let march_month = (5 * day + 2) / 153;
    let day = day - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year + i64::from(month <= 2), month as u8, day as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let cases = [
            (0, (1970, 1, 1)),
            (951_782_400, (2000, 2, 29)),
            (951_868_800, (2000, 3, 1)),
            (1_709_164_800, (2024, 2, 29)),
            (4_107_542_400, (2100, 3, 1)),
            (1_767_225_599, (2025, 12, 31)),
            (-86_400, (1969, 12, 31)),
        ];
        for (second, (year, month, day)) in cases {
            let civil = UnixNanos(second * SECOND).civil();
            assert_eq!((civil.year, civil.month, civil.day), (year, month, day), "{second}");
        }
        let civil = UnixNanos(1_767_225_599 * SECOND + 987_654_321).civil();
        assert_eq!((civil.hour, civil.minute, civil.second, civil.millisecond), (23, 59, 59, 987));
    }

    #[test]
    fn every_second_lies_in_exactly_one_frame() {
        for interval in [16_666_666i64, 16_683_333, 8_333_333, 33_333_333, 10_000_000] {
            let span = Duration::from_nanos(interval as u64);
            let start = 77 * SECOND - 5 * interval;
            let starts = (0..3 * SECOND / interval).map(|n| UnixNanos(start + n * interval));
            let seconds: Vec<i64> = starts.filter_map(|start| start.second_within(span)).collect();
            assert!(seconds.len() >= 3 && seconds.windows(2).all(|pair| pair[1] == pair[0] + 1), "{seconds:?}");
        }
    }

    #[test]
    fn clock_follows_steps_and_ignores_delays() {
        let origin = Instant::now() + Duration::from_secs(10);
        let clock = WallClock::new(origin, UnixNanos(1000 * SECOND));
        let later = origin + Duration::from_secs(5);
        clock.observe(later, UnixNanos(1005 * SECOND + 1_000_000));
        assert_eq!(clock.at(later), UnixNanos(1005 * SECOND));
        clock.observe(later, UnixNanos(2005 * SECOND));
        assert_eq!(clock.at(later), UnixNanos(2005 * SECOND));
        assert_eq!(clock.at(origin - Duration::from_secs(1)), UnixNanos(1999 * SECOND));
    }
}
