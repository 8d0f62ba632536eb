//! What the servers ask of the engine, and what workers tell it: each in the words of its own room.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Instant;

use lumen_core::gamestream::control::{ClientMessage, HdrMode, HostMessage, Termination};
use lumen_core::gamestream::http::{AppId, CodecMask, LaunchReply, LaunchRequest, Profile, SessionUrl};
use lumen_core::gamestream::sdp::{Ping, SenderAddress, SessionIds};

use crate::admin::{NoSuchSession, SessionDirectory, SessionInfo, Tally, Transport};
use crate::config::Encryption;
use crate::daemon::handover::Handover;
use crate::daemon::launch::{Control, Rtsp};
use crate::daemon::route::Pass;
use crate::daemon::worker::{self, WorkerEvents, WorkerExit};
use crate::display;
use crate::frame::Mode;
use crate::gamestream::control_server::{ControlEngine, ControlGrant, LaunchId};
use crate::gamestream::http_server::{ClientIdentity, LaunchService, RefusedReason};
use crate::gamestream::media_sockets::{Media, MediaEngine, MediaPath};
use crate::link::{EndReason, FromWorker, SessionId, ToWorker};
use crate::store::Fingerprint;

use super::{BROKEN, Engine, Session, farewell};

impl LaunchService for Engine {
    fn codec_mask(&self) -> CodecMask {
        // No client is served before it is known.
        self.encoders.get().map_or(Profile::H264High8.into(), |found| found.codecs)
    }

    fn launch(
        &self,
        client: &ClientIdentity,
        request: LaunchRequest,
        local: SocketAddr,
        peer: SocketAddr,
    ) -> Result<LaunchReply, RefusedReason> {
        self.over_rtsp(client, &request, peer.ip(), local.ip())
    }

    fn resume(
        &self,
        client: &ClientIdentity,
        request: LaunchRequest,
        local: SocketAddr,
        peer: SocketAddr,
    ) -> Result<LaunchReply, RefusedReason> {
        self.over_rtsp(client, &request, peer.ip(), local.ip())
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

    fn grants_changed(&self, client: &ClientIdentity) {
        if let Some(session) = self.lock().of_owner(client.fingerprint.as_bytes()) {
            session.tell(&ToWorker::ReleaseInput);
            session.tell(&ToWorker::Grants(Box::new(self.config.store.grants(&client.fingerprint))));
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
        self.encoders.get().map(|found| found.names.clone()).unwrap_or_default()
    }

    fn tally(&self) -> Tally {
        self.lock().ledger.tally.clone()
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
        transport: announced.map(|announced| match announced.lumen1 {
            Some(_) => Transport::Lumen1,
            None => Transport::GameStream,
        }),
        app: session.spec.app.title.clone(),
        mode: Some(format!("{width}x{height}@{}", session.mode.fps())),
        codec: announced.map(|_| format!("{:?}", session.codec)),
        encoder: Some(session.stats.encoder.clone()).filter(|name| !name.is_empty()),
        encoder_fallback: Some(session.stats.encoder_fallback.clone()).filter(|reason| !reason.is_empty()),
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
                if launch.is_lumen1() {
                    return false;
                }
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
            ClientMessage::Input(event) => {
                // The one door for input: what is not granted never reaches the session.
                if self.config.store.allows_input(&Fingerprint::new(session.spec.owner), &event) {
                    session.tell(&ToWorker::Input(Box::new(event)));
                } else {
                    state.ledger.tally.input_refused += 1;
                }
            }
            ClientMessage::RequestIdr => {
                session.tell(&ToWorker::RequestIdr);
                state.ledger.tally.key_frame_requests += 1;
            }
            ClientMessage::StartA => session.tell(&ToWorker::RequestIdr),
            ClientMessage::InvalidateReferences(range) => {
                session.tell(&ToWorker::Invalidate { first: range.first(), last: range.last() });
                state.ledger.tally.reference_invalidations += 1;
            }
            ClientMessage::FecStatus(status) => {
                let (sent, missing) = (status.sent(), status.missing());
                session.tell(&ToWorker::Loss { sent, missing });
                if session.launch.as_ref().and_then(|launch| launch.announced.as_ref()?.adapts).is_some() {
                    session.tell(&ToWorker::FecStatus(Box::new(status)));
                }
                state.ledger.tally.packets_reported += u64::from(sent);
                state.ledger.tally.packets_missing += u64::from(missing);
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
        if media == Media::Video && self.lumen1_datagram(datagram, from) {
            return;
        }
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

impl Engine {
    /// A launch that goes on over RTSP.
    fn over_rtsp(
        &self,
        owner: &ClientIdentity,
        request: &LaunchRequest,
        client: IpAddr,
        local: IpAddr,
    ) -> Result<LaunchReply, RefusedReason> {
        let rtsp = match (self.config.stream.encryption, request.understands_encrypted_rtsp()) {
            (Encryption::Required, false) => return Err(RefusedReason::EncryptionRequired),
            (Encryption::Never, _) | (_, false) => Rtsp::Plain,
            (_, true) => Rtsp::Encrypted,
        };
        self.launch_session(owner, request, client, rtsp)?;
        let session_url = SessionUrl::new(local, self.config.ports.rtsp, rtsp == Rtsp::Encrypted);
        Ok(LaunchReply { verb: request.verb, session_url })
    }

    /// Hands a datagram of lumen/1 to the worker of its session, with a socket for those that follow; `false` if it is
    /// none of any session's. Only what a client has sealed gets that far: nobody else can have sockets made.
    fn lumen1_datagram(&self, datagram: &[u8], from: MediaPath) -> bool {
        let mut state = self.lock();
        for session in state.sessions.values_mut() {
            let Some(gate) = session.launch.as_mut().and_then(|launch| launch.gate.as_mut()) else { continue };
            let Some(pass) = gate.admit(datagram, from.client, Instant::now()) else { continue };
            let socket = match pass {
                Pass::NewAddress => match self.sockets.connected(Media::Video, from, None) {
                    Ok(socket) => Some(socket),
                    Err(error) => {
                        tracing::warn!(client = %from.client, %error, "no socket towards the client");
                        return true;
                    }
                },
                Pass::KnownAddress => None,
            };
            let fds: Vec<_> = socket.iter().map(AsFd::as_fd).collect();
            let message = ToWorker::Lumen1Datagram(from.client, datagram.to_vec());
            if let Err(error) = session.worker.link.send(&message, &fds) {
                tracing::warn!(session = %session.spec.id, %error, "a datagram was not handed over");
            }
            return true;
        }
        false
    }
}

impl WorkerEvents for Engine {
    fn worker_said(&self, id: SessionId, message: FromWorker) {
        let mut state = self.lock();
        let message = match message {
            // Also of a session that ends.
            FromWorker::Figures(figures) => return state.ledger.take(id, *figures),
            message => message,
        };
        let Some(session) = state.sessions.get_mut(&id) else { return };
        match message {
            FromWorker::Ready => {
                tracing::debug!(session = %id, "display up");
                self.went(session, Ok(()));
            }
            FromWorker::Feedback(feedback) => {
                if let (Some(control), Some(launch)) = (self.control.get(), &session.launch) {
                    control.send(launch.id, feedback);
                }
            }
            FromWorker::Stats(stats) => session.stats = *stats,
            FromWorker::Ended(reason) => {
                tracing::info!(session = %id, %reason, "ended by its worker");
                self.went(session, Err(reason.clone()));
                if let Some(launch) = &session.launch {
                    self.end_control(launch.id, Some(farewell(&reason)));
                }
                state.ledger.ended(&reason);
                if let Some(session) = state.sessions.remove(&id) {
                    state.ending.insert(id, session.spec);
                }
            }
            FromWorker::Kept(bytes) => match Handover::parse(&bytes) {
                Ok(handover) => self.go_on(&mut state, id, handover),
                Err(error) => {
                    tracing::warn!(session = %id, %error, "its stream cannot go on; its client has to resume")
                }
            },
            FromWorker::Lumen1At(stream, client) => {
                let now = Instant::now();
                let Some(launch) = session.launch.as_mut().filter(|launch| launch.is_stream(stream)) else { return };
                let since = launch.control.as_ref().map_or(now, |control| control.since);
                launch.control = Some(Control { client, local: None, since, last_word: now });
                tracing::info!(session = %id, %client, "streaming over lumen/1");
                session.leave_to_successor(None);
            }
            // Of an earlier stream: its client is back already.
            FromWorker::Lumen1Ended(stream, why) => {
                if session.launch.as_ref().is_none_or(|launch| launch.is_stream(stream)) {
                    self.suspend(session, &why);
                }
            }
            FromWorker::Asked(asked) => {
                let tally = &mut state.ledger.tally;
                tally.key_frame_requests += asked.key_frames;
                tally.reference_invalidations += asked.invalidations;
                tally.input_refused += asked.input_refused;
                tally.packets_reported += asked.packets;
                tally.packets_missing += asked.missing;
            }
            FromWorker::Started(pid) => session.worker.is_process(pid),
            FromWorker::Reunion(_) | FromWorker::Figures(_) => {}
        }
    }

    fn worker_gone(&self, id: SessionId, exit: &WorkerExit) {
        let (session, ending) = {
            let mut state = self.lock();
            let session = state.sessions.remove(&id);
            let ending = state.ending.get(&id).cloned();
            if let Some(session) = &session {
                state.ending.insert(id, session.spec.clone());
                state.ledger.crashed();
            }
            (session, ending)
        };
        if let Some(session) = &session {
            tracing::error!(session = %id, status = %exit, "the worker died; its client is told, nobody else notices");
            self.went(session, Err(EndReason::Failed("The session's process died; the log says more".to_owned())));
            if let Some(launch) = &session.launch {
                self.end_control(launch.id, Some(Termination::from_code(BROKEN)));
            }
        }
        let died = session.is_some() || exit.was_killed();
        let Some(spec) = session.map(|session| session.spec).or(ending) else { return };
        display::clean_up(&id.to_string(), &spec.directory);
        // A worker that ended by itself has run them.
        if died && !exit.in_order() {
            worker::steps_after(&spec);
        }
        let mut state = self.lock();
        state.ending.remove(&id);
        state.ledger.forget(id);
        drop(state);
        self.changed.notify_all();
    }
}
