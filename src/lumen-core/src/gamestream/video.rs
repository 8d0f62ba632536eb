//! Video packets on the wire, as types (protocol part 2, section 1): the numbers that name frames and packets, the
//! headers of a shard, the frame header in its first payload, the encrypted envelope, and the rule for what must lie
//! in a frame's first packet.
//!
//! A *shard* is one unencrypted datagram: RTP header (12 bytes), 4 zero bytes, video header (16), payload. All shards
//! of a frame have the same length. This module knows the layout of single packets only; which packets make a frame
//! is the business of the packetizer and the reassembler.

mod first_packet;
mod frame_header;
mod sealed;
mod shard;

use std::time::Duration;

pub use first_packet::{AnnexB, FirstPacket, FirstPacketError};
pub use frame_header::{FRAME_HEADER_LEN, FrameHeader, FrameHeaderError, frame_header_len};
pub use sealed::{EnvelopeError, PREFIX_LEN, frame_hint, nonce, open_datagram, seal_datagram};
pub use shard::{
    BlockPosition, FecInfo, FieldOverflow, PacketFlags, SHARD_HEADER_LEN, ShardHeader, ShardHeaderError, ShardIndex,
    StreamPacketIndex,
};

/// Number of a video frame, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct FrameIndex(pub u32);

impl FrameIndex {
    /// The first frame of a stream; every client drops frame 0 (section 1.2).
    pub const FIRST: Self = Self(1);

    /// The frame after this one.
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// The frame before this one.
    pub const fn previous(self) -> Self {
        Self(self.0.wrapping_sub(1))
    }

    /// Whether a receiver that works on frame `current` takes this one for an earlier frame. A jump of 32768 frames or
    /// more looks like the past, as it does to clients that compare 16 bits only (section 8, trap 5).
    pub const fn is_before(self, current: Self) -> bool {
        self.0.wrapping_sub(current.0) > 0x7FFF
    }
}

/// What a frame is to the client: the frame type byte of the frame header (protocol part 2, section 1.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum FrameKind {
    /// Refers to earlier frames (type 1).
    P,
    /// Key frame with parameter sets (type 2).
    Idr,
    /// A frame of an intra refresh wave (type 4).
    IntraRefresh,
    /// The first frame that refers to none of the invalidated ones (type 5).
    AfterInvalidation,
}

impl FrameKind {
    /// The frame type byte.
    pub const fn wire_type(self) -> u8 {
        match self {
            Self::P => 1,
            Self::Idr => 2,
            Self::IntraRefresh => 4,
            Self::AfterInvalidation => 5,
        }
    }

    /// The kind that a frame type byte stands for. Clients ignore types that they don't know (among them 104 of a very
    /// old host); such a frame is an ordinary one to them.
    pub const fn from_wire_type(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::P,
            2 => Self::Idr,
            4 => Self::IntraRefresh,
            5 => Self::AfterInvalidation,
            _ => return None,
        })
    }

    /// Whether a completed frame of this kind ends a client's wait for reference invalidation (section 2.5, item 7).
    pub const fn repairs_references(self) -> bool {
        matches!(self, Self::Idr | Self::IntraRefresh | Self::AfterInvalidation)
    }
}

/// Video compression formats of the protocol, as far as packets differ by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum VideoCodec {
    /// H.264, Annex B; clients keep the zero padding of the last packet.
    H264,
    /// HEVC, Annex B; clients keep the zero padding of the last packet.
    Hevc,
    /// AV1 OBUs; clients cut the last packet to the length in the frame header.
    Av1,
}

/// The negotiated packet size (`x-nv-video[0].packetSize`): video header and payload of one packet, in bytes. It
/// counts neither the 16 bytes of RTP before them nor the prefix of an encrypted packet (section 1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct PacketSize(u16);

/// A packet size that leaves no room for payload, or does not fit in a UDP datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("packet size {0} is outside {min}..={max}", min = PacketSize::MIN, max = PacketSize::MAX)]
pub struct PacketSizeError(pub u32);

impl PacketSize {
    /// Smallest size: 16 bytes of payload, so that the frame header fits.
    pub const MIN: u32 = 32;
    /// Largest size: an encrypted packet still fits in a UDP datagram over IPv4.
    pub const MAX: u32 = 65_456;

    /// Checks `size`, in bytes.
    ///
    /// # Errors
    /// [`PacketSizeError`] outside [`PacketSize::MIN`]`..=`[`PacketSize::MAX`].
    pub fn new(size: u32) -> Result<Self, PacketSizeError> {
        if (Self::MIN..=Self::MAX).contains(&size) {
            u16::try_from(size).map(Self).map_err(|_| PacketSizeError(size))
        } else {
            Err(PacketSizeError(size))
        }
    }

    /// The size that a client announces when its user asks for `requested`: a multiple of 16, and 32 less with
    /// encryption so that datagrams stay as long (section 1.1).
    ///
    /// # Errors
    /// [`PacketSizeError`] if the result is out of range.
    pub fn to_announce(requested: u32, sealing: Sealing) -> Result<Self, PacketSizeError> {
        let rounded = requested - requested % 16;
        let room = match sealing {
            Sealing::Clear => 0,
            Sealing::Sealed => 32,
        };
        rounded.checked_sub(room).ok_or(PacketSizeError(requested)).and_then(Self::new)
    }

    /// The announced number.
    pub const fn get(self) -> u32 {
        self.0 as u32
    }

    /// Bytes of a shard: the packet and 16 bytes of RTP.
    pub const fn shard_len(self) -> usize {
        self.0 as usize + 16
    }

    /// Codec bytes in a packet.
    pub const fn payload_len(self) -> usize {
        self.0 as usize - 16
    }

    /// Bytes of UDP payload.
    pub const fn datagram_len(self, sealing: Sealing) -> usize {
        self.shard_len()
            + match sealing {
                Sealing::Clear => 0,
                Sealing::Sealed => PREFIX_LEN,
            }
    }
}

impl TryFrom<u32> for PacketSize {
    type Error = PacketSizeError;

    fn try_from(size: u32) -> Result<Self, PacketSizeError> {
        Self::new(size)
    }
}

impl From<PacketSize> for u32 {
    fn from(size: PacketSize) -> Self {
        size.get()
    }
}

/// Whether video packets are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sealing {
    /// Shards are datagrams.
    Clear,
    /// Each shard is encrypted and has a prefix of [`PREFIX_LEN`] bytes.
    Sealed,
}

/// The 16-bit RTP sequence number: over data and parity packets, wrapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SequenceNumber(pub u16);

impl SequenceNumber {
    /// Whether this number comes before `other`, by wrapping arithmetic.
    pub const fn is_before(self, other: Self) -> bool {
        is_before(self.0 as u32, other.0 as u32, 16)
    }

    /// The number `packets` further on.
    pub const fn plus(self, packets: u16) -> Self {
        Self(self.0.wrapping_add(packets))
    }
}

/// Whether `x` comes before `y` in a space of `bits` bits that wraps: `(x − y) mod 2^bits` is above half of the
/// space (section 1.2). `bits` is 1..=32; higher bits of `x` and `y` are ignored.
pub const fn is_before(x: u32, y: u32, bits: u32) -> bool {
    let mask = u32::MAX >> (32 - bits);
    x.wrapping_sub(y) & mask > mask >> 1
}

/// Capture-to-send time of a frame in units of 0.1 ms; 0 = unknown, or a repeated frame (section 1.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct HostLatency(pub u16);

impl HostLatency {
    /// Not known, or nothing new was captured.
    pub const UNKNOWN: Self = Self(0);

    /// Rounds `latency` to 0.1 ms; saturates at 6.5535 s.
    pub fn from_duration(latency: Duration) -> Self {
        let tenths = latency.as_micros().saturating_add(50) / 100;
        Self(u16::try_from(tenths).unwrap_or(u16::MAX))
    }

    /// As a duration.
    pub const fn as_duration(self) -> Duration {
        Duration::from_micros(self.0 as u64 * 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_of_half_the_space_is_the_past() {
        assert!(!FrameIndex(32767).is_before(FrameIndex(0)));
        assert!(FrameIndex(32768).is_before(FrameIndex(0)));
        assert!(FrameIndex(4).is_before(FrameIndex(5)));
        assert!(FrameIndex(65541).is_before(FrameIndex(5)));
        assert!(!FrameIndex(0).is_before(FrameIndex(u32::MAX)));
        assert!(is_before(u32::MAX, 0, 32));
    }

    #[test]
    fn packet_sizes_without_room_are_refused() {
        assert_eq!(PacketSize::new(31), Err(PacketSizeError(31)));
        assert_eq!(PacketSize::new(65_457), Err(PacketSizeError(65_457)));
        assert_eq!(PacketSize::new(u32::MAX), Err(PacketSizeError(u32::MAX)));
        assert_eq!(PacketSize::to_announce(40, Sealing::Sealed), Err(PacketSizeError(0)));
        let largest = PacketSize::new(PacketSize::MAX).expect("in range");
        assert!(largest.datagram_len(Sealing::Sealed) <= 65_507);
    }

    #[test]
    fn frame_types_round_trip_and_unknown_ones_have_no_kind() {
        for byte in 0..=255 {
            match FrameKind::from_wire_type(byte) {
                Some(kind) => assert_eq!(kind.wire_type(), byte),
                None => assert!(![1, 2, 4, 5].contains(&byte)),
            }
        }
    }
}
