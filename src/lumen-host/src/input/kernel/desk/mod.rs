//! Keyboard, pointers, touchscreen and pen as kernel devices: for compositors that take input from nowhere else.

mod keyboard;
mod mouse;
mod pen;
mod touchscreen;

use evdev::{AbsInfo, AbsoluteAxisCode as Axis};
use lumen_core::gamestream::input::{Fraction, InputEvent};

use super::nodes::KernelInputError;
use crate::frame::Mode;

use keyboard::Keyboard;
use mouse::Mouse;
use pen::Pen;
use touchscreen::Touchscreen;

/// All devices of a desk.
#[derive(Debug)]
pub struct Desk {
    keyboard: Keyboard,
    mouse: Mouse,
    touchscreen: Touchscreen,
    pen: Pen,
}

impl Desk {
    /// Plugs them all in. Touchscreen and pen are as large as the display of `mode`.
    ///
    /// # Errors
    /// If the kernel does not make one of them.
    pub fn new(session: &str, mode: Mode) -> Result<Self, KernelInputError> {
        let surface = Surface { width: mode.width.clamp(1, LARGEST), height: mode.height.clamp(1, LARGEST) };
        Ok(Self {
            keyboard: Keyboard::new(session)?,
            mouse: Mouse::new(session)?,
            touchscreen: Touchscreen::new(session, surface)?,
            pen: Pen::new(session, surface)?,
        })
    }

    /// Applies an event of one of these devices; others mean nothing here.
    pub fn handle(&mut self, event: &InputEvent) {
        match event {
            InputEvent::Key(key) => self.keyboard.key(key),
            InputEvent::Text(text) => self.keyboard.text(text),
            InputEvent::MouseRelative(motion) => self.mouse.relative(motion),
            InputEvent::MouseAbsolute(position) => self.mouse.absolute(position),
            InputEvent::MouseButton(button) => self.mouse.button(button),
            InputEvent::Scroll(scroll) => self.mouse.scroll(scroll),
            InputEvent::Touch(touch) => self.touchscreen.touch(touch),
            InputEvent::Pen(pen) => self.pen.pen(pen),
            _ => {}
        }
    }

    /// Lets go of everything.
    pub fn release_all(&mut self) {
        self.keyboard.release();
        self.mouse.release();
        self.touchscreen.release();
        self.pen.release();
    }
}

/// What touchscreen and pen work on, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Surface {
    width: u32,
    height: u32,
}

/// Parts of a pixel that positions have: fingers and pens are finer than pixels.
const PARTS: u32 = 8;

/// Pixels of the largest display on a side: no display has more, and positions fit their type by far.
const LARGEST: u32 = 0x1_0000;

/// Units a millimetre of a display with 96 dots an inch. Tablets without a size are refused by libinput.
const RESOLUTION: i32 = 30;

impl Surface {
    /// The two axes of positions.
    fn axes(self, x: Axis, y: Axis) -> [(Axis, AbsInfo); 2] {
        let axis = |pixels: u32| AbsInfo::new(0, 0, largest(pixels), 0, 0, RESOLUTION);
        [(x, axis(self.width)), (y, axis(self.height))]
    }

    /// A position in units of the axes.
    fn place(self, x: Fraction, y: Fraction) -> [i32; 2] {
        let unit = |part: Fraction, pixels| (f64::from(part.get()) * f64::from(largest(pixels))).round() as i32;
        [unit(x, self.width), unit(y, self.height)]
    }
}

fn largest(pixels: u32) -> i32 {
    (pixels * PARTS - 1).cast_signed()
}

/// A part of an axis that begins at 0.
fn part(fraction: Fraction, maximum: i32) -> i32 {
    (fraction.get() * maximum as f32).round() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_are_the_ends_of_the_axes() {
        let surface = Surface { width: 1920, height: 1080 };
        assert_eq!(surface.place(Fraction::ZERO, Fraction::ONE), [0, 8639]);
        assert_eq!(surface.axes(Axis::ABS_X, Axis::ABS_Y)[0].1.maximum(), 15359);
    }
}
