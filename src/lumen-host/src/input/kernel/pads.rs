//! Which controller of a client is which gamepad here, from the first word of it until it is gone. What a gamepad is
//! made of, and how the kernel is asked for it, is not known here.

use std::collections::VecDeque;
use std::time::Instant;

use lumen_core::gamestream::control::{HostMessage, MotionRequest, Rumble};
use lumen_core::gamestream::input::{
    Buttons, Capabilities, ControllerArrival, ControllerBattery, ControllerIndex, ControllerKind, ControllerMotion,
    ControllerState, ControllerTouch, InputEvent, MotionKind,
};

use super::nodes::KernelInputError;

/// Samples a second that are asked of a client's motion sensors.
pub const MOTION_RATE_HZ: u16 = 100;

/// Messages that wait for the session at most; when it does not fetch them, the oldest are forgotten.
const MAX_WAITING: usize = 128;

/// A gamepad that programs see.
pub trait Pad: Send {
    /// Buttons, triggers and sticks.
    fn state(&mut self, state: &ControllerState, now: Instant);
    /// A finger on the touchpad.
    fn touch(&mut self, event: &ControllerTouch, now: Instant);
    /// A sample of a motion sensor.
    fn motion(&mut self, event: &ControllerMotion, now: Instant);
    /// News of the battery.
    fn battery(&mut self, event: &ControllerBattery, now: Instant);
    /// Lets go of everything.
    fn release(&mut self, now: Instant);
    /// Whether programs see motion sensors.
    fn senses_motion(&self) -> bool;
    /// What a client must be told that comes to this pad: its light and motors as they are.
    fn present_feedback(&self, out: &mut Vec<HostMessage>);
    /// Answers the kernel, and gathers what the client is to be told. Returns at once.
    fn serve(&mut self, now: Instant, out: &mut Vec<HostMessage>);
    /// When to serve it though the kernel wants nothing.
    fn deadline(&self, now: Instant) -> Option<Instant>;
}

/// What a gamepad looks like to programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PadKind {
    /// Xbox 360.
    Xbox,
    /// Switch Pro, without motion sensors.
    Nintendo,
    /// DualSense.
    DualSense,
}

/// Makes gamepads.
pub trait Workshop: Send {
    /// Makes one.
    ///
    /// # Errors
    /// If the kernel does not make it.
    fn make(
        &mut self,
        kind: PadKind,
        controller: ControllerIndex,
        buttons: Buttons,
        now: Instant,
    ) -> Result<Box<dyn Pad>, KernelInputError>;
}

/// All gamepads of a session.
pub struct Pads {
    workshop: Box<dyn Workshop>,
    slots: [Slot; ControllerIndex::COUNT],
    feedback: VecDeque<HostMessage>,
    said: bool,
}

enum Slot {
    Empty,
    /// The kernel did not make it; not tried again until the client says again what it is.
    Failed,
    Plugged {
        wanted: PadKind,
        pad: Box<dyn Pad>,
    },
}

impl PadKind {
    /// What a client's controller becomes. Unknown makes are Xbox pads, and so is a make that has no pad of its own
    /// here unless it has sensors or a touchpad: then it is a DualSense, which has both.
    pub fn of(kind: ControllerKind, capabilities: Capabilities) -> Self {
        let senses = [Capabilities::GYRO, Capabilities::ACCELEROMETER, Capabilities::TOUCHPAD];
        match kind {
            ControllerKind::PlayStation => Self::DualSense,
            ControllerKind::Steam if senses.into_iter().any(|sense| capabilities.contains(sense)) => Self::DualSense,
            ControllerKind::Nintendo => Self::Nintendo,
            ControllerKind::Steam | ControllerKind::Xbox | ControllerKind::Unknown => Self::Xbox,
        }
    }
}

impl Pads {
    /// No gamepads yet.
    pub fn new(workshop: Box<dyn Workshop>) -> Self {
        Self { workshop, slots: [const { Slot::Empty }; _], feedback: VecDeque::new(), said: false }
    }

    /// Applies an event of a controller; others mean nothing here.
    pub fn handle(&mut self, event: &InputEvent, now: Instant) {
        match event {
            InputEvent::ControllerArrival(arrival) => self.arrive(arrival, now),
            InputEvent::Controller(state) => self.state(state, now),
            InputEvent::ControllerTouch(touch) => self.with(touch.controller, |pad| pad.touch(touch, now)),
            InputEvent::ControllerMotion(motion) => self.with(motion.controller, |pad| pad.motion(motion, now)),
            InputEvent::ControllerBattery(battery) => self.with(battery.controller, |pad| pad.battery(battery, now)),
            _ => {}
        }
    }

    /// Lets go of every control. The gamepads stay: programs need not know that a client is away.
    pub fn release_all(&mut self, now: Instant) {
        for slot in &mut self.slots {
            if let Slot::Plugged { pad, .. } = slot {
                pad.release(now);
            }
        }
    }

    /// Answers the kernel. Returns when to do so again though it wants nothing.
    pub fn serve(&mut self, now: Instant) -> Option<Instant> {
        let mut told = Vec::new();
        let mut next: Option<Instant> = None;
        for slot in &mut self.slots {
            if let Slot::Plugged { pad, .. } = slot {
                pad.serve(now, &mut told);
                next = pad.deadline(now).into_iter().chain(next).min();
            }
        }
        told.into_iter().for_each(|message| self.say(message));
        next
    }

    /// The next message for the client.
    pub fn poll_feedback(&mut self) -> Option<HostMessage> {
        self.feedback.pop_front()
    }

    /// A client has a controller, or came back with it: then programs keep their gamepad.
    fn arrive(&mut self, arrival: &ControllerArrival, now: Instant) {
        let controller = arrival.controller;
        let kind = PadKind::of(arrival.kind, arrival.capabilities);
        let slot = &self.slots[usize::from(controller.get())];
        if !matches!(slot, Slot::Plugged { wanted, .. } if *wanted == kind) {
            self.remove(controller);
            self.plug(controller, kind, arrival.buttons, now);
        }
        let Slot::Plugged { pad, .. } = &self.slots[usize::from(controller.get())] else { return };
        let senses = pad.senses_motion();
        let mut told = Vec::new();
        pad.present_feedback(&mut told);
        let sensors =
            [(Capabilities::ACCELEROMETER, MotionKind::Accelerometer), (Capabilities::GYRO, MotionKind::Gyro)];
        for (capability, kind) in sensors {
            if senses && arrival.capabilities.contains(capability) {
                told.push(HostMessage::MotionRequest(MotionRequest { controller, rate_hz: MOTION_RATE_HZ, kind }));
            }
        }
        told.into_iter().for_each(|message| self.say(message));
    }

    /// Older clients say nothing of a controller but its state.
    fn state(&mut self, state: &ControllerState, now: Instant) {
        let controller = state.controller;
        if !state.is_present() {
            self.remove(controller);
            return;
        }
        if matches!(self.slots[usize::from(controller.get())], Slot::Empty) {
            self.plug(controller, PadKind::of(ControllerKind::Unknown, Capabilities::EMPTY), Buttons::EMPTY, now);
        }
        self.with(controller, |pad| pad.state(state, now));
    }

    fn plug(&mut self, controller: ControllerIndex, wanted: PadKind, buttons: Buttons, now: Instant) {
        let made = self.workshop.make(wanted, controller, buttons, now).or_else(|error| match wanted {
            PadKind::DualSense => {
                tracing::warn!(%error, remedy = error.remedy(), "no DualSense; an Xbox pad takes its place");
                self.workshop.make(PadKind::Xbox, controller, buttons, now)
            }
            _ => Err(error),
        });
        self.slots[usize::from(controller.get())] = match made {
            Ok(pad) => {
                tracing::info!(controller = controller.get(), kind = ?wanted, "gamepad plugged in");
                Slot::Plugged { wanted, pad }
            }
            Err(error) => {
                if !std::mem::replace(&mut self.said, true) {
                    tracing::error!(%error, remedy = error.remedy(), "this session goes on without gamepads");
                }
                Slot::Failed
            }
        };
    }

    fn remove(&mut self, controller: ControllerIndex) {
        let slot = std::mem::replace(&mut self.slots[usize::from(controller.get())], Slot::Empty);
        if matches!(slot, Slot::Plugged { .. }) {
            tracing::info!(controller = controller.get(), "gamepad removed");
            // Programs that made it rumble have no pad left to stop it with.
            self.say(HostMessage::Rumble(Rumble { controller, low_frequency: 0, high_frequency: 0 }));
        }
    }

    fn with(&mut self, controller: ControllerIndex, act: impl FnOnce(&mut dyn Pad)) {
        if let Slot::Plugged { pad, .. } = &mut self.slots[usize::from(controller.get())] {
            act(&mut **pad);
        }
    }

    fn say(&mut self, message: HostMessage) {
        if self.feedback.len() == MAX_WAITING {
            self.feedback.pop_front();
        }
        self.feedback.push_back(message);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use lumen_core::gamestream::input::ControllerMask;

    use super::super::nodes::Node;
    use super::*;

    #[derive(Debug, PartialEq, Eq)]
    enum Deed {
        Made(PadKind, u8),
        State(u8, Buttons),
        Released(u8),
        Gone(u8),
    }

    struct Shop(Sender<Deed>, Vec<PadKind>);

    struct Toy(Sender<Deed>, u8, PadKind);

    impl Workshop for Shop {
        fn make(
            &mut self,
            kind: PadKind,
            controller: ControllerIndex,
            _: Buttons,
            _: Instant,
        ) -> Result<Box<dyn Pad>, KernelInputError> {
            if !self.1.contains(&kind) {
                return Err(KernelInputError::Missing(Node::Uhid));
            }
            self.0.send(Deed::Made(kind, controller.get())).unwrap();
            Ok(Box::new(Toy(self.0.clone(), controller.get(), kind)))
        }
    }

    impl Pad for Toy {
        fn state(&mut self, state: &ControllerState, _: Instant) {
            self.0.send(Deed::State(self.1, state.buttons)).unwrap();
        }
        fn touch(&mut self, _: &ControllerTouch, _: Instant) {}
        fn motion(&mut self, _: &ControllerMotion, _: Instant) {}
        fn battery(&mut self, _: &ControllerBattery, _: Instant) {}
        fn release(&mut self, _: Instant) {
            self.0.send(Deed::Released(self.1)).unwrap();
        }
        fn senses_motion(&self) -> bool {
            self.2 == PadKind::DualSense
        }
        fn present_feedback(&self, _: &mut Vec<HostMessage>) {}
        fn serve(&mut self, _: Instant, _: &mut Vec<HostMessage>) {}
        fn deadline(&self, _: Instant) -> Option<Instant> {
            None
        }
    }

    impl Drop for Toy {
        fn drop(&mut self) {
            // The test may be over.
            let _ = self.0.send(Deed::Gone(self.1));
        }
    }

    const ALL: [PadKind; 3] = [PadKind::Xbox, PadKind::Nintendo, PadKind::DualSense];

    fn pads(able: &[PadKind]) -> (Pads, Receiver<Deed>) {
        let (sender, receiver) = channel();
        (Pads::new(Box::new(Shop(sender, able.to_vec()))), receiver)
    }

    fn index(number: u8) -> ControllerIndex {
        ControllerIndex::new(number).unwrap()
    }

    fn arrival(number: u8, kind: ControllerKind, capabilities: Capabilities) -> InputEvent {
        let buttons = Buttons::EMPTY;
        InputEvent::ControllerArrival(ControllerArrival { controller: index(number), kind, capabilities, buttons })
    }

    fn state(number: u8, mask: u16, buttons: Buttons) -> InputEvent {
        let mask = ControllerMask(mask);
        InputEvent::Controller(ControllerState { mask, buttons, ..ControllerState::idle(index(number)) })
    }

    fn deeds(receiver: &Receiver<Deed>) -> Vec<Deed> {
        receiver.try_iter().collect()
    }

    #[test]
    fn every_make_has_its_pad() {
        let of = |kind| PadKind::of(kind, Capabilities::ALL);
        assert_eq!(of(ControllerKind::PlayStation), PadKind::DualSense);
        assert_eq!(of(ControllerKind::Steam), PadKind::DualSense);
        assert_eq!(of(ControllerKind::Nintendo), PadKind::Nintendo);
        assert_eq!(of(ControllerKind::Xbox), PadKind::Xbox);
        assert_eq!(of(ControllerKind::Unknown), PadKind::Xbox);
        assert_eq!(PadKind::of(ControllerKind::Steam, Capabilities::RUMBLE), PadKind::Xbox);
    }

    #[test]
    fn a_controller_that_was_not_announced_becomes_an_xbox_pad_and_goes_with_its_bit() {
        let (mut pads, seen) = pads(&ALL);
        let now = Instant::now();
        pads.handle(&state(2, 0b100, Buttons::A), now);
        pads.handle(&state(2, 0b100, Buttons::B), now);
        let made = [Deed::Made(PadKind::Xbox, 2), Deed::State(2, Buttons::A), Deed::State(2, Buttons::B)];
        assert_eq!(deeds(&seen), made);
        // Another controller's packet says nothing of this one.
        pads.handle(&state(0, 0b001, Buttons::EMPTY), now);
        pads.handle(&state(2, 0b001, Buttons::EMPTY), now);
        assert_eq!(deeds(&seen), [Deed::Made(PadKind::Xbox, 0), Deed::State(0, Buttons::EMPTY), Deed::Gone(2)]);
    }

    #[test]
    fn a_pad_with_sensors_is_asked_for_samples_and_again_when_its_client_comes_back() {
        let (mut pads, seen) = pads(&ALL);
        let request =
            |kind| HostMessage::MotionRequest(MotionRequest { controller: index(1), rate_hz: MOTION_RATE_HZ, kind });
        for _ in 0..2 {
            pads.handle(&arrival(1, ControllerKind::PlayStation, Capabilities::ALL), Instant::now());
            let told: Vec<_> = std::iter::from_fn(|| pads.poll_feedback()).collect();
            assert_eq!(told, [request(MotionKind::Accelerometer), request(MotionKind::Gyro)]);
        }
        assert_eq!(deeds(&seen), [Deed::Made(PadKind::DualSense, 1)]);
    }

    #[test]
    fn sensors_that_programs_do_not_see_are_left_alone() {
        let (mut pads, _seen) = pads(&ALL);
        pads.handle(&arrival(0, ControllerKind::Nintendo, Capabilities::ALL), Instant::now());
        assert_eq!(pads.poll_feedback(), None);
    }

    #[test]
    fn another_make_in_the_same_place_replaces_the_pad_and_stops_its_rumble() {
        let (mut pads, seen) = pads(&ALL);
        let now = Instant::now();
        pads.handle(&state(0, 1, Buttons::EMPTY), now);
        pads.handle(&arrival(0, ControllerKind::PlayStation, Capabilities::RUMBLE), now);
        assert_eq!(
            deeds(&seen),
            [
                Deed::Made(PadKind::Xbox, 0),
                Deed::State(0, Buttons::EMPTY),
                Deed::Gone(0),
                Deed::Made(PadKind::DualSense, 0)
            ]
        );
        let stop = Rumble { controller: index(0), low_frequency: 0, high_frequency: 0 };
        assert_eq!(pads.poll_feedback(), Some(HostMessage::Rumble(stop)));
    }

    #[test]
    fn without_uhid_a_playstation_pad_is_an_xbox_pad_and_stays_so() {
        let (mut pads, seen) = pads(&[PadKind::Xbox]);
        for _ in 0..2 {
            pads.handle(&arrival(0, ControllerKind::PlayStation, Capabilities::ALL), Instant::now());
        }
        assert_eq!(deeds(&seen), [Deed::Made(PadKind::Xbox, 0)]);
        assert_eq!(pads.poll_feedback(), None);
    }

    #[test]
    fn without_any_node_states_are_ignored_and_nothing_is_tried_at_every_packet() {
        let (mut pads, seen) = pads(&[]);
        for _ in 0..3 {
            pads.handle(&state(0, 1, Buttons::A), Instant::now());
        }
        assert!(matches!(pads.slots[0], Slot::Failed));
        assert_eq!(deeds(&seen), []);
    }

    #[test]
    fn sixteen_pads_fit_and_all_are_released() {
        let (mut pads, seen) = pads(&ALL);
        let now = Instant::now();
        for number in 0..16 {
            pads.handle(&arrival(number, ControllerKind::Xbox, Capabilities::RUMBLE), now);
        }
        assert_eq!(deeds(&seen).len(), 16);
        pads.release_all(now);
        assert_eq!(deeds(&seen), (0..16).map(Deed::Released).collect::<Vec<_>>());
    }

    #[test]
    fn feedback_that_nobody_fetches_does_not_pile_up() {
        let (mut pads, _seen) = pads(&ALL);
        for _ in 0..200 {
            pads.handle(&arrival(0, ControllerKind::PlayStation, Capabilities::ALL), Instant::now());
        }
        assert_eq!(std::iter::from_fn(|| pads.poll_feedback()).count(), MAX_WAITING);
    }
}
