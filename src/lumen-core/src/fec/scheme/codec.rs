//! Encoding and restoring a frame of either scheme, in place.

use thiserror::Error;

use super::super::{gf8, gf16};
use super::{Scheme, Shape, ShardSet, Strided};

/// Computes parity. Holds what both schemes need and reuses it; 32 KiB, and what the largest frame took.
#[derive(Debug)]
pub struct Encoder {
    gf8: gf8::Codec,
    gf16: gf16::Encoder,
}

impl Encoder {
    /// An encoder for frames of every shape. The first frame of [`Scheme::Gf16`] in a process makes tables, which takes
    /// some milliseconds.
    pub fn new() -> Self {
        Self { gf8: any_codec(), gf16: gf16::Encoder::new(gf16::Kernel::detect()) }
    }

    /// The same with another kernel for [`Scheme::Gf16`].
    ///
    /// # Errors
    /// [`KernelUnavailable`](gf16::KernelUnavailable) if this machine cannot run it.
    pub fn with_gf16_kernel(self, kernel: gf16::Kernel) -> Result<Self, gf16::KernelUnavailable> {
        if kernel.is_available() {
            Ok(Self { gf16: gf16::Encoder::new(kernel), ..self })
        } else {
            Err(gf16::KernelUnavailable(kernel))
        }
    }

    /// Fills the parity shards of a frame that lies in `arena` as `layout` says; without parity there is nothing to do.
    ///
    /// # Errors
    /// [`LayoutError`] if the frame does not fit the arena or the lengths differ; nothing is written then.
    pub fn encode(&mut self, shape: Shape, arena: &mut [u8], layout: Strided) -> Result<(), LayoutError> {
        check(shape, arena, layout)?;
        if shape.parity() == 0 {
            return Ok(());
        }
        match shape.scheme() {
            Scheme::Gf16 => self.gf16.encode(shape, arena, layout),
            Scheme::Gf8Interleaved => {
                for block in 0..shape.blocks() {
                    if reset(&mut self.gf8, shape, block) {
                        let fitted = self.gf8.encode_strided(arena, of_block(shape, layout, block));
                        debug_assert_eq!(fitted, Ok(()), "a block lies within its frame");
                    }
                }
            }
        }
        Ok(())
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Restores lost data. Holds what both schemes need and reuses it; 32 KiB, and what the largest frame took.
#[derive(Debug)]
pub struct Decoder {
    gf8: gf8::Codec,
    gf16: gf16::Decoder,
}

impl Decoder {
    /// A decoder for frames of every shape. The first lost shard of [`Scheme::Gf16`] in a process makes tables, which
    /// takes some milliseconds.
    pub fn new() -> Self {
        Self { gf8: any_codec(), gf16: gf16::Decoder::new(gf16::Kernel::detect()) }
    }

    /// The same with another kernel for [`Scheme::Gf16`].
    ///
    /// # Errors
    /// [`KernelUnavailable`](gf16::KernelUnavailable) if this machine cannot run it.
    pub fn with_gf16_kernel(self, kernel: gf16::Kernel) -> Result<Self, gf16::KernelUnavailable> {
        if kernel.is_available() {
            Ok(Self { gf16: gf16::Decoder::new(kernel), ..self })
        } else {
            Err(gf16::KernelUnavailable(kernel))
        }
    }

    /// Restores every lost data shard of a frame in place. `present` says which shards of the frame are valid. Lost data
    /// shards are overwritten, whatever they hold; lost parity is neither read nor written. Returns how many shards were
    /// restored.
    ///
    /// # Errors
    /// [`ReconstructError`] if too few shards are here, or the arguments do not fit each other; nothing is written then.
    pub fn reconstruct(
        &mut self,
        shape: Shape,
        arena: &mut [u8],
        layout: Strided,
        present: &ShardSet,
    ) -> Result<usize, ReconstructError> {
        check(shape, arena, layout)?;
        if present.limit() != shape.total() {
            return Err(ReconstructError::WrongSet { expected: shape.total(), found: present.limit() });
        }
        match shape.missing(present) {
            0 => {}
            missing => return Err(ReconstructError::TooFewShards { missing }),
        }
        let lost = present.missing(shape.data()).count();
        if lost == 0 {
            return Ok(0);
        }
        match shape.scheme() {
            Scheme::Gf16 => self.gf16.reconstruct(shape, arena, layout, present),
            Scheme::Gf8Interleaved => {
                for block in 0..shape.blocks() {
                    self.restore_block(shape, block, arena, layout, present);
                }
            }
        }
        Ok(lost)
    }

    fn restore_block(&mut self, shape: Shape, block: usize, arena: &mut [u8], layout: Strided, present: &ShardSet) {
        let here: gf8::ShardSet = (block..shape.total())
            .step_by(shape.blocks())
            .enumerate()
            .filter_map(|(index, shard)| present.contains(shard).then_some(index))
            .collect();
        let data = gf8::ShardSet::first(shape.block(block).data);
        if !data.without(&here).is_empty() && reset(&mut self.gf8, shape, block) {
            let restored = self.gf8.reconstruct_strided(arena, of_block(shape, layout, block), &here);
            debug_assert!(restored.is_ok(), "a block that lies within its frame and has enough shards: {restored:?}");
        }
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

fn any_codec() -> gf8::Codec {
    gf8::Codec::new(1, 1).expect("one shard and its copy are a code")
}

/// Makes `codec` that of a block. `false` if the block has no parity and thus no code.
fn reset(codec: &mut gf8::Codec, shape: Shape, block: usize) -> bool {
    let block = shape.block(block);
    (codec.data_shards(), codec.parity_shards()) == (block.data, block.parity)
        || codec.reset(block.data, block.parity).is_ok()
}

/// Where the shards of one block lie.
fn of_block(shape: Shape, layout: Strided, block: usize) -> Strided {
    let Strided { stride, offset, len } = layout;
    Strided { stride: stride * shape.blocks(), offset: offset + stride * block, len }
}

fn check(shape: Shape, arena: &[u8], layout: Strided) -> Result<(), LayoutError> {
    let Strided { stride, offset, len } = layout;
    if len != shape.shard_len() {
        return Err(LayoutError::WrongLength { expected: shape.shard_len(), found: len });
    }
    stride
        .checked_mul(shape.total() - 1)
        .and_then(|last| last.checked_add(offset))
        .and_then(|last| last.checked_add(len))
        .filter(|&end| end <= arena.len() && len <= stride)
        .map(|_| ())
        .ok_or(LayoutError::OutsideArena { layout, count: shape.total(), arena: arena.len() })
}

/// The buffer does not hold a frame of the shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LayoutError {
    /// The layout says another length than the shape.
    #[error("the shape has shards of {expected} bytes, the layout of {found}")]
    WrongLength {
        /// Bytes of a shard by the shape.
        expected: usize,
        /// Bytes of a shard by the layout.
        found: usize,
    },
    /// The frame does not fit its buffer, or its shards overlap.
    #[error("{count} shards at {layout:?} do not fit a buffer of {arena} bytes, or overlap")]
    OutsideArena {
        /// The layout asked for.
        layout: Strided,
        /// Shards of the frame.
        count: usize,
        /// Bytes of the buffer.
        arena: usize,
    },
}

/// A frame cannot be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReconstructError {
    /// Too few shards are here.
    #[error("at least {missing} more shards are needed to restore the frame")]
    TooFewShards {
        /// How many more are needed at least: of the right blocks, where there are several.
        missing: usize,
    },
    /// The set is that of another frame.
    #[error("the set is for a frame of {found} shards, the frame has {expected}")]
    WrongSet {
        /// Shards of the frame.
        expected: usize,
        /// Shards that the set is for.
        found: usize,
    },
    /// The buffer does not hold a frame of the shape.
    #[error(transparent)]
    BadLayout(#[from] LayoutError),
}

#[cfg(test)]
mod tests;
