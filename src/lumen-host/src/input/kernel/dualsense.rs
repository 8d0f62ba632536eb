//! A DualSense that the kernel's hid-playstation driver takes for a real one on USB: pad, motion sensors, touchpad,
//! battery, light, rumble and adaptive triggers. Reports are those of [`lumen_core::gamestream::input::dualsense`].

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use lumen_core::gamestream::control::HostMessage;
use lumen_core::gamestream::input::dualsense::{
    self, CALIBRATION_ID, CALIBRATION_REPORT, Contact, FIRMWARE_ID, InputReport, OutputReport, PAIRING_ID,
    REPORT_DESCRIPTOR, TOUCHPAD_HEIGHT, TOUCHPAD_WIDTH, TouchPoint,
};
use lumen_core::gamestream::input::{
    ControllerBattery, ControllerIndex, ControllerMotion, ControllerState, ControllerTouch, MotionKind, PointerEvent,
    PointerId, TouchpadIndex,
};

use super::nodes::KernelInputError;
use super::pads::Pad;
use super::uhid::{Description, Request, Uhid};
use super::uinput::Label;

/// A report goes out at least that often, as the hardware's do: a program that opens the device waits for one.
const REPORT_INTERVAL: Duration = Duration::from_millis(50);

/// Versions of hardware, firmware and update that the device says it has. Later updates rumble by another flag.
const FIRMWARE: (u32, u32, u16) = (0x0100_0216, 0x0100_0036, 0x0100);

/// A DualSense.
#[derive(Debug)]
pub struct DualSense {
    device: Uhid,
    controller: ControllerIndex,
    address: [u8; 6],
    report: Report,
    rumble: Option<HostMessage>,
    light: Option<HostMessage>,
    sent: Instant,
}

impl DualSense {
    /// Plugs it in.
    ///
    /// # Errors
    /// If the kernel does not make it.
    pub fn new(session: &str, controller: ControllerIndex, now: Instant) -> Result<Self, KernelInputError> {
        let label = Label::new(session, &format!("pad{}", controller.get()), "DualSense");
        let address = address(session, controller);
        let device = Uhid::new(&Description {
            name: &label.name(),
            path: &label.path,
            unique: &label.path,
            vendor: dualsense::VENDOR,
            product: dualsense::PRODUCT,
            version: dualsense::VERSION,
            descriptor: &REPORT_DESCRIPTOR,
        })?;
        let report = Report::new(controller, now);
        Ok(Self { device, controller, address, report, rumble: None, light: None, sent: now })
    }

    fn send(&mut self, now: Instant) {
        self.device.input(&self.report.next(now));
        self.sent = now;
    }

    fn output(&mut self, report: &[u8], out: &mut Vec<HostMessage>) {
        let Some(output) = OutputReport::parse(report) else { return };
        for message in output.messages(self.controller) {
            match message {
                HostMessage::Rumble(_) if self.rumble == Some(message) => continue,
                HostMessage::Rumble(_) => self.rumble = Some(message),
                HostMessage::Led(_) if self.light == Some(message) => continue,
                HostMessage::Led(_) => self.light = Some(message),
                _ => {}
            }
            out.push(message);
        }
    }

    fn feature(&self, report: u8) -> Option<Vec<u8>> {
        let (hardware, firmware, update) = FIRMWARE;
        match report {
            CALIBRATION_ID => Some(CALIBRATION_REPORT.to_vec()),
            PAIRING_ID => Some(dualsense::pairing_report(self.address).to_vec()),
            FIRMWARE_ID => Some(dualsense::firmware_report(hardware, firmware, update).to_vec()),
            _ => None,
        }
    }
}

impl Pad for DualSense {
    fn state(&mut self, state: &ControllerState, now: Instant) {
        self.report.state = *state;
        self.send(now);
    }

    fn touch(&mut self, event: &ControllerTouch, now: Instant) {
        self.report.touchpad.apply(event);
        self.send(now);
    }

    fn motion(&mut self, event: &ControllerMotion, now: Instant) {
        self.report.motion(event);
        self.send(now);
    }

    fn battery(&mut self, event: &ControllerBattery, now: Instant) {
        self.report.battery = Some(*event);
        self.send(now);
    }

    fn release(&mut self, now: Instant) {
        self.report = Report { battery: self.report.battery, ..self.report.idle() };
        self.send(now);
    }

    fn senses_motion(&self) -> bool {
        true
    }

    fn present_feedback(&self, out: &mut Vec<HostMessage>) {
        out.extend(self.light.into_iter().chain(self.rumble));
    }

    fn serve(&mut self, now: Instant, out: &mut Vec<HostMessage>) {
        while let Some(request) = self.device.request() {
            match request {
                Request::Open => self.send(now),
                Request::Output(report) => self.output(&report, out),
                Request::Get { id, report } => {
                    let answer = self.feature(report);
                    self.device.reply(id, answer.as_deref());
                }
                Request::Set { id, report } => {
                    self.device.accept(id);
                    self.output(&report, out);
                }
            }
        }
        if now >= self.sent + REPORT_INTERVAL {
            self.send(now);
        }
    }

    fn deadline(&self, _now: Instant) -> Option<Instant> {
        Some(self.sent + REPORT_INTERVAL)
    }
}

impl AsFd for DualSense {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

/// Address of a pad: locally administered, and unlike that of any other pad, since the driver refuses a second one.
fn address(session: &str, controller: ControllerIndex) -> [u8; 6] {
    // FNV-1a.
    let hash = session.bytes().fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let [a, b, c, d] = hash.to_be_bytes();
    [0x02, a, b, c, d, controller.get()]
}

/// Everything that input reports show.
#[derive(Debug, Clone)]
struct Report {
    state: ControllerState,
    sequence: u8,
    gyro: [i16; 3],
    accelerometer: [i16; 3],
    touchpad: Touchpad,
    battery: Option<ControllerBattery>,
    since: Instant,
}

impl Report {
    fn new(controller: ControllerIndex, since: Instant) -> Self {
        Self {
            state: ControllerState::idle(controller),
            sequence: 0,
            gyro: [0; 3],
            accelerometer: [0; 3],
            touchpad: Touchpad::default(),
            battery: None,
            since,
        }
    }

    /// At rest; its clock and its numbers go on.
    fn idle(&self) -> Self {
        let mut touchpad = self.touchpad.clone();
        touchpad.clear();
        Self { sequence: self.sequence, touchpad, ..Self::new(self.state.controller, self.since) }
    }

    fn motion(&mut self, event: &ControllerMotion) {
        let raw = event.values().map(|value| dualsense::raw_motion(event.kind, value.into()));
        match event.kind {
            MotionKind::Gyro => self.gyro = raw,
            MotionKind::Accelerometer => self.accelerometer = raw,
        }
    }

    fn next(&mut self, now: Instant) -> [u8; InputReport::LENGTH] {
        self.sequence = self.sequence.wrapping_add(1);
        let elapsed = now.saturating_duration_since(self.since);
        InputReport {
            state: self.state,
            sequence: self.sequence,
            gyro: self.gyro,
            accelerometer: self.accelerometer,
            // A third of a microsecond each; wraps.
            sensor_timestamp: (elapsed.as_nanos() * 3 / 1000) as u32,
            touches: self.touchpad.points,
            battery: dualsense::battery_byte(self.battery),
        }
        .to_bytes()
    }
}

/// The touchpad: two contacts, whichever touchpads of the client they come from.
#[derive(Debug, Clone)]
struct Touchpad {
    points: [TouchPoint; 2],
    fingers: [Option<(TouchpadIndex, PointerId)>; 2],
    next: u8,
}

impl Default for Touchpad {
    fn default() -> Self {
        Self { points: [TouchPoint::NONE; 2], fingers: [None; 2], next: 0 }
    }
}

impl Touchpad {
    fn apply(&mut self, event: &ControllerTouch) {
        let finger = (event.touchpad, event.pointer);
        let known = self.fingers.iter().position(|known| *known == Some(finger));
        match event.event {
            PointerEvent::Down | PointerEvent::Move => {
                // A third finger has no place.
                let Some(slot) = known.or_else(|| self.fingers.iter().position(Option::is_none)) else { return };
                if known.is_none() {
                    self.fingers[slot] = Some(finger);
                    self.points[slot].id = self.next;
                    self.next = (self.next + 1) & 0x7F;
                }
                let place = |part: f32, size: u16| (part * f32::from(size - 1)).round() as u16;
                self.points[slot].contact = Contact::Touching;
                self.points[slot].x = place(event.x.get(), TOUCHPAD_WIDTH);
                self.points[slot].y = place(event.y.get(), TOUCHPAD_HEIGHT);
            }
            PointerEvent::Up | PointerEvent::Cancel | PointerEvent::HoverLeave => {
                if let Some(slot) = known {
                    self.lift(slot);
                }
            }
            PointerEvent::CancelAll => self.clear(),
            PointerEvent::Hover | PointerEvent::ButtonOnly => {}
        }
    }

    fn clear(&mut self) {
        for slot in 0..self.fingers.len() {
            self.lift(slot);
        }
    }

    fn lift(&mut self, slot: usize) {
        self.fingers[slot] = None;
        self.points[slot].contact = Contact::Lifted;
    }
}

#[cfg(test)]
mod tests {
    use lumen_core::gamestream::input::Fraction;
    use proptest::prelude::*;

    use super::*;

    const PAD: ControllerIndex = match ControllerIndex::new(3) {
        Some(index) => index,
        None => panic!("controller 3"),
    };

    fn touch(event: PointerEvent, pointer: u32, x: f32, y: f32) -> ControllerTouch {
        let part = |value| Fraction::try_from(value).unwrap();
        ControllerTouch {
            controller: PAD,
            event,
            touchpad: TouchpadIndex(0),
            pointer: PointerId(pointer),
            x: part(x),
            y: part(y),
            pressure: Fraction::ONE,
        }
    }

    #[test]
    fn two_fingers_have_a_slot_each_and_every_contact_a_new_number() {
        let mut pad = Touchpad::default();
        pad.apply(&touch(PointerEvent::Down, 70, 0.0, 0.0));
        pad.apply(&touch(PointerEvent::Move, 71, 1.0, 1.0));
        pad.apply(&touch(PointerEvent::Down, 72, 0.5, 0.5));
        let at = |contact, id, x, y| TouchPoint { contact, id, x, y };
        assert_eq!(pad.points, [at(Contact::Touching, 0, 0, 0), at(Contact::Touching, 1, 1919, 1079)]);
        pad.apply(&touch(PointerEvent::Up, 70, 0.0, 0.0));
        pad.apply(&touch(PointerEvent::Down, 72, 0.5, 0.5));
        assert_eq!(pad.points, [at(Contact::Touching, 2, 960, 540), at(Contact::Touching, 1, 1919, 1079)]);
        pad.apply(&touch(PointerEvent::CancelAll, 0, 0.0, 0.0));
        assert!(pad.points.iter().all(|point| point.contact == Contact::Lifted));
    }

    #[test]
    fn the_sensor_clock_runs_with_real_time() {
        let start = Instant::now();
        let mut report = Report::new(PAD, start);
        let stamp = |report: [u8; 64]| u32::from_le_bytes([report[28], report[29], report[30], report[31]]);
        let first = stamp(report.next(start + Duration::from_millis(1)));
        assert_eq!(first, 3000);
        assert_eq!(stamp(report.next(start + Duration::from_millis(11))) - first, 30_000);
    }

    #[test]
    fn gravity_and_a_quarter_turn_a_second_come_out_in_raw_units() {
        let mut report = Report::new(PAD, Instant::now());
        let sample = |kind, values| ControllerMotion::new(PAD, kind, values).unwrap();
        report.motion(&sample(MotionKind::Accelerometer, [0.0, 9.80665, -1e9]));
        report.motion(&sample(MotionKind::Gyro, [90.0, 0.0, -90.0]));
        assert_eq!(report.accelerometer, [0, 8192, i16::MIN]);
        assert_eq!(report.gyro, [1475, 0, -1475]);
    }

    #[test]
    fn a_released_pad_is_at_rest_and_its_clock_goes_on() {
        let start = Instant::now();
        let mut report = Report::new(PAD, start);
        report.state.left_trigger = 9;
        report.touchpad.apply(&touch(PointerEvent::Down, 1, 0.5, 0.5));
        report.next(start);
        let idle = report.idle();
        assert_eq!(idle.state, ControllerState::idle(PAD));
        assert_eq!((idle.sequence, idle.since), (report.sequence, start));
        assert_eq!(idle.touchpad.points[0].contact, Contact::Lifted);
    }

    #[test]
    fn pads_of_two_sessions_have_different_addresses() {
        assert_ne!(address("1", PAD), address("2", PAD));
        assert_eq!(address("1", PAD)[0], 0x02);
        assert_eq!(address("1", PAD)[5], 3);
    }

    proptest! {
        #[test]
        fn no_output_report_panics(mut report in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = OutputReport::parse(&report).map(|output| output.messages(PAD).count());
            if let Some(number) = report.first_mut() {
                *number = 0x02;
            }
            prop_assert_eq!(OutputReport::parse(&report).is_some(), report.len() >= 48);
        }
    }
}
