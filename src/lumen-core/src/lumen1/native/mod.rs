//! lumen/1 without GameStream (section 2.1): the messages of the control stream that a client opens in a QUIC connection,
//! and pairing by a PIN on it. QUIC and TLS are the caller's; nothing here reads a socket or a clock.
//!
//! From the outside in: [`Inbox`] cuts the bytes of the stream into messages; [`Request`] and [`Reply`] are what they say;
//! [`Wish`] is the stream that a client asks for; [`pairing`] is what makes strangers known to each other.

mod message;
#[cfg(feature = "pairing")]
pub mod pairing;
mod stream;
#[cfg(test)]
mod tests;
mod wish;

pub use message::{App, Figures, MessageError, Refusal, Reply, Request, Verb};
pub use stream::{Inbox, RawMessage};
pub use wish::{SoundLayout, Wish};

/// The application protocol by which TLS knows this one.
pub const ALPN: &[u8] = b"lumen/1";

/// Label of the exported secret from which the keys of the data plane are made. Without context.
pub const SECRET_LABEL: &[u8] = b"lumen/1 secret";

/// Bytes of that secret.
pub const SECRET_LEN: usize = 32;

/// Label of the exported value to which pairing is bound. Without context.
pub const PAIRING_LABEL: &[u8] = b"lumen/1 pair";

/// The revision of the messages that is spoken here.
pub const REVISION: u16 = 1;

/// Longest name, in bytes: of a device, a host, an application.
pub const MAX_NAME: usize = 256;

/// Longest text for people, in bytes.
pub const MAX_TEXT: usize = 1024;
