//! The machine-readable strip of the test card: a picture's frame number, time, session and input echo as light and
//! dark cells, so that whoever sees the pixels can measure latency, loss and input without asking the host.
//!
//! The test card draws it along the upper edge ([`StripLayout`], [`StripContent::to_cells`]); a client reads it from
//! decoded luma ([`read`]). The module is pure: it draws nothing, reads no clock and allocates nothing. The strip has
//! no range or matrix to agree on: cells are grey, and the reader takes its levels from the marker at the start.
//!
//! 240 cells, most significant bit first, row by row, light is 1:
//!
//! | bits | field |
//! |---|---|
//! | 16 | marker [`MARKER`] |
//! | 16 | session tag |
//! | 32 | frame number of the display |
//! | 52 | wall clock at drawing, microseconds since 1970-01-01 UTC |
//! | 4 | flags: bit 0 flash, bit 1 pointer present, others zero |
//! | 16, 16 | pointer x, y in pixels |
//! | 16 | input events applied so far, modulo 65 536 |
//! | 32 | sum of the [`event_digest`] of these events, modulo 2³² |
//! | 24 | microseconds from the last input event to drawing, 0xFFFFFF if none or longer |
//! | 16 | CRC-16/CCITT-FALSE of all bits before |

use std::time::Duration;

use crate::gamestream::input::InputEvent;

/// The first 16 cells of every strip: as many light as dark ones.
pub const MARKER: u16 = 0xAC53;

/// Grey level (8 bits, full range) of a light cell.
pub const LIGHT: u8 = 212;

/// Grey level (8 bits, full range) of a dark cell.
pub const DARK: u8 = 22;

/// Cells in a strip.
pub const CELLS: usize = 240;

/// Bytes that hold the cells, eight each.
pub const BYTES: usize = CELLS / 8;

/// The least difference of luma between light and dark cells at which a strip is believed.
const MIN_CONTRAST: u32 = 32;

/// The value of the input age field that stands for "none or too long ago".
const NO_INPUT_AGE: u32 = 0xFF_FFFF;

/// Why pixels could not be read as a strip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StripError {
    /// The picture is too small to carry a strip.
    #[error("a picture of {width}x{height} cannot carry a strip: it takes at least 320x96")]
    PictureTooSmall {
        /// Pixels per line.
        width: u32,
        /// Lines.
        height: u32,
    },
    /// The plane holds fewer samples than its size says.
    #[error("the luma plane is shorter than its stride and height say")]
    ShortPlane,
    /// The marker is not there: another picture, or one too damaged to read.
    #[error("there is no strip in this picture")]
    NoMarker,
    /// Cells were misread.
    #[error("the strip's checksum does not match its cells")]
    Checksum,
}

/// Where the cells of the strip lie in a picture. Cells are squares of 8, 16 or 32 pixels on a grid of their own size,
/// so that each lies in blocks of its own in every codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StripLayout {
    x: u32,
    columns: u32,
    cell: u32,
}

impl StripLayout {
    /// The layout for a picture of `width` by `height` pixels. The height only decides whether there is room.
    ///
    /// # Errors
    /// [`StripError::PictureTooSmall`] below 320x96.
    pub const fn for_picture(width: u32, height: u32) -> Result<Self, StripError> {
        if width < 320 || height < 96 {
            return Err(StripError::PictureTooSmall { width, height });
        }
        let (columns, cell) = match width {
            0..640 => (40, 8),
            640..1280 => (80, 8),
            1280..2560 => (80, 16),
            _ => (80, 32),
        };
        let layout = Self { x: (width - columns * cell) / 2 / 16 * 16, columns, cell };
        if layout.height() * 2 > height {
            return Err(StripError::PictureTooSmall { width, height });
        }
        Ok(layout)
    }

    /// Width and height of a cell in pixels.
    pub const fn cell_size(self) -> u32 {
        self.cell
    }

    /// Pixels from the left edge to the first cell; a multiple of 16. The strip touches the upper edge.
    pub const fn x(self) -> u32 {
        self.x
    }

    /// Width of the strip in pixels.
    pub const fn width(self) -> u32 {
        self.columns * self.cell
    }

    /// Height of the strip in pixels.
    pub const fn height(self) -> u32 {
        CELLS as u32 / self.columns * self.cell
    }

    /// Upper left pixel of cell `index` (0..[`CELLS`]).
    pub const fn cell_origin(self, index: usize) -> (u32, u32) {
        let index = index as u32;
        (self.x + index % self.columns * self.cell, index / self.columns * self.cell)
    }
}

/// What a strip says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StripContent {
    /// The session whose display this is.
    pub session: u16,
    /// Frame number of the display: its rate times the time since it began; wraps.
    pub frame: u32,
    /// Wall clock when the picture was drawn: microseconds since 1970-01-01 UTC, modulo 2⁵².
    pub unix_micros: u64,
    /// Whether a second of the wall clock begins while this picture is shown: the click sounds with it.
    pub flash: bool,
    /// Pointer position in pixels, once the client has moved it.
    pub pointer: Option<(u16, u16)>,
    /// Input events applied to this display so far, modulo 65 536.
    pub input_events: u16,
    /// Sum of the [`event_digest`] of these events, modulo 2³². It does not depend on their order.
    pub input_digest: u32,
    /// Time from the last input event to drawing, in whole microseconds; `None` if none came in the last 16.7 seconds.
    pub input_age: Option<Duration>,
}

impl StripContent {
    /// The cells: the first is the top bit of byte 0.
    pub fn to_cells(&self) -> [u8; BYTES] {
        let (x, y) = self.pointer.unwrap_or((0, 0));
        let flags = u8::from(self.flash) | u8::from(self.pointer.is_some()) << 1;
        let age = self.input_age.map_or(NO_INPUT_AGE, |age| {
            u32::try_from(age.as_micros()).map_or(NO_INPUT_AGE, |micros| micros.min(NO_INPUT_AGE))
        });
        let mut bytes = [0; BYTES];
        bytes[0..2].copy_from_slice(&MARKER.to_be_bytes());
        bytes[2..4].copy_from_slice(&self.session.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.frame.to_be_bytes());
        bytes[8..15].copy_from_slice(&(self.unix_micros << 4 | u64::from(flags)).to_be_bytes()[1..]);
        bytes[15..17].copy_from_slice(&x.to_be_bytes());
        bytes[17..19].copy_from_slice(&y.to_be_bytes());
        bytes[19..21].copy_from_slice(&self.input_events.to_be_bytes());
        bytes[21..25].copy_from_slice(&self.input_digest.to_be_bytes());
        bytes[25..28].copy_from_slice(&age.to_be_bytes()[1..]);
        let crc = crc16(&bytes[..28]);
        bytes[28..30].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    /// Reads the cells back.
    ///
    /// # Errors
    /// [`StripError::NoMarker`] or [`StripError::Checksum`].
    pub fn from_cells(bytes: &[u8; BYTES]) -> Result<Self, StripError> {
        let be = |range: std::ops::Range<usize>| bytes[range].iter().fold(0u64, |value, b| value << 8 | u64::from(*b));
        if be(0..2) != u64::from(MARKER) {
            return Err(StripError::NoMarker);
        }
        if be(28..30) != u64::from(crc16(&bytes[..28])) {
            return Err(StripError::Checksum);
        }
        let age = be(25..28) as u32;
        Ok(Self {
            session: be(2..4) as u16,
            frame: be(4..8) as u32,
            unix_micros: be(8..15) >> 4,
            flash: bytes[14] & 1 != 0,
            pointer: (bytes[14] & 2 != 0).then(|| (be(15..17) as u16, be(17..19) as u16)),
            input_events: be(19..21) as u16,
            input_digest: be(21..25) as u32,
            input_age: (age != NO_INPUT_AGE).then(|| Duration::from_micros(u64::from(age))),
        })
    }
}

/// Whether cell `index` of `cells` is light.
pub const fn is_light(cells: &[u8; BYTES], index: usize) -> bool {
    cells[index / 8] >> (7 - index % 8) & 1 != 0
}

/// The luma samples of a decoded picture, 8 bits each, in limited or full range.
#[derive(Debug, Clone, Copy)]
pub struct LumaPlane<'a> {
    /// Samples, line by line.
    pub data: &'a [u8],
    /// Samples from one line to the next.
    pub stride: usize,
    /// Pixels per line.
    pub width: u32,
    /// Lines.
    pub height: u32,
}

/// Reads the strip of a picture from its luma.
///
/// # Errors
/// [`StripError`]; a picture without a readable strip is no fault of the plane.
pub fn read(plane: &LumaPlane<'_>) -> Result<StripContent, StripError> {
    let layout = StripLayout::for_picture(plane.width, plane.height)?;
    let lines = layout.height() as usize;
    let needed = plane.stride * (lines - 1) + (layout.x() + layout.width()) as usize;
    if plane.stride < plane.width as usize || plane.data.len() < needed {
        return Err(StripError::ShortPlane);
    }
    read_with(layout, |x, y| u32::from(plane.data[y as usize * plane.stride + x as usize]))
}

/// Reads a strip through `luma`, which says how bright pixel (x, y) is, in any linear scale that spends at least 32
/// steps between light and dark. For planes of more than 8 bits and for packed pixels.
///
/// # Errors
/// [`StripError::NoMarker`] or [`StripError::Checksum`].
pub fn read_with(layout: StripLayout, mut luma: impl FnMut(u32, u32) -> u32) -> Result<StripContent, StripError> {
    let mut levels = [0u32; CELLS];
    for (index, level) in levels.iter_mut().enumerate() {
        *level = cell_level(layout, index, &mut luma);
    }
    let threshold = threshold(&levels[..16])?;
    let mut bytes = [0u8; BYTES];
    for (index, level) in levels.iter().enumerate() {
        bytes[index / 8] |= u8::from(*level > threshold) << (7 - index % 8);
    }
    StripContent::from_cells(&bytes)
}

/// A digest of one input event, for [`StripContent::input_digest`]: FNV-1a of its packet from the magic on, so that
/// whoever sent the packet can work it out.
pub fn event_digest(event: &InputEvent) -> u32 {
    fnv1a(&event.to_bytes()[4..])
}

/// The pitch in hertz of the tone that the test card of session `session` plays on `channel` (0..8, in the order
/// FL FR FC LFE RL RR SL SR). Sessions whose tags differ modulo 128 differ by at least 3 Hz on the first channel.
pub fn tone_hertz(session: u16, channel: u8) -> f64 {
    const RATIOS: [f64; 8] = [1.0, 1.25, 1.5, 0.25, 2.0, 2.5, 3.0, 3.75];
    (240.0 + 3.0 * f64::from(session % 128)) * RATIOS[usize::from(channel % 8)]
}

/// Mean level of the middle of a cell: the outer quarter is left to blur.
fn cell_level(layout: StripLayout, index: usize, luma: &mut impl FnMut(u32, u32) -> u32) -> u32 {
    let (x0, y0) = layout.cell_origin(index);
    let margin = layout.cell / 4;
    let step = (layout.cell / 8) as usize;
    let (mut sum, mut count) = (0, 0);
    for y in (y0 + margin..y0 + layout.cell - margin).step_by(step) {
        for x in (x0 + margin..x0 + layout.cell - margin).step_by(step) {
            sum += luma(x, y);
            count += 1;
        }
    }
    sum / count
}

/// The level between light and dark, learned from the marker.
fn threshold(marker: &[u32]) -> Result<u32, StripError> {
    let mean = |light: bool| {
        let cells = marker.iter().enumerate().filter(|(bit, _)| (MARKER >> (15 - bit) & 1 != 0) == light);
        cells.map(|(_, level)| level).sum::<u32>() / 8
    };
    let (light, dark) = (mean(true), mean(false));
    if light < dark + MIN_CONTRAST { Err(StripError::NoMarker) } else { Ok(dark.midpoint(light)) }
}

/// The 32-bit FNV-1a hash.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811C_9DC5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// CRC-16/CCITT-FALSE: polynomial 0x1021, start 0xFFFF, no reflection.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| if crc & 0x8000 != 0 { crc << 1 ^ 0x1021 } else { crc << 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Sizes that clients ask for, among them odd ones.
    const SIZES: [(u32, u32); 9] = [
        (320, 180),
        (640, 360),
        (853, 481),
        (1280, 720),
        (1366, 768),
        (1920, 1080),
        (1179, 2556),
        (3440, 1440),
        (3840, 2160),
    ];

    fn content() -> impl Strategy<Value = StripContent> {
        let micros = 0u64..1 << 52;
        let pointer = proptest::option::of(any::<(u16, u16)>());
        let age = proptest::option::of(0u64..u64::from(NO_INPUT_AGE));
        (any::<(u16, u32, bool, u16, u32)>(), micros, pointer, age).prop_map(
            |((session, frame, flash, input_events, input_digest), unix_micros, pointer, age)| StripContent {
                session,
                frame,
                unix_micros,
                flash,
                pointer,
                input_events,
                input_digest,
                input_age: age.map(Duration::from_micros),
            },
        )
    }

    struct Picture {
        data: Vec<u8>,
        width: u32,
        height: u32,
    }

    impl Picture {
        fn draw(width: u32, height: u32, content: &StripContent) -> Self {
            let layout = StripLayout::for_picture(width, height).unwrap();
            let mut data = vec![90; (width * height) as usize];
            let cells = content.to_cells();
            for index in 0..CELLS {
                let (x, y) = layout.cell_origin(index);
                let level = if is_light(&cells, index) { LIGHT } else { DARK };
                for line in y..y + layout.cell_size() {
                    let start = (line * width + x) as usize;
                    data[start..start + layout.cell_size() as usize].fill(level);
                }
            }
            Self { data, width, height }
        }

        fn read(&self) -> Result<StripContent, StripError> {
            let stride = self.width as usize;
            read(&LumaPlane { data: &self.data, stride, width: self.width, height: self.height })
        }

        /// What a decoder may make of it: box blur of three by three, limited range, coarse steps and noise.
        fn degrade(&self, seed: u64, noise: i32, step: i32) -> Self {
            let mut random = seed | 1;
            let (width, height) = (self.width as i32, self.height as i32);
            let layout = StripLayout::for_picture(self.width, self.height).unwrap();
            let mut data = self.data.clone();
            for y in 0..(layout.height() as i32 + 1).min(height) {
                for x in 0..width {
                    let mut sum = 0;
                    for (dx, dy) in [(-1, -1), (0, -1), (1, -1), (-1, 0), (0, 0), (1, 0), (-1, 1), (0, 1), (1, 1)] {
                        let (x, y) = ((x + dx).clamp(0, width - 1), (y + dy).clamp(0, height - 1));
                        sum += i32::from(self.data[(y * width + x) as usize]);
                    }
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    let limited = 16 + sum / 9 * 219 / 255;
                    let noisy = limited / step * step + (random % (2 * noise as u64 + 1)) as i32 - noise;
                    data[(y * width + x) as usize] = noisy.clamp(0, 255) as u8;
                }
            }
            Self { data, ..*self }
        }
    }

    fn sample() -> StripContent {
        StripContent {
            session: 0x4F2A,
            frame: 123_456,
            unix_micros: 1_764_000_000_123_456,
            flash: true,
            pointer: Some((17, 701)),
            input_events: 9,
            input_digest: 0xDEAD_BEEF,
            input_age: Some(Duration::from_micros(8_333)),
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(content in content()) {
            prop_assert_eq!(StripContent::from_cells(&content.to_cells()), Ok(content));
        }

        #[test]
        fn a_flipped_cell_never_passes(content in content(), cell in 0..CELLS) {
            let mut cells = content.to_cells();
            cells[cell / 8] ^= 0x80 >> (cell % 8);
            prop_assert!(StripContent::from_cells(&cells).is_err());
        }

        #[test]
        fn arbitrary_planes_never_panic(
            data in proptest::collection::vec(any::<u8>(), 0..4096),
            stride in 0usize..4000,
            width in 0u32..4000,
            height in 0u32..300,
        ) {
            let _ = read(&LumaPlane { data: &data, stride, width, height });
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn blur_noise_and_coarse_quantisation_do_not_hurt(
            content in content(), size in 0..SIZES.len(), seed in any::<u64>(),
        ) {
            let (width, height) = SIZES[size];
            let picture = Picture::draw(width, height, &content).degrade(seed, 40, 24);
            prop_assert_eq!(picture.read(), Ok(content));
        }
    }

    #[test]
    fn every_size_carries_a_strip_on_the_block_grid() {
        for (width, height) in SIZES {
            let layout = StripLayout::for_picture(width, height).unwrap();
            assert!(layout.cell_size() >= 8 && layout.x().is_multiple_of(16));
            assert!(layout.x() + layout.width() <= width && layout.height() * 2 <= height);
            let picture = Picture::draw(width, height, &sample());
            assert_eq!(picture.read(), Ok(sample()), "{width}x{height}");
        }
    }

    #[test]
    fn a_picture_without_strip_is_no_strip() {
        let picture = Picture { data: vec![128; 640 * 360], width: 640, height: 360 };
        assert_eq!(picture.read(), Err(StripError::NoMarker));
    }

    #[test]
    fn small_pictures_and_short_planes_are_refused() {
        assert!(matches!(StripLayout::for_picture(319, 400), Err(StripError::PictureTooSmall { .. })));
        assert!(matches!(StripLayout::for_picture(640, 40), Err(StripError::PictureTooSmall { .. })));
        let plane = LumaPlane { data: &[0; 100], stride: 640, width: 640, height: 360 };
        assert_eq!(read(&plane), Err(StripError::ShortPlane));
    }

    #[test]
    fn deep_samples_are_read_through_the_sampler() {
        let picture = Picture::draw(640, 360, &sample());
        let layout = StripLayout::for_picture(640, 360).unwrap();
        let luma = |x: u32, y: u32| u32::from(picture.data[(y * 640 + x) as usize]) * 4;
        assert_eq!(read_with(layout, luma), Ok(sample()));
    }

    #[test]
    fn an_old_input_is_no_input() {
        let old = StripContent { input_age: Some(Duration::from_secs(60)), ..sample() };
        assert_eq!(StripContent::from_cells(&old.to_cells()).unwrap().input_age, None);
    }

    #[test]
    fn checksum_and_digest_match_their_published_check_values() {
        assert_eq!(crc16(b"123456789"), 0x29B1);
        assert_eq!(fnv1a(b"foobar"), 0xBF9C_F968);
    }

    #[test]
    fn sessions_and_channels_have_pitches_of_their_own() {
        assert!((tone_hertz(1, 0) - tone_hertz(2, 0)).abs() >= 3.0);
        let mut pitches: Vec<f64> = (0..8).map(|channel| tone_hertz(7, channel)).collect();
        pitches.sort_by(f64::total_cmp);
        assert!(pitches.windows(2).all(|pair| pair[1] - pair[0] > 40.0));
    }
}
