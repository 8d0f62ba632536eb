//! `lumen bench`: measurements of this machine.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::display::{DisplayArgs, interrupted};
use super::output::{json, only_ours, table};
use super::{Context, logging};
use crate::bench::{DisplayReport, Distribution, display};
use crate::config::Overrides;

/// Arguments of `lumen bench`.
#[derive(Debug, Args)]
pub(super) struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// How evenly the pictures of a display come
    Display {
        #[command(flatten)]
        display: DisplayArgs,
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
    },
}

impl Bench {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let What::Display { display: args, json: as_json } = self.what;
        logging::start(&context.load(Overrides::default())?.config.log);
        let mut out = only_ours()?;
        let session = args.session(context)?;
        let report = display(&session.spec, args.duration, &*interrupted()?);
        drop(session);
        let report = report?;
        if as_json { json(&mut out, &report) } else { text(&mut out, &report) }?;
        Ok(ExitCode::SUCCESS)
    }
}

fn text(out: &mut impl Write, report: &DisplayReport) -> io::Result<()> {
    let DisplayReport { display, width, height, fps, seconds, pictures, replaced, repeated, still, .. } = report;
    writeln!(out, "{display} {width}x{height}@{fps:.2}: {pictures} pictures in {seconds:.1} s")?;
    writeln!(out, "{replaced} replaced, {repeated} repeated, {still} times nothing for two frames\n")?;
    let row = |name: &str, times: &Distribution| {
        let cell = |time: f64| format!("{time:.2}");
        [name.to_owned(), cell(times.p50), cell(times.p95), cell(times.p99), cell(times.max)]
    };
    let rows = [row("interval", &report.interval_ms), row("presented to captured", &report.capture_ms)];
    table(out, ["MILLISECONDS", "P50", "P95", "P99", "MAX"], &rows)
}
