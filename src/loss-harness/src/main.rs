//! Streams under loss, on a simulated network: what coding schemes, loss control and congestion control are worth, in
//! numbers. Prints tables, writes JSON and plots; the same seed gives the same, everywhere.

mod coders;
mod congestion;
mod control;
mod models;
mod plot;
mod schemes;
mod statistics;
mod stream;
mod table;
mod windowed;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use serde::Serialize;

use crate::plot::{Plot, Scale};
use crate::schemes::Scheme;
use crate::table::Table;

/// What codes, loss control and congestion control do on lossy networks.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// What to run; everything if nothing is named.
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Directory for tables (Markdown), figures (JSON) and plots (SVG).
    #[arg(long, default_value = "target/loss")]
    out: PathBuf,
    /// Ten times as many frames.
    #[arg(long)]
    full: bool,
    /// Of all random numbers.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Codes: which frames survive which losses.
    Schemes,
    /// Loss control against fixed and windowed parity.
    Control,
    /// The congestion controller on links whose rate changes.
    Congestion,
}

fn main() -> anyhow::Result<()> {
    let Arguments { parts, out, full, seed } = Arguments::parse();
    let factor = if full { 10 } else { 1 };
    let wanted = |part| parts.is_empty() || parts.contains(&part);
    std::fs::create_dir_all(&out).with_context(|| format!("cannot make the directory {}", out.display()))?;
    if wanted(Part::Schemes) {
        run_schemes(&out, 4000 * factor, seed)?;
    }
    if wanted(Part::Control) {
        run_control(&out, 6000, 2 * factor, seed)?;
    }
    if wanted(Part::Congestion) {
        run_congestion(&out, seed)?;
    }
    println!("\nTables, figures and plots are in {}", out.display());
    Ok(())
}

fn run_schemes(out: &Path, frames: u64, seed: u64) -> anyhow::Result<()> {
    let cells = schemes::sweep(&schemes::networks(), &schemes::SIZES, frames, seed);
    let mut rebuilt = 0;
    for (scheme, size) in Scheme::ALL.into_iter().flat_map(|scheme| schemes::SIZES.map(|size| (scheme, size))) {
        for loss in schemes::networks() {
            rebuilt += coders::check(&scheme.layout(size), loss, 2, seed)?;
        }
    }
    println!("The codes themselves, on a sample: {rebuilt} blocks rebuilt, all as counted");
    say(out, "schemes", "Frames lost at 20 % parity", &schemes::table(&cells))?;
    figures(out, "schemes", &cells)?;
    for (size, name) in schemes::SIZES.into_iter().zip(["150 KB", "1 MB", "2.6 MB"]) {
        let of_size: Vec<_> = cells.iter().filter(|cell| cell.data == size).collect();
        let groups: Vec<_> = of_size
            .chunks(Scheme::ALL.len())
            .map(|group| {
                let burst = if group[0].burst > 1.0 { format!("×{}", group[0].burst) } else { "single".into() };
                let name = format!("{:.0} %\n{burst}", group[0].loss * 100.0);
                (name, group.iter().map(|cell| cell.residual()).collect())
            })
            .collect();
        let plot = Plot::new(&format!("{name} frames at 20 % parity"), "frames lost", Scale::Log(-10, 0));
        write(out, &format!("schemes-{size}.svg"), &plot.bars(&Scheme::ALL.map(Scheme::name), &groups))?;
    }
    Ok(())
}

fn run_control(out: &Path, frames: u32, runs: u64, seed: u64) -> anyhow::Result<()> {
    let models = models::Model::published()?;
    say(out, "networks", "Networks", &control::networks_table(&models))?;
    let rows = control::compare(&models, frames, runs, seed);
    let tight: Vec<_> = models.iter().map(models::Model::tightened).collect();
    let tight = control::compare(&tight, frames, runs, seed);
    say(out, "control", "Frames not shown in time, at which overhead", &control::table(&rows))?;
    say(out, "control-parts", "What does it", &control::parts_table(&rows))?;
    say(out, "control-tight", "The same with tight deadlines", &control::parts_table(&tight))?;
    let most = rows.iter().map(|row| row.fixed.missed.max(row.windowed.missed) as f64 / row.fixed.frames as f64);
    let most = (most.fold(0.0, f64::max) * 100.0).ceil().max(1.0);
    let groups: Vec<_> = rows
        .iter()
        .map(|row| {
            let missed = [row.fixed, row.windowed, row.stock, row.control]
                .map(|outcome| outcome.missed as f64 * 100.0 / outcome.frames.max(1) as f64);
            (row.model.replace(' ', "\n"), missed.to_vec())
        })
        .collect();
    let plot = Plot::new("Frames not shown in time", "percent of frames", Scale::Linear(most));
    let names = ["fixed 20 %", "one percentage a second", "per frame, nothing resent", "per frame, and resent"];
    write(out, "control.svg", &plot.bars(&names, &groups))?;
    figures(out, "control", &control::Comparison { usual: rows, tight })
}

fn run_congestion(out: &Path, seed: u64) -> anyhow::Result<()> {
    let traces = in_parallel(&congestion::PATHS, |path| congestion::run(path, seed));
    say(out, "congestion", "Congestion control on a link of 30, 12, 30 and 50 Mbit/s", &congestion::table(&traces))?;
    figures(out, "congestion", &traces)?;
    for (trace, name) in traces.iter().zip(["ordinary", "deep", "shallow", "far", "lossy"]) {
        let line = |of: fn(&congestion::Second) -> f64| {
            (1..).zip(&trace.seconds).map(|(second, figures)| (f64::from(second), of(figures))).collect()
        };
        let lines = [
            ("the link, Mbit/s", line(|second| second.rate)),
            ("sent, Mbit/s", line(|second| second.sent)),
            ("mean queue, ms", line(|second| second.queue_mean_ms)),
        ];
        let plot = Plot::new(&format!("Congestion control: {}", trace.path.name), "Mbit/s, ms", Scale::Linear(60.0));
        write(out, &format!("congestion-{name}.svg"), &plot.lines("seconds", traces[0].seconds.len() as f64, &lines))?;
    }
    Ok(())
}

/// Prints a table and keeps it.
fn say(out: &Path, name: &str, title: &str, table: &Table) -> anyhow::Result<()> {
    println!("\n{title}\n\n{}", table.text());
    write(out, &format!("{name}.md"), &table.text())
}

fn figures(out: &Path, name: &str, figures: &impl Serialize) -> anyhow::Result<()> {
    write(out, &format!("{name}.json"), &(serde_json::to_string_pretty(figures)? + "\n"))
}

fn write(out: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let path = out.join(name);
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// `work` on all processors; results in the order of the items.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(items.len()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(number) else { break };
                    let result = work(item);
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((number, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}
