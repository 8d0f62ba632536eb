//! The built-in display: a test card drawn in this process at exactly the size and rate that the client asked for.
//!
//! It needs no compositor and no GPU, so it is what a fresh installation shows first, and what the tests stream. It
//! shows moving parts, wall clock, frame counter, colour bars and an echo of all input; it carries a strip that
//! programs read ([`lumen_core::strip`]); its sound clicks with its flash ([`crate::audio::tone`]). It touches
//! nothing outside of itself.
//!
//! A frame has a turn on the display's own schedule, the n-th at n times the interval after the display began, and is
//! drawn when it is asked for: at its turn, or later when the reader is late, who then gets the newest one.

mod background;
pub(super) mod canvas;
pub mod clock;
pub mod echo;
mod faces;
pub(super) mod font;
pub(super) mod layout;
mod motion;
pub mod pads;
mod painter;
mod panels;
mod schedule;
#[cfg(test)]
mod tests;
mod texture;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use lumen_core::gamestream::control::HostMessage;
use lumen_core::gamestream::input::InputEvent;

use self::background::Facts;
use self::clock::{UnixNanos, WallClock};
use self::echo::Echo;
use self::layout::Layout;
use self::painter::{Moment, Painter};
use self::schedule::Schedule;
use super::{DisplayError, VirtualDisplay};
use crate::audio::AudioSource;
use crate::audio::tone::Tone;
use crate::capture::{Capture, CaptureError, Captured};
use crate::frame::{Frame, Mode, Timeline};
use crate::input::InputSink;

/// The largest width and height; beyond it nothing can encode the picture anyway.
const LARGEST: u32 = 8192;

/// Name of this backend.
const NAME: &str = "testcard";

/// What the card stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// One colour and a grid: little of the picture moves, and encoders need a small part of the rate.
    Plain,
    /// A texture that drifts, under film grain: all of it moves with every frame, and encoders need the whole rate.
    Motion,
}

/// A test card of one session.
#[derive(Debug)]
pub struct Testcard {
    shared: Arc<Shared>,
}

/// What the display, its captures, its input and its sound share.
#[derive(Debug)]
struct Shared {
    ground: Ground,
    session: u16,
    label: String,
    clock: Arc<WallClock>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    mode: Mode,
    layout: Layout,
    schedule: Schedule,
    /// Grows with every mode; a capture of an older one has ended.
    generation: u64,
    presence: Presence,
    echo: Echo,
    channels: Option<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    There,
    Removed,
}

impl Testcard {
    /// [`Testcard::on`] plain ground.
    ///
    /// # Errors
    /// As there.
    pub fn new(mode: Mode, session: u16, label: &str) -> Result<Self, DisplayError> {
        Self::on(Ground::Plain, mode, session, label)
    }

    /// A display of `mode` whose strip says `session`, and whose picture says `label` (the client's name).
    ///
    /// # Errors
    /// [`DisplayError::Mode`] below 320x180 and above 8192x8192.
    pub fn on(ground: Ground, mode: Mode, session: u16, label: &str) -> Result<Self, DisplayError> {
        let layout = layout_of(mode)?;
        let state = State {
            mode,
            layout,
            schedule: Schedule::starting(Instant::now(), mode),
            generation: 0,
            presence: Presence::There,
            echo: Echo::new(mode.width, mode.height),
            channels: None,
        };
        let shared = Shared {
            ground,
            session,
            label: label.to_owned(),
            clock: Arc::new(WallClock::of_system()),
            state: Mutex::new(state),
        };
        Ok(Self { shared: Arc::new(shared) })
    }
}

impl VirtualDisplay for Testcard {
    fn mode(&self) -> Mode {
        self.shared.lock().mode
    }

    /// Changes the mode. Frame numbers begin again; captures taken before end with [`CaptureError::DisplayGone`];
    /// input and sound go on.
    fn set_mode(&mut self, mode: Mode) -> Result<(), DisplayError> {
        let layout = layout_of(mode)?;
        let mut state = self.shared.lock();
        state.mode = mode;
        state.layout = layout;
        state.schedule = Schedule::starting(Instant::now(), mode);
        state.generation += 1;
        state.echo.resize(mode.width, mode.height);
        Ok(())
    }

    fn capture(&mut self) -> Result<Box<dyn Capture>, DisplayError> {
        let state = self.shared.lock();
        let Shared { ground, session, .. } = *self.shared;
        let facts = Facts { mode: state.mode, session, label: self.shared.label.clone(), ground };
        Ok(Box::new(CardCapture {
            shared: Arc::clone(&self.shared),
            generation: state.generation,
            schedule: state.schedule,
            painter: Painter::new(state.layout.clone(), &facts),
            taken: None,
        }))
    }

    fn input(&mut self) -> Result<Box<dyn InputSink>, DisplayError> {
        Ok(Box::new(CardInput { shared: Arc::clone(&self.shared) }))
    }

    fn audio(&mut self, channels: u8) -> Box<dyn AudioSource> {
        self.shared.lock().channels = Some(channels);
        Box::new(Tone::new(self.shared.session, channels, Arc::clone(&self.shared.clock)))
    }
}

impl Drop for Testcard {
    fn drop(&mut self) {
        self.shared.lock().presence = Presence::Removed;
    }
}

impl Shared {
    /// A panic elsewhere leaves the state whole: every change to it is complete in itself.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn layout_of(mode: Mode) -> Result<Layout, DisplayError> {
    let Mode { width, height, rate_num, rate_den } = mode;
    let refuse = |reason: String| DisplayError::Mode { backend: NAME, width, height, reason };
    if width > LARGEST || height > LARGEST {
        return Err(refuse(format!("neither side may exceed {LARGEST} pixels")));
    }
    if rate_num == 0 || rate_den == 0 {
        return Err(refuse(format!("{rate_num}/{rate_den} is no rate")));
    }
    Layout::new(width, height).map_err(|error| refuse(error.to_string()))
}

/// Pictures of the card.
struct CardCapture {
    shared: Arc<Shared>,
    generation: u64,
    schedule: Schedule,
    painter: Painter,
    /// The first and the last frame that were taken.
    taken: Option<(u64, u64)>,
}

impl CardCapture {
    /// The state of the display that this capture shows, unless it has ended.
    fn live(&self) -> Result<MutexGuard<'_, State>, CaptureError> {
        let state = self.shared.lock();
        match state.presence {
            Presence::Removed => Err(CaptureError::DisplayGone("the display was removed".to_owned())),
            Presence::There if state.generation != self.generation => {
                Err(CaptureError::DisplayGone("the display has another mode now".to_owned()))
            }
            Presence::There => Ok(state),
        }
    }
}

impl Capture for CardCapture {
    fn next(&mut self, deadline: Instant) -> Result<Captured, CaptureError> {
        drop(self.live()?);
        let mut now = Instant::now();
        let frame = loop {
            let due = self.schedule.newest(now);
            let next = self.taken.map_or(due, |(_, last)| last + 1);
            if due >= next {
                break due;
            }
            let wake = self.schedule.turn(next).min(deadline);
            if wake <= now {
                return Ok(Captured::Still);
            }
            thread::sleep(wake - now);
            now = Instant::now();
        };
        let first = self.taken.map_or(frame, |(first, _)| first);
        let serial = frame - first + 1;
        self.taken = Some((first, frame));

        let drawn = UnixNanos::now();
        self.shared.clock.observe(now, drawn);
        let shared = Arc::clone(&self.shared);
        let state = shared.lock();
        let moment = Moment {
            frame,
            tick: shared.clock.at(self.schedule.turn(frame)),
            interval: self.schedule.interval(),
            drawn,
            now,
            channels: state.channels,
        };
        let image = self.painter.draw(&moment, &state.echo);
        drop(state);
        Ok(Captured::Frame(Frame { image, serial, timeline: Timeline::starting(Instant::now()) }))
    }
}

/// Input of the card.
struct CardInput {
    shared: Arc<Shared>,
}

impl InputSink for CardInput {
    fn handle(&mut self, event: &InputEvent) {
        self.shared.lock().echo.apply(event, Instant::now());
    }

    fn release_all(&mut self) {
        self.shared.lock().echo.release_all();
    }

    fn poll_feedback(&mut self) -> Option<HostMessage> {
        self.shared.lock().echo.pads.poll_feedback()
    }
}
