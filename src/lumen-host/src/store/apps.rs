//! Numbers of applications. Clients use them as cache keys and as launch arguments, so they never change.

use std::fmt;

use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

/// The number by which clients know an application: 1..=2147483647 (protocol part 1, section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AppId(u32);

impl AppId {
    /// The number `id`, if it is in range.
    pub const fn new(id: u32) -> Option<Self> {
        if id >= 1 && id <= i32::MAX as u32 { Some(Self(id)) } else { None }
    }

    /// As a number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Finds or makes the number of `name`.
pub(super) fn id_of(database: &Connection, name: &str, wanted: Option<u32>) -> rusqlite::Result<AppId> {
    if let Some(id) = wanted.and_then(AppId::new) {
        return Ok(id);
    }
    let known: Option<u32> =
        database.query_row("SELECT id FROM apps WHERE name = ?1", [name], |row| row.get(0)).optional()?;
    if let Some(id) = known.and_then(AppId::new) {
        return Ok(id);
    }
    // The first choice is a hash of the name: even if the database is lost, the number stays.
    let mut id = hash(name);
    loop {
        let taken: bool =
            database.query_row("SELECT EXISTS (SELECT 1 FROM apps WHERE id = ?1)", [id.0], |row| row.get(0))?;
        if !taken {
            break;
        }
        id = AppId::new(id.0 + 1).unwrap_or(AppId(1));
    }
    database.execute("INSERT INTO apps (name, id) VALUES (?1, ?2)", params![name, id.0])?;
    Ok(id)
}

fn hash(name: &str) -> AppId {
    let digest = openssl::sha::sha256(name.as_bytes());
    let number = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]) & 0x7FFF_FFFF;
    AppId::new(number).unwrap_or(AppId(1))
}
