//! TLS of a client: its own certificate, and a host's that is known as a whole, or any at all while they pair. Names, dates
//! and chains mean nothing; that the host has the key of its certificate is checked always.

use std::sync::Arc;

use lumen_core::gamestream::pairing::{Certificate, Identity, IdentityError};
use lumen_core::lumen1::native::ALPN;
use openssl::pkey::PKey;
use quinn::crypto::rustls::QuicClientConfig;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, PeerIncompatible, SignatureScheme};

use crate::error::ClientError;

/// Whose certificate is taken.
#[derive(Debug, Clone)]
pub(super) enum Trusted {
    /// Of these hosts only.
    Only(Vec<Certificate>),
    /// Anyone's: it will prove that it was given the PIN.
    Anyone,
}

/// The client's half.
pub(super) fn client(identity: &Identity, trusted: &Trusted) -> Result<quinn::ClientConfig, ClientError> {
    let wrong =
        |error: &dyn std::fmt::Display| ClientError::local("cannot use this client's identity over QUIC", error);
    let key = PKey::private_key_from_pem(identity.key_pem()?.as_bytes()).map_err(IdentityError::from)?;
    let key = PrivatePkcs8KeyDer::from(key.private_key_to_pkcs8().map_err(IdentityError::from)?);
    let certificate = CertificateDer::from(identity.certificate().der().to_vec());
    let provider = ring::default_provider();
    let verifier = Pinned { trusted: trusted.clone(), algorithms: provider.signature_verification_algorithms };
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| wrong(&error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(vec![certificate], key.into())
        .map_err(|error| wrong(&error))?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.resumption = Resumption::disabled();
    let crypto = QuicClientConfig::try_from(tls).map_err(|error| wrong(&error))?;
    Ok(quinn::ClientConfig::new(Arc::new(crypto)))
}

#[derive(Debug)]
struct Pinned {
    trusted: Trusted,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.trusted {
            Trusted::Only(known) if !known.iter().any(|known| known.der() == certificate.as_ref()) => {
                Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
            }
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(PeerIncompatible::Tls13RequiredForQuic))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
