//! `lumen clients`: who may stream. Asks the running host; without one, works on the state directory itself.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};

use super::output::{ago, json, table};
use super::{Context, Directories};
use crate::admin::{AdminClient, AdminClientError, Rename};
use crate::config::{HostName, InputKind, OwnGrants};
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
    /// Show all clients that may stream, and what they may do
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
    /// Say what a client may do; what is not given stays as it is
    Grant {
        /// Name of the client, or the first digits of its fingerprint
        client: String,
        /// Devices whose input is taken from it, with commas between them: keyboard, pointer, gamepad; `all`; `none` for
        /// a client that only watches
        #[arg(long, value_delimiter = ',', value_name = "DEVICES", required_unless_present_any = ["apps", "clipboard", "microphone", "default"])]
        input: Vec<Devices>,
        /// Title of an application that it may start; may be given several times; `*` for all
        #[arg(long = "app", value_name = "TITLE")]
        apps: Vec<String>,
        /// Whether it shares the session's clipboard, both ways; over lumen/1 only
        #[arg(long, value_name = "WHETHER")]
        clipboard: Option<Switch>,
        /// Whether its microphone is heard in its session; over lumen/1 only
        #[arg(long, value_name = "WHETHER")]
        microphone: Option<Switch>,
        /// Take back what was said about it: what `[grants]` says is in force again
        #[arg(long, conflicts_with_all = ["input", "apps", "clipboard", "microphone"])]
        default: bool,
    },
}

/// What can be said about devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Devices {
    Keyboard,
    Pointer,
    Gamepad,
    All,
    None,
}

impl Devices {
    fn kinds(self) -> &'static [InputKind] {
        match self {
            Self::Keyboard => &[InputKind::Keyboard],
            Self::Pointer => &[InputKind::Pointer],
            Self::Gamepad => &[InputKind::Gamepad],
            Self::All => &InputKind::ALL,
            Self::None => &[],
        }
    }
}

/// What can be said about a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

/// The grants that a command line asks for, where `before` are those until now.
fn asked(
    before: OwnGrants,
    input: &[Devices],
    apps: Vec<String>,
    [clipboard, microphone]: [Option<Switch>; 2],
) -> anyhow::Result<OwnGrants> {
    if input.len() > 1 && input.iter().any(|devices| matches!(devices, Devices::All | Devices::None)) {
        bail!("`all` and `none` stand alone");
    }
    let titles: Result<Vec<HostName>, String> = apps.into_iter().map(HostName::try_from).collect();
    let titles = titles.map_err(|error| anyhow::anyhow!("this is not a title: {error}"))?;
    let kinds: Vec<_> = input.iter().flat_map(|devices| devices.kinds()).copied().collect();
    Ok(OwnGrants {
        input: if input.is_empty() { before.input } else { Some(kinds) },
        apps: if titles.is_empty() { before.apps } else { Some(titles) },
        clipboard: clipboard.map(|switch| switch == Switch::On).or(before.clipboard),
        microphone: microphone.map(|switch| switch == Switch::On).or(before.microphone),
    })
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
            Action::Grant { client, input, apps, clipboard, microphone, default } => {
                let client = one(&desk.list()?, &client)?;
                let before = client.grants.clone();
                let streams = [clipboard, microphone];
                let grants = if default { OwnGrants::default() } else { asked(before, &input, apps, streams)? };
                let granted = desk.grant(&client, grants)?;
                writeln!(out, "{} may: {}.", granted.name, granted.may)?;
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

    fn grant(&self, client: &Client, grants: OwnGrants) -> anyhow::Result<Client> {
        Ok(match self {
            Self::Running(admin) => admin.put(&format!("/v1/clients/{}/grants", client.fingerprint), &grants)?,
            Self::Stopped(store) => store.grant(&client.fingerprint, grants)?,
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
            let digits = client.fingerprint.to_string()[..16].to_owned();
            [client.name.clone(), origin, ago(client.last_seen), client.may.to_string(), digits]
        })
        .collect();
    table(out, ["NAME", "ORIGIN", "LAST SEEN", "MAY", "FINGERPRINT"], &rows)
}
