//! Input through a RemoteDesktop session of Mutter. Calls are sent without waiting for their answers. It has no pens:
//! a pen moves the pointer and presses its first button. Gamepads do not come here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use lumen_core::gamestream::control::HostMessage;
use lumen_core::gamestream::input::{
    EvdevKey, Fraction, InputEvent, KeyEvent, MouseButton, PenEvent, PointerEvent, PointerId, PressState, Scroll,
    ScrollAxis, TouchEvent, VirtualKey,
};
use zbus::blocking::Proxy;
use zbus::zvariant::DynamicType;

use crate::frame::Mode;

use super::InputSink;

/// Fingers that are followed at once.
const MAX_FINGERS: u32 = 32;

/// One notch of a wheel in the protocol.
const NOTCH: i16 = 120;

/// One notch in the unit of Mutter's smooth scrolling.
const NOTCH_STEP: f64 = 10.0;

/// Mutter's flag for scrolling that comes from a wheel.
const FROM_WHEEL: u32 = 2;

/// Where input goes: it changes when a monitor has to be made anew.
#[derive(Debug, Clone)]
pub struct Target {
    /// The RemoteDesktop session.
    pub session: Proxy<'static>,
    /// The stream that positions are on.
    pub stream: String,
}

/// A [`Target`] that a display and its input share.
pub type SharedTarget = Arc<Mutex<Target>>;

/// See the module.
pub struct MutterInput {
    target: SharedTarget,
    mode: Mode,
    /// Keys that are held, by what the client calls them: the release goes to the same key.
    keys: BTreeMap<VirtualKey, EvdevKey>,
    buttons: BTreeSet<MouseButton>,
    fingers: BTreeMap<PointerId, u32>,
}

impl MutterInput {
    /// Input to `target`, a monitor of `mode`.
    pub fn new(target: SharedTarget, mode: Mode) -> Self {
        Self { target, mode, keys: BTreeMap::new(), buttons: BTreeSet::new(), fingers: BTreeMap::new() }
    }

    fn target(&self) -> Target {
        self.target.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn send<B: serde::Serialize + DynamicType>(&self, method: &'static str, body: &B) {
        send(&self.target().session, method, body);
    }

    fn key(&mut self, event: &KeyEvent) {
        let key = match event.state {
            PressState::Down => {
                let Some(key) = event.evdev() else { return };
                if self.keys.insert(event.virtual_key(), key).is_some() {
                    return;
                }
                key
            }
            PressState::Up => {
                let Some(key) = self.keys.remove(&event.virtual_key()) else { return };
                key
            }
        };
        self.press_key(key, event.state);
    }

    fn press_key(&self, key: EvdevKey, state: PressState) {
        self.send("NotifyKeyboardKeycode", &(u32::from(key.0), state == PressState::Down));
    }

    fn text(&self, character: char) {
        for down in [true, false] {
            self.send("NotifyKeyboardKeysym", &(keysym(character), down));
        }
    }

    fn button(&mut self, button: MouseButton, state: PressState) {
        let changed = match state {
            PressState::Down => self.buttons.insert(button),
            PressState::Up => self.buttons.remove(&button),
        };
        if changed {
            self.send("NotifyPointerButton", &(i32::from(button.evdev().1), state == PressState::Down));
        }
    }

    /// A part of the picture as a position on the stream: the last pixel is that at one.
    fn position(&self, [x, y]: [f64; 2]) -> (f64, f64) {
        (x * f64::from(self.mode.width.saturating_sub(1)), y * f64::from(self.mode.height.saturating_sub(1)))
    }

    fn move_to(&self, position: [f64; 2]) {
        let (x, y) = self.position(position);
        let Target { session, stream } = self.target();
        // A pixel is meant, and a hair's breadth to the left of it is another one.
        send(&session, "NotifyPointerMotionAbsolute", &(stream, x.round(), y.round()));
    }

    fn scroll(&self, scroll: Scroll) {
        // Up and right are positive for the client; down and right are for Mutter.
        let (axis, amount) = match scroll.axis {
            ScrollAxis::Vertical => (0u32, -i32::from(scroll.amount)),
            ScrollAxis::Horizontal => (1u32, i32::from(scroll.amount)),
        };
        if scroll.amount % NOTCH == 0 {
            self.send("NotifyPointerAxisDiscrete", &(axis, amount / i32::from(NOTCH)));
        } else {
            let distance = f64::from(amount) / f64::from(NOTCH) * NOTCH_STEP;
            let (dx, dy) = if axis == 0 { (0.0, distance) } else { (distance, 0.0) };
            self.send("NotifyPointerAxis", &(dx, dy, FROM_WHEEL));
        }
    }

    fn touch(&mut self, touch: &TouchEvent) {
        let (x, y) = self.position(parts(touch.x, touch.y));
        match touch.event {
            PointerEvent::Down | PointerEvent::Move => {
                let Target { session, stream } = self.target();
                if let Some(slot) = self.fingers.get(&touch.pointer) {
                    send(&session, "NotifyTouchMotion", &(stream, *slot, x, y));
                } else if let Some(slot) = (0..MAX_FINGERS).find(|slot| !self.fingers.values().any(|held| held == slot))
                {
                    self.fingers.insert(touch.pointer, slot);
                    send(&session, "NotifyTouchDown", &(stream, slot, x, y));
                }
            }
            PointerEvent::Up | PointerEvent::Cancel => {
                if let Some(slot) = self.fingers.remove(&touch.pointer) {
                    self.send("NotifyTouchUp", &(slot,));
                }
            }
            PointerEvent::CancelAll => self.lift_fingers(),
            PointerEvent::Hover | PointerEvent::HoverLeave | PointerEvent::ButtonOnly => {}
        }
    }

    fn lift_fingers(&mut self) {
        for slot in std::mem::take(&mut self.fingers).into_values() {
            self.send("NotifyTouchUp", &(slot,));
        }
    }

    fn pen(&mut self, pen: &PenEvent) {
        match pen.event {
            PointerEvent::Hover => self.move_to(parts(pen.x, pen.y)),
            PointerEvent::Down | PointerEvent::Move => {
                self.move_to(parts(pen.x, pen.y));
                self.button(MouseButton::Left, PressState::Down);
            }
            PointerEvent::Up | PointerEvent::Cancel | PointerEvent::CancelAll => {
                self.button(MouseButton::Left, PressState::Up);
            }
            PointerEvent::HoverLeave | PointerEvent::ButtonOnly => {}
        }
    }
}

impl InputSink for MutterInput {
    fn handle(&mut self, event: &InputEvent) {
        match event {
            InputEvent::Key(event) => self.key(event),
            InputEvent::Text(text) => text.delivered().for_each(|character| self.text(character)),
            InputEvent::MouseRelative(motion) => {
                self.send("NotifyPointerMotionRelative", &(f64::from(motion.dx), f64::from(motion.dy)));
            }
            InputEvent::MouseAbsolute(position) => self.move_to(position.normalised()),
            InputEvent::MouseButton(event) => self.button(event.button, event.state),
            InputEvent::Scroll(scroll) => self.scroll(*scroll),
            InputEvent::Touch(touch) => self.touch(touch),
            InputEvent::Pen(pen) => self.pen(pen),
            InputEvent::HapticsEnable(_)
            | InputEvent::Controller(_)
            | InputEvent::ControllerArrival(_)
            | InputEvent::ControllerTouch(_)
            | InputEvent::ControllerMotion(_)
            | InputEvent::ControllerBattery(_) => {}
        }
    }

    fn release_all(&mut self) {
        for key in std::mem::take(&mut self.keys).into_values() {
            self.press_key(key, PressState::Up);
        }
        for button in self.buttons.clone() {
            self.button(button, PressState::Up);
        }
        self.lift_fingers();
    }

    fn poll_feedback(&mut self) -> Option<HostMessage> {
        None
    }
}

fn send<B: serde::Serialize + DynamicType>(session: &Proxy<'static>, method: &'static str, body: &B) {
    if let Err(error) = session.call_noreply(method, body) {
        // A compositor that is gone is noticed by the display.
        tracing::debug!(method, %error, "input does not reach the compositor");
    }
}

fn parts(x: Fraction, y: Fraction) -> [f64; 2] {
    [f64::from(x.get()), f64::from(y.get())]
}

/// The X11 keysym of a character.
pub(super) fn keysym(character: char) -> u32 {
    match u32::from(character) {
        0x09 => 0xFF09,
        0x0A | 0x0D => 0xFF0D,
        latin @ (0x20..=0x7E | 0xA0..=0xFF) => latin,
        other => 0x0100_0000 | other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_have_the_keysyms_of_x11() {
        assert_eq!([keysym('a'), keysym('ß'), keysym('\n'), keysym('\t')], [0x61, 0xDF, 0xFF0D, 0xFF09]);
        assert_eq!([keysym('€'), keysym('語')], [0x0100_20AC, 0x0100_8A9E]);
    }
}
