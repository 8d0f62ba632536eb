//! Frames to protected video packets (protocol part 2, sections 1 and 2).
//!
//! One call turns an encoded frame into all of its datagrams: split in blocks, headers, parity, encryption. They lie
//! one after another in a [`PacketArena`], all of one length, ready for segmentation offload; payload is copied
//! once, parity is computed and everything is encrypted in place, and nothing is allocated once the arena has seen
//! its largest frame.
//!
//! Nothing here sends or paces, and no frame is ever stripped of its parity unless that was asked for: a frame
//! that passes the four-block limit is an error, and [`Packetizer::max_frame_bytes`] is what rate control must keep to.

mod pacing;
mod parity;

pub use crate::arena::PacketArena;
pub use pacing::{gso_batch, packets_per_millisecond};
pub use parity::{LossModel, ParityPolicy};

use super::video::{
    BlockPosition, FRAME_HEADER_LEN, FecInfo, FrameHeader, FrameIndex, FrameKind, HostLatency, PREFIX_LEN, PacketFlags,
    PacketSize, SHARD_HEADER_LEN, Sealing, SequenceNumber, ShardHeader, ShardIndex, StreamPacketIndex, seal_datagram,
};
use crate::crypto::PacketKey;
pub use crate::fec::block_plan::FecPercentage;
use crate::fec::block_plan::{FrameSplit, MAX_BLOCKS, MAX_DATA_SHARDS_WITHOUT_FEC, SplitError};
use crate::fec::gf8::{Codec, Strided};

/// What a [`Packetizer`] needs to know about its stream.
#[derive(Debug, Clone)]
pub struct PacketizerConfig {
    /// As negotiated.
    pub packet_size: PacketSize,
    /// How much parity each block gets.
    pub parity: ParityPolicy,
    /// The session key if video is encrypted.
    pub encryption: Option<PacketKey>,
    /// What to do with a frame that passes the four-block limit.
    pub oversize: Oversize,
}

/// What happens to a frame that needs more than four blocks with parity (section 2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Oversize {
    /// It is refused with [`PacketizeError::PastBlockLimit`].
    #[default]
    Refuse,
    /// It is sent without any parity, as other hosts do.
    Unprotected,
}

/// The numbers that rise from packet to packet. Under one key they must never repeat: a packetizer that takes over
/// a running stream starts where the last one ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct PacketCounters {
    /// Packets sent, data and parity. The first RTP sequence number that a new client sees must be at most 32767
    /// (section 1.2), so a new stream starts at 0.
    pub sequence: u64,
    /// Packets encrypted under the current key.
    pub nonce: u64,
}

/// One encoded frame.
#[derive(Debug, Clone, Copy)]
pub struct FrameToSend<'a> {
    /// The encoder's output: Annex B, or an AV1 temporal unit.
    pub data: &'a [u8],
    /// From 1, without gaps.
    pub index: FrameIndex,
    /// What the frame is.
    pub kind: FrameKind,
    /// Capture time on a 90 kHz clock; 0 makes clients invent a time, except for the first frame.
    pub timestamp_90k: u32,
    /// From capture to now.
    pub host_latency: HostLatency,
    /// Whether the client shall acknowledge the frame as a long-term reference.
    pub long_term_reference: bool,
}

/// How a frame lies in its datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameLayout {
    blocks: [BlockLayout; MAX_BLOCKS],
    block_count: usize,
    last_payload_len: u16,
}

/// One block of a frame: its data datagrams, then its parity datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BlockLayout {
    /// Data packets, 1..=1023.
    pub data: u16,
    /// Parity packets, 0..=254.
    pub parity: u16,
    /// The percentage in the headers.
    pub percentage: FecPercentage,
}

impl FrameLayout {
    /// The blocks, in order of sending.
    pub fn blocks(&self) -> &[BlockLayout] {
        &self.blocks[..self.block_count]
    }

    /// Data packets of the frame.
    pub fn data_packets(&self) -> usize {
        self.blocks().iter().map(|block| usize::from(block.data)).sum()
    }

    /// Parity packets of the frame.
    pub fn parity_packets(&self) -> usize {
        self.blocks().iter().map(|block| usize::from(block.parity)).sum()
    }

    /// All packets of the frame.
    pub fn datagrams(&self) -> usize {
        self.data_packets() + self.parity_packets()
    }

    /// Payload bytes used in the last data packet; the frame header counts.
    pub fn last_payload_len(&self) -> u16 {
        self.last_payload_len
    }
}

/// Why a frame could not be packetized. Nothing was consumed: no sequence number, no nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PacketizeError {
    /// No bytes.
    #[error("frame {0:?} is empty")]
    EmptyFrame(FrameIndex),
    /// Frame 0, which every client drops.
    #[error("frame 0 would be dropped by the client; frames count from 1")]
    FrameZero,
    /// More bytes than four blocks with parity hold. Drop the frame, ask the encoder for less, repair the references.
    #[error("a frame of {bytes} bytes passes the limit of {max}: it could not be protected")]
    PastBlockLimit {
        /// Size of the frame.
        bytes: usize,
        /// What [`Packetizer::max_frame_bytes`] says.
        max: usize,
    },
}

/// Makes video datagrams of frames. One per stream; it owns the packet counters.
#[derive(Debug)]
pub struct Packetizer {
    config: PacketizerConfig,
    counters: PacketCounters,
    codec: Codec,
}

impl Packetizer {
    /// A packetizer for a new stream: all counters at 0.
    pub fn new(config: PacketizerConfig) -> Self {
        Self::resume(config, PacketCounters::default())
    }

    /// A packetizer that goes on where another one of the same stream ended.
    pub fn resume(config: PacketizerConfig, counters: PacketCounters) -> Self {
        Self { config, counters, codec: Codec::new(1, 1).expect("1 + 1 shards are a valid shape") }
    }

    /// Where the next packet stands.
    pub fn counters(&self) -> PacketCounters {
        self.counters
    }

    /// Replaces the parity rule, from the next frame on.
    pub fn set_parity(&mut self, parity: ParityPolicy) {
        self.config.parity = parity;
    }

    /// Bytes of every datagram.
    pub fn datagram_len(&self) -> usize {
        self.config.packet_size.datagram_len(self.sealing())
    }

    /// Largest encoded frame, in bytes, that can be sent at the current parity.
    pub fn max_frame_bytes(&self) -> usize {
        let percentage = self.config.parity.percentage();
        if percentage == FecPercentage::OFF || self.config.oversize == Oversize::Unprotected {
            MAX_BLOCKS * MAX_DATA_SHARDS_WITHOUT_FEC * self.config.packet_size.payload_len() - FRAME_HEADER_LEN
        } else {
            percentage.max_frame_bytes(self.config.packet_size.get() as usize)
        }
    }

    /// Writes all datagrams of `frame` into `arena`, in the order in which they must be sent.
    ///
    /// # Errors
    /// [`PacketizeError`]; the content of `arena` is then unspecified.
    pub fn packetize(
        &mut self,
        frame: &FrameToSend<'_>,
        arena: &mut PacketArena,
    ) -> Result<FrameLayout, PacketizeError> {
        let layout = self.plan(frame)?;
        arena.prepare(self.datagram_len(), layout.datagrams());
        let stride = arena.stride();

        let header = FrameHeader {
            host_latency: frame.host_latency,
            kind: Some(frame.kind),
            last_payload_len: layout.last_payload_len,
        };
        let mut body = Body { header: &header.to_bytes(), data: frame.data };
        let mut rest = arena.bytes_mut();
        for (index, &block) in (0u8..).zip(layout.blocks()) {
            let (bytes, after) = rest.split_at_mut(usize::from(block.data + block.parity) * stride);
            let position =
                BlockPosition::new(index, layout.block_count as u8 - 1).expect("a frame has at most four blocks");
            self.write_block(frame, block, position, &mut body, bytes, stride);
            rest = after;
        }
        Ok(layout)
    }

    fn sealing(&self) -> Sealing {
        if self.config.encryption.is_some() { Sealing::Sealed } else { Sealing::Clear }
    }

    /// Where the shard starts in its datagram.
    fn prefix_len(&self) -> usize {
        self.datagram_len() - self.config.packet_size.shard_len()
    }

    fn plan(&self, frame: &FrameToSend<'_>) -> Result<FrameLayout, PacketizeError> {
        if frame.data.is_empty() {
            return Err(PacketizeError::EmptyFrame(frame.index));
        }
        if frame.index.0 == 0 {
            return Err(PacketizeError::FrameZero);
        }
        let unit = self.config.packet_size.payload_len();
        let length = FRAME_HEADER_LEN + frame.data.len();
        let packets = length.div_ceil(unit);
        let past_limit = PacketizeError::PastBlockLimit { bytes: frame.data.len(), max: self.max_frame_bytes() };
        let split = FrameSplit::new(packets, self.config.parity.percentage()).map_err(|error| match error {
            SplitError::EmptyFrame => PacketizeError::EmptyFrame(frame.index),
            SplitError::FrameTooLarge { .. } => past_limit,
        })?;
        if split.percentage() != self.config.parity.percentage() && self.config.oversize == Oversize::Refuse {
            return Err(past_limit);
        }

        let last_payload_len = (length - (packets - 1) * unit) as u16;
        let mut layout = FrameLayout {
            blocks: [BlockLayout::default(); MAX_BLOCKS],
            block_count: split.block_count(),
            last_payload_len,
        };
        for (block, data) in layout.blocks.iter_mut().zip(split.blocks()) {
            let parity = self.config.parity.block(data, split.percentage());
            *block = BlockLayout { data: data as u16, parity: parity.shards as u16, percentage: parity.percentage };
        }
        Ok(layout)
    }

    /// Fills the datagrams of one block: what parity protects, parity, the rest of the headers, encryption.
    fn write_block(
        &mut self,
        frame: &FrameToSend<'_>,
        block: BlockLayout,
        position: BlockPosition,
        body: &mut Body<'_>,
        bytes: &mut [u8],
        stride: usize,
    ) {
        let prefix = self.prefix_len();
        let first = self.counters.sequence;
        let header_of = |index: u16| {
            let counter = first.wrapping_add(index.into());
            ShardHeader {
                sequence: SequenceNumber(counter as u16),
                timestamp: frame.timestamp_90k,
                stream_packet_index: StreamPacketIndex::new(counter),
                frame: frame.index,
                flags: PacketFlags::of_data(index, block.data),
                long_term_reference: frame.long_term_reference,
                block: position,
                fec: FecInfo::new(block.data, ShardIndex(index), block.percentage)
                    .expect("a block has at most 1023 shards"),
            }
        };

        for (index, datagram) in (0..block.data).zip(bytes.chunks_exact_mut(stride)) {
            let (before, shard) = datagram.split_at_mut(prefix);
            before.fill(0);
            let (header, payload) = split_header(shard);
            header_of(index).write_protected(header);
            body.take_into(payload);
        }
        if block.parity > 0 {
            let (data, parity) = (usize::from(block.data), usize::from(block.parity));
            if (self.codec.data_shards(), self.codec.parity_shards()) != (data, parity) {
                self.codec.reset(data, parity).expect("the parity policy keeps blocks within 255 shards");
            }
            // Over whole datagrams: the zeros of prefix and RTP header add nothing to parity, and aligned rows of
            // full length cost less than shorter ones that start in the middle of a cache line.
            let rows = Strided { stride, offset: 0, len: stride };
            self.codec.encode_strided(bytes, rows).expect("the arena was made for these shards");
        }
        for (index, datagram) in (0..).zip(bytes.chunks_exact_mut(stride)) {
            header_of(index).patch(split_header(&mut datagram[prefix..]).0);
            if let Some(key) = &self.config.encryption {
                seal_datagram(key, self.counters.nonce, frame.index, datagram);
                self.counters.nonce += 1;
            }
        }
        self.counters.sequence = first.wrapping_add(u64::from(block.data) + u64::from(block.parity));
    }
}

fn split_header(shard: &mut [u8]) -> (&mut [u8; SHARD_HEADER_LEN], &mut [u8]) {
    shard.split_first_chunk_mut().expect("a shard is longer than its headers")
}

/// What is left of a frame to be put into packets.
struct Body<'a> {
    header: &'a [u8],
    data: &'a [u8],
}

impl Body<'_> {
    /// Moves on by one packet's payload; zeroes what the frame does not fill.
    fn take_into(&mut self, payload: &mut [u8]) {
        let (head, payload) = payload.split_at_mut(self.header.len());
        head.copy_from_slice(self.header);
        self.header = &[];
        let (taken, left) = self.data.split_at(self.data.len().min(payload.len()));
        let (filled, padding) = payload.split_at_mut(taken.len());
        filled.copy_from_slice(taken);
        padding.fill(0);
        self.data = left;
    }
}

// A sealed datagram is its shard and the prefix; nothing else may stand before a shard.
const _: () = assert!(PREFIX_LEN == 32);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fec::block_plan::BlockParity;

    fn config(percent: u8) -> PacketizerConfig {
        PacketizerConfig {
            packet_size: PacketSize::new(64).expect("in range"),
            parity: ParityPolicy::fixed(FecPercentage::new(percent), 2),
            encryption: None,
            oversize: Oversize::Refuse,
        }
    }

    fn frame(data: &[u8]) -> FrameToSend<'_> {
        FrameToSend {
            data,
            index: FrameIndex::FIRST,
            kind: FrameKind::Idr,
            timestamp_90k: 90_000,
            host_latency: HostLatency(123),
            long_term_reference: false,
        }
    }

    #[test]
    fn the_largest_frame_fits_and_one_byte_more_is_refused_without_consuming_numbers() {
        for percent in [5, 20, 100, 255] {
            let mut packetizer = Packetizer::new(config(percent));
            let mut arena = PacketArena::new();
            let max = packetizer.max_frame_bytes();
            let data = vec![1; max + 1];
            assert_eq!(
                packetizer.packetize(&frame(&data), &mut arena),
                Err(PacketizeError::PastBlockLimit { bytes: max + 1, max })
            );
            assert_eq!(packetizer.counters(), PacketCounters::default());
            let layout = packetizer.packetize(&frame(&data[..max]), &mut arena).expect("fits");
            assert_eq!(layout.blocks().len(), 4);
            assert!(layout.blocks().iter().all(|block| block.parity > 0));
            assert_eq!(packetizer.counters().sequence, layout.datagrams() as u64);
        }
    }

    #[test]
    fn without_parity_the_limit_is_what_the_headers_can_say() {
        let mut packetizer = Packetizer::new(config(0));
        let max = packetizer.max_frame_bytes();
        assert_eq!(max, 4 * 1023 * 48 - 8);
        let data = vec![1; max + 1];
        assert!(packetizer.packetize(&frame(&data), &mut PacketArena::new()).is_err());
        let layout = packetizer.packetize(&frame(&data[..max]), &mut PacketArena::new()).expect("fits");
        assert_eq!((layout.data_packets(), layout.parity_packets()), (4092, 0));
    }

    #[test]
    fn a_smaller_frame_leaves_nothing_of_a_larger_one_in_the_arena() {
        let mut used = PacketArena::new();
        let mut packetizer = Packetizer::new(config(20));
        packetizer.packetize(&frame(&[0xFF; 5000]), &mut used).expect("fits");
        let counters = packetizer.counters();
        packetizer.packetize(&frame(&[1; 70]), &mut used).expect("fits");

        let mut fresh = PacketArena::new();
        Packetizer::resume(config(20), counters).packetize(&frame(&[1; 70]), &mut fresh).expect("fits");
        assert_eq!(used.as_bytes(), fresh.as_bytes());
    }

    #[test]
    fn every_packet_of_a_block_says_what_the_client_needs_to_compute_the_parity_count() {
        let mut packetizer = Packetizer::new(config(20));
        let mut arena = PacketArena::new();
        for bytes in (1..9000).step_by(37) {
            let data = vec![3; bytes];
            let layout = packetizer.packetize(&frame(&data), &mut arena).expect("fits");
            let mut datagrams = arena.datagrams();
            for block in layout.blocks() {
                for (index, datagram) in (0..block.data + block.parity).zip(&mut datagrams) {
                    let header = ShardHeader::parse(datagram).expect("own header");
                    assert_eq!(header.fec.parity_shards(), usize::from(block.parity));
                    assert_eq!(header.fec.data_shards(), block.data);
                    assert_eq!(header.fec.shard_index(), ShardIndex(index));
                }
            }
            assert_eq!(datagrams.count(), 0);
        }
    }

    #[test]
    fn a_changed_parity_policy_holds_from_the_next_frame_on() {
        let mut packetizer = Packetizer::new(config(20));
        let mut arena = PacketArena::new();
        packetizer.set_parity(ParityPolicy::fixed(FecPercentage::new(100), 0));
        let layout = packetizer.packetize(&frame(&[1; 300]), &mut arena).expect("fits");
        let expected = BlockParity::for_block(7, FecPercentage::new(100), 0);
        assert_eq!(layout.parity_packets(), expected.shards);
    }
}
