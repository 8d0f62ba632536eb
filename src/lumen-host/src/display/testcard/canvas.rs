//! A picture that can be drawn on: the few shapes that the card is made of, clipped, antialiased, on BGRX pixels.
//!
//! Every drawing call reports nothing and forgets nothing: who must undo it later keeps the [`Rect`] it returns.

use crate::frame::{CpuImage, PixelFormat};

use super::font::Face;

/// A colour in sRGB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Color {
    /// Red.
    pub r: u8,
    /// Green.
    pub g: u8,
    /// Blue.
    pub b: u8,
}

impl Color {
    /// The colour 0xRRGGBB.
    pub const fn hex(rgb: u32) -> Self {
        Self { r: (rgb >> 16) as u8, g: (rgb >> 8) as u8, b: rgb as u8 }
    }

    /// A grey.
    pub const fn grey(level: u8) -> Self {
        Self { r: level, g: level, b: level }
    }

    /// This colour moved towards `other`: 0.0 is this, 1.0 the other.
    pub fn mix(self, other: Self, amount: f32) -> Self {
        let channel = |a: u8, b: u8| (f32::from(a) + (f32::from(b) - f32::from(a)) * amount).round() as u8;
        Self { r: channel(self.r, other.r), g: channel(self.g, other.g), b: channel(self.b, other.b) }
    }

    const fn bytes(self) -> [u8; 4] {
        [self.b, self.g, self.r, 0xFF]
    }
}

/// A rectangle in pixels. Empty if a side is not positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rect {
    /// Left edge.
    pub x: i32,
    /// Upper edge.
    pub y: i32,
    /// Width.
    pub w: i32,
    /// Height.
    pub h: i32,
}

impl Rect {
    /// A rectangle by its upper left corner and size.
    pub const fn new(x: i32, y: i32, w: i32, h: i32) -> Self {
        Self { x, y, w, h }
    }

    /// What both rectangles cover; the default rectangle if that is nothing.
    pub fn intersect(self, other: Self) -> Self {
        let (x, y) = (self.x.max(other.x), self.y.max(other.y));
        let right = (self.x + self.w).min(other.x + other.w);
        let bottom = (self.y + self.h).min(other.y + other.h);
        if right > x && bottom > y { Self { x, y, w: right - x, h: bottom - y } } else { Self::default() }
    }

    /// Whether it covers no pixel.
    #[cfg(test)]
    pub const fn is_empty(self) -> bool {
        self.w <= 0 || self.h <= 0
    }

    /// Whether `other` lies within.
    #[cfg(test)]
    pub fn contains(self, other: Self) -> bool {
        self.intersect(other) == other
    }

    /// The rectangle made smaller by `margin` on all sides.
    pub const fn inset(self, margin: i32) -> Self {
        Self { x: self.x + margin, y: self.y + margin, w: self.w - 2 * margin, h: self.h - 2 * margin }
    }

    /// Right edge, exclusive.
    pub const fn right(self) -> i32 {
        self.x + self.w
    }

    /// Lower edge, exclusive.
    pub const fn bottom(self) -> i32 {
        self.y + self.h
    }
}

/// Where text stands relative to its x.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// It begins there.
    Left,
    /// Its middle is there.
    Center,
    /// It ends there.
    Right,
}

/// Draws into an image, within a clip rectangle.
#[derive(Debug)]
pub struct Canvas<'a> {
    image: &'a mut CpuImage,
    clip: Rect,
}

/// An image of one colour, four bytes a pixel, without padding.
pub fn blank(width: u32, height: u32, color: Color) -> CpuImage {
    let stride = width as usize * 4;
    let data = color.bytes().repeat(width as usize * height as usize);
    CpuImage { width, height, stride, format: PixelFormat::Bgrx, data }
}

impl<'a> Canvas<'a> {
    /// A canvas that touches only `clip` of the image.
    pub fn clipped(image: &'a mut CpuImage, clip: Rect) -> Self {
        let whole = Rect::new(0, 0, image.width as i32, image.height as i32);
        Self { image, clip: whole.intersect(clip) }
    }

    /// A canvas over the whole image.
    pub fn new(image: &'a mut CpuImage) -> Self {
        Self::clipped(image, Rect::new(0, 0, i32::MAX, i32::MAX))
    }

    /// All of the image, whatever the clip.
    pub const fn image(&mut self) -> &mut CpuImage {
        self.image
    }

    /// The pixels of line `y` within `rect`, which must lie within the clip.
    fn line(&mut self, rect: Rect, y: i32) -> &mut [[u8; 4]] {
        let start = y as usize * self.image.stride + rect.x as usize * 4;
        self.image.data[start..start + rect.w as usize * 4].as_chunks_mut().0
    }

    /// Fills a rectangle.
    pub fn fill(&mut self, rect: Rect, color: Color) -> Rect {
        let rect = rect.intersect(self.clip);
        for y in rect.y..rect.bottom() {
            self.line(rect, y).fill(color.bytes());
        }
        rect
    }

    /// The edge of a rectangle, `width` pixels wide, inside.
    pub fn frame(&mut self, rect: Rect, width: i32, color: Color) -> Rect {
        self.fill(Rect { h: width, ..rect }, color);
        self.fill(Rect { y: rect.bottom() - width, h: width, ..rect }, color);
        self.fill(Rect { w: width, ..rect }, color);
        self.fill(Rect { x: rect.right() - width, w: width, ..rect }, color);
        rect.intersect(self.clip)
    }

    /// Calls `color` for every pixel of a rectangle, with coordinates within it.
    pub fn paint(&mut self, rect: Rect, mut color: impl FnMut(i32, i32) -> Color) -> Rect {
        let visible = rect.intersect(self.clip);
        for y in visible.y..visible.bottom() {
            for (x, pixel) in (visible.x..).zip(self.line(visible, y)) {
                *pixel = color(x - rect.x, y - rect.y).bytes();
            }
        }
        visible
    }

    /// A disc with soft edge. Centre and radius in pixels; fractions move it smoothly.
    pub fn disc(&mut self, cx: f32, cy: f32, radius: f32, color: Color) -> Rect {
        self.distance_shape(bounds_around(cx, cy, radius), color, |x, y| radius - (x - cx).hypot(y - cy))
    }

    /// A ring: a circle of `radius` drawn with a pen of `width`.
    pub fn ring(&mut self, cx: f32, cy: f32, radius: f32, width: f32, color: Color) -> Rect {
        let half = width / 2.0;
        let bounds = bounds_around(cx, cy, radius + half);
        // A ring is mostly hole: each line is drawn as two short pieces where the hole is wide.
        let inner = radius - half - 1.5;
        let shape = |x: f32, y: f32| half - ((x - cx).hypot(y - cy) - radius).abs();
        let visible = bounds.intersect(self.clip);
        for y in visible.y..visible.bottom() {
            let dy = y as f32 + 0.5 - cy;
            let row = Rect { y, h: 1, ..bounds };
            if dy.abs() < inner {
                let hole = (inner * inner - dy * dy).sqrt();
                let (left, right) = ((cx - hole).floor() as i32, (cx + hole).ceil() as i32);
                self.distance_shape(Rect { w: left + 1 - row.x, ..row }, color, shape);
                self.distance_shape(Rect { x: right - 1, w: row.right() - right + 1, ..row }, color, shape);
            } else {
                self.distance_shape(row, color, shape);
            }
        }
        visible
    }

    /// A rectangle with round corners.
    pub fn round_rect(&mut self, rect: Rect, radius: f32, color: Color) -> Rect {
        // Corners must not meet: the radius shrinks to what a small rectangle has room for.
        let radius = radius.min((rect.w.min(rect.h) / 2) as f32);
        let corner = radius.ceil() as i32;
        self.fill(Rect { y: rect.y + corner, h: rect.h - 2 * corner, ..rect }, color);
        for y in [rect.y, rect.bottom() - corner] {
            self.fill(Rect { x: rect.x + corner, y, w: rect.w - 2 * corner, h: corner }, color);
            for x in [rect.x, rect.right() - corner] {
                let cx = if x == rect.x { rect.x as f32 + radius } else { rect.right() as f32 - radius };
                let cy = if y == rect.y { rect.y as f32 + radius } else { rect.bottom() as f32 - radius };
                let area = Rect { x, y, w: corner, h: corner };
                self.distance_shape(area, color, |x, y| radius - (x - cx).hypot(y - cy));
            }
        }
        rect.intersect(self.clip)
    }

    /// A line with round ends from `a` to `b`, `width` pixels wide.
    pub fn segment(&mut self, a: (f32, f32), b: (f32, f32), width: f32, color: Color) -> Rect {
        let half = width / 2.0;
        let (x0, x1) = (a.0.min(b.0) - half - 1.0, a.0.max(b.0) + half + 1.0);
        let (y0, y1) = (a.1.min(b.1) - half - 1.0, a.1.max(b.1) + half + 1.0);
        let bounds = Rect::new(
            x0.floor() as i32,
            y0.floor() as i32,
            (x1.ceil() - x0.floor()) as i32,
            (y1.ceil() - y0.floor()) as i32,
        );
        let (dx, dy) = (b.0 - a.0, b.1 - a.1);
        let length2 = (dx * dx + dy * dy).max(1e-6);
        self.distance_shape(bounds, color, |x, y| {
            let t = (((x - a.0) * dx + (y - a.1) * dy) / length2).clamp(0.0, 1.0);
            half - (x - a.0 - t * dx).hypot(y - a.1 - t * dy)
        })
    }

    /// Text with its baseline at `y`.
    pub fn text(&mut self, face: &mut Face, x: f32, y: f32, align: Align, color: Color, text: &str) -> Rect {
        let width = face.width(text);
        let left = match align {
            Align::Left => x,
            Align::Center => x - width / 2.0,
            Align::Right => x - width,
        };
        let baseline = y.round() as i32;
        let mut pen = left;
        for character in text.chars() {
            let glyph = face.glyph(character);
            if let Some(height) = glyph.coverage.len().checked_div(glyph.width) {
                let place =
                    Rect::new(pen.round() as i32 + glyph.left, baseline - glyph.top, glyph.width as i32, height as i32);
                self.stencil(place, &glyph.coverage, color);
            }
            pen += glyph.advance;
        }
        let (ascent, descent) = ((face.size() * 1.1).ceil() as i32, (face.size() * 0.32).ceil() as i32);
        Rect::new(left.floor() as i32 - 2, baseline - ascent, width.ceil() as i32 + 4, ascent + descent)
            .intersect(self.clip)
    }

    /// Copies `rect` from `source`, an image of the same size.
    pub fn copy_from(&mut self, source: &CpuImage, rect: Rect) {
        let rect = rect.intersect(self.clip);
        for y in rect.y..rect.bottom() {
            let start = y as usize * source.stride + rect.x as usize * 4;
            let line = &source.data[start..start + rect.w as usize * 4];
            self.line(rect, y).as_flattened_mut().copy_from_slice(line);
        }
    }

    /// Lays `color` over the image where `coverage` (line by line over `place`) says.
    fn stencil(&mut self, place: Rect, coverage: &[u8], color: Color) {
        let visible = place.intersect(self.clip);
        for y in visible.y..visible.bottom() {
            let start = ((y - place.y) * place.w + visible.x - place.x) as usize;
            let line = &coverage[start..start + visible.w as usize];
            for (pixel, alpha) in self.line(visible, y).iter_mut().zip(line) {
                match alpha {
                    0 => {}
                    255 => *pixel = color.bytes(),
                    _ => blend(pixel, color, u32::from(*alpha)),
                }
            }
        }
    }

    /// Lays `color` over pixels by their signed distance to the edge of a shape, positive inside.
    fn distance_shape(&mut self, bounds: Rect, color: Color, distance: impl Fn(f32, f32) -> f32) -> Rect {
        let visible = bounds.intersect(self.clip);
        for y in visible.y..visible.bottom() {
            let cy = y as f32 + 0.5;
            for (x, pixel) in (visible.x..).zip(self.line(visible, y)) {
                let cover = distance(x as f32 + 0.5, cy) + 0.5;
                if cover >= 1.0 {
                    *pixel = color.bytes();
                } else if cover > 0.0 {
                    blend(pixel, color, (cover * 255.0) as u32);
                }
            }
        }
        visible
    }
}

/// The pixels that a circle with soft edge may touch.
fn bounds_around(cx: f32, cy: f32, radius: f32) -> Rect {
    let (x, y) = ((cx - radius - 1.0).floor() as i32, (cy - radius - 1.0).floor() as i32);
    Rect::new(x, y, (cx + radius + 1.0).ceil() as i32 - x, (cy + radius + 1.0).ceil() as i32 - y)
}

/// Moves a pixel towards `color` by `alpha` of 255.
fn blend(pixel: &mut [u8; 4], color: Color, alpha: u32) {
    for (channel, target) in pixel.iter_mut().zip(color.bytes()) {
        let mixed = u32::from(*channel) * (255 - alpha) + u32::from(target) * alpha;
        *channel = (((mixed + 127) * 257) >> 16) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::super::font::Weight;
    use super::*;

    const BLACK: Color = Color::grey(0);
    const WHITE: Color = Color::grey(255);

    fn changed(image: &CpuImage) -> Rect {
        let (mut x0, mut y0, mut x1, mut y1) = (i32::MAX, i32::MAX, i32::MIN, i32::MIN);
        for (index, pixel) in image.data.chunks(4).enumerate() {
            if pixel[..3] != [0, 0, 0] {
                let (x, y) = ((index % image.width as usize) as i32, (index / image.width as usize) as i32);
                (x0, y0, x1, y1) = (x0.min(x), y0.min(y), x1.max(x), y1.max(y));
            }
        }
        if x0 > x1 { Rect::default() } else { Rect::new(x0, y0, x1 - x0 + 1, y1 - y0 + 1) }
    }

    /// Every shape, partly outside of the picture too.
    fn draw(shape: usize, canvas: &mut Canvas<'_>, x: f32, y: f32) -> Rect {
        let rect = Rect::new(x as i32, y as i32, 20, 13);
        match shape {
            0 => canvas.fill(rect, WHITE),
            1 => canvas.fill(rect, Color::grey(9)),
            2 => canvas.frame(rect, 2, WHITE),
            3 => canvas.disc(x, y, 9.3, WHITE),
            4 => canvas.ring(x, y, 14.2, 3.0, WHITE),
            5 => canvas.round_rect(rect, 4.5, WHITE),
            6 => canvas.segment((x, y), (x + 17.0, y - 9.5), 3.0, WHITE),
            7 => canvas.text(&mut Face::new(Weight::Bold, 18.0), x, y, Align::Center, WHITE, "Ágj|W_"),
            _ => canvas.paint(rect, |_, _| WHITE),
        }
    }

    #[test]
    fn every_shape_stays_within_the_rectangle_it_returns_and_the_clip() {
        let clip = Rect::new(5, 6, 50, 40);
        for shape in 0..9 {
            for (x, y) in [(30.25, 25.75), (-4.0, -3.5), (2.0, 50.0), (63.5, 20.0), (-90.0, -90.0), (300.0, 300.0)] {
                let mut image = blank(64, 52, BLACK);
                let reported = draw(shape, &mut Canvas::clipped(&mut image, clip), x, y);
                let touched = changed(&image);
                assert!(touched.is_empty() || reported.contains(touched), "{shape}: {touched:?} in {reported:?}");
                assert!(touched.is_empty() || clip.contains(touched), "{shape}");
            }
        }
    }

    #[test]
    fn ring_has_a_hole_and_a_full_line() {
        let mut image = blank(64, 64, BLACK);
        Canvas::new(&mut image).ring(32.0, 32.0, 20.0, 4.0, WHITE);
        let at = |x: usize, y: usize| image.data[(y * 64 + x) * 4];
        assert_eq!((at(32, 32), at(32, 12), at(12, 32), at(51, 32), at(46, 46)), (0, 255, 255, 255, 255));
    }

    #[test]
    fn blending_reaches_both_ends_exactly() {
        let mut pixel = [10, 20, 30, 255];
        blend(&mut pixel, WHITE, 0);
        assert_eq!(pixel, [10, 20, 30, 255]);
        blend(&mut pixel, Color::hex(0x01_02_03), 255);
        assert_eq!(pixel, [3, 2, 1, 255]);
    }
}
