//! `lumen status`: the running host at a glance.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;

use super::output::{json, span, table};
use super::{Context, Directories};
use crate::admin::{SessionInfo, Status, Transport};

/// Arguments of `lumen status`.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    directories: Directories,
}

impl StatusArgs {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let status: Status = context.admin(&self.directories)?.get("/v1/status")?;
        let mut out = io::stdout().lock();
        if self.json { json(&mut out, &status) } else { text(&mut out, &status) }?;
        Ok(ExitCode::SUCCESS)
    }
}

fn text(out: &mut impl Write, status: &Status) -> io::Result<()> {
    let list = |items: &[String]| if items.is_empty() { "none".to_owned() } else { items.join(", ") };
    writeln!(out, "{} (lumen {}), up for {}", status.name, status.version, span(status.uptime_seconds))?;
    writeln!(out, "Address   {} (port {})", list(&status.addresses), status.port)?;
    writeln!(out, "Apps      {}", list(&status.apps))?;
    writeln!(out, "Encoders  {}", list(&status.encoders))?;
    writeln!(out, "Clients   {} may stream", status.clients)?;
    for attempt in &status.pairing {
        let name = attempt.name.as_deref().unwrap_or("a client");
        writeln!(out, "Pairing   {name} at {} waits for its PIN: `lumen pair`", attempt.address)?;
    }
    if status.sessions.is_empty() {
        return writeln!(out, "Sessions  none");
    }
    writeln!(out)?;
    let rows: Vec<_> = status.sessions.iter().map(row).collect();
    table(out, ["SESSION", "CLIENT", "APP", "STATE", "MODE", "VIDEO", "FRAMES", "DROPPED", "AGE"], &rows)?;
    for session in &status.sessions {
        if let Some(reason) = &session.encoder_fallback {
            writeln!(out, "Session {}: a better encoder does not work: {reason}", session.id)?;
        }
    }
    Ok(())
}

fn row(session: &SessionInfo) -> [String; 9] {
    let dash = || "-".to_owned();
    let video = match (&session.codec, &session.encoder) {
        (Some(codec), Some(encoder)) => format!("{codec} by {encoder}"),
        (Some(codec), None) => codec.clone(),
        _ => dash(),
    };
    let by = if session.transport == Some(Transport::Lumen1) { " over lumen/1" } else { "" };
    [
        session.id.to_string(),
        session.client.clone(),
        session.app.clone(),
        format!("{:?}", session.state).to_lowercase(),
        session.mode.clone().unwrap_or_else(dash),
        video + by,
        session.frames_sent.to_string(),
        session.frames_dropped.to_string(),
        span(session.age_seconds),
    ]
}
