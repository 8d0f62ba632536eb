//! The host's end.

use std::collections::VecDeque;
use std::time::Duration;

use super::link::Link;
use super::{Ended, ReceiveError, SessionConfig};
use crate::arena::PacketArena;
use crate::gamestream::input::InputEvent;
use crate::lumen1::audio::{AudioError, AudioReceiver, AudioSender};
use crate::lumen1::header::{Epoch, PacketNumber, Stream};
use crate::lumen1::keys::Direction;
use crate::lumen1::message::{
    Clipboard, ClipboardFormat, CloseCode, CursorPosition, CursorShape, FrameStatus, Message, Missing, Receipt,
    messages,
};
use crate::lumen1::negotiation::Grants;
use crate::lumen1::packetizer::{FrameToSend, PacketizeError, Packetized, Packetizer, PacketizerConfig};
use crate::lumen1::path::{Age, PathId, PathValidator};
use crate::lumen1::reliable::QueueFull;
use crate::lumen1::seal::{EpochsExhausted, Sealer, SendPosition};
use crate::lumen1::video::FrameNumber;
use crate::time::Timestamp;

/// Bytes of a datagram with a challenge.
const CHALLENGE_LEN: usize = 16 + 12 + 16;

/// What a host needs to know.
#[derive(Debug, Clone)]
pub struct HostConfig {
    /// What both ends know.
    pub session: SessionConfig,
    /// Random bytes, never used again: challenges of addresses come from them.
    pub seed: [u8; 32],
    /// Where all streams begin: the start, unless an earlier end under the same keys was lost.
    pub position: SendPosition,
    /// Frames that are kept to be sent again; 0 to send nothing again.
    pub history: usize,
    /// Copies of earlier frames in each audio packet, 0 to 7.
    pub audio_copies: usize,
    /// Length of an audio frame in units of 0.5 ms.
    pub audio_half_millis: u8,
}

impl HostConfig {
    /// With the usual choices: 8 frames kept, 2 copies of audio, 5 ms of it in a frame.
    pub fn new(session: SessionConfig, seed: [u8; 32]) -> Self {
        Self { session, seed, position: SendPosition::default(), history: 8, audio_copies: 2, audio_half_millis: 10 }
    }
}

/// What a host learns.
#[derive(Debug, Clone, PartialEq)]
pub enum HostEvent {
    /// The client is at this address now: the first one, or a new one.
    Path(PathId),
    /// The client did something.
    Input(InputEvent),
    /// When video packets arrived.
    Receipts {
        /// The epoch of the packets.
        epoch: Epoch,
        /// The packets, in order.
        receipts: Vec<Receipt>,
    },
    /// What became of a frame.
    FrameStatus(FrameStatus),
    /// A shard was sent again.
    Resent {
        /// Its frame.
        frame: FrameNumber,
        /// The epoch of its new packet.
        epoch: Epoch,
        /// The number of its new packet.
        number: PacketNumber,
    },
    /// The client misses these frames for good: nothing may refer to them any more.
    Invalidate {
        /// The first.
        first: FrameNumber,
        /// The last.
        last: FrameNumber,
    },
    /// The client needs a key frame.
    KeyFrame,
    /// The client's clipboard has new content.
    Clipboard(ClipboardFormat, Vec<u8>),
    /// Sound of the client's microphone; frames may come out of order.
    Microphone {
        /// Number of the frame.
        sequence: u32,
        /// Its first sample at 48 kHz.
        timestamp: u32,
        /// Opus.
        data: Vec<u8>,
    },
    /// The session is over.
    Ended(Ended),
}

/// A frame that is ready to leave.
#[derive(Debug)]
pub struct SentFrame<'a> {
    /// Where it goes.
    pub path: PathId,
    /// How it lies in its datagrams.
    pub packets: Packetized,
    /// Its datagrams.
    pub arena: &'a PacketArena,
}

/// Why something cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The client's address is not known, or not proven.
    #[error("the client did not prove its address yet")]
    NoPath,
    /// The stream was not granted.
    #[error("stream {0:?} was not granted in this session")]
    NotGranted(Stream),
    /// The frame can't be sent.
    #[error(transparent)]
    Frame(#[from] PacketizeError),
    /// The sound can't be sent.
    #[error(transparent)]
    Audio(#[from] AudioError),
    /// Too much waits already.
    #[error(transparent)]
    Full(#[from] QueueFull),
    /// The session must be negotiated anew.
    #[error(transparent)]
    Exhausted(#[from] EpochsExhausted),
}

/// The host's end of a session.
#[derive(Debug)]
pub struct Host {
    link: Link,
    paths: PathValidator,
    packetizer: Packetizer,
    audio: AudioSender,
    microphone: AudioReceiver,
    /// What was agreed on.
    granted: Grants,
    /// What of it is in force.
    grants: Grants,
    history: VecDeque<Sent>,
    keep: usize,
    events: VecDeque<HostEvent>,
    newest: [Option<(Epoch, PacketNumber)>; Stream::ALL.len()],
    buffer: Vec<u8>,
    exhausted: bool,
}

/// A frame that may be sent again.
#[derive(Debug)]
struct Sent {
    packets: Packetized,
    arena: PacketArena,
    useless_at: Option<Timestamp>,
    /// Shards that may still be sent again: a client can't ask for a frame without end.
    credit: usize,
}

impl Host {
    /// A host that waits for its client.
    pub fn new(config: HostConfig, now: Timestamp) -> Self {
        let session = &config.session;
        let (keys, id) = (&session.keys, session.session);
        let sealer = Sealer::new(keys, Direction::HostToClient, Stream::Video, id, config.position);
        let packetizer = PacketizerConfig {
            datagram: session.datagram,
            max_frame: session.max_frame,
            first_frame: FrameNumber::FIRST,
        };
        let link = Link::new(session, Direction::HostToClient, config.position, now);
        Self {
            paths: PathValidator::new(&config.seed),
            packetizer: Packetizer::new(packetizer, sealer),
            audio: AudioSender::new(config.audio_copies, link.room(), config.audio_half_millis),
            microphone: AudioReceiver::default(),
            granted: session.grants,
            grants: session.grants,
            history: VecDeque::new(),
            keep: config.history,
            events: VecDeque::new(),
            newest: Default::default(),
            buffer: Vec::new(),
            exhausted: false,
            link,
        }
    }

    /// Where the client is, once it proved it.
    pub fn path(&self) -> Option<PathId> {
        self.paths.active()
    }

    /// The estimate of the round trip.
    pub fn round_trip(&self) -> Duration {
        self.link.round_trip
    }

    /// Data shards of a frame of `bytes` bytes: what parity is measured against.
    pub fn data_shards(&self, bytes: usize) -> usize {
        self.packetizer.data_shards(bytes)
    }

    /// Where the stream's next packet stands; see [`SendPosition`].
    pub fn position(&self, stream: Stream) -> SendPosition {
        if stream == Stream::Video { self.packetizer.sealer().position() } else { self.link.position(stream) }
    }

    /// Makes the datagrams of a frame. The caller sends them, at the pace that it chooses.
    ///
    /// # Errors
    /// [`SendError`]. Without a proven address nothing is sent, and no number used.
    pub fn send_frame(&mut self, frame: &FrameToSend<'_>) -> Result<SentFrame<'_>, SendError> {
        let path = self.paths.active().ok_or(SendError::NoPath)?;
        let reused = if self.history.len() > self.keep { self.history.pop_front() } else { None };
        let mut arena = reused.map(|sent| sent.arena).unwrap_or_default();
        let packets = self.packetizer.packetize(frame, &mut arena)?;
        let useless_at = frame.deadline.map(|deadline| frame.captured + deadline);
        self.history.push_back(Sent { packets, arena, useless_at, credit: packets.shape.data() * 2 });
        let sent = self.history.back().expect("just put there");
        Ok(SentFrame { path, packets, arena: &sent.arena })
    }

    /// The datagrams of a frame that was sent lately: for whoever paces them and takes datagrams meanwhile. The newest frame
    /// is here until the next one is sent.
    pub fn datagrams(&self, frame: FrameNumber) -> Option<&PacketArena> {
        self.history.iter().rev().find(|sent| sent.packets.frame == frame).map(|sent| &sent.arena)
    }

    /// Sends an Opus frame whose first sample is `timestamp` (48 kHz).
    ///
    /// # Errors
    /// [`SendError`]. Without a proven address nothing is kept: sound that waited is of no use.
    pub fn send_audio(&mut self, frame: &[u8], timestamp: u32) -> Result<(), SendError> {
        self.paths.active().ok_or(SendError::NoPath)?;
        self.buffer.clear();
        self.audio.write(frame, timestamp, &mut self.buffer)?;
        Ok(self.link.enqueue(Stream::Audio, &self.buffer)?)
    }

    /// Answers an input device (annex B), for certain and in order.
    ///
    /// # Errors
    /// [`SendError::Full`].
    pub fn send_input_answer(&mut self, kind: u16, payload: &[u8]) -> Result<(), SendError> {
        Ok(self.link.post_reliable(Stream::Input, &Message::InputAnswer { kind, payload })?)
    }

    /// Sends the pointer's shape, for certain and in order.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn send_cursor_shape(&mut self, shape: CursorShape<'_>) -> Result<(), SendError> {
        self.check_granted(Stream::Cursor)?;
        Ok(self.link.post_reliable(Stream::Cursor, &Message::CursorShape(shape))?)
    }

    /// Sends the pointer's place, as it is.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn send_cursor_position(&mut self, position: CursorPosition) -> Result<(), SendError> {
        self.check_granted(Stream::Cursor)?;
        Ok(self.link.post(Stream::Cursor, &Message::CursorPosition(position))?)
    }

    /// Sends new content of the clipboard, for certain and in order.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn send_clipboard(&mut self, format: ClipboardFormat, bytes: &[u8]) -> Result<(), SendError> {
        self.check_granted(Stream::Clipboard)?;
        Ok(self.link.post_reliable(Stream::Clipboard, &Message::Clipboard(Clipboard { format, bytes }))?)
    }

    /// What the client may use from now on, of the streams that were agreed on. Sound of a microphone and new content of
    /// a clipboard that are not granted any more are thrown away, and nothing of the kind is sent; what is on its way
    /// already arrives.
    pub fn restrict(&mut self, grants: Grants) {
        self.grants = self.granted.and(grants);
    }

    /// Ends the session: a datagram says so to the client.
    ///
    /// # Errors
    /// [`SendError::Exhausted`].
    pub fn close(&mut self, code: CloseCode, text: &str) -> Result<(), SendError> {
        Ok(self.link.post(Stream::Control, &Message::Close { code, text })?)
    }

    /// Takes a datagram that came from `path` at `now`; opens it in place.
    ///
    /// # Errors
    /// [`ReceiveError`] says what was not used.
    pub fn receive(&mut self, path: PathId, datagram: &mut [u8], now: Timestamp) -> Result<(), ReceiveError> {
        let bytes = datagram.len();
        let opened = self.link.opener.open(datagram)?;
        let (header, payload) = (opened.header, &*opened.payload);
        let newest = &mut self.newest[usize::from(header.stream.wire())];
        let this = Some((header.epoch, header.number));
        // Numbers of one stream say which datagram is newer.
        let age = if this > *newest { Age::Newest } else { Age::Late };
        *newest = (*newest).max(this);
        self.link.heard(now);
        self.paths.received(path, bytes, age, now);

        match header.stream {
            Stream::Microphone if may(self.grants, Stream::Microphone) => {
                let events = &mut self.events;
                self.microphone.receive(payload, |frame| {
                    events.push_back(HostEvent::Microphone {
                        sequence: frame.sequence,
                        timestamp: frame.timestamp,
                        data: frame.data.to_vec(),
                    });
                })?;
                Ok(())
            }
            Stream::Control | Stream::Input | Stream::Clipboard | Stream::Feedback
                // What was agreed on is acknowledged, granted or not: the client would say it for ever.
                if may(self.granted, header.stream) =>
            {
                // A fault in one message is no reason to leave out the others.
                let mut result = Ok(());
                for message in messages(header.stream, payload) {
                    let taken = match message {
                        Ok(message) => self.take(path, header.stream, &message, now),
                        Err(error) => Err(error.into()),
                    };
                    result = result.and(taken);
                }
                result
            }
            stream => Err(ReceiveError::Stream(stream)),
        }
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<HostEvent> {
        self.events.pop_front().or_else(|| self.link.take_ended().map(HostEvent::Ended))
    }

    /// The next datagram to be sent at `now`, into `out`, and where to.
    pub fn poll_transmit(&mut self, now: Timestamp, out: &mut Vec<u8>) -> Option<PathId> {
        self.link.check_idle(now);
        if self.exhausted {
            return None;
        }
        if let Some((path, token)) = self.paths.poll(CHALLENGE_LEN, now) {
            let sealed = self.link.seal_alone(Stream::Control, &Message::PathChallenge(token));
            return self.transmit(path, sealed.map(Some), out);
        }
        let path = self.paths.active()?;
        let datagram = self.link.poll(now);
        self.transmit(path, datagram, out)
    }

    /// When to call [`Host::poll_transmit`] again at the latest.
    pub fn deadline(&self) -> Option<Timestamp> {
        let link = if self.paths.active().is_some() { self.link.deadline() } else { self.link.idle_deadline() };
        link.into_iter().chain(self.paths.due(CHALLENGE_LEN)).min()
    }

    fn transmit(
        &mut self,
        path: PathId,
        datagram: Result<Option<Vec<u8>>, EpochsExhausted>,
        out: &mut Vec<u8>,
    ) -> Option<PathId> {
        match datagram {
            Ok(Some(datagram)) => {
                *out = datagram;
                Some(path)
            }
            Ok(None) => None,
            Err(EpochsExhausted) => {
                self.exhausted = true;
                self.link.end(Ended::Closed(CloseCode::KeysExhausted, String::new()));
                None
            }
        }
    }

    fn check_granted(&self, stream: Stream) -> Result<(), SendError> {
        if may(self.grants, stream) { Ok(()) } else { Err(SendError::NotGranted(stream)) }
    }

    fn take(
        &mut self,
        path: PathId,
        stream: Stream,
        message: &Message<'_>,
        now: Timestamp,
    ) -> Result<(), ReceiveError> {
        let mut complete = Vec::new();
        let common = self.link.receive(stream, message, now, |kind, body| complete.push((kind, body.to_vec())))?;
        for (kind, body) in complete {
            if let Some(message) = Message::parse_body(kind, stream, &body)? {
                self.take_own(&message)?;
            }
        }
        match message {
            _ if common => Ok(()),
            Message::PathResponse(token) => {
                if self.paths.responded(path, *token) {
                    self.events.push_back(HostEvent::Path(path));
                }
                Ok(())
            }
            Message::Missing(missing) => Ok(self.resend(missing, now)?),
            message => self.take_own(message),
        }
    }

    /// A message that is the host's to understand, however it came.
    fn take_own(&mut self, message: &Message<'_>) -> Result<(), ReceiveError> {
        let event = match *message {
            Message::Input(event) => HostEvent::Input(InputEvent::parse(event)?),
            Message::Receipts(receipts) => {
                HostEvent::Receipts { epoch: receipts.epoch, receipts: receipts.iter().collect() }
            }
            Message::FrameStatus(status) => HostEvent::FrameStatus(status),
            Message::Invalidate { first, last } => HostEvent::Invalidate { first, last },
            Message::KeyFrame => HostEvent::KeyFrame,
            Message::Clipboard(_) if !may(self.grants, Stream::Clipboard) => return Ok(()),
            Message::Clipboard(clipboard) => HostEvent::Clipboard(clipboard.format, clipboard.bytes.to_vec()),
            // What only clients understand, or what makes no sense inside of a reliable message.
            _ => return Ok(()),
        };
        self.events.push_back(event);
        Ok(())
    }

    /// Sends data shards again, if their frame is still here and of use.
    fn resend(&mut self, missing: &Missing<'_>, now: Timestamp) -> Result<(), EpochsExhausted> {
        if self.keep == 0 {
            return Ok(());
        }
        let Some(sent) = self.history.iter_mut().find(|sent| sent.packets.frame == missing.frame) else {
            return Ok(());
        };
        let answered = now + self.link.round_trip / 2;
        if sent.useless_at.is_some_and(|useless_at| useless_at <= answered) {
            return Ok(());
        }
        let data = sent.packets.shape.data();
        let indices = missing.ranges().flat_map(|range| range.indices().take_while(|index| usize::from(*index) < data));
        for index in indices {
            if sent.credit == 0 {
                break;
            }
            sent.credit -= 1;
            let Some(datagram) = sent.arena.datagrams().nth(index.into()) else { break };
            if let Some(again) = self.packetizer.resend(datagram, &mut self.buffer)? {
                self.link.enqueue_sealed(self.buffer.clone());
                let frame = missing.frame;
                self.events.push_back(HostEvent::Resent { frame, epoch: again.epoch, number: again.number });
            }
        }
        Ok(())
    }
}

/// Whether `grants` allow the stream.
fn may(grants: Grants, stream: Stream) -> bool {
    match stream {
        Stream::Clipboard => grants.contains(Grants::CLIPBOARD),
        Stream::Microphone => grants.contains(Grants::MICROPHONE),
        Stream::Cursor => grants.contains(Grants::CURSOR),
        _ => true,
    }
}
