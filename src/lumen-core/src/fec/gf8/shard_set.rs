//! A set of shard indices: which shards of a block are here.

use super::MAX_SHARDS;

/// A set of shard indices of one block, each in 0..255; data shards first, then parity. A plain value of 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ShardSet([u64; 4]);

impl ShardSet {
    /// The empty set.
    pub const EMPTY: Self = Self([0; 4]);

    /// The indices `0..count`; `count` above 255 counts as 255.
    pub fn first(count: usize) -> Self {
        (0..count.min(MAX_SHARDS)).collect()
    }

    /// Adds `index`. Returns whether it is new; an index that no block can have (255 and above) is refused with
    /// `false` too.
    pub fn insert(&mut self, index: usize) -> bool {
        let new = index < MAX_SHARDS && !self.contains(index);
        if new {
            self.0[index / 64] |= 1 << (index % 64);
        }
        new
    }

    /// Takes `index` out. Returns whether it was there.
    pub fn remove(&mut self, index: usize) -> bool {
        let present = self.contains(index);
        if present {
            self.0[index / 64] &= !(1 << (index % 64));
        }
        present
    }

    /// Whether `index` is in the set.
    pub fn contains(&self, index: usize) -> bool {
        self.0.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    /// How many indices are in the set.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; 4]
    }

    /// The largest index in the set.
    pub fn last(&self) -> Option<usize> {
        let word = (0..4).rev().find(|&word| self.0[word] != 0)?;
        Some(word * 64 + self.0[word].ilog2() as usize)
    }

    /// The indices in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + use<> {
        let words = self.0;
        (0..4).flat_map(move |word| {
            let mut rest = words[word];
            std::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros() as usize)?;
                rest &= rest - 1;
                Some(word * 64 + bit)
            })
        })
    }
}

impl Extend<usize> for ShardSet {
    /// Adds every index below 255; others are left out.
    fn extend<I: IntoIterator<Item = usize>>(&mut self, indices: I) {
        for index in indices {
            self.insert(index);
        }
    }
}

impl FromIterator<usize> for ShardSet {
    /// Indices of 255 and above are left out.
    fn from_iter<I: IntoIterator<Item = usize>>(indices: I) -> Self {
        let mut set = Self::EMPTY;
        set.extend(indices);
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inserting_twice_is_noticed() {
        let mut set = ShardSet::EMPTY;
        assert!(set.insert(64));
        assert!(!set.insert(64));
        assert!(set.contains(64));
        assert_eq!((set.len(), set.last()), (1, Some(64)));
        assert!(set.remove(64));
        assert!(!set.remove(64));
        assert!(set.is_empty());
        assert_eq!(set.last(), None);
    }

    #[test]
    fn indices_that_no_block_has_are_refused() {
        let mut set = ShardSet::EMPTY;
        for index in [255, 256, usize::MAX] {
            assert!(!set.insert(index));
            assert!(!set.contains(index));
        }
        assert_eq!(ShardSet::first(usize::MAX).len(), 255);
    }

    #[test]
    fn iteration_is_ascending_and_complete() {
        let indices = [0, 1, 63, 64, 127, 128, 200, 254];
        let set: ShardSet = indices.into_iter().rev().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), indices);
    }
}
