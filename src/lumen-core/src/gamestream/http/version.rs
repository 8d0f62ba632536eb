//! The `appversion` of a host and what clients conclude from it (protocol part 1, section 2.4).

use std::fmt;
use std::str::FromStr;

use super::ReplyError;
use crate::gamestream::xml::decimal;

/// Four signed numbers separated by dots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AppVersion(pub [i32; 4]);

/// The hash that pairing uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairingHash {
    /// Generations before 7.
    Sha1,
    /// Generation 7.
    Sha256,
}

/// What carries RTSP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RtspTransport {
    /// A TCP connection for each request.
    Tcp,
    /// ENet, in some old generations.
    Enet,
}

impl AppVersion {
    /// What this host announces: generation 7, Sunshine flavour.
    pub const ANNOUNCED: Self = Self([7, 1, 431, -1]);

    /// Whether the host speaks the Sunshine extensions (`x-ss-*`, encryption negotiation).
    pub const fn is_sunshine_like(self) -> bool {
        self.0[3] < 0
    }

    /// The pairing hash of this generation.
    pub const fn pairing_hash(self) -> PairingHash {
        if self.0[0] >= 7 { PairingHash::Sha256 } else { PairingHash::Sha1 }
    }

    /// What carries RTSP in this generation.
    pub const fn rtsp_transport(self) -> RtspTransport {
        if self.0[0] >= 5 && self.0[0] <= 7 && self.0[2] < 404 { RtspTransport::Enet } else { RtspTransport::Tcp }
    }

    /// Whether the control stream is encrypted (7.1.431 and later).
    pub fn has_encrypted_control(self) -> bool {
        self.0[..3] >= [7, 1, 431][..]
    }
}

impl fmt::Display for AppVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.0;
        write!(formatter, "{a}.{b}.{c}.{d}")
    }
}

impl FromStr for AppVersion {
    type Err = ReplyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut numbers = text.split('.').map(|part| decimal(part).and_then(|number| i32::try_from(number).ok()));
        let mut next = || numbers.next().flatten().ok_or(ReplyError::BadVersion);
        let quad = [next()?, next()?, next()?, next()?];
        if numbers.next().is_some() { Err(ReplyError::BadVersion) } else { Ok(Self(quad)) }
    }
}
