//! What a daemon leaves for the next one when it is restarted: the launch and the control connection of each client that
//! streams. It travels by way of the session's worker, which does not look into it. So the client's connection goes on,
//! and it notices no more than that input waits for a moment. A daemon that is killed leaves nothing: its clients resume.

use serde::{Deserialize, Serialize};

use crate::gamestream::control_server::Connection;

use super::launch::Streaming;

/// Of what [`Handover`] and all in it look like when they are written. Another one is not read: the client resumes, as
/// it does after a crash. To be raised with every change of a type in it; a test notices.
const VERSION: u32 = 1;

/// One client's stream.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Handover {
    pub(super) launch: Streaming,
    pub(super) connection: Connection,
}

/// Why nothing can be gone on with.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandoverError {
    /// Another version of lumen wrote it.
    #[error("it was left by another version of lumen ({0}, this one reads {VERSION})")]
    Version(u32),
    /// It is damaged.
    #[error(transparent)]
    Malformed(#[from] postcard::Error),
}

impl Handover {
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, HandoverError> {
        Ok(postcard::to_stdvec(&(VERSION, self))?)
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, HandoverError> {
        let (version, rest) = postcard::take_from_bytes(bytes)?;
        if version != VERSION { Err(HandoverError::Version(version)) } else { Ok(postcard::from_bytes(rest)?) }
    }
}
