//! Gamepads of keys and axes: an Xbox 360 pad as the kernel's xpad driver shows it, and a Switch Pro pad as
//! hid-nintendo shows it. Both rumble; neither has motion sensors, a touchpad, a light or a battery.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use evdev::{AbsInfo, AbsoluteAxisCode as Axis, FFEffectCode, InputEvent, KeyCode};
use lumen_core::gamestream::control::{HostMessage, Rumble};
use lumen_core::gamestream::input::{
    Buttons, ControllerBattery, ControllerIndex, ControllerMotion, ControllerState, ControllerTouch,
};

use super::nodes::KernelInputError;
use super::pads::Pad;
use super::rumble::{Motors, Speed};
use super::uinput::{Features, Identity, Label, Uinput, absolute, key, range};

/// Whose layout a pad has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Xbox 360.
    Xbox,
    /// Switch Pro: triggers are buttons.
    Nintendo,
}

/// A gamepad of keys and axes.
#[derive(Debug)]
pub struct KeyPad {
    device: Uinput,
    controller: ControllerIndex,
    layout: Layout,
    motors: Motors,
}

impl KeyPad {
    /// Plugs it in.
    ///
    /// # Errors
    /// If the kernel does not make it.
    pub fn new(
        session: &str,
        controller: ControllerIndex,
        layout: Layout,
        buttons: Buttons,
    ) -> Result<Self, KernelInputError> {
        let (title, identity) = match layout {
            Layout::Xbox => ("Xbox 360 pad", Identity { vendor: 0x045E, product: 0x028E, version: 0x0114 }),
            Layout::Nintendo => ("Switch Pro pad", Identity { vendor: 0x057E, product: 0x2009, version: 0x8111 }),
        };
        let label = Label::new(session, &format!("pad{}", controller.get()), title);
        let device = Uinput::new(&label, identity, &features(layout, buttons))?;
        Ok(Self { device, controller, layout, motors: Motors::default() })
    }

    fn tell(&self, Speed { strong, weak }: Speed) -> HostMessage {
        HostMessage::Rumble(Rumble { controller: self.controller, low_frequency: strong, high_frequency: weak })
    }
}

impl Pad for KeyPad {
    fn state(&mut self, state: &ControllerState, _now: Instant) {
        self.device.emit(&events(self.layout, state));
    }

    fn touch(&mut self, _event: &ControllerTouch, _now: Instant) {}

    fn motion(&mut self, _event: &ControllerMotion, _now: Instant) {}

    fn battery(&mut self, _event: &ControllerBattery, _now: Instant) {}

    fn release(&mut self, _now: Instant) {
        self.device.emit(&events(self.layout, &ControllerState::idle(self.controller)));
    }

    fn senses_motion(&self) -> bool {
        false
    }

    fn present_feedback(&self, out: &mut Vec<HostMessage>) {
        if self.motors.told() != Speed::default() {
            out.push(self.tell(self.motors.told()));
        }
    }

    fn serve(&mut self, now: Instant, out: &mut Vec<HostMessage>) {
        for feedback in self.device.feedback() {
            self.motors.apply(feedback, now);
        }
        if let Some(speed) = self.motors.poll(now) {
            out.push(self.tell(speed));
        }
    }

    fn deadline(&self, now: Instant) -> Option<Instant> {
        self.motors.deadline(now)
    }
}

impl AsFd for KeyPad {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

/// Buttons of both layouts that say the same.
const SHARED: [(Buttons, KeyCode); 9] = [
    (Buttons::A, KeyCode::BTN_SOUTH),
    (Buttons::B, KeyCode::BTN_EAST),
    (Buttons::LB, KeyCode::BTN_TL),
    (Buttons::RB, KeyCode::BTN_TR),
    (Buttons::BACK, KeyCode::BTN_SELECT),
    (Buttons::START, KeyCode::BTN_START),
    (Buttons::GUIDE, KeyCode::BTN_MODE),
    (Buttons::LEFT_STICK, KeyCode::BTN_THUMBL),
    (Buttons::RIGHT_STICK, KeyCode::BTN_THUMBR),
];

/// The xpad driver calls the left face button X, whose number is that of "north"; likewise the upper one.
const XBOX: [(Buttons, KeyCode); 2] = [(Buttons::X, KeyCode::BTN_NORTH), (Buttons::Y, KeyCode::BTN_WEST)];

const NINTENDO: [(Buttons, KeyCode); 3] =
    [(Buttons::X, KeyCode::BTN_WEST), (Buttons::Y, KeyCode::BTN_NORTH), (Buttons::MISC, KeyCode::BTN_Z)];

/// Buttons that an Xbox pad has only if the client's pad has them, after those that every pad has.
const EXTRA: [(Buttons, KeyCode); 5] = [
    (Buttons::PADDLE1, KeyCode::BTN_TRIGGER_HAPPY5),
    (Buttons::PADDLE2, KeyCode::BTN_TRIGGER_HAPPY7),
    (Buttons::PADDLE3, KeyCode::BTN_TRIGGER_HAPPY6),
    (Buttons::PADDLE4, KeyCode::BTN_TRIGGER_HAPPY8),
    (Buttons::MISC, KeyCode::KEY_RECORD),
];

fn keys(layout: Layout) -> impl Iterator<Item = (Buttons, KeyCode)> {
    let own: &[_] = match layout {
        Layout::Xbox => &XBOX,
        Layout::Nintendo => &NINTENDO,
    };
    SHARED.iter().chain(own).copied()
}

fn features(layout: Layout, buttons: Buttons) -> Features {
    let stick = |fuzz, flat| AbsInfo::new(0, -0x8000, 0x7FFF, fuzz, flat, 0);
    let trigger = range(0, 255);
    let hat = range(-1, 1);
    let mut keys: Vec<_> = keys(layout).map(|(_, key)| key).collect();
    let mut absolute = vec![(Axis::ABS_HAT0X, hat), (Axis::ABS_HAT0Y, hat)];
    let sticks = [Axis::ABS_X, Axis::ABS_Y, Axis::ABS_RX, Axis::ABS_RY];
    match layout {
        Layout::Xbox => {
            keys.extend(EXTRA.iter().filter(|(button, _)| buttons.contains(*button)).map(|(_, key)| *key));
            absolute.extend(sticks.map(|axis| (axis, stick(16, 128))));
            absolute.extend([(Axis::ABS_Z, trigger), (Axis::ABS_RZ, trigger)]);
        }
        Layout::Nintendo => {
            keys.extend([KeyCode::BTN_TL2, KeyCode::BTN_TR2]);
            absolute.extend(sticks.map(|axis| (axis, stick(250, 500))));
        }
    }
    Features {
        keys,
        absolute,
        effects: vec![
            FFEffectCode::FF_RUMBLE,
            FFEffectCode::FF_PERIODIC,
            FFEffectCode::FF_SQUARE,
            FFEffectCode::FF_TRIANGLE,
            FFEffectCode::FF_SINE,
            FFEffectCode::FF_GAIN,
        ],
        ..Features::default()
    }
}

/// The whole state; the kernel passes on what changed.
fn events(layout: Layout, state: &ControllerState) -> Vec<InputEvent> {
    let held = |button| state.buttons.contains(button);
    let balance = |less, more| i32::from(held(more)) - i32::from(held(less));
    // Up is positive on the wire and negative here.
    let down = |up: i16| i32::from(up.saturating_neg());
    let mut events: Vec<_> = keys(layout).map(|(button, code)| key(code, held(button))).collect();
    events.extend([
        absolute(Axis::ABS_X, state.left_stick.x.into()),
        absolute(Axis::ABS_Y, down(state.left_stick.y)),
        absolute(Axis::ABS_RX, state.right_stick.x.into()),
        absolute(Axis::ABS_RY, down(state.right_stick.y)),
        absolute(Axis::ABS_HAT0X, balance(Buttons::LEFT, Buttons::RIGHT)),
        absolute(Axis::ABS_HAT0Y, balance(Buttons::UP, Buttons::DOWN)),
    ]);
    match layout {
        Layout::Xbox => {
            events.extend(EXTRA.iter().map(|(button, code)| key(*code, held(*button))));
            events.extend([
                absolute(Axis::ABS_Z, state.left_trigger.into()),
                absolute(Axis::ABS_RZ, state.right_trigger.into()),
            ]);
        }
        Layout::Nintendo => events
            .extend([key(KeyCode::BTN_TL2, state.left_trigger > 0), key(KeyCode::BTN_TR2, state.right_trigger > 0)]),
    }
    events
}

#[cfg(test)]
mod tests {
    use lumen_core::gamestream::input::Stick;

    use super::*;

    const PAD: ControllerIndex = match ControllerIndex::new(0) {
        Some(index) => index,
        None => panic!("controller 0"),
    };

    fn value(events: &[InputEvent], code: u16) -> Option<i32> {
        events.iter().find(|event| event.code() == code).map(|event| event.value())
    }

    #[test]
    fn sticks_point_down_for_positive_values_and_stay_in_range() {
        let mut state = ControllerState::idle(PAD);
        state.left_stick = Stick { x: -7, y: i16::MIN };
        state.right_stick = Stick { x: 8, y: i16::MAX };
        let events = events(Layout::Xbox, &state);
        let axes = [Axis::ABS_X, Axis::ABS_Y, Axis::ABS_RX, Axis::ABS_RY].map(|axis| value(&events, axis.0));
        assert_eq!(axes, [Some(-7), Some(32767), Some(8), Some(-32767)]);
    }

    #[test]
    fn face_buttons_keep_their_places_on_both_layouts() {
        let mut state = ControllerState::idle(PAD);
        state.buttons = Buttons::X;
        let left = |layout| {
            let pressed = events(layout, &state).into_iter().find(|event| event.value() == 1);
            pressed.map(|event| KeyCode(event.code()))
        };
        // 0x133 is BTN_X for the xpad driver and BTN_NORTH for hid-nintendo, whose left button is BTN_WEST.
        assert_eq!(left(Layout::Xbox), Some(KeyCode::BTN_NORTH));
        assert_eq!(left(Layout::Nintendo), Some(KeyCode::BTN_WEST));
    }

    #[test]
    fn hat_cancels_opposite_directions() {
        let mut state = ControllerState::idle(PAD);
        state.buttons = Buttons::LEFT | Buttons::RIGHT | Buttons::UP;
        let events = events(Layout::Xbox, &state);
        assert_eq!(value(&events, Axis::ABS_HAT0X.0), Some(0));
        assert_eq!(value(&events, Axis::ABS_HAT0Y.0), Some(-1));
    }

    #[test]
    fn paddles_are_there_only_if_the_client_has_them() {
        let has = |buttons| features(Layout::Xbox, buttons).keys.contains(&KeyCode::BTN_TRIGGER_HAPPY5);
        assert!(!has(Buttons::A));
        assert!(has(Buttons::PADDLE1));
    }
}
