//! Whether a frame can be restored yet, counted shard by shard as they arrive.

use super::{Shape, ShardSet};

/// What a receiver knows about the shards of one frame. A plain counter: it never looks into a shard, and it costs a few
/// instructions for each.
#[derive(Debug, Clone)]
pub struct Progress {
    shape: Shape,
    present: ShardSet,
    /// Of each block, how many more shards it needs.
    needs: Vec<u16>,
    /// The sum of `needs`.
    missing: usize,
    /// Data shards that are not here.
    missing_data: usize,
}

impl Progress {
    /// Nothing of a frame of this shape is here.
    pub fn new(shape: Shape) -> Self {
        let mut progress = Self { shape, present: ShardSet::default(), needs: Vec::new(), missing: 0, missing_data: 0 };
        progress.reset(shape);
        progress
    }

    /// Starts again with another frame; keeps the memory.
    pub fn reset(&mut self, shape: Shape) {
        self.shape = shape;
        self.present.reset(shape.total());
        self.needs.clear();
        // A block has at most 65535 data shards, as the frame has.
        self.needs.extend((0..shape.blocks()).map(|block| shape.block(block).data as u16));
        self.missing = shape.data();
        self.missing_data = shape.data();
    }

    /// Notes that shard `index` of the frame is here.
    pub fn insert(&mut self, index: usize) -> Arrival {
        if index >= self.shape.total() {
            return Arrival::NoSuchShard;
        }
        if !self.present.insert(index) {
            return Arrival::Duplicate;
        }
        self.missing_data -= usize::from(index < self.shape.data());
        let needs = &mut self.needs[self.shape.block_of(index)];
        if *needs == 0 {
            return Arrival::Surplus;
        }
        *needs -= 1;
        self.missing -= 1;
        Arrival::Useful
    }

    /// The shape of the frame.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The shards that are here.
    pub fn present(&self) -> &ShardSet {
        &self.present
    }

    /// How many shards must arrive at least until the frame can be restored; 0 if it can be now. With several blocks
    /// they must be of the right ones.
    pub fn missing(&self) -> usize {
        self.missing
    }

    /// Whether all data is here or can be restored.
    pub fn is_decodable(&self) -> bool {
        self.missing == 0
    }

    /// Whether all data is here, so that there is nothing to restore.
    pub fn is_complete(&self) -> bool {
        self.missing_data == 0
    }
}

/// What a shard was good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// One shard less is needed.
    Useful,
    /// It was not here, but its block can be restored without it. A data shard of this kind still saves work.
    Surplus,
    /// It was here already.
    Duplicate,
    /// The frame has no such shard.
    NoSuchShard,
}

impl Shape {
    /// How many shards more than those `present` a decoder needs at least: 0 if it can restore the frame. A set for
    /// another number of shards counts as far as its indices go.
    pub fn missing(self, present: &ShardSet) -> usize {
        let blocks = self.blocks();
        let here =
            |block: usize| (block..self.total()).step_by(blocks).filter(|&index| present.contains(index)).count();
        if blocks == 1 && present.limit() == self.total() {
            return self.data().saturating_sub(present.len());
        }
        (0..blocks).map(|block| self.block(block).data.saturating_sub(here(block))).sum()
    }

    /// Whether a decoder can restore the frame from these shards.
    pub fn recoverable(self, present: &ShardSet) -> bool {
        self.missing(present) == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fec::scheme::Scheme;

    proptest! {
        #[test]
        fn counting_as_shards_arrive_agrees_with_looking_at_all_of_them(
            gf16: bool, data in 1u16..900, parity in 0u16..300, order in prop::collection::vec(0usize..1300, 0..1500),
        ) {
            let scheme = if gf16 { Scheme::Gf16 } else { Scheme::Gf8Interleaved };
            let Ok(shape) = Shape::new(scheme, data, parity, 2) else { return Ok(()) };
            let mut progress = Progress::new(Shape::new(Scheme::Gf16, 7, 7, 2).expect("a shape"));
            progress.insert(3);
            progress.reset(shape);
            for (step, index) in order.into_iter().enumerate() {
                let (before, present) = (progress.missing(), progress.present().contains(index));
                let arrival = progress.insert(index);
                prop_assert_eq!(arrival == Arrival::Useful, progress.missing() + 1 == before);
                prop_assert_eq!(arrival == Arrival::Duplicate, present);
                prop_assert_eq!(arrival == Arrival::NoSuchShard, index >= shape.total());
                if step % 50 == 0 {
                    prop_assert_eq!(progress.missing(), shape.missing(progress.present()));
                }
            }
            prop_assert_eq!(progress.missing(), shape.missing(progress.present()));
            prop_assert_eq!(progress.is_decodable(), shape.recoverable(progress.present()));
            prop_assert_eq!(progress.is_complete(), progress.present().missing(shape.data()).next().is_none());
        }
    }

    #[test]
    fn a_block_that_lost_too_much_is_not_helped_by_another() {
        let shape = Shape::new(Scheme::Gf8Interleaved, 400, 100, 2).expect("a shape");
        assert_eq!(shape.blocks(), 2);
        let mut progress = Progress::new(shape);
        (0..500).filter(|index| index % 2 == 1 || *index >= 102).for_each(|index| _ = progress.insert(index));
        assert_eq!((progress.present().len(), progress.missing()), (449, 1));
        assert_eq!(progress.insert(7), Arrival::Duplicate);
        assert_eq!(progress.insert(0), Arrival::Useful);
        assert_eq!(progress.insert(2), Arrival::Surplus);
        assert!(progress.is_decodable() && !progress.is_complete());
    }
}
