//! What a client does about lost frames: which frames it must not decode, and when it asks for reference invalidation
//! or a key frame (protocol part 2, section 2.5, items 7 to 9).

use super::VideoFrame;
use crate::gamestream::video::FrameIndex;

/// So many frames in a row that could not be decoded force a request for a key frame.
const MAX_DROPS: u32 = 120;
/// So many reference invalidations may wait to be sent; then a key frame is cheaper.
const MAX_QUEUED: u8 = 20;

/// Whether the host offers reference invalidation (`x-nv-video[0].refPicInvalidation` in DESCRIBE) and the decoder
/// can live with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReferenceInvalidation {
    /// Both do.
    Available,
    /// Every loss needs a key frame.
    Unavailable,
}

/// What to do with a complete frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Decode it.
    Decode,
    /// It refers to what was lost: showing it would show corruption.
    Drop,
}

/// A message to send to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecoveryRequest {
    /// Send a key frame (0x0302).
    KeyFrame,
    /// Stop referring to these frames (0x0301).
    InvalidateReferences {
        /// The first frame after the last complete one.
        first: FrameIndex,
        /// The last frame that is lost or was dropped.
        last: FrameIndex,
    },
}

/// The client's rule. Tell it of every event in order, obey its verdicts, send what [`LossResponse::poll`] returns.
#[derive(Debug)]
pub struct LossResponse {
    invalidation: ReferenceInvalidation,
    key_frame_decoded: bool,
    waiting: Waiting,
    last_decoded: Option<FrameIndex>,
    drops: u32,
    queued: Option<(FrameIndex, FrameIndex)>,
    queue_length: u8,
    key_frame_wanted: bool,
}

/// What must come before frames can be decoded again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    Nothing,
    /// A frame that repairs the references; `first` begins the range that was invalidated.
    Repair {
        first: FrameIndex,
    },
    /// A key frame, which was asked for.
    KeyFrame,
    /// A key frame, to be asked for as soon as frames get through again.
    KeyFrameNotRequested,
}

impl LossResponse {
    /// The state at the start of a stream, which must begin with a key frame.
    pub fn new(invalidation: ReferenceInvalidation) -> Self {
        Self {
            invalidation,
            key_frame_decoded: false,
            waiting: Waiting::KeyFrameNotRequested,
            last_decoded: None,
            drops: 0,
            queued: None,
            queue_length: 0,
            key_frame_wanted: false,
        }
    }

    /// Frames `first..=last` are lost.
    pub fn lost(&mut self, first: FrameIndex, last: FrameIndex) {
        let can_invalidate = self.invalidation == ReferenceInvalidation::Available && self.key_frame_decoded;
        match self.waiting {
            Waiting::Nothing if can_invalidate => {
                let first = self.last_decoded.map_or(first, FrameIndex::next);
                self.waiting = Waiting::Repair { first };
                self.invalidate(first, last);
            }
            Waiting::Repair { first } => self.invalidate(first, last),
            Waiting::Nothing | Waiting::KeyFrame | Waiting::KeyFrameNotRequested => {
                self.waiting = Waiting::KeyFrameNotRequested;
            }
        }
        self.dropped(last.0.wrapping_sub(first.0).saturating_add(1));
    }

    /// `frame` is complete.
    pub fn completed(&mut self, frame: &VideoFrame) -> Verdict {
        let usable = frame.key_frame
            || match self.waiting {
                Waiting::Nothing => true,
                Waiting::Repair { .. } => frame.kind.repairs_references(),
                Waiting::KeyFrame | Waiting::KeyFrameNotRequested => false,
            };
        if usable {
            self.waiting = Waiting::Nothing;
            self.last_decoded = Some(frame.index);
            self.drops = 0;
            return Verdict::Decode;
        }
        match self.waiting {
            Waiting::Repair { first } => self.invalidate(first, frame.index),
            Waiting::KeyFrameNotRequested => self.want_key_frame(),
            Waiting::Nothing | Waiting::KeyFrame => {}
        }
        self.dropped(1);
        Verdict::Drop
    }

    /// The decoder has decoded a key frame: from now on there is something that invalidation can go back to.
    pub fn key_frame_decoded(&mut self) {
        self.key_frame_decoded = true;
    }

    /// The decoder failed and can only start anew.
    pub fn decoder_failed(&mut self) {
        self.want_key_frame();
    }

    /// The next message to send.
    pub fn poll(&mut self) -> Option<RecoveryRequest> {
        if std::mem::take(&mut self.key_frame_wanted) {
            return Some(RecoveryRequest::KeyFrame);
        }
        self.queue_length = 0;
        self.queued.take().map(|(first, last)| RecoveryRequest::InvalidateReferences { first, last })
    }

    /// Ranges that wait to be sent become one.
    fn invalidate(&mut self, first: FrameIndex, last: FrameIndex) {
        if self.key_frame_wanted {
            return;
        }
        self.queue_length += 1;
        if self.queue_length > MAX_QUEUED {
            self.want_key_frame();
            return;
        }
        self.queued = Some((self.queued.map_or(first, |(earlier, _)| earlier), last));
    }

    /// A key frame makes every queued invalidation needless.
    fn want_key_frame(&mut self) {
        self.key_frame_wanted = true;
        self.waiting = Waiting::KeyFrame;
        self.queued = None;
        self.queue_length = 0;
    }

    fn dropped(&mut self, frames: u32) {
        self.drops = self.drops.saturating_add(frames);
        if self.drops >= MAX_DROPS {
            self.drops = 0;
            self.want_key_frame();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gamestream::video::{FrameKind, HostLatency};
    use crate::time::Timestamp;

    fn frame(index: u32, kind: FrameKind) -> VideoFrame {
        VideoFrame {
            index: FrameIndex(index),
            kind,
            key_frame: kind == FrameKind::Idr,
            data: Vec::new(),
            timestamp_90k: 0,
            host_latency: HostLatency::UNKNOWN,
            long_term_reference: false,
            data_packets: 1,
            recovered_packets: 0,
            first_packet_at: Timestamp::ZERO,
            received_at: Timestamp::ZERO,
        }
    }

    fn running(invalidation: ReferenceInvalidation) -> LossResponse {
        let mut response = LossResponse::new(invalidation);
        assert_eq!(response.completed(&frame(1, FrameKind::Idr)), Verdict::Decode);
        response.key_frame_decoded();
        response
    }

    fn invalidate(first: u32, last: u32) -> Option<RecoveryRequest> {
        Some(RecoveryRequest::InvalidateReferences { first: FrameIndex(first), last: FrameIndex(last) })
    }

    #[test]
    fn a_stream_that_does_not_begin_with_a_key_frame_asks_for_one_once() {
        let mut response = LossResponse::new(ReferenceInvalidation::Available);
        assert_eq!(response.completed(&frame(1, FrameKind::P)), Verdict::Drop);
        assert_eq!(response.poll(), Some(RecoveryRequest::KeyFrame));
        assert_eq!(response.completed(&frame(2, FrameKind::P)), Verdict::Drop);
        assert_eq!(response.poll(), None);
        assert_eq!(response.completed(&frame(3, FrameKind::Idr)), Verdict::Decode);
    }

    #[test]
    fn a_loss_invalidates_from_the_last_decoded_frame_on_and_extends_until_repaired() {
        let mut response = running(ReferenceInvalidation::Available);
        assert_eq!(response.completed(&frame(2, FrameKind::P)), Verdict::Decode);
        response.lost(FrameIndex(3), FrameIndex(4));
        assert_eq!(response.poll(), invalidate(3, 4));
        assert_eq!(response.completed(&frame(5, FrameKind::P)), Verdict::Drop);
        response.lost(FrameIndex(6), FrameIndex(6));
        assert_eq!(response.poll(), invalidate(3, 6));
        assert_eq!(response.poll(), None);
        assert_eq!(response.completed(&frame(7, FrameKind::AfterInvalidation)), Verdict::Decode);
        assert_eq!(response.completed(&frame(8, FrameKind::P)), Verdict::Decode);
    }

    #[test]
    fn without_invalidation_a_key_frame_is_asked_for_when_frames_get_through_again() {
        let mut response = running(ReferenceInvalidation::Unavailable);
        response.lost(FrameIndex(2), FrameIndex(2));
        assert_eq!(response.poll(), None);
        assert_eq!(response.completed(&frame(3, FrameKind::AfterInvalidation)), Verdict::Drop);
        assert_eq!(response.poll(), Some(RecoveryRequest::KeyFrame));
        assert_eq!(response.completed(&frame(4, FrameKind::Idr)), Verdict::Decode);
    }

    #[test]
    fn before_a_key_frame_was_decoded_invalidation_is_no_choice() {
        let mut response = LossResponse::new(ReferenceInvalidation::Available);
        response.completed(&frame(1, FrameKind::Idr));
        response.lost(FrameIndex(2), FrameIndex(2));
        assert_eq!(response.poll(), None);
        response.completed(&frame(3, FrameKind::P));
        assert_eq!(response.poll(), Some(RecoveryRequest::KeyFrame));
    }

    #[test]
    fn a_host_that_never_repairs_is_asked_for_a_key_frame_after_120_frames() {
        let mut response = running(ReferenceInvalidation::Available);
        response.lost(FrameIndex(2), FrameIndex(2));
        for index in 3..121 {
            response.completed(&frame(index, FrameKind::P));
            assert!(matches!(response.poll(), Some(RecoveryRequest::InvalidateReferences { .. })));
        }
        response.completed(&frame(121, FrameKind::P));
        assert_eq!(response.poll(), Some(RecoveryRequest::KeyFrame));
        assert_eq!(response.poll(), None);
    }

    #[test]
    fn invalidations_that_pile_up_become_one_key_frame_request() {
        let mut response = running(ReferenceInvalidation::Available);
        response.lost(FrameIndex(2), FrameIndex(2));
        for index in 3..30 {
            response.completed(&frame(index, FrameKind::P));
        }
        assert_eq!(response.poll(), Some(RecoveryRequest::KeyFrame));
        assert_eq!(response.poll(), None);
    }

    #[test]
    fn a_failed_decoder_drops_everything_up_to_the_next_key_frame() {
        let mut response = running(ReferenceInvalidation::Available);
        response.decoder_failed();
        assert_eq!(response.poll(), Some(RecoveryRequest::KeyFrame));
        assert_eq!(response.completed(&frame(2, FrameKind::AfterInvalidation)), Verdict::Drop);
        assert_eq!(response.completed(&frame(3, FrameKind::Idr)), Verdict::Decode);
    }
}
