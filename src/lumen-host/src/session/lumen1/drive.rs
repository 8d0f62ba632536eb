//! The thread of a stream over lumen/1.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::{Duration, Instant};

use anyhow::Context;
use lumen_core::congestion::{BitsPerSecond, CongestionConfig, CongestionControl};
use lumen_core::fec::scheme::{self, Scheme};
use lumen_core::gamestream::control::{Framing, HdrMode, HostMessage};
use lumen_core::loss_control::{
    FrameToProtect, Importance, LossControl, LossControlConfig, ParityMode, Retransmission,
};
use lumen_core::lumen1::header::{Epoch, PacketNumber};
use lumen_core::lumen1::message::{CloseCode, Receipt};
use lumen_core::lumen1::path::PathId;
use lumen_core::lumen1::session::{Ended, Host, HostConfig, HostEvent, SendError, SessionConfig};
use lumen_core::lumen1::video::{FrameFlags, FrameNumber, Reference};
use lumen_core::lumen1::{FrameToSend, OVERHEAD, Packetized};
use lumen_core::time::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::audio::microphone::MicrophoneInlet;
use crate::clipboard::Content;
use crate::config::{Fec, Pacing};
use crate::encode::FrameIndex;
use crate::link::{Lumen1Spec, StreamSpec, VideoParams};
use crate::net::gso::BatchSender;
use crate::net::pacer::{Class, Schedule, Sleeper};
use crate::net::sockets::{Traffic, mark, unmapped};
use crate::net::wake::Waker;
use crate::session::outlet::{EncodedFrame, Inlet};
use crate::session::stats::StreamStats;

use super::flight::{Fate, Flight};
use super::{Command, Lumen1Event, Numbers, Sound};

/// For so long after it was handed to the network a frame is of use to the client.
const OF_USE: Duration = Duration::from_millis(100);
/// Longest sleep, so that nothing is missed for longer.
const MAX_SLEEP: Duration = Duration::from_millis(50);
/// Shortest sleep for what is due in the core, so that a mistake there costs no whole processor.
const MIN_SLEEP: Duration = Duration::from_micros(200);
/// Addresses of one client that are known at the same time.
const MOST_PATHS: usize = 4;
/// Datagrams that are taken from one socket before the others have their turn.
const TURN: usize = 64;
/// The encoder is told a new rate when it differs by this share.
const RATE_STEP: f64 = 0.03;

/// The other ends of what [`Lumen1Stream`](super::Lumen1Stream) holds.
pub(super) struct Ends {
    pub(super) frames: Inlet,
    pub(super) sound: Receiver<Sound>,
    pub(super) commands: Receiver<Command>,
    pub(super) events: Sender<Lumen1Event>,
    pub(super) notice: Waker,
    pub(super) wake: Waker,
}

pub(super) struct Drive {
    ends: Ends,
    host: Host,
    origin: Instant,
    paths: Vec<Path>,
    last_path: u64,
    greeted: bool,
    over: bool,
    sending: Option<Sending>,
    numbers: Numbers,
    flight: Flight,
    loss: LossControl,
    congestion: CongestionControl,
    /// Where the client's microphone is heard, if somewhere.
    microphone: Option<MicrophoneInlet>,
    /// What was copied in the session and is not on its way yet.
    clipboard: Option<Content>,
    /// The rate that the encoder was told.
    bitrate: u64,
    spec: Lumen1Spec,
    params: VideoParams,
    class: Class,
    stats: Arc<StreamStats>,
    buffer: Vec<u8>,
}

/// A socket towards one address of the client.
struct Path {
    id: PathId,
    client: SocketAddr,
    sender: BatchSender,
}

/// A frame that leaves batch by batch.
struct Sending {
    frame: EncodedFrame,
    packets: Packetized,
    path: PathId,
    schedule: Schedule,
    batch: usize,
}

impl Drive {
    pub(super) fn new(
        spec: &StreamSpec,
        lumen1: &Lumen1Spec,
        stats: Arc<StreamStats>,
        ends: Ends,
    ) -> anyhow::Result<Self> {
        let Lumen1Spec { offer, answer, secret, .. } = lumen1;
        let keys = answer.keys(offer, secret.as_bytes()).context("making the keys")?;
        let session = SessionConfig {
            datagram: usize::from(answer.datagram),
            max_frame: usize::try_from(answer.max_frame).unwrap_or(usize::MAX),
            grants: answer.grants,
            ..SessionConfig::new(offer.session, keys)
        };
        let mut seed = [0; 32];
        crate::daemon::random(&mut seed);
        let config =
            HostConfig { audio_half_millis: spec.audio.packet_duration_ms * 2, ..HostConfig::new(session, seed) };
        let share = f64::from(spec.video.fec_percentage) / 100.0;
        let parity = match lumen1.fec {
            Fec::Adaptive => ParityMode::PerFrame { budget: share },
            Fec::Fixed => ParityMode::Fixed(share),
        };
        let bitrate = spec.video.encoder.bitrate_bps;
        // Pictures presented before this thread began have times, too.
        let origin = Instant::now().checked_sub(Duration::from_secs(10)).unwrap_or_else(Instant::now);
        Ok(Self {
            ends,
            host: Host::new(config, timestamp(origin, Instant::now())),
            origin,
            paths: Vec::new(),
            last_path: 0,
            greeted: false,
            over: false,
            sending: None,
            numbers: Numbers::default(),
            flight: Flight::default(),
            loss: LossControl::new(LossControlConfig {
                parity,
                retransmission: Retransmission::OnRequest,
                frame_interval: spec.video.encoder.mode.interval(),
            }),
            congestion: CongestionControl::new(CongestionConfig {
                least: BitsPerSecond(lumen1.least_bitrate_bps.min(bitrate)),
                start: BitsPerSecond(bitrate).times(1.0 + share),
                most: BitsPerSecond(bitrate).times(1.0 + share),
            }),
            microphone: None,
            clipboard: None,
            bitrate,
            spec: lumen1.clone(),
            params: spec.video.clone(),
            class: Class::wanted(spec.realtime),
            stats,
            buffer: Vec::new(),
        })
    }

    pub(super) fn run(mut self) {
        let sleeper = Sleeper::for_this_thread(self.class);
        tracing::debug!(class = ?sleeper.class(), "waiting for the client");
        let mut buffer = vec![0; usize::from(u16::MAX)];
        loop {
            match self.obey() {
                Flow::On => {}
                Flow::Done => return,
            }
            self.take_frame();
            self.send_due();
            self.take_sound();
            self.take_clipboard();
            self.transmit();
            self.tell();
            self.wait();
            self.receive(&mut buffer);
        }
    }

    fn obey(&mut self) -> Flow {
        loop {
            match self.ends.commands.try_recv() {
                Ok(Command::Datagram(client, socket, mut bytes)) => {
                    if let Some(socket) = socket {
                        self.add(client, socket);
                    }
                    if let Some(path) = self.paths.iter().find(|path| path.client == client) {
                        let id = path.id;
                        self.hear(id, &mut bytes);
                    }
                }
                Ok(Command::Answer(answer)) => self.answer(&answer),
                Ok(Command::Clipboard(content)) => self.clipboard = Some(content),
                Ok(Command::Microphone(inlet)) => {
                    inlet.begin_anew();
                    self.microphone = Some(inlet);
                }
                Ok(Command::Grants(grants)) => self.host.restrict(grants),
                Ok(Command::Close(code, text)) => {
                    if !self.over && self.host.close(code, &text).is_ok() {
                        self.transmit();
                    }
                    return Flow::Done;
                }
                Err(TryRecvError::Empty) => return Flow::On,
                Err(TryRecvError::Disconnected) => return Flow::Done,
            }
        }
    }

    /// Datagrams from `client` arrive at this socket from now on.
    fn add(&mut self, client: SocketAddr, socket: UdpSocket) {
        mark(&socket, Traffic::Video, self.params.dscp);
        let sender = match BatchSender::new(socket) {
            Ok(sender) => sender,
            Err(error) => return tracing::warn!(%client, %error, "cannot use the client's address"),
        };
        if let Some(known) = self.paths.iter_mut().find(|path| path.client == client) {
            known.sender = sender;
            return;
        }
        if self.paths.len() == MOST_PATHS {
            let active = self.host.path();
            let oldest = self.paths.iter().position(|path| Some(path.id) != active).unwrap_or(0);
            self.paths.remove(oldest);
        }
        self.last_path += 1;
        self.paths.push(Path { id: PathId(self.last_path), client, sender });
    }

    fn take_frame(&mut self) {
        if self.sending.is_some() {
            return;
        }
        let Some(frame) = self.ends.frames.try_take() else { return };
        if self.over {
            return self.ends.frames.give_back(frame.data);
        }
        match self.packetize(&frame) {
            Ok((packets, path)) => {
                self.numbers.note(packets.frame.0, frame.index.0);
                self.begin(frame, packets, path);
            }
            Err(error) => {
                tracing::warn!(%error, frame = frame.index.0, bytes = frame.data.len(), "frame not sent");
                self.stats.update(|s| s.frames_dropped += 1);
                self.ends.frames.wishes().requests.invalidate(frame.index, frame.index);
                self.ends.frames.give_back(frame.data);
            }
        }
    }

    fn packetize(&mut self, frame: &EncodedFrame) -> anyhow::Result<(Packetized, PathId)> {
        let data = self.host.data_shards(frame.data.len());
        let importance = if frame.kind.repairs_references() { Importance::Key } else { Importance::Ordinary };
        let protection = self.loss.protect(FrameToProtect { packets: data, importance, time_left: OF_USE });
        let least = match self.spec.fec {
            Fec::Adaptive => 0,
            Fec::Fixed => usize::from(self.params.min_parity),
        };
        let parity = shards(protection.parity.max(least));
        let scheme = self.scheme(data, parity);
        // Without parity nothing is restored: work on what is lost is bounded, whatever its client decodes.
        let fits = scheme != Scheme::Gf16 || scheme::points(shards(data), parity) <= scheme::MOST_POINTS;
        let parity = if fits { parity } else { 0 };
        let begin = Instant::now();
        let processing = begin.saturating_duration_since(frame.timeline.presented);
        let to_send = FrameToSend {
            data: &frame.data,
            flags: FrameFlags { kind: frame.kind, reference: Reference::Short },
            captured: timestamp(self.origin, frame.timeline.presented),
            // That all of its packets are lost shows when the next frame comes.
            deadline: Some(processing + OF_USE + self.params.encoder.mode.interval()),
            host_latency: processing,
            scheme,
            parity,
        };
        let sent = self.host.send_frame(&to_send)?;
        Ok((sent.packets, sent.path))
    }

    /// The better of the codes that the client decodes.
    fn scheme(&self, data: usize, parity: u16) -> Scheme {
        let both = self.spec.offer.schemes.and(self.spec.answer.schemes);
        // Only a client that is fast says that it takes GF(2^16).
        let receiver = if both.contains(Scheme::Gf16) { scheme::Receiver::Fast } else { scheme::Receiver::Modest };
        let data = shards(data);
        let shard = usize::from(self.spec.answer.datagram) - OVERHEAD;
        let best = scheme::choose(data, parity, shard - shard % 2, receiver);
        if both.contains(best) { best } else { Scheme::Gf16 }
    }

    fn begin(&mut self, mut frame: EncodedFrame, packets: Packetized, path: PathId) {
        let now = Instant::now();
        frame.timeline.packetized = Some(now);
        frame.timeline.sent_first = Some(now);
        let stride = OVERHEAD + packets.shape.shard_len();
        let batch = BatchSender::batch_len(stride) * stride;
        let batches = (packets.shape.total() * stride).div_ceil(batch);
        let interval = self.params.encoder.mode.interval();
        let ordinary = self.params.encoder.bitrate_bps as f64 / 8.0 * interval.as_secs_f64() / batch as f64;
        let schedule = match self.params.pacing {
            Pacing::Deadline => Schedule::new(now, interval, batches, ordinary),
            Pacing::Off => Schedule::unpaced(now),
        };
        self.sending = Some(Sending { frame, packets, path, schedule, batch: 0 });
    }

    /// Sends the batches of the frame whose time has come.
    fn send_due(&mut self) {
        let Some(sending) = &mut self.sending else { return };
        let Sending { packets, path, schedule, .. } = *sending;
        let arena = self.host.datagrams(packets.frame);
        let path = self.paths.iter_mut().find(|known| known.id == path);
        let (Some(arena), Some(path)) = (arena, path) else {
            // The client is elsewhere by now; what it misses it will say.
            return self.sent();
        };
        let stride = arena.stride();
        let per_batch = BatchSender::batch_len(stride);
        let bytes = arena.as_bytes();
        for (batch, datagrams) in bytes.chunks(per_batch * stride).enumerate().skip(sending.batch) {
            let now = Instant::now();
            if schedule.deadline(batch) > now {
                return;
            }
            if let Err(error) = path.sender.send(datagrams, stride) {
                tracing::warn!(%error, client = %path.client, "cannot send");
            }
            let at = timestamp(self.origin, now);
            let first = packets.first.0 + (batch * per_batch) as u64;
            for number in (first..).take(datagrams.len() / stride) {
                self.flight.sent(packets.epoch, PacketNumber(number), packets.frame, stride, at);
            }
            sending.batch = batch + 1;
        }
        self.sent();
    }

    /// The frame left completely.
    fn sent(&mut self) {
        let Some(Sending { mut frame, packets, .. }) = self.sending.take() else { return };
        frame.timeline.sent_last = Some(Instant::now());
        let (data, total) = (packets.shape.data() as u64, packets.shape.total() as u64);
        let wire = total * (OVERHEAD + packets.shape.shard_len()) as u64;
        self.stats.update(|s| {
            s.frames_sent += 1;
            s.wire_bytes += wire;
        });
        self.stats.count(|figures| {
            figures.data_packets += data;
            figures.parity_packets += total - data;
        });
        self.stats.frame_sent(&frame.timeline);
        self.ends.frames.give_back(frame.data);
    }

    fn take_sound(&mut self) {
        while let Ok((packet, timestamp)) = self.ends.sound.try_recv() {
            if self.over {
                continue;
            }
            match self.host.send_audio(&packet, timestamp) {
                Ok(()) => self.stats.update(|s| s.audio_packets += 1),
                Err(error) => tracing::debug!(%error, "a packet of sound was not sent"),
            }
        }
    }

    /// What was copied last goes to the client, once what went before it has.
    fn take_clipboard(&mut self) {
        let Some(content) = self.clipboard.take().filter(|_| !self.over) else { return };
        match self.host.send_clipboard(content.format(), content.bytes()) {
            Ok(()) => {
                tracing::debug!(format = ?content.format(), bytes = content.bytes().len(), "clipboard to the client")
            }
            Err(SendError::Full(_)) => self.clipboard = Some(content),
            Err(error) => tracing::debug!(%error, "what was copied in the session is not sent"),
        }
    }

    /// Sends what the core has to say.
    fn transmit(&mut self) {
        let now = self.now();
        while let Some(to) = self.host.poll_transmit(now, &mut self.buffer) {
            if let Some(path) = self.paths.iter_mut().find(|path| path.id == to)
                && let Err(error) = path.sender.send(&self.buffer, self.buffer.len())
            {
                tracing::warn!(%error, client = %path.client, "cannot send");
            }
        }
    }

    fn tell(&mut self) {
        while let Some(event) = self.host.poll_event() {
            match event {
                HostEvent::Path(id) => self.is_at(id),
                HostEvent::Input(event) => self.event(Lumen1Event::Input(Box::new(event))),
                HostEvent::Receipts { epoch, receipts } => self.heard_of(epoch, &receipts),
                HostEvent::Resent { frame, epoch, number } => {
                    let (at, bytes) = (self.now(), usize::from(self.spec.answer.datagram));
                    self.flight.sent(epoch, number, frame, bytes, at);
                    self.stats.count(|figures| figures.parity_packets += 1);
                }
                HostEvent::Invalidate { first, last } => self.invalidate(first, last),
                HostEvent::KeyFrame => {
                    self.ends.frames.wishes().requests.idr();
                    self.event(Lumen1Event::KeyFrame);
                }
                HostEvent::Ended(ended) => {
                    self.over = true;
                    self.event(Lumen1Event::Ended(match ended {
                        Ended::Closed(CloseCode::Done, _) => "its client left".to_owned(),
                        Ended::Closed(code, text) => format!("its client left: {code:?} {text}"),
                        Ended::Silent => "its client fell silent".to_owned(),
                    }));
                }
                HostEvent::Microphone { sequence, data, .. } => {
                    if let Some(microphone) = &self.microphone {
                        microphone.put(sequence, &data);
                    }
                }
                HostEvent::Clipboard(format, bytes) => match Content::new(format, bytes) {
                    Some(content) => self.event(Lumen1Event::Clipboard(content)),
                    None => tracing::debug!(?format, "what the client copied is too long, or not what it said"),
                },
                // Receipts say the same of every packet.
                HostEvent::FrameStatus(_) => {}
            }
        }
    }

    fn is_at(&mut self, id: PathId) {
        let Some(path) = self.paths.iter().find(|path| path.id == id) else { return };
        let client = unmapped(path.client);
        tracing::info!(%client, "the client is at this address");
        if !std::mem::replace(&mut self.greeted, true) {
            self.answer(&HostMessage::HdrMode(HdrMode::SDR));
        }
        self.event(Lumen1Event::At(client));
    }

    fn answer(&mut self, answer: &HostMessage) {
        let bytes = answer.to_bytes(Framing::V1);
        if let Some((_, payload)) = bytes.split_first_chunk::<2>()
            && let Err(error) = self.host.send_input_answer(answer.kind(), payload)
        {
            tracing::debug!(%error, "an answer to an input device was not sent");
        }
    }

    fn invalidate(&mut self, first: FrameNumber, last: FrameNumber) {
        let requests = &self.ends.frames.wishes().requests;
        match self.numbers.range(first.0, last.0) {
            Some((first, last)) => requests.invalidate(FrameIndex(first), FrameIndex(last)),
            None => requests.idr(),
        }
        self.event(Lumen1Event::Invalidate);
    }

    /// The client says which packets arrived, and when.
    fn heard_of(&mut self, epoch: Epoch, receipts: &[Receipt]) {
        let now = self.now();
        let (mut known, mut lost) = (0, 0);
        let loss = &mut self.loss;
        let told = self.flight.report(epoch, receipts, |fate| {
            loss.packet(fate == Fate::Lost);
            known += 1;
            lost += u64::from(fate == Fate::Lost);
        });
        self.congestion.round_trip(self.host.round_trip());
        self.congestion.report(told, now);
        // What is asked for again comes as late as that, with all that a busy machine takes to answer.
        if let Some(sent) = self.flight.newest_told() {
            self.loss.round_trip(now.saturating_since(sent));
        }
        self.stats.update(|s| {
            s.reported_sent += known;
            s.reported_missing += lost;
        });
        self.follow();
    }

    /// Tells the encoder what the network carries.
    fn follow(&mut self) {
        let share = f64::from(self.params.fec_percentage) / 100.0;
        let target = self.congestion.target().times(1.0 / (1.0 + share)).0;
        let target = target.clamp(self.spec.least_bitrate_bps, self.params.encoder.bitrate_bps.max(1));
        if target.abs_diff(self.bitrate) as f64 > self.bitrate as f64 * RATE_STEP {
            tracing::debug!(kbps = target / 1000, "the network's rate");
            self.bitrate = target;
            self.ends.frames.wishes().set_bitrate(target);
        }
    }

    fn wait(&mut self) {
        let now = Instant::now();
        let core = self.host.deadline().map(|due| due.saturating_since(timestamp(self.origin, now)).max(MIN_SLEEP));
        let batch = self.sending.as_ref().map(|s| s.schedule.deadline(s.batch).saturating_duration_since(now));
        let sleep = [core, batch].into_iter().flatten().min().unwrap_or(MAX_SLEEP).min(MAX_SLEEP);
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(sleep.subsec_nanos()) };
        let mut fds = vec![PollFd::from_borrowed_fd(self.ends.wake.as_fd(), PollFlags::IN)];
        fds.extend(self.paths.iter().map(|p| PollFd::from_borrowed_fd(p.sender.socket().as_fd(), PollFlags::IN)));
        // An interrupted sleep is only a short one.
        let _ = poll(&mut fds, Some(&timeout));
        self.ends.wake.reset();
    }

    fn receive(&mut self, buffer: &mut [u8]) {
        for index in 0..self.paths.len() {
            for _ in 0..TURN {
                let path = &self.paths[index];
                let id = path.id;
                match path.sender.socket().recv(buffer) {
                    Ok(length) => self.hear(id, &mut buffer[..length]),
                    // The peer's port was closed when a datagram arrived there; its silence will tell.
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                    Err(_) => break,
                }
            }
        }
    }

    fn hear(&mut self, path: PathId, datagram: &mut [u8]) {
        let now = self.now();
        if let Err(error) = self.host.receive(path, datagram, now) {
            tracing::trace!(%error, "a datagram was not used");
        }
    }

    fn event(&self, event: Lumen1Event) {
        // A worker that does not listen any more ends this thread.
        let _ = self.ends.events.send(event);
        self.ends.notice.wake();
    }

    fn now(&self) -> Timestamp {
        timestamp(self.origin, Instant::now())
    }
}

enum Flow {
    On,
    Done,
}

fn shards(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

fn timestamp(origin: Instant, at: Instant) -> Timestamp {
    let micros = at.saturating_duration_since(origin).as_micros();
    Timestamp::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}
