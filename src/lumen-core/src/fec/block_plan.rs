//! How a frame is cut into FEC blocks and how much parity each block gets (protocol part 2, sections 2.3 and 2.4).
//!
//! The client never learns a parity count: it derives it from the number of data shards and the percentage in the
//! packet header, rounding up. The parity count enters every coefficient of the code, so host and client must agree
//! exactly; all rules here are integer arithmetic that reproduces what the client computes. Pure functions, no state.

use std::fmt;

use thiserror::Error;

use super::gf8::MAX_SHARDS;

/// Most blocks that one frame can have: the block index is a 2-bit field.
pub const MAX_BLOCKS: usize = 4;

/// Most data shards that one block can have when it carries no parity: the count is a 10-bit field.
pub const MAX_DATA_SHARDS_WITHOUT_FEC: usize = 1023;

/// Bytes of the NV video header inside each packet of `packetSize` bytes.
const VIDEO_HEADER: usize = 16;

/// Bytes of the frame header at the start of each frame's payload.
const FRAME_HEADER: usize = 8;

/// Parity in percent of the data shards of a block, 0..=255; 0 means no parity at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct FecPercentage(u8);

impl FecPercentage {
    /// No parity.
    pub const OFF: Self = Self(0);

    /// A percentage of 0..=255.
    pub const fn new(percent: u8) -> Self {
        Self(percent)
    }

    /// The value of the 8-bit header field.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Parity shards that a client computes for a block of `data` shards: `data`·percent/100, rounded up.
    pub const fn parity(self, data: usize) -> usize {
        data.saturating_mul(self.0 as usize).div_ceil(100)
    }

    /// Most data shards of a block that leaves room for its parity, 71..=255.
    pub const fn max_data_shards(self) -> usize {
        MAX_SHARDS * 100 / (100 + self.0 as usize)
    }

    /// Most data packets of a frame that still gets parity: [`MAX_BLOCKS`] full blocks.
    pub const fn max_frame_packets(self) -> usize {
        MAX_BLOCKS * self.max_data_shards()
    }

    /// Most codec bytes of a frame that still gets parity, when each packet has `packet_size` bytes (the negotiated
    /// size, which counts the 16-byte video header but not the 16 bytes of RTP).
    pub const fn max_frame_bytes(self, packet_size: usize) -> usize {
        (self.max_frame_packets() * packet_size.saturating_sub(VIDEO_HEADER)).saturating_sub(FRAME_HEADER)
    }
}

impl Default for FecPercentage {
    /// 20 %, what GameStream hosts use.
    fn default() -> Self {
        Self(20)
    }
}

impl fmt::Display for FecPercentage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.0)
    }
}

/// Parity of one block: the count and the percentage that makes the client compute that same count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlockParity {
    /// Parity shards.
    pub shards: usize,
    /// What the header says.
    pub percentage: FecPercentage,
}

impl BlockParity {
    /// Parity of a block of `data` shards at a configured percentage, raised to the client's wish for at least
    /// `min_required` shards (`x-nv-vqos[0].fec.minRequiredFecPackets`). The wish is met where the rule of section 2.3
    /// can express it; from 3 upwards it may round to one less. No percentage and no data mean no parity.
    pub fn for_block(data: usize, percentage: FecPercentage, min_required: u8) -> Self {
        let min_required = usize::from(min_required);
        let shards = percentage.parity(data);
        if percentage == FecPercentage::OFF || data == 0 || shards >= min_required {
            return Self { shards, percentage };
        }
        let percentage = FecPercentage(clamp_percent(100 * min_required / data));
        Self { shards: percentage.parity(data), percentage }
    }

    /// The percentage that stands for exactly `parity` shards beside `data` shards.
    ///
    /// # Errors
    /// [`NotRepresentable`] if no percentage of 0..=255 gives this count; the caller then takes another one.
    pub fn exactly(data: usize, parity: usize) -> Result<Self, NotRepresentable> {
        let floor = parity.saturating_mul(100).checked_div(data).map_or(0, clamp_percent);
        [Some(floor), floor.checked_add(1)]
            .into_iter()
            .flatten()
            .map(FecPercentage)
            .find(|percentage| percentage.parity(data) == parity)
            .map(|percentage| Self { shards: parity, percentage })
            .ok_or(NotRepresentable { data, parity })
    }

    /// The smallest parity that a header can express for `data` shards and that has at least `parity` shards; none if
    /// that exceeds 255 % or 255 shards in all.
    pub fn at_least(data: usize, parity: usize) -> Option<Self> {
        let limit = MAX_SHARDS.checked_sub(data)?;
        (parity..=limit).find_map(|parity| Self::exactly(data, parity).ok())
    }
}

/// No header percentage makes the client compute this parity count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no percentage stands for {parity} parity shards beside {data} data shards")]
pub struct NotRepresentable {
    /// Data shards of the block.
    pub data: usize,
    /// Parity shards wanted.
    pub parity: usize,
}

/// How the data packets of a frame are spread over its blocks: all blocks equal, the last one takes what is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FrameSplit {
    packets: usize,
    per_block: usize,
    percentage: FecPercentage,
}

impl FrameSplit {
    /// Splits a frame of `packets` data packets (section 2.4). A frame that needs more than [`MAX_BLOCKS`] blocks at
    /// this percentage gets no parity at all.
    ///
    /// # Errors
    /// [`SplitError`] for no packets, and for more than four blocks of 1023.
    pub fn new(packets: usize, percentage: FecPercentage) -> Result<Self, SplitError> {
        if packets == 0 {
            return Err(SplitError::EmptyFrame);
        }
        let blocks = packets.div_ceil(percentage.max_data_shards());
        let (blocks, percentage) =
            if blocks > MAX_BLOCKS { (MAX_BLOCKS, FecPercentage::OFF) } else { (blocks, percentage) };
        let per_block = packets.div_ceil(blocks);
        if per_block > MAX_DATA_SHARDS_WITHOUT_FEC {
            return Err(SplitError::FrameTooLarge { packets });
        }
        Ok(Self { packets, per_block, percentage })
    }

    /// The percentage in force for this frame: the configured one, or [`FecPercentage::OFF`] if the frame is too large.
    pub fn percentage(&self) -> FecPercentage {
        self.percentage
    }

    /// Number of blocks, 1..=4.
    pub fn block_count(&self) -> usize {
        self.packets.div_ceil(self.per_block)
    }

    /// Data packets of each block in order; never 0.
    pub fn blocks(&self) -> impl ExactSizeIterator<Item = usize> + use<> {
        let Self { packets, per_block, .. } = *self;
        (0..self.block_count()).map(move |block| per_block.min(packets - block * per_block))
    }
}

/// A frame that cannot be expressed in packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SplitError {
    /// No packets.
    #[error("a frame needs at least one packet")]
    EmptyFrame,
    /// More than four blocks of 1023 packets.
    #[error(
        "a frame of {packets} packets is too large: four blocks of 1023 are the limit; drop it and ask the encoder for less"
    )]
    FrameTooLarge {
        /// Data packets of the frame.
        packets: usize,
    },
}

fn clamp_percent(percent: usize) -> u8 {
    u8::try_from(percent).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_client_agree_on_every_parity_count() {
        for percent in 0..=255 {
            let percentage = FecPercentage::new(percent);
            for data in 1..=percentage.max_data_shards() {
                for min_required in 0..=4 {
                    let block = BlockParity::for_block(data, percentage, min_required);
                    assert_eq!(block.percentage.parity(data), block.shards);
                    if min_required <= 2 && percent > 0 {
                        assert!(block.shards >= usize::from(min_required), "{data} {percent} {min_required}");
                    }
                }
            }
        }
    }

    #[test]
    fn full_blocks_fit_the_code() {
        for percent in 0..=255 {
            let percentage = FecPercentage::new(percent);
            let data = percentage.max_data_shards();
            assert!(data + percentage.parity(data) <= MAX_SHARDS);
        }
    }

    #[test]
    fn exact_parity_is_found_whenever_any_percentage_gives_it() {
        for data in 1..=255 {
            for parity in 0..=255 {
                let any = (0..=255).any(|percent| FecPercentage::new(percent).parity(data) == parity);
                assert_eq!(BlockParity::exactly(data, parity).is_ok(), any, "{data}+{parity}");
            }
        }
    }

    #[test]
    fn at_least_takes_the_next_representable_count() {
        assert_eq!(BlockParity::at_least(200, 3).map(|block| block.shards), Some(4));
        assert_eq!(BlockParity::at_least(1, 3).map(|block| block.shards), Some(3));
        assert_eq!(BlockParity::at_least(1, 4), None);
        assert_eq!(BlockParity::at_least(256, 0), None);
    }

    #[test]
    fn blocks_add_up_to_the_frame() {
        for packets in 1..=4092 {
            let split = FrameSplit::new(packets, FecPercentage::default()).expect("fits");
            assert_eq!(split.blocks().sum::<usize>(), packets);
            assert!(split.block_count() <= MAX_BLOCKS && split.blocks().all(|block| block > 0));
        }
    }

    #[test]
    fn extreme_arguments_do_not_overflow() {
        let most = FecPercentage::new(255);
        assert!(most.parity(usize::MAX) > 0);
        assert_eq!(BlockParity::for_block(0, most, 9).shards, 0);
        assert!(BlockParity::exactly(0, 3).is_err());
        assert!(BlockParity::exactly(3, usize::MAX).is_err());
        assert!(FrameSplit::new(usize::MAX, most).is_err());
        assert_eq!(most.max_frame_bytes(0), 0);
    }
}
