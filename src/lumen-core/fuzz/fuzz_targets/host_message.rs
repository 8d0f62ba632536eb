//! Messages from host to client, as the client parses them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lumen_core::gamestream::control::{Framing, HostMessage, RawMessage};

fuzz_target!(|data: &[u8]| {
    for framing in [Framing::V1, Framing::V2] {
        let Ok(raw) = RawMessage::parse(data, framing) else { continue };
        let Ok(message) = HostMessage::parse(raw) else { continue };
        let written = message.to_bytes(framing);
        let read = RawMessage::parse(&written, framing).map(HostMessage::parse);
        assert_eq!(read, Ok(Ok(message)));
    }
});
