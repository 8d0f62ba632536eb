//! `/pair` and `/unpair` (protocol part 1, sections 3.3 and 3.4).

use std::fmt;

use super::{Certificate, PairingError, Salt};
use crate::gamestream::http::{Channel, Query, QueryWriter, hex, unhex};

/// Longest client identifier that is kept, in bytes; clients send 1 to 16 digits.
const MAX_UNIQUE_ID: usize = 64;

/// Longest device name that is kept, in characters.
const MAX_DEVICE_NAME: usize = 64;

/// A client's own identifier. Many clients share one, so it identifies nobody by itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UniqueId(String);

impl UniqueId {
    /// What Android and Embedded clients all send.
    pub const SHARED: &'static str = "0123456789ABCDEF";

    /// An identifier of at most 64 bytes.
    ///
    /// # Errors
    /// [`PairingError::BadLength`].
    pub fn new(text: &str) -> Result<Self, PairingError> {
        if text.len() > MAX_UNIQUE_ID { Err(PairingError::BadLength("uniqueid")) } else { Ok(Self(text.to_owned())) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UniqueId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Which of the two paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairPath {
    /// `/pair`.
    Pair,
    /// `/unpair`.
    Unpair,
}

/// What a client asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PairRequest {
    /// Phase 1: the host's certificate, once the PIN was typed.
    GetServerCertificate {
        /// Salt of the key.
        salt: Salt,
        /// The client's certificate.
        certificate: Certificate,
        /// What the client calls its device; all but a few say `roth`.
        device_name: Option<String>,
    },
    /// Phase 2: the encrypted challenge.
    ClientChallenge([u8; 16]),
    /// Phase 3: the encrypted hash.
    ServerChallengeResponse([u8; 32]),
    /// Phase 4: secret and signature.
    ClientPairingSecret(Vec<u8>),
    /// Phase 5, over HTTPS: does the host know this certificate?
    PairChallenge,
    /// The client gives up.
    Unpair,
}

/// A request with its sender's identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairCall {
    /// The client's identifier.
    pub unique_id: UniqueId,
    /// What it asks.
    pub request: PairRequest,
}

impl PairCall {
    /// Reads a request.
    ///
    /// # Errors
    /// [`PairingError`] says what is wrong. The attempt of the sender has to end then; see [`PairCall::sender`].
    pub fn parse(path: PairPath, query: &str, channel: Channel) -> Result<Self, PairingError> {
        let query = Query::parse(query)?;
        let unique_id = query.get("uniqueid").ok_or(PairingError::MissingParameter("uniqueid"))?;
        let unique_id = UniqueId::new(unique_id)?;
        let request = match path {
            PairPath::Unpair => PairRequest::Unpair,
            PairPath::Pair => parse_pair(&query, channel)?,
        };
        Ok(Self { unique_id, request })
    }

    /// The sender of a request that is otherwise unreadable.
    pub fn sender(query: &str) -> Option<UniqueId> {
        UniqueId::new(Query::parse(query).ok()?.get("uniqueid")?).ok()
    }

    /// The path of the request.
    pub const fn path(&self) -> &'static str {
        match self.request {
            PairRequest::Unpair => "/unpair",
            _ => "/pair",
        }
    }

    /// The query of the request. `certificate_pem` is the client's certificate for phase 1, as text.
    pub fn to_query(&self, certificate_pem: &str) -> String {
        let mut query = QueryWriter::new().with("uniqueid", &self.unique_id);
        if self.request == PairRequest::Unpair {
            return query.finish();
        }
        let device = match &self.request {
            PairRequest::GetServerCertificate { device_name: Some(name), .. } => name,
            _ => "roth",
        };
        query = query.with("devicename", device).with("updateState", 1);
        match &self.request {
            PairRequest::GetServerCertificate { salt, .. } => query
                .with("phrase", "getservercert")
                .with("salt", hex(&salt.0))
                .with("clientcert", hex(certificate_pem.as_bytes())),
            PairRequest::ClientChallenge(message) => query.with("clientchallenge", hex(message)),
            PairRequest::ServerChallengeResponse(message) => query.with("serverchallengeresp", hex(message)),
            PairRequest::ClientPairingSecret(message) => query.with("clientpairingsecret", hex(message)),
            PairRequest::PairChallenge => query.with("phrase", "pairchallenge"),
            PairRequest::Unpair => query,
        }
        .finish()
    }
}

fn parse_pair(query: &Query, channel: Channel) -> Result<PairRequest, PairingError> {
    match query.get("phrase") {
        Some("getservercert") => {
            let salt = query.get("salt").ok_or(PairingError::MissingParameter("salt"))?;
            let certificate = query.get("clientcert").ok_or(PairingError::MissingParameter("clientcert"))?;
            let pem = unhex_named(certificate, "clientcert");
            let salt: Salt = salt.parse()?;
            let pem = String::from_utf8(pem?).map_err(|_| PairingError::BadCertificate)?;
            let device_name = query.get("devicename").filter(|name| !name.is_empty() && *name != "roth");
            Ok(PairRequest::GetServerCertificate {
                salt,
                certificate: Certificate::from_pem(&pem)?,
                device_name: device_name.map(|name| {
                    name.chars().filter(|character| !character.is_control()).take(MAX_DEVICE_NAME).collect()
                }),
            })
        }
        Some("pairchallenge") => match channel {
            Channel::Https => Ok(PairRequest::PairChallenge),
            Channel::Http => Err(PairingError::NotSecure),
        },
        Some(_) => Err(PairingError::UnknownPhase),
        None => {
            if let Some(message) = query.get("clientchallenge") {
                exactly(message, "clientchallenge").map(PairRequest::ClientChallenge)
            } else if let Some(message) = query.get("serverchallengeresp") {
                exactly(message, "serverchallengeresp").map(PairRequest::ServerChallengeResponse)
            } else if let Some(message) = query.get("clientpairingsecret") {
                let message = unhex_named(message, "clientpairingsecret")?;
                if message.len() <= 16 {
                    return Err(PairingError::BadLength("clientpairingsecret"));
                }
                Ok(PairRequest::ClientPairingSecret(message))
            } else {
                Err(PairingError::UnknownPhase)
            }
        }
    }
}

fn unhex_named(text: &str, name: &'static str) -> Result<Vec<u8>, PairingError> {
    unhex(text).ok_or(PairingError::BadHex(name))
}

fn exactly<const N: usize>(text: &str, name: &'static str) -> Result<[u8; N], PairingError> {
    unhex_named(text, name)?.try_into().map_err(|_| PairingError::BadLength(name))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(id in "[0-9a-f]{1,16}", phase in 0usize..5, bytes in proptest::collection::vec(any::<u8>(), 48)) {
            let request = match phase {
                0 => PairRequest::ClientChallenge(bytes[..16].try_into().unwrap()),
                1 => PairRequest::ServerChallengeResponse(bytes[..32].try_into().unwrap()),
                2 => PairRequest::ClientPairingSecret(bytes),
                3 => PairRequest::PairChallenge,
                _ => PairRequest::Unpair,
            };
            let call = PairCall { unique_id: UniqueId::new(&id).unwrap(), request };
            let path = if call.path() == "/pair" { PairPath::Pair } else { PairPath::Unpair };
            prop_assert_eq!(PairCall::parse(path, &call.to_query(""), Channel::Https), Ok(call));
        }

        #[test]
        fn arbitrary_queries_never_panic(query in "((uniqueid|phrase|salt|clientcert|clientchallenge|serverchallengeresp|clientpairingsecret)=(getservercert|pairchallenge|[0-9a-f%é]{0,40})&){0,6}") {
            let _ = PairCall::parse(PairPath::Pair, &query, Channel::Http);
        }
    }
}
