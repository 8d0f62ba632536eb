//! Queries of `/launch` and `/resume`, as the host reads them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lumen_core::gamestream::http::{LaunchRequest, LaunchVerb, Query};

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    // Seeds are whole URLs.
    let query = text.split_once('?').map_or(&*text, |(_, query)| query);
    let _ = Query::parse(query);
    for verb in [LaunchVerb::Launch, LaunchVerb::Resume] {
        if let Ok(request) = LaunchRequest::parse(verb, query) {
            assert_eq!(LaunchRequest::parse(verb, &request.to_query()), Ok(request));
        }
    }
});
