//! The memory that the datagrams of a frame lie in: one contiguous run of equal strides, reused from frame to frame. Both
//! protocols write into it.

/// Datagrams of one frame, one after another, all of the same length. As one byte run it is what a segmentation
/// offload wants; it never shrinks, so that sending frames allocates nothing once the largest was seen.
#[derive(Debug, Default)]
pub struct PacketArena {
    memory: Vec<u8>,
    /// Where the first datagram starts, for alignment.
    start: usize,
    stride: usize,
    count: usize,
}

/// Cache line: rows that start on one are read and written fastest.
const ALIGNMENT: usize = 64;

impl PacketArena {
    /// An arena without memory.
    pub fn new() -> Self {
        Self::default()
    }

    /// An arena with memory for `datagrams` datagrams of `stride` bytes.
    pub fn with_capacity(stride: usize, datagrams: usize) -> Self {
        let mut arena = Self::new();
        arena.prepare(stride, datagrams);
        arena.count = 0;
        arena
    }

    /// Bytes of each datagram.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Number of datagrams.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is no datagram.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The datagrams in order of sending.
    pub fn datagrams(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.as_bytes().chunks_exact(self.stride.max(1))
    }

    /// The datagrams as they are to be received; a receiver decrypts in place.
    pub fn datagrams_mut(&mut self) -> impl ExactSizeIterator<Item = &mut [u8]> {
        let stride = self.stride.max(1);
        self.bytes_mut().chunks_exact_mut(stride)
    }

    /// All datagrams as one run of bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.memory[self.start..][..self.stride * self.count]
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..][..self.stride * self.count]
    }

    /// Makes room; what the datagrams hold is left over from earlier frames.
    pub(crate) fn prepare(&mut self, stride: usize, count: usize) {
        let bytes = stride * count;
        if self.memory.len() < self.start + bytes {
            self.memory.clear();
            self.memory.resize(bytes + ALIGNMENT, 0);
            self.start = self.memory.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        }
        (self.stride, self.count) = (stride, count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_start_on_cache_lines_and_follow_each_other() {
        let mut arena = PacketArena::new();
        assert_eq!(arena.datagrams().len(), 0);
        for (stride, count) in [(1408, 3), (1040, 900), (80, 1)] {
            arena.prepare(stride, count);
            assert_eq!(arena.as_bytes().as_ptr().align_offset(ALIGNMENT), 0);
            assert_eq!((arena.datagrams().len(), arena.as_bytes().len()), (count, stride * count));
        }
    }
}
