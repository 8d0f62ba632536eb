//! Gamepads of keys and axes.

use evdev::{AbsoluteAxisCode as Axis, FFEffectCode, FFEffectData, FFEffectKind, FFReplay, FFTrigger, KeyCode};
use lumen_core::gamestream::control::{HostMessage, Rumble};
use lumen_core::gamestream::input::{Buttons, ControllerKind, ControllerMask, ControllerState, InputEvent, Stick};
use lumen_host::input::InputSink;
use lumen_host::input::kernel::KernelInput;

use crate::harness::{appears, arrival, axes, axis, held, holds, index, message, pads, state, vanishes};

pub fn rumble(strong: u16, weak: u16, length: u16) -> FFEffectData {
    FFEffectData {
        direction: 0,
        trigger: FFTrigger::default(),
        replay: FFReplay { length, delay: 0 },
        kind: FFEffectKind::Rumble { strong_magnitude: strong, weak_magnitude: weak },
    }
}

pub fn rumbles(input: &mut KernelInput, number: u8, low_frequency: u16, high_frequency: u16) {
    let expected = HostMessage::Rumble(Rumble { controller: index(number), low_frequency, high_frequency });
    message(input, &format!("{expected:?}"), |message| *message == expected);
}

#[test]
#[ignore = "needs /dev/uinput: run by vm-tests/run"]
fn an_xbox_pad_shows_every_control_of_the_client() {
    let mut input = pads("7");
    input.handle(&arrival(0, ControllerKind::Xbox));
    let pad = appears("Xbox 360 pad (lumen-7/pad0)");
    assert_eq!(pad.physical_path(), Some("lumen-7/pad0"));
    let id = pad.input_id();
    assert_eq!((id.vendor(), id.product(), id.version()), (0x045E, 0x028E, 0x0114));
    let range = |axis: Axis| {
        let info = pad.get_abs_state().unwrap()[usize::from(axis.0)];
        (info.minimum, info.maximum, info.fuzz, info.flat)
    };
    assert_eq!(range(Axis::ABS_RX), (-32768, 32767, 16, 128));
    assert_eq!(range(Axis::ABS_Z), (0, 255, 0, 0));
    assert_eq!(range(Axis::ABS_HAT0Y), (-1, 1, 0, 0));

    input.handle(&state(0, |state| {
        state.buttons = Buttons::A | Buttons::Y | Buttons::GUIDE | Buttons::UP | Buttons::RIGHT | Buttons::PADDLE4;
        state.left_trigger = 255;
        state.right_trigger = 3;
        state.left_stick = Stick { x: 32767, y: 32767 };
        state.right_stick = Stick { x: -32768, y: -32768 };
    }));
    axes(
        &pad,
        &[
            (Axis::ABS_X, 32767),
            (Axis::ABS_Y, -32767),
            (Axis::ABS_RX, -32768),
            (Axis::ABS_RY, 32767),
            (Axis::ABS_Z, 255),
            (Axis::ABS_RZ, 3),
            (Axis::ABS_HAT0X, 1),
            (Axis::ABS_HAT0Y, -1),
        ],
    );
    holds(&pad, &[KeyCode::BTN_SOUTH, KeyCode::BTN_WEST, KeyCode::BTN_MODE, KeyCode::BTN_TRIGGER_HAPPY8]);

    input.release_all();
    holds(&pad, &[]);
    axes(&pad, &[(Axis::ABS_HAT0X, 0), (Axis::ABS_RZ, 0), (Axis::ABS_RX, 0), (Axis::ABS_Y, 0)]);

    // Its bit goes, and the pad with it.
    let gone = ControllerState { mask: ControllerMask(0), ..ControllerState::idle(index(0)) };
    input.handle(&InputEvent::Controller(gone));
    vanishes("Xbox 360 pad (lumen-7/pad0)");
}

#[test]
#[ignore = "needs /dev/uinput: run by vm-tests/run"]
fn rumble_of_a_program_reaches_the_client_and_ends_with_the_effect_and_with_the_program() {
    let mut input = pads("8");
    input.handle(&arrival(4, ControllerKind::Unknown));
    let mut pad = appears("Xbox 360 pad (lumen-8/pad4)");
    assert!(pad.supported_ff().unwrap().contains(FFEffectCode::FF_RUMBLE));
    let mut effect = pad.upload_ff_effect(rumble(0xFFFF, 0x1234, 200)).unwrap();
    effect.play(1).unwrap();
    rumbles(&mut input, 4, 0xFFFF, 0x1234);
    rumbles(&mut input, 4, 0, 0);
    effect.update(rumble(0x4000, 0, 0)).unwrap();
    effect.play(1).unwrap();
    rumbles(&mut input, 4, 0x4000, 0);
    pad.set_ff_gain(0x8000).unwrap();
    rumbles(&mut input, 4, 0x2000, 0);
    // The program ends without a word.
    drop(effect);
    drop(pad);
    rumbles(&mut input, 4, 0, 0);
}

#[test]
#[ignore = "needs /dev/uinput: run by vm-tests/run"]
fn a_switch_pad_has_its_identity_and_the_buttons_in_their_places() {
    let mut input = pads("9");
    input.handle(&arrival(1, ControllerKind::Nintendo));
    let pad = appears("Switch Pro pad (lumen-9/pad1)");
    assert_eq!((pad.input_id().vendor(), pad.input_id().product()), (0x057E, 0x2009));
    input.handle(&state(1, |state| {
        state.buttons = Buttons::X | Buttons::MISC;
        state.right_trigger = 40;
    }));
    holds(&pad, &[KeyCode::BTN_WEST, KeyCode::BTN_Z, KeyCode::BTN_TR2]);
}

#[test]
#[ignore = "needs /dev/uinput: run by vm-tests/run"]
fn two_sessions_have_pads_of_their_own_and_one_that_ends_takes_its_own_along() {
    let mut one = pads("1");
    let mut two = pads("2");
    // An older client: only a state, no arrival.
    one.handle(&state(0, |_| {}));
    two.handle(&state(0, |_| {}));
    let first = appears("Xbox 360 pad (lumen-1/pad0)");
    let second = appears("Xbox 360 pad (lumen-2/pad0)");
    assert_ne!(first.physical_path(), second.physical_path());
    one.handle(&state(0, |state| state.left_stick.x = 5000));
    axes(&first, &[(Axis::ABS_X, 5000)]);
    assert_eq!(axis(&second, Axis::ABS_X), 0);
    drop(one);
    vanishes("Xbox 360 pad (lumen-1/pad0)");
    two.handle(&state(0, |state| state.buttons = Buttons::B));
    holds(&second, &[KeyCode::BTN_EAST]);
}

#[test]
#[ignore = "needs /dev/uinput: run by vm-tests/run"]
fn sixteen_pads_of_a_session_stand_side_by_side() {
    let mut input = pads("16");
    for number in 0..16 {
        input.handle(&arrival(number, ControllerKind::Xbox));
    }
    for number in 0..16 {
        input.handle(&state(number, |state| state.buttons = Buttons::LB));
        let pad = appears(&format!("Xbox 360 pad (lumen-16/pad{number})"));
        holds(&pad, &[KeyCode::BTN_TL]);
    }
    let clone = input.clone();
    drop(input);
    let pad = appears("Xbox 360 pad (lumen-16/pad15)");
    assert_eq!(held(&pad), [KeyCode::BTN_TL], "a clone keeps them");
    drop(clone);
    vanishes("Xbox 360 pad (lumen-16/pad15)");
}
