//! Pairing (protocol part 1, section 3): how a host and a client that never met come to know each other's certificate,
//! by a PIN that the client shows and the user types at the host.
//!
//! Both halves are values: requests and PINs go in, replies come out. Nothing here opens a socket, stores a
//! certificate or talks to a user; whoever drives [`HostPairing`] must store a certificate before it sends the reply
//! that says so.
//!
//! The order of the phases is what makes a PIN of four digits safe (section 3.7): one message of each phase, fresh
//! secrets for each attempt, and any deviation ends the attempt.

mod client;
mod crypto;
mod host;
mod identity;
mod reply;
mod request;

pub use client::{ClientPairing, ClientPairingError, ClientRequest, Progress};
pub use crypto::{
    Challenge, ChallengeResponse, ClientHash, PairingKey, Pin, Salt, Secret, ServerHash, sign_secret,
    verify_client_pairing_secret, verify_pairing_secret,
};
pub use host::{
    Answer, AttemptId, HostPairing, NoSuchAttempt, Outcome, PairingLimits, PendingAttempt, PinTarget, Released,
};
pub use identity::{Certificate, CertificateFingerprint, Identity, IdentityError, Validity};
pub use reply::{PairPhase, PairReply};
pub use request::{PairCall, PairPath, PairRequest, UniqueId};

use super::http::QueryError;

/// What is wrong with a pairing message. The names are those of the error classes of the test vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PairingError {
    /// The query itself cannot be read.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// A required parameter is absent.
    #[error("parameter {0} is missing")]
    MissingParameter(&'static str),
    /// A parameter is not hexadecimal.
    #[error("{0} is not hexadecimal")]
    BadHex(&'static str),
    /// A message has the wrong length.
    #[error("{0} has the wrong length")]
    BadLength(&'static str),
    /// The PIN is not four digits.
    #[error("a PIN has exactly four digits")]
    BadPin,
    /// Not exactly one readable certificate.
    #[error("the certificate cannot be read")]
    BadCertificate,
    /// The request belongs to no phase.
    #[error("the request belongs to no phase of pairing")]
    UnknownPhase,
    /// The last phase came over plain HTTP.
    #[error("this phase needs HTTPS")]
    NotSecure,
    /// The client's secret does not fit its earlier hash.
    #[error("the secret does not fit the hash")]
    BadHash,
    /// The signature is not the certificate's.
    #[error("the signature does not fit the certificate")]
    BadSignature,
    /// The host used another PIN.
    #[error("the host was given another PIN")]
    WrongPin,
}
