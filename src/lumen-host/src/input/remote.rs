//! Keyboard, pointer and touchscreen of a desktop that is told of every event by a call of its own, as Mutter and the
//! portal are. Here is what they have in common: what is held, and how the client's events become calls. It has no
//! pens: a pen moves the pointer and presses its first button. Gamepads do not come here.

use std::collections::{BTreeMap, BTreeSet};

use lumen_core::gamestream::control::HostMessage;
use lumen_core::gamestream::input::{
    EvdevKey, Fraction, InputEvent, KeyEvent, MouseButton, PenEvent, PointerEvent, PointerId, PressState, Scroll,
    ScrollAxis, TouchEvent, VirtualKey,
};

use crate::capture::mailbox::Size;

use super::InputSink;
use super::characters::keysym;

/// Fingers that are followed at once.
const MAX_FINGERS: u32 = 32;

/// One notch of a wheel in the protocol.
const NOTCH: i16 = 120;

/// One notch in the desktops' unit of smooth scrolling.
const NOTCH_STEP: f64 = 10.0;

/// The calls. None of them waits, and none can fail for the caller: a desktop that is gone is noticed by the display.
/// Positions are pixels of what is shown; down and right are positive.
pub trait Devices: Send {
    /// Presses or releases a key.
    fn key(&self, key: EvdevKey, state: PressState);
    /// Presses or releases whatever key has this X11 keysym.
    fn keysym(&self, keysym: u32, state: PressState);
    /// Presses or releases a button, by its evdev code.
    fn button(&self, code: u16, state: PressState);
    /// Moves the pointer to a position.
    fn move_to(&self, x: f64, y: f64);
    /// Moves the pointer.
    fn move_by(&self, dx: f64, dy: f64);
    /// Turns a wheel by whole notches.
    fn scroll_notches(&self, axis: ScrollAxis, notches: i32);
    /// Scrolls smoothly.
    fn scroll_by(&self, dx: f64, dy: f64);
    /// Puts a finger down.
    fn touch_down(&self, finger: u32, x: f64, y: f64);
    /// Moves a finger that is down.
    fn touch_motion(&self, finger: u32, x: f64, y: f64);
    /// Lifts a finger.
    fn touch_up(&self, finger: u32);
}

/// See the module.
pub struct RemoteInput<D> {
    devices: D,
    size: Size,
    /// Keys that are held, by what the client calls them: the release goes to the same key.
    keys: BTreeMap<VirtualKey, EvdevKey>,
    buttons: BTreeSet<MouseButton>,
    fingers: BTreeMap<PointerId, u32>,
}

impl<D: Devices> RemoteInput<D> {
    /// Input to `devices` of a screen of `size`.
    pub fn new(devices: D, size: Size) -> Self {
        Self { devices, size, keys: BTreeMap::new(), buttons: BTreeSet::new(), fingers: BTreeMap::new() }
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
        self.devices.key(key, event.state);
    }

    fn text(&self, character: char) {
        for state in [PressState::Down, PressState::Up] {
            self.devices.keysym(keysym(character), state);
        }
    }

    fn button(&mut self, button: MouseButton, state: PressState) {
        let changed = match state {
            PressState::Down => self.buttons.insert(button),
            PressState::Up => self.buttons.remove(&button),
        };
        if changed {
            self.devices.button(button.evdev().1, state);
        }
    }

    /// A part of the picture as a position: the last pixel is that at one.
    fn position(&self, [x, y]: [f64; 2]) -> (f64, f64) {
        (x * f64::from(self.size.width.saturating_sub(1)), y * f64::from(self.size.height.saturating_sub(1)))
    }

    fn move_to(&self, position: [f64; 2]) {
        let (x, y) = self.position(position);
        // A pixel is meant, and a hair's breadth to the left of it is another one.
        self.devices.move_to(x.round(), y.round());
    }

    fn scroll(&self, scroll: Scroll) {
        // Up and right are positive for the client.
        let amount = match scroll.axis {
            ScrollAxis::Vertical => -i32::from(scroll.amount),
            ScrollAxis::Horizontal => i32::from(scroll.amount),
        };
        if scroll.amount % NOTCH == 0 {
            self.devices.scroll_notches(scroll.axis, amount / i32::from(NOTCH));
            return;
        }
        let distance = f64::from(amount) / f64::from(NOTCH) * NOTCH_STEP;
        match scroll.axis {
            ScrollAxis::Vertical => self.devices.scroll_by(0.0, distance),
            ScrollAxis::Horizontal => self.devices.scroll_by(distance, 0.0),
        }
    }

    fn touch(&mut self, touch: &TouchEvent) {
        let (x, y) = self.position(parts(touch.x, touch.y));
        match touch.event {
            PointerEvent::Down | PointerEvent::Move => {
                if let Some(&finger) = self.fingers.get(&touch.pointer) {
                    self.devices.touch_motion(finger, x, y);
                } else if let Some(finger) =
                    (0..MAX_FINGERS).find(|free| !self.fingers.values().any(|held| held == free))
                {
                    self.fingers.insert(touch.pointer, finger);
                    self.devices.touch_down(finger, x, y);
                }
            }
            PointerEvent::Up | PointerEvent::Cancel => {
                if let Some(finger) = self.fingers.remove(&touch.pointer) {
                    self.devices.touch_up(finger);
                }
            }
            PointerEvent::CancelAll => self.lift_fingers(),
            PointerEvent::Hover | PointerEvent::HoverLeave | PointerEvent::ButtonOnly => {}
        }
    }

    fn lift_fingers(&mut self) {
        for finger in std::mem::take(&mut self.fingers).into_values() {
            self.devices.touch_up(finger);
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

impl<D: Devices> InputSink for RemoteInput<D> {
    fn handle(&mut self, event: &InputEvent) {
        match event {
            InputEvent::Key(event) => self.key(event),
            InputEvent::Text(text) => text.delivered().for_each(|character| self.text(character)),
            InputEvent::MouseRelative(motion) => self.devices.move_by(motion.dx.into(), motion.dy.into()),
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
            self.devices.key(key, PressState::Up);
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

/// The number by which both desktops know an axis.
pub(super) fn axis_number(axis: ScrollAxis) -> u32 {
    match axis {
        ScrollAxis::Vertical => 0,
        ScrollAxis::Horizontal => 1,
    }
}

pub(super) fn parts(x: Fraction, y: Fraction) -> [f64; 2] {
    [f64::from(x.get()), f64::from(y.get())]
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use lumen_core::gamestream::input::Modifiers;

    use super::*;

    struct Ear(Sender<String>);

    impl Ear {
        fn hear(&self, what: String) {
            self.0.send(what).expect("somebody listens");
        }
    }

    impl Devices for Ear {
        fn key(&self, key: EvdevKey, state: PressState) {
            self.hear(format!("key {} {state:?}", key.0));
        }
        fn keysym(&self, keysym: u32, state: PressState) {
            self.hear(format!("keysym {keysym:#x} {state:?}"));
        }
        fn button(&self, code: u16, state: PressState) {
            self.hear(format!("button {code:#x} {state:?}"));
        }
        fn move_to(&self, x: f64, y: f64) {
            self.hear(format!("to {x} {y}"));
        }
        fn move_by(&self, dx: f64, dy: f64) {
            self.hear(format!("by {dx} {dy}"));
        }
        fn scroll_notches(&self, axis: ScrollAxis, notches: i32) {
            self.hear(format!("notches {axis:?} {notches}"));
        }
        fn scroll_by(&self, dx: f64, dy: f64) {
            self.hear(format!("scroll {dx} {dy}"));
        }
        fn touch_down(&self, finger: u32, x: f64, y: f64) {
            self.hear(format!("down {finger} {x} {y}"));
        }
        fn touch_motion(&self, finger: u32, x: f64, y: f64) {
            self.hear(format!("motion {finger} {x} {y}"));
        }
        fn touch_up(&self, finger: u32) {
            self.hear(format!("up {finger}"));
        }
    }

    fn desk() -> (RemoteInput<Ear>, Receiver<String>) {
        let (sender, heard) = channel();
        (RemoteInput::new(Ear(sender), Size { width: 101, height: 51 }), heard)
    }

    fn key(state: PressState) -> InputEvent {
        InputEvent::Key(KeyEvent::new(state, VirtualKey(b'A'), Modifiers::default()))
    }

    fn touch(event: PointerEvent, pointer: u32, at: f32) -> InputEvent {
        let at = Fraction::try_from(at).expect("a fraction");
        let nothing = Fraction::try_from(0.0).expect("a fraction");
        InputEvent::Touch(TouchEvent {
            event,
            pointer: PointerId(pointer),
            x: at,
            y: at,
            pressure_or_distance: nothing,
            rotation: None,
            contact_major: nothing,
            contact_minor: nothing,
        })
    }

    #[test]
    fn what_is_held_is_pressed_once_and_released_once() {
        let (mut desk, heard) = desk();
        for state in [PressState::Up, PressState::Down, PressState::Down] {
            desk.handle(&key(state));
        }
        desk.release_all();
        desk.handle(&key(PressState::Up));
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), ["key 30 Down", "key 30 Up"]);
    }

    #[test]
    fn fingers_have_numbers_that_are_used_again() {
        let (mut desk, heard) = desk();
        desk.handle(&touch(PointerEvent::Down, 70, 0.0));
        desk.handle(&touch(PointerEvent::Down, 80, 1.0));
        desk.handle(&touch(PointerEvent::Up, 70, 0.0));
        desk.handle(&touch(PointerEvent::Down, 90, 0.5));
        desk.release_all();
        assert_eq!(
            heard.try_iter().collect::<Vec<_>>(),
            ["down 0 0 0", "down 1 100 50", "up 0", "down 0 50 25", "up 1", "up 0"]
        );
    }

    #[test]
    fn whole_notches_and_parts_of_them_go_down_and_right() {
        let (mut desk, heard) = desk();
        for (axis, amount) in [(ScrollAxis::Vertical, 240), (ScrollAxis::Vertical, 30), (ScrollAxis::Horizontal, 60)] {
            desk.handle(&InputEvent::Scroll(Scroll { axis, amount }));
        }
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), ["notches Vertical -2", "scroll 0 -2.5", "scroll 5 0"]);
    }
}
