//! Opus multistream, both ways: the host encodes a session's sound, the client decodes it.
//!
//! This crate knows libopus and nothing of the protocol: which layouts, bitrates and packet durations a client may ask
//! for stands in the host's `audio::opus`, how packets travel in `lumen-core`. libopus is built from source by
//! `opusic-sys`, so no system library is needed. Samples are interleaved `f32` at 48 kHz.
#![deny(missing_docs)]

mod decoder;
mod encoder;
mod layout;

pub use decoder::Decoder;
pub use encoder::{Encoder, EncoderConfig};
pub use layout::{Layout, LayoutError, MAX_CHANNELS};

/// Samples per second and channel.
pub const SAMPLE_RATE: u32 = 48_000;

/// How much sound one packet holds. Opus allows these and no others; clients of GameStream ask for 5 or 10 ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PacketDuration {
    /// 2.5 ms.
    Ms2_5,
    /// 5 ms.
    Ms5,
    /// 10 ms.
    Ms10,
    /// 20 ms.
    Ms20,
    /// 40 ms.
    Ms40,
    /// 60 ms.
    Ms60,
}

impl PacketDuration {
    /// The duration of so many whole milliseconds; `None` where Opus has no such frame.
    pub const fn from_millis(millis: u32) -> Option<Self> {
        match millis {
            5 => Some(Self::Ms5),
            10 => Some(Self::Ms10),
            20 => Some(Self::Ms20),
            40 => Some(Self::Ms40),
            60 => Some(Self::Ms60),
            _ => None,
        }
    }

    /// The duration of so many samples per channel; `None` where Opus has no such frame.
    pub const fn from_samples(samples: usize) -> Option<Self> {
        match samples {
            120 => Some(Self::Ms2_5),
            240 => Some(Self::Ms5),
            480 => Some(Self::Ms10),
            960 => Some(Self::Ms20),
            1920 => Some(Self::Ms40),
            2880 => Some(Self::Ms60),
            _ => None,
        }
    }

    /// Samples per channel.
    pub const fn samples(self) -> usize {
        match self {
            Self::Ms2_5 => 120,
            Self::Ms5 => 240,
            Self::Ms10 => 480,
            Self::Ms20 => 960,
            Self::Ms40 => 1920,
            Self::Ms60 => 2880,
        }
    }
}

/// What libopus refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpusError {
    /// The library returned an error code.
    #[error("libopus could not {action}: {reason}")]
    Library {
        /// What was tried.
        action: &'static str,
        /// libopus' own words.
        reason: &'static str,
    },
    /// The caller's samples do not fill exactly one packet.
    #[error("{given} samples were given where one packet holds {expected}")]
    SampleCount {
        /// Interleaved samples given.
        given: usize,
        /// Interleaved samples of one packet.
        expected: usize,
    },
}

/// Turns libopus' return value into a count or an error.
fn check(action: &'static str, value: core::ffi::c_int) -> Result<usize, OpusError> {
    usize::try_from(value).map_err(|_| {
        // SAFETY: opus_strerror takes any int and returns a pointer to a static, terminated ASCII string.
        let text = unsafe { core::ffi::CStr::from_ptr(opusic_sys::opus_strerror(value)) };
        OpusError::Library { action, reason: text.to_str().unwrap_or("unknown error") }
    })
}
