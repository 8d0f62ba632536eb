//! How often a client reports about forward error correction (protocol part 2, section 2.5).

use std::time::Duration;

use crate::time::Timestamp;

/// Lets through at most 8 reports in 100 ms.
#[derive(Debug, Default)]
pub(super) struct StatusLimit {
    window: Timestamp,
    sent: u8,
}

impl StatusLimit {
    const WINDOW: Duration = Duration::from_millis(100);
    const REPORTS: u8 = 8;

    /// Whether one more report may go out at `now`; counts it if so.
    pub(super) fn allows(&mut self, now: Timestamp) -> bool {
        if now.saturating_since(self.window) >= Self::WINDOW {
            (self.window, self.sent) = (now, 0);
        }
        let allowed = self.sent < Self::REPORTS;
        self.sent += u8::from(allowed);
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_reports_fit_in_a_window() {
        let mut limit = StatusLimit::default();
        let allowed = |limit: &mut StatusLimit, millis| limit.allows(Timestamp::from_millis(millis));
        assert_eq!((0..20).filter(|_| allowed(&mut limit, 50)).count(), 8);
        assert!(!allowed(&mut limit, 99));
        assert_eq!((0..20).filter(|_| allowed(&mut limit, 100)).count(), 8);
    }
}
