//! One connection: its state, and what each command does in it (protocol part 3, section 1). Delegates numbers
//! and buffers to [`Inbound`] and [`Outbound`]; knows nothing of slots and of other connections.

use std::collections::VecDeque;

use super::handshake::{Agreement, MAX_WINDOW, NO_SESSION, Sessions, Terms, handshake, window_for_bandwidth};
use super::inbound::{Inbound, Receipt};
use super::outbound::{Outbound, Pulse, Purpose};
use super::throttle::Throttle;
use super::wire::{Body, Command, Datagram, Handshake, Header, NO_SLOT, PEER_CHANNEL};
use super::{
    Delivery, DisconnectCause, DropReason, Event, HostConfig, Marking, PeerAddress, PeerId, PeerStatistics, SendError,
};
use crate::time::Timestamp;

/// Handshake transmissions lost in a row after which datagrams are not marked any more.
const MARKED_HANDSHAKES: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
enum State {
    /// CONNECT sent; waits for VERIFY_CONNECT.
    Connecting,
    /// VERIFY_CONNECT sent; waits for its acknowledgement until `deadline`.
    HalfOpen {
        deadline: Timestamp,
        data: u32,
    },
    Connected,
    /// Drains, then disconnects.
    Draining {
        data: u32,
    },
    /// DISCONNECT sent; waits for its acknowledgement.
    Disconnecting,
}

/// Whether a connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Lives,
    Ends {
        /// What to report, if the connection was ever reported or asked for.
        report: Option<(u32, DisconnectCause)>,
        /// Whether the peer may repeat a DISCONNECT that was acknowledged.
        acknowledged_disconnect: bool,
    },
}

impl Fate {
    fn ends(data: u32, cause: DisconnectCause) -> Self {
        Self::Ends { report: Some((data, cause)), acknowledged_disconnect: false }
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct Peer {
    id: PeerId,
    address: PeerAddress,
    remote_slot: Option<u16>,
    connect_id: [u8; 4],
    sessions: Option<Sessions>,
    /// While the own numbers are unknown: the one that they cannot be.
    stale_session: u8,
    state: State,
    terms: Terms,
    inbound: Inbound,
    outbound: Outbound,
}

impl Peer {
    /// A connection that somebody asked for; the grant is queued.
    pub fn accept(
        id: PeerId,
        address: PeerAddress,
        offer: &Handshake,
        data: u32,
        Agreement { sessions, terms }: Agreement,
        config: &HostConfig,
        now: Timestamp,
    ) -> Self {
        let deadline = now + config.timeouts.half_open;
        let throttle = Throttle::new(offer.throttle);
        let mut peer = Self {
            remote_slot: Some(offer.slot),
            sessions: Some(sessions),
            state: State::HalfOpen { deadline, data },
            ..Self::new(id, address, offer.connect_id, terms, throttle, config)
        };
        let grant = handshake(id.slot, sessions.outgoing, sessions.incoming, terms, offer.throttle, offer.connect_id);
        peer.outbound.queue_control(Purpose::VerifyConnect, Body::VerifyConnect(grant));
        peer
    }

    /// A connection that this side asks for; the offer is queued.
    pub fn connect(
        id: PeerId,
        address: PeerAddress,
        connect_id: [u8; 4],
        last: Sessions,
        channels: u8,
        data: u32,
        config: &HostConfig,
    ) -> Self {
        let terms = Terms { channels, mtu: config.mtu, window: MAX_WINDOW };
        let settings = Throttle::DEFAULT_SETTINGS;
        let peer = Self::new(id, address, connect_id, terms, Throttle::new(settings), config);
        let mut peer = Self { stale_session: last.incoming, ..peer };
        let offer = handshake(id.slot, last.incoming, last.outgoing, terms, settings, connect_id);
        peer.outbound.queue_control(Purpose::Connect, Body::Connect { offer, data });
        peer
    }

    fn new(
        id: PeerId,
        address: PeerAddress,
        connect_id: [u8; 4],
        terms: Terms,
        throttle: Throttle,
        config: &HostConfig,
    ) -> Self {
        let mut outbound = Outbound::new(config.mtu, config.timeouts, config.limits.outgoing_bytes, throttle);
        outbound.negotiated(terms.channels, terms.mtu, terms.window);
        Self {
            id,
            address,
            remote_slot: None,
            connect_id,
            sessions: None,
            stale_session: NO_SESSION,
            state: State::Connecting,
            terms,
            inbound: Inbound::new(terms.channels, config.limits),
            outbound,
        }
    }

    pub fn id(&self) -> PeerId {
        self.id
    }

    /// Whether messages flow both ways: what can be handed over.
    pub fn is_connected(&self) -> bool {
        self.state == State::Connected
    }

    /// The same connection under the name that another host gives to it.
    pub fn renamed(self, id: PeerId) -> Self {
        Self { id, ..self }
    }

    pub fn address(&self) -> PeerAddress {
        self.address
    }

    pub fn set_address(&mut self, address: PeerAddress) {
        self.address = address;
    }

    /// None while the peer has not answered.
    pub fn sessions(&self) -> Option<Sessions> {
        self.sessions
    }

    pub fn connect_id(&self) -> [u8; 4] {
        self.connect_id
    }

    pub fn is_half_open(&self) -> bool {
        matches!(self.state, State::HalfOpen { .. })
    }

    /// Whether messages flow at least towards this side.
    pub fn is_established(&self) -> bool {
        matches!(self.state, State::Connected | State::Draining { .. })
    }

    pub fn is_disconnecting(&self) -> bool {
        self.state == State::Disconnecting
    }

    pub fn statistics(&self) -> PeerStatistics {
        self.outbound.statistics(self.inbound.waiting())
    }

    pub fn inbound_mut(&mut self) -> &mut Inbound {
        &mut self.inbound
    }

    pub fn channel_count(&self) -> u8 {
        self.terms.channels
    }

    /// Whether a datagram with this session number can be meant for this connection.
    pub fn matches_session(&self, session: u8) -> bool {
        self.sessions.map_or(session != self.stale_session, |sessions| session == sessions.incoming)
    }

    /// Header of a datagram to the peer, without sent time.
    pub fn header(&self) -> Header {
        Header {
            slot: self.remote_slot,
            session: self.sessions.map_or(0, |sessions| sessions.outgoing),
            sent_time: None,
        }
    }

    pub fn marking(&self) -> Marking {
        if self.outbound.handshakes_lost() < MARKED_HANDSHAKES { Marking::Expedited } else { Marking::BestEffort }
    }

    /// Processes the commands of a datagram from the peer's address.
    pub fn receive(
        &mut self,
        datagram: &Datagram<'_>,
        config: &HostConfig,
        now: Timestamp,
        events: &mut VecDeque<Event>,
    ) -> (Fate, Result<(), DropReason>) {
        let sent_time = datagram.header().sent_time;
        for command in datagram.commands() {
            let outcome = command.map_err(DropReason::from).and_then(|command| {
                let (fate, receipt) = self.handle(&command, config, now, events)?;
                if let (true, Receipt::Acknowledge, Some(time)) = (command.acknowledge, receipt, sent_time) {
                    self.outbound.acknowledge(command.channel, command.sequence, time);
                }
                Ok(fate)
            });
            let id = self.id;
            events.extend(self.inbound.drain().map(|message| Event::Message {
                peer: id,
                channel: message.channel,
                delivery: message.delivery,
                bytes: message.bytes,
            }));
            match outcome {
                Ok(Fate::Lives) => {}
                Ok(fate) => return (fate, Ok(())),
                Err(reason) => return (Fate::Lives, Err(reason)),
            }
        }
        (Fate::Lives, Ok(()))
    }

    fn handle(
        &mut self,
        command: &Command<'_>,
        config: &HostConfig,
        now: Timestamp,
        events: &mut VecDeque<Event>,
    ) -> Result<(Fate, Receipt), DropReason> {
        let Command { channel, sequence, .. } = *command;
        match command.body {
            Body::Acknowledge { sequence, sent_time } => {
                return Ok((self.acknowledged(channel, sequence, sent_time, now, events), Receipt::Silent));
            }
            Body::Connect { .. } => return Err(DropReason::UnexpectedConnect),
            Body::VerifyConnect(grant) if self.state == State::Connecting => {
                return Ok((self.verified(&grant, config, now, events), Receipt::Acknowledge));
            }
            Body::Disconnect { data } => return Ok((self.disconnected_by_peer(data), Receipt::Acknowledge)),
            _ => {}
        }
        self.confirm_implicitly(command, now, events);
        if !self.is_established() {
            return Ok((Fate::Lives, Receipt::Silent));
        }
        let receipt = match command.body {
            Body::SendReliable { data } => self.inbound.reliable(channel, sequence, data)?,
            Body::SendFragment(fragment) => self.inbound.reliable_fragment(channel, sequence, &fragment)?,
            Body::SendUnreliable { number, data } => self.inbound.unreliable(channel, sequence, number, data)?,
            Body::SendUnreliableFragment(fragment) => self.inbound.unreliable_fragment(channel, sequence, &fragment)?,
            Body::SendUnsequenced { group, data } => self.inbound.unsequenced(channel, group, data)?,
            Body::BandwidthLimit { incoming, .. } => {
                self.outbound.set_window(window_for_bandwidth(incoming).min(self.terms.window));
                Receipt::Acknowledge
            }
            Body::ThrottleConfigure(settings) => {
                self.outbound.throttle.configure(settings);
                Receipt::Acknowledge
            }
            Body::Ping
            | Body::VerifyConnect(_)
            | Body::Acknowledge { .. }
            | Body::Connect { .. }
            | Body::Disconnect { .. } => Receipt::Acknowledge,
        };
        Ok((Fate::Lives, receipt))
    }

    fn acknowledged(
        &mut self,
        channel: u8,
        sequence: u16,
        sent_time: u16,
        now: Timestamp,
        events: &mut VecDeque<Event>,
    ) -> Fate {
        let purpose = self.outbound.acknowledged(channel, sequence, sent_time, now);
        match (self.state, purpose) {
            (State::HalfOpen { data, .. }, Some(Purpose::VerifyConnect)) => self.confirm(data, now, events),
            (State::Disconnecting, Some(Purpose::Disconnect)) => return Fate::ends(0, DisconnectCause::Completed),
            _ => {}
        }
        Fate::Lives
    }

    fn confirm(&mut self, data: u32, now: Timestamp, events: &mut VecDeque<Event>) {
        self.state = State::Connected;
        self.outbound.established(now);
        events.push_back(Event::Connected { peer: self.id, data });
    }

    /// A client that pings and sends has the grant, even if its acknowledgement was lost. The grant is still
    /// repeated until it is acknowledged.
    fn confirm_implicitly(&mut self, command: &Command<'_>, now: Timestamp, events: &mut VecDeque<Event>) {
        if let State::HalfOpen { data, .. } = self.state
            && !matches!(command.body, Body::VerifyConnect(_))
        {
            self.confirm(data, now, events);
        }
    }

    fn verified(
        &mut self,
        grant: &Handshake,
        config: &HostConfig,
        now: Timestamp,
        events: &mut VecDeque<Event>,
    ) -> Fate {
        let terms = match Terms::agree(grant, self.terms.channels, self.terms.mtu) {
            Ok(terms)
                if grant.connect_id == self.connect_id
                    && grant.throttle == self.outbound.throttle.settings()
                    && grant.slot < NO_SLOT =>
            {
                terms
            }
            _ => return Fate::ends(0, DisconnectCause::BadHandshake),
        };
        self.remote_slot = Some(grant.slot);
        self.sessions = Some(Sessions { incoming: grant.incoming_session & 3, outgoing: grant.outgoing_session & 3 });
        self.terms = terms;
        self.inbound = Inbound::new(terms.channels, config.limits);
        self.outbound.connect_answered();
        self.outbound.negotiated(terms.channels, terms.mtu, terms.window);
        self.outbound.established(now);
        self.state = State::Connected;
        events.push_back(Event::Connected { peer: self.id, data: 0 });
        Fate::Lives
    }

    fn disconnected_by_peer(&self, data: u32) -> Fate {
        let report = match self.state {
            State::HalfOpen { .. } => None,
            State::Disconnecting => Some((0, DisconnectCause::Completed)),
            State::Connecting | State::Connected | State::Draining { .. } => Some((data, DisconnectCause::ByPeer)),
        };
        Fate::Ends { report, acknowledged_disconnect: self.remote_slot.is_some() }
    }

    /// The next datagram for the peer.
    pub fn transmit(&mut self, now: Timestamp) -> Option<Vec<u8>> {
        if let (State::Draining { data }, true) = (self.state, self.outbound.is_idle()) {
            self.disconnect(data);
        }
        self.outbound.transmit(self.header(), now)
    }

    pub fn handle_timeout(&mut self, now: Timestamp) -> Fate {
        if let State::HalfOpen { deadline, .. } = self.state
            && deadline <= now
        {
            return Fate::Ends { report: None, acknowledged_disconnect: false };
        }
        if self.outbound.expire(now) == Pulse::Dead {
            let report = (!self.is_half_open()).then_some((0, DisconnectCause::TimedOut));
            return Fate::Ends { report, acknowledged_disconnect: false };
        }
        if self.is_established() && self.outbound.wants_ping(now) {
            self.outbound.queue_control(Purpose::Ping, Body::Ping);
        }
        Fate::Lives
    }

    pub fn timeout(&self) -> Option<Timestamp> {
        let half_open = match self.state {
            State::HalfOpen { deadline, .. } => Some(deadline),
            _ => None,
        };
        let ping = if self.is_established() { self.outbound.ping_time() } else { None };
        self.outbound.deadline().into_iter().chain(half_open).chain(ping).min()
    }

    pub fn send(
        &mut self,
        channel: u8,
        bytes: &[u8],
        delivery: Delivery,
        config: &HostConfig,
    ) -> Result<(), SendError> {
        if self.state != State::Connected {
            return Err(SendError::NotConnected);
        }
        if channel >= self.terms.channels {
            return Err(SendError::BadChannel { channel, count: self.terms.channels });
        }
        let limit = config.limits.packet_bytes;
        if bytes.len() > limit {
            return Err(SendError::TooLarge { length: bytes.len(), limit });
        }
        self.outbound.queue_message(channel, bytes, delivery).map_err(|_| SendError::QueueFull)
    }

    /// Drops what was not acknowledged and tells the peer reliably.
    pub fn disconnect(&mut self, data: u32) {
        if !self.is_established() {
            return;
        }
        self.state = State::Disconnecting;
        self.outbound.clear_messages();
        self.outbound.queue_control(Purpose::Disconnect, Body::Disconnect { data });
    }

    pub fn disconnect_later(&mut self, data: u32) {
        if self.is_established() {
            self.state = State::Draining { data };
        }
    }

    /// What is still to be acknowledged when the connection ends.
    pub fn last_acknowledgements(&mut self, now: Timestamp) -> impl Iterator<Item = Vec<u8>> {
        self.outbound.clear_messages();
        std::iter::from_fn(move || self.outbound.transmit(self.header(), now))
    }

    /// The unacknowledged datagram that tells the peer of the end; none if it does not know of the connection.
    pub fn last_words(&mut self, data: u32) -> Option<Vec<u8>> {
        self.remote_slot?;
        let mut datagram = Vec::new();
        self.header().encode(&mut datagram);
        let sequence = self.outbound.next_peer_sequence();
        let body = Body::Disconnect { data };
        Command { channel: PEER_CHANNEL, sequence, acknowledge: false, unsequenced: true, body }.encode(&mut datagram);
        Some(datagram)
    }
}
