//! Audio: a session's sound as interleaved float samples at 48 kHz, and its Opus encoder; the client's microphone.

pub mod late;
pub mod microphone;
#[cfg(feature = "pipewire")]
mod node;
pub mod opus;
#[cfg(feature = "pipewire")]
pub mod sink;
pub mod tone;

use std::time::Instant;

/// Samples per second and channel, everywhere.
pub const SAMPLE_RATE: u32 = 48_000;

/// A source of sound.
pub trait AudioSource: Send {
    /// Channels of the samples that [`AudioSource::read`] yields; order FL FR FC LFE RL RR SL SR.
    fn channels(&self) -> u8;

    /// Fills `samples` (interleaved, a whole number of frames) with what sounds from `at` on.
    fn read(&mut self, at: Instant, samples: &mut [f32]);
}

/// No sound at all.
#[derive(Debug, Clone, Copy)]
pub struct Silence {
    channels: u8,
}

impl Silence {
    /// Silence on `channels` channels.
    pub const fn new(channels: u8) -> Self {
        Self { channels }
    }
}

impl AudioSource for Silence {
    fn channels(&self) -> u8 {
        self.channels
    }

    fn read(&mut self, _at: Instant, samples: &mut [f32]) {
        samples.fill(0.0);
    }
}
