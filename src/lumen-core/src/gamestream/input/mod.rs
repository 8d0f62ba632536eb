//! Input packets: what a client does with keyboard, mouse, touch, pen and game controllers (protocol part 3,
//! section 3). One packet is the payload of control message 0x0206, decrypted; it parses into one [`InputEvent`]
//! and encodes back. Numbers keep the value that was sent; their getters return the value after the rules of
//! section 3.3 (clamped to their range), and floats that are not finite never get in.
//!
//! This module never injects anything: the host's input backends do, and the geometry they share
//! ([`geometry`], [`dualsense`]) is here as pure functions.

pub mod controller;
pub mod dualsense;
pub mod geometry;
pub mod keyboard;
pub mod keys;
pub mod mouse;
pub mod number;
pub mod pointer;
pub mod text;

pub use controller::{
    BatteryState, Buttons, Capabilities, ChargePercent, ControllerArrival, ControllerBattery, ControllerIndex,
    ControllerKind, ControllerMask, ControllerMotion, ControllerState, ControllerTouch, MotionKind, Stick,
    TouchpadIndex,
};
pub use keyboard::{EvdevKey, KeyCode, KeyEvent, KeyOrigin, Modifiers, VirtualKey};
pub use mouse::{AbsolutePosition, MouseButton, MouseButtonEvent, ReferenceExtent, RelativeMotion, Scroll, ScrollAxis};
pub use number::{Fraction, NotFinite, OutOfRange, PressState};
pub use pointer::{PenButtons, PenEvent, PenTool, PointerEvent, PointerId, Rotation, Tilt, TouchEvent};
pub use text::Text;

use crate::reader::{Reader, Short};

/// One thing that a client did.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum InputEvent {
    /// The client can play rumble (magic 0x0D). The first input packet of a session; hosts may ignore it.
    HapticsEnable(HapticsEnable),
    /// A key went down or up (magics 0x03, 0x04).
    Key(KeyEvent),
    /// Text from an on-screen keyboard or input method (magic 0x17).
    Text(Text),
    /// The mouse moved by some counts (magic 0x07).
    MouseRelative(RelativeMotion),
    /// The pointer is at a position of the video area (magic 0x05).
    MouseAbsolute(AbsolutePosition),
    /// A mouse button went down or up (magics 0x08, 0x09).
    MouseButton(MouseButtonEvent),
    /// A wheel turned (magics 0x0A and 0x55000001).
    Scroll(Scroll),
    /// A finger on the video area (magic 0x55000002).
    Touch(TouchEvent),
    /// A pen on the video area (magic 0x55000003).
    Pen(PenEvent),
    /// The whole state of one controller, and which controllers exist (magic 0x0C).
    Controller(ControllerState),
    /// A controller was plugged in at the client (magic 0x55000004).
    ControllerArrival(ControllerArrival),
    /// A finger on a controller's touchpad (magic 0x55000005).
    ControllerTouch(ControllerTouch),
    /// A sample of a controller's accelerometer or gyroscope (magic 0x55000006).
    ControllerMotion(ControllerMotion),
    /// Charge of a controller's battery (magic 0x55000007).
    ControllerBattery(ControllerBattery),
}

/// The value of an "enable haptics" packet; stock clients send 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct HapticsEnable(pub u16);

/// Why a payload is not an input packet. Every one of them drops the packet and keeps the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// Below 8 bytes, or below the fixed body of its magic.
    #[error("input packet is cut short")]
    Truncated,
    /// The size field does not say how many bytes follow it.
    #[error("input packet says {said} bytes follow its size field, {present} do")]
    SizeMismatch {
        /// Value of the size field.
        said: u32,
        /// Bytes after the size field.
        present: usize,
    },
    /// No packet type of generation 5 or later.
    #[error("unknown input packet type {0:#x}")]
    UnknownMagic(u32),
    /// Text of more than [`Text::MAX_BYTES`] bytes.
    #[error("input text has {0} bytes, more than {max}", max = Text::MAX_BYTES)]
    TooLong(usize),
    /// Text that is not UTF-8.
    #[error("input text is not UTF-8")]
    BadText,
    /// A reference extent of an absolute position that is not positive.
    #[error("absolute pointer position has reference extent {0}")]
    BadReference(i16),
    /// A mouse button outside 1..=5.
    #[error("unknown mouse button {0}")]
    BadButton(u8),
    /// A controller number above 15.
    #[error("controller number {0} is above 15")]
    BadController(u16),
    /// A pointer event above 7.
    #[error("unknown pointer event {0}")]
    BadEvent(u8),
    /// A motion sensor that is neither accelerometer nor gyroscope.
    #[error("unknown motion sensor {0}")]
    BadMotionType(u8),
    /// A float that is NaN or infinite.
    #[error("input packet has a number that is not finite")]
    NotFinite,
}

impl From<Short> for InputError {
    fn from(Short: Short) -> Self {
        Self::Truncated
    }
}

impl From<NotFinite> for InputError {
    fn from(NotFinite: NotFinite) -> Self {
        Self::NotFinite
    }
}

/// Packet types (u32 little endian at offset 4), generation 5 and later.
pub mod magic {
    /// Key down.
    pub const KEY_DOWN: u32 = 0x03;
    /// Key up.
    pub const KEY_UP: u32 = 0x04;
    /// Absolute pointer position.
    pub const MOUSE_ABSOLUTE: u32 = 0x05;
    /// Relative mouse motion.
    pub const MOUSE_RELATIVE: u32 = 0x07;
    /// Mouse button down.
    pub const BUTTON_DOWN: u32 = 0x08;
    /// Mouse button up.
    pub const BUTTON_UP: u32 = 0x09;
    /// Vertical scroll.
    pub const SCROLL: u32 = 0x0A;
    /// State of one controller.
    pub const CONTROLLER: u32 = 0x0C;
    /// Haptics enable.
    pub const HAPTICS_ENABLE: u32 = 0x0D;
    /// UTF-8 text.
    pub const TEXT: u32 = 0x17;
    /// Horizontal scroll.
    pub const HORIZONTAL_SCROLL: u32 = 0x5500_0001;
    /// Touch.
    pub const TOUCH: u32 = 0x5500_0002;
    /// Pen.
    pub const PEN: u32 = 0x5500_0003;
    /// Controller arrival.
    pub const CONTROLLER_ARRIVAL: u32 = 0x5500_0004;
    /// Controller touchpad.
    pub const CONTROLLER_TOUCH: u32 = 0x5500_0005;
    /// Controller motion sensor.
    pub const CONTROLLER_MOTION: u32 = 0x5500_0006;
    /// Controller battery.
    pub const CONTROLLER_BATTERY: u32 = 0x5500_0007;
}

impl InputEvent {
    /// Parses the payload of an input message: `u32` BE size, `u32` LE magic, body (section 3.1). Bodies may be
    /// longer than their magic needs, except text.
    ///
    /// # Errors
    /// Tests in this order: 8 bytes, size field, magic, then the body.
    pub fn parse(payload: &[u8]) -> Result<Self, InputError> {
        let mut header = Reader::new(payload);
        let said = header.u32_be()?;
        let magic = header.u32_le()?;
        let present = payload.len() - 4;
        if u64::from(said) != present as u64 {
            return Err(InputError::SizeMismatch { said, present });
        }
        let body = &mut Reader::new(&payload[8..]);
        Ok(match magic {
            magic::KEY_DOWN => Self::Key(KeyEvent::read(PressState::Down, body)?),
            magic::KEY_UP => Self::Key(KeyEvent::read(PressState::Up, body)?),
            magic::MOUSE_ABSOLUTE => Self::MouseAbsolute(AbsolutePosition::read(body)?),
            magic::MOUSE_RELATIVE => Self::MouseRelative(RelativeMotion::read(body)?),
            magic::BUTTON_DOWN => Self::MouseButton(MouseButtonEvent::read(PressState::Down, body)?),
            magic::BUTTON_UP => Self::MouseButton(MouseButtonEvent::read(PressState::Up, body)?),
            magic::SCROLL => Self::Scroll(Scroll::read(ScrollAxis::Vertical, body)?),
            magic::HORIZONTAL_SCROLL => Self::Scroll(Scroll::read(ScrollAxis::Horizontal, body)?),
            magic::CONTROLLER => Self::Controller(ControllerState::read(body)?),
            magic::HAPTICS_ENABLE => Self::HapticsEnable(HapticsEnable(body.u16_le()?)),
            magic::TEXT => Self::Text(Text::read(body)?),
            magic::TOUCH => Self::Touch(TouchEvent::read(body)?),
            magic::PEN => Self::Pen(PenEvent::read(body)?),
            magic::CONTROLLER_ARRIVAL => Self::ControllerArrival(ControllerArrival::read(body)?),
            magic::CONTROLLER_TOUCH => Self::ControllerTouch(ControllerTouch::read(body)?),
            magic::CONTROLLER_MOTION => Self::ControllerMotion(ControllerMotion::read(body)?),
            magic::CONTROLLER_BATTERY => Self::ControllerBattery(ControllerBattery::read(body)?),
            unknown => return Err(InputError::UnknownMagic(unknown)),
        })
    }

    /// The packet as a stock client sends it: the inverse of [`InputEvent::parse`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut packet = Vec::with_capacity(40);
        self.write(&mut packet);
        packet
    }

    /// Appends the packet to `out`; see [`InputEvent::to_bytes`].
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.magic().to_le_bytes());
        match self {
            Self::HapticsEnable(haptics) => out.extend_from_slice(&haptics.0.to_le_bytes()),
            Self::Key(key) => key.write(out),
            Self::Text(text) => out.extend_from_slice(text.as_str().as_bytes()),
            Self::MouseRelative(motion) => motion.write(out),
            Self::MouseAbsolute(position) => position.write(out),
            Self::MouseButton(event) => out.push(event.button.number()),
            Self::Scroll(scroll) => scroll.write(out),
            Self::Touch(touch) => touch.write(out),
            Self::Pen(pen) => pen.write(out),
            Self::Controller(state) => state.write(out),
            Self::ControllerArrival(arrival) => arrival.write(out),
            Self::ControllerTouch(touch) => touch.write(out),
            Self::ControllerMotion(motion) => motion.write(out),
            Self::ControllerBattery(battery) => battery.write(out),
        }
        // The longest packet has 40 bytes, so its length fits.
        let size = (out.len() - start - 4) as u32;
        out[start..start + 4].copy_from_slice(&size.to_be_bytes());
    }

    /// Whether a game controller did it, or is what it is about.
    pub const fn is_of_controller(&self) -> bool {
        matches!(
            self,
            Self::Controller(_)
                | Self::ControllerArrival(_)
                | Self::ControllerTouch(_)
                | Self::ControllerMotion(_)
                | Self::ControllerBattery(_)
        )
    }

    /// The packet type (section 3.2), one of [`magic`].
    pub const fn magic(&self) -> u32 {
        match self {
            Self::HapticsEnable(_) => magic::HAPTICS_ENABLE,
            Self::Key(KeyEvent { state: PressState::Down, .. }) => magic::KEY_DOWN,
            Self::Key(KeyEvent { state: PressState::Up, .. }) => magic::KEY_UP,
            Self::Text(_) => magic::TEXT,
            Self::MouseRelative(_) => magic::MOUSE_RELATIVE,
            Self::MouseAbsolute(_) => magic::MOUSE_ABSOLUTE,
            Self::MouseButton(MouseButtonEvent { state: PressState::Down, .. }) => magic::BUTTON_DOWN,
            Self::MouseButton(MouseButtonEvent { state: PressState::Up, .. }) => magic::BUTTON_UP,
            Self::Scroll(Scroll { axis: ScrollAxis::Vertical, .. }) => magic::SCROLL,
            Self::Scroll(Scroll { axis: ScrollAxis::Horizontal, .. }) => magic::HORIZONTAL_SCROLL,
            Self::Touch(_) => magic::TOUCH,
            Self::Pen(_) => magic::PEN,
            Self::Controller(_) => magic::CONTROLLER,
            Self::ControllerArrival(_) => magic::CONTROLLER_ARRIVAL,
            Self::ControllerTouch(_) => magic::CONTROLLER_TOUCH,
            Self::ControllerMotion(_) => magic::CONTROLLER_MOTION,
            Self::ControllerBattery(_) => magic::CONTROLLER_BATTERY,
        }
    }
}
