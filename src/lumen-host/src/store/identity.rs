//! The host's key and certificate: one file, `identity.pem`, mode 0600.
//!
//! Both stand in one file because then a single rename makes them, and a crash cannot leave a key without its
//! certificate. Every client pins this certificate; it is made once and never again.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use lumen_core::gamestream::pairing::{Identity, Validity};

use super::StoreError;
use super::files::write_new_secret;
use crate::entropy::SystemEntropy;

const FILE: &str = "identity.pem";
const CERTIFICATE_BEGIN: &str = "-----BEGIN CERTIFICATE-----";

/// Reads the identity, or makes it on the first start.
pub(super) fn load_or_create(directory: &Path, name: &str) -> Result<Identity, StoreError> {
    let path = directory.join(FILE);
    let unusable = |reason: String| StoreError::Identity { path: path.clone(), reason };
    match fs::read_to_string(&path) {
        Ok(text) => return parse(&text).map_err(unusable),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(unusable(error.to_string())),
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let validity = Validity::twenty_years(i64::try_from(now).unwrap_or_default());
    let identity = Identity::generate(&common_name(name), validity, &mut SystemEntropy)
        .map_err(|error| unusable(error.to_string()))?;
    let key = identity.key_pem().map_err(|error| unusable(error.to_string()))?;
    let content = format!("{key}{}", identity.certificate_pem());
    write_new_secret(&path, content.as_bytes()).map_err(|error| StoreError::io(directory, error))?;
    Ok(identity)
}

fn parse(text: &str) -> Result<Identity, String> {
    let certificate = text.find(CERTIFICATE_BEGIN).ok_or("it holds no certificate")?;
    let (key, certificate) = text.split_at(certificate);
    if !key.contains("PRIVATE KEY-----") {
        return Err("it holds no private key before the certificate".to_owned());
    }
    Identity::from_pem(key, certificate).map_err(|error| error.to_string())
}

/// Old TLS libraries stumble over anything but ASCII in names.
fn common_name(name: &str) -> String {
    let ascii: String = name.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(50).collect();
    if ascii.trim().is_empty() { "lumen".to_owned() } else { format!("lumen on {}", ascii.trim()) }
}
