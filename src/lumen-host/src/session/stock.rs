//! Parity and rate of a GameStream stream, from what a stock client says: how blocks of packets fared that needed repair, and
//! which frames it lost. What it does not speak of came through.

use std::time::Instant;

use lumen_core::congestion::{BitsPerSecond, StockCongestion};
use lumen_core::gamestream::control::FrameFecStatus;
use lumen_core::gamestream::packetizer::{FecPercentage, LossModel};
use lumen_core::gamestream::video::FrameIndex;
use lumen_core::loss_control::{FrameParity, StockLossControl};
use lumen_core::time::Timestamp;

use crate::link::{Figures, VideoParams};

/// What the client's words and its silence mean for one stream.
#[derive(Debug)]
pub struct StockControl {
    loss: StockLossControl,
    congestion: StockCongestion,
    begun: Instant,
    /// Missing packets since the last look at the rate.
    missing: u64,
    /// Packets of an average frame.
    frame_packets: u32,
    before: Sent,
}

/// What was sent until some second.
#[derive(Debug, Clone, Copy, Default)]
struct Sent {
    newest: u32,
    frames: u64,
    packets: u64,
}

/// What changes.
#[derive(Debug, Default)]
pub struct Adapted {
    /// The rule from the next frame on.
    pub parity: Option<FrameParity>,
    /// The encoder's rate.
    pub bitrate: Option<BitsPerSecond>,
}

impl StockControl {
    /// For a stream that begins with these parameters.
    pub fn new(video: &VideoParams, least_bitrate_bps: u64) -> Self {
        let split = FecPercentage::new(video.fec_percentage);
        let budget = split.max(LossModel::default().overhead_budget);
        let negotiated = BitsPerSecond(video.encoder.bitrate_bps);
        Self {
            loss: StockLossControl::new(split, video.min_parity, budget),
            congestion: StockCongestion::new(negotiated, BitsPerSecond(least_bitrate_bps)),
            begun: Instant::now(),
            missing: 0,
            frame_packets: 1,
            before: Sent::default(),
        }
    }

    /// The client said how a block fared.
    pub fn status(&mut self, status: &FrameFecStatus) -> Option<FrameParity> {
        self.missing += u64::from(status.missing());
        self.loss.report(status)
    }

    /// The client asked not to refer to these frames.
    pub fn lost(&mut self, first: FrameIndex, last: FrameIndex) -> Option<FrameParity> {
        self.missing += u64::from(self.loss.wholly_lost(first, last)) * u64::from(self.frame_packets);
        self.loss.lost(first, last, self.frame_packets)
    }

    /// Called once a second with what the stream has sent until now. `heard` is whether words of the client could reach this
    /// process since the last call.
    pub fn second(&mut self, figures: &Figures, heard: bool) -> Adapted {
        let now = Sent {
            newest: figures.frames_encoded as u32,
            frames: figures.frames_sent,
            packets: figures.data_packets + figures.parity_packets,
        };
        let before = std::mem::replace(&mut self.before, now);
        let (frames, packets) = (now.frames - before.frames, now.packets - before.packets);
        if let Some(average) = packets.checked_div(frames) {
            self.frame_packets = u32::try_from(average.max(1)).unwrap_or(u32::MAX);
        }
        let missing = std::mem::take(&mut self.missing);
        if !heard {
            self.loss.unheard(FrameIndex(now.newest));
            return Adapted::default();
        }
        let time = Timestamp::from_micros(u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX));
        Adapted {
            // About those of the last second it may still speak.
            parity: self.loss.quiet(FrameIndex(before.newest), self.frame_packets),
            bitrate: self.congestion.statistics(packets, missing, time),
        }
    }
}
