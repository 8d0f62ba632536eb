//! Streams and rates of the Opus configurations (protocol part 2, section 5.1).

use super::PacketDuration;

/// Which of the two rates of a channel count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OpusQuality {
    /// Pairs of channels coded together.
    Normal,
    /// For stereo a higher rate; for surround a stream of its own for each channel.
    High,
}

/// One Opus configuration: always 48 kHz and constant bit rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpusProfile {
    /// 2, 6 or 8.
    pub channels: u8,
    /// Which rate.
    pub quality: OpusQuality,
    /// Opus streams.
    pub streams: u8,
    /// How many of them carry two channels.
    pub coupled: u8,
    /// Bits per second of all streams.
    pub bits_per_second: u32,
}

impl OpusProfile {
    /// The configuration for 2, 6 or 8 channels; none for other counts.
    pub const fn new(channels: u8, quality: OpusQuality) -> Option<Self> {
        let (streams, coupled, bits_per_second) = match (channels, quality) {
            (2, OpusQuality::Normal) => (1, 1, 96_000),
            (2, OpusQuality::High) => (1, 1, 512_000),
            (6, OpusQuality::Normal) => (4, 2, 256_000),
            (6, OpusQuality::High) => (6, 0, 1_536_000),
            (8, OpusQuality::Normal) => (5, 3, 450_000),
            (8, OpusQuality::High) => (8, 0, 2_048_000),
            _ => return None,
        };
        Some(Self { channels, quality, streams, coupled, bits_per_second })
    }

    /// Bytes of each Opus packet at this duration.
    pub const fn packet_bytes(&self, duration: PacketDuration) -> usize {
        self.bits_per_second as usize * duration.as_millis() as usize / 8000
    }

    /// Whether a client asks for packets of this duration: high quality surround comes in 5 ms packets only, because
    /// longer ones would not fit in a datagram.
    pub const fn supports(&self, duration: PacketDuration) -> bool {
        self.channels == 2 || matches!(self.quality, OpusQuality::Normal) || duration.as_millis() == 5
    }
}
