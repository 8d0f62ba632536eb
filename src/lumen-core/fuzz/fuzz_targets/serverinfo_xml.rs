//! XML replies of a host, as the client reads them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lumen_core::gamestream::http::{AppList, CancelReply, Channel, LaunchReply, LaunchVerb, ServerInfo};

fuzz_target!(|data: &[u8]| {
    let Ok(xml) = std::str::from_utf8(data) else { return };
    if let Ok(info) = ServerInfo::parse(xml, Channel::Https) {
        assert_eq!(ServerInfo::parse(&info.to_xml(Channel::Https), Channel::Https), Ok(info));
    }
    if let Ok(list) = AppList::parse(xml) {
        assert_eq!(AppList::parse(&list.to_xml()), Ok(list));
    }
    let _ = LaunchReply::parse(LaunchVerb::Launch, xml);
    let _ = LaunchReply::parse(LaunchVerb::Resume, xml);
    let _ = CancelReply::parse(xml);
});
