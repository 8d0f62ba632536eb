//! The host's key and certificate: one file, `identity.pem`, mode 0600.
//!
//! Both stand in one file because then a single rename makes them, and a crash cannot leave a key without its
//! certificate. Every client pins this certificate; it is made once and never again.

use std::fs;
use std::io;
use std::path::Path;

use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::{BigNum, MsbOption};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::{X509, X509NameBuilder};

use super::files::write_new_secret;
use super::{Fingerprint, StoreError};

const FILE: &str = "identity.pem";

/// Years before the certificate ends. Clients do not look; some libraries do (protocol part 1, section 3.1).
const VALID_DAYS: u32 = 365 * 20;

/// The host's RSA key and self-signed certificate.
#[derive(Clone)]
pub struct HostIdentity {
    key: PKey<Private>,
    certificate: X509,
    key_pem: String,
    certificate_pem: String,
    fingerprint: Fingerprint,
}

impl HostIdentity {
    /// The private key.
    pub fn key(&self) -> &PKey<Private> {
        &self.key
    }

    /// The certificate.
    pub fn certificate(&self) -> &X509 {
        &self.certificate
    }

    /// The private key, PKCS#8 in PEM form.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// The certificate in PEM form, as clients get it while pairing.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// SHA-256 of the certificate.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    fn generate(name: &str) -> Result<Self, ErrorStack> {
        let key = PKey::from_rsa(Rsa::generate(2048)?)?;
        let mut subject = X509NameBuilder::new()?;
        subject.append_entry_by_text("CN", &common_name(name))?;
        let subject = subject.build();
        let mut serial = BigNum::new()?;
        serial.rand(127, MsbOption::MAYBE_ZERO, false)?;

        let mut builder = X509::builder()?;
        builder.set_version(2)?;
        builder.set_serial_number(&*Asn1Integer::from_bn(&serial)?)?;
        builder.set_subject_name(&subject)?;
        builder.set_issuer_name(&subject)?;
        builder.set_pubkey(&key)?;
        builder.set_not_before(&*Asn1Time::days_from_now(0)?)?;
        builder.set_not_after(&*Asn1Time::days_from_now(VALID_DAYS)?)?;
        builder.sign(&key, MessageDigest::sha256())?;
        Self::new(key, builder.build())
    }

    fn new(key: PKey<Private>, certificate: X509) -> Result<Self, ErrorStack> {
        let key_pem = text(key.private_key_to_pem_pkcs8()?);
        let certificate_pem = text(certificate.to_pem()?);
        let fingerprint = Fingerprint::of(&certificate)?;
        Ok(Self { key, certificate, key_pem, certificate_pem, fingerprint })
    }

    fn parse(pem: &[u8]) -> Result<Self, String> {
        let key = PKey::private_key_from_pem(pem).map_err(|_| "it holds no private key")?;
        let certificate = X509::from_pem(pem).map_err(|_| "it holds no certificate")?;
        if key.rsa().is_err() {
            return Err("the key is not RSA, which some clients need".to_owned());
        }
        let fits = certificate.public_key().is_ok_and(|public| public.public_eq(&key));
        if !fits {
            return Err("key and certificate do not belong together".to_owned());
        }
        Self::new(key, certificate).map_err(|error| error.to_string())
    }
}

impl std::fmt::Debug for HostIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostIdentity").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

/// Reads the identity, or makes it on the first start.
pub(super) fn load_or_create(directory: &Path, name: &str) -> Result<HostIdentity, StoreError> {
    let path = directory.join(FILE);
    let unusable = |reason: String| StoreError::Identity { path: path.clone(), reason };
    match fs::read(&path) {
        Ok(pem) => return HostIdentity::parse(&pem).map_err(unusable),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(unusable(error.to_string())),
    }
    let identity = HostIdentity::generate(name).map_err(|error| unusable(error.to_string()))?;
    let content = format!("{}{}", identity.key_pem, identity.certificate_pem);
    write_new_secret(&path, content.as_bytes()).map_err(|error| StoreError::io(directory, error))?;
    Ok(identity)
}

/// A common name has at most 64 bytes in X.509.
fn common_name(name: &str) -> String {
    let ascii: String = name.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(50).collect();
    if ascii.trim().is_empty() { "lumen".to_owned() } else { format!("lumen on {}", ascii.trim()) }
}

fn text(pem: Vec<u8>) -> String {
    String::from_utf8_lossy(&pem).into_owned()
}
