//! What a daemon leaves for the next one when it is restarted: the launch and the control connection of each client that
//! streams. It travels by way of the session's worker, which does not look into it. So the client's connection goes on,
//! and it notices no more than that input waits for a moment. A daemon that is killed leaves nothing: its clients resume.

use serde::{Deserialize, Serialize};

use crate::gamestream::control_server::Connection;

use super::launch::Streaming;

/// Of what [`Handover`] and all in it look like when they are written. Another one is not read: the client resumes, as
/// it does after a crash. To be raised with every change of a type in it; a test notices.
const VERSION: u32 = 4;

/// One client's stream.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Handover {
    pub(super) launch: Streaming,
    /// None of a stream over lumen/1: the worker holds it.
    pub(super) connection: Option<Connection>,
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

#[cfg(test)]
mod tests {
    use lumen_core::enet::{Event, Host, HostConfig, PeerAddress};
    use lumen_core::gamestream::control::{ControlCipher, EnvelopeMode, Side};
    use lumen_core::time::Timestamp;

    use super::*;

    /// A stream with the same numbers in every run.
    fn handover() -> Handover {
        let mut host = Host::new(HostConfig::host(), |buffer: &mut [u8]| buffer.fill(1));
        let mut client = Host::new(HostConfig::client(), |buffer: &mut [u8]| buffer.fill(2));
        let address = PeerAddress::new(([127, 0, 0, 1], 9).into());
        client.connect(address, 2, 3).expect("a slot");
        let now = Timestamp::from_millis(5);
        let mut peer = None;
        while peer.is_none() {
            while let Some(transmit) = client.poll_transmit(now) {
                let _ = host.receive(address, &transmit.bytes, now);
            }
            while let Some(transmit) = host.poll_transmit(now) {
                let _ = client.receive(address, &transmit.bytes, now);
            }
            if let Some(Event::Connected { peer: connected, .. }) = host.poll_event() {
                peer = Some(connected);
            }
        }
        let peer = host.hand_over(peer.expect("it connected")).expect("it is established");
        let cipher = ControlCipher::new(&[7; 16], EnvelopeMode::V2, Side::Host).stop();
        Handover { launch: Streaming::sample(), connection: Some(Connection::new(peer, cipher)) }
    }

    #[test]
    fn what_another_version_left_is_not_read() {
        let bytes = handover().to_bytes().expect("it can be written");
        assert_eq!(Handover::parse(&bytes).expect("ours").to_bytes().expect("it can be written"), bytes);
        let mut other = bytes;
        other[0] = 0;
        assert!(matches!(Handover::parse(&other), Err(HandoverError::Version(0))));
        assert!(matches!(Handover::parse(&[]), Err(HandoverError::Malformed(_))));
    }

    /// If this fails, something in [`Handover`] looks different from before: raise [`VERSION`], then correct the number.
    #[test]
    fn a_change_of_what_is_left_is_a_change_of_its_version() {
        let bytes = handover().to_bytes().expect("it can be written");
        let digest = openssl::sha::sha256(&bytes);
        let short = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
        assert_eq!((VERSION, short), (4, 3_709_440_214), "{} bytes", bytes.len());
    }
}
