//! A stream over lumen/1: one thread drives the client's end of the protocol, which is lumen-core's, between its socket,
//! the decoder and the sound.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError, TrySendError};
use std::thread::JoinHandle;
use std::time::Duration;

use lumen_core::fec::scheme::{self, Scheme};
use lumen_core::gamestream::control::{ClientMessage, Framing, HostMessage, RawMessage};
use lumen_core::gamestream::input::{HapticsEnable, InputEvent};
use lumen_core::lumen1::header::{PacketHeader, Stream};
use lumen_core::lumen1::message::{ClipboardFormat, CloseCode};
use lumen_core::lumen1::negotiation::{Answer, Grants, Offer, Schemes};
use lumen_core::lumen1::session::{
    Client, ClientConfig, ClientEvent, Ended, ReceiveError, References, SendError, SessionConfig,
};
use lumen_core::lumen1::{DropReason, Frame};
use lumen_core::time::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::control::{self, Command, ControlHandle, Inbox};
use super::decoder::{Encoded, FromDecoder};
use super::listener::Listener;
use super::sockets::connected;
use super::state::{Datagrams, Shared};
use super::{decoder, decoder::DecoderSetup};
use crate::clock::entropy;
use crate::error::ClientError;
use crate::loss::Lossy;
use crate::report::Ending;

/// Longest frame that this client takes, in bytes.
const MAX_FRAME: u32 = 16 << 20;
/// Longest sleep, so that nothing is missed for longer.
const MAX_SLEEP: Duration = Duration::from_millis(100);
/// Datagrams that are taken before anything else has its turn.
const TURN: usize = 256;
/// After so much silence another socket is tried: the network may have changed, and with it the way to the host.
const SILENCE: Duration = Duration::from_secs(2);
/// How often another socket is tried when the present one has no way to the host any more: its address may be gone.
const NEXT_WAY: Duration = Duration::from_millis(100);
/// How often the end is said: each may be lost.
const GOODBYES: usize = 3;

/// What this client takes of an offer, of which it wants the streams `wanted`.
pub fn answer(offer: &Offer, wanted: Grants) -> Answer {
    let mut random = [0; 16];
    entropy(&mut random);
    let schemes = match scheme::Receiver::here() {
        scheme::Receiver::Fast => Schemes::ALL,
        scheme::Receiver::Modest => Schemes::only(Scheme::Gf8Interleaved),
    };
    Answer {
        session: offer.session,
        random,
        datagram: offer.datagram,
        schemes,
        grants: offer.grants.and(wanted),
        max_frame: MAX_FRAME,
    }
}

/// What the thread needs to know.
pub struct Lumen1Setup {
    /// The host at the offered port.
    pub host: SocketAddr,
    pub offer: Offer,
    pub answer: Answer,
    /// What the keys are made of, beside the two.
    pub secret: Vec<u8>,
    pub decoder: DecoderSetup,
    pub listener: Listener,
    pub video_loss: Lossy,
    pub audio_loss: Lossy,
    pub first_frame_timeout: Duration,
    /// Where contents of the clipboard are written, if somewhere.
    pub save_clipboard: Option<PathBuf>,
}

/// Starts all threads of the stream.
pub fn start(
    shared: &Arc<Shared>,
    setup: Lumen1Setup,
) -> Result<(ControlHandle, UdpSocket, Vec<JoinHandle<()>>), ClientError> {
    let local = |error: &dyn std::fmt::Display| ClientError::local("cannot start the stream", error);
    let Lumen1Setup { offer, answer, .. } = &setup;
    let socket = connected(setup.host).map_err(|error| local(&error))?;
    socket.set_nonblocking(true).map_err(|error| local(&error))?;
    let same = socket.try_clone().map_err(|error| local(&error))?;
    let keys = answer.keys(offer, &setup.secret).map_err(|error| local(&error))?;
    let config = ClientConfig::new(SessionConfig {
        datagram: usize::from(answer.datagram),
        max_frame: answer.max_frame as usize,
        grants: answer.grants,
        ..SessionConfig::new(offer.session, keys)
    });
    let (handle, inbox) = control::channel().map_err(|error| local(&error))?;
    let wake = handle.clone();
    let decoding = decoder::start::<Frame>(shared, setup.decoder, move || wake.wake())?;
    let (sound, packets) = mpsc::channel();
    let listening = Listening { shared: Arc::clone(shared), packets, listener: setup.listener, next: None };
    let begun = shared.clock.now();
    let thread = Thread {
        shared: Arc::clone(shared),
        socket,
        inbox,
        client: Client::new(config, begun),
        frames: decoding.frames,
        answers: decoding.answers,
        sound,
        heard: Vec::new(),
        video_loss: setup.video_loss,
        audio_loss: setup.audio_loss,
        key_frame_wanted: false,
        picture_seen: false,
        begun,
        heard_at: begun,
        tried_at: begun,
        no_way: false,
        first_frame_timeout: setup.first_frame_timeout,
        over: false,
        clipboard: VecDeque::new(),
        save_clipboard: setup.save_clipboard,
        saved: 0,
        buffer: Vec::new(),
    };
    let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
        std::thread::Builder::new().name(name.into()).spawn(run).map_err(|error| local(&error))
    };
    let listening = spawn("audio", Box::new(move || listening.run()))?;
    let network = spawn("lumen1", Box::new(move || thread.run()))?;
    Ok((handle, same, vec![network, decoding.thread, listening]))
}

struct Thread {
    shared: Arc<Shared>,
    socket: UdpSocket,
    inbox: Inbox,
    client: Client,
    frames: mpsc::SyncSender<Frame>,
    answers: Receiver<FromDecoder<Frame>>,
    sound: Sender<Vec<Sound>>,
    /// Sound of the datagram that was just taken.
    heard: Vec<Sound>,
    video_loss: Lossy,
    audio_loss: Lossy,
    /// The decoder lost its way; only a key frame helps.
    key_frame_wanted: bool,
    picture_seen: bool,
    begun: Timestamp,
    heard_at: Timestamp,
    /// When another socket was last tried.
    tried_at: Timestamp,
    /// The system knows no way from this socket to the host.
    no_way: bool,
    first_frame_timeout: Duration,
    over: bool,
    /// Contents of the clipboard that are not on their way yet.
    clipboard: VecDeque<(ClipboardFormat, Vec<u8>)>,
    save_clipboard: Option<PathBuf>,
    saved: u32,
    buffer: Vec<u8>,
}

/// Whether to go on.
#[derive(PartialEq)]
enum Flow {
    On,
    Done,
}

impl Thread {
    fn run(mut self) {
        let mut buffer = vec![0; usize::from(u16::MAX)];
        while self.obey() == Flow::On {
            self.hear_decoder();
            self.send_clipboard();
            self.transmit();
            self.events();
            if self.over {
                break;
            }
            self.check_patience();
            self.check_way();
            self.sleep();
            self.receive(&mut buffer);
        }
    }

    fn obey(&mut self) -> Flow {
        loop {
            match self.inbox.commands.try_recv() {
                Ok(Command::Send(ClientMessage::Input(event))) => self.input(&event),
                Ok(Command::Send(ClientMessage::RequestIdr)) => self.want_key_frame(),
                // GameStream's own housekeeping: this protocol has its own.
                Ok(Command::Send(message)) => tracing::debug!(?message, "not sent: lumen/1 has no such message"),
                Ok(Command::ChangeAddress) => self.change_address(),
                Ok(Command::Clipboard(format, bytes)) => self.clipboard.push_back((format, bytes)),
                Ok(Command::Microphone(packet, timestamp)) => {
                    if let Err(error) = self.client.send_microphone(&packet, timestamp) {
                        tracing::debug!(%error, "a packet of the microphone was not sent");
                    }
                }
                Ok(Command::Vanish) => return Flow::Done,
                // Without a handle nobody waits for anything any more.
                Ok(Command::Disconnect) | Err(TryRecvError::Disconnected) => {
                    self.leave();
                    return Flow::Done;
                }
                Err(TryRecvError::Empty) => return Flow::On,
            }
        }
    }

    /// Contents go one after the other: what is on its way takes the place of the next.
    fn send_clipboard(&mut self) {
        while let Some((format, bytes)) = self.clipboard.front() {
            match self.client.send_clipboard(*format, bytes) {
                Ok(()) => _ = self.shared.clipboard_sent.fetch_add(1, Ordering::Relaxed),
                Err(SendError::Full(full)) if full.held > 0 => return,
                Err(error) => tracing::warn!(%error, bytes = bytes.len(), "the clipboard is not sent"),
            }
            self.clipboard.pop_front();
        }
    }

    fn copied(&mut self, format: ClipboardFormat, bytes: Vec<u8>) {
        if let Some(directory) = &self.save_clipboard {
            self.saved += 1;
            let ending = match format {
                ClipboardFormat::Text => "txt",
                ClipboardFormat::Png => "png",
            };
            let path = directory.join(format!("{}.{ending}", self.saved));
            if let Err(source) = std::fs::write(&path, &bytes) {
                self.shared.fail(ClientError::File { action: "write", path, source });
            }
        }
        self.shared.copied(format, bytes);
    }

    /// Says goodbye. A host that does not hear it notices by the silence.
    fn leave(&mut self) {
        for _ in 0..GOODBYES {
            let _ = self.client.close(CloseCode::Done, "");
            self.transmit();
        }
    }

    /// The host follows authentic datagrams to wherever they come from.
    fn change_address(&mut self) {
        self.heard_at = self.shared.clock.now();
        self.tried_at = self.heard_at;
        let opened = self.socket.peer_addr().and_then(connected).and_then(|socket| {
            socket.set_nonblocking(true)?;
            Ok(socket)
        });
        match opened {
            Ok(socket) => {
                self.socket = socket;
                self.no_way = false;
                self.client.knock();
            }
            Err(error) => tracing::debug!(%error, "no other way to the host"),
        }
    }

    fn input(&mut self, event: &InputEvent) {
        if let Err(error) = self.client.send_input(event) {
            tracing::debug!(%error, "input could not be sent");
        }
    }

    fn want_key_frame(&mut self) {
        self.shared.lock().analysis.video.key_frame_requests += 1;
        if let Err(error) = self.client.request_key_frame() {
            tracing::debug!(%error, "cannot ask for a key frame");
        }
    }

    fn hear_decoder(&mut self) {
        while let Ok(answer) = self.answers.try_recv() {
            match answer {
                FromDecoder::KeyFrameDecoded => self.picture_seen = true,
                FromDecoder::Failed if !self.key_frame_wanted => {
                    self.key_frame_wanted = true;
                    self.want_key_frame();
                }
                FromDecoder::Failed => {}
                FromDecoder::Spent(frame) => self.client.recycle(frame),
            }
        }
    }

    fn transmit(&mut self) {
        let now = self.shared.clock.now();
        while self.client.poll_transmit(now, &mut self.buffer) {
            // What cannot be sent counts as lost. A full buffer and a closed port of the host's say nothing of the way.
            if let Err(error) = self.socket.send(&self.buffer) {
                self.no_way |= !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionRefused);
            }
        }
    }

    fn events(&mut self) {
        while let Some(event) = self.client.poll_event() {
            match event {
                ClientEvent::Connected => {
                    let now = self.shared.clock.now();
                    self.shared.lock().analysis.moments.controlled.get_or_insert(now);
                    let haptics = InputEvent::HapticsEnable(HapticsEnable(1));
                    self.shared.lock().analysis.input.greeting(&haptics);
                    self.input(&haptics);
                }
                ClientEvent::Frame(frame, references) => self.frame(frame, references),
                ClientEvent::Lost { first, last } => {
                    tracing::debug!(first = first.0, last = last.0, "frames lost");
                    let mut state = self.shared.lock();
                    state.analysis.frames_lost(first.0, last.0);
                    state.analysis.video.invalidation_requests += 1;
                }
                ClientEvent::Audio { sequence, data, .. } => {
                    self.heard.push(Sound { sequence, data, recovered: true });
                }
                ClientEvent::InputAnswer(kind, payload) => {
                    match HostMessage::parse(RawMessage { framing: Framing::V1, kind, payload: &payload }) {
                        Ok(message) => self.shared.feedback(message),
                        Err(error) => tracing::debug!(%error, "an answer to an input device was dropped"),
                    }
                }
                ClientEvent::Clipboard(format, bytes) => self.copied(format, bytes),
                // Nothing of this was asked for.
                ClientEvent::CursorShape { .. } | ClientEvent::CursorPosition(_) => {}
                ClientEvent::Ended(ended) => {
                    self.shared.end(match ended {
                        Ended::Closed(CloseCode::Done, _) => Ending::ClosedByHost,
                        Ended::Closed(code, text) => {
                            Ending::HostError(format!("{code:?} {text}").trim_end().to_owned())
                        }
                        Ended::Silent => Ending::Lost("the host does not answer any more".into()),
                    });
                    self.over = true;
                }
            }
        }
    }

    fn frame(&mut self, frame: Frame, references: References) {
        let facts = frame.facts();
        let mut state = self.shared.lock();
        state.analysis.frame_received(&facts);
        self.key_frame_wanted &= !facts.key_frame;
        if references == References::Broken || self.key_frame_wanted {
            state.analysis.video.dropped_frames += 1;
            drop(state);
            return self.client.recycle(frame);
        }
        drop(state);
        match self.frames.try_send(frame) {
            Ok(()) => {}
            Err(TrySendError::Full(frame) | TrySendError::Disconnected(frame)) => {
                self.shared.lock().analysis.video.overruns += 1;
                self.client.recycle(frame);
                self.key_frame_wanted = true;
                self.want_key_frame();
            }
        }
    }

    /// A host may be silent while nothing moves; its pings tell whether it is still there. Before the first picture
    /// silence is a failure, once the caller's patience for it is over.
    fn check_patience(&mut self) {
        let waited = self.shared.clock.now().saturating_since(self.begun);
        if !self.picture_seen && waited >= self.first_frame_timeout && is_silent(&self.shared.video_datagrams.received)
        {
            self.leave();
            self.over = true;
            self.shared.end(Ending::Lost("no datagram of video arrived; is UDP blocked by a firewall?".into()));
        }
    }

    fn check_way(&mut self) {
        let now = self.shared.clock.now();
        let no_way = self.no_way && now.saturating_since(self.tried_at) >= NEXT_WAY;
        if no_way || now.saturating_since(self.heard_at) >= SILENCE {
            self.change_address();
        }
    }

    fn sleep(&self) {
        let now = self.shared.clock.now();
        let sleep = self.client.deadline().map_or(MAX_SLEEP, |due| due.saturating_since(now)).min(MAX_SLEEP);
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(sleep.subsec_nanos()) };
        let mut ready = [PollFd::new(&self.socket, PollFlags::IN), PollFd::new(&self.inbox.woken, PollFlags::IN)];
        // An interrupted sleep is only a short one.
        let _ = poll(&mut ready, Some(&timeout));
        self.inbox.calm();
    }

    fn receive(&mut self, buffer: &mut [u8]) {
        for _ in 0..TURN {
            match self.socket.recv(buffer) {
                Ok(length) => self.datagram(&mut buffer[..length]),
                // Refused: the host's port is closed; it may open again.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                Err(_) => return,
            }
        }
    }

    fn datagram(&mut self, datagram: &mut [u8]) {
        let now = self.shared.clock.now();
        let stream = PacketHeader::parse(datagram).map(|header| header.stream);
        let shared = Arc::clone(&self.shared);
        let counters = match stream {
            Ok(Stream::Video) => {
                if is_silent(&shared.video_datagrams.received) {
                    shared.lock().analysis.moments.first_video_datagram = Some(now);
                }
                Some((&shared.video_datagrams, &mut self.video_loss))
            }
            Ok(Stream::Audio) => {
                if is_silent(&shared.audio_datagrams.received) {
                    shared.lock().analysis.moments.first_audio_datagram = Some(now);
                }
                Some((&shared.audio_datagrams, &mut self.audio_loss))
            }
            _ => None,
        };
        let counters = match counters {
            Some((counters, loss)) => {
                counters.arrived(datagram.len());
                if loss.takes() {
                    counters.withheld.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                Some(counters)
            }
            None => None,
        };
        match self.client.receive(datagram, now) {
            Ok(()) => self.heard_at = now,
            Err(error) => count_dropped(counters, &error),
        }
        self.events();
        self.pass_sound();
    }

    /// Hands on the sound of one datagram, the oldest first. What is not its newest came for a packet that was lost.
    fn pass_sound(&mut self) {
        if let Some(newest) = self.heard.last_mut() {
            newest.recovered = false;
            // Without a listener nobody hears it.
            let _ = self.sound.send(std::mem::take(&mut self.heard));
        }
    }
}

/// A packet of sound.
struct Sound {
    sequence: u32,
    data: Vec<u8>,
    recovered: bool,
}

/// Decodes sound beside the network.
struct Listening {
    shared: Arc<Shared>,
    packets: Receiver<Vec<Sound>>,
    listener: Listener,
    next: Option<u32>,
}

impl Listening {
    /// Ends with the thread that receives.
    fn run(mut self) {
        while let Ok(packets) = self.packets.recv() {
            for sound in packets {
                if let Err(error) = self.take(&sound) {
                    return self.shared.fail(error);
                }
            }
            self.shared.changed();
        }
        self.listener.finish();
    }

    fn take(&mut self, sound: &Sound) -> Result<(), ClientError> {
        let ahead = sound.sequence.wrapping_sub(self.next.unwrap_or(sound.sequence)).cast_signed();
        if ahead < 0 {
            // Its place in the sound was filled already.
            self.shared.audio_datagrams.surplus.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        self.next = Some(sound.sequence.wrapping_add(1));
        if ahead > 0 {
            self.listener.lost(u64::from(ahead.unsigned_abs()))?;
        }
        self.listener.packet(&sound.data, sound.recovered)
    }
}

fn is_silent(received: &AtomicU64) -> bool {
    received.load(Ordering::Relaxed) == 0
}

fn count_dropped(counters: Option<&Datagrams>, error: &ReceiveError) {
    let Some(counters) = counters else { return };
    match error {
        ReceiveError::Video(DropReason::OldFrame(_) | DropReason::Duplicate) => {
            counters.surplus.fetch_add(1, Ordering::Relaxed);
        }
        error => {
            counters.malformed.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(%error, "a datagram was dropped");
        }
    }
}
