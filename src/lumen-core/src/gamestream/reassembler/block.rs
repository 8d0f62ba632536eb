//! The block in work: which of its packets are here, and the rebuilding of those that are not.

use super::DropReason;
use crate::fec::block_plan::FecPercentage;
use crate::fec::gf8::{Codec, ShardSet, Strided};
use crate::gamestream::control::FrameFecStatus;
use crate::gamestream::video::{
    BlockPosition, FrameIndex, SHARD_HEADER_LEN, SequenceNumber, ShardHeader, StreamPacketIndex,
};

/// Most packets of a block: the index has 10 bits.
const MAX_PACKETS: usize = 1024;

/// One FEC block on its way to completeness. Its memory is kept from block to block.
#[derive(Debug)]
pub(super) struct Block {
    shard_len: usize,
    /// Packet `i` lies at `i · shard_len`.
    memory: Vec<u8>,
    codec: Codec,
    present: [u64; MAX_PACKETS / 64],
    shape: Option<Shape>,
    received_data: u16,
    received_parity: u16,
    highest: u16,
    /// The packet counter of data packet 0, once it is known from any data packet.
    counter: Option<StreamPacketIndex>,
    /// Parity led to impossible packets: only the data packets themselves can complete the block.
    parity_is_useless: bool,
}

/// What all packets of a block must agree in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    data: u16,
    parity: u16,
    percentage: FecPercentage,
    first_sequence: SequenceNumber,
    position: BlockPosition,
}

/// What an accepted packet was.
pub(super) struct Inserted {
    /// A packet of a later place arrived before it.
    pub(super) out_of_order: bool,
}

/// How far the block is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Packets are missing.
    Incomplete,
    /// All data is here.
    Complete {
        /// How much of it was rebuilt.
        recovered: u16,
    },
}

impl Block {
    pub(super) fn new(shard_len: usize) -> Self {
        Self {
            shard_len,
            memory: Vec::new(),
            codec: Codec::new(1, 1).expect("1 + 1 shards are a valid shape"),
            present: [0; MAX_PACKETS / 64],
            shape: None,
            received_data: 0,
            received_parity: 0,
            highest: 0,
            counter: None,
            parity_is_useless: false,
        }
    }

    /// Forgets everything but its memory.
    pub(super) fn clear(&mut self) {
        self.present = [0; MAX_PACKETS / 64];
        self.shape = None;
        (self.received_data, self.received_parity, self.highest) = (0, 0, 0);
        self.counter = None;
        self.parity_is_useless = false;
    }

    /// Takes a packet whose shape is possible and that is not longer than a shard. The first one decides what the
    /// block is.
    pub(super) fn insert(&mut self, header: &ShardHeader, shard: &[u8]) -> Result<Inserted, DropReason> {
        let index = header.fec.shard_index().0;
        let shape = Shape {
            data: header.fec.data_shards(),
            parity: header.fec.parity_shards() as u16,
            percentage: header.fec.percentage(),
            first_sequence: SequenceNumber(header.sequence.0.wrapping_sub(index)),
            position: header.block,
        };
        if self.shape.is_some_and(|known| known != shape) {
            return Err(DropReason::Inconsistent);
        }
        if self.contains(index) {
            return Err(DropReason::Duplicate);
        }
        if header.fec.is_data() {
            let counter = header.stream_packet_index.minus(index);
            if self.counter.is_some_and(|known| known != counter) {
                return Err(DropReason::Inconsistent);
            }
            self.counter = Some(counter);
            self.received_data += 1;
        } else {
            self.received_parity += 1;
        }

        if self.shape.is_none() {
            self.shape = Some(shape);
            let len = usize::from(shape.data + shape.parity) * self.shard_len;
            if self.memory.len() < len {
                self.memory.resize(len, 0);
            }
        }
        let (filled, missing) = self.slot(index).split_at_mut(shard.len());
        filled.copy_from_slice(shard);
        missing.fill(0);
        self.mark(index);
        let out_of_order = index < self.highest;
        self.highest = self.highest.max(index);
        Ok(Inserted { out_of_order })
    }

    /// Whether the block is complete now; rebuilds what is missing as soon as that is possible.
    pub(super) fn progress(&mut self) -> Progress {
        let Some(shape) = self.shape else { return Progress::Incomplete };
        let missing = shape.data - self.received_data;
        if missing == 0 {
            return Progress::Complete { recovered: 0 };
        }
        if self.received_parity < missing || self.parity_is_useless {
            return Progress::Incomplete;
        }
        if self.rebuild(shape).is_none() {
            self.parity_is_useless = true;
            return Progress::Incomplete;
        }
        Progress::Complete { recovered: missing }
    }

    /// Whether so many packets are missing below the highest one that parity cannot replace them, unless packets
    /// still arrive out of order.
    pub(super) fn is_beyond_repair(&self) -> bool {
        self.shape.is_some_and(|shape| self.missing_before_highest() > shape.parity)
    }

    /// The place of the last packet that is here.
    pub(super) fn highest(&self) -> u16 {
        self.highest
    }

    /// Data packets of the block; 0 before the first packet.
    pub(super) fn data_packets(&self) -> u16 {
        self.shape.map_or(0, |shape| shape.data)
    }

    /// The packet counter of the first data packet, and the one after the last.
    pub(super) fn counters(&self) -> Option<(StreamPacketIndex, StreamPacketIndex)> {
        self.counter.map(|first| (first, first.plus(self.data_packets())))
    }

    /// The payloads of all data packets, in order; call it on a complete block.
    pub(super) fn payloads(&self) -> impl Iterator<Item = &[u8]> {
        let bytes = usize::from(self.data_packets()) * self.shard_len;
        self.memory[..bytes].chunks_exact(self.shard_len).map(|shard| &shard[SHARD_HEADER_LEN..])
    }

    /// What data packet 0 of a complete block says about the frame.
    pub(super) fn long_term_reference(&self) -> bool {
        self.memory.first_chunk().is_some_and(ShardHeader::long_term_reference_of)
    }

    /// What a client reports about the block; none before its first packet.
    pub(super) fn status(&self, frame: FrameIndex) -> Option<FrameFecStatus> {
        let shape = self.shape?;
        let first_missing =
            (0..shape.data + shape.parity).find(|&index| !self.contains(index)).unwrap_or(shape.data + shape.parity);
        Some(FrameFecStatus {
            frame,
            highest_received: shape.first_sequence.plus(self.highest).0,
            next_contiguous: shape.first_sequence.plus(first_missing).0,
            missing_before_highest: self.missing_before_highest(),
            total_data: shape.data,
            total_parity: shape.parity,
            received_data: self.received_data,
            received_parity: self.received_parity,
            fec_percentage: shape.percentage.get(),
            block: shape.position.index(),
            block_count: shape.position.last() + 1,
        })
    }

    fn missing_before_highest(&self) -> u16 {
        match self.received_data + self.received_parity {
            0 => 0,
            received => self.highest + 1 - received,
        }
    }

    /// Restores the missing data packets. None if what comes out cannot be what was sent: then host and client
    /// disagree about the parity, or a packet was changed on its way.
    fn rebuild(&mut self, shape: Shape) -> Option<()> {
        let (data, parity) = (usize::from(shape.data), usize::from(shape.parity));
        if (self.codec.data_shards(), self.codec.parity_shards()) != (data, parity) {
            self.codec.reset(data, parity).ok()?;
        }
        let present: ShardSet = (0..data + parity).filter(|&index| self.contains(index as u16)).collect();
        let rows = Strided { stride: self.shard_len, offset: 0, len: self.shard_len };
        let restored = self.codec.reconstruct_strided(&mut self.memory, rows, &present).ok()?;
        let mut counter = self.counter;
        for index in restored.iter() {
            let header = self.memory[index * self.shard_len..].first_chunk()?;
            let index = index as u16;
            let own = ShardHeader::stream_packet_index_of(header).minus(index);
            if !ShardHeader::flags_of(header).fits_data(index, shape.data) || *counter.get_or_insert(own) != own {
                return None;
            }
        }
        self.counter = counter;
        Some(())
    }

    fn slot(&mut self, index: u16) -> &mut [u8] {
        &mut self.memory[usize::from(index) * self.shard_len..][..self.shard_len]
    }

    fn contains(&self, index: u16) -> bool {
        self.present[usize::from(index) / 64] >> (index % 64) & 1 == 1
    }

    fn mark(&mut self, index: u16) {
        self.present[usize::from(index) / 64] |= 1 << (index % 64);
    }
}
