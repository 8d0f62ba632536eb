//! Draws the card's pictures. The parts at rest are drawn once into a base picture; each pooled buffer remembers what
//! was drawn over it and what changed in the base since, so that a frame costs only what moves.
//!
//! On moving ground, the base is what hides the ground; the ground is drawn around it with every frame.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lumen_core::strip::{self, StripContent};

use super::background::{self, Facts};
use super::canvas::{self, Align, Canvas, Color, Rect};
use super::clock::UnixNanos;
use super::echo::{Contact, Echo, TRAIL};
use super::faces::Faces;
use super::layout::{Layout, palette};
use super::motion::MovingGround;
use super::{Ground, panels};
use crate::frame::CpuImage;

/// Buffers kept for use again. More may be in use at once; they are then not kept.
const POOLED: usize = 8;

/// How long the lamp glows after a flash.
const GLOW: f32 = 0.16;

/// Radius from which a dial has room for more than time and frame number.
const ROOMY: f32 = 170.0;

/// Names of the loudspeakers, in the order of the channels.
const SPEAKERS: [&str; 8] = ["FL", "FR", "FC", "LFE", "RL", "RR", "SL", "SR"];

/// When and for whom a picture is drawn.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Number of the frame since the display began.
    pub frame: u64,
    /// When the frame's turn is, by the wall clock: what moves stands where it belongs at this time.
    pub tick: UnixNanos,
    /// Time from one frame to the next.
    pub interval: Duration,
    /// When it is drawn.
    pub drawn: UnixNanos,
    /// The same instant.
    pub now: Instant,
    /// Channels of the sound, once somebody listens.
    pub channels: Option<u8>,
}

/// Draws the pictures of one mode for one capture.
#[derive(Debug)]
pub struct Painter {
    layout: Layout,
    faces: Faces,
    session: u16,
    base: CpuImage,
    moving: Option<MovingGround>,
    /// Versions of the input that the panels in the base show.
    shown: Option<(u64, u64)>,
    pool: Vec<Buffer>,
}

/// A picture that is drawn again and again.
#[derive(Debug)]
struct Buffer {
    image: Arc<CpuImage>,
    /// Where it differs from the base.
    stale: Vec<Rect>,
    /// The strip that it shows.
    cells: [u8; strip::BYTES],
}

impl Painter {
    /// A painter of pictures with this layout.
    pub fn new(layout: Layout, facts: &Facts) -> Self {
        let mut faces = Faces::new(&layout);
        let mut drawn_on = |below| {
            let mut image = canvas::blank(layout.picture.w as u32, layout.picture.h as u32, below);
            background::draw(&mut Canvas::new(&mut image), &layout, &mut faces, facts, below);
            image
        };
        let (base, moving) = match facts.ground {
            Ground::Plain => (drawn_on(palette::BACKGROUND), None),
            Ground::Motion => {
                let (black, white) = (drawn_on(Color::grey(0)), drawn_on(Color::grey(255)));
                let moving = MovingGround::around(&black, &white);
                (black, Some(moving))
            }
        };
        Self { layout, faces, session: facts.session, base, moving, shown: None, pool: Vec::new() }
    }

    /// The picture of a moment.
    pub fn draw(&mut self, moment: &Moment, echo: &Echo) -> Arc<CpuImage> {
        self.update_panels(echo);
        let mut buffer = match self.pool.iter_mut().position(|buffer| Arc::get_mut(&mut buffer.image).is_some()) {
            Some(free) => self.pool.swap_remove(free),
            None => {
                Buffer { image: Arc::new(self.base.clone()), stale: Vec::with_capacity(64), cells: [0; strip::BYTES] }
            }
        };
        self.draw_into(&mut buffer, moment, echo);
        let image = Arc::clone(&buffer.image);
        if self.pool.len() < POOLED {
            self.pool.push(buffer);
        }
        image
    }

    /// Brings the panels of the base up to date.
    fn update_panels(&mut self, echo: &Echo) {
        let wanted = (echo.version, echo.pads.version());
        let known = self.shown.replace(wanted);
        let mut changed = |rect: Option<Rect>, current: bool| -> Option<Rect> {
            let rect = rect.filter(|_| !current)?;
            for buffer in &mut self.pool {
                if !buffer.stale.contains(&rect) {
                    buffer.stale.push(rect);
                }
            }
            Some(rect)
        };
        let desk = changed(self.layout.desk, known.is_some_and(|known| known.0 == wanted.0));
        let pads = changed(self.layout.pads, known.is_some_and(|known| known.1 == wanted.1));
        let mut canvas = Canvas::new(&mut self.base);
        if let Some(rect) = desk {
            panels::desk(&mut canvas, &self.layout, &mut self.faces, rect, echo);
        }
        if let Some(rect) = pads {
            panels::pads(&mut canvas, &self.layout, &mut self.faces, rect, echo);
        }
    }

    fn draw_into(&mut self, buffer: &mut Buffer, moment: &Moment, echo: &Echo) {
        // The caller took the buffer because nobody else holds it; make_mut would copy a picture that somebody holds.
        let image = Arc::make_mut(&mut buffer.image);
        let mut canvas = Canvas::new(image);
        for rect in buffer.stale.drain(..) {
            canvas.copy_from(&self.base, rect);
        }
        if let Some(ground) = &self.moving {
            ground.draw(canvas.image(), moment.tick, moment.frame);
        }
        let flash = moment.tick.second_within(moment.interval);
        let cells = self.strip_content(moment, echo, flash.is_some()).to_cells();
        draw_strip(&mut canvas, &self.layout, &mut buffer.cells, cells);

        let mut canvas = Canvas::clipped(image, self.layout.open);
        let stale = &mut buffer.stale;
        self.lamp(&mut canvas, stale, moment, flash);
        self.dial_texts(&mut canvas, stale, moment);
        self.hand(&mut canvas, stale, moment);
        self.block(&mut canvas, stale, moment);
        self.contacts(&mut canvas, stale, echo);
        self.pointer(&mut canvas, stale, moment, echo);
    }

    fn strip_content(&self, moment: &Moment, echo: &Echo, flash: bool) -> StripContent {
        StripContent {
            session: self.session,
            frame: moment.frame as u32,
            unix_micros: moment.drawn.micros(),
            flash,
            pointer: echo.pointer_pixel(),
            input_events: echo.events,
            input_digest: echo.digest,
            input_age: echo.last_event.map(|at| moment.now.saturating_duration_since(at)),
        }
    }

    /// The lamp is white while the second begins, then glows away.
    fn lamp(&mut self, canvas: &mut Canvas<'_>, stale: &mut Vec<Rect>, moment: &Moment, flash: Option<i64>) {
        let age = moment.tick.fraction();
        let color = match flash {
            Some(_) => Color::grey(255),
            None if age < GLOW => palette::ACCENT.mix(palette::REST, age / GLOW),
            None => return,
        };
        stale.push(background::lamp(canvas, &self.layout, color));
    }

    fn dial_texts(&mut self, canvas: &mut Canvas<'_>, stale: &mut Vec<Rect>, moment: &Moment) {
        let dial = self.layout.dial;
        let at = |part: f32| dial.y + dial.radius * part;
        let time = moment.drawn.civil();
        let faces = &mut self.faces;
        let clock = format!("{:02}:{:02}:{:02}", time.hour, time.minute, time.second);
        stale.push(canvas.text(&mut faces.clock, dial.x, at(0.06), Align::Center, palette::TEXT, &clock));
        let millis = format!(".{:03}", time.millisecond);
        stale.push(canvas.text(&mut faces.millis, dial.x, at(0.26), Align::Center, palette::ACCENT, &millis));
        let frame = format!("Frame {}", grouped(moment.frame));
        stale.push(canvas.text(&mut faces.count, dial.x, at(0.56), Align::Center, palette::TEXT, &frame));
        if dial.radius < ROOMY {
            return;
        }
        let date = format!("{:04}-{:02}-{:02} UTC", time.year, time.month, time.day);
        stale.push(canvas.text(&mut faces.date, dial.x, at(0.40), Align::Center, palette::MUTED, &date));
        self.speakers(canvas, stale, moment, at(0.70));
    }

    /// The loudspeakers; the one whose turn it is lights with its click.
    fn speakers(&mut self, canvas: &mut Canvas<'_>, stale: &mut Vec<Rect>, moment: &Moment, y: f32) {
        let Some(channels) = moment.channels.filter(|channels| (1..=8).contains(channels)) else { return };
        let second = moment.tick.second_within(moment.interval).unwrap_or(moment.tick.second());
        let lit = moment.tick.fraction() < 0.5 || moment.tick.second() != second;
        let pitch = self.layout.dial.radius * 0.118;
        let left = self.layout.dial.x - pitch * (f32::from(channels) - 1.0) / 2.0;
        for channel in 0..channels {
            let color = if lit && crate::audio::tone::clicks(second, channel, channels) {
                palette::ACCENT
            } else {
                palette::LINE
            };
            let x = left + pitch * f32::from(channel);
            let name = SPEAKERS[usize::from(channel)];
            stale.push(canvas.text(&mut self.faces.speaker, x, y, Align::Center, color, name));
        }
    }

    /// The light that goes round once a second and passes the top with the flash.
    fn hand(&self, canvas: &mut Canvas<'_>, stale: &mut Vec<Rect>, moment: &Moment) {
        let dial = self.layout.dial;
        let orbit = dial.radius * 0.893;
        for tail in (0..5).rev() {
            let turn = moment.tick.fraction() - tail as f32 * 0.011;
            let (sin, cos) = (turn * std::f32::consts::TAU).sin_cos();
            let fade = tail as f32 / 5.0;
            let radius = dial.radius * 0.036 * (1.0 - fade * 0.6);
            let color = palette::ACCENT.mix(palette::BACKGROUND, fade * 0.85);
            stale.push(canvas.disc(dial.x + sin * orbit, dial.y - cos * orbit, radius, color));
        }
    }

    /// The block that runs over the ruler in two seconds at constant speed.
    fn block(&self, canvas: &mut Canvas<'_>, stale: &mut Vec<Rect>, moment: &Moment) {
        let track = self.layout.track;
        let half = track.h as f32 * 0.27;
        let length = track.h as f32 * 1.8;
        let part = (moment.tick.second().rem_euclid(2) as f32 + moment.tick.fraction()) / 2.0;
        let x = track.x as f32 + half + part * (track.w as f32 - length - 2.0 * half);
        let y = track.y as f32 + half;
        stale.push(canvas.segment((x, y), (x + length, y), half * 2.0, palette::ACCENT));
    }

    /// Fingers and the pen.
    fn contacts(&mut self, canvas: &mut Canvas<'_>, stale: &mut Vec<Rect>, echo: &Echo) {
        let layout = &self.layout;
        for touch in &echo.touches {
            let ((x, y), radius) = (touch.at, layout.px(30.0).min(layout.dial.radius * 0.15));
            let color = if touch.contact == Contact::Touching { palette::COOL } else { palette::MUTED };
            stale.push(canvas.ring(x, y, radius, layout.px(3.0), color));
            let pressure = if touch.pressure > 0.0 { touch.pressure } else { 0.5 };
            stale.push(canvas.disc(x, y, radius * 0.6 * pressure, color));
            let name = (touch.id.0 % 1000).to_string();
            stale.push(canvas.text(&mut self.faces.tiny, x, y - radius * 1.3, Align::Center, palette::TEXT, &name));
        }
        if let Some(pen) = &echo.pen {
            let (x, y) = pen.at;
            let color = if pen.contact == Contact::Touching { palette::ACCENT } else { palette::MUTED };
            let (lean, turn) = (pen.tilt.map_or(0.0, |tilt| f32::from(tilt.degrees())), pen.rotation);
            let (sin, cos) = turn.map_or(0.0, |turn| f32::from(turn.degrees()).to_radians()).sin_cos();
            let reach = layout.px(20.0) + layout.px(70.0) * (lean / 90.0);
            stale.push(canvas.segment((x, y), (x + sin * reach, y - cos * reach), layout.px(2.5), color));
            stale.push(canvas.disc(x, y, layout.px(3.0) + layout.px(12.0) * pen.pressure, color));
        }
    }

    /// The pointer as a crosshair, and the way it came.
    fn pointer(&self, canvas: &mut Canvas<'_>, stale: &mut Vec<Rect>, moment: &Moment, echo: &Echo) {
        let (Some((x, y)), layout) = (echo.pointer, &self.layout) else { return };
        let starts = echo.trail.iter();
        let ends = echo.trail.iter().skip(1).map(|(at, _)| *at).chain([(x, y)]);
        for ((from, at), to) in starts.zip(ends) {
            let age = moment.now.saturating_duration_since(*at).as_secs_f32() / TRAIL.as_secs_f32();
            if age < 1.0 {
                let color = palette::ACCENT.mix(palette::BACKGROUND, 0.2 + age * 0.8);
                stale.push(canvas.segment(*from, to, layout.px(3.0) * (1.0 - age * 0.6), color));
            }
        }
        let (near, far, pen) = (layout.px(7.0), layout.px(22.0), layout.px(2.0).max(1.0));
        // Pixels have their centre half a pixel from their corner.
        let (x, y) = (x + 0.5, y + 0.5);
        for (dx, dy) in [(1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)] {
            let (from, to) = ((x + dx * near, y + dy * near), (x + dx * far, y + dy * far));
            stale.push(canvas.segment(from, to, pen * 2.2, palette::BACKGROUND));
            stale.push(canvas.segment(from, to, pen, palette::TEXT));
        }
        let held = echo.buttons.iter().any(|held| *held);
        let (radius, color) = if held { (layout.px(5.0), palette::ACCENT) } else { (pen, palette::TEXT) };
        stale.push(canvas.disc(x, y, radius, color));
    }
}

/// Draws the cells that changed.
fn draw_strip(canvas: &mut Canvas<'_>, layout: &Layout, shown: &mut [u8; strip::BYTES], wanted: [u8; strip::BYTES]) {
    let size = layout.strip.cell_size() as i32;
    for index in 0..strip::CELLS {
        let light = strip::is_light(&wanted, index);
        if light != strip::is_light(shown, index) {
            let (x, y) = layout.strip.cell_origin(index);
            let level = if light { strip::LIGHT } else { strip::DARK };
            canvas.fill(Rect::new(x as i32, y as i32, size, size), Color::grey(level));
        }
    }
    *shown = wanted;
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{2009}');
        }
        text.push(digit);
    }
    text
}
