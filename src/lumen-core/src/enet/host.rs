//! The host: slots, connection set-up, and which connection a datagram belongs to.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use super::handshake::{Agreement, Sessions, Terms, clamp_mtu};
use super::inbound::Refusal;
use super::peer::{Fate, Peer};
use super::wire::{Body, Command, Datagram, Handshake, Header, HeaderError, NO_SLOT, Stop};
use super::{Delivery, Event, HostConfig, Incoming, Marking, PeerAddress, PeerId, Transmit};
use crate::entropy::Entropy;
use crate::time::Timestamp;

/// Longest datagram that is looked at, bytes.
const MAX_DATAGRAM: usize = super::handshake::MAX_MTU as usize;
/// Most [`Event::ForeignAddress`] that wait for the owner.
const MAX_FOREIGN_EVENTS: usize = 16;
/// How long the end of a connection is repeated to a peer that missed it.
const FAREWELL_TIME: Duration = Duration::from_secs(3);
/// Most datagrams that wait without a connection.
const MAX_REPLIES: usize = 64;

/// A peer id that names no connection (any more).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such connection")]
pub struct UnknownPeer;

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The id names no connection, or one that is not established or already closing.
    #[error("not connected")]
    NotConnected,
    /// The channel is not below the negotiated channel count.
    #[error("channel {channel} is not below the negotiated {count}")]
    BadChannel {
        /// The channel asked for.
        channel: u8,
        /// The negotiated channel count.
        count: u8,
    },
    /// Longer than [`Limits::packet_bytes`](super::Limits::packet_bytes).
    #[error("message of {length} bytes is longer than the limit of {limit}")]
    TooLarge {
        /// Length of the message.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// The peer does not acknowledge fast enough: [`Limits::outgoing_bytes`](super::Limits::outgoing_bytes).
    #[error("too much waits to be sent or acknowledged")]
    QueueFull,
}

/// Why a connection was not attempted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// All slots are in use.
    #[error("all peer slots are in use")]
    NoFreeSlot,
}

/// Why a datagram, or its rest, was not processed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DropReason {
    /// Its header is not one of a datagram for this protocol.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// Longer than any that ENet sends.
    #[error("datagram of {0} bytes is longer than any MTU")]
    TooLong(usize),
    /// It names a slot without a connection.
    #[error("slot {0} has no connection")]
    NoConnection(u16),
    /// It belongs to an earlier connection of the slot.
    #[error("wrong session number for slot {0}")]
    WrongSession(u16),
    /// It came from elsewhere than its connection, see [`Event::ForeignAddress`].
    #[error("not from the address of its connection")]
    ForeignAddress,
    /// CONNECT for a host that takes none.
    #[error("this host accepts no connections")]
    NotAccepting,
    /// CONNECT that names no slot, or a channel count outside of 1..=255.
    #[error("offer out of range")]
    BadOffer,
    /// CONNECT that was taken before.
    #[error("repeated connection attempt")]
    RepeatedConnect,
    /// CONNECT that would exceed the limit of half-open connections.
    #[error("too many half-open connections")]
    TooManyHalfOpen,
    /// CONNECT, and all slots are in use.
    #[error("all peer slots are in use")]
    NoFreeSlot,
    /// CONNECT inside a connection.
    #[error("connection attempt inside a connection")]
    UnexpectedConnect,
    /// The rest cannot be parsed.
    #[error(transparent)]
    Stopped(#[from] Stop),
    /// A message for a channel that was not negotiated.
    #[error("channel was not negotiated")]
    BadChannel,
    /// Fragment fields contradict each other or those of earlier fragments.
    #[error("contradictory fragment")]
    BadFragment,
    /// A message longer than [`Limits::packet_bytes`](super::Limits::packet_bytes).
    #[error("message too large")]
    TooLarge,
    /// A message beyond [`Limits::waiting_bytes`](super::Limits::waiting_bytes).
    #[error("too much data waits")]
    Full,
}

impl From<Refusal> for DropReason {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::BadChannel => Self::BadChannel,
            Refusal::BadFragment => Self::BadFragment,
            Refusal::TooLarge => Self::TooLarge,
            Refusal::Full => Self::Full,
        }
    }
}

/// Health of one connection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PeerStatistics {
    /// Smoothed round trip time, whole milliseconds; 500 ms until the first sample.
    pub round_trip: Duration,
    /// Smoothed deviation of the round trip time, whole milliseconds.
    pub round_trip_variance: Duration,
    /// Share of reliable transmissions that were not acknowledged in time, smoothed over some 32 of them,
    /// 0.0..=1.0. Counts losses in either direction.
    pub loss: f32,
    /// Reliable transmissions so far, repetitions included.
    pub transmissions: u64,
    /// Reliable transmissions so far that were not acknowledged in time.
    pub lost: u64,
    /// Payload bytes sent and not yet acknowledged.
    pub in_flight_bytes: usize,
    /// Memory held by messages to the peer, sent or not, that are not yet acknowledged, in bytes.
    pub outgoing_bytes: usize,
    /// Memory held by messages from the peer that wait for others, for their fragments or for the owner, in bytes.
    pub waiting_bytes: usize,
}

/// An ENet endpoint; see the [module](super) for how to drive it.
pub struct Host {
    config: HostConfig,
    entropy: Box<dyn Entropy + Send>,
    slots: Vec<Slot>,
    generation: u64,
    /// Slot whose turn it is to send.
    turn: usize,
    replies: VecDeque<Transmit>,
    events: VecDeque<Event>,
    foreign_events: usize,
}

struct Slot {
    peer: Option<Box<Peer>>,
    last_sessions: Sessions,
    farewell: Option<Farewell>,
}

/// What a peer is told that missed the end of its connection.
struct Farewell {
    address: PeerAddress,
    header: Header,
    incoming_session: u8,
    until: Option<Timestamp>,
    words: Words,
}

enum Words {
    /// Its DISCONNECT arrived.
    AcknowledgeDisconnect,
    /// This datagram.
    Repeat(Vec<u8>),
}

impl Host {
    /// A host without connections. `entropy` names own connection attempts.
    pub fn new(config: HostConfig, entropy: impl Entropy + Send + 'static) -> Self {
        let config = HostConfig {
            peer_limit: config.peer_limit.clamp(1, NO_SLOT),
            channel_limit: config.channel_limit.max(1),
            mtu: clamp_mtu(config.mtu.into()),
            ..config
        };
        Self {
            config,
            entropy: Box::new(entropy),
            slots: Vec::new(),
            generation: 0,
            turn: 0,
            replies: VecDeque::new(),
            events: VecDeque::new(),
            foreign_events: 0,
        }
    }

    /// Takes one received UDP payload. The error says why it, or the rest of it, was ignored; nothing needs to
    /// be done about it.
    pub fn receive(&mut self, from: PeerAddress, datagram: &[u8], now: Timestamp) -> Result<(), DropReason> {
        if datagram.len() > MAX_DATAGRAM {
            return Err(DropReason::TooLong(datagram.len()));
        }
        let datagram = Datagram::parse(datagram)?;
        let Header { slot: number, session, .. } = datagram.header();
        let Some(number) = number else {
            return match datagram.commands().next() {
                Some(Ok(Command { body: Body::Connect { offer, data }, .. })) => self.accept(from, &offer, data, now),
                _ => Err(HeaderError::NotConnect.into()),
            };
        };
        let slot = self.slots.get_mut(usize::from(number)).ok_or(DropReason::NoConnection(number))?;
        let peer = match &mut slot.peer {
            Some(peer) if peer.matches_session(session) => peer,
            Some(_) => return Err(DropReason::WrongSession(number)),
            None => {
                let reply = slot.farewell.as_mut().and_then(|farewell| farewell.answer(from, &datagram, now));
                let transmit = reply.ok_or(DropReason::NoConnection(number))?;
                self.reply(transmit);
                return Ok(());
            }
        };
        if peer.address().remote() != from.remote() {
            if peer.is_established() {
                let peer = peer.id();
                self.report_foreign(peer, from, &datagram);
            }
            return Err(DropReason::ForeignAddress);
        }
        peer.set_address(from);
        let (fate, outcome) = peer.receive(&datagram, &self.config, now, &mut self.events);
        self.settle(number, fate, now);
        outcome
    }

    /// The next datagram to send, if any.
    pub fn poll_transmit(&mut self, now: Timestamp) -> Option<Transmit> {
        if let Some(reply) = self.replies.pop_front() {
            return Some(reply);
        }
        let count = self.slots.len();
        for step in 0..count {
            let index = (self.turn + step) % count;
            let Some(peer) = self.slots.get_mut(index).and_then(|slot| slot.peer.as_mut()) else { continue };
            if let Some(bytes) = peer.transmit(now) {
                self.turn = (index + 1) % count;
                return Some(Transmit { to: peer.address(), bytes, marking: peer.marking() });
            }
        }
        None
    }

    /// The next event, if any.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        match &event {
            Event::Message { peer, bytes, .. } => {
                if let Some(peer) = self.peer_mut(*peer) {
                    peer.inbound_mut().release(bytes.len());
                }
            }
            Event::ForeignAddress { .. } => self.foreign_events -= 1,
            Event::Connected { .. } | Event::Disconnected { .. } => {}
        }
        Some(event)
    }

    /// When to call [`Self::handle_timeout`] if nothing else happens.
    pub fn timeout(&self) -> Option<Timestamp> {
        self.peers().filter_map(Peer::timeout).min()
    }

    /// Repeats what was not acknowledged in time, pings idle peers, ends dead ones. Harmless when called early.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        for number in 0..self.slots.len() {
            if let Some(peer) = self.slots.get_mut(number).and_then(|slot| slot.peer.as_mut()) {
                let fate = peer.handle_timeout(now);
                self.settle(number as u16, fate, now);
            }
        }
    }

    /// Opens a connection with up to `channels` channels (clamped to 1..=the own limit) and the user data `data`.
    /// [`Event::Connected`] or [`Event::Disconnected`] follows.
    pub fn connect(&mut self, to: PeerAddress, channels: u8, data: u32) -> Result<PeerId, ConnectError> {
        let id = self.claim_slot().ok_or(ConnectError::NoFreeSlot)?;
        let mut connect_id = [0; 4];
        self.entropy.fill(&mut connect_id);
        let channels = channels.clamp(1, self.config.channel_limit);
        let slot = self.slots.get_mut(usize::from(id.slot)).ok_or(ConnectError::NoFreeSlot)?;
        slot.occupy(Peer::connect(id, to, connect_id, slot.last_sessions, channels, data, &self.config));
        Ok(id)
    }

    /// Queues a message.
    pub fn send(&mut self, peer: PeerId, channel: u8, bytes: &[u8], delivery: Delivery) -> Result<(), SendError> {
        let config = self.config;
        self.peer_mut(peer).ok_or(SendError::NotConnected)?.send(channel, bytes, delivery, &config)
    }

    /// Ends a connection: drops what was not acknowledged yet, tells the peer reliably, then reports
    /// [`Event::Disconnected`]. A connection that is not established yet ends at once, without an event.
    pub fn disconnect(&mut self, peer: PeerId, data: u32) {
        match self.peer_mut(peer) {
            Some(connection) if connection.is_established() => connection.disconnect(data),
            Some(connection) if !connection.is_disconnecting() => self.disconnect_now(peer, data),
            _ => {}
        }
    }

    /// Ends a connection at once: an unacknowledged datagram tells the peer, and is repeated for a while if the
    /// peer goes on. No event follows; the id names nothing any more.
    pub fn disconnect_now(&mut self, peer: PeerId, data: u32) {
        let Some(connection) = self.peer_mut(peer) else { return };
        let farewell = connection.last_words(data).map(|bytes| Farewell::new(connection, Words::Repeat(bytes)));
        let marking = connection.marking();
        if let Some(slot) = self.slots.get_mut(usize::from(peer.slot)) {
            slot.vacate();
            slot.farewell = farewell;
            if let Some(Farewell { address, words: Words::Repeat(bytes), .. }) = &slot.farewell {
                let transmit = Transmit { to: *address, bytes: bytes.clone(), marking };
                self.reply(transmit);
            }
        }
    }

    /// Ends a connection after everything queued so far was sent and all that is reliable was acknowledged.
    /// Nothing more can be sent; messages still arrive. A connection that is not established yet ends at once,
    /// without an event.
    pub fn disconnect_later(&mut self, peer: PeerId, data: u32) {
        match self.peer_mut(peer) {
            Some(connection) if connection.is_established() => connection.disconnect_later(data),
            _ => self.disconnect(peer, data),
        }
    }

    /// Moves a connection to a new address. Only for owners that authenticated a message from there, see
    /// [`Event::ForeignAddress`].
    pub fn migrate(&mut self, peer: PeerId, to: PeerAddress) -> Result<(), UnknownPeer> {
        self.peer_mut(peer).ok_or(UnknownPeer)?.set_address(to);
        Ok(())
    }

    /// Where the peer is.
    pub fn address(&self, peer: PeerId) -> Option<PeerAddress> {
        Some(self.peer(peer)?.address())
    }

    /// Negotiated number of channels; of a connection that is not established yet, what was asked for.
    pub fn channel_count(&self, peer: PeerId) -> Option<u8> {
        Some(self.peer(peer)?.channel_count())
    }

    /// Health of a connection.
    pub fn statistics(&self, peer: PeerId) -> Option<PeerStatistics> {
        Some(self.peer(peer)?.statistics())
    }

    fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.slots.iter().filter_map(|slot| slot.peer.as_deref())
    }

    fn peer(&self, id: PeerId) -> Option<&Peer> {
        self.slots.get(usize::from(id.slot))?.peer.as_deref().filter(|peer| peer.id() == id)
    }

    fn peer_mut(&mut self, id: PeerId) -> Option<&mut Peer> {
        self.slots.get_mut(usize::from(id.slot))?.peer.as_deref_mut().filter(|peer| peer.id() == id)
    }

    fn accept(&mut self, from: PeerAddress, offer: &Handshake, data: u32, now: Timestamp) -> Result<(), DropReason> {
        if self.config.incoming == Incoming::Refuse {
            return Err(DropReason::NotAccepting);
        }
        if offer.slot >= NO_SLOT {
            return Err(DropReason::BadOffer);
        }
        let terms =
            Terms::agree(offer, self.config.channel_limit, self.config.mtu).map_err(|_| DropReason::BadOffer)?;
        let same = |peer: &Peer| peer.address().remote() == from.remote() && peer.connect_id() == offer.connect_id;
        if self.peers().any(same) {
            return Err(DropReason::RepeatedConnect);
        }
        let half_open: Vec<IpAddr> =
            self.peers().filter(|peer| peer.is_half_open()).map(|peer| peer.address().remote().ip()).collect();
        let from_there = half_open.iter().filter(|&&ip| ip == from.remote().ip()).count();
        if half_open.len() >= self.config.limits.half_open || from_there >= self.config.limits.half_open_per_address {
            return Err(DropReason::TooManyHalfOpen);
        }
        let id = self.claim_slot().ok_or(DropReason::NoFreeSlot)?;
        let slot = self.slots.get_mut(usize::from(id.slot)).ok_or(DropReason::NoFreeSlot)?;
        let agreement = Agreement { sessions: slot.last_sessions.next(offer), terms };
        slot.occupy(Peer::accept(id, from, offer, data, agreement, &self.config, now));
        Ok(())
    }

    /// The first free slot, with a new id for what will be in it.
    fn claim_slot(&mut self) -> Option<PeerId> {
        let number = match self.slots.iter().position(|slot| slot.peer.is_none()) {
            Some(number) => number,
            None if self.slots.len() < usize::from(self.config.peer_limit) => {
                self.slots.push(Slot::empty());
                self.slots.len() - 1
            }
            None => return None,
        };
        self.generation += 1;
        Some(PeerId { slot: number as u16, generation: self.generation })
    }

    /// Takes an established connection out of its slot.
    pub(super) fn take(&mut self, id: PeerId) -> Option<Box<Peer>> {
        self.peer(id).filter(|peer| peer.is_connected())?;
        self.slots.get_mut(usize::from(id.slot))?.vacate()
    }

    /// Puts a connection of another host into the slot that it had there, if that is free and within the limit.
    pub(super) fn put(&mut self, peer: Peer) -> Option<PeerId> {
        let number = peer.id().slot;
        if number >= self.config.peer_limit {
            return None;
        }
        while self.slots.len() <= usize::from(number) {
            self.slots.push(Slot::empty());
        }
        let slot = self.slots.get_mut(usize::from(number)).filter(|slot| slot.peer.is_none())?;
        self.generation += 1;
        let id = PeerId { slot: number, generation: self.generation };
        slot.occupy(peer.renamed(id));
        Some(id)
    }

    /// Carries out what became of the connection in a slot.
    fn settle(&mut self, number: u16, fate: Fate, now: Timestamp) {
        let Fate::Ends { report, acknowledged_disconnect } = fate else { return };
        let Some(slot) = self.slots.get_mut(usize::from(number)) else { return };
        let Some(mut peer) = slot.vacate() else { return };
        if let Some((data, cause)) = report {
            self.events.push_back(Event::Disconnected { peer: peer.id(), data, cause });
        }
        if acknowledged_disconnect {
            let farewell = Farewell::new(&peer, Words::AcknowledgeDisconnect);
            slot.farewell = Some(Farewell { until: Some(now + FAREWELL_TIME), ..farewell });
            let (to, marking) = (peer.address(), peer.marking());
            for bytes in peer.last_acknowledgements(now) {
                self.reply(Transmit { to, bytes, marking });
            }
        }
    }

    fn report_foreign(&mut self, peer: PeerId, address: PeerAddress, datagram: &Datagram<'_>) {
        for command in datagram.commands().map_while(Result::ok) {
            let Body::SendReliable { data } = command.body else { continue };
            if self.foreign_events >= MAX_FOREIGN_EVENTS {
                return;
            }
            self.foreign_events += 1;
            let (channel, bytes) = (command.channel, data.to_vec());
            self.events.push_back(Event::ForeignAddress { peer, address, channel, bytes });
        }
    }

    fn reply(&mut self, transmit: Transmit) {
        if self.replies.len() < MAX_REPLIES {
            self.replies.push_back(transmit);
        }
    }
}

impl Slot {
    fn empty() -> Self {
        Self { peer: None, last_sessions: Sessions::NONE, farewell: None }
    }

    fn occupy(&mut self, peer: Peer) {
        self.peer = Some(Box::new(peer));
        self.farewell = None;
    }

    fn vacate(&mut self) -> Option<Box<Peer>> {
        let peer = self.peer.take()?;
        if let Some(sessions) = peer.sessions() {
            self.last_sessions = sessions;
        }
        Some(peer)
    }
}

impl Farewell {
    fn new(peer: &Peer, words: Words) -> Self {
        let incoming_session = peer.sessions().map_or(0, |sessions| sessions.incoming);
        Self { address: peer.address(), header: peer.header(), incoming_session, until: None, words }
    }

    /// What to say to a datagram of the connection that ended.
    fn answer(&mut self, from: PeerAddress, datagram: &Datagram<'_>, now: Timestamp) -> Option<Transmit> {
        let header = datagram.header();
        let until = *self.until.get_or_insert(now + FAREWELL_TIME);
        if from.remote() != self.address.remote() || header.session != self.incoming_session || now > until {
            return None;
        }
        // Only to what waits for an answer: two ends must not say goodbye to each other forever.
        let mut waiting = datagram.commands().map_while(Result::ok).filter(|command| command.acknowledge);
        let bytes = match &self.words {
            Words::Repeat(bytes) => waiting.next().map(|_| bytes.clone())?,
            Words::AcknowledgeDisconnect => {
                let command = waiting.find(|command| matches!(command.body, Body::Disconnect { .. }))?;
                let body = Body::Acknowledge { sequence: command.sequence, sent_time: header.sent_time? };
                let mut bytes = Vec::new();
                self.header.encode(&mut bytes);
                Command { acknowledge: false, body, ..command }.encode(&mut bytes);
                bytes
            }
        };
        Some(Transmit { to: from, bytes, marking: Marking::Expedited })
    }
}
