//! A test double of NVIDIA's `libnvidia-encode` and `libcuda`, in one shared library: for tests of `encode::nvenc` on
//! machines without such a GPU. It is never installed.
//!
//! It is strict where the real library may be lenient: about the order of calls, the versions of structures, locks,
//! and lifetimes. Whatever breaks a rule is answered with an error and written down. What it encodes is real H.264, made
//! by OpenH264, so that a client can show it. Told to, it fails on purpose: see [`orders`].
//!
//! Nothing of the GPU is in it: no figure about speed or quality can come from it, and what the real driver does is
//! shown by the real driver alone.

mod api;
mod cuda;
pub mod orders;
mod picture;
mod state;

pub use orders::{FAULT_VARIABLE, RECORD_VARIABLE, SLOTS_VARIABLE};
