//! Encoders: pictures in, access units out, with no delay of their own.
//!
//! [`open`] chooses one: the encoder of an NVIDIA GPU, where one works; FFmpeg's, where its libraries are installed; else
//! the built-in OpenH264. [`probe`] says what this machine can encode at all, and why what would be better does not work.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::frame::{CpuImage, Frame, Mode};

pub mod annexb;
pub mod convert;
mod ffmpeg;
mod null;
mod nvenc;
mod openh264;
mod probe;
pub mod rate;

pub use nvenc::{NvencOptions, NvencPreset};
pub use probe::{Chosen, EncoderInfo, PassedOver, choose, open, probe, probe_preferred};

pub use lumen_core::gamestream::http::{BitDepth, Chroma, Codec};
pub use lumen_core::gamestream::sdp::{Matrix, Range};
pub use lumen_core::gamestream::video::{FrameIndex, FrameKind};

/// What an encoder is asked for. Everything comes from the client's ANNOUNCE or the host's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncoderConfig {
    /// Compression format.
    pub codec: Codec,
    /// Picture size and rate.
    pub mode: Mode,
    /// Target in bits per second for the elementary stream (protection comes on top).
    pub bitrate_bps: u64,
    /// Bits per component.
    pub depth: BitDepth,
    /// Chroma subsampling.
    pub chroma: Chroma,
    /// RGB → YCbCr matrix.
    pub matrix: Matrix,
    /// Code range.
    pub range: Range,
    /// Slices a picture (H.264) or rows of tiles (AV1, rounded down to a power of two), at least 1. HEVC pictures have
    /// one, since the encoder cannot write more without delay.
    pub slices: u8,
    /// Reference frames that the client can hold; 0 leaves it to the encoder.
    pub max_reference_frames: u8,
    /// No access unit may be larger: above it the frame could not be protected.
    pub max_frame_bytes: usize,
}

impl EncoderConfig {
    /// The matrix that is really used. BT.2020 in 8 bits is not defined; clients expect BT.709 then (protocol part 2,
    /// section 4.4).
    pub fn effective_matrix(&self) -> Matrix {
        match (self.matrix, self.depth) {
            (Matrix::Bt2020, BitDepth::Eight) => Matrix::Bt709,
            (matrix, _) => matrix,
        }
    }

    /// What the stream says about its colours.
    pub fn colour(&self) -> Colour {
        match self.effective_matrix() {
            Matrix::Bt601 => Colour { primaries: 6, transfer: 6, matrix: 6 },
            Matrix::Bt709 => Colour { primaries: 1, transfer: 1, matrix: 1 },
            Matrix::Bt2020 => Colour { primaries: 9, transfer: 14, matrix: 9 },
        }
    }

    /// The bitrate, lowered where average pictures would come near the size that cannot be protected.
    pub fn capped_bitrate_bps(&self) -> u64 {
        let cap = self.max_frame_bytes as f64 * 8.0 * self.mode.fps() * 0.8;
        self.bitrate_bps.min(cap as u64).max(100_000)
    }
}

/// Code points of H.273.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour {
    /// Colour primaries.
    pub primaries: u8,
    /// Transfer characteristics.
    pub transfer: u8,
    /// Matrix coefficients.
    pub matrix: u8,
}

/// The encoders that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EncoderName {
    /// The encoder of NVIDIA's GPUs: H.264, HEVC, AV1.
    Nvenc,
    /// libx264 through FFmpeg: H.264.
    X264,
    /// OpenH264, built in: H.264.
    #[serde(rename = "openh264")]
    OpenH264,
    /// libx265 through FFmpeg: HEVC.
    X265,
    /// SVT-AV1 through FFmpeg: AV1.
    SvtAv1,
    /// libaom through FFmpeg: AV1.
    AomAv1,
    /// None: access units of the right size without a picture, to measure the rest of the host.
    Null,
}

impl EncoderName {
    /// The name in logs and configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nvenc => "nvenc",
            Self::X264 => "x264",
            Self::OpenH264 => "openh264",
            Self::X265 => "x265",
            Self::SvtAv1 => "svt-av1",
            Self::AomAv1 => "aom-av1",
            Self::Null => "null",
        }
    }
}

/// How much work x264 puts into a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum X264Preset {
    /// Least.
    Ultrafast,
    /// Little; the default.
    #[default]
    Superfast,
    /// More.
    Veryfast,
    /// Still more.
    Faster,
    /// About three times `superfast`.
    Fast,
    /// x264's own default, too slow for most machines here.
    Medium,
}

impl X264Preset {
    /// x264's name of the preset.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ultrafast => "ultrafast",
            Self::Superfast => "superfast",
            Self::Veryfast => "veryfast",
            Self::Faster => "faster",
            Self::Fast => "fast",
            Self::Medium => "medium",
        }
    }
}

/// What the operator prefers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EncoderPreference {
    /// Only this encoder; unset, the best that is there.
    pub encoder: Option<EncoderName>,
    /// Preset of x264.
    pub x264_preset: X264Preset,
    /// For NVENC.
    pub nvenc: NvencOptions,
}

/// Which picture a frame holds: a frame that is sent again need not be converted again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PictureId {
    serial: u64,
    pixels: *const CpuImage,
}

// SAFETY: the pointer is only ever compared, never followed.
unsafe impl Send for PictureId {}

impl PictureId {
    fn of(frame: &Frame) -> Self {
        Self { serial: frame.serial, pixels: Arc::as_ptr(&frame.image) }
    }
}

/// Threads for a picture of so many slices: more than one a slice or a core would only wait.
fn threads_for(slices: u8) -> u8 {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(8) as u8);
    slices.clamp(1, cores)
}

/// What is wanted of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FrameRequest {
    /// An ordinary frame.
    #[default]
    Normal,
    /// A key frame with parameter sets.
    Idr,
    /// The client lost these frames; do not refer to them. Answered with [`FrameKind::AfterInvalidation`] where
    /// the encoder can, with a key frame where it cannot.
    Invalidate {
        /// First lost frame.
        first: FrameIndex,
        /// Last lost frame.
        last: FrameIndex,
    },
}

/// One compressed picture.
#[derive(Debug)]
pub struct AccessUnit<'a> {
    /// The bytes, valid until the next call.
    pub data: &'a [u8],
    /// Kind of the frame as the client must see it.
    pub kind: FrameKind,
}

/// Why an encoder failed.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// This machine does not have what the encoder needs, which is nothing to wonder at.
    #[error("{encoder} is not here: {reason}")]
    Absent {
        /// Name of the encoder.
        encoder: &'static str,
        /// What is not there.
        reason: String,
    },
    /// This encoder cannot do what was asked; another one may.
    #[error("{encoder} cannot encode this: {reason}")]
    Unsupported {
        /// Name of the encoder.
        encoder: &'static str,
        /// What stands against it.
        reason: String,
    },
    /// The encoder broke; it must be opened anew.
    #[error("{encoder} failed: {reason}")]
    Failed {
        /// Name of the encoder.
        encoder: &'static str,
        /// What the library said.
        reason: String,
    },
}

/// A video encoder. One frame in, at most one access unit out, in the same call.
pub trait Encoder: Send {
    /// Short name for logs and `lumen doctor`, such as `openh264` or `x264`.
    fn name(&self) -> &'static str;

    /// Encodes `frame` as number `index`. `None` means that the encoder skipped the picture to hold its rate.
    ///
    /// # Errors
    /// [`EncodeError::Failed`] when the encoder broke.
    fn encode(
        &mut self,
        frame: &Frame,
        index: FrameIndex,
        request: FrameRequest,
    ) -> Result<Option<AccessUnit<'_>>, EncodeError>;

    /// Changes the target rate from the next frame on, without a key frame where the encoder can.
    ///
    /// # Errors
    /// [`EncodeError::Failed`] when the encoder broke.
    fn set_bitrate(&mut self, bitrate_bps: u64) -> Result<(), EncodeError>;
}
