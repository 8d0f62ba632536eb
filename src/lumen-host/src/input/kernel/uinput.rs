//! A device of keys and axes, made through `/dev/uinput`. What the keys and axes mean is the business of the files
//! beside this one. Nothing here blocks; closing the device removes it, and the kernel lets go of what it held.
//!
//! The requests are made here and not by the evdev crate, whose names for keys and axes are used: its version 0.13.2
//! asks for the physical path with a wrong size, which the kernel refuses, and sessions are told apart by that path.

use std::ffi::{CString, c_char};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use evdev::{AbsInfo, AbsoluteAxisCode, EventType, FFEffectCode, InputEvent, KeyCode, PropType, RelativeAxisCode};
use rustix::ioctl::{self, IntegerSetter, NoArg, Opcode, Setter, Updater, opcode};

use super::nodes::{KernelInputError, Node};

/// Effects that a device with motors can hold, as many as most drivers offer.
pub const EFFECTS: usize = 16;

/// Who a device is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// What it is, for people: `keyboard`.
    pub title: String,
    /// Whose it is: `lumen-SESSION/pad0`. Physical path of the device, and a part of its name.
    pub path: String,
}

impl Label {
    /// The label of device `role` of a session.
    pub fn new(session: &str, role: &str, title: &str) -> Self {
        // Names of devices have 80 bytes at most.
        let session: String = session.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(36).collect();
        Self { title: title.to_owned(), path: format!("lumen-{session}/{role}") }
    }

    /// Name of the device: title and owner.
    pub fn name(&self) -> String {
        format!("{} ({})", self.title, self.path)
    }
}

/// Vendor, product and version; programs choose button layouts by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// USB vendor number.
    pub vendor: u16,
    /// USB product number.
    pub product: u16,
    /// Device version.
    pub version: u16,
}

impl Identity {
    /// A device that no hardware is like: USB vendor 1209 keeps products 1 to 16 for those that are never sold.
    pub const fn own(product: u16) -> Self {
        Self { vendor: 0x1209, product, version: 1 }
    }
}

/// What a device has.
#[derive(Debug, Default)]
pub struct Features {
    /// Keys and buttons.
    pub keys: Vec<KeyCode>,
    /// Relative axes.
    pub relative: Vec<RelativeAxisCode>,
    /// Absolute axes.
    pub absolute: Vec<(AbsoluteAxisCode, AbsInfo)>,
    /// What kind of device it is.
    pub properties: Vec<PropType>,
    /// Force feedback.
    pub effects: Vec<FFEffectCode>,
}

/// An axis at 0 that needs no more than its range.
pub fn range(minimum: i32, maximum: i32) -> AbsInfo {
    AbsInfo::new(0, minimum, maximum, 0, 0, 0)
}

/// What a program wants of a device with motors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feedback {
    /// Keeps an effect under a number.
    Upload(i16, Effect),
    /// Forgets it.
    Erase(i16),
    /// Plays it that many times; 0 stops it.
    Play(i16, i32),
    /// Strength of all effects, 0..=0xFFFF.
    Gain(u16),
}

/// An effect of two motors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effect {
    /// Speed of the heavy motor, 0..=65535.
    pub strong: u16,
    /// Speed of the light motor, 0..=65535.
    pub weak: u16,
    /// Milliseconds before it begins, each time.
    pub delay_ms: u16,
    /// Milliseconds that it runs; 0 runs until it is stopped.
    pub length_ms: u16,
}

/// A device. Dropping it removes it.
#[derive(Debug)]
pub struct Uinput {
    file: File,
    broken: bool,
}

impl Uinput {
    /// Makes a device.
    ///
    /// # Errors
    /// If the node is missing, not permitted, or refuses the device.
    pub fn new(label: &Label, identity: Identity, features: &Features) -> Result<Self, KernelInputError> {
        let file = Node::Uinput.open()?;
        make(&file, label, identity, features).map_err(|error| Node::Uinput.refused(&label.name(), error))?;
        Ok(Self { file, broken: false })
    }

    /// Sends events that belong together. A device that takes them no more says so once, in the log.
    pub fn emit(&mut self, events: &[InputEvent]) {
        let end = InputEvent::new(EventType::SYNCHRONIZATION.0, 0, 0);
        let bytes: Vec<u8> = events.iter().chain([&end]).flat_map(|event| bytes_of(*event)).collect();
        if let Err(error) = self.file.write_all(&bytes)
            && !std::mem::replace(&mut self.broken, true)
        {
            tracing::warn!(%error, "a kernel input device takes no events");
        }
    }

    /// What programs asked for since the last call. Uploads are confirmed at once: the program waits for that.
    pub fn feedback(&mut self) -> Vec<Feedback> {
        let mut asked = Vec::new();
        let mut events = [0; 32 * EVENT];
        // At the end of what waits, an error or nothing.
        while let Ok(length @ 1..) = self.file.read(&mut events) {
            for event in events[..length].chunks_exact(EVENT) {
                asked.extend(self.understand(event));
            }
        }
        asked
    }

    fn understand(&mut self, event: &[u8]) -> Option<Feedback> {
        let (kind, code, value) = fields_of(event)?;
        match (kind, code) {
            (EV_UINPUT, UI_FF_UPLOAD) => {
                let mut request =
                    Upload { request: value.cast_unsigned(), result: 0, effect: NO_EFFECT, old: NO_EFFECT };
                // SAFETY: this request reads and fills the structure of this layout.
                unsafe { ioctl::ioctl(&self.file, Updater::<BEGIN_UPLOAD, _>::new(&mut request)) }.ok()?;
                // SAFETY: as above.
                unsafe { ioctl::ioctl(&self.file, Setter::<END_UPLOAD, _>::new(request)) }.ok()?;
                Some(Feedback::Upload(request.effect.id, effect_of(&request.effect)))
            }
            (EV_UINPUT, UI_FF_ERASE) => {
                let mut request = Erase { request: value.cast_unsigned(), result: 0, effect: 0 };
                // SAFETY: this request reads and fills the structure of this layout.
                unsafe { ioctl::ioctl(&self.file, Updater::<BEGIN_ERASE, _>::new(&mut request)) }.ok()?;
                // SAFETY: as above.
                unsafe { ioctl::ioctl(&self.file, Setter::<END_ERASE, _>::new(request)) }.ok()?;
                i16::try_from(request.effect).ok().map(Feedback::Erase)
            }
            (EV_FF, FF_GAIN) => Some(Feedback::Gain(value.clamp(0, 0xFFFF) as u16)),
            (EV_FF, effect) => i16::try_from(effect).ok().map(|effect| Feedback::Play(effect, value)),
            _ => None,
        }
    }
}

impl AsFd for Uinput {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// A key or button that is down or up.
pub fn key(code: KeyCode, down: bool) -> InputEvent {
    InputEvent::new(EventType::KEY.0, code.0, down.into())
}

/// A position on an axis.
pub fn absolute(code: AbsoluteAxisCode, value: i32) -> InputEvent {
    InputEvent::new(EventType::ABSOLUTE.0, code.0, value)
}

/// A movement along an axis.
pub fn relative(code: RelativeAxisCode, value: i32) -> InputEvent {
    InputEvent::new(EventType::RELATIVE.0, code.0, value)
}

fn make(file: &File, label: &Label, identity: Identity, features: &Features) -> io::Result<()> {
    let bit = |kind: EventType| set::<SET_EVENT>(file, kind.0);
    if !features.keys.is_empty() {
        bit(EventType::KEY)?;
        features.keys.iter().try_for_each(|key| set::<SET_KEY>(file, key.0))?;
    }
    if !features.relative.is_empty() {
        bit(EventType::RELATIVE)?;
        features.relative.iter().try_for_each(|axis| set::<SET_RELATIVE>(file, axis.0))?;
    }
    if !features.absolute.is_empty() {
        bit(EventType::ABSOLUTE)?;
    }
    for (axis, info) in &features.absolute {
        set::<SET_ABSOLUTE>(file, axis.0)?;
        let setup = AxisSetup {
            code: axis.0,
            values: [info.value(), info.minimum(), info.maximum(), info.fuzz(), info.flat(), info.resolution()],
        };
        // SAFETY: the request reads a structure of this layout.
        unsafe { ioctl::ioctl(file, Setter::<AXIS_SETUP, _>::new(setup)) }?;
    }
    if !features.effects.is_empty() {
        bit(EventType::FORCEFEEDBACK)?;
        features.effects.iter().try_for_each(|effect| set::<SET_EFFECT>(file, effect.0))?;
    }
    features.properties.iter().try_for_each(|property| set::<SET_PROPERTY>(file, property.0))?;

    let path = CString::new(label.path.as_str())?;
    // SAFETY: the request reads a string that ends with zero and outlives the call.
    unsafe { ioctl::ioctl(file, IntegerSetter::<SET_PATH>::new_pointer(path.as_ptr().cast_mut().cast())) }?;
    let mut name = [0; NAME];
    for (to, from) in name[..NAME - 1].iter_mut().zip(label.name().bytes()) {
        *to = from;
    }
    let Identity { vendor, product, version } = identity;
    let effects = if features.effects.is_empty() { 0 } else { EFFECTS as u32 };
    let setup = DeviceSetup { identity: [USB, vendor, product, version], name, effects };
    // SAFETY: the request reads a structure of this layout.
    unsafe { ioctl::ioctl(file, Setter::<DEVICE_SETUP, _>::new(setup)) }?;
    // SAFETY: the request has no argument.
    unsafe { ioctl::ioctl(file, NoArg::<CREATE>::new()) }?;
    Ok(())
}

fn set<const REQUEST: Opcode>(file: &File, bit: u16) -> io::Result<()> {
    // SAFETY: those requests take a number as their argument.
    Ok(unsafe { ioctl::ioctl(file, IntegerSetter::<REQUEST>::new_usize(bit.into())) }?)
}

fn bytes_of(event: InputEvent) -> [u8; EVENT] {
    let mut bytes = [0; EVENT];
    // The kernel sets the time, which comes first.
    let fields = &mut bytes[EVENT - 8..];
    fields[..2].copy_from_slice(&event.event_type().0.to_ne_bytes());
    fields[2..4].copy_from_slice(&event.code().to_ne_bytes());
    fields[4..].copy_from_slice(&event.value().to_ne_bytes());
    bytes
}

/// Type, code and value.
fn fields_of(event: &[u8]) -> Option<(u16, u16, i32)> {
    let [a, b, c, d, value @ ..] = *event.last_chunk::<8>()?;
    Some((u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d]), i32::from_ne_bytes(value)))
}

fn effect_of(effect: &libc::ff_effect) -> Effect {
    // Rumble: speeds of both motors. Periodic: waveform, period, amplitude.
    let [a, b, c, d, e, f, ..] = effect.u[0].to_ne_bytes();
    let (strong, weak) = match effect.type_ {
        FF_RUMBLE => (u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d])),
        FF_PERIODIC => {
            let speed = i16::from_ne_bytes([e, f]).unsigned_abs().saturating_mul(2);
            (speed, speed)
        }
        _ => (0, 0),
    };
    Effect { strong, weak, delay_ms: effect.replay.delay, length_ms: effect.replay.length }
}

// From the kernel's public headers input.h, input-event-codes.h and uinput.h.

const EVENT: usize = size_of::<libc::input_event>();
const NAME: usize = 80;
const USB: u16 = 3;
const EV_FF: u16 = 0x15;
const EV_UINPUT: u16 = 0x0101;
const UI_FF_UPLOAD: u16 = 1;
const UI_FF_ERASE: u16 = 2;
const FF_RUMBLE: u16 = 0x50;
const FF_PERIODIC: u16 = 0x51;
const FF_GAIN: u16 = 0x60;

const NO_EFFECT: libc::ff_effect = libc::ff_effect {
    type_: 0,
    id: 0,
    direction: 0,
    trigger: libc::ff_trigger { button: 0, interval: 0 },
    replay: libc::ff_replay { length: 0, delay: 0 },
    u: [0; 4],
};

/// `struct uinput_setup`.
#[repr(C)]
struct DeviceSetup {
    identity: [u16; 4],
    name: [u8; NAME],
    effects: u32,
}

/// `struct uinput_abs_setup`.
#[repr(C)]
struct AxisSetup {
    code: u16,
    values: [i32; 6],
}

/// `struct uinput_ff_upload`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Upload {
    request: u32,
    result: i32,
    effect: libc::ff_effect,
    old: libc::ff_effect,
}

/// `struct uinput_ff_erase`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Erase {
    request: u32,
    result: i32,
    effect: u32,
}

const GROUP: u8 = b'U';
const CREATE: Opcode = opcode::none(GROUP, 1);
const DEVICE_SETUP: Opcode = opcode::write::<DeviceSetup>(GROUP, 3);
const AXIS_SETUP: Opcode = opcode::write::<AxisSetup>(GROUP, 4);
const SET_EVENT: Opcode = opcode::write::<i32>(GROUP, 100);
const SET_KEY: Opcode = opcode::write::<i32>(GROUP, 101);
const SET_RELATIVE: Opcode = opcode::write::<i32>(GROUP, 102);
const SET_ABSOLUTE: Opcode = opcode::write::<i32>(GROUP, 103);
const SET_EFFECT: Opcode = opcode::write::<i32>(GROUP, 107);
const SET_PATH: Opcode = opcode::write::<*const c_char>(GROUP, 108);
const SET_PROPERTY: Opcode = opcode::write::<i32>(GROUP, 110);
const BEGIN_UPLOAD: Opcode = opcode::read_write::<Upload>(GROUP, 200);
const END_UPLOAD: Opcode = opcode::write::<Upload>(GROUP, 201);
const BEGIN_ERASE: Opcode = opcode::read_write::<Erase>(GROUP, 202);
const END_ERASE: Opcode = opcode::write::<Erase>(GROUP, 203);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_the_session_and_fit_the_kernel() {
        let label = Label::new("18446744073709551615", "pad15", "Nintendo Switch Pro Controller");
        assert_eq!(label.path, "lumen-18446744073709551615/pad15");
        assert!(label.name().len() < 79, "{}", label.name());
        assert_eq!(Label::new("a\0b/c", "pen", "pen").path, "lumen-abc/pen");
    }
}
