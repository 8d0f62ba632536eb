//! The session engine: every client's session, from launch to quit. The servers translate wire requests into calls
//! of this value; it decides, and commands the workers. One lock, held briefly and never while waiting.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use lumen_core::gamestream::control::{ClientMessage, HdrMode, HostMessage, Termination};
use lumen_core::gamestream::http::{AppId, CodecMask, LaunchReply, LaunchRequest, LaunchVerb, Ports, SessionUrl};
use lumen_core::gamestream::rtsp::{RecordError, RtspCipher, SealedRecord};
use lumen_core::gamestream::sdp::{
    Ping, SenderAddress, SessionIds, SetupReply, StreamKind, StreamRequest, SurroundParams,
};

use crate::admin::{NoSuchSession, SessionDirectory, SessionInfo, SessionState};
use crate::config::{Encryption, LogConfig, StreamConfig};
use crate::display::{self, steps};
use crate::encode::{Codec, EncoderPreference};
use crate::frame::Mode;
use crate::gamestream::catalogue::AppCatalogue;
use crate::gamestream::control_server::{ControlEngine, ControlGrant, ControlHandle, LaunchId};
use crate::gamestream::http_server::{ClientIdentity, LaunchService, RefusedReason};
use crate::gamestream::media_sockets::{Media, MediaEngine, MediaPath, MediaSockets};
use crate::link::{AppSpec, EndReason, FromWorker, Link, Resumable, SessionId, SessionSpec, SessionStats, ToWorker};
use crate::store::Fingerprint;

use super::launch::{Control, Launch, Overdue};
use super::worker::{self, Worker, WorkerEvents, WorkerExit};

/// Code that a client shows to its user when the session broke: not one of the codes with a meaning of its own.
const BROKEN: u32 = 0x8000_4C4D;

/// For so long the stream of a worker that was taken back goes on. Its client has lost its control channel with the
/// earlier daemon, which it notices after ten seconds.
const ORPHAN_LIMIT: Duration = Duration::from_secs(15);

/// For so long a client whose launch was replaced still gets an answer over RTSP.
const REPLACED_LIMIT: Duration = Duration::from_secs(20);

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
    /// What can be encoded now.
    pub codecs: CodecMask,
    /// Encoders that work, for people.
    pub encoders: Vec<String>,
    /// How streams are sent.
    pub stream: StreamConfig,
    /// How workers log.
    pub log: LogConfig,
}

/// See the module.
pub struct Engine {
    config: EngineConfig,
    sockets: Arc<MediaSockets>,
    control: OnceLock<ControlHandle>,
    state: Mutex<State>,
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
}

#[derive(Debug)]
struct Session {
    spec: SessionSpec,
    worker: Worker,
    created: Instant,
    launch: Option<Launch>,
    mode: Mode,
    codec: Codec,
    stats: SessionStats,
    /// Since when a stream that was taken back from an earlier daemon goes on without a control channel.
    orphaned_stream: Option<Instant>,
    /// RTSP of launches that a newer one replaced: their clients are told so, in words that they can read.
    replaced: Vec<Replaced>,
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
            state: Mutex::default(),
            this: this.clone(),
        })
    }

    /// Where feedback goes. Called once, when the control thread runs.
    pub fn set_control(&self, control: ControlHandle) {
        let _ = self.control.set(control);
    }

    /// `/launch` and `/resume`.
    ///
    /// # Errors
    /// [`RefusedReason`] becomes the reply.
    fn launch_session(
        &self,
        owner: &ClientIdentity,
        request: &LaunchRequest,
        client: IpAddr,
        local: IpAddr,
    ) -> Result<LaunchReply, RefusedReason> {
        let encrypted = match self.config.stream.encryption {
            Encryption::Required if !request.understands_encrypted_rtsp() => {
                return Err(RefusedReason::EncryptionRequired);
            }
            Encryption::Never => false,
            _ => request.understands_encrypted_rtsp(),
        };
        let mut state = self.lock();
        if state.stopping {
            return Err(RefusedReason::ShuttingDown);
        }
        state.last_launch += 1;
        let id = LaunchId(state.last_launch);
        match (request.verb, state.of_owner(owner.fingerprint.as_bytes())) {
            (LaunchVerb::Launch, Some(_)) => return Err(RefusedReason::Busy),
            (LaunchVerb::Resume, None) => return Err(RefusedReason::NothingRunning),
            (LaunchVerb::Resume, Some(session)) => {
                self.suspend(session, "its client launches anew");
                session.tell(&ToWorker::Expect);
            }
            (LaunchVerb::Launch, None) => {
                let app = self.config.apps.find(request.app).ok_or(RefusedReason::UnknownApp(request.app))?;
                let app = AppSpec::new(app.id.get(), &app.config);
                if state.sessions.len() >= usize::from(self.config.stream.max_sessions) {
                    return Err(RefusedReason::TooManySessions(self.config.stream.max_sessions));
                }
                let id = free_id(state.sessions.keys());
                let session = self.start(id, owner, app, request).map_err(|error| {
                    tracing::error!(client = %owner.name, "{error:#}");
                    RefusedReason::Failed(format!("{error:#}"))
                })?;
                state.sessions.insert(session.spec.id, session);
            }
        }
        let session = state.of_owner(owner.fingerprint.as_bytes()).ok_or(RefusedReason::NothingRunning)?;
        session.launch = Some(Launch::new(id, request, client, encrypted));
        tracing::info!(session = %session.spec.id, client = %owner.name, verb = ?request.verb, encrypted, "launch");
        let session_url = SessionUrl::new(local, self.config.ports.rtsp, encrypted);
        Ok(LaunchReply { verb: request.verb, session_url })
    }

    /// Ends a session; `false` if there is none.
    pub fn end(&self, id: SessionId, reason: EndReason) -> bool {
        let session = {
            let mut state = self.lock();
            let Some(session) = state.sessions.remove(&id) else { return false };
            state.ending.insert(id, session.spec.clone());
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

    /// Takes no more launches: this daemon ends, and sessions wait for the next one.
    pub fn leave(&self) {
        self.lock().stopping = true;
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
                    mode,
                    codec: Codec::H264,
                    stats: SessionStats::default(),
                    orphaned_stream: streaming.then(Instant::now),
                    replaced: Vec::new(),
                };
                state.sessions.insert(id, session);
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
    pub fn announce(&self, launch: LaunchId, wish: &StreamRequest) -> anyhow::Result<bool> {
        let mut state = self.lock();
        let Some(session) = state.of_launch(launch) else { return Ok(false) };
        let Some(launch) = session.launch.as_mut() else { return Ok(false) };
        let announced = super::negotiate::announced(wish, launch, &self.config.stream, self.config.audio_complexity)?;
        session.mode = announced.stream.video.encoder.mode;
        session.codec = announced.stream.video.encoder.codec;
        session.orphaned_stream = None;
        let message = ToWorker::Stream(Box::new(announced.stream.clone()));
        launch.announced = Some(announced);
        session.tell(&message);
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
        let worker = worker::spawn(&spec, &self.config.log, events)?;
        Ok(Session {
            spec,
            worker,
            created: Instant::now(),
            launch: None,
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

impl LaunchService for Engine {
    fn codec_mask(&self) -> CodecMask {
        self.config.codecs
    }

    fn launch(
        &self,
        client: &ClientIdentity,
        request: LaunchRequest,
        local: SocketAddr,
        peer: SocketAddr,
    ) -> Result<LaunchReply, RefusedReason> {
        self.launch_session(client, &request, peer.ip(), local.ip())
    }

    fn resume(
        &self,
        client: &ClientIdentity,
        request: LaunchRequest,
        local: SocketAddr,
        peer: SocketAddr,
    ) -> Result<LaunchReply, RefusedReason> {
        self.launch_session(client, &request, peer.ip(), local.ip())
    }

    fn cancel(&self, client: &ClientIdentity) -> Result<(), RefusedReason> {
        let id = self.lock().of_owner(client.fingerprint.as_bytes()).map(|session| session.spec.id);
        if let Some(id) = id {
            self.end(id, EndReason::Quit);
        }
        Ok(())
    }

    fn running_app(&self, client: &ClientIdentity) -> Option<AppId> {
        self.lock().of_owner(client.fingerprint.as_bytes()).and_then(|session| AppId::new(session.spec.app.id).ok())
    }

    fn client_removed(&self, client: &ClientIdentity) {
        let id = self.lock().of_owner(client.fingerprint.as_bytes()).map(|session| session.spec.id);
        if let Some(id) = id {
            self.end(id, EndReason::Administrator);
        }
    }
}

impl SessionDirectory for Engine {
    fn sessions(&self) -> Vec<SessionInfo> {
        let state = self.lock();
        let mut all: Vec<_> = state.sessions.values().map(describe).collect();
        all.sort_by_key(|info| (std::cmp::Reverse(info.age_seconds), info.id));
        all
    }

    fn stop(&self, id: crate::admin::SessionId) -> Result<(), NoSuchSession> {
        if self.end(SessionId(id.0), EndReason::Administrator) { Ok(()) } else { Err(NoSuchSession(id)) }
    }

    fn encoders(&self) -> Vec<String> {
        self.config.encoders.clone()
    }
}

fn describe(session: &Session) -> SessionInfo {
    let control = session.launch.as_ref().and_then(|launch| launch.control.as_ref());
    let announced = session.launch.as_ref().and_then(|launch| launch.announced.as_ref());
    let Mode { width, height, .. } = session.mode;
    SessionInfo {
        id: crate::admin::SessionId(session.spec.id.0),
        state: session.state(),
        client: session.spec.owner_name.clone(),
        fingerprint: Fingerprint::new(session.spec.owner),
        peer: control.map(|control| control.client),
        app: session.spec.app.title.clone(),
        mode: Some(format!("{width}x{height}@{}", session.mode.fps())),
        codec: announced.map(|_| format!("{:?}", session.codec)),
        encoder: Some(session.stats.encoder.clone()).filter(|name| !name.is_empty()),
        bitrate_kbps: announced.map(|a| u32::try_from(a.stream.video.encoder.bitrate_bps / 1000).unwrap_or(u32::MAX)),
        frames_sent: session.stats.frames_sent,
        frames_dropped: session.stats.frames_dropped,
        frames_skipped: session.stats.frames_replaced + session.stats.frames_skipped,
        age_seconds: session.created.elapsed().as_secs(),
        worker_pid: Some(session.worker.pid),
    }
}

impl ControlEngine for Engine {
    fn control_connected(&self, connect_data: u32, client: SocketAddr, local: Option<IpAddr>) -> Option<ControlGrant> {
        let mut state = self.lock();
        let session = state.sessions.values_mut().find(|session| {
            session.launch.as_ref().is_some_and(|launch| {
                let Some(announced) = &launch.announced else { return false };
                // The connect data are good for one connection; a client without session ids is known by address.
                launch.control.is_none()
                    && match announced.ids {
                        SessionIds::Used => launch.connect_data.0 == connect_data,
                        SessionIds::NotUsed => launch.client == client.ip().to_canonical(),
                    }
            })
        })?;
        let now = Instant::now();
        let launch = session.launch.as_mut()?;
        launch.control = Some(Control { client, local, since: now, last_word: now });
        let grant = ControlGrant { launch: launch.id, key: launch.key, mode: launch.announced.as_ref()?.mode };
        tracing::info!(session = %session.spec.id, %client, "control channel up");
        self.start_media(session);
        Some(grant)
    }

    fn control_alive(&self, launch: LaunchId) {
        if let Some(control) =
            self.lock().of_launch(launch).and_then(|s| s.launch.as_mut()).and_then(|l| l.control.as_mut())
        {
            control.last_word = Instant::now();
        }
    }

    fn control_message(&self, launch: LaunchId, message: ClientMessage) {
        let mut state = self.lock();
        let Some(session) = state.of_launch(launch) else { return };
        match message {
            ClientMessage::Input(event) => session.tell(&ToWorker::Input(Box::new(event))),
            ClientMessage::RequestIdr | ClientMessage::StartA => session.tell(&ToWorker::RequestIdr),
            ClientMessage::InvalidateReferences(range) => {
                session.tell(&ToWorker::Invalidate { first: range.first(), last: range.last() });
            }
            ClientMessage::FecStatus(status) => {
                let sent = u32::from(status.total_data) + u32::from(status.total_parity);
                let received = u32::from(status.received_data) + u32::from(status.received_parity);
                session.tell(&ToWorker::Loss { sent, missing: sent.saturating_sub(received) });
            }
            // The state of the display belongs to what a client must know before its first frame.
            ClientMessage::StartB => {
                if let Some(control) = self.control.get() {
                    control.send(launch, HostMessage::HdrMode(HdrMode::SDR));
                }
            }
            // Its arrival was all it had to say.
            ClientMessage::Ping { .. } | ClientMessage::LtrAck { .. } | ClientMessage::LossStats { .. } => {}
        }
    }

    fn control_gone(&self, launch: LaunchId) {
        let mut state = self.lock();
        if let Some(session) = state.of_launch(launch) {
            self.suspend(session, "its client left");
        }
    }
}

impl MediaEngine for Engine {
    fn media_datagram(&self, media: Media, datagram: &[u8], from: MediaPath) {
        let Ok(ping) = Ping::parse(datagram) else { return };
        let mut state = self.lock();
        for session in state.sessions.values_mut() {
            let Some(launch) = session.launch.as_mut() else { continue };
            let ids = launch.announced.as_ref().map_or(SessionIds::Used, |announced| announced.ids);
            let known = launch.control.as_ref().map_or(launch.client, |control| control.client.ip().to_canonical());
            let sender = if known == from.client.ip() { SenderAddress::Same } else { SenderAddress::Other };
            if ping.belongs_to(&launch.ping_payload, ids, sender).is_ok() {
                launch.media(media).client = Some(from);
                self.start_media(session);
                return;
            }
        }
    }
}

impl WorkerEvents for Engine {
    fn worker_said(&self, id: SessionId, message: FromWorker) {
        let mut state = self.lock();
        let Some(session) = state.sessions.get_mut(&id) else { return };
        match message {
            FromWorker::Ready => tracing::debug!(session = %id, "display up"),
            FromWorker::Feedback(feedback) => {
                if let (Some(control), Some(launch)) = (self.control.get(), &session.launch) {
                    control.send(launch.id, feedback);
                }
            }
            FromWorker::Stats(stats) => session.stats = *stats,
            FromWorker::Ended(reason) => {
                tracing::info!(session = %id, %reason, "ended by its worker");
                if let Some(launch) = &session.launch {
                    self.end_control(launch.id, Some(farewell(&reason)));
                }
                if let Some(session) = state.sessions.remove(&id) {
                    state.ending.insert(id, session.spec);
                }
            }
            FromWorker::Reunion(_) => {}
        }
    }

    fn worker_gone(&self, id: SessionId, exit: &WorkerExit) {
        let (session, ending) = {
            let mut state = self.lock();
            (state.sessions.remove(&id), state.ending.remove(&id))
        };
        if let Some(session) = &session {
            tracing::error!(session = %id, status = %exit, "the worker died; its client is told, nobody else notices");
            if let Some(launch) = &session.launch {
                self.end_control(launch.id, Some(Termination::from_code(BROKEN)));
            }
        }
        let died = session.is_some() || exit.was_killed();
        let Some(spec) = session.map(|session| session.spec).or(ending) else { return };
        display::clean_up(&id.to_string(), &spec.directory);
        // A worker that ended by itself has run them.
        if died && !exit.in_order() {
            steps::after(&spec);
        }
    }
}
