//! ENet 1.3, sans-IO: the reliability layer under the GameStream control stream (protocol part 3, section 1).
//!
//! A [`Host`] is a value. Datagrams, commands and `now` go in; datagrams, events and the next deadline come out.
//! It never opens a socket, reads a clock or starts a thread. It speaks the wire format of stock ENet 1.3.17/18
//! without checksums and compression, and the retransmission arithmetic of the fork that Moonlight uses, so that
//! it behaves under loss as those clients expect. Both roles are here: a host that accepts connections and a
//! client that opens them.
//!
//! # The run loop
//!
//! After *every* call that can change something ([`Host::receive`], [`Host::handle_timeout`], [`Host::send`],
//! [`Host::connect`], the `disconnect` family, [`Host::migrate`]), whoever drives a host
//!
//! 1. calls [`Host::poll_transmit`] until it returns `None` and sends each datagram,
//! 2. calls [`Host::poll_event`] until it returns `None` and handles each event (handling may call the host
//!    again: then start over at 1),
//! 3. sleeps until a datagram arrives or the instant of [`Host::timeout`] is reached, and calls
//!    [`Host::receive`] or [`Host::handle_timeout`] respectively.
//!
//! `now` must not run backwards. A datagram that the socket refused to send counts as lost; it needs no special
//! care. Sending late costs latency, but breaks nothing.
//!
//! # What a hostile peer can reach
//!
//! Everything here happens before any cryptographic check. Memory per peer is bounded by [`Limits`], the number
//! of peers by [`HostConfig::peer_limit`], half-open ones more tightly. A datagram is only taken from the address
//! that its peer connected from; see [`Event::ForeignAddress`] for clients that roam.

#![forbid(unsafe_code)]

mod config;
mod handover;
mod handshake;
mod host;
mod inbound;
mod outbound;
mod peer;
mod reassembly;
pub mod round_trip;
mod throttle;
pub mod window;
pub mod wire;

use std::net::{IpAddr, SocketAddr};

pub use config::{HostConfig, Incoming, Limits, Timeouts};
pub use handover::{HandedOver, SlotTaken};
pub use host::{ConnectError, DropReason, Host, PeerStatistics, SendError, UnknownPeer};

/// Where a peer is: its address, and the own address that it talks to.
///
/// IPv4-mapped IPv6 addresses are stored as IPv4, so that addresses of a dual-stack socket compare equal to those
/// of other sockets (section 1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct PeerAddress {
    remote: SocketAddr,
    local: Option<IpAddr>,
}

impl PeerAddress {
    /// The peer at `remote`; the operating system chooses the source address of replies.
    pub fn new(remote: SocketAddr) -> Self {
        Self { remote: SocketAddr::new(remote.ip().to_canonical(), remote.port()), local: None }
    }

    /// The peer at `remote`, whose datagrams arrive at `local`; replies must leave from there.
    pub fn with_local(remote: SocketAddr, local: IpAddr) -> Self {
        Self { local: Some(local.to_canonical()), ..Self::new(remote) }
    }

    /// The peer's address and port.
    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// The own address that the peer talks to, if known.
    pub fn local(&self) -> Option<IpAddr> {
        self.local
    }
}

/// Names one connection of a [`Host`]. It is never reused: the id of a connection that ended names nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct PeerId {
    slot: u16,
    generation: u64,
}

impl PeerId {
    /// The slot of the connection: its number on the wire, reused after the connection ended.
    pub fn slot(self) -> u16 {
        self.slot
    }
}

/// How a message travels (section 1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Delivery {
    /// Delivered once, in order within its channel, or the connection ends.
    Reliable,
    /// Delivered at most once, never after a later message of its channel. A message that does not fit into one
    /// datagram is sent reliably.
    Unreliable,
    /// Delivered at most once, in any order. A message that does not fit into one datagram is sent reliably.
    Unsequenced,
}

/// How the network should treat a datagram (section 1.4, socket QoS).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Marking {
    /// IP_TOS or IPV6_TCLASS 0xB9 (DSCP EF), SO_PRIORITY 6.
    Expedited,
    /// No marking: three transmissions of the handshake in a row were lost, and some networks drop marked
    /// datagrams.
    BestEffort,
}

/// A datagram to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// To whom, and from which own address.
    pub to: PeerAddress,
    /// The UDP payload.
    pub bytes: Vec<u8>,
    /// How the network should treat it.
    pub marking: Marking,
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DisconnectCause {
    /// The peer disconnected.
    ByPeer,
    /// An own [`Host::disconnect`] or [`Host::disconnect_later`] was completed.
    Completed,
    /// The peer acknowledged nothing for too long, or never answered.
    TimedOut,
    /// The answer to an own connection attempt broke the rules of section 1.2.
    BadHandshake,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A connection was established.
    Connected {
        /// The new connection.
        peer: PeerId,
        /// The user data of the peer's CONNECT; 0 for a connection that this side opened.
        data: u32,
    },
    /// A message arrived.
    Message {
        /// From whom.
        peer: PeerId,
        /// On which channel, below the negotiated channel count.
        channel: u8,
        /// How it travelled.
        delivery: Delivery,
        /// Its bytes; may be empty.
        bytes: Vec<u8>,
    },
    /// A connection ended; its id names nothing from here on. Also reported for own connection attempts that
    /// failed. Connections that were never reported as connected end without an event otherwise.
    Disconnected {
        /// Which connection.
        peer: PeerId,
        /// The user data of the peer's DISCONNECT; 0 unless `cause` is [`DisconnectCause::ByPeer`].
        data: u32,
        /// Why.
        cause: DisconnectCause,
    },
    /// A datagram for this connection came from another address than the connection's, and carried a reliable
    /// message. Nothing of it was processed or acknowledged (section 1.4, safety note).
    ///
    /// The client may have roamed, or somebody may be guessing two session bits. The owner decides: if `bytes`
    /// authenticates *with a sequence number not seen before*, it calls [`Host::migrate`]. It must not consume
    /// the message, nor mark its number as seen: the client repeats it, and it then arrives as
    /// [`Event::Message`].
    ForeignAddress {
        /// The connection that the datagram names.
        peer: PeerId,
        /// Where the datagram came from.
        address: PeerAddress,
        /// The channel of the message.
        channel: u8,
        /// The message.
        bytes: Vec<u8>,
    },
}
