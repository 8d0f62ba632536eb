//! Game controller packets: state, arrival, touchpad, motion, battery (protocol part 3, sections 3.3 and 3.4).

use super::InputError;
use super::number::{Fraction, OutOfRange, bit_set};
use super::pointer::{PointerEvent, PointerId, fractions};
use crate::reader::{Reader, Short};

/// Number of a controller of one client, 0..=15.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct ControllerIndex(u8);

/// Which controllers a client has: bit n is controller n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct ControllerMask(pub u16);

bit_set! {
    /// Buttons of a controller, named after their places on an Xbox controller: [`Buttons::A`] is the bottom face
    /// button whatever is printed on it.
    Buttons(u32) {
        /// D-pad up.
        UP = 1 << 0, "up";
        /// D-pad down.
        DOWN = 1 << 1, "down";
        /// D-pad left.
        LEFT = 1 << 2, "left";
        /// D-pad right.
        RIGHT = 1 << 3, "right";
        /// Start, menu, options, plus.
        START = 1 << 4, "start";
        /// Back, view, create, minus.
        BACK = 1 << 5, "back";
        /// Left stick pressed.
        LEFT_STICK = 1 << 6, "left_stick";
        /// Right stick pressed.
        RIGHT_STICK = 1 << 7, "right_stick";
        /// Left shoulder.
        LB = 1 << 8, "lb";
        /// Right shoulder.
        RB = 1 << 9, "rb";
        /// Guide, home, PS.
        GUIDE = 1 << 10, "guide";
        /// Bottom face button: A, cross.
        A = 1 << 12, "a";
        /// Right face button: B, circle.
        B = 1 << 13, "b";
        /// Left face button: X, square.
        X = 1 << 14, "x";
        /// Top face button: Y, triangle.
        Y = 1 << 15, "y";
        /// Upper right paddle.
        PADDLE1 = 1 << 16, "paddle1";
        /// Upper left paddle.
        PADDLE2 = 1 << 17, "paddle2";
        /// Lower right paddle.
        PADDLE3 = 1 << 18, "paddle3";
        /// Lower left paddle.
        PADDLE4 = 1 << 19, "paddle4";
        /// Touchpad pressed.
        TOUCHPAD = 1 << 20, "touchpad";
        /// Share, microphone, capture.
        MISC = 1 << 21, "misc";
    }
}

bit_set! {
    /// What a controller can do.
    Capabilities(u16) {
        /// Triggers report how far they are pulled.
        ANALOG_TRIGGERS = 0x0001, "analog_triggers";
        /// Two rumble motors.
        RUMBLE = 0x0002, "rumble";
        /// Motors in the triggers.
        TRIGGER_RUMBLE = 0x0004, "trigger_rumble";
        /// A touchpad.
        TOUCHPAD = 0x0008, "touchpad";
        /// An accelerometer.
        ACCELEROMETER = 0x0010, "accelerometer";
        /// A gyroscope.
        GYRO = 0x0020, "gyro";
        /// Reports its battery.
        BATTERY = 0x0040, "battery";
        /// A light of any colour.
        LED = 0x0080, "led";
        /// A second touchpad; comes with the first.
        SECOND_TOUCHPAD = 0x0100, "second_touchpad";
    }
}

/// Position of an analog stick, -32768..=32767 on each axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct Stick {
    /// To the right.
    pub x: i16,
    /// Upwards.
    pub y: i16,
}

/// The whole state of one controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct ControllerState {
    /// Which controller.
    pub controller: ControllerIndex,
    /// Which controllers exist. Only the bit of `controller` means something to do; see
    /// [`ControllerState::is_present`].
    pub mask: ControllerMask,
    /// Buttons that are held.
    pub buttons: Buttons,
    /// How far the left trigger is pulled, 0..=255.
    pub left_trigger: u8,
    /// How far the right trigger is pulled, 0..=255.
    pub right_trigger: u8,
    /// The left stick.
    pub left_stick: Stick,
    /// The right stick.
    pub right_stick: Stick,
}

/// A controller was plugged in at the client. An idle [`ControllerState`] follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct ControllerArrival {
    /// Which controller.
    pub controller: ControllerIndex,
    /// Its make.
    pub kind: ControllerKind,
    /// What it can do.
    pub capabilities: Capabilities,
    /// Which buttons it has.
    pub buttons: Buttons,
}

/// Make of a controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum ControllerKind {
    /// Not known (0, and any number above 4).
    Unknown,
    /// Xbox (1).
    Xbox,
    /// PlayStation (2).
    PlayStation,
    /// Nintendo (3).
    Nintendo,
    /// Steam (4).
    Steam,
}

/// Number of a touchpad of one controller: 0 or 1 from stock clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct TouchpadIndex(pub u8);

/// A finger on a controller's touchpad.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ControllerTouch {
    /// Which controller.
    pub controller: ControllerIndex,
    /// What happened.
    pub event: PointerEvent,
    /// Which touchpad.
    pub touchpad: TouchpadIndex,
    /// Which contact.
    pub pointer: PointerId,
    /// From the touchpad's left edge.
    pub x: Fraction,
    /// From the touchpad's top edge.
    pub y: Fraction,
    /// Pressure.
    pub pressure: Fraction,
}

/// A motion sensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum MotionKind {
    /// Acceleration with gravity, in m/s² (1). At rest, flat: (0, 9.81, 0).
    Accelerometer,
    /// Rotation in degrees a second, counter-clockwise positive (2).
    Gyro,
}

/// A sample of a motion sensor. Axes as SDL has them: x to the right, y out of the face, z to the player.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ControllerMotion {
    /// Which controller.
    pub controller: ControllerIndex,
    /// Which sensor.
    pub kind: MotionKind,
    values: [f32; 3],
}

/// Charge of a controller's battery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct ControllerBattery {
    /// Which controller.
    pub controller: ControllerIndex,
    /// What the battery does.
    pub state: BatteryState,
    /// How full it is, if known.
    pub charge: Option<ChargePercent>,
}

/// What a battery does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum BatteryState {
    /// Not known (0, and any number above 5).
    Unknown,
    /// There is none (1).
    NotPresent,
    /// Runs down (2).
    Discharging,
    /// Is charged (3).
    Charging,
    /// On a cable, not charged (4).
    PluggedNotCharging,
    /// Full (5).
    Full,
}

/// Charge in percent, as sent: below 0xFF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct ChargePercent(u8);

impl ControllerIndex {
    /// Controllers that one client can have.
    pub const COUNT: usize = 16;

    /// Controller `number`, if it is 0..=15.
    pub const fn new(number: u8) -> Option<Self> {
        if (number as usize) < Self::COUNT { Some(Self(number)) } else { None }
    }

    /// The number, 0..=15.
    pub const fn get(self) -> u8 {
        self.0
    }

    pub(in crate::gamestream) fn from_wire(number: u16) -> Option<Self> {
        u8::try_from(number).ok().and_then(Self::new)
    }

    fn read(body: &mut Reader<'_>) -> Result<Result<Self, InputError>, Short> {
        let number = u16::from(body.u8()?);
        Ok(Self::from_wire(number).ok_or(InputError::BadController(number)))
    }
}

impl TryFrom<u8> for ControllerIndex {
    type Error = OutOfRange;

    fn try_from(number: u8) -> Result<Self, OutOfRange> {
        Self::new(number).ok_or(OutOfRange)
    }
}

impl From<ControllerIndex> for u8 {
    fn from(index: ControllerIndex) -> Self {
        index.0
    }
}

impl ControllerMask {
    /// Whether controller `index` exists.
    pub const fn contains(self, index: ControllerIndex) -> bool {
        self.0 >> index.0 & 1 == 1
    }
}

impl ControllerState {
    /// Whether the controller exists: if not, it is to be removed.
    pub const fn is_present(&self) -> bool {
        self.mask.contains(self.controller)
    }

    /// A controller at rest with no other beside it.
    pub const fn idle(controller: ControllerIndex) -> Self {
        Self {
            controller,
            mask: ControllerMask(1 << controller.0),
            buttons: Buttons::EMPTY,
            left_trigger: 0,
            right_trigger: 0,
            left_stick: Stick { x: 0, y: 0 },
            right_stick: Stick { x: 0, y: 0 },
        }
    }

    pub(super) fn read(body: &mut Reader<'_>) -> Result<Self, InputError> {
        // The historic constants between the fields are not tested: clients differ.
        let _header = body.u16_le()?;
        let number = body.u16_le()?;
        let mask = ControllerMask(body.u16_le()?);
        let _middle = body.u16_le()?;
        let low = body.u16_le()?;
        let left_trigger = body.u8()?;
        let right_trigger = body.u8()?;
        let left_stick = Stick { x: body.i16_le()?, y: body.i16_le()? };
        let right_stick = Stick { x: body.i16_le()?, y: body.i16_le()? };
        let _tail = body.u16_le()?;
        let high = body.u16_le()?;
        let _tail = body.u16_le()?;
        Ok(Self {
            controller: ControllerIndex::from_wire(number).ok_or(InputError::BadController(number))?,
            mask,
            buttons: Buttons::from_bits(u32::from(low) | u32::from(high) << 16),
            left_trigger,
            right_trigger,
            left_stick,
            right_stick,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let buttons = self.buttons.bits();
        for field in [0x001A, u16::from(self.controller.0), self.mask.0, 0x0014, buttons as u16] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out.extend_from_slice(&[self.left_trigger, self.right_trigger]);
        for axis in [self.left_stick.x, self.left_stick.y, self.right_stick.x, self.right_stick.y] {
            out.extend_from_slice(&axis.to_le_bytes());
        }
        for field in [0x009C, (buttons >> 16) as u16, 0x0055] {
            out.extend_from_slice(&field.to_le_bytes());
        }
    }
}

impl ControllerKind {
    const fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Xbox,
            2 => Self::PlayStation,
            3 => Self::Nintendo,
            4 => Self::Steam,
            _ => Self::Unknown,
        }
    }
}

impl ControllerArrival {
    pub(super) fn read(body: &mut Reader<'_>) -> Result<Self, InputError> {
        let controller = ControllerIndex::read(body)?;
        let kind = ControllerKind::from_number(body.u8()?);
        let capabilities = Capabilities::from_bits(body.u16_le()?);
        let buttons = Buttons::from_bits(body.u32_le()?);
        Ok(Self { controller: controller?, kind, capabilities, buttons })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.controller.0, self.kind as u8]);
        out.extend_from_slice(&self.capabilities.bits().to_le_bytes());
        out.extend_from_slice(&self.buttons.bits().to_le_bytes());
    }
}

impl ControllerTouch {
    pub(super) fn read(body: &mut Reader<'_>) -> Result<Self, InputError> {
        let controller = ControllerIndex::read(body)?;
        let event = body.u8()?;
        let _reserved = body.u8()?;
        let touchpad = TouchpadIndex(body.u8()?);
        let pointer = PointerId(body.u32_le()?);
        let floats = [body.f32_le()?, body.f32_le()?, body.f32_le()?];
        let controller = controller?;
        let event = PointerEvent::from_number(event)?;
        let [x, y, pressure] = fractions(floats)?;
        Ok(Self { controller, event, touchpad, pointer, x, y, pressure })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.controller.0, self.event.number(), 0, self.touchpad.0]);
        out.extend_from_slice(&self.pointer.0.to_le_bytes());
        for value in [self.x, self.y, self.pressure] {
            out.extend_from_slice(&value.as_sent().to_le_bytes());
        }
    }
}

impl MotionKind {
    /// The number on the wire, 1 or 2.
    pub const fn number(self) -> u8 {
        match self {
            Self::Accelerometer => 1,
            Self::Gyro => 2,
        }
    }

    /// The sensor of a number.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Accelerometer),
            2 => Some(Self::Gyro),
            _ => None,
        }
    }

    /// The largest value that a sample may have on an axis: 160 m/s² or 4000 degrees a second.
    pub const fn limit(self) -> f32 {
        match self {
            Self::Accelerometer => 160.0,
            Self::Gyro => 4000.0,
        }
    }
}

impl ControllerMotion {
    /// A sample, x, y, z.
    ///
    /// # Errors
    /// If a value is not finite.
    pub fn new(
        controller: ControllerIndex,
        kind: MotionKind,
        values: [f32; 3],
    ) -> Result<Self, super::number::NotFinite> {
        if values.iter().all(|value| value.is_finite()) {
            Ok(Self { controller, kind, values })
        } else {
            Err(super::number::NotFinite)
        }
    }

    /// x, y, z in the unit of the sensor, clamped to ±[`MotionKind::limit`].
    pub fn values(&self) -> [f32; 3] {
        let limit = self.kind.limit();
        self.values.map(|value| value.clamp(-limit, limit))
    }

    /// x, y, z as they were sent, finite.
    pub const fn as_sent(&self) -> [f32; 3] {
        self.values
    }

    /// Whether a client sends this sample reliably: a gyroscope at rest, so that the last turn does not go on.
    pub fn is_reliable(&self) -> bool {
        self.kind == MotionKind::Gyro && self.values.iter().all(|value| *value == 0.0)
    }

    pub(super) fn read(body: &mut Reader<'_>) -> Result<Self, InputError> {
        let controller = ControllerIndex::read(body)?;
        let kind = body.u8()?;
        let _reserved = body.u16_le()?;
        let values = [body.f32_le()?, body.f32_le()?, body.f32_le()?];
        let controller = controller?;
        let kind = MotionKind::from_number(kind).ok_or(InputError::BadMotionType(kind))?;
        Ok(Self::new(controller, kind, values)?)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.controller.0, self.kind.number(), 0, 0]);
        for value in self.values {
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
}

impl BatteryState {
    const fn from_number(number: u8) -> Self {
        match number {
            1 => Self::NotPresent,
            2 => Self::Discharging,
            3 => Self::Charging,
            4 => Self::PluggedNotCharging,
            5 => Self::Full,
            _ => Self::Unknown,
        }
    }
}

impl ChargePercent {
    /// A charge; `None` for 0xFF, which means unknown on the wire.
    pub const fn from_wire(value: u8) -> Option<Self> {
        if value == u8::MAX { None } else { Some(Self(value)) }
    }

    /// Percent, 0..=100.
    pub const fn get(self) -> u8 {
        if self.0 > 100 { 100 } else { self.0 }
    }

    /// The number as it was sent.
    pub const fn as_sent(self) -> u8 {
        self.0
    }
}

impl ControllerBattery {
    pub(super) fn read(body: &mut Reader<'_>) -> Result<Self, InputError> {
        let controller = ControllerIndex::read(body)?;
        let state = BatteryState::from_number(body.u8()?);
        let charge = ChargePercent::from_wire(body.u8()?);
        let _reserved = body.u8()?;
        Ok(Self { controller: controller?, state, charge })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let charge = self.charge.map_or(u8::MAX, ChargePercent::as_sent);
        out.extend_from_slice(&[self.controller.0, self.state as u8, charge, 0]);
    }
}
