//! H.264, HEVC and AV1 by the encoders in FFmpeg's libraries, where those are installed.
//!
//! All run without look-ahead and without B frames: a picture goes in, its access unit comes out. None of them can
//! leave out references by number through this interface, so invalidation is answered with a key frame. libx264 takes a
//! new bitrate with the next picture; the others are opened anew, which makes that picture a key frame.
//!
//! SVT-AV1 before version 3 keeps pictures back until more come and forgets requests for key frames. Whether the
//! installed one does is tried once; if so it is refused, and libaom, slower but immediate, is next in line.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lumen_ffmpeg::{EncoderParams, Library, Packet, PictureType, PixelFormat, VideoEncoder};

use super::annexb;
use super::convert::convert;
use super::rate::MIN_QP;
use super::{
    AccessUnit, BitDepth, Chroma, Codec, EncodeError, Encoder, EncoderConfig, EncoderName, FrameIndex, FrameKind,
    FrameRequest, Matrix, PictureId, Range, X264Preset,
};
use crate::frame::{Frame, Mode};

/// How long an encoder with threads of its own may take for a picture before it counts as broken.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long SVT-AV1 may take for a small picture when it is tried.
const TRIAL_PATIENCE: Duration = Duration::from_millis(200);

/// How often it is asked meanwhile.
const POLL_INTERVAL: Duration = Duration::from_micros(100);

/// Times that a picture too large to be protected is encoded again at half the rate.
const MAX_SHRINKS: u32 = 4;

/// See the module.
pub struct FfmpegEncoder {
    library: Arc<Library>,
    name: EncoderName,
    preset: X264Preset,
    config: EncoderConfig,
    encoder: VideoEncoder,
    /// The bitrate that `encoder` runs at, in bits per second.
    running_bps: u64,
    pictures: i64,
    drawn: Option<PictureId>,
    unit: Vec<u8>,
    needs_key: bool,
}

impl FfmpegEncoder {
    /// Opens an encoder.
    ///
    /// # Errors
    /// [`EncodeError::Unsupported`] for what it, or this build of FFmpeg, cannot do.
    pub fn open(
        library: &Arc<Library>,
        name: EncoderName,
        preset: X264Preset,
        config: &EncoderConfig,
    ) -> Result<Self, EncodeError> {
        if name == EncoderName::SvtAv1 && !svt_is_immediate(library) {
            let reason = "this version holds pictures back; SVT-AV1 3 (with FFmpeg 8) does not".to_owned();
            return Err(EncodeError::Unsupported { encoder: name.as_str(), reason });
        }
        let running_bps = config.capped_bitrate_bps();
        Ok(Self {
            encoder: open(library, name, preset, config, running_bps)?,
            library: Arc::clone(library),
            name,
            preset,
            config: config.clone(),
            running_bps,
            pictures: 0,
            drawn: None,
            unit: Vec::new(),
            needs_key: true,
        })
    }

    /// Runs the encoder at another bitrate, with the next picture a key frame if it has to be opened anew.
    fn run_at(&mut self, bitrate_bps: u64) -> Result<(), EncodeError> {
        if bitrate_bps == self.running_bps {
            return Ok(());
        }
        if self.name == EncoderName::X264 {
            let bitrate_bps = x264_rate(bitrate_bps);
            let buffer = buffer_bits(&self.config, bitrate_bps);
            for (option, value) in [("b", bitrate_bps), ("maxrate", bitrate_bps), ("bufsize", buffer)] {
                let value = i64::try_from(value).unwrap_or(i64::MAX);
                self.encoder.set_number(option, value).map_err(|error| self.failed(&error))?;
            }
        } else {
            self.encoder = open(&self.library, self.name, self.preset, &self.config, bitrate_bps)?;
            self.drawn = None;
            self.needs_key = true;
        }
        self.running_bps = bitrate_bps;
        Ok(())
    }

    fn draw(&mut self, frame: &Frame) -> Result<(), EncodeError> {
        let id = PictureId::of(frame);
        if self.drawn == Some(id) {
            return Ok(());
        }
        let format = self.encoder.format();
        let planes = self.encoder.planes_mut().map_err(|error| failed(self.name, &error))?;
        convert(&frame.image, format, self.config.effective_matrix(), self.config.range, planes)
            .map_err(|error| EncodeError::Failed { encoder: self.name.as_str(), reason: error.to_string() })?;
        self.drawn = Some(id);
        Ok(())
    }

    /// Encodes the picture that was drawn into `unit`; says whether it is a key picture.
    fn run(&mut self, key: bool) -> Result<bool, EncodeError> {
        let kind = if key { PictureType::Key } else { PictureType::Auto };
        let number = self.pictures;
        self.pictures += 1;
        self.encoder.send(number, kind).map_err(|error| self.failed(&error))?;
        let wrong = |reason: &str| EncodeError::Failed { encoder: self.name.as_str(), reason: reason.to_owned() };
        // Only an encoder with threads of its own is not done when it returns.
        let patience = if self.name == EncoderName::SvtAv1 { PATIENCE } else { Duration::ZERO };
        let is_key = wait_for_packet(&mut self.encoder, patience, |packet| {
            if packet.pts != number || (key && !packet.key) {
                return Err(wrong("it wrote another picture than was asked for"));
            }
            self.unit.clear();
            match self.config.codec {
                Codec::Av1 => self.unit.extend_from_slice(packet.data),
                codec => annexb::append_cleaned(codec, packet.data, &mut self.unit),
            }
            Ok(packet.key)
        })
        .map_err(|error| failed(self.name, &error))?;
        let is_key = is_key.unwrap_or_else(|| Err(wrong("it held a picture back")))?;
        self.needs_key = false;
        Ok(is_key)
    }

    fn failed(&self, error: &lumen_ffmpeg::Error) -> EncodeError {
        failed(self.name, error)
    }
}

impl Encoder for FfmpegEncoder {
    fn name(&self) -> &'static str {
        self.name.as_str()
    }

    fn encode(
        &mut self,
        frame: &Frame,
        _index: FrameIndex,
        request: FrameRequest,
    ) -> Result<Option<AccessUnit<'_>>, EncodeError> {
        self.run_at(self.config.capped_bitrate_bps())?;
        self.draw(frame)?;
        let mut key = self.run(self.needs_key || request != FrameRequest::Normal)?;
        let mut shrinks = 0;
        while self.unit.len() > self.config.max_frame_bytes {
            // The encoder now refers to a picture that the client will not get, so only a key picture can follow.
            self.needs_key = true;
            if shrinks == MAX_SHRINKS {
                return Ok(None);
            }
            shrinks += 1;
            self.run_at(self.running_bps / 2)?;
            self.draw(frame)?;
            key = self.run(true)?;
        }
        let kind = if key { FrameKind::Idr } else { FrameKind::P };
        Ok(Some(AccessUnit { data: &self.unit, kind }))
    }

    fn set_bitrate(&mut self, bitrate_bps: u64) -> Result<(), EncodeError> {
        self.config.bitrate_bps = bitrate_bps;
        Ok(())
    }
}

/// Waits for the next packet and hands it on; `None` if none comes in time.
fn wait_for_packet<T>(
    encoder: &mut VideoEncoder,
    patience: Duration,
    take: impl FnOnce(Packet<'_>) -> T,
) -> Result<Option<T>, lumen_ffmpeg::Error> {
    let started = Instant::now();
    loop {
        if let Some(packet) = encoder.receive()? {
            return Ok(Some(take(packet)));
        }
        if started.elapsed() >= patience {
            return Ok(None);
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Whether the installed SVT-AV1 yields each picture before it is given the next, and key pictures on request. Tried
/// once.
fn svt_is_immediate(library: &Arc<Library>) -> bool {
    static IMMEDIATE: Mutex<Option<bool>> = Mutex::new(None);
    let mut known = IMMEDIATE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    *known.get_or_insert_with(|| {
        let config = EncoderConfig {
            codec: Codec::Av1,
            mode: Mode::new(256, 144, 60),
            bitrate_bps: 1_000_000,
            depth: BitDepth::Eight,
            chroma: Chroma::Yuv420,
            matrix: Matrix::Bt709,
            range: Range::Limited,
            slices: 1,
            max_reference_frames: 1,
            max_frame_bytes: usize::MAX,
        };
        let Ok(mut encoder) = open(library, EncoderName::SvtAv1, X264Preset::default(), &config, 1_000_000) else {
            return false;
        };
        (0..4).all(|number| {
            let kind = if number == 2 { PictureType::Key } else { PictureType::Auto };
            encoder.send(number, kind).is_ok()
                && wait_for_packet(&mut encoder, TRIAL_PATIENCE, |packet| {
                    packet.pts == number && packet.key == (number % 2 == 0)
                })
                .is_ok_and(|immediate| immediate == Some(true))
        })
    })
}

/// The buffer of one picture that the rate is measured over, in whole kilobits as the encoders count.
fn buffer_bits(config: &EncoderConfig, bitrate_bps: u64) -> u64 {
    let bits = bitrate_bps as f64 / config.mode.fps().max(1.0);
    (bits / 1000.0).ceil() as u64 * 1000
}

/// What x264 is told, so that it spends `bitrate_bps`: within a buffer of one picture it stays 5 % below its rate.
fn x264_rate(bitrate_bps: u64) -> u64 {
    bitrate_bps.saturating_mul(21) / 20
}

fn open(
    library: &Arc<Library>,
    name: EncoderName,
    preset: X264Preset,
    config: &EncoderConfig,
    bitrate_bps: u64,
) -> Result<VideoEncoder, EncodeError> {
    let unsupported = |reason: String| EncodeError::Unsupported { encoder: name.as_str(), reason };
    let mode = config.mode;
    if !mode.width.is_multiple_of(2) || !mode.height.is_multiple_of(2) {
        return Err(unsupported(format!("{}x{} has an odd side", mode.width, mode.height)));
    }
    let (codec, format) = match (name, config.codec, config.depth, config.chroma) {
        (EncoderName::X264, Codec::H264, BitDepth::Eight, Chroma::Yuv420) => ("libx264", PixelFormat::Nv12),
        (EncoderName::X264, Codec::H264, BitDepth::Eight, Chroma::Yuv444) => ("libx264", PixelFormat::Yuv444),
        (EncoderName::X265, Codec::Hevc, BitDepth::Eight, Chroma::Yuv420) => ("libx265", PixelFormat::Yuv420),
        (EncoderName::X265, Codec::Hevc, BitDepth::Eight, Chroma::Yuv444) => ("libx265", PixelFormat::Yuv444),
        (EncoderName::X265, Codec::Hevc, BitDepth::Ten, Chroma::Yuv420) => ("libx265", PixelFormat::Yuv420P10),
        (EncoderName::X265, Codec::Hevc, BitDepth::Ten, Chroma::Yuv444) => ("libx265", PixelFormat::Yuv444P10),
        (EncoderName::SvtAv1, Codec::Av1, BitDepth::Eight, Chroma::Yuv420) => ("libsvtav1", PixelFormat::Yuv420),
        (EncoderName::SvtAv1, Codec::Av1, BitDepth::Ten, Chroma::Yuv420) => ("libsvtav1", PixelFormat::Yuv420P10),
        (EncoderName::AomAv1, Codec::Av1, BitDepth::Eight, Chroma::Yuv420) => ("libaom-av1", PixelFormat::Yuv420),
        (EncoderName::AomAv1, Codec::Av1, BitDepth::Ten, Chroma::Yuv420) => ("libaom-av1", PixelFormat::Yuv420P10),
        (EncoderName::AomAv1, Codec::Av1, BitDepth::Eight, Chroma::Yuv444) => ("libaom-av1", PixelFormat::Yuv444),
        (EncoderName::AomAv1, Codec::Av1, BitDepth::Ten, Chroma::Yuv444) => ("libaom-av1", PixelFormat::Yuv444P10),
        (_, codec, depth, chroma) => {
            return Err(unsupported(format!("it does not write {codec:?} {depth:?} {chroma:?}")));
        }
    };
    let params = EncoderParams {
        width: mode.width,
        height: mode.height,
        format,
        rate_num: mode.rate_num.max(1),
        rate_den: mode.rate_den.max(1),
    };
    let bitrate_bps = if name == EncoderName::X264 { x264_rate(bitrate_bps) } else { bitrate_bps };
    let mut options = common_options(config, bitrate_bps);
    match name {
        EncoderName::X264 => x264_options(&mut options, config, bitrate_bps, preset),
        EncoderName::X265 => x265_options(&mut options, config, bitrate_bps),
        EncoderName::SvtAv1 => svt_options(&mut options, config),
        _ => aom_options(&mut options, config, bitrate_bps),
    }
    VideoEncoder::open(library, codec, &params, &options).map_err(|error| unsupported(error.to_string()))
}

type Options = Vec<(&'static str, String)>;

fn common_options(config: &EncoderConfig, bitrate_bps: u64) -> Options {
    let colour = config.colour();
    let range = match config.range {
        Range::Limited => "tv",
        Range::Full => "pc",
    };
    vec![
        ("b", bitrate_bps.to_string()),
        ("bf", "0".to_owned()),
        ("color_range", range.to_owned()),
        ("color_primaries", colour.primaries.to_string()),
        ("color_trc", colour.transfer.to_string()),
        ("colorspace", colour.matrix.to_string()),
        ("chroma_sample_location", "left".to_owned()),
    ]
}

/// A constant rate, measured over one picture.
fn constant_rate(config: &EncoderConfig, bitrate_bps: u64) -> [(&'static str, String); 2] {
    [("maxrate", bitrate_bps.to_string()), ("bufsize", buffer_bits(config, bitrate_bps).to_string())]
}

fn x264_options(options: &mut Options, config: &EncoderConfig, bitrate_bps: u64, preset: X264Preset) {
    // Slices run in parallel, each in its thread; pictures never do, since that would cost a picture's time. One thread
    // does 150 million pixels a second; where that is not enough, more slices than asked for are made. One that needs
    // no more than half of its time stays alone: slices in parallel must each keep below their own share of the bitrate,
    // which leaves a third of it unused, and cost more work in all.
    let mode = config.mode;
    let load = f64::from(mode.width) * f64::from(mode.height) * mode.fps() / 150e6;
    let slices = config.slices.max((load.ceil() as u8).min(8)).max(1);
    let threads = if load <= 0.5 { 1 } else { slices };
    options.extend(constant_rate(config, bitrate_bps));
    options.extend([
        ("preset", preset.as_str().to_owned()),
        ("tune", "zerolatency".to_owned()),
        ("slices", slices.to_string()),
        ("threads", threads.to_string()),
        ("forced-idr", "1".to_owned()),
        ("qmin", MIN_QP.to_string()),
        ("g", i32::MAX.to_string()),
        ("sc_threshold", "0".to_owned()),
    ]);
    if config.max_reference_frames > 0 {
        options.push(("refs", config.max_reference_frames.min(16).to_string()));
    }
}

fn x265_options(options: &mut Options, config: &EncoderConfig, bitrate_bps: u64) {
    options.extend(constant_rate(config, bitrate_bps));
    // One slice, whatever was asked for: with more, x265 holds a picture back.
    let references = config.max_reference_frames.clamp(1, 3);
    options.extend([
        ("preset", "ultrafast".to_owned()),
        ("tune", "zerolatency".to_owned()),
        ("forced-idr", "1".to_owned()),
        (
            "x265-params",
            format!(
                "log-level=none:keyint=-1:min-keyint=1:scenecut=0:open-gop=0:repeat-headers=1:info=0:aud=0:hrd=0:\
                 frame-threads=1:rc-lookahead=0:lookahead-slices=0:bframes=0:b-adapt=0:ref={references}:\
                 slices=1:pools={}",
                super::threads_for(u8::MAX)
            ),
        ),
    ]);
}

fn svt_options(options: &mut Options, config: &EncoderConfig) {
    let rows = tile_rows_log2(config.slices);
    // Its buffer is given in milliseconds, of which it wants 20 or more.
    let buffer = (1000.0 / config.mode.fps().max(1.0)).ceil().max(20.0);
    options.extend([
        ("preset", "12".to_owned()),
        (
            "svtav1-params",
            format!(
                "rc=2:buf-sz={buffer}:buf-initial-sz={buffer}:buf-optimal-sz={buffer}:pred-struct=1:lookahead=0:\
                 keyint=-1:irefresh-type=2:scd=0:force-key-frames=1:rtc=1:enable-overlays=0:enable-tf=0:tile-rows={rows}:\
                 lp={}",
                super::threads_for(u8::MAX)
            ),
        ),
    ]);
}

fn aom_options(options: &mut Options, config: &EncoderConfig, bitrate_bps: u64) {
    options.extend(constant_rate(config, bitrate_bps));
    options.extend([
        ("usage", "realtime".to_owned()),
        ("cpu-used", "8".to_owned()),
        ("lag-in-frames", "0".to_owned()),
        ("minrate", bitrate_bps.to_string()),
        ("g", "9999999".to_owned()),
        ("row-mt", "1".to_owned()),
        ("threads", super::threads_for(u8::MAX).to_string()),
        ("tile-rows", tile_rows_log2(config.slices).to_string()),
        (
            "aom-params",
            // FFmpeg knows speeds up to 8 only. Key pictures may take half as much again as the others.
            "cpu-used=9:aq-mode=0:deltaq-mode=0:max-intra-rate=150:enable-order-hint=0:enable-obmc=0:\
             enable-warped-motion=0:enable-global-motion=0:enable-ref-frame-mvs=0:enable-palette=0"
                .to_owned(),
        ),
    ]);
}

/// AV1 has tiles where the others have slices: the power of two of rows that is nearest from below.
fn tile_rows_log2(slices: u8) -> u32 {
    slices.max(1).ilog2()
}

fn failed(name: EncoderName, error: &lumen_ffmpeg::Error) -> EncodeError {
    EncodeError::Failed { encoder: name.as_str(), reason: error.to_string() }
}
