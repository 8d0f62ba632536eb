//! Reed–Solomon over GF(2^16) for one block of a whole frame: the Leopard code at its high rate, byte for byte that of
//! `reed-solomon-simd`.
//!
//! The layout of a symbol follows that crate: of each 64 bytes of a shard the first half holds the low bytes of 32
//! symbols, the second half their high bytes; what is left at the end of a shard is split in halves the same way.
//!
//! Only [`scheme`](super::scheme) calls this, with shapes and buffers that it has checked.

use std::fmt;

use reed_solomon_simd::engine::DefaultEngine;
use reed_solomon_simd::rate::{HighRateDecoder, HighRateEncoder, RateDecoder, RateEncoder};

use super::gf8::Strided;
use super::scheme::{Shape, ShardSet};

/// Computes parity.
#[derive(Default)]
pub(super) struct Encoder {
    inner: Option<HighRateEncoder<DefaultEngine>>,
}

impl Encoder {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Fills the parity of a frame that has some.
    pub(super) fn encode(&mut self, shape: Shape, arena: &mut [u8], layout: Strided) {
        let (data, parity, len) = (shape.data(), shape.parity(), shape.shard_len());
        let at = |index: usize| layout.offset + index * layout.stride;
        let encoder = match &mut self.inner {
            Some(encoder) => encoder.reset(data, parity, len).map(|()| encoder),
            empty => HighRateEncoder::new(data, parity, len, DefaultEngine::new(), None).map(|new| empty.insert(new)),
        }
        .expect("a shape that the code has");
        for index in 0..data {
            encoder.add_original_shard(&arena[at(index)..][..len]).expect("a shard of the shape");
        }
        let result = encoder.encode().expect("all shards were added");
        for (index, shard) in result.recovery_iter().enumerate() {
            arena[at(data + index)..][..len].copy_from_slice(shard);
        }
    }
}

/// Restores lost data.
#[derive(Default)]
pub(super) struct Decoder {
    inner: Option<HighRateDecoder<DefaultEngine>>,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Restores the data shards that are not in `present`, which holds at least as many shards as there is data.
    pub(super) fn reconstruct(&mut self, shape: Shape, arena: &mut [u8], layout: Strided, present: &ShardSet) {
        let (data, parity, len) = (shape.data(), shape.parity(), shape.shard_len());
        let at = |index: usize| layout.offset + index * layout.stride;
        let decoder = match &mut self.inner {
            Some(decoder) => decoder.reset(data, parity, len).map(|()| decoder),
            empty => HighRateDecoder::new(data, parity, len, DefaultEngine::new(), None).map(|new| empty.insert(new)),
        }
        .expect("a shape that the code has");
        for index in present.iter() {
            let shard = &arena[at(index)..][..len];
            if index < data {
                decoder.add_original_shard(index, shard).expect("a shard of the shape");
            } else {
                decoder.add_recovery_shard(index - data, shard).expect("a shard of the shape");
            }
        }
        let result = decoder.decode().expect("enough shards were added");
        for (index, shard) in result.restored_original_iter() {
            arena[at(index)..][..len].copy_from_slice(shard);
        }
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").finish_non_exhaustive()
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").finish_non_exhaustive()
    }
}
