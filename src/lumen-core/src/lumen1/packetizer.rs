//! Frames to sealed video datagrams (section 6): split in shards, parity, headers, seal.
//!
//! One call writes all datagrams of a frame into a [`PacketArena`], as the packetizer of GameStream does: payload is
//! copied once, parity is computed and everything is sealed in place, and nothing is allocated once the arena has seen
//! its largest frame. How much parity a frame gets is the caller's to say, frame by frame.

use std::time::Duration;

use super::header::{Epoch, HEADER_LEN, PacketNumber};
use super::seal::{EpochsExhausted, Sealer};
use super::video::{
    FRAME_HEADER_LEN, FrameFlags, FrameHeader, FrameNumber, SHARD_HEADER_LEN, Sending, ShardHeader, TooManyPoints,
};
use super::{MIN_DATAGRAM, OVERHEAD};
use crate::arena::PacketArena;
use crate::crypto::TAG_LEN;
use crate::fec::gf8::Strided;
use crate::fec::scheme::{Encoder, Scheme, Shape, ShapeError};
use crate::time::Timestamp;

/// Where a shard begins in its datagram.
const SHARD_AT: usize = HEADER_LEN + SHARD_HEADER_LEN;

/// Full shards have a multiple of this many bytes: whole cache lines for the arithmetic.
const SHARD_STEP: usize = 128;

/// Shards of frames that need several have a multiple of this many bytes.
const SHARE_STEP: usize = 64;

/// What a [`Packetizer`] needs to know about its stream.
#[derive(Debug, Clone, Copy)]
pub struct PacketizerConfig {
    /// Longest datagram, at least [`MIN_DATAGRAM`] bytes; a shorter one counts as that.
    pub datagram: usize,
    /// Longest frame that the receiver takes, in bytes.
    pub max_frame: usize,
    /// The number of the first frame.
    pub first_frame: FrameNumber,
}

/// One encoded frame.
#[derive(Debug, Clone, Copy)]
pub struct FrameToSend<'a> {
    /// The encoder's output.
    pub data: &'a [u8],
    /// What the frame is to others.
    pub flags: FrameFlags,
    /// When it was captured.
    pub captured: Timestamp,
    /// For how long after its capture it is of use.
    pub deadline: Option<Duration>,
    /// From capture to now.
    pub host_latency: Duration,
    /// The code that protects it.
    pub scheme: Scheme,
    /// Parity shards; see [`Packetizer::data_shards`].
    pub parity: u16,
}

/// What was made of a frame: datagram `n` of the arena is shard `n`, in packet `first + n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packetized {
    /// The frame.
    pub frame: FrameNumber,
    /// Its shards.
    pub shape: Shape,
    /// The epoch of its packets.
    pub epoch: Epoch,
    /// Its first packet.
    pub first: PacketNumber,
}

/// A shard that is sent again lies sealed in the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retransmitted {
    /// The epoch of its new packet.
    pub epoch: Epoch,
    /// The number of its new packet.
    pub number: PacketNumber,
}

/// Why a frame could not be packetized. Nothing was consumed: no packet number, no frame number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PacketizeError {
    /// No bytes.
    #[error("the frame is empty")]
    Empty,
    /// More bytes than the receiver takes, or than shards can carry.
    #[error("a frame of {bytes} bytes passes the limit of {max}")]
    TooLarge {
        /// Size of the frame.
        bytes: usize,
        /// What the receiver takes.
        max: usize,
    },
    /// More parity than the scheme has for the frame.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// More work than a receiver does for a frame.
    #[error(transparent)]
    TooManyPoints(#[from] TooManyPoints),
    /// All epochs are used.
    #[error(transparent)]
    Exhausted(#[from] EpochsExhausted),
}

/// Makes video datagrams of frames. One per session; it owns the numbers of frames and video packets.
#[derive(Debug)]
pub struct Packetizer {
    sealer: Sealer,
    encoder: Encoder,
    max_shard: usize,
    max_frame: usize,
    next: FrameNumber,
}

impl Packetizer {
    /// One that seals with `sealer`.
    pub fn new(config: PacketizerConfig, sealer: Sealer) -> Self {
        let room = config.datagram.max(MIN_DATAGRAM) - OVERHEAD;
        Self {
            sealer,
            encoder: Encoder::new(),
            max_shard: room - room % SHARD_STEP,
            max_frame: config.max_frame,
            next: config.first_frame,
        }
    }

    /// The number of the next frame.
    pub fn next_frame(&self) -> FrameNumber {
        self.next
    }

    /// What seals the packets.
    pub fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// Data shards of a frame of `bytes` bytes: what parity is measured against.
    pub fn data_shards(&self, bytes: usize) -> usize {
        (FRAME_HEADER_LEN + bytes).div_ceil(self.max_shard)
    }

    /// Writes all datagrams of `frame` into `arena`, in the order in which they are to be sent.
    ///
    /// # Errors
    /// [`PacketizeError`].
    pub fn packetize(
        &mut self,
        frame: &FrameToSend<'_>,
        arena: &mut PacketArena,
    ) -> Result<Packetized, PacketizeError> {
        let shape = self.plan(frame)?;
        let (epoch, first) = self.sealer.reserve(shape.total() as u64)?;
        let header = FrameHeader {
            len: u32::try_from(frame.data.len()).expect("checked against the limit"),
            captured: frame.captured,
            deadline: frame.deadline,
            host_latency: frame.host_latency,
        };
        let len = shape.shard_len();
        let stride = OVERHEAD + len;
        arena.prepare(stride, shape.total());

        let mut head = &header.to_bytes()[..];
        let mut data = frame.data;
        for datagram in arena.bytes_mut().chunks_exact_mut(stride).take(shape.data()) {
            let shard = &mut datagram[SHARD_AT..][..len];
            // A shard holds more than a frame header, except where it holds a whole small frame.
            let (for_head, shard) = shard.split_at_mut(head.len());
            for_head.copy_from_slice(head);
            head = &[];
            let (taken, left) = data.split_at(data.len().min(shard.len()));
            let (filled, padding) = shard.split_at_mut(taken.len());
            filled.copy_from_slice(taken);
            padding.fill(0);
            data = left;
        }
        let rows = Strided { stride, offset: SHARD_AT, len };
        self.encoder.encode(shape, arena.bytes_mut(), rows).expect("the arena was made for these shards");
        for (index, datagram) in (0..=u16::MAX).zip(arena.bytes_mut().chunks_exact_mut(stride)) {
            let header = ShardHeader { frame: self.next, index, shape, flags: frame.flags, sending: Sending::First };
            datagram[HEADER_LEN..SHARD_AT].copy_from_slice(&header.to_bytes());
            self.sealer.seal(datagram)?;
        }
        let frame = self.next;
        self.next = frame.next();
        Ok(Packetized { frame, shape, epoch, first })
    }

    /// Writes a datagram that was sent before to `out`, under a new number and marked as sent again. `None` if it can't
    /// be: it is none of this stream's.
    ///
    /// # Errors
    /// [`EpochsExhausted`].
    pub fn resend(&mut self, datagram: &[u8], out: &mut Vec<u8>) -> Result<Option<Retransmitted>, EpochsExhausted> {
        out.clear();
        out.extend_from_slice(datagram);
        if !self.sealer.unseal(out) {
            return Ok(None);
        }
        let end = out.len() - TAG_LEN;
        let Ok((header, _)) = ShardHeader::parse(&out[HEADER_LEN..end]) else { return Ok(None) };
        let again = ShardHeader { sending: Sending::Again, ..header };
        out[HEADER_LEN..SHARD_AT].copy_from_slice(&again.to_bytes());
        let (epoch, number) = self.sealer.seal(out)?;
        Ok(Some(Retransmitted { epoch, number }))
    }

    fn plan(&self, frame: &FrameToSend<'_>) -> Result<Shape, PacketizeError> {
        if frame.data.is_empty() {
            return Err(PacketizeError::Empty);
        }
        let too_large = PacketizeError::TooLarge { bytes: frame.data.len(), max: self.max_frame };
        if frame.data.len() > self.max_frame || u32::try_from(frame.data.len()).is_err() {
            return Err(too_large);
        }
        let data = u16::try_from(self.data_shards(frame.data.len())).map_err(|_| too_large)?;
        let bytes = FRAME_HEADER_LEN + frame.data.len();
        let share = bytes.div_ceil(data.into());
        // A frame of one shard is as short as it can be; others fill whole cache lines.
        let step = if data == 1 { 2 } else { SHARE_STEP };
        let len = share.next_multiple_of(step);
        // Full shares may leave the last shard without a byte.
        let data = u16::try_from(bytes.div_ceil(len)).map_err(|_| too_large)?;
        let shape = Shape::new(frame.scheme, data, frame.parity, len)?;
        TooManyPoints::check(shape)?;
        Ok(shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lumen1::header::{SessionId, Stream};
    use crate::lumen1::keys::{Direction, KeySchedule};
    use crate::lumen1::seal::{Opener, SendPosition};
    use crate::lumen1::video::{FrameKind, Reference};

    fn packetizer(datagram: usize) -> (Packetizer, Opener) {
        let keys = KeySchedule::new(&[1; 16], &[2; 16], &[3; 16]).expect("long enough");
        let session = SessionId(1);
        let sealer = Sealer::new(&keys, Direction::HostToClient, Stream::Video, session, SendPosition::default());
        let config = PacketizerConfig { datagram, max_frame: 1 << 20, first_frame: FrameNumber::FIRST };
        (Packetizer::new(config, sealer), Opener::new(&keys, Direction::HostToClient, session))
    }

    fn frame(data: &[u8], scheme: Scheme, parity: u16) -> FrameToSend<'_> {
        FrameToSend {
            data,
            flags: FrameFlags { kind: FrameKind::P, reference: Reference::Short },
            captured: Timestamp::ZERO,
            deadline: None,
            host_latency: Duration::ZERO,
            scheme,
            parity,
        }
    }

    #[test]
    fn no_datagram_is_longer_than_agreed_and_none_costs_more_than_the_overhead() {
        for datagram in [1200, 1452, 1500, 9000, 65_472] {
            let (mut packetizer, _) = packetizer(datagram);
            let mut arena = PacketArena::new();
            for bytes in [1, 2, 1000, 1383, 1384, 1385, 1386, 1408, 5000, 100_000, 1 << 20] {
                let data = vec![7; bytes];
                for scheme in [Scheme::Gf8Interleaved, Scheme::Gf16] {
                    let shape = packetizer.packetize(&frame(&data, scheme, 2), &mut arena).expect("fits").shape;
                    assert!(arena.stride() <= datagram && arena.stride() == shape.shard_len() + OVERHEAD);
                    let carried = shape.data() * shape.shard_len();
                    assert!(
                        carried >= bytes + FRAME_HEADER_LEN && carried - shape.shard_len() < bytes + FRAME_HEADER_LEN
                    );
                    assert!(shape.data() <= packetizer.data_shards(bytes));
                }
            }
        }
    }

    #[test]
    fn a_shard_sent_again_differs_in_number_and_mark_only() {
        let (mut packetizer, mut opener) = packetizer(1200);
        let mut arena = PacketArena::new();
        packetizer.packetize(&frame(&[9; 4000], Scheme::Gf16, 2), &mut arena).expect("fits");
        let first = arena.datagrams().nth(2).expect("a shard").to_vec();
        let mut again = Vec::new();
        let sent = packetizer.resend(&first, &mut again).expect("epochs left").expect("its own");
        assert_eq!(sent.number.0, arena.len() as u64);
        let (mut one, mut other) = (first.clone(), again.clone());
        let one = opener.open(&mut one).expect("authentic").payload.to_vec();
        let other = opener.open(&mut other).expect("authentic").payload.to_vec();
        let (one, other) = (ShardHeader::parse(&one).expect("video"), ShardHeader::parse(&other).expect("video"));
        assert_eq!(one.1, other.1);
        assert_eq!(other.0, ShardHeader { sending: Sending::Again, ..one.0 });
        assert_eq!(packetizer.resend(&[0; 100], &mut again), Ok(None));
    }

    #[test]
    fn frames_that_cannot_be_sent_consume_nothing() {
        let (mut packetizer, _) = packetizer(1452);
        let mut arena = PacketArena::new();
        let before = packetizer.sealer().position();
        let large = vec![0; (1 << 20) + 1];
        assert_eq!(packetizer.packetize(&frame(&[], Scheme::Gf16, 0), &mut arena), Err(PacketizeError::Empty));
        assert!(matches!(
            packetizer.packetize(&frame(&large, Scheme::Gf16, 0), &mut arena),
            Err(PacketizeError::TooLarge { .. })
        ));
        assert!(matches!(
            packetizer.packetize(&frame(&[1], Scheme::Gf8Interleaved, 255), &mut arena),
            Err(PacketizeError::Shape(_))
        ));
        // One data shard and 2049 rounded up to 4096 of parity.
        let work = PacketizeError::TooManyPoints(TooManyPoints { points: 8192 });
        assert_eq!(packetizer.packetize(&frame(&[1], Scheme::Gf16, 2049), &mut arena), Err(work));
        assert_eq!((packetizer.sealer().position(), packetizer.next_frame()), (before, FrameNumber::FIRST));
    }
}
