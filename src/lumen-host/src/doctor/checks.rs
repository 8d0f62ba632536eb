//! Configuration, directories, encoders.

use std::path::Path;

use rustix::fs::Access;

use super::Finding;
use crate::admin::{AdminClient, AdminClientError, Status};
use crate::config::{self, Config, Overrides, Sources};

/// The configuration in force; the defaults, if it is wrong.
pub(super) fn config(sources: &Sources) -> (Config, Finding) {
    match config::load(sources) {
        Ok(loaded) => {
            let from = loaded.file.map_or("defaults".to_owned(), |file| file.display().to_string());
            (loaded.config, Finding::ok("configuration", from))
        }
        Err(error) => {
            let finding =
                Finding::fail("configuration", error.to_string(), "correct it; `lumen config check` checks it");
            let flags = Overrides::default();
            let bare = config::load(&Sources { file: None, environment: Vec::new(), flags });
            (bare.map(|loaded| loaded.config).unwrap_or_default(), finding)
        }
    }
}

pub(super) fn state_directory(config: &Config) -> Finding {
    let directory = &config.state_dir;
    match writable(directory) {
        Ok(()) => Finding::ok("state directory", directory.display().to_string()),
        Err(error) => Finding::fail(
            "state directory",
            format!("{} is not writable: {error}", directory.display()),
            "make it writable for the user of the host, or set state_dir",
        ),
    }
}

pub(super) fn admin_socket(config: &Config) -> Finding {
    let path = config.admin_socket();
    match AdminClient::new(path.clone()).get::<Status>("/v1/status") {
        Ok(status) => Finding::ok("host", format!("lumen {} is running as process {}", status.version, status.pid)),
        Err(AdminClientError::NotRunning { .. }) => match writable(&config.runtime_dir) {
            Ok(()) => Finding::ok("host", "not running; `lumen serve` starts it"),
            Err(error) => Finding::fail(
                "host",
                format!("not running, and {} is not writable: {error}", config.runtime_dir.display()),
                "make it writable for the user of the host, or set runtime_dir",
            ),
        },
        Err(AdminClientError::Forbidden { .. }) => Finding::warn(
            "host",
            format!("running under another user ({})", path.display()),
            "run this as that user, or as root",
        ),
        Err(error) => Finding::fail("host", error.to_string(), "restart the host; its log says more"),
    }
}

/// Whether the directory, or where it would be made, can be written.
fn writable(directory: &Path) -> Result<(), rustix::io::Errno> {
    let existing = directory.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/"));
    rustix::fs::access(existing, Access::WRITE_OK | Access::EXEC_OK)
}

/// What can be encoded here.
pub(super) fn encoders() -> Vec<Finding> {
    Vec::new()
}
