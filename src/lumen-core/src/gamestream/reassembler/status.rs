//! Reports about forward error correction (protocol part 2, section 2.5, message 0x5502).

use std::time::Duration;

use crate::fec::block_plan::FecPercentage;
use crate::gamestream::video::{FrameIndex, SequenceNumber};
use crate::time::Timestamp;

/// State of a block that needed parity, or of the block at which a frame was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameFecStatus {
    /// The frame.
    pub frame: FrameIndex,
    /// Sequence number of the last packet of the block that arrived.
    pub highest_received: SequenceNumber,
    /// Sequence number of the first packet of the block that is missing.
    pub next_contiguous: SequenceNumber,
    /// Packets missing below `highest_received`.
    pub missing_before_highest: u16,
    /// Data packets of the block.
    pub total_data: u16,
    /// Parity packets of the block.
    pub total_parity: u16,
    /// Data packets that arrived.
    pub received_data: u16,
    /// Parity packets that arrived.
    pub received_parity: u16,
    /// The percentage in the block's headers.
    pub percentage: FecPercentage,
    /// The block, 0..=3.
    pub block_index: u8,
    /// Blocks of the frame, 1..=4.
    pub block_count: u8,
}

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
