//! Encoded frames to pictures, in software: FFmpeg's decoders where its libraries are installed, else the built-in
//! decoder of H.264.

use lumen_core::gamestream::http::Codec;
use lumen_ffmpeg::{Library, PixelFormat, VideoDecoder};
use openh264::formats::YUVSource;

use crate::error::ClientError;

/// Which decoder to use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DecoderChoice {
    /// FFmpeg if it is there, else what is built in.
    #[default]
    Auto,
    /// The built-in one; H.264 only.
    BuiltIn,
    /// FFmpeg.
    Ffmpeg,
}

/// A decoded picture, valid until the next one.
#[derive(Debug, Clone, Copy)]
pub struct PictureView<'a> {
    /// Samples of each plane; unused ones are empty.
    pub planes: [&'a [u8]; 3],
    /// Bytes from one line to the next, per plane.
    pub strides: [usize; 3],
    /// Pixels per line.
    pub width: usize,
    /// Lines.
    pub height: usize,
    /// Layout of the planes.
    pub format: PixelFormat,
    /// Whether black is 0 (else 16 of 255); `None` if the decoder does not say.
    pub full_range: Option<bool>,
    /// Matrix coefficients as in H.273; 2 is unknown.
    pub matrix: u8,
}

/// A decoder without delay: the picture comes out in the call in which its frame goes in.
pub struct Decoder {
    inner: Inner,
    name: String,
}

enum Inner {
    BuiltIn(Box<openh264::decoder::Decoder>),
    Ffmpeg(VideoDecoder),
}

impl Decoder {
    /// Opens a decoder for a codec.
    ///
    /// # Errors
    /// [`ClientError::Local`] if there is none here.
    pub fn open(codec: Codec, choice: DecoderChoice) -> Result<Self, ClientError> {
        let built_in = || {
            let decoder = openh264::decoder::Decoder::new()
                .map_err(|error| ClientError::local("cannot open the built-in decoder", error))?;
            Ok(Self { inner: Inner::BuiltIn(Box::new(decoder)), name: "openh264".to_owned() })
        };
        match (choice, codec) {
            (DecoderChoice::BuiltIn, Codec::H264) => built_in(),
            (DecoderChoice::BuiltIn, _) => {
                Err(ClientError::Usage("the built-in decoder knows only H.264; use FFmpeg for other codecs".into()))
            }
            (DecoderChoice::Auto, Codec::H264) => Self::ffmpeg(codec).or_else(|_| built_in()),
            _ => Self::ffmpeg(codec),
        }
    }

    fn ffmpeg(codec: Codec) -> Result<Self, ClientError> {
        let wrong = |error: &dyn std::fmt::Display| ClientError::local("cannot decode", error);
        let library = Library::load().map_err(|error| wrong(&error))?;
        let names: &[&str] = match codec {
            Codec::H264 => &["h264"],
            Codec::Hevc => &["hevc"],
            Codec::Av1 => &["libdav1d", "libaom-av1"],
        };
        let name = names.iter().find(|name| library.has_decoder(name)).unwrap_or(&names[0]);
        let threads = std::thread::available_parallelism().map_or(1, |count| count.get().min(4) as u8);
        let decoder = VideoDecoder::open(&library, name, threads).map_err(|error| wrong(&error))?;
        Ok(Self { inner: Inner::Ffmpeg(decoder), name: format!("FFmpeg {} {name}", library.version()) })
    }

    /// Name of the decoder, for the report.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Decodes one frame and shows each picture that comes out to `see`.
    ///
    /// # Errors
    /// The decoder's own words; it can go on with the next key frame.
    pub fn decode(&mut self, frame: &[u8], mut see: impl FnMut(PictureView<'_>)) -> Result<(), String> {
        match &mut self.inner {
            Inner::BuiltIn(decoder) => {
                if let Some(picture) = decoder.decode(frame).map_err(|error| error.to_string())? {
                    let (width, height) = picture.dimensions();
                    let (y, u, v) = picture.strides();
                    see(PictureView {
                        planes: [picture.y(), picture.u(), picture.v()],
                        strides: [y, u, v],
                        width,
                        height,
                        format: PixelFormat::Yuv420,
                        full_range: None,
                        matrix: 2,
                    });
                }
            }
            Inner::Ffmpeg(decoder) => {
                decoder.send(frame).map_err(|error| error.to_string())?;
                while let Some(picture) = decoder.receive().map_err(|error| error.to_string())? {
                    see(PictureView {
                        planes: picture.planes,
                        strides: picture.strides,
                        width: picture.width,
                        height: picture.height,
                        format: picture.format,
                        full_range: Some(picture.full_range),
                        matrix: picture.matrix,
                    });
                }
            }
        }
        Ok(())
    }
}
