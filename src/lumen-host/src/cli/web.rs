//! `lumen web`: where the web console is, and its token.

use std::io::{self, Write};
use std::net::IpAddr;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;

use super::{Context, Directories};
use crate::admin::read_token;

/// Arguments of `lumen web`.
#[derive(Debug, Args)]
pub(super) struct Web {
    /// Print the token alone
    #[arg(long)]
    token: bool,
    #[command(flatten)]
    directories: Directories,
}

impl Web {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let config = context.config(&self.directories)?;
        let Some(listen) = config.web.listen else {
            bail!("the web console is off; set web.listen, such as \"127.0.0.1:47990\", and restart the host");
        };
        let file = config.web_token_file();
        let token = read_token(&file).with_context(|| {
            format!("cannot read the token {}; start the host once, or run this as its user or root", file.display())
        })?;
        let mut out = io::stdout().lock();
        if self.token {
            writeln!(out, "{token}")?;
            return Ok(ExitCode::SUCCESS);
        }
        let scheme = if listen.ip().is_loopback() { "http" } else { "https" };
        let mut at = listen;
        if at.ip().is_unspecified() {
            at.set_ip(if at.is_ipv4() { IpAddr::from([127, 0, 0, 1]) } else { IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]) });
        }
        // Browsers do not send what stands behind the #.
        writeln!(out, "{scheme}://{at}/#{token}")?;
        Ok(ExitCode::SUCCESS)
    }
}
