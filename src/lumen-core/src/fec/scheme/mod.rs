//! The two codes of lumen/1 behind one type. A frame is one [`Shape`]: so many data shards, so many parity shards, one
//! length, one [`Scheme`]. An [`Encoder`] fills the parity of a frame, a [`Decoder`] restores lost data in place, and
//! [`Progress`] tells a receiver, shard by shard, whether a frame can be restored yet. [`plan`] says which shape a frame of so
//! many bytes should have, [`shard_len`] how long shards are on a path.
//!
//! The shards of a frame lie in one buffer at equal distances ([`Strided`]), data first, then parity, in the order in
//! which they go over the wire; whatever lies between them (headers, tags) is left alone.
//!
//! Everything is reused: once the largest frame has passed, nothing allocates. Nothing here trusts a count that came
//! from a peer: a [`Shape`] that no sender can mean is a typed error, and the memory that a decoder takes is bounded
//! whatever the shape says.
//!
//! ```
//! use lumen_core::fec::scheme::{Decoder, Encoder, Progress, Scheme, Shape};
//!
//! let shape = Shape::new(Scheme::Gf8Interleaved, 600, 120, 64)?;
//! let layout = shape.strided(16); // 16 bytes of header before each shard
//! let mut frame = vec![7; shape.total() * layout.stride];
//! Encoder::new().encode(shape, &mut frame, layout)?;
//!
//! let sent = frame.clone();
//! let mut progress = Progress::new(shape);
//! for index in (0..shape.total()).filter(|index| index % 7 != 0) {
//!     progress.insert(index);
//! }
//! frame[layout.offset..][..layout.len].fill(0); // shard 0 is among those that did not arrive
//! assert!(progress.is_decodable());
//! Decoder::new().reconstruct(shape, &mut frame, layout, progress.present())?;
//! assert_eq!(frame, sent);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod codec;
mod plan;
mod progress;
mod shape;
mod shard_set;

pub use super::gf8::Strided;
pub use codec::{Decoder, Encoder, LayoutError, ReconstructError};
pub use plan::{MOST_POINTS, ParityShare, PlanError, Receiver, choose, plan, points, shard_len};
pub use progress::{Arrival, Progress};
pub use shape::{Block, MAX_BLOCKS, MAX_SHARD_LEN, MAX_SHARDS, Scheme, Shape, ShapeError, UnknownScheme};
pub use shard_set::ShardSet;
