//! The memory that a block is transformed in, and the columns in which shards are brought there and back.

use std::ops::Range;

use super::Strided;

/// Sixteen-bit symbols of a shard, 32 of them: low bytes first, then high bytes.
pub(super) type Chunk = [u8; CHUNK];

const CHUNK: usize = 64;

/// Bytes of all shards of a column together that stay in a second-level cache beside what else is there.
const CACHE: usize = 448 << 10;

/// Fewest chunks of a column: below, preparing the factors costs more than the cache gives.
const NARROWEST: usize = 4;

/// A range of the chunks of all shards of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Column {
    /// The first chunk.
    first: usize,
    /// Chunks of each shard.
    width: usize,
}

impl Column {
    /// The columns of shards of `len` bytes, of nearly equal width, when `held` shards are worked on at a time.
    pub(super) fn all(len: usize, held: usize) -> impl Iterator<Item = Self> {
        let chunks = len.div_ceil(CHUNK);
        let widest = (CACHE / CHUNK / held).clamp(NARROWEST.min(chunks), chunks);
        let width = chunks.div_ceil(chunks.div_ceil(widest));
        (0..chunks).step_by(width).map(move |first| Self { first, width: width.min(chunks - first) })
    }

    /// Chunks of each shard.
    pub(super) fn width(self) -> usize {
        self.width
    }

    /// Brings the column of shard `index` into `chunks`.
    pub(super) fn load(self, arena: &[u8], layout: Strided, index: usize, chunks: &mut [Chunk]) {
        let (whole, rest) = arena[self.bytes(layout, index)].as_chunks::<CHUNK>();
        chunks[..whole.len()].copy_from_slice(whole);
        if !rest.is_empty() {
            let (low, high) = rest.split_at(rest.len() / 2);
            let chunk = &mut chunks[whole.len()];
            *chunk = [0; CHUNK];
            chunk[..low.len()].copy_from_slice(low);
            chunk[CHUNK / 2..][..high.len()].copy_from_slice(high);
        }
    }

    /// Takes `chunks` back into the column of shard `index`.
    pub(super) fn store(self, arena: &mut [u8], layout: Strided, index: usize, chunks: &[Chunk]) {
        let (whole, rest) = arena[self.bytes(layout, index)].as_chunks_mut::<CHUNK>();
        whole.copy_from_slice(&chunks[..whole.len()]);
        if !rest.is_empty() {
            let chunk = &chunks[whole.len()];
            let (low, high) = rest.split_at_mut(rest.len() / 2);
            low.copy_from_slice(&chunk[..low.len()]);
            high.copy_from_slice(&chunk[CHUNK / 2..][..high.len()]);
        }
    }

    fn bytes(self, layout: Strided, index: usize) -> Range<usize> {
        let start = layout.offset + index * layout.stride;
        let end = ((self.first + self.width) * CHUNK).min(layout.len);
        start + self.first * CHUNK..start + end
    }
}

/// Memory for a column of a block, at an address where no chunk crosses a cache line. Grows to what the largest block
/// took: at most 16 MiB.
#[derive(Debug, Default)]
pub(super) struct Work(Vec<u8>);

impl Work {
    /// Room for `held` shards of a column, one after another. It holds anything.
    pub(super) fn column(&mut self, held: usize, column: Column) -> &mut [Chunk] {
        let bytes = held * column.width * CHUNK;
        if self.0.len() < bytes + CHUNK {
            self.0.resize(bytes + CHUNK, 0);
        }
        let aligned = self.0.as_ptr().align_offset(CHUNK).min(CHUNK);
        self.0[aligned..][..bytes].as_chunks_mut().0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_cover_each_shard_once_and_fit_the_cache() {
        for len in [2, 62, 64, 66, 128, 1200, 1408, 8192, 65_534] {
            for held in [1, 2, 512, 1024, 4096, 65_536] {
                let mut next = 0;
                for column in Column::all(len, held) {
                    assert_eq!(column.first, next);
                    assert!(column.width > 0);
                    assert!(held * column.width * CHUNK <= CACHE.max(held * NARROWEST * CHUNK));
                    next += column.width;
                }
                assert_eq!(next, len.div_ceil(CHUNK));
            }
        }
    }

    #[test]
    fn what_is_loaded_is_stored_again() {
        for len in [2, 64, 66, 190, 1408] {
            let layout = Strided { stride: len + 3, offset: 3, len };
            let arena: Vec<u8> = (0..4 * layout.stride).map(|index| index as u8).collect();
            let mut copy = arena.clone();
            copy[layout.offset + 2 * layout.stride..][..len].fill(0);
            let mut work = Work::default();
            for column in Column::all(len, 8192) {
                let chunks = &mut work.column(1, column)[..column.width()];
                assert_eq!(chunks.as_ptr().addr() % CHUNK, 0);
                column.load(&arena, layout, 2, chunks);
                column.store(&mut copy, layout, 2, chunks);
            }
            assert!(copy == arena);
        }
    }
}
