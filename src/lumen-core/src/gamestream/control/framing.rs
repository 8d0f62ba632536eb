//! The header of a control message in clear (protocol part 3, section 2.1).

use super::{MessageError, kind};
use crate::reader::Reader;

/// Which header a message has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Framing {
    /// `u16` type, payload to the end of the packet: ENet without envelope, before version 7.1.431.
    V1,
    /// `u16` type, `u16` payload length, payload: inside the envelope.
    V2,
}

/// A message of any type: its number and its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawMessage<'a> {
    /// The header that it had.
    pub framing: Framing,
    /// The type, one of [`kind`] if it is known.
    pub kind: u16,
    /// The bytes after the header, without surplus ones.
    pub payload: &'a [u8],
}

impl<'a> RawMessage<'a> {
    /// More bytes than this after the payload are an error; fewer are ignored (section 2.2).
    pub const MAX_SURPLUS: usize = 15;

    /// Splits a message into type and payload.
    ///
    /// # Errors
    /// Tests in this order: length of the header, nesting, payload length. V1 can only be cut short.
    pub fn parse(bytes: &'a [u8], framing: Framing) -> Result<Self, MessageError> {
        let mut reader = Reader::new(bytes);
        let kind = reader.u16_le()?;
        match framing {
            Framing::V1 => Ok(Self { framing, kind, payload: reader.rest() }),
            Framing::V2 => {
                let said = reader.u16_le()?;
                if kind == kind::ENVELOPE {
                    return Err(MessageError::NestedEnvelope);
                }
                let rest = reader.rest();
                match rest.split_at_checked(usize::from(said)) {
                    Some((payload, surplus)) if surplus.len() <= Self::MAX_SURPLUS => {
                        Ok(Self { framing, kind, payload })
                    }
                    _ => Err(MessageError::InnerLength { said, present: rest.len() }),
                }
            }
        }
    }
}

/// Bytes of a message of type `kind` whose payload `fill` appends. Payloads of this protocol have below 256 bytes.
pub(super) fn encode(kind: u16, framing: Framing, fill: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    out.extend_from_slice(&kind.to_le_bytes());
    if framing == Framing::V2 {
        out.extend_from_slice(&[0; 2]);
    }
    let start = out.len();
    fill(&mut out);
    if framing == Framing::V2 {
        let length = (out.len() - start) as u16;
        out[2..4].copy_from_slice(&length.to_le_bytes());
    }
    out
}
