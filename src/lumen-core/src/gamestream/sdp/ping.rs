//! The datagrams by which a host learns where its client's media sockets are (protocol part 1, section 5.6; part 2,
//! section 3.2). Clients send one every 500 ms to each media port.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::entropy::Entropy;

/// The datagram of clients without a payload.
const LEGACY: &[u8] = b"PING";

/// `X-SS-Ping-Payload`: exactly 16 ASCII characters that only host and client know.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PingPayload([u8; 16]);

impl PingPayload {
    /// A fresh payload: 8 random bytes as upper-case hexadecimal digits.
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        let mut random = [0; 8];
        entropy.fill(&mut random);
        let mut digits = [0; 16];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(random) {
            for (digit, nibble) in pair.iter_mut().zip([byte >> 4, byte & 15]) {
                *digit = if nibble < 10 { b'0' + nibble } else { b'A' + nibble - 10 };
            }
        }
        Self(digits)
    }

    /// The characters.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl FromStr for PingPayload {
    type Err = PingError;

    /// Any 16 printable ASCII characters; clients ignore other lengths and fall back to `PING`.
    fn from_str(text: &str) -> Result<Self, PingError> {
        let characters = <[u8; 16]>::try_from(text.as_bytes()).map_err(|_| PingError::Malformed)?;
        if characters.iter().all(u8::is_ascii_graphic) { Ok(Self(characters)) } else { Err(PingError::Malformed) }
    }
}

impl fmt::Display for PingPayload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{}", char::from(*byte)))
    }
}

impl fmt::Debug for PingPayload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PingPayload(…)")
    }
}

/// Why a datagram is not this session's ping. All of these are dropped in silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PingError {
    /// Neither form.
    #[error("not a ping")]
    Malformed,
    /// Another session's payload.
    #[error("the payload belongs to another session")]
    PayloadMismatch,
    /// The short form from a client that announced session identifiers.
    #[error("this client must send its payload")]
    LegacyNotAllowed,
    /// The short form from another address than the client's.
    #[error("not the client's address")]
    AddressMismatch,
}

/// Whether the client announced that it uses payload and connect data (`x-ml-general.featureFlags`, bit 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum SessionIds {
    /// It does: the short form is not accepted from it.
    Used,
    /// It does not: it is known by its address.
    NotUsed,
}

/// Whether a datagram came from the address of the client's control connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SenderAddress {
    /// Same address.
    Same,
    /// Another one.
    Other,
}

/// A ping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ping {
    /// `PING`.
    Legacy,
    /// The payload and a counter that begins at 1.
    Payload {
        /// Whose ping it is.
        payload: PingPayload,
        /// Number of the ping.
        counter: u32,
    },
}

impl Ping {
    /// The ping that a client sends: the short form if it got no valid payload.
    pub const fn new(payload: Option<PingPayload>, counter: u32) -> Self {
        match payload {
            Some(payload) => Self::Payload { payload, counter },
            None => Self::Legacy,
        }
    }

    /// The datagram.
    pub fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Legacy => LEGACY.to_vec(),
            Self::Payload { payload, counter } => [&payload.0[..], &counter.to_be_bytes()].concat(),
        }
    }

    /// Reads a datagram; what follows the counter is ignored.
    ///
    /// # Errors
    /// [`PingError::Malformed`] if it is neither form.
    pub fn parse(datagram: &[u8]) -> Result<Self, PingError> {
        if datagram == LEGACY {
            return Ok(Self::Legacy);
        }
        let (payload, rest) = datagram.split_first_chunk::<16>().ok_or(PingError::Malformed)?;
        let counter = rest.first_chunk::<4>().ok_or(PingError::Malformed)?;
        Ok(Self::Payload { payload: PingPayload(*payload), counter: u32::from_be_bytes(*counter) })
    }

    /// Whether this is a ping of the session with that payload.
    ///
    /// # Errors
    /// [`PingError`] says why it is not.
    pub fn belongs_to(self, expected: &PingPayload, ids: SessionIds, sender: SenderAddress) -> Result<(), PingError> {
        match self {
            Self::Payload { payload, .. } if payload == *expected => Ok(()),
            Self::Payload { .. } => Err(PingError::PayloadMismatch),
            Self::Legacy if ids == SessionIds::Used => Err(PingError::LegacyNotAllowed),
            Self::Legacy if sender == SenderAddress::Other => Err(PingError::AddressMismatch),
            Self::Legacy => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fresh_payloads_are_sixteen_upper_case_digits() {
        let mut entropy = |buffer: &mut [u8]| buffer.fill(0xa5);
        let payload = PingPayload::generate(&mut entropy);
        assert_eq!(payload.to_string(), "A5A5A5A5A5A5A5A5");
        assert_eq!(payload.to_string().parse(), Ok(payload));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(text in "[!-~]{16}", counter in any::<u32>()) {
            let ping = Ping::new(Some(text.parse().unwrap()), counter);
            prop_assert_eq!(Ping::parse(&ping.to_bytes()), Ok(ping));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = Ping::parse(&bytes);
        }
    }
}
