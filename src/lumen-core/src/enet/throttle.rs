//! The throttle of unreliable messages (protocol part 3, section 1.3): when the round trip time grows, some of
//! them are dropped at the sender; reliable messages only see a smaller window.

use std::time::Duration;

use super::round_trip::RoundTrip;
use super::wire::ThrottleSettings;
use crate::time::Timestamp;

/// Everything passes.
const SCALE: u32 = 32;
const COUNTER_STEP: u32 = 7;

#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(super) struct Throttle {
    settings: ThrottleSettings,
    /// 0..=SCALE.
    value: u32,
    counter: u32,
    /// Best round trip time and largest variance of the last finished interval, milliseconds.
    reference: (u32, u32),
    current: (u32, u32),
    interval_start: Option<Timestamp>,
}

impl Throttle {
    /// The settings of ENet and of Moonlight.
    pub const DEFAULT_SETTINGS: ThrottleSettings =
        ThrottleSettings { interval: 5000, acceleration: 2, deceleration: 2 };

    /// Open, and until the first interval ends compared with the round trip time that is assumed at first.
    pub fn new(settings: ThrottleSettings) -> Self {
        let reference = (RoundTrip::new().time(), 0);
        Self { settings, value: SCALE, counter: 0, reference, current: reference, interval_start: None }
    }

    pub fn settings(&self) -> ThrottleSettings {
        self.settings
    }

    pub fn configure(&mut self, settings: ThrottleSettings) {
        self.settings = settings;
    }

    /// Takes a round trip sample, and the smoothed time and variance after it; all milliseconds.
    pub fn sample(&mut self, sample: u32, time: u32, variance: u32, now: Timestamp) {
        let (best, deviation) = self.reference;
        if sample <= best {
            self.value = self.value.saturating_add(self.settings.acceleration).min(SCALE);
        } else if sample > best.saturating_add(deviation.saturating_mul(2)) {
            self.value = self.value.saturating_sub(self.settings.deceleration);
        }
        self.current = (self.current.0.min(time), self.current.1.max(variance));
        let start = *self.interval_start.get_or_insert(now);
        if now.saturating_since(start) >= Duration::from_millis(self.settings.interval.into()) {
            self.reference = (self.current.0, self.current.1.max(1));
            self.current = (time, variance);
            self.interval_start = Some(now);
        }
    }

    /// Whether the next unreliable message is sent.
    pub fn passes(&mut self) -> bool {
        self.counter = (self.counter + COUNTER_STEP) % SCALE;
        self.counter <= self.value
    }

    /// The part of a window of `bytes` that is open.
    pub fn scale(&self, bytes: usize) -> usize {
        bytes.saturating_mul(self.value as usize) / SCALE as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_samples_close_it_and_fast_ones_open_it() {
        let mut throttle = Throttle::new(Throttle::DEFAULT_SETTINGS);
        for _ in 0..8 {
            throttle.sample(600, 50, 0, Timestamp::ZERO);
        }
        assert_eq!(throttle.scale(32), 16);
        assert_eq!((0..32).filter(|_| throttle.passes()).count(), 17);
        for _ in 0..100 {
            throttle.sample(600, 50, 0, Timestamp::ZERO);
        }
        assert_eq!(throttle.scale(32), 0);
        for _ in 0..100 {
            throttle.sample(1, 50, 0, Timestamp::ZERO);
        }
        assert_eq!(throttle.scale(32), 32);
        assert!((0..32).all(|_| throttle.passes()));
    }

    #[test]
    fn hostile_settings_do_not_overflow() {
        let settings = ThrottleSettings { interval: 0, acceleration: u32::MAX, deceleration: u32::MAX };
        let mut throttle = Throttle::new(settings);
        throttle.sample(u32::MAX, u32::MAX, u32::MAX, Timestamp::ZERO);
        throttle.sample(u32::MAX, u32::MAX, u32::MAX, Timestamp::from_micros(u64::MAX));
        throttle.sample(0, 0, 0, Timestamp::from_micros(u64::MAX));
        assert!(throttle.scale(usize::MAX) > 0);
    }
}
