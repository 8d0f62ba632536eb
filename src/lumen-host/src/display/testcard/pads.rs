//! The client's gamepads: their state for the card to show, and the feedback that the card gives them. A button that
//! goes down rumbles and lights its pad until the last button is let go; triggers rumble as far as they are pulled;
//! motion sensors are asked for when a pad arrives.

use std::collections::VecDeque;

use lumen_core::gamestream::control::{HostMessage, Led, MotionRequest, Rgb, Rumble, TriggerRumble};
use lumen_core::gamestream::input::{
    BatteryState, Buttons, Capabilities, ControllerArrival, ControllerBattery, ControllerIndex, ControllerKind,
    ControllerMotion, ControllerState, ControllerTouch, MotionKind, PointerEvent, PointerId, Stick, TouchpadIndex,
};

/// Samples a second that the card asks of motion sensors.
const MOTION_RATE_HZ: u16 = 100;

/// Messages that wait for the session at most; when it does not fetch them, the oldest are forgotten.
const MAX_WAITING: usize = 128;

/// Fingers that the card follows on one pad.
const MAX_FINGERS: usize = 4;

/// Lights of pads at rest, by controller number modulo four.
const LIGHTS: [[u8; 3]; 4] = [[0x20, 0x60, 0xFF], [0xFF, 0x30, 0x30], [0x20, 0xD0, 0x60], [0xE0, 0x40, 0xC0]];

/// All gamepads of a client.
#[derive(Debug, Default)]
pub struct Pads {
    slots: [Option<Pad>; ControllerIndex::COUNT],
    feedback: VecDeque<HostMessage>,
    version: u64,
}

/// A gamepad.
#[derive(Debug, Clone, PartialEq)]
pub struct Pad {
    /// Its make.
    pub kind: ControllerKind,
    /// What it can do.
    pub capabilities: Capabilities,
    /// Buttons held.
    pub buttons: Buttons,
    /// Left and right trigger, 0..=255.
    pub triggers: [u8; 2],
    /// Left and right stick.
    pub sticks: [Stick; 2],
    /// What its battery does and its charge in percent, if it said so.
    pub battery: Option<(BatteryState, Option<u8>)>,
    /// Last sample of the accelerometer, m/s².
    pub acceleration: Option<[f32; 3]>,
    /// Last sample of the gyroscope, degrees a second.
    pub rotation: Option<[f32; 3]>,
    /// Fingers on its touchpads, parts of the touchpad's size.
    pub fingers: Vec<Finger>,
    /// The light that the card gave it.
    pub light: [u8; 3],
    /// Whether the card makes it rumble.
    rumbling: bool,
    /// Last trigger rumble sent, in coarse steps.
    trigger_rumble: [u8; 2],
}

/// A finger on a gamepad's touchpad.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Finger {
    id: (TouchpadIndex, PointerId),
    /// From the left edge, 0.0..=1.0.
    pub x: f32,
    /// From the upper edge, 0.0..=1.0.
    pub y: f32,
}

impl Pads {
    /// The gamepads that are there, with their numbers.
    pub fn present(&self) -> impl Iterator<Item = (usize, &Pad)> {
        self.slots.iter().enumerate().filter_map(|(number, slot)| slot.as_ref().map(|pad| (number, pad)))
    }

    /// Grows with every change to what is shown of gamepads.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The next message for the client.
    pub fn poll_feedback(&mut self) -> Option<HostMessage> {
        self.feedback.pop_front()
    }

    /// A gamepad was plugged in, or said again what it is.
    pub fn arrive(&mut self, arrival: &ControllerArrival) {
        self.version += 1;
        let controller = arrival.controller;
        self.place(controller, Pad::new(controller, arrival.kind, arrival.capabilities));
        let sensors =
            [(Capabilities::ACCELEROMETER, MotionKind::Accelerometer), (Capabilities::GYRO, MotionKind::Gyro)];
        for (capability, kind) in sensors {
            if arrival.capabilities.contains(capability) {
                self.say(HostMessage::MotionRequest(MotionRequest { controller, rate_hz: MOTION_RATE_HZ, kind }));
            }
        }
    }

    /// The state of a gamepad. One that was not announced is made here, one that is gone is removed.
    pub fn state(&mut self, state: &ControllerState) {
        self.version += 1;
        let controller = state.controller;
        if !state.is_present() {
            self.slots[usize::from(controller.get())] = None;
            return;
        }
        if self.slots[usize::from(controller.get())].is_none() {
            self.place(controller, Pad::new(controller, ControllerKind::Unknown, Capabilities::RUMBLE));
        }
        let Some(pad) = &mut self.slots[usize::from(controller.get())] else { return };
        let pressed = state.buttons.difference(pad.buttons);
        pad.buttons = state.buttons;
        pad.triggers = [state.left_trigger, state.right_trigger];
        pad.sticks = [state.left_stick, state.right_stick];
        let answers = pad.answer(controller, pressed);
        for answer in answers.into_iter().flatten() {
            self.say(answer);
        }
    }

    /// A finger on a touchpad.
    pub fn touch(&mut self, event: &ControllerTouch) {
        self.version += 1;
        let Some(pad) = &mut self.slots[usize::from(event.controller.get())] else { return };
        let finger = Finger { id: (event.touchpad, event.pointer), x: event.x.get(), y: event.y.get() };
        match event.event {
            PointerEvent::Hover | PointerEvent::Down | PointerEvent::Move => {
                match pad.fingers.iter().position(|known| known.id == finger.id) {
                    Some(known) => pad.fingers[known] = finger,
                    None if pad.fingers.len() < MAX_FINGERS => pad.fingers.push(finger),
                    None => {}
                }
            }
            PointerEvent::Up | PointerEvent::Cancel | PointerEvent::HoverLeave => {
                pad.fingers.retain(|known| known.id != finger.id);
            }
            PointerEvent::CancelAll => pad.fingers.clear(),
            PointerEvent::ButtonOnly => {}
        }
    }

    /// A sample of a motion sensor.
    pub fn motion(&mut self, event: &ControllerMotion) {
        self.version += 1;
        if let Some(pad) = &mut self.slots[usize::from(event.controller.get())] {
            match event.kind {
                MotionKind::Accelerometer => pad.acceleration = Some(event.values()),
                MotionKind::Gyro => pad.rotation = Some(event.values()),
            }
        }
    }

    /// News of a battery.
    pub fn battery(&mut self, event: &ControllerBattery) {
        self.version += 1;
        if let Some(pad) = &mut self.slots[usize::from(event.controller.get())] {
            pad.battery = Some((event.state, event.charge.map(|charge| charge.get())));
        }
    }

    /// Lets go of every control. The pads stay, as they do for the programs of a real desktop.
    pub fn release_all(&mut self) {
        self.version += 1;
        for number in 0..ControllerIndex::COUNT as u8 {
            let Some(controller) = ControllerIndex::new(number) else { continue };
            let Some(pad) = &mut self.slots[usize::from(number)] else { continue };
            pad.buttons = Buttons::EMPTY;
            pad.triggers = [0; 2];
            pad.sticks = [Stick::default(); 2];
            pad.fingers.clear();
            let answers = pad.answer(controller, Buttons::EMPTY);
            for answer in answers.into_iter().flatten() {
                self.say(answer);
            }
        }
    }

    fn place(&mut self, controller: ControllerIndex, pad: Pad) {
        let light = pad.light;
        self.slots[usize::from(controller.get())] = Some(pad);
        self.say(HostMessage::Led(Led { controller, colour: Rgb(light) }));
    }

    fn say(&mut self, message: HostMessage) {
        if self.feedback.len() == MAX_WAITING {
            self.feedback.pop_front();
        }
        self.feedback.push_back(message);
    }
}

impl Pad {
    fn new(controller: ControllerIndex, kind: ControllerKind, capabilities: Capabilities) -> Self {
        Self {
            kind,
            capabilities,
            buttons: Buttons::EMPTY,
            triggers: [0; 2],
            sticks: [Stick::default(); 2],
            battery: None,
            acceleration: None,
            rotation: None,
            fingers: Vec::new(),
            light: rest_light(controller),
            rumbling: false,
            trigger_rumble: [0; 2],
        }
    }

    /// The feedback that the pad's present state deserves, as far as it changed; `pressed` just went down.
    fn answer(&mut self, controller: ControllerIndex, pressed: Buttons) -> [Option<HostMessage>; 3] {
        let held = !self.buttons.is_empty();
        let rumble = (held != self.rumbling).then(|| {
            let (low_frequency, high_frequency) = if held { (0x6000, 0xA000) } else { (0, 0) };
            HostMessage::Rumble(Rumble { controller, low_frequency, high_frequency })
        });
        self.rumbling = held;

        let light = match (held, press_light(pressed)) {
            (false, _) => rest_light(controller),
            (true, None) => self.light,
            (true, Some(light)) => light,
        };
        let led = (light != self.light).then_some(HostMessage::Led(Led { controller, colour: Rgb(light) }));
        self.light = light;

        // Eight steps are enough to feel and keep the control channel quiet.
        let steps = self.triggers.map(|pull| pull.div_ceil(32));
        let able = self.capabilities.contains(Capabilities::TRIGGER_RUMBLE);
        let triggers = (able && steps != self.trigger_rumble).then(|| {
            let [left, right] = steps.map(|step| u16::from(step) * 8191);
            HostMessage::TriggerRumble(TriggerRumble { controller, left, right })
        });
        self.trigger_rumble = steps;
        [rumble, led, triggers]
    }
}

fn rest_light(controller: ControllerIndex) -> [u8; 3] {
    LIGHTS[usize::from(controller.get()) % LIGHTS.len()]
}

/// The light of the buttons that just went down; face buttons have colours of their own.
fn press_light(pressed: Buttons) -> Option<[u8; 3]> {
    let faces = [
        (Buttons::A, [0x30, 0xFF, 0x40]),
        (Buttons::B, [0xFF, 0x20, 0x20]),
        (Buttons::X, [0x20, 0x50, 0xFF]),
        (Buttons::Y, [0xFF, 0xD0, 0x20]),
    ];
    let face = faces.into_iter().find(|(button, _)| pressed.contains(*button)).map(|(_, light)| light);
    face.or((!pressed.is_empty()).then_some([0xFF, 0xFF, 0xFF]))
}
