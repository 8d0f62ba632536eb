//! Decoders of the tests: what a client would see.

use std::sync::Arc;

use lumen_ffmpeg::{Library, VideoDecoder};
use lumen_host::encode::{BitDepth, Codec};
use openh264::formats::YUVSource;

/// FFmpeg's libraries, which these tests need.
pub fn library() -> Arc<Library> {
    Library::load().expect("these tests need FFmpeg's libraries; scripts/test installs them")
}

/// A decoded picture: samples of 8 or 10 bits, without padding.
#[derive(Clone)]
pub struct Decoded {
    pub planes: [Vec<u16>; 3],
    pub width: usize,
    pub height: usize,
    pub depth: BitDepth,
    pub full_range: Option<bool>,
    pub matrix: Option<u8>,
}

/// A decoder for one codec.
pub enum Decoder {
    /// OpenH264's own.
    OpenH264(Box<openh264::decoder::Decoder>),
    /// FFmpeg's.
    Ffmpeg(Box<VideoDecoder>),
}

impl Decoder {
    /// FFmpeg's decoder.
    pub fn ffmpeg(codec: Codec) -> Self {
        let name = match codec {
            Codec::H264 => "h264",
            Codec::Hevc => "hevc",
            Codec::Av1 => "libdav1d",
        };
        Self::Ffmpeg(Box::new(VideoDecoder::open(&library(), name, 1).unwrap()))
    }

    /// The built-in decoder of H.264.
    pub fn built_in() -> Self {
        Self::OpenH264(Box::new(openh264::decoder::Decoder::new().unwrap()))
    }

    /// Decodes an access unit that must yield exactly one picture at once.
    pub fn decode(&mut self, unit: &[u8]) -> Decoded {
        match self {
            Self::OpenH264(decoder) => {
                let picture = decoder.decode(unit).unwrap().expect("a picture without delay");
                let ((width, height), strides) = (picture.dimensions(), picture.strides());
                let plane = |data: &[u8], stride: usize, width: usize, height: usize| {
                    (0..height).flat_map(|y| data[y * stride..][..width].iter().map(|&v| v.into())).collect()
                };
                Decoded {
                    planes: [
                        plane(picture.y(), strides.0, width, height),
                        plane(picture.u(), strides.1, width / 2, height / 2),
                        plane(picture.v(), strides.2, width / 2, height / 2),
                    ],
                    width,
                    height,
                    depth: BitDepth::Eight,
                    full_range: None,
                    matrix: None,
                }
            }
            Self::Ffmpeg(decoder) => {
                decoder.send(unit).unwrap();
                let picture = decoder.receive().unwrap().expect("a picture without delay");
                let planes = [0, 1, 2].map(|plane| {
                    let (line, lines) = picture.format.plane_size(plane, picture.width, picture.height);
                    let lines = (0..lines).map(|y| &picture.planes[plane][y * picture.strides[plane]..][..line]);
                    if picture.format.bits() == 10 {
                        lines.flat_map(|l| l.chunks_exact(2).map(|s| u16::from_le_bytes([s[0], s[1]]))).collect()
                    } else {
                        lines.flat_map(|l| l.iter().map(|&sample| sample.into())).collect::<Vec<u16>>()
                    }
                });
                Decoded {
                    planes,
                    width: picture.width,
                    height: picture.height,
                    depth: if picture.format.bits() == 10 { BitDepth::Ten } else { BitDepth::Eight },
                    full_range: Some(picture.full_range),
                    matrix: Some(picture.matrix),
                }
            }
        }
    }
}
