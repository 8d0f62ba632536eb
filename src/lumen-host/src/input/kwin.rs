//! Input by KWin's fake input protocol: keys, pointer, wheels and fingers, on the seat that KWin has.
//!
//! Text is typed by the symbols of its characters: KWin finds or makes keys for them, whatever its layout. Before version
//! 6 of the protocol, text is typed on a US keyboard as far as that has the characters. A pen is a finger.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::time::Instant;

use lumen_core::gamestream::control::HostMessage;
use lumen_core::gamestream::input::{InputEvent, MouseButton, PointerEvent, PointerId, PressState, Scroll, ScrollAxis};
use wayland_client::{Connection, Dispatch, Proxy, QueueHandle};

use super::InputSink;
use super::characters::keysym;
use super::us_layout::{self, Keyboard};
use crate::frame::Mode;
use crate::wayland::kde::fake_input::org_kde_kwin_fake_input::{
    self as fake_input, OrgKdeKwinFakeInput, REQ_KEYBOARD_KEYSYM_SINCE,
};
use crate::wayland::{Desk, Link, LinkError, wayland_state};

/// Pixels that a notch of the wheel is worth, as everywhere on Wayland.
const NOTCH_PIXELS: f64 = 15.0;
/// Units of a notch in the client's messages.
const NOTCH_UNITS: f64 = 120.0;
/// The contact that a pen makes.
const PEN: u32 = u32::MAX;
/// `wl_pointer.axis`.
const VERTICAL: u32 = 0;
const HORIZONTAL: u32 = 1;

/// See the module.
#[derive(Debug)]
pub struct FakeInput {
    link: Link<State>,
    state: State,
    seat: OrgKdeKwinFakeInput,
    /// Of the output among all.
    position: (i32, i32),
    mode: Mode,
    keys: BTreeSet<u16>,
    buttons: HashSet<MouseButton>,
    touches: BTreeSet<u32>,
}

#[derive(Debug, Default)]
struct State {
    desk: Desk,
}

wayland_state!(State);

impl FakeInput {
    /// Asks KWin for its seat. `position` and `mode` are those of the session's output.
    ///
    /// # Errors
    /// If KWin does not offer the protocol to this program, or does not answer before `deadline`.
    pub fn open(socket: &Path, position: (i32, i32), mode: Mode, deadline: Instant) -> Result<Self, LinkError> {
        let mut state = State::default();
        let mut link = Link::open(socket, &mut state, deadline)?;
        let seat: OrgKdeKwinFakeInput = link.bind(&mut state, REQ_KEYBOARD_KEYSYM_SINCE).ok_or_else(|| {
            LinkError::Missing(
                "KWin does not take input from this program: a desktop file must name org_kde_kwin_fake_input \
                 (X-KDE-Wayland-Interfaces), and the program must not have file capabilities"
                    .to_owned(),
            )
        })?;
        seat.authenticate("lumen".to_owned(), "input of a streamed session".to_owned());
        link.roundtrip(&mut state, deadline)?;
        let (keys, buttons, touches) = Default::default();
        Ok(Self { link, state, seat, position, mode, keys, buttons, touches })
    }

    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let (left, top) = self.position;
        let last = |size: u32| f64::from(size.saturating_sub(1));
        (f64::from(left) + x * last(self.mode.width), f64::from(top) + y * last(self.mode.height))
    }

    fn key(&mut self, key: u16, state: PressState) {
        let changed = match state {
            PressState::Down => self.keys.insert(key),
            PressState::Up => self.keys.remove(&key),
        };
        if changed {
            self.seat.keyboard_key(key.into(), number(state));
        }
    }

    fn button(&mut self, button: MouseButton, state: PressState) {
        let changed = match state {
            PressState::Down => self.buttons.insert(button),
            PressState::Up => self.buttons.remove(&button),
        };
        if changed {
            let (_, code) = button.evdev();
            self.seat.button(code.into(), number(state));
        }
    }

    fn touch(&mut self, event: PointerEvent, id: u32, x: f32, y: f32) {
        let (x, y) = self.at(x.into(), y.into());
        match event {
            PointerEvent::Down | PointerEvent::Move if self.touches.insert(id) => self.seat.touch_down(id, x, y),
            PointerEvent::Down | PointerEvent::Move => self.seat.touch_motion(id, x, y),
            PointerEvent::Up | PointerEvent::Cancel if self.touches.remove(&id) => self.seat.touch_up(id),
            PointerEvent::CancelAll => self.lift_all(),
            _ => return,
        }
        self.seat.touch_frame();
    }

    fn lift_all(&mut self) {
        for id in std::mem::take(&mut self.touches) {
            self.seat.touch_up(id);
        }
        self.seat.touch_frame();
    }

    fn scroll(&self, scroll: Scroll) {
        let pixels = f64::from(scroll.amount) / NOTCH_UNITS * NOTCH_PIXELS;
        match scroll.axis {
            // Wayland counts downwards.
            ScrollAxis::Vertical => self.seat.axis(VERTICAL, -pixels),
            ScrollAxis::Horizontal => self.seat.axis(HORIZONTAL, pixels),
        }
    }

    fn text(&mut self, characters: impl Iterator<Item = char>) {
        if self.seat.version() >= REQ_KEYBOARD_KEYSYM_SINCE {
            for character in characters {
                for state in [PressState::Down, PressState::Up] {
                    self.seat.keyboard_keysym(keysym(character), number(state));
                }
            }
            return;
        }
        let held = self.keys.clone();
        us_layout::type_text(characters, Keyboard::Us, &held, |key, state| self.key(key, state));
    }

    /// Sends what is waiting, and reads what nobody needs.
    fn flush(&mut self) {
        if let Err(error) = self.link.pump(&mut self.state, Instant::now(), None) {
            tracing::debug!(%error, "input does not reach KWin");
        }
    }
}

impl InputSink for FakeInput {
    fn handle(&mut self, event: &InputEvent) {
        match event {
            InputEvent::Key(key) => {
                if let Some(code) = key.evdev() {
                    self.key(code.0, key.state);
                }
            }
            InputEvent::Text(text) => self.text(text.delivered()),
            InputEvent::MouseRelative(motion) => self.seat.pointer_motion(motion.dx.into(), motion.dy.into()),
            InputEvent::MouseAbsolute(position) => {
                let [x, y] = position.normalised();
                let (x, y) = self.at(x, y);
                self.seat.pointer_motion_absolute(x, y);
            }
            InputEvent::MouseButton(event) => self.button(event.button, event.state),
            InputEvent::Scroll(scroll) => self.scroll(*scroll),
            InputEvent::Touch(touch) => {
                let PointerId(id) = touch.pointer;
                self.touch(touch.event, id, touch.x.get(), touch.y.get());
            }
            InputEvent::Pen(pen) => self.touch(pen.event, PEN, pen.x.get(), pen.y.get()),
            InputEvent::HapticsEnable(_)
            | InputEvent::Controller(_)
            | InputEvent::ControllerArrival(_)
            | InputEvent::ControllerTouch(_)
            | InputEvent::ControllerMotion(_)
            | InputEvent::ControllerBattery(_) => return,
        }
        self.flush();
    }

    fn release_all(&mut self) {
        for key in self.keys.clone() {
            self.key(key, PressState::Up);
        }
        for button in self.buttons.clone() {
            self.button(button, PressState::Up);
        }
        self.lift_all();
        self.flush();
    }

    fn poll_feedback(&mut self) -> Option<HostMessage> {
        None
    }
}

impl Drop for FakeInput {
    fn drop(&mut self) {
        self.release_all();
    }
}

/// As the protocol has it.
fn number(state: PressState) -> u32 {
    match state {
        PressState::Down => 1,
        PressState::Up => 0,
    }
}

impl Dispatch<OrgKdeKwinFakeInput, ()> for State {
    fn event(
        _: &mut Self,
        _: &OrgKdeKwinFakeInput,
        _: fake_input::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
    }
}
