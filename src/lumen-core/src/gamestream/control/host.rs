//! Messages from host to client (protocol part 3, section 2.5): the client parses them, the host builds them.
//! All are reliable, on channel 0 unless the host chooses otherwise.

use super::framing::encode;
use super::{Framing, HdrMetadata, MessageError, RawMessage, Termination, kind};
use crate::gamestream::input::{ControllerIndex, MotionKind};
use crate::reader::Reader;

/// A message from host to client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum HostMessage {
    /// Speed of a controller's two motors (0x010b); holds until the next one.
    Rumble(Rumble),
    /// Speed of the motors in a controller's triggers (0x5500); holds until the next one.
    TriggerRumble(TriggerRumble),
    /// Which motion samples the host wants (0x5501). Clients send none until asked.
    MotionRequest(MotionRequest),
    /// Colour of a controller's light (0x5502); holds until the next one.
    Led(Led),
    /// Resistance of a controller's triggers (0x5503); holds until the next one.
    AdaptiveTriggers(AdaptiveTriggers),
    /// Whether pictures are HDR from here on (0x010e).
    HdrMode(HdrMode),
    /// The session ends (0x0109). The last message.
    Termination(Termination),
}

/// Speed of a controller's two motors, 0..=65535 each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Rumble {
    /// Which controller; it may be gone.
    pub controller: ControllerIndex,
    /// The heavy motor.
    pub low_frequency: u16,
    /// The light motor.
    pub high_frequency: u16,
}

/// Speed of the motors in a controller's triggers, 0..=65535 each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct TriggerRumble {
    /// Which controller; it may be gone.
    pub controller: ControllerIndex,
    /// Left trigger.
    pub left: u16,
    /// Right trigger.
    pub right: u16,
}

/// How often a client shall send samples of one motion sensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct MotionRequest {
    /// Which controller.
    pub controller: ControllerIndex,
    /// Samples a second; 0 stops them.
    pub rate_hz: u16,
    /// Which sensor.
    pub kind: MotionKind,
}

/// Colour of a controller's light.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Led {
    /// Which controller.
    pub controller: ControllerIndex,
    /// The colour; black is off.
    pub colour: Rgb,
}

/// Red, green and blue, 0..=255 each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct Rgb(pub [u8; 3]);

/// Resistance of a controller's triggers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct AdaptiveTriggers {
    /// Which controller.
    pub controller: ControllerIndex,
    /// Left trigger; `None` leaves it as it is.
    pub left: Option<TriggerEffect>,
    /// Right trigger; `None` leaves it as it is.
    pub right: Option<TriggerEffect>,
}

/// An effect of one trigger, as a DualSense output report holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct TriggerEffect {
    /// Type of the effect.
    pub mode: u8,
    /// Its parameters.
    pub parameters: [u8; 10],
}

/// Whether pictures are HDR, and what they were made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct HdrMode {
    /// On or off.
    pub state: HdrState,
    /// The display that the pictures were made for. `None` only from hosts that do not send it; for SDR send
    /// zeros.
    pub metadata: Option<HdrMetadata>,
}

/// Whether pictures are HDR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum HdrState {
    /// SDR.
    Off,
    /// HDR: BT.2020 primaries, PQ.
    On,
}

impl HdrMode {
    /// SDR, as a host announces it.
    pub const SDR: Self = Self { state: HdrState::Off, metadata: Some(HdrMetadata::UNKNOWN) };
}

impl HostMessage {
    /// Reads a message that a host sent. Payloads may be longer than their type needs.
    ///
    /// # Errors
    /// Tests in this order: type, direction, length of the payload, fields.
    pub fn parse(message: RawMessage<'_>) -> Result<Self, MessageError> {
        let payload = &mut Reader::new(message.payload);
        Ok(match message.kind {
            kind::RUMBLE => {
                let _ignored = payload.u32_le()?;
                let [number, low_frequency, high_frequency] = [payload.u16_le()?, payload.u16_le()?, payload.u16_le()?];
                Self::Rumble(Rumble { controller: controller(number)?, low_frequency, high_frequency })
            }
            kind::TRIGGER_RUMBLE => {
                let [number, left, right] = [payload.u16_le()?, payload.u16_le()?, payload.u16_le()?];
                Self::TriggerRumble(TriggerRumble { controller: controller(number)?, left, right })
            }
            kind::MOTION_REQUEST => {
                let [number, rate_hz] = [payload.u16_le()?, payload.u16_le()?];
                let sensor = payload.u8()?;
                let controller = controller(number)?;
                let kind = MotionKind::from_number(sensor).ok_or(MessageError::BadMotionType(sensor))?;
                Self::MotionRequest(MotionRequest { controller, rate_hz, kind })
            }
            kind::FEC_STATUS_OR_LED => {
                let number = payload.u16_le()?;
                let colour = Rgb(payload.array()?);
                Self::Led(Led { controller: controller(number)?, colour })
            }
            kind::ADAPTIVE_TRIGGERS => {
                let number = payload.u16_le()?;
                let [flags, left_mode, right_mode] = payload.array()?;
                let left = TriggerEffect { mode: left_mode, parameters: payload.array()? };
                let right = TriggerEffect { mode: right_mode, parameters: payload.array()? };
                Self::AdaptiveTriggers(AdaptiveTriggers {
                    controller: controller(number)?,
                    left: (flags & LEFT_VALID != 0).then_some(left),
                    right: (flags & RIGHT_VALID != 0).then_some(right),
                })
            }
            kind::HDR_MODE => {
                let state = if payload.u8()? == 0 { HdrState::Off } else { HdrState::On };
                Self::HdrMode(HdrMode { state, metadata: HdrMetadata::read(payload).ok() })
            }
            kind::TERMINATION => Self::Termination(Termination::from_code(payload.u32_be()?)),
            kind::TERMINATION_SHORT if message.framing == Framing::V1 => {
                Self::Termination(Termination::from_short_code(payload.u16_le()?))
            }
            kind::REQUEST_IDR
            | kind::START_A
            | kind::START_B
            | kind::PING
            | kind::INVALIDATE_REFERENCES
            | kind::LTR_ACK
            | kind::LOSS_STATS
            | kind::INPUT => return Err(MessageError::WrongDirection(message.kind)),
            unknown => return Err(MessageError::UnknownType(unknown)),
        })
    }

    /// The message in clear, header included.
    pub fn to_bytes(&self, framing: Framing) -> Vec<u8> {
        encode(self.kind(), framing, |out| match self {
            Self::Rumble(rumble) => {
                out.extend_from_slice(&RUMBLE_FILLER.to_le_bytes());
                words(out, [rumble.controller.get().into(), rumble.low_frequency, rumble.high_frequency]);
            }
            Self::TriggerRumble(rumble) => words(out, [rumble.controller.get().into(), rumble.left, rumble.right]),
            Self::MotionRequest(request) => {
                words(out, [request.controller.get().into(), request.rate_hz]);
                out.push(request.kind.number());
            }
            Self::Led(led) => {
                words(out, [led.controller.get().into()]);
                out.extend_from_slice(&led.colour.0);
            }
            Self::AdaptiveTriggers(triggers) => {
                let flag = |effect: Option<_>, flag| effect.map_or(0, |_| flag);
                let [left, right] = [triggers.left, triggers.right].map(|effect| effect.unwrap_or(NO_EFFECT));
                words(out, [triggers.controller.get().into()]);
                out.push(flag(triggers.left, LEFT_VALID) | flag(triggers.right, RIGHT_VALID));
                out.extend_from_slice(&[left.mode, right.mode]);
                out.extend_from_slice(&left.parameters);
                out.extend_from_slice(&right.parameters);
            }
            Self::HdrMode(mode) => {
                out.push(match mode.state {
                    HdrState::Off => 0,
                    HdrState::On => 1,
                });
                if let Some(metadata) = mode.metadata {
                    metadata.write(out);
                }
            }
            Self::Termination(reason) => out.extend_from_slice(&reason.code().to_be_bytes()),
        })
    }

    /// The type (section 2.3), one of [`kind`].
    pub const fn kind(&self) -> u16 {
        match self {
            Self::Rumble(_) => kind::RUMBLE,
            Self::TriggerRumble(_) => kind::TRIGGER_RUMBLE,
            Self::MotionRequest(_) => kind::MOTION_REQUEST,
            Self::Led(_) => kind::FEC_STATUS_OR_LED,
            Self::AdaptiveTriggers(_) => kind::ADAPTIVE_TRIGGERS,
            Self::HdrMode(_) => kind::HDR_MODE,
            Self::Termination(_) => kind::TERMINATION,
        }
    }
}

fn controller(number: u16) -> Result<ControllerIndex, MessageError> {
    ControllerIndex::from_wire(number).ok_or(MessageError::BadController(number))
}

fn words<const N: usize>(out: &mut Vec<u8>, fields: [u16; N]) {
    for field in fields {
        out.extend_from_slice(&field.to_le_bytes());
    }
}

/// Clients skip these four bytes; this is what Sunshine puts there.
const RUMBLE_FILLER: u32 = 0x00C0_FFEE;
const RIGHT_VALID: u8 = 0x04;
const LEFT_VALID: u8 = 0x08;
const NO_EFFECT: TriggerEffect = TriggerEffect { mode: 0, parameters: [0; 10] };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_termination_of_generation_7_is_understood_in_clear_only() {
        let short = |framing, bytes| HostMessage::parse(RawMessage::parse(bytes, framing)?);
        assert_eq!(short(Framing::V1, &[0x00, 0x01, 0x00, 0x01]), Ok(HostMessage::Termination(Termination::Closed)));
        assert_eq!(
            short(Framing::V1, &[0x00, 0x01, 0x07, 0x00]),
            Ok(HostMessage::Termination(Termination::from_code(7)))
        );
        assert_eq!(short(Framing::V1, &[0x00, 0x01, 0x07]), Err(MessageError::Truncated));
        assert_eq!(
            short(Framing::V2, &[0x00, 0x01, 0x02, 0x00, 0x00, 0x01]),
            Err(MessageError::UnknownType(kind::TERMINATION_SHORT))
        );
    }

    #[test]
    fn message_for_a_controller_that_cannot_exist_is_refused() {
        let message = RawMessage { framing: Framing::V2, kind: kind::TRIGGER_RUMBLE, payload: &[16, 0, 0, 0, 0, 0] };
        assert_eq!(HostMessage::parse(message), Err(MessageError::BadController(16)));
    }

    #[test]
    fn request_for_an_unknown_sensor_is_refused() {
        let message = RawMessage { framing: Framing::V2, kind: kind::MOTION_REQUEST, payload: &[0, 0, 100, 0, 3] };
        assert_eq!(HostMessage::parse(message), Err(MessageError::BadMotionType(3)));
    }
}
