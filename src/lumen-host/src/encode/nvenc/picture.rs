//! Pictures as NVENC wants them in its buffers: all planes under one pitch, ten bits in the high bits of their words.

use super::{PixelFormat, PlanesMut};
use crate::encode::convert::{ConvertError, convert};
use crate::encode::{BitDepth, Chroma, EncoderConfig};
use crate::frame::CpuImage;

/// Bits that ten-bit samples are shifted up by.
const SHIFT: u32 = 6;

/// Draws pictures into buffers of the driver's.
pub(super) struct Picture {
    format: PixelFormat,
    /// Where ten-bit pictures are converted to, before they are laid out as NVENC wants them.
    planes: [Vec<u8>; 3],
}

impl Picture {
    pub(super) fn new(config: &EncoderConfig) -> Self {
        let format = match (config.depth, config.chroma) {
            (BitDepth::Eight, Chroma::Yuv420) => PixelFormat::Nv12,
            (BitDepth::Eight, Chroma::Yuv444) => PixelFormat::Yuv444,
            (BitDepth::Ten, Chroma::Yuv420) => PixelFormat::Yuv420P10,
            (BitDepth::Ten, Chroma::Yuv444) => PixelFormat::Yuv444P10,
        };
        let (width, height) = (config.mode.width as usize, config.mode.height as usize);
        let plane = |plane| {
            let (line, lines) = if format.bits() == 10 { format.plane_size(plane, width, height) } else { (0, 0) };
            vec![0; line * lines]
        };
        Self { format, planes: [plane(0), plane(1), plane(2)] }
    }

    /// Draws `image` into the buffer that begins at `to`, whose lines are `pitch` bytes apart in every plane.
    pub(super) fn draw(
        &mut self,
        image: &CpuImage,
        config: &EncoderConfig,
        to: *mut u8,
        pitch: usize,
    ) -> Result<(), ConvertError> {
        let (width, height) = (config.mode.width as usize, config.mode.height as usize);
        let sample = usize::from(self.format.bits().div_ceil(8));
        let lines = match config.chroma {
            Chroma::Yuv420 => height + height / 2,
            Chroma::Yuv444 => height * 3,
        };
        if pitch < width * sample {
            return Err(ConvertError::Refused(format!("the driver's lines of {pitch} bytes are too short")));
        }
        // SAFETY: a locked buffer holds as many lines as its format and size need, each of `pitch` bytes, and is ours
        // until it is unlocked.
        let buffer = unsafe { core::slice::from_raw_parts_mut(to, pitch * lines) };
        let (luma, chroma) = buffer.split_at_mut(pitch * height);
        let (matrix, range) = (config.effective_matrix(), config.range);
        match self.format {
            PixelFormat::Nv12 => {
                let planes = PlanesMut { planes: [luma, chroma, &mut []], strides: [pitch, pitch, 0] };
                convert(image, self.format, matrix, range, planes)
            }
            PixelFormat::Yuv444 => {
                let (cb, cr) = chroma.split_at_mut(pitch * height);
                convert(image, self.format, matrix, range, PlanesMut { planes: [luma, cb, cr], strides: [pitch; 3] })
            }
            PixelFormat::Yuv420 | PixelFormat::Yuv420P10 | PixelFormat::Yuv444P10 => {
                let strides = [0, 1, 2].map(|plane| self.format.plane_size(plane, width, height).0);
                let [y, cb, cr] = &mut self.planes;
                convert(image, self.format, matrix, range, PlanesMut { planes: [y, cb, cr], strides })?;
                shift_up(&self.planes[0], strides[0], luma, pitch);
                if config.chroma == Chroma::Yuv444 {
                    let (cb, cr) = chroma.split_at_mut(pitch * height);
                    shift_up(&self.planes[1], strides[1], cb, pitch);
                    shift_up(&self.planes[2], strides[2], cr, pitch);
                } else {
                    interleave(&self.planes[1], &self.planes[2], strides[1], chroma, pitch);
                }
                Ok(())
            }
        }
    }
}

fn high(sample: &[u8; 2]) -> [u8; 2] {
    (u16::from_le_bytes(*sample) << SHIFT).to_le_bytes()
}

fn shift_up(from: &[u8], stride: usize, to: &mut [u8], pitch: usize) {
    for (from, to) in from.chunks_exact(stride).zip(to.chunks_mut(pitch)) {
        for (from, to) in from.as_chunks::<2>().0.iter().zip(to.as_chunks_mut::<2>().0) {
            *to = high(from);
        }
    }
}

fn interleave(cb: &[u8], cr: &[u8], stride: usize, to: &mut [u8], pitch: usize) {
    for ((cb, cr), to) in cb.chunks_exact(stride).zip(cr.chunks_exact(stride)).zip(to.chunks_mut(pitch)) {
        let pairs = cb.as_chunks::<2>().0.iter().zip(cr.as_chunks::<2>().0);
        for ((cb, cr), to) in pairs.zip(to.as_chunks_mut::<4>().0) {
            let ([a, b], [c, d]) = (high(cb), high(cr));
            *to = [a, b, c, d];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::{Codec, Matrix, Range};
    use crate::frame::{Mode, PixelFormat as ImageFormat};

    #[test]
    fn ten_bits_lie_in_the_high_bits_with_chroma_side_by_side() {
        let config = EncoderConfig {
            codec: Codec::Hevc,
            mode: Mode::new(8, 4, 60),
            bitrate_bps: 1_000_000,
            depth: BitDepth::Ten,
            chroma: Chroma::Yuv420,
            matrix: Matrix::Bt2020,
            range: Range::Limited,
            slices: 1,
            max_reference_frames: 0,
            max_frame_bytes: usize::MAX,
        };
        // Pure blue.
        let data = [255, 0, 0, 255].repeat(32);
        let image = CpuImage { width: 8, height: 4, stride: 32, format: ImageFormat::Bgrx, data };
        let (pitch, mut buffer) = (40, vec![0xee; 40 * 6]);
        Picture::new(&config).draw(&image, &config, buffer.as_mut_ptr(), pitch).expect("it fits");
        let word = |at: usize| u16::from_le_bytes([buffer[at], buffer[at + 1]]);
        // Limited range, BT.2020: Y = 64 + 876 * 0.0593, Cb = 512 + 448, Cr = 512 - 448 * 0.0593 / 0.7373 * 2 / 2.
        let expected = [116u16, 960, 476];
        assert_eq!([word(0), word(pitch * 4), word(pitch * 4 + 2)], expected.map(|sample| sample << SHIFT));
        assert_eq!(word(pitch * 3 + 14) >> SHIFT, expected[0], "the last sample of luma");
        assert_eq!(word(pitch * 5 + 14) >> SHIFT, expected[2], "the last sample of chroma");
        assert_eq!(&buffer[16..24], [0xee; 8], "what is beyond the picture is left alone");
    }
}
