//! The card's type: glyphs of Noto Sans (SIL Open Font License 1.1), rasterised once a size and kept.

use std::collections::HashMap;
use std::sync::OnceLock;

use fontdue::{Font, FontSettings};

/// Which cut of the family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Weight {
    /// For all that is read.
    Regular,
    /// For titles and values that stand out.
    Bold,
}

/// A rasterised glyph.
#[derive(Debug)]
pub struct Glyph {
    /// Pixels from the pen to the left edge.
    pub left: i32,
    /// Pixels from the baseline up to the upper edge.
    pub top: i32,
    /// Width in pixels.
    pub width: usize,
    /// Coverage 0..=255, line by line, `width` bytes each.
    pub coverage: Vec<u8>,
    /// How far the pen moves, in pixels.
    pub advance: f32,
}

/// Glyphs of one weight at one size.
#[derive(Debug)]
pub struct Face {
    weight: Weight,
    size: f32,
    /// The printable ASCII characters, from space on.
    ascii: Vec<Glyph>,
    /// All others, rasterised when first wanted.
    others: HashMap<char, Glyph>,
}

impl Face {
    /// A face whose em is `size` pixels high.
    pub fn new(weight: Weight, size: f32) -> Self {
        let ascii = (' '..='~').map(|character| rasterise(weight, size, character)).collect();
        Self { weight, size, ascii, others: HashMap::new() }
    }

    /// The em in pixels.
    pub fn size(&self) -> f32 {
        self.size
    }

    /// Height of a capital letter in pixels.
    pub fn cap_height(&self) -> f32 {
        self.size * 0.714
    }

    /// The glyph of `character`; what the font lacks is its "missing" box.
    pub fn glyph(&mut self, character: char) -> &Glyph {
        match (character as usize).checked_sub(32) {
            Some(index) if index < self.ascii.len() => &self.ascii[index],
            _ => {
                let (weight, size) = (self.weight, self.size);
                self.others.entry(character).or_insert_with(|| rasterise(weight, size, character))
            }
        }
    }

    /// Width of `text` in pixels.
    pub fn width(&mut self, text: &str) -> f32 {
        text.chars().map(|character| self.glyph(character).advance).sum()
    }
}

fn rasterise(weight: Weight, size: f32, character: char) -> Glyph {
    let (metrics, coverage) = font(weight).rasterize(character, size);
    Glyph {
        left: metrics.xmin,
        top: metrics.ymin + metrics.height as i32,
        width: metrics.width,
        coverage,
        advance: metrics.advance_width,
    }
}

/// The parsed font: parsing outlines takes milliseconds, so it happens once a process.
fn font(weight: Weight) -> &'static Font {
    static REGULAR: OnceLock<Font> = OnceLock::new();
    static BOLD: OnceLock<Font> = OnceLock::new();
    let (slot, bytes) = match weight {
        Weight::Regular => (&REGULAR, notosans::REGULAR_TTF),
        Weight::Bold => (&BOLD, notosans::BOLD_TTF),
    };
    slot.get_or_init(|| Font::from_bytes(bytes, FontSettings::default()).expect("the embedded font is sound"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_equally_wide_so_that_clocks_do_not_jitter() {
        for weight in [Weight::Regular, Weight::Bold] {
            let mut face = Face::new(weight, 24.0);
            let widths: Vec<f32> = ('0'..='9').map(|digit| face.glyph(digit).advance).collect();
            assert!(widths.iter().all(|width| *width == widths[0]), "{widths:?}");
        }
    }

    #[test]
    fn letters_beyond_ascii_have_glyphs() {
        let mut face = Face::new(Weight::Regular, 16.0);
        let missing = face.glyph('\u{10FFFF}').coverage.clone();
        for character in ['é', 'ß', 'Ж', 'λ', '·', '×', '–', '°'] {
            assert_ne!(face.glyph(character).coverage, missing, "{character}");
        }
        assert_eq!(face.glyph('\u{2009}').width, 0, "the space between thousands is no box");
    }
}
