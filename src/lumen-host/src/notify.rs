//! Telling the service manager: ready, what happens, still alive, stopping. Without one, nothing happens.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// The service manager, if there is one.
#[derive(Debug)]
pub struct Notifier {
    /// Half of the watchdog's patience.
    watchdog: Option<Duration>,
    last: Mutex<(Instant, String)>,
}

impl Notifier {
    /// Says that the service is ready.
    pub fn ready(status: &str) -> Self {
        let _ = sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(status)]);
        let watchdog = sd_notify::watchdog_enabled().map(|patience| patience / 2);
        Self { watchdog, last: Mutex::new((Instant::now(), status.to_owned())) }
    }

    /// Says that the main loop turns, when it is time to, and what happens, when that changed.
    pub fn alive(&self, status: &str) {
        let Ok(mut last) = self.last.lock() else { return };
        if last.1 != status {
            let _ = sd_notify::notify(&[NotifyState::Status(status)]);
            last.1 = status.to_owned();
        }
        if self.watchdog.is_some_and(|interval| last.0.elapsed() >= interval) {
            let _ = sd_notify::notify(&[NotifyState::Watchdog]);
            last.0 = Instant::now();
        }
    }

    /// Says that the service stops.
    pub fn stopping(&self) {
        let _ = sd_notify::notify(&[NotifyState::Stopping]);
    }
}
