//! Encrypted RTSP: one message, one AES-128-GCM record (protocol part 1, section 5.2).

use super::MAX_BODY_BYTES;
use crate::crypto::{KEY_LEN, NONCE_LEN, PacketKey};

/// Length word, sequence number, tag.
const HEADER_BYTES: usize = 24;

/// Bit 31 of the length word.
const ENCRYPTED: u32 = 1 << 31;

/// Who sent a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the host.
    FromClient,
    /// From the host to the client.
    FromHost,
}

impl Direction {
    /// The nonce of a record: sequence in little-endian order, six zeros, direction, `R`.
    pub const fn nonce(self, sequence: u32) -> [u8; NONCE_LEN] {
        let [a, b, c, d] = sequence.to_le_bytes();
        let letter = match self {
            Self::FromClient => b'C',
            Self::FromHost => b'H',
        };
        [a, b, c, d, 0, 0, 0, 0, 0, 0, letter, b'R']
    }
}

/// Why a record cannot be opened. The names are those of the error classes of the test vectors. A host closes the
/// connection in silence on each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// More bytes must follow.
    #[error("the record is incomplete")]
    Incomplete,
    /// The marker bit is clear: plain text on an encrypted stream.
    #[error("the message is not encrypted")]
    NotEncrypted,
    /// More plain text than allowed.
    #[error("the record is too large")]
    TooLarge,
    /// More bytes than the length says.
    #[error("bytes follow the record")]
    Excess,
    /// The key is another one, or the record was changed.
    #[error("the record is not authentic")]
    BadTag,
    /// The sequence number is not above the last one.
    #[error("the record was sent before")]
    Replay,
    /// All sequence numbers of this key are used up.
    #[error("no sequence numbers are left")]
    Exhausted,
}

/// A complete record that is still sealed. Which key it belongs to shows only in opening it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedRecord {
    sequence: u32,
    tag: [u8; 16],
    ciphertext: Vec<u8>,
}

impl SealedRecord {
    /// Reads exactly one record.
    ///
    /// # Errors
    /// [`RecordError`], tested in this order: marker, length, completeness, excess.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        let length = Self::ciphertext_length(bytes)?;
        let (header, ciphertext) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(RecordError::Incomplete)?;
        if ciphertext.len() < length {
            return Err(RecordError::Incomplete);
        }
        if ciphertext.len() > length {
            return Err(RecordError::Excess);
        }
        let [_, _, _, _, a, b, c, d, tag @ ..] = *header;
        Ok(Self { sequence: u32::from_be_bytes([a, b, c, d]), tag, ciphertext: ciphertext.to_vec() })
    }

    /// Sequence number. It means nothing before the record was opened.
    pub const fn sequence(&self) -> u32 {
        self.sequence
    }

    /// The record as it travels.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Only lengths up to the limit get here, from `parse` and `seal`.
        let length = u32::try_from(self.ciphertext.len()).unwrap_or(0);
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.ciphertext.len());
        bytes.extend_from_slice(&(ENCRYPTED | length).to_be_bytes());
        bytes.extend_from_slice(&self.sequence.to_be_bytes());
        bytes.extend_from_slice(&self.tag);
        bytes.extend_from_slice(&self.ciphertext);
        bytes
    }

    /// The length in the first four bytes.
    fn ciphertext_length(bytes: &[u8]) -> Result<usize, RecordError> {
        let word = u32::from_be_bytes(*bytes.first_chunk::<4>().ok_or(RecordError::Incomplete)?);
        if word & ENCRYPTED == 0 {
            return Err(RecordError::NotEncrypted);
        }
        match usize::try_from(word & !ENCRYPTED) {
            Ok(length) if length <= MAX_BODY_BYTES => Ok(length),
            _ => Err(RecordError::TooLarge),
        }
    }
}

/// The RTSP encryption of one launch, at one end. The counters go on over all connections of the launch: a number is
/// never used twice with a key, and no record is accepted twice.
pub struct RtspCipher {
    key: PacketKey,
    sends: Direction,
    next: Option<u32>,
    last_received: Option<u32>,
}

impl std::fmt::Debug for RtspCipher {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { sends, next, last_received, key: _ } = self;
        formatter
            .debug_struct("RtspCipher")
            .field("sends", sends)
            .field("next", next)
            .field("last_received", last_received)
            .finish_non_exhaustive()
    }
}

impl RtspCipher {
    /// The host's end; its records begin at number 1.
    pub fn host(key: &[u8; KEY_LEN]) -> Self {
        Self::new(key, Direction::FromHost, 1)
    }

    /// The host's end after a restart, with the number behind the last that was used, and the last that was received.
    pub fn host_resumed(key: &[u8; KEY_LEN], next_sequence: u32, last_received: Option<u32>) -> Self {
        Self { last_received, ..Self::new(key, Direction::FromHost, next_sequence) }
    }

    /// The client's end. Its counter belongs to the process, not to the stream, so the first number is given.
    pub fn client(key: &[u8; KEY_LEN], first_sequence: u32) -> Self {
        Self::new(key, Direction::FromClient, first_sequence)
    }

    /// The number that the next record gets; `None` if there is none left.
    pub const fn next_sequence(&self) -> Option<u32> {
        self.next
    }

    /// The number of the last record that was accepted.
    pub const fn last_received(&self) -> Option<u32> {
        self.last_received
    }

    /// Seals a message of at most [`MAX_BODY_BYTES`] bytes.
    ///
    /// # Errors
    /// [`RecordError::TooLarge`], [`RecordError::Exhausted`].
    pub fn seal(&mut self, message: &[u8]) -> Result<Vec<u8>, RecordError> {
        if message.len() > MAX_BODY_BYTES {
            return Err(RecordError::TooLarge);
        }
        let sequence = self.next.ok_or(RecordError::Exhausted)?;
        let mut ciphertext = message.to_vec();
        let tag = self.key.seal_in_place(&self.sends.nonce(sequence), &mut ciphertext);
        self.next = sequence.checked_add(1);
        Ok(SealedRecord { sequence, tag, ciphertext }.to_bytes())
    }

    /// Opens a record of the other end. A failed attempt changes nothing, so that a host can try the keys of all its
    /// pending launches.
    ///
    /// # Errors
    /// [`RecordError::BadTag`], [`RecordError::Replay`].
    pub fn open(&mut self, record: &SealedRecord) -> Result<Vec<u8>, RecordError> {
        let direction = match self.sends {
            Direction::FromClient => Direction::FromHost,
            Direction::FromHost => Direction::FromClient,
        };
        let mut message = record.ciphertext.clone();
        self.key
            .open_in_place(&direction.nonce(record.sequence), &record.tag, &mut message)
            .map_err(|_| RecordError::BadTag)?;
        if self.last_received.is_some_and(|last| record.sequence <= last) {
            return Err(RecordError::Replay);
        }
        self.last_received = Some(record.sequence);
        Ok(message)
    }

    fn new(key: &[u8; KEY_LEN], sends: Direction, first: u32) -> Self {
        Self { key: PacketKey::new(key), sends, next: Some(first), last_received: None }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_failed_attempt_leaves_the_replay_check_alone() {
        let (mut client, mut stranger) = (RtspCipher::client(&[1; 16], 900), RtspCipher::client(&[2; 16], 1000));
        let mut host = RtspCipher::host(&[1; 16]);
        let foreign = SealedRecord::parse(&stranger.seal(b"x").unwrap()).unwrap();
        assert_eq!(host.open(&foreign), Err(RecordError::BadTag));
        let own = SealedRecord::parse(&client.seal(b"y").unwrap()).unwrap();
        assert_eq!(host.open(&own).unwrap(), b"y");
        assert_eq!(host.open(&own), Err(RecordError::Replay));
    }

    #[test]
    fn the_last_number_is_used_once() {
        let mut client = RtspCipher::client(&[1; 16], u32::MAX);
        assert!(client.seal(b"x").is_ok());
        assert_eq!(client.seal(b"x"), Err(RecordError::Exhausted));
    }

    proptest! {
        #[test]
        fn what_is_sealed_is_opened(message in proptest::collection::vec(any::<u8>(), 0..300), first in any::<u32>()) {
            let mut client = RtspCipher::client(&[9; 16], first);
            let mut host = RtspCipher::host(&[9; 16]);
            let record = SealedRecord::parse(&client.seal(&message).unwrap()).unwrap();
            prop_assert_eq!(host.open(&record).unwrap(), message);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(record) = SealedRecord::parse(&bytes) {
                prop_assert!(RtspCipher::host(&[9; 16]).open(&record).is_err());
            }
        }
    }
}
