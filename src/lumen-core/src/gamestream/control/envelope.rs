//! The encrypted envelope of one control message (protocol part 3, section 2.2): AES-128-GCM under the session
//! key, in one of two nonce modes. Nothing here remembers sequence numbers; [`super::ControlCipher`] does, and is
//! what a session uses.

use std::fmt;

use aes_gcm::aead::consts::U16;
use aes_gcm::aes::Aes128;
use aes_gcm::{AeadInPlace, AesGcm, KeyInit};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, Tag, UnboundKey};

use super::OpenError;
use super::kind;
use crate::reader::Reader;

/// How the nonce of a message is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum EnvelopeMode {
    /// 12 bytes: sequence number, zeros, sender, stream. Agreed by flag 0x01 of
    /// `x-ss-general.encryptionEnabled`.
    V2,
    /// 16 bytes, of which only the lowest 8 bits of the sequence number are not zero. Nonces repeat after 256
    /// messages and are the same in both directions: refuse it unless the user asked for it.
    Legacy,
}

/// Who sent a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Side {
    /// The client.
    Client,
    /// The host.
    Host,
}

impl Side {
    /// The other one.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Client => Self::Host,
            Self::Host => Self::Client,
        }
    }
}

/// Bytes before the ciphertext: type, length, sequence number, tag.
pub const HEADER_LENGTH: usize = 24;
/// The longest packet that is accepted. Genuine ones stay below 300 bytes.
pub const MAX_PACKET: usize = 2048;
const TAG_LENGTH: usize = 16;
/// Smallest value of the length field: sequence number, tag and the header of the message inside.
const MIN_LENGTH: u16 = 24;

/// The nonce of [`EnvelopeMode::V2`] for message `sequence` of `sender`.
pub const fn v2_nonce(sender: Side, sequence: u32) -> [u8; NONCE_LEN] {
    let [a, b, c, d] = sequence.to_le_bytes();
    let letter = match sender {
        Side::Client => b'C',
        Side::Host => b'H',
    };
    [a, b, c, d, 0, 0, 0, 0, 0, 0, letter, b'C']
}

/// The nonce of [`EnvelopeMode::Legacy`] for message `sequence` of either side.
pub const fn legacy_nonce(sequence: u32) -> [u8; 16] {
    let mut nonce = [0; 16];
    nonce[0] = sequence as u8;
    nonce
}

/// The session key, ready for one nonce mode. Debug output does not show it.
pub struct EnvelopeKey(Cipher);

enum Cipher {
    V2(LessSafeKey),
    Legacy(LegacyGcm),
}

/// AES-128-GCM with a 16-byte nonce, which goes through GHASH instead of being cut.
pub(super) type LegacyGcm = AesGcm<Aes128, U16>;

/// The fields of an envelope before its ciphertext.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EnvelopeHeader {
    pub(super) sequence: u32,
    tag: [u8; TAG_LENGTH],
}

impl EnvelopeKey {
    /// The session key (`rikey`) for one mode.
    pub fn new(key: &[u8; 16], mode: EnvelopeMode) -> Self {
        Self(match mode {
            EnvelopeMode::V2 => {
                // The key has the length that the algorithm wants, the only thing that can be wrong.
                let key = UnboundKey::new(&AES_128_GCM, key).unwrap_or_else(|_| unreachable!("AES-128 key"));
                Cipher::V2(LessSafeKey::new(key))
            }
            EnvelopeMode::Legacy => Cipher::Legacy(LegacyGcm::new(key.into())),
        })
    }

    /// The nonce mode.
    pub const fn mode(&self) -> EnvelopeMode {
        match self.0 {
            Cipher::V2(_) => EnvelopeMode::V2,
            Cipher::Legacy(_) => EnvelopeMode::Legacy,
        }
    }

    /// Seals a plaintext of at most 65515 bytes (else the length field would not hold it, and the excess is
    /// refused by every receiver). One sequence number must never seal two plaintexts of one sender.
    pub fn seal(&self, sender: Side, sequence: u32, plain: &[u8]) -> Vec<u8> {
        let mut packet = Vec::with_capacity(HEADER_LENGTH + plain.len());
        packet.extend_from_slice(&kind::ENVELOPE.to_le_bytes());
        let length = u16::try_from(plain.len() + HEADER_LENGTH - 4).unwrap_or(u16::MAX);
        packet.extend_from_slice(&length.to_le_bytes());
        packet.extend_from_slice(&sequence.to_le_bytes());
        packet.extend_from_slice(&[0; TAG_LENGTH]);
        packet.extend_from_slice(plain);
        let tag = self.seal_in_place(sender, sequence, &mut packet[HEADER_LENGTH..]);
        packet[HEADER_LENGTH - TAG_LENGTH..HEADER_LENGTH].copy_from_slice(&tag);
        packet
    }

    /// Opens a packet in place: its sequence number and the plaintext in it.
    ///
    /// # Errors
    /// Tests in this order: 4 bytes, type, runt, [`MAX_PACKET`], length, tag.
    pub fn open<'a>(&self, sender: Side, packet: &'a mut [u8]) -> Result<(u32, &'a [u8]), OpenError> {
        let header = EnvelopeHeader::parse(packet)?;
        let plain = self.open_in_place(sender, header, packet)?;
        Ok((header.sequence, plain))
    }

    pub(super) fn open_in_place<'a>(
        &self,
        sender: Side,
        header: EnvelopeHeader,
        packet: &'a mut [u8],
    ) -> Result<&'a [u8], OpenError> {
        let text = packet.get_mut(HEADER_LENGTH..).ok_or(OpenError::Truncated)?;
        match &self.0 {
            Cipher::V2(key) => {
                let nonce = Nonce::assume_unique_for_key(v2_nonce(sender, header.sequence));
                key.open_in_place_separate_tag(nonce, Aad::empty(), Tag::from(header.tag), text, 0..)
                    .map_err(|_| OpenError::BadTag)?;
            }
            Cipher::Legacy(key) => key
                .decrypt_in_place_detached(&legacy_nonce(header.sequence).into(), &[], text, &header.tag.into())
                .map_err(|_| OpenError::BadTag)?,
        }
        Ok(text)
    }

    fn seal_in_place(&self, sender: Side, sequence: u32, text: &mut [u8]) -> [u8; TAG_LENGTH] {
        // Sealing fails only above the 64 GiB limit of GCM.
        match &self.0 {
            Cipher::V2(key) => {
                let nonce = Nonce::assume_unique_for_key(v2_nonce(sender, sequence));
                let tag = key.seal_in_place_separate_tag(nonce, Aad::empty(), text);
                let mut bytes = [0; TAG_LENGTH];
                bytes.copy_from_slice(tag.unwrap_or_else(|_| unreachable!("message below 64 GiB")).as_ref());
                bytes
            }
            Cipher::Legacy(key) => key
                .encrypt_in_place_detached(&legacy_nonce(sequence).into(), &[], text)
                .unwrap_or_else(|_| unreachable!("message below 64 GiB"))
                .into(),
        }
    }
}

impl fmt::Debug for EnvelopeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EnvelopeKey").field(&self.mode()).finish()
    }
}

impl EnvelopeHeader {
    /// Reads and tests everything before the ciphertext.
    pub(super) fn parse(packet: &[u8]) -> Result<Self, OpenError> {
        let mut reader = Reader::new(packet);
        let found = reader.u16_le()?;
        let said = reader.u16_le()?;
        if found != kind::ENVELOPE {
            return Err(OpenError::NotEncrypted(found));
        }
        if said < MIN_LENGTH {
            return Err(OpenError::Runt(said));
        }
        if packet.len() > MAX_PACKET {
            return Err(OpenError::TooLarge(packet.len()));
        }
        if packet.len() != usize::from(said) + 4 {
            return Err(OpenError::LengthMismatch { said, present: packet.len() - 4 });
        }
        Ok(Self { sequence: reader.u32_le()?, tag: reader.array()? })
    }
}
