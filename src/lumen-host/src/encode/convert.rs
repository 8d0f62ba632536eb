//! BGRX to YCbCr, in the matrix and range that the client asked for. Eight bits go through the `yuv` crate, which has
//! SIMD for every machine; ten bits, which it does not make from eight-bit pixels, through a plain loop.
//!
//! Chroma of 4:2:0 is the mean of the four pixels that it stands for.

use lumen_ffmpeg::{PixelFormat, PlanesMut};
use yuv::{BufferStoreMut, YuvBiPlanarImageMut, YuvConversionMode, YuvPlanarImageMut, YuvRange, YuvStandardMatrix};

use super::{Matrix, Range};
use crate::frame::{CpuImage, PixelFormat as ImageFormat};

/// Why a picture could not be converted. The worker makes image and planes itself, so each of these is a fault in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// The image's bytes are fewer than its size says, or its size is not that of the planes.
    #[error("an image of {width}x{height} does not fit the encoder's picture")]
    Size {
        /// Pixels per line of the image.
        width: u32,
        /// Lines of the image.
        height: u32,
    },
    /// The conversion refused the planes.
    #[error("the conversion to YCbCr failed: {0}")]
    Refused(String),
}

/// Fills `planes`, which hold a picture of the image's size in `format`.
///
/// # Errors
/// [`ConvertError`] if sizes disagree.
pub fn convert(
    image: &CpuImage,
    format: PixelFormat,
    matrix: Matrix,
    range: Range,
    planes: PlanesMut<'_>,
) -> Result<(), ConvertError> {
    let ImageFormat::Bgrx = image.format;
    let (width, height) = (image.width as usize, image.height as usize);
    let wrong_size = ConvertError::Size { width: image.width, height: image.height };
    // Every line must be whole, the last with its padding too: the `yuv` crate goes by strides, and leaves out a last
    // line that is shorter without a word.
    if width == 0 || height == 0 || image.stride < width * 4 || image.data.len() < height * image.stride {
        return Err(wrong_size);
    }
    for plane in 0..format.planes() {
        let (line, lines) = format.plane_size(plane, width, height);
        if planes.strides[plane] < line || planes.planes[plane].len() < lines * planes.strides[plane] {
            return Err(wrong_size);
        }
    }
    match format {
        PixelFormat::Nv12 | PixelFormat::Yuv420 | PixelFormat::Yuv444 => {
            eight_bits(image, format, matrix, range, planes).map_err(|error| ConvertError::Refused(error.to_string()))
        }
        PixelFormat::Yuv420P10 | PixelFormat::Yuv444P10 => {
            ten_bits(image, format, Row::all(matrix, range, 10), planes);
            Ok(())
        }
    }
}

fn eight_bits(
    image: &CpuImage,
    format: PixelFormat,
    matrix: Matrix,
    range: Range,
    planes: PlanesMut<'_>,
) -> Result<(), yuv::YuvError> {
    let (source, stride) = (&image.data, u32::try_from(image.stride).unwrap_or(u32::MAX));
    let matrix = match matrix {
        Matrix::Bt601 => YuvStandardMatrix::Bt601,
        Matrix::Bt709 => YuvStandardMatrix::Bt709,
        Matrix::Bt2020 => YuvStandardMatrix::Bt2020,
    };
    let range = match range {
        Range::Limited => YuvRange::Limited,
        Range::Full => YuvRange::Full,
    };
    let mode = YuvConversionMode::Balanced;
    let strides = planes.strides.map(|stride| u32::try_from(stride).unwrap_or(u32::MAX));
    let [first, second, third] = planes.planes.map(BufferStoreMut::Borrowed);
    let (width, height) = (image.width, image.height);
    if format == PixelFormat::Nv12 {
        let mut target = YuvBiPlanarImageMut {
            y_plane: first,
            y_stride: strides[0],
            uv_plane: second,
            uv_stride: strides[1],
            width,
            height,
        };
        return yuv::bgra_to_yuv_nv12(&mut target, source, stride, range, matrix, mode);
    }
    let mut target = YuvPlanarImageMut {
        y_plane: first,
        y_stride: strides[0],
        u_plane: second,
        u_stride: strides[1],
        v_plane: third,
        v_stride: strides[2],
        width,
        height,
    };
    if format == PixelFormat::Yuv444 {
        yuv::bgra_to_yuv444(&mut target, source, stride, range, matrix, mode)
    } else {
        yuv::bgra_to_yuv420(&mut target, source, stride, range, matrix, mode)
    }
}

/// Bits after the point of [`Row`].
const FRACTION: u32 = 16;

/// One row of the matrix in fixed point.
#[derive(Clone, Copy)]
struct Row {
    /// For blue, green and red.
    factors: [i32; 3],
    offset: i32,
    max: i32,
}

impl Row {
    /// The rows for Y, Cb and Cr.
    fn all(matrix: Matrix, range: Range, bits: u32) -> [Self; 3] {
        let (rows, offsets) = coefficients(matrix, range, bits);
        let one = f64::from(1 << FRACTION);
        [0, 1, 2].map(|row| Self {
            factors: rows[row].map(|factor| (factor * one).round() as i32),
            offset: (offsets[row] * one) as i32,
            max: (1 << bits) - 1,
        })
    }

    /// The component of the sum of `1 << SHIFT` pixels, as bytes.
    #[inline(always)]
    fn component<const SHIFT: u32>(self, [blue, green, red]: [u32; 3]) -> [u8; 2] {
        let [b, g, r] = self.factors;
        let offset = (self.offset << SHIFT) + (1 << (FRACTION + SHIFT - 1));
        let value = (blue as i32 * b + green as i32 * g + red as i32 * r + offset) >> (FRACTION + SHIFT);
        (value.clamp(0, self.max) as u16).to_le_bytes()
    }
}

/// The matrix as whole numbers with 16 bits after the point: for each of Y, Cb, Cr what eight-bit blue, green and red are
/// multiplied by, and what is added. What converts elsewhere converts by these as well.
pub fn fixed_rows(matrix: Matrix, range: Range, bits: u32) -> [[i32; 4]; 3] {
    Row::all(matrix, range, bits).map(|Row { factors: [blue, green, red], offset, .. }| [blue, green, red, offset])
}

/// What eight-bit blue, green and red are multiplied by and what is added, for each of Y, Cb, Cr (section 4.4).
fn coefficients(matrix: Matrix, range: Range, bits: u32) -> ([[f64; 3]; 3], [f64; 3]) {
    let (kr, kb) = match matrix {
        Matrix::Bt601 => (0.299, 0.114),
        Matrix::Bt709 => (0.2126, 0.0722),
        Matrix::Bt2020 => (0.2627, 0.0593),
    };
    let kg = 1.0 - kr - kb;
    let step = f64::from(1 << (bits - 8));
    let (luma, chroma, black) = match range {
        Range::Limited => (219.0 * step, 224.0 * step, 16.0 * step),
        Range::Full => (256.0 * step - 1.0, 256.0 * step - 1.0, 0.0),
    };
    let (luma, chroma) = (luma / 255.0, chroma / 255.0);
    let (cb, cr) = (chroma / (2.0 * (1.0 - kb)), chroma / (2.0 * (1.0 - kr)));
    (
        [
            [kb * luma, kg * luma, kr * luma],
            [(1.0 - kb) * cb, -kg * cb, -kr * cb],
            [-kb * cr, -kg * cr, (1.0 - kr) * cr],
        ],
        [black, 128.0 * step, 128.0 * step],
    )
}

fn ten_bits(image: &CpuImage, format: PixelFormat, rows: [Row; 3], planes: PlanesMut<'_>) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, as was just asked.
        return unsafe { ten_bits_avx2(image, format, rows, planes) };
    }
    ten_bits_anywhere(image, format, rows, planes);
}

/// The same loop, compiled for AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn ten_bits_avx2(image: &CpuImage, format: PixelFormat, rows: [Row; 3], planes: PlanesMut<'_>) {
    ten_bits_anywhere(image, format, rows, planes);
}

#[inline(always)]
fn ten_bits_anywhere(image: &CpuImage, format: PixelFormat, rows: [Row; 3], planes: PlanesMut<'_>) {
    let width = image.width as usize;
    let line = |y: usize| &image.data[y * image.stride..][..width * 4];
    let last = image.height as usize - 1;
    for (number, (plane, row)) in planes.planes.into_iter().zip(rows).enumerate() {
        for (y, target) in plane.chunks_mut(planes.strides[number]).enumerate() {
            if number == 0 || format == PixelFormat::Yuv444P10 {
                line_of_pixels(row, line(y), target);
            } else {
                line_of_squares(row, line(2 * y), line((2 * y + 1).min(last)), target);
            }
        }
    }
}

/// One component of each pixel of a line.
#[inline(always)]
fn line_of_pixels(row: Row, line: &[u8], target: &mut [u8]) {
    for (pixel, sample) in line.as_chunks::<4>().0.iter().zip(target.as_chunks_mut::<2>().0) {
        let pixel = u32::from_le_bytes(*pixel);
        *sample = row.component::<0>([pixel & 0xff, pixel >> 8 & 0xff, pixel >> 16 & 0xff]);
    }
}

/// One component of each square of four pixels of two lines. The last pixels of odd lines count twice.
#[inline(always)]
fn line_of_squares(row: Row, above: &[u8], below: &[u8], target: &mut [u8]) {
    let ((above, above_rest), (below, below_rest)) = (above.as_chunks::<8>(), below.as_chunks::<8>());
    let samples = target.as_chunks_mut::<2>().0;
    for ((above, below), sample) in above.iter().zip(below).zip(samples.iter_mut()) {
        *sample = row.component::<2>(square(u64::from_le_bytes(*above), u64::from_le_bytes(*below)));
    }
    if let ([ab, ag, ar, _], [bb, bg, br, _], Some(sample)) = (above_rest, below_rest, samples.get_mut(above.len())) {
        let twice = |a: &u8, b: &u8| 2 * (u32::from(*a) + u32::from(*b));
        *sample = row.component::<2>([twice(ab, bb), twice(ag, bg), twice(ar, br)]);
    }
}

/// Blue, green and red of four pixels added up: two words of two pixels each. Blue and red are added side by side in
/// the 16-bit fields of a word, then its halves.
#[inline(always)]
fn square(above: u64, below: u64) -> [u32; 3] {
    const FIELDS: u64 = 0x00ff_00ff_00ff_00ff;
    let blue_red = (above & FIELDS) + (below & FIELDS);
    let green = (above >> 8 & FIELDS) + (below >> 8 & FIELDS);
    let (blue_red, green) = (blue_red + (blue_red >> 32), green + (green >> 32));
    [blue_red as u32 & 0xffff, green as u32 & 0xffff, blue_red as u32 >> 16]
}

#[cfg(test)]
mod tests {
    use super::*;

    const MATRICES: [Matrix; 3] = [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020];
    const RANGES: [Range; 2] = [Range::Limited, Range::Full];

    /// An image of every mixture of some levels, with lines longer than its pixels.
    fn image() -> CpuImage {
        const LEVELS: [u8; 9] = [0, 1, 17, 64, 127, 128, 200, 254, 255];
        let (width, height) = (58, 54);
        let stride = width as usize * 4 + 24;
        let mut data = vec![0xa5; stride * height as usize];
        for y in 0..height as usize {
            for x in 0..width as usize {
                let i = (y / 2) * (width as usize / 2) + x / 2;
                let noise = (x * 7 + y * 13) % 3;
                let level = |digit: usize| LEVELS[(i / 9usize.pow(digit as u32) + noise) % 9];
                data[y * stride + x * 4..][..3].copy_from_slice(&[level(0), level(1), level(2)]);
            }
        }
        CpuImage { width, height, stride, format: ImageFormat::Bgrx, data }
    }

    /// What the document's formulas give for the mean of the pixels of a block, rounded.
    fn reference(
        image: &CpuImage,
        x: usize,
        y: usize,
        size: usize,
        component: usize,
        setup: (Matrix, Range, u32),
    ) -> f64 {
        let (rows, offsets) = coefficients(setup.0, setup.1, setup.2);
        let mut sum = 0.0;
        for (dx, dy) in (0..size * size).map(|i| (i % size, i / size)) {
            let bytes = &image.data[(y + dy) * image.stride + (x + dx) * 4..];
            sum += (0..3).map(|i| f64::from(bytes[i]) * rows[component][i]).sum::<f64>();
        }
        (sum / (size * size) as f64 + offsets[component]).clamp(0.0, f64::from((1u32 << setup.2) - 1)).round()
    }

    fn check(format: PixelFormat, tolerance: f64) {
        let image = image();
        let (width, height) = (image.width as usize, image.height as usize);
        let mut worst = 0.0f64;
        for (matrix, range) in MATRICES.into_iter().flat_map(|matrix| RANGES.map(|range| (matrix, range))) {
            let layout = [0, 1, 2].map(|plane| format.plane_size(plane, width, height));
            let strides = layout.map(|(line, _)| line + 32);
            let mut buffers = layout.map(|(line, lines)| vec![0; (line + 32) * lines]);
            let [y, u, v] = &mut buffers;
            convert(&image, format, matrix, range, PlanesMut { planes: [y, u, v], strides }).unwrap();
            for component in 0..3 {
                let half = component > 0 && !matches!(format, PixelFormat::Yuv444 | PixelFormat::Yuv444P10);
                let size = if half { 2 } else { 1 };
                for y in 0..height / size {
                    for x in 0..width / size {
                        let (plane, x_sample) = if format == PixelFormat::Nv12 && half {
                            (1, x * 2 + component - 1)
                        } else {
                            (component, x)
                        };
                        let bytes = &buffers[plane][y * strides[plane]..];
                        let got = if format.bits() == 10 {
                            f64::from(u16::from_le_bytes([bytes[x_sample * 2], bytes[x_sample * 2 + 1]]))
                        } else {
                            f64::from(bytes[x_sample])
                        };
                        let setup = (matrix, range, u32::from(format.bits()));
                        let wanted = reference(&image, x * size, y * size, size, component, setup);
                        worst = worst.max((got - wanted).abs());
                        assert!(
                            (got - wanted).abs() <= tolerance,
                            "{format:?} {matrix:?} {range:?} component {component} at {x},{y}: {got} for {wanted}"
                        );
                    }
                }
            }
        }
        println!("{format:?}: off by {worst} at most");
    }

    #[test]
    fn eight_bits_are_within_one_code_value_of_the_exact_matrix() {
        check(PixelFormat::Nv12, 1.0);
        check(PixelFormat::Yuv420, 1.0);
        check(PixelFormat::Yuv444, 1.0);
    }

    #[test]
    fn ten_bits_are_within_one_code_value_of_the_exact_matrix() {
        check(PixelFormat::Yuv420P10, 1.0);
        check(PixelFormat::Yuv444P10, 1.0);
    }

    #[test]
    fn planes_whose_last_line_ends_early_are_refused_not_left_blank() {
        let image = image();
        let (width, height) = (image.width as usize, image.height as usize);
        let chroma = vec![0; 64 * height.div_ceil(2)];
        let (mut y, mut u, mut v) = (vec![0; 128 * (height - 1) + width], chroma.clone(), chroma);
        let planes = PlanesMut { planes: [&mut y, &mut u, &mut v], strides: [128, 64, 64] };
        let result = convert(&image, PixelFormat::Yuv420, Matrix::Bt709, Range::Limited, planes);
        assert_eq!(result, Err(ConvertError::Size { width: image.width, height: image.height }));
    }

    #[test]
    fn planes_of_another_size_are_refused() {
        let image = image();
        let planes = PlanesMut { planes: [&mut [0; 100], &mut [0; 100], &mut [0; 100]], strides: [58, 29, 29] };
        let result = convert(&image, PixelFormat::Yuv420, Matrix::Bt709, Range::Limited, planes);
        assert_eq!(result, Err(ConvertError::Size { width: 58, height: 54 }));
    }
}
