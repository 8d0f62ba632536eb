//! Audio: a session's sound as interleaved float samples at 48 kHz, and its Opus encoder.

pub mod opus;
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
