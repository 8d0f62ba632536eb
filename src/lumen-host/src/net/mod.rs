//! Sockets of the host: dual-stack listeners, connected media sockets, batched sending, pacing, QoS marks.
//! Nothing here knows what the packets mean.

mod bind_error;
pub mod gso;
pub mod pacer;
pub mod sockets;

pub use bind_error::BindError;
pub mod wake;
