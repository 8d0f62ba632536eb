//! Messages from client to host, as the host parses them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lumen_core::gamestream::control::{ClientMessage, Framing, RawMessage};

fuzz_target!(|data: &[u8]| {
    for framing in [Framing::V1, Framing::V2] {
        let Ok(raw) = RawMessage::parse(data, framing) else { continue };
        let Ok(message) = ClientMessage::parse(raw) else { continue };
        let written = message.to_bytes(framing);
        let read = RawMessage::parse(&written, framing).map(ClientMessage::parse);
        assert_eq!(read, Ok(Ok(message)));
    }
});
