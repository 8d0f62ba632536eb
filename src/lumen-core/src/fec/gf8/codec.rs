//! The codec: which coefficients, from which shards to which.
//!
//! Both codes of GameStream are generalised Cauchy codes. Every shard has a point of the field; a parity shard with
//! point `y` is `v · Σ uᵢ·dataᵢ / (xᵢ + y)`. For video the points are `P + i` and `j` and all multipliers are 1
//! (protocol part 2, section 2.1); for audio they follow from section 5.4. Such a code needs no matrix inversion:
//! each lost shard is `F · Σ Hₛ·shardₛ / (x + zₛ)` over any `D` shards that are here, with `F` and `H` short products of
//! differences of points (Lagrange interpolation, with all that cancels cancelled). So encoding and decoding are
//! one and the same operation with different coefficients, in one pass over the shards.

use std::array;

use thiserror::Error;

use super::field::{self, INVERSE, LogProduct, Logarithm};
use super::{Kernel, KernelUnavailable, ShardSet};

/// Most shards of a block, data and parity together.
pub const MAX_SHARDS: usize = 255;

/// Most coefficients that any block needs: `D·P` with `D + P` = 255.
const MAX_COEFFICIENTS: usize = 127 * 128;

/// A Reed–Solomon code for one number of data and parity shards. Holds 32 KiB, room for every shape. Encoding takes it
/// by shared reference, so threads may encode different blocks of one shape with one codec.
///
/// ```
/// use lumen_core::fec::gf8::{Codec, ShardSet};
///
/// let mut codec = Codec::new(3, 2)?;
/// let data = [*b"abcd", *b"efgh", *b"ijkl"];
/// let mut parity = [[0; 4]; 2];
/// codec.encode(&data, &mut parity)?;
///
/// let mut shards = [data[0], [0; 4], [0; 4], parity[0], parity[1]];
/// let present: ShardSet = [0, 3, 4].into_iter().collect();
/// codec.reconstruct(&mut shards, &present)?;
/// assert_eq!(shards[..3], data);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Codec {
    kernel: Kernel,
    data: usize,
    parity: usize,
    /// The point of each shard, data first.
    points: [u8; MAX_SHARDS],
    /// `u` of each data shard, then `v` of each parity shard.
    multipliers: [u8; MAX_SHARDS],
    /// Of parity row `j` and data shard `i` at `i · parity + j`.
    encoding: Vec<u8>,
    /// Scratch for the coefficients of one reconstruction, in the same order.
    decoding: Vec<u8>,
}

impl Codec {
    /// The video code for `data` + `parity` shards, on the fastest kernel of this machine.
    ///
    /// # Errors
    /// [`ShapeError`] unless both counts are at least 1 and their sum is at most [`MAX_SHARDS`].
    pub fn new(data: usize, parity: usize) -> Result<Self, ShapeError> {
        let mut codec = Self::without_shape();
        codec.reset(data, parity)?;
        Ok(codec)
    }

    /// The audio code: 4 data and 2 parity shards with the constant matrix of protocol part 2, section 5.4.
    pub fn audio() -> Self {
        const POINTS: [u8; 6] = [0, 1, 2, 4, 8, 16];
        const DATA: usize = 4;
        let mut codec = Self::without_shape();
        (codec.data, codec.parity) = (DATA, POINTS.len() - DATA);
        codec.points[..POINTS.len()].copy_from_slice(&POINTS);
        for (shard, &point) in POINTS.iter().enumerate() {
            let mut product = LogProduct::default();
            for (other, &data_point) in POINTS[..DATA].iter().enumerate() {
                if shard >= DATA {
                    product.times(point ^ data_point);
                } else if shard != other {
                    product.over(point ^ data_point);
                }
            }
            codec.multipliers[shard] = product.logarithm().value();
        }
        for i in 0..DATA {
            for j in DATA..POINTS.len() {
                let multiplier = field::multiply(codec.multipliers[i], codec.multipliers[j]);
                codec.encoding.push(field::multiply(multiplier, INVERSE[usize::from(POINTS[i] ^ POINTS[j])]));
            }
        }
        codec
    }

    /// A codec with room for every shape, and none yet.
    fn without_shape() -> Self {
        Self {
            kernel: Kernel::detect(),
            data: 0,
            parity: 0,
            points: [0; MAX_SHARDS],
            multipliers: [1; MAX_SHARDS],
            encoding: Vec::with_capacity(MAX_COEFFICIENTS),
            decoding: Vec::with_capacity(MAX_COEFFICIENTS),
        }
    }

    /// The same code on another kernel.
    ///
    /// # Errors
    /// [`KernelUnavailable`] if this machine cannot run it.
    pub fn with_kernel(self, kernel: Kernel) -> Result<Self, KernelUnavailable> {
        if kernel.is_available() { Ok(Self { kernel, ..self }) } else { Err(KernelUnavailable(kernel)) }
    }

    /// Makes this the video code for another shape; keeps kernel and memory. Takes a microsecond at 100 + 20. An audio
    /// codec becomes a video codec.
    ///
    /// # Errors
    /// As [`Codec::new`]; the codec then keeps its shape.
    pub fn reset(&mut self, data: usize, parity: usize) -> Result<(), ShapeError> {
        if data == 0 || parity == 0 || data.saturating_add(parity) > MAX_SHARDS {
            return Err(ShapeError { data, parity });
        }
        (self.data, self.parity) = (data, parity);
        self.multipliers = [1; MAX_SHARDS];
        for (point, value) in self.points[..data].iter_mut().zip(parity as u8..) {
            *point = value;
        }
        for (point, value) in self.points[data..data + parity].iter_mut().zip(0u8..) {
            *point = value;
        }
        self.encoding.resize(data * parity, 0);
        for (column, x) in self.encoding.chunks_exact_mut(parity).zip(&self.points[..data]) {
            for (coefficient, y) in column.iter_mut().zip(0u8..) {
                *coefficient = INVERSE[usize::from(x ^ y)];
            }
        }
        Ok(())
    }

    /// Data shards of a block.
    pub fn data_shards(&self) -> usize {
        self.data
    }

    /// Parity shards of a block.
    pub fn parity_shards(&self) -> usize {
        self.parity
    }

    /// Shards of a block, data and parity together.
    pub fn total_shards(&self) -> usize {
        self.data + self.parity
    }

    /// The kernel in use.
    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// What data shard `data` is multiplied with on its way into parity shard `parity`; none outside the shape.
    pub fn coefficient(&self, parity: usize, data: usize) -> Option<u8> {
        (parity < self.parity && data < self.data).then(|| self.encoding[data * self.parity + parity])
    }

    /// Computes all parity shards.
    ///
    /// # Errors
    /// [`EncodeError`] if the counts are not the codec's or the lengths differ; nothing is written then.
    pub fn encode<D: AsRef<[u8]>, P: AsMut<[u8]>>(&self, data: &[D], parity: &mut [P]) -> Result<(), EncodeError> {
        if data.len() != self.data || parity.len() != self.parity {
            return Err(EncodeError::WrongCount {
                expected: self.total_shards(),
                found: data.len().saturating_add(parity.len()),
            });
        }
        let mut inputs = Inputs::new();
        let mut outputs = Outputs::new();
        data.iter().for_each(|shard| inputs.push(shard.as_ref()));
        parity.iter_mut().for_each(|shard| outputs.push(shard.as_mut()));
        check_lengths(inputs.shards(), outputs.shards())?;
        self.kernel.multiply(&self.encoding, inputs.shards(), outputs.shards());
        Ok(())
    }

    /// Computes all parity shards of a block that lies in `arena` as `layout` says, data shards first.
    ///
    /// # Errors
    /// [`EncodeError`] if the block does not fit the arena; nothing is written then.
    pub fn encode_strided(&self, arena: &mut [u8], layout: Strided) -> Result<(), EncodeError> {
        let mut inputs = Inputs::new();
        let mut outputs = Outputs::new();
        for (index, shard) in layout.shards(arena, self.total_shards())?.enumerate() {
            if index < self.data { inputs.push(shard) } else { outputs.push(shard) }
        }
        self.kernel.multiply(&self.encoding, inputs.shards(), outputs.shards());
        Ok(())
    }

    /// Restores every lost data shard in place. `shards` holds the whole block, data first; `present` says which of
    /// them are valid. Lost data shards are overwritten, whatever they hold; lost parity is neither read nor written
    /// and may have any length. Returns the restored shards: an empty set if no data was lost.
    ///
    /// # Errors
    /// [`ReconstructError`] if fewer shards than data are here, or the arguments do not fit the codec; nothing is written
    /// then.
    pub fn reconstruct<S: AsMut<[u8]>>(
        &mut self,
        shards: &mut [S],
        present: &ShardSet,
    ) -> Result<ShardSet, ReconstructError> {
        if shards.len() != self.total_shards() {
            return Err(EncodeError::WrongCount { expected: self.total_shards(), found: shards.len() }.into());
        }
        let plan = self.plan(present)?;
        self.restore(&plan, shards.iter_mut().map(S::as_mut))?;
        Ok(plan.lost)
    }

    /// Restores every lost data shard of a block that lies in `arena` as `layout` says; otherwise as
    /// [`Codec::reconstruct`].
    ///
    /// # Errors
    /// [`ReconstructError`] if fewer shards than data are here, or the block does not fit the arena; nothing is written
    /// then.
    pub fn reconstruct_strided(
        &mut self,
        arena: &mut [u8],
        layout: Strided,
        present: &ShardSet,
    ) -> Result<ShardSet, ReconstructError> {
        let shards = layout.shards(arena, self.total_shards())?;
        let plan = self.plan(present)?;
        self.restore(&plan, shards)?;
        Ok(plan.lost)
    }

    /// Picks what to restore and from what.
    fn plan(&self, present: &ShardSet) -> Result<Plan, ReconstructError> {
        if let Some(index) = present.last().filter(|&index| index >= self.total_shards()) {
            return Err(ReconstructError::NoSuchShard { index, total: self.total_shards() });
        }
        if present.len() < self.data {
            return Err(ReconstructError::TooFewShards { present: present.len(), needed: self.data });
        }
        Ok(Plan { lost: ShardSet::first(self.data).without(present), used: present.smallest(self.data) })
    }

    fn restore<'a>(&mut self, plan: &Plan, shards: impl Iterator<Item = &'a mut [u8]>) -> Result<(), ReconstructError> {
        if plan.lost.is_empty() {
            return Ok(());
        }
        let mut inputs = Inputs::new();
        let mut outputs = Outputs::new();
        for (index, shard) in shards.enumerate() {
            if plan.used.contains(index) {
                inputs.push(shard);
            } else if plan.lost.contains(index) {
                outputs.push(shard);
            }
        }
        check_lengths(inputs.shards(), outputs.shards())?;
        self.fill_decoding(plan);
        self.kernel.multiply(&self.decoding, inputs.shards(), outputs.shards());
        Ok(())
    }

    /// The coefficients of the used shards in the lost ones: `F(lost) · H(used) / (point(lost) + point(used))`.
    fn fill_decoding(&mut self, plan: &Plan) {
        let lost = plan.lost.len();
        let (mut lost_points, mut parity_points) = ([0; MAX_SHARDS], [0; MAX_SHARDS]);
        for (slot, index) in lost_points.iter_mut().zip(plan.lost.iter()) {
            *slot = self.points[index];
        }
        for (slot, index) in parity_points.iter_mut().zip(plan.used.without(&ShardSet::first(self.data)).iter()) {
            *slot = self.points[index];
        }
        let (lost_points, parity_points) = (&lost_points[..lost], &parity_points[..lost]);

        let mut lost_factors = [Logarithm::ONE; MAX_SHARDS];
        for (factor, index) in lost_factors.iter_mut().zip(plan.lost.iter()) {
            let point = self.points[index];
            let mut product = LogProduct::default();
            product.over(self.multipliers[index]);
            parity_points.iter().for_each(|y| product.times(point ^ y));
            lost_points.iter().filter(|&&x| x != point).for_each(|x| product.over(point ^ x));
            *factor = product.logarithm();
        }
        self.decoding.resize(self.data * lost, 0);
        for (column, index) in self.decoding.chunks_exact_mut(lost).zip(plan.used.iter()) {
            let point = self.points[index];
            let mut product = LogProduct::default();
            lost_points.iter().for_each(|x| product.times(point ^ x));
            if index < self.data {
                product.times(self.multipliers[index]);
                parity_points.iter().for_each(|y| product.over(point ^ y));
            } else {
                product.over(self.multipliers[index]);
                parity_points.iter().filter(|&&y| y != point).for_each(|y| product.over(point ^ y));
            }
            let used_factor = product.logarithm();
            for ((coefficient, x), lost_factor) in column.iter_mut().zip(lost_points).zip(&lost_factors) {
                *coefficient = field::quotient(used_factor, *lost_factor, point ^ x);
            }
        }
    }
}

/// What one reconstruction does.
struct Plan {
    /// Data shards to restore.
    lost: ShardSet,
    /// As many shards as there is data: all data that is here, then the first parity.
    used: ShardSet,
}

/// Where the shards of a block lie in one buffer: shard `i` is the bytes `offset + i·stride ..` of length `len`.
/// Whatever lies between them (prefixes, headers) is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Strided {
    /// Bytes from the start of one shard to the start of the next.
    pub stride: usize,
    /// Where the first shard starts.
    pub offset: usize,
    /// Bytes of each shard, at least 1 and at most `stride`.
    pub len: usize,
}

impl Strided {
    /// The first `count` shards of `arena`.
    fn shards(self, arena: &mut [u8], count: usize) -> Result<impl Iterator<Item = &mut [u8]>, EncodeError> {
        let Self { stride, offset, len } = self;
        let error = EncodeError::OutsideArena { layout: self, count, arena: arena.len() };
        let end = stride
            .checked_mul(count.saturating_sub(1))
            .and_then(|last| last.checked_add(offset))
            .and_then(|last| last.checked_add(len))
            .filter(|&end| end <= arena.len() && (1..=stride).contains(&len))
            .ok_or(error)?;
        Ok(arena[offset..end].chunks_mut(stride).map(move |chunk| &mut chunk[..len]))
    }
}

/// Up to [`MAX_SHARDS`] references without an allocation.
struct Inputs<'a> {
    shards: [&'a [u8]; MAX_SHARDS],
    count: usize,
}

impl<'a> Inputs<'a> {
    fn new() -> Self {
        Self { shards: [&[]; MAX_SHARDS], count: 0 }
    }

    fn push(&mut self, shard: &'a [u8]) {
        self.shards[self.count] = shard;
        self.count += 1;
    }

    fn shards(&self) -> &[&'a [u8]] {
        &self.shards[..self.count]
    }
}

/// As [`Inputs`], for shards that are written.
struct Outputs<'a> {
    shards: [&'a mut [u8]; MAX_SHARDS],
    count: usize,
}

impl<'a> Outputs<'a> {
    fn new() -> Self {
        Self { shards: array::from_fn(|_| <&mut [u8]>::default()), count: 0 }
    }

    fn push(&mut self, shard: &'a mut [u8]) {
        self.shards[self.count] = shard;
        self.count += 1;
    }

    fn shards(&mut self) -> &mut [&'a mut [u8]] {
        &mut self.shards[..self.count]
    }
}

fn check_lengths(inputs: &[&[u8]], outputs: &[&mut [u8]]) -> Result<(), EncodeError> {
    let mut lengths = inputs.iter().map(|shard| shard.len()).chain(outputs.iter().map(|shard| shard.len()));
    let expected = lengths.next().unwrap_or(0);
    match lengths.find(|&found| found != expected) {
        None => Ok(()),
        Some(found) => Err(EncodeError::LengthMismatch { expected, found }),
    }
}

/// No code has this shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no code has {data} data and {parity} parity shards: both must be at least 1, and their sum at most 255")]
pub struct ShapeError {
    /// Data shards asked for.
    pub data: usize,
    /// Parity shards asked for.
    pub parity: usize,
}

/// The shards given do not make a block of this codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// Another number of shards than the codec has.
    #[error("the codec works on {expected} shards, {found} were given")]
    WrongCount {
        /// Shards of the codec.
        expected: usize,
        /// Shards given.
        found: usize,
    },
    /// Shards of a block must have one length.
    #[error("shards of {expected} and of {found} bytes in one block")]
    LengthMismatch {
        /// Bytes of the first shard.
        expected: usize,
        /// Bytes of a shard that differs.
        found: usize,
    },
    /// The block does not fit its buffer, or its shards overlap or are empty.
    #[error("{count} shards at {layout:?} do not fit a buffer of {arena} bytes, overlap or are empty")]
    OutsideArena {
        /// The layout asked for.
        layout: Strided,
        /// Shards of the codec.
        count: usize,
        /// Bytes of the buffer.
        arena: usize,
    },
}

/// Lost shards cannot be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReconstructError {
    /// Fewer shards are here than the block has data shards.
    #[error("{present} shards are here, {needed} are needed")]
    TooFewShards {
        /// Shards that are here.
        present: usize,
        /// Data shards of the codec.
        needed: usize,
    },
    /// A shard is said to be here that the block does not have.
    #[error("shard {index} in a block of {total}")]
    NoSuchShard {
        /// The index given.
        index: usize,
        /// Shards of the codec.
        total: usize,
    },
    /// The shards given do not make a block of this codec.
    #[error(transparent)]
    BadBlock(#[from] EncodeError),
}

#[cfg(test)]
mod tests;
