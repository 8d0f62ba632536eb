//! Who this client is, and which hosts it knows: a directory with a private key, a certificate and the pinned
//! certificates of hosts.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use lumen_core::gamestream::pairing::{Certificate, Identity, UniqueId, Validity};
use serde::{Deserialize, Serialize};

use crate::clock::entropy;
use crate::error::ClientError;

const KEY: &str = "key.pem";
const LOCK: &str = "lock";
const CERTIFICATE: &str = "cert.pem";
const HOSTS: &str = "hosts.json";

/// A host that this client is paired with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PinnedHost {
    /// The host's own identifier.
    pub unique_id: String,
    /// Name for the user.
    pub name: String,
    /// Where it was found last.
    pub address: String,
    /// Its certificate as PEM text.
    pub certificate: String,
}

/// The files of one identity.
#[derive(Debug)]
pub struct IdentityStore {
    directory: PathBuf,
    identity: Arc<Identity>,
    unique_id: UniqueId,
}

impl IdentityStore {
    /// Opens the identity in `directory`; makes one if there is none. The private key is readable for its owner only.
    ///
    /// # Errors
    /// [`ClientError::File`] or [`ClientError::Local`].
    pub fn open(directory: &Path) -> Result<Self, ClientError> {
        let key_path = directory.join(KEY);
        let known =
            || Ok::<_, ClientError>(Identity::from_pem(&read(&key_path)?, &read(&directory.join(CERTIFICATE))?)?);
        let identity = if key_path.exists() {
            known()?
        } else {
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
            made.map_err(|source| file_error("make the directory", directory, source))?;
            // Another start may be making one at this moment: whoever comes second takes what the first made.
            let lock_path = directory.join(LOCK);
            let lock = fs::File::create(&lock_path).and_then(|lock| lock.lock().map(|()| lock));
            let _held = lock.map_err(|source| file_error("lock", &lock_path, source))?;
            if key_path.exists() {
                return Self::with(directory, known()?);
            }
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let validity = Validity::twenty_years(i64::try_from(now).unwrap_or(0));
            let identity = Identity::generate("lumen-client", validity, &mut entropy)?;
            write(&directory.join(CERTIFICATE), identity.certificate_pem(), 0o644)?;
            write(&key_path, &identity.key_pem()?, 0o600)?;
            identity
        };
        Self::with(directory, identity)
    }

    fn with(directory: &Path, identity: Identity) -> Result<Self, ClientError> {
        // Clients differ in what they send; the host must not take it for an identity. This one derives it, so that
        // there is nothing more to store.
        let digits = identity.certificate().fingerprint().to_string();
        let unique_id = UniqueId::new(&digits[..16]).map_err(|error| ClientError::local("bad identifier", error))?;
        Ok(Self { directory: directory.to_owned(), identity: Arc::new(identity), unique_id })
    }

    /// `$XDG_CONFIG_HOME/lumen-client` or its default.
    pub fn default_directory() -> PathBuf {
        let from = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let config = from("XDG_CONFIG_HOME").or_else(|| from("HOME").map(|home| home.join(".config")));
        config.unwrap_or_else(|| PathBuf::from(".")).join("lumen-client")
    }

    /// Key and certificate.
    pub const fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// What this client calls itself in requests.
    pub const fn unique_id(&self) -> &UniqueId {
        &self.unique_id
    }

    /// All hosts that this client is paired with.
    ///
    /// # Errors
    /// [`ClientError::File`] if the list cannot be read.
    pub fn hosts(&self) -> Result<Vec<PinnedHost>, ClientError> {
        let path = self.directory.join(HOSTS);
        if !path.exists() {
            return Ok(Vec::new());
        }
        serde_json::from_str(&read(&path)?).map_err(|error| file_error("read", &path, error.into()))
    }

    /// The pinned certificate of the host that calls itself `unique_id`.
    ///
    /// # Errors
    /// [`ClientError::File`] if the list cannot be read.
    pub fn pinned(&self, unique_id: &str) -> Result<Option<Certificate>, ClientError> {
        let host = self.hosts()?.into_iter().find(|host| host.unique_id == unique_id);
        Ok(host.and_then(|host| Certificate::from_pem(&host.certificate).ok()))
    }

    /// Pins a host; replaces what was known of it.
    ///
    /// # Errors
    /// [`ClientError::File`] if the list cannot be written.
    pub fn pin(&self, host: PinnedHost) -> Result<(), ClientError> {
        let mut hosts = self.hosts()?;
        hosts.retain(|known| known.unique_id != host.unique_id);
        hosts.push(host);
        self.store(&hosts)
    }

    /// Forgets a host; says whether it was known.
    ///
    /// # Errors
    /// [`ClientError::File`] if the list cannot be written.
    pub fn forget(&self, unique_id: &str) -> Result<bool, ClientError> {
        let mut hosts = self.hosts()?;
        let before = hosts.len();
        hosts.retain(|known| known.unique_id != unique_id);
        self.store(&hosts)?;
        Ok(hosts.len() < before)
    }

    fn store(&self, hosts: &[PinnedHost]) -> Result<(), ClientError> {
        let text =
            serde_json::to_string_pretty(hosts).map_err(|error| ClientError::local("cannot write hosts", error))?;
        write(&self.directory.join(HOSTS), &text, 0o600)
    }
}

fn read(path: &Path) -> Result<String, ClientError> {
    fs::read_to_string(path).map_err(|source| file_error("read", path, source))
}

/// Replaces a file as a whole: whoever reads it sees the old or the new one.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), ClientError> {
    let new = path.with_extension(format!("new.{}", std::process::id()));
    let written =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&new).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, path)
        });
    written.map_err(|source| file_error("write", path, source))
}

fn file_error(action: &'static str, path: &Path, source: std::io::Error) -> ClientError {
    ClientError::File { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn an_identity_is_made_once_and_its_key_is_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b");
        let first = IdentityStore::open(&path).unwrap();
        let again = IdentityStore::open(&path).unwrap();
        assert_eq!(first.identity().certificate(), again.identity().certificate());
        assert_eq!(first.unique_id().as_str(), again.unique_id().as_str());
        assert_eq!(fs::metadata(path.join(KEY)).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn hosts_are_pinned_replaced_and_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let store = IdentityStore::open(directory.path()).unwrap();
        let certificate = store.identity().certificate_pem().to_owned();
        let host = |name: &str| PinnedHost {
            unique_id: "u1".into(),
            name: name.into(),
            address: "h".into(),
            certificate: certificate.clone(),
        };
        assert!(store.pinned("u1").unwrap().is_none());
        store.pin(host("one")).unwrap();
        store.pin(host("two")).unwrap();
        assert_eq!(store.hosts().unwrap().len(), 1);
        assert_eq!(store.pinned("u1").unwrap().unwrap(), *store.identity().certificate());
        assert!(store.forget("u1").unwrap());
        assert!(!store.forget("u1").unwrap());
    }
}
