//! What the client of this display does: held keys and buttons, pointer, fingers, pen. Gamepads are in
//! [`pads`](super::pads). The card shows it, and the strip carries a digest of it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use lumen_core::gamestream::input::{
    InputEvent, MouseButton, PenButtons, PenEvent, PenTool, PointerEvent, PointerId, PressState, Rotation, ScrollAxis,
    Tilt, TouchEvent, VirtualKey,
};
use lumen_core::strip::event_digest;

use super::pads::Pads;

/// Fingers that the card follows at once; more are ignored.
const MAX_TOUCHES: usize = 16;

/// Keys that the card follows at once; more are ignored.
const MAX_KEYS: usize = 32;

/// Characters of text that the card remembers.
const MAX_TEXT: usize = 48;

/// How long a pointer's trail is remembered.
pub const TRAIL: Duration = Duration::from_millis(400);

/// Places that a trail has at most.
const MAX_TRAIL: usize = 32;

/// Everything that the client of one display did and does.
#[derive(Debug)]
pub struct Echo {
    /// Size of the display in pixels.
    size: (f32, f32),
    /// The pointer in pixels, once it was moved.
    pub pointer: Option<(f32, f32)>,
    /// Where the pointer was, oldest first.
    pub trail: VecDeque<((f32, f32), Instant)>,
    /// Mouse buttons held, in order of [`MouseButton::ALL`].
    pub buttons: [bool; 5],
    /// Sum of vertical and horizontal wheel motion; 120 is one notch.
    pub scroll: (i64, i64),
    /// Keys held, in the order of their presses.
    pub keys: Vec<VirtualKey>,
    /// The end of what was typed as text.
    pub text: String,
    /// Fingers on the display.
    pub touches: Vec<Touch>,
    /// The pen, while it is near the display.
    pub pen: Option<Pen>,
    /// The gamepads.
    pub pads: Pads,
    /// Events so far, modulo 65 536.
    pub events: u16,
    /// Sum of their digests.
    pub digest: u32,
    /// When the last one came.
    pub last_event: Option<Instant>,
    /// Grows with every change to what is shown of keyboard, mouse, touch and pen.
    pub version: u64,
}

/// A finger on the display.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Touch {
    /// The client's name for it.
    pub id: PointerId,
    /// Pixels from the left and from the top.
    pub at: (f32, f32),
    /// Pressure, 0.0..=1.0; 0 is unknown.
    pub pressure: f32,
    /// Whether it touches or hovers.
    pub contact: Contact,
}

/// Whether a finger or pen touches the display.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contact {
    /// It does.
    Touching,
    /// It is near.
    Hovering,
}

/// The pen near the display.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pen {
    /// Pixels from the left and from the top.
    pub at: (f32, f32),
    /// Pressure or, when hovering, distance, 0.0..=1.0.
    pub pressure: f32,
    /// Whether it touches or hovers.
    pub contact: Contact,
    /// Which end.
    pub tool: PenTool,
    /// Buttons held.
    pub buttons: PenButtons,
    /// How far it leans.
    pub tilt: Option<Tilt>,
    /// Where it leans to.
    pub rotation: Option<Rotation>,
}

impl Echo {
    /// Nothing was done yet on a display of `width` by `height` pixels.
    pub fn new(width: u32, height: u32) -> Self {
        Self {
            size: (width as f32, height as f32),
            pointer: None,
            trail: VecDeque::with_capacity(MAX_TRAIL),
            buttons: [false; 5],
            scroll: (0, 0),
            keys: Vec::new(),
            text: String::new(),
            touches: Vec::new(),
            pen: None,
            pads: Pads::default(),
            events: 0,
            digest: 0,
            last_event: None,
            version: 0,
        }
    }

    /// The display has another size now: the pointer keeps its place in the picture.
    pub fn resize(&mut self, width: u32, height: u32) {
        let size = (width as f32, height as f32);
        let (x, y) = (size.0 / self.size.0, size.1 / self.size.1);
        self.pointer = self.pointer.map(|at| (at.0 * x, at.1 * y));
        self.size = size;
        self.trail.clear();
        self.touches.clear();
        self.pen = None;
        self.version += 1;
    }

    /// Applies what the client did at `now`.
    pub fn apply(&mut self, event: &InputEvent, now: Instant) {
        self.events = self.events.wrapping_add(1);
        self.digest = self.digest.wrapping_add(event_digest(event));
        self.last_event = Some(now);
        self.version += 1;
        match event {
            InputEvent::HapticsEnable(_) => {}
            InputEvent::Key(key) if key.is_ignored() => {}
            InputEvent::Key(key) => self.key(key.virtual_key(), key.state),
            InputEvent::Text(text) => self.type_text(text.delivered()),
            InputEvent::MouseRelative(motion) => {
                let (x, y) = self.pointer.unwrap_or((self.size.0 / 2.0, self.size.1 / 2.0));
                self.point_to((x + f32::from(motion.dx), y + f32::from(motion.dy)), now);
            }
            InputEvent::MouseAbsolute(position) => {
                let [x, y] = position.normalised();
                let (width, height) = (f64::from(self.size.0) - 1.0, f64::from(self.size.1) - 1.0);
                self.point_to(((x * width) as f32, (y * height) as f32), now);
            }
            InputEvent::MouseButton(button) => {
                if let Some(index) = MouseButton::ALL.iter().position(|known| *known == button.button) {
                    self.buttons[index] = button.state == PressState::Down;
                }
            }
            InputEvent::Scroll(scroll) => match scroll.axis {
                ScrollAxis::Vertical => self.scroll.0 += i64::from(scroll.amount),
                ScrollAxis::Horizontal => self.scroll.1 += i64::from(scroll.amount),
            },
            InputEvent::Touch(touch) => self.touch(touch),
            InputEvent::Pen(pen) => self.pen(pen),
            InputEvent::Controller(state) => self.pads.state(state),
            InputEvent::ControllerArrival(arrival) => self.pads.arrive(arrival),
            InputEvent::ControllerTouch(touch) => self.pads.touch(touch),
            InputEvent::ControllerMotion(motion) => self.pads.motion(motion),
            InputEvent::ControllerBattery(battery) => self.pads.battery(battery),
        }
    }

    /// Lets go of everything that is held. What was counted and typed stays.
    pub fn release_all(&mut self) {
        self.buttons = [false; 5];
        self.keys.clear();
        self.touches.clear();
        self.pen = None;
        self.pads.release_all();
        self.version += 1;
    }

    /// The pointer as whole pixels within the display.
    pub fn pointer_pixel(&self) -> Option<(u16, u16)> {
        self.pointer.map(|(x, y)| (x.round() as u16, y.round() as u16))
    }

    fn point_to(&mut self, to: (f32, f32), now: Instant) {
        if let Some(from) = self.pointer {
            self.trail.push_back((from, now));
            let expired = |at: Instant| now.saturating_duration_since(at) > TRAIL;
            while self.trail.len() > MAX_TRAIL || self.trail.front().is_some_and(|(_, at)| expired(*at)) {
                self.trail.pop_front();
            }
        }
        self.pointer = Some((to.0.clamp(0.0, self.size.0 - 1.0), to.1.clamp(0.0, self.size.1 - 1.0)));
    }

    fn key(&mut self, key: VirtualKey, state: PressState) {
        self.keys.retain(|held| *held != key);
        if state == PressState::Down && self.keys.len() < MAX_KEYS {
            self.keys.push(key);
        }
    }

    fn type_text(&mut self, characters: impl Iterator<Item = char>) {
        // Line ends and tabs have no width of their own on the card.
        self.text.extend(characters.map(|character| if character < ' ' { ' ' } else { character }));
        let surplus = self.text.chars().count().saturating_sub(MAX_TEXT);
        if let Some((start, _)) = self.text.char_indices().nth(surplus) {
            self.text.drain(..start);
        }
    }

    fn touch(&mut self, event: &TouchEvent) {
        let contact = match event.event {
            PointerEvent::Hover => Contact::Hovering,
            PointerEvent::Down | PointerEvent::Move => Contact::Touching,
            PointerEvent::Up | PointerEvent::Cancel | PointerEvent::HoverLeave => {
                return self.touches.retain(|touch| touch.id != event.pointer);
            }
            PointerEvent::CancelAll => return self.touches.clear(),
            PointerEvent::ButtonOnly => return,
        };
        let at = (event.x.get() * self.size.0, event.y.get() * self.size.1);
        let touch = Touch { id: event.pointer, at, pressure: event.pressure_or_distance.get(), contact };
        match self.touches.iter().position(|touch| touch.id == event.pointer) {
            Some(known) => self.touches[known] = touch,
            None if self.touches.len() < MAX_TOUCHES => self.touches.push(touch),
            None => {}
        }
    }

    fn pen(&mut self, event: &PenEvent) {
        let contact = match event.event {
            PointerEvent::Hover | PointerEvent::Up => Contact::Hovering,
            PointerEvent::Down | PointerEvent::Move => Contact::Touching,
            PointerEvent::Cancel | PointerEvent::HoverLeave | PointerEvent::CancelAll => {
                self.pen = None;
                return;
            }
            PointerEvent::ButtonOnly => {
                if let Some(pen) = &mut self.pen {
                    (pen.tool, pen.buttons) = (event.tool, event.buttons);
                }
                return;
            }
        };
        self.pen = Some(Pen {
            at: (event.x.get() * self.size.0, event.y.get() * self.size.1),
            pressure: event.pressure_or_distance.get(),
            contact,
            tool: event.tool,
            buttons: event.buttons,
            tilt: event.tilt,
            rotation: event.rotation,
        });
    }
}

/// What is printed on a key: its character, or a short name.
pub fn key_name(key: VirtualKey) -> String {
    let name = match key.0 {
        code @ (b'0'..=b'9' | b'A'..=b'Z') => return char::from(code).to_string(),
        code @ 0x60..=0x69 => return format!("Num {}", code - 0x60),
        code @ 0x70..=0x87 => return format!("F{}", code - 0x6F),
        0x08 => "Backspace",
        0x09 => "Tab",
        0x0D => "Enter",
        0x10 | 0xA0 => "Shift",
        0xA1 => "Right Shift",
        0x11 | 0xA2 => "Ctrl",
        0xA3 => "Right Ctrl",
        0x12 | 0xA4 => "Alt",
        0xA5 => "Right Alt",
        0x13 => "Pause",
        0x14 => "Caps",
        0x1B => "Esc",
        0x20 => "Space",
        0x21 => "Page Up",
        0x22 => "Page Down",
        0x23 => "End",
        0x24 => "Home",
        0x25 => "Left",
        0x26 => "Up",
        0x27 => "Right",
        0x28 => "Down",
        0x2C => "Print",
        0x2D => "Insert",
        0x2E => "Delete",
        0x5B => "Super",
        0x5C => "Right Super",
        0x5D => "Menu",
        0x6A => "Num *",
        0x6B => "Num +",
        0x6D => "Num -",
        0x6E => "Num .",
        0x6F => "Num /",
        0x90 => "Num Lock",
        0x91 => "Scroll Lock",
        0xBA => ";",
        0xBB => "=",
        0xBC => ",",
        0xBD => "-",
        0xBE => ".",
        0xBF => "/",
        0xC0 => "`",
        0xDB => "[",
        0xDC => "\\",
        0xDD => "]",
        0xDE => "'",
        0xE2 => "<",
        code => return format!("Key {code:02X}"),
    };
    name.to_owned()
}
