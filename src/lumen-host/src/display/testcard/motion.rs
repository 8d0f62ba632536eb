//! Ground that moves: a texture drifts over the whole picture, and fresh grain lies on it with every frame. It is
//! drawn only where the card shows it, with little more than a saturating addition a byte.

use std::sync::{Arc, OnceLock};

use super::clock::UnixNanos;
use super::texture::{self, Texture};
use crate::frame::CpuImage;

/// How far the texture swings to either side, in pixels, and how long it takes to come back, in nanoseconds. The times
/// are far from any small ratio, so that the path takes long to repeat and hardly ever rests.
const SWING_X: (f64, i64) = (900.0, 31_000_000_000);
const SWING_Y: (f64, i64) = (520.0, 23_000_000_000);

/// Stretches of one kind shorter than this are blended as their neighbours are, which costs less than a change.
const SHORT: usize = 16;

/// The ground of one card.
#[derive(Debug)]
pub struct MovingGround {
    tiles: Arc<Tiles>,
    runs: Vec<Run>,
    /// What lies over the ground where it shines through, and how much of it is left: bytes of [`Run::veil`].
    over: Vec<u8>,
    keep: Vec<u8>,
}

/// Pixels of one line that the ground is drawn on.
#[derive(Debug)]
struct Run {
    x: usize,
    y: usize,
    length: usize,
    /// Where its first byte lies in [`MovingGround::over`] and [`MovingGround::keep`], if anything lies over it.
    veil: Option<usize>,
}

/// The same for every card of a process.
#[derive(Debug)]
struct Tiles {
    texture: Texture,
    grain: Texture,
}

/// How a pixel of the card lies over the ground.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cover {
    /// Not at all.
    None,
    /// The ground shines through.
    Veil,
    /// Nothing of the ground is left.
    Full,
}

impl MovingGround {
    /// The ground around a card, which is given as drawn on black and on white.
    pub fn around(black: &CpuImage, white: &CpuImage) -> Self {
        let (mut runs, mut over, mut keep) = (Vec::new(), Vec::new(), Vec::new());
        let lines = black.data.chunks_exact(black.stride).zip(white.data.chunks_exact(white.stride));
        for (y, (black, white)) in lines.enumerate() {
            let (black, white) = (black.as_chunks().0, white.as_chunks().0);
            for (x, length, cover) in stretches(black, white) {
                let veil = (cover == Cover::Veil).then_some(over.len());
                if veil.is_some() {
                    for (black, white) in black[x..x + length].iter().zip(&white[x..x + length]) {
                        over.extend_from_slice(black);
                        keep.extend(white.iter().zip(black).map(|(white, black)| white.saturating_sub(*black)));
                    }
                }
                if cover != Cover::Full {
                    runs.push(Run { x, y, length, veil });
                }
            }
        }
        Self { tiles: tiles(), runs, over, keep }
    }

    /// Draws the ground as it is at `tick`, and what lies over it where it shines through; `frame` chooses the grain.
    pub fn draw(&self, image: &mut CpuImage, tick: UnixNanos, frame: u64) {
        let swing = |(pixels, period): (f64, i64)| {
            let turn = tick.0.rem_euclid(period) as f64 / period as f64;
            (pixels * (turn * std::f64::consts::TAU).sin()).round() as i64 as usize
        };
        let drift = (swing(SWING_X), swing(SWING_Y));
        let chance = scramble(frame);
        let shake = ((chance & 0xFFFF) as usize, (chance >> 16 & 0xFFFF) as usize);
        for run in &self.runs {
            let start = run.y * image.stride + run.x * 4;
            let line = &mut image.data[start..start + run.length * 4];
            let place = |(dx, dy): (usize, usize)| (run.x.wrapping_add(dx), run.y.wrapping_add(dy));
            self.tiles.lay(line, place(drift), place(shake));
            if let Some(veil) = run.veil {
                let bytes = veil..veil + line.len();
                lay_over(line, &self.over[bytes.clone()], &self.keep[bytes]);
            }
        }
    }
}

impl Tiles {
    /// Fills a line with the texture from one place of it on, and grain from another.
    fn lay(&self, mut line: &mut [u8], texture: (usize, usize), grain: (usize, usize)) {
        let (mut texture_x, mut grain_x) = (texture.0, grain.0);
        while !line.is_empty() {
            let (below, above) = (self.texture.line(texture_x, texture.1), self.grain.line(grain_x, grain.1));
            let length = line.len().min(below.len()).min(above.len());
            let (now, rest) = line.split_at_mut(length);
            for ((byte, below), above) in now.iter_mut().zip(&below[..length]).zip(&above[..length]) {
                *byte = below.saturating_add(*above);
            }
            texture_x = texture_x.wrapping_add(length / 4);
            grain_x = grain_x.wrapping_add(length / 4);
            line = rest;
        }
    }
}

/// Takes from every byte what is hidden and adds what hides it.
fn lay_over(line: &mut [u8], over: &[u8], keep: &[u8]) {
    for ((byte, over), keep) in line.iter_mut().zip(over).zip(keep) {
        // Exact at both ends: keeping 255 of 255 changes nothing, keeping none leaves nothing.
        let left = (u16::from(*byte) * u16::from(*keep) + 255) >> 8;
        *byte = over.saturating_add(left as u8);
    }
}

/// The stretches of a line, drawn on black and on white, by how they lie over the ground: start, length, cover.
fn stretches(black: &[[u8; 4]], white: &[[u8; 4]]) -> Vec<(usize, usize, Cover)> {
    let covers = black.iter().zip(white).map(|([b0, g0, r0, _], [b1, g1, r1, _])| {
        let (dark, light) = ([*b0, *g0, *r0], [*b1, *g1, *r1]);
        match (dark, light) {
            ([0, 0, 0], [255, 255, 255]) => Cover::None,
            _ if dark == light => Cover::Full,
            _ => Cover::Veil,
        }
    });
    let mut pure: Vec<(usize, usize, Cover)> = Vec::new();
    for (x, cover) in covers.enumerate() {
        match pure.last_mut() {
            Some((_, length, last)) if *last == cover => *length += 1,
            _ => pure.push((x, 1, cover)),
        }
    }
    let mut merged: Vec<(usize, usize, Cover)> = Vec::new();
    for (x, length, cover) in pure {
        let cover = if length < SHORT { Cover::Veil } else { cover };
        match merged.last_mut() {
            Some((_, so_far, last)) if *last == cover => *so_far += length,
            _ => merged.push((x, length, cover)),
        }
    }
    merged
}

fn tiles() -> Arc<Tiles> {
    static TILES: OnceLock<Arc<Tiles>> = OnceLock::new();
    Arc::clone(TILES.get_or_init(|| Arc::new(Tiles { texture: texture::clouds(), grain: texture::grain() })))
}

/// A number that looks random and depends on nothing but `number` (the finisher of splitmix64).
const fn scramble(number: u64) -> u64 {
    let mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::super::canvas::{Canvas, Color, Rect, blank};
    use super::*;

    /// A card with a wide hole, a narrow one, a solid part and a disc with soft edge.
    fn card(below: Color) -> CpuImage {
        let mut image = blank(96, 40, below);
        let mut canvas = Canvas::new(&mut image);
        canvas.fill(Rect::new(0, 0, 30, 40), Color::grey(90));
        canvas.fill(Rect::new(34, 0, 3, 40), Color::grey(120));
        canvas.disc(70.0, 20.0, 15.0, below.mix(Color::grey(200), 0.5));
        image
    }

    fn moving() -> (MovingGround, CpuImage) {
        let black = card(Color::grey(0));
        (MovingGround::around(&black, &card(Color::grey(255))), black)
    }

    #[test]
    fn the_ground_shows_where_the_card_does_not_hide_it() {
        let (ground, base) = moving();
        let mut bare = blank(96, 40, Color::grey(0));
        let (clear, same) = (blank(96, 40, Color::grey(0)), blank(96, 40, Color::grey(255)));
        MovingGround::around(&clear, &same).draw(&mut bare, UnixNanos(5), 9);
        let mut image = base;
        ground.draw(&mut image, UnixNanos(5), 9);
        let at = |image: &CpuImage, x: usize| image.data[20 * image.stride + x * 4..][..4].to_vec();
        for hidden in [0, 15, 29] {
            assert_eq!(at(&image, hidden), [90, 90, 90, 255]);
        }
        assert_eq!(at(&image, 35), [120, 120, 120, 255]);
        for open in [30, 33, 37, 50, 90, 95] {
            assert_eq!(at(&image, open), at(&bare, open));
        }
        let (half, full) = (at(&image, 70), at(&bare, 70));
        for channel in 0..3 {
            assert!(half[channel].abs_diff(100 + full[channel] / 2) <= 1, "{half:?} over {full:?}");
        }
    }

    #[test]
    fn most_pixels_change_with_every_frame_and_a_frame_is_always_drawn_alike() {
        let (ground, base) = moving();
        let draw = |frame: u64| {
            let mut image = base.clone();
            ground.draw(&mut image, UnixNanos(1_764_000_000_000_000_000 + frame as i64 * 16_666_667), frame);
            image
        };
        assert!(draw(3) == draw(3));
        for frame in 0..30 {
            let (one, other) = (draw(frame), draw(frame + 1));
            let pixels = one.data.chunks(4).zip(other.data.chunks(4));
            let changed = pixels.filter(|(one, other)| one != other).count();
            // A third of the picture is hidden.
            assert!(changed > 96 * 40 / 2, "{changed} of frame {frame}");
        }
    }

    #[test]
    fn laying_over_is_exact_at_both_ends() {
        let mut bytes: Vec<u8> = (0..=255).collect();
        let before = bytes.clone();
        lay_over(&mut bytes, &[0; 256], &[255; 256]);
        assert_eq!(bytes, before);
        lay_over(&mut bytes, &before, &[0; 256]);
        assert_eq!(bytes, before);
    }
}
