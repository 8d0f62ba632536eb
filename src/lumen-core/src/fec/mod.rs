//! Forward error correction.

pub mod gf8;
