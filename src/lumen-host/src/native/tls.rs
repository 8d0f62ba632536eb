//! TLS of the QUIC server: the host's own certificate, and any of the client's, as long as it proves to have the key.
//! Who that is and what it may do is decided by the fingerprint, later and anew at each request.

use std::sync::Arc;

use lumen_core::gamestream::pairing::{Identity, IdentityError};
use lumen_core::lumen1::native::ALPN;
use openssl::pkey::PKey;
use quinn::crypto::rustls::QuicServerConfig;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, SignatureScheme};

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The host's key cannot be had.
    #[error("cannot read the host's key: {0}")]
    Identity(#[from] IdentityError),
    /// The host's certificate is none that QUIC can use.
    #[error("QUIC cannot use the host's certificate: {0}; write `quic = false`, or remove it to have a new one made")]
    Certificate(#[from] Error),
}

/// The server's half.
pub(super) fn server(identity: &Identity) -> Result<quinn::ServerConfig, TlsError> {
    let key = PKey::private_key_from_pem(identity.key_pem()?.as_bytes()).map_err(IdentityError::from)?;
    let key = PrivatePkcs8KeyDer::from(key.private_key_to_pkcs8().map_err(IdentityError::from)?);
    let certificate = CertificateDer::from(identity.certificate().der().to_vec());
    let provider = ring::default_provider();
    let verifier = AnyClient { algorithms: provider.signature_verification_algorithms };
    let mut tls = rustls::ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(vec![certificate], key.into())?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    // A resumed session would not prove that the client still has its key.
    tls.session_storage = Arc::new(NoServerSessionStorage {});
    tls.send_tls13_tickets = 0;
    let crypto = QuicServerConfig::try_from(tls)
        .map_err(|_| TlsError::Certificate(Error::General("no cipher suite of QUIC".to_owned())))?;
    Ok(quinn::ServerConfig::with_crypto(Arc::new(crypto)))
}

/// Takes any certificate, but no handshake without its key.
#[derive(Debug)]
struct AnyClient {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for AnyClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
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
