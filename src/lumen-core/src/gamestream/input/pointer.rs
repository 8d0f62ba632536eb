//! Touch and pen packets (protocol part 3, section 3.3).

use super::InputError;
use super::number::{Fraction, bit_set};
use crate::reader::Reader;

/// What a finger or pen did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum PointerEvent {
    /// Near the surface; the pressure field is a distance (0). Sent unreliably.
    Hover,
    /// Contact starts (1).
    Down,
    /// Contact ends (2).
    Up,
    /// Contact moves; for an unknown pointer it counts as [`PointerEvent::Down`] (3). Sent unreliably.
    Move,
    /// The contact never was: end it without a tap (4).
    Cancel,
    /// Only the buttons of a pen changed (5).
    ButtonOnly,
    /// The tool left the surroundings of the surface (6).
    HoverLeave,
    /// End all contacts of the device (7).
    CancelAll,
}

/// The client's name for one contact, valid from its down to its up. Any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct PointerId(pub u32);

/// A direction in degrees, clockwise from the top, as sent: below 0xFFFF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Rotation(u16);

/// A pen's angle from the vertical in degrees, as sent: below 0xFF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Tilt(u8);

/// A finger on the video area.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TouchEvent {
    /// What happened.
    pub event: PointerEvent,
    /// Which contact.
    pub pointer: PointerId,
    /// From the left edge.
    pub x: Fraction,
    /// From the top edge.
    pub y: Fraction,
    /// Pressure in contact (0 is unknown), distance when hovering.
    pub pressure_or_distance: Fraction,
    /// Direction of the major axis, if known.
    pub rotation: Option<Rotation>,
    /// Major axis of the contact, as a part of the video area; 0 is unknown. See
    /// [`contact_area`](super::geometry::contact_area).
    pub contact_major: Fraction,
    /// Minor axis of the contact; 0 is as long as the major one.
    pub contact_minor: Fraction,
}

/// A pen on the video area.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct PenEvent {
    /// What happened. With [`PointerEvent::ButtonOnly`] only `tool` and `buttons` count.
    pub event: PointerEvent,
    /// Which end of the pen.
    pub tool: PenTool,
    /// Buttons that are held.
    pub buttons: PenButtons,
    /// From the left edge.
    pub x: Fraction,
    /// From the top edge.
    pub y: Fraction,
    /// Pressure in contact (0 is unknown), distance when hovering.
    pub pressure_or_distance: Fraction,
    /// Direction in which the pen leans, if known.
    pub rotation: Option<Rotation>,
    /// How far it leans, if known.
    pub tilt: Option<Tilt>,
    /// Major axis of the contact; 0 is unknown.
    pub contact_major: Fraction,
    /// Minor axis of the contact; 0 is as long as the major one.
    pub contact_minor: Fraction,
}

/// Which end of a pen is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum PenTool {
    /// The client does not know (0, and any number above 2).
    Unknown,
    /// The tip (1).
    Pen,
    /// The eraser (2).
    Eraser,
}

bit_set! {
    /// Buttons of a pen.
    PenButtons(u8) {
        /// The first barrel button.
        PRIMARY = 1, "primary";
        /// The second barrel button.
        SECONDARY = 2, "secondary";
        /// The third barrel button.
        TERTIARY = 4, "tertiary";
    }
}

impl PointerEvent {
    /// All events by number.
    pub const ALL: [Self; 8] = [
        Self::Hover,
        Self::Down,
        Self::Up,
        Self::Move,
        Self::Cancel,
        Self::ButtonOnly,
        Self::HoverLeave,
        Self::CancelAll,
    ];

    pub(super) fn from_number(number: u8) -> Result<Self, InputError> {
        Self::ALL.get(usize::from(number)).copied().ok_or(InputError::BadEvent(number))
    }

    pub(super) const fn number(self) -> u8 {
        self as u8
    }
}

impl Rotation {
    /// A direction; `None` for 0xFFFF, which means unknown on the wire.
    pub const fn from_wire(value: u16) -> Option<Self> {
        if value == u16::MAX { None } else { Some(Self(value)) }
    }

    /// Degrees, 0..=359.
    pub const fn degrees(self) -> u16 {
        self.0 % 360
    }

    /// The number as it was sent.
    pub const fn as_sent(self) -> u16 {
        self.0
    }

    fn to_wire(rotation: Option<Self>) -> u16 {
        rotation.map_or(u16::MAX, Self::as_sent)
    }
}

impl Tilt {
    /// An angle; `None` for 0xFF, which means unknown on the wire.
    pub const fn from_wire(value: u8) -> Option<Self> {
        if value == u8::MAX { None } else { Some(Self(value)) }
    }

    /// Degrees from the vertical, 0..=90.
    pub const fn degrees(self) -> u8 {
        if self.0 > 90 { 90 } else { self.0 }
    }

    /// The number as it was sent.
    pub const fn as_sent(self) -> u8 {
        self.0
    }
}

impl PenTool {
    const fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Pen,
            2 => Self::Eraser,
            _ => Self::Unknown,
        }
    }
}

impl TouchEvent {
    pub(super) fn read(body: &mut Reader<'_>) -> Result<Self, InputError> {
        let event = body.u8()?;
        let _reserved = body.u8()?;
        let rotation = Rotation::from_wire(body.u16_le()?);
        let pointer = PointerId(body.u32_le()?);
        let floats = [body.f32_le()?, body.f32_le()?, body.f32_le()?, body.f32_le()?, body.f32_le()?];
        let event = PointerEvent::from_number(event)?;
        let [x, y, pressure_or_distance, contact_major, contact_minor] = fractions(floats)?;
        Ok(Self { event, pointer, x, y, pressure_or_distance, rotation, contact_major, contact_minor })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.event.number(), 0]);
        out.extend_from_slice(&Rotation::to_wire(self.rotation).to_le_bytes());
        out.extend_from_slice(&self.pointer.0.to_le_bytes());
        for value in [self.x, self.y, self.pressure_or_distance, self.contact_major, self.contact_minor] {
            out.extend_from_slice(&value.as_sent().to_le_bytes());
        }
    }
}

impl PenEvent {
    pub(super) fn read(body: &mut Reader<'_>) -> Result<Self, InputError> {
        let event = body.u8()?;
        let tool = PenTool::from_number(body.u8()?);
        let buttons = PenButtons::from_bits(body.u8()?);
        let _reserved = body.u8()?;
        let position = [body.f32_le()?, body.f32_le()?, body.f32_le()?];
        let rotation = Rotation::from_wire(body.u16_le()?);
        let tilt = Tilt::from_wire(body.u8()?);
        let _reserved = body.u8()?;
        let axes = [body.f32_le()?, body.f32_le()?];
        let event = PointerEvent::from_number(event)?;
        let [x, y, pressure_or_distance] = fractions(position)?;
        let [contact_major, contact_minor] = fractions(axes)?;
        Ok(Self { event, tool, buttons, x, y, pressure_or_distance, rotation, tilt, contact_major, contact_minor })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.event.number(), self.tool as u8, self.buttons.bits(), 0]);
        for value in [self.x, self.y, self.pressure_or_distance] {
            out.extend_from_slice(&value.as_sent().to_le_bytes());
        }
        out.extend_from_slice(&Rotation::to_wire(self.rotation).to_le_bytes());
        out.extend_from_slice(&[self.tilt.map_or(u8::MAX, Tilt::as_sent), 0]);
        for value in [self.contact_major, self.contact_minor] {
            out.extend_from_slice(&value.as_sent().to_le_bytes());
        }
    }
}

/// All of `values` as fractions; refused if one is not finite.
pub(super) fn fractions<const N: usize>(values: [f32; N]) -> Result<[Fraction; N], InputError> {
    let mut fractions = [Fraction::ZERO; N];
    for (fraction, value) in fractions.iter_mut().zip(values) {
        *fraction = Fraction::try_from(value)?;
    }
    Ok(fractions)
}
