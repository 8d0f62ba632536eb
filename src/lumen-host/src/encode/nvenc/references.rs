//! Which encoded pictures the encoder may still refer to, so that a loss is answered without a key frame.
//!
//! Whatever came after a lost picture may refer to it, so a loss makes everything from the first lost picture on
//! worthless. What is before it and still held is what the next picture can refer to.

use std::collections::VecDeque;

use crate::encode::FrameIndex;

/// What a loss asks of the encoder.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Repair {
    /// Nothing: a later picture has repaired it already.
    Done,
    /// Not to refer to the pictures with these time stamps.
    Invalidate(Vec<u64>),
    /// A key frame: nothing that the client has is still held.
    Key,
}

#[derive(Debug, Clone, Copy)]
struct Picture {
    index: FrameIndex,
    stamp: u64,
    valid: bool,
}

/// The last pictures, as many as the encoder holds.
#[derive(Debug)]
pub(super) struct References {
    held: VecDeque<Picture>,
    capacity: usize,
    /// The last picture that stood for a new beginning: a key frame, or one after an invalidation.
    repaired: FrameIndex,
}

impl References {
    /// For an encoder that holds so many pictures.
    pub(super) fn new(capacity: usize) -> Self {
        Self { held: VecDeque::with_capacity(capacity), capacity, repaired: FrameIndex(0) }
    }

    /// Notes a key frame: nothing before it is held any more.
    pub(super) fn key(&mut self, index: FrameIndex, stamp: u64) {
        self.held.clear();
        self.repaired = index;
        self.push(index, stamp);
    }

    /// Notes a picture that refers to others.
    pub(super) fn predicted(&mut self, index: FrameIndex, stamp: u64) {
        self.push(index, stamp);
    }

    /// Notes the picture after an invalidation.
    pub(super) fn repaired(&mut self, index: FrameIndex, stamp: u64) {
        self.repaired = index;
        self.push(index, stamp);
    }

    /// The client lost `first..=last`.
    pub(super) fn lost(&mut self, first: FrameIndex, last: FrameIndex) -> Repair {
        if last < self.repaired {
            return Repair::Done;
        }
        if !self.held.iter().any(|picture| picture.valid && picture.index < first) {
            return Repair::Key;
        }
        let worthless = self.held.iter_mut().filter(|picture| picture.valid && picture.index >= first);
        Repair::Invalidate(
            worthless
                .map(|picture| {
                    picture.valid = false;
                    picture.stamp
                })
                .collect(),
        )
    }

    fn push(&mut self, index: FrameIndex, stamp: u64) {
        if self.held.len() == self.capacity {
            self.held.pop_front();
        }
        self.held.push_back(Picture { index, stamp, valid: true });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(pictures: u32) -> References {
        let mut references = References::new(4);
        references.key(FrameIndex(1), 101);
        (2..=pictures).for_each(|index| references.predicted(FrameIndex(index), 100 + u64::from(index)));
        references
    }

    #[test]
    fn everything_from_the_first_lost_picture_on_is_worthless() {
        let mut references = after(8);
        assert_eq!(references.lost(FrameIndex(6), FrameIndex(6)), Repair::Invalidate(vec![106, 107, 108]));
        references.repaired(FrameIndex(9), 109);
        assert_eq!(references.lost(FrameIndex(7), FrameIndex(8)), Repair::Done);
        // What was worthless stays so: only the repaired picture is given up, and 6, the last good one is 5.
        references.predicted(FrameIndex(10), 110);
        assert_eq!(references.lost(FrameIndex(10), FrameIndex(10)), Repair::Invalidate(vec![110]));
    }

    #[test]
    fn a_loss_of_all_that_is_held_needs_a_key_frame() {
        let mut references = after(8);
        assert_eq!(references.lost(FrameIndex(5), FrameIndex(8)), Repair::Key);
        references.key(FrameIndex(9), 109);
        assert_eq!(references.lost(FrameIndex(5), FrameIndex(8)), Repair::Done);
        assert_eq!(references.lost(FrameIndex(9), FrameIndex(9)), Repair::Key);
    }
}
