//! Input for one output of a Wayland compositor, through virtual devices that the compositor makes for us:
//! `zwlr_virtual_pointer_v1` and `zwp_virtual_keyboard_v1`, after their public protocol descriptions. They reach that
//! compositor and nothing else.
//!
//! The devices are made once and stay, so that programs know of them before the first key. There is no virtual touch
//! or pen among these protocols: the first finger and the tip of a pen act as the pointer with its left button, and
//! the first button of a pen as the right one. Gamepads never come here.
//!
//! Nothing here waits for the compositor. While it does not read, presses and motion are dropped; releases are
//! remembered and sent once it does. On a seat that may be led astray everything stands in a line (`line.rs`)
//! instead, which moves on with every call.

mod keyboard;
mod keymap;
mod line;
mod pointer;
mod single;
mod text;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use lumen_core::gamestream::control::HostMessage;
use lumen_core::gamestream::input::InputEvent;
use wayland_client::{Proxy, delegate_noop};
use wayland_protocols_misc::zwp_virtual_keyboard_v1::client::zwp_virtual_keyboard_manager_v1::ZwpVirtualKeyboardManagerV1;
use wayland_protocols_misc::zwp_virtual_keyboard_v1::client::zwp_virtual_keyboard_v1::ZwpVirtualKeyboardV1;
use wayland_protocols_wlr::virtual_pointer::v1::client::zwlr_virtual_pointer_manager_v1::ZwlrVirtualPointerManagerV1;
use wayland_protocols_wlr::virtual_pointer::v1::client::zwlr_virtual_pointer_v1::ZwlrVirtualPointerV1;

use super::InputSink;
use crate::frame::Mode;
use crate::wayland::{Backlog, Desk, Link, LinkError, wayland_state};

use self::keyboard::Keyboard;
use self::line::{Go, Line};
use self::pointer::Pointer;
use self::text::TextKeyboard;

pub use self::keymap::Layout;
pub(crate) use self::keymap::number_name;
pub use self::single::Escort;
pub(crate) use self::single::SingleKey;

/// The virtual devices of an output. Clones are the same devices; they are removed with the last one.
#[derive(Debug, Clone)]
pub struct WaylandInput(Arc<Mutex<Devices>>);

#[derive(Debug)]
struct Devices {
    place: DevicePlace,
    link: Link<State>,
    state: State,
    pointer: Pointer,
    keyboard: Keyboard,
    text: TextKeyboard,
    /// Pressed before and after what goes to a window, where the compositor may have led the seat astray.
    escort: Option<[SingleKey; 2]>,
    /// What waits where there is an escort.
    line: Line,
    clock: Clock,
    gone: Option<String>,
}

/// Where devices are, and what they are like.
#[derive(Debug, Clone)]
struct DevicePlace {
    socket: PathBuf,
    seat: String,
    output: String,
    layout: Layout,
    escort: Option<Escort>,
}

#[derive(Debug, Default)]
struct State {
    desk: Desk,
}

/// Time stamps of events: milliseconds since the devices were made.
#[derive(Debug, Clone, Copy)]
struct Clock(Instant);

impl Clock {
    fn now(self) -> u32 {
        // Wraps after 49 days, as the protocol's times do.
        self.0.elapsed().as_millis() as u32
    }
}

wayland_state!(State);
delegate_noop!(State: ZwlrVirtualPointerManagerV1);
delegate_noop!(State: ZwlrVirtualPointerV1);
delegate_noop!(State: ZwpVirtualKeyboardManagerV1);
delegate_noop!(State: ZwpVirtualKeyboardV1);

impl WaylandInput {
    /// Makes the devices in the compositor behind `socket`: at the seat named `seat`, for the output named `output`,
    /// which shows `mode`. On a seat that the compositor may lead astray, `escort` are the keys that it has bound to
    /// leading it back: so what a client does arrives where it should, whoever opens a window at that moment.
    ///
    /// # Errors
    /// If the compositor does not answer before `deadline`, or lacks one of the protocols.
    pub fn open(
        socket: &Path,
        seat: &str,
        output: &str,
        mode: Mode,
        layout: &Layout,
        escort: Option<Escort>,
        deadline: Instant,
    ) -> Result<Self, LinkError> {
        let place = DevicePlace {
            socket: socket.to_owned(),
            seat: seat.to_owned(),
            output: output.to_owned(),
            layout: layout.clone(),
            escort,
        };
        Ok(Self(Arc::new(Mutex::new(Devices::open(place, mode, deadline)?))))
    }

    /// Makes the devices anew in the same place, and lets go of the old ones: nothing is held then.
    ///
    /// # Errors
    /// As [`open`](Self::open); the old ones stay then.
    pub fn renew(&self, deadline: Instant) -> Result<(), LinkError> {
        let (place, mode) = self.with(|devices| (devices.place.clone(), devices.pointer.mode()));
        let mut new = Devices::open(place, mode, deadline)?;
        self.with(|devices| {
            new.line = std::mem::take(&mut devices.line).moved();
            *devices = new;
        });
        Ok(())
    }

    /// The output shows another mode now.
    pub fn set_mode(&self, mode: Mode) {
        self.with(|devices| devices.pointer.set_mode(mode));
    }

    /// Moves the pointer to the middle of the output, which gives the seat's attention to what is there.
    pub fn enter(&self) {
        self.with(|devices| {
            let now = devices.clock.now();
            devices.pointer.enter(now);
            devices.settle();
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut Devices) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl InputSink for WaylandInput {
    fn handle(&mut self, event: &InputEvent) {
        self.with(|devices| devices.handle(event));
    }

    fn release_all(&mut self) {
        self.with(Devices::let_go);
    }

    fn poll_feedback(&mut self) -> Option<HostMessage> {
        // Nothing is ever felt here, but what the compositor says must be read, or it hangs up one day.
        self.with(Devices::move_on);
        None
    }
}

impl Devices {
    fn open(place: DevicePlace, mode: Mode, deadline: Instant) -> Result<Self, LinkError> {
        let mut state = State::default();
        let mut link = Link::open(&place.socket, &mut state, deadline)?;
        let missing = |what: &str| LinkError::Missing(format!("the compositor does not offer {what}"));
        let pointers = link
            .bind::<ZwlrVirtualPointerManagerV1>(&mut state, 2)
            .filter(|manager| manager.version() >= 2)
            .ok_or_else(|| missing("zwlr_virtual_pointer_manager_v1 in version 2: it needs wlroots 0.12 or newer"))?;
        let keyboards = link
            .bind::<ZwpVirtualKeyboardManagerV1>(&mut state, 1)
            .ok_or_else(|| missing("zwp_virtual_keyboard_manager_v1"))?;
        let (seat, output) = (state.desk.seat(&place.seat)?, state.desk.output(&place.output)?);
        let queue = link.handle();
        let pointer = pointers.create_virtual_pointer_with_output(Some(&seat), Some(&output), &queue, ());
        let system = |error: std::io::Error| LinkError::Missing(format!("a keyboard cannot be made: {error}"));
        let keyboard =
            Keyboard::new(keyboards.create_virtual_keyboard(&seat, &queue, ()), &place.layout).map_err(system)?;
        let text = TextKeyboard::new(keyboards.create_virtual_keyboard(&seat, &queue, ())).map_err(system)?;
        let escort = match &place.escort {
            Some(escort) => {
                let other = state.desk.seat(&escort.after_seat)?;
                let key = |seat, symbol| SingleKey::new(keyboards.create_virtual_keyboard(seat, &queue, ()), symbol);
                let before = key(&seat, escort.before).map_err(system)?;
                Some([before, key(&other, escort.after).map_err(system)?])
            }
            None => None,
        };
        // With this answer the devices are there, and with them the seat's capabilities.
        link.roundtrip(&mut state, deadline)?;
        let clock = Clock(Instant::now());
        let pointer = Pointer::new(pointer, mode);
        let line = Line::default();
        Ok(Self { place, link, state, pointer, keyboard, text, escort, line, clock, gone: None })
    }

    fn handle(&mut self, event: &InputEvent) {
        if self.escort.is_some() {
            self.line.push(Go::Event(event.clone()));
            self.move_on();
        } else if self.settle() == Backlog::Full {
            self.hold_back(event);
        } else {
            self.deliver(event);
            self.settle();
        }
    }

    fn let_go(&mut self) {
        if self.escort.is_some() {
            self.line.push(Go::ReleaseAll);
            self.move_on();
        } else {
            self.release_all();
            self.settle();
        }
    }

    /// Sends of the line what can be sent, each in one go.
    fn move_on(&mut self) {
        while self.settle() == Backlog::Clear {
            let Some(go) = self.line.next() else { return };
            match &go {
                Go::Event(event) => self.deliver(event),
                Go::ReleaseAll => self.release_all(),
            }
            self.line.sent(&go, self.link.mark());
        }
    }

    fn deliver(&mut self, event: &InputEvent) {
        let now = self.clock.now();
        let escort = self.escort.as_ref().filter(|_| goes_to_a_window(event));
        if let Some([before, _]) = escort {
            before.tap(now);
            if matches!(event, InputEvent::MouseButton(_) | InputEvent::Scroll(_)) {
                self.pointer.stay(now);
            }
        }
        match event {
            InputEvent::Key(key) => self.keyboard.key(now, key),
            InputEvent::Text(text) => {
                if let Err(error) = self.text.type_text(now, text) {
                    tracing::warn!(%error, "text from the client cannot be typed");
                }
            }
            InputEvent::MouseRelative(motion) => self.pointer.relative(now, *motion),
            InputEvent::MouseAbsolute(position) => self.pointer.absolute(now, *position),
            InputEvent::MouseButton(button) => self.pointer.button(now, *button),
            InputEvent::Scroll(scroll) => self.pointer.scroll(now, *scroll),
            InputEvent::Touch(touch) => self.pointer.touch(now, touch),
            InputEvent::Pen(pen) => self.pointer.pen(now, pen),
            InputEvent::HapticsEnable(_)
            | InputEvent::Controller(_)
            | InputEvent::ControllerArrival(_)
            | InputEvent::ControllerTouch(_)
            | InputEvent::ControllerMotion(_)
            | InputEvent::ControllerBattery(_) => {}
        }
        if let Some([_, after]) = escort {
            after.tap(now);
        }
    }

    /// The compositor does not read: only what ends something is passed on, for when it does again.
    fn hold_back(&mut self, event: &InputEvent) {
        use lumen_core::gamestream::input::{PointerEvent, PressState};
        let now = self.clock.now();
        match event {
            InputEvent::Key(key) if key.state == PressState::Up => self.keyboard.key(now, key),
            InputEvent::MouseButton(button) if button.state == PressState::Up => self.pointer.button(now, *button),
            InputEvent::Touch(touch) if touch.event != PointerEvent::Move => self.pointer.end_touch(now, touch),
            InputEvent::Pen(pen) if pen.event != PointerEvent::Move => self.pointer.end_pen(now),
            _ => {}
        }
    }

    fn release_all(&mut self) {
        let now = self.clock.now();
        if let Some([before, _]) = &self.escort {
            before.tap(now);
        }
        self.keyboard.release_all(now);
        self.pointer.release_all(now);
        if let Some([_, after]) = &self.escort {
            after.tap(now);
        }
    }

    /// Sends what waits and reads what was said, without waiting for either.
    fn settle(&mut self) -> Backlog {
        if self.gone.is_some() {
            return Backlog::Full;
        }
        let outcome = self.link.pump(&mut self.state, Instant::now(), None).and_then(|_| self.link.flush());
        outcome.unwrap_or_else(|error| {
            tracing::info!(%error, "the compositor takes no more input");
            self.gone = Some(error.to_string());
            Backlog::Full
        })
    }
}

/// Whether a window is told of it, rather than the pointer moved.
fn goes_to_a_window(event: &InputEvent) -> bool {
    !event.is_of_controller() && !matches!(event, InputEvent::MouseRelative(_) | InputEvent::MouseAbsolute(_))
}

impl Drop for Devices {
    fn drop(&mut self) {
        self.release_all();
        self.settle();
    }
}
