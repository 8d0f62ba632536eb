//! What every encoder owes a client: each picture decodes at once and looks like its source, key frames come when asked
//! for and begin with parameter sets, slices are as many as asked for, the rate is held, no picture is too large, and
//! colours are those of the matrix and range that were asked for.

mod decode;
#[path = "../../src/encode/pattern.rs"]
mod pattern;

use std::sync::Arc;
use std::time::Instant;

use decode::{Decoded, Decoder};
use lumen_ffmpeg::{PixelFormat, PlanesMut};
use lumen_host::encode::annexb::{NalKind, nal_units};
use lumen_host::encode::convert::convert;
use lumen_host::encode::{
    BitDepth, Chroma, Codec, Encoder, EncoderConfig, EncoderName, EncoderPreference, FrameIndex, FrameKind,
    FrameRequest, Matrix, Range, X264Preset, open, probe,
};
use lumen_host::frame::{CpuImage, Frame, Mode, PixelFormat as ImageFormat, Timeline};

/// Every encoder that must work with FFmpeg's libraries installed, and SVT-AV1 where its version is one that works.
fn all() -> Vec<EncoderName> {
    let mut names = vec![EncoderName::OpenH264, EncoderName::X264, EncoderName::X265, EncoderName::AomAv1];
    let preference = EncoderPreference { encoder: Some(EncoderName::SvtAv1), ..EncoderPreference::default() };
    match open(&config(EncoderName::SvtAv1), preference) {
        Ok(_) => names.push(EncoderName::SvtAv1),
        Err(error) => assert!(error.to_string().contains("holds pictures back"), "{error}"),
    }
    names
}

const RATE: u64 = 4_000_000;

fn config(name: EncoderName) -> EncoderConfig {
    let codec = match name {
        EncoderName::OpenH264 | EncoderName::X264 | EncoderName::Nvenc | EncoderName::Null => Codec::H264,
        EncoderName::X265 => Codec::Hevc,
        EncoderName::SvtAv1 | EncoderName::AomAv1 => Codec::Av1,
    };
    EncoderConfig {
        codec,
        mode: Mode::new(640, 360, 60),
        bitrate_bps: RATE,
        depth: BitDepth::Eight,
        chroma: Chroma::Yuv420,
        matrix: Matrix::Bt709,
        range: Range::Limited,
        slices: 1,
        max_reference_frames: 1,
        max_frame_bytes: 1_000_000,
    }
}

fn open_named(name: EncoderName, config: &EncoderConfig) -> Box<dyn Encoder> {
    let preference =
        EncoderPreference { encoder: Some(name), x264_preset: X264Preset::Superfast, ..EncoderPreference::default() };
    match open(config, preference) {
        Ok(encoder) => encoder,
        Err(error) => panic!("{error}. These tests need FFmpeg's libraries; scripts/test installs them"),
    }
}

fn decoder(name: EncoderName, config: &EncoderConfig) -> Decoder {
    if name == EncoderName::OpenH264 { Decoder::built_in() } else { Decoder::ffmpeg(config.codec) }
}

fn frame(mode: Mode, serial: u64, draw: impl FnOnce(&mut Vec<u8>)) -> Frame {
    let mut data = Vec::new();
    draw(&mut data);
    let stride = mode.width as usize * 4;
    let image = CpuImage { width: mode.width, height: mode.height, stride, format: ImageFormat::Bgrx, data };
    Frame { image: Arc::new(image), serial, timeline: Timeline::starting(Instant::now()) }
}

fn moving(mode: Mode, number: usize) -> Frame {
    frame(mode, number as u64 + 1, |data| pattern::draw(data, mode.width as usize, mode.height as usize, number))
}

fn flat(mode: Mode, serial: u64, colour: [u8; 3]) -> Frame {
    frame(mode, serial, |data| {
        *data = [colour[0], colour[1], colour[2], 0].repeat((mode.width * mode.height) as usize);
    })
}

fn format_of(depth: BitDepth, chroma: Chroma) -> PixelFormat {
    match (depth, chroma) {
        (BitDepth::Eight, Chroma::Yuv420) => PixelFormat::Yuv420,
        (BitDepth::Eight, Chroma::Yuv444) => PixelFormat::Yuv444,
        (BitDepth::Ten, Chroma::Yuv420) => PixelFormat::Yuv420P10,
        (BitDepth::Ten, Chroma::Yuv444) => PixelFormat::Yuv444P10,
    }
}

/// What an encoder of this configuration is given for a frame.
fn source(frame: &Frame, config: &EncoderConfig) -> [Vec<u16>; 3] {
    let format = format_of(config.depth, config.chroma);
    let size = (frame.image.width as usize, frame.image.height as usize);
    let layout = [0, 1, 2].map(|plane| format.plane_size(plane, size.0, size.1));
    let mut buffers = layout.map(|(line, lines)| vec![0u8; line * lines]);
    let [y, u, v] = &mut buffers;
    let planes = PlanesMut { planes: [y, u, v], strides: layout.map(|(line, _)| line) };
    convert(&frame.image, format, config.effective_matrix(), config.range, planes).unwrap();
    buffers.map(|bytes| {
        if format.bits() == 10 {
            bytes.chunks_exact(2).map(|sample| u16::from_le_bytes([sample[0], sample[1]])).collect()
        } else {
            bytes.into_iter().map(u16::from).collect()
        }
    })
}

/// Peak signal-to-noise ratio of luma in dB.
fn psnr(decoded: &Decoded, source: &[Vec<u16>; 3]) -> f64 {
    assert_eq!(decoded.planes[0].len(), source[0].len());
    let sum: f64 = decoded.planes[0].iter().zip(&source[0]).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum();
    let peak = if decoded.depth == BitDepth::Ten { 1023.0f64 } else { 255.0 };
    10.0 * (peak * peak / (sum / source[0].len() as f64).max(1e-9)).log10()
}

/// One encoded picture.
struct Unit {
    data: Vec<u8>,
    kind: FrameKind,
}

fn encode(encoder: &mut dyn Encoder, frame: &Frame, number: usize, request: FrameRequest) -> Option<Unit> {
    let unit = encoder.encode(frame, FrameIndex(number as u32 + 1), request).unwrap()?;
    Some(Unit { data: unit.data.to_vec(), kind: unit.kind })
}

#[test]
fn every_picture_decodes_at_once_and_looks_like_its_source() {
    for name in all() {
        let config = config(name);
        let (mut encoder, mut decoder) = (open_named(name, &config), decoder(name, &config));
        let (mut worst, mut sum) = (f64::MAX, 0.0);
        for number in 0..60 {
            let frame = moving(config.mode, number);
            let unit = encode(&mut *encoder, &frame, number, FrameRequest::Normal).expect("no picture is skipped");
            let quality = psnr(&decoder.decode(&unit.data), &source(&frame, &config));
            sum += quality;
            // The first pictures start from a key frame no larger than the others.
            if number >= 10 {
                worst = worst.min(quality);
            }
        }
        println!("{}: {:.1} dB on average, {worst:.1} dB at worst", name.as_str(), sum / 60.0);
        assert!(worst > 27.0, "{}: {worst} dB", name.as_str());
    }
}

/// At such a width FFmpeg's lines are longer than the picture's.
#[test]
fn a_picture_is_whole_to_its_last_line_at_any_width() {
    for name in all() {
        let config = EncoderConfig { mode: Mode::new(854, 480, 60), ..config(name) };
        let mut encoder = open_named(name, &config);
        let grey = flat(config.mode, 1, [200, 200, 200]);
        let unit = encode(encoder.as_mut(), &grey, 0, FrameRequest::Idr).unwrap();
        let decoded = decoder(name, &config).decode(&unit.data);
        let (width, luma) = (decoded.width, &decoded.planes[0]);
        for (y, line) in luma.chunks_exact(width).enumerate() {
            assert!(
                line.iter().all(|&sample| (170..210).contains(&sample)),
                "{}: line {y}: {:?}",
                name.as_str(),
                &line[..8]
            );
        }
    }
}

#[test]
fn every_depth_and_chroma_that_the_probe_reports_comes_back() {
    let found = probe();
    let has = |codec, depth, chroma| found.iter().any(|e| (e.codec, e.depth, e.chroma) == (codec, depth, chroma));
    assert!(has(Codec::H264, BitDepth::Eight, Chroma::Yuv420));
    assert!(has(Codec::Hevc, BitDepth::Ten, Chroma::Yuv420), "x265 with 10 bits is needed; scripts/test installs it");
    assert!(
        has(Codec::Av1, BitDepth::Ten, Chroma::Yuv420),
        "an AV1 encoder with 10 bits is needed; scripts/test installs it"
    );
    assert!(!has(Codec::H264, BitDepth::Ten, Chroma::Yuv420), "clients know no H.264 of 10 bits");
    for info in found {
        let config = EncoderConfig { codec: info.codec, depth: info.depth, chroma: info.chroma, ..config(info.name) };
        let mut encoder = open_named(info.name, &config);
        let mut decoder = Decoder::ffmpeg(info.codec);
        let mut last = 0.0;
        for number in 0..20 {
            let frame = moving(config.mode, number);
            let unit = encode(&mut *encoder, &frame, number, FrameRequest::Normal).unwrap();
            let decoded = decoder.decode(&unit.data);
            let wanted = source(&frame, &config);
            assert_eq!((decoded.width, decoded.height, decoded.depth), (640, 360, info.depth), "{info:?}");
            assert_eq!(decoded.planes[1].len(), wanted[1].len(), "{info:?}");
            last = psnr(&decoded, &wanted);
        }
        println!("{info:?}: {last:.1} dB");
        assert!(last > 27.0, "{info:?}: {last} dB");
    }
}

#[test]
fn key_frames_come_when_asked_for_and_only_then() {
    for name in all() {
        let config = config(name);
        let (mut encoder, mut decoder) = (open_named(name, &config), decoder(name, &config));
        for number in 0..40 {
            let request = match number {
                10 | 11 | 25 => FrameRequest::Idr,
                30 => FrameRequest::Invalidate { first: FrameIndex(28), last: FrameIndex(29) },
                _ => FrameRequest::Normal,
            };
            let unit = encode(&mut *encoder, &moving(config.mode, number), number, request).unwrap();
            let wanted = matches!(number, 0 | 10 | 11 | 25 | 30);
            let (name, encoder_name) = (name.as_str(), name);
            assert_eq!(unit.kind == FrameKind::Idr, wanted, "{name}: picture {number} is {:?}", unit.kind);
            if config.codec != Codec::Av1 {
                let kinds: Vec<_> = nal_units(config.codec, &unit.data).map(|(kind, _)| kind).collect();
                if wanted {
                    let sets = kinds.iter().take_while(|kind| **kind == NalKind::ParameterSet).count();
                    assert!(sets >= 2, "{name}: {kinds:?}");
                    assert!(kinds[sets..].iter().all(|kind| *kind == NalKind::IdrSlice), "{name}: {kinds:?}");
                    let head: usize =
                        nal_units(config.codec, &unit.data).take(sets).map(|(_, bytes)| bytes.len()).sum();
                    assert!(head < 200, "{name}: {head} bytes of parameter sets");
                } else {
                    assert!(kinds.iter().all(|kind| *kind == NalKind::Slice), "{name}: {kinds:?}");
                }
            }
            if wanted {
                // Decoding can start here.
                decoder = self::decoder(encoder_name, &config);
            }
            decoder.decode(&unit.data);
        }
    }
}

#[test]
fn slices_are_as_many_as_asked_for() {
    for name in [EncoderName::OpenH264, EncoderName::X264] {
        for slices in [1, 2, 3, 4] {
            let config = EncoderConfig { slices, ..config(name) };
            let (mut encoder, mut decoder) = (open_named(name, &config), decoder(name, &config));
            for number in 0..6 {
                let unit = encode(&mut *encoder, &moving(config.mode, number), number, FrameRequest::Normal).unwrap();
                let count = nal_units(config.codec, &unit.data)
                    .filter(|(kind, _)| matches!(kind, NalKind::IdrSlice | NalKind::Slice))
                    .count();
                assert_eq!(count, usize::from(slices), "{}: picture {number}", name.as_str());
                decoder.decode(&unit.data);
            }
        }
    }
}

/// Mean rate over pictures in bits per second, and the largest of them in average pictures.
fn rate(sizes: &[usize], target: u64) -> (f64, f64) {
    let mean = sizes.iter().sum::<usize>() as f64 * 8.0 * 60.0 / sizes.len() as f64;
    (mean, *sizes.iter().max().unwrap() as f64 * 8.0 * 60.0 / target as f64)
}

#[test]
fn the_rate_is_held_over_five_seconds_and_changes_when_told() {
    // So little that no picture reaches the finest quantiser.
    const TARGET: u64 = RATE / 2;
    for name in all() {
        let config = EncoderConfig { bitrate_bps: TARGET, ..config(name) };
        let mut encoder = open_named(name, &config);
        let mut sizes = Vec::new();
        for number in 0..420 {
            if number == 300 {
                encoder.set_bitrate(TARGET / 2).unwrap();
            }
            let unit = encode(&mut *encoder, &moving(config.mode, number), number, FrameRequest::Normal);
            sizes.push(unit.map_or(0, |unit| unit.data.len()));
        }
        let (mean, largest) = rate(&sizes[..300], TARGET);
        let (later, _) = rate(&sizes[312..], TARGET / 2);
        let (mean, later) = (mean / TARGET as f64, later * 2.0 / TARGET as f64);
        println!("{}: {mean:.3} of the rate, largest {largest:.2} pictures, later {later:.3}", name.as_str());
        assert!((0.75..1.05).contains(&mean), "{}: {mean} of the rate", name.as_str());
        assert!((0.6..1.1).contains(&later), "{}: {later} of the second rate", name.as_str());
        let bound = if config.codec == Codec::H264 { 2.0 } else { 4.0 };
        assert!(largest < bound, "{}: a picture of {largest} times the average", name.as_str());
    }
}

#[test]
fn no_picture_is_larger_than_allowed() {
    for name in all() {
        let config = EncoderConfig { max_frame_bytes: 12_000, bitrate_bps: 50_000_000, ..config(name) };
        let (mut encoder, mut decoder) = (open_named(name, &config), decoder(name, &config));
        let mut skipped = 0;
        for number in 0..60 {
            // A cut to something else every half second.
            let picture = number + number / 30 * 1000;
            match encode(&mut *encoder, &moving(config.mode, picture), number, FrameRequest::Normal) {
                Some(unit) => {
                    assert!(unit.data.len() <= 12_000, "{}: {} bytes", name.as_str(), unit.data.len());
                    decoder.decode(&unit.data);
                }
                None => skipped += 1,
            }
        }
        assert!(skipped <= 2, "{}: {skipped} pictures skipped", name.as_str());
    }
}

/// The colours of the bars: blue, green, red.
const BARS: [[u8; 3]; 8] =
    [[255, 255, 255], [0, 255, 255], [255, 255, 0], [0, 255, 0], [255, 0, 255], [0, 0, 255], [255, 0, 0], [16, 16, 16]];

/// The inverse of the matrix: blue, green, red of a decoded sample.
fn to_rgb(sample: [u16; 3], config: &EncoderConfig) -> [f64; 3] {
    let (kr, kb) = match config.effective_matrix() {
        Matrix::Bt601 => (0.299, 0.114),
        Matrix::Bt709 => (0.2126, 0.0722),
        Matrix::Bt2020 => (0.2627, 0.0593),
    };
    let step = if config.depth == BitDepth::Ten { 4.0 } else { 1.0 };
    let (black, luma, chroma) = match config.range {
        Range::Limited => (16.0 * step, 219.0 * step, 224.0 * step),
        Range::Full => (0.0, 256.0 * step - 1.0, 256.0 * step - 1.0),
    };
    let y = (f64::from(sample[0]) - black) / luma;
    let cb = (f64::from(sample[1]) - 128.0 * step) / chroma;
    let cr = (f64::from(sample[2]) - 128.0 * step) / chroma;
    let (b, r) = (y + 2.0 * (1.0 - kb) * cb, y + 2.0 * (1.0 - kr) * cr);
    [b, (y - kr * r - kb * b) / (1.0 - kr - kb), r].map(|value| (value * 255.0).clamp(0.0, 255.0))
}

#[test]
fn colours_come_back_in_every_matrix_and_range() {
    for name in all() {
        for (matrix, range) in [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020]
            .into_iter()
            .flat_map(|m| [(m, Range::Limited), (m, Range::Full)])
        {
            let depth = if matrix == Matrix::Bt2020 && config(name).codec != Codec::H264 {
                BitDepth::Ten
            } else {
                BitDepth::Eight
            };
            let config = EncoderConfig { matrix, range, depth, mode: Mode::new(320, 192, 60), ..config(name) };
            let mut encoder = open_named(name, &config);
            let mut decoder = Decoder::ffmpeg(config.codec);
            for (number, bar) in BARS.into_iter().enumerate() {
                let flat = flat(config.mode, number as u64 + 1, bar);
                let mut decoded = None;
                for repeat in 0..4 {
                    let request = if repeat == 0 { FrameRequest::Idr } else { FrameRequest::Normal };
                    let unit = encode(&mut *encoder, &flat, number * 4 + repeat, request).unwrap();
                    decoded = Some(decoder.decode(&unit.data));
                }
                let decoded = decoded.unwrap();
                assert_eq!(decoded.full_range, Some(range == Range::Full), "{}", name.as_str());
                assert_eq!(decoded.matrix, Some(config.colour().matrix), "{}", name.as_str());
                let middle = |plane: usize, per_line: usize| decoded.planes[plane][per_line * 50 + per_line / 2];
                let rgb = to_rgb([middle(0, 320), middle(1, 160), middle(2, 160)], &config);
                for (got, wanted) in rgb.into_iter().zip(bar) {
                    let off = (got - f64::from(wanted)).abs();
                    assert!(off <= 3.0, "{} {matrix:?} {range:?} {bar:?}: {rgb:?}", name.as_str());
                }
            }
        }
    }
}

#[test]
fn a_frame_that_is_sent_again_costs_little() {
    for name in [EncoderName::OpenH264, EncoderName::X264] {
        let config = config(name);
        let (mut encoder, mut decoder) = (open_named(name, &config), decoder(name, &config));
        let still = moving(config.mode, 0);
        let sizes: Vec<usize> = (0..120)
            .map(|number| {
                let unit = encode(&mut *encoder, &still, number, FrameRequest::Normal).unwrap();
                decoder.decode(&unit.data);
                unit.data.len()
            })
            .collect();
        let late = sizes[100..].iter().sum::<usize>() / 20;
        assert!(late < 4_000, "{}: {late} bytes for a still picture", name.as_str());
    }
}

#[test]
fn what_no_encoder_can_do_is_said_with_the_reasons() {
    let config = EncoderConfig { mode: Mode::new(641, 360, 60), ..config(EncoderName::X264) };
    let error = open(&config, EncoderPreference::default()).err().unwrap().to_string();
    assert!(error.contains("x264: ") && error.contains("openh264: ") && error.contains("odd"), "{error}");
}

#[test]
fn the_null_encoder_makes_units_of_the_right_size_and_shape() {
    let config = config(EncoderName::Null);
    let mut encoder = open_named(EncoderName::Null, &config);
    let frame = flat(config.mode, 1, [0, 0, 0]);
    for number in 0..3 {
        let unit = encode(&mut *encoder, &frame, number, FrameRequest::Normal).unwrap();
        assert_eq!(unit.data.len(), RATE as usize / 60 / 8);
        assert_eq!(unit.kind == FrameKind::Idr, number == 0);
        let first = nal_units(Codec::H264, &unit.data).next().unwrap().0;
        assert_eq!(first, if number == 0 { NalKind::ParameterSet } else { NalKind::Slice });
    }
}

#[test]
fn the_probe_answers_quickly() {
    let start = Instant::now();
    assert!(!probe().is_empty());
    assert!(start.elapsed().as_secs() < 3, "{:?}", start.elapsed());
}
