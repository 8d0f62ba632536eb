//! The picture formats that encoders take and decoders yield.

use core::ffi::{CStr, c_int};

use crate::ffi::Functions;

/// Layout of a picture's planes. Ten bits lie in the low bits of 16-bit little-endian words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// Y; then Cb and Cr alternating at half width and height.
    Nv12,
    /// Y, Cb, Cr; chroma at half width and height.
    Yuv420,
    /// Y, Cb, Cr of equal size.
    Yuv444,
    /// As [`PixelFormat::Yuv420`], 10 bits.
    Yuv420P10,
    /// As [`PixelFormat::Yuv444`], 10 bits.
    Yuv444P10,
}

impl PixelFormat {
    /// Every format.
    pub const ALL: [Self; 5] = [Self::Nv12, Self::Yuv420, Self::Yuv444, Self::Yuv420P10, Self::Yuv444P10];

    /// FFmpeg's name.
    pub(crate) const fn name(self) -> &'static CStr {
        match self {
            Self::Nv12 => c"nv12",
            Self::Yuv420 => c"yuv420p",
            Self::Yuv444 => c"yuv444p",
            Self::Yuv420P10 => c"yuv420p10le",
            Self::Yuv444P10 => c"yuv444p10le",
        }
    }

    /// Bits per component: 8 or 10.
    pub const fn bits(self) -> u8 {
        match self {
            Self::Nv12 | Self::Yuv420 | Self::Yuv444 => 8,
            Self::Yuv420P10 | Self::Yuv444P10 => 10,
        }
    }

    /// Planes.
    pub const fn planes(self) -> usize {
        match self {
            Self::Nv12 => 2,
            _ => 3,
        }
    }

    /// Bytes of the samples in one line of `plane`, and its lines, in a picture of that size.
    pub const fn plane_size(self, plane: usize, width: usize, height: usize) -> (usize, usize) {
        let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
        match (self, plane) {
            (Self::Nv12 | Self::Yuv420, 0) | (Self::Yuv444, _) => (width, height),
            (Self::Nv12, _) => (half_width * 2, half_height),
            (Self::Yuv420, _) => (half_width, half_height),
            (Self::Yuv420P10, 0) | (Self::Yuv444P10, _) => (width * 2, height),
            (Self::Yuv420P10, _) => (half_width * 2, half_height),
        }
    }
}

/// The numbers that one libavutil gives the formats.
pub(crate) struct FormatTable(Vec<(PixelFormat, c_int)>);

impl FormatTable {
    pub(crate) fn new(functions: &Functions) -> Self {
        // Decoders still mark full range by formats of their own; the range is read elsewhere.
        let full_range = [(PixelFormat::Yuv420, c"yuvj420p"), (PixelFormat::Yuv444, c"yuvj444p")];
        let names = PixelFormat::ALL.map(|format| (format, format.name())).into_iter().chain(full_range);
        // SAFETY: a C string goes in, a number comes out.
        Self(names.map(|(format, name)| (format, unsafe { (functions.av_get_pix_fmt)(name.as_ptr()) })).collect())
    }

    pub(crate) fn number(&self, format: PixelFormat) -> c_int {
        self.0.iter().find(|(known, _)| *known == format).map_or(-1, |(_, number)| *number)
    }

    pub(crate) fn format(&self, number: c_int) -> Option<PixelFormat> {
        self.0.iter().find(|(_, known)| *known == number && number >= 0).map(|(format, _)| *format)
    }
}
