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
        let count = count.min(MAX_SHARDS);
        Self(std::array::from_fn(|word| match count.saturating_sub(word * 64) {
            0 => 0,
            bits @ 1..64 => (1 << bits) - 1,
            _ => u64::MAX,
        }))
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

    /// What is in this set but not in `other`.
    pub fn without(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] & !other.0[word]))
    }

    /// The `count` smallest indices of this set; all of them if there are fewer.
    pub fn smallest(&self, count: usize) -> Self {
        let mut left = count;
        Self(self.0.map(|word| {
            let mut rest = word;
            let taken = left.min(word.count_ones() as usize);
            left -= taken;
            for _ in 0..taken {
                rest &= rest - 1;
            }
            word ^ rest
        }))
    }

    /// The indices in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + use<> {
        let mut words = self.0;
        let mut word = 0;
        std::iter::from_fn(move || {
            while words[word] == 0 {
                if word + 1 == words.len() {
                    return None;
                }
                word += 1;
            }
            let bit = words[word].trailing_zeros() as usize;
            words[word] &= words[word] - 1;
            Some(word * 64 + bit)
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
    fn sets_are_built_and_cut_by_count() {
        for count in 0..=255 {
            assert_eq!(ShardSet::first(count), (0..count).collect());
            let odd: ShardSet = (1..255).step_by(2).collect();
            assert_eq!(odd.smallest(count), odd.iter().take(count).collect());
            assert_eq!(ShardSet::first(count).without(&odd), (0..count).filter(|index| index % 2 == 0).collect());
        }
    }

    #[test]
    fn iteration_is_ascending_and_complete() {
        let indices = [0, 1, 63, 64, 127, 128, 200, 254];
        let set: ShardSet = indices.into_iter().rev().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), indices);
    }
}
