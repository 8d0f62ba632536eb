//! RTSP messages in plain text: requests, in one piece and in several, and replies.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lumen_core::gamestream::rtsp::{MessageDecoder, Request, Response, WireMessage};
use lumen_core::gamestream::sdp::{SetupReply, StreamKind};

fuzz_target!(|data: &[u8]| {
    let whole = Request::parse(data);
    let _ = whole.as_ref().map(Request::to_bytes);
    if let Ok(response) = Response::parse(data) {
        let _ = response.to_bytes();
        for stream in [StreamKind::Audio, StreamKind::Video, StreamKind::Control] {
            let _ = SetupReply::parse(&response, stream);
        }
    }
    let mut decoder = MessageDecoder::new();
    for piece in data.chunks(7) {
        match decoder.push(piece) {
            Ok(None) => {}
            Ok(Some(WireMessage::Plain(Ok(request)))) => return assert_eq!(whole, Ok(request)),
            Ok(Some(_)) | Err(_) => return,
        }
    }
});
