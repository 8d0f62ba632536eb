//! `[[clients]]`: clients that may stream without a PIN.

use std::path::{Path, PathBuf};

use lumen_core::gamestream::pairing::Certificate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HostName, InputKind, OwnGrants};
use crate::store::Fingerprint;

/// One declared client: a name, and either its certificate or the fingerprint of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientConfig {
    /// Name to show for it.
    #[schemars(example = &"TV")]
    pub name: HostName,
    /// Its certificate: PEM text, or the path of a PEM file. A relative path starts at the configuration file.
    #[serde(default)]
    #[schemars(example = &"clients/tv.pem")]
    pub certificate: Option<String>,
    /// SHA-256 of its certificate in DER form, 64 hexadecimal digits, colons allowed.
    #[serde(default)]
    #[schemars(with = "Option<String>", regex(pattern = r"^([0-9A-Fa-f]{2}:?){32}$"))]
    pub fingerprint: Option<Fingerprint>,
    /// Devices whose input is taken from it; an empty list for a client that only watches. Unset, as `[grants]` says.
    #[serde(default)]
    #[schemars(example = ["gamepad"])]
    pub input: Option<Vec<InputKind>>,
    /// Titles of the applications that it may start; `*` stands for all. Unset, as `[grants]` says.
    #[serde(default)]
    #[schemars(example = ["Steam"])]
    pub apps: Option<Vec<HostName>>,
    /// Whether it shares the session's clipboard, both ways. Unset, as `[grants]` says.
    #[serde(default)]
    #[schemars(example = &true)]
    pub clipboard: Option<bool>,
    /// Whether its microphone is heard in its session. Unset, as `[grants]` says.
    #[serde(default)]
    #[schemars(example = &true)]
    pub microphone: Option<bool>,
}

/// How a client was declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeclaredIdentity {
    /// By certificate; the text is PEM.
    Certificate(Fingerprint, String),
    /// By fingerprint alone.
    Fingerprint(Fingerprint),
}

impl DeclaredIdentity {
    /// SHA-256 of the certificate.
    pub fn fingerprint(&self) -> Fingerprint {
        match self {
            Self::Certificate(fingerprint, _) | Self::Fingerprint(fingerprint) => *fingerprint,
        }
    }
}

impl ClientConfig {
    /// Reads what the entry names.
    ///
    /// # Errors
    /// A sentence, if it names neither or both, or a certificate that cannot be read.
    pub fn identity(&self) -> Result<DeclaredIdentity, String> {
        match (&self.certificate, self.fingerprint) {
            (Some(certificate), None) => {
                let pem = if certificate.contains("-----BEGIN") {
                    certificate.clone()
                } else {
                    std::fs::read_to_string(certificate).map_err(|error| {
                        format!("cannot read {certificate} ({error}); put it there, or write its PEM text")
                    })?
                };
                let certificate = Certificate::from_pem(&pem)
                    .map_err(|_| "this is not a certificate; write one in PEM form, or the path of one".to_owned())?;
                Ok(DeclaredIdentity::Certificate(certificate.fingerprint(), pem))
            }
            (None, Some(fingerprint)) => Ok(DeclaredIdentity::Fingerprint(fingerprint)),
            (None, None) => Err("give either `certificate` or `fingerprint`".to_owned()),
            (Some(_), Some(_)) => Err("give `certificate` or `fingerprint`, not both".to_owned()),
        }
    }

    /// What is said here about what it may do.
    pub fn grants(&self) -> OwnGrants {
        OwnGrants {
            input: self.input.clone(),
            apps: self.apps.clone(),
            clipboard: self.clipboard,
            microphone: self.microphone,
        }
    }

    /// Makes a relative certificate path start at `base`.
    pub(super) fn anchor(&mut self, base: &Path) {
        if let Some(certificate) = self.certificate.as_mut().filter(|text| !text.contains("-----BEGIN")) {
            let path = PathBuf::from(&*certificate);
            if path.is_relative() {
                *certificate = base.join(path).to_string_lossy().into_owned();
            }
        }
    }
}
