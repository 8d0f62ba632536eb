//! TLS as clients need it (protocol part 1, section 3.2).

use openssl::pkey::PKey;
use openssl::ssl::{SslAcceptor, SslMethod, SslOptions, SslSessionCacheMode, SslVerifyMode};
use openssl::x509::X509;

use lumen_core::gamestream::pairing::{Identity, IdentityError};

/// TLS 1.2 and 1.3 with exactly one certificate, asking for a client certificate under an empty list of
/// authorities. Any certificate passes whose owner has its key: chains, dates, versions, serial numbers and usages
/// are not looked at, since the fingerprint decides later. A client without one passes, too, and is told 401.
pub(super) fn acceptor(identity: &Identity) -> Result<SslAcceptor, IdentityError> {
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    builder.set_private_key(&*PKey::private_key_from_pem(identity.key_pem()?.as_bytes())?)?;
    builder.set_certificate(&*X509::from_der(identity.certificate().der())?)?;
    builder.check_private_key()?;
    builder.set_verify_callback(SslVerifyMode::PEER, |_, _| true);
    // A resumed session would bring no certificate; every connection proves possession anew.
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    builder.set_session_id_context(b"lumen")?;
    builder.set_options(SslOptions::NO_TICKET | SslOptions::NO_RENEGOTIATION);
    builder.set_num_tickets(0)?;
    Ok(builder.build())
}
