//! Bodies of ANNOUNCE, as the host reads them.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use libfuzzer_sys::fuzz_target;
use lumen_core::gamestream::http::Codec;
use lumen_core::gamestream::sdp::StreamRequest;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let offered = [Codec::H264, Codec::Hevc, Codec::Av1];
    for host in [None, Some("0.0.0.0")] {
        if let Ok(wanted) = StreamRequest::parse(text, host, &offered) {
            let _ = (wanted.refresh_rate(), wanted.encoder_rate(20), wanted.encoder_rate(255));
            let written = wanted.to_text(IpAddr::V4(Ipv4Addr::LOCALHOST), 47998);
            assert_eq!(StreamRequest::parse(&written, host, &offered), Ok(wanted));
        }
    }
});
