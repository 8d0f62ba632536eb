//! Input encryption of generation 7 before version 7.1.431 (protocol part 3, section 3.1): the rest of the control
//! stream is in clear, input packets are sealed one after the other under a nonce that the ciphertext itself
//! moves on. Both ends must see every message in order.

use std::fmt;

use aes_gcm::{AeadInPlace, KeyInit};

use super::envelope::LegacyGcm;
use super::kind;
use crate::reader::{Reader, Short};

/// Seals or opens the input messages of one session, in order.
pub struct Gen7InputCipher {
    cipher: LegacyGcm,
    nonce: [u8; 16],
}

/// Why an input message does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Gen7OpenError {
    /// Below the header or the tag.
    #[error("input message is cut short")]
    Truncated,
    /// Not an input message.
    #[error("control message type {0:#06x} is no input message")]
    WrongType(u16),
    /// The length field does not say how many bytes follow it.
    #[error("input message says {said} bytes follow its length, {present} do")]
    LengthMismatch {
        /// Value of the length field.
        said: u32,
        /// Bytes after the length field.
        present: usize,
    },
    /// Wrong key, a message was missed, or changed bytes. No later message will open either.
    #[error("input message is not authentic")]
    BadTag,
}

impl From<Short> for Gen7OpenError {
    fn from(Short: Short) -> Self {
        Self::Truncated
    }
}

const TAG_LENGTH: usize = 16;
/// Sealed messages from this length on replace the nonce.
const MIN_CHAINED: usize = 32;

impl Gen7InputCipher {
    /// A cipher under the session key and the first nonce: `rikeyid`, big endian, then zeros.
    pub fn new(key: &[u8; 16], rikeyid: i32) -> Self {
        let mut nonce = [0; 16];
        nonce[..4].copy_from_slice(&rikeyid.to_be_bytes());
        Self::with_nonce(key, nonce)
    }

    /// A cipher that goes on from a nonce.
    pub fn with_nonce(key: &[u8; 16], nonce: [u8; 16]) -> Self {
        Self { cipher: LegacyGcm::new(key.into()), nonce }
    }

    /// The nonce of the next message.
    pub const fn nonce(&self) -> [u8; 16] {
        self.nonce
    }

    /// The whole control message ([`Framing::V1`](super::Framing::V1)) of an input packet.
    pub fn seal(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut message = Vec::with_capacity(6 + TAG_LENGTH + packet.len());
        message.extend_from_slice(&kind::INPUT.to_le_bytes());
        // Input packets have at most 40 bytes.
        message.extend_from_slice(&((packet.len() + TAG_LENGTH) as u32).to_be_bytes());
        message.extend_from_slice(&[0; TAG_LENGTH]);
        message.extend_from_slice(packet);
        let (header, text) = message.split_at_mut(6 + TAG_LENGTH);
        let tag = self
            .cipher
            .encrypt_in_place_detached(&self.nonce.into(), &[], text)
            .unwrap_or_else(|_| unreachable!("message below 64 GiB"));
        header[6..].copy_from_slice(&tag);
        self.chain(&message[6..]);
        message
    }

    /// Opens a whole control message in place: the input packet in it.
    ///
    /// # Errors
    /// Tests in this order: header, type, length, tag. The nonce moves on only with authentic messages.
    pub fn open<'a>(&mut self, message: &'a mut [u8]) -> Result<&'a [u8], Gen7OpenError> {
        let mut reader = Reader::new(message);
        let found = reader.u16_le()?;
        let said = reader.u32_be()?;
        let present = reader.rest().len();
        if found != kind::INPUT {
            return Err(Gen7OpenError::WrongType(found));
        }
        if u64::from(said) != present as u64 {
            return Err(Gen7OpenError::LengthMismatch { said, present });
        }
        let tag: [u8; TAG_LENGTH] = reader.array()?;
        let next = next_nonce(&message[6..]);
        let text = &mut message[6 + TAG_LENGTH..];
        self.cipher
            .decrypt_in_place_detached(&self.nonce.into(), &[], text, &tag.into())
            .map_err(|_| Gen7OpenError::BadTag)?;
        self.nonce = next.unwrap_or(self.nonce);
        Ok(text)
    }

    fn chain(&mut self, sealed: &[u8]) {
        self.nonce = next_nonce(sealed).unwrap_or(self.nonce);
    }
}

impl fmt::Debug for Gen7InputCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gen7InputCipher").field("nonce", &self.nonce).finish_non_exhaustive()
    }
}

/// The nonce after a sealed message (tag and ciphertext), if it replaces the one before.
fn next_nonce(sealed: &[u8]) -> Option<[u8; 16]> {
    if sealed.len() < MIN_CHAINED { None } else { sealed.last_chunk().copied() }
}
