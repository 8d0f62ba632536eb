//! A picture on its way: pixels, format, and the [`Timeline`] that every stage stamps. The Timeline is the only
//! way that latency is measured in the host.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Width, height and refresh rate of a display. The rate is a fraction, so that 59.94 Hz is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Mode {
    /// Pixels per line.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// Frames per second, numerator.
    pub rate_num: u32,
    /// Frames per second, denominator; never zero.
    pub rate_den: u32,
}

impl Mode {
    /// A mode with a whole number of frames per second.
    pub const fn new(width: u32, height: u32, fps: u32) -> Self {
        Self { width, height, rate_num: fps, rate_den: 1 }
    }

    /// Time between two frames.
    pub fn interval(self) -> Duration {
        Duration::from_nanos(1_000_000_000 * u64::from(self.rate_den) / u64::from(self.rate_num.max(1)))
    }

    /// Frames per second as a number, for display.
    pub fn fps(self) -> f64 {
        f64::from(self.rate_num) / f64::from(self.rate_den)
    }
}

/// How the bytes of a CPU picture are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// Four bytes a pixel: blue, green, red, unused. DRM_FORMAT_XRGB8888.
    Bgrx,
}

/// A picture in CPU memory. Cloning the [`Frame`] around it shares the pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuImage {
    /// Pixels per line.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// Bytes from one line to the next.
    pub stride: usize,
    /// Layout of the bytes.
    pub format: PixelFormat,
    /// `stride * height` bytes.
    pub data: Vec<u8>,
}

/// When each stage handled a frame. Stages stamp what they did, in order.
#[derive(Debug, Clone, Copy)]
pub struct Timeline {
    /// The compositor presented (or the card finished drawing) the picture.
    pub presented: Instant,
    /// Capture handed it to the mailbox.
    pub captured: Instant,
    /// The encoder took it.
    pub encode_start: Option<Instant>,
    /// The access unit was complete.
    pub encode_end: Option<Instant>,
    /// Packets were made, protected and sealed.
    pub packetized: Option<Instant>,
    /// The first packet was given to the kernel.
    pub sent_first: Option<Instant>,
    /// The last packet was given to the kernel.
    pub sent_last: Option<Instant>,
}

impl Timeline {
    /// A timeline of a picture presented and captured at `now`.
    pub fn starting(now: Instant) -> Self {
        Self {
            presented: now,
            captured: now,
            encode_start: None,
            encode_end: None,
            packetized: None,
            sent_first: None,
            sent_last: None,
        }
    }
}

/// A captured picture.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The pixels. The pool that made the buffer takes it back when the last clone is dropped.
    pub image: Arc<CpuImage>,
    /// Counts the pictures of a capture from 1; gaps are pictures that were replaced before anybody saw them. It begins
    /// anew where what follows has nothing to do with what was shown before.
    pub serial: u64,
    /// Stamps of the stages.
    pub timeline: Timeline,
}
