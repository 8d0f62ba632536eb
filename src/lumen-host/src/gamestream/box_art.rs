//! Box art for applications that bring none: colour bars, a sweep and a circle, in the manner of the test card.
//! Portrait 3:4, in none of the sizes that clients take for placeholders (protocol part 1, section 4.2).

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Pixels per line.
const WIDTH: u32 = 600;
/// Lines.
const HEIGHT: u32 = 800;
/// Files above this are not sent.
const MAX_FILE: u64 = 8 * 1024 * 1024;

/// The picture of a file, if it is there, is PNG, and is no larger than 8 MiB.
pub(super) fn from_file(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MAX_FILE + 1).read_to_end(&mut bytes).ok()?;
    let fits = u64::try_from(bytes.len()).is_ok_and(|length| length <= MAX_FILE);
    (fits && bytes.starts_with(b"\x89PNG\r\n\x1a\n")).then_some(bytes)
}

/// Draws the picture, as PNG.
pub(super) fn draw() -> Vec<u8> {
    let mut pixels = Vec::with_capacity(WIDTH as usize * HEIGHT as usize * 3);
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            pixels.extend_from_slice(&sampled(x, y));
        }
    }
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, WIDTH, HEIGHT);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&pixels));
    // Writing to memory fails only for sizes that do not fit, and these do.
    if written.is_err() {
        png.clear();
    }
    png
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
}
