//! Video of one stream: one thread captures and encodes, one protects, paces and sends. Between them is room for
//! one frame. While it is taken nothing is encoded: the display's pictures replace each other, and the newest is
//! encoded once there is room. So an encoded frame always leaves; dropping one would break the reference chain and
//! cost a key frame, which is larger, takes longer to send, and would push out the next.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lumen_core::gamestream::packetizer::{FrameToSend, PacketArena, Packetizer};
use lumen_core::gamestream::video::HostLatency;
use lumen_core::loss_control::{FrameParity, Importance};

use crate::capture::{Capture, CaptureError, Captured};
use crate::config::Pacing;
use crate::daemon::packetizer_config;
use crate::encode::{self, Chosen, EncodeError, EncoderName, EncoderPreference, FrameIndex, FrameKind, FrameRequest};
use crate::frame::{Frame, Timeline};
use crate::link::{StreamSpec, VideoParams};
use crate::net::gso::BatchSender;
use crate::net::pacer::{Class, Schedule, Sleeper};
use crate::net::sockets::{Traffic, mark};

use super::outlet::{EncodedFrame, Inlet, Outlet, Wishes, outlet};
use super::request::RequestSlot;
use super::stats::StreamStats;

/// How long the capture thread waits for a picture before it looks at requests again.
const CAPTURE_PATIENCE: Duration = Duration::from_millis(50);
/// How often the last picture is encoded again when the screen became still: a picture of a moving screen was given one
/// picture's share of the rate, and each further one makes it better.
const REFINEMENTS: u32 = 10;
/// An encoder that broke is opened anew at most this often in a row.
const MAX_REOPENS: u32 = 3;
/// One that broke this often in a row is left alone for the rest of the stream, if there is another one.
const LAST_CHANCE: u32 = 2;

/// A running video stream. Dropping it stops its threads.
#[derive(Debug)]
pub struct VideoStream {
    wishes: Arc<Wishes>,
    stop: Arc<AtomicBool>,
    /// None if something else sends.
    sender: Option<mpsc::Sender<ToSender>>,
    threads: Vec<JoinHandle<()>>,
}

/// For the thread that sends.
#[derive(Debug)]
enum ToSender {
    /// The client's address changed.
    Socket(UdpSocket),
    /// The rule from now on.
    Parity(FrameParity),
}

/// What the threads of a stream tell the worker.
#[derive(Debug)]
pub enum VideoEvent {
    /// The display behind the capture is gone.
    DisplayGone(String),
    /// No encoder works.
    Failed(String),
}

impl VideoStream {
    /// Starts to send `capture`'s pictures over `socket`. The first frame is a key frame with index 1.
    ///
    /// # Errors
    /// If a socket or a thread cannot be set up.
    pub fn start(
        spec: &StreamSpec,
        choice: EncoderPreference,
        capture: Box<dyn Capture>,
        socket: UdpSocket,
        stats: Arc<StreamStats>,
        events: mpsc::Sender<VideoEvent>,
    ) -> anyhow::Result<Self> {
        let wishes = Arc::new(Wishes::default());
        let (frames, to_send) = outlet(Arc::clone(&wishes), None);
        let (sender, orders) = mpsc::channel();
        mark(&socket, Traffic::Video, spec.video.dscp);
        let sending = SendThread {
            packetizer: Packetizer::new(packetizer_config(&spec.video, spec.key)?),
            arena: PacketArena::new(),
            sender: BatchSender::new(socket)?,
            orders,
            parity: None,
            params: spec.video.clone(),
            class: Class::wanted(spec.realtime),
            stats: Arc::clone(&stats),
            frames: to_send,
        };
        let mut video = Self::encode(spec, choice, capture, (frames, wishes), stats, events)?;
        video.sender = Some(sender);
        video.threads.push(std::thread::Builder::new().name("video-send".into()).spawn(move || sending.run())?);
        Ok(video)
    }

    /// Starts to encode `capture`'s pictures for whoever is at the other end of `frames`.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn encode(
        spec: &StreamSpec,
        choice: EncoderPreference,
        capture: Box<dyn Capture>,
        (frames, wishes): (Outlet, Arc<Wishes>),
        stats: Arc<StreamStats>,
        events: mpsc::Sender<VideoEvent>,
    ) -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let encoding = EncodeThread {
            params: spec.video.clone(),
            choice,
            capture,
            stop: Arc::clone(&stop),
            stats,
            frames,
            events,
        };
        let thread = std::thread::Builder::new().name("video-encode".into()).spawn(move || encoding.run())?;
        Ok(Self { wishes, stop, sender: None, threads: vec![thread] })
    }

    /// Requests for the next frame.
    pub fn requests(&self) -> &RequestSlot {
        &self.wishes.requests
    }

    /// The client's address changed: send through this socket from now on.
    pub fn replace_socket(&self, socket: UdpSocket) {
        self.order(ToSender::Socket(socket));
        self.wishes.requests.idr();
    }

    /// The parity of frames from the next one on.
    pub fn set_parity(&self, parity: FrameParity) {
        self.order(ToSender::Parity(parity));
    }

    /// At which rate to encode from now on.
    pub fn set_bitrate(&self, bits_per_second: u64) {
        self.wishes.set_bitrate(bits_per_second);
    }

    fn order(&self, order: ToSender) {
        if let Some(sender) = &self.sender {
            let _ = sender.send(order);
        }
    }
}

impl Drop for VideoStream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

struct EncodeThread {
    params: VideoParams,
    choice: EncoderPreference,
    capture: Box<dyn Capture>,
    stop: Arc<AtomicBool>,
    stats: Arc<StreamStats>,
    frames: Outlet,
    events: mpsc::Sender<VideoEvent>,
}

impl EncodeThread {
    fn run(mut self) {
        match self.stream() {
            Ok(()) => {}
            Err(StreamEnd::Display(reason)) => {
                let _ = self.events.send(VideoEvent::DisplayGone(reason));
            }
            Err(StreamEnd::Encoder(error)) => {
                let _ = self.events.send(VideoEvent::Failed(error.to_string()));
            }
        }
    }

    fn stream(&mut self) -> Result<(), StreamEnd> {
        let mut broken = Vec::new();
        let Chosen { mut name, mut encoder, .. } = self.open(&broken)?;
        let mut index = FrameIndex(1);
        let mut last: Option<Frame> = None;
        let mut last_serial = 0;
        let mut reopens = 0;
        let mut refinements = 0;
        let interval = self.params.encoder.mode.interval();
        let mut bitrate = self.params.encoder.bitrate_bps;
        self.requests().idr();
        while !self.stop.load(Ordering::Relaxed) {
            if !self.frames.wait(CAPTURE_PATIENCE) {
                continue;
            }
            let patience = if refinements > 0 { interval } else { CAPTURE_PATIENCE };
            let mut frame = match self.capture.next(Instant::now() + patience) {
                Ok(Captured::Frame(frame)) => {
                    refinements = REFINEMENTS;
                    if frame.serial <= last_serial {
                        // Another source: nothing of the picture before is worth a reference.
                        self.requests().idr();
                        last_serial = 0;
                    }
                    let replaced = frame.serial.saturating_sub(last_serial + 1);
                    if last_serial != 0 && replaced > 0 {
                        self.stats.update(|s| s.frames_replaced += replaced);
                    }
                    last_serial = frame.serial;
                    frame
                }
                // A still screen costs nothing, once its last picture is as good as the rate allows; but a client that
                // asks for a key frame gets one.
                Ok(Captured::Still) => match &last {
                    Some(frame) if refinements > 0 || self.requests().is_pending() => {
                        refinements = refinements.saturating_sub(1);
                        let mut frame = frame.clone();
                        frame.timeline = Timeline::starting(Instant::now());
                        frame
                    }
                    _ => continue,
                },
                Err(CaptureError::DisplayGone(reason)) => return Err(StreamEnd::Display(reason)),
            };
            if let Some(wanted) = self.frames.wishes().bitrate().filter(|wanted| *wanted != bitrate) {
                bitrate = wanted;
                if let Err(error) = encoder.set_bitrate(wanted) {
                    tracing::warn!(%error, wanted, "the encoder keeps its rate");
                }
            }
            let request = self.requests().take();
            frame.timeline.encode_start = Some(Instant::now());
            match encoder.encode(&frame, index, request) {
                Ok(Some(unit)) => {
                    frame.timeline.encode_end = Some(Instant::now());
                    let mut data = self.frames.buffer();
                    data.extend_from_slice(unit.data);
                    let kind = unit.kind;
                    self.stats.count(|figures| figures.frames_encoded += 1);
                    self.hand_over(EncodedFrame { data, index, kind, timeline: frame.timeline });
                    index = FrameIndex(index.0.wrapping_add(1));
                    reopens = 0;
                }
                Ok(None) => {
                    if request != FrameRequest::Normal {
                        self.requests().idr();
                    }
                    self.stats.update(|s| s.frames_skipped += 1);
                }
                Err(error) => {
                    reopens += 1;
                    tracing::warn!(%error, reopens, "the encoder broke; opening one anew");
                    if reopens > MAX_REOPENS {
                        return Err(StreamEnd::Encoder(error));
                    }
                    if reopens == LAST_CHANCE {
                        broken.push(name);
                    }
                    // What the driver gives to one encoder may be needed for the next.
                    drop(encoder);
                    Chosen { name, encoder, .. } = self.open(&broken)?;
                    bitrate = self.params.encoder.bitrate_bps;
                    self.stats.count(|figures| figures.encoder_restarts += 1);
                    self.requests().idr();
                }
            }
            last = Some(frame);
        }
        Ok(())
    }

    fn open(&self, broken: &[EncoderName]) -> Result<Chosen, StreamEnd> {
        let chosen = encode::choose(&self.params.encoder, self.choice, broken).map_err(StreamEnd::Encoder)?;
        let name = chosen.name.as_str();
        let unexpected: Vec<_> = chosen.passed_over.iter().filter(|other| !other.expected).collect();
        for other in &unexpected {
            tracing::warn!(encoder = other.name.as_str(), reason = other.reason, instead = name, "not encoding by it");
        }
        tracing::info!(encoder = name, config = ?self.params.encoder, "encoding");
        let fallback: Vec<_> = unexpected.into_iter().map(ToString::to_string).collect();
        self.stats.update(|s| {
            s.encoder = name.to_owned();
            s.encoder_fallback = fallback.join("; ");
        });
        Ok(chosen)
    }

    fn hand_over(&self, frame: EncodedFrame) {
        let (index, bytes, key) = (frame.index, frame.data.len() as u64, frame.kind == FrameKind::Idr);
        if self.frames.put(frame) {
            self.stats.update(|s| {
                s.video_bytes += bytes;
                s.key_frames += u64::from(key);
            });
        } else {
            self.stats.update(|s| s.frames_dropped += 1);
            self.requests().invalidate(index, index);
        }
    }

    fn requests(&self) -> &RequestSlot {
        &self.frames.wishes().requests
    }
}

enum StreamEnd {
    Display(String),
    Encoder(EncodeError),
}

struct SendThread {
    packetizer: Packetizer,
    arena: PacketArena,
    sender: BatchSender,
    orders: Receiver<ToSender>,
    /// Set once it is not the one that the stream began with, with what the packetizer has of it.
    parity: Option<(FrameParity, Option<Importance>)>,
    params: VideoParams,
    class: Class,
    stats: Arc<StreamStats>,
    frames: Inlet,
}

impl SendThread {
    fn run(mut self) {
        let sleeper = Sleeper::for_this_thread(self.class);
        if sleeper.class() == Class::Normal {
            tracing::debug!("no real-time class for the sending thread; see `lumen doctor`");
        }
        // Wall clock of the stream: RTP timestamps count from its first frame.
        let mut epoch = None;
        while let Ok(mut frame) = self.frames.take() {
            while let Ok(order) = self.orders.try_recv() {
                self.obey(order);
            }
            self.protect(if frame.kind == FrameKind::Idr { Importance::Key } else { Importance::Ordinary });
            let epoch = *epoch.get_or_insert(frame.timeline.presented);
            if let Err(error) = self.send(&mut frame, epoch, &sleeper) {
                tracing::warn!(%error, frame = frame.index.0, bytes = frame.data.len(), "frame not sent");
                self.stats.update(|s| s.frames_dropped += 1);
                self.frames.wishes().requests.invalidate(frame.index, frame.index);
            }
            self.frames.give_back(frame.data);
        }
    }

    fn obey(&mut self, order: ToSender) {
        match order {
            ToSender::Socket(socket) => {
                mark(&socket, Traffic::Video, self.params.dscp);
                match BatchSender::new(socket) {
                    Ok(sender) => self.sender = sender,
                    Err(error) => tracing::warn!(%error, "cannot use the client's new address"),
                }
            }
            ToSender::Parity(parity) => self.parity = Some((parity, None)),
        }
    }

    /// The packetizer takes the rule for such a frame, unless it has it.
    fn protect(&mut self, importance: Importance) {
        if let Some((parity, present)) = &mut self.parity
            && *present != Some(importance)
        {
            *present = Some(importance);
            self.packetizer.set_parity(parity.of(importance).clone());
        }
    }

    fn send(&mut self, frame: &mut EncodedFrame, epoch: Instant, sleeper: &Sleeper) -> anyhow::Result<()> {
        let begin = Instant::now();
        let since_epoch = frame.timeline.presented.saturating_duration_since(epoch);
        let processing = begin.saturating_duration_since(frame.timeline.presented);
        let layout = self.packetizer.packetize(
            &FrameToSend {
                data: &frame.data,
                index: frame.index,
                kind: frame.kind,
                timestamp_90k: (since_epoch.as_micros() * 9 / 100) as u32,
                host_latency: HostLatency::from_duration(processing),
                long_term_reference: false,
            },
            &mut self.arena,
        )?;
        let now = Instant::now();
        frame.timeline.packetized = Some(now);
        frame.timeline.sent_first = Some(now);
        let stride = self.arena.stride();
        let per_batch = BatchSender::batch_len(stride);
        let bytes = self.arena.as_bytes();
        let batches = bytes.len().div_ceil(per_batch * stride);
        let interval = self.params.encoder.mode.interval();
        let ordinary_bytes = self.params.encoder.bitrate_bps as f64 / 8.0 * interval.as_secs_f64();
        let ordinary = ordinary_bytes / (per_batch * stride) as f64;
        let schedule = match self.params.pacing {
            Pacing::Deadline => Schedule::new(now, interval, batches, ordinary),
            Pacing::Off => Schedule::unpaced(now),
        };
        for (i, batch) in bytes.chunks(per_batch * stride).enumerate() {
            sleeper.until(schedule.deadline(i));
            self.sender.send(batch, stride)?;
        }
        frame.timeline.sent_last = Some(Instant::now());
        let wire = bytes.len() as u64;
        self.stats.update(|s| {
            s.frames_sent += 1;
            s.wire_bytes += wire;
        });
        self.stats.count(|figures| {
            figures.data_packets += layout.data_packets() as u64;
            figures.parity_packets += layout.parity_packets() as u64;
        });
        self.stats.frame_sent(&frame.timeline);
        Ok(())
    }
}
