//! What the host encodes next when a frame is lost in spite of everything.

use crate::gamestream::video::FrameIndex;

/// How the next frame gets along without what was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Repair {
    /// It refers to this frame, which the client has, and to no later one.
    ReferTo(FrameIndex),
    /// It refers to nothing.
    KeyFrame,
}

/// The repair when `last_complete` is the newest frame that the client is known to have decoded, `newest_sent` the newest one
/// that was encoded, and the encoder keeps the last `kept` frames. A reference costs a little more than an ordinary frame, a
/// key frame several times as much, which takes longer and is likelier to be lost in turn: so a key frame only where no
/// reference is left.
pub fn repair_after_loss(last_complete: Option<FrameIndex>, newest_sent: FrameIndex, kept: u32) -> Repair {
    match last_complete {
        Some(frame) if newest_sent.0.wrapping_sub(frame.0) < kept => Repair::ReferTo(frame),
        _ => Repair::KeyFrame,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_the_encoder_still_has_is_referred_to() {
        let repair = |last, kept| repair_after_loss(last, FrameIndex(20), kept);
        assert_eq!(repair(Some(FrameIndex(16)), 5), Repair::ReferTo(FrameIndex(16)));
        assert_eq!(repair(Some(FrameIndex(15)), 5), Repair::KeyFrame);
        assert_eq!(repair(None, 5), Repair::KeyFrame);
        assert_eq!(repair(Some(FrameIndex(20)), 0), Repair::KeyFrame);
        assert_eq!(repair(Some(FrameIndex(21)), 5), Repair::KeyFrame, "a frame that was never sent");
    }
}
