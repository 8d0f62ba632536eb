//! Properties of control messages and input packets: what is written reads back as it was, on the wire and between
//! processes; arbitrary bytes are refused with an error or read into something that can be written.
#![allow(missing_docs)]

use lumen_core::gamestream::control::gen7::Gen7InputCipher;
use lumen_core::gamestream::control::{
    AdaptiveTriggers, Chromaticity, ClientMessage, ControlCipher, EnvelopeMode, FrameFecStatus, FrameRange, Framing,
    HdrMetadata, HdrMode, HdrState, HostMessage, Led, MotionRequest, RawMessage, Rgb, Rumble, Side, Termination,
    TriggerEffect, TriggerRumble,
};
use lumen_core::gamestream::input::dualsense::{Calibration, OutputReport, ReportSizes};
use lumen_core::gamestream::input::{
    AbsolutePosition, BatteryState, Buttons, Capabilities, ChargePercent, ControllerArrival, ControllerBattery,
    ControllerIndex, ControllerKind, ControllerMask, ControllerMotion, ControllerState, ControllerTouch, Fraction,
    HapticsEnable, InputEvent, KeyCode, KeyEvent, KeyOrigin, Modifiers, MotionKind, MouseButton, MouseButtonEvent,
    PenButtons, PenEvent, PenTool, PointerEvent, PointerId, PressState, ReferenceExtent, RelativeMotion, Rotation,
    Scroll, ScrollAxis, Stick, Text, Tilt, TouchEvent, TouchpadIndex,
};
use lumen_core::gamestream::video::FrameIndex;
use proptest::prelude::*;
use proptest::sample::select;

fn controller() -> impl Strategy<Value = ControllerIndex> {
    (0..16_u8).prop_map(|number| ControllerIndex::new(number).expect("below 16"))
}

fn finite() -> impl Strategy<Value = f32> {
    prop_oneof![-2.0..2.0_f32, any::<f32>().prop_filter("finite", |value| value.is_finite())]
}

fn fraction() -> impl Strategy<Value = Fraction> {
    finite().prop_map(|value| Fraction::try_from(value).expect("finite"))
}

fn press() -> impl Strategy<Value = PressState> {
    select(vec![PressState::Down, PressState::Up])
}

fn pointer_event() -> impl Strategy<Value = PointerEvent> {
    select(PointerEvent::ALL.to_vec())
}

fn sensor() -> impl Strategy<Value = MotionKind> {
    select(vec![MotionKind::Accelerometer, MotionKind::Gyro])
}

fn stick() -> impl Strategy<Value = Stick> {
    any::<(i16, i16)>().prop_map(|(x, y)| Stick { x, y })
}

fn keyboard_and_mouse() -> impl Strategy<Value = InputEvent> {
    let origin = select(vec![KeyOrigin::UsPosition, KeyOrigin::ClientLayout]);
    let extent = || (1..=i16::MAX).prop_map(|value| ReferenceExtent::try_from(value).expect("positive"));
    let axis = select(vec![ScrollAxis::Vertical, ScrollAxis::Horizontal]);
    prop_oneof![
        any::<u16>().prop_map(|value| InputEvent::HapticsEnable(HapticsEnable(value))),
        (press(), any::<u16>(), origin, any::<u8>()).prop_map(|(state, code, origin, modifiers)| {
            InputEvent::Key(KeyEvent { state, code: KeyCode(code), origin, modifiers: Modifiers::from_bits(modifiers) })
        }),
        any::<String>().prop_map(|mut text| {
            while text.len() > Text::MAX_BYTES {
                text.pop();
            }
            InputEvent::Text(Text::try_from(text).expect("short"))
        }),
        any::<(i16, i16)>().prop_map(|(dx, dy)| InputEvent::MouseRelative(RelativeMotion { dx, dy })),
        (any::<(i16, i16)>(), extent(), extent()).prop_map(|((x, y), reference_width, reference_height)| {
            InputEvent::MouseAbsolute(AbsolutePosition { x, y, reference_width, reference_height })
        }),
        (press(), select(MouseButton::ALL.to_vec()))
            .prop_map(|(state, button)| InputEvent::MouseButton(MouseButtonEvent { state, button })),
        (axis, any::<i16>()).prop_map(|(axis, amount)| InputEvent::Scroll(Scroll { axis, amount })),
    ]
}

fn touch_and_pen() -> impl Strategy<Value = InputEvent> {
    let rotation = || any::<u16>().prop_map(Rotation::from_wire);
    let area = || (fraction(), fraction(), fraction(), fraction(), fraction());
    let tool = select(vec![PenTool::Unknown, PenTool::Pen, PenTool::Eraser]);
    prop_oneof![
        (pointer_event(), any::<u32>(), rotation(), area()).prop_map(
            |(event, pointer, rotation, (x, y, pressure_or_distance, contact_major, contact_minor))| {
                InputEvent::Touch(TouchEvent {
                    event,
                    pointer: PointerId(pointer),
                    x,
                    y,
                    pressure_or_distance,
                    rotation,
                    contact_major,
                    contact_minor,
                })
            }
        ),
        (pointer_event(), tool, any::<u8>(), rotation(), any::<u8>(), area()).prop_map(
            |(event, tool, buttons, rotation, tilt, (x, y, pressure_or_distance, contact_major, contact_minor))| {
                InputEvent::Pen(PenEvent {
                    event,
                    tool,
                    buttons: PenButtons::from_bits(buttons),
                    x,
                    y,
                    pressure_or_distance,
                    rotation,
                    tilt: Tilt::from_wire(tilt),
                    contact_major,
                    contact_minor,
                })
            }
        ),
    ]
}

fn controllers() -> impl Strategy<Value = InputEvent> {
    let kind = select(vec![
        ControllerKind::Unknown,
        ControllerKind::Xbox,
        ControllerKind::PlayStation,
        ControllerKind::Nintendo,
        ControllerKind::Steam,
    ]);
    let battery = select(vec![
        BatteryState::Unknown,
        BatteryState::NotPresent,
        BatteryState::Discharging,
        BatteryState::Charging,
        BatteryState::PluggedNotCharging,
        BatteryState::Full,
    ]);
    prop_oneof![
        (controller(), any::<u16>(), any::<u32>(), any::<(u8, u8)>(), stick(), stick()).prop_map(
            |(controller, mask, buttons, (left_trigger, right_trigger), left_stick, right_stick)| {
                InputEvent::Controller(ControllerState {
                    controller,
                    mask: ControllerMask(mask),
                    buttons: Buttons::from_bits(buttons),
                    left_trigger,
                    right_trigger,
                    left_stick,
                    right_stick,
                })
            }
        ),
        (controller(), kind, any::<u16>(), any::<u32>()).prop_map(|(controller, kind, capabilities, buttons)| {
            InputEvent::ControllerArrival(ControllerArrival {
                controller,
                kind,
                capabilities: Capabilities::from_bits(capabilities),
                buttons: Buttons::from_bits(buttons),
            })
        }),
        (controller(), pointer_event(), any::<u8>(), any::<u32>(), fraction(), fraction(), fraction()).prop_map(
            |(controller, event, touchpad, pointer, x, y, pressure)| {
                InputEvent::ControllerTouch(ControllerTouch {
                    controller,
                    event,
                    touchpad: TouchpadIndex(touchpad),
                    pointer: PointerId(pointer),
                    x,
                    y,
                    pressure,
                })
            }
        ),
        (controller(), sensor(), [finite(), finite(), finite()]).prop_map(|(controller, kind, values)| {
            InputEvent::ControllerMotion(ControllerMotion::new(controller, kind, values).expect("finite"))
        }),
        (controller(), battery, any::<u8>()).prop_map(|(controller, state, charge)| {
            InputEvent::ControllerBattery(ControllerBattery {
                controller,
                state,
                charge: ChargePercent::from_wire(charge),
            })
        }),
    ]
}

fn input_event() -> impl Strategy<Value = InputEvent> {
    prop_oneof![keyboard_and_mouse(), touch_and_pen(), controllers()]
}

fn fec_status() -> impl Strategy<Value = FrameFecStatus> {
    any::<(u32, [u16; 7], [u8; 3])>().prop_map(|(frame, counts, [fec_percentage, block, block_count])| {
        let [
            highest_received,
            next_contiguous,
            missing_before_highest,
            total_data,
            total_parity,
            received_data,
            received_parity,
        ] = counts;
        FrameFecStatus {
            frame: FrameIndex(frame),
            highest_received,
            next_contiguous,
            missing_before_highest,
            total_data,
            total_parity,
            received_data,
            received_parity,
            fec_percentage,
            block,
            block_count,
        }
    })
}

fn client_message() -> impl Strategy<Value = ClientMessage> {
    prop_oneof![
        Just(ClientMessage::RequestIdr),
        Just(ClientMessage::StartA),
        Just(ClientMessage::StartB),
        any::<Option<u16>>().prop_map(|value| ClientMessage::Ping { value }),
        any::<(u32, u32)>().prop_map(|(one, other)| {
            let range = FrameRange::new(FrameIndex(one.min(other)), FrameIndex(one.max(other)));
            ClientMessage::InvalidateReferences(range.expect("in order"))
        }),
        any::<u32>().prop_map(|frame| ClientMessage::LtrAck { frame: FrameIndex(frame) }),
        any::<(u32, u64)>()
            .prop_map(|(interval_ms, last_good_frame)| ClientMessage::LossStats { interval_ms, last_good_frame }),
        fec_status().prop_map(ClientMessage::FecStatus),
        input_event().prop_map(ClientMessage::Input),
    ]
}

fn effect() -> impl Strategy<Value = Option<TriggerEffect>> {
    any::<Option<(u8, [u8; 10])>>()
        .prop_map(|effect| effect.map(|(mode, parameters)| TriggerEffect { mode, parameters }))
}

fn metadata() -> impl Strategy<Value = HdrMetadata> {
    any::<([(u16, u16); 4], [u16; 5])>().prop_map(|(colours, luminances)| {
        let [red, green, blue, white] = colours.map(|(x, y)| Chromaticity { x, y });
        let [
            max_display_luminance,
            min_display_luminance,
            max_content_light_level,
            max_frame_average_light_level,
            max_full_frame_luminance,
        ] = luminances;
        HdrMetadata {
            red,
            green,
            blue,
            white,
            max_display_luminance,
            min_display_luminance,
            max_content_light_level,
            max_frame_average_light_level,
            max_full_frame_luminance,
        }
    })
}

fn host_message() -> impl Strategy<Value = HostMessage> {
    let code = prop_oneof![any::<u32>(), select(vec![0x8003_0023_u32, 0x800E_9403, 0x800E_9302])];
    prop_oneof![
        (controller(), any::<(u16, u16)>()).prop_map(|(controller, (low_frequency, high_frequency))| {
            HostMessage::Rumble(Rumble { controller, low_frequency, high_frequency })
        }),
        (controller(), any::<(u16, u16)>()).prop_map(|(controller, (left, right))| HostMessage::TriggerRumble(
            TriggerRumble { controller, left, right }
        )),
        (controller(), any::<u16>(), sensor()).prop_map(|(controller, rate_hz, kind)| HostMessage::MotionRequest(
            MotionRequest { controller, rate_hz, kind }
        )),
        (controller(), any::<[u8; 3]>())
            .prop_map(|(controller, colour)| HostMessage::Led(Led { controller, colour: Rgb(colour) })),
        (controller(), effect(), effect()).prop_map(|(controller, left, right)| {
            HostMessage::AdaptiveTriggers(AdaptiveTriggers { controller, left, right })
        }),
        (select(vec![HdrState::Off, HdrState::On]), proptest::option::of(metadata()))
            .prop_map(|(state, metadata)| HostMessage::HdrMode(HdrMode { state, metadata })),
        code.prop_map(|code| HostMessage::Termination(Termination::from_code(code))),
    ]
}

/// Bytes that are a packet more often than chance has it: a packet with some bytes changed, cut or added.
fn nearly(packet: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    (packet, changes, any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..20)).prop_map(
        |(mut packet, changes, end, tail)| {
            for (at, byte) in changes {
                if !packet.is_empty() {
                    let at = at.index(packet.len());
                    packet[at] = byte;
                }
            }
            packet.truncate(end.index(2 * packet.len() + 1));
            packet.extend(tail);
            packet
        },
    )
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..300)
}

fn between_processes<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    postcard::from_bytes(&postcard::to_stdvec(value).expect("serializes")).expect("deserializes")
}

proptest! {
    #[test]
    fn input_packet_reads_back_as_written(event in input_event()) {
        prop_assert_eq!(&InputEvent::parse(&event.to_bytes()), &Ok(event.clone()));
        prop_assert_eq!(&between_processes(&event), &event);
    }

    #[test]
    fn client_message_reads_back_as_written(message in client_message()) {
        for framing in [Framing::V1, Framing::V2] {
            let bytes = message.to_bytes(framing);
            let read = ClientMessage::parse(RawMessage::parse(&bytes, framing).expect("header"));
            match (&message, framing) {
                (ClientMessage::Input(_), Framing::V1) => prop_assert!(read.is_err()),
                _ => prop_assert_eq!(&read, &Ok(message.clone())),
            }
        }
        prop_assert!(message.to_bytes(Framing::V2).len() < 256);
        prop_assert!(message.channel() < ClientMessage::CHANNELS);
        prop_assert_eq!(&between_processes(&message), &message);
    }

    #[test]
    fn host_message_reads_back_as_written(message in host_message()) {
        for framing in [Framing::V1, Framing::V2] {
            let bytes = message.to_bytes(framing);
            prop_assert_eq!(HostMessage::parse(RawMessage::parse(&bytes, framing).expect("header")), Ok(message));
        }
        prop_assert_eq!(between_processes(&message), message);
    }

    #[test]
    fn sealed_message_opens_at_the_other_side_and_only_there(
        message in client_message(),
        key in any::<[u8; 16]>(),
        legacy in any::<bool>(),
        flip in any::<prop::sample::Index>(),
    ) {
        let mode = if legacy { EnvelopeMode::Legacy } else { EnvelopeMode::V2 };
        let mut host = ControlCipher::new(&key, mode, Side::Host);
        let sealed = ControlCipher::new(&key, mode, Side::Client).seal(&message.to_bytes(Framing::V2)).expect("first");
        let mut changed = sealed.clone();
        changed[flip.index(sealed.len())] ^= 1;
        // The legacy nonce leaves out the upper bits of the sequence number, so a change there is not seen.
        if !(legacy && (5..8).contains(&flip.index(sealed.len()))) {
            prop_assert!(host.open(&mut changed).is_err());
        }
        let mut packet = sealed;
        let opened = host.open(&mut packet).expect("authentic").message;
        prop_assert_eq!(&ClientMessage::parse(opened), &Ok(message.clone()));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in any_bytes(), key in any::<[u8; 16]>()) {
        let _ = InputEvent::parse(&bytes);
        for framing in [Framing::V1, Framing::V2] {
            if let Ok(message) = RawMessage::parse(&bytes, framing) {
                let _ = ClientMessage::parse(message);
                let _ = HostMessage::parse(message);
            }
        }
        for mode in [EnvelopeMode::V2, EnvelopeMode::Legacy] {
            let _ = ControlCipher::new(&key, mode, Side::Host).open(&mut bytes.clone());
        }
        let _ = Gen7InputCipher::with_nonce(&key, key).open(&mut bytes.clone());
        let _ = OutputReport::parse(&bytes);
        let _ = Calibration::parse(&bytes);
        let _ = ReportSizes::of_descriptor(&bytes);
    }

    #[test]
    fn damaged_input_packet_is_refused_or_means_something_that_can_be_written(
        bytes in nearly(input_event().prop_map(|event| event.to_bytes())),
    ) {
        if let Ok(event) = InputEvent::parse(&bytes) {
            prop_assert_eq!(&InputEvent::parse(&event.to_bytes()), &Ok(event.clone()));
        }
    }

    #[test]
    fn damaged_message_is_refused_or_means_something_that_can_be_written(
        bytes in prop_oneof![
            nearly(client_message().prop_map(|message| message.to_bytes(Framing::V2))),
            nearly(host_message().prop_map(|message| message.to_bytes(Framing::V2))),
        ],
    ) {
        if let Ok(raw) = RawMessage::parse(&bytes, Framing::V2) {
            if let Ok(message) = ClientMessage::parse(raw) {
                let written = message.to_bytes(Framing::V2);
                prop_assert_eq!(&ClientMessage::parse(RawMessage::parse(&written, Framing::V2).expect("header")), &Ok(message.clone()));
            }
            if let Ok(message) = HostMessage::parse(raw) {
                let written = message.to_bytes(Framing::V2);
                prop_assert_eq!(HostMessage::parse(RawMessage::parse(&written, Framing::V2).expect("header")), Ok(message));
            }
        }
    }

    #[test]
    fn values_given_out_are_in_their_range(event in input_event()) {
        let part = |value: Fraction| (0.0..=1.0).contains(&value.get());
        match event {
            InputEvent::Touch(touch) => {
                prop_assert!(part(touch.x) && part(touch.y) && part(touch.pressure_or_distance));
                prop_assert!(touch.rotation.is_none_or(|rotation| rotation.degrees() < 360));
                let area = touch.contact_area(3840.0, 2160.0);
                prop_assert!(area.major.is_finite() && area.minor.is_finite());
            }
            InputEvent::Pen(pen) => {
                prop_assert!(pen.tilt.is_none_or(|tilt| tilt.degrees() <= 90));
            }
            InputEvent::ControllerMotion(motion) => {
                prop_assert!(motion.values().iter().all(|value| value.abs() <= motion.kind.limit()));
            }
            InputEvent::ControllerBattery(battery) => {
                prop_assert!(battery.charge.is_none_or(|charge| charge.get() <= 100));
            }
            InputEvent::MouseAbsolute(position) => {
                prop_assert!(position.normalised().iter().all(|part| (0.0..=1.0).contains(part)));
            }
            _ => {}
        }
    }
}
