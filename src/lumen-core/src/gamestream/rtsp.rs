//! RTSP as GameStream clients speak it (protocol part 1, section 5): messages, the encrypted form of them, and a
//! decoder for bytes as they arrive, from both sides.
//!
//! Every request comes on a connection of its own, which the host closes after its reply. The targets are no URLs, so
//! no RTSP library reads them. This module never touches a socket.

mod cipher;
mod client;
mod decoder;
mod request;
mod response;

pub use cipher::{Direction, RecordError, RtspCipher, SealedRecord};
pub use client::ClientHandshake;
pub use decoder::{MessageDecoder, WireMessage};
pub use request::{Method, Request, RequestError};
pub use response::{Response, ResponseError};

/// Most bytes of a request line with its headers.
pub const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Most bytes of a request's body, and of the plain text of an encrypted record.
pub const MAX_BODY_BYTES: usize = 64 * 1024;
