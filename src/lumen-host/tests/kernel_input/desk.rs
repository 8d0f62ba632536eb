//! Keyboard, pointers, touchscreen and pen.

use evdev::{AbsoluteAxisCode as Axis, Device, KeyCode, PropType, RelativeAxisCode as Relative};
use lumen_core::gamestream::input::{
    AbsolutePosition, ControllerKind, Fraction, InputEvent, KeyEvent, Modifiers, MouseButton, MouseButtonEvent,
    PenButtons, PenEvent, PenTool, PointerEvent, PointerId, PressState, ReferenceExtent, RelativeMotion, Rotation,
    Scroll, ScrollAxis, Text, Tilt, TouchEvent, VirtualKey,
};
use lumen_host::input::InputSink;

use crate::harness::{appears, arrival, axes, events_until, everything, holds, state, vanishes};

const EV_KEY: u16 = 1;
const EV_REL: u16 = 2;
const EV_ABS: u16 = 3;

fn key(state: PressState, virtual_key: u8, modifiers: Modifiers) -> InputEvent {
    InputEvent::Key(KeyEvent::new(state, VirtualKey(virtual_key), modifiers))
}

fn part(value: f32) -> Fraction {
    Fraction::try_from(value).unwrap()
}

fn touch(event: PointerEvent, pointer: u32, x: f32, y: f32) -> InputEvent {
    InputEvent::Touch(TouchEvent {
        event,
        pointer: PointerId(pointer),
        x: part(x),
        y: part(y),
        pressure_or_distance: part(0.5),
        rotation: Rotation::from_wire(90),
        contact_major: part(0.01),
        contact_minor: Fraction::ZERO,
    })
}

fn pen(event: PointerEvent, tool: PenTool, pressure: f32) -> PenEvent {
    PenEvent {
        event,
        tool,
        buttons: PenButtons::EMPTY,
        x: part(0.5),
        y: part(1.0),
        pressure_or_distance: part(pressure),
        rotation: Rotation::from_wire(90),
        tilt: Tilt::from_wire(30),
        contact_major: Fraction::ZERO,
        contact_minor: Fraction::ZERO,
    }
}

#[test]
#[ignore = "needs /dev/uinput: run by vm-tests/run"]
fn keys_are_held_until_their_release_and_borrowed_modifiers_for_one_key_only() {
    let mut input = everything("30");
    let mut keyboard = appears("Keyboard (lumen-30/keyboard)");
    input.handle(&key(PressState::Down, 0xA2, Modifiers::EMPTY));
    input.handle(&key(PressState::Down, 0x41, Modifiers::CTRL | Modifiers::SHIFT));
    let codes = [KeyCode::KEY_LEFTCTRL, KeyCode::KEY_LEFTSHIFT, KeyCode::KEY_A].map(|code| code.0);
    let seen = events_until(&mut keyboard, (EV_KEY, codes[1], 0));
    let expected =
        [(codes[0], 1), (codes[1], 1), (codes[2], 1), (codes[1], 0)].map(|(code, value)| (EV_KEY, code, value));
    assert_eq!(seen, expected);
    holds(&keyboard, &[KeyCode::KEY_LEFTCTRL, KeyCode::KEY_A]);
    input.handle(&key(PressState::Up, 0x41, Modifiers::CTRL));
    holds(&keyboard, &[KeyCode::KEY_LEFTCTRL]);
    input.release_all();
    holds(&keyboard, &[]);
}

#[test]
#[ignore = "needs /dev/uinput: run by vm-tests/run"]
fn text_is_typed_on_a_us_keyboard_as_far_as_it_goes() {
    let mut input = everything("31");
    let mut keyboard = appears("Keyboard (lumen-31/keyboard)");
    input.handle(&InputEvent::Text(Text::try_from("H\u{e4}i\n".to_owned()).unwrap()));
    let seen = events_until(&mut keyboard, (EV_KEY, KeyCode::KEY_ENTER.0, 0));
    let pressed: Vec<_> = seen.iter().filter(|event| event.2 == 1).map(|event| KeyCode(event.1)).collect();
    assert_eq!(pressed, [KeyCode::KEY_LEFTSHIFT, KeyCode::KEY_H, KeyCode::KEY_I, KeyCode::KEY_ENTER]);
}

#[test]
#[ignore = "needs /dev/uinput: run by vm-tests/run"]
fn the_mouse_moves_and_its_wheels_turn_in_small_steps() {
    let mut input = everything("32");
    let mut mouse = appears("Mouse (lumen-32/mouse)");
    input.handle(&InputEvent::MouseRelative(RelativeMotion { dx: -5, dy: 7 }));
    for amount in [90, 90] {
        input.handle(&InputEvent::Scroll(Scroll { axis: ScrollAxis::Vertical, amount }));
    }
    input.handle(&InputEvent::Scroll(Scroll { axis: ScrollAxis::Horizontal, amount: -120 }));
    for button in [MouseButton::Left, MouseButton::X2] {
        input.handle(&InputEvent::MouseButton(MouseButtonEvent { state: PressState::Down, button }));
    }
    let seen = events_until(&mut mouse, (EV_KEY, KeyCode::BTN_EXTRA.0, 1));
    let relative = |axis: Relative, value| (EV_REL, axis.0, value);
    assert_eq!(
        seen,
        [
            relative(Relative::REL_X, -5),
            relative(Relative::REL_Y, 7),
            relative(Relative::REL_WHEEL_HI_RES, 90),
            relative(Relative::REL_WHEEL_HI_RES, 90),
            relative(Relative::REL_WHEEL, 1),
            relative(Relative::REL_HWHEEL_HI_RES, -120),
            relative(Relative::REL_HWHEEL, -1),
            (EV_KEY, KeyCode::BTN_LEFT.0, 1),
            (EV_KEY, KeyCode::BTN_EXTRA.0, 1),
        ]
    );
    input.release_all();
    holds(&mouse, &[]);
}

#[test]
#[ignore = "needs /dev/uinput: run by vm-tests/run"]
fn the_absolute_pointer_reaches_every_edge() {
    let mut input = everything("33");
    let pointer = appears("Absolute pointer (lumen-33/pointer)");
    let mut at = |x, y, expected: [i32; 2]| {
        let extent = |value| ReferenceExtent::try_from(value).unwrap();
        let (reference_width, reference_height) = (extent(1279), extent(719));
        input.handle(&InputEvent::MouseAbsolute(AbsolutePosition { x, y, reference_width, reference_height }));
        axes(&pointer, &[(Axis::ABS_X, expected[0]), (Axis::ABS_Y, expected[1])]);
    };
    at(1279, 719, [65535, 65535]);
    at(0, 5000, [0, 65535]);
    at(640, 0, [32793, 0]);
}

#[test]
#[ignore = "needs /dev/uinput: run by vm-tests/run"]
fn fingers_on_the_touchscreen_have_places_pressure_and_size_until_they_are_lifted() {
    let mut input = everything("34");
    let mut screen = appears("Touchscreen (lumen-34/touch)");
    assert!(screen.properties().contains(PropType::DIRECT));
    input.handle(&touch(PointerEvent::Down, 100, 0.0, 0.5));
    let seen = events_until(&mut screen, (EV_KEY, KeyCode::BTN_TOUCH.0, 1));
    for expected in [
        (Axis::ABS_MT_TRACKING_ID, 0),
        (Axis::ABS_MT_POSITION_Y, 2880),
        (Axis::ABS_MT_PRESSURE, 128),
        // A hundredth of the height, lying across, in eighths of a pixel.
        (Axis::ABS_MT_TOUCH_MAJOR, 58),
        (Axis::ABS_MT_ORIENTATION, 90),
    ] {
        assert!(seen.contains(&(EV_ABS, expected.0.0, expected.1)), "{expected:?} in {seen:?}");
    }
    input.handle(&touch(PointerEvent::Down, 101, 1.0, 1.0));
    let seen = events_until(&mut screen, (EV_ABS, Axis::ABS_MT_POSITION_Y.0, 5759));
    assert!(seen.contains(&(EV_ABS, Axis::ABS_MT_SLOT.0, 1)), "{seen:?}");
    assert!(seen.contains(&(EV_ABS, Axis::ABS_MT_POSITION_X.0, 10239)), "{seen:?}");
    input.handle(&touch(PointerEvent::Up, 100, 0.0, 0.5));
    events_until(&mut screen, (EV_ABS, Axis::ABS_MT_TRACKING_ID.0, -1));
    holds(&screen, &[KeyCode::BTN_TOUCH]);
    // What is left is taken back, as a palm is: no tap.
    input.release_all();
    let seen = events_until(&mut screen, (EV_KEY, KeyCode::BTN_TOUCH.0, 0));
    assert!(seen.contains(&(EV_ABS, Axis::ABS_MT_TOOL_TYPE.0, 2)), "{seen:?}");
    assert!(seen.contains(&(EV_ABS, Axis::ABS_MT_TRACKING_ID.0, -1)), "{seen:?}");
}

#[test]
#[ignore = "needs /dev/uinput: run by vm-tests/run"]
fn a_pen_hovers_presses_leans_and_turns_round() {
    let mut input = everything("35");
    let device = appears("Pen (lumen-35/pen)");
    let resolution = |axis: Axis| device.get_abs_state().unwrap()[usize::from(axis.0)].resolution;
    assert!(resolution(Axis::ABS_X) > 0 && resolution(Axis::ABS_TILT_X) > 0, "libinput wants to know sizes");
    input.handle(&InputEvent::Pen(pen(PointerEvent::Hover, PenTool::Pen, 0.25)));
    holds(&device, &[KeyCode::BTN_TOOL_PEN]);
    axes(&device, &[(Axis::ABS_DISTANCE, 256), (Axis::ABS_PRESSURE, 0)]);
    input.handle(&InputEvent::Pen(pen(PointerEvent::Down, PenTool::Pen, 0.75)));
    holds(&device, &[KeyCode::BTN_TOOL_PEN, KeyCode::BTN_TOUCH]);
    axes(
        &device,
        &[
            (Axis::ABS_X, 5120),
            (Axis::ABS_Y, 5759),
            (Axis::ABS_PRESSURE, 3071),
            (Axis::ABS_DISTANCE, 0),
            (Axis::ABS_TILT_X, -30),
            (Axis::ABS_TILT_Y, 0),
        ],
    );
    let buttons = PenEvent { buttons: PenButtons::PRIMARY, ..pen(PointerEvent::ButtonOnly, PenTool::Pen, 0.0) };
    input.handle(&InputEvent::Pen(buttons));
    holds(&device, &[KeyCode::BTN_TOOL_PEN, KeyCode::BTN_TOUCH, KeyCode::BTN_STYLUS]);
    input.handle(&InputEvent::Pen(pen(PointerEvent::Move, PenTool::Eraser, 1.0)));
    holds(&device, &[KeyCode::BTN_TOOL_RUBBER, KeyCode::BTN_TOUCH]);
    input.release_all();
    holds(&device, &[]);
    axes(&device, &[(Axis::ABS_PRESSURE, 0)]);
}

#[test]
#[ignore = "needs /dev/uinput: run by vm-tests/run"]
fn one_input_takes_gamepads_and_desk_and_lets_go_of_both() {
    let mut input = everything("36");
    input.handle(&arrival(0, ControllerKind::Xbox));
    input.handle(&state(0, |state| state.left_trigger = 9));
    input.handle(&key(PressState::Down, 0x20, Modifiers::EMPTY));
    let pad = appears("Xbox 360 pad (lumen-36/pad0)");
    let keyboard: Device = appears("Keyboard (lumen-36/keyboard)");
    axes(&pad, &[(Axis::ABS_Z, 9)]);
    holds(&keyboard, &[KeyCode::KEY_SPACE]);
    input.release_all();
    axes(&pad, &[(Axis::ABS_Z, 0)]);
    holds(&keyboard, &[]);
}

#[test]
#[ignore = "needs /dev/uinput: run by vm-tests/run"]
fn a_session_that_ends_leaves_no_device_behind() {
    let input = everything("37");
    let devices = ["Keyboard (lumen-37/keyboard)", "Mouse (lumen-37/mouse)", "Pen (lumen-37/pen)"];
    for name in devices {
        appears(name);
    }
    drop(input);
    for name in devices {
        vanishes(name);
    }
}
