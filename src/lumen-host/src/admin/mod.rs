//! The management interface: HTTP and JSON on a Unix socket that only this user can open, and on a loopback port
//! for callers with the bearer token when one is configured. The command line is its first client, the web console
//! another. Beside it, `metrics` for Prometheus.
//!
//! It sees sessions through [`SessionDirectory`] and never touches a stream.
//!
//! | Request | Answer |
//! |---|---|
//! | `GET /v1/status` | [`Status`] |
//! | `GET /v1/doctor` | what `lumen doctor` finds ([`Report`](crate::doctor::Report)) |
//! | `GET /v1/pairing` | list of [`PendingAttempt`](crate::gamestream::pairing_server::PendingAttempt) |
//! | `POST /v1/pairing` [`EnterPin`] | [`PairingResult`]; 404 if nobody waits, 409 if several do and none was chosen |
//! | `GET /v1/clients` | list of [`Client`](crate::store::Client) |
//! | `PATCH /v1/clients/{fingerprint}` [`Rename`] | the client; 409 if it is declared |
//! | `PUT /v1/clients/{fingerprint}/grants` [`OwnGrants`](crate::config::OwnGrants) | the client; 409 if it is declared |
//! | `DELETE /v1/clients/{fingerprint}` | the client that was removed; 409 if it is declared |
//! | `POST /v1/sessions/{id}/stop` | empty; 404 if there is no such session |
//!
//! Errors are `{"error": "a sentence"}`.

mod api;
mod client;
mod door;
mod guard;
mod metrics;
mod openapi;
mod server;
mod token;
mod web;

pub use api::{
    EnterPin, ErrorBody, Login, PairingResult, Rename, SessionId, SessionInfo, SessionState, Status, Transport,
};
pub use client::{AdminClient, AdminClientError};
pub use metrics::{Ends, Tally};
pub use openapi::openapi;
pub use server::{AdminError, AdminServer, AdminState, Examination};
pub use token::read_token;

/// No session has this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no session {0}")]
pub struct NoSuchSession(pub SessionId);

/// The sessions, as far as management is concerned.
pub trait SessionDirectory: Send + Sync + 'static {
    /// All sessions, in the order of their numbers. Must return at once.
    fn sessions(&self) -> Vec<SessionInfo>;

    /// Ends a session and its application, and tells the client.
    ///
    /// # Errors
    /// [`NoSuchSession`].
    fn stop(&self, id: SessionId) -> Result<(), NoSuchSession>;

    /// Encoders that work here, best first, as `name (format)`.
    fn encoders(&self) -> Vec<String>;

    /// What they came to since the host started. Must return at once.
    fn tally(&self) -> Tally;
}
