//! The table of every message that the control stream can carry: its numbers, who sends it, what lumen does with
//! it, which test reads it. It stands beside the enums so that neither can grow without the other: each variant
//! names its row in an exhaustive match ([`ClientMessage::info`], [`HostMessage::info`], [`InputEvent::info`]),
//! and `docs/src/reference/messages.md` is printed from it by [`markdown`].

use std::fmt::Write as _;

use super::{ClientMessage, HostMessage, Side, kind};
use crate::gamestream::input::{InputEvent, magic};

/// One row of the table. No text is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageInfo {
    /// Name of the message.
    pub name: &'static str,
    /// Who sends it; `None` for what both sides send.
    pub sender: Option<Side>,
    /// Message type, one of [`kind`].
    pub kind: u16,
    /// Packet types inside an input message, each one of [`magic`]; none for other messages.
    pub magics: &'static [u32],
    /// What it carries.
    pub payload: &'static str,
    /// What lumen's host does with it, or when it sends it.
    pub host: &'static str,
    /// What lumen's client does with it, or when it sends it.
    pub client: &'static str,
    /// A vector or test that reads it: file and name.
    pub test: (&'static str, &'static str),
}

impl ClientMessage {
    /// The row of the message.
    pub const fn info(&self) -> &'static MessageInfo {
        match self {
            Self::RequestIdr => &REQUEST_IDR,
            Self::StartA => &START_A,
            Self::StartB => &START_B,
            Self::Ping { .. } => &PING,
            Self::InvalidateReferences(_) => &INVALIDATE_REFERENCES,
            Self::LtrAck { .. } => &LTR_ACK,
            Self::LossStats { .. } => &LOSS_STATS,
            Self::FecStatus(_) => &FEC_STATUS,
            Self::Input(event) => event.info(),
        }
    }
}

impl HostMessage {
    /// The row of the message.
    pub const fn info(&self) -> &'static MessageInfo {
        match self {
            Self::Rumble(_) => &RUMBLE,
            Self::TriggerRumble(_) => &TRIGGER_RUMBLE,
            Self::MotionRequest(_) => &MOTION_REQUEST,
            Self::Led(_) => &LED,
            Self::AdaptiveTriggers(_) => &ADAPTIVE_TRIGGERS,
            Self::HdrMode(_) => &HDR_MODE,
            Self::Termination(_) => &TERMINATION,
        }
    }
}

impl InputEvent {
    /// The row of the input packet.
    pub const fn info(&self) -> &'static MessageInfo {
        match self {
            Self::HapticsEnable(_) => &HAPTICS_ENABLE,
            Self::Key(_) => &KEY,
            Self::Text(_) => &TEXT,
            Self::MouseRelative(_) => &MOUSE_RELATIVE,
            Self::MouseAbsolute(_) => &MOUSE_ABSOLUTE,
            Self::MouseButton(_) => &MOUSE_BUTTON,
            Self::Scroll(_) => &SCROLL,
            Self::Touch(_) => &TOUCH,
            Self::Pen(_) => &PEN,
            Self::Controller(_) => &CONTROLLER,
            Self::ControllerArrival(_) => &CONTROLLER_ARRIVAL,
            Self::ControllerTouch(_) => &CONTROLLER_TOUCH,
            Self::ControllerMotion(_) => &CONTROLLER_MOTION,
            Self::ControllerBattery(_) => &CONTROLLER_BATTERY,
        }
    }
}

/// Declares the rows and lists them all in [`MESSAGES`], so that no row can be left out of it.
macro_rules! rows {
    ($($row:ident { $($field:ident: $value:expr,)* })*) => {
        $(static $row: MessageInfo = MessageInfo { $($field: $value,)* };)*

        /// Every message, in the order of the documentation page.
        pub const MESSAGES: &[&MessageInfo] = &[$(&$row),*];
    };
}

const CONTROL: &str = "control.json";
const INPUT: &str = "input.json";

rows! {
    ENVELOPE {
        name: "Encrypted envelope",
        sender: None,
        kind: kind::ENVELOPE,
        magics: &[],
        payload: "sequence number, tag, one sealed message",
        host: "opens it, drops it if it is not authentic or was seen before; suspends the session after 16 failures",
        client: "opens it, drops it if it is not authentic or was seen before",
        test: (CONTROL, "document_E01"),
    }

    START_A {
        name: "Start A",
        sender: Some(Side::Client),
        kind: kind::START_A,
        magics: &[],
        payload: "2 zero bytes",
        host: "same as a request for a key frame",
        client: "sends Request IDR in its place, as current clients do",
        test: (CONTROL, "message_start_a_0305"),
    }

    REQUEST_IDR {
        name: "Request IDR",
        sender: Some(Side::Client),
        kind: kind::REQUEST_IDR,
        magics: &[],
        payload: "2 zero bytes",
        host: "the next frame is a key frame with parameter sets; requests before it are one",
        client: "sends it first of all, and when frames were lost that invalidation cannot repair",
        test: (CONTROL, "message_request_idr"),
    }

    START_B {
        name: "Start B",
        sender: Some(Side::Client),
        kind: kind::START_B,
        magics: &[],
        payload: "1 zero byte",
        host: "answers with the HDR mode; media wait for the connection and their pings, not for this",
        client: "sends it second",
        test: (CONTROL, "message_start_b"),
    }

    PING {
        name: "Periodic ping",
        sender: Some(Side::Client),
        kind: kind::PING,
        magics: &[],
        payload: "u16 4, zeros; 8 bytes",
        host: "puts off the session's deadline of 10 s, as any authentic message does",
        client: "sends it every 100 ms",
        test: (CONTROL, "message_ping"),
    }

    INVALIDATE_REFERENCES {
        name: "Invalidate reference frames",
        sender: Some(Side::Client),
        kind: kind::INVALIDATE_REFERENCES,
        magics: &[],
        payload: "first and last lost frame; 24 bytes",
        host: "the next frame is a key frame: no encoder here can leave references out",
        client: "sends it when frames were lost and the host can invalidate",
        test: (CONTROL, "message_invalidate_100_104"),
    }

    LTR_ACK {
        name: "Long-term reference frame received",
        sender: Some(Side::Client),
        kind: kind::LTR_ACK,
        magics: &[],
        payload: "frame; 8 bytes",
        host: "ignores it: it flags no frame as long-term reference, so stock clients do not send this",
        client: "sends it for complete frames that carry the flag, if the host can invalidate",
        test: (CONTROL, "message_ltr_ack_105"),
    }

    FEC_STATUS {
        name: "Frame FEC status",
        sender: Some(Side::Client),
        kind: kind::FEC_STATUS_OR_LED,
        magics: &[],
        payload: "frame, shards sent and received, block; 21 bytes, big endian",
        host: "counts losses for the statistics of the session",
        client: "sends it for blocks that needed recovery or were given up, 8 in 100 ms at most",
        test: (CONTROL, "message_fec_status_1234"),
    }

    LOSS_STATS {
        name: "Loss statistics",
        sender: Some(Side::Client),
        kind: kind::LOSS_STATS,
        magics: &[],
        payload: "interval, last good frame; 32 bytes",
        host: "puts off the session's deadline; only clients before 7.1.415 send it",
        client: "never sends it",
        test: (CONTROL, "message_loss_stats"),
    }

    FRAME_STATS {
        name: "Frame statistics",
        sender: Some(Side::Client),
        kind: kind::FRAME_STATS,
        magics: &[],
        payload: "not documented",
        host: "ignores it as an unknown type; no current client sends it",
        client: "never sends it",
        test: ("control/table.rs", "frame_statistics_are_an_unknown_type"),
    }

    HAPTICS_ENABLE {
        name: "Haptics enable",
        sender: Some(Side::Client),
        kind: kind::INPUT,
        magics: &[magic::HAPTICS_ENABLE],
        payload: "u16 1",
        host: "needs no enabling and ignores it",
        client: "sends it first of all input",
        test: (INPUT, "document_I01"),
    }

    KEY {
        name: "Key down, key up",
        sender: Some(Side::Client),
        kind: kind::INPUT,
        magics: &[magic::KEY_DOWN, magic::KEY_UP],
        payload: "virtual key, modifiers, flag for keys of the client's own layout",
        host: "presses or releases the key at that position; modifiers count by keys of their own",
        client: "sends it from an input script",
        test: (INPUT, "document_I02"),
    }

    TEXT {
        name: "Text",
        sender: Some(Side::Client),
        kind: kind::INPUT,
        magics: &[magic::TEXT],
        payload: "UTF-8, 32 bytes at most",
        host: "types the characters without control codes other than tab and line ends",
        client: "sends it from an input script, as many whole characters as fit into a packet",
        test: (INPUT, "document_I06"),
    }

    MOUSE_RELATIVE {
        name: "Relative mouse motion",
        sender: Some(Side::Client),
        kind: kind::INPUT,
        magics: &[magic::MOUSE_RELATIVE],
        payload: "counts to the right and down",
        host: "moves the pointer of the session's display",
        client: "sends it from an input script",
        test: (INPUT, "document_I08"),
    }

    MOUSE_ABSOLUTE {
        name: "Absolute pointer position",
        sender: Some(Side::Client),
        kind: kind::INPUT,
        magics: &[magic::MOUSE_ABSOLUTE],
        payload: "position and largest position, in pixels of the client",
        host: "puts the pointer of the session's display there, clamped to its edges",
        client: "sends it from an input script",
        test: (INPUT, "document_I10"),
    }

    MOUSE_BUTTON {
        name: "Mouse button down, up",
        sender: Some(Side::Client),
        kind: kind::INPUT,
        magics: &[magic::BUTTON_DOWN, magic::BUTTON_UP],
        payload: "button 1 to 5",
        host: "presses or releases the button; repetitions mean nothing",
        client: "sends it from an input script",
        test: (INPUT, "document_I11"),
    }

    SCROLL {
        name: "Vertical and horizontal scroll",
        sender: Some(Side::Client),
        kind: kind::INPUT,
        magics: &[magic::SCROLL, magic::HORIZONTAL_SCROLL],
        payload: "120ths of a notch, up or right",
        host: "turns the wheel in high resolution",
        client: "sends it from an input script",
        test: (INPUT, "document_I14"),
    }

    TOUCH {
        name: "Touch",
        sender: Some(Side::Client),
        kind: kind::INPUT,
        magics: &[magic::TOUCH],
        payload: "event, contact, position, pressure or distance, direction, contact area",
        host: "moves that contact of the session's touchscreen; 16 contacts at most",
        client: "sends it from an input script",
        test: (INPUT, "document_I17"),
    }

    PEN {
        name: "Pen",
        sender: Some(Side::Client),
        kind: kind::INPUT,
        magics: &[magic::PEN],
        payload: "event, tool, buttons, position, pressure or distance, direction, tilt, contact area",
        host: "moves the pen of the session's tablet",
        client: "sends it from an input script",
        test: (INPUT, "document_I21"),
    }

    CONTROLLER {
        name: "Controller state",
        sender: Some(Side::Client),
        kind: kind::INPUT,
        magics: &[magic::CONTROLLER],
        payload: "controller, mask of those that exist, buttons, triggers, sticks",
        host: "sets the controller's state; creates it if it is new, removes it if its own bit is clear",
        client: "sends it from an input script",
        test: (INPUT, "document_I25"),
    }

    CONTROLLER_ARRIVAL {
        name: "Controller arrival",
        sender: Some(Side::Client),
        kind: kind::INPUT,
        magics: &[magic::CONTROLLER_ARRIVAL],
        payload: "controller, make, capabilities, buttons",
        host: "creates a controller of that make and asks for motion samples if it has sensors",
        client: "sends it from an input script",
        test: (INPUT, "document_I23"),
    }

    CONTROLLER_TOUCH {
        name: "Controller touchpad",
        sender: Some(Side::Client),
        kind: kind::INPUT,
        magics: &[magic::CONTROLLER_TOUCH],
        payload: "controller, event, touchpad, contact, position, pressure",
        host: "moves that contact of the controller's touchpad",
        client: "sends it from an input script",
        test: (INPUT, "document_I28"),
    }

    CONTROLLER_MOTION {
        name: "Controller motion",
        sender: Some(Side::Client),
        kind: kind::INPUT,
        magics: &[magic::CONTROLLER_MOTION],
        payload: "controller, sensor, three axes in m/s² or degrees a second",
        host: "sets the controller's sensor, clamped to ±160 m/s² or ±4000 degrees a second",
        client: "sends it from an input script",
        test: (INPUT, "document_I32"),
    }

    CONTROLLER_BATTERY {
        name: "Controller battery",
        sender: Some(Side::Client),
        kind: kind::INPUT,
        magics: &[magic::CONTROLLER_BATTERY],
        payload: "controller, state, percent",
        host: "sets the controller's charge",
        client: "sends it from an input script",
        test: (INPUT, "document_I33"),
    }

    RUMBLE {
        name: "Rumble",
        sender: Some(Side::Host),
        kind: kind::RUMBLE,
        magics: &[],
        payload: "controller, heavy and light motor; 10 bytes",
        host: "sends it when a controller's motors change",
        client: "records it",
        test: (CONTROL, "message_rumble_0"),
    }

    TRIGGER_RUMBLE {
        name: "Trigger rumble",
        sender: Some(Side::Host),
        kind: kind::TRIGGER_RUMBLE,
        magics: &[],
        payload: "controller, left and right trigger; 6 bytes",
        host: "sends it when the motors of a controller's triggers change, if it has such motors",
        client: "records it",
        test: (CONTROL, "message_trigger_rumble_left"),
    }

    MOTION_REQUEST {
        name: "Motion request",
        sender: Some(Side::Host),
        kind: kind::MOTION_REQUEST,
        magics: &[],
        payload: "controller, samples a second, sensor; 5 bytes",
        host: "sends it for each sensor of a controller that arrives; who resumes announces its controllers anew",
        client: "records it",
        test: (CONTROL, "message_motion_gyro_100"),
    }

    LED {
        name: "Light",
        sender: Some(Side::Host),
        kind: kind::FEC_STATUS_OR_LED,
        magics: &[],
        payload: "controller, red, green, blue; 5 bytes",
        host: "sends it when the colour of a controller's light changes",
        client: "records it",
        test: (CONTROL, "message_led_112233"),
    }

    ADAPTIVE_TRIGGERS {
        name: "Adaptive triggers",
        sender: Some(Side::Host),
        kind: kind::ADAPTIVE_TRIGGERS,
        magics: &[],
        payload: "controller, effect of the left and right trigger; 25 bytes",
        host: "passes it on when a display asks for it; the test card does not",
        client: "records it",
        test: (CONTROL, "message_triggers_both"),
    }

    HDR_MODE {
        name: "HDR mode",
        sender: Some(Side::Host),
        kind: kind::HDR_MODE,
        magics: &[],
        payload: "on or off, metadata of the display; 27 bytes",
        host: "sends it after Start B, always off: the test card has no HDR, even in 10 bits",
        client: "records it; takes the short form without metadata too",
        test: (CONTROL, "message_hdr_on_bt2020"),
    }

    TERMINATION {
        name: "Termination",
        sender: Some(Side::Host),
        kind: kind::TERMINATION,
        magics: &[],
        payload: "reason; 4 bytes, big endian",
        host: "sends it last of all and disconnects when it is acknowledged; at shutdown it waits 1 s at most",
        client: "ends the session and reports the reason",
        test: (CONTROL, "message_termination_80030023"),
    }

    TERMINATION_SHORT {
        name: "Termination, short form",
        sender: Some(Side::Host),
        kind: kind::TERMINATION_SHORT,
        magics: &[],
        payload: "reason; 2 bytes; generation 7 only",
        host: "never sends it",
        client: "cannot get it: it comes in clear only, and this client encrypts; the parser knows it",
        test: ("control/host.rs", "short_termination_of_generation_7_is_understood_in_clear_only"),
    }
}

/// The documentation page of the table.
pub fn markdown() -> String {
    let mut page = String::from(
        "# Control messages\n\n\
         Every message that GameStream's control stream can carry, what lumen does with it, and the vector or test\n\
         that reads it. Printed from `lumen_core::gamestream::control::MESSAGES`; do not edit. Messages of other types\n\
         are ignored; messages from the wrong side, and those that are cut short, are dropped. Both are logged at level\n\
         `debug`. What the host does with input is what its display does, and that is the test card.\n\n\
         | Message | Sender | Type | Payload | Host | Client | Test |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for row in MESSAGES {
        let sender = match row.sender {
            None => "both",
            Some(Side::Client) => "client",
            Some(Side::Host) => "host",
        };
        let magics: Vec<String> = row.magics.iter().map(|magic| format!("`{magic:#x}`")).collect();
        let inside = if magics.is_empty() { String::new() } else { format!(", packet {}", magics.join(", ")) };
        let (file, test) = row.test;
        // Writing to a string cannot fail.
        let _ = writeln!(
            page,
            "| {} | {sender} | `{:#06x}`{inside} | {} | {} | {} | {file}: `{test}` |",
            row.name, row.kind, row.payload, row.host, row.client,
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use super::super::{Framing, MessageError, RawMessage};
    use super::*;

    #[test]
    fn no_cell_is_empty_and_no_row_appears_twice() {
        for (index, row) in MESSAGES.iter().enumerate() {
            for cell in [row.name, row.payload, row.host, row.client, row.test.0, row.test.1] {
                assert!(!cell.trim().is_empty() && !cell.contains('|'), "{row:?}");
            }
            assert_eq!(row.magics.is_empty(), row.kind != kind::INPUT, "{row:?}");
            assert!(MESSAGES[..index].iter().all(|other| other.name != row.name), "{row:?}");
        }
    }

    #[test]
    fn frame_statistics_are_an_unknown_type() {
        let message = RawMessage { framing: Framing::V2, kind: kind::FRAME_STATS, payload: &[0; 64] };
        assert_eq!(ClientMessage::parse(message), Err(MessageError::UnknownType(kind::FRAME_STATS)));
    }
}
