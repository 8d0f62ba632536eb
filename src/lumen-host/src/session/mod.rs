//! The worker: one session, from the display to the socket. It owns everything below it, and answers to a daemon
//! over a [`Link`]. It outlives its daemon: it streams on and waits to be taken back.

mod audio;
mod opening;
mod request;
mod room;
mod stats;
mod video;

use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use crate::audio::{AudioSource, late};
use crate::capture::{self, Capture};
use crate::display::steps::Steps;
use crate::display::{self, DisplayError, DisplayState, VirtualDisplay};
use crate::input::InputSink;
use crate::input::late::Late;
use crate::link::{EndReason, Figures, FromWorker, Link, LinkError, Resumable, SessionSpec, StreamSpec, ToWorker};

use audio::AudioStream;
use opening::{Opened, Opening};
use stats::StreamStats;
use video::{VideoEvent, VideoStream};

/// How often feedback of the display is looked for.
const FEEDBACK_INTERVAL: Duration = Duration::from_millis(8);
/// How often figures are reported.
const STATS_INTERVAL: Duration = Duration::from_secs(1);
/// How often a lost daemon is looked for.
const REUNION_INTERVAL: Duration = Duration::from_millis(50);
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
    let _ = link.send(&FromWorker::Started(std::process::id()), &[]);
    let span = tracing::info_span!("session", id = %spec.id, client = %spec.owner_name, app = %spec.app.title);
    let _entered = span.enter();
    let (session, directory) = (spec.id.to_string(), spec.directory.clone());
    let reason = match Opening::begin(&spec) {
        Ok(opening) => {
            let mut worker = Worker::new(*spec, link, opening);
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
    /// When the session lost its client or its daemon; it ends when both were away for too long.
    alone_since: Option<Instant>,
    /// What a daemon that ended left for the next one.
    kept: Option<Vec<u8>>,
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
    /// Where pictures and sound of the display go once it is there, if they began before.
    late: LateMedia,
}

#[derive(Default)]
struct LateMedia {
    pictures: Option<mpsc::Sender<Box<dyn Capture>>>,
    sound: Option<mpsc::Sender<Box<dyn AudioSource>>>,
}

impl Worker {
    fn new(spec: SessionSpec, link: Link, opening: Opening) -> Self {
        Self {
            spec,
            link: Some(link),
            stage: Stage::Opening(Box::new(opening)),
            input: Late::default(),
            stream: None,
            before: Figures::default(),
            video_events: mpsc::channel(),
            // The client that launched this is on its way; the daemon knows for how long to wait.
            alone_since: None,
            kept: None,
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
            Some(link) => match link.receive(Some(FEEDBACK_INTERVAL)) {
                Ok(Some((message, fds))) => self.handle(message, fds)?,
                Ok(None) => {}
                Err(LinkError::Malformed(error)) => tracing::warn!(%error, "a message of the daemon was ignored"),
                Err(error) => {
                    tracing::warn!(%error, "the daemon is gone; the stream goes on and waits for it");
                    self.link = None;
                    // Held keys would repeat for as long as the daemon is away. One that is only restarted knows them.
                    let patience = if self.kept.is_some() { HOLD_LIMIT } else { Duration::ZERO };
                    self.release_at = Some(Instant::now() + patience);
                }
            },
            None => {
                std::thread::sleep(REUNION_INTERVAL);
                self.reunite();
            }
        }
        if self.release_at.is_some_and(|at| at <= Instant::now()) {
            self.release_at = None;
            self.input.release_all();
        }
        while let Some(feedback) = self.input.poll_feedback() {
            self.tell(&FromWorker::Feedback(feedback));
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
            ToWorker::Stream(spec) => self.prepare(*spec)?,
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
            ToWorker::ReleaseInput => self.input.release_all(),
            ToWorker::Expect => self.alone_since = None,
            ToWorker::Keep(bytes) => self.kept = Some(bytes),
            ToWorker::Suspend => {
                self.end_stream();
                self.kept = None;
                self.input.release_all();
                self.alone_since.get_or_insert_with(Instant::now);
                tracing::info!(keep_alive = ?self.spec.keep_alive, "suspended");
            }
            ToWorker::Stop(reason) => return Err(reason),
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
        self.tell(&FromWorker::Ready);
        Ok(())
    }

    /// A stream is about to begin: the display takes the client's mode now, so that the first picture is right.
    fn prepare(&mut self, spec: StreamSpec) -> Result<(), EndReason> {
        self.end_stream();
        self.input.release_all();
        let mode = spec.video.encoder.mode;
        if let Stage::Open(display) = &mut self.stage
            && display.mode() != mode
        {
            display.set_mode(mode).map_err(failed)?;
            self.input.open(display.input().map_err(failed)?);
        }
        self.stream =
            Some(Stream { spec, stats: Arc::default(), video: None, audio: None, late: LateMedia::default() });
        self.alone_since = None;
        Ok(())
    }

    fn start_video(&mut self, socket: UdpSocket) -> Result<(), EndReason> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        if let Some(video) = &stream.video {
            video.replace_socket(socket);
            return Ok(());
        }
        let capture = match &mut self.stage {
            Stage::Open(display) => display.capture().map_err(failed)?,
            Stage::Opening(_) => {
                let mode = stream.spec.video.encoder.mode;
                let (arrival, capture) = capture::opening::Opening::new(mode, &self.spec.app.title);
                stream.late.pictures = Some(arrival);
                Box::new(capture)
            }
        };
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
        let channels = stream.spec.audio.channels;
        let source = match &mut self.stage {
            Stage::Open(display) => display.audio(channels),
            Stage::Opening(_) => {
                let (arrival, source) = late::Late::new(channels);
                stream.late.sound = Some(arrival);
                Box::new(source)
            }
        };
        // A stream without sound is better than none.
        match AudioStream::start(&stream.spec, source, socket, Arc::clone(&stream.stats)) {
            Ok(audio) => stream.audio = Some(audio),
            Err(error) => tracing::error!(%error, "this stream has no sound"),
        }
        Ok(())
    }

    fn with_video(&self, act: impl FnOnce(&VideoStream)) {
        if let Some(video) = self.stream.as_ref().and_then(|stream| stream.video.as_ref()) {
            act(video);
        }
    }

    /// Stops the stream. Its last figures are those after its last frame.
    fn end_stream(&mut self) {
        let Some(Stream { stats, video, audio, .. }) = self.stream.take() else { return };
        // Their threads have ended when these are gone.
        drop((video, audio));
        self.before.add(&stats.figures());
        self.tell(&FromWorker::Stats(Box::new(stats.snapshot())));
        self.tell(&FromWorker::Figures(Box::new(self.before.clone())));
    }

    fn report(&self) {
        if let Some(stream) = &self.stream {
            self.tell(&FromWorker::Stats(Box::new(stream.stats.snapshot())));
            let mut figures = self.before.clone();
            figures.add(&stream.stats.figures());
            self.tell(&FromWorker::Figures(Box::new(figures)));
        }
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
