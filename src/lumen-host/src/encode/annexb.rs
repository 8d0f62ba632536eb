//! What clients want an H.264 or HEVC access unit to begin with (protocol part 2, section 4.2): parameter sets, then
//! slices. They look for the first slice in the first packet only, so whatever an encoder puts before it (delimiters,
//! banners as SEI) is cut out.

use super::Codec;

/// What a NAL unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NalKind {
    /// A slice of a key picture.
    IdrSlice,
    /// A slice of another picture.
    Slice,
    /// VPS, SPS or PPS.
    ParameterSet,
    /// Anything else: delimiter, SEI, filler.
    Other,
}

impl NalKind {
    /// The kind by the first byte of the NAL unit.
    pub const fn of(codec: Codec, first_byte: u8) -> Self {
        match codec {
            Codec::H264 => match first_byte & 0x1f {
                5 => Self::IdrSlice,
                1..=4 => Self::Slice,
                7 | 8 => Self::ParameterSet,
                _ => Self::Other,
            },
            Codec::Hevc => match first_byte >> 1 & 0x3f {
                16..=21 => Self::IdrSlice,
                0..=9 => Self::Slice,
                32..=34 => Self::ParameterSet,
                _ => Self::Other,
            },
            Codec::Av1 => Self::Other,
        }
    }
}

/// Start of each NAL unit with its start code, and of its first byte behind it.
fn starts(data: &[u8]) -> impl Iterator<Item = (usize, usize)> + '_ {
    let mut from = 0;
    core::iter::from_fn(move || {
        let at = from + data.get(from..)?.windows(3).position(|window| window == [0, 0, 1])?;
        from = at + 3;
        let with_zero = at > 0 && data[at - 1] == 0;
        (from < data.len()).then_some((at - usize::from(with_zero), from))
    })
}

/// The NAL units of an access unit: kind and bytes, start code included.
pub fn nal_units(codec: Codec, data: &[u8]) -> impl Iterator<Item = (NalKind, &[u8])> {
    let mut starts = starts(data).peekable();
    core::iter::from_fn(move || {
        let (start, first) = starts.next()?;
        let end = starts.peek().map_or(data.len(), |(next, _)| *next);
        Some((NalKind::of(codec, data[first]), &data[start..end]))
    })
}

/// Appends an access unit to `out` without what stands before its first slice and is no parameter set. From the first
/// slice on everything is copied as it is, so a large picture is not searched.
pub fn append_cleaned(codec: Codec, data: &[u8], out: &mut Vec<u8>) {
    let mut starts = starts(data).peekable();
    while let Some((start, first)) = starts.next() {
        match NalKind::of(codec, data[first]) {
            NalKind::IdrSlice | NalKind::Slice => return out.extend_from_slice(&data[start..]),
            NalKind::ParameterSet => {
                let end = starts.peek().map_or(data.len(), |(next, _)| *next);
                out.extend_from_slice(&data[start..end]);
            }
            NalKind::Other => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delimiters_and_sei_before_the_first_slice_are_cut_out() {
        let unit = [
            &[0, 0, 0, 1, 0x09, 0x10][..],
            &[0, 0, 0, 1, 0x67, 1, 2],
            &[0, 0, 0, 1, 0x68, 3],
            &[0, 0, 1, 0x06, 5, 4, 3],
            &[0, 0, 0, 1, 0x65, 9, 9],
            &[0, 0, 1, 0x65, 8, 8],
        ]
        .concat();
        let mut out = Vec::new();
        append_cleaned(Codec::H264, &unit, &mut out);
        let kinds: Vec<_> = nal_units(Codec::H264, &out).map(|(kind, _)| kind).collect();
        assert_eq!(kinds, [NalKind::ParameterSet, NalKind::ParameterSet, NalKind::IdrSlice, NalKind::IdrSlice]);
        assert_eq!(out, [&unit[6..19], &unit[26..]].concat());
    }

    #[test]
    fn a_unit_of_slices_is_left_as_it_is() {
        let unit = [0, 0, 0, 1, 0x02, 1, 7, 7, 0, 0, 1, 0x02, 1, 7];
        let mut out = Vec::new();
        append_cleaned(Codec::Hevc, &unit, &mut out);
        assert_eq!(out, unit);
        assert_eq!(nal_units(Codec::Hevc, &unit).count(), 2);
    }
}
