//! The daemon: everything that clients talk to, and the workers that do the work. It never touches a codec, a
//! display or a GPU.

mod engine;
mod handover;
mod launch;
mod negotiate;
mod route;
mod run;
mod units;
mod worker;

pub use engine::{Engine, EngineConfig};
pub use negotiate::Lumen1Terms;
pub(crate) use negotiate::packetizer_config;
pub use run::run;
pub(crate) use worker::probe_encoders;

/// Fills `buffer` with bytes that nobody can guess. The one source of randomness of the host.
///
/// # Panics
/// If the system has no randomness: nothing that the daemon does would be safe.
pub fn random(buffer: &mut [u8]) {
    openssl::rand::rand_bytes(buffer).expect("the system's random number generator works");
}
