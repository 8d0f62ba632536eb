//! The frame FEC status message (protocol part 2, section 2.5; part 3, section 2.4).

use crate::gamestream::video::FrameIndex;
use crate::reader::{Reader, Short};

/// How one FEC block fared at the client: it needed recovery, or was given up. Blocks without loss are not
/// reported. Numbers are as sent; nothing says that they agree with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct FrameFecStatus {
    /// The frame.
    pub frame: FrameIndex,
    /// Highest RTP sequence number that arrived.
    pub highest_received: u16,
    /// First RTP sequence number that did not arrive.
    pub next_contiguous: u16,
    /// Packets missing below the highest one.
    pub missing_before_highest: u16,
    /// Data shards of the block.
    pub total_data: u16,
    /// Parity shards of the block.
    pub total_parity: u16,
    /// Data shards that arrived.
    pub received_data: u16,
    /// Parity shards that arrived.
    pub received_parity: u16,
    /// Parity in percent of data.
    pub fec_percentage: u8,
    /// Number of the block in its frame, from 0.
    pub block: u8,
    /// Blocks of the frame.
    pub block_count: u8,
}

impl FrameFecStatus {
    /// Packets of the block.
    pub fn sent(&self) -> u32 {
        u32::from(self.total_data) + u32::from(self.total_parity)
    }

    /// Packets that did not arrive. A block that was repaired is spoken of at once, when its last packets are on their way.
    pub fn missing(&self) -> u32 {
        let received = u32::from(self.received_data) + u32::from(self.received_parity);
        if received >= u32::from(self.total_data) {
            u32::from(self.missing_before_highest)
        } else {
            self.sent().saturating_sub(received)
        }
    }

    /// Reads the 21 bytes of the payload. They are big endian, unlike the rest of the control stream.
    pub(super) fn read(payload: &mut Reader<'_>) -> Result<Self, Short> {
        Ok(Self {
            frame: FrameIndex(payload.u32_be()?),
            highest_received: payload.u16_be()?,
            next_contiguous: payload.u16_be()?,
            missing_before_highest: payload.u16_be()?,
            total_data: payload.u16_be()?,
            total_parity: payload.u16_be()?,
            received_data: payload.u16_be()?,
            received_parity: payload.u16_be()?,
            fec_percentage: payload.u8()?,
            block: payload.u8()?,
            block_count: payload.u8()?,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.frame.0.to_be_bytes());
        for field in [
            self.highest_received,
            self.next_contiguous,
            self.missing_before_highest,
            self.total_data,
            self.total_parity,
            self.received_data,
            self.received_parity,
        ] {
            out.extend_from_slice(&field.to_be_bytes());
        }
        out.extend_from_slice(&[self.fec_percentage, self.block, self.block_count]);
    }
}
