//! Logs go to standard error, in the form that was configured.

use std::io;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::{LogConfig, LogFormat};

/// Starts logging. systemd's journal puts its own times on lines.
pub(super) fn start(config: &LogConfig) {
    // The configuration was validated; a filter that is wrong all the same must not keep the host from starting.
    let filter = EnvFilter::try_new(&config.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let terminal = io::IsTerminal::is_terminal(&io::stderr());
    let builder = fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(terminal);
    // A log that cannot be written, be it on a full disk, is lost. Saying so to the same place would be a panic.
    let builder = builder.log_internal_errors(false);
    // A second start, as in tests, keeps the first.
    let _ = match (config.format, journal) {
        (LogFormat::Json, _) => builder.json().try_init(),
        (LogFormat::Text, true) => builder.without_time().try_init(),
        (LogFormat::Text, false) => builder.try_init(),
    };
}
