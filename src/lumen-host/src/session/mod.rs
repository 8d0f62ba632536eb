//! The worker: one session, from the display to the socket. It owns everything below it, and answers to a daemon
//! over a [`Link`]. It outlives its daemon: it streams on and waits to be taken back.

mod audio;
mod lumen1;
mod opening;
mod outlet;
mod request;
mod room;
mod stats;
mod stock;
mod video;

use std::net::UdpSocket;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::Context;
use lumen_core::loss_control::FrameParity;
use lumen_core::lumen1::message::CloseCode;
use lumen_core::lumen1::negotiation;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use crate::audio::{AudioSource, late};
use crate::capture::{self, Capture};
use crate::clipboard::Clipboard;
use crate::config::Grants;
use crate::display::steps::Steps;
use crate::display::{self, DisplayError, DisplayState, VirtualDisplay};
use crate::input::InputSink;
use crate::input::late::Late;
use crate::link::{
    Asked, EndReason, Figures, FromWorker, Link, LinkError, Lumen1Spec, Resumable, SessionSpec, StreamSpec, ToWorker,
};
use crate::net::wake::Waker;

use audio::AudioStream;
use lumen1::{Lumen1Event, Lumen1Stream};
use opening::{Opened, Opening};
use stats::StreamStats;
use stock::{Adapted, StockControl};
use video::{VideoEvent, VideoStream};

/// How often feedback of the display is looked for.
const FEEDBACK_INTERVAL: Duration = Duration::from_millis(8);
/// How often figures are reported.
const STATS_INTERVAL: Duration = Duration::from_secs(1);
/// How often a lost daemon is looked for.
const REUNION_INTERVAL: Duration = Duration::from_millis(50);
/// What its client may do follows the session's description at once.
const GRANTS_PATIENCE: Duration = Duration::from_secs(10);
/// For so long keys stay held while a daemon that said that another one follows is away.
const HOLD_LIMIT: Duration = Duration::from_secs(3);

/// Runs the worker role on the descriptor that the daemon passed, until the session ends.
///
/// # Errors
/// If the daemon's first message is missing, or the session broke; the daemon is told first.
pub fn run_worker(fd: OwnedFd) -> anyhow::Result<()> {
    let link = Link::from(fd);
    let Some((ToWorker::Session(spec), _)) =
        link.receive(Some(Duration::from_secs(10))).context("waiting for the session's description")?
    else {
        anyhow::bail!("the daemon did not describe the session");
    };
    let granted = match link.receive(Some(GRANTS_PATIENCE)).context("waiting for the client's grants")? {
        Some((ToWorker::Grants(grants), _)) => grants.streams(),
        _ => negotiation::Grants::NONE,
    };
    let _ = link.send(&FromWorker::Started(std::process::id()), &[]);
    let span = tracing::info_span!("session", id = %spec.id, client = %spec.owner_name, app = %spec.app.title);
    let _entered = span.enter();
    let (session, directory) = (spec.id.to_string(), spec.directory.clone());
    let reason = match Opening::begin(&spec, granted).and_then(|opening| Ok((opening, Waker::new()?))) {
        Ok((opening, notice)) => {
            let mut worker = Worker::new(*spec, link, opening, notice);
            let reason = worker.run();
            tracing::info!(%reason, "session ended");
            worker.finish(reason.clone());
            reason
        }
        Err(error) => {
            let reason = EndReason::Failed(format!("no thread can be started: {error}"));
            let _ = link.send(&FromWorker::Ended(reason.clone()), &[]);
            reason
        }
    };
    display::clean_up(&session, &directory);
    match reason {
        EndReason::Failed(reason) => anyhow::bail!(reason),
        _ => Ok(()),
    }
}

struct Worker {
    spec: SessionSpec,
    stage: Stage,
    input: Late,
    stream: Option<Stream>,
    /// What the streams before this one did.
    before: Figures,
    video_events: (mpsc::Sender<VideoEvent>, mpsc::Receiver<VideoEvent>),
    /// Woken when a stream over lumen/1 has something to tell.
    notice: Waker,
    /// When the session lost its client or its daemon; it ends when both were away for too long.
    alone_since: Option<Instant>,
    /// What a daemon left for the one after it.
    kept: Option<Vec<u8>>,
    /// When a lost daemon is looked for again.
    next_reunion: Instant,
    /// When keys are released that nobody holds any more.
    release_at: Option<Instant>,
    /// Behind all that belongs to the session: the steps after it run when that has ended.
    steps: Option<Box<Steps>>,
    /// Last: the daemon takes its end for that of the worker.
    link: Option<Link>,
}

/// How far the display is.
enum Stage {
    /// On its way up. A stream shows a placeholder meanwhile.
    Opening(Box<Opening>),
    /// There.
    Open(Box<dyn VirtualDisplay>),
}

/// One stream: prepared by the daemon, running once the client's addresses are known.
struct Stream {
    spec: StreamSpec,
    stats: Arc<StreamStats>,
    video: Option<VideoStream>,
    audio: Option<AudioStream>,
    /// Set if it goes over lumen/1. Behind the two that feed it.
    lumen1: Option<Lumen1>,
    /// Set if parity and rate follow what a stock client tells.
    control: Option<StockControl>,
    /// Where pictures and sound of the display go once it is there, if they began before.
    late: LateMedia,
}

struct Lumen1 {
    id: lumen_core::lumen1::header::SessionId,
    stream: Lumen1Stream,
    grants: Grants,
    /// Streams that it took of the offer.
    taken: negotiation::Grants,
    /// Of the session, shared with the client.
    clipboard: Option<Clipboard>,
    /// Since the last report.
    asked: Asked,
    /// Packets and missing ones of all reports.
    reported: (u64, u64),
}

impl Lumen1 {
    /// What the client asked for since the last call.
    fn take_asked(&mut self, stats: &StreamStats) -> Asked {
        let now = stats.reported();
        let before = std::mem::replace(&mut self.reported, now);
        let asked = Asked { packets: now.0 - before.0, missing: now.1 - before.1, ..self.asked };
        self.asked = Asked::default();
        asked
    }
}

#[derive(Default)]
struct LateMedia {
    pictures: Option<mpsc::Sender<Box<dyn Capture>>>,
    sound: Option<mpsc::Sender<Box<dyn AudioSource>>>,
}

impl Worker {
    fn new(spec: SessionSpec, link: Link, opening: Opening, notice: Waker) -> Self {
        Self {
            spec,
            link: Some(link),
            stage: Stage::Opening(Box::new(opening)),
            input: Late::default(),
            stream: None,
            before: Figures::default(),
            video_events: mpsc::channel(),
            notice,
            // The client that launched this is on its way; the daemon knows for how long to wait.
            alone_since: None,
            kept: None,
            next_reunion: Instant::now(),
            release_at: None,
            steps: None,
        }
    }

    fn run(&mut self) -> EndReason {
        let mut next_stats = Instant::now() + STATS_INTERVAL;
        loop {
            match self.step() {
                Ok(()) => {}
                Err(reason) => return reason,
            }
            if Instant::now() >= next_stats {
                next_stats += STATS_INTERVAL;
                self.report();
            }
            if self.alone_since.is_some_and(|since| since.elapsed() > self.spec.keep_alive) {
                return EndReason::KeepAlive;
            }
        }
    }

    fn step(&mut self) -> Result<(), EndReason> {
        match &self.link {
            Some(link) => match link.receive_or(self.notice.as_fd(), FEEDBACK_INTERVAL) {
                Ok(Some((message, fds))) => self.handle(message, fds)?,
                Ok(None) => {}
                Err(LinkError::Malformed(error)) => tracing::warn!(%error, "a message of the daemon was ignored"),
                Err(error) => {
                    tracing::warn!(%error, "the daemon is gone; the stream goes on and waits for it");
                    self.link = None;
                    // Held keys would repeat for as long as the daemon is away. One that is only restarted knows them.
                    // A client over lumen/1 is heard without it.
                    let patience = if self.kept.is_some() { HOLD_LIMIT } else { Duration::ZERO };
                    let heard = self.stream.as_ref().is_some_and(|stream| stream.lumen1.is_some());
                    self.release_at = (!heard).then(|| Instant::now() + patience);
                }
            },
            None => {
                let limit = Timespec { tv_sec: 0, tv_nsec: i64::from(REUNION_INTERVAL.subsec_nanos()) };
                let _ = poll(&mut [PollFd::new(&self.notice, PollFlags::IN)], Some(&limit));
                if self.next_reunion <= Instant::now() {
                    self.next_reunion = Instant::now() + REUNION_INTERVAL;
                    self.reunite();
                }
            }
        }
        self.notice.reset();
        self.lumen1_events()?;
        if self.release_at.is_some_and(|at| at <= Instant::now()) {
            self.release_at = None;
            self.input.release_all();
        }
        while let Some(feedback) = self.input.poll_feedback() {
            match self.stream.as_ref().and_then(|stream| stream.lumen1.as_ref()) {
                Some(lumen1) => lumen1.stream.answer(feedback),
                None => self.tell(&FromWorker::Feedback(feedback)),
            }
        }
        match &mut self.stage {
            Stage::Opening(opening) => {
                if let Some(opened) = opening.poll() {
                    self.open(opened.map_err(failed)?).map_err(failed)?;
                }
            }
            Stage::Open(display) => match display.poll() {
                DisplayState::Running => {}
                DisplayState::ApplicationEnded => return Err(EndReason::AppEnded),
                DisplayState::Gone(reason) => return Err(EndReason::Failed(format!("the display ended: {reason}"))),
            },
        }
        if let Ok(event) = self.video_events.1.try_recv() {
            return Err(EndReason::Failed(match event {
                VideoEvent::DisplayGone(reason) => format!("the display ended: {reason}"),
                VideoEvent::Failed(reason) => reason,
            }));
        }
        Ok(())
    }

    fn handle(&mut self, message: ToWorker, mut fds: Vec<OwnedFd>) -> Result<(), EndReason> {
        let socket = |fds: &mut Vec<OwnedFd>| fds.pop().map(UdpSocket::from);
        match message {
            ToWorker::Session(_) => tracing::warn!("the session was described twice"),
            ToWorker::Stream(spec) => self.prepare(*spec, None)?,
            ToWorker::Lumen1(spec, lumen1, grants) => self.prepare(*spec, Some((*lumen1, *grants)))?,
            ToWorker::Lumen1Datagram(client, bytes) => {
                if let Some(lumen1) = self.stream.as_ref().and_then(|stream| stream.lumen1.as_ref()) {
                    lumen1.stream.datagram(client, socket(&mut fds), bytes);
                }
            }
            ToWorker::Grants(grants) => {
                if let Some(lumen1) = self.stream.as_mut().and_then(|stream| stream.lumen1.as_mut()) {
                    lumen1.stream.restrict(grants.streams());
                    lumen1.grants = *grants;
                    self.share();
                }
            }
            ToWorker::VideoSocket(client) => {
                if let Some(socket) = socket(&mut fds) {
                    tracing::info!(%client, "video");
                    self.start_video(socket)?;
                }
            }
            ToWorker::AudioSocket(client) => {
                if let Some(socket) = socket(&mut fds) {
                    tracing::info!(%client, "audio");
                    self.start_audio(socket)?;
                }
            }
            ToWorker::Input(event) => self.input.handle(&event),
            ToWorker::RequestIdr => self.with_video(|video| video.requests().idr()),
            ToWorker::Invalidate { first, last } => {
                self.adapt(|control| control.lost(first, last));
                self.with_video(|video| video.requests().invalidate(first, last));
            }
            ToWorker::Loss { sent, missing } => {
                if let Some(stream) = &self.stream {
                    stream.stats.update(|s| {
                        s.reported_sent += u64::from(sent);
                        s.reported_missing += u64::from(missing);
                    });
                }
            }
            ToWorker::Adapt(least_bitrate_bps) => {
                if let Some(stream) = &mut self.stream {
                    stream.control = Some(StockControl::new(&stream.spec.video, least_bitrate_bps));
                }
            }
            ToWorker::FecStatus(status) => self.adapt(|control| control.status(&status)),
            ToWorker::ReleaseInput => self.input.release_all(),
            ToWorker::Expect => self.alone_since = None,
            ToWorker::Keep(bytes) => self.kept = Some(bytes),
            ToWorker::Suspend => self.suspend(),
            ToWorker::Stop(reason) => return Err(reason),
        }
        Ok(())
    }

    fn suspend(&mut self) {
        self.end_stream();
        self.kept = None;
        self.input.release_all();
        self.alone_since.get_or_insert_with(Instant::now);
        tracing::info!(keep_alive = ?self.spec.keep_alive, "suspended");
    }

    /// What the client of a stream over lumen/1 did.
    fn lumen1_events(&mut self) -> Result<(), EndReason> {
        loop {
            let Some(lumen1) = self.stream.as_mut().and_then(|stream| stream.lumen1.as_mut()) else { return Ok(()) };
            let Some(event) = lumen1.stream.poll() else { return Ok(()) };
            match event {
                // The other door for input: what is not granted never reaches the session.
                Lumen1Event::Input(event) if lumen1.grants.allow_input(&event) => self.input.handle(&event),
                Lumen1Event::Input(_) => lumen1.asked.input_refused += 1,
                Lumen1Event::Clipboard(content) => {
                    if let Some(clipboard) = &lumen1.clipboard {
                        clipboard.set(content);
                    }
                }
                Lumen1Event::KeyFrame => lumen1.asked.key_frames += 1,
                Lumen1Event::Invalidate => lumen1.asked.invalidations += 1,
                Lumen1Event::At(client) => {
                    let id = lumen1.id;
                    self.tell(&FromWorker::Lumen1At(id, client));
                    self.begin_lumen1()?;
                }
                Lumen1Event::Ended(why) => {
                    tracing::info!(why, "the stream over lumen/1 ended");
                    let id = lumen1.id;
                    self.suspend();
                    self.tell(&FromWorker::Lumen1Ended(id, why));
                }
            }
        }
    }

    /// The client of a stream over lumen/1 is there: picture and sound begin, unless they have.
    fn begin_lumen1(&mut self) -> Result<(), EndReason> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        let Some(lumen1) = &mut stream.lumen1 else { return Ok(()) };
        let sound = lumen1.stream.sound();
        let Some(pictures) = lumen1.stream.pictures() else { return Ok(()) };
        let capture = self.capture()?;
        let Some(stream) = &mut self.stream else { return Ok(()) };
        let (stats, events) = (Arc::clone(&stream.stats), self.video_events.0.clone());
        let video = VideoStream::encode(&stream.spec, self.spec.encoder, capture, pictures, stats, events)
            .map_err(|error| EndReason::Failed(format!("video cannot start: {error:#}")))?;
        stream.video = Some(video);
        let source = self.sound();
        let Some(stream) = &mut self.stream else { return Ok(()) };
        match AudioStream::over_lumen1(&stream.spec, source, sound) {
            Ok(audio) => stream.audio = Some(audio),
            Err(error) => tracing::error!(%error, "this stream has no sound"),
        }
        Ok(())
    }

    /// The display has come up: it takes the place of the placeholder in a stream that began before.
    fn open(&mut self, opened: Opened) -> Result<(), DisplayError> {
        let Opened { steps, mut display, mut input } = opened;
        // Whatever fails from here on, the display ends before the steps after it.
        self.steps = Some(steps);
        if let Some(stream) = &mut self.stream {
            let mode = stream.spec.video.encoder.mode;
            if display.mode() != mode {
                display.set_mode(mode)?;
                input = display.input()?;
            }
            let late = std::mem::take(&mut stream.late);
            // Whoever has stopped listening needs neither.
            if let Some(pictures) = late.pictures {
                let _ = pictures.send(display.capture()?);
            }
            if let Some(sound) = late.sound {
                let _ = sound.send(display.audio(stream.spec.audio.channels));
            }
        }
        self.input.open(input);
        self.stage = Stage::Open(display);
        self.share();
        self.tell(&FromWorker::Ready);
        Ok(())
    }

    /// A stream is about to begin: the display takes the client's mode now, so that the first picture is right.
    fn prepare(&mut self, spec: StreamSpec, lumen1: Option<(Lumen1Spec, Grants)>) -> Result<(), EndReason> {
        self.end_stream();
        self.kept = None;
        self.input.release_all();
        let mode = spec.video.encoder.mode;
        if let Stage::Open(display) = &mut self.stage
            && display.mode() != mode
        {
            display.set_mode(mode).map_err(failed)?;
            self.input.open(display.input().map_err(failed)?);
        }
        let stats: Arc<StreamStats> = Arc::default();
        let lumen1 = lumen1.map(|(lumen1, grants)| {
            let stream = Lumen1Stream::start(&spec, &lumen1, Arc::clone(&stats), self.notice.clone())?;
            // They may have changed since the offer.
            stream.restrict(grants.streams());
            let (id, taken) = (lumen1.offer.session, lumen1.answer.grants);
            let (clipboard, asked) = (None, Asked::default());
            anyhow::Ok(Lumen1 { id, stream, grants, taken, clipboard, asked, reported: (0, 0) })
        });
        let lumen1 =
            lumen1.transpose().map_err(|error| EndReason::Failed(format!("no stream can start: {error:#}")))?;
        self.stream =
            Some(Stream { spec, stats, video: None, audio: None, lumen1, control: None, late: LateMedia::default() });
        self.alone_since = None;
        self.share();
        Ok(())
    }

    /// What the client of a stream over lumen/1 took beside picture and sound finds its place in the session, as soon as
    /// that is there.
    fn share(&mut self) {
        let Stage::Open(display) = &mut self.stage else { return };
        let Some(lumen1) = self.stream.as_mut().and_then(|stream| stream.lumen1.as_mut()) else { return };
        let may = lumen1.taken.and(lumen1.grants.streams());
        if !may.contains(negotiation::Grants::CLIPBOARD) {
            lumen1.clipboard = None;
        } else if lumen1.clipboard.is_none() {
            match display.clipboard().map(|place| Clipboard::start(place, lumen1.stream.clipboard())) {
                Some(Ok(clipboard)) => lumen1.clipboard = Some(clipboard),
                Some(Err(error)) => tracing::warn!(%error, "the clipboard is not shared"),
                None => tracing::info!("the clipboard is not shared: lumen cannot get at that of this display"),
            }
        }
        if may.contains(negotiation::Grants::MICROPHONE) {
            match display.microphone() {
                Some(inlet) => lumen1.stream.set_microphone(inlet),
                None => tracing::info!("the client's microphone is not heard: this display has no PipeWire"),
            }
        }
    }

    fn start_video(&mut self, socket: UdpSocket) -> Result<(), EndReason> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        if let Some(video) = &stream.video {
            video.replace_socket(socket);
            return Ok(());
        }
        let capture = self.capture()?;
        let Some(stream) = &mut self.stream else { return Ok(()) };
        let (stats, events) = (Arc::clone(&stream.stats), self.video_events.0.clone());
        let video = VideoStream::start(&stream.spec, self.spec.encoder, capture, socket, stats, events)
            .map_err(|error| EndReason::Failed(format!("video cannot start: {error:#}")))?;
        stream.video = Some(video);
        Ok(())
    }

    fn start_audio(&mut self, socket: UdpSocket) -> Result<(), EndReason> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        if let Some(audio) = &stream.audio {
            audio.replace_socket(socket);
            return Ok(());
        }
        let source = self.sound();
        let Some(stream) = &mut self.stream else { return Ok(()) };
        // A stream without sound is better than none.
        match AudioStream::start(&stream.spec, source, socket, Arc::clone(&stream.stats)) {
            Ok(audio) => stream.audio = Some(audio),
            Err(error) => tracing::error!(%error, "this stream has no sound"),
        }
        Ok(())
    }

    /// The display's pictures, or a placeholder's until it is up.
    fn capture(&mut self) -> Result<Box<dyn Capture>, EndReason> {
        match (&mut self.stage, &mut self.stream) {
            (Stage::Open(display), _) => display.capture().map_err(failed),
            (Stage::Opening(_), stream) => {
                let mode = stream.as_ref().map_or(self.spec.mode, |stream| stream.spec.video.encoder.mode);
                let (arrival, capture) = capture::opening::Opening::new(mode, &self.spec.app.title);
                if let Some(stream) = stream {
                    stream.late.pictures = Some(arrival);
                }
                Ok(Box::new(capture))
            }
        }
    }

    /// The display's sound, or silence until it is up.
    fn sound(&mut self) -> Box<dyn AudioSource> {
        let channels = self.stream.as_ref().map_or(2, |stream| stream.spec.audio.channels);
        match &mut self.stage {
            Stage::Open(display) => display.audio(channels),
            Stage::Opening(_) => {
                let (arrival, source) = late::Late::new(channels);
                if let Some(stream) = &mut self.stream {
                    stream.late.sound = Some(arrival);
                }
                Box::new(source)
            }
        }
    }

    /// Takes in what the client told, and does what follows.
    fn adapt(&mut self, tell: impl FnOnce(&mut StockControl) -> Option<FrameParity>) {
        let Some(stream) = &mut self.stream else { return };
        if let (Some(parity), Some(video)) = (stream.control.as_mut().and_then(tell), &stream.video) {
            video.set_parity(parity);
        }
    }

    /// What a stock client did not say in the last second says something, too.
    fn adapt_to_silence(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        let (Some(control), Some(video)) = (&mut stream.control, &stream.video) else { return };
        let (figures, heard) = (stream.stats.figures(), self.link.is_some());
        let Adapted { parity, bitrate } = control.second(&figures, heard);
        if let Some(parity) = parity {
            video.set_parity(parity);
        }
        if let Some(bitrate) = bitrate {
            tracing::debug!(bitrate = bitrate.0, "the client's losses change the rate");
            video.set_bitrate(bitrate.0);
        }
    }

    fn with_video(&self, act: impl FnOnce(&VideoStream)) {
        if let Some(video) = self.stream.as_ref().and_then(|stream| stream.video.as_ref()) {
            act(video);
        }
    }

    /// Stops the stream. Its last figures are those after its last frame.
    fn end_stream(&mut self) {
        let Some(Stream { stats, video, audio, lumen1, .. }) = self.stream.take() else { return };
        // Their threads have ended when these are gone.
        drop((video, audio));
        if let Some(mut lumen1) = lumen1 {
            self.tell(&FromWorker::Asked(lumen1.take_asked(&stats)));
        }
        self.before.add(&stats.figures());
        self.tell(&FromWorker::Stats(Box::new(stats.snapshot())));
        self.tell(&FromWorker::Figures(Box::new(self.before.clone())));
    }

    fn report(&mut self) {
        self.adapt_to_silence();
        if let Some(stream) = &self.stream {
            self.tell(&FromWorker::Stats(Box::new(stream.stats.snapshot())));
            let mut figures = self.before.clone();
            figures.add(&stream.stats.figures());
            self.tell(&FromWorker::Figures(Box::new(figures)));
        }
        self.report_asked();
    }

    /// What the client of a stream over lumen/1 asked for since the last report.
    fn report_asked(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        let Some(lumen1) = &mut stream.lumen1 else { return };
        let asked = lumen1.take_asked(&stream.stats);
        self.tell(&FromWorker::Asked(asked));
    }

    /// Looks for a daemon that takes the session back.
    fn reunite(&mut self) {
        match call(&self.spec) {
            Ok(link) => {
                let streaming = self.stream.is_some();
                let hello = Resumable { spec: self.spec.clone(), pid: std::process::id(), streaming };
                if link.send(&FromWorker::Reunion(Box::new(hello)), &[]).is_ok() {
                    tracing::info!("a daemon took the session back");
                    match self.kept.take().map(|kept| link.send(&FromWorker::Kept(kept), &[])) {
                        Some(Ok(())) => self.release_at = None,
                        Some(Err(error)) => tracing::warn!(%error, "what the last daemon left is lost"),
                        None => {}
                    }
                    self.link = Some(link);
                    self.alone_since = if streaming { None } else { Some(Instant::now()) };
                }
            }
            Err(_) => {
                self.alone_since.get_or_insert_with(Instant::now);
            }
        }
    }

    fn tell(&self, message: &FromWorker) {
        if let Some(link) = &self.link
            && let Err(error) = link.send(message, &[])
        {
            tracing::debug!(%error, "the daemon did not hear this");
        }
    }

    fn finish(&mut self, reason: EndReason) {
        if let Some(lumen1) = self.stream.as_mut().and_then(|stream| stream.lumen1.as_mut()) {
            let code = match reason {
                EndReason::Failed(_) => CloseCode::Failed,
                _ => CloseCode::Done,
            };
            lumen1.stream.set_farewell(code, reason.to_string());
        }
        self.end_stream();
        self.tell(&FromWorker::Ended(reason));
    }
}

fn failed(error: DisplayError) -> EndReason {
    EndReason::Failed(error.to_string())
}

fn call(spec: &SessionSpec) -> anyhow::Result<Link> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    connect(&socket, &SocketAddrUnix::new(&spec.reunion)?)?;
    Ok(Link::from(socket))
}
