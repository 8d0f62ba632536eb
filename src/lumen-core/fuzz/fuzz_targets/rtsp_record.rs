//! Encrypted RTSP records, from both ends.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lumen_core::gamestream::rtsp::{RtspCipher, SealedRecord};

/// The key of the test vectors, so that seeds are authentic.
const KEY: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

fuzz_target!(|data: &[u8]| {
    if let Ok(record) = SealedRecord::parse(data) {
        assert_eq!(record.to_bytes(), data);
        let _ = RtspCipher::host(&KEY).open(&record);
        let _ = RtspCipher::client(&KEY, 1).open(&record);
    }
    if let Ok(sealed) = RtspCipher::client(&KEY, 1).seal(data) {
        let record = SealedRecord::parse(&sealed).expect("own records are read");
        assert_eq!(RtspCipher::host(&KEY).open(&record).as_deref(), Ok(data));
    }
});
