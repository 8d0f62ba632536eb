//! What all sessions came to, for metrics: counted as it happens, and kept when they are gone.

use std::collections::HashMap;

use crate::admin::{Ends, Tally};
use crate::link::{EndReason, Figures, SessionId};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) tally: Tally,
    /// What each worker last reported, and the tally has. Of a worker that was taken back, none before its first report:
    /// what it did before is not this daemon's.
    reported: HashMap<SessionId, Figures>,
}

impl Ledger {
    /// A session was launched: its worker begins with nothing.
    pub(super) fn started(&mut self, id: SessionId) {
        self.tally.sessions_started += 1;
        self.reported.insert(id, Figures::default());
    }

    /// A session has ended, or was told to.
    pub(super) fn ended(&mut self, reason: &EndReason) {
        let Ends { quit, shutdown, app_ended, keep_alive, administrator, failed } = &mut self.tally.sessions_ended;
        *match reason {
            EndReason::Quit => quit,
            EndReason::Shutdown => shutdown,
            EndReason::AppEnded => app_ended,
            EndReason::KeepAlive => keep_alive,
            EndReason::Administrator => administrator,
            EndReason::Failed(_) => failed,
        } += 1;
    }

    /// A session's worker died.
    pub(super) fn crashed(&mut self) {
        self.tally.worker_crashes += 1;
        self.tally.sessions_ended.failed += 1;
    }

    /// A worker reported.
    pub(super) fn take(&mut self, id: SessionId, figures: Figures) {
        if let Some(known) = self.reported.insert(id, figures.clone()) {
            self.tally.figures.add(&figures.since(&known));
        }
    }

    /// A worker is gone, and reports no more.
    pub(super) fn forget(&mut self, id: SessionId) {
        self.reported.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_frame_is_counted_once_and_those_of_an_earlier_daemon_are_not() {
        let frames = |frames_sent| Figures { frames_sent, ..Figures::default() };
        let (launched, taken_back) = (SessionId(1), SessionId(2));
        let mut ledger = Ledger::default();
        ledger.started(launched);
        ledger.take(launched, frames(5));
        ledger.take(launched, frames(7));
        assert_eq!(ledger.tally.figures.frames_sent, 7);
        ledger.take(taken_back, frames(100));
        assert_eq!(ledger.tally.figures.frames_sent, 7);
        ledger.take(taken_back, frames(103));
        ledger.forget(launched);
        assert_eq!(ledger.tally.figures.frames_sent, 10);
    }
}
