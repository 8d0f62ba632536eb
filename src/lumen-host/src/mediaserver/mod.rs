//! The PipeWire that a session's pictures and sound go through: the user's own where one runs, otherwise one that is
//! started for the session and ends with it. It knows neither what is shown nor what is heard.

mod private;

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use private::PrivateServer;

/// Name of PipeWire's socket.
const SOCKET: &str = "pipewire-0";

/// How long a server of our own may take to come up.
const PATIENCE: Duration = Duration::from_secs(15);

/// Why there is no PipeWire.
#[derive(Debug, thiserror::Error)]
pub enum MediaServerError {
    /// A program is missing.
    #[error("no PipeWire runs for this user and {0} is not installed: install the packages pipewire and wireplumber")]
    Missing(&'static str),
    /// A program could not be started or set up.
    #[error("a PipeWire of its own cannot be started for the session: {0}")]
    Start(String),
}

/// How to reach a PipeWire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    directory: PathBuf,
}

impl Remote {
    /// The one whose socket is in `directory`.
    pub fn in_directory(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// The one that programs with these variables find, those of this process counting where they say nothing.
    pub fn of_environment(environment: &[(String, String)]) -> Option<Self> {
        ["PIPEWIRE_RUNTIME_DIR", "XDG_RUNTIME_DIR"].into_iter().find_map(|name| {
            let value = environment.iter().rev().find(|(given, _)| given == name).map(|(_, value)| value.into());
            value.or_else(|| std::env::var_os(name)).filter(|value| !value.is_empty()).map(Self::in_directory)
        })
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.join(SOCKET)
    }

    /// Whether somebody answers there.
    pub fn is_reachable(&self) -> bool {
        UnixStream::connect(self.socket()).is_ok()
    }

    /// Connects to it.
    ///
    /// # Errors
    /// If nobody answers there.
    #[cfg(feature = "pipewire")]
    pub(crate) fn connect(
        &self,
        context: &pipewire::context::ContextRc,
    ) -> Result<pipewire::core::CoreRc, pipewire::Error> {
        // Named by its path, so that variables of this process do not matter.
        context.connect_rc(Some(pipewire::properties::properties! {
            *pipewire::keys::REMOTE_NAME => self.socket().to_string_lossy().into_owned(),
        }))
    }
}

/// A PipeWire for a session. Dropping it ends one that was started for it.
#[derive(Debug)]
pub struct MediaServer {
    remote: Remote,
    private: Option<PrivateServer>,
}

impl MediaServer {
    /// The user's PipeWire where there is one; otherwise one of its own in `directory`, the private directory of
    /// `session`.
    ///
    /// # Errors
    /// If there is none and none can be started.
    pub fn open(session: &str, directory: &Path) -> Result<Self, MediaServerError> {
        match Remote::of_environment(&[]).filter(Remote::is_reachable) {
            Some(remote) => Ok(Self { remote, private: None }),
            None => Self::start(session, directory),
        }
    }

    /// One of its own, whatever else runs.
    ///
    /// # Errors
    /// If it cannot be started, or does not come up in time.
    pub fn start(session: &str, directory: &Path) -> Result<Self, MediaServerError> {
        let remote = Remote::in_directory(directory);
        let private = PrivateServer::start(session, directory, &remote)?;
        tracing::info!(session, "no PipeWire runs for this user: the session has one of its own");
        Ok(Self { remote, private: Some(private) })
    }

    /// How to reach it.
    pub fn remote(&self) -> &Remote {
        &self.remote
    }

    /// Whether it was started for the session.
    pub fn is_private(&self) -> bool {
        self.private.is_some()
    }

    /// Process id of a server of its own, while it runs.
    pub fn process_id(&self) -> Option<u32> {
        self.private.as_ref().and_then(PrivateServer::process_id)
    }

    /// Variables by which programs find it, although their `XDG_RUNTIME_DIR` is the session's.
    pub fn environment(&self) -> Vec<(String, String)> {
        let directory = &self.remote.directory;
        let mut environment = vec![("PIPEWIRE_RUNTIME_DIR".to_owned(), directory.display().to_string())];
        let pulse = directory.join("pulse/native");
        if self.private.as_ref().map_or_else(|| pulse.exists(), PrivateServer::has_pulse) {
            environment.push(("PULSE_SERVER".to_owned(), format!("unix:{}", pulse.display())));
        }
        environment
    }
}
