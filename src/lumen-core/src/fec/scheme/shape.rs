//! Which code a frame uses and how many shards of which length it has. Plain values, checked once when made.

use std::fmt;

use thiserror::Error;

use super::super::gf8;
use super::Strided;

/// Most shards of a frame, data and parity together: a shard index fits 16 bits.
pub const MAX_SHARDS: usize = 1 << 16;

/// Most bytes of a shard: more than any datagram carries.
pub const MAX_SHARD_LEN: usize = 65_535;

/// Most blocks of a frame.
pub const MAX_BLOCKS: usize = MAX_SHARDS.div_ceil(gf8::MAX_SHARDS);

/// The code that protects a frame. The numbers are those of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Scheme {
    /// Blocks of at most 255 shards over GF(2^8), as many as the frame needs, interleaved on the wire: shard `i` of a
    /// frame of `B` blocks belongs to block `i mod B`, so that a burst of losses is spread over all of them. Each block
    /// is the code of [`gf8::Codec`].
    Gf8Interleaved = 1,
    /// One block over GF(2^16): any data shards of a frame can be restored from as many of its parity shards. It is the
    /// Leopard code at its high rate, as `reed-solomon-simd` has it.
    Gf16 = 2,
}

impl Scheme {
    /// The byte of the wire.
    pub const fn wire(self) -> u8 {
        self as u8
    }
}

impl TryFrom<u8> for Scheme {
    type Error = UnknownScheme;

    fn try_from(wire: u8) -> Result<Self, UnknownScheme> {
        match wire {
            1 => Ok(Self::Gf8Interleaved),
            2 => Ok(Self::Gf16),
            other => Err(UnknownScheme(other)),
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gf8Interleaved => "gf8x",
            Self::Gf16 => "gf16",
        })
    }
}

/// A byte that stands for no scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("FEC scheme {0} is unknown; 1 (gf8x) and 2 (gf16) are known")]
pub struct UnknownScheme(pub u8);

/// The shards of one frame: a [`Scheme`] and counts that it can protect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    scheme: Scheme,
    data: u16,
    parity: u16,
    shard_len: u16,
}

impl Shape {
    /// `data` shards and `parity` shards of `shard_len` bytes each. No parity is a shape too: one that restores nothing.
    ///
    /// # Errors
    /// [`ShapeError`] for counts or lengths that the scheme does not have.
    pub fn new(scheme: Scheme, data: u16, parity: u16, shard_len: usize) -> Result<Self, ShapeError> {
        if data == 0 {
            return Err(ShapeError::NoData);
        }
        let total = usize::from(data) + usize::from(parity);
        let fits = match scheme {
            Scheme::Gf8Interleaved => total <= MAX_SHARDS && blocks(total) <= usize::from(data),
            Scheme::Gf16 => usize::from(data) + usize::from(parity).next_power_of_two() <= MAX_SHARDS,
        };
        if !fits {
            return Err(ShapeError::Counts { scheme, data, parity });
        }
        match u16::try_from(shard_len) {
            Ok(len) if len > 0 && (scheme == Scheme::Gf8Interleaved || len % 2 == 0) => {
                Ok(Self { scheme, data, parity, shard_len: len })
            }
            _ => Err(ShapeError::Length { scheme, shard_len }),
        }
    }

    /// The code.
    pub const fn scheme(self) -> Scheme {
        self.scheme
    }

    /// Data shards, at least 1.
    pub const fn data(self) -> usize {
        self.data as usize
    }

    /// Parity shards.
    pub const fn parity(self) -> usize {
        self.parity as usize
    }

    /// Shards of the frame, data and parity together.
    pub const fn total(self) -> usize {
        self.data as usize + self.parity as usize
    }

    /// Bytes of each shard.
    pub const fn shard_len(self) -> usize {
        self.shard_len as usize
    }

    /// The layout with `prefix` bytes before each shard and nothing after it.
    pub const fn strided(self, prefix: usize) -> Strided {
        Strided { stride: prefix + self.shard_len(), offset: prefix, len: self.shard_len() }
    }

    /// How many blocks the frame has: one for [`Scheme::Gf16`], else the smallest number of blocks that have at most 255
    /// shards each.
    pub const fn blocks(self) -> usize {
        match self.scheme {
            Scheme::Gf8Interleaved => blocks(self.total()),
            Scheme::Gf16 => 1,
        }
    }

    /// The block of shard `index`.
    pub const fn block_of(self, index: usize) -> usize {
        index % self.blocks()
    }

    /// The shards of a block; empty for a block that the frame does not have. Shard `i` of block `block` is shard
    /// `block + i·blocks` of the frame, so a block has its data first, as the frame has.
    pub const fn block(self, block: usize) -> Block {
        let blocks = self.blocks();
        if block >= blocks {
            return Block { data: 0, parity: 0 };
        }
        let data = (self.data() - block).div_ceil(blocks);
        Block { data, parity: (self.total() - block).div_ceil(blocks) - data }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, data, parity, shard_len } = self;
        write!(f, "{scheme} {data}+{parity} x {shard_len}")
    }
}

/// How many shards a block has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Block {
    /// Data shards, at least 1.
    pub data: usize,
    /// Parity shards; a block has none if the frame has fewer of them than blocks.
    pub parity: usize,
}

impl Block {
    /// Data and parity together.
    pub const fn total(self) -> usize {
        self.data + self.parity
    }
}

const fn blocks(total: usize) -> usize {
    total.div_ceil(gf8::MAX_SHARDS)
}

/// No frame has this shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ShapeError {
    /// A frame without data.
    #[error("a frame needs at least one data shard")]
    NoData,
    /// More shards than the scheme can protect, or a block of parity alone.
    #[error(
        "{scheme} has no frame of {data} data and {parity} parity shards: \
         gf16 needs data + parity rounded up to a power of two to be at most 65536, \
         gf8x at most 65536 shards in all and a data shard for every 255 shards"
    )]
    Counts {
        /// The scheme asked for.
        scheme: Scheme,
        /// Data shards asked for.
        data: u16,
        /// Parity shards asked for.
        parity: u16,
    },
    /// A length that no shard has.
    #[error("{scheme} has no shards of {shard_len} bytes: 1 to 65535, and even for gf16")]
    Length {
        /// The scheme asked for.
        scheme: Scheme,
        /// Bytes asked for.
        shard_len: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_knows_both_schemes_and_no_other() {
        for wire in 0..=255 {
            match Scheme::try_from(wire) {
                Ok(scheme) => assert_eq!(scheme.wire(), wire),
                Err(error) => assert!(error == UnknownScheme(wire) && ![1, 2].contains(&wire)),
            }
        }
    }

    #[test]
    fn blocks_share_the_shards_of_the_frame() {
        for (data, parity) in [(1, 0), (1, 254), (2, 254), (255, 1), (741, 149), (1850, 370), (7103, 1421), (65_535, 1)]
        {
            let shape = Shape::new(Scheme::Gf8Interleaved, data, parity, 8).expect("a shape");
            let (mut data_of, mut total_of) = (vec![0; shape.blocks()], vec![0; shape.blocks()]);
            for index in 0..shape.total() {
                let block = shape.block_of(index);
                data_of[block] += usize::from(index < shape.data());
                total_of[block] += 1;
            }
            for block in 0..shape.blocks() {
                let found = shape.block(block);
                assert_eq!((found.data, found.total()), (data_of[block], total_of[block]), "{shape}, block {block}");
                assert!(found.data > 0 && found.total() <= gf8::MAX_SHARDS);
            }
            assert_eq!(shape.block(shape.blocks()).total(), 0);
            assert!((shape.blocks() - 1) * gf8::MAX_SHARDS < shape.total(), "{shape} has more blocks than it needs");
        }
    }

    #[test]
    fn neighbours_on_the_wire_belong_to_different_blocks() {
        let shape = Shape::new(Scheme::Gf8Interleaved, 741, 149, 8).expect("a shape");
        for index in 0..shape.total() - shape.blocks() {
            let mut blocks: Vec<_> = (index..index + shape.blocks()).map(|index| shape.block_of(index)).collect();
            blocks.sort_unstable();
            assert!(blocks.into_iter().eq(0..shape.blocks()));
        }
    }

    #[test]
    fn shapes_that_no_code_has_are_refused() {
        use Scheme::{Gf8Interleaved, Gf16};
        for (scheme, data, parity, len, legal) in [
            (Gf16, 1, 0, 2, true),
            (Gf16, 0, 1, 2, false),
            (Gf16, 1, 1, 3, false),
            (Gf16, 1, 1, 0, false),
            (Gf16, 32_768, 32_768, 2, true),
            (Gf16, 32_769, 32_768, 2, false),
            (Gf16, 49_152, 16_384, 2, true),
            (Gf16, 49_152, 16_385, 2, false),
            (Gf16, 65_535, 1, 2, true),
            (Gf16, 65_535, 0, 2, true),
            (Gf8Interleaved, 0, 0, 2, false),
            (Gf8Interleaved, 1, 254, 1, true),
            (Gf8Interleaved, 1, 255, 1, false),
            (Gf8Interleaved, 2, 255, 1, true),
            (Gf8Interleaved, 65_535, 1, 3, true),
            (Gf8Interleaved, 65_535, 2, 3, false),
            (Gf8Interleaved, 9, 9, 65_535, true),
            (Gf8Interleaved, 9, 9, 65_536, false),
        ] {
            assert_eq!(Shape::new(scheme, data, parity, len).is_ok(), legal, "{scheme} {data}+{parity} x {len}");
        }
    }
}
