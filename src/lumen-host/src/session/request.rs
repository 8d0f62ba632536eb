//! What the next frame must be: requests of the client and of the own sender, merged until the encoder takes them.

use std::sync::{Mutex, PoisonError};

use crate::encode::{FrameIndex, FrameRequest};

/// Collects requests; several before the next frame are one.
#[derive(Debug, Default)]
pub struct RequestSlot {
    pending: Mutex<FrameRequest>,
}

impl RequestSlot {
    /// Asks for a key frame. It answers every invalidation as well.
    pub fn idr(&self) {
        *self.lock() = FrameRequest::Idr;
    }

    /// Says that the client lost `first..=last`. A range that makes no sense is answered with a key frame, as the
    /// protocol asks (part 2, section 2.5).
    pub fn invalidate(&self, first: FrameIndex, last: FrameIndex) {
        let mut pending = self.lock();
        *pending = match *pending {
            FrameRequest::Idr => FrameRequest::Idr,
            _ if last < first || first.0 == 0 => FrameRequest::Idr,
            FrameRequest::Normal => FrameRequest::Invalidate { first, last },
            FrameRequest::Invalidate { first: earlier, last: later } => {
                FrameRequest::Invalidate { first: first.min(earlier), last: last.max(later) }
            }
        };
    }

    /// Takes what is pending.
    pub fn take(&self) -> FrameRequest {
        std::mem::take(&mut *self.lock())
    }

    /// Whether something is pending.
    pub fn is_pending(&self) -> bool {
        *self.lock() != FrameRequest::Normal
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, FrameRequest> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_merge_and_a_key_frame_answers_them_all() {
        let slot = RequestSlot::default();
        slot.invalidate(FrameIndex(10), FrameIndex(12));
        slot.invalidate(FrameIndex(8), FrameIndex(9));
        assert_eq!(slot.take(), FrameRequest::Invalidate { first: FrameIndex(8), last: FrameIndex(12) });
        assert_eq!(slot.take(), FrameRequest::Normal);
        slot.idr();
        slot.invalidate(FrameIndex(10), FrameIndex(12));
        assert_eq!(slot.take(), FrameRequest::Idr);
    }

    #[test]
    fn a_reversed_range_is_answered_with_a_key_frame() {
        let slot = RequestSlot::default();
        slot.invalidate(FrameIndex(12), FrameIndex(10));
        assert_eq!(slot.take(), FrameRequest::Idr);
    }
}
