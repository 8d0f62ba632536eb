//! Certificates and keys (protocol part 1, sections 3.1 and 3.2). A certificate is known by the SHA-256 of its DER
//! form; validity, names, version and extensions mean nothing here, since clients with wrong clocks and odd
//! certificates exist.

use std::fmt;
use std::str::FromStr;

use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::BigNum;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sha::sha256;
use openssl::sign::{Signer, Verifier};
use openssl::x509::{X509, X509Builder, X509Name};
use serde::{Deserialize, Serialize};

use super::PairingError;
use crate::entropy::Entropy;
use crate::gamestream::http::{hex, unhex};

/// Longest certificate that is read, PEM or DER, in bytes; real ones have about 1 kB.
const MAX_CERTIFICATE_BYTES: usize = 16 * 1024;

/// Bits of new keys: some clients know nothing but RSA 2048.
const KEY_BITS: u32 = 2048;

/// Largest key whose signatures are verified, in bits: the effort grows with its square.
const MAX_KEY_BITS: u32 = 8192;

/// Longest common name that X.509 allows, in characters.
const MAX_COMMON_NAME: usize = 64;

const PEM_BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const PEM_END: &str = "-----END CERTIFICATE-----";

/// SHA-256 of a certificate's DER form: what is pinned.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CertificateFingerprint([u8; 32]);

impl CertificateFingerprint {
    /// A fingerprint from its bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The fingerprint of a certificate in DER form, as a TLS library hands it over.
    pub fn of_der(der: &[u8]) -> Self {
        Self(sha256(der))
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for CertificateFingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for CertificateFingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "CertificateFingerprint({self})")
    }
}

impl FromStr for CertificateFingerprint {
    type Err = PairingError;

    /// 64 hexadecimal digits of either case, with or without colons between bytes.
    fn from_str(text: &str) -> Result<Self, PairingError> {
        let bytes = unhex(&text.replace(':', "")).ok_or(PairingError::BadHex("fingerprint"))?;
        bytes.try_into().map(Self).map_err(|_| PairingError::BadLength("fingerprint"))
    }
}

impl TryFrom<String> for CertificateFingerprint {
    type Error = PairingError;

    fn try_from(text: String) -> Result<Self, PairingError> {
        text.parse()
    }
}

impl From<CertificateFingerprint> for String {
    fn from(fingerprint: CertificateFingerprint) -> Self {
        fingerprint.to_string()
    }
}

/// A certificate. Two are equal if their DER forms are.
#[derive(Clone)]
pub struct Certificate {
    x509: X509,
    der: Vec<u8>,
}

impl Certificate {
    /// Reads a PEM text with exactly one certificate and nothing else but blanks around it.
    ///
    /// # Errors
    /// [`PairingError::BadCertificate`].
    pub fn from_pem(text: &str) -> Result<Self, PairingError> {
        let text = text.trim();
        let single = text.starts_with(PEM_BEGIN)
            && text.ends_with(PEM_END)
            && text.matches("-----BEGIN").count() == 1
            && text.len() <= MAX_CERTIFICATE_BYTES;
        if !single {
            return Err(PairingError::BadCertificate);
        }
        X509::from_pem(text.as_bytes()).map_err(|_| PairingError::BadCertificate).and_then(Self::new)
    }

    /// Reads a certificate in DER form.
    ///
    /// # Errors
    /// [`PairingError::BadCertificate`].
    pub fn from_der(der: &[u8]) -> Result<Self, PairingError> {
        if der.len() > MAX_CERTIFICATE_BYTES {
            return Err(PairingError::BadCertificate);
        }
        X509::from_der(der).map_err(|_| PairingError::BadCertificate).and_then(Self::new)
    }

    /// The DER form.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// PEM text with lines that end in LF. A peer's own text may have had other line ends.
    ///
    /// # Errors
    /// [`PairingError::BadCertificate`] if OpenSSL runs out of memory.
    pub fn to_pem(&self) -> Result<String, PairingError> {
        let pem = self.x509.to_pem().map_err(|_| PairingError::BadCertificate)?;
        String::from_utf8(pem).map_err(|_| PairingError::BadCertificate)
    }

    /// What is pinned.
    pub fn fingerprint(&self) -> CertificateFingerprint {
        CertificateFingerprint::of_der(&self.der)
    }

    /// The value of the certificate's own signature, which goes into the hashes of pairing.
    pub fn signature(&self) -> &[u8] {
        self.x509.signature().as_slice()
    }

    /// Length of the signatures of its key, in bytes: 256 for RSA 2048. `None` if the key is not RSA, or too large.
    pub fn rsa_signature_bytes(&self) -> Option<usize> {
        let key = self.x509.public_key().ok()?;
        let fits = key.bits() <= MAX_KEY_BITS;
        let bytes = usize::try_from(key.rsa().ok()?.size()).ok()?;
        fits.then_some(bytes)
    }

    /// Whether `signature` is its key's RSA PKCS#1 v1.5 signature over the SHA-256 of `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let check = || {
            let key = self.x509.public_key()?;
            Verifier::new(MessageDigest::sha256(), &key)?.verify_oneshot(signature, message)
        };
        self.rsa_signature_bytes() == Some(signature.len()) && check().unwrap_or(false)
    }

    fn new(x509: X509) -> Result<Self, PairingError> {
        let der = x509.to_der().map_err(|_| PairingError::BadCertificate)?;
        Ok(Self { x509, der })
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Certificate({})", self.fingerprint())
    }
}

/// Time in which a new certificate says that it is valid. Nobody in this protocol looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Begin, seconds since 1970.
    pub not_before: i64,
    /// End, seconds since 1970.
    pub not_after: i64,
}

impl Validity {
    /// Twenty years from a day before `now` (seconds since 1970), as other hosts have it.
    pub const fn twenty_years(now: i64) -> Self {
        const DAY: i64 = 24 * 60 * 60;
        Self { not_before: now.saturating_sub(DAY), not_after: now.saturating_add(7305 * DAY) }
    }
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// OpenSSL failed.
    #[error("OpenSSL failed: {0}")]
    OpenSsl(#[from] ErrorStack),
    /// The certificate cannot be read.
    #[error(
        "the certificate cannot be read; remove it and the key to have new ones made (all clients must pair again)"
    )]
    BadCertificate,
    /// The key is not RSA: not every client can verify others.
    #[error("the private key is not an RSA key")]
    NotRsa,
    /// The key does not belong to the certificate.
    #[error("the private key does not belong to the certificate")]
    KeyMismatch,
}

/// A key with its certificate: who a host or a client is. The same key serves TLS and the signatures of pairing.
#[derive(Clone)]
pub struct Identity {
    key: PKey<Private>,
    certificate: Certificate,
    certificate_pem: String,
}

impl Identity {
    /// Makes a key (RSA 2048, by OpenSSL's generator) and a self-signed certificate with a positive random serial
    /// number from `entropy`. A name is cut at 64 characters. Takes some 100 ms.
    ///
    /// # Errors
    /// [`IdentityError::OpenSsl`].
    pub fn generate(common_name: &str, validity: Validity, entropy: &mut dyn Entropy) -> Result<Self, IdentityError> {
        let key = PKey::from_rsa(Rsa::generate(KEY_BITS)?)?;
        let mut serial = [0; 16];
        entropy.fill(&mut serial);
        // Positive and never zero: the first octet is in 0x40..=0x7f.
        serial[0] = serial[0] & 0x3f | 0x40;
        let common_name: String = common_name.chars().take(MAX_COMMON_NAME).collect();
        let common_name = if common_name.is_empty() { "lumen" } else { &common_name };
        let mut name = X509Name::builder()?;
        name.append_entry_by_nid(Nid::COMMONNAME, common_name)?;
        let name = name.build();
        let mut builder = X509Builder::new()?;
        builder.set_version(2)?;
        builder.set_serial_number(Asn1Integer::from_bn(BigNum::from_slice(&serial)?.as_ref())?.as_ref())?;
        builder.set_subject_name(&name)?;
        builder.set_issuer_name(&name)?;
        builder.set_not_before(Asn1Time::from_unix(validity.not_before)?.as_ref())?;
        builder.set_not_after(Asn1Time::from_unix(validity.not_after)?.as_ref())?;
        builder.set_pubkey(&key)?;
        builder.sign(&key, MessageDigest::sha256())?;
        let certificate = Certificate::new(builder.build()).map_err(|_| IdentityError::BadCertificate)?;
        let certificate_pem = certificate.to_pem().map_err(|_| IdentityError::BadCertificate)?;
        Ok(Self { key, certificate, certificate_pem })
    }

    /// Reads a key and a certificate, both PEM.
    ///
    /// # Errors
    /// [`IdentityError`] says which of them is unusable.
    pub fn from_pem(key_pem: &str, certificate_pem: &str) -> Result<Self, IdentityError> {
        let certificate = Certificate::from_pem(certificate_pem).map_err(|_| IdentityError::BadCertificate)?;
        let key = PKey::private_key_from_pem(key_pem.as_bytes())?;
        if key.rsa().is_err() {
            return Err(IdentityError::NotRsa);
        }
        if !certificate.x509.public_key()?.public_eq(&key) {
            return Err(IdentityError::KeyMismatch);
        }
        Ok(Self { key, certificate, certificate_pem: certificate_pem.to_owned() })
    }

    /// The certificate.
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The certificate as PEM text, exactly as it was read or made.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The private key, PKCS#8 as PEM text. To be kept in a file of mode 0600.
    ///
    /// # Errors
    /// [`IdentityError::OpenSsl`].
    pub fn key_pem(&self) -> Result<String, IdentityError> {
        let pem = self.key.private_key_to_pem_pkcs8()?;
        String::from_utf8(pem).map_err(|_| IdentityError::NotRsa)
    }

    /// Signs a message: RSA PKCS#1 v1.5 over its SHA-256.
    ///
    /// # Errors
    /// [`IdentityError::OpenSsl`].
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, IdentityError> {
        Ok(Signer::new(MessageDigest::sha256(), &self.key)?.sign_oneshot_to_vec(message)?)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Identity").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generate(name: &str) -> Identity {
        Identity::generate(name, Validity::twenty_years(1_735_689_600), &mut |buffer: &mut [u8]| buffer.fill(0xff))
            .unwrap()
    }

    #[test]
    fn a_new_identity_survives_its_files() {
        let identity = generate("lumen");
        let read = Identity::from_pem(&identity.key_pem().unwrap(), identity.certificate_pem()).unwrap();
        assert_eq!(read.certificate(), identity.certificate());
        assert_eq!(identity.certificate().rsa_signature_bytes(), Some(256));
        let signature = read.sign(b"message").unwrap();
        assert!(identity.certificate().verifies(b"message", &signature));
        assert!(!identity.certificate().verifies(b"other", &signature));
    }

    #[test]
    fn a_foreign_key_is_refused_and_long_names_are_cut() {
        let (one, other) = (generate(&"ü".repeat(100)), generate(""));
        let mixed = Identity::from_pem(&one.key_pem().unwrap(), other.certificate_pem());
        assert!(matches!(mixed, Err(IdentityError::KeyMismatch)));
    }

    #[test]
    fn two_certificates_in_one_text_are_refused() {
        let pem = generate("x").certificate_pem().to_owned();
        assert!(Certificate::from_pem(&format!("{pem}{pem}")).is_err());
        assert!(Certificate::from_pem(&format!("garbage\n{pem}")).is_err());
        assert!(Certificate::from_pem(&format!("\n {pem}\r\n")).is_ok());
    }

    #[test]
    fn fingerprints_are_read_with_and_without_colons() {
        let fingerprint = generate("x").certificate().fingerprint();
        let text = fingerprint.to_string();
        let colons: Vec<&str> = (0..32).map(|index| &text[index * 2..index * 2 + 2]).collect();
        assert_eq!(colons.join(":").to_uppercase().parse(), Ok(fingerprint));
        assert!("zz".parse::<CertificateFingerprint>().is_err());
    }
}
