//! Datagrams on the media ports, before the client is known.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lumen_core::gamestream::sdp::{Ping, PingPayload, SenderAddress, SessionIds};

fuzz_target!(|data: &[u8]| {
    let expected: PingPayload = "0123456789ABCDEF".parse().expect("16 characters");
    if let Ok(ping) = Ping::parse(data) {
        let written = ping.to_bytes();
        assert_eq!(data.get(..written.len()), Some(&written[..]));
        for ids in [SessionIds::Used, SessionIds::NotUsed] {
            let _ = ping.belongs_to(&expected, ids, SenderAddress::Same);
        }
    }
});
