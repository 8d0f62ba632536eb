//! What a client sees while its display is still coming up: the name of the application on a dark ground, and a light
//! that goes from dot to dot, so that one sees it lives. It knows neither display nor session.

use std::sync::Arc;

use super::testcard::canvas::{self, Align, Canvas, Color};
use super::testcard::font::{Face, Weight};
use super::testcard::layout::palette;
use crate::frame::{CpuImage, Mode};

/// Dots that the light goes over.
const DOTS: u64 = 3;
/// Smaller type cannot be read.
const SMALLEST: f32 = 10.0;
/// Part of the width that the text may fill.
const TEXT_WIDTH: f32 = 0.9;
/// Longer names are cut off.
const LONGEST_NAME: usize = 60;

/// See the module.
#[derive(Debug)]
pub struct Placeholder {
    /// The picture without a light.
    base: CpuImage,
    /// Centre of the dot in the middle.
    middle: (f32, f32),
    radius: f32,
}

impl Placeholder {
    /// For an application with this title, at the size of `mode`.
    pub fn new(mode: Mode, title: &str) -> Self {
        let (width, height) = (mode.width as f32, mode.height as f32);
        let mut image = canvas::blank(mode.width, mode.height, palette::BACKGROUND);
        let text = sentence(title);
        let mut face = Face::new(Weight::Regular, (height / 15.0).max(SMALLEST));
        let room = width * TEXT_WIDTH;
        let wide = face.width(&text);
        if wide > room {
            face = Face::new(Weight::Regular, (face.size() * room / wide).max(SMALLEST));
        }
        let size = face.size();
        Canvas::new(&mut image).text(&mut face, width / 2.0, height * 0.48, Align::Center, palette::TEXT, &text);
        Self { base: image, middle: (width / 2.0, height * 0.48 + size * 1.6), radius: (size * 0.16).max(2.0) }
    }

    /// The picture of a step; the light moves on with each.
    pub fn draw(&self, step: u64) -> Arc<CpuImage> {
        let mut image = self.base.clone();
        let mut canvas = Canvas::new(&mut image);
        for dot in 0..DOTS {
            let lit = dot == step % DOTS;
            let color: Color = if lit { palette::ACCENT } else { palette::LINE };
            let x = self.middle.0 + (dot as f32 - (DOTS - 1) as f32 / 2.0) * self.radius * 5.0;
            canvas.disc(x, self.middle.1, self.radius, color);
        }
        Arc::new(image)
    }
}

fn sentence(title: &str) -> String {
    let name: String = title.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_NAME).collect();
    let cut = if title.chars().count() > LONGEST_NAME { "…" } else { "" };
    format!("{}{cut} is starting…", name.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines with anything on them.
    fn written(image: &CpuImage) -> Vec<usize> {
        let ground = &image.data[..4];
        let lines = image.data.chunks(image.stride).enumerate();
        lines.filter(|(_, line)| line.chunks(4).any(|pixel| pixel != ground)).map(|(y, _)| y).collect()
    }

    #[test]
    fn it_fits_every_size_and_every_name() {
        for (width, height) in [(64, 64), (320, 180), (1366, 768), (720, 1280), (3840, 2160)] {
            for title in ["", "Spiel", &"w".repeat(500), "a\nb\t\u{1F980}"] {
                let image = Placeholder::new(Mode::new(width, height, 60), title).draw(0);
                assert_eq!(
                    (image.width, image.height, image.data.len()),
                    (width, height, (width * height * 4) as usize)
                );
                let written = written(&image);
                assert!(!written.is_empty() && written[0] > 0 && *written.last().unwrap() < height as usize - 1);
            }
        }
    }

    #[test]
    fn each_step_differs_from_the_one_before() {
        let placeholder = Placeholder::new(Mode::new(640, 360, 30), "Spiel");
        assert_ne!(placeholder.draw(0), placeholder.draw(1));
        assert_ne!(placeholder.draw(2), placeholder.draw(3));
        assert_eq!(placeholder.draw(0), placeholder.draw(DOTS));
    }

    #[test]
    fn a_long_name_is_cut_off() {
        assert_eq!(sentence("Desk"), "Desk is starting…");
        assert_eq!(sentence(&"x".repeat(100)), format!("{}… is starting…", "x".repeat(60)));
    }
}
