//! Packets of the control stream: as anyone can send them, and as a paired but faulty peer seals them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lumen_core::gamestream::control::envelope::EnvelopeKey;
use lumen_core::gamestream::control::gen7::Gen7InputCipher;
use lumen_core::gamestream::control::{ClientMessage, ControlCipher, EnvelopeMode, Side};

const KEY: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

fuzz_target!(|data: &[u8]| {
    for mode in [EnvelopeMode::V2, EnvelopeMode::Legacy] {
        let mut host = ControlCipher::new(&KEY, mode, Side::Host);
        let mut packet = data.to_vec();
        if let Ok(opened) = host.open(&mut packet) {
            let _ = ClientMessage::parse(opened.message);
        }
        // Authentic or not, no packet of one peer may end the session or open twice.
        assert!(!host.has_failed_too_often());
        let sealed = EnvelopeKey::new(&KEY, mode).seal(Side::Client, u32::MAX, data);
        if let Ok(opened) = host.open(&mut sealed.clone()) {
            let _ = ClientMessage::parse(opened.message);
            assert!(host.open(&mut sealed.clone()).is_err());
        }
    }
    let _ = Gen7InputCipher::new(&KEY, 1).open(&mut data.to_vec());
});
