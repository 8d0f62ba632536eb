//! Which encoders work on this machine, and the choice among them.

use std::fmt;
use std::sync::{Arc, OnceLock};

use lumen_ffmpeg::{Library, LoadError};
use serde::{Deserialize, Serialize};

use super::ffmpeg::FfmpegEncoder;
use super::null::NullEncoder;
use super::nvenc::NvencEncoder;
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
    /// Version of the library, or of the driver and its GPU.
    pub note: String,
    /// Better ones that do not work here, best first.
    pub passed_over: Vec<PassedOver>,
}

/// An encoder that would have been better, and why it was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOver {
    /// Which encoder.
    pub name: EncoderName,
    /// What stood against it.
    pub reason: String,
    /// Whether nothing is broken: what it needs is not here at all, or it never does what was asked.
    pub expected: bool,
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name.as_str(), self.reason)
    }
}

/// The encoder that was chosen.
pub struct Chosen {
    /// Which one.
    pub name: EncoderName,
    /// Ready to encode.
    pub encoder: Box<dyn Encoder>,
    /// Better ones that did not open, best first.
    pub passed_over: Vec<PassedOver>,
    max_size: (u32, u32),
    note: String,
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
    (Codec::H264, &[EncoderName::Nvenc, EncoderName::X264, EncoderName::OpenH264]),
    (Codec::Hevc, &[EncoderName::Nvenc, EncoderName::X265]),
    (Codec::Av1, &[EncoderName::Nvenc, EncoderName::SvtAv1, EncoderName::AomAv1]),
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
    let Chosen { name, max_size: (max_width, max_height), note, passed_over, .. } =
        choose(&config, preference, &[]).ok()?;
    Some(EncoderInfo { name, codec, depth, chroma, max_width, max_height, note, passed_over })
}

/// Largest picture of encoders in software, by their format's highest level (H.264 and HEVC 6.2, AV1 6.3).
const SOFTWARE_MAX_SIZE: (u32, u32) = (8192, 4320);

/// Opens the best encoder for a configuration, or the one that is preferred.
///
/// # Errors
/// [`EncodeError::Unsupported`] with the reason of each that was tried.
pub fn open(config: &EncoderConfig, preference: EncoderPreference) -> Result<Box<dyn Encoder>, EncodeError> {
    choose(config, preference, &[]).map(|chosen| chosen.encoder)
}

/// [`open`], with the reasons of better encoders that did not open. None of `broken` is taken unless it alone is
/// preferred.
///
/// # Errors
/// As [`open`].
pub fn choose(
    config: &EncoderConfig,
    preference: EncoderPreference,
    broken: &[EncoderName],
) -> Result<Chosen, EncodeError> {
    let preferred = preference.encoder.as_slice();
    let ranked = RANKING.iter().find(|(codec, _)| *codec == config.codec).map_or(&[][..], |(_, names)| names);
    let mut passed_over = Vec::new();
    for &name in if preferred.is_empty() { ranked } else { preferred } {
        if preferred.is_empty() && broken.contains(&name) {
            let reason = "it broke again and again during this stream".to_owned();
            passed_over.push(PassedOver { name, reason, expected: false });
            continue;
        }
        match open_named(name, config, preference) {
            Ok((encoder, max_size, note)) => return Ok(Chosen { name, encoder, passed_over, max_size, note }),
            Err(EncodeError::Absent { reason, .. }) => passed_over.push(PassedOver { name, reason, expected: true }),
            Err(EncodeError::Unsupported { reason, .. }) => {
                // Software is as it is; of a GPU that is there, more was hoped for.
                passed_over.push(PassedOver { name, reason, expected: name != EncoderName::Nvenc });
            }
            Err(EncodeError::Failed { reason, .. }) => passed_over.push(PassedOver { name, reason, expected: false }),
        }
    }
    let reasons: Vec<_> = passed_over.iter().map(ToString::to_string).collect();
    Err(EncodeError::Unsupported { encoder: "this host", reason: reasons.join("; ") })
}

/// An encoder, its largest picture, and what it is.
type Opened = (Box<dyn Encoder>, (u32, u32), String);

fn open_named(name: EncoderName, config: &EncoderConfig, preference: EncoderPreference) -> Result<Opened, EncodeError> {
    let built_in = || "built in".to_owned();
    Ok(match name {
        EncoderName::Nvenc => {
            let encoder = NvencEncoder::open(config, preference.nvenc)?;
            let (max_size, note) = (encoder.max_size(), encoder.note());
            (Box::new(encoder), max_size, note)
        }
        EncoderName::OpenH264 => (Box::new(OpenH264Encoder::open(config)?), OPENH264_MAX_SIZE, built_in()),
        EncoderName::Null => (Box::new(NullEncoder::new(config)), SOFTWARE_MAX_SIZE, built_in()),
        EncoderName::X264 | EncoderName::X265 | EncoderName::SvtAv1 | EncoderName::AomAv1 => {
            let library = library()
                .map_err(|error| EncodeError::Unsupported { encoder: name.as_str(), reason: error.to_string() })?;
            let encoder = FfmpegEncoder::open(&library, name, preference.x264_preset, config)?;
            (Box::new(encoder), SOFTWARE_MAX_SIZE, format!("FFmpeg's libavcodec {}", library.version()))
        }
    })
}

/// FFmpeg's libraries; whether they are there is looked up once.
fn library() -> Result<Arc<Library>, LoadError> {
    static LIBRARY: OnceLock<Result<Arc<Library>, LoadError>> = OnceLock::new();
    LIBRARY.get_or_init(Library::load).clone()
}
