//! Every vector of `input.json`: input packets in both directions, the key table, geometry, DualSense reports.
#![allow(missing_docs)]

mod vector_file;

use lumen_core::gamestream::input::dualsense::{self, Calibration, Contact, ReportSizes, TouchPoint, raw_motion};
use lumen_core::gamestream::input::geometry::{contact_area, pen_tilt, touch_orientation};
use lumen_core::gamestream::input::keys::{KEYS, SentByStock};
use lumen_core::gamestream::input::{
    BatteryState, ControllerKind, InputError, InputEvent, KeyOrigin, MotionKind, MouseButton, PenTool, PointerEvent,
    PressState, Rotation, ScrollAxis, Tilt, VirtualKey, keys,
};
use serde_json::{Value, json};
use vector_file::{check, hex, number, string, unhex};

#[test]
fn every_input_vector_agrees() {
    check(include_str!("vectors/input.json"), 434, |kind, inputs, expected| {
        Some(match kind {
            "packet" => packet(inputs),
            "truncations" => truncations(inputs),
            "virtual_keys" => virtual_keys(),
            "virtual_key" => virtual_key(inputs),
            "contact_area" => {
                let float = |name: &str| inputs[name].as_f64().expect("number");
                let rotation = rotation(&inputs["rotation"]);
                let area = contact_area(float("major"), float("minor"), rotation, float("width"), float("height"));
                json!({ "major": area.major, "minor": area.minor })
            }
            "touch_orientation" => {
                json!({ "orientation": touch_orientation(rotation(&inputs["rotation"]).expect("rotation")) })
            }
            "pen_tilt" => {
                let tilt = inputs["tilt"].as_u64().and_then(|tilt| Tilt::from_wire(tilt as u8));
                let tilt = pen_tilt(rotation(&inputs["rotation"]), tilt);
                // Results that are zero but for rounding are compared as such.
                let near = |member: &str, value: f64| {
                    let wanted = expected[member].as_f64().expect("number");
                    if (wanted - value).abs() < 1e-9 { wanted } else { value }
                };
                json!({ "tilt_x": near("tilt_x", tilt.x), "tilt_y": near("tilt_y", tilt.y) })
            }
            "dualsense_motion" => {
                let kind = match string(&inputs["motion"]) {
                    "gyro" => MotionKind::Gyro,
                    _ => MotionKind::Accelerometer,
                };
                json!({ "raw": raw_motion(kind, inputs["value"].as_f64().expect("number")) })
            }
            "dualsense_touch" => {
                let contact =
                    if inputs["active"].as_bool().expect("flag") { Contact::Touching } else { Contact::Lifted };
                let point = TouchPoint {
                    contact,
                    id: number(&inputs["contact"]) as u8,
                    x: number(&inputs["x"]) as u16,
                    y: number(&inputs["y"]) as u16,
                };
                json!({ "bytes": hex(&point.to_bytes()) })
            }
            "dualsense_calibration" => {
                let report = unhex(&inputs["report"]);
                assert_eq!(report, dualsense::CALIBRATION_REPORT);
                let calibration = Calibration::parse(&report).expect("calibration report");
                let same = |[x, y, z]: [f64; 3]| {
                    assert!(x == y && y == z);
                    x
                };
                json!({
                    "length": report.len(),
                    "gyro_raw_per_degree": same(calibration.gyro_raw_per_degree),
                    "accelerometer_raw_per_g": same(calibration.accelerometer_raw_per_g),
                })
            }
            "hid_descriptor" => {
                let descriptor = unhex(&inputs["descriptor"]);
                assert_eq!(descriptor, dualsense::REPORT_DESCRIPTOR);
                let sizes = ReportSizes::of_descriptor(&descriptor);
                let table = |sizes: &[(u8, usize)]| -> Value {
                    sizes.iter().map(|(number, size)| (number.to_string(), json!(size))).collect()
                };
                json!({
                    "length": descriptor.len(),
                    "input_reports": table(&sizes.input),
                    "output_reports": table(&sizes.output),
                    "feature_reports_subset": table(&sizes.feature),
                })
            }
            _ => return None,
        })
    });
}

fn packet(inputs: &Value) -> Value {
    let bytes = unhex(&inputs["hex"]);
    match InputEvent::parse(&bytes) {
        Ok(event) => {
            if inputs["canonical"] == true {
                assert_eq!(hex(&event.to_bytes()), hex(&bytes), "{event:?}");
            }
            assert_eq!(InputEvent::parse(&event.to_bytes()).as_ref(), Ok(&event));
            json!({ "length": bytes.len(), "fields": fields(&event) })
        }
        Err(error) => json!({ "error": class(error) }),
    }
}

fn truncations(inputs: &Value) -> Value {
    let bytes = unhex(&inputs["hex"]);
    let errors: Vec<Value> = (0..bytes.len())
        .map(|length| InputEvent::parse(&bytes[..length]).map_or_else(|error| json!(class(error)), |_| Value::Null))
        .collect();
    json!({ "errors": errors })
}

fn virtual_keys() -> Value {
    let table: Value = KEYS
        .iter()
        .map(|row| {
            let meaning = json!({
                "name": row.name,
                "linux": row.linux,
                "evdev": row.evdev.0,
                "sent": row.stock == SentByStock::Sent,
            });
            assert_eq!(keys::evdev(row.virtual_key, KeyOrigin::UsPosition), Some(row.evdev));
            (format!("{:02x}", row.virtual_key.0), meaning)
        })
        .collect();
    json!({ "table": table, "count": KEYS.len() })
}

fn virtual_key(inputs: &Value) -> Value {
    let origin = if inputs["non_normalized"] == true { KeyOrigin::ClientLayout } else { KeyOrigin::UsPosition };
    match keys::evdev(VirtualKey(number(&inputs["vk"]) as u8), origin) {
        Some(key) => json!({ "evdev": key.0 }),
        None => json!({ "error": "UnknownKey" }),
    }
}

fn rotation(value: &Value) -> Option<Rotation> {
    value.as_u64().and_then(|degrees| Rotation::from_wire(degrees as u16))
}

fn class(error: InputError) -> &'static str {
    match error {
        InputError::Truncated => "Truncated",
        InputError::SizeMismatch { .. } => "SizeMismatch",
        InputError::UnknownMagic(_) => "UnknownMagic",
        InputError::TooLong(_) => "TooLong",
        InputError::BadText => "BadText",
        InputError::BadReference(_) => "BadReference",
        InputError::BadButton(_) => "BadButton",
        InputError::BadController(_) => "BadController",
        InputError::BadEvent(_) => "BadEvent",
        InputError::BadMotionType(_) => "BadMotionType",
        InputError::NotFinite => "NotFinite",
    }
}

fn press<'a>(state: PressState, down: &'a str, up: &'a str) -> &'a str {
    match state {
        PressState::Down => down,
        PressState::Up => up,
    }
}

fn pointer_event(event: PointerEvent) -> &'static str {
    match event {
        PointerEvent::Hover => "hover",
        PointerEvent::Down => "down",
        PointerEvent::Up => "up",
        PointerEvent::Move => "move",
        PointerEvent::Cancel => "cancel",
        PointerEvent::ButtonOnly => "button_only",
        PointerEvent::HoverLeave => "hover_leave",
        PointerEvent::CancelAll => "cancel_all",
    }
}

fn fields(event: &InputEvent) -> Value {
    match event {
        InputEvent::HapticsEnable(haptics) => json!({ "packet": "haptics_enable", "enable": haptics.0 }),
        InputEvent::Key(key) => json!({
            "packet": press(key.state, "key_down", "key_up"),
            "wire_code": key.code.0,
            "vk": key.virtual_key().0,
            "non_normalized": key.origin == KeyOrigin::ClientLayout,
            "modifiers": key.modifiers.names().collect::<Vec<_>>(),
            "ignored": key.is_ignored(),
        }),
        InputEvent::Text(text) => json!({
            "packet": "text",
            "text": text.as_str(),
            "delivered": text.delivered().collect::<String>(),
        }),
        InputEvent::MouseRelative(motion) => json!({ "packet": "mouse_relative", "dx": motion.dx, "dy": motion.dy }),
        InputEvent::MouseAbsolute(position) => json!({
            "packet": "mouse_absolute",
            "x": position.x,
            "y": position.y,
            "reference_width": position.reference_width.get(),
            "reference_height": position.reference_height.get(),
            "normalised": position.normalised(),
        }),
        InputEvent::MouseButton(event) => json!({
            "packet": press(event.state, "button_down", "button_up"),
            "button": match event.button {
                MouseButton::Left => "left",
                MouseButton::Middle => "middle",
                MouseButton::Right => "right",
                MouseButton::X1 => "x1",
                MouseButton::X2 => "x2",
            },
            "linux": event.button.evdev().0,
        }),
        InputEvent::Scroll(scroll) => json!({
            "packet": match scroll.axis {
                ScrollAxis::Vertical => "scroll",
                ScrollAxis::Horizontal => "horizontal_scroll",
            },
            "amount": scroll.amount,
        }),
        InputEvent::Touch(touch) => json!({
            "packet": "touch",
            "event": pointer_event(touch.event),
            "rotation": touch.rotation.map(Rotation::as_sent),
            "pointer": touch.pointer.0,
            "x": touch.x.as_sent(),
            "y": touch.y.as_sent(),
            "pressure": touch.pressure_or_distance.as_sent(),
            "major": touch.contact_major.as_sent(),
            "minor": touch.contact_minor.as_sent(),
            "clamped": [touch.x.get(), touch.y.get(), touch.pressure_or_distance.get()],
        }),
        InputEvent::Pen(pen) => json!({
            "packet": "pen",
            "event": pointer_event(pen.event),
            "tool": match pen.tool {
                PenTool::Unknown => "unknown",
                PenTool::Pen => "pen",
                PenTool::Eraser => "eraser",
            },
            "buttons": pen.buttons.names().collect::<Vec<_>>(),
            "x": pen.x.as_sent(),
            "y": pen.y.as_sent(),
            "pressure": pen.pressure_or_distance.as_sent(),
            "rotation": pen.rotation.map(Rotation::as_sent),
            "tilt": pen.tilt.map(Tilt::as_sent),
            "major": pen.contact_major.as_sent(),
            "minor": pen.contact_minor.as_sent(),
        }),
        InputEvent::Controller(state) => json!({
            "packet": "controller",
            "controller": state.controller.get(),
            "mask": state.mask.0,
            "present": state.is_present(),
            "buttons": state.buttons.names().collect::<Vec<_>>(),
            "left_trigger": state.left_trigger,
            "right_trigger": state.right_trigger,
            "left_stick": [state.left_stick.x, state.left_stick.y],
            "right_stick": [state.right_stick.x, state.right_stick.y],
        }),
        InputEvent::ControllerArrival(arrival) => json!({
            "packet": "controller_arrival",
            "controller": arrival.controller.get(),
            "type": match arrival.kind {
                ControllerKind::Unknown => "unknown",
                ControllerKind::Xbox => "xbox",
                ControllerKind::PlayStation => "playstation",
                ControllerKind::Nintendo => "nintendo",
                ControllerKind::Steam => "steam",
            },
            "capabilities": arrival.capabilities.names().collect::<Vec<_>>(),
            "buttons": arrival.buttons.names().collect::<Vec<_>>(),
        }),
        InputEvent::ControllerTouch(touch) => json!({
            "packet": "controller_touchpad",
            "controller": touch.controller.get(),
            "event": pointer_event(touch.event),
            "touchpad": touch.touchpad.0,
            "pointer": touch.pointer.0,
            "x": touch.x.as_sent(),
            "y": touch.y.as_sent(),
            "pressure": touch.pressure.as_sent(),
        }),
        InputEvent::ControllerMotion(motion) => json!({
            "packet": "controller_motion",
            "controller": motion.controller.get(),
            "motion": match motion.kind {
                MotionKind::Accelerometer => "accelerometer",
                MotionKind::Gyro => "gyro",
            },
            "values": motion.as_sent(),
            "clamped": motion.values(),
            "reliable": motion.is_reliable(),
        }),
        InputEvent::ControllerBattery(battery) => json!({
            "packet": "controller_battery",
            "controller": battery.controller.get(),
            "state": match battery.state {
                BatteryState::Unknown => "unknown",
                BatteryState::NotPresent => "not_present",
                BatteryState::Discharging => "discharging",
                BatteryState::Charging => "charging",
                BatteryState::PluggedNotCharging => "plugged_not_charging",
                BatteryState::Full => "full",
            },
            "percent": battery.charge.map(|charge| charge.as_sent()),
        }),
    }
}
