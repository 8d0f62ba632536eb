//! The part of the card that never changes: grid, title, dial, colour bars, ramps and fine patterns. It is drawn once
//! for a mode.
//!
//! On ground that moves, it is drawn on one colour and another: what differs then shows the ground.

use super::canvas::{Align, Canvas, Color, Rect};
use super::faces::Faces;
use super::layout::{Layout, palette};
use super::{Ground, panels};
use crate::frame::Mode;

/// Colours of the bars at full level; the main row shows them at 75 %.
const BARS: [[u8; 3]; 8] =
    [[255, 255, 255], [255, 255, 0], [0, 255, 255], [0, 255, 0], [255, 0, 255], [255, 0, 0], [0, 0, 255], [0, 0, 0]];

/// What the card says about its session.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The mode in force.
    pub mode: Mode,
    /// The session's tag.
    pub session: u16,
    /// Whose display it is.
    pub label: String,
    /// What it stands on.
    pub ground: Ground,
}

/// Part of the moving ground's light that the dial takes away, so that what it says is read easily.
const DIAL_SHADE: f32 = 0.55;

/// Draws all of it, with `below` where the ground shows.
pub fn draw(canvas: &mut Canvas<'_>, layout: &Layout, faces: &mut Faces, facts: &Facts, below: Color) {
    canvas.fill(layout.picture, below);
    let dial_face = match facts.ground {
        Ground::Plain => {
            grid(canvas, layout);
            below
        }
        Ground::Motion => below.mix(palette::BACKGROUND, DIAL_SHADE),
    };
    canvas.fill(Rect { h: layout.strip.height() as i32, ..layout.picture }, Color::grey(lumen_core::strip::DARK));
    border(canvas, layout);
    title(canvas, layout, faces, facts);
    dial(canvas, layout, dial_face);
    for panel in [layout.desk, layout.pads].into_iter().flatten() {
        panels::blank(canvas, layout, panel);
    }
    track(canvas, layout);
    bars(canvas, layout.bars);
    ramps(canvas, layout);
}

/// Squares that grow from the centre: geometry and overscan show at a glance.
fn grid(canvas: &mut Canvas<'_>, layout: &Layout) {
    let (step, width) = (layout.px(40.0), layout.whole(0.75));
    let picture = layout.picture;
    let (cx, cy) = (layout.dial.x, layout.dial.y);
    let count = (picture.w.max(picture.h) as f32 / step) as i32 + 1;
    for line in -count..=count {
        let (x, y) = ((cx + line as f32 * step).round() as i32, (cy + line as f32 * step).round() as i32);
        canvas.fill(Rect { x, w: width, ..picture }, palette::GRID);
        canvas.fill(Rect { y, h: width, ..picture }, palette::GRID);
    }
}

/// The outermost pixels, and brackets that mark the corners below the strip.
fn border(canvas: &mut Canvas<'_>, layout: &Layout) {
    let open = layout.open;
    canvas.frame(open, 1, palette::LINE);
    let (length, width) = (layout.whole(18.0), layout.whole(2.0));
    for (x, left) in [(open.x, true), (open.right(), false)] {
        for (y, top) in [(open.y, true), (open.bottom(), false)] {
            let x0 = if left { x } else { x - length };
            let y0 = if top { y } else { y - length };
            let (edge_x, edge_y) = (if left { x } else { x - width }, if top { y } else { y - width });
            canvas.fill(Rect::new(x0, edge_y, length, width), palette::TEXT);
            canvas.fill(Rect::new(edge_x, y0, width, length), palette::TEXT);
        }
    }
}

fn title(canvas: &mut Canvas<'_>, layout: &Layout, faces: &mut Faces, facts: &Facts) {
    let (x, y) = layout.title;
    let radius = layout.px(9.0);
    let baseline = y + layout.px(40.0);
    let lamp_y = baseline - faces.title.cap_height() * 0.36;
    canvas.disc(x + radius, lamp_y, radius, palette::ACCENT);
    canvas.text(&mut faces.title, x + radius * 2.0 + layout.px(12.0), baseline, Align::Left, palette::TEXT, "lumen");
    let line = layout.px(21.0);
    let what = match facts.ground {
        Ground::Plain => "Test card",
        Ground::Motion => "Test card, full motion",
    };
    canvas.text(&mut faces.body, x, baseline + layout.px(27.0), Align::Left, palette::MUTED, what);

    let (right, _) = layout.facts;
    let Mode { width, height, .. } = facts.mode;
    let size = format!("{width} × {height}");
    let rate = format!("{} Hz", trim(facts.mode.fps()));
    let baseline = baseline - line;
    canvas.text(&mut faces.strong, right, baseline, Align::Right, palette::TEXT, &size);
    canvas.text(&mut faces.body, right, baseline + line, Align::Right, palette::MUTED, &rate);
    let whose = format!("{}  ·  {:04X}", facts.label, facts.session);
    let whose = if facts.label.is_empty() { format!("{:04X}", facts.session) } else { whose };
    canvas.text(&mut faces.body, right, baseline + line * 2.0, Align::Right, palette::MUTED, &whose);
}

/// A rate without needless digits.
fn trim(rate: f64) -> String {
    let text = format!("{rate:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn dial(canvas: &mut Canvas<'_>, layout: &Layout, face: Color) {
    let dial = layout.dial;
    canvas.disc(dial.x, dial.y, dial.radius, face);
    canvas.ring(dial.x, dial.y, dial.radius - layout.px(1.5), layout.px(2.0).max(1.0), palette::LINE);
    canvas.ring(dial.x, dial.y, dial.radius * 0.84, layout.px(1.0).max(1.0), palette::REST);
    for tick in 0..60 {
        let (sin, cos) = (tick as f32 * std::f32::consts::TAU / 60.0).sin_cos();
        let long = tick % 5 == 0;
        let (inner, color) = if long { (0.945, palette::MUTED) } else { (0.965, palette::LINE) };
        let at = |part: f32| (dial.x + sin * dial.radius * part, dial.y - cos * dial.radius * part);
        canvas.segment(at(inner), at(0.985), layout.px(if long { 2.2 } else { 1.2 }).max(1.0), color);
    }
    lamp(canvas, layout, palette::REST);
}

/// The lamp of the dial, which flashes when a second begins.
pub fn lamp(canvas: &mut Canvas<'_>, layout: &Layout, color: Color) -> Rect {
    let dial = layout.dial;
    canvas.disc(dial.x, dial.y - dial.radius * 0.5, dial.radius * 0.17, color)
}

/// The ruler under the moving block: a tick every ten units.
fn track(canvas: &mut Canvas<'_>, layout: &Layout) {
    let track = layout.track;
    canvas.fill(Rect { y: track.bottom() - layout.whole(1.0), h: layout.whole(1.0), ..track }, palette::LINE);
    let step = layout.px(10.0).max(4.0);
    for tick in 0..=(track.w as f32 / step) as i32 {
        let height = match tick % 10 {
            0 => track.h * 3 / 5,
            5 => track.h * 2 / 5,
            _ => track.h / 5,
        };
        let x = track.x + (tick as f32 * step).round() as i32;
        canvas.fill(Rect::new(x, track.bottom() - height, layout.whole(1.0), height), palette::LINE);
    }
}

/// The column `index` of `count` equal ones.
fn column(rect: Rect, index: i32, count: i32) -> Rect {
    let x = rect.x + rect.w * index / count;
    Rect { x, w: rect.x + rect.w * (index + 1) / count - x, ..rect }
}

/// 75 % bars, and below them full ones in reverse order: neighbours tell range errors from matrix errors.
fn bars(canvas: &mut Canvas<'_>, rect: Rect) {
    let full = Rect { y: rect.bottom() - rect.h / 4, h: rect.h / 4, ..rect };
    let most = Rect { h: rect.h - full.h, ..rect };
    for (index, bar) in BARS.into_iter().enumerate() {
        let index = index as i32;
        let [r, g, b] = bar;
        canvas.fill(column(full, 7 - index, 8), Color { r, g, b });
        let [r, g, b] = bar.map(|level| if level == 0 { 0 } else { 191 });
        canvas.fill(column(most, index, 8), Color { r, g, b });
    }
}

/// Grey ramp above grey steps, ramps of the three primaries, near black and near white, and patterns of one and two
/// pixels.
fn ramps(canvas: &mut Canvas<'_>, layout: &Layout) {
    let rect = layout.ramps;
    let gap = layout.whole(10.0);
    let patterns = 4 * rect.h + 3 * gap / 2;
    let pluge = rect.h * 3;
    let rest = rect.w - patterns - pluge - 3 * gap;
    let greys = Rect { w: rest * 11 / 20, ..rect };
    let primaries = Rect { x: greys.right() + gap, w: rest - greys.w, ..rect };
    let near = Rect { x: primaries.right() + gap, w: pluge, ..rect };

    let upper = Rect { h: rect.h / 2, ..greys };
    let level = |x: i32, width: i32| (x * 255 / (width - 1).max(1)) as u8;
    canvas.paint(upper, |x, _| Color::grey(level(x, upper.w)));
    for step in 0..16 {
        let lower = Rect { y: upper.bottom(), h: rect.h - upper.h, ..greys };
        canvas.fill(column(lower, step, 16), Color::grey((step * 17) as u8));
    }
    let third = (primaries.h + 2) / 3;
    canvas.paint(primaries, |x, y| {
        let level = level(x, primaries.w);
        match y / third {
            0 => Color { r: level, g: 0, b: 0 },
            1 => Color { r: 0, g: level, b: 0 },
            _ => Color { r: 0, g: 0, b: level },
        }
    });
    for (index, level) in [0, 4, 8, 12, 243, 247, 251, 255].into_iter().enumerate() {
        canvas.fill(column(near, index as i32, 8), Color::grey(level));
    }
    for pattern in 0..4 {
        let x = rect.right() - (4 - pattern) * rect.h - (3 - pattern) * gap / 2;
        canvas.paint(Rect { x, w: rect.h, ..rect }, |x, y| match pattern {
            0 => Color::grey(if x % 2 == 0 { 224 } else { 32 }),
            1 => Color::grey(if y % 2 == 0 { 224 } else { 32 }),
            2 => Color::grey(if (x / 2 + y / 2) % 2 == 0 { 224 } else { 32 }),
            // Lines that differ in chroma and hardly in luma: 4:2:0 melts them into one colour.
            _ => Color::hex(if x % 2 == 0 { 0xE0_30_30 } else { 0x30_70_F0 }),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_written_without_needless_digits() {
        assert_eq!((trim(60.0), trim(60_000.0 / 1001.0)), ("60".to_owned(), "59.94".to_owned()));
        assert_eq!(trim(119.88), "119.88");
    }

    #[test]
    fn columns_cover_their_rectangle_without_gap() {
        let rect = Rect::new(3, 0, 101, 5);
        let columns: Vec<Rect> = (0..8).map(|index| column(rect, index, 8)).collect();
        assert!(columns.windows(2).all(|pair| pair[0].right() == pair[1].x));
        assert_eq!((columns[0].x, columns[7].right()), (rect.x, rect.right()));
    }
}
