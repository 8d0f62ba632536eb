//! Opus: multistream encoding of a session's sound (protocol part 2, section 5.1). The table of what clients can ask
//! for is here; libopus itself is behind `lumen-opus`.

use lumen_opus::{Encoder, EncoderConfig, Layout, OpusError, PacketDuration};
use serde::{Deserialize, Serialize};

/// Loudspeakers of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Speakers {
    /// FL FR.
    Stereo,
    /// FL FR FC LFE BL BR.
    Surround51,
    /// FL FR FC LFE BL BR SL SR.
    Surround71,
}

impl Speakers {
    /// The arrangement with so many channels, as the client's ANNOUNCE counts them.
    pub const fn from_channels(channels: u32) -> Option<Self> {
        match channels {
            2 => Some(Self::Stereo),
            6 => Some(Self::Surround51),
            8 => Some(Self::Surround71),
            _ => None,
        }
    }

    /// Channels.
    pub const fn channels(self) -> u8 {
        match self {
            Self::Stereo => 2,
            Self::Surround51 => 6,
            Self::Surround71 => 8,
        }
    }
}

/// Which of the two bitrates a client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Quality {
    /// The smaller one; the first pairs of channels share a stream.
    Normal,
    /// The larger one; in surround every channel has a stream of its own.
    High,
}

/// What a stream of sound is: layout, bitrate and packet duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpusConfig {
    /// Loudspeakers of the client.
    pub speakers: Speakers,
    /// Bitrate class.
    pub quality: Quality,
    /// Sound per packet.
    pub duration: PacketDuration,
}

impl OpusConfig {
    /// What a client gets that asks for these; high quality surround is always sent in packets of 5 ms, because longer
    /// ones would not fit a datagram.
    pub const fn negotiated(speakers: Speakers, quality: Quality, duration: PacketDuration) -> Self {
        let duration = match (speakers, quality) {
            (Speakers::Surround51 | Speakers::Surround71, Quality::High) => PacketDuration::Ms5,
            _ => duration,
        };
        Self { speakers, quality, duration }
    }

    /// Streams and mapping of the layouts that DESCRIBE announces: every channel is coded in its place. DESCRIBE prints
    /// that of the normal surround entries rotated (protocol part 2, section 5.2).
    pub fn layout(&self) -> Layout {
        let layout = match (self.speakers, self.quality) {
            (Speakers::Stereo, _) => const { Layout::new(1, 1, &[0, 1]) },
            (Speakers::Surround51, Quality::Normal) => const { Layout::new(4, 2, &[0, 1, 2, 3, 4, 5]) },
            (Speakers::Surround51, Quality::High) => const { Layout::new(6, 0, &[0, 1, 2, 3, 4, 5]) },
            (Speakers::Surround71, Quality::Normal) => const { Layout::new(5, 3, &[0, 1, 2, 3, 4, 5, 6, 7]) },
            (Speakers::Surround71, Quality::High) => const { Layout::new(8, 0, &[0, 1, 2, 3, 4, 5, 6, 7]) },
        };
        layout.expect("the table above holds layouts that carry their channels")
    }

    /// Bits per second of all channels together.
    pub const fn bitrate_bps(&self) -> u32 {
        match (self.speakers, self.quality) {
            (Speakers::Stereo, Quality::Normal) => 96_000,
            (Speakers::Stereo, Quality::High) => 512_000,
            (Speakers::Surround51, Quality::Normal) => 256_000,
            (Speakers::Surround51, Quality::High) => 1_536_000,
            (Speakers::Surround71, Quality::Normal) => 450_000,
            (Speakers::Surround71, Quality::High) => 2_048_000,
        }
    }

    /// Opens the encoder.
    ///
    /// # Errors
    /// [`OpusError`] if libopus refuses or has no memory.
    pub fn open(&self) -> Result<Encoder, OpusError> {
        self.open_with(self.layout())
    }

    /// Opens the encoder with a layout that the client brought along (`surroundParams` of its launch request).
    ///
    /// # Errors
    /// [`OpusError`] if libopus refuses or has no memory.
    pub fn open_with(&self, layout: Layout) -> Result<Encoder, OpusError> {
        Encoder::new(&EncoderConfig {
            layout,
            bitrate_bps: self.bitrate_bps(),
            duration: self.duration,
            complexity: COMPLEXITY,
        })
    }
}

/// At 5 ms and these bitrates more effort is hardly audible, and sound must stay cheap next to the picture.
const COMPLEXITY: u8 = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use lumen_opus::Decoder;

    const ALL: [(Speakers, Quality, usize, Option<usize>); 6] = [
        (Speakers::Stereo, Quality::Normal, 60, Some(120)),
        (Speakers::Stereo, Quality::High, 320, Some(640)),
        (Speakers::Surround51, Quality::Normal, 160, Some(320)),
        (Speakers::Surround51, Quality::High, 960, None),
        (Speakers::Surround71, Quality::Normal, 281, Some(562)),
        (Speakers::Surround71, Quality::High, 1280, None),
    ];

    #[test]
    fn packets_have_the_lengths_of_the_protocols_table() {
        for (speakers, quality, five, ten) in ALL {
            for (duration, expected) in [(PacketDuration::Ms5, Some(five)), (PacketDuration::Ms10, ten)] {
                let config = OpusConfig::negotiated(speakers, quality, duration);
                let mut encoder = config.open().unwrap();
                let sound = vec![0.1; encoder.packet_samples()];
                assert_eq!(encoder.encode(&sound).unwrap().len(), expected.unwrap_or(five), "{config:?}");
            }
        }
    }

    #[test]
    fn every_packet_fits_a_datagram_at_every_duration_that_clients_ask_for() {
        for (speakers, quality, ..) in ALL {
            for duration in [PacketDuration::Ms5, PacketDuration::Ms10] {
                let encoder = OpusConfig::negotiated(speakers, quality, duration).open().unwrap();
                assert!(encoder.packet_bytes() + 12 + 16 <= 1400);
            }
        }
    }

    #[test]
    fn every_speaker_gets_its_own_sound() {
        for (speakers, quality, ..) in ALL {
            let config = OpusConfig::negotiated(speakers, quality, PacketDuration::Ms5);
            let channels = usize::from(speakers.channels());
            for loud in 0..channels {
                let (mut encoder, mut decoder) = (config.open().unwrap(), Decoder::new(&config.layout()).unwrap());
                let mut energy = vec![0.0f32; channels];
                for packet in 0..40 {
                    let mut sound = vec![0.0; encoder.packet_samples()];
                    for (i, frame) in sound.chunks_exact_mut(channels).enumerate() {
                        frame[loud] = 0.5 * ((packet * 240 + i) as f32 * 0.06).sin();
                    }
                    let packet = encoder.encode(&sound).unwrap().to_vec();
                    for frame in decoder.decode(&packet, PacketDuration::Ms5).unwrap().chunks_exact(channels) {
                        frame.iter().zip(&mut energy).for_each(|(sample, sum)| *sum += sample * sample);
                    }
                }
                for (channel, sum) in energy.iter().enumerate() {
                    assert_eq!(*sum > energy[loud] / 50.0, channel == loud, "{config:?}, {loud} loud: {energy:?}");
                }
            }
        }
    }
}
