//! Box art: the operator's, the one that was found with the application, or a drawn one: colour bars, a sweep and a
//! circle, in the manner of the test card. Always PNG. What is drawn here is portrait 3:4, in none of the sizes that
//! clients take for placeholders (protocol part 1, section 4.2).

use std::fs::{Metadata, OpenOptions};
use std::io::{Cursor, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::OnceLock;

use bytes::Bytes;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::apps::Art;

/// Pixels per line.
const WIDTH: u32 = 600;
/// Lines.
const HEIGHT: u32 = 800;
/// Files above this are not sent.
const MAX_FILE: u64 = 8 * 1024 * 1024;

/// Pixels a side that an icon gets.
const ICON: u32 = 384;
/// Most pixels a side of a picture that is decoded.
const LARGEST: usize = 4096;

/// The picture for an application: the one that is configured, else the one that was found, else a drawn one.
pub(super) fn of_app(configured: Option<&Path>, found: Option<&Art>) -> Bytes {
    static DRAWN: OnceLock<Bytes> = OnceLock::new();
    let found = || match found? {
        Art::Poster(path) => from_file(path),
        Art::Icon(path) => with_icon(path),
    };
    let picture = configured.and_then(from_file).or_else(found);
    picture.map_or_else(|| DRAWN.get_or_init(|| Bytes::from(draw())).clone(), Bytes::from)
}

/// The picture of a file as PNG, if it is there, is PNG or JPEG, and is no larger than 8 MiB.
fn from_file(path: &Path) -> Option<Vec<u8>> {
    let bytes = read(path)?;
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Some(bytes);
    }
    let options = DecoderOptions::default()
        .set_max_width(LARGEST)
        .set_max_height(LARGEST)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(&bytes), options);
    let pixels = decoder.decode().ok()?;
    let (width, height) = decoder.dimensions()?;
    encode(&pixels, u32::try_from(width).ok()?, u32::try_from(height).ok()?)
}

/// The bytes of a regular file.
fn read(path: &Path) -> Option<Vec<u8>> {
    // A pipe of this name must not hold up anybody.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).ok()?;
    file.metadata().ok().filter(Metadata::is_file)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).ok()?;
    u64::try_from(bytes.len()).is_ok_and(|length| length <= MAX_FILE).then_some(bytes)
}

/// A small picture in the middle of an empty ground.
fn with_icon(path: &Path) -> Option<Vec<u8>> {
    let bytes = read(path)?;
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::normalize_to_color8() | png::Transformations::ALPHA);
    let mut reader = decoder.read_info().ok()?;
    let (width, height) = (reader.info().width, reader.info().height);
    if width as usize > LARGEST || height as usize > LARGEST {
        return None;
    }
    let mut icon = vec![0; reader.output_buffer_size()?];
    let samples = reader.next_frame(&mut icon).ok()?.color_type.samples();
    let side = width.max(height) as f32;
    let mut pixels = Vec::with_capacity(WIDTH as usize * HEIGHT as usize * 3);
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            let ground = mix([0.05, 0.07, 0.13], [0.13, 0.18, 0.31], y as f32 / HEIGHT as f32);
            // From the box to the icon, which keeps its proportions.
            let place = |at: u32, box_side: u32, icon_side: u32| {
                let from_middle = (at as f32 + 0.5 - box_side as f32 / 2.0) / ICON as f32 * side;
                let at = from_middle + icon_side as f32 / 2.0;
                (at >= 0.0 && at < icon_side as f32).then_some(at as usize)
            };
            let colour = place(x, WIDTH, width).zip(place(y, HEIGHT, height)).and_then(|(x, y)| {
                let pixel = icon.get((y * width as usize + x) * samples..)?.get(..samples)?;
                let part = |index: usize| f32::from(pixel[index]) / 255.0;
                let rgb = if samples < 3 { [part(0); 3] } else { [part(0), part(1), part(2)] };
                Some(mix(ground, rgb, part(samples - 1)))
            });
            pixels.extend(colour.unwrap_or(ground).map(|part| (part.clamp(0.0, 1.0) * 255.0 + 0.5) as u8));
        }
    }
    encode(&pixels, WIDTH, HEIGHT)
}

/// Pixels of three bytes as PNG.
fn encode(pixels: &[u8], width: u32, height: u32) -> Option<Vec<u8>> {
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    encoder.write_header().and_then(|mut writer| writer.write_image_data(pixels)).ok()?;
    Some(png)
}

/// Draws the picture, as PNG.
fn draw() -> Vec<u8> {
    let mut pixels = Vec::with_capacity(WIDTH as usize * HEIGHT as usize * 3);
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            pixels.extend_from_slice(&sampled(x, y));
        }
    }
    // Writing to memory fails only for sizes that do not fit, and these do.
    encode(&pixels, WIDTH, HEIGHT).unwrap_or_default()
}

type Colour = [f32; 3];

/// Four samples a pixel keep edges smooth.
fn sampled(x: u32, y: u32) -> [u8; 3] {
    let mut sum = [0.0; 3];
    for (dx, dy) in [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)] {
        let colour = colour(x as f32 + dx, y as f32 + dy);
        for (total, part) in sum.iter_mut().zip(colour) {
            *total += part / 4.0;
        }
    }
    sum.map(|part| (part.clamp(0.0, 1.0) * 255.0 + 0.5) as u8)
}

fn colour(x: f32, y: f32) -> Colour {
    const BARS: [Colour; 7] = [
        [0.80, 0.80, 0.80],
        [0.80, 0.76, 0.16],
        [0.16, 0.74, 0.78],
        [0.20, 0.70, 0.28],
        [0.72, 0.24, 0.68],
        [0.80, 0.22, 0.20],
        [0.18, 0.28, 0.76],
    ];
    const GRID: f32 = 50.0;
    let night = mix([0.05, 0.07, 0.13], [0.10, 0.14, 0.25], y / HEIGHT as f32);
    let (cx, cy) = (WIDTH as f32 / 2.0, HEIGHT as f32 * 0.46);
    let radius = ((x - cx).powi(2) + (y - cy).powi(2)).sqrt();
    let ring = 210.0;

    if radius < ring - 6.0 {
        let (top, bottom) = (cy - 110.0, cy + 70.0);
        return if y < top {
            mix([0.93, 0.95, 0.98], [0.75, 0.80, 0.88], (top - y) / 100.0)
        } else if y < bottom {
            let bar = ((x - (cx - ring)) / (2.0 * ring) * BARS.len() as f32) as usize;
            BARS[bar.min(BARS.len() - 1)]
        } else if y < bottom + 56.0 {
            // A ramp from black to white.
            [((x - (cx - ring * 0.9)) / (1.8 * ring)).clamp(0.0, 1.0); 3]
        } else {
            [0.04, 0.05, 0.08]
        };
    }
    if radius < ring {
        return [0.95, 0.97, 1.0];
    }
    let near_line = |position: f32| (position / GRID - (position / GRID).round()).abs() * GRID < 1.0;
    let base = if near_line(x) || near_line(y) { mix(night, [0.55, 0.62, 0.78], 0.35) } else { night };
    // A beam of light below the circle: the lumen.
    let beam = (1.0 - (x - cx).abs() / (30.0 + (y - cy - ring).max(0.0) * 0.9)).max(0.0);
    if y > cy + ring { mix(base, [1.0, 0.86, 0.48], beam * 0.55) } else { base }
}

fn mix(from: Colour, to: Colour, share: f32) -> Colour {
    let share = share.clamp(0.0, 1.0);
    [0, 1, 2].map(|part| from[part] + (to[part] - from[part]) * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drawn_picture_is_a_png_of_its_size() {
        let decoder = png::Decoder::new(std::io::Cursor::new(draw()));
        let reader = decoder.read_info().expect("a PNG");
        assert_eq!((reader.info().width, reader.info().height), (WIDTH, HEIGHT));
    }

    #[test]
    fn a_file_that_is_no_picture_is_not_sent() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("art.png");
        assert_eq!(from_file(&path), None);
        std::fs::write(&path, "no picture").expect("written");
        assert_eq!(from_file(&path), None);
        std::fs::write(&path, draw()).expect("written");
        assert!(from_file(&path).is_some());
    }

    #[test]
    fn pictures_that_are_found_become_png() {
        let directory = tempfile::tempdir().expect("a directory");
        let poster = directory.path().join("poster.jpg");
        std::fs::write(&poster, include_bytes!("box_art/poster.jpg")).expect("written");
        let decode = |bytes: Bytes| {
            let mut reader = png::Decoder::new(Cursor::new(bytes)).read_info().expect("a PNG");
            let mut pixels = vec![0; reader.output_buffer_size().expect("small")];
            reader.next_frame(&mut pixels).expect("a picture");
            (reader.info().width, reader.info().height, pixels)
        };
        let (width, height, pixels) = decode(of_app(None, Some(&Art::Poster(poster.clone()))));
        assert_eq!((width, height), (60, 90));
        assert!(pixels[0] > 150 && pixels[1] < 90 && pixels[2] < 90, "it is red: {:?}", &pixels[..3]);

        let icon = directory.path().join("icon.png");
        std::fs::write(&icon, encode(&[0, 255, 0].repeat(16 * 16), 16, 16).expect("it fits")).expect("written");
        let (width, height, pixels) = decode(of_app(None, Some(&Art::Icon(icon.clone()))));
        assert_eq!((width, height), (WIDTH, HEIGHT));
        let pixel = |x: u32, y: u32| &pixels[((y * WIDTH + x) * 3) as usize..][..3];
        assert_eq!(pixel(WIDTH / 2, HEIGHT / 2), [0, 255, 0]);
        assert_ne!(pixel(5, 5), [0, 255, 0]);

        // The operator's own comes first; what is broken is passed over.
        assert_eq!(decode(of_app(Some(&icon), Some(&Art::Poster(poster)))).0, 16);
        std::fs::write(&icon, "\u{89}PNG").expect("written");
        assert_eq!(of_app(None, Some(&Art::Icon(icon))), draw());
    }
}
