//! The client's end.

use std::collections::VecDeque;
use std::time::Duration;

use super::host::SendError;
use super::link::Link;
use super::{Ended, ReceiveError, SessionConfig};
use crate::gamestream::input::InputEvent;
use crate::lumen1::audio::{AudioReceiver, AudioSender};
use crate::lumen1::header::Stream;
use crate::lumen1::keys::Direction;
use crate::lumen1::message::{
    Clipboard, ClipboardFormat, CloseCode, CursorPosition, MESSAGE_HEADER_LEN, Message, Missing, ReceiptLog, messages,
};
use crate::lumen1::negotiation::Grants;
use crate::lumen1::reassembler::{Frame, Reassembler, ReassemblerConfig, VideoEvent};
use crate::lumen1::seal::{EpochsExhausted, SendPosition};
use crate::lumen1::video::{FrameKind, FrameNumber, Reference};
use crate::time::Timestamp;

/// Time between two reports of receipts.
const REPORT: Duration = Duration::from_millis(10);

/// Longest time between two requests to repair the references.
const REPAIR: Duration = Duration::from_millis(500);

/// What a client needs to know.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// What both ends know.
    pub session: SessionConfig,
    /// Where all streams begin: the start, unless an earlier end under the same keys was lost.
    pub position: SendPosition,
    /// The bounds of frames in work.
    pub video: ReassemblerConfig,
    /// Copies of earlier frames in each packet of the microphone, 0 to 7.
    pub audio_copies: usize,
    /// Length of a frame of the microphone in units of 0.5 ms.
    pub audio_half_millis: u8,
}

impl ClientConfig {
    /// With the usual choices.
    pub fn new(session: SessionConfig) -> Self {
        let video = ReassemblerConfig::new(session.max_frame);
        Self { session, position: SendPosition::default(), video, audio_copies: 2, audio_half_millis: 20 }
    }
}

/// Whether all that a frame refers to arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum References {
    /// It did, as far as it is known.
    Whole,
    /// A frame before it is lost, and the host did not repair that yet: a decoder may show garbage.
    Broken,
}

/// What a client learns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientEvent {
    /// The host is there.
    Connected,
    /// A frame; give it back with [`Client::recycle`].
    Frame(Frame, References),
    /// Frames that will not come; the host was asked to repair what refers to them.
    Lost {
        /// The first.
        first: FrameNumber,
        /// The last.
        last: FrameNumber,
    },
    /// Sound; frames may come out of order.
    Audio {
        /// Number of the frame.
        sequence: u32,
        /// Its first sample at 48 kHz.
        timestamp: u32,
        /// Opus.
        data: Vec<u8>,
    },
    /// The host answers an input device (annex B).
    InputAnswer(u16, Vec<u8>),
    /// The pointer's shape.
    CursorShape {
        /// Its name.
        id: u32,
        /// Pixels per line and lines.
        size: (u16, u16),
        /// The pixel that points.
        hot_spot: (u16, u16),
        /// Blue, green, red, alpha of each pixel.
        pixels: Vec<u8>,
    },
    /// Where the pointer is.
    CursorPosition(CursorPosition),
    /// The host's clipboard has new content.
    Clipboard(ClipboardFormat, Vec<u8>),
    /// The session is over.
    Ended(Ended),
}

/// The client's end of a session.
#[derive(Debug)]
pub struct Client {
    link: Link,
    video: Reassembler,
    audio: AudioReceiver,
    microphone: AudioSender,
    grants: Grants,
    receipts: ReceiptLog,
    report_due: Option<Timestamp>,
    /// Lost frames that later ones may refer to, and when to ask for their repair next.
    broken: Option<Broken>,
    newest_cursor: Option<u64>,
    events: VecDeque<ClientEvent>,
    buffer: Vec<u8>,
    exhausted: bool,
}

#[derive(Debug)]
struct Broken {
    first: FrameNumber,
    last: FrameNumber,
    /// The newest frame when the loss was found: only later ones can be made in answer to it.
    newest: FrameNumber,
    due: Timestamp,
    wait: Duration,
}

impl Broken {
    fn is_repaired_by(&self, frame: &Frame) -> bool {
        match frame.flags.kind {
            FrameKind::Idr => frame.number > self.last,
            kind => kind.repairs_references() && frame.number > self.newest,
        }
    }
}

impl Client {
    /// A client that knocks at its host.
    pub fn new(config: ClientConfig, now: Timestamp) -> Self {
        let link = Link::new(&config.session, Direction::ClientToHost, config.position, now);
        Self {
            video: Reassembler::new(config.video),
            audio: AudioReceiver::default(),
            microphone: AudioSender::new(config.audio_copies, link.room(), config.audio_half_millis),
            grants: config.session.grants,
            receipts: ReceiptLog::default(),
            report_due: None,
            broken: None,
            newest_cursor: None,
            events: VecDeque::new(),
            buffer: Vec::new(),
            exhausted: false,
            link,
        }
    }

    /// The estimate of the round trip.
    pub fn round_trip(&self) -> Duration {
        self.link.round_trip
    }

    /// Where the stream's next packet stands; see [`SendPosition`].
    pub fn position(&self, stream: Stream) -> SendPosition {
        self.link.position(stream)
    }

    /// Sends an input event: movements as they are, all else for certain and in order.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn send_input(&mut self, event: &InputEvent) -> Result<(), SendError> {
        self.buffer.clear();
        event.write(&mut self.buffer);
        let message = Message::Input(&self.buffer);
        match event {
            InputEvent::MouseAbsolute(_) | InputEvent::ControllerMotion(_) => {
                self.link.post(Stream::Input, &message)?
            }
            _ => self.link.post_reliable(Stream::Input, &message)?,
        }
        Ok(())
    }

    /// Sends new content of the clipboard.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn send_clipboard(&mut self, format: ClipboardFormat, bytes: &[u8]) -> Result<(), SendError> {
        if !self.grants.contains(Grants::CLIPBOARD) {
            return Err(SendError::NotGranted(Stream::Clipboard));
        }
        Ok(self.link.post_reliable(Stream::Clipboard, &Message::Clipboard(Clipboard { format, bytes }))?)
    }

    /// Sends an Opus frame of the microphone whose first sample is `timestamp` (48 kHz).
    ///
    /// # Errors
    /// [`SendError`].
    pub fn send_microphone(&mut self, frame: &[u8], timestamp: u32) -> Result<(), SendError> {
        if !self.grants.contains(Grants::MICROPHONE) {
            return Err(SendError::NotGranted(Stream::Microphone));
        }
        self.buffer.clear();
        self.microphone.write(frame, timestamp, &mut self.buffer)?;
        Ok(self.link.enqueue(Stream::Microphone, &self.buffer)?)
    }

    /// The address of this end may have changed: the host hears of it at once.
    pub fn knock(&mut self) {
        self.link.knock();
    }

    /// Asks for a key frame: the decoder lost its way.
    ///
    /// # Errors
    /// [`SendError::Exhausted`].
    pub fn request_key_frame(&mut self) -> Result<(), SendError> {
        Ok(self.link.post(Stream::Feedback, &Message::KeyFrame)?)
    }

    /// Ends the session: a datagram says so to the host.
    ///
    /// # Errors
    /// [`SendError::Exhausted`].
    pub fn close(&mut self, code: CloseCode, text: &str) -> Result<(), SendError> {
        Ok(self.link.post(Stream::Control, &Message::Close { code, text })?)
    }

    /// Takes a datagram that came from the host at `now`; opens it in place.
    ///
    /// # Errors
    /// [`ReceiveError`] says what was not used.
    pub fn receive(&mut self, datagram: &mut [u8], now: Timestamp) -> Result<(), ReceiveError> {
        let opened = self.link.opener.open(datagram)?;
        let (header, payload) = (opened.header, &*opened.payload);
        if !self.link.is_connected() {
            self.events.push_back(ClientEvent::Connected);
        }
        self.link.heard(now);
        match header.stream {
            Stream::Video => {
                self.receipts.note(header.epoch, header.number, now);
                self.report_due.get_or_insert(now + REPORT);
                let taken = self.video.receive(payload, now);
                self.drain_video(now)?;
                Ok(taken?)
            }
            Stream::Audio => {
                let events = &mut self.events;
                self.audio.receive(payload, |frame| {
                    events.push_back(ClientEvent::Audio {
                        sequence: frame.sequence,
                        timestamp: frame.timestamp,
                        data: frame.data.to_vec(),
                    });
                })?;
                Ok(())
            }
            Stream::Control | Stream::Input | Stream::Cursor | Stream::Clipboard if self.is_granted(header.stream) => {
                let order = u64::from(header.epoch.0) << 48 | header.number.0;
                let mut result = Ok(());
                for message in messages(header.stream, payload) {
                    let taken = match message {
                        Ok(message) => self.take(header.stream, &message, order, now),
                        Err(error) => Err(error.into()),
                    };
                    result = result.and(taken);
                }
                result
            }
            stream => Err(ReceiveError::Stream(stream)),
        }
    }

    /// Takes back a frame, whose memory is filled again.
    pub fn recycle(&mut self, frame: Frame) {
        self.video.recycle(frame);
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front().or_else(|| self.link.take_ended().map(ClientEvent::Ended))
    }

    /// The next datagram to be sent to the host at `now`, into `out`. Returns whether there is one.
    pub fn poll_transmit(&mut self, now: Timestamp, out: &mut Vec<u8>) -> bool {
        self.link.check_idle(now);
        if self.exhausted {
            return false;
        }
        self.video.handle_timeout(now);
        let datagram = self.drain_video(now).and_then(|()| self.report(now)).and_then(|()| self.link.poll(now));
        match datagram {
            Ok(Some(datagram)) => {
                *out = datagram;
                true
            }
            Ok(None) => false,
            Err(EpochsExhausted) => {
                self.exhausted = true;
                self.link.end(Ended::Closed(CloseCode::KeysExhausted, String::new()));
                false
            }
        }
    }

    /// When to call [`Client::poll_transmit`] again at the latest.
    pub fn deadline(&self) -> Option<Timestamp> {
        let repair = self.broken.as_ref().map(|broken| broken.due);
        [self.link.deadline(), self.video.deadline(), self.report_due, repair].into_iter().flatten().min()
    }

    fn is_granted(&self, stream: Stream) -> bool {
        match stream {
            Stream::Clipboard => self.grants.contains(Grants::CLIPBOARD),
            Stream::Cursor => self.grants.contains(Grants::CURSOR),
            _ => true,
        }
    }

    fn take(&mut self, stream: Stream, message: &Message<'_>, order: u64, now: Timestamp) -> Result<(), ReceiveError> {
        let mut complete = Vec::new();
        let common = self.link.receive(stream, message, now, |kind, body| complete.push((kind, body.to_vec())))?;
        for (kind, body) in complete {
            if let Some(message) = Message::parse_body(kind, stream, &body)? {
                self.take_own(&message, order);
            }
        }
        match message {
            _ if common => {}
            Message::PathChallenge(token) => self.link.post(Stream::Control, &Message::PathResponse(*token))?,
            message => self.take_own(message, order),
        }
        Ok(())
    }

    /// A message that is the client's to understand, however it came. `order` says which datagram is newer.
    fn take_own(&mut self, message: &Message<'_>, order: u64) {
        let event = match *message {
            Message::InputAnswer { kind, payload } => ClientEvent::InputAnswer(kind, payload.to_vec()),
            Message::CursorShape(shape) => ClientEvent::CursorShape {
                id: shape.id,
                size: (shape.width, shape.height),
                hot_spot: (shape.hot_x, shape.hot_y),
                pixels: shape.pixels.to_vec(),
            },
            Message::CursorPosition(position) => {
                if self.newest_cursor.is_some_and(|newest| newest > order) {
                    return;
                }
                self.newest_cursor = Some(order);
                ClientEvent::CursorPosition(position)
            }
            Message::Clipboard(clipboard) => ClientEvent::Clipboard(clipboard.format, clipboard.bytes.to_vec()),
            // What only hosts understand, or what makes no sense inside of a reliable message.
            _ => return,
        };
        self.events.push_back(event);
    }

    /// Passes on what came of the video, and tells the host.
    fn drain_video(&mut self, now: Timestamp) -> Result<(), EpochsExhausted> {
        while let Some(event) = self.video.poll() {
            let (status, event) = match event {
                VideoEvent::Frame(frame) => {
                    self.broken.take_if(|broken| broken.is_repaired_by(&frame));
                    let references = if self.broken.is_some() { References::Broken } else { References::Whole };
                    (frame.status, ClientEvent::Frame(frame, references))
                }
                VideoEvent::Lost { first, last, status, reference, .. } => {
                    if reference != Reference::None || first != last {
                        let first = self.broken.as_ref().map_or(first, |broken| broken.first);
                        let newest = self.video.newest().max(last);
                        self.broken = Some(Broken { first, last, newest, due: now, wait: self.link.round_trip });
                    }
                    (status, ClientEvent::Lost { first, last })
                }
            };
            self.link.post(Stream::Feedback, &Message::FrameStatus(status))?;
            self.events.push_back(event);
        }
        Ok(())
    }

    /// Writes the feedback that is due.
    fn report(&mut self, now: Timestamp) -> Result<(), EpochsExhausted> {
        if let Some(broken) = self.broken.as_mut().filter(|broken| broken.due <= now) {
            // The answer takes a round trip and the time of a frame.
            broken.due = now + broken.wait + REPORT;
            broken.wait = (broken.wait * 2).clamp(REPORT, REPAIR);
            let (first, last) = (broken.first, broken.last);
            self.link.post(Stream::Feedback, &Message::Invalidate { first, last })?;
        }
        if self.report_due.is_none_or(|due| due > now) {
            return Ok(());
        }
        self.report_due = None;
        while !self.receipts.is_empty() {
            self.buffer.clear();
            if !self.receipts.write_next(self.link.room(), &mut self.buffer) {
                break;
            }
            self.link.enqueue(Stream::Feedback, &self.buffer)?;
        }
        let most = (self.link.room() - MESSAGE_HEADER_LEN - 4) / Missing::RANGE_LEN;
        self.buffer.clear();
        while let Some(frame) = self.video.poll_missing(now, self.link.round_trip, most, &mut self.buffer) {
            self.link.post(Stream::Feedback, &Message::Missing(Missing::new(frame, &self.buffer)))?;
            self.buffer.clear();
        }
        // Frames in work may miss something later, when no packet comes to start the next report.
        if self.video.deadline().is_some() {
            self.report_due = Some(now + REPORT);
        }
        Ok(())
    }
}
