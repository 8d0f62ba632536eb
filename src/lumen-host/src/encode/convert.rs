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
    let line = width * 4;
    if width == 0 || height == 0 || image.stride < line || image.data.len() < (height - 1) * image.stride + line {
        return Err(wrong_size);
    }
    for plane in 0..format.planes() {
        let (line, lines) = format.plane_size(plane, width, height);
        if planes.strides[plane] < line || planes.planes[plane].len() < (lines - 1) * planes.strides[plane] + line {
            return Err(wrong_size);
        }
    }
    match format {
        PixelFormat::Nv12 | PixelFormat::Yuv420 | PixelFormat::Yuv444 => {
            eight_bits(image, format, matrix, range, planes).map_err(|error| ConvertError::Refused(error.to_string()))
        }
        PixelFormat::Yuv420P10 | PixelFormat::Yuv444P10 => {
            ten_bits(image, format, &Coefficients::new(matrix, range, 10), planes);
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

/// Bits after the point of [`Coefficients`].
const FRACTION: u32 = 16;

/// The matrix in fixed point: one row per component, columns blue, green, red, and the offset with its rounding half.
struct Coefficients {
    rows: [[i32; 3]; 3],
    offsets: [i32; 3],
    max: i32,
}

impl Coefficients {
    fn new(matrix: Matrix, range: Range, bits: u32) -> Self {
        let (rows, offsets) = coefficients(matrix, range, bits);
        let one = f64::from(1 << FRACTION);
        Self {
            rows: rows.map(|row| row.map(|factor| (factor * one).round() as i32)),
            offsets: offsets.map(|offset| (offset * one) as i32),
            max: (1 << bits) - 1,
        }
    }

    /// One component of a sum of `1 << shift` pixels.
    #[inline]
    fn component(&self, row: usize, [blue, green, red]: [i32; 3], shift: u32) -> u16 {
        let [b, g, r] = self.rows[row];
        let half = 1 << (FRACTION + shift - 1);
        let value = (blue * b + green * g + red * r + (self.offsets[row] << shift) + half) >> (FRACTION + shift);
        value.clamp(0, self.max) as u16
    }
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

fn ten_bits(image: &CpuImage, format: PixelFormat, matrix: &Coefficients, planes: PlanesMut<'_>) {
    let width = image.width as usize;
    let lines = |y: usize| &image.data[y * image.stride..][..width * 4];
    let PlanesMut { planes: [luma, cb, cr], strides } = planes;
    for (y, target) in luma.chunks_mut(strides[0]).enumerate() {
        for (pixel, sample) in pixels(lines(y)).zip(target.chunks_exact_mut(2)) {
            sample.copy_from_slice(&matrix.component(0, pixel, 0).to_le_bytes());
        }
    }
    let last = image.height as usize - 1;
    for (row, plane, stride) in [(1, cb, strides[1]), (2, cr, strides[2])] {
        for (y, target) in plane.chunks_mut(stride).enumerate() {
            let target = target.chunks_exact_mut(2);
            if format == PixelFormat::Yuv444P10 {
                for (pixel, sample) in pixels(lines(y)).zip(target) {
                    sample.copy_from_slice(&matrix.component(row, pixel, 0).to_le_bytes());
                }
            } else {
                let (above, below) = (lines(2 * y), lines((2 * y + 1).min(last)));
                for ((above, below), sample) in above.chunks(8).zip(below.chunks(8)).zip(target) {
                    let sum = add(pair(above), pair(below));
                    sample.copy_from_slice(&matrix.component(row, sum, 2).to_le_bytes());
                }
            }
        }
    }
}

fn pixels(line: &[u8]) -> impl Iterator<Item = [i32; 3]> + '_ {
    line.chunks_exact(4).map(pixel)
}

#[inline]
fn pixel(bytes: &[u8]) -> [i32; 3] {
    [i32::from(bytes[0]), i32::from(bytes[1]), i32::from(bytes[2])]
}

/// The sum of two pixels; the last of an odd line counts twice.
#[inline]
fn pair(bytes: &[u8]) -> [i32; 3] {
    add(pixel(bytes), pixel(if bytes.len() == 8 { &bytes[4..] } else { bytes }))
}

#[inline]
fn add(a: [i32; 3], b: [i32; 3]) -> [i32; 3] {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

#[cfg(test)]
mod tests {
    use super::*;

    const MATRICES: [Matrix; 3] = [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020];
    const RANGES: [Range; 2] = [Range::Limited, Range::Full];

    /// An image of every mixture of some levels, with lines longer than its pixels.
    fn image() -> CpuImage {
        const LEVELS: [u8; 9] = [0, 1, 17, 64, 127, 128, 200, 254, 255];
        let (width, height) = (54, 54);
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
            let mut buffers: Vec<Vec<u8>> = Vec::new();
            let mut strides = [0; 3];
            for plane in 0..3 {
                let (line, lines) = format.plane_size(plane, width, height);
                strides[plane] = line + 32;
                buffers.push(vec![0; strides[plane] * lines]);
            }
            let [y, u, v] = &mut buffers[..] else { unreachable!() };
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
    fn planes_of_another_size_are_refused() {
        let image = image();
        let planes = PlanesMut { planes: [&mut [0; 100], &mut [0; 100], &mut [0; 100]], strides: [54, 27, 27] };
        let result = convert(&image, PixelFormat::Yuv420, Matrix::Bt709, Range::Limited, planes);
        assert_eq!(result, Err(ConvertError::Size { width: 54, height: 54 }));
    }
}
