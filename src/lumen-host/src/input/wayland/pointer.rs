//! The pointer: motion, buttons and wheels, and fingers and pens that act as one.

use lumen_core::gamestream::input::{
    AbsolutePosition, Fraction, MouseButton, MouseButtonEvent, PenButtons, PenEvent, PointerEvent, PointerId,
    PressState, RelativeMotion, Scroll, ScrollAxis, TouchEvent,
};
use wayland_client::protocol::wl_pointer::{Axis, AxisSource, ButtonState};
use wayland_protocols_wlr::virtual_pointer::v1::client::zwlr_virtual_pointer_v1::ZwlrVirtualPointerV1;

use crate::frame::Mode;

/// Absolute positions are sent in parts of a pixel, so that each lands where the client meant it.
const PARTS: u32 = 64;
/// Amount of a scroll packet that is one notch of a wheel.
const NOTCH: i32 = 120;
/// Length of one notch as libinput has it.
const NOTCH_LENGTH: f64 = 15.0;

/// A virtual pointer with its state.
#[derive(Debug)]
pub struct Pointer {
    device: ZwlrVirtualPointerV1,
    mode: Mode,
    held: Vec<MouseButton>,
    /// Amounts that are no whole notch yet, by axis.
    rest: [i32; 2],
    /// The finger that acts as the pointer.
    finger: Option<PointerId>,
    /// Where it is, if it was placed there and not moved since.
    at: Option<[f64; 2]>,
}

impl Pointer {
    /// A pointer on an output that shows `mode`.
    pub fn new(device: ZwlrVirtualPointerV1, mode: Mode) -> Self {
        Self { device, mode, held: Vec::new(), rest: [0; 2], finger: None, at: None }
    }

    /// What the output shows.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The output shows another mode now.
    pub fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
    }

    /// Moves to the middle of the output.
    pub fn enter(&mut self, now: u32) {
        self.place(now, [0.5; 2]);
        self.device.frame();
    }

    /// The mouse moved.
    pub fn relative(&mut self, now: u32, motion: RelativeMotion) {
        self.at = None;
        self.device.motion(now, motion.dx.into(), motion.dy.into());
        self.device.frame();
    }

    /// The mouse is at a position.
    pub fn absolute(&mut self, now: u32, position: AbsolutePosition) {
        let place = position.normalised();
        self.place(now, place);
        self.at = Some(place);
        self.device.frame();
    }

    /// Goes back to where it was placed, in case that the compositor has led it away since.
    pub fn stay(&mut self, now: u32) {
        if let Some(place) = self.at {
            self.place(now, place);
            self.device.frame();
        }
    }

    /// A button went down or up.
    pub fn button(&mut self, now: u32, event: MouseButtonEvent) {
        self.set(now, event.button, event.state);
    }

    /// A wheel turned.
    pub fn scroll(&mut self, now: u32, scroll: Scroll) {
        // Clients count upwards, Wayland downwards.
        let (axis, rest, amount) = match scroll.axis {
            ScrollAxis::Vertical => (Axis::VerticalScroll, &mut self.rest[0], -i32::from(scroll.amount)),
            ScrollAxis::Horizontal => (Axis::HorizontalScroll, &mut self.rest[1], i32::from(scroll.amount)),
        };
        if amount == 0 {
            return;
        }
        // A turn to the other side begins anew.
        if rest.signum() * amount.signum() < 0 {
            *rest = 0;
        }
        *rest += amount;
        let notches = *rest / NOTCH;
        *rest %= NOTCH;
        let length = f64::from(amount) * NOTCH_LENGTH / f64::from(NOTCH);
        self.device.axis_source(AxisSource::Wheel);
        if notches == 0 {
            self.device.axis(now, axis, length);
        } else {
            self.device.axis_discrete(now, axis, length, notches);
        }
        self.device.frame();
    }

    /// A finger touched, moved or left.
    pub fn touch(&mut self, now: u32, touch: &TouchEvent) {
        match touch.event {
            PointerEvent::Down | PointerEvent::Move if self.finger.is_none_or(|finger| finger == touch.pointer) => {
                self.place(now, fractions(touch.x, touch.y));
                self.device.frame();
                if self.finger.replace(touch.pointer).is_none() {
                    self.set(now, MouseButton::Left, PressState::Down);
                }
            }
            PointerEvent::Hover if self.finger.is_none() => {
                self.place(now, fractions(touch.x, touch.y));
                self.device.frame();
            }
            PointerEvent::Up if self.finger == Some(touch.pointer) => {
                self.place(now, fractions(touch.x, touch.y));
                self.device.frame();
                self.end_touch(now, touch);
            }
            _ => self.end_touch(now, touch),
        }
    }

    /// A finger left, as far as `touch` says so.
    pub fn end_touch(&mut self, now: u32, touch: &TouchEvent) {
        let ends = match touch.event {
            PointerEvent::Up | PointerEvent::Cancel | PointerEvent::HoverLeave => self.finger == Some(touch.pointer),
            PointerEvent::CancelAll => self.finger.is_some(),
            _ => false,
        };
        if ends {
            self.finger = None;
            self.set(now, MouseButton::Left, PressState::Up);
        }
    }

    /// A pen did something.
    pub fn pen(&mut self, now: u32, pen: &PenEvent) {
        if pen.event == PointerEvent::CancelAll {
            self.end_pen(now);
            return;
        }
        if pen.event != PointerEvent::ButtonOnly {
            self.place(now, fractions(pen.x, pen.y));
            self.device.frame();
        }
        let state = |pressed| if pressed { PressState::Down } else { PressState::Up };
        self.set(now, MouseButton::Right, state(pen.buttons.contains(PenButtons::PRIMARY)));
        match pen.event {
            PointerEvent::Down | PointerEvent::Move => self.set(now, MouseButton::Left, PressState::Down),
            PointerEvent::ButtonOnly => {}
            _ => self.set(now, MouseButton::Left, PressState::Up),
        }
    }

    /// The pen left.
    pub fn end_pen(&mut self, now: u32) {
        self.set(now, MouseButton::Left, PressState::Up);
        self.set(now, MouseButton::Right, PressState::Up);
    }

    /// Releases every held button.
    pub fn release_all(&mut self, now: u32) {
        self.finger = None;
        self.rest = [0; 2];
        while let Some(button) = self.held.last().copied() {
            self.set(now, button, PressState::Up);
        }
    }

    fn set(&mut self, now: u32, button: MouseButton, state: PressState) {
        let held = self.held.iter().position(|held| *held == button);
        let state = match (state, held) {
            (PressState::Down, None) => {
                self.held.push(button);
                ButtonState::Pressed
            }
            (PressState::Up, Some(place)) => {
                self.held.remove(place);
                ButtonState::Released
            }
            _ => return,
        };
        let (_, code) = button.evdev();
        self.device.button(now, code.into(), state);
        self.device.frame();
    }

    /// Moves to parts of the picture, of which 1 is the last pixel.
    fn place(&self, now: u32, [x, y]: [f64; 2]) {
        let part = |place: f64, extent: u32| (place * f64::from((extent - 1) * PARTS)).round() as u32;
        let (width, height) = (self.mode.width.max(1), self.mode.height.max(1));
        self.device.motion_absolute(now, part(x, width), part(y, height), width * PARTS, height * PARTS);
    }
}

fn fractions(x: Fraction, y: Fraction) -> [f64; 2] {
    [x, y].map(|part| part.get().into())
}
