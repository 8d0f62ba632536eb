//! A set of shard indices of one frame: which shards are here.

use super::MAX_SHARDS;

const BITS: usize = u64::BITS as usize;

/// A set of shard indices of one frame, data first, then parity. It knows how many shards the frame has and takes no
/// other index; at most 8 KiB, which are reused by [`reset`](Self::reset).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShardSet {
    words: Vec<u64>,
    limit: usize,
    len: usize,
}

impl ShardSet {
    /// The empty set for a frame of `limit` shards; more than [`MAX_SHARDS`] count as that many.
    pub fn new(limit: usize) -> Self {
        let mut set = Self::default();
        set.reset(limit);
        set
    }

    /// All shards of a frame of `limit` shards.
    pub fn full(limit: usize) -> Self {
        let mut set = Self::new(limit);
        set.extend(0..set.limit);
        set
    }

    /// Makes this the empty set for a frame of `limit` shards; keeps the memory.
    pub fn reset(&mut self, limit: usize) {
        self.limit = limit.min(MAX_SHARDS);
        self.len = 0;
        self.words.clear();
        self.words.resize(self.limit.div_ceil(BITS), 0);
    }

    /// How many shards the frame has.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Adds `index`. Returns whether it is new; an index that the frame does not have is refused with `false` too.
    pub fn insert(&mut self, index: usize) -> bool {
        let new = index < self.limit && !self.contains(index);
        if new {
            self.words[index / BITS] |= 1 << (index % BITS);
            self.len += 1;
        }
        new
    }

    /// Takes `index` out. Returns whether it was there.
    pub fn remove(&mut self, index: usize) -> bool {
        let present = self.contains(index);
        if present {
            self.words[index / BITS] &= !(1 << (index % BITS));
            self.len -= 1;
        }
        present
    }

    /// Whether `index` is in the set.
    pub fn contains(&self, index: usize) -> bool {
        self.words.get(index / BITS).is_some_and(|word| word >> (index % BITS) & 1 == 1)
    }

    /// How many indices are in the set.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The indices in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.words.iter().enumerate().flat_map(|(word, &bits)| ones(word, bits))
    }

    /// The indices below `end` that are *not* in the set, in ascending order: what is lost of the first `end` shards.
    pub fn missing(&self, end: usize) -> impl Iterator<Item = usize> {
        let end = end.min(self.limit);
        let words = self.words[..end.div_ceil(BITS)].iter().enumerate();
        words.flat_map(|(word, &bits)| ones(word, !bits)).take_while(move |&index| index < end)
    }
}

impl Extend<usize> for ShardSet {
    /// Adds every index that the frame has; others are left out.
    fn extend<I: IntoIterator<Item = usize>>(&mut self, indices: I) {
        for index in indices {
            self.insert(index);
        }
    }
}

/// The positions of the bits that are 1 in word number `word`.
fn ones(word: usize, mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = (bits != 0).then_some(bits.trailing_zeros() as usize)?;
        bits &= bits - 1;
        Some(word * BITS + bit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inserting_twice_is_noticed() {
        let mut set = ShardSet::new(130);
        assert!(set.insert(64) && !set.insert(64) && set.contains(64));
        assert_eq!(set.len(), 1);
        assert!(set.remove(64) && !set.remove(64) && set.is_empty());
    }

    #[test]
    fn indices_that_the_frame_does_not_have_are_refused() {
        let mut set = ShardSet::new(130);
        for index in [130, 191, 192, usize::MAX] {
            assert!(!set.insert(index) && !set.contains(index) && !set.remove(index));
        }
        assert_eq!(ShardSet::new(usize::MAX).limit(), MAX_SHARDS);
    }

    #[test]
    fn present_and_missing_make_the_whole() {
        for limit in [0, 1, 63, 64, 65, 128, 200] {
            let mut set = ShardSet::new(limit);
            set.extend((0..limit).filter(|index| index % 3 == 0));
            for end in [0, 1, limit / 2, limit, limit + 70] {
                let missing: Vec<_> = set.missing(end).collect();
                assert!(missing.iter().copied().eq((0..end.min(limit)).filter(|index| index % 3 != 0)));
            }
            assert!(set.iter().eq((0..limit).step_by(3)));
            assert_eq!(ShardSet::full(limit).missing(limit).count(), 0);
        }
    }

    #[test]
    fn a_reset_set_is_empty_and_has_its_new_limit() {
        let mut set = ShardSet::full(500);
        set.reset(70);
        assert_eq!((set.len(), set.limit(), set.iter().count()), (0, 70, 0));
        assert_eq!(set, ShardSet::new(70));
    }
}
