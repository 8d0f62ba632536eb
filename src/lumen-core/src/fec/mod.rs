//! Forward error correction: the Reed–Solomon code of the GameStream protocol ([`gf8`]) and the rules that say how
//! many blocks and how much parity a frame gets there ([`block_plan`]); the two codes of lumen/1, which protect whole
//! frames of any size, behind one type ([`scheme`]).
//!
//! Nothing here knows packets, headers or sockets: shards are byte ranges of equal length.

pub mod block_plan;
pub mod gf16;
pub mod gf8;
pub mod scheme;
