//! Messages from client to host (protocol part 3, section 2.4): the host parses them, the client builds them.

use super::framing::encode;
use super::{FrameFecStatus, Framing, MessageError, RawMessage, kind};
use crate::gamestream::input::{InputEvent, PointerEvent};
use crate::gamestream::video::FrameIndex;
use crate::reader::Reader;

/// A message from client to host.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum ClientMessage {
    /// The next frame shall be a key frame with parameter sets (0x0302). The first message of a current client
    /// too. Also what an invalidation whose range is reversed means.
    RequestIdr,
    /// First message of older clients (0x0305); the same as [`ClientMessage::RequestIdr`] for a host.
    StartA,
    /// The client is ready for media (0x0307).
    StartB,
    /// The client lives (0x0200); every 100 ms.
    Ping {
        /// A number without meaning, 4 from stock clients; `None` if it was missing.
        value: Option<u16>,
    },
    /// Frames that the client lost and that later frames shall not refer to (0x0301).
    InvalidateReferences(FrameRange),
    /// The client has this long-term reference frame (0x0350).
    LtrAck {
        /// The frame.
        frame: FrameIndex,
    },
    /// Losses, from clients before version 7.1.415 (0x0201).
    LossStats {
        /// Milliseconds between two of these messages, 50 from stock clients.
        interval_ms: u32,
        /// The last frame that arrived complete.
        last_good_frame: u64,
    },
    /// How an FEC block fared that lost packets (0x5502). Advisory.
    FecStatus(FrameFecStatus),
    /// Something that the user did (0x0206).
    Input(InputEvent),
}

/// Frames from `first` to `last`, both included, never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct FrameRange {
    first: FrameIndex,
    last: FrameIndex,
}

impl FrameRange {
    /// The frames from `first` to `last`; `None` if `last` is before `first`.
    pub fn new(first: FrameIndex, last: FrameIndex) -> Option<Self> {
        (first <= last).then_some(Self { first, last })
    }

    /// The first frame.
    pub const fn first(self) -> FrameIndex {
        self.first
    }

    /// The last frame.
    pub const fn last(self) -> FrameIndex {
        self.last
    }
}

/// How ENet carries a message (section 1.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reliability {
    /// Until it is acknowledged, in order.
    Reliable,
    /// At most once, in order.
    Unreliable,
    /// At most once, in any order.
    Unsequenced,
}

impl ClientMessage {
    /// Reads a message that a client sent.
    ///
    /// # Errors
    /// Tests in this order: type, direction, payload. In [`Framing::V1`] input is
    /// [`MessageError::SealedInput`].
    pub fn parse(message: RawMessage<'_>) -> Result<Self, MessageError> {
        let payload = &mut Reader::new(message.payload);
        Ok(match message.kind {
            kind::REQUEST_IDR => Self::RequestIdr,
            kind::START_A => Self::StartA,
            kind::START_B => Self::StartB,
            // A ping keeps the session alive however short it is.
            kind::PING => Self::Ping { value: payload.u16_le().ok() },
            kind::INVALIDATE_REFERENCES => {
                let [first, _, last, _, _, _] = [
                    payload.u32_le()?,
                    payload.u32_le()?,
                    payload.u32_le()?,
                    payload.u32_le()?,
                    payload.u32_le()?,
                    payload.u32_le()?,
                ];
                FrameRange::new(FrameIndex(first), FrameIndex(last))
                    .map_or(Self::RequestIdr, Self::InvalidateReferences)
            }
            kind::LTR_ACK => {
                let frame = FrameIndex(payload.u32_le()?);
                let _high = payload.u32_le()?;
                Self::LtrAck { frame }
            }
            kind::LOSS_STATS => {
                let _zero = payload.u32_le()?;
                let interval_ms = payload.u32_le()?;
                let _thousand = payload.u32_le()?;
                let last_good_frame = payload.u64_le()?;
                let _tail: [u8; 12] = payload.array()?;
                Self::LossStats { interval_ms, last_good_frame }
            }
            kind::FEC_STATUS_OR_LED => Self::FecStatus(FrameFecStatus::read(payload)?),
            kind::INPUT if message.framing == Framing::V1 => return Err(MessageError::SealedInput),
            kind::INPUT => Self::Input(InputEvent::parse(message.payload)?),
            kind::RUMBLE
            | kind::TRIGGER_RUMBLE
            | kind::MOTION_REQUEST
            | kind::ADAPTIVE_TRIGGERS
            | kind::HDR_MODE
            | kind::TERMINATION => return Err(MessageError::WrongDirection(message.kind)),
            unknown => return Err(MessageError::UnknownType(unknown)),
        })
    }

    /// The message in clear, header included, as a stock client sends it. Input in [`Framing::V1`] goes through
    /// [`Gen7InputCipher`](super::gen7::Gen7InputCipher) instead.
    pub fn to_bytes(&self, framing: Framing) -> Vec<u8> {
        encode(self.kind(), framing, |out| match self {
            Self::RequestIdr | Self::StartA => out.extend_from_slice(&[0; 2]),
            Self::StartB => out.push(0),
            Self::Ping { value: None } => {}
            Self::Ping { value: Some(value) } => {
                out.extend_from_slice(&value.to_le_bytes());
                out.extend_from_slice(&[0; 6]);
            }
            Self::InvalidateReferences(range) => {
                for field in [range.first.0, 0, range.last.0, 0, 0, 0] {
                    out.extend_from_slice(&field.to_le_bytes());
                }
            }
            Self::LtrAck { frame } => out.extend_from_slice(&u64::from(frame.0).to_le_bytes()),
            Self::LossStats { interval_ms, last_good_frame } => {
                for field in [0, *interval_ms, 1000] {
                    out.extend_from_slice(&field.to_le_bytes());
                }
                out.extend_from_slice(&last_good_frame.to_le_bytes());
                for field in [0_u32, 0, 0x14] {
                    out.extend_from_slice(&field.to_le_bytes());
                }
            }
            Self::FecStatus(status) => status.write(out),
            Self::Input(event) => event.write(out),
        })
    }

    /// The type (section 2.3), one of [`kind`].
    pub const fn kind(&self) -> u16 {
        match self {
            Self::RequestIdr => kind::REQUEST_IDR,
            Self::StartA => kind::START_A,
            Self::StartB => kind::START_B,
            Self::Ping { .. } => kind::PING,
            Self::InvalidateReferences(_) => kind::INVALIDATE_REFERENCES,
            Self::LtrAck { .. } => kind::LTR_ACK,
            Self::LossStats { .. } => kind::LOSS_STATS,
            Self::FecStatus(_) => kind::FEC_STATUS_OR_LED,
            Self::Input(_) => kind::INPUT,
        }
    }

    /// The ENet channel on which a stock client sends the message once the stream runs (section 1.5). Below
    /// [`ClientMessage::CHANNELS`]; a connection with fewer channels uses channel 0 for those it lacks.
    pub const fn channel(&self) -> u8 {
        const GENERIC: u8 = 0x00;
        const URGENT: u8 = 0x01;
        match self {
            Self::StartA | Self::StartB | Self::Ping { .. } | Self::LossStats { .. } | Self::FecStatus(_) => GENERIC,
            Self::RequestIdr | Self::InvalidateReferences(_) | Self::LtrAck { .. } => URGENT,
            Self::Input(event) => match event {
                InputEvent::HapticsEnable(_) => GENERIC,
                InputEvent::Key(_) => 0x02,
                InputEvent::MouseRelative(_)
                | InputEvent::MouseAbsolute(_)
                | InputEvent::MouseButton(_)
                | InputEvent::Scroll(_) => 0x03,
                InputEvent::Pen(_) => 0x04,
                InputEvent::Touch(_) => 0x05,
                InputEvent::Text(_) => 0x06,
                InputEvent::Controller(state) => 0x10 + state.controller.get(),
                InputEvent::ControllerArrival(arrival) => 0x10 + arrival.controller.get(),
                InputEvent::ControllerTouch(touch) => 0x10 + touch.controller.get(),
                InputEvent::ControllerBattery(battery) => 0x10 + battery.controller.get(),
                InputEvent::ControllerMotion(motion) => 0x20 + motion.controller.get(),
            },
        }
    }

    /// ENet channels that a stock client asks for.
    pub const CHANNELS: u8 = 0x30;

    /// How a stock client sends the message to a Sunshine-like host (section 1.5). A pen's hover or move whose
    /// buttons differ from those of the packet before is sent reliably all the same; only the sender knows.
    pub fn reliability(&self) -> Reliability {
        let pointer = |event| match event {
            PointerEvent::Hover | PointerEvent::Move => Reliability::Unreliable,
            _ => Reliability::Reliable,
        };
        match self {
            Self::FecStatus(_) => Reliability::Unsequenced,
            Self::Input(InputEvent::Touch(touch)) => pointer(touch.event),
            Self::Input(InputEvent::Pen(pen)) => pointer(pen.event),
            Self::Input(InputEvent::ControllerTouch(touch)) => pointer(touch.event),
            Self::Input(InputEvent::ControllerMotion(motion)) if !motion.is_reliable() => Reliability::Unreliable,
            _ => Reliability::Reliable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(kind: u16, framing: Framing, payload: &[u8]) -> Result<ClientMessage, MessageError> {
        ClientMessage::parse(RawMessage { framing, kind, payload })
    }

    #[test]
    fn ping_of_any_length_is_a_ping() {
        let bytes = [4, 0, 0, 0, 0, 0, 0xAA, 0x55, 9];
        for length in 0..=bytes.len() {
            let value = (length >= 2).then_some(4);
            assert_eq!(parse(kind::PING, Framing::V2, &bytes[..length]), Ok(ClientMessage::Ping { value }));
        }
    }

    #[test]
    fn input_in_clear_framing_is_sealed() {
        assert_eq!(parse(kind::INPUT, Framing::V1, &[0; 12]), Err(MessageError::SealedInput));
    }

    #[test]
    fn start_b_has_no_length_field_in_clear_framing() {
        assert_eq!(ClientMessage::StartB.to_bytes(Framing::V1), [0x07, 0x03, 0x00]);
        assert_eq!(ClientMessage::StartB.to_bytes(Framing::V2), [0x07, 0x03, 0x01, 0x00, 0x00]);
    }
}
