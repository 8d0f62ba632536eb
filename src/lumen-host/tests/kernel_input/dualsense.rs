//! The DualSense, as the kernel's hid-playstation driver sees it.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use evdev::{AbsoluteAxisCode as Axis, Device, KeyCode};
use lumen_core::gamestream::control::{AdaptiveTriggers, HostMessage, Led, MotionRequest, Rgb, TriggerEffect};
use lumen_core::gamestream::input::{
    BatteryState, Buttons, ChargePercent, ControllerBattery, ControllerKind, ControllerMotion, ControllerTouch,
    Fraction, InputEvent, MotionKind, PointerEvent, PointerId, Stick, TouchpadIndex,
};
use lumen_host::input::InputSink;
use lumen_host::input::kernel::{KernelInput, MOTION_RATE_HZ};

use crate::harness::{appears, arrival, axes, folder, holds, index, message, pads, state, vanishes, wait};
use crate::pads::{rumble, rumbles};

struct DualSense {
    input: KernelInput,
    pad: Device,
    motion: Device,
    touchpad: Device,
    /// Its HID device in sysfs.
    hid: PathBuf,
}

fn plug(session: &str, number: u8) -> DualSense {
    let mut input = pads(session);
    input.handle(&arrival(number, ControllerKind::PlayStation));
    let name = format!("DualSense (lumen-{session}/pad{number})");
    let pad = appears(&name);
    let motion = appears(&format!("{name} Motion Sensors"));
    let touchpad = appears(&format!("{name} Touchpad"));
    let hid = wait("its HID device", || {
        let mut all = fs::read_dir("/sys/bus/hid/devices").ok()?.flatten().map(|entry| entry.path());
        all.find(|path| fs::read_to_string(path.join("uevent")).is_ok_and(|text| text.contains(&name)))
    });
    DualSense { input, pad, motion, touchpad, hid }
}

fn touch(event: PointerEvent, pointer: u32, x: f32, y: f32) -> InputEvent {
    let part = |value| Fraction::try_from(value).unwrap();
    InputEvent::ControllerTouch(ControllerTouch {
        controller: index(0),
        event,
        touchpad: TouchpadIndex(0),
        pointer: PointerId(pointer),
        x: part(x),
        y: part(y),
        pressure: Fraction::ONE,
    })
}

#[test]
#[ignore = "needs /dev/uhid: run by vm-tests/run"]
fn the_driver_of_the_real_one_takes_it_and_shows_buttons_sticks_and_triggers() {
    let mut dualsense = plug("20", 0);
    let driver = fs::read_link(dualsense.hid.join("driver")).unwrap();
    assert!(driver.ends_with("playstation"), "{driver:?}");
    let uevent = fs::read_to_string(dualsense.hid.join("uevent")).unwrap();
    assert!(uevent.contains("HID_PHYS=lumen-20/pad0"), "{uevent}");
    let id = dualsense.pad.input_id();
    assert_eq!((id.vendor(), id.product()), (0x054C, 0x0CE6));

    dualsense.input.handle(&state(0, |state| {
        state.buttons = Buttons::A | Buttons::X | Buttons::START | Buttons::DOWN | Buttons::LEFT;
        state.left_trigger = 200;
        state.left_stick = Stick { x: 32767, y: 32767 };
        state.right_stick = Stick { x: -32768, y: -32768 };
    }));
    axes(
        &dualsense.pad,
        &[
            (Axis::ABS_X, 255),
            (Axis::ABS_Y, 0),
            (Axis::ABS_RX, 0),
            (Axis::ABS_RY, 255),
            (Axis::ABS_Z, 200),
            (Axis::ABS_RZ, 0),
            (Axis::ABS_HAT0X, -1),
            (Axis::ABS_HAT0Y, 1),
        ],
    );
    // Cross, square, L2, options.
    holds(&dualsense.pad, &[KeyCode::BTN_SOUTH, KeyCode::BTN_WEST, KeyCode::BTN_TL2, KeyCode::BTN_START]);
    dualsense.input.release_all();
    holds(&dualsense.pad, &[]);
    axes(&dualsense.pad, &[(Axis::ABS_X, 128), (Axis::ABS_RY, 128), (Axis::ABS_Z, 0), (Axis::ABS_HAT0X, 0)]);

    drop(dualsense.input);
    vanishes("DualSense (lumen-20/pad0)");
}

#[test]
#[ignore = "needs /dev/uhid: run by vm-tests/run"]
fn motion_is_asked_for_and_arrives_in_the_units_of_the_driver() {
    let mut dualsense = plug("21", 0);
    for kind in [MotionKind::Accelerometer, MotionKind::Gyro] {
        let request = HostMessage::MotionRequest(MotionRequest { controller: index(0), rate_hz: MOTION_RATE_HZ, kind });
        message(&mut dualsense.input, "a motion request", |message| *message == request);
    }
    let sample = |kind, values| InputEvent::ControllerMotion(ControllerMotion::new(index(0), kind, values).unwrap());
    dualsense.input.handle(&sample(MotionKind::Accelerometer, [0.0, 9.80665, -4.903_325]));
    dualsense.input.handle(&sample(MotionKind::Gyro, [90.0, -360.0, 0.0]));
    // 8192 for one g; 1024 for one degree a second, as near as the raw unit of 1/16.384 degrees allows.
    axes(&dualsense.motion, &[(Axis::ABS_X, 0), (Axis::ABS_Y, 8192), (Axis::ABS_Z, -4096)]);
    let near = |axis: Axis, expected: f64| {
        let raw = (expected * 16.384).round() / 16.384 * 1024.0;
        wait(&format!("{axis:?} of {expected} degrees a second"), || {
            let value = dualsense.motion.get_abs_state().unwrap()[usize::from(axis.0)].value;
            ((f64::from(value) - raw).abs() <= 2.0).then_some(())
        });
    };
    near(Axis::ABS_RX, 90.0);
    near(Axis::ABS_RY, -360.0);
    near(Axis::ABS_RZ, 0.0);
}

#[test]
#[ignore = "needs /dev/uhid: run by vm-tests/run"]
fn two_fingers_on_the_touchpad_are_two_contacts() {
    let mut dualsense = plug("22", 0);
    let slots = |device: &mut Device, expected: &[(u16, i32)]| {
        for (code, value) in expected {
            crate::harness::events_until(device, (3, *code, *value));
        }
    };
    let (x, y, tracking) = (Axis::ABS_MT_POSITION_X.0, Axis::ABS_MT_POSITION_Y.0, Axis::ABS_MT_TRACKING_ID.0);
    dualsense.input.handle(&touch(PointerEvent::Down, 9, 1.0, 1.0));
    slots(&mut dualsense.touchpad, &[(y, 1079)]);
    dualsense.input.handle(&touch(PointerEvent::Down, 10, 0.25, 0.5));
    slots(&mut dualsense.touchpad, &[(y, 540)]);
    holds(&dualsense.touchpad, &[KeyCode::BTN_TOUCH, KeyCode::BTN_TOOL_DOUBLETAP]);
    dualsense.input.handle(&touch(PointerEvent::Move, 10, 0.75, 0.5));
    slots(&mut dualsense.touchpad, &[(x, 1439)]);
    dualsense.input.handle(&touch(PointerEvent::Up, 9, 1.0, 1.0));
    slots(&mut dualsense.touchpad, &[(tracking, -1)]);
    holds(&dualsense.touchpad, &[KeyCode::BTN_TOOL_FINGER, KeyCode::BTN_TOUCH]);
    dualsense.input.handle(&state(0, |state| state.buttons = Buttons::TOUCHPAD));
    holds(&dualsense.touchpad, &[KeyCode::BTN_LEFT, KeyCode::BTN_TOOL_FINGER, KeyCode::BTN_TOUCH]);
    dualsense.input.release_all();
    holds(&dualsense.touchpad, &[]);
}

#[test]
#[ignore = "needs /dev/uhid: run by vm-tests/run"]
fn light_rumble_and_triggers_of_programs_reach_the_client() {
    let mut dualsense = plug("23", 0);
    // A game that knows nothing of HID: the effect of the event node.
    let mut effect = dualsense.pad.upload_ff_effect(rumble(0xFFFF, 0x8000, 0)).unwrap();
    effect.play(1).unwrap();
    rumbles(&mut dualsense.input, 0, 0xFFFF, 0x8080);
    drop(effect);
    rumbles(&mut dualsense.input, 0, 0, 0);

    // The light, by the class of lights.
    let light = folder(dualsense.hid.join("leds"), ":rgb:indicator").expect("the driver's light");
    let say = |file: &str, text: &str| fs::write(light.join(file), text).unwrap();
    say("multi_intensity", "10 20 30");
    say("brightness", "255");
    let led = HostMessage::Led(Led { controller: index(0), colour: Rgb([10, 20, 30]) });
    message(&mut dualsense.input, "the light", |message| *message == led);

    // Adaptive triggers, by writing to the HID device as games do.
    let hidraw = folder(dualsense.hid.join("hidraw"), "").expect("a raw HID node");
    let node = PathBuf::from("/dev").join(hidraw.file_name().unwrap());
    let mut report = [0_u8; 48];
    report[0] = 0x02;
    report[1] = 0x04;
    report[11..22].copy_from_slice(&[0x21, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    OpenOptions::new().write(true).open(node).unwrap().write_all(&report).unwrap();
    let right = TriggerEffect { mode: 0x21, parameters: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] };
    let expected =
        HostMessage::AdaptiveTriggers(AdaptiveTriggers { controller: index(0), left: None, right: Some(right) });
    message(&mut dualsense.input, "the triggers", |message| *message == expected);

    // A client that comes back is told of the light as it is.
    dualsense.input.handle(&arrival(0, ControllerKind::PlayStation));
    message(&mut dualsense.input, "the light again", |message| *message == led);
}

#[test]
#[ignore = "needs /dev/uhid: run by vm-tests/run"]
fn the_battery_is_that_of_the_clients_pad() {
    let mut dualsense = plug("24", 0);
    let supply = folder(dualsense.hid.join("power_supply"), "").expect("the driver's battery");
    let said = |file: &str, expected: &str| {
        wait(&format!("battery {file} {expected}"), || {
            (fs::read_to_string(supply.join(file)).ok()?.trim() == expected).then_some(())
        });
    };
    let battery = |state, percent| {
        let charge = ChargePercent::from_wire(percent);
        InputEvent::ControllerBattery(ControllerBattery { controller: index(0), state, charge })
    };
    said("status", "Full");
    dualsense.input.handle(&battery(BatteryState::Discharging, 70));
    said("status", "Discharging");
    said("capacity", "75");
    dualsense.input.handle(&battery(BatteryState::Charging, 30));
    said("status", "Charging");
    said("capacity", "35");
}

#[test]
#[ignore = "needs /dev/uhid: run by vm-tests/run"]
fn dualsenses_of_two_sessions_and_of_one_stand_side_by_side() {
    let mut first = plug("25", 0);
    let second = plug("26", 0);
    first.input.handle(&arrival(1, ControllerKind::PlayStation));
    let third = appears("DualSense (lumen-25/pad1)");
    let addresses = [&first.pad, &second.pad, &third].map(|pad| pad.unique_name().map(str::to_owned));
    assert!(addresses.iter().all(Option::is_some), "{addresses:?}");
    assert!(addresses[0] != addresses[1] && addresses[0] != addresses[2] && addresses[1] != addresses[2]);
}
