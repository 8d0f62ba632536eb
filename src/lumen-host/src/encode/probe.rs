//! Which encoders work on this machine, and the choice among them.

use std::fmt;
use std::sync::{Arc, OnceLock};

use lumen_ffmpeg::{Library, LoadError};
use serde::{Deserialize, Serialize};

use super::ffmpeg::FfmpegEncoder;
use super::null::NullEncoder;
use super::openh264::{MAX_SIZE as OPENH264_MAX_SIZE, OpenH264Encoder};
use super::{
    BitDepth, Chroma, Codec, EncodeError, Encoder, EncoderConfig, EncoderName, EncoderPreference, Matrix, Range,
};
use crate::frame::Mode;

/// An encoder that opened, and what for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncoderInfo {
    /// Which encoder.
    pub name: EncoderName,
    /// Compression format.
    pub codec: Codec,
    /// Bits per component.
    pub depth: BitDepth,
    /// Chroma subsampling.
    pub chroma: Chroma,
    /// Longest line that it takes, in pixels.
    pub max_width: u32,
    /// Most lines that it takes.
    pub max_height: u32,
    /// Version of the library, or why an encoder that was looked for does not work.
    pub note: String,
}

impl fmt::Display for EncoderInfo {
    /// Such as `x264 (H.264, 8 bit, 4:2:0)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = match self.codec {
            Codec::H264 => "H.264",
            Codec::Hevc => "HEVC",
            Codec::Av1 => "AV1",
        };
        let depth = match self.depth {
            BitDepth::Eight => 8,
            BitDepth::Ten => 10,
        };
        let chroma = match self.chroma {
            Chroma::Yuv420 => "4:2:0",
            Chroma::Yuv444 => "4:4:4",
        };
        write!(f, "{} ({format}, {depth} bit, {chroma})", self.name.as_str())
    }
}

/// What each codec is encoded by, best first.
const RANKING: [(Codec, &[EncoderName]); 3] = [
    (Codec::H264, &[EncoderName::X264, EncoderName::OpenH264]),
    (Codec::Hevc, &[EncoderName::X265]),
    (Codec::Av1, &[EncoderName::SvtAv1, EncoderName::AomAv1]),
];

/// Every combination of codec, depth and chroma that can be encoded now, each with the encoder that [`open`] would
/// choose. Each was opened once, small; the answer is kept.
pub fn probe() -> &'static [EncoderInfo] {
    static FOUND: OnceLock<Vec<EncoderInfo>> = OnceLock::new();
    FOUND.get_or_init(|| probe_preferred(EncoderPreference::default()))
}

/// [`probe`] with the encoders that [`open`] would choose by `preference`.
pub fn probe_preferred(preference: EncoderPreference) -> Vec<EncoderInfo> {
    let mut found = Vec::new();
    for (codec, _) in RANKING {
        for chroma in [Chroma::Yuv420, Chroma::Yuv444] {
            for depth in [BitDepth::Eight, BitDepth::Ten] {
                found.extend(probe_one(codec, depth, chroma, preference));
            }
        }
    }
    found
}

fn probe_one(codec: Codec, depth: BitDepth, chroma: Chroma, preference: EncoderPreference) -> Option<EncoderInfo> {
    let config = EncoderConfig {
        codec,
        mode: Mode::new(320, 192, 60),
        bitrate_bps: 1_000_000,
        depth,
        chroma,
        matrix: Matrix::Bt709,
        range: Range::Limited,
        slices: 1,
        max_reference_frames: 1,
        max_frame_bytes: usize::MAX,
    };
    let name = choose(&config, preference).ok()?.0;
    let (max_width, max_height) = max_size(name);
    let note = match (name, library()) {
        (EncoderName::OpenH264 | EncoderName::Null, _) => "built in".to_owned(),
        (_, Ok(library)) => format!("FFmpeg's libavcodec {}", library.version()),
        (_, Err(error)) => error.to_string(),
    };
    Some(EncoderInfo { name, codec, depth, chroma, max_width, max_height, note })
}

/// Largest picture of each, by its format's highest level (H.264 and HEVC 6.2, AV1 6.3) or its own limit.
fn max_size(name: EncoderName) -> (u32, u32) {
    match name {
        EncoderName::OpenH264 => OPENH264_MAX_SIZE,
        EncoderName::X264 | EncoderName::X265 | EncoderName::SvtAv1 | EncoderName::AomAv1 | EncoderName::Null => {
            (8192, 4320)
        }
    }
}

/// Opens the best encoder for a configuration, or the one that is preferred.
///
/// # Errors
/// [`EncodeError::Unsupported`] with the reason of each that was tried.
pub fn open(config: &EncoderConfig, preference: EncoderPreference) -> Result<Box<dyn Encoder>, EncodeError> {
    choose(config, preference).map(|(_, encoder)| encoder)
}

fn choose(
    config: &EncoderConfig,
    preference: EncoderPreference,
) -> Result<(EncoderName, Box<dyn Encoder>), EncodeError> {
    let preferred = preference.encoder.as_slice();
    let ranked = RANKING.iter().find(|(codec, _)| *codec == config.codec).map_or(&[][..], |(_, names)| names);
    let mut reasons = Vec::new();
    for &name in if preferred.is_empty() { ranked } else { preferred } {
        match open_named(name, config, preference) {
            Ok(encoder) => return Ok((name, encoder)),
            Err(EncodeError::Unsupported { encoder, reason } | EncodeError::Failed { encoder, reason }) => {
                reasons.push(format!("{encoder}: {reason}"));
            }
        }
    }
    Err(EncodeError::Unsupported { encoder: "this host", reason: reasons.join("; ") })
}

fn open_named(
    name: EncoderName,
    config: &EncoderConfig,
    preference: EncoderPreference,
) -> Result<Box<dyn Encoder>, EncodeError> {
    Ok(match name {
        EncoderName::OpenH264 => Box::new(OpenH264Encoder::open(config)?),
        EncoderName::Null => Box::new(NullEncoder::new(config)),
        EncoderName::X264 | EncoderName::X265 | EncoderName::SvtAv1 | EncoderName::AomAv1 => {
            let library = library()
                .map_err(|error| EncodeError::Unsupported { encoder: name.as_str(), reason: error.to_string() })?;
            Box::new(FfmpegEncoder::open(&library, name, preference.x264_preset, config)?)
        }
    })
}

/// FFmpeg's libraries; whether they are there is looked up once.
fn library() -> Result<Arc<Library>, LoadError> {
    static LIBRARY: OnceLock<Result<Arc<Library>, LoadError>> = OnceLock::new();
    LIBRARY.get_or_init(Library::load).clone()
}
