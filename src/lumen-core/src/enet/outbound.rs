//! The sending half of a connection (protocol part 3, section 1.3): numbers and fragments messages, packs
//! commands into datagrams within the window, repeats what was not acknowledged in time, and notices when nothing
//! is acknowledged any more.

use std::collections::VecDeque;
use std::time::Duration;

use super::round_trip::RoundTrip;
use super::throttle::Throttle;
use super::window::{may_send, opens_window};
use super::wire::{
    ACKNOWLEDGE_LENGTH, Body, Command, FRAGMENT_HEADER_LENGTH, Fragment, Header, PEER_CHANNEL, TIMED_HEADER_LENGTH,
};
use super::{Delivery, PeerStatistics, Timeouts};
use crate::time::Timestamp;

/// Most commands in one datagram.
const MAX_COMMANDS: usize = 32;
/// Most acknowledgements that wait to be sent; what exceeds it, the peer sends again.
const MAX_ACKNOWLEDGEMENTS: usize = 4096;
/// Weight of one transmission in the smoothed loss.
const LOSS_WEIGHT: f32 = 1.0 / 32.0;

/// What a reliable command is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) enum Purpose {
    Connect,
    VerifyConnect,
    Disconnect,
    Ping,
    Message,
}

/// Whether the peer still acknowledges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pulse {
    Alive,
    Dead,
}

/// The outgoing queue would exceed its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct QueueFull;

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Outgoing {
    /// The encoded command.
    bytes: Vec<u8>,
    purpose: Purpose,
    channel: u8,
    sequence: u16,
    /// Message bytes in it, for flow control.
    payload: usize,
    /// Position among everything queued; commands leave in this order.
    order: u64,
    attempts: u32,
    first_sent: Timestamp,
    sent: Timestamp,
    /// How long to wait after the next, or after this, transmission; none: decided when it is sent first.
    patience: Option<Duration>,
}

#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
struct Acknowledgement {
    channel: u8,
    sequence: u16,
    sent_time: u16,
}

#[derive(Debug, Default, Clone, Copy, serde::Serialize, serde::Deserialize)]
struct Numbers {
    reliable: u16,
    unreliable: u16,
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Outbound {
    timeouts: Timeouts,
    limit: usize,
    mtu: usize,
    window: usize,
    channels: Vec<Numbers>,
    peer_sequence: u16,
    group: u16,
    order: u64,
    acknowledgements: VecDeque<Acknowledgement>,
    /// Repetitions first, then what was never sent, each in order.
    reliable: VecDeque<Outgoing>,
    unreliable: VecDeque<Outgoing>,
    in_flight: VecDeque<Outgoing>,
    in_flight_bytes: usize,
    held_bytes: usize,
    round_trip: RoundTrip,
    pub throttle: Throttle,
    /// Send time of the oldest command that timed out since the last acknowledgement.
    silent_since: Option<Timestamp>,
    last_acknowledged: Timestamp,
    handshakes_lost: u32,
    transmissions: u64,
    lost: u64,
    loss: f32,
}

impl Outbound {
    pub fn new(mtu: u16, timeouts: Timeouts, limit: usize, throttle: Throttle) -> Self {
        Self {
            timeouts,
            limit,
            mtu: mtu.into(),
            window: 0,
            channels: Vec::new(),
            peer_sequence: 0,
            group: 0,
            order: 0,
            acknowledgements: VecDeque::new(),
            reliable: VecDeque::new(),
            unreliable: VecDeque::new(),
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            held_bytes: 0,
            round_trip: RoundTrip::new(),
            throttle,
            silent_since: None,
            last_acknowledged: Timestamp::ZERO,
            handshakes_lost: 0,
            transmissions: 0,
            lost: 0,
            loss: 0.0,
        }
    }

    /// What the handshake agreed on.
    pub fn negotiated(&mut self, channels: u8, mtu: u16, window: u32) {
        self.channels = vec![Numbers::default(); channels.into()];
        self.mtu = mtu.into();
        self.set_window(window);
    }

    pub fn set_window(&mut self, window: u32) {
        self.window = window as usize;
    }

    /// Starts the idle clock.
    pub fn established(&mut self, now: Timestamp) {
        self.last_acknowledged = now;
    }

    /// Queues a reliable command that concerns the connection.
    pub fn queue_control(&mut self, purpose: Purpose, body: Body<'_>) {
        let sequence = self.next_peer_sequence();
        self.queue_reliable(purpose, PEER_CHANNEL, sequence, 0, body);
    }

    pub fn next_peer_sequence(&mut self) -> u16 {
        self.peer_sequence = self.peer_sequence.wrapping_add(1);
        self.peer_sequence
    }

    /// Queues a message for a channel below the channel count.
    pub fn queue_message(&mut self, channel: u8, message: &[u8], delivery: Delivery) -> Result<(), QueueFull> {
        let unit = self.mtu.saturating_sub(TIMED_HEADER_LENGTH + FRAGMENT_HEADER_LENGTH).max(1);
        let fragments = message.len().div_ceil(unit).max(1);
        let cost = message.len() + fragments * (FRAGMENT_HEADER_LENGTH + size_of::<Outgoing>());
        if self.held_bytes + cost > self.limit {
            return Err(QueueFull);
        }
        let delivery = if fragments > 1 { Delivery::Reliable } else { delivery };
        let Some(numbers) = self.channels.get_mut(usize::from(channel)) else { return Ok(()) };
        match delivery {
            Delivery::Reliable => {
                let start = numbers.reliable.wrapping_add(1);
                numbers.reliable = numbers.reliable.wrapping_add(fragments as u16);
                numbers.unreliable = 0;
                if fragments == 1 {
                    let body = Body::SendReliable { data: message };
                    self.queue_reliable(Purpose::Message, channel, start, message.len(), body);
                } else {
                    self.queue_fragments(channel, start, message, unit);
                }
            }
            Delivery::Unreliable => {
                numbers.unreliable = numbers.unreliable.wrapping_add(1);
                let (sequence, number) = (numbers.reliable, numbers.unreliable);
                let body = Body::SendUnreliable { number, data: message };
                let command = Command { channel, sequence, acknowledge: false, unsequenced: false, body };
                self.queue_unreliable(command);
            }
            Delivery::Unsequenced => {
                self.group = self.group.wrapping_add(1);
                let body = Body::SendUnsequenced { group: self.group, data: message };
                self.queue_unreliable(Command { channel, sequence: 0, acknowledge: false, unsequenced: true, body });
            }
        }
        Ok(())
    }

    fn queue_fragments(&mut self, channel: u8, start: u16, message: &[u8], unit: usize) {
        let count = message.len().div_ceil(unit) as u32;
        for (number, data) in (0..count).zip(message.chunks(unit)) {
            let offset = number * unit as u32;
            let fragment = Fragment { start, count, number, total: message.len() as u32, offset, data };
            let sequence = start.wrapping_add(number as u16);
            self.queue_reliable(Purpose::Message, channel, sequence, data.len(), Body::SendFragment(fragment));
        }
    }

    fn queue_reliable(&mut self, purpose: Purpose, channel: u8, sequence: u16, payload: usize, body: Body<'_>) {
        let command = Command { channel, sequence, acknowledge: true, unsequenced: false, body };
        let outgoing = self.outgoing(purpose, payload, command);
        self.reliable.push_back(outgoing);
    }

    fn queue_unreliable(&mut self, command: Command<'_>) {
        let outgoing = self.outgoing(Purpose::Message, 0, command);
        self.unreliable.push_back(outgoing);
    }

    fn outgoing(&mut self, purpose: Purpose, payload: usize, command: Command<'_>) -> Outgoing {
        let mut bytes = Vec::with_capacity(payload + FRAGMENT_HEADER_LENGTH);
        command.encode(&mut bytes);
        self.order += 1;
        let outgoing = Outgoing {
            bytes,
            purpose,
            channel: command.channel,
            sequence: command.sequence,
            payload,
            order: self.order,
            attempts: 0,
            first_sent: Timestamp::ZERO,
            sent: Timestamp::ZERO,
            patience: None,
        };
        self.held_bytes += outgoing.cost();
        outgoing
    }

    /// Notes that a received command must be acknowledged.
    pub fn acknowledge(&mut self, channel: u8, sequence: u16, sent_time: u16) {
        if self.acknowledgements.len() < MAX_ACKNOWLEDGEMENTS {
            self.acknowledgements.push_back(Acknowledgement { channel, sequence, sent_time });
        }
    }

    /// Takes an acknowledgement. Says what was acknowledged by it, if anything; what was never sent, or was
    /// acknowledged before, is no sign of life.
    pub fn acknowledged(&mut self, channel: u8, sequence: u16, sent_time: u16, now: Timestamp) -> Option<Purpose> {
        let wanted = |outgoing: &Outgoing| outgoing.channel == channel && outgoing.sequence == sequence;
        let found = if let Some(index) = self.in_flight.iter().position(wanted) {
            let found = self.in_flight.remove(index)?;
            self.in_flight_bytes -= found.payload;
            found
        } else {
            let repeated = |outgoing: &&Outgoing| outgoing.attempts > 0;
            let index = self.reliable.iter().take_while(repeated).position(wanted)?;
            self.reliable.remove(index)?
        };
        self.held_bytes -= found.cost();
        self.silent_since = None;
        self.last_acknowledged = now;
        self.loss -= self.loss * LOSS_WEIGHT;
        // An echo from before the first transmission, or from the future, measures nothing.
        let sample = u64::from(clock(now).wrapping_sub(sent_time));
        if sample <= now.as_millis().saturating_sub(found.first_sent.as_millis()) {
            let sample = sample.clamp(1, u32::MAX.into()) as u32;
            self.round_trip.sample(sample);
            self.throttle.sample(sample, self.round_trip.time(), self.round_trip.variance(), now);
        }
        Some(found.purpose)
    }

    /// Drops the CONNECT: its answer acknowledged it.
    pub fn connect_answered(&mut self) {
        self.retain_purpose(|purpose| purpose != Purpose::Connect);
    }

    /// Drops every message.
    pub fn clear_messages(&mut self) {
        self.retain_purpose(|purpose| purpose != Purpose::Message);
    }

    fn retain_purpose(&mut self, keep: impl Fn(Purpose) -> bool) {
        for queue in [&mut self.reliable, &mut self.unreliable, &mut self.in_flight] {
            queue.retain(|outgoing| keep(outgoing.purpose));
        }
        self.in_flight_bytes = self.in_flight.iter().map(|outgoing| outgoing.payload).sum();
        self.held_bytes =
            [&self.reliable, &self.unreliable, &self.in_flight].into_iter().flatten().map(Outgoing::cost).sum();
    }

    /// Whether everything queued was sent, and acknowledged where it is reliable.
    pub fn is_idle(&self) -> bool {
        self.reliable.is_empty() && self.unreliable.is_empty() && self.in_flight.is_empty()
    }

    /// The next datagram. `header` still lacks its sent time.
    pub fn transmit(&mut self, header: Header, now: Timestamp) -> Option<Vec<u8>> {
        let mut body = Vec::with_capacity(self.mtu);
        let room = self.mtu - TIMED_HEADER_LENGTH;
        let mut commands = 0;
        let mut timed = false;
        while commands < MAX_COMMANDS && body.len() + ACKNOWLEDGE_LENGTH <= room {
            let Some(Acknowledgement { channel, sequence, sent_time }) = self.acknowledgements.pop_front() else {
                break;
            };
            let body_of_command = Body::Acknowledge { sequence, sent_time };
            Command { channel, sequence, acknowledge: false, unsequenced: false, body: body_of_command }
                .encode(&mut body);
            commands += 1;
        }
        while commands < MAX_COMMANDS {
            let Some((queue, length)) = self.next_queue() else { break };
            if body.len() + length > room && !body.is_empty() {
                break;
            }
            match queue {
                Queue::Reliable => {
                    let Some(outgoing) = self.reliable.pop_front() else { break };
                    body.extend_from_slice(&outgoing.bytes);
                    self.launch(outgoing, now);
                    timed = true;
                }
                Queue::Unreliable => {
                    let Some(outgoing) = self.unreliable.pop_front() else { break };
                    self.held_bytes -= outgoing.cost();
                    if !self.throttle.passes() {
                        continue;
                    }
                    body.extend_from_slice(&outgoing.bytes);
                }
            }
            commands += 1;
        }
        if commands == 0 {
            return None;
        }
        let mut datagram = Vec::with_capacity(TIMED_HEADER_LENGTH + body.len());
        Header { sent_time: timed.then(|| clock(now)), ..header }.encode(&mut datagram);
        datagram.extend_from_slice(&body);
        Some(datagram)
    }

    /// From where the next command is taken, and its length. Repetitions go first; otherwise the order of
    /// queueing is kept, because a receiver drops an unreliable message that arrives after a later reliable one.
    fn next_queue(&self) -> Option<(Queue, usize)> {
        let reliable = self.reliable.front().filter(|outgoing| self.fits_window(outgoing));
        match (reliable, self.unreliable.front()) {
            (Some(reliable), Some(unreliable)) if reliable.attempts == 0 && unreliable.order < reliable.order => {
                Some((Queue::Unreliable, unreliable.bytes.len()))
            }
            (Some(reliable), _) => Some((Queue::Reliable, reliable.bytes.len())),
            (None, Some(unreliable)) => Some((Queue::Unreliable, unreliable.bytes.len())),
            (None, None) => None,
        }
    }

    fn fits_window(&self, outgoing: &Outgoing) -> bool {
        if outgoing.payload > 0 {
            let window = self.throttle.scale(self.window).max(self.mtu);
            if self.in_flight_bytes + outgoing.payload > window {
                return false;
            }
        }
        if outgoing.attempts == 0 && opens_window(outgoing.sequence) {
            let behind = |other: &Outgoing| outgoing.sequence.wrapping_sub(other.sequence);
            let oldest =
                self.in_flight.iter().filter(|other| other.channel == outgoing.channel).max_by_key(|o| behind(o));
            return oldest.is_none_or(|oldest| may_send(oldest.sequence, outgoing.sequence));
        }
        true
    }

    fn launch(&mut self, mut outgoing: Outgoing, now: Timestamp) {
        if outgoing.patience.is_none() {
            outgoing.patience = Some(self.patience(0));
            outgoing.first_sent = now;
        }
        outgoing.attempts += 1;
        outgoing.sent = now;
        self.in_flight_bytes += outgoing.payload;
        self.transmissions += 1;
        self.in_flight.push_back(outgoing);
    }

    fn patience(&self, expiries: u32) -> Duration {
        let maximum = u32::try_from(self.timeouts.maximum.as_millis()).unwrap_or(u32::MAX);
        Duration::from_millis(self.round_trip.timeout(expiries, self.timeouts.limit, maximum).into())
    }

    /// Moves what was not acknowledged in time to the front of the queue.
    pub fn expire(&mut self, now: Timestamp) -> Pulse {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return Pulse::Alive;
        }
        let (expired, waiting): (VecDeque<_>, _) =
            self.in_flight.drain(..).partition(|outgoing| outgoing.deadline() <= now);
        self.in_flight = waiting;
        let mut pulse = Pulse::Alive;
        for outgoing in expired.into_iter().rev() {
            let since = self.silent_since.map_or(outgoing.sent, |since| since.min(outgoing.sent));
            self.silent_since = Some(since);
            let persistent = 1u32.checked_shl(outgoing.attempts - 1).is_none_or(|power| power >= self.timeouts.limit);
            if persistent && now.saturating_since(since) >= self.timeouts.minimum {
                pulse = Pulse::Dead;
            }
            if matches!(outgoing.purpose, Purpose::Connect | Purpose::VerifyConnect) {
                self.handshakes_lost += 1;
            }
            self.in_flight_bytes -= outgoing.payload;
            self.lost += 1;
            self.loss += (1.0 - self.loss) * LOSS_WEIGHT;
            let patience = Some(self.patience(outgoing.attempts));
            self.reliable.push_front(Outgoing { patience, ..outgoing });
        }
        if self.silent_since.is_some_and(|since| now.saturating_since(since) >= self.timeouts.maximum) {
            pulse = Pulse::Dead;
        }
        pulse
    }

    /// Whether the peer was quiet for so long that it should be pinged.
    pub fn wants_ping(&self, now: Timestamp) -> bool {
        self.ping_time().is_some_and(|time| time <= now)
    }

    /// When the peer should be pinged.
    pub fn ping_time(&self) -> Option<Timestamp> {
        let nothing_reliable = self.in_flight.is_empty() && self.reliable.is_empty();
        nothing_reliable.then(|| self.last_acknowledged + self.timeouts.ping_interval)
    }

    /// When [`Self::expire`] has something to do.
    pub fn deadline(&self) -> Option<Timestamp> {
        let death = self.silent_since.map(|since| since + self.timeouts.maximum);
        self.in_flight.iter().map(Outgoing::deadline).chain(death).min()
    }

    /// CONNECT or VERIFY_CONNECT transmissions that were lost so far.
    pub fn handshakes_lost(&self) -> u32 {
        self.handshakes_lost
    }

    /// Health of the connection; `waiting_bytes` is what the other half holds.
    pub fn statistics(&self, waiting_bytes: usize) -> PeerStatistics {
        PeerStatistics {
            round_trip: Duration::from_millis(self.round_trip.time().into()),
            round_trip_variance: Duration::from_millis(self.round_trip.variance().into()),
            loss: self.loss,
            transmissions: self.transmissions,
            lost: self.lost,
            in_flight_bytes: self.in_flight_bytes,
            outgoing_bytes: self.held_bytes,
            waiting_bytes,
        }
    }
}

enum Queue {
    Reliable,
    Unreliable,
}

impl Outgoing {
    fn cost(&self) -> usize {
        self.bytes.len() + size_of::<Self>()
    }

    fn deadline(&self) -> Timestamp {
        self.sent + self.patience.unwrap_or_default()
    }
}

/// The clock of the wire: low 16 bits of the time in milliseconds.
pub(super) fn clock(now: Timestamp) -> u16 {
    now.as_millis() as u16
}
