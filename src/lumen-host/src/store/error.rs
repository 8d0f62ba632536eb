//! Why the state directory does not do what it should.

use std::io;
use std::path::{Path, PathBuf};

/// Why the state directory does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory cannot be made or read.
    #[error("cannot use state directory {path}: {source}; create it for this user or set state_dir", path = path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Nothing can be written.
    #[error("cannot write to state directory {path}: it is read-only for this user; make it writable or set state_dir", path = path.display())]
    ReadOnly {
        /// The directory.
        path: PathBuf,
    },
    /// Nothing more can be written.
    #[error("cannot write to state directory {path}: the disk is full; free some space and try again", path = path.display())]
    Full {
        /// The directory.
        path: PathBuf,
    },
    /// Another host uses the directory.
    #[error("state directory {path} is in use by another lumen; stop it, or give this one its own state_dir", path = path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The key or certificate is unusable.
    #[error("host identity {path} is unusable: {reason}; restore it from a backup, or remove it (all clients must pair again)", path = path.display())]
    Identity {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The database was made by a newer version.
    #[error("database {path} has version {found}, this lumen knows {known}; install the newer version again", path = path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Version in the file.
        found: u32,
        /// Newest version that this program knows.
        known: u32,
    },
    /// The database is unusable.
    #[error("database in {path} failed: {reason}", path = path.display())]
    Database {
        /// The directory.
        path: PathBuf,
        /// What SQLite said.
        reason: String,
    },
    /// No client has this name or fingerprint.
    #[error("no client \"{0}\"; `lumen clients list` shows all")]
    UnknownClient(String),
    /// The client stands in the configuration.
    #[error("client \"{0}\" is declared in the configuration; change it there")]
    Declared(String),
    /// Another client has the name.
    #[error("another client is called \"{0}\"")]
    NameTaken(String),
    /// Not a name.
    #[error("a client's name has 1 to 64 characters, none of them a control character")]
    BadName,
    /// Not a certificate.
    #[error("this is not a certificate in PEM form")]
    BadCertificate,
}

impl StoreError {
    /// Sorts an error of the file system.
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            _ => Self::Directory { path, source },
        }
    }

    /// Sorts an error of SQLite.
    pub(super) fn database(path: &Path, error: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::ReadOnly | rusqlite::ErrorCode::PermissionDenied) => Self::ReadOnly { path },
            Some(rusqlite::ErrorCode::DiskFull) => Self::Full { path },
            Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt) => Self::Database {
                path,
                reason: format!("{error}; restore lumen.db from a backup, or remove it (all clients must pair again)"),
            },
            _ => Self::Database { path, reason: error.to_string() },
        }
    }
}
