//! The two ends of a session as state machines: datagrams in, datagrams, events and the next deadline out.
//!
//! The contract of both is the same. After every call that takes something (a datagram, a frame, a message), and when
//! the deadline has come, call `poll_transmit` until it gives no more datagram and `poll_event` until it gives no more
//! event; then wait for the next datagram, the next thing to send, or [`Host::deadline`] / [`Client::deadline`]. Time is
//! an argument, and so is the address of the peer: a number that the caller gives each address.
//!
//! Here are the packets of the session and nothing else: no congestion control, no pacing, no choice of parity. These get
//! what they need from the events.

mod client;
mod host;
mod link;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use client::{Client, ClientConfig, ClientEvent, References};
pub use host::{Host, HostConfig, HostEvent, SendError, SentFrame};

use super::DEFAULT_DATAGRAM;
use super::header::SessionId;
use super::keys::KeySchedule;
use super::message::CloseCode;
use super::negotiation::Grants;
use super::seal::{EpochsExhausted, OpenError};

/// A peer that is silent for so long is gone.
pub const IDLE: Duration = Duration::from_secs(10);

/// What both ends of a session know.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// The name of the session.
    pub session: SessionId,
    /// Its keys.
    pub keys: KeySchedule,
    /// Longest datagram, in bytes.
    pub datagram: usize,
    /// Longest frame, in bytes.
    pub max_frame: usize,
    /// Longest reliable message, in bytes: what a clipboard may hold.
    pub max_message: usize,
    /// Streams that may be used.
    pub grants: Grants,
}

impl SessionConfig {
    /// With the usual limits: datagrams of 1452 bytes, frames of 16 MiB, messages of 8 MiB, nothing granted.
    pub fn new(session: SessionId, keys: KeySchedule) -> Self {
        Self {
            session,
            keys,
            datagram: DEFAULT_DATAGRAM,
            max_frame: 16 << 20,
            max_message: 8 << 20,
            grants: Grants::NONE,
        }
    }
}

/// Why a datagram was dropped. It has no consequence beyond that, but for a session whose keys are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReceiveError {
    /// It does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Its stream does not come in this direction, or was not granted.
    #[error("stream {0:?} does not come from this side, or is not granted")]
    Stream(super::header::Stream),
    /// A part of its payload was not used.
    #[error(transparent)]
    Message(#[from] super::message::MessageError),
    /// An input event in it can't be read.
    #[error(transparent)]
    Input(#[from] crate::gamestream::input::InputError),
    /// The shard in it was not used.
    #[error(transparent)]
    Video(#[from] super::DropReason),
    /// The sound in it was not used.
    #[error(transparent)]
    Audio(#[from] super::audio::AudioError),
    /// The session must be negotiated anew.
    #[error(transparent)]
    Exhausted(#[from] EpochsExhausted),
}

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The peer said so.
    Closed(CloseCode, String),
    /// Nothing came from the peer for [`IDLE`].
    Silent,
}
