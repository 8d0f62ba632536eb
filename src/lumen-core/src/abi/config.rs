//! What C says of a session.

use super::LumenStatus::{self, LumenBadArgument};
use crate::lumen1::header::{Epoch, PacketNumber, SessionId};
use crate::lumen1::keys::KeySchedule;
use crate::lumen1::negotiation::Grants;
use crate::lumen1::seal::SendPosition;
use crate::lumen1::session::SessionConfig;

/// What a session needs to know. Fill it with zeros, then set `struct_size`, the keys and what else is wanted.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct LumenConfig {
    /// `sizeof(LumenConfig)` of the caller.
    pub struct_size: u32,
    /// The name of the session.
    pub session: u32,
    /// The secret that both ends have.
    pub secret: [u8; 32],
    /// Its length: 16 to 32.
    pub secret_len: u32,
    /// The random bytes of the host.
    pub host_random: [u8; 16],
    /// The random bytes of the client.
    pub client_random: [u8; 16],
    /// Random bytes that are never used again; only a host needs them.
    pub seed: [u8; 32],
    /// Longest datagram; 0 for 1452.
    pub datagram: u32,
    /// Longest frame in bytes; 0 for 16 MiB.
    pub max_frame: u32,
    /// Longest clipboard in bytes; 0 for 1 MiB.
    pub max_message: u32,
    /// `LUMEN_GRANT_*`, added.
    pub grants: u32,
    /// 0, or the epoch after the last one in which an earlier end with the same keys may have sent.
    pub epoch: u32,
}

/// Bytes of the structure of version 1.0: later versions append members.
pub(super) const CONFIG_1_0: usize = std::mem::offset_of!(LumenConfig, epoch) + size_of::<u32>();

impl LumenConfig {
    pub(super) fn session(&self) -> Result<SessionConfig, LumenStatus> {
        let secret = self.secret.get(..self.secret_len as usize).ok_or(LumenBadArgument)?;
        let keys = KeySchedule::new(secret, &self.host_random, &self.client_random).map_err(|_| LumenBadArgument)?;
        let usual = SessionConfig::new(SessionId(self.session), keys);
        let or = |given: u32, usual: usize| if given == 0 { usual } else { given as usize };
        let datagram = or(self.datagram, usual.datagram);
        if !(crate::lumen1::MIN_DATAGRAM..=crate::lumen1::MAX_DATAGRAM).contains(&datagram) {
            return Err(LumenBadArgument);
        }
        Ok(SessionConfig {
            datagram,
            max_frame: or(self.max_frame, usual.max_frame),
            max_message: or(self.max_message, 1 << 20),
            grants: Grants(self.grants),
            ..usual
        })
    }

    pub(super) fn position(&self) -> Result<SendPosition, LumenStatus> {
        let epoch = u16::try_from(self.epoch).map(Epoch).map_err(|_| LumenBadArgument)?;
        Ok(SendPosition { epoch, next: PacketNumber(0) })
    }
}
