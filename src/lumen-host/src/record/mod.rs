//! A recording: a display opened as a session opens it, encoded, and written to a file that plays anywhere. No daemon
//! and no network take part, but everything on the way does: each access unit and each packet of sound is cut into
//! sealed and protected datagrams, some of them are withheld, and what a client puts together again is what is written.
//! A difference is an error. The shortest proof of the pipeline, and a tool for reports of faults.

mod codec_private;
mod matroska;
mod passage;

use std::io::{Seek, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use lumen_core::lumen1::negotiation::Grants;
use lumen_opus::{Encoder as OpusEncoder, EncoderConfig as OpusEncoderConfig, PacketDuration};
use serde::Serialize;

use crate::audio::opus::{OpusConfig, Quality, Speakers};
use crate::audio::{AudioSource, SAMPLE_RATE};
use crate::capture::{CaptureError, Captured};
use crate::display::steps::Steps;
use crate::display::{self, DisplayState};
use crate::encode::{self, BitDepth, Chroma, Codec, EncoderConfig, FrameIndex, FrameKind, FrameRequest, Matrix, Range};
use crate::frame::{Frame, Timeline};
use crate::link::SessionSpec;

use matroska::{Matroska, Track};
use passage::{AudioPassage, VideoPassage};

/// Players seek to key frames.
const KEY_INTERVAL: Duration = Duration::from_secs(2);
/// How long a display may take to its first picture.
const FIRST_PICTURE: Duration = Duration::from_secs(60);
/// A picture is waited for so long before the clock is looked at again.
const CAPTURE_PATIENCE: Duration = Duration::from_millis(50);
/// Sound in a packet.
const SOUND: PacketDuration = PacketDuration::Ms10;

/// What to record.
#[derive(Debug, Clone)]
pub struct RecordOptions {
    /// Display and application, as a session has them.
    pub session: SessionSpec,
    /// Compression format of the pictures.
    pub codec: Codec,
    /// Target rate of the pictures.
    pub bitrate_bps: u64,
    /// Length of the recording, from its first picture on.
    pub duration: Duration,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Encoder of the pictures.
    pub encoder: String,
    /// From the first picture to the end.
    pub seconds: f64,
    /// Pictures in the file.
    pub frames: u64,
    /// Key frames among them.
    pub key_frames: u64,
    /// Pictures of the display that a newer one replaced before they were taken.
    pub replaced: u64,
    /// Pictures that the encoder left out to hold its rate.
    pub skipped: u64,
    /// Bytes of the encoded pictures.
    pub video_bytes: u64,
    /// Packets of sound in the file.
    pub audio_packets: u64,
    /// Datagrams that pictures and sound were cut into.
    pub datagrams: u64,
    /// Of these, withheld from the receiving side.
    pub withheld: u64,
    /// Of those withheld, rebuilt from parity: all that carried data.
    pub rebuilt: u64,
    /// Why it ended before its time, if it did.
    pub ended_early: Option<String>,
}

/// Records into `out` until the time is over, the application has ended or `stop` is set.
///
/// # Errors
/// If the display or an encoder cannot be opened, no picture comes, the file cannot be written, or the receiving side
/// gets something else than was sent.
pub fn record(options: &RecordOptions, out: impl Write + Seek, stop: &AtomicBool) -> anyhow::Result<Summary> {
    // Dropped in reverse: the steps after the session run when all of it has ended.
    let _steps = Steps::begin(&options.session)?;
    let mut display = display::open(&options.session, Grants::NONE)?;
    let mut capture = display.capture()?;
    let passage = VideoPassage::new(options.codec)?;
    let config = encoder_config(options, passage.max_frame_bytes());
    let mut encoder = encode::open(&config, options.session.encoder)?;
    let sound = Sound::start(display.audio(2))?;
    let mut recorder = Recorder {
        file: Matroska::new(out),
        config: &config,
        passage,
        sound,
        epoch: None,
        summary: Summary { encoder: encoder.name().to_owned(), ..Summary::default() },
    };

    let mut index = FrameIndex::FIRST;
    let (mut last, mut next_key): (Option<Frame>, Duration) = (None, Duration::ZERO);
    let first_deadline = Instant::now() + FIRST_PICTURE;
    loop {
        let now = Instant::now();
        match recorder.epoch {
            Some(epoch) if now >= epoch + options.duration => break,
            None if now >= first_deadline => {
                bail!("the display showed no picture within {} s", FIRST_PICTURE.as_secs())
            }
            _ if stop.load(Ordering::Relaxed) => {
                recorder.summary.ended_early = Some("it was interrupted".to_owned());
                break;
            }
            _ => {}
        }
        match display.poll() {
            DisplayState::Running => {}
            DisplayState::ApplicationEnded => {
                recorder.summary.ended_early = Some("the application ended".to_owned());
                break;
            }
            DisplayState::Gone(reason) => bail!("the display ended: {reason}"),
        }
        let mut frame = match capture.next(now + CAPTURE_PATIENCE) {
            Ok(Captured::Frame(frame)) => frame,
            // A still screen: nothing is written, but a key frame that is due.
            Ok(Captured::Still) => match &last {
                Some(frame) if recorder.elapsed(now) >= next_key => {
                    Frame { timeline: Timeline::starting(now), ..frame.clone() }
                }
                _ => continue,
            },
            Err(CaptureError::DisplayGone(reason)) => bail!("the display ended: {reason}"),
        };
        let before = last.as_ref().map_or(frame.serial.saturating_sub(1), |frame| frame.serial);
        recorder.summary.replaced += frame.serial.saturating_sub(before + 1);
        let key_due = recorder.elapsed(frame.timeline.presented) >= next_key;
        let request = if key_due { FrameRequest::Idr } else { FrameRequest::Normal };
        frame.timeline.encode_start = Some(Instant::now());
        if let Some(unit) = encoder.encode(&frame, index, request)? {
            let (data, kind) = (unit.data.to_vec(), unit.kind);
            recorder.picture(&data, index, kind, frame.timeline.presented)?;
            if kind == FrameKind::Idr {
                next_key = recorder.elapsed(frame.timeline.presented) + KEY_INTERVAL;
            }
            index = index.next();
        } else {
            recorder.summary.skipped += 1;
        }
        last = Some(frame);
    }
    recorder.finish()
}

fn encoder_config(options: &RecordOptions, max_frame_bytes: usize) -> EncoderConfig {
    EncoderConfig {
        codec: options.codec,
        mode: options.session.mode,
        bitrate_bps: options.bitrate_bps,
        depth: BitDepth::Eight,
        chroma: Chroma::Yuv420,
        matrix: Matrix::Bt709,
        range: Range::Limited,
        slices: 1,
        max_reference_frames: 0,
        max_frame_bytes,
    }
}

struct Recorder<'a, W: Write + Seek> {
    file: Matroska<W>,
    config: &'a EncoderConfig,
    passage: VideoPassage,
    sound: Sound,
    /// When the first picture was presented: where the recording begins.
    epoch: Option<Instant>,
    summary: Summary,
}

impl<W: Write + Seek> Recorder<'_, W> {
    fn elapsed(&self, at: Instant) -> Duration {
        self.epoch.map_or(Duration::ZERO, |epoch| at.saturating_duration_since(epoch))
    }

    fn picture(&mut self, data: &[u8], index: FrameIndex, kind: FrameKind, presented: Instant) -> anyhow::Result<()> {
        let begins = self.epoch.is_none();
        self.epoch.get_or_insert(presented);
        let arrived = self.passage.send(data, index, kind, self.elapsed(presented))?;
        if begins {
            let private = codec_private::of(self.config, &arrived.data)
                .context("the first access unit has no complete parameter sets")?;
            self.file.begin(self.config, &private)?;
        }
        let sample = codec_private::sample(self.config.codec, &arrived.data);
        self.file.block(Track::Video { key: arrived.key }, arrived.at, sample)?;
        self.summary.frames += 1;
        self.summary.key_frames += u64::from(arrived.key);
        self.summary.video_bytes += data.len() as u64;
        self.take_sound()
    }

    /// Writes the sound that has come meanwhile.
    fn take_sound(&mut self) -> anyhow::Result<()> {
        let Some(epoch) = self.epoch else { return Ok(()) };
        while let Ok(packet) = self.sound.packets.try_recv() {
            let packet = packet?;
            // What sounded before the first picture is not in the recording.
            if let Some(at) = packet.at.checked_duration_since(epoch) {
                self.file.block(Track::Audio, at, packet.opus)?;
                self.summary.audio_packets += 1;
            }
        }
        Ok(())
    }

    fn finish(mut self) -> anyhow::Result<Summary> {
        self.sound.end();
        self.take_sound()?;
        let Some(epoch) = self.epoch else { bail!("it ended before the first picture") };
        self.summary.seconds = epoch.elapsed().as_secs_f64();
        self.file.finish()?;
        let counts = [self.passage.counts(), self.sound.counts()];
        for count in counts {
            self.summary.datagrams += count.datagrams;
            self.summary.withheld += count.withheld;
            self.summary.rebuilt += count.rebuilt;
        }
        Ok(self.summary)
    }
}

/// The sound of the display, read on its own thread, as nothing may delay it.
struct Sound {
    packets: Receiver<anyhow::Result<SoundPacket>>,
    stop: Arc<AtomicBool>,
    counts: Arc<std::sync::Mutex<passage::Counts>>,
    thread: Option<JoinHandle<()>>,
}

struct SoundPacket {
    at: Instant,
    opus: Vec<u8>,
}

impl Sound {
    fn start(mut source: Box<dyn AudioSource>) -> anyhow::Result<Self> {
        let config = OpusConfig::negotiated(Speakers::Stereo, Quality::High, SOUND);
        let mut encoder = OpusEncoder::new(&OpusEncoderConfig {
            layout: config.layout(),
            bitrate_bps: config.bitrate_bps(),
            duration: config.duration,
            complexity: 5,
        })?;
        let mut passage = AudioPassage::new()?;
        let (sender, packets) = mpsc::channel();
        let (stop, counts) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&counts));
        let run = move || {
            let result = read(&mut *source, &mut encoder, &mut passage, &sender, &stopped);
            *lock(&counted) = passage.counts();
            if let Err(error) = result {
                let _ = sender.send(Err(error));
            }
        };
        let thread = std::thread::Builder::new().name("record-sound".into()).spawn(run)?;
        Ok(Self { packets, stop, counts, thread: Some(thread) })
    }

    fn counts(&self) -> passage::Counts {
        *lock(&self.counts)
    }

    /// All that was read is in `packets` afterwards.
    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Sound {
    fn drop(&mut self) {
        self.end();
    }
}

fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn read(
    source: &mut dyn AudioSource,
    encoder: &mut OpusEncoder,
    passage: &mut AudioPassage,
    packets: &Sender<anyhow::Result<SoundPacket>>,
    stop: &AtomicBool,
) -> anyhow::Result<()> {
    let begin = Instant::now();
    let step = Duration::from_secs_f64(SOUND.samples() as f64 / f64::from(SAMPLE_RATE));
    let mut samples = vec![0.0; encoder.packet_samples()];
    let mut tick = begin;
    while !stop.load(Ordering::Relaxed) {
        source.read(tick, &mut samples);
        for (number, opus) in passage.send(encoder.encode(&samples)?)? {
            let at = begin + step * number;
            if packets.send(Ok(SoundPacket { at, opus })).is_err() {
                return Ok(());
            }
        }
        tick += step;
        std::thread::sleep(tick.saturating_duration_since(Instant::now()));
    }
    Ok(())
}
