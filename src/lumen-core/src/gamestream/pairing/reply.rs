//! Replies to `/pair` and `/unpair` (protocol part 1, sections 3.3 and 3.6).

use super::Certificate;
use crate::gamestream::http::{ErrorReply, ReplyError, hex, unhex};
use crate::gamestream::xml::{Reply, ReplyWriter};

/// Length of the reply of phase 3: a secret and a signature of RSA 2048. Clients accept nothing else.
const PAIRING_SECRET_BYTES: usize = 272;

/// Which request a reply answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PairPhase {
    /// Phase 1.
    GetServerCertificate,
    /// Phase 2.
    ClientChallenge,
    /// Phase 3.
    ServerChallengeResponse,
    /// Phase 4.
    ClientPairingSecret,
    /// Phase 5.
    PairChallenge,
    /// Not a phase: the client gave up.
    Unpair,
}

/// What a host answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PairReply {
    /// Phase 1: the host's certificate, as PEM text.
    ServerCertificate(String),
    /// Phase 2: hash and challenge, encrypted.
    ChallengeResponse([u8; 48]),
    /// Phase 3: secret and signature.
    PairingSecret(Vec<u8>),
    /// Phases 4 and 5: done.
    Paired,
    /// Phase 4: the client did not prove itself.
    NotPaired,
    /// Phase 1: this host does not pair with this client now.
    Busy,
    /// `/unpair`: noted.
    Unpaired,
    /// The attempt is over.
    Error(ErrorReply),
}

impl PairReply {
    /// The end of an attempt, with a reason for the user.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::Error(ErrorReply::new(400, message).with_zero("paired"))
    }

    /// The reply's body.
    pub fn to_xml(&self) -> String {
        let paired = |writer: ReplyWriter| writer.element("paired", 1);
        match self {
            Self::ServerCertificate(pem) => {
                paired(ReplyWriter::ok()).element("plaincert", hex(pem.as_bytes())).finish()
            }
            Self::ChallengeResponse(message) => {
                paired(ReplyWriter::ok()).element("challengeresponse", hex(message)).finish()
            }
            Self::PairingSecret(message) => paired(ReplyWriter::ok()).element("pairingsecret", hex(message)).finish(),
            // Without `plaincert` clients tell their user to try again later.
            Self::Paired | Self::Busy => paired(ReplyWriter::ok()).finish(),
            Self::NotPaired => ReplyWriter::ok().element("paired", 0).finish(),
            Self::Unpaired => ReplyWriter::ok().finish(),
            Self::Error(error) => error.to_xml(),
        }
    }

    /// Reads the reply to a request, as a client.
    ///
    /// # Errors
    /// [`ReplyError`] for everything that ends the attempt.
    pub fn parse(phase: PairPhase, xml: &str) -> Result<Self, ReplyError> {
        let reply = Reply::parse(xml)?;
        if phase == PairPhase::Unpair {
            return Ok(Self::Unpaired);
        }
        if reply.text("paired").as_deref() != Some("1") {
            return Err(ReplyError::PairingFailed);
        }
        let message = |name: &'static str| unhex(&reply.text(name).unwrap_or_default()).ok_or(ReplyError::BadHex(name));
        match phase {
            PairPhase::GetServerCertificate => {
                let pem = message("plaincert")?;
                if pem.is_empty() {
                    return Err(ReplyError::Busy);
                }
                let pem = String::from_utf8(pem).map_err(|_| ReplyError::BadCertificate)?;
                Certificate::from_pem(&pem).map_err(|_| ReplyError::BadCertificate)?;
                Ok(Self::ServerCertificate(pem))
            }
            PairPhase::ClientChallenge => {
                let message = message("challengeresponse")?.try_into();
                message.map(Self::ChallengeResponse).map_err(|_| ReplyError::BadLength("challengeresponse"))
            }
            PairPhase::ServerChallengeResponse => match message("pairingsecret")? {
                message if message.len() == PAIRING_SECRET_BYTES => Ok(Self::PairingSecret(message)),
                _ => Err(ReplyError::BadLength("pairingsecret")),
            },
            PairPhase::ClientPairingSecret | PairPhase::PairChallenge | PairPhase::Unpair => Ok(Self::Paired),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_host_answers_without_a_certificate() {
        let xml = PairReply::Busy.to_xml();
        assert_eq!(PairReply::parse(PairPhase::GetServerCertificate, &xml), Err(ReplyError::Busy));
    }

    #[test]
    fn a_refusal_carries_its_reason() {
        let xml = PairReply::refused("PIN entry timed out & cancelled").to_xml();
        let expected = ReplyError::HostError { code: 400, message: "PIN entry timed out & cancelled".into() };
        assert_eq!(PairReply::parse(PairPhase::GetServerCertificate, &xml), Err(expected));
        assert!(xml.contains("<paired>0</paired>"));
    }
}
