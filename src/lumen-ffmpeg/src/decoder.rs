//! Decoding: packets in, planes out.

use std::sync::Arc;

use crate::ffi::{AGAIN, END_OF_FILE};
use crate::frame::{RawFrame, RawPacket};
use crate::options::{Context, Role};
use crate::{Error, Library, PixelFormat};

/// `AVCOL_RANGE_JPEG`.
const FULL_RANGE: i64 = 2;

/// A decoded picture, valid until the decoder is used again.
#[derive(Debug, Clone, Copy)]
pub struct Picture<'a> {
    /// Samples of each plane that the format has; the others are empty. A plane ends with its last line's samples.
    pub planes: [&'a [u8]; 3],
    /// Bytes from one line to the next, per plane.
    pub strides: [usize; 3],
    /// Pixels per line.
    pub width: usize,
    /// Lines.
    pub height: usize,
    /// Layout of the planes.
    pub format: PixelFormat,
    /// Whether the stream says that black is 0 (else it is 16 of 255).
    pub full_range: bool,
    /// Matrix coefficients that the stream states, as in H.273 (1 is BT.709, 5 and 6 are BT.601, 9 is BT.2020, 2 is
    /// unknown).
    pub matrix: u8,
    /// Colour primaries that the stream states, as in H.273.
    pub primaries: u8,
    /// Transfer characteristics that the stream states, as in H.273.
    pub transfer: u8,
}

/// An open video decoder without delay: a picture comes out in the call after its packet went in.
pub struct VideoDecoder {
    context: Context,
    frame: RawFrame,
    packet: RawPacket,
}

impl VideoDecoder {
    /// Opens the decoder that FFmpeg calls `codec`: `h264`, `hevc`, `libdav1d`, `libaom-av1` and so on. More `threads`
    /// than one work on slices of one picture only, so that none is held back.
    ///
    /// # Errors
    /// [`Error::NoCodec`] if this FFmpeg lacks it, [`Error::Call`] if it does not open.
    pub fn open(library: &Arc<Library>, codec: &str, threads: u8) -> Result<Self, Error> {
        let mut context = Context::new(library, Role::Decoder, codec)?;
        context.set("threads", &threads.max(1).to_string())?;
        context.set("thread_type", "slice")?;
        context.set("flags", "+low_delay")?;
        if codec == "libdav1d" {
            // It counts frames in flight by itself; versions of FFmpeg differ in the option's name.
            let _ = context.set("max_frame_delay", "1").or_else(|_| context.set("framethreads", "1"));
        }
        context.open()?;
        Ok(Self { context, frame: RawFrame::new(library)?, packet: RawPacket::new(library)? })
    }

    /// Decodes one access unit. Its pictures must be taken by [`VideoDecoder::receive`] before the next.
    ///
    /// # Errors
    /// [`Error::Call`] if the bytes cannot be decoded; the decoder can go on with a key picture.
    pub fn send(&mut self, access_unit: &[u8]) -> Result<(), Error> {
        self.packet.fill(access_unit)?;
        // SAFETY: the context is open and the packet holds padded data.
        let code = unsafe {
            (self.context.library.functions.avcodec_send_packet)(self.context.pointer(), self.packet.pointer())
        };
        self.context.check("decode an access unit", code).map(drop)
    }

    /// The next picture, if there is one.
    ///
    /// # Errors
    /// [`Error::Call`] if decoding failed or the stream is in a format that this crate does not know.
    pub fn receive(&mut self) -> Result<Option<Picture<'_>>, Error> {
        self.frame.clear();
        // SAFETY: the context is open, the frame live and empty.
        let code = unsafe {
            (self.context.library.functions.avcodec_receive_frame)(self.context.pointer(), self.frame.pointer())
        };
        if code == AGAIN || code == END_OF_FILE {
            return Ok(None);
        }
        self.context.check("decode a picture", code)?;
        let unknown = || Error::Call {
            codec: self.context.codec.clone(),
            action: "hand a picture out",
            reason: "it is neither 4:2:0 nor 4:4:4 of 8 or 10 bits".to_owned(),
        };
        let format = self.frame.format().ok_or_else(unknown)?;
        let (planes, strides) = self.frame.planes(format).ok_or_else(unknown)?;
        let (width, height) = self.frame.size();
        let code_point = |option| self.context.number(option).and_then(|code| u8::try_from(code).ok()).unwrap_or(2);
        Ok(Some(Picture {
            planes,
            strides,
            width,
            height,
            format,
            full_range: self.context.number("color_range") == Some(FULL_RANGE),
            matrix: code_point("colorspace"),
            primaries: code_point("color_primaries"),
            transfer: code_point("color_trc"),
        }))
    }

    /// Forgets all references; decoding goes on with the next key picture.
    pub fn reset(&mut self) {
        // SAFETY: the context is open.
        unsafe { (self.context.library.functions.avcodec_flush_buffers)(self.context.pointer()) };
    }
}
