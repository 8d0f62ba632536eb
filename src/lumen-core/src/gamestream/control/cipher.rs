//! The two encrypted directions of one control connection (protocol part 3, section 2.2): sequence numbers,
//! replay window, count of failures.

use super::envelope::{EnvelopeHeader, EnvelopeKey};
use super::{EnvelopeMode, Framing, MessageError, RawMessage, ReplayWindow, Side};
use crate::reader::Short;

/// Seals what one side sends and opens what it receives, under the key of one `/launch` or `/resume`. Counters
/// start at zero with each key; never continue under an old key whose counters are lost.
#[derive(Debug)]
pub struct ControlCipher {
    key: EnvelopeKey,
    side: Side,
    next_sequence: Option<u32>,
    window: ReplayWindow,
    failures: u32,
}

/// Where a cipher is, without its key: another one under the same key goes on from there. Two that do so would use a
/// nonce twice; whoever gives this away must not seal any more.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct CipherProgress {
    next_sequence: Option<u32>,
    window: ReplayWindow,
    failures: u32,
}

/// An opened packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened<'a> {
    /// Its sequence number.
    pub sequence: u32,
    /// The message in it.
    pub message: RawMessage<'a>,
}

/// All sequence numbers of this key are used: the session must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("all sequence numbers of the control stream's key are used")]
pub struct SequenceExhausted;

/// Why a packet does not open. Every one of them drops the packet and keeps the session; see
/// [`ControlCipher::has_failed_too_often`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Below 4 bytes.
    #[error("control packet is cut short")]
    Truncated,
    /// A message in clear, of this type, on an encrypted stream.
    #[error("control message type {0:#06x} is not encrypted")]
    NotEncrypted(u16),
    /// A length field that leaves no room for a message.
    #[error("encrypted control packet says it has {0} bytes, fewer than 24")]
    Runt(u16),
    /// More than [`super::envelope::MAX_PACKET`] bytes.
    #[error("control packet has {0} bytes, more than 2048")]
    TooLarge(usize),
    /// The length field does not say how many bytes follow it.
    #[error("encrypted control packet says {said} bytes follow its length, {present} do")]
    LengthMismatch {
        /// Value of the length field.
        said: u16,
        /// Bytes after the length field.
        present: usize,
    },
    /// The sequence number was seen before or is older than the window.
    #[error("control packet {0} was replayed or is too old")]
    Replay(u32),
    /// Wrong key, wrong sender, wrong nonce mode, or changed bytes.
    #[error("control packet is not authentic")]
    BadTag,
    /// The packet is authentic, what is in it is not a message.
    #[error(transparent)]
    Message(#[from] MessageError),
}

impl From<Short> for OpenError {
    fn from(Short: Short) -> Self {
        Self::Truncated
    }
}

impl ControlCipher {
    /// Failed tags after which a session should end.
    pub const MAX_FAILURES: u32 = 16;

    /// The cipher of one side, under the session key (`rikey`).
    pub fn new(key: &[u8; 16], mode: EnvelopeMode, side: Side) -> Self {
        Self {
            key: EnvelopeKey::new(key, mode),
            side,
            next_sequence: Some(0),
            window: ReplayWindow::new(),
            failures: 0,
        }
    }

    /// One that goes on where another one stopped.
    pub fn resume(key: &[u8; 16], mode: EnvelopeMode, side: Side, progress: CipherProgress) -> Self {
        let CipherProgress { next_sequence, window, failures } = progress;
        Self { key: EnvelopeKey::new(key, mode), side, next_sequence, window, failures }
    }

    /// Stops, and says where.
    pub fn stop(self) -> CipherProgress {
        let Self { next_sequence, window, failures, .. } = self;
        CipherProgress { next_sequence, window, failures }
    }

    /// Seals a message (header included) under the next sequence number.
    ///
    /// # Errors
    /// After 2³² messages.
    pub fn seal(&mut self, plain: &[u8]) -> Result<Vec<u8>, SequenceExhausted> {
        let sequence = self.next_sequence.ok_or(SequenceExhausted)?;
        self.next_sequence = sequence.checked_add(1);
        Ok(self.key.seal(self.side, sequence, plain))
    }

    /// Opens a packet of the other side in place.
    ///
    /// # Errors
    /// Tests in this order: 4 bytes, type, runt, size, length, replay, tag, nesting, inner length. Only authentic
    /// packets move the replay window; those with a bad message inside do too.
    pub fn open<'a>(&mut self, packet: &'a mut [u8]) -> Result<Opened<'a>, OpenError> {
        let header = EnvelopeHeader::parse(packet)?;
        let sequence = header.sequence;
        if !self.window.is_fresh(sequence.into()) {
            return Err(OpenError::Replay(sequence));
        }
        let plain = match self.key.open_in_place(self.side.peer(), header, packet) {
            Ok(plain) => plain,
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                return Err(error);
            }
        };
        self.window.mark(sequence.into());
        Ok(Opened { sequence, message: RawMessage::parse(plain, Framing::V2)? })
    }

    /// Whether the other side made this packet and it was not seen before. Changes nothing: for a packet that will
    /// come again, such as one from an address that its connection has not migrated to yet.
    pub fn authenticates(&self, packet: &[u8]) -> bool {
        let mut packet = packet.to_vec();
        EnvelopeHeader::parse(&packet).is_ok_and(|header| {
            self.window.is_fresh(header.sequence.into())
                && self.key.open_in_place(self.side.peer(), header, &mut packet).is_ok()
        })
    }

    /// Packets that were not authentic.
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether [`ControlCipher::MAX_FAILURES`] packets were not authentic: the peer has another key or nonce
    /// mode, or someone interferes. The session should end.
    pub const fn has_failed_too_often(&self) -> bool {
        self.failures >= Self::MAX_FAILURES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gamestream::control::{ClientMessage, kind};

    const KEY: [u8; 16] = [7; 16];

    fn pair() -> (ControlCipher, ControlCipher) {
        (
            ControlCipher::new(&KEY, EnvelopeMode::V2, Side::Client),
            ControlCipher::new(&KEY, EnvelopeMode::V2, Side::Host),
        )
    }

    #[test]
    fn sequence_numbers_count_messages_from_zero() {
        let (mut client, mut host) = pair();
        for expected in 0..3 {
            let mut packet = client.seal(&ClientMessage::StartB.to_bytes(Framing::V2)).unwrap();
            let opened = host.open(&mut packet).unwrap();
            assert_eq!((opened.sequence, opened.message.kind), (expected, kind::START_B));
        }
    }

    #[test]
    fn authenticating_a_packet_does_not_consume_it() {
        let (mut client, mut host) = pair();
        let mut packet = client.seal(&ClientMessage::StartB.to_bytes(Framing::V2)).unwrap();
        assert!(host.authenticates(&packet));
        assert!(host.authenticates(&packet));
        host.open(&mut packet.clone()).unwrap();
        assert!(!host.authenticates(&packet), "replayed");
        packet[10] ^= 1;
        assert!(!host.authenticates(&packet), "forged");
        assert_eq!(host.failures(), 0);
    }

    #[test]
    fn last_sequence_number_is_used_once_and_then_sealing_stops() {
        let (mut client, mut host) = pair();
        client.next_sequence = Some(u32::MAX);
        let plain = ClientMessage::StartB.to_bytes(Framing::V2);
        let mut packet = client.seal(&plain).unwrap();
        assert_eq!(host.open(&mut packet).unwrap().sequence, u32::MAX);
        assert_eq!(client.seal(&plain), Err(SequenceExhausted));
    }

    #[test]
    fn a_cipher_that_goes_on_repeats_no_number_and_takes_no_packet_twice() {
        let (mut client, mut host) = pair();
        let mut packet = client.seal(&ClientMessage::StartB.to_bytes(Framing::V2)).unwrap();
        host.open(&mut packet.clone()).unwrap();
        host.seal(&ClientMessage::StartB.to_bytes(Framing::V2)).unwrap();
        let mut host = ControlCipher::resume(&KEY, EnvelopeMode::V2, Side::Host, host.stop());
        assert_eq!(host.open(&mut packet), Err(OpenError::Replay(0)));
        let mut second = host.seal(&ClientMessage::StartB.to_bytes(Framing::V2)).unwrap();
        assert_eq!(client.open(&mut second).unwrap().sequence, 1);
    }

    #[test]
    fn sixteen_packets_of_another_key_are_too_many() {
        let (_, mut host) = pair();
        let mut stranger = ControlCipher::new(&[8; 16], EnvelopeMode::V2, Side::Client);
        for _ in 0..ControlCipher::MAX_FAILURES {
            assert!(!host.has_failed_too_often());
            let mut packet = stranger.seal(&ClientMessage::StartB.to_bytes(Framing::V2)).unwrap();
            assert_eq!(host.open(&mut packet), Err(OpenError::BadTag));
        }
        assert!(host.has_failed_too_often());
    }

    #[test]
    fn own_packets_reflected_do_not_open() {
        let (_, mut host) = pair();
        let mut packet = host.seal(&ClientMessage::StartB.to_bytes(Framing::V2)).unwrap();
        assert_eq!(host.open(&mut packet), Err(OpenError::BadTag));
    }

    #[test]
    fn authentic_packet_with_a_bad_message_cannot_be_replayed() {
        let (mut client, mut host) = pair();
        let sealed = client.seal(&[0x07, 0x03, 0xFF, 0x00]).unwrap();
        assert_eq!(
            host.open(&mut sealed.clone()),
            Err(OpenError::Message(MessageError::InnerLength { said: 255, present: 0 }))
        );
        assert_eq!(host.open(&mut sealed.clone()), Err(OpenError::Replay(0)));
    }

    #[test]
    fn debug_output_does_not_show_the_key() {
        let text = format!("{:?}", ControlCipher::new(&[0xAB; 16], EnvelopeMode::Legacy, Side::Host));
        assert!(!text.contains("171") && !text.to_lowercase().contains("ab,"), "{text}");
    }
}
