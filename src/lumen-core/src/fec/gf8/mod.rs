//! Reed–Solomon over GF(2^8), byte-compatible with what Moonlight decodes (protocol part 2, sections 2.1 and 5.4).
//!
//! A [`Codec`] turns `D` data shards of equal length into `P` parity shards, and restores lost data shards from any
//! `D` shards that arrived. `D + P` is at most 255. Video uses [`Codec::new`], the audio code RS(4,2) is
//! [`Codec::audio`]. Shards are given either as slices ([`Codec::encode`], [`Codec::reconstruct`]) or as byte ranges at
//! equal distances in one buffer ([`Codec::encode_strided`], [`Codec::reconstruct_strided`]), which is how the packets
//! of a frame lie in memory.
//!
//! After construction nothing allocates: a codec is made once and [`reset`](Codec::reset) to the shape of each block.
//! The arithmetic runs on the fastest [`Kernel`] of this machine, chosen at run time.
//!
//! This module never rebuilds lost parity (nobody needs it) and never looks into a shard.

mod codec;
mod field;
mod kernel;
mod shard_set;

pub use codec::{Codec, EncodeError, MAX_SHARDS, ReconstructError, ShapeError, Strided};
pub use field::{inverse, multiply};
pub use kernel::{Kernel, KernelUnavailable};
pub use shard_set::ShardSet;
