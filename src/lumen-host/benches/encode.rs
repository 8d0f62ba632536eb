//! What encoding costs: CPU time of the whole process for each picture, for every encoder that is here, on a moving
//! pattern; the conversion alone; Opus. Prints one JSON object a line.
//!
//! `cargo bench -p lumen-host --bench encode [-- NAME]` runs those whose figure contains NAME.

#[path = "../src/encode/pattern.rs"]
mod pattern;

use std::sync::Arc;
use std::time::{Duration, Instant};

use lumen_ffmpeg::{PixelFormat, PlanesMut};
use lumen_host::audio::opus::{OpusConfig, Quality, Speakers};
use lumen_host::encode::convert::convert;
use lumen_host::encode::{
    BitDepth, Chroma, Codec, EncoderConfig, EncoderName, EncoderPreference, FrameIndex, FrameRequest, Matrix, Range,
    X264Preset, open, probe,
};
use lumen_host::frame::{CpuImage, Frame, Mode, PixelFormat as ImageFormat, Timeline};
use lumen_opus::PacketDuration;

/// Pictures of one measurement.
const PICTURES: usize = 120;

/// Different pictures drawn before measuring.
const DRAWN: usize = 30;

fn main() {
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let report = Report { filter };
    for (mode, label) in [(Mode::new(1280, 720, 60), "720p60"), (Mode::new(1920, 1080, 60), "1080p60")] {
        let frames: Vec<Frame> = (0..DRAWN).map(|number| drawn(mode, number)).collect();
        for (name, codec, preset) in [
            (EncoderName::X264, Codec::H264, X264Preset::Superfast),
            (EncoderName::X264, Codec::H264, X264Preset::Ultrafast),
            (EncoderName::OpenH264, Codec::H264, X264Preset::default()),
            (EncoderName::X265, Codec::Hevc, X264Preset::default()),
            (EncoderName::SvtAv1, Codec::Av1, X264Preset::default()),
            (EncoderName::AomAv1, Codec::Av1, X264Preset::default()),
        ] {
            let preset = if name == EncoderName::X264 { format!("_{}", preset.as_str()) } else { String::new() };
            report.encoder(&format!("encode_{}{preset}_{label}", name.as_str()), name, codec, &frames);
        }
        for (format, name) in [
            (PixelFormat::Nv12, "nv12"),
            (PixelFormat::Yuv420, "i420"),
            (PixelFormat::Yuv444, "i444"),
            (PixelFormat::Yuv420P10, "i420_10bit"),
        ] {
            report.conversion(&format!("convert_{name}_{label}"), format, &frames);
        }
    }
    for (speakers, name) in [(Speakers::Stereo, "stereo"), (Speakers::Surround51, "5.1"), (Speakers::Surround71, "7.1")]
    {
        report.opus(&format!("opus_{name}_high_5ms"), speakers, 0.3);
        report.opus(&format!("opus_{name}_high_5ms_silence"), speakers, 0.0);
    }
    report.probe("encoder_probe");
}

struct Report {
    filter: String,
}

impl Report {
    fn wants(&self, figure: &str) -> bool {
        figure.contains(&self.filter)
    }

    fn line(&self, figure: &str, value: f64, unit: &str, how: &str) {
        println!("{}", serde_json::json!({ "figure": figure, "value": value, "unit": unit, "how": how }));
    }

    fn encoder(&self, figure: &str, name: EncoderName, codec: Codec, frames: &[Frame]) {
        if !self.wants(figure) {
            return;
        }
        let (width, height) = (frames[0].image.width, frames[0].image.height);
        let config = EncoderConfig {
            codec,
            mode: Mode::new(width, height, 60),
            bitrate_bps: 10_000_000 * u64::from(width * height) / (1280 * 720),
            depth: BitDepth::Eight,
            chroma: Chroma::Yuv420,
            matrix: Matrix::Bt709,
            range: Range::Limited,
            slices: 1,
            max_reference_frames: 1,
            max_frame_bytes: 1_000_000,
        };
        let x264_preset = if figure.contains("ultrafast") { X264Preset::Ultrafast } else { X264Preset::Superfast };
        let preference = EncoderPreference { encoder: Some(name), x264_preset, ..EncoderPreference::default() };
        let mut encoder = match open(&config, preference) {
            Ok(encoder) => encoder,
            Err(error) => return eprintln!("{figure}: {error}"),
        };
        let mut bytes = 0;
        let mut longest = Duration::ZERO;
        let (cpu, clock) = (process_cpu(), Instant::now());
        for number in 0..PICTURES {
            let started = Instant::now();
            // Forth and back, so that the pattern has no cut.
            let step = number % (2 * DRAWN - 2);
            let mut frame = frames[if step < DRAWN { step } else { 2 * DRAWN - 2 - step }].clone();
            frame.serial = number as u64 + 1;
            let unit = encoder.encode(&frame, FrameIndex(number as u32 + 1), FrameRequest::Normal);
            bytes += unit.ok().flatten().map_or(0, |unit| unit.data.len());
            longest = longest.max(started.elapsed());
        }
        let per_picture = millis(process_cpu() - cpu) / PICTURES as f64;
        let how = format!(
            "process CPU time a picture with conversion, {PICTURES} moving pictures, {:.1} of {:.1} Mbit/s, wall {:.1} ms \
             a picture and {:.1} ms at most",
            bytes as f64 * 8.0 * 60.0 / PICTURES as f64 / 1e6,
            config.bitrate_bps as f64 / 1e6,
            millis(clock.elapsed()) / PICTURES as f64,
            millis(longest),
        );
        self.line(figure, per_picture, "ms", &how);
    }

    fn conversion(&self, figure: &str, format: PixelFormat, frames: &[Frame]) {
        if !self.wants(figure) {
            return;
        }
        let size = (frames[0].image.width as usize, frames[0].image.height as usize);
        let layout = [0, 1, 2].map(|plane| format.plane_size(plane, size.0, size.1));
        let mut buffers = layout.map(|(line, lines)| vec![0u8; line * lines]);
        let cpu = process_cpu();
        for number in 0..PICTURES {
            let [y, u, v] = &mut buffers;
            let planes = PlanesMut { planes: [y, u, v], strides: layout.map(|(line, _)| line) };
            convert(&frames[number % DRAWN].image, format, Matrix::Bt709, Range::Limited, planes).unwrap();
        }
        let value = millis(process_cpu() - cpu) / PICTURES as f64;
        self.line(figure, value, "ms", "process CPU time a picture, BT.709 limited");
    }

    fn opus(&self, figure: &str, speakers: Speakers, loudness: f32) {
        if !self.wants(figure) {
            return;
        }
        const PACKETS: usize = 1000;
        let config = OpusConfig::negotiated(speakers, Quality::High, PacketDuration::Ms5);
        let mut encoder = config.open().unwrap();
        let channels = usize::from(speakers.channels());
        let cpu = process_cpu();
        for packet in 0..PACKETS {
            let sound: Vec<f32> = (0..encoder.packet_samples())
                .map(|i| {
                    loudness * ((packet * 240 + i / channels) as f32 * (0.03 + 0.01 * (i % channels) as f32)).sin()
                })
                .collect();
            encoder.encode(&sound).unwrap();
        }
        let seconds = PACKETS as f64 * 0.005;
        let value = millis(process_cpu() - cpu) / 10.0 / seconds;
        self.line(
            figure,
            value,
            "% of a core",
            "process CPU time over playing time, tones, the tones' making included",
        );
    }

    fn probe(&self, figure: &str) {
        if !self.wants(figure) {
            return;
        }
        let clock = Instant::now();
        let found = probe().len();
        self.line(figure, millis(clock.elapsed()), "ms", &format!("wall time, {found} combinations found"));
    }
}

fn drawn(mode: Mode, number: usize) -> Frame {
    let (width, height) = (mode.width as usize, mode.height as usize);
    let mut data = Vec::new();
    pattern::draw(&mut data, width, height, number);
    let image = CpuImage { width: mode.width, height: mode.height, stride: width * 4, format: ImageFormat::Bgrx, data };
    Frame { image: Arc::new(image), serial: number as u64, timeline: Timeline::starting(Instant::now()) }
}

/// CPU time of the process so far, all threads.
fn process_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
