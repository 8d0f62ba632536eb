//! Bodies of DESCRIBE, as the client searches them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lumen_core::gamestream::http::{CodecMask, Profile, ProfileSet};
use lumen_core::gamestream::sdp::{DescribeOffer, SurroundQuality, choose_profile};

fuzz_target!(|data: &[u8]| {
    let Ok(body) = std::str::from_utf8(data) else { return };
    let Ok(offer) = DescribeOffer::parse(body) else { return };
    for channels in [2, 6, 8] {
        let _ = (offer.layout(channels, SurroundQuality::Normal), offer.layout(channels, SurroundQuality::High));
    }
    let everything = ProfileSet::from_iter(Profile::ALL);
    let mask = CodecMask::from_profiles(Profile::ALL).expect("profiles make a mask");
    choose_profile(&offer, mask, everything).expect("H.264 is always on offer");
    assert_eq!(DescribeOffer::parse(&offer.to_text()), Ok(offer));
});
