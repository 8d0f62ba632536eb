//! What outlives a restart: the host's identity, paired clients, application numbers.
//!
//! Secrets are files (`identity.pem`, mode 0600), the rest is SQLite (`lumen.db`). Every change is either whole
//! or absent after a crash. Reads never touch the disk: clients are kept in memory, so that a full or slow disk
//! cannot disturb a stream or an answer. Declared clients come from the configuration and are never written.

mod apps;
mod clients;
mod database;
mod error;
mod files;
mod identity;

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::SystemTime;

use lumen_core::gamestream::http::AppId;
use lumen_core::gamestream::input::InputEvent;
use lumen_core::gamestream::pairing::{Certificate, Identity};
use rusqlite::Connection;

pub use clients::{Client, Origin};
pub use error::StoreError;
pub use files::write_new_secret;
pub use lumen_core::gamestream::pairing::CertificateFingerprint as Fingerprint;

use crate::config::{Config, Grants, OwnGrants};
use clients::Registry;

/// The open state directory. There is one at a time for a directory, over all processes.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    /// Held for as long as the store is open; the lock on it keeps a second host away.
    _lock: File,
    identity: Arc<Identity>,
    host_id: String,
    clients: RwLock<Registry>,
    database: Mutex<Connection>,
}

impl Store {
    /// Opens the state directory of `config`, and makes what is missing in it: the directory, the identity, the
    /// database. Declared clients of `config` join the paired ones.
    ///
    /// # Errors
    /// [`StoreError`] says what stands in the way and what to do.
    pub fn open(config: &Config) -> Result<Self, StoreError> {
        let directory = config.state_dir.clone();
        files::make_directory(&directory)?;
        let lock = files::lock(&directory)?;
        let identity = identity::load_or_create(&directory, config.name.as_str())?;
        let database = database::open(&directory)?;
        let host_id = database::host_id(&database).map_err(|error| StoreError::database(&directory, error))?;
        let paired = clients::read(&database).map_err(|error| StoreError::database(&directory, error))?;
        let clients = Registry::new(paired, &config.clients, config.grants.clone());
        Ok(Self {
            directory,
            _lock: lock,
            identity: Arc::new(identity),
            host_id,
            clients: RwLock::new(clients),
            database: Mutex::new(database),
        })
    }

    /// The host's key and certificate.
    pub fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// The UUID by which clients know this host, the same for ever.
    pub fn host_id(&self) -> &str {
        &self.host_id
    }

    /// The state directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// All clients that may stream, by name.
    pub fn clients(&self) -> Vec<Client> {
        self.registry().all()
    }

    /// The client whose certificate has this fingerprint.
    pub fn client(&self, fingerprint: &Fingerprint) -> Option<Client> {
        self.registry().get(fingerprint).cloned()
    }

    /// Pins a client's certificate: from the return of this on, the client may stream. Pairing again with a known
    /// certificate keeps its name and its grants. The name is made unique.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be written; then the client is not pinned.
    pub fn pin(&self, name: &str, certificate_pem: &str, now: SystemTime) -> Result<Client, StoreError> {
        let certificate = Certificate::from_pem(certificate_pem).map_err(|_| StoreError::BadCertificate)?;
        let fingerprint = certificate.fingerprint();
        let database = self.database();
        let client = {
            let registry = self.registry();
            if let Some(declared) = registry.get(&fingerprint).filter(|client| client.origin == Origin::Declared) {
                return Ok(declared.clone());
            }
            let (name, grants) = match registry.get(&fingerprint) {
                Some(known) => (known.name.clone(), known.grants.clone()),
                None => (registry.free_name(name), OwnGrants::default()),
            };
            Client::paired(name, fingerprint, certificate_pem.to_owned(), grants, now)
        };
        clients::write(&database, &client).map_err(|error| StoreError::database(&self.directory, error))?;
        Ok(self.registry_mut().insert(client))
    }

    /// Forgets a client.
    ///
    /// # Errors
    /// [`StoreError::UnknownClient`], [`StoreError::Declared`], or the database's.
    pub fn remove(&self, fingerprint: &Fingerprint) -> Result<Client, StoreError> {
        let client = self.changeable(fingerprint)?;
        let database = self.database();
        clients::delete(&database, fingerprint).map_err(|error| StoreError::database(&self.directory, error))?;
        self.registry_mut().remove(fingerprint);
        Ok(client)
    }

    /// Gives a client another name.
    ///
    /// # Errors
    /// [`StoreError::UnknownClient`], [`StoreError::Declared`], [`StoreError::NameTaken`], [`StoreError::BadName`],
    /// or the database's.
    pub fn rename(&self, fingerprint: &Fingerprint, name: &str) -> Result<Client, StoreError> {
        let mut client = self.changeable(fingerprint)?;
        let name = name.trim();
        if !clients::is_good_name(name) {
            return Err(StoreError::BadName);
        }
        if self.registry().all().iter().any(|other| other.name == name && other.fingerprint != *fingerprint) {
            return Err(StoreError::NameTaken(name.to_owned()));
        }
        name.clone_into(&mut client.name);
        let database = self.database();
        clients::write(&database, &client).map_err(|error| StoreError::database(&self.directory, error))?;
        Ok(self.registry_mut().insert(client))
    }

    /// Says what a client may do; `OwnGrants::default()` for what the host's default allows.
    ///
    /// # Errors
    /// [`StoreError::UnknownClient`], [`StoreError::Declared`], or the database's; then nothing has changed.
    pub fn grant(&self, fingerprint: &Fingerprint, grants: OwnGrants) -> Result<Client, StoreError> {
        let mut client = self.changeable(fingerprint)?;
        client.grants = grants;
        let database = self.database();
        clients::write(&database, &client).map_err(|error| StoreError::database(&self.directory, error))?;
        Ok(self.registry_mut().insert(client))
    }

    /// What a client may do; nothing if nobody knows it.
    pub fn grants(&self, fingerprint: &Fingerprint) -> Grants {
        self.registry().get(fingerprint).map_or_else(Grants::nothing, |client| client.may.clone())
    }

    /// Whether a client may send such input.
    pub fn allows_input(&self, fingerprint: &Fingerprint, event: &InputEvent) -> bool {
        self.registry().get(fingerprint).is_some_and(|client| client.may.allow_input(event))
    }

    /// Notes that a client was here. Writes to the disk at most once a minute for each client.
    ///
    /// # Errors
    /// The database's; the note is kept in memory all the same.
    pub fn seen(&self, fingerprint: &Fingerprint, now: SystemTime) -> Result<(), StoreError> {
        if !self.registry_mut().seen(fingerprint, now) {
            return Ok(());
        }
        clients::write_seen(&self.database(), fingerprint, now)
            .map_err(|error| StoreError::database(&self.directory, error))
    }

    /// The number of the application `name`, the same on every call and after every restart, and none of `taken`.
    ///
    /// # Errors
    /// The database's.
    pub fn app_id(&self, name: &str, taken: &HashSet<AppId>) -> Result<AppId, StoreError> {
        apps::id_of(&self.database(), name, taken).map_err(|error| StoreError::database(&self.directory, error))
    }

    /// [`Store::app_id`] for each of `names`, in one write.
    ///
    /// # Errors
    /// The database's; no number is kept then.
    pub fn app_ids(&self, names: &[&str], taken: &HashSet<AppId>) -> Result<Vec<AppId>, StoreError> {
        let database = self.database();
        let all = || -> rusqlite::Result<Vec<AppId>> {
            let transaction = database.unchecked_transaction()?;
            let mut taken = taken.clone();
            let mut ids = Vec::with_capacity(names.len());
            for name in names {
                let id = apps::id_of(&transaction, name, &taken)?;
                taken.insert(id);
                ids.push(id);
            }
            transaction.commit()?;
            Ok(ids)
        };
        all().map_err(|error| StoreError::database(&self.directory, error))
    }

    fn changeable(&self, fingerprint: &Fingerprint) -> Result<Client, StoreError> {
        let client = self.client(fingerprint).ok_or_else(|| StoreError::UnknownClient(fingerprint.to_string()))?;
        match client.origin {
            Origin::Declared => Err(StoreError::Declared(client.name)),
            Origin::Paired => Ok(client),
        }
    }

    // A thread that panicked while it held a lock left nothing half done: statements are transactions, and the
    // registry is changed by single inserts and removals.
    fn database(&self) -> MutexGuard<'_, Connection> {
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn registry(&self) -> std::sync::RwLockReadGuard<'_, Registry> {
        self.clients.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn registry_mut(&self) -> std::sync::RwLockWriteGuard<'_, Registry> {
        self.clients.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
