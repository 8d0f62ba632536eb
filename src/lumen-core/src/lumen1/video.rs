//! What video datagrams carry (section 6): a shard header in each, a frame header at the start of each frame.

use std::ops::Range;
use std::time::Duration;

use crate::fec::scheme::{MOST_POINTS, Scheme, Shape, ShapeError, UnknownScheme, points};
pub use crate::gamestream::video::FrameKind;
use crate::reader::{Reader, Short};
use crate::time::Timestamp;

/// Bytes of the header before each shard.
pub const SHARD_HEADER_LEN: usize = 12;

/// Bytes of the frame header that this revision writes.
pub const FRAME_HEADER_LEN: usize = 24;

/// Bit of the scheme byte: the shard was sent before.
const RESENT: u8 = 0x80;
const SCHEME_MASK: u8 = 0x0F;
const KIND_MASK: u8 = 0x07;
const DISPOSABLE: u8 = 0x08;
const LONG_TERM: u8 = 0x10;

/// Number of a frame, from 1, without gaps. It never wraps: 2³² frames end a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct FrameNumber(pub u32);

impl FrameNumber {
    /// The first frame of a session.
    pub const FIRST: Self = Self(1);

    /// The frame after this one; the last one is its own.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The frame before this one; 0 is its own.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

/// Whether other frames refer to a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Reference {
    /// Later frames may refer to it.
    #[default]
    Short,
    /// It is kept as a long-term reference.
    LongTerm,
    /// None does: its loss costs nothing but itself.
    None,
}

/// What a frame is to the references of others: the last byte of a shard header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FrameFlags {
    /// What it refers to. Kinds that are not known count as [`FrameKind::P`].
    pub kind: FrameKind,
    /// What refers to it.
    pub reference: Reference,
}

impl FrameFlags {
    const fn from_wire(byte: u8) -> Self {
        let kind = match FrameKind::from_wire_type(byte & KIND_MASK) {
            Some(kind) => kind,
            None => FrameKind::P,
        };
        let reference = if byte & DISPOSABLE != 0 {
            Reference::None
        } else if byte & LONG_TERM != 0 {
            Reference::LongTerm
        } else {
            Reference::Short
        };
        Self { kind, reference }
    }

    const fn wire(self) -> u8 {
        self.kind.wire_type()
            | match self.reference {
                Reference::Short => 0,
                Reference::LongTerm => LONG_TERM,
                Reference::None => DISPOSABLE,
            }
    }
}

/// Whether a shard is sent for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sending {
    /// With its frame.
    First,
    /// Because the receiver missed it.
    Again,
}

/// The header of a shard (section 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardHeader {
    /// Its frame.
    pub frame: FrameNumber,
    /// Its place: data shards first, then parity.
    pub index: u16,
    /// The shards of its frame.
    pub shape: Shape,
    /// What its frame is.
    pub flags: FrameFlags,
    /// First time or not.
    pub sending: Sending,
}

/// A frame of one block over GF(2^16) that takes more work than the limits allow (section 9): restoring a block costs as
/// much as its points, however few bytes of it arrived, so a few bytes that claim a large one would keep a receiver busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a frame of {points} points is more work than the {MOST_POINTS} that are allowed: it needs gf8x, or less parity"
)]
pub struct TooManyPoints {
    /// Points of its block.
    pub points: usize,
}

impl TooManyPoints {
    /// Refuses a frame that neither end may have to work on. Without parity nothing is ever restored.
    ///
    /// # Errors
    /// [`TooManyPoints`].
    pub fn check(shape: Shape) -> Result<(), Self> {
        // A shape has at most 65535 shards of either sort.
        let points = points(shape.data() as u16, shape.parity() as u16);
        let fits = shape.scheme() != Scheme::Gf16 || shape.parity() == 0 || points <= MOST_POINTS;
        if fits { Ok(()) } else { Err(Self { points }) }
    }
}

/// Why the payload of a video datagram is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShardHeaderError {
    /// Fewer bytes than the header has.
    #[error("a video payload of {0} bytes is shorter than its header")]
    TooShort(usize),
    /// Frame 0, which does not exist.
    #[error("frames count from 1")]
    FrameZero,
    /// A scheme that this revision does not know.
    #[error(transparent)]
    Scheme(#[from] UnknownScheme),
    /// Counts or a length that the scheme does not have.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// More work than a frame may be.
    #[error(transparent)]
    TooManyPoints(#[from] TooManyPoints),
    /// The shard lies outside of its frame.
    #[error("shard {index} of {total} cannot be")]
    Index {
        /// Its place.
        index: u16,
        /// Shards of the frame.
        total: usize,
    },
}

impl ShardHeader {
    /// Reads the payload of a video datagram: header and shard.
    ///
    /// # Errors
    /// [`ShardHeaderError`].
    pub fn parse(payload: &[u8]) -> Result<(Self, &[u8]), ShardHeaderError> {
        let mut reader = Reader::new(payload);
        let too_short = |_: Short| ShardHeaderError::TooShort(payload.len());
        let frame = FrameNumber(reader.u32_be().map_err(too_short)?);
        let index = reader.u16_be().map_err(too_short)?;
        let data = reader.u16_be().map_err(too_short)?;
        let parity = reader.u16_be().map_err(too_short)?;
        let scheme = reader.u8().map_err(too_short)?;
        let flags = FrameFlags::from_wire(reader.u8().map_err(too_short)?);
        let shard = reader.rest();
        if frame.0 == 0 {
            return Err(ShardHeaderError::FrameZero);
        }
        let sending = if scheme & RESENT != 0 { Sending::Again } else { Sending::First };
        let shape = Shape::new(Scheme::try_from(scheme & SCHEME_MASK)?, data, parity, shard.len())?;
        TooManyPoints::check(shape)?;
        if usize::from(index) >= shape.total() {
            return Err(ShardHeaderError::Index { index, total: shape.total() });
        }
        Ok((Self { frame, index, shape, flags, sending }, shard))
    }

    /// The header as sent.
    pub fn to_bytes(&self) -> [u8; SHARD_HEADER_LEN] {
        let mut bytes = [0; SHARD_HEADER_LEN];
        bytes[..4].copy_from_slice(&self.frame.0.to_be_bytes());
        bytes[4..6].copy_from_slice(&self.index.to_be_bytes());
        // A shape has at most 65535 shards of either sort.
        bytes[6..8].copy_from_slice(&(self.shape.data() as u16).to_be_bytes());
        bytes[8..10].copy_from_slice(&(self.shape.parity() as u16).to_be_bytes());
        let resent = if self.sending == Sending::Again { RESENT } else { 0 };
        bytes[10] = self.shape.scheme().wire() | resent;
        bytes[11] = self.flags.wire();
        bytes
    }
}

/// The header at the start of a frame (section 6.2); the parity of the frame covers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Bytes of encoded video after the header.
    pub len: u32,
    /// When the picture was captured, on the host's clock.
    pub captured: Timestamp,
    /// For how long after its capture the frame is of use; `None` without a limit. In whole microseconds, below 2³².
    pub deadline: Option<Duration>,
    /// Time from capture until the frame was handed to the network. In whole microseconds, below 2³².
    pub host_latency: Duration,
}

/// Why the bytes of a frame are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameHeaderError {
    /// The header does not fit in the frame's shards, or is shorter than it must be.
    #[error("a frame header of {len} bytes in {present} bytes cannot be")]
    BadLength {
        /// What it says of itself.
        len: usize,
        /// Bytes in the shards.
        present: usize,
    },
    /// The frame is longer than its shards.
    #[error("a frame of {len} bytes does not fit in {present} bytes of shards")]
    TooLong {
        /// What the header says.
        len: u32,
        /// Bytes in the shards after the header.
        present: usize,
    },
}

impl FrameHeader {
    /// Reads the data shards of a frame, one after another: header, and where the encoded bytes lie.
    ///
    /// # Errors
    /// [`FrameHeaderError`].
    pub fn parse(body: &[u8]) -> Result<(Self, Range<usize>), FrameHeaderError> {
        let mut reader = Reader::new(body);
        let short = |_: Short| FrameHeaderError::BadLength { len: FRAME_HEADER_LEN, present: body.len() };
        let header_len = usize::from(reader.u16_be().map_err(short)?);
        let _reserved = reader.u16_be().map_err(short)?;
        let len = reader.u32_be().map_err(short)?;
        let captured = Timestamp::from_micros(reader.u64_be().map_err(short)?);
        let deadline = match reader.u32_be().map_err(short)? {
            0 => None,
            micros => Some(Duration::from_micros(micros.into())),
        };
        let host_latency = Duration::from_micros(reader.u32_be().map_err(short)?.into());
        let bad = FrameHeaderError::BadLength { len: header_len, present: body.len() };
        if header_len < FRAME_HEADER_LEN {
            return Err(bad);
        }
        let present = body.len().checked_sub(header_len).ok_or(bad)?;
        let data = usize::try_from(len).ok().filter(|len| *len <= present);
        let data = data.ok_or(FrameHeaderError::TooLong { len, present })?;
        Ok((Self { len, captured, deadline, host_latency }, header_len..header_len + data))
    }

    /// The header as sent. Durations are cut to whole microseconds below 2³².
    pub fn to_bytes(&self) -> [u8; FRAME_HEADER_LEN] {
        let micros = |duration: Duration| u32::try_from(duration.as_micros()).unwrap_or(u32::MAX).to_be_bytes();
        let mut bytes = [0; FRAME_HEADER_LEN];
        bytes[..2].copy_from_slice(&(FRAME_HEADER_LEN as u16).to_be_bytes());
        bytes[4..8].copy_from_slice(&self.len.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.captured.as_micros().to_be_bytes());
        bytes[16..20].copy_from_slice(&micros(self.deadline.unwrap_or_default()));
        bytes[20..].copy_from_slice(&micros(self.host_latency));
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kind() -> impl Strategy<Value = FrameKind> {
        prop::sample::select(vec![FrameKind::P, FrameKind::Idr, FrameKind::IntraRefresh, FrameKind::AfterInvalidation])
    }

    proptest! {
        #[test]
        fn shard_headers_are_read_as_written(
            frame in 1u32.., data in 1u16..5000, parity in 0u16..900, index: prop::sample::Index, kind in kind(),
            reference in prop::sample::select(vec![Reference::Short, Reference::LongTerm, Reference::None]),
            again: bool, gf16: bool, shard in prop::collection::vec(any::<u8>(), 1..40)
        ) {
            let scheme = if gf16 { Scheme::Gf16 } else { Scheme::Gf8Interleaved };
            let Ok(shape) = Shape::new(scheme, data, parity, shard.len()) else { return Ok(()) };
            let header = ShardHeader {
                frame: FrameNumber(frame),
                index: index.index(shape.total()) as u16,
                shape,
                flags: FrameFlags { kind, reference },
                sending: if again { Sending::Again } else { Sending::First },
            };
            let payload = [&header.to_bytes()[..], &shard].concat();
            let points = points(data, parity);
            let wanted = match scheme {
                Scheme::Gf16 if parity > 0 && points > 4096 => Err(TooManyPoints { points }.into()),
                _ => Ok((header, &shard[..])),
            };
            prop_assert_eq!(ShardHeader::parse(&payload), wanted);
        }

        #[test]
        fn frame_headers_are_read_as_written_and_may_grow(
            captured: u64, deadline in prop::option::of(1u32..), latency: u32, data: Vec<u8>, padding in 0usize..30,
            extension in 0usize..20
        ) {
            let header = FrameHeader {
                len: data.len() as u32,
                captured: Timestamp::from_micros(captured),
                deadline: deadline.map(|micros| Duration::from_micros(micros.into())),
                host_latency: Duration::from_micros(latency.into()),
            };
            let mut bytes = header.to_bytes().to_vec();
            bytes[1] += extension as u8;
            bytes.extend(vec![0xEE; extension]);
            bytes.extend_from_slice(&data);
            bytes.extend(vec![0; padding]);
            let start = FRAME_HEADER_LEN + extension;
            prop_assert_eq!(FrameHeader::parse(&bytes), Ok((header, start..start + data.len())));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = ShardHeader::parse(&bytes);
            let _ = FrameHeader::parse(&bytes);
        }
    }

    #[test]
    fn impossible_headers_are_typed_errors() {
        let good = [0, 0, 0, 1, 0, 0, 0, 2, 0, 1, 2, 1, 0, 0];
        assert!(ShardHeader::parse(&good).is_ok());
        let with = |at: usize, value: u8| {
            let mut bytes = good;
            bytes[at] = value;
            ShardHeader::parse(&bytes).map(|_| ()).expect_err("bad")
        };
        assert_eq!(with(3, 0), ShardHeaderError::FrameZero);
        assert_eq!(with(10, 3), ShardHeaderError::Scheme(UnknownScheme(3)));
        assert_eq!(with(5, 3), ShardHeaderError::Index { index: 3, total: 3 });
        assert_eq!(with(7, 0), ShardHeaderError::Shape(ShapeError::NoData));
        // 2 data shards and 8193 rounded up to 16 384 of parity.
        assert_eq!(with(8, 0x20), ShardHeaderError::TooManyPoints(TooManyPoints { points: 32_768 }));
        assert_eq!(ShardHeader::parse(&good[..11]), Err(ShardHeaderError::TooShort(11)));
        let long = FrameHeader { len: 9, captured: Timestamp::ZERO, deadline: None, host_latency: Duration::ZERO };
        assert_eq!(FrameHeader::parse(&long.to_bytes()), Err(FrameHeaderError::TooLong { len: 9, present: 0 }));
    }
}
