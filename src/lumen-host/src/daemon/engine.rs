//! The session engine: every client's session, from launch to quit. The servers translate wire requests into calls
//! of this value; it decides, and commands the workers. One lock, held briefly and never while waiting.

mod ledger;
#[cfg(feature = "quic")]
mod native;
mod services;

use std::collections::HashMap;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use lumen_core::gamestream::control::Termination;
use lumen_core::gamestream::http::{CodecMask, LaunchRequest, LaunchVerb, Ports};
use lumen_core::gamestream::rtsp::{RecordError, RtspCipher, SealedRecord};
use lumen_core::gamestream::sdp::{SetupReply, StreamKind, StreamRequest, SurroundParams};
use lumen_core::lumen1;
use lumen_core::lumen1::keys::RANDOM_LEN;
use lumen_core::lumen1::negotiation::{Offer, Schemes};

use crate::admin::SessionState;
use crate::config::{LogConfig, StreamConfig};
use crate::display::steps;
use crate::encode::{Codec, EncoderPreference};
use crate::frame::Mode;
use crate::gamestream::catalogue::AppCatalogue;
use crate::gamestream::control_server::{Connection, ControlGrant, ControlHandle, LaunchId};
use crate::gamestream::http_server::{ClientIdentity, RefusedReason};
use crate::gamestream::media_sockets::{Media, MediaSockets};
use crate::link::{AppSpec, EndReason, Link, Resumable, SessionId, SessionSpec, SessionStats, ToWorker};
use crate::store::{Fingerprint, Store};

use super::handover::Handover;
use super::launch::{Launch, Overdue, Rtsp};
use super::negotiate::Lumen1Terms;
use super::route::Gate;
use super::worker::{self, Worker};
use ledger::Ledger;

/// Code that a client shows to its user when the session broke: not one of the codes with a meaning of its own.
const BROKEN: u32 = 0x8000_4C4D;

/// For so long the stream of a worker that was taken back goes on. Its client has lost its control channel with the
/// earlier daemon, which it notices after ten seconds.
const ORPHAN_LIMIT: Duration = Duration::from_secs(15);

/// For so long a client whose launch was replaced still gets an answer over RTSP.
const REPLACED_LIMIT: Duration = Duration::from_secs(20);

/// For so long a launch waits for its display before it is answered. What fails meanwhile is told in the answer; what
/// takes longer is streamed as it comes up.
const LAUNCH_PATIENCE: Duration = Duration::from_secs(3);

/// For so long a daemon that ends waits for its sessions to do so. Workers that hang are killed before that.
const END_PATIENCE: Duration = Duration::from_secs(20);

/// What the engine must know.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Ports of all services.
    pub ports: Ports,
    /// Which encoder to take.
    pub encoder: EncoderPreference,
    /// Effort of the Opus encoder, 0 to 10.
    pub audio_complexity: u8,
    /// Directory for those of the sessions.
    pub sessions: PathBuf,
    /// Socket on which lost workers come back.
    pub reunion: PathBuf,
    /// Applications on offer.
    pub apps: Arc<AppCatalogue>,
    /// Clients, and what they may do.
    pub store: Arc<Store>,
    /// How streams are sent.
    pub stream: StreamConfig,
    /// How workers log.
    pub log: LogConfig,
}

/// The encoders that work.
#[derive(Debug)]
pub struct Encoders {
    /// What can be encoded.
    pub codecs: CodecMask,
    /// Each of them, for people.
    pub names: Vec<String>,
}

/// See the module.
pub struct Engine {
    config: EngineConfig,
    sockets: Arc<MediaSockets>,
    control: OnceLock<ControlHandle>,
    encoders: OnceLock<Encoders>,
    state: Mutex<State>,
    /// A display came up, or a session ended.
    changed: Condvar,
    /// For the threads that listen to workers.
    this: Weak<Engine>,
}

#[derive(Debug, Default)]
struct State {
    sessions: HashMap<SessionId, Session>,
    /// Sessions that were told to end, or said so, and whose worker still lives.
    ending: HashMap<SessionId, SessionSpec>,
    last_launch: u64,
    stopping: bool,
    ledger: Ledger,
}

#[derive(Debug)]
struct Session {
    spec: SessionSpec,
    worker: Worker,
    created: Instant,
    launch: Option<Launch>,
    start: Arc<Start>,
    mode: Mode,
    codec: Codec,
    stats: SessionStats,
    /// Since when a stream that was taken back from an earlier daemon goes on without a control channel.
    orphaned_stream: Option<Instant>,
    /// RTSP of launches that a newer one replaced: their clients are told so, in words that they can read.
    replaced: Vec<Replaced>,
}

/// How the start of a session went, for whoever launched it.
#[derive(Debug, Default)]
struct Start(OnceLock<Result<(), EndReason>>);

impl Start {
    fn went(&self, how: Result<(), EndReason>) {
        // The first word counts.
        let _ = self.0.set(how);
    }

    fn is_over(&self) -> bool {
        self.0.get().is_some()
    }
}

#[derive(Debug)]
struct Replaced {
    launch: LaunchId,
    client: IpAddr,
    cipher: RtspCipher,
    at: Instant,
}

impl Session {
    fn tell(&self, message: &ToWorker) {
        if let Err(error) = self.worker.link.send(message, &[]) {
            tracing::warn!(session = %self.spec.id, %error, "the worker did not hear this");
        }
    }

    /// Leaves all that is known of its stream with the worker, from which the next daemon has it. A stream over lumen/1
    /// has no control connection.
    fn leave_to_successor(&self, connection: Option<Connection>) {
        let Some(launch) = self.launch.as_ref().and_then(Launch::streaming) else { return };
        match (Handover { launch, connection }).to_bytes() {
            Ok(bytes) => self.tell(&ToWorker::Keep(bytes)),
            Err(error) => tracing::warn!(session = %self.spec.id, %error, "its client will have to resume"),
        }
    }

    fn rtsp_ciphers(&mut self) -> impl Iterator<Item = (LaunchId, &mut RtspCipher)> {
        let current = self.launch.as_mut().and_then(|launch| Some((launch.id, launch.cipher.as_mut()?)));
        current.into_iter().chain(self.replaced.iter_mut().map(|old| (old.launch, &mut old.cipher)))
    }

    fn state(&self) -> SessionState {
        match &self.launch {
            Some(launch) if launch.is_streaming() => SessionState::Streaming,
            Some(launch) if launch.announced.is_some() => SessionState::Negotiated,
            Some(_) => SessionState::Launched,
            None if self.orphaned_stream.is_some() => SessionState::Streaming,
            None => SessionState::Suspended,
        }
    }
}

impl State {
    fn of_owner(&mut self, owner: &[u8; 32]) -> Option<&mut Session> {
        self.sessions.values_mut().find(|session| session.spec.owner == *owner)
    }

    fn of_launch(&mut self, id: LaunchId) -> Option<&mut Session> {
        self.sessions.values_mut().find(|session| session.launch.as_ref().is_some_and(|launch| launch.id == id))
    }

    fn launches(&mut self) -> impl Iterator<Item = &mut Launch> {
        self.sessions.values_mut().filter_map(|session| session.launch.as_mut())
    }
}

impl Engine {
    /// An engine without sessions.
    pub fn new(config: EngineConfig, sockets: Arc<MediaSockets>) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            config,
            sockets,
            control: OnceLock::new(),
            encoders: OnceLock::new(),
            state: Mutex::default(),
            changed: Condvar::new(),
            this: this.clone(),
        })
    }

    /// Where feedback goes. Called once, when the control thread runs.
    pub fn set_control(&self, control: ControlHandle) {
        let _ = self.control.set(control);
    }

    /// What can be encoded. Called once, before clients are served.
    pub fn set_encoders(&self, found: Encoders) {
        let _ = self.encoders.set(found);
    }

    /// Launches or resumes.
    ///
    /// # Errors
    /// [`RefusedReason`] becomes the reply.
    fn launch_session(
        &self,
        owner: &ClientIdentity,
        request: &LaunchRequest,
        client: IpAddr,
        rtsp: Rtsp,
    ) -> Result<LaunchId, RefusedReason> {
        let may = self.config.store.grants(&owner.fingerprint);
        let mut state = self.lock();
        if state.stopping {
            return Err(RefusedReason::ShuttingDown);
        }
        state.last_launch += 1;
        let id = LaunchId(state.last_launch);
        let mut awaited = None;
        match (request.verb, state.of_owner(owner.fingerprint.as_bytes())) {
            (LaunchVerb::Launch, Some(_)) => return Err(RefusedReason::Busy),
            (LaunchVerb::Resume, None) => return Err(RefusedReason::NothingRunning),
            (LaunchVerb::Resume, Some(session)) if !may.allow_app(&session.spec.app.title) => {
                return Err(RefusedReason::NotGranted(session.spec.app.title.clone()));
            }
            (LaunchVerb::Resume, Some(session)) => {
                self.suspend(session, "its client launches anew");
                session.tell(&ToWorker::Expect);
            }
            (LaunchVerb::Launch, None) => {
                let app = self.config.apps.find_for(&may, request.app).ok_or(RefusedReason::UnknownApp(request.app))?;
                let app = AppSpec::new(app.id.get(), &app.config);
                if state.sessions.len() >= usize::from(self.config.stream.max_sessions) {
                    return Err(RefusedReason::TooManySessions(self.config.stream.max_sessions));
                }
                let id = free_id(state.sessions.keys());
                let session = self.start(id, owner, app, request).map_err(|error| {
                    tracing::error!(client = %owner.name, "{error:#}");
                    RefusedReason::Failed(format!("{error:#}"))
                })?;
                awaited = Some(Arc::clone(&session.start));
                state.ledger.started(session.spec.id);
                state.sessions.insert(session.spec.id, session);
            }
        }
        let session = state.of_owner(owner.fingerprint.as_bytes()).ok_or(RefusedReason::NothingRunning)?;
        session.launch = Some(Launch::new(id, request, client, rtsp));
        tracing::info!(session = %session.spec.id, client = %owner.name, verb = ?request.verb, ?rtsp, "launch");
        if let Some(start) = awaited {
            self.started(state, &start)?;
        }
        Ok(id)
    }

    /// Waits, without the lock, until the display of a session is up or still on its way after a while.
    fn started(&self, state: MutexGuard<'_, State>, start: &Start) -> Result<(), RefusedReason> {
        let waited = self.changed.wait_timeout_while(state, LAUNCH_PATIENCE, |_| !start.is_over());
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        match start.0.get() {
            None | Some(Ok(())) => Ok(()),
            Some(Err(EndReason::Failed(reason))) => Err(RefusedReason::Failed(reason.clone())),
            Some(Err(reason)) => Err(RefusedReason::Failed(format!("The session ended: {reason}"))),
        }
    }

    /// Ends a session; `false` if there is none.
    pub fn end(&self, id: SessionId, reason: EndReason) -> bool {
        let session = {
            let mut state = self.lock();
            let Some(session) = state.sessions.remove(&id) else { return false };
            state.ending.insert(id, session.spec.clone());
            state.ledger.ended(&reason);
            self.went(&session, Err(reason.clone()));
            session
        };
        tracing::info!(session = %id, %reason, "ending");
        if let Some(launch) = &session.launch {
            self.end_control(launch.id, Some(farewell(&reason)));
        }
        // What it leaves if it must be killed is put away when it is gone.
        session.worker.stop(reason, steps::longest_after(&session.spec));
        true
    }

    /// One line for the service manager.
    pub fn summary(&self) -> String {
        let state = self.lock();
        let streaming = state.sessions.values().filter(|s| s.state() == SessionState::Streaming).count();
        format!("{} sessions, {streaming} streaming", state.sessions.len())
    }

    /// Ends all sessions: the host shuts down.
    pub fn shut_down(&self) {
        let ids: Vec<_> = {
            let mut state = self.lock();
            state.stopping = true;
            state.sessions.keys().copied().collect()
        };
        for id in ids {
            self.end(id, EndReason::Shutdown);
        }
    }

    /// Waits until the sessions that were told to end have put everything away, but not for ever.
    pub fn wait_for_ends(&self) {
        let waited = self.changed.wait_timeout_while(self.lock(), END_PATIENCE, |state| !state.ending.is_empty());
        let left = waited.map_or(0, |(state, _)| state.ending.len());
        if left > 0 {
            tracing::warn!(left, "sessions still end; this daemon does not wait any longer");
        }
    }

    /// Takes no more launches: this daemon ends, and sessions wait for the next one. Ends the control thread.
    pub fn leave(&self) {
        self.lock().stopping = true;
        let connections = self.control.get().map(ControlHandle::hand_over).unwrap_or_default();
        let mut state = self.lock();
        for (id, connection) in connections {
            if let Some(session) = state.of_launch(id) {
                session.leave_to_successor(Some(connection));
            }
        }
    }

    /// Goes on with the stream of an earlier daemon.
    fn go_on(&self, state: &mut State, id: SessionId, Handover { launch, connection }: Handover) {
        state.last_launch += 1;
        let launch = Launch::resumed(LaunchId(state.last_launch), launch);
        let Some(session) = state.sessions.get_mut(&id) else { return };
        let (Some(announced), Some(control), None) = (&launch.announced, self.control.get(), &session.launch) else {
            return;
        };
        let grant = ControlGrant { launch: launch.id, key: launch.key, mode: announced.mode };
        session.mode = announced.stream.video.encoder.mode;
        session.codec = announced.stream.video.encoder.codec;
        session.orphaned_stream = None;
        session.launch = Some(launch);
        tracing::info!(session = %id, "its stream goes on");
        match connection {
            Some(connection) => control.take_over(grant, connection),
            // A crash of this daemon ends it as little.
            None => session.leave_to_successor(None),
        }
    }

    /// Ends what is overdue. To be called a few times a second.
    pub fn tick(&self) {
        let now = Instant::now();
        let mut state = self.lock();
        for session in state.sessions.values_mut() {
            if session.orphaned_stream.is_some_and(|since| now.duration_since(since) > ORPHAN_LIMIT) {
                session.orphaned_stream = None;
                tracing::info!(session = %session.spec.id, "suspended: its client did not come back to this daemon");
                session.tell(&ToWorker::Suspend);
            }
            let Some(overdue) = session.launch.as_ref().and_then(|launch| launch.overdue(now)) else { continue };
            let why = match overdue {
                Overdue::NeverConnected => "its client never connected",
                Overdue::Silent => "its client fell silent",
                Overdue::NoPing => "its client's media pings never came",
            };
            self.suspend(session, why);
        }
    }

    /// Takes back the worker of an earlier daemon.
    pub fn adopt(&self, link: Link, resumable: Resumable) {
        let Resumable { spec, pid, streaming } = resumable;
        let id = spec.id;
        let Some(this) = self.this.upgrade() else { return };
        let mut state = self.lock();
        if state.stopping || state.sessions.contains_key(&id) || state.of_owner(&spec.owner).is_some() {
            tracing::warn!(session = %id, pid, "a worker came back that nobody misses; ending it");
            let _ = link.send(&ToWorker::Stop(EndReason::Administrator), &[]);
            return;
        }
        match worker::adopt(id, pid, link, this) {
            Ok(worker) => {
                tracing::info!(session = %id, pid, streaming, "session taken back");
                let mode = spec.mode;
                let session = Session {
                    spec,
                    worker,
                    created: Instant::now(),
                    launch: None,
                    // Nobody waits for it: it was launched before this daemon began.
                    start: Arc::default(),
                    mode,
                    codec: Codec::H264,
                    stats: SessionStats::default(),
                    orphaned_stream: streaming.then(Instant::now),
                    replaced: Vec::new(),
                };
                state.sessions.insert(id, session);
                state.ledger.tally.sessions_taken_back += 1;
            }
            Err(error) => tracing::error!(session = %id, "cannot take a worker back: {error:#}"),
        }
    }

    // RTSP ---------------------------------------------------------------------------------------

    /// Whose sealed RTSP request this is, and what it says. Tries the keys of the launches from `client`.
    ///
    /// # Errors
    /// The last cipher's word if none fits.
    pub fn open_rtsp(&self, client: IpAddr, record: &SealedRecord) -> Result<(LaunchId, Vec<u8>), RecordError> {
        let client = client.to_canonical();
        let mut state = self.lock();
        let mut refused = RecordError::BadTag;
        for launch in state.launches().filter(|launch| launch.client == client) {
            match launch.cipher.as_mut().map(|cipher| cipher.open(record)) {
                Some(Ok(text)) => return Ok((launch.id, text)),
                Some(Err(RecordError::Replay)) => refused = RecordError::Replay,
                _ => {}
            }
        }
        for old in state.sessions.values_mut().flat_map(|session| &mut session.replaced) {
            if old.client == client
                && let Ok(text) = old.cipher.open(record)
            {
                return Ok((old.launch, text));
            }
        }
        Err(refused)
    }

    /// Seals an RTSP reply for a launch, or for one that was replaced.
    pub fn seal_rtsp(&self, launch: LaunchId, text: &[u8]) -> Option<Vec<u8>> {
        let mut state = self.lock();
        let sessions = state.sessions.values_mut();
        let cipher = sessions.flat_map(|session| session.rtsp_ciphers()).find(|(id, _)| *id == launch)?.1;
        cipher.seal(text).ok()
    }

    /// Whose plain RTSP request this is: by the session token if the client has one already, else the newest
    /// plain launch from `client` that is not announced yet.
    pub fn plain_rtsp(&self, client: IpAddr, token: Option<&str>) -> Option<LaunchId> {
        let client = client.to_canonical();
        let mut state = self.lock();
        let candidates = state.launches().filter(|launch| launch.client == client && launch.cipher.is_none());
        match token {
            Some(token) => candidates.into_iter().find(|launch| launch.token.as_str() == token).map(|l| l.id),
            None => candidates.filter(|launch| !launch.is_streaming()).map(|launch| launch.id).max_by_key(|id| id.0),
        }
    }

    /// The client's own surround layout, for DESCRIBE; `None` if the launch is gone.
    pub fn surround(&self, launch: LaunchId) -> Option<Option<SurroundParams>> {
        self.with_launch(launch, |launch| launch.surround)
    }

    fn with_launch<T>(&self, launch: LaunchId, read: impl FnOnce(&Launch) -> T) -> Option<T> {
        self.lock().of_launch(launch)?.launch.as_ref().map(read)
    }

    /// What is offered of lumen/1 to a client that asked for it in DESCRIBE; `None` if nothing is.
    pub fn offer_lumen1(&self, launch: LaunchId) -> Option<Offer> {
        if !self.config.stream.lumen1 {
            return None;
        }
        let (mut session, mut random) = ([0; 4], [0; RANDOM_LEN]);
        super::random(&mut session);
        super::random(&mut random);
        let mut state = self.lock();
        let client = state.of_launch(launch)?;
        let offer = Offer {
            session: lumen1::header::SessionId(u32::from_be_bytes(session)),
            random,
            port: self.config.ports.video,
            datagram: lumen1::DEFAULT_DATAGRAM as u16,
            schemes: Schemes::ALL,
            grants: self.config.store.grants(&Fingerprint::new(client.spec.owner)).streams(),
        };
        client.launch.as_mut()?.offer = Some(offer);
        Some(offer)
    }

    /// What was offered of lumen/1 to this launch's client.
    pub fn offered(&self, launch: LaunchId) -> Option<Offer> {
        self.with_launch(launch, |launch| launch.offer).flatten()
    }

    /// The reply to SETUP.
    pub fn setup(&self, launch: LaunchId, stream: StreamKind) -> Option<SetupReply> {
        let ports = self.config.ports;
        self.with_launch(launch, |launch| {
            let (port, ping, connect) = match stream {
                StreamKind::Audio => (ports.audio, Some(launch.ping_payload), None),
                StreamKind::Video => (ports.video, Some(launch.ping_payload), None),
                StreamKind::Control => (ports.control, None, Some(launch.connect_data)),
            };
            SetupReply { session: Some(launch.token.clone()), port, ping_payload: ping, connect_data: connect }
        })
    }

    /// ANNOUNCE: what the client wants. The worker prepares it. `Ok(false)` if the launch is gone.
    ///
    /// # Errors
    /// If this host cannot stream that.
    pub fn announce(
        &self,
        launch: LaunchId,
        wish: &StreamRequest,
        lumen1: Option<Lumen1Terms>,
    ) -> anyhow::Result<bool> {
        let mut state = self.lock();
        let Some(session) = state.of_launch(launch) else { return Ok(false) };
        let Some(launch) = session.launch.as_mut() else { return Ok(false) };
        let announced =
            super::negotiate::announced(wish, lumen1, launch, &self.config.stream, self.config.audio_complexity)?;
        session.mode = announced.stream.video.encoder.mode;
        session.codec = announced.stream.video.encoder.codec;
        session.orphaned_stream = None;
        let stream = Box::new(announced.stream.clone());
        let message = match &announced.lumen1 {
            Some(lumen1) => {
                let may = self.config.store.grants(&Fingerprint::new(session.spec.owner));
                ToWorker::Lumen1(stream, Box::new(lumen1.clone()), Box::new(may))
            }
            None => ToWorker::Stream(stream),
        };
        let adapts = announced.adapts;
        launch.gate = Gate::of(&announced);
        launch.announced = Some(announced);
        session.tell(&message);
        if let Some(least) = adapts {
            session.tell(&ToWorker::Adapt(least));
        }
        Ok(true)
    }

    // --------------------------------------------------------------------------------------------

    fn start(
        &self,
        id: SessionId,
        owner: &ClientIdentity,
        app: AppSpec,
        request: &LaunchRequest,
    ) -> anyhow::Result<Session> {
        let mode = Mode::new(request.mode.width, request.mode.height, request.mode.fps.clamp(1, 500));
        let spec = SessionSpec {
            id,
            owner: *owner.fingerprint.as_bytes(),
            owner_name: owner.name.clone(),
            app,
            mode,
            keep_alive: Duration::from_secs(self.config.stream.keep_alive.into()),
            directory: self.config.sessions.join(id.to_string()),
            reunion: self.config.reunion.clone(),
            encoder: self.config.encoder,
        };
        let events = self.this.upgrade().ok_or_else(|| anyhow::anyhow!("the host is shutting down"))?;
        let worker = worker::spawn(&spec, &self.config.store.grants(&owner.fingerprint), &self.config.log, events)?;
        Ok(Session {
            spec,
            worker,
            created: Instant::now(),
            launch: None,
            start: Arc::default(),
            mode,
            codec: Codec::H264,
            stats: SessionStats::default(),
            orphaned_stream: None,
            replaced: Vec::new(),
        })
    }

    /// Stops the stream; display and application stay.
    fn suspend(&self, session: &mut Session, why: &str) {
        session.orphaned_stream = None;
        let Some(launch) = session.launch.take() else { return };
        session.replaced.retain(|old| old.at.elapsed() < REPLACED_LIMIT);
        if let Some(cipher) = launch.cipher {
            session.replaced.push(Replaced { launch: launch.id, client: launch.client, cipher, at: Instant::now() });
        }
        tracing::info!(session = %session.spec.id, why, "suspended");
        self.end_control(launch.id, None);
        session.tell(&ToWorker::Suspend);
    }

    /// The start of a session is over.
    fn went(&self, session: &Session, how: Result<(), EndReason>) {
        session.start.went(how);
        self.changed.notify_all();
    }

    fn end_control(&self, launch: LaunchId, reason: Option<Termination>) {
        if let Some(control) = self.control.get() {
            control.end(launch, reason);
        }
    }

    /// Gives the worker a connected socket for every medium whose client address is known, once the client may
    /// receive media.
    fn start_media(&self, session: &mut Session) {
        let Some(launch) = session.launch.as_mut() else { return };
        let Some(control_local) = launch.control.as_ref().map(|control| control.local) else { return };
        for media in [Media::Video, Media::Audio] {
            let state = launch.media(media);
            let Some(path) = state.client else { continue };
            let client = path.client;
            if state.sending_to == Some(client) {
                continue;
            }
            // On a host with several addresses, media leave from where the client talks to (part 2, section 3.2).
            match self.sockets.connected(media, path, control_local) {
                Ok(socket) => {
                    let message = match media {
                        Media::Video => ToWorker::VideoSocket(client),
                        Media::Audio => ToWorker::AudioSocket(client),
                    };
                    match session.worker.link.send(&message, &[socket.as_fd()]) {
                        Ok(()) => launch.media(media).sending_to = Some(client),
                        Err(error) => tracing::warn!(session = %session.spec.id, %error, "socket not handed over"),
                    }
                }
                Err(error) => tracing::warn!(%client, %error, "no socket towards the client"),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("config", &self.config).finish_non_exhaustive()
    }
}

/// A new session's number: no other session has the same tone on its test card.
fn free_id<'a>(taken: impl Iterator<Item = &'a SessionId> + Clone) -> SessionId {
    loop {
        let mut id = [0; 4];
        super::random(&mut id);
        let id = SessionId(u32::from_le_bytes(id).into());
        // There are 128 tones and at most 64 sessions.
        if taken.clone().all(|other| other.mark() % 128 != id.mark() % 128) {
            return id;
        }
    }
}

fn farewell(reason: &EndReason) -> Termination {
    match reason {
        EndReason::Failed(_) => Termination::from_code(BROKEN),
        _ => Termination::Closed,
    }
}
