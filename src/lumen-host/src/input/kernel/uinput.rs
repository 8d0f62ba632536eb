//! A device of keys and axes, made through `/dev/uinput`. What the keys and axes mean is the business of the files
//! beside this one. Nothing here blocks; closing the device removes it, and the kernel lets go of what it held.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use evdev::uinput::{VirtualDevice, VirtualDeviceBuilder};
use evdev::{
    AbsInfo, AbsoluteAxisCode, AttributeSet, BusType, EventSummary, EventType, FFEffectCode, FFEffectData, InputEvent,
    InputId, KeyCode, PropType, RelativeAxisCode, UInputCode, UinputAbsSetup,
};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

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
    /// A device of lumen's own make, from the part of USB vendor 1209 that is for such.
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
    Upload(i16, FFEffectData),
    /// Forgets it.
    Erase(i16),
    /// Plays it that many times; 0 stops it.
    Play(i16, i32),
    /// Strength of all effects, 0..=0xFFFF.
    Gain(u16),
}

/// A device. Dropping it removes it.
#[derive(Debug)]
pub struct Uinput {
    device: VirtualDevice,
    broken: bool,
}

impl Uinput {
    /// Makes a device.
    ///
    /// # Errors
    /// If the node is missing, not permitted, or refuses the device.
    pub fn new(label: &Label, identity: Identity, features: &Features) -> Result<Self, KernelInputError> {
        Self::make(label, identity, features).map_err(|error| Node::Uinput.refused(&label.name(), error))
    }

    fn make(label: &Label, identity: Identity, features: &Features) -> io::Result<Self> {
        let name = label.name();
        let phys = CString::new(label.path.as_str())?;
        let Identity { vendor, product, version } = identity;
        let mut builder: VirtualDeviceBuilder<'_> = VirtualDevice::builder()?
            .name(&name)
            .input_id(InputId::new(BusType::BUS_USB, vendor, product, version))
            .with_phys(&phys)?
            .with_keys(&AttributeSet::from_iter(features.keys.iter().copied()))?
            .with_properties(&AttributeSet::from_iter(features.properties.iter().copied()))?;
        if !features.relative.is_empty() {
            builder = builder.with_relative_axes(&AttributeSet::from_iter(features.relative.iter().copied()))?;
        }
        for (axis, info) in &features.absolute {
            builder = builder.with_absolute_axis(&UinputAbsSetup::new(*axis, *info))?;
        }
        if !features.effects.is_empty() {
            builder = builder
                .with_ff(&AttributeSet::from_iter(features.effects.iter().copied()))?
                .with_ff_effects_max(EFFECTS as u32);
        }
        let device = builder.build()?;
        fcntl_setfl(&device, fcntl_getfl(&device)? | OFlags::NONBLOCK)?;
        Ok(Self { device, broken: false })
    }

    /// Sends events that belong together. A device that takes them no more says so once, in the log.
    pub fn emit(&mut self, events: &[InputEvent]) {
        if let Err(error) = self.device.emit(events)
            && !std::mem::replace(&mut self.broken, true)
        {
            tracing::warn!(%error, "a kernel input device takes no events");
        }
    }

    /// What programs asked for since the last call. Uploads are confirmed at once: the program waits for that.
    pub fn feedback(&mut self) -> Vec<Feedback> {
        let events: Vec<InputEvent> = match self.device.fetch_events() {
            Ok(events) => events.collect(),
            Err(_) => return Vec::new(),
        };
        events.into_iter().filter_map(|event| self.understand(event)).collect()
    }

    fn understand(&mut self, event: InputEvent) -> Option<Feedback> {
        match event.destructure() {
            EventSummary::UInput(request, UInputCode::UI_FF_UPLOAD, _) => {
                // The kernel lets only effects pass that the device has; all of those are understood.
                let upload = self.device.process_ff_upload(request).ok()?;
                Some(Feedback::Upload(upload.effect_id(), upload.effect()))
            }
            EventSummary::UInput(request, UInputCode::UI_FF_ERASE, _) => {
                let erase = self.device.process_ff_erase(request).ok()?;
                i16::try_from(erase.effect_id()).ok().map(Feedback::Erase)
            }
            EventSummary::ForceFeedback(_, FFEffectCode::FF_GAIN, gain) => {
                Some(Feedback::Gain(gain.clamp(0, 0xFFFF) as u16))
            }
            EventSummary::ForceFeedback(_, effect, times) => {
                i16::try_from(effect.0).ok().map(|effect| Feedback::Play(effect, times))
            }
            _ => None,
        }
    }
}

impl AsFd for Uinput {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
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
