//! Encoding: planes in, packets out.

use core::ffi::c_int;
use std::sync::Arc;

use crate::ffi::{AGAIN, END_OF_FILE, PACKET_KEY};
use crate::frame::{RawFrame, RawPacket};
use crate::options::{Context, Role};
use crate::{Error, Library, PixelFormat, PlanesMut};

/// What every encoder must know; the rest are options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncoderParams {
    /// Pixels per line.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// Layout of the planes.
    pub format: PixelFormat,
    /// Pictures per second, numerator.
    pub rate_num: u32,
    /// Pictures per second, denominator.
    pub rate_den: u32,
}

/// What a picture shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureType {
    /// The encoder decides.
    Auto,
    /// A key picture.
    Key,
}

/// A compressed picture.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    /// The bytes, as the encoder wrote them.
    pub data: &'a [u8],
    /// Decoding can start here.
    pub key: bool,
    /// Number of the picture, as it was given to [`VideoEncoder::send`].
    pub pts: i64,
}

/// An open video encoder with one picture to draw into.
pub struct VideoEncoder {
    context: Context,
    frame: RawFrame,
    packet: RawPacket,
    format: PixelFormat,
}

impl VideoEncoder {
    /// Opens the encoder that FFmpeg calls `codec` with `options`, which may be FFmpeg's own or the encoder's.
    ///
    /// # Errors
    /// [`Error::NoCodec`] if this FFmpeg lacks it, [`Error::Option`] for options that it does not take,
    /// [`Error::Call`] if it does not open so.
    pub fn open(
        library: &Arc<Library>,
        codec: &str,
        params: &EncoderParams,
        options: &[(&str, String)],
    ) -> Result<Self, Error> {
        let mut context = Context::new(library, Role::Encoder, codec)?;
        context.set("video_size", &format!("{}x{}", params.width, params.height))?;
        context.set("pixel_format", &params.format.name().to_string_lossy())?;
        context.set("time_base", &format!("{}/{}", params.rate_den, params.rate_num))?;
        for (option, value) in options {
            context.set(option, value)?;
        }
        let frame = RawFrame::with_buffer(library, params.format, params.width, params.height)?;
        context.open()?;
        Ok(Self { context, frame, packet: RawPacket::new(library)?, format: params.format })
    }

    /// The picture that [`VideoEncoder::send`] encodes. What was drawn stays until it is drawn over.
    ///
    /// # Errors
    /// [`Error::Call`] without memory.
    pub fn planes_mut(&mut self) -> Result<PlanesMut<'_>, Error> {
        self.frame.planes_mut(self.format)
    }

    /// Layout of the planes.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// Encodes the picture as number `pts`; numbers must rise.
    ///
    /// # Errors
    /// [`Error::Call`] if the encoder fails.
    pub fn send(&mut self, pts: i64, kind: PictureType) -> Result<(), Error> {
        // AV_PICTURE_TYPE_NONE and AV_PICTURE_TYPE_I.
        let kind: c_int = match kind {
            PictureType::Auto => 0,
            PictureType::Key => 1,
        };
        self.frame.set_timing(pts, kind);
        // SAFETY: the context is open and the frame holds a picture of the format and size it was opened with.
        let code = unsafe {
            (self.context.library.functions.avcodec_send_frame)(self.context.pointer(), self.frame.pointer())
        };
        self.context.check("take a picture", code).map(drop)
    }

    /// The next compressed picture, if one is ready.
    ///
    /// # Errors
    /// [`Error::Call`] if the encoder fails.
    pub fn receive(&mut self) -> Result<Option<Packet<'_>>, Error> {
        self.packet.clear();
        // SAFETY: the context is open, the packet live and empty.
        let code = unsafe {
            (self.context.library.functions.avcodec_receive_packet)(self.context.pointer(), self.packet.pointer())
        };
        if code == AGAIN || code == END_OF_FILE {
            return Ok(None);
        }
        self.context.check("encode a picture", code)?;
        let key = self.packet.flags() & PACKET_KEY != 0;
        Ok(Some(Packet { data: self.packet.data(), key, pts: self.packet.pts() }))
    }

    /// Changes a numeric option of the open encoder. Which ones it heeds is the encoder's affair; libx264 heeds `b`,
    /// `maxrate` and `bufsize` from the next picture on.
    ///
    /// # Errors
    /// [`Error::Option`] if there is none of that name or the value is out of range.
    pub fn set_number(&mut self, option: &str, value: i64) -> Result<(), Error> {
        self.context.set_number(option, value)
    }
}

impl Drop for VideoEncoder {
    /// Ends the stream first: SVT-AV1 hangs when it is closed with a picture under way.
    fn drop(&mut self) {
        // SAFETY: the context is open; a null frame ends the stream.
        let ended =
            unsafe { (self.context.library.functions.avcodec_send_frame)(self.context.pointer(), core::ptr::null()) };
        if ended >= 0 {
            while let Ok(Some(_)) = self.receive() {}
        }
    }
}
