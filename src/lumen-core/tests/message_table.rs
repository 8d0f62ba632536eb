//! The table of messages: it is what `docs/src/reference/messages.md` says, and the tests that it names exist and
//! read the message of their row. `LUMEN_BLESS=1 cargo test -p lumen-core --test message_table` writes the page.
#![allow(missing_docs)]

mod vector_file;

use std::path::Path;

use lumen_core::gamestream::control::envelope::EnvelopeKey;
use lumen_core::gamestream::control::{
    ClientMessage, EnvelopeMode, Framing, HostMessage, MESSAGES, MessageInfo, RawMessage, Side, kind, table,
};
use lumen_core::gamestream::input::InputEvent;
use serde_json::Value;
use vector_file::{string, unhex};

#[test]
fn documentation_page_is_printed_from_the_table() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/reference/messages.md");
    if std::env::var_os("LUMEN_BLESS").is_some() {
        std::fs::create_dir_all(page.parent().expect("folder")).expect("folder can be made");
        std::fs::write(&page, table::markdown()).expect("page can be written");
    }
    let found = std::fs::read_to_string(&page).expect("page exists");
    assert_eq!(found, table::markdown(), "run with LUMEN_BLESS=1 to print the page again");
}

#[test]
fn every_row_names_a_test_that_reads_its_message() {
    for row in MESSAGES {
        let (file, name) = row.test;
        match file {
            "control.json" => {
                let vector = vector(include_str!("vectors/control.json"), name);
                assert_eq!(row_of_control_vector(&vector["inputs"]), row.name);
            }
            "input.json" => {
                let bytes = unhex(&vector(include_str!("vectors/input.json"), name)["inputs"]["hex"]);
                assert_eq!(InputEvent::parse(&bytes).expect("input packet").info().name, row.name);
            }
            source => {
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/gamestream").join(source);
                let text = std::fs::read_to_string(&path).expect("source file exists");
                assert!(text.contains(&format!("fn {name}()")), "{source} has no test {name}");
            }
        }
    }
}

#[test]
fn rows_say_the_numbers_of_their_messages() {
    let file: Value = serde_json::from_str(include_str!("vectors/input.json")).expect("vector file");
    for vector in file["vectors"].as_array().expect("vectors") {
        let inputs = &vector["inputs"];
        if string(&vector["kind"]) == "packet"
            && let Ok(event) = InputEvent::parse(&unhex(&inputs["hex"]))
        {
            let row = event.info();
            assert!(row.magics.contains(&event.magic()), "{event:?}");
            assert_eq!((row.kind, row.sender), (ClientMessage::Input(event).kind(), Some(Side::Client)));
        }
    }
}

fn vector(file: &str, name: &str) -> Value {
    let file: Value = serde_json::from_str(file).expect("vector file");
    let vectors = file["vectors"].as_array().expect("vectors");
    vectors.iter().find(|vector| vector["name"] == name).unwrap_or_else(|| panic!("no vector {name}")).clone()
}

/// Name of the row whose message a vector of `control.json` holds.
fn row_of_control_vector(inputs: &Value) -> &'static str {
    if let Some(key) = inputs.get("key") {
        let key = unhex(key).try_into().expect("16 bytes");
        let sealed = EnvelopeKey::new(&key, EnvelopeMode::V2).seal(Side::Client, 0, &unhex(&inputs["plain"]));
        assert_eq!(sealed[..2], kind::ENVELOPE.to_le_bytes());
        return MESSAGES.iter().find(|row| row.kind == kind::ENVELOPE).expect("row of the envelope").name;
    }
    let plain = unhex(&inputs["plain"]);
    let message = RawMessage::parse(&plain, Framing::V2).expect("message");
    let (row, number): (&MessageInfo, u16) = match string(&inputs["direction"]) {
        "client" => {
            let message = ClientMessage::parse(message).expect("message of a client");
            (message.info(), message.kind())
        }
        _ => {
            let message = HostMessage::parse(message).expect("message of a host");
            (message.info(), message.kind())
        }
    };
    assert_eq!(row.kind, number);
    row.name
}
