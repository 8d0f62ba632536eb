//! The DualSense as a USB HID device (protocol part 3, section 4.2): reports that a host feeds to `/dev/uhid`, and
//! what games write back. Pure functions; the device itself is the input backend's.

use super::controller::{BatteryState, Buttons, ControllerBattery, ControllerState, MotionKind};
use crate::gamestream::control::{AdaptiveTriggers, HostMessage, Led, Rgb, Rumble, TriggerEffect};
use crate::gamestream::input::ControllerIndex;

/// USB vendor number.
pub const VENDOR: u16 = 0x054C;
/// USB product number.
pub const PRODUCT: u16 = 0x0CE6;
/// Device version.
pub const VERSION: u16 = 0x8111;
/// Report number of the calibration, a feature report.
pub const CALIBRATION_ID: u8 = 0x05;
/// Report number of the pairing information, a feature report.
pub const PAIRING_ID: u8 = 0x09;
/// Report number of the firmware information, a feature report.
pub const FIRMWARE_ID: u8 = 0x20;
/// Width of the touchpad in its own units; x is below it.
pub const TOUCHPAD_WIDTH: u16 = 1920;
/// Height of the touchpad in its own units; y is below it.
pub const TOUCHPAD_HEIGHT: u16 = 1080;

/// Raw units of the gyroscope for one degree a second, under [`CALIBRATION_REPORT`].
const GYRO_SCALE: f64 = 16.384;
/// Raw units of the accelerometer for one m/s², under [`CALIBRATION_REPORT`].
const ACCELEROMETER_SCALE: f64 = 8192.0 / 9.80665;

/// A motion sample as the device reports it: degrees a second or m/s² in, raw units out, rounded to the nearest
/// and cut to the range of the field. The driver undoes this with [`CALIBRATION_REPORT`].
pub fn raw_motion(kind: MotionKind, value: f64) -> i16 {
    let scale = match kind {
        MotionKind::Gyro => GYRO_SCALE,
        MotionKind::Accelerometer => ACCELEROMETER_SCALE,
    };
    (value * scale).round() as i16
}

/// One of the two contacts in an input report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TouchPoint {
    /// Whether a finger is there.
    pub contact: Contact,
    /// Number of the contact, 0..=127; a new one each time a finger comes down.
    pub id: u8,
    /// From the left, below [`TOUCHPAD_WIDTH`].
    pub x: u16,
    /// From the top, below [`TOUCHPAD_HEIGHT`].
    pub y: u16,
}

/// Whether a finger is on the touchpad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contact {
    /// It is.
    Touching,
    /// It was lifted.
    Lifted,
}

impl TouchPoint {
    /// No finger.
    pub const NONE: Self = Self { contact: Contact::Lifted, id: 0, x: 0, y: 0 };

    /// The four bytes in the report: flag and number, then x and y of 12 bits each.
    pub const fn to_bytes(self) -> [u8; 4] {
        let lifted = match self.contact {
            Contact::Touching => 0,
            Contact::Lifted => 0x80,
        };
        let [x_low, x_high] = self.x.to_le_bytes();
        [lifted | self.id & 0x7F, x_low, x_high & 0x0F | (self.y << 4) as u8, (self.y >> 4) as u8]
    }
}

/// Everything in an input report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputReport {
    /// Buttons, triggers and sticks.
    pub state: ControllerState,
    /// Counts reports.
    pub sequence: u8,
    /// Raw gyroscope sample, x, y, z; see [`raw_motion`].
    pub gyro: [i16; 3],
    /// Raw accelerometer sample, x, y, z; see [`raw_motion`].
    pub accelerometer: [i16; 3],
    /// Time in units of a third of a microsecond; it must run with real time in every report.
    pub sensor_timestamp: u32,
    /// The two contacts of the touchpad.
    pub touches: [TouchPoint; 2],
    /// Battery byte; see [`battery_byte`].
    pub battery: u8,
}

impl InputReport {
    /// Bytes of the report with its number.
    pub const LENGTH: usize = 64;

    /// Report 0x01.
    pub fn to_bytes(&self) -> [u8; Self::LENGTH] {
        let ControllerState { buttons, left_trigger, right_trigger, left_stick, right_stick, .. } = self.state;
        let bit = |button, bit: u8| if buttons.contains(button) { bit } else { 0 };
        let pulled = |trigger: u8, bit: u8| if trigger > 0 { bit } else { 0 };
        let mut report = [0; Self::LENGTH];
        report[0] = 0x01;
        report[1] = stick_byte(left_stick.x);
        report[2] = stick_byte(left_stick.y.saturating_neg());
        report[3] = stick_byte(right_stick.x);
        report[4] = stick_byte(right_stick.y.saturating_neg());
        report[5] = left_trigger;
        report[6] = right_trigger;
        report[7] = self.sequence;
        report[8] = hat(buttons)
            | bit(Buttons::X, 0x10)
            | bit(Buttons::A, 0x20)
            | bit(Buttons::B, 0x40)
            | bit(Buttons::Y, 0x80);
        report[9] = bit(Buttons::LB, 0x01)
            | bit(Buttons::RB, 0x02)
            | pulled(left_trigger, 0x04)
            | pulled(right_trigger, 0x08)
            | bit(Buttons::BACK, 0x10)
            | bit(Buttons::START, 0x20)
            | bit(Buttons::LEFT_STICK, 0x40)
            | bit(Buttons::RIGHT_STICK, 0x80);
        report[10] = bit(Buttons::GUIDE, 0x01) | bit(Buttons::TOUCHPAD, 0x02) | bit(Buttons::MISC, 0x04);
        for (field, value) in report[16..28].chunks_exact_mut(2).zip(self.gyro.into_iter().chain(self.accelerometer)) {
            field.copy_from_slice(&value.to_le_bytes());
        }
        report[28..32].copy_from_slice(&self.sensor_timestamp.to_le_bytes());
        report[33..37].copy_from_slice(&self.touches[0].to_bytes());
        report[37..41].copy_from_slice(&self.touches[1].to_bytes());
        report[53] = self.battery;
        report
    }
}

/// The battery byte of an input report: tenths of the charge, and what the battery does. A battery of which
/// nothing is known counts as full, so that no game warns of it.
pub fn battery_byte(battery: Option<ControllerBattery>) -> u8 {
    const FULL: u8 = 0x20 | 10;
    let Some(battery) = battery else { return FULL };
    let level = battery.charge.map_or(10, |charge| charge.get() / 10);
    match battery.state {
        BatteryState::Discharging => level,
        BatteryState::Charging => 0x10 | level,
        BatteryState::Unknown | BatteryState::NotPresent | BatteryState::PluggedNotCharging | BatteryState::Full => {
            FULL
        }
    }
}

/// What a game wrote to the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutputReport {
    /// Left (heavy) and right (light) motor, if they are to change.
    pub motors: Option<[u8; 2]>,
    /// Colour of the light bar, if it is to change.
    pub light: Option<Rgb>,
    /// Left trigger, if it is to change.
    pub left_trigger: Option<TriggerEffect>,
    /// Right trigger, if it is to change.
    pub right_trigger: Option<TriggerEffect>,
}

impl OutputReport {
    /// Reads report 0x02, number included. `None` for other reports and for short ones.
    pub fn parse(report: &[u8]) -> Option<Self> {
        let report: &[u8; 48] = report.first_chunk()?;
        if report[0] != 0x02 {
            return None;
        }
        let [flag0, flag1, flag2] = [report[1], report[2], report[39]];
        let motors = flag0 & 0x01 != 0 || flag2 & 0x04 != 0;
        let effect = |start: usize| {
            let (mode, parameters) = report[start..].split_first()?;
            Some(TriggerEffect { mode: *mode, parameters: *parameters.first_chunk()? })
        };
        Some(Self {
            motors: motors.then_some([report[4], report[3]]),
            light: (flag1 & 0x04 != 0).then_some(Rgb([report[45], report[46], report[47]])),
            right_trigger: if flag0 & 0x04 != 0 { effect(11) } else { None },
            left_trigger: if flag0 & 0x08 != 0 { effect(22) } else { None },
        })
    }

    /// The messages that tell the client.
    pub fn messages(self, controller: ControllerIndex) -> impl Iterator<Item = HostMessage> {
        let rumble = self.motors.map(|[left, right]| {
            let [low_frequency, high_frequency] = [left, right].map(|speed| u16::from(speed) * 257);
            HostMessage::Rumble(Rumble { controller, low_frequency, high_frequency })
        });
        let light = self.light.map(|colour| HostMessage::Led(Led { controller, colour }));
        let triggers =
            (self.left_trigger.is_some() || self.right_trigger.is_some()).then_some(HostMessage::AdaptiveTriggers(
                AdaptiveTriggers { controller, left: self.left_trigger, right: self.right_trigger },
            ));
        [rumble, light, triggers].into_iter().flatten()
    }
}

/// Feature report 0x09: the address that tells two devices apart. The driver refuses a second device of the same
/// address.
pub fn pairing_report(address: [u8; 6]) -> [u8; 20] {
    let mut report = [0; 20];
    report[0] = PAIRING_ID;
    for (byte, part) in report[1..7].iter_mut().zip(address.iter().rev()) {
        *byte = *part;
    }
    report
}

/// Feature report 0x20: hardware, firmware and update version. From update version 0x0215 on the driver asks for
/// rumble by another flag; [`OutputReport::parse`] takes both.
pub fn firmware_report(hardware: u32, firmware: u32, update: u16) -> [u8; 64] {
    let mut report = [0; 64];
    report[0] = FIRMWARE_ID;
    report[24..28].copy_from_slice(&hardware.to_le_bytes());
    report[28..32].copy_from_slice(&firmware.to_le_bytes());
    report[44..46].copy_from_slice(&update.to_le_bytes());
    report
}

/// What a driver makes of a calibration report.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calibration {
    /// Raw units of the gyroscope for one degree a second, on each axis.
    pub gyro_raw_per_degree: [f64; 3],
    /// Raw units of the accelerometer for one g, on each axis.
    pub accelerometer_raw_per_g: [f64; 3],
}

impl Calibration {
    /// Reads feature report 0x05, number included. `None` if it is short or would divide by zero.
    pub fn parse(report: &[u8]) -> Option<Self> {
        let report: &[u8; 41] = report.first_chunk()?;
        let field = |index: usize| f64::from(i16::from_le_bytes([report[1 + 2 * index], report[2 + 2 * index]]));
        let speed = field(9) + field(10);
        if report[0] != CALIBRATION_ID || speed == 0.0 {
            return None;
        }
        let axes = [0, 1, 2];
        Some(Self {
            gyro_raw_per_degree: axes.map(|axis| {
                let bias = field(axis);
                ((field(3 + 2 * axis) - bias).abs() + (field(4 + 2 * axis) - bias).abs()) / speed
            }),
            accelerometer_raw_per_g: axes.map(|axis| (field(11 + 2 * axis) - field(12 + 2 * axis)) / 2.0),
        })
    }
}

/// Lengths of reports in bytes, without their number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReportSizes {
    /// Input reports by number.
    pub input: Vec<(u8, usize)>,
    /// Output reports by number.
    pub output: Vec<(u8, usize)>,
    /// Feature reports by number.
    pub feature: Vec<(u8, usize)>,
}

impl ReportSizes {
    /// Adds up the fields of a HID report descriptor (short items only). Stops at an item that is cut short.
    pub fn of_descriptor(mut descriptor: &[u8]) -> Self {
        let mut sizes = Self::default();
        let [mut size, mut count, mut report] = [0_usize; 3];
        let mut bits = std::collections::BTreeMap::new();
        while let Some((prefix, rest)) = descriptor.split_first() {
            let length = [0, 1, 2, 4][usize::from(prefix & 3)];
            let Some((data, rest)) = rest.split_at_checked(length) else { break };
            descriptor = rest;
            let value = data.iter().rev().fold(0_usize, |value, byte| value << 8 | usize::from(*byte));
            match prefix & 0xFC {
                REPORT_SIZE => size = value,
                REPORT_COUNT => count = value,
                REPORT_ID => report = value,
                tag @ (INPUT | OUTPUT | FEATURE) => {
                    let total: &mut usize = bits.entry((tag, report as u8)).or_default();
                    *total = total.saturating_add(size.saturating_mul(count));
                }
                _ => {}
            }
        }
        for ((tag, number), total) in bits {
            let table = match tag {
                INPUT => &mut sizes.input,
                OUTPUT => &mut sizes.output,
                _ => &mut sizes.feature,
            };
            table.push((number, total / 8));
        }
        sizes
    }
}

const REPORT_SIZE: u8 = 0x74;
const REPORT_COUNT: u8 = 0x94;
const REPORT_ID: u8 = 0x84;
const INPUT: u8 = 0x80;
const OUTPUT: u8 = 0x90;
const FEATURE: u8 = 0xB0;

/// An axis of a stick as the device reports it: 0..=255, centre 0x80.
const fn stick_byte(axis: i16) -> u8 {
    ((axis as i32 + 0x8000) >> 8) as u8
}

/// The d-pad as a hat: 0 is up, then clockwise to 7; 8 is the centre. Opposite directions cancel.
fn hat(buttons: Buttons) -> u8 {
    let pressed = |button| i8::from(buttons.contains(button));
    let right = pressed(Buttons::RIGHT) - pressed(Buttons::LEFT);
    let up = pressed(Buttons::UP) - pressed(Buttons::DOWN);
    match (right, up) {
        (0, 1) => 0,
        (1, 1) => 1,
        (1, 0) => 2,
        (1, -1) => 3,
        (0, -1) => 4,
        (-1, -1) => 5,
        (-1, 0) => 6,
        (-1, 1) => 7,
        _ => 8,
    }
}

/// Feature report 0x05: no bias, and the scales of [`raw_motion`].
pub const CALIBRATION_REPORT: [u8; 41] = [
    0x05, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x20, 0x00, 0xe0, 0x00, 0x20, 0x00, 0xe0, 0x00, 0x20, 0x00, 0xe0,
    0xf4, 0x01, 0xf4, 0x01, 0x00, 0x20, 0x00, 0xe0, 0x00, 0x20, 0x00, 0xe0, 0x00, 0x20, 0x00, 0xe0, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00,
];

/// The report descriptor of the device on USB: what the hardware says of itself.
pub const REPORT_DESCRIPTOR: [u8; 273] = [
    0x05, 0x01, 0x09, 0x05, 0xa1, 0x01, 0x85, 0x01, 0x09, 0x30, 0x09, 0x31, 0x09, 0x32, 0x09, 0x35, 0x09, 0x33, 0x09,
    0x34, 0x15, 0x00, 0x26, 0xff, 0x00, 0x75, 0x08, 0x95, 0x06, 0x81, 0x02, 0x06, 0x00, 0xff, 0x09, 0x20, 0x95, 0x01,
    0x81, 0x02, 0x05, 0x01, 0x09, 0x39, 0x15, 0x00, 0x25, 0x07, 0x35, 0x00, 0x46, 0x3b, 0x01, 0x65, 0x14, 0x75, 0x04,
    0x95, 0x01, 0x81, 0x42, 0x65, 0x00, 0x05, 0x09, 0x19, 0x01, 0x29, 0x0f, 0x15, 0x00, 0x25, 0x01, 0x75, 0x01, 0x95,
    0x0f, 0x81, 0x02, 0x06, 0x00, 0xff, 0x09, 0x21, 0x95, 0x0d, 0x81, 0x02, 0x06, 0x00, 0xff, 0x09, 0x22, 0x15, 0x00,
    0x26, 0xff, 0x00, 0x75, 0x08, 0x95, 0x34, 0x81, 0x02, 0x85, 0x02, 0x09, 0x23, 0x95, 0x2f, 0x91, 0x02, 0x85, 0x05,
    0x09, 0x33, 0x95, 0x28, 0xb1, 0x02, 0x85, 0x08, 0x09, 0x34, 0x95, 0x2f, 0xb1, 0x02, 0x85, 0x09, 0x09, 0x24, 0x95,
    0x13, 0xb1, 0x02, 0x85, 0x0a, 0x09, 0x25, 0x95, 0x1a, 0xb1, 0x02, 0x85, 0x20, 0x09, 0x26, 0x95, 0x3f, 0xb1, 0x02,
    0x85, 0x21, 0x09, 0x27, 0x95, 0x04, 0xb1, 0x02, 0x85, 0x22, 0x09, 0x40, 0x95, 0x3f, 0xb1, 0x02, 0x85, 0x80, 0x09,
    0x28, 0x95, 0x3f, 0xb1, 0x02, 0x85, 0x81, 0x09, 0x29, 0x95, 0x3f, 0xb1, 0x02, 0x85, 0x82, 0x09, 0x2a, 0x95, 0x09,
    0xb1, 0x02, 0x85, 0x83, 0x09, 0x2b, 0x95, 0x3f, 0xb1, 0x02, 0x85, 0x84, 0x09, 0x2c, 0x95, 0x3f, 0xb1, 0x02, 0x85,
    0x85, 0x09, 0x2d, 0x95, 0x02, 0xb1, 0x02, 0x85, 0xa0, 0x09, 0x2e, 0x95, 0x01, 0xb1, 0x02, 0x85, 0xe0, 0x09, 0x2f,
    0x95, 0x3f, 0xb1, 0x02, 0x85, 0xf0, 0x09, 0x30, 0x95, 0x3f, 0xb1, 0x02, 0x85, 0xf1, 0x09, 0x31, 0x95, 0x3f, 0xb1,
    0x02, 0x85, 0xf2, 0x09, 0x32, 0x95, 0x0f, 0xb1, 0x02, 0x85, 0xf4, 0x09, 0x35, 0x95, 0x3f, 0xb1, 0x02, 0x85, 0xf5,
    0x09, 0x36, 0x95, 0x03, 0xb1, 0x02, 0xc0,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gamestream::input::{ChargePercent, Stick};

    const PAD: ControllerIndex = match ControllerIndex::new(0) {
        Some(index) => index,
        None => panic!("controller 0"),
    };

    fn report(state: ControllerState) -> [u8; 64] {
        InputReport {
            state,
            sequence: 9,
            gyro: [1, -2, 3],
            accelerometer: [-4, 5, -6],
            sensor_timestamp: 0x0102_0304,
            touches: [TouchPoint { contact: Contact::Touching, id: 5, x: 0x123, y: 0x345 }, TouchPoint::NONE],
            battery: 0x1A,
        }
        .to_bytes()
    }

    #[test]
    fn idle_pad_reports_centred_sticks_and_no_button() {
        let report = report(ControllerState::idle(PAD));
        assert_eq!(report[..12], [1, 0x80, 0x80, 0x80, 0x80, 0, 0, 9, 8, 0, 0, 0]);
        assert_eq!(report[16..32], [1, 0, 0xFE, 0xFF, 3, 0, 0xFC, 0xFF, 5, 0, 0xFA, 0xFF, 4, 3, 2, 1]);
        assert_eq!(report[33..41], [5, 0x23, 0x51, 0x34, 0x80, 0, 0, 0]);
        assert_eq!(report[53], 0x1A);
    }

    #[test]
    fn stick_up_is_zero_and_down_is_255() {
        let mut state = ControllerState::idle(PAD);
        state.left_stick = Stick { x: i16::MIN, y: i16::MAX };
        state.right_stick = Stick { x: i16::MAX, y: i16::MIN };
        assert_eq!(report(state)[1..5], [0, 0, 255, 255]);
    }

    #[test]
    fn every_button_has_its_bit_and_pulled_triggers_press_theirs() {
        let mut state = ControllerState::idle(PAD);
        state.buttons = Buttons::ALL.difference(Buttons::DOWN | Buttons::LEFT);
        state.left_trigger = 1;
        state.right_trigger = 255;
        assert_eq!(report(state)[8..11], [0xF1, 0xFF, 0x07]);
    }

    #[test]
    fn hat_has_eight_directions_and_opposite_ones_cancel() {
        let directions = [
            Buttons::UP,
            Buttons::UP | Buttons::RIGHT,
            Buttons::RIGHT,
            Buttons::RIGHT | Buttons::DOWN,
            Buttons::DOWN,
            Buttons::DOWN | Buttons::LEFT,
            Buttons::LEFT,
            Buttons::LEFT | Buttons::UP,
            Buttons::EMPTY,
        ];
        for (expected, buttons) in (0..).zip(directions) {
            assert_eq!(hat(buttons), expected, "{buttons:?}");
        }
        assert_eq!(hat(Buttons::ALL), 8);
    }

    #[test]
    fn battery_byte_shows_tenths_and_state() {
        let battery = |state, percent| {
            battery_byte(Some(ControllerBattery { controller: PAD, state, charge: ChargePercent::from_wire(percent) }))
        };
        assert_eq!(battery(BatteryState::Discharging, 75), 0x07);
        assert_eq!(battery(BatteryState::Charging, 100), 0x1A);
        assert_eq!(battery(BatteryState::Full, 100), 0x2A);
        assert_eq!(battery_byte(None), 0x2A);
    }

    #[test]
    fn output_report_becomes_one_message_for_each_thing_that_changes() {
        let mut report = [0; 48];
        report[0] = 0x02;
        assert_eq!(OutputReport::parse(&report), Some(OutputReport::default()));
        report[1] = 0x0D;
        report[2] = 0x04;
        report[3] = 0xFF;
        report[4] = 0x80;
        report[11] = 0x21;
        report[22] = 0x26;
        report[45..48].copy_from_slice(&[1, 2, 3]);
        let messages: Vec<_> = OutputReport::parse(&report).unwrap().messages(PAD).collect();
        let effect = |mode| Some(TriggerEffect { mode, parameters: [0; 10] });
        assert_eq!(
            messages,
            [
                HostMessage::Rumble(Rumble { controller: PAD, low_frequency: 0x8080, high_frequency: 0xFFFF }),
                HostMessage::Led(Led { controller: PAD, colour: Rgb([1, 2, 3]) }),
                HostMessage::AdaptiveTriggers(AdaptiveTriggers {
                    controller: PAD,
                    left: effect(0x26),
                    right: effect(0x21)
                }),
            ]
        );
    }

    #[test]
    fn output_report_of_newer_firmware_rumbles_too() {
        let mut report = [0; 48];
        report[0] = 0x02;
        report[39] = 0x04;
        report[4] = 1;
        assert_eq!(OutputReport::parse(&report).unwrap().motors, Some([1, 0]));
    }

    #[test]
    fn short_or_foreign_output_reports_are_ignored() {
        assert_eq!(OutputReport::parse(&[0x02; 47]), None);
        assert_eq!(OutputReport::parse(&[0x31; 78]), None);
    }

    #[test]
    fn feature_reports_have_the_lengths_that_the_descriptor_says() {
        let sizes = ReportSizes::of_descriptor(&REPORT_DESCRIPTOR).feature;
        for report in [&CALIBRATION_REPORT[..], &pairing_report([2, 0, 0, 0, 0, 7]), &firmware_report(1, 2, 3)] {
            let size = sizes.iter().find(|(number, _)| *number == report[0]).unwrap().1;
            assert_eq!(report.len(), size + 1);
        }
        assert_eq!(pairing_report([2, 0, 0, 0, 0, 7])[1..7], [7, 0, 0, 0, 0, 2]);
    }

    #[test]
    fn descriptor_that_is_cut_short_is_read_as_far_as_it_goes() {
        for length in 0..REPORT_DESCRIPTOR.len() {
            ReportSizes::of_descriptor(&REPORT_DESCRIPTOR[..length]);
        }
    }
}
