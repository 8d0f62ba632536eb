//! The clocks of a session: one monotonic clock for everything that is measured here, and its relation to the wall
//! clock, which the host writes into its pictures.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lumen_core::time::Timestamp;

/// A monotonic clock that starts at zero, shared by the threads of a session.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    pub fn now(&self) -> Timestamp {
        Timestamp::from_micros(u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// The instant `at` of the system's monotonic clock.
    pub fn instant(&self, at: Timestamp) -> Instant {
        self.start + Duration::from_micros(at.as_micros())
    }

    /// The wall clock at `at`, in microseconds since 1970. Asked anew each time, so that a clock that is being
    /// corrected is followed.
    pub fn unix_micros(&self, at: Timestamp) -> i64 {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as i64;
        wall - (self.now().as_micros() as i64 - at.as_micros() as i64)
    }
}

/// Secure random bytes of the operating system, as `lumen-core` wants them.
pub fn entropy(buffer: &mut [u8]) {
    openssl::rand::rand_bytes(buffer).expect("the operating system has random bytes");
}
