//! Pairing with a host: the client shows a PIN, its user types it at the host, and each pins the other's certificate.

use std::net::SocketAddr;

use lumen_core::gamestream::http::Channel;
use lumen_core::gamestream::pairing::{Certificate, ClientPairing, Pin, Progress};

use crate::clock::entropy;
use crate::error::ClientError;
use crate::http::{HttpClient, PIN_TIMEOUT, REPLY_TIMEOUT};
use crate::identity::IdentityStore;

/// Goes through all phases; returns the host's certificate, which is to be pinned.
pub fn pair(
    http: &HttpClient,
    store: &IdentityStore,
    plain: SocketAddr,
    secure: SocketAddr,
    pin: &Pin,
) -> Result<Certificate, ClientError> {
    let mut attempt = ClientPairing::new(store.identity().clone(), store.unique_id().clone(), pin, &mut entropy);
    match run(http, &mut attempt, plain, secure) {
        Ok(certificate) => Ok(certificate),
        Err(error) => {
            // The host shall forget the attempt; whether that works changes nothing for the user.
            let farewell = attempt.unpair();
            let _ = http.get(plain, farewell.path, &farewell.query, REPLY_TIMEOUT);
            Err(error)
        }
    }
}

fn run(
    http: &HttpClient,
    attempt: &mut ClientPairing,
    plain: SocketAddr,
    secure: SocketAddr,
) -> Result<Certificate, ClientError> {
    // Only the first reply waits for the user.
    let mut timeout = PIN_TIMEOUT;
    while let Some(request) = attempt.request() {
        let reply = match (request.channel, attempt.host_certificate()) {
            (Channel::Http, _) => http.get(plain, request.path, &request.query, timeout)?,
            (Channel::Https, Some(host)) => http.get_pinned(secure, host, request.path, &request.query, timeout)?,
            (Channel::Https, None) => break,
        };
        if let Progress::Paired(certificate) = attempt.receive(&reply)? {
            return Ok(certificate);
        }
        timeout = REPLY_TIMEOUT;
    }
    Err(lumen_core::gamestream::pairing::ClientPairingError::Over.into())
}
