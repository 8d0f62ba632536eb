//! What both ends of a session have in common: sealing, opening, reliable messages, pings, the queue of datagrams.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Ended, IDLE, SessionConfig};
use crate::lumen1::OVERHEAD;
use crate::lumen1::header::Stream;
use crate::lumen1::keys::Direction;
use crate::lumen1::message::{MESSAGE_HEADER_LEN, Message, RELIABLE_HEADER_LEN};
use crate::lumen1::reliable::{QueueFull, ReliableReceiver, ReliableSender};
use crate::lumen1::seal::{EpochsExhausted, Opener, Sealer, SendPosition};
use crate::time::Timestamp;

/// Streams that carry reliable messages.
const RELIABLE: [Stream; 4] = [Stream::Control, Stream::Input, Stream::Cursor, Stream::Clipboard];

/// Streams whose payloads are messages.
const MESSAGES: [Stream; 5] = [Stream::Control, Stream::Input, Stream::Cursor, Stream::Clipboard, Stream::Feedback];

/// Datagrams that wait to be polled; the oldest give way. Reliable messages come again, the rest is of no use by then.
const MAX_QUEUE: usize = 4096;

/// Time between two pings.
const PING: Duration = Duration::from_secs(1);

/// Time between two pings of an end that did not hear of the other yet.
const KNOCK: Duration = Duration::from_millis(100);

/// The round trip that is assumed before the first answer.
const FIRST_ROUND_TRIP: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct Link {
    pub(super) opener: Opener,
    sealers: Vec<Sealer>,
    /// Payload bytes of a datagram.
    room: usize,
    reliable: Vec<(Stream, ReliableSender, ReliableReceiver)>,
    /// Messages that are not sealed yet, by stream.
    pending: Vec<(Stream, Vec<u8>)>,
    queue: VecDeque<Vec<u8>>,
    pub(super) round_trip: Duration,
    measured: bool,
    ping: Option<(u64, Timestamp)>,
    pings: u64,
    ping_due: Timestamp,
    /// The peer may not know where this end is.
    knocking: bool,
    heard_at: Option<Timestamp>,
    begun_at: Timestamp,
    ended: Option<Ended>,
    over: bool,
}

impl Link {
    pub(super) fn new(config: &SessionConfig, direction: Direction, position: SendPosition, now: Timestamp) -> Self {
        let sealer = |stream| Sealer::new(&config.keys, direction, stream, config.session, position);
        let room = config.datagram.max(crate::lumen1::MIN_DATAGRAM) - OVERHEAD;
        let piece = room - MESSAGE_HEADER_LEN - RELIABLE_HEADER_LEN;
        // Type and format come on top of what the user counts.
        let limit = config.max_message.saturating_add(16);
        Self {
            opener: Opener::new(&config.keys, direction.reverse(), config.session),
            sealers: Stream::ALL.map(sealer).into(),
            room,
            reliable: RELIABLE
                .map(|stream| (stream, ReliableSender::new(piece, limit), ReliableReceiver::new(limit)))
                .into(),
            pending: MESSAGES.map(|stream| (stream, Vec::new())).into(),
            queue: VecDeque::new(),
            round_trip: FIRST_ROUND_TRIP,
            measured: false,
            ping: None,
            pings: 0,
            ping_due: now,
            knocking: true,
            heard_at: None,
            begun_at: now,
            ended: None,
            over: false,
        }
    }

    /// Payload bytes of a datagram of messages or sound.
    pub(super) fn room(&self) -> usize {
        self.room
    }

    /// Whether the peer was heard of.
    pub(super) fn is_connected(&self) -> bool {
        self.heard_at.is_some()
    }

    pub(super) fn heard(&mut self, now: Timestamp) {
        self.heard_at = Some(now);
        self.knocking = false;
    }

    /// Pings at once, and until the peer is heard of.
    pub(super) fn knock(&mut self) {
        self.knocking = true;
        self.ping_due = Timestamp::ZERO;
    }

    /// Where each stream's next packet stands.
    pub(super) fn position(&self, stream: Stream) -> SendPosition {
        self.sealers[usize::from(stream.wire())].position()
    }

    /// Adds a message to the next datagram of its stream. One that fits no datagram is not sent.
    pub(super) fn post(&mut self, stream: Stream, message: &Message<'_>) -> Result<(), EpochsExhausted> {
        let (_, pending) = self.pending.iter_mut().find(|(of, _)| *of == stream).expect("a stream of messages");
        let before = pending.len();
        message.write(pending);
        if before > 0 && pending.len() > self.room {
            let rest = pending.split_off(before);
            let full = std::mem::replace(pending, rest);
            self.enqueue(stream, &full)?;
        }
        Ok(())
    }

    /// Adds a reliable message.
    pub(super) fn post_reliable(&mut self, stream: Stream, message: &Message<'_>) -> Result<(), QueueFull> {
        let (_, sender, _) = self.reliable.iter_mut().find(|(of, ..)| *of == stream).expect("a reliable stream");
        sender.push(message)
    }

    /// Adds a datagram with `payload`.
    pub(super) fn enqueue(&mut self, stream: Stream, payload: &[u8]) -> Result<(), EpochsExhausted> {
        let datagram = self.sealers[usize::from(stream.wire())].seal_payload(payload)?;
        self.enqueue_sealed(datagram);
        Ok(())
    }

    /// Adds a datagram that is sealed.
    pub(super) fn enqueue_sealed(&mut self, datagram: Vec<u8>) {
        if self.queue.len() == MAX_QUEUE {
            self.queue.pop_front();
        }
        self.queue.push_back(datagram);
    }

    /// A datagram of its own for `message`, which need not go where the others go.
    pub(super) fn seal_alone(&mut self, stream: Stream, message: &Message<'_>) -> Result<Vec<u8>, EpochsExhausted> {
        let mut payload = Vec::new();
        message.write(&mut payload);
        self.sealers[usize::from(stream.wire())].seal_payload(&payload)
    }

    /// Takes a message that both ends treat alike. Messages that became complete by it go to `deliver`. Returns whether
    /// it was such a message.
    pub(super) fn receive(
        &mut self,
        stream: Stream,
        message: &Message<'_>,
        now: Timestamp,
        deliver: impl FnMut(u16, &[u8]),
    ) -> Result<bool, EpochsExhausted> {
        let reliable = self.reliable.iter_mut().find(|(of, ..)| *of == stream);
        match (message, reliable) {
            (Message::Ping(value), _) => self.post(Stream::Control, &Message::Pong(*value))?,
            (Message::Pong(value), _) => {
                if let Some((_, sent)) = self.ping.take_if(|(expected, _)| expected == value) {
                    self.note_round_trip(now.saturating_since(sent));
                }
            }
            (Message::Close { code, text }, _) => self.end(Ended::Closed(*code, (*text).to_owned())),
            (Message::Reliable { sequence, piece, bytes }, Some((.., receiver))) => {
                receiver.receive(*sequence, *piece, bytes, deliver);
            }
            (Message::Ack { next, beyond }, Some((_, sender, _))) => sender.acknowledge(*next, *beyond),
            (Message::Padding(_), _) => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn note_round_trip(&mut self, sample: Duration) {
        self.round_trip = if self.measured { (self.round_trip * 7 + sample) / 8 } else { sample };
        self.measured = true;
    }

    /// Notes when the peer was silent for too long.
    pub(super) fn check_idle(&mut self, now: Timestamp) {
        if self.idle_at() <= now {
            self.end(Ended::Silent);
        }
    }

    /// Notes that the session is over; the first reason counts.
    pub(super) fn end(&mut self, ended: Ended) {
        if !self.over {
            (self.over, self.ended) = (true, Some(ended));
        }
    }

    /// Why the session ended, once.
    pub(super) fn take_ended(&mut self) -> Option<Ended> {
        self.ended.take()
    }

    /// When the peer will have been silent for too long; `None` once the session is over.
    pub(super) fn idle_deadline(&self) -> Option<Timestamp> {
        (!self.over).then(|| self.idle_at())
    }

    fn idle_at(&self) -> Timestamp {
        self.heard_at.unwrap_or(self.begun_at) + IDLE
    }

    /// The next datagram to be sent at `now`.
    pub(super) fn poll(&mut self, now: Timestamp) -> Result<Option<Vec<u8>>, EpochsExhausted> {
        if let Some(datagram) = self.queue.pop_front() {
            return Ok(Some(datagram));
        }
        if self.ping_due <= now && !self.over {
            self.pings += 1;
            // At an address that it does not know, a host answers after more than the network: it has the address proven first.
            self.ping = (!self.knocking).then_some((self.pings, now));
            self.ping_due = now + if self.knocking { KNOCK } else { PING };
            let ping = Message::Ping(self.pings);
            self.post(Stream::Control, &ping)?;
            if self.knocking {
                // So that the host may answer an address that it does not know yet.
                self.post(Stream::Control, &Message::Padding(64))?;
            }
        }
        for index in 0..self.pending.len() {
            let (stream, pending) = &mut self.pending[index];
            let stream = *stream;
            if let Some((_, sender, receiver)) = self.reliable.iter_mut().find(|(of, ..)| *of == stream) {
                if pending.len() + 20 <= self.room
                    && let Some(ack) = receiver.poll_ack()
                {
                    ack.write(pending);
                }
                // A piece fits in a datagram of its own, and together with little else.
                if pending.is_empty()
                    && let Some(piece) = sender.poll(now, self.round_trip)
                {
                    piece.write(pending);
                }
            }
            if !pending.is_empty() {
                let payload = std::mem::take(pending);
                let datagram = self.sealers[usize::from(stream.wire())].seal_payload(&payload)?;
                let (_, pending) = &mut self.pending[index];
                *pending = payload;
                pending.clear();
                return Ok(Some(datagram));
            }
        }
        Ok(None)
    }

    /// When [`Link::poll`] or [`Link::check_idle`] has something to do.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        let waiting = !self.queue.is_empty()
            || self.pending.iter().any(|(_, pending)| !pending.is_empty())
            || self.reliable.iter().any(|(.., receiver)| receiver.owes_ack());
        if waiting {
            return Some(Timestamp::ZERO);
        }
        let again = self.reliable.iter().filter_map(|(_, sender, _)| sender.due()).min();
        let ping = (!self.over).then_some(self.ping_due);
        [self.idle_deadline(), ping, again].into_iter().flatten().min()
    }
}
