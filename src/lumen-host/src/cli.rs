//! The command line: what people type, and nothing that the library does not do.
//!
//! Commands that look at a running host ask it over the admin socket.

mod bench;
mod clients;
mod config;
mod display;
mod logging;
mod output;
mod pair;
mod record;
mod status;
mod web;

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::admin::AdminClient;
use crate::config::{self as configuration, Config, Loaded, Overrides, Sources};
use crate::encode::{EncoderInfo, EncoderPreference};
use crate::zerocopy;
use crate::zerocopy::report::Effort;

/// Streams desktops and games to Moonlight clients
#[derive(Debug, Parser)]
#[command(name = "lumen", version, max_term_width = 100, arg_required_else_help = true)]
#[command(
    after_help = "First steps:\n  lumen serve           start the host\n  lumen pair            let a client in: \
    choose this host in Moonlight, then type its PIN\n  lumen doctor          find out what works here\n\n\
    Settings come from /etc/lumen/lumen.toml, LUMEN_* environment variables and flags, later ones first.\n\n\
    Exit codes:\n  0  done\n  1  it did not work; for doctor: streaming cannot work here\n  2  the command line is wrong"
)]
struct Cli {
    /// Configuration file to use instead of /etc/lumen/lumen.toml [env: LUMEN_CONFIG]
    #[arg(long, short, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the host
    Serve(Serve),
    /// Let a client in by the PIN that it shows
    Pair(pair::Pair),
    /// Clients that may stream: list, rename, remove, and what they may do
    Clients(clients::Clients),
    /// Show what the running host does
    Status(status::StatusArgs),
    /// Print the address of the web console, with its token
    Web(web::Web),
    /// Find out what works here, and how to fix what does not
    Doctor(Doctor),
    /// Record an application or a display into a file
    Record(record::Record),
    /// Measure this machine
    Bench(bench::Bench),
    /// The configuration: show, check, schema
    Config(config::ConfigArgs),
    /// Print completions for a shell
    Completions {
        /// Shell to complete for
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
    /// Run one session; the host starts this itself
    #[command(hide = true)]
    Session,
    /// Run the steps after the session that standard input describes; the host starts this itself
    #[command(hide = true)]
    After,
    /// Print as JSON which encoders work; the host starts this itself, so that a broken library breaks only this
    #[command(hide = true)]
    Probe {
        /// The preference among encoders, as JSON
        preference: String,
    },
}

#[derive(Debug, Args)]
struct Serve {
    #[command(flatten)]
    overrides: Overrides,
}

#[derive(Debug, Args)]
struct Doctor {
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Try what GPUs are to do, instead: each stage that pictures take on them
    #[arg(long)]
    gpu: bool,
    /// Take the time to try everything, with ten thousand frames, for a report about this GPU
    #[arg(long, requires = "gpu")]
    report: bool,
}

impl Doctor {
    fn examine_gpus(&self, encoders: &anyhow::Result<Vec<EncoderInfo>>) -> anyhow::Result<ExitCode> {
        let effort = if self.report { Effort::Whole } else { Effort::Short };
        let report = zerocopy::report::examine(encoders, effort);
        let mut out = io::stdout().lock();
        match (self.json, self.report) {
            (true, _) => output::json(&mut out, &report)?,
            // As a block of its own wherever it is pasted.
            (false, true) => write!(out, "```\n{report}```\n")?,
            (false, false) => write!(out, "{report}")?,
        }
        Ok(if report.works() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// The definition of the command line, for the reference page.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        // Whoever reads our output has read enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lumen: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let context = Context { file: cli.config };
    match cli.command {
        Command::Serve(serve) => {
            let config = context.load(serve.overrides)?.config;
            logging::start(&config.log);
            crate::daemon::run(config)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Session => {
            // The daemon's choice of filter and format reaches its workers by the environment.
            logging::start(&context.load(Overrides::default()).map(|loaded| loaded.config.log).unwrap_or_default());
            let link = io::stdin().as_fd().try_clone_to_owned()?;
            crate::session::run_worker(link)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::After => {
            logging::start(&context.load(Overrides::default()).map(|loaded| loaded.config.log).unwrap_or_default());
            crate::display::steps::after(&serde_json::from_reader(io::stdin().lock())?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Probe { preference } => {
            let preference = serde_json::from_str(&preference)?;
            output::json(&mut io::stdout().lock(), &crate::encode::probe_preferred(preference))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Pair(pair) => pair.run(&context),
        Command::Clients(clients) => clients.run(&context),
        Command::Status(status) => status.run(&context),
        Command::Web(web) => web.run(&context),
        Command::Doctor(doctor) => {
            let encoders = crate::daemon::probe_encoders(EncoderPreference::default());
            if doctor.gpu {
                return doctor.examine_gpus(&encoders);
            }
            let report = crate::doctor::examine(&context.sources(Overrides::default()), &encoders);
            let mut out = io::stdout().lock();
            if doctor.json {
                output::json(&mut out, &report)?;
            } else {
                write!(out, "{report}")?;
            }
            Ok(if report.works() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Record(record) => record.run(&context),
        Command::Bench(bench) => bench.run(&context),
        Command::Config(config) => config.run(&context),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "lumen", &mut text);
            io::stdout().write_all(&text)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Man => {
            let mut text = Vec::new();
            manual(&mut text)?;
            io::stdout().write_all(&text)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// What all commands share.
struct Context {
    file: Option<PathBuf>,
}

impl Context {
    fn sources(&self, flags: Overrides) -> Sources {
        Sources::of_process(self.file.clone(), flags)
    }

    fn load(&self, flags: Overrides) -> Result<Loaded, configuration::ConfigError> {
        configuration::load(&self.sources(flags))
    }

    fn config(&self, directories: &Directories) -> Result<Config, configuration::ConfigError> {
        let Directories { state_dir, runtime_dir } = directories.clone();
        let flags = Overrides { state_dir, runtime_dir, ..Overrides::default() };
        self.load(flags).map(|loaded| loaded.config)
    }

    fn admin(&self, directories: &Directories) -> Result<AdminClient, configuration::ConfigError> {
        Ok(AdminClient::new(self.config(directories)?.admin_socket()))
    }
}

/// Where the running host is, for commands that ask it.
#[derive(Debug, Clone, Default, Args)]
struct Directories {
    /// State directory of the host, if it was started with another
    #[arg(long, global = true, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Runtime directory of the host, if it was started with another
    #[arg(long, global = true, value_name = "DIR")]
    runtime_dir: Option<PathBuf>,
}

/// The manual page: the program, then each command.
fn manual(out: &mut Vec<u8>) -> io::Result<()> {
    let command = Cli::command();
    let page = clap_mangen::Man::new(command.clone());
    page.render_title(out)?;
    page.render_name_section(out)?;
    page.render_synopsis_section(out)?;
    page.render_description_section(out)?;
    page.render_options_section(out)?;
    for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        manual_of(command, "lumen", out)?;
    }
    writeln!(out, ".SH FILES\n.TP\n/etc/lumen/lumen.toml\nConfiguration; `lumen config schema` describes it.")?;
    writeln!(out, ".SH EXIT STATUS\n.TP\n0\nDone.\n.TP\n1\nIt did not work; for doctor: streaming cannot work here.")?;
    writeln!(out, ".TP\n2\nThe command line is wrong.")?;
    writeln!(out, ".SH ENVIRONMENT\n.TP\nLUMEN_SECTION__KEY\nSets a key, such as LUMEN_STREAM__KEEP_ALIVE=60.")?;
    page.render_version_section(out)
}

fn manual_of(command: &clap::Command, parent: &str, out: &mut Vec<u8>) -> io::Result<()> {
    let name = format!("{parent} {}", command.get_name());
    let command = command.clone().disable_help_flag(true).disable_help_subcommand(true);
    let command = command.bin_name(name.clone()).display_name(name.clone());
    writeln!(out, ".SH {}", name.to_uppercase())?;
    let page = clap_mangen::Man::new(command.clone());
    let mut section = Vec::new();
    page.render_description_section(&mut section)?;
    if command.get_arguments().next().is_some() {
        page.render_options_section(&mut section)?;
    }
    // The sections of a part would look like sections of the whole.
    let text = String::from_utf8_lossy(&section);
    let body =
        text.lines().filter(|line| !line.starts_with(".SH ") && !line.starts_with(".ie") && !line.starts_with(".el"));
    for line in body {
        writeln!(out, "{line}")?;
    }
    command.get_subcommands().try_for_each(|inner| manual_of(inner, &name, out))
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_manual_names_every_command_that_people_use() {
        let mut page = Vec::new();
        manual(&mut page).expect("memory takes it");
        let page = String::from_utf8(page).expect("text");
        for command in ["SERVE", "PAIR", "CLIENTS LIST", "STATUS", "DOCTOR", "RECORD", "BENCH DISPLAY", "CONFIG SCHEMA"]
        {
            assert!(page.contains(&format!(".SH LUMEN {command}")), "{command} is missing");
        }
        assert!(!page.contains("LUMEN SESSION"));
    }
}
