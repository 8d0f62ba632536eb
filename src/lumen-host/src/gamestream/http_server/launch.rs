//! What the servers need from whoever runs sessions.

use std::net::SocketAddr;

use lumen_core::gamestream::http::{AppId, CodecMask, ErrorReply, LaunchReply, LaunchRequest};

use crate::store::Fingerprint;

/// A client whose certificate is pinned or declared.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientIdentity {
    /// SHA-256 of its certificate. This is the client; the name is for people.
    pub fingerprint: Fingerprint,
    /// Its name.
    pub name: String,
}

/// Runs sessions. Calls may block for as long as an application takes to start, except [`codec_mask`] and
/// [`running_app`], which answer polls and must return at once.
///
/// Each client has a session of its own: whether the host is busy is asked and answered for one client.
///
/// [`codec_mask`]: LaunchService::codec_mask
/// [`running_app`]: LaunchService::running_app
pub trait LaunchService: Send + Sync + 'static {
    /// What this host can encode now.
    fn codec_mask(&self) -> CodecMask;

    /// Starts an application that exists. The reply is sent at once, so RTSP must listen by then.
    ///
    /// # Errors
    /// [`RefusedReason`], which the user gets to read.
    fn launch(
        &self,
        client: &ClientIdentity,
        request: LaunchRequest,
        local: SocketAddr,
        peer: SocketAddr,
    ) -> Result<LaunchReply, RefusedReason>;

    /// Streams the client's running application again.
    ///
    /// # Errors
    /// [`RefusedReason`], which the user gets to read.
    fn resume(
        &self,
        client: &ClientIdentity,
        request: LaunchRequest,
        local: SocketAddr,
        peer: SocketAddr,
    ) -> Result<LaunchReply, RefusedReason>;

    /// Ends the client's stream and application; with nothing running, does nothing. [`running_app`] must say `None`
    /// when this returns.
    ///
    /// # Errors
    /// [`RefusedReason`], which the user gets to read.
    ///
    /// [`running_app`]: LaunchService::running_app
    fn cancel(&self, client: &ClientIdentity) -> Result<(), RefusedReason>;

    /// The application of this client, also while its launch is pending or its stream suspended.
    fn running_app(&self, client: &ClientIdentity) -> Option<AppId>;

    /// The client was removed: whatever it streams must end.
    fn client_removed(&self, client: &ClientIdentity);

    /// What the client may do has changed: nothing that it holds down stays so.
    fn grants_changed(&self, client: &ClientIdentity);
}

/// Why a launch, resume or cancel is refused. The text is shown to the user of the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefusedReason {
    /// The request makes no sense.
    #[error("{0}")]
    BadRequest(String),
    /// No application has this number.
    #[error("This host has no application with number {0}")]
    UnknownApp(u32),
    /// The running application is none that the client may start any more.
    #[error("This client may not use {0} any more. Whoever runs the host decides that")]
    NotGranted(String),
    /// The client's own application runs already.
    #[error("An application is running already. Resume it, or quit it first")]
    Busy,
    /// This host wants encryption, and the client cannot.
    #[error("This host streams only with encryption, which this client does not support. Update the client")]
    EncryptionRequired,
    /// There is nothing to resume.
    #[error("No application is running to resume")]
    NothingRunning,
    /// There are as many sessions as there may be.
    #[error("This host already streams to {0} clients, as many as it may")]
    TooManySessions(u16),
    /// The session could not be made.
    #[error("{0}")]
    Failed(String),
    /// The host is about to end.
    #[error("This host is shutting down")]
    ShuttingDown,
}

impl RefusedReason {
    /// Root code of the reply (protocol part 1, section 4.5).
    pub const fn code(&self) -> u32 {
        match self {
            Self::BadRequest(_) | Self::UnknownApp(_) | Self::Busy => 400,
            Self::EncryptionRequired | Self::NotGranted(_) => 403,
            Self::NothingRunning | Self::TooManySessions(_) | Self::Failed(_) | Self::ShuttingDown => 503,
        }
    }

    /// The reply; `element` says that it was not done.
    pub(super) fn reply(&self, element: &'static str) -> ErrorReply {
        ErrorReply::new(self.code(), self.to_string()).with_zero(element)
    }
}
