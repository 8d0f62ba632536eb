//! What can fail, and the exit code that says so to scripts.

use std::path::PathBuf;

use lumen_core::gamestream::http::ReplyError;
use lumen_core::gamestream::pairing::{ClientPairingError, IdentityError};

/// Why something did not work. Every kind has an exit code of its own; see [`ClientError::exit_code`].
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// What was asked for makes no sense (2).
    #[error("{0}")]
    Usage(String),
    /// The host cannot be reached (3).
    #[error("cannot reach {address}: {reason}; check that the host runs and that no firewall is between")]
    Unreachable {
        /// Address as it was tried.
        address: String,
        /// Why.
        reason: String,
    },
    /// This client and the host do not know each other (4).
    #[error("not paired with {host}: {reason}; run `lumen-client pair` first")]
    NotPaired {
        /// The host.
        host: String,
        /// Which side lacks the other's certificate.
        reason: &'static str,
    },
    /// Another certificate than the pinned one (4).
    #[error("{host} presents another certificate than when it was paired; unpair and pair again if that is expected")]
    OtherCertificate {
        /// The host.
        host: String,
    },
    /// Pairing failed (4).
    #[error("pairing failed: {0}")]
    Pairing(#[from] ClientPairingError),
    /// Pairing over QUIC failed (4).
    #[error("pairing failed: {0}")]
    NativePairing(String),
    /// The host answered, and refused (5).
    #[error("the host refused to {action}: {reason}")]
    Refused {
        /// What was asked.
        action: &'static str,
        /// Its reason.
        reason: String,
    },
    /// The host's answer cannot be understood, or the negotiation failed (6).
    #[error("{step} failed: {reason}")]
    Handshake {
        /// Which step.
        step: &'static str,
        /// Why.
        reason: String,
    },
    /// The stream began, but no picture came out of it (7).
    #[error("no picture: {0}")]
    NoPicture(String),
    /// The stream ended before it should have (8).
    #[error("the stream was lost: {0}")]
    StreamLost(String),
    /// The stream was worse than the bounds that were given (9).
    #[error("the stream was worse than demanded: {0}")]
    BelowBounds(String),
    /// Something on this machine failed (1).
    #[error("cannot {action} {path}: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Something on this machine failed (1).
    #[error("{action}: {reason}")]
    Local {
        /// What was tried.
        action: &'static str,
        /// Why.
        reason: String,
    },
}

impl ClientError {
    /// The exit code of the command that ended with this error.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::File { .. } | Self::Local { .. } => 1,
            Self::Usage(_) => 2,
            Self::Unreachable { .. } => 3,
            Self::NotPaired { .. } | Self::OtherCertificate { .. } | Self::Pairing(_) | Self::NativePairing(_) => 4,
            Self::Refused { .. } => 5,
            Self::Handshake { .. } => 6,
            Self::NoPicture(_) => 7,
            Self::StreamLost(_) => 8,
            Self::BelowBounds(_) => 9,
        }
    }

    pub(crate) fn handshake(step: &'static str, reason: impl ToString) -> Self {
        Self::Handshake { step, reason: reason.to_string() }
    }

    pub(crate) fn local(action: &'static str, reason: impl ToString) -> Self {
        Self::Local { action, reason: reason.to_string() }
    }

    /// What a reply says that is not the success that `action` asked for.
    pub(crate) fn from_reply(action: &'static str, host: &str, error: ReplyError) -> Self {
        match error {
            ReplyError::Unauthorised => {
                Self::NotPaired { host: host.to_owned(), reason: "the host does not know this client's certificate" }
            }
            ReplyError::OtherOwner(_) | ReplyError::Minimised(_) | ReplyError::HostError { .. } | ReplyError::Busy => {
                Self::Refused { action, reason: error.to_string() }
            }
            malformed => Self::handshake(action, malformed),
        }
    }
}

impl From<IdentityError> for ClientError {
    fn from(error: IdentityError) -> Self {
        Self::local("cannot use this client's identity", error)
    }
}
