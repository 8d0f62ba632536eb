//! Browsers that are logged in: random numbers in memory, each good for a while. A restart of the host ends them all.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a login lasts after the last request.
pub(super) const LIFETIME: Duration = Duration::from_secs(12 * 3600);
/// Logins at one time; the one that was idle longest gives way.
const MOST: usize = 32;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Logins {
    last_used: Mutex<HashMap<String, Instant>>,
}

impl Logins {
    /// Lets a browser in; its number is for nobody else.
    pub(super) fn begin(&self, now: Instant) -> String {
        let mut bytes = [0; 32];
        crate::daemon::random(&mut bytes);
        let number: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut all = self.last_used.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, used| now.saturating_duration_since(*used) < LIFETIME);
        if all.len() >= MOST {
            let oldest = all.iter().min_by_key(|(_, used)| **used).map(|(number, _)| number.clone());
            oldest.map(|oldest| all.remove(&oldest));
        }
        all.insert(number.clone(), now);
        number
    }

    /// Whether a browser with this number is logged in.
    pub(super) fn know(&self, number: &str, now: Instant) -> bool {
        let mut all = self.last_used.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(number) {
            Some(used) if now.saturating_duration_since(*used) < LIFETIME => {
                *used = now;
                true
            }
            _ => false,
        }
    }

    /// Logs a browser out.
    pub(super) fn end(&self, number: &str) {
        self.last_used.lock().unwrap_or_else(PoisonError::into_inner).remove(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_ends_by_itself_or_when_asked_to() {
        let logins = Logins::default();
        let now = Instant::now();
        let (a, b) = (logins.begin(now), logins.begin(now));
        assert!(a != b && a.len() == 64);
        assert!(logins.know(&a, now + LIFETIME / 2), "each request prolongs it");
        assert!(logins.know(&a, now + LIFETIME));
        assert!(!logins.know(&b, now + LIFETIME));
        assert!(!logins.know("", now));
        logins.end(&a);
        assert!(!logins.know(&a, now + LIFETIME));
    }

    #[test]
    fn there_are_never_more_than_so_many() {
        let logins = Logins::default();
        let now = Instant::now();
        let first = logins.begin(now);
        for second in 1..=MOST as u64 {
            logins.begin(now + Duration::from_secs(second));
        }
        assert!(!logins.know(&first, now));
        assert_eq!(logins.last_used.lock().expect("unpoisoned").len(), MOST);
    }
}
