//! Forward error correction: the Reed–Solomon code of the GameStream protocol ([`gf8`]) and the rules that say how
//! many blocks and how much parity a frame gets ([`block_plan`]).
//!
//! Nothing here knows packets, headers or sockets: shards are byte ranges of equal length.

pub mod block_plan;
pub mod gf8;
