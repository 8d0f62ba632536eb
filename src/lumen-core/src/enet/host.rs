//! The host: slots, connection set-up and the two ends of every datagram.

use std::time::Duration;

use super::{Delivery, Event, HostConfig, PeerAddress, PeerId, Transmit};
use crate::entropy::Entropy;
use crate::time::Timestamp;

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
    /// Placeholder
    #[error("dropped")]
    Dropped,
}

/// Health of one connection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PeerStatistics {
    /// Smoothed round trip time, whole milliseconds; 500 ms until the first sample.
    pub round_trip: Duration,
    /// Smoothed deviation of the round trip time, whole milliseconds.
    pub round_trip_variance: Duration,
    /// Share of reliable transmissions that were not acknowledged in time, smoothed, 0.0..=1.0.
    pub loss: f32,
    /// Reliable transmissions so far, repetitions included.
    pub transmissions: u64,
    /// Reliable transmissions so far that were not acknowledged in time.
    pub lost: u64,
    /// Payload bytes sent and not yet acknowledged.
    pub in_flight_bytes: usize,
    /// Memory held by messages to the peer, sent or not, that are not yet acknowledged, in bytes.
    pub outgoing_bytes: usize,
}

/// An ENet endpoint; see the [module](super) for how to drive it.
pub struct Host {
    config: HostConfig,
    entropy: Box<dyn Entropy + Send>,
}

impl Host {
    /// A host without connections. `entropy` names own connection attempts.
    pub fn new(config: HostConfig, entropy: impl Entropy + Send + 'static) -> Self {
        Self { config, entropy: Box::new(entropy) }
    }

    /// Takes one received UDP payload. The error says why it, or the rest of it, was ignored; nothing needs to
    /// be done about it.
    pub fn receive(&mut self, from: PeerAddress, datagram: &[u8], now: Timestamp) -> Result<(), DropReason> {
        let _ = (from, datagram, now);
        Ok(())
    }

    /// The next datagram to send, if any.
    pub fn poll_transmit(&mut self, now: Timestamp) -> Option<Transmit> {
        let _ = now;
        None
    }

    /// The next event, if any.
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }

    /// When to call [`Self::handle_timeout`] if nothing else happens.
    pub fn timeout(&self) -> Option<Timestamp> {
        None
    }

    /// Repeats what was not acknowledged in time, pings idle peers, ends dead ones. Harmless when called early.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let _ = now;
    }

    /// Opens a connection with up to `channels` channels (clamped to 1..=the own limit) and the user data `data`.
    /// [`Event::Connected`] or [`Event::Disconnected`] follows.
    pub fn connect(&mut self, to: PeerAddress, channels: u8, data: u32) -> Result<PeerId, ConnectError> {
        let mut id = [0; 4];
        self.entropy.fill(&mut id);
        let _ = (to, channels, data, self.config);
        Err(ConnectError::NoFreeSlot)
    }

    /// Queues a message.
    pub fn send(&mut self, peer: PeerId, channel: u8, bytes: &[u8], delivery: Delivery) -> Result<(), SendError> {
        let _ = (peer, channel, bytes, delivery);
        Err(SendError::NotConnected)
    }

    /// Ends a connection: drops what was not sent yet, tells the peer reliably, then reports
    /// [`Event::Disconnected`].
    pub fn disconnect(&mut self, peer: PeerId, data: u32) {
        let _ = (peer, data);
    }

    /// Ends a connection at once: one unacknowledged datagram tells the peer. No event follows; the id names
    /// nothing any more.
    pub fn disconnect_now(&mut self, peer: PeerId, data: u32) {
        let _ = (peer, data);
    }

    /// Ends a connection after everything queued so far was sent and all that is reliable was acknowledged.
    /// Nothing more can be sent; messages still arrive.
    pub fn disconnect_later(&mut self, peer: PeerId, data: u32) {
        let _ = (peer, data);
    }

    /// Moves a connection to a new address. Only for owners that authenticated a message from there, see
    /// [`Event::ForeignAddress`].
    pub fn migrate(&mut self, peer: PeerId, to: PeerAddress) -> Result<(), UnknownPeer> {
        let _ = (peer, to);
        Err(UnknownPeer)
    }

    /// Where the peer is.
    pub fn address(&self, peer: PeerId) -> Option<PeerAddress> {
        let _ = peer;
        None
    }

    /// Negotiated number of channels of an established connection.
    pub fn channel_count(&self, peer: PeerId) -> Option<u8> {
        let _ = peer;
        None
    }

    /// Health of a connection.
    pub fn statistics(&self, peer: PeerId) -> Option<PeerStatistics> {
        let _ = peer;
        None
    }
}
