//! Which results of a transform are used.

const BITS: usize = u64::BITS as usize;

/// A set of shards of a transform; keeps its memory.
#[derive(Debug, Default)]
pub(in super::super) struct Wanted {
    words: Vec<u64>,
    end: usize,
}

impl Wanted {
    /// None of `count` shards.
    pub(in super::super) fn reset(&mut self, count: usize) {
        self.words.clear();
        self.words.resize(count.div_ceil(BITS), 0);
        self.end = 0;
    }

    /// Adds a shard.
    pub(in super::super) fn insert(&mut self, index: usize) {
        self.words[index / BITS] |= 1 << (index % BITS);
        self.end = self.end.max(index + 1);
    }

    /// One more than the last shard.
    pub(super) fn end(&self) -> usize {
        self.end
    }

    /// Whether there is one among the `count` shards from `first` on; `count` is a power of two and divides `first`.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn any(&self, first: usize, count: usize) -> bool {
        match count.checked_sub(BITS) {
            None => (self.words[first / BITS] >> (first % BITS)) & ((1 << count) - 1) != 0,
            Some(_) => self.words[first / BITS..][..count / BITS].iter().any(|&word| word != 0),
        }
    }
}
