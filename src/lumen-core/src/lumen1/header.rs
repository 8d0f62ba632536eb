//! The header of every datagram (section 3.1): 16 bytes in clear, authenticated by the tag at the end.

use crate::reader::{Reader, Short};

/// Bytes of the header.
pub const HEADER_LEN: usize = 16;

/// The upper three bits of the first byte: lumen/1. RTP has `10`, QUIC has bit 6 set, GameStream's pings begin with
/// letters or zero, so that all can share a port.
const MARKER: u8 = 0b0010_0000;
const MARKER_MASK: u8 = 0b1110_0000;

/// Names a session to its ends. Chosen by the host; not a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct SessionId(pub u32);

/// Which keys of a stream are in force; rises by the rules of section 4.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct Epoch(pub u16);

/// Number of a packet under one key, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct PacketNumber(pub u64);

/// What a datagram carries. Each stream has keys and packet numbers of its own in each direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[repr(u8)]
pub enum Stream {
    /// Messages about the session itself, both ways.
    Control = 0,
    /// Shards of frames, host to client.
    Video = 1,
    /// Sound, host to client.
    Audio = 2,
    /// Input events to the host, their answers (rumble, …) to the client.
    Input = 3,
    /// Shape and place of the pointer, host to client.
    Cursor = 4,
    /// Clipboard, both ways.
    Clipboard = 5,
    /// Sound, client to host.
    Microphone = 6,
    /// Receipts, losses and wishes about video, client to host.
    Feedback = 7,
}

impl Stream {
    /// All streams, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Control,
        Self::Video,
        Self::Audio,
        Self::Input,
        Self::Cursor,
        Self::Clipboard,
        Self::Microphone,
        Self::Feedback,
    ];

    /// The number of the wire.
    pub const fn wire(self) -> u8 {
        self as u8
    }

    /// The stream of a number; `None` for streams of later revisions.
    pub const fn from_wire(wire: u8) -> Option<Self> {
        if (wire as usize) < Self::ALL.len() { Some(Self::ALL[wire as usize]) } else { None }
    }
}

/// The header of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketHeader {
    /// What the datagram carries.
    pub stream: Stream,
    /// Under which keys.
    pub epoch: Epoch,
    /// To which session it belongs.
    pub session: SessionId,
    /// Its number.
    pub number: PacketNumber,
}

/// Why bytes are no datagram of this protocol. It is dropped, nothing else happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Fewer bytes than header and tag.
    #[error("a datagram of {0} bytes is shorter than header and tag")]
    TooShort(usize),
    /// The marker is that of another protocol or version.
    #[error("first byte {0:#04x} is not that of a lumen/1 datagram")]
    NotLumen1(u8),
    /// A stream that this revision does not know.
    #[error("stream {0} is unknown")]
    UnknownStream(u8),
}

impl PacketHeader {
    /// Reads the header of a datagram. The flags byte is ignored.
    ///
    /// # Errors
    /// [`HeaderError`].
    pub fn parse(datagram: &[u8]) -> Result<Self, HeaderError> {
        let too_short = HeaderError::TooShort(datagram.len());
        if datagram.len() < HEADER_LEN + crate::crypto::TAG_LEN {
            return Err(too_short);
        }
        Self::read(&mut Reader::new(datagram)).unwrap_or(Err(too_short))
    }

    fn read(reader: &mut Reader<'_>) -> Result<Result<Self, HeaderError>, Short> {
        let first = reader.u8()?;
        let _flags = reader.u8()?;
        let epoch = Epoch(reader.u16_be()?);
        let session = SessionId(reader.u32_be()?);
        let number = PacketNumber(reader.u64_be()?);
        if first & MARKER_MASK != MARKER {
            return Ok(Err(HeaderError::NotLumen1(first)));
        }
        let wire = first & !MARKER_MASK;
        let stream = Stream::from_wire(wire).ok_or(HeaderError::UnknownStream(wire));
        Ok(stream.map(|stream| Self { stream, epoch, session, number }))
    }

    /// The header as sent, with flags 0.
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[0] = MARKER | self.stream.wire();
        bytes[2..4].copy_from_slice(&self.epoch.0.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.session.0.to_be_bytes());
        bytes[8..].copy_from_slice(&self.number.0.to_be_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn other_protocols_on_the_port_are_told_apart_by_the_first_byte() {
        for first in [0x00, b'P', 0x40, 0x80, 0x90, 0xC0, 0xFF] {
            let mut datagram = [0; 40];
            datagram[0] = first;
            assert_eq!(PacketHeader::parse(&datagram), Err(HeaderError::NotLumen1(first)));
        }
        let mut later = [0; 40];
        later[0] = 0x28;
        assert_eq!(PacketHeader::parse(&later), Err(HeaderError::UnknownStream(8)));
        assert_eq!(PacketHeader::parse(&[0x20; 31]), Err(HeaderError::TooShort(31)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(stream in 0usize..8, epoch: u16, session: u32, number: u64, flags: u8) {
            let header = PacketHeader {
                stream: Stream::ALL[stream],
                epoch: Epoch(epoch),
                session: SessionId(session),
                number: PacketNumber(number),
            };
            let mut datagram = [0; HEADER_LEN + 16];
            datagram[..HEADER_LEN].copy_from_slice(&header.to_bytes());
            datagram[1] = flags;
            prop_assert_eq!(PacketHeader::parse(&datagram), Ok(header));
        }
    }
}
