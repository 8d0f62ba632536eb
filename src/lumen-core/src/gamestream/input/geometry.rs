//! Geometry that input backends share (protocol part 3, sections 3.3 and 4.3): what a touch or pen packet means
//! in pixels and in the axes of Linux devices.

use super::pointer::{Rotation, Tilt, TouchEvent};

/// Axes of a contact in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ContactArea {
    /// Length of the major axis.
    pub major: f64,
    /// Length of the minor axis.
    pub minor: f64,
}

/// How far a pen leans, in degrees, -90..=90 on each axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PenTilt {
    /// To the right.
    pub x: f64,
    /// Towards the user.
    pub y: f64,
}

/// Axes of a contact on a picture of `width` × `height` pixels. The axes are parts of the picture, so their
/// lengths depend on their direction; an unknown direction counts as the diagonal, and a minor axis of 0 is as
/// long as the major one.
pub fn contact_area(major: f64, minor: f64, rotation: Option<Rotation>, width: f64, height: f64) -> ContactArea {
    let scaled = |length: f64, degrees: f64| {
        let (sine, cosine) = degrees.to_radians().sin_cos();
        (length * cosine * width).hypot(length * sine * height)
    };
    let minor = if minor == 0.0 { major } else { minor };
    let (along, across) = rotation.map_or((45.0, 45.0), |rotation| {
        let degrees = f64::from(rotation.degrees());
        (degrees, degrees + 90.0)
    });
    ContactArea { major: scaled(major, along), minor: scaled(minor, across) }
}

impl TouchEvent {
    /// [`contact_area`] of this contact, with axes clamped to the picture.
    pub fn contact_area(&self, width: f64, height: f64) -> ContactArea {
        let [major, minor] = [self.contact_major, self.contact_minor].map(|axis| f64::from(axis.get()));
        contact_area(major, minor, self.rotation, width, height)
    }
}

/// A direction as the orientation of a touchscreen contact, in degrees, -90..=90. A contact has no front, so
/// opposite directions are the same.
pub fn touch_orientation(rotation: Rotation) -> i16 {
    // Below 360, so every value here fits.
    let degrees = rotation.degrees() as i16;
    let folded = if 90 < degrees && degrees < 270 { 180 - degrees } else { degrees };
    if folded > 90 { folded - 360 } else { folded }
}

/// Direction and angle of a pen as the tilt of a tablet tool; upright if either is unknown.
pub fn pen_tilt(rotation: Option<Rotation>, tilt: Option<Tilt>) -> PenTilt {
    let (Some(rotation), Some(tilt)) = (rotation, tilt) else {
        return PenTilt { x: 0.0, y: 0.0 };
    };
    let (across, along) = (-f64::from(rotation.degrees()).to_radians()).sin_cos();
    let (sine, cosine) = f64::from(tilt.degrees()).to_radians().sin_cos();
    PenTilt { x: (across * sine).atan2(cosine).to_degrees(), y: (along * sine).atan2(cosine).to_degrees() }
}
