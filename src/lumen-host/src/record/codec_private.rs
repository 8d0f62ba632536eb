//! What a file says about a stream before its first picture (`CodecPrivate`: ISO/IEC 14496-15 for H.264 and HEVC, the
//! AV1 codec ISO media file format binding), and a picture in the form that files hold: without start codes and without
//! temporal delimiters.

use crate::encode::annexb::{NalKind, nal_units};
use crate::encode::{BitDepth, Chroma, Codec, EncoderConfig};

/// OBU types (AV1, section 6.2.2).
const OBU_SEQUENCE_HEADER: u8 = 1;
const OBU_TEMPORAL_DELIMITER: u8 = 2;

/// The `CodecPrivate` of a stream that begins with this access unit; none if its parameter sets are not there.
pub(super) fn of(config: &EncoderConfig, unit: &[u8]) -> Option<Vec<u8>> {
    match config.codec {
        Codec::H264 => avc(config, unit),
        Codec::Hevc => hevc(config, unit),
        Codec::Av1 => av1(config, unit),
    }
}

/// An access unit as files hold it.
pub(super) fn sample(codec: Codec, unit: &[u8]) -> Vec<u8> {
    let mut sample = Vec::with_capacity(unit.len() + 16);
    match codec {
        Codec::H264 | Codec::Hevc => {
            for (_, nal) in nal_units(codec, unit) {
                let nal = payload(nal);
                sample.extend_from_slice(&u32::try_from(nal.len()).unwrap_or(u32::MAX).to_be_bytes());
                sample.extend_from_slice(nal);
            }
        }
        Codec::Av1 => {
            for obu in obus(unit).filter(|obu| obu.kind != OBU_TEMPORAL_DELIMITER) {
                sample.extend_from_slice(obu.whole);
            }
        }
    }
    sample
}

/// A NAL unit without its start code, and without zeros behind it, which belong to the next.
fn payload(nal: &[u8]) -> &[u8] {
    let begin = nal.iter().position(|byte| *byte == 1).map_or(0, |at| at + 1);
    let end = nal.iter().rposition(|byte| *byte != 0).map_or(begin, |at| at + 1);
    nal.get(begin..end).unwrap_or_default()
}

/// Parameter sets of one type.
fn sets(codec: Codec, unit: &[u8], wanted: u8) -> Vec<&[u8]> {
    let kind = |nal: &[u8]| match (codec, nal.first()) {
        (Codec::H264, Some(byte)) => Some(byte & 0x1f),
        (Codec::Hevc, Some(byte)) => Some(byte >> 1 & 0x3f),
        _ => None,
    };
    nal_units(codec, unit)
        .filter(|(kind, _)| *kind == NalKind::ParameterSet)
        .map(|(_, nal)| payload(nal))
        .filter(|nal| kind(nal) == Some(wanted))
        .collect()
}

/// 4:2:0 is 1, 4:4:4 is 3.
fn chroma_format(config: &EncoderConfig) -> u8 {
    match config.chroma {
        Chroma::Yuv420 => 1,
        Chroma::Yuv444 => 3,
    }
}

fn depth_minus_8(config: &EncoderConfig) -> u8 {
    match config.depth {
        BitDepth::Eight => 0,
        BitDepth::Ten => 2,
    }
}

/// Length in two bytes, then the set.
fn append_set(out: &mut Vec<u8>, set: &[u8]) -> Option<()> {
    out.extend_from_slice(&u16::try_from(set.len()).ok()?.to_be_bytes());
    out.extend_from_slice(set);
    Some(())
}

fn avc(config: &EncoderConfig, unit: &[u8]) -> Option<Vec<u8>> {
    let (sps, pps) = (sets(Codec::H264, unit, 7), sets(Codec::H264, unit, 8));
    let &[profile, compatibility, level] = sps.first()?.get(1..4)? else { return None };
    let pps_count = u8::try_from(pps.len()).ok().filter(|count| *count > 0)?;
    let mut out = vec![1, profile, compatibility, level, 0xFC | 3, 0xE0 | u8::try_from(sps.len()).ok()? & 0x1F];
    sps.iter().try_for_each(|set| append_set(&mut out, set))?;
    out.push(pps_count);
    pps.iter().try_for_each(|set| append_set(&mut out, set))?;
    if matches!(profile, 100 | 110 | 122 | 144) || profile == 244 {
        let depth = 0xF8 | depth_minus_8(config);
        out.extend([0xFC | chroma_format(config), depth, depth, 0]);
    }
    Some(out)
}

fn hevc(config: &EncoderConfig, unit: &[u8]) -> Option<Vec<u8>> {
    let sps = sets(Codec::Hevc, unit, 33);
    // Behind the header of two bytes: the id of the VPS, sub-layers, nesting; then profile, tier and level.
    let plain = unescaped(sps.first()?.get(2..)?);
    let (layers, general) = (plain.first()?, plain.get(1..13)?);
    let (sub_layers, nested) = (layers >> 1 & 7, layers & 1);
    let depth = 0xF8 | depth_minus_8(config);
    let mut out = vec![1];
    out.extend_from_slice(general);
    out.extend([0xF0, 0, 0xFC, 0xFC | chroma_format(config), depth, depth, 0, 0]);
    // Lengths of four bytes.
    out.extend([(sub_layers + 1) << 3 | nested << 2 | 3, 3]);
    for kind in [32, 33, 34] {
        let sets = sets(Codec::Hevc, unit, kind);
        let count = u16::try_from(sets.len()).ok().filter(|count| *count > 0)?;
        // All sets of this type are here.
        out.push(0x80 | kind);
        out.extend_from_slice(&count.to_be_bytes());
        sets.iter().try_for_each(|set| append_set(&mut out, set))?;
    }
    Some(out)
}

/// Without the bytes that keep start codes out of a NAL unit.
fn unescaped(nal: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(nal.len());
    let mut zeros = 0;
    for &byte in nal {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out
}

fn av1(config: &EncoderConfig, unit: &[u8]) -> Option<Vec<u8>> {
    let header = obus(unit).find(|obu| obu.kind == OBU_SEQUENCE_HEADER)?;
    let level = av1_level(header.payload)?;
    let profile = header.payload.first()? >> 5;
    let high_depth = u8::from(config.depth == BitDepth::Ten);
    let subsampled = u8::from(config.chroma == Chroma::Yuv420);
    let colours = level.tier << 7 | high_depth << 6 | subsampled << 3 | subsampled << 2;
    let mut out = vec![0x81, profile << 5 | level.index, colours, 0];
    out.extend_from_slice(header.whole);
    Some(out)
}

struct Level {
    index: u8,
    tier: u8,
}

/// Level and tier of the first operating point (AV1, section 5.5.1).
fn av1_level(header: &[u8]) -> Option<Level> {
    let mut bits = Bits { bytes: header, at: 0 };
    bits.take(4)?; // Profile, still picture.
    if bits.take(1)? == 1 {
        return Some(Level { index: bits.take(5)? as u8, tier: 0 });
    }
    let timing = bits.take(1)? == 1;
    let mut decoder_model = false;
    if timing {
        bits.take(32)?;
        bits.take(32)?;
        if bits.take(1)? == 1 {
            let mut zeros = 0;
            while bits.take(1)? == 0 {
                zeros += 1;
            }
            bits.take(u32::min(zeros, 32))?;
        }
        decoder_model = bits.take(1)? == 1;
        if decoder_model {
            bits.take(5 + 32)?;
            bits.take(10)?;
        }
    }
    let _ = decoder_model;
    bits.take(1)?; // Initial display delay.
    bits.take(5)?; // Operating points.
    bits.take(12)?; // Layers of the first one.
    let index = bits.take(5)? as u8;
    let tier = if index > 7 { bits.take(1)? as u8 } else { 0 };
    Some(Level { index, tier })
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    /// The next bits, up to 64.
    fn take(&mut self, count: u32) -> Option<u64> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | u64::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }
}

struct Obu<'a> {
    kind: u8,
    whole: &'a [u8],
    payload: &'a [u8],
}

/// The OBUs of a temporal unit; ends at the first that is not whole. Those without a length reach to the end.
fn obus(unit: &[u8]) -> impl Iterator<Item = Obu<'_>> {
    let mut rest = unit;
    std::iter::from_fn(move || {
        let first = *rest.first()?;
        let (extension, sized) = (first >> 2 & 1, first >> 1 & 1);
        let begin = 1 + usize::from(extension);
        let (length, begin) = if sized == 1 {
            let (length, bytes) = leb128(rest.get(begin..)?)?;
            (length, begin + bytes)
        } else {
            (rest.len().checked_sub(begin)?, begin)
        };
        let end = begin.checked_add(length)?;
        let obu = Obu { kind: first >> 3 & 0xF, whole: rest.get(..end)?, payload: rest.get(begin..end)? };
        rest = &rest[end..];
        Some(obu)
    })
}

/// A number of up to 8 bytes with 7 bits each, and how many bytes it took.
fn leb128(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().take(8).enumerate() {
        value |= u64::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, index + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::{Matrix, Range};
    use crate::frame::Mode;
    use proptest::prelude::*;

    fn config(codec: Codec) -> EncoderConfig {
        EncoderConfig {
            codec,
            mode: Mode::new(320, 180, 60),
            bitrate_bps: 1_000_000,
            depth: BitDepth::Eight,
            chroma: Chroma::Yuv420,
            matrix: Matrix::Bt709,
            range: Range::Limited,
            slices: 1,
            max_reference_frames: 0,
            max_frame_bytes: 1 << 20,
        }
    }

    #[test]
    fn nal_units_get_lengths_instead_of_start_codes() {
        let unit = [0, 0, 0, 1, 0x67, 0x64, 0, 31, 9, 0, 0, 0, 1, 0x68, 1, 2, 0, 0, 1, 0x65, 7, 0, 0];
        assert_eq!(
            sample(Codec::H264, &unit),
            [0, 0, 0, 5, 0x67, 0x64, 0, 31, 9, 0, 0, 0, 3, 0x68, 1, 2, 0, 0, 0, 2, 0x65, 7]
        );
        assert_eq!(
            of(&config(Codec::H264), &unit).expect("its sets are there"),
            [1, 0x64, 0, 31, 0xFF, 0xE1, 0, 5, 0x67, 0x64, 0, 31, 9, 1, 0, 3, 0x68, 1, 2, 0xFD, 0xF8, 0xF8, 0]
        );
        assert_eq!(of(&config(Codec::H264), &unit[16..]), None);
    }

    #[test]
    fn temporal_delimiters_do_not_get_into_files() {
        let unit = [0x12, 0, 0x0A, 3, 0x00, 0x00, 0x28, 0x32, 1, 0xAA];
        assert_eq!(sample(Codec::Av1, &unit), [0x0A, 3, 0x00, 0x00, 0x28, 0x32, 1, 0xAA]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(unit in proptest::collection::vec(prop_oneof![Just(0u8), Just(1), Just(0x67), any::<u8>()], 0..200)) {
            for codec in [Codec::H264, Codec::Hevc, Codec::Av1] {
                let _ = of(&config(codec), &unit);
                let _ = sample(codec, &unit);
            }
        }
    }
}
