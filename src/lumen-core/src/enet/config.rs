//! What a [`Host`](super::Host) is told at its creation: sizes, limits and timeouts. Validation happens here, so
//! that the machinery can rely on it.

use std::time::Duration;

/// Whether a host accepts connections from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Incoming {
    /// CONNECT from anybody opens a connection, within the limits.
    Accept,
    /// CONNECT is ignored; for clients.
    Refuse,
}

/// When a silent peer counts as gone (section 1.3, peer death).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Timeouts {
    /// Bounds the growth of the retransmission timeout; also the number of attempts (as a power of two) after
    /// which `minimum` applies.
    pub limit: u32,
    /// Earliest end of a connection whose peer acknowledges nothing.
    pub minimum: Duration,
    /// Latest end of a connection whose peer acknowledges nothing.
    pub maximum: Duration,
    /// Idle time after which a peer is pinged.
    pub ping_interval: Duration,
    /// Lifetime of a connection that a peer asked for but did not confirm.
    pub half_open: Duration,
}

impl Default for Timeouts {
    /// The values of the Moonlight client: limit 2, 10 s, 10 s; pings after 500 ms.
    fn default() -> Self {
        Self {
            limit: 2,
            minimum: Duration::from_secs(10),
            maximum: Duration::from_secs(10),
            ping_interval: Duration::from_millis(500),
            half_open: Duration::from_secs(5),
        }
    }
}

/// What a peer may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Limits {
    /// Longest message accepted or sent, in bytes.
    pub packet_bytes: usize,
    /// Memory for messages of one peer that wait for others, for their fragments, or for
    /// [`Host::poll_event`](super::Host::poll_event), in bytes, bookkeeping included.
    pub waiting_bytes: usize,
    /// Memory for messages to one peer that wait to be sent or acknowledged, in bytes, bookkeeping included.
    pub outgoing_bytes: usize,
    /// Connections that were asked for but not confirmed, all together.
    pub half_open: usize,
    /// Connections that were asked for but not confirmed, from one IP address.
    pub half_open_per_address: usize,
}

impl Default for Limits {
    /// 64 KiB, 1 MiB, 1 MiB, 8 and 2 (section 1.6 and section 7).
    fn default() -> Self {
        Self {
            packet_bytes: 64 * 1024,
            waiting_bytes: 1024 * 1024,
            outgoing_bytes: 1024 * 1024,
            half_open: 8,
            half_open_per_address: 2,
        }
    }
}

/// Configuration of a [`Host`](super::Host).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HostConfig {
    /// Most connections at a time, 1..=4095 (clamped).
    pub peer_limit: u16,
    /// Most channels per connection, 1..=255 (0 counts as 1).
    pub channel_limit: u8,
    /// Largest datagram sent, in bytes of UDP payload, 576..=4096 (clamped).
    pub mtu: u16,
    /// Whether others may connect.
    pub incoming: Incoming,
    /// When a peer counts as gone.
    pub timeouts: Timeouts,
    /// What a peer may cost.
    pub limits: Limits,
}

impl HostConfig {
    /// The host of a GameStream control port: 16 peers, 48 channels, MTU 900 (section 1.6).
    pub fn host() -> Self {
        Self {
            peer_limit: 16,
            channel_limit: 48,
            mtu: 900,
            incoming: Incoming::Accept,
            timeouts: Timeouts::default(),
            limits: Limits::default(),
        }
    }

    /// The client of a GameStream control port: one peer, 48 channels, MTU 900 (section 1.2).
    pub fn client() -> Self {
        Self { peer_limit: 1, incoming: Incoming::Refuse, ..Self::host() }
    }
}
