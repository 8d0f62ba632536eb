//! Encoders: pictures in, access units out, with no delay of their own.

use serde::{Deserialize, Serialize};

use crate::frame::{Frame, Mode};
pub use lumen_core::gamestream::video::{FrameIndex, FrameKind};

/// Video compression formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// H.264 / AVC, Annex B.
    H264,
    /// H.265 / HEVC, Annex B.
    Hevc,
    /// AV1, low-overhead OBUs.
    Av1,
}

/// Bits per component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum BitDepth {
    /// 8 bits.
    Eight,
    /// 10 bits.
    Ten,
}

/// Chroma subsampling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Chroma {
    /// 4:2:0.
    Yuv420,
    /// 4:4:4.
    Yuv444,
}

/// The matrix between RGB and YCbCr, as the client asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Matrix {
    /// BT.601.
    Bt601,
    /// BT.709.
    Bt709,
    /// BT.2020, non-constant luminance.
    Bt2020,
}

/// Which code values are black and white.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Range {
    /// 16–235 (in 8 bits).
    Limited,
    /// 0–255 (in 8 bits).
    Full,
}

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
    /// Slices a picture (H.264, HEVC), at least 1.
    pub slices: u8,
    /// Reference frames that the client can hold; 0 leaves it to the encoder.
    pub max_reference_frames: u8,
    /// No access unit may be larger: above it the frame could not be protected.
    pub max_frame_bytes: usize,
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
