//! Clients that may stream: declared ones and paired ones.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::types::Type;
use rusqlite::{Connection, params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Fingerprint;
use crate::config::{ClientConfig, DeclaredIdentity, Grants, OwnGrants};

/// How long a note of a visit stays in memory only.
const SEEN_INTERVAL: Duration = Duration::from_secs(60);

/// One client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Client {
    /// Name to show.
    pub name: String,
    /// SHA-256 of its certificate.
    #[schemars(with = "String")]
    pub fingerprint: Fingerprint,
    /// Where it comes from.
    pub origin: Origin,
    /// Its certificate in PEM form, if known.
    #[serde(skip)]
    pub certificate_pem: Option<String>,
    /// When it paired, in seconds since 1970; none for a declared client.
    pub paired_at: Option<u64>,
    /// When it was last here, in seconds since 1970.
    pub last_seen: Option<u64>,
    /// What is said about it alone.
    #[serde(default)]
    pub grants: OwnGrants,
    /// What it may do: its own grants, and the host's default where those say nothing.
    #[serde(default = "Grants::nothing")]
    pub may: Grants,
}

/// Where a client comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// It paired with a PIN.
    Paired,
    /// It stands in the configuration.
    Declared,
}

impl Client {
    pub(super) fn paired(
        name: String,
        fingerprint: Fingerprint,
        certificate_pem: String,
        grants: OwnGrants,
        now: SystemTime,
    ) -> Self {
        Self {
            name,
            fingerprint,
            origin: Origin::Paired,
            certificate_pem: Some(certificate_pem),
            paired_at: Some(seconds(now)),
            last_seen: Some(seconds(now)),
            grants,
            may: Grants::nothing(),
        }
    }
}

/// All clients, in memory. A declared client hides a paired one with the same certificate.
#[derive(Debug, Default)]
pub(super) struct Registry {
    clients: HashMap<Fingerprint, Client>,
    /// What clients may do of which nothing is said.
    default: Grants,
}

impl Registry {
    pub(super) fn new(paired: Vec<Client>, declared: &[ClientConfig], default: Grants) -> Self {
        let mut all = Self { clients: HashMap::new(), default };
        paired.into_iter().for_each(|client| drop(all.insert(client)));
        for entry in declared {
            // The configuration was validated; a certificate file that vanished since declares nobody.
            let Ok(identity) = entry.identity() else { continue };
            let fingerprint = identity.fingerprint();
            let last_seen = all.get(&fingerprint).and_then(|client| client.last_seen);
            let client = Client {
                name: entry.name.to_string(),
                fingerprint,
                origin: Origin::Declared,
                certificate_pem: match identity {
                    DeclaredIdentity::Certificate(_, pem) => Some(pem),
                    DeclaredIdentity::Fingerprint(_) => None,
                },
                paired_at: None,
                last_seen,
                grants: entry.grants(),
                may: Grants::nothing(),
            };
            all.insert(client);
        }
        all
    }

    pub(super) fn all(&self) -> Vec<Client> {
        let mut all: Vec<_> = self.clients.values().cloned().collect();
        all.sort_by(|a, b| (&a.name, a.fingerprint).cmp(&(&b.name, b.fingerprint)));
        all
    }

    pub(super) fn get(&self, fingerprint: &Fingerprint) -> Option<&Client> {
        self.clients.get(fingerprint)
    }

    /// Takes a client in; returned with what it may do.
    pub(super) fn insert(&mut self, mut client: Client) -> Client {
        client.may = client.grants.over(&self.default);
        self.clients.insert(client.fingerprint, client.clone());
        client
    }

    pub(super) fn remove(&mut self, fingerprint: &Fingerprint) {
        self.clients.remove(fingerprint);
    }

    /// Notes a visit; true if it is worth writing down.
    pub(super) fn seen(&mut self, fingerprint: &Fingerprint, now: SystemTime) -> bool {
        let Some(client) = self.clients.get_mut(fingerprint) else { return false };
        let now = seconds(now);
        let due = client.last_seen.is_none_or(|last| now.saturating_sub(last) >= SEEN_INTERVAL.as_secs());
        if due {
            client.last_seen = Some(now);
        }
        due
    }

    /// `wanted`, tidied, with a number behind it if another client has it.
    pub(super) fn free_name(&self, wanted: &str) -> String {
        let tidy: String = wanted.trim().chars().filter(|c| !c.is_control()).take(56).collect();
        let base = if tidy.is_empty() { "Client".to_owned() } else { tidy };
        let taken = |name: &str| self.clients.values().any(|client| client.name == name);
        if !taken(&base) {
            return base;
        }
        (2u64..).map(|number| format!("{base} {number}")).find(|name| !taken(name)).unwrap_or(base)
    }
}

pub(super) fn is_good_name(name: &str) -> bool {
    !name.is_empty() && name.chars().count() <= 64 && !name.chars().any(char::is_control)
}

/// All paired clients.
pub(super) fn read(database: &Connection) -> rusqlite::Result<Vec<Client>> {
    let mut statement = database.prepare(
        "SELECT c.fingerprint, c.name, c.certificate, c.paired_at, coalesce(s.at, c.paired_at), c.grants
         FROM clients c LEFT JOIN seen s ON s.fingerprint = c.fingerprint",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(Client {
            fingerprint: Fingerprint::new(row.get(0)?),
            name: row.get(1)?,
            origin: Origin::Paired,
            certificate_pem: row.get(2)?,
            paired_at: row.get::<_, Option<i64>>(3)?.map(i64::unsigned_abs),
            last_seen: row.get::<_, Option<i64>>(4)?.map(i64::unsigned_abs),
            // Grants that cannot be read are not taken for none: the host does not start.
            grants: match row.get::<_, Option<String>>(5)? {
                None => OwnGrants::default(),
                Some(text) => serde_json::from_str(&text)
                    .map_err(|error| rusqlite::Error::FromSqlConversionFailure(5, Type::Text, Box::new(error)))?,
            },
            may: Grants::nothing(),
        })
    })?;
    rows.collect()
}

/// Inserts or updates a paired client.
pub(super) fn write(database: &Connection, client: &Client) -> rusqlite::Result<()> {
    let own = Some(&client.grants).filter(|grants| **grants != OwnGrants::default());
    let grants = own.map(serde_json::to_string).transpose();
    let grants = grants.map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    database.execute(
        "INSERT INTO clients (fingerprint, name, certificate, paired_at, grants) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (fingerprint) DO UPDATE SET name = ?2, certificate = ?3, paired_at = ?4, grants = ?5",
        params![
            client.fingerprint.as_bytes(),
            client.name,
            client.certificate_pem.as_deref().unwrap_or_default(),
            stored(client.paired_at.unwrap_or_default()),
            grants
        ],
    )?;
    Ok(())
}

/// Forgets a paired client.
pub(super) fn delete(database: &Connection, fingerprint: &Fingerprint) -> rusqlite::Result<()> {
    database.execute("DELETE FROM clients WHERE fingerprint = ?1", [fingerprint.as_bytes()])?;
    Ok(())
}

/// Writes the note of a visit.
pub(super) fn write_seen(database: &Connection, fingerprint: &Fingerprint, now: SystemTime) -> rusqlite::Result<()> {
    database.execute(
        "INSERT INTO seen (fingerprint, at) VALUES (?1, ?2) ON CONFLICT (fingerprint) DO UPDATE SET at = ?2",
        params![fingerprint.as_bytes(), stored(seconds(now))],
    )?;
    Ok(())
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn stored(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}
