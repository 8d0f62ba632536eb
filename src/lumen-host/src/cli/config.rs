//! `lumen config`: what is in force, whether it is right, and what there is to set.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::Context;
use super::output::json;
use crate::config::{Config, DEFAULT_FILE, Overrides};

/// Arguments of `lumen config`.
#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print the configuration in force, from all layers, as TOML
    Show {
        /// Print JSON instead
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        overrides: Box<Overrides>,
    },
    /// Check the configuration and say what is wrong with it
    Check,
    /// Print the JSON Schema of the configuration file
    Schema,
}

impl ConfigArgs {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let mut out = io::stdout().lock();
        match self.action {
            Action::Show { json: as_json, overrides } => {
                let config = context.load(*overrides)?.config;
                if as_json {
                    json(&mut out, &config)?;
                } else {
                    write!(out, "{}", toml::to_string(&config)?)?;
                }
            }
            Action::Check => {
                let loaded = context.load(Overrides::default())?;
                let from = loaded.origin();
                match loaded.file {
                    Some(_) => writeln!(out, "{from}: the configuration is right.")?,
                    None => writeln!(out, "There is no {DEFAULT_FILE}; in force: {from}.")?,
                }
            }
            Action::Schema => json(&mut out, &Config::json_schema())?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
