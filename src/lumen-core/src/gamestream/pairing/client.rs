//! The client's half of an attempt (protocol part 1, section 3.4).

use std::sync::Arc;

use super::crypto::random;
use super::{
    Certificate, Challenge, ChallengeResponse, ClientHash, Identity, IdentityError, PairCall, PairPhase, PairReply,
    PairRequest, PairingError, PairingKey, Pin, Salt, Secret, ServerHash, UniqueId, sign_secret, verify_pairing_secret,
};
use crate::entropy::Entropy;
use crate::gamestream::http::{Channel, ReplyError};

/// Why an attempt failed. The client should send `/unpair` then.
#[derive(Debug, thiserror::Error)]
pub enum ClientPairingError {
    /// The host refused, or its reply is unusable.
    #[error(transparent)]
    Reply(#[from] ReplyError),
    /// The host did not prove itself, or was given another PIN.
    #[error(transparent)]
    Check(#[from] PairingError),
    /// The client's own key failed.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The attempt is over already.
    #[error("the pairing attempt is over")]
    Over,
}

/// A request to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientRequest {
    /// Plain HTTP for the first four phases, HTTPS for the last; there the host must present
    /// [`ClientPairing::host_certificate`].
    pub channel: Channel,
    /// Path.
    pub path: &'static str,
    /// Query, without `uuid`.
    pub query: String,
}

/// How far the attempt is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Send the next request.
    Continue,
    /// Done: this is the host's certificate, to be pinned.
    Paired(Certificate),
}

/// One attempt: send [`ClientPairing::request`], give the body of its reply to [`ClientPairing::receive`], until it is
/// [`Progress::Paired`]. The first reply takes as long as the user needs to type the PIN.
#[derive(Debug)]
pub struct ClientPairing {
    identity: Arc<Identity>,
    unique_id: UniqueId,
    salt: Salt,
    key: PairingKey,
    challenge: Challenge,
    secret: Secret,
    host: Option<Certificate>,
    state: State,
}

/// What the next request says, and what is needed to judge its reply.
#[derive(Debug)]
enum State {
    Begin,
    Challenge,
    Response { message: [u8; 32], expected: ServerHash },
    Reveal { message: Vec<u8> },
    Confirm,
    Over,
}

impl ClientPairing {
    /// An attempt with a PIN that is shown to the user.
    pub fn new(identity: Arc<Identity>, unique_id: UniqueId, pin: &Pin, entropy: &mut dyn Entropy) -> Self {
        let salt = Salt(random(entropy));
        Self {
            identity,
            unique_id,
            salt,
            key: PairingKey::derive(&salt, pin),
            challenge: Challenge(random(entropy)),
            secret: Secret(random(entropy)),
            host: None,
            state: State::Begin,
        }
    }

    /// The certificate that the host sent, once it did. It proves nothing before the attempt is done.
    pub const fn host_certificate(&self) -> Option<&Certificate> {
        self.host.as_ref()
    }

    /// The request that is due; `None` when the attempt is over.
    pub fn request(&self) -> Option<ClientRequest> {
        let request = match &self.state {
            State::Begin => PairRequest::GetServerCertificate {
                salt: self.salt,
                certificate: self.identity.certificate().clone(),
                device_name: None,
            },
            State::Challenge => PairRequest::ClientChallenge(self.key.encrypt(self.challenge.0)),
            State::Response { message, .. } => PairRequest::ServerChallengeResponse(*message),
            State::Reveal { message } => PairRequest::ClientPairingSecret(message.clone()),
            State::Confirm => PairRequest::PairChallenge,
            State::Over => return None,
        };
        let channel = if request == PairRequest::PairChallenge { Channel::Https } else { Channel::Http };
        Some(self.write(request, channel))
    }

    /// The request that tells the host to forget the attempt.
    pub fn unpair(&self) -> ClientRequest {
        self.write(PairRequest::Unpair, Channel::Http)
    }

    /// Judges the reply to the request that was due. After an error the attempt is over.
    ///
    /// # Errors
    /// [`ClientPairingError`] says why.
    pub fn receive(&mut self, xml: &str) -> Result<Progress, ClientPairingError> {
        let state = std::mem::replace(&mut self.state, State::Over);
        let phase = match state {
            State::Begin => PairPhase::GetServerCertificate,
            State::Challenge => PairPhase::ClientChallenge,
            State::Response { .. } => PairPhase::ServerChallengeResponse,
            State::Reveal { .. } => PairPhase::ClientPairingSecret,
            State::Confirm => PairPhase::PairChallenge,
            State::Over => return Err(ClientPairingError::Over),
        };
        let reply = PairReply::parse(phase, xml)?;
        self.state = match (state, reply, &self.host) {
            (State::Begin, PairReply::ServerCertificate(pem), _) => {
                self.host = Some(Certificate::from_pem(&pem)?);
                State::Challenge
            }
            (State::Challenge, PairReply::ChallengeResponse(sealed), _) => {
                let response = ChallengeResponse::open(&self.key, sealed);
                let hash = ClientHash::new(&response.challenge, self.identity.certificate(), &self.secret);
                State::Response { message: self.key.encrypt(hash.0), expected: response.hash }
            }
            (State::Response { expected, .. }, PairReply::PairingSecret(message), Some(host)) => {
                verify_pairing_secret(&message, host, &self.challenge, &expected)?;
                State::Reveal { message: sign_secret(&self.identity, &self.secret)? }
            }
            (State::Reveal { .. }, PairReply::Paired, _) => State::Confirm,
            (State::Confirm, PairReply::Paired, Some(host)) => return Ok(Progress::Paired(host.clone())),
            _ => return Err(ClientPairingError::Over),
        };
        Ok(Progress::Continue)
    }

    fn write(&self, request: PairRequest, channel: Channel) -> ClientRequest {
        let call = PairCall { unique_id: self.unique_id.clone(), request };
        ClientRequest { channel, path: call.path(), query: call.to_query(self.identity.certificate_pem()) }
    }
}
