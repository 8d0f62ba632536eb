//! All ports of a host derive from one (protocol part 1, section 1.2).

use serde::{Deserialize, Serialize};

/// The ports of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ports {
    /// TCP, mutual TLS: base − 5.
    pub https: u16,
    /// TCP, plain HTTP: the base.
    pub http: u16,
    /// UDP, video: base + 9.
    pub video: u16,
    /// UDP, control: base + 10.
    pub control: u16,
    /// UDP, audio: base + 11.
    pub audio: u16,
    /// TCP, RTSP: base + 21.
    pub rtsp: u16,
}

/// Why there are no ports for a base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PortsError {
    /// The base must leave all ports in 1024..=65535.
    #[error("base port {0} is not in 1029..=65514")]
    OutOfRange(u16),
}

impl Ports {
    /// The base that clients assume.
    pub const DEFAULT_BASE: u16 = 47989;

    /// The ports that belong to an HTTP port in 1029..=65514.
    ///
    /// # Errors
    /// [`PortsError::OutOfRange`] for any other number.
    pub const fn from_base(base: u16) -> Result<Self, PortsError> {
        if base < 1029 || base > 65514 {
            return Err(PortsError::OutOfRange(base));
        }
        Ok(Self { https: base - 5, http: base, video: base + 9, control: base + 10, audio: base + 11, rtsp: base + 21 })
    }
}
