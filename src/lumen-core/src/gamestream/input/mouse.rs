//! Mouse packets: relative motion, absolute position, buttons, wheels (protocol part 3, section 3.3).

use super::InputError;
use super::number::{OutOfRange, PressState};
use crate::reader::{Reader, Short};

/// Relative motion in device counts, already accelerated by the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct RelativeMotion {
    /// To the right.
    pub dx: i16,
    /// Downwards.
    pub dy: i16,
}

/// A position on the video area, in pixels of a reference that is one smaller than the client's picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct AbsolutePosition {
    /// Pixels from the left edge, as sent.
    pub x: i16,
    /// Pixels from the top edge, as sent.
    pub y: i16,
    /// Largest x.
    pub reference_width: ReferenceExtent,
    /// Largest y.
    pub reference_height: ReferenceExtent,
}

/// The largest coordinate of an absolute position: 1..=32767.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "i16", into = "i16")]
pub struct ReferenceExtent(i16);

/// A mouse button went down or up. A press of a held button and a release of a free one mean nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct MouseButtonEvent {
    /// Down or up.
    pub state: PressState,
    /// Which button.
    pub button: MouseButton,
}

/// The five mouse buttons that the protocol knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum MouseButton {
    /// Primary (1).
    Left,
    /// Wheel (2).
    Middle,
    /// Secondary (3).
    Right,
    /// Back (4).
    X1,
    /// Forward (5).
    X2,
}

/// A wheel turned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Scroll {
    /// Which wheel.
    pub axis: ScrollAxis,
    /// 120 is one notch; positive is up (away from the user) or right. Smaller values are high resolution.
    pub amount: i16,
}

/// Direction of a wheel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum ScrollAxis {
    /// Up and down.
    Vertical,
    /// Left and right; an extension that stock clients use with Sunshine-like hosts.
    Horizontal,
}

impl RelativeMotion {
    pub(super) fn read(body: &mut Reader<'_>) -> Result<Self, Short> {
        Ok(Self { dx: body.i16_be()?, dy: body.i16_be()? })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.dx.to_be_bytes());
        out.extend_from_slice(&self.dy.to_be_bytes());
    }
}

impl AbsolutePosition {
    /// The position as parts of the video area, each clamped to 0..=1.
    pub fn normalised(self) -> [f64; 2] {
        [
            (f64::from(self.x) / f64::from(self.reference_width.0)).clamp(0.0, 1.0),
            (f64::from(self.y) / f64::from(self.reference_height.0)).clamp(0.0, 1.0),
        ]
    }

    pub(super) fn read(body: &mut Reader<'_>) -> Result<Self, InputError> {
        let [x, y, _reserved, width, height] =
            [body.i16_be()?, body.i16_be()?, body.i16_be()?, body.i16_be()?, body.i16_be()?];
        let extent = |value| ReferenceExtent::try_from(value).map_err(|OutOfRange| InputError::BadReference(value));
        Ok(Self { x, y, reference_width: extent(width)?, reference_height: extent(height)? })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for field in [self.x, self.y, 0, self.reference_width.0, self.reference_height.0] {
            out.extend_from_slice(&field.to_be_bytes());
        }
    }
}

impl ReferenceExtent {
    /// The largest coordinate.
    pub const fn get(self) -> i16 {
        self.0
    }
}

impl TryFrom<i16> for ReferenceExtent {
    type Error = OutOfRange;

    fn try_from(value: i16) -> Result<Self, OutOfRange> {
        if value > 0 { Ok(Self(value)) } else { Err(OutOfRange) }
    }
}

impl From<ReferenceExtent> for i16 {
    fn from(extent: ReferenceExtent) -> Self {
        extent.0
    }
}

impl MouseButton {
    /// All buttons by number.
    pub const ALL: [Self; 5] = [Self::Left, Self::Middle, Self::Right, Self::X1, Self::X2];

    /// The number on the wire, 1..=5.
    pub const fn number(self) -> u8 {
        match self {
            Self::Left => 1,
            Self::Middle => 2,
            Self::Right => 3,
            Self::X1 => 4,
            Self::X2 => 5,
        }
    }

    /// The button of a number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|button| button.number() == number)
    }

    /// Name and number of the Linux button code, `BTN_*` of `input-event-codes.h`.
    pub const fn evdev(self) -> (&'static str, u16) {
        match self {
            Self::Left => ("BTN_LEFT", 0x110),
            Self::Right => ("BTN_RIGHT", 0x111),
            Self::Middle => ("BTN_MIDDLE", 0x112),
            Self::X1 => ("BTN_SIDE", 0x113),
            Self::X2 => ("BTN_EXTRA", 0x114),
        }
    }
}

impl MouseButtonEvent {
    pub(super) fn read(state: PressState, body: &mut Reader<'_>) -> Result<Self, InputError> {
        let number = body.u8()?;
        let button = MouseButton::from_number(number).ok_or(InputError::BadButton(number))?;
        Ok(Self { state, button })
    }
}

impl Scroll {
    pub(super) fn read(axis: ScrollAxis, body: &mut Reader<'_>) -> Result<Self, Short> {
        let amount = body.i16_be()?;
        if axis == ScrollAxis::Vertical {
            let _copy_and_reserved: [u8; 4] = body.array()?;
        }
        Ok(Self { axis, amount })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.amount.to_be_bytes());
        if self.axis == ScrollAxis::Vertical {
            out.extend_from_slice(&self.amount.to_be_bytes());
            out.extend_from_slice(&[0; 2]);
        }
    }
}
