//! `lumen clients`: who may stream. Asks the running host; without one, works on the state directory itself.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};

use super::output::{ago, json, table};
use super::{Context, Directories};
use crate::admin::{AdminClient, AdminClientError, Rename};
use crate::store::{Client, Origin, Store};

/// Arguments of `lumen clients`.
#[derive(Debug, Args)]
pub(super) struct Clients {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    directories: Directories,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show all clients that may stream
    List {
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Take a client's right to stream away; what it streams ends
    Remove {
        /// Name of the client, or the first digits of its fingerprint
        client: String,
    },
    /// Give a client another name
    Rename {
        /// Name of the client, or the first digits of its fingerprint
        client: String,
        /// New name
        name: String,
    },
}

impl Clients {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let config = context.config(&self.directories)?;
        let admin = AdminClient::new(config.admin_socket());
        let desk = match admin.get::<Vec<Client>>("/v1/clients") {
            Ok(_) => Desk::Running(admin),
            Err(AdminClientError::NotRunning { .. }) => Desk::Stopped(Box::new(Store::open(&config)?)),
            Err(error) => return Err(error.into()),
        };
        let mut out = io::stdout().lock();
        match self.action {
            Action::List { json: true } => json(&mut out, &desk.list()?)?,
            Action::List { json: false } => list(&mut out, &desk.list()?)?,
            Action::Remove { client } => {
                let removed = desk.remove(&one(&desk.list()?, &client)?)?;
                writeln!(out, "Removed: {}. It must pair again to stream.", removed.name)?;
            }
            Action::Rename { client, name } => {
                let renamed = desk.rename(&one(&desk.list()?, &client)?, name)?;
                writeln!(out, "Renamed: {}.", renamed.name)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Who keeps the list just now.
enum Desk {
    Running(AdminClient),
    Stopped(Box<Store>),
}

impl Desk {
    fn list(&self) -> anyhow::Result<Vec<Client>> {
        Ok(match self {
            Self::Running(admin) => admin.get("/v1/clients")?,
            Self::Stopped(store) => store.clients(),
        })
    }

    fn remove(&self, client: &Client) -> anyhow::Result<Client> {
        Ok(match self {
            Self::Running(admin) => admin.delete(&format!("/v1/clients/{}", client.fingerprint))?,
            Self::Stopped(store) => store.remove(&client.fingerprint)?,
        })
    }

    fn rename(&self, client: &Client, name: String) -> anyhow::Result<Client> {
        Ok(match self {
            Self::Running(admin) => admin.patch(&format!("/v1/clients/{}", client.fingerprint), &Rename { name })?,
            Self::Stopped(store) => store.rename(&client.fingerprint, &name)?,
        })
    }
}

/// The one client that `selector` means: by its name, or by the beginning of its fingerprint.
fn one(clients: &[Client], selector: &str) -> anyhow::Result<Client> {
    let named: Vec<_> = clients.iter().filter(|client| client.name == selector).collect();
    let digits = selector.replace([':', ' '], "").to_lowercase();
    let found = match named.len() {
        0 if digits.len() >= 4 => {
            clients.iter().filter(|client| client.fingerprint.to_string().starts_with(&digits)).collect()
        }
        _ => named,
    };
    match found[..] {
        [only] => Ok(only.clone()),
        [] => bail!("no client \"{selector}\"; `lumen clients list` shows all"),
        _ => bail!("\"{selector}\" fits several clients; give more digits of the fingerprint"),
    }
}

fn list(out: &mut impl Write, clients: &[Client]) -> io::Result<()> {
    if clients.is_empty() {
        return writeln!(out, "No client may stream yet. `lumen pair` lets one in.");
    }
    let rows: Vec<_> = clients
        .iter()
        .map(|client| {
            let origin = match client.origin {
                Origin::Declared => "declared".to_owned(),
                Origin::Paired => format!("paired {}", ago(client.paired_at)),
            };
            [client.name.clone(), origin, ago(client.last_seen), client.fingerprint.to_string()[..16].to_owned()]
        })
        .collect();
    table(out, ["NAME", "ORIGIN", "LAST SEEN", "FINGERPRINT"], &rows)
}
