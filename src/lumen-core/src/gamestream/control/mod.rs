//! Control messages and their encryption (protocol part 3, section 2): everything that client and host say to
//! each other on the ENet connection.
//!
//! A received packet goes [`ControlCipher::open`] → [`RawMessage`] → [`ClientMessage::parse`] at the host or
//! [`HostMessage::parse`] at the client; [`ClientMessage::to_bytes`] and [`ControlCipher::seal`] go back. Hosts of
//! generations before 7.1.431 use [`Framing::V1`] without the envelope; there only input is encrypted, by
//! [`gen7`].
//!
//! Every error here drops one packet and keeps the session, except that
//! [`ControlCipher::has_failed_too_often`] and [`SequenceExhausted`] end it. This module never touches a socket:
//! [`crate::enet`] carries the packets.

mod cipher;
mod client;
pub mod envelope;
mod fec_status;
mod framing;
pub mod gen7;
mod hdr;
mod host;
pub mod table;
mod termination;

pub use crate::replay::ReplayWindow;
pub use cipher::{CipherProgress, ControlCipher, OpenError, Opened, SequenceExhausted};
pub use client::{ClientMessage, FrameRange, Reliability};
pub use envelope::{EnvelopeMode, Side};
pub use fec_status::FrameFecStatus;
pub use framing::{Framing, RawMessage};
pub use hdr::{Chromaticity, HdrMetadata};
pub use host::{
    AdaptiveTriggers, HdrMode, HdrState, HostMessage, Led, MotionRequest, Rgb, Rumble, TriggerEffect, TriggerRumble,
};
pub use table::{MESSAGES, MessageInfo};
pub use termination::Termination;

use super::input::InputError;
use crate::reader::Short;

/// Message types: the first `u16`, little endian, of a message (section 2.3).
pub mod kind {
    /// The encrypted envelope.
    pub const ENVELOPE: u16 = 0x0001;
    /// Termination, short form of generation 7. Host to client.
    pub const TERMINATION_SHORT: u16 = 0x0100;
    /// Termination. Host to client.
    pub const TERMINATION: u16 = 0x0109;
    /// Rumble. Host to client.
    pub const RUMBLE: u16 = 0x010B;
    /// HDR mode. Host to client.
    pub const HDR_MODE: u16 = 0x010E;
    /// Periodic ping. Client to host.
    pub const PING: u16 = 0x0200;
    /// Loss statistics. Client to host.
    pub const LOSS_STATS: u16 = 0x0201;
    /// Frame statistics, not documented. Client to host.
    pub const FRAME_STATS: u16 = 0x0204;
    /// Input packet. Client to host.
    pub const INPUT: u16 = 0x0206;
    /// Invalidate reference frames. Client to host.
    pub const INVALIDATE_REFERENCES: u16 = 0x0301;
    /// Request a key frame; from current clients also the first message. Client to host.
    pub const REQUEST_IDR: u16 = 0x0302;
    /// Start A of older generations. Client to host.
    pub const START_A: u16 = 0x0305;
    /// Start B. Client to host.
    pub const START_B: u16 = 0x0307;
    /// Long-term reference frame received. Client to host.
    pub const LTR_ACK: u16 = 0x0350;
    /// Trigger rumble. Host to client.
    pub const TRIGGER_RUMBLE: u16 = 0x5500;
    /// Request for motion samples. Host to client.
    pub const MOTION_REQUEST: u16 = 0x5501;
    /// Frame FEC status from client to host; colour of a light from host to client.
    pub const FEC_STATUS_OR_LED: u16 = 0x5502;
    /// Adaptive triggers. Host to client.
    pub const ADAPTIVE_TRIGGERS: u16 = 0x5503;
}

/// Why bytes are not a control message. Every one of them drops the message and keeps the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Too short for the header or for the fields of its type.
    #[error("control message is cut short")]
    Truncated,
    /// An envelope inside an envelope.
    #[error("encrypted control message inside an encrypted control message")]
    NestedEnvelope,
    /// The payload length does not fit the bytes: longer than they are, or more than 15 bytes shorter.
    #[error("control message says its payload has {said} bytes, it has {present}")]
    InnerLength {
        /// Value of the length field.
        said: u16,
        /// Bytes after the length field.
        present: usize,
    },
    /// No message of either direction. To be ignored, and logged once.
    #[error("unknown control message type {0:#06x}")]
    UnknownType(u16),
    /// A message that only the receiver may send.
    #[error("control message type {0:#06x} comes from the wrong side")]
    WrongDirection(u16),
    /// A controller number above 15.
    #[error("controller number {0} is above 15")]
    BadController(u16),
    /// A motion sensor that is neither accelerometer nor gyroscope.
    #[error("unknown motion sensor {0}")]
    BadMotionType(u8),
    /// Input of a generation before 7.1.431, which only
    /// [`Gen7InputCipher::open`](gen7::Gen7InputCipher::open) can read.
    #[error("input message is sealed")]
    SealedInput,
    /// The input packet in the message is not one.
    #[error(transparent)]
    Input(#[from] InputError),
}

impl From<Short> for MessageError {
    fn from(Short: Short) -> Self {
        Self::Truncated
    }
}
