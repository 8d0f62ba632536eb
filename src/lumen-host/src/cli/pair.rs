//! `lumen pair`: brings a PIN to the client that shows it.

use std::io::{self, BufRead, IsTerminal, Write};
use std::net::IpAddr;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;

use super::output::{span, table};
use super::{Context, Directories};
use crate::admin::{AdminClient, AdminClientError, EnterPin, PairingResult};
use crate::gamestream::pairing_server::{AttemptId, PendingAttempt};

/// How often a client is looked for.
const POLL: Duration = Duration::from_millis(200);

/// Arguments of `lumen pair`.
#[derive(Debug, Args)]
#[command(after_help = "Choose this host in Moonlight; it shows a PIN. Type the PIN here. Without PIN, this asks for \
    it.\nA PIN is good for one try: after a wrong one, begin again on the client.")]
pub(super) struct Pair {
    /// PIN that the client shows: four digits
    pin: Option<String>,
    /// Name to remember the client by
    #[arg(long, short = 'n', visible_alias = "name", value_name = "NAME")]
    client: Option<String>,
    /// Address of the client, when several are waiting
    #[arg(long, short, value_name = "ADDRESS")]
    address: Option<IpAddr>,
    /// Number of the attempt, when several are waiting
    #[arg(long, value_name = "NUMBER")]
    id: Option<AttemptId>,
    /// Show the clients that are waiting, and do nothing
    #[arg(long, short, conflicts_with_all = ["pin", "client", "address", "id"])]
    list: bool,
    /// Seconds to wait for a client to begin
    #[arg(long, short, value_name = "SECONDS", default_value_t = 120)]
    timeout: u64,
    #[command(flatten)]
    directories: Directories,
}

impl Pair {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let admin = context.admin(&self.directories)?;
        if self.list {
            list(&pending(&admin)?)?;
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(pin) = &self.pin {
            check(pin)?;
        }
        let waiting = self.wait(&admin)?;
        let id = self.choose(&waiting)?;
        let pin = match &self.pin {
            Some(pin) => pin.clone(),
            None => ask("PIN that the client shows: ")?,
        };
        check(&pin)?;
        let entry = EnterPin { pin, id: Some(id), address: None, name: self.client };
        match admin.post::<PairingResult>("/v1/pairing", &entry)? {
            PairingResult::Paired { client } => {
                writeln!(io::stdout(), "Paired: {}. It can stream now.", client.name)?;
                Ok(ExitCode::SUCCESS)
            }
            PairingResult::Failed { reason } => bail!("not paired: {reason}; begin again on the client"),
        }
    }

    /// The clients that wait and fit, as soon as there is one.
    fn wait(&self, admin: &AdminClient) -> anyhow::Result<Vec<PendingAttempt>> {
        let until = Instant::now() + Duration::from_secs(self.timeout);
        let mut told = false;
        loop {
            let mut waiting = pending(admin)?;
            waiting.retain(|attempt| {
                self.id.is_none_or(|id| attempt.id == id)
                    && self.address.is_none_or(|address| attempt.address == address.to_canonical())
            });
            if !waiting.is_empty() {
                return Ok(waiting);
            }
            if self.id.is_some() {
                bail!("that client is not waiting for a PIN; `lumen pair --list` shows who is");
            }
            if Instant::now() >= until {
                bail!(
                    "no client began to pair within {}; choose this host in Moonlight and try again",
                    span(self.timeout)
                );
            }
            if !told && io::stderr().is_terminal() {
                writeln!(io::stderr(), "Waiting for a client. Choose this host in Moonlight now.")?;
                told = true;
            }
            thread::sleep(POLL);
        }
    }

    fn choose(&self, waiting: &[PendingAttempt]) -> anyhow::Result<AttemptId> {
        match waiting {
            [only] => Ok(only.id),
            several if io::stdin().is_terminal() && self.pin.is_none() => {
                list(several)?;
                let number = ask("Number of the client: ")?;
                let id: AttemptId = number.parse().context("that is not a number")?;
                if !several.iter().any(|attempt| attempt.id == id) {
                    bail!("no client with number {id} is waiting");
                }
                Ok(id)
            }
            several => {
                list(several)?;
                bail!("several clients are waiting; say which one the PIN is for with --address or --id");
            }
        }
    }
}

fn pending(admin: &AdminClient) -> Result<Vec<PendingAttempt>, AdminClientError> {
    admin.get("/v1/pairing")
}

fn list(waiting: &[PendingAttempt]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if waiting.is_empty() {
        return writeln!(out, "No client is waiting for a PIN.");
    }
    let rows: Vec<_> = waiting
        .iter()
        .map(|attempt| {
            [
                attempt.id.to_string(),
                attempt.address.to_string(),
                attempt.name.clone().unwrap_or_else(|| "-".to_owned()),
                span(attempt.age_seconds),
            ]
        })
        .collect();
    table(&mut out, ["NUMBER", "ADDRESS", "NAME", "WAITING"], &rows)
}

fn ask(question: &str) -> anyhow::Result<String> {
    write!(io::stderr(), "{question}")?;
    io::stderr().flush()?;
    let mut line = String::new();
    if io::stdin().lock().read_line(&mut line)? == 0 {
        bail!("nothing was typed");
    }
    Ok(line.trim().to_owned())
}

fn check(pin: &str) -> anyhow::Result<()> {
    if pin.len() == 4 && pin.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(());
    }
    bail!("a PIN is four digits, as the client shows them");
}
