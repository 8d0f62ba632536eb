//! Every vector of `control.json`: messages in both directions, envelopes in both nonce modes, the replay window,
//! generation 7 input.
#![allow(missing_docs)]

mod vector_file;

use lumen_core::gamestream::control::envelope::{self, EnvelopeKey};
use lumen_core::gamestream::control::gen7::Gen7InputCipher;
use lumen_core::gamestream::control::{
    ClientMessage, ControlCipher, EnvelopeMode, Framing, HdrMetadata, HdrState, HostMessage, MessageError, OpenError,
    RawMessage, ReplayWindow, Side, Termination, TriggerEffect,
};
use lumen_core::gamestream::input::{InputError, InputEvent, MotionKind};
use serde_json::{Value, json};
use vector_file::{check, hex, number, string, unhex};

#[test]
fn every_control_vector_agrees() {
    check(include_str!("vectors/control.json"), 201, |kind, inputs, _| {
        Some(match kind {
            "message" => message(inputs).unwrap_or_else(|error| json!({ "error": class(error) })),
            "v1_message" => v1_message(inputs),
            "envelope" => sealed(inputs),
            "open" => open(inputs, |sequence, message| {
                Ok(json!({
                    "sequence": sequence,
                    "type": format!("{:#06x}", message.kind),
                    "payload_length": message.payload.len(),
                }))
            }),
            "open_input" => {
                open(inputs, |_, message| Ok(json!({ "event": format!("{:?}", ClientMessage::parse(message)?) })))
            }
            "open_sequence" => open_sequence(inputs),
            "replay_window" => replay_window(inputs),
            "gen7_input" => {
                let packets = std::slice::from_ref(&inputs["packet"]);
                let nonce = unhex(&inputs["iv"]).try_into().expect("16 bytes");
                let (messages, next) = gen7(&|key| Gen7InputCipher::with_nonce(key, nonce), inputs, packets);
                json!({ "message": messages[0], "next_iv": next })
            }
            "gen7_input_chain" => {
                let packets = inputs["packets"].as_array().expect("packets");
                let rikeyid = inputs["rikeyid"].as_i64().expect("number") as i32;
                let (messages, last) = gen7(&|key| Gen7InputCipher::new(key, rikeyid), inputs, packets);
                json!({ "messages": messages, "final_iv": last })
            }
            _ => return None,
        })
    });
}

fn message(inputs: &Value) -> Result<Value, MessageError> {
    let plain = unhex(&inputs["plain"]);
    let raw = RawMessage::parse(&plain, Framing::V2)?;
    let (fields, encoded) = match side(inputs) {
        Side::Client => {
            let message = ClientMessage::parse(raw)?;
            let encoded = message.to_bytes(Framing::V2);
            assert_eq!(ClientMessage::parse(RawMessage::parse(&encoded, Framing::V2)?).as_ref(), Ok(&message));
            (client_fields(&message), encoded)
        }
        Side::Host => {
            let message = HostMessage::parse(raw)?;
            let encoded = message.to_bytes(Framing::V2);
            assert_eq!(HostMessage::parse(RawMessage::parse(&encoded, Framing::V2)?), Ok(message));
            (host_fields(&message), encoded)
        }
    };
    if inputs["canonical"] == true {
        assert_eq!(hex(&encoded), hex(&plain), "{fields}");
    }
    Ok(json!({ "type": format!("{:#06x}", raw.kind), "fields": fields }))
}

fn v1_message(inputs: &Value) -> Value {
    match RawMessage::parse(&unhex(&inputs["hex"]), Framing::V1) {
        Ok(message) => json!({ "type": format!("{:#06x}", message.kind), "payload": hex(message.payload) }),
        Err(error) => json!({ "error": class(error) }),
    }
}

/// Seals, and opens what was sealed: with the bare key, and for first messages with a session's cipher.
fn sealed(inputs: &Value) -> Value {
    let (key, mode, sender) = (key(inputs), mode(inputs), side(inputs));
    let sequence = number(&inputs["sequence"]) as u32;
    let plain = unhex(&inputs["plain"]);
    let packet = EnvelopeKey::new(&key, mode).seal(sender, sequence, &plain);
    assert_eq!(
        EnvelopeKey::new(&key, mode).open(sender, &mut packet.clone()),
        Ok((sequence, &plain[..])),
        "sealed packet opens"
    );
    if sequence == 0 {
        assert_eq!(ControlCipher::new(&key, mode, sender).seal(&plain).as_ref(), Ok(&packet));
    }
    let iv = match mode {
        EnvelopeMode::V2 => envelope::v2_nonce(sender, sequence).to_vec(),
        EnvelopeMode::Legacy => envelope::legacy_nonce(sequence).to_vec(),
    };
    json!({ "iv": hex(&iv), "packet": hex(&packet) })
}

/// Opens the packet and reads the message in it. An error must leave the session alone: the same cipher has not
/// given up and opens the next authentic packet.
fn open(inputs: &Value, read: impl FnOnce(u32, RawMessage<'_>) -> Result<Value, OpenError>) -> Value {
    let mut cipher = ControlCipher::new(&key(inputs), mode(inputs), side(inputs).peer());
    let mut packet = unhex(&inputs["packet"]);
    let result = cipher.open(&mut packet).and_then(|opened| read(opened.sequence, opened.message));
    result.unwrap_or_else(|error| {
        let plain = ClientMessage::StartB.to_bytes(Framing::V2);
        let mut next = EnvelopeKey::new(&key(inputs), mode(inputs)).seal(side(inputs), u32::MAX, &plain);
        let survives = cipher.open(&mut next).is_ok() && !cipher.has_failed_too_often();
        json!({ "error": open_class(error), "session": if survives { "survives" } else { "ends" } })
    })
}

fn open_sequence(inputs: &Value) -> Value {
    let mut cipher = ControlCipher::new(&key(inputs), mode(inputs), side(inputs).peer());
    let results: Vec<&str> = inputs["packets"]
        .as_array()
        .expect("packets")
        .iter()
        .map(|packet| cipher.open(&mut unhex(packet)).map_or_else(open_class, |_| "ok"))
        .collect();
    json!({ "results": results })
}

fn replay_window(inputs: &Value) -> Value {
    assert_eq!(number(&inputs["size"]), u64::from(ReplayWindow::SIZE));
    let mut window = ReplayWindow::new();
    let accepted: Vec<bool> = inputs["sequences"]
        .as_array()
        .expect("sequences")
        .iter()
        .map(|sequence| {
            let sequence = number(sequence);
            let fresh = window.is_fresh(sequence);
            if fresh {
                window.mark(sequence);
            }
            fresh
        })
        .collect();
    json!({ "accepted": accepted })
}

/// Seals packets one after the other, opens them again, and gives the messages and the nonce after them.
fn gen7(cipher: &dyn Fn(&[u8; 16]) -> Gen7InputCipher, inputs: &Value, packets: &[Value]) -> (Vec<String>, String) {
    let (mut sealing, mut opening) = (cipher(&key(inputs)), cipher(&key(inputs)));
    let messages = packets
        .iter()
        .map(|packet| {
            let packet = unhex(packet);
            let message = sealing.seal(&packet);
            assert_eq!(opening.open(&mut message.clone()), Ok(&packet[..]));
            assert_eq!(InputEvent::parse(&packet).expect("input packet").to_bytes(), packet);
            hex(&message)
        })
        .collect();
    assert_eq!(sealing.nonce(), opening.nonce());
    (messages, hex(&sealing.nonce()))
}

fn key(inputs: &Value) -> [u8; 16] {
    unhex(&inputs["key"]).try_into().expect("16 bytes")
}

fn mode(inputs: &Value) -> EnvelopeMode {
    match string(&inputs["mode"]) {
        "v2" => EnvelopeMode::V2,
        "legacy" => EnvelopeMode::Legacy,
        other => panic!("mode {other}"),
    }
}

fn side(inputs: &Value) -> Side {
    match string(&inputs["direction"]) {
        "client" => Side::Client,
        "host" => Side::Host,
        other => panic!("direction {other}"),
    }
}

fn class(error: MessageError) -> &'static str {
    match error {
        MessageError::Truncated => "Truncated",
        MessageError::NestedEnvelope => "NestedEnvelope",
        MessageError::InnerLength { .. } => "InnerLength",
        MessageError::UnknownType(_) => "UnknownType",
        MessageError::WrongDirection(_) => "WrongDirection",
        MessageError::BadController(_) | MessageError::Input(InputError::BadController(_)) => "BadController",
        MessageError::BadMotionType(_) => "BadMotionType",
        MessageError::Input(InputError::SizeMismatch { .. }) => "SizeMismatch",
        MessageError::SealedInput | MessageError::Input(_) => "not in any vector",
    }
}

fn open_class(error: OpenError) -> &'static str {
    match error {
        OpenError::Truncated => "Truncated",
        OpenError::NotEncrypted(_) => "NotEncrypted",
        OpenError::Runt(_) => "Runt",
        OpenError::TooLarge(_) => "TooLarge",
        OpenError::LengthMismatch { .. } => "LengthMismatch",
        OpenError::Replay(_) => "Replay",
        OpenError::BadTag => "BadTag",
        OpenError::Message(error) => class(error),
    }
}

fn client_fields(message: &ClientMessage) -> Value {
    match message {
        ClientMessage::RequestIdr => json!({ "message": "request_idr" }),
        ClientMessage::StartA => json!({ "message": "start_a" }),
        ClientMessage::StartB => json!({ "message": "start_b" }),
        ClientMessage::Ping { value } => json!({ "message": "ping", "value": value }),
        ClientMessage::InvalidateReferences(range) => {
            json!({ "message": "invalidate", "first": range.first().0, "last": range.last().0 })
        }
        ClientMessage::LtrAck { frame } => json!({ "message": "ltr_ack", "frame": frame.0 }),
        ClientMessage::LossStats { interval_ms, last_good_frame } => {
            json!({ "message": "loss_stats", "interval_ms": interval_ms, "last_good_frame": last_good_frame })
        }
        ClientMessage::FecStatus(status) => json!({
            "message": "fec_status",
            "frame": status.frame.0,
            "highest_received": status.highest_received,
            "next_contiguous": status.next_contiguous,
            "missing_before_highest": status.missing_before_highest,
            "total_data": status.total_data,
            "total_parity": status.total_parity,
            "received_data": status.received_data,
            "received_parity": status.received_parity,
            "fec_percentage": status.fec_percentage,
            "block": status.block,
            "block_count": status.block_count,
        }),
        ClientMessage::Input(event) => json!({ "message": "input", "packet": hex(&event.to_bytes()) }),
    }
}

fn host_fields(message: &HostMessage) -> Value {
    match message {
        HostMessage::Rumble(rumble) => json!({
            "message": "rumble",
            "controller": rumble.controller.get(),
            "low": rumble.low_frequency,
            "high": rumble.high_frequency,
        }),
        HostMessage::TriggerRumble(rumble) => json!({
            "message": "trigger_rumble",
            "controller": rumble.controller.get(),
            "left": rumble.left,
            "right": rumble.right,
        }),
        HostMessage::MotionRequest(request) => json!({
            "message": "motion_event",
            "controller": request.controller.get(),
            "rate_hz": request.rate_hz,
            "motion": match request.kind {
                MotionKind::Accelerometer => "accelerometer",
                MotionKind::Gyro => "gyro",
            },
        }),
        HostMessage::Led(led) => {
            json!({ "message": "led", "controller": led.controller.get(), "rgb": hex(&led.colour.0) })
        }
        HostMessage::AdaptiveTriggers(triggers) => json!({
            "message": "adaptive_triggers",
            "controller": triggers.controller.get(),
            "left": triggers.left.map(effect_fields),
            "right": triggers.right.map(effect_fields),
        }),
        HostMessage::HdrMode(mode) => json!({
            "message": "hdr_mode",
            "enabled": mode.state == HdrState::On,
            "metadata": mode.metadata.map(metadata_fields),
        }),
        HostMessage::Termination(reason) => json!({
            "message": "termination",
            "code": reason.code(),
            "meaning": match reason {
                Termination::Closed => "closed",
                Termination::FrameConversion => "frame_conversion",
                Termination::ProtectedContent => "protected_content",
                Termination::Other(_) => "other",
            },
        }),
    }
}

fn effect_fields(effect: TriggerEffect) -> Value {
    json!({ "type": effect.mode, "parameters": hex(&effect.parameters) })
}

fn metadata_fields(metadata: HdrMetadata) -> Value {
    json!({
        "red_x": metadata.red.x,
        "red_y": metadata.red.y,
        "green_x": metadata.green.x,
        "green_y": metadata.green.y,
        "blue_x": metadata.blue.x,
        "blue_y": metadata.blue.y,
        "white_x": metadata.white.x,
        "white_y": metadata.white.y,
        "max_display_luminance": metadata.max_display_luminance,
        "min_display_luminance": metadata.min_display_luminance,
        "max_content_light_level": metadata.max_content_light_level,
        "max_frame_average_light_level": metadata.max_frame_average_light_level,
        "max_full_frame_luminance": metadata.max_full_frame_luminance,
    })
}
