//! The frame header: the first payload bytes of each frame (protocol part 2, section 1.6).
//!
//! Hosts write the short form only; a client of older hosts must also skip the other forms, whose length depends on
//! the host's version.

use super::{FrameKind, HostLatency};

/// Length of the short form, which every host should write.
pub const FRAME_HEADER_LEN: usize = 8;

/// First byte of the short form.
const SHORT_FORM: u8 = 0x01;
/// First byte of the long form.
const LONG_FORM: u8 = 0x81;

/// What the header says about its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Capture-to-send time.
    pub host_latency: HostLatency,
    /// What the frame is; none for a type that is not known, which clients ignore.
    pub kind: Option<FrameKind>,
    /// Payload bytes used in the last packet of the frame, from the start of its payload area.
    pub last_payload_len: u16,
}

/// Why payload does not begin with a frame header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameHeaderError {
    /// The payload is shorter than the header.
    #[error("{0} bytes are too short for a frame header")]
    Truncated(usize),
    /// The first byte is of no known form.
    #[error("a frame header cannot start with {0:#04x}")]
    Form(u8),
}

impl FrameHeader {
    /// The short form.
    pub fn to_bytes(self) -> [u8; FRAME_HEADER_LEN] {
        let [latency_low, latency_high] = self.host_latency.0.to_le_bytes();
        let [length_low, length_high] = self.last_payload_len.to_le_bytes();
        let kind = self.kind.unwrap_or(FrameKind::P).wire_type();
        [SHORT_FORM, latency_low, latency_high, kind, length_low, length_high, 0, 0]
    }

    /// Reads the header at the start of `payload`, as a host of `version` writes it, and returns it with its length.
    /// A host before version 5 writes none.
    ///
    /// # Errors
    /// [`FrameHeaderError`]; the frame is then to be dropped.
    pub fn parse(payload: &[u8], version: [u32; 3]) -> Result<(Option<Self>, usize), FrameHeaderError> {
        let first = *payload.first().ok_or(FrameHeaderError::Truncated(0))?;
        let len = frame_header_len(version, first);
        if payload.len() < len {
            return Err(FrameHeaderError::Truncated(payload.len()));
        }
        if len == 0 {
            return Ok((None, 0));
        }
        if version >= FIRST_BYTE_RULE && first != SHORT_FORM && first != LONG_FORM {
            return Err(FrameHeaderError::Form(first));
        }
        let header = Self {
            host_latency: HostLatency(u16::from_le_bytes([payload[1], payload[2]])),
            kind: FrameKind::from_wire_type(payload[3]),
            last_payload_len: u16::from_le_bytes([payload[4], payload[5]]),
        };
        Ok((Some(header), len))
    }
}

/// From this version on the first byte tells the form.
const FIRST_BYTE_RULE: [u32; 3] = [7, 1, 415];

/// Bytes of frame header to skip in a frame of a host of `version` (the first three numbers of its `appversion`)
/// whose first payload byte is `first_byte`.
pub fn frame_header_len(version: [u32; 3], first_byte: u8) -> usize {
    let [major, minor, patch] = version;
    if major < 5 {
        return 0;
    }
    let modern = major > 7 || major == 7 && minor > 1;
    let generation_7_1 = major == 7 && minor == 1;
    let at_least = |from: u32| modern || generation_7_1 && patch >= from;
    if at_least(415) {
        return match first_byte {
            SHORT_FORM => FRAME_HEADER_LEN,
            _ if at_least(450) => 44,
            _ if at_least(446) => 41,
            _ => 24,
        };
    }
    if generation_7_1 && (320..350).contains(&patch) { 12 } else { FRAME_HEADER_LEN }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MODERN: [u32; 3] = [7, 1, 431];

    #[test]
    fn an_unknown_form_is_refused() {
        assert_eq!(FrameHeader::parse(&[0x02; 64], MODERN), Err(FrameHeaderError::Form(0x02)));
        assert_eq!(FrameHeader::parse(&[], MODERN), Err(FrameHeaderError::Truncated(0)));
        assert_eq!(FrameHeader::parse(&[1; 7], MODERN), Err(FrameHeaderError::Truncated(7)));
    }

    #[test]
    fn a_host_before_version_5_writes_no_header() {
        assert_eq!(FrameHeader::parse(&[0xFF], [4, 9, 0]), Ok((None, 0)));
    }

    proptest! {
        #[test]
        fn the_short_form_round_trips(latency: u16, kind in 0usize..4, last_payload_len: u16) {
            let kind = [FrameKind::P, FrameKind::Idr, FrameKind::IntraRefresh, FrameKind::AfterInvalidation][kind];
            let header =
                FrameHeader { host_latency: HostLatency(latency), kind: Some(kind), last_payload_len };
            prop_assert_eq!(FrameHeader::parse(&header.to_bytes(), MODERN), Ok((Some(header), FRAME_HEADER_LEN)));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>, version: [u32; 3]) {
            let _ = FrameHeader::parse(&bytes, version);
        }
    }
}
