//! The two panels that echo input: keyboard, mouse, touch and pen on one, gamepads on the other. They are drawn anew
//! only when what they show has changed.

use lumen_core::gamestream::input::{BatteryState, Buttons, ControllerKind, PenButtons, PenTool, Stick};

use super::canvas::{Align, Canvas, Color, Rect};
use super::echo::{Contact, Echo, key_name};
use super::faces::Faces;
use super::layout::{Layout, palette};
use super::pads::Pad;

/// Gamepads that have room on the panel.
const SHOWN_PADS: usize = 4;

/// The colour of something that is held or not.
fn on(state: bool) -> Color {
    if state { palette::ACCENT } else { palette::REST }
}

/// The face of a panel with nothing on it, drawn once.
pub fn blank(canvas: &mut Canvas<'_>, layout: &Layout, rect: Rect) {
    canvas.round_rect(rect, layout.px(10.0), palette::PANEL);
}

/// The panel of keyboard, mouse, touch and pen.
pub fn desk(canvas: &mut Canvas<'_>, layout: &Layout, faces: &mut Faces, rect: Rect, echo: &Echo) {
    let mut row = Rows::begin(canvas, layout, faces, rect, "Keyboard and pointer");
    let right = rect.right() as f32 - layout.px(18.0);
    canvas.text(&mut faces.label, right, row.heading, Align::Right, palette::MUTED, &format!("{} events", echo.events));

    let y = row.next(canvas, faces, "Pointer", 1.0);
    let place = echo.pointer_pixel().map_or_else(|| "not moved yet".to_owned(), |(x, y)| format!("{x}, {y}"));
    canvas.text(&mut faces.body, row.x, y, Align::Left, palette::TEXT, &place);
    let side = layout.whole(22.0);
    for (index, name) in ["L", "M", "R", "4", "5"].into_iter().enumerate() {
        let x = right as i32 - (5 - index as i32) * (side + layout.whole(4.0)) + layout.whole(4.0);
        let held = echo.buttons[index];
        cap(canvas, layout, faces, Rect::new(x, y as i32 - layout.whole(16.0), side, side), name, held);
    }

    let y = row.next(canvas, faces, "Wheel", 1.0);
    let notches = |amount: i64| format!("{:+.1}", amount as f64 / 120.0);
    let wheel = format!("vertical {}   horizontal {}", notches(echo.scroll.0), notches(echo.scroll.1));
    canvas.text(&mut faces.body, row.x, y, Align::Left, palette::TEXT, &wheel);

    let y = row.next(canvas, faces, "Keys", 1.9);
    keys(canvas, layout, faces, Rect::new(row.x as i32, y as i32, right as i32 - row.x as i32, 0), echo);

    let y = row.next(canvas, faces, "Text", 1.0);
    let text = fit(&mut faces.body, &echo.text, right - row.x);
    let end = canvas.text(&mut faces.body, row.x, y, Align::Left, palette::TEXT, text).right();
    let caret = Rect::new(end, y as i32 - layout.whole(13.0), layout.whole(1.5), layout.whole(16.0));
    canvas.fill(caret, palette::ACCENT);

    let y = row.next(canvas, faces, "Touch", 1.0);
    let count = match echo.touches.len() {
        0 => "none".to_owned(),
        1 => "1 finger".to_owned(),
        count => format!("{count} fingers"),
    };
    canvas.text(&mut faces.body, row.x, y, Align::Left, palette::TEXT, &count);
    for finger in 0..16 {
        let (x, radius) = (right - layout.px(4.0) - (15 - finger) as f32 * layout.px(11.0), layout.px(3.5));
        canvas.disc(
            x,
            y - layout.px(5.0),
            radius,
            if finger < echo.touches.len() { palette::COOL } else { palette::REST },
        );
    }

    let y = row.next(canvas, faces, "Pen", 1.0);
    pen(canvas, layout, faces, (row.x, y, right), echo);
}

fn pen(canvas: &mut Canvas<'_>, layout: &Layout, faces: &mut Faces, (x, y, right): (f32, f32, f32), echo: &Echo) {
    let Some(pen) = &echo.pen else {
        canvas.text(&mut faces.body, x, y, Align::Left, palette::TEXT, "none");
        return;
    };
    let tool = match (pen.tool, pen.contact) {
        (PenTool::Eraser, Contact::Touching) => "eraser",
        (PenTool::Eraser, Contact::Hovering) => "eraser near",
        (_, Contact::Touching) => "tip",
        (_, Contact::Hovering) => "tip near",
    };
    let tilt = pen.tilt.map_or_else(String::new, |tilt| format!("  {}°", tilt.degrees()));
    canvas.text(&mut faces.body, x, y, Align::Left, palette::TEXT, &format!("{tool}{tilt}"));
    let bar = Rect::new(
        right as i32 - layout.whole(80.0),
        y as i32 - layout.whole(9.0),
        layout.whole(80.0),
        layout.whole(8.0),
    );
    level(canvas, bar, pen.pressure, if pen.contact == Contact::Touching { palette::ACCENT } else { palette::LINE });
    for (index, button) in [PenButtons::PRIMARY, PenButtons::SECONDARY, PenButtons::TERTIARY].into_iter().enumerate() {
        let x = bar.x as f32 - layout.px(12.0) - index as f32 * layout.px(12.0);
        canvas.disc(x, y - layout.px(5.0), layout.px(4.0), on(pen.buttons.contains(button)));
    }
}

/// Held keys as caps, over two lines.
fn keys(canvas: &mut Canvas<'_>, layout: &Layout, faces: &mut Faces, area: Rect, echo: &Echo) {
    let (height, gap) = (layout.whole(22.0), layout.whole(4.0));
    let (mut x, mut y) = (area.x, area.y - layout.whole(16.0));
    let mut lines = 1;
    if echo.keys.is_empty() {
        canvas.text(&mut faces.body, area.x as f32, area.y as f32, Align::Left, palette::TEXT, "none");
    }
    for key in &echo.keys {
        let name = key_name(*key);
        let width = ((faces.tiny.width(&name) + layout.px(12.0)).ceil() as i32).max(height);
        if x + width > area.right() {
            lines += 1;
            (x, y) = (area.x, y + height + gap);
        }
        if lines > 2 {
            return;
        }
        cap(canvas, layout, faces, Rect::new(x, y, width, height), &name, true);
        x += width + gap;
    }
}

/// The panel of gamepads.
pub fn pads(canvas: &mut Canvas<'_>, layout: &Layout, faces: &mut Faces, rect: Rect, echo: &Echo) {
    let row = Rows::begin(canvas, layout, faces, rect, "Gamepads");
    let count = echo.pads.present().count();
    let said = match count {
        0 => "none".to_owned(),
        count => format!("{count} connected"),
    };
    let right = rect.right() as f32 - layout.px(18.0);
    canvas.text(&mut faces.label, right, row.heading, Align::Right, palette::MUTED, &said);

    let top = rect.y + layout.whole(40.0);
    let inner =
        Rect { x: rect.x + layout.whole(18.0), y: top, w: rect.w - 2 * layout.whole(18.0), h: rect.bottom() - top };
    let mut present = echo.pads.present();
    for slot in 0..SHOWN_PADS as i32 {
        let height = (inner.h - layout.whole(8.0)) / SHOWN_PADS as i32;
        let place = Rect { y: inner.y + slot * height, h: height, ..inner };
        canvas.fill(Rect { h: layout.whole(1.0), ..place }, palette::REST);
        match present.next() {
            Some((number, pad)) => one_pad(canvas, layout, faces, place, number, pad),
            None => absent(canvas, layout, place),
        }
    }
}

/// Where the controls of a pad stand in its row: horizontal places in units of the design.
mod places {
    pub(super) const BADGE: f32 = 16.0;
    pub(super) const LEFT_STICK: f32 = 56.0;
    pub(super) const CROSS: f32 = 104.0;
    pub(super) const FACES: f32 = 150.0;
    pub(super) const RIGHT_STICK: f32 = 198.0;
    pub(super) const TRIGGERS: f32 = 230.0;
    pub(super) const REST: f32 = 262.0;
}

/// The outline of a pad that is not there.
fn absent(canvas: &mut Canvas<'_>, layout: &Layout, rect: Rect) {
    let (x, y) = (rect.x as f32, rect.y as f32 + rect.h as f32 / 2.0);
    for place in [places::LEFT_STICK, places::RIGHT_STICK] {
        canvas.ring(x + layout.px(place), y, layout.px(17.0), layout.px(1.5).max(1.0), palette::REST);
    }
    cross(canvas, layout, x + layout.px(places::CROSS), y, Buttons::EMPTY);
    face_buttons(canvas, layout, x + layout.px(places::FACES), y, Buttons::EMPTY);
}

fn one_pad(canvas: &mut Canvas<'_>, layout: &Layout, faces: &mut Faces, rect: Rect, number: usize, pad: &Pad) {
    let (x, y) = (rect.x as f32, rect.y as f32 + rect.h as f32 / 2.0);
    let at = |place: f32| x + layout.px(place);
    let [r, g, b] = pad.light;
    canvas.disc(at(places::BADGE), y - layout.px(8.0), layout.px(12.0), Color { r, g, b });
    let baseline = y - layout.px(8.0) + faces.tiny.cap_height() / 2.0;
    let bright = u32::from(r) * 3 + u32::from(g) * 6 + u32::from(b) > 1400;
    let ink = if bright { palette::BACKGROUND } else { Color::grey(255) };
    canvas.text(&mut faces.tiny, at(places::BADGE), baseline, Align::Center, ink, &(number + 1).to_string());
    let make = match pad.kind {
        ControllerKind::Unknown => "Pad",
        ControllerKind::Xbox => "Xbox",
        ControllerKind::PlayStation => "PS",
        ControllerKind::Nintendo => "NSW",
        ControllerKind::Steam => "Steam",
    };
    canvas.text(&mut faces.tiny, at(places::BADGE), y + layout.px(19.0), Align::Center, palette::MUTED, make);

    stick(canvas, layout, (at(places::LEFT_STICK), y), pad.sticks[0], pad.buttons.contains(Buttons::LEFT_STICK));
    stick(canvas, layout, (at(places::RIGHT_STICK), y), pad.sticks[1], pad.buttons.contains(Buttons::RIGHT_STICK));
    cross(canvas, layout, at(places::CROSS), y, pad.buttons);
    face_buttons(canvas, layout, at(places::FACES), y, pad.buttons);

    // Shoulders above the sticks, the middle buttons between cross and faces.
    let shoulder = (layout.whole(26.0), layout.whole(5.0));
    for (place, button) in [(places::CROSS, Buttons::LB), (places::FACES, Buttons::RB)] {
        let left = (at(place) - shoulder.0 as f32 / 2.0) as i32;
        let bar = Rect::new(left, (y - layout.px(27.0)) as i32, shoulder.0, shoulder.1);
        canvas.round_rect(bar, layout.px(2.0), on(pad.buttons.contains(button)));
    }
    let middle = [Buttons::BACK, Buttons::GUIDE, Buttons::START, Buttons::MISC];
    for (index, button) in middle.into_iter().enumerate() {
        let place = places::CROSS + 5.0 + index as f32 * 12.0;
        canvas.disc(at(place), y + layout.px(25.0), layout.px(3.2), on(pad.buttons.contains(button)));
    }

    for (side, pull) in pad.triggers.into_iter().enumerate() {
        let bar = Rect::new(
            at(places::TRIGGERS + side as f32 * 10.0) as i32,
            (y - layout.px(18.0)) as i32,
            layout.whole(6.0),
            layout.whole(36.0),
        );
        canvas.fill(bar, palette::REST);
        let filled = bar.h * i32::from(pull) / 255;
        canvas.fill(Rect { y: bar.bottom() - filled, h: filled, ..bar }, palette::ACCENT);
    }
    extras(canvas, layout, faces, (at(places::REST), y, rect.right() as f32), pad);
}

fn stick(canvas: &mut Canvas<'_>, layout: &Layout, (x, y): (f32, f32), stick: Stick, pressed: bool) {
    let radius = layout.px(17.0);
    canvas.ring(x, y, radius, layout.px(1.5).max(1.0), if pressed { palette::ACCENT } else { palette::LINE });
    let reach = radius * 0.72;
    let part = |axis: i16| f32::from(axis) / 32_768.0 * reach;
    let moved = stick != Stick::default();
    let color = if pressed {
        palette::ACCENT
    } else if moved {
        palette::COOL
    } else {
        palette::MUTED
    };
    canvas.disc(x + part(stick.x), y - part(stick.y), layout.px(5.5), color);
}

fn cross(canvas: &mut Canvas<'_>, layout: &Layout, x: f32, y: f32, buttons: Buttons) {
    let (side, reach) = (layout.px(9.0), layout.px(10.0));
    let arms =
        [(0.0, -1.0, Buttons::UP), (0.0, 1.0, Buttons::DOWN), (-1.0, 0.0, Buttons::LEFT), (1.0, 0.0, Buttons::RIGHT)];
    for (dx, dy, button) in arms {
        let (cx, cy) = (x + dx * reach - side / 2.0, y + dy * reach - side / 2.0);
        let square = Rect::new(cx.round() as i32, cy.round() as i32, layout.whole(9.0), layout.whole(9.0));
        canvas.round_rect(square, layout.px(2.0), on(buttons.contains(button)));
    }
}

fn face_buttons(canvas: &mut Canvas<'_>, layout: &Layout, x: f32, y: f32, buttons: Buttons) {
    let reach = layout.px(11.0);
    let faces = [
        (0.0, 1.0, Buttons::A, Color::hex(0x5C_C9_6B)),
        (1.0, 0.0, Buttons::B, Color::hex(0xE8_5D_55)),
        (-1.0, 0.0, Buttons::X, Color::hex(0x4F_8F_EA)),
        (0.0, -1.0, Buttons::Y, Color::hex(0xF2_C1_4E)),
    ];
    for (dx, dy, button, color) in faces {
        let color = if buttons.contains(button) { color } else { palette::REST };
        canvas.disc(x + dx * reach, y + dy * reach, layout.px(5.5), color);
    }
}

/// Battery, paddles, motion and touchpad of a pad.
fn extras(canvas: &mut Canvas<'_>, layout: &Layout, faces: &mut Faces, (x, y, right): (f32, f32, f32), pad: &Pad) {
    let baseline = y - layout.px(19.0);
    if let Some((state, charge)) = pad.battery {
        let icon = Rect::new(x as i32, (baseline - layout.px(8.0)) as i32, layout.whole(20.0), layout.whole(9.0));
        canvas.frame(icon, layout.whole(1.0), palette::LINE);
        canvas.fill(Rect::new(icon.right(), icon.y + icon.h / 4, layout.whole(2.0), icon.h / 2), palette::LINE);
        let inside = icon.inset(layout.whole(2.0));
        let color = if state == BatteryState::Charging { palette::COOL } else { palette::TEXT };
        canvas.fill(Rect { w: inside.w * i32::from(charge.unwrap_or(0)) / 100, ..inside }, color);
        let percent = charge.map_or_else(|| "?".to_owned(), |charge| format!("{charge}%"));
        canvas.text(&mut faces.tiny, right, baseline, Align::Right, palette::MUTED, &percent);
    }

    // Three bars from the middle for each sensor: ±2 g and ±500 degrees a second.
    let sensors = [(pad.acceleration, 19.6, palette::ACCENT), (pad.rotation, 500.0, palette::COOL)];
    let (width, height) = (((right - x) / 2.0 - layout.px(3.0)) as i32, layout.whole(3.0));
    for (sensor, (values, limit, color)) in sensors.into_iter().enumerate() {
        let left = x as i32 + sensor as i32 * (width + layout.whole(6.0));
        for axis in 0..3 {
            let bar = Rect::new(left, (y - layout.px(11.0)) as i32 + axis * layout.whole(6.0), width, height);
            canvas.fill(bar, palette::REST);
            if let Some(values) = values {
                let length = (values[axis as usize] / limit).clamp(-1.0, 1.0) * bar.w as f32 / 2.0;
                let (middle, length) = (bar.x + bar.w / 2, length.round() as i32);
                canvas.fill(Rect { x: middle.min(middle + length), w: length.abs().max(1), ..bar }, color);
            }
        }
    }

    let touchpad = Rect::new(x as i32, (y + layout.px(10.0)) as i32, (right - x) as i32 * 3 / 5, layout.whole(19.0));
    canvas.round_rect(touchpad, layout.px(3.0), on(pad.buttons.contains(Buttons::TOUCHPAD)));
    for finger in &pad.fingers {
        let (fx, fy) =
            (touchpad.x as f32 + finger.x * touchpad.w as f32, touchpad.y as f32 + finger.y * touchpad.h as f32);
        canvas.disc(fx, fy, layout.px(3.0), palette::COOL);
    }
    let paddles = [Buttons::PADDLE2, Buttons::PADDLE1, Buttons::PADDLE4, Buttons::PADDLE3];
    for (index, button) in paddles.into_iter().enumerate() {
        let (column, line) = (index as i32 % 2, index as i32 / 2);
        let side = layout.whole(8.0);
        let square = Rect::new(
            right as i32 - (2 - column) * (side + layout.whole(3.0)) + layout.whole(3.0),
            touchpad.y + line * (side + layout.whole(3.0)),
            side,
            side,
        );
        canvas.round_rect(square, layout.px(2.0), on(pad.buttons.contains(button)));
    }
}

/// A small cap with a name on it.
fn cap(canvas: &mut Canvas<'_>, layout: &Layout, faces: &mut Faces, rect: Rect, name: &str, held: bool) {
    canvas.round_rect(rect, layout.px(4.0), on(held));
    let ink = if held { palette::BACKGROUND } else { palette::MUTED };
    let baseline = rect.y as f32 + (rect.h as f32 + faces.tiny.cap_height()) / 2.0;
    canvas.text(&mut faces.tiny, rect.x as f32 + rect.w as f32 / 2.0, baseline, Align::Center, ink, name);
}

/// A bar filled from the left.
fn level(canvas: &mut Canvas<'_>, rect: Rect, part: f32, color: Color) {
    canvas.round_rect(rect, rect.h as f32 / 2.0, palette::REST);
    let filled = (rect.w as f32 * part.clamp(0.0, 1.0)) as i32;
    if filled > 0 {
        canvas.round_rect(Rect { w: filled, ..rect }, rect.h as f32 / 2.0, color);
    }
}

/// The end of `text` that is not wider than `width`.
fn fit<'a>(face: &mut super::font::Face, text: &'a str, width: f32) -> &'a str {
    let mut rest = text;
    while face.width(rest) > width {
        let mut characters = rest.chars();
        characters.next();
        rest = characters.as_str();
    }
    rest
}

/// Lines of a panel, a label at the left of each.
struct Rows {
    /// Where labels begin.
    label: f32,
    /// Where values begin.
    x: f32,
    /// Baseline of the heading.
    heading: f32,
    /// Baseline of the next line.
    y: f32,
    /// From one line to the next.
    pitch: f32,
}

impl Rows {
    /// Empties a panel and draws its heading.
    fn begin(canvas: &mut Canvas<'_>, layout: &Layout, faces: &mut Faces, rect: Rect, heading: &str) -> Self {
        // The soft corners must not be drawn over themselves: they would harden.
        canvas.fill(rect.inset(layout.whole(4.0)), palette::PANEL);
        let label = rect.x as f32 + layout.px(18.0);
        let baseline = rect.y as f32 + layout.px(27.0);
        canvas.text(&mut faces.label, label, baseline, Align::Left, palette::MUTED, heading);
        let pitch = (rect.h as f32 - layout.px(46.0)) / 6.9;
        Self {
            label,
            x: label + layout.px(72.0),
            heading: baseline,
            y: rect.y as f32 + layout.px(40.0) + pitch * 0.62,
            pitch,
        }
    }

    /// Begins a line of `lines` times the usual height; returns its baseline.
    fn next(&mut self, canvas: &mut Canvas<'_>, faces: &mut Faces, label: &str, lines: f32) -> f32 {
        let y = self.y;
        canvas.text(&mut faces.label, self.label, y, Align::Left, palette::MUTED, label);
        self.y += self.pitch * lines;
        y
    }
}
