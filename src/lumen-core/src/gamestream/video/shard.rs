//! The 32 bytes of headers at the start of every shard (protocol part 2, sections 1.2 to 1.4).
//!
//! In parity shards only some of these bytes are headers; the rest is parity that must survive untouched (section
//! 2.2). So writing is in two steps: what the code protects, before parity is computed, and what is patched into
//! data and parity shards alike, afterwards.

use super::{FrameIndex, SequenceNumber};
use crate::fec::block_plan::FecPercentage;

/// Bytes of RTP header, extension space and video header.
pub const SHARD_HEADER_LEN: usize = 32;

/// RTP version 2 with the extension bit, which every client assumes.
const RTP_FLAGS: u8 = 0x90;
/// The bit of [`RTP_FLAGS`] that says that the 4 extra bytes are there.
const RTP_EXTENSION: u8 = 0x10;
/// Constant of every data packet; nothing reads it.
const MULTI_FEC_FLAGS: u8 = 0x10;
/// Bit of the extra flags byte: the frame is a long-term reference.
const LONG_TERM_REFERENCE: u8 = 0x01;

/// Position of a shard in its block: data first, then parity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardIndex(pub u16);

/// The 24-bit packet counter of the video header; consecutive data packets of a block rise by 1 (section 1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StreamPacketIndex(u32);

impl StreamPacketIndex {
    const MASK: u32 = 0x00FF_FFFF;

    /// The low 24 bits of a wide packet counter.
    pub const fn new(counter: u64) -> Self {
        Self(counter as u32 & Self::MASK)
    }

    /// The number, below 2^24.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The counter `packets` further on.
    pub const fn plus(self, packets: u16) -> Self {
        Self((self.0 + packets as u32) & Self::MASK)
    }

    /// The counter `packets` earlier.
    pub const fn minus(self, packets: u16) -> Self {
        Self(self.0.wrapping_sub(packets as u32) & Self::MASK)
    }

    /// Whether this counter comes before `other`, by wrapping arithmetic.
    pub const fn is_before(self, other: Self) -> bool {
        super::is_before(self.0, other.0, 24)
    }
}

/// The flags byte of a data packet. In a parity packet this byte is parity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PacketFlags(pub u8);

impl PacketFlags {
    /// The packet holds picture data.
    pub const PICTURE: u8 = 0x01;
    /// Last data packet of its block.
    pub const END: u8 = 0x02;
    /// First data packet of its block.
    pub const START: u8 = 0x04;

    /// The flags of data packet `index` in a block of `data` packets.
    pub const fn of_data(index: u16, data: u16) -> Self {
        let start = if index == 0 { Self::START } else { 0 };
        let end = if index + 1 == data { Self::END } else { 0 };
        Self(Self::PICTURE | start | end)
    }

    /// The client's test of data packet `index` in a block of `data`: start on the first, end on the last, picture
    /// between them, no other bits (section 2.2).
    pub fn fits_data(self, index: u16, data: u16) -> bool {
        let first = index == 0;
        let last = index + 1 == data;
        self.0 & !(Self::PICTURE | Self::END | Self::START) == 0
            && (!first || self.0 & Self::START != 0)
            && (!last || self.0 & Self::END != 0)
            && (first || last || self.0 & Self::PICTURE != 0)
    }
}

/// A number that does not fit its header field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field} {value} does not fit its header field")]
pub struct FieldOverflow {
    /// The field.
    pub field: &'static str,
    /// The number.
    pub value: u32,
}

/// Which block of its frame a packet belongs to: 2 bits for the index, 2 for the last index (section 1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlockPosition {
    index: u8,
    last: u8,
}

impl BlockPosition {
    /// Block `index` of blocks `0..=last`.
    ///
    /// # Errors
    /// [`FieldOverflow`] if `last` is above 3 or `index` is above `last`.
    pub fn new(index: u8, last: u8) -> Result<Self, FieldOverflow> {
        if last > 3 {
            return Err(FieldOverflow { field: "last block", value: last.into() });
        }
        if index > last {
            return Err(FieldOverflow { field: "block", value: index.into() });
        }
        Ok(Self { index, last })
    }

    /// Position of the block in its frame, 0..=3.
    pub const fn index(self) -> u8 {
        self.index
    }

    /// Position of the frame's last block, 0..=3.
    pub const fn last(self) -> u8 {
        self.last
    }

    /// Whether the frame ends with this block.
    pub const fn is_last(self) -> bool {
        self.index == self.last
    }

    /// The `multiFecBlocks` byte.
    pub const fn to_byte(self) -> u8 {
        self.index << 4 | self.last << 6
    }

    /// Reads the `multiFecBlocks` byte; the low nibble is ignored.
    ///
    /// # Errors
    /// [`FieldOverflow`] if the block comes after the last one.
    pub fn from_byte(byte: u8) -> Result<Self, FieldOverflow> {
        Self::new(byte >> 4 & 3, byte >> 6)
    }
}

/// Shape of a block and a shard's place in it: the `fecInfo` word (section 1.4). The parity count is not in it; the
/// client computes it from the percentage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FecInfo {
    data_shards: u16,
    shard_index: u16,
    percentage: FecPercentage,
}

impl FecInfo {
    const MAX: u16 = 1023;

    /// Shard `shard_index` of a block of `data_shards` data shards.
    ///
    /// # Errors
    /// [`FieldOverflow`] if one of the two is above 1023.
    pub fn new(data_shards: u16, shard_index: ShardIndex, percentage: FecPercentage) -> Result<Self, FieldOverflow> {
        for (field, value) in [("data shards", data_shards), ("shard index", shard_index.0)] {
            if value > Self::MAX {
                return Err(FieldOverflow { field, value: value.into() });
            }
        }
        Ok(Self { data_shards, shard_index: shard_index.0, percentage })
    }

    /// Data shards of the block, 0..=1023; 0 comes only from a bad peer.
    pub const fn data_shards(self) -> u16 {
        self.data_shards
    }

    /// The shard's place in the block.
    pub const fn shard_index(self) -> ShardIndex {
        ShardIndex(self.shard_index)
    }

    /// The percentage that the parity count follows from.
    pub const fn percentage(self) -> FecPercentage {
        self.percentage
    }

    /// Parity shards of the block as the client computes them, 0..=2609.
    pub const fn parity_shards(self) -> usize {
        self.percentage.parity(self.data_shards as usize)
    }

    /// Whether the shard is data.
    pub const fn is_data(self) -> bool {
        self.shard_index < self.data_shards
    }

    /// The 4 bytes of the header, little-endian.
    pub const fn to_bytes(self) -> [u8; 4] {
        ((self.data_shards as u32) << 22 | (self.shard_index as u32) << 12 | (self.percentage.get() as u32) << 4)
            .to_le_bytes()
    }

    /// Reads the 4 bytes of the header; the low 4 bits are ignored.
    pub const fn from_bytes(bytes: [u8; 4]) -> Self {
        let word = u32::from_le_bytes(bytes);
        Self {
            data_shards: (word >> 22) as u16,
            shard_index: (word >> 12) as u16 & Self::MAX,
            percentage: FecPercentage::new((word >> 4) as u8),
        }
    }
}

/// Why the start of a datagram is no shard header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShardHeaderError {
    /// Fewer than [`SHARD_HEADER_LEN`] bytes.
    #[error("{0} bytes are too short for the headers of a video packet")]
    Truncated(usize),
    /// The RTP version is not 2, or the 4 bytes that must follow the RTP header are not announced.
    #[error("RTP flags {0:#04x} are not those of a video packet")]
    RtpFlags(u8),
    /// The block index is above the last block's index.
    #[error(transparent)]
    Block(#[from] FieldOverflow),
}

/// All that the headers of a shard say. In a parity shard, `stream_packet_index`, `flags` and `long_term_reference`
/// are parity bytes and mean nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardHeader {
    /// RTP sequence number, over data and parity.
    pub sequence: SequenceNumber,
    /// 90 kHz capture clock.
    pub timestamp: u32,
    /// Packet counter.
    pub stream_packet_index: StreamPacketIndex,
    /// The frame that the packet belongs to.
    pub frame: FrameIndex,
    /// First, last, picture.
    pub flags: PacketFlags,
    /// Whether the client shall acknowledge the frame as a long-term reference.
    pub long_term_reference: bool,
    /// Block of the frame.
    pub block: BlockPosition,
    /// Shape of the block.
    pub fec: FecInfo,
}

impl ShardHeader {
    /// Reads the headers of `shard`.
    ///
    /// # Errors
    /// [`ShardHeaderError`]; the packet is then to be dropped.
    pub fn parse(shard: &[u8]) -> Result<Self, ShardHeaderError> {
        let header: &[u8; SHARD_HEADER_LEN] = shard.first_chunk().ok_or(ShardHeaderError::Truncated(shard.len()))?;
        if header[0] >> 6 != RTP_FLAGS >> 6 || header[0] & RTP_EXTENSION == 0 {
            return Err(ShardHeaderError::RtpFlags(header[0]));
        }
        Ok(Self {
            sequence: SequenceNumber(u16::from_be_bytes([header[2], header[3]])),
            timestamp: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
            stream_packet_index: Self::stream_packet_index_of(header),
            frame: FrameIndex(u32::from_le_bytes([header[20], header[21], header[22], header[23]])),
            flags: PacketFlags(header[24]),
            long_term_reference: header[25] & LONG_TERM_REFERENCE != 0,
            block: BlockPosition::from_byte(header[27])?,
            fec: FecInfo::from_bytes([header[28], header[29], header[30], header[31]]),
        })
    }

    /// The packet counter of a data shard, also of a rebuilt one, whose other headers are lost.
    pub(crate) const fn stream_packet_index_of(header: &[u8; SHARD_HEADER_LEN]) -> StreamPacketIndex {
        StreamPacketIndex(u32::from_le_bytes([header[16], header[17], header[18], header[19]]) >> 8)
    }

    /// The flags of a data shard, also of a rebuilt one.
    pub(crate) const fn flags_of(header: &[u8; SHARD_HEADER_LEN]) -> PacketFlags {
        PacketFlags(header[24])
    }

    /// The long-term reference mark of a data shard, also of a rebuilt one.
    pub(crate) const fn long_term_reference_of(header: &[u8; SHARD_HEADER_LEN]) -> bool {
        header[25] & LONG_TERM_REFERENCE != 0
    }

    /// Writes all headers of a data shard.
    pub fn write(&self, header: &mut [u8; SHARD_HEADER_LEN]) {
        self.write_protected(header);
        self.patch(header);
    }

    /// Writes what parity protects, into a data shard, and zeroes the rest; step 1 of section 2.2.
    pub(crate) fn write_protected(&self, header: &mut [u8; SHARD_HEADER_LEN]) {
        header[..16].fill(0);
        header[16..20].copy_from_slice(&(self.stream_packet_index.get() << 8).to_le_bytes());
        header[20..24].copy_from_slice(&self.frame.0.to_le_bytes());
        header[24] = self.flags.0;
        header[25] = if self.long_term_reference { LONG_TERM_REFERENCE } else { 0 };
        header[26] = MULTI_FEC_FLAGS;
        header[27] = self.block.to_byte();
        header[28..].fill(0);
    }

    /// Writes what is not protected, into a data or parity shard; step 3 of section 2.2.
    pub(crate) fn patch(&self, header: &mut [u8; SHARD_HEADER_LEN]) {
        header[..16].fill(0);
        header[0] = RTP_FLAGS;
        header[2..4].copy_from_slice(&self.sequence.0.to_be_bytes());
        header[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        header[20..24].copy_from_slice(&self.frame.0.to_le_bytes());
        header[27] = self.block.to_byte();
        header[28..].copy_from_slice(&self.fec.to_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn packets_without_the_extension_bytes_are_refused() {
        let mut shard = [0; SHARD_HEADER_LEN];
        assert_eq!(ShardHeader::parse(&shard), Err(ShardHeaderError::RtpFlags(0)));
        shard[0] = 0x80;
        assert_eq!(ShardHeader::parse(&shard), Err(ShardHeaderError::RtpFlags(0x80)));
        shard[0] = RTP_FLAGS;
        assert!(ShardHeader::parse(&shard).is_ok());
        assert_eq!(ShardHeader::parse(&shard[..31]), Err(ShardHeaderError::Truncated(31)));
    }

    #[test]
    fn a_block_after_the_last_is_refused() {
        let mut shard = [0; SHARD_HEADER_LEN];
        shard[0] = RTP_FLAGS;
        shard[27] = 2 << 4 | 1 << 6;
        assert!(matches!(ShardHeader::parse(&shard), Err(ShardHeaderError::Block(_))));
    }

    #[test]
    fn written_flags_pass_the_clients_test_and_others_do_not() {
        for data in 1..=5 {
            for index in 0..data {
                assert!(PacketFlags::of_data(index, data).fits_data(index, data));
                assert!(!PacketFlags(0x08).fits_data(index, data));
                assert!(!PacketFlags(0).fits_data(index, data));
            }
        }
    }

    proptest! {
        #[test]
        fn headers_round_trip(
            sequence: u16, timestamp: u32, counter: u64, frame: u32, flags: u8, long_term_reference: bool,
            last in 0u8..4, index in 0u8..4, data_shards in 0u16..1024, shard in 0u16..1024, percent: u8,
            mut bytes: [u8; SHARD_HEADER_LEN],
        ) {
            let header = ShardHeader {
                sequence: SequenceNumber(sequence),
                timestamp,
                stream_packet_index: StreamPacketIndex::new(counter),
                frame: FrameIndex(frame),
                flags: PacketFlags(flags),
                long_term_reference,
                block: BlockPosition::new(index.min(last), last).expect("in range"),
                fec: FecInfo::new(data_shards, ShardIndex(shard), FecPercentage::new(percent)).expect("in range"),
            };
            header.write(&mut bytes);
            prop_assert_eq!(ShardHeader::parse(&bytes), Ok(header));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = ShardHeader::parse(&bytes);
        }
    }
}
