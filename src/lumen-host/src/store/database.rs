//! The SQLite file: opening, migrations, the host's own number.
//!
//! A migration is one transaction and is followed by the next; `user_version` counts them. Migrations are only
//! ever added.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

use super::StoreError;

const FILE: &str = "lumen.db";

/// Schema changes, oldest first.
const MIGRATIONS: [&str; 2] = [
    "
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
    CREATE TABLE clients (
        fingerprint BLOB PRIMARY KEY CHECK (length(fingerprint) = 32),
        name TEXT NOT NULL UNIQUE,
        certificate TEXT NOT NULL,
        paired_at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE seen (fingerprint BLOB PRIMARY KEY, at INTEGER NOT NULL) STRICT;
    CREATE TABLE apps (name TEXT PRIMARY KEY, id INTEGER NOT NULL UNIQUE) STRICT;
",
    // What a client may do, as JSON; null where nothing is said about it.
    "ALTER TABLE clients ADD COLUMN grants TEXT;",
];

/// Opens the database and brings it to the newest version.
pub(super) fn open(directory: &Path) -> Result<Connection, StoreError> {
    let path = directory.join(FILE);
    // SQLite would make the file readable for others, as far as the umask lets it.
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(|source| StoreError::io(directory, source))?;
    let failed = |error| StoreError::database(directory, error);
    let mut database = Connection::open(&path).map_err(failed)?;
    prepare(&mut database).map_err(failed)?;
    migrate(&mut database)
        .map_err(failed)?
        .map_or(Ok(database), |found| Err(StoreError::Newer { path, found, known: newest() }))
}

/// The UUID of this host, made at the first call.
pub(super) fn host_id(database: &Connection) -> rusqlite::Result<String> {
    let known: Option<String> =
        database.query_row("SELECT value FROM meta WHERE key = 'host_id'", [], |row| row.get(0)).optional()?;
    match known {
        Some(id) => Ok(id),
        None => {
            let id = uuid::Uuid::new_v4().to_string();
            database.execute("INSERT INTO meta (key, value) VALUES ('host_id', ?1)", [&id])?;
            Ok(id)
        }
    }
}

fn prepare(database: &mut Connection) -> rusqlite::Result<()> {
    database.busy_timeout(Duration::from_secs(2))?;
    database.pragma_update(None, "journal_mode", "WAL")?;
    // A pin must survive a power cut right after the client was told of it.
    database.pragma_update(None, "synchronous", "FULL")?;
    database.pragma_update(None, "foreign_keys", true)
}

/// Applies what is missing. `Some(version)` means that the file is newer than this program.
fn migrate(database: &mut Connection) -> rusqlite::Result<Option<u32>> {
    let transaction = database.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let version: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > newest() {
        return Ok(Some(version));
    }
    for migration in MIGRATIONS.iter().skip(usize::try_from(version).unwrap_or(usize::MAX)) {
        transaction.execute_batch(migration)?;
    }
    if version < newest() {
        transaction.pragma_update(None, "user_version", newest())?;
    }
    transaction.commit()?;
    Ok(None)
}

fn newest() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_keeps_its_number() {
        let directory = tempfile::tempdir().expect("a directory");
        let first = host_id(&open(directory.path()).expect("opens")).expect("a number");
        let second = host_id(&open(directory.path()).expect("opens again")).expect("a number");
        assert_eq!(first, second);
    }

    #[test]
    fn a_database_of_an_earlier_version_keeps_its_clients() {
        let directory = tempfile::tempdir().expect("a directory");
        let old = Connection::open(directory.path().join(FILE)).expect("opens");
        old.execute_batch(MIGRATIONS[0]).expect("the first schema");
        old.pragma_update(None, "user_version", 1).expect("its version");
        old.execute("INSERT INTO clients VALUES (zeroblob(32), 'Sofa', 'PEM', 1000)", []).expect("a client");
        drop(old);
        let database = open(directory.path()).expect("opens");
        let clients = super::super::clients::read(&database).expect("readable");
        assert_eq!((clients[0].name.as_str(), &clients[0].grants), ("Sofa", &crate::config::OwnGrants::default()));
        assert_eq!(database.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0)), Ok(newest()));
    }

    #[test]
    fn a_newer_database_is_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let database = open(directory.path()).expect("opens");
        database.pragma_update(None, "user_version", 99).expect("a later version");
        drop(database);
        assert!(matches!(open(directory.path()), Err(StoreError::Newer { found: 99, .. })));
    }

    #[test]
    fn what_is_not_a_database_is_said_so() {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join(FILE), "this is certainly not a database file ".repeat(50)).expect("junk");
        let message = open(directory.path()).expect_err("refused").to_string();
        assert!(message.contains("restore lumen.db from a backup"), "{message}");
    }
}
