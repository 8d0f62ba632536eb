//! Two pointers: a mouse that moves by counts and has buttons and wheels, and one that jumps to positions. A device
//! that did both would be taken for a tablet.

use evdev::{AbsoluteAxisCode as Axis, KeyCode, RelativeAxisCode as Relative};
use lumen_core::gamestream::input::{
    AbsolutePosition, MouseButton, MouseButtonEvent, PressState, RelativeMotion, Scroll, ScrollAxis,
};

use super::super::nodes::KernelInputError;
use super::super::uinput::{Features, Identity, Label, Uinput, absolute, key, range, relative};

/// Both pointers.
#[derive(Debug)]
pub struct Mouse {
    mouse: Uinput,
    pointer: Uinput,
    vertical: Wheel,
    horizontal: Wheel,
}

/// Largest coordinate of the absolute pointer on both axes, whatever the display.
const EXTENT: i32 = 0xFFFF;

impl Mouse {
    /// Plugs them in.
    ///
    /// # Errors
    /// If the kernel does not make them.
    pub fn new(session: &str) -> Result<Self, KernelInputError> {
        let buttons = MouseButton::ALL.map(code).to_vec();
        let mouse = Features {
            keys: buttons.clone(),
            relative: vec![
                Relative::REL_X,
                Relative::REL_Y,
                Relative::REL_WHEEL,
                Relative::REL_HWHEEL,
                Relative::REL_WHEEL_HI_RES,
                Relative::REL_HWHEEL_HI_RES,
            ],
            ..Features::default()
        };
        // Without a button it would not be taken for a pointer.
        let pointer = Features {
            keys: buttons,
            absolute: vec![(Axis::ABS_X, range(0, EXTENT)), (Axis::ABS_Y, range(0, EXTENT))],
            ..Features::default()
        };
        Ok(Self {
            mouse: Uinput::new(&Label::new(session, "mouse", "Mouse"), Identity::own(3), &mouse)?,
            pointer: Uinput::new(&Label::new(session, "pointer", "Absolute pointer"), Identity::own(4), &pointer)?,
            vertical: Wheel::default(),
            horizontal: Wheel::default(),
        })
    }

    /// It moved.
    pub fn relative(&mut self, motion: &RelativeMotion) {
        self.mouse.emit(&[relative(Relative::REL_X, motion.dx.into()), relative(Relative::REL_Y, motion.dy.into())]);
    }

    /// It is somewhere.
    pub fn absolute(&mut self, position: &AbsolutePosition) {
        let [x, y] = position.normalised().map(|part| (part * f64::from(EXTENT)).round() as i32);
        self.pointer.emit(&[absolute(Axis::ABS_X, x), absolute(Axis::ABS_Y, y)]);
    }

    /// A button went down or up.
    pub fn button(&mut self, event: &MouseButtonEvent) {
        self.mouse.emit(&[key(code(event.button), event.state == PressState::Down)]);
    }

    /// A wheel turned.
    pub fn scroll(&mut self, scroll: &Scroll) {
        let (wheel, fine, coarse) = match scroll.axis {
            ScrollAxis::Vertical => (&mut self.vertical, Relative::REL_WHEEL_HI_RES, Relative::REL_WHEEL),
            ScrollAxis::Horizontal => (&mut self.horizontal, Relative::REL_HWHEEL_HI_RES, Relative::REL_HWHEEL),
        };
        let notches = wheel.turn(scroll.amount.into());
        self.mouse.emit(&[relative(fine, scroll.amount.into()), relative(coarse, notches)]);
    }

    /// Lets go of all buttons.
    pub fn release(&mut self) {
        self.mouse.emit(&MouseButton::ALL.map(|button| key(code(button), false)));
    }
}

const fn code(button: MouseButton) -> KeyCode {
    match button {
        MouseButton::Left => KeyCode::BTN_LEFT,
        MouseButton::Middle => KeyCode::BTN_MIDDLE,
        MouseButton::Right => KeyCode::BTN_RIGHT,
        MouseButton::X1 => KeyCode::BTN_SIDE,
        MouseButton::X2 => KeyCode::BTN_EXTRA,
    }
}

/// Small turns of a wheel, until they make a notch: older programs see notches only.
#[derive(Debug, Default)]
struct Wheel(i32);

impl Wheel {
    /// Turned by `amount` 120ths of a notch. Returns the notches that are full now.
    fn turn(&mut self, amount: i32) -> i32 {
        // What is left of the other direction does not count.
        if self.0.signum() != amount.signum() {
            self.0 = 0;
        }
        self.0 += amount;
        let notches = self.0 / 120;
        self.0 %= 120;
        notches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_turns_add_up_to_notches_and_start_anew_in_the_other_direction() {
        let mut wheel = Wheel::default();
        assert_eq!([50, 50, 50, 240, -30, -60, -30, -1].map(|amount| wheel.turn(amount)), [0, 0, 1, 2, 0, 0, -1, 0]);
    }
}
