//! What must lie in the first packet of an H.264 or HEVC frame (protocol part 2, section 4.2, items 1 to 3): clients
//! look for NAL units there and nowhere else, and know a key frame only by what they find.
//!
//! This module walks over start codes; it never looks into a NAL unit further than its type.

use super::{FRAME_HEADER_LEN, PacketSize};

/// Codecs whose frames are NAL units with start codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AnnexB {
    /// H.264.
    H264,
    /// HEVC.
    Hevc,
}

/// What a client sees at the start of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstPacket {
    /// Types of the NAL units up to and including the first slice.
    pub nal_types: Vec<u8>,
    /// Whether the first slice is of a key frame.
    pub key_frame: bool,
    /// Where the first slice's start code begins, in bytes from the start of the frame.
    pub first_slice_offset: usize,
}

/// Why a client could not use a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FirstPacketError {
    /// The frame does not begin with a start code.
    #[error("the frame does not begin with a start code")]
    NoStartCode,
    /// A key frame whose first NAL unit after delimiter and SEI is no SPS (H.264) or VPS (HEVC).
    #[error("the key frame does not begin with its parameter sets")]
    MissingParameterSets,
    /// The first slice begins after the first packet, or there is none.
    #[error("the first slice does not begin in the first packet")]
    SliceOutsideFirstPacket,
}

impl FirstPacket {
    /// Looks at `frame`, encoded bytes without the frame header, as a client with packets of `packet_size` will.
    ///
    /// # Errors
    /// [`FirstPacketError`]; a client would not start, or never end a wait, on such a frame.
    pub fn inspect(codec: AnnexB, packet_size: PacketSize, frame: &[u8]) -> Result<Self, FirstPacketError> {
        if !(frame.starts_with(&[0, 0, 1]) || frame.starts_with(&[0, 0, 0, 1])) {
            return Err(FirstPacketError::NoStartCode);
        }
        let mut nal_types = Vec::new();
        let slice = nal_units(codec, frame)
            .inspect(|unit| nal_types.push(unit.kind))
            .find(|unit| codec.is_slice(unit.kind))
            .ok_or(FirstPacketError::SliceOutsideFirstPacket)?;
        let key_frame = codec.is_key_slice(slice.kind);
        let head = nal_types.iter().find(|&&kind| !codec.may_lead(kind));
        if key_frame && head != Some(&codec.first_parameter_set()) {
            return Err(FirstPacketError::MissingParameterSets);
        }
        if slice.offset >= packet_size.payload_len() - FRAME_HEADER_LEN {
            return Err(FirstPacketError::SliceOutsideFirstPacket);
        }
        Ok(Self { nal_types, key_frame, first_slice_offset: slice.offset })
    }
}

impl AnnexB {
    /// Whether the first slice in `payload`, the encoded bytes of a first packet, is of a key frame.
    pub fn starts_key_frame(self, payload: &[u8]) -> bool {
        nal_units(self, payload).find(|unit| self.is_slice(unit.kind)).is_some_and(|unit| self.is_key_slice(unit.kind))
    }

    const fn kind_of(self, first_byte: u8) -> u8 {
        match self {
            Self::H264 => first_byte & 0x1F,
            Self::Hevc => first_byte >> 1 & 0x3F,
        }
    }

    const fn is_slice(self, kind: u8) -> bool {
        match self {
            Self::H264 => matches!(kind, 1..=5),
            Self::Hevc => kind < 32,
        }
    }

    const fn is_key_slice(self, kind: u8) -> bool {
        match self {
            Self::H264 => kind == 5,
            Self::Hevc => matches!(kind, 16..=21),
        }
    }

    /// Delimiter and SEI, which may come before the parameter sets.
    const fn may_lead(self, kind: u8) -> bool {
        match self {
            Self::H264 => matches!(kind, 6 | 9),
            Self::Hevc => matches!(kind, 35 | 39 | 40),
        }
    }

    /// SPS or VPS.
    const fn first_parameter_set(self) -> u8 {
        match self {
            Self::H264 => 7,
            Self::Hevc => 32,
        }
    }
}

struct NalUnit {
    /// Where its start code begins, a leading zero byte included.
    offset: usize,
    kind: u8,
}

/// The NAL units that have a start code and a first byte in `bytes`.
fn nal_units(codec: AnnexB, bytes: &[u8]) -> impl Iterator<Item = NalUnit> + '_ {
    let mut position = 0;
    std::iter::from_fn(move || {
        let code = position + bytes.get(position..)?.windows(3).position(|window| window == [0, 0, 1])?;
        let first_byte = *bytes.get(code + 3)?;
        let long = code > position && bytes[code - 1] == 0;
        position = code + 3;
        Some(NalUnit { offset: code - usize::from(long), kind: codec.kind_of(first_byte) })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_frame_without_slice_is_refused() {
        let size = PacketSize::new(1024).expect("in range");
        assert_eq!(
            FirstPacket::inspect(AnnexB::H264, size, &[0, 0, 0, 1, 0x67, 1]),
            Err(FirstPacketError::SliceOutsideFirstPacket)
        );
        assert_eq!(
            FirstPacket::inspect(AnnexB::H264, size, &[0, 0, 1]),
            Err(FirstPacketError::SliceOutsideFirstPacket)
        );
    }

    #[test]
    fn key_slices_are_told_from_others() {
        assert!(AnnexB::H264.starts_key_frame(&[0, 0, 1, 0x67, 0, 0, 1, 0x65]));
        assert!(!AnnexB::H264.starts_key_frame(&[0, 0, 1, 0x67, 0, 0, 1, 0x41]));
        assert!(AnnexB::Hevc.starts_key_frame(&[0, 0, 1, 0x40, 0, 0, 1, 0x26]));
        assert!(!AnnexB::Hevc.starts_key_frame(&[0, 0, 1, 0x02]));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(0u8..4, 0..200)) {
            let size = PacketSize::new(64).expect("in range");
            let _ = FirstPacket::inspect(AnnexB::H264, size, &bytes);
            let _ = FirstPacket::inspect(AnnexB::Hevc, size, &bytes);
        }
    }
}
