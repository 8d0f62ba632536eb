//! Numbers of applications. Clients use them as cache keys and as launch arguments, so they never change.

use std::collections::HashSet;

use lumen_core::gamestream::http::AppId;
use rusqlite::{Connection, OptionalExtension, params};

/// Finds or makes the number of `name`.
pub(super) fn id_of(database: &Connection, name: &str, taken: &HashSet<AppId>) -> rusqlite::Result<AppId> {
    let known: Option<u32> =
        database.query_row("SELECT id FROM apps WHERE name = ?1", [name], |row| row.get(0)).optional()?;
    if let Some(id) = known.and_then(|id| AppId::new(id).ok()).filter(|id| !taken.contains(id)) {
        return Ok(id);
    }
    // The first choice is a hash of the name: even if the database is lost, the number stays.
    let mut number = hash(name);
    let id = loop {
        let stored: bool =
            database.query_row("SELECT EXISTS (SELECT 1 FROM apps WHERE id = ?1)", [number], |row| row.get(0))?;
        match AppId::new(number) {
            Ok(id) if !stored && !taken.contains(&id) => break id,
            _ => number = (number + 1) & 0x7FFF_FFFF,
        }
    };
    database.execute(
        "INSERT INTO apps (name, id) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET id = ?2",
        params![name, id.get()],
    )?;
    Ok(id)
}

fn hash(name: &str) -> u32 {
    let [a, b, c, d, ..] = openssl::sha::sha256(name.as_bytes());
    u32::from_be_bytes([a, b, c, d]) & 0x7FFF_FFFF
}
