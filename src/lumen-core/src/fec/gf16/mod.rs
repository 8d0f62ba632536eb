//! Reed–Solomon over GF(2^16) for one block of a whole frame: the Leopard code at its high rate, byte for byte that of
//! `reed-solomon-simd`, whose field tables and, where our own [`Kernel`]s cannot run, whose engine it uses.
//!
//! The parity of a frame is a Fourier transform over the data shards, taken as vectors of symbols; decoding is one
//! transform back, a derivative and one transform forth, between multiplications with an error locator. What is our own
//! beside the kernels:
//!
//! - the work is done in columns of a few hundred bytes (`work`), so that all shards of a column stay in the
//!   second-level cache through all layers, and so that the memory for work is bounded;
//! - the error locator is computed on as many points as the block has (`locator`), not on all 65 536 of the field;
//! - only those parts of the last transform are computed that lead to a lost shard.
//!
//! The layout of symbols follows that crate: of each 64 bytes of a shard the first half holds the low bytes of 32
//! symbols, the second half their high bytes; what is left at the end of a shard is split in halves the same way.
//!
//! Only [`scheme`](super::scheme) encodes and decodes with this, with shapes and buffers that it has checked.

mod kernel;
mod locator;
mod work;

pub use kernel::{Kernel, KernelUnavailable};

use super::gf8::Strided;
use super::scheme::{Shape, ShardSet};
use kernel::{Engine, Wanted};
use locator::Locator;
use work::{Chunk, Column, Work};

/// Computes parity.
#[derive(Debug)]
pub(super) struct Encoder {
    kernel: Kernel,
    engine: Option<Engine>,
    work: Work,
    wanted: Wanted,
}

impl Encoder {
    pub(super) fn new(kernel: Kernel) -> Self {
        Self { kernel, engine: None, work: Work::default(), wanted: Wanted::default() }
    }

    /// Fills the parity of a frame that has some.
    pub(super) fn encode(&mut self, shape: Shape, arena: &mut [u8], layout: Strided) {
        let engine = self.engine.get_or_insert_with(|| Engine::new(self.kernel));
        let (data, parity) = (shape.data(), shape.parity());
        let group = parity.next_power_of_two();
        let held = if data > group { 2 * group } else { group };
        self.wanted.reset(group);
        (0..parity).for_each(|index| self.wanted.insert(index));
        for column in Column::all(layout.len, held) {
            let work = self.work.column(held, column);
            let width = column.width();
            let (sum, next) = work.split_at_mut(group * width);
            for start in (0..data).step_by(group) {
                let count = group.min(data - start);
                let part = if start == 0 { &mut *sum } else { &mut *next };
                for (index, shard) in part.chunks_exact_mut(width).take(count).enumerate() {
                    column.load(arena, layout, start + index, shard);
                }
                part[count * width..].fill([0; 64]);
                engine.inverse_transform(part, width, count, start + group);
                if start > 0 {
                    engine.add(sum, next);
                }
            }
            engine.transform(sum, width, &self.wanted);
            for (index, shard) in sum.chunks_exact(width).take(parity).enumerate() {
                column.store(arena, layout, data + index, shard);
            }
        }
    }
}

/// Restores lost data.
#[derive(Debug)]
pub(super) struct Decoder {
    kernel: Kernel,
    engine: Option<Engine>,
    work: Work,
    wanted: Wanted,
    locator: Locator,
}

impl Decoder {
    pub(super) fn new(kernel: Kernel) -> Self {
        let (work, wanted, locator) = (Work::default(), Wanted::default(), Locator::default());
        Self { kernel, engine: None, work, wanted, locator }
    }

    /// Restores the data shards that are not in `present`, which holds at least as many shards as there is data.
    ///
    /// The points of the code are parity first, room up to a power of two, then data.
    pub(super) fn reconstruct(&mut self, shape: Shape, arena: &mut [u8], layout: Strided, present: &ShardSet) {
        let engine = self.engine.get_or_insert_with(|| Engine::new(self.kernel));
        let (data, parity) = (shape.data(), shape.parity());
        let first_data = parity.next_power_of_two();
        let end = first_data + data;
        let points = end.next_power_of_two();
        let shard_at = |point: usize| match point {
            _ if point < parity => Some(data + point),
            _ if (first_data..end).contains(&point) => Some(point - first_data),
            _ => None,
        };

        let here = |point: usize| shard_at(point).filter(|&shard| present.contains(shard));
        self.locator.compute(points, (0..end).filter(|&point| here(point).is_none()));
        self.wanted.reset(points);
        present.missing(data).for_each(|shard| self.wanted.insert(first_data + shard));

        for column in Column::all(layout.len, points) {
            let width = column.width();
            let work = self.work.column(points, column);
            for (point, chunks) in work.chunks_exact_mut(width).enumerate() {
                match here(point) {
                    Some(shard) => {
                        column.load(arena, layout, shard, chunks);
                        engine.multiply(chunks, self.locator.logarithm(point));
                    }
                    None => chunks.fill([0; 64]),
                }
            }
            engine.inverse_transform(work, width, end, 0);
            engine.derivative(work, width);
            engine.transform(work, width, &self.wanted);
            for shard in present.missing(data) {
                let chunks = &mut work[(first_data + shard) * width..][..width];
                engine.multiply(chunks, self.locator.inverse(first_data + shard));
                column.store(arena, layout, shard, chunks);
            }
        }
    }
}

#[cfg(test)]
mod tests;
