//! The control stream of lumen/1's own negotiation: cut into messages in any pieces, each read as either end reads it; and
//! the values by which strangers pair.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lumen_core::lumen1::native::pairing::{Binding, HostPairing};
use lumen_core::lumen1::native::{Inbox, Reply, Request};

fuzz_target!(|data: &[u8]| {
    let (size, bytes) = data.split_first().map_or((1, data), |(size, bytes)| (usize::from(*size).max(1), bytes));
    let mut inbox = Inbox::default();
    for piece in bytes.chunks(size) {
        inbox.push(piece);
        while let Some(message) = inbox.poll() {
            if let Ok(Some(request)) = Request::parse(&message) {
                assert_eq!(Request::parse(&request.to_message()), Ok(Some(request)));
            }
            if let Ok(reply) = Reply::parse(&message) {
                assert_eq!(Reply::parse(&reply.to_message()), Ok(reply));
            }
        }
    }
    let Some((element, rest)) = bytes.split_first_chunk::<32>() else { return };
    let Some(proof) = rest.first_chunk::<32>() else { return };
    let binding = Binding { client: [1; 32], host: [2; 32], exported: [3; 32] };
    if let Ok(host) = HostPairing::new("4711", binding, element, &mut |buffer: &mut [u8]| buffer.fill(7)) {
        assert!(host.check(proof).is_err(), "a forgery");
    }
});
