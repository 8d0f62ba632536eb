//! A copy of a decoded picture: its strip, its colours, and PNG.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use lumen_core::strip::{self, LumaPlane, StripContent, StripError, StripLayout};
use lumen_ffmpeg::PixelFormat;

use crate::decode::PictureView;
use crate::error::ClientError;

/// A decoded picture.
#[derive(Debug, Clone)]
pub struct Picture {
    planes: [Vec<u8>; 3],
    strides: [usize; 3],
    width: usize,
    height: usize,
    format: PixelFormat,
    full_range: Option<bool>,
    matrix: u8,
}

impl PictureView<'_> {
    /// What the strip of the test card says.
    ///
    /// # Errors
    /// [`StripError`] if there is none that can be read.
    pub fn strip(&self) -> Result<StripContent, StripError> {
        let (width, height) = (self.width as u32, self.height as u32);
        if self.format.bits() == 8 {
            return strip::read(&LumaPlane { data: self.planes[0], stride: self.strides[0], width, height });
        }
        strip::read_with(StripLayout::for_picture(width, height)?, |x, y| {
            let at = y as usize * self.strides[0] + x as usize * 2;
            self.planes[0].get(at..at + 2).map_or(0, |word| u32::from(word[0]) | u32::from(word[1]) << 8)
        })
    }

    /// Copies the picture into `target`, whose memory is used again.
    pub fn copy_to(&self, target: &mut Option<Picture>) {
        let mut planes = target.take().map_or_else(Default::default, |picture| picture.planes);
        for (copy, plane) in planes.iter_mut().zip(self.planes) {
            copy.clear();
            copy.extend_from_slice(plane);
        }
        *target = Some(Picture {
            planes,
            strides: self.strides,
            width: self.width,
            height: self.height,
            format: self.format,
            full_range: self.full_range,
            matrix: self.matrix,
        });
    }
}

impl Picture {
    /// Pixels per line.
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Lines.
    pub const fn height(&self) -> usize {
        self.height
    }

    /// The picture as decoders hand it out.
    pub fn view(&self) -> PictureView<'_> {
        PictureView {
            planes: [&self.planes[0], &self.planes[1], &self.planes[2]],
            strides: self.strides,
            width: self.width,
            height: self.height,
            format: self.format,
            full_range: self.full_range,
            matrix: self.matrix,
        }
    }

    /// The colours, three bytes a pixel: red, green, blue. A stream that does not say otherwise is BT.709 of limited
    /// range, which is what this client asks for.
    pub fn to_rgb(&self) -> Vec<u8> {
        let scale = f32::from(1u16 << (self.format.bits() - 8));
        let (kr, kb) = match self.matrix {
            5 | 6 => (0.299, 0.114),
            9 | 10 => (0.2627, 0.0593),
            _ => (0.2126, 0.0722),
        };
        let kg = 1.0 - kr - kb;
        let (black, luma_span, chroma_span) =
            if self.full_range == Some(true) { (0.0, 255.0, 255.0) } else { (16.0, 219.0, 224.0) };
        let mut rgb = Vec::with_capacity(self.width * self.height * 3);
        for y in 0..self.height {
            for x in 0..self.width {
                let [luma, blue, red] = self.sample(x, y);
                let luma = (luma / scale - black) / luma_span;
                let blue = (blue / scale - 128.0) / chroma_span * 2.0 * (1.0 - kb);
                let red = (red / scale - 128.0) / chroma_span * 2.0 * (1.0 - kr);
                let green = (-kb * blue - kr * red) / kg;
                // The cast saturates.
                rgb.extend([red, green, blue].map(|difference| ((luma + difference) * 255.0).round() as u8));
            }
        }
        rgb
    }

    /// Writes the picture as PNG.
    ///
    /// # Errors
    /// [`ClientError::File`].
    pub fn write_png(&self, path: &Path) -> Result<(), ClientError> {
        let wrong = |source| ClientError::File { action: "write", path: path.to_owned(), source };
        let file = BufWriter::new(File::create(path).map_err(wrong)?);
        let mut encoder = png::Encoder::new(file, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&self.to_rgb()));
        written.map_err(|error| wrong(std::io::Error::other(error)))
    }

    /// Luma, Cb and Cr of a pixel, as stored.
    fn sample(&self, x: usize, y: usize) -> [f32; 3] {
        let value = |plane: usize, x: usize, y: usize| {
            let at = y * self.strides[plane] + x * if self.format.bits() == 8 { 1 } else { 2 };
            let byte = |at: usize| self.planes[plane].get(at).copied().unwrap_or(0);
            let high = if self.format.bits() == 8 { 0 } else { byte(at + 1) };
            f32::from(u16::from(byte(at)) | u16::from(high) << 8)
        };
        let luma = value(0, x, y);
        match self.format {
            PixelFormat::Nv12 => [luma, value(1, x / 2 * 2, y / 2), value(1, x / 2 * 2 + 1, y / 2)],
            PixelFormat::Yuv420 | PixelFormat::Yuv420P10 => [luma, value(1, x / 2, y / 2), value(2, x / 2, y / 2)],
            PixelFormat::Yuv444 | PixelFormat::Yuv444P10 => [luma, value(1, x, y), value(2, x, y)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(format: PixelFormat, samples: [u16; 3]) -> Picture {
        let (width, height) = (4, 2);
        let mut planes = [const { Vec::new() }; 3];
        let mut strides = [0; 3];
        for plane in 0..format.planes() {
            let (stride, lines) = format.plane_size(plane, width, height);
            strides[plane] = stride;
            planes[plane] = (0..stride * lines)
                .map(|at| match (format, plane) {
                    (PixelFormat::Nv12, 1) => samples[1 + at % 2] as u8,
                    _ if format.bits() == 10 => samples[plane].to_le_bytes()[at % 2],
                    _ => samples[plane] as u8,
                })
                .collect();
        }
        Picture { planes, strides, width, height, format, full_range: Some(false), matrix: 1 }
    }

    #[test]
    fn colours_are_those_of_bt709_in_every_layout() {
        for (ycc, rgb) in [([16, 128, 128], [0, 0, 0]), ([235, 128, 128], [255; 3]), ([63, 102, 240], [255, 0, 0])] {
            for format in PixelFormat::ALL {
                let samples = if format.bits() == 10 { ycc.map(|sample| sample * 4) } else { ycc };
                let picture = flat(format, samples).to_rgb();
                assert_eq!(picture.len(), 24);
                for pixel in picture.chunks(3) {
                    let far = pixel.iter().zip(rgb).any(|(got, want): (&u8, u8)| got.abs_diff(want) > 2);
                    assert!(!far, "{format:?}: {pixel:?} instead of {rgb:?}");
                }
            }
        }
    }

    #[test]
    fn a_picture_without_strip_says_so() {
        assert!(flat(PixelFormat::Yuv420, [16, 128, 128]).view().strip().is_err());
    }

    #[test]
    fn png_files_are_readable() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.png");
        flat(PixelFormat::Nv12, [235, 128, 128]).write_png(&path).unwrap();
        let decoder = png::Decoder::new(std::io::BufReader::new(File::open(path).unwrap()));
        let info = decoder.read_info().unwrap();
        assert_eq!((info.info().width, info.info().height), (4, 2));
    }
}
