//! What the management interface says, for both of its ends.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::gamestream::pairing_server::{AttemptId, PendingAttempt};
use crate::store::{Client, Fingerprint};

/// Number of a session, unique while the host runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SessionId(pub u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for SessionId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SessionState {
    /// The client asked for it.
    Launched,
    /// Streams are agreed on.
    Negotiated,
    /// Pictures flow.
    Streaming,
    /// The client is gone and may come back.
    Suspended,
    /// It is being taken down.
    Ended,
}

/// What carries picture, sound and input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// GameStream, as stock clients speak it.
    GameStream,
    /// lumen/1.
    Lumen1,
}

/// One session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionInfo {
    /// Its number.
    pub id: SessionId,
    /// Where it stands.
    pub state: SessionState,
    /// Name of the client.
    pub client: String,
    /// Certificate of the client.
    #[schemars(with = "String")]
    pub fingerprint: Fingerprint,
    /// Address of the client.
    pub peer: Option<SocketAddr>,
    /// What carries the stream.
    pub transport: Option<Transport>,
    /// Title of the application.
    pub app: String,
    /// Mode, such as `1280x720@60`.
    pub mode: Option<String>,
    /// Video format.
    pub codec: Option<String>,
    /// Encoder.
    pub encoder: Option<String>,
    /// Why a better encoder that should work does not encode.
    pub encoder_fallback: Option<String>,
    /// Video bit rate in kbit/s.
    pub bitrate_kbps: Option<u32>,
    /// Frames sent.
    pub frames_sent: u64,
    /// Frames that could not be sent in time.
    pub frames_dropped: u64,
    /// Pictures that were not encoded, because newer ones took their place or to hold the bit rate.
    pub frames_skipped: u64,
    /// Seconds since the launch.
    pub age_seconds: u64,
    /// Process of the worker.
    pub worker_pid: Option<u32>,
}

/// The host at a glance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// Name that clients show.
    pub name: String,
    /// Version of this program.
    pub version: String,
    /// UUID of the host.
    pub host_id: String,
    /// Process of the daemon.
    pub pid: u32,
    /// Seconds since it started.
    pub uptime_seconds: u64,
    /// Base port.
    pub port: u16,
    /// Addresses under which clients reach this host.
    pub addresses: Vec<String>,
    /// SHA-256 of the host's certificate.
    #[schemars(with = "String")]
    pub fingerprint: Fingerprint,
    /// Applications on offer.
    pub apps: Vec<String>,
    /// Encoders that work here, best first.
    pub encoders: Vec<String>,
    /// Number of clients that may stream.
    pub clients: usize,
    /// Clients that wait for their PIN.
    pub pairing: Vec<PendingAttempt>,
    /// Sessions.
    pub sessions: Vec<SessionInfo>,
}

/// The PIN that a client shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnterPin {
    /// Four digits.
    pub pin: String,
    /// Which attempt, when several wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<AttemptId>,
    /// Address of the client, when several wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<std::net::IpAddr>,
    /// Name to remember the client by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What became of a PIN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "result", rename_all = "lowercase")]
pub enum PairingResult {
    /// The client may stream.
    Paired {
        /// The client.
        client: Box<Client>,
    },
    /// It came to nothing.
    Failed {
        /// Why.
        reason: String,
    },
}

/// A new name for a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rename {
    /// The name.
    pub name: String,
}

/// How a browser logs in to the web console.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The token of the console.
    pub token: String,
}

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// A sentence.
    pub error: String,
    /// The attempts that wait, when one of several must be chosen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<PendingAttempt>,
}
