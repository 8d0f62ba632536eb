//! KWin: one of its own without any screen, or a further output of a Plasma session that runs. Both give away their
//! pictures through KWin's screencast protocol, and take input through its fake input protocol.
//!
//! KWin grants these protocols by looking at the calling program: one that has a file capability looks like nobody to
//! it. So this process never has any; what needs one lives elsewhere. A KWin of our own is told not to ask.

mod output;
mod permission;
mod screencast;

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::capture::Capture;
use crate::capture::mailbox::{Mailbox, MailboxCapture};
use crate::capture::pipewire::{NodeStream, Wanted};
use crate::clipboard::ClipboardPlace;
use crate::config::Instance;
use crate::frame::Mode;
use crate::input::InputSink;
use crate::input::kwin::FakeInput;
use crate::mediaserver::Remote;
use crate::wayland::LinkError;

use super::DisplayError;
use super::compositor::{Compositor, CompositorSpec, PATIENCE, START_PATIENCE, has_render_node};
use super::process::{Process, find_program};
pub use permission::permission;
use screencast::{Screencast, Source};

const NAME: &str = "kwin";

/// The oldest major and minor version whose headless sessions show pictures to others and that can add outputs to them.
const OLDEST: (u32, u32) = (6, 7);

/// Name of the Wayland socket in the session's directory.
const SOCKET: &str = "wayland-lumen";

/// Name of the only output of a KWin without a screen.
const OWN_OUTPUT: &str = "Virtual-0";

/// Its rate, and that of any new output, in frames a second.
const RATE: f64 = 60.0;

/// How long a change of the mode may take: KWin answers once it has drawn, which takes its time where processors stand for
/// a GPU.
const MODE_PATIENCE: Duration = Duration::from_secs(60);

/// How long the status of a KWin that closed its socket is waited for.
const STATUS_TIME: Duration = Duration::from_secs(1);

/// Name and version of the KWin that is installed.
///
/// # Errors
/// What is missing, and what would mend it.
pub fn find() -> Result<String, String> {
    if find_program("kwin_wayland").is_none() {
        return Err("kwin_wayland is not installed: install the package kwin-wayland".to_owned());
    }
    let output = Command::new("kwin_wayland").arg("--version").env("QT_QPA_PLATFORM", "offscreen").output();
    let output = output.map_err(|error| {
        format!(
            "kwin_wayland cannot be run: {error}; its file capability needs CAP_SYS_NICE among those that this \
             service may have (CapabilityBoundingSet)"
        )
    })?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let (oldest, since) = OLDEST;
    match version(&text) {
        Some(found) if found < OLDEST => {
            Err(format!("{text} is too old: {oldest}.{since} or newer is needed for displays without a screen"))
        }
        Some(_) if !has_render_node() => Err(format!(
            "{text} lets its pictures be captured only with a GPU: a /dev/dri/renderD node that this user may open \
                 (group render)"
        )),
        Some(_) => Ok(text),
        None => Err(format!("kwin_wayland does not tell its version: '{text}'")),
    }
}

/// Major and minor number of `kwin 6.7.4`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split_whitespace().last()?.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// Starts a KWin, or adds an output to the one that runs.
///
/// # Errors
/// If it is not there, does not come up, or refuses.
pub fn start(spec: &CompositorSpec) -> Result<Box<dyn Compositor>, DisplayError> {
    let remote = Remote::of_environment(&spec.environment)
        .ok_or_else(|| failed("there is no PipeWire to take its pictures from".to_owned()))?;
    let (process, socket, name, deadline) = match spec.instance {
        Instance::Own => {
            let deadline = Instant::now() + START_PATIENCE;
            let version = find().map_err(|reason| DisplayError::Unavailable { backend: NAME, reason })?;
            tracing::info!(session = spec.session, version, "starts a compositor");
            let mut process = spawn(spec)?;
            let socket = spec.directory.join(SOCKET);
            process.wait_for_file(&socket, START_PATIENCE).map_err(failed)?;
            (Some(process), socket, SOCKET.to_owned(), deadline)
        }
        Instance::Running => {
            let socket = running_socket(&spec.environment).ok_or_else(|| DisplayError::Unavailable {
                backend: NAME,
                reason: "no Plasma session runs for this user: log in, or let the session have its own".to_owned(),
            })?;
            let name = socket.display().to_string();
            (None, socket, name, Instant::now() + PATIENCE)
        }
    };
    let mut kwin = Kwin {
        screen: None,
        mailbox: Arc::default(),
        process,
        socket,
        display: name,
        remote,
        instance: spec.instance,
        identity: spec.identity.clone(),
        mode: spec.mode,
        lost_since: None,
    };
    kwin.screen = Some(kwin.open_screen(spec.mode, deadline)?);
    Ok(Box::new(kwin))
}

fn spawn(spec: &CompositorSpec) -> Result<Process, DisplayError> {
    let mut command = Command::new("kwin_wayland");
    command
        .args(["--virtual", "--no-lockscreen", "--no-global-shortcuts", "--socket", SOCKET])
        .args(["--width", &spec.mode.width.to_string(), "--height", &spec.mode.height.to_string()])
        .env("XDG_RUNTIME_DIR", &spec.directory)
        .env("XDG_SESSION_TYPE", "wayland")
        // Nobody but the session can reach its socket.
        .env("KWIN_WAYLAND_NO_PERMISSION_CHECKS", "1")
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .envs(spec.environment.iter().map(|(name, value)| (name, value)));
    Process::spawn(command, &spec.session).map_err(|error| failed(format!("it cannot be started: {error}")))
}

/// The socket of the desktop that these variables name, or the one that this process runs on.
fn running_socket(environment: &[(String, String)]) -> Option<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from)?;
    // The session's own runtime directory is not the desktop's.
    let given = environment.iter().rev().find(|(name, _)| name == "WAYLAND_DISPLAY").map(|(_, value)| value.into());
    let name = given.or_else(|| std::env::var_os("WAYLAND_DISPLAY")).unwrap_or_else(|| "wayland-0".into());
    Some(runtime.join(name)).filter(|socket| socket.exists())
}

/// See the module.
struct Kwin {
    // Fields are dropped in order: the pictures, the output, the compositor.
    screen: Option<Screen>,
    mailbox: Arc<Mailbox>,
    process: Option<Process>,
    socket: PathBuf,
    display: String,
    remote: Remote,
    instance: Instance,
    identity: String,
    mode: Mode,
    /// When it was noticed that the screen is gone.
    lost_since: Option<Instant>,
}

struct Screen {
    node: NodeStream,
    cast: Screencast,
}

impl Kwin {
    fn open_screen(&self, mode: Mode, deadline: Instant) -> Result<Screen, DisplayError> {
        if self.instance == Instance::Own {
            // It may have come up with the mode of another client, which is in its settings.
            output::set_mode(&self.socket, OWN_OUTPUT, mode, deadline).map_err(|error| match error {
                LinkError::Missing(reason) => refused(mode, reason),
                error => failed(error.to_string()),
            })?;
        }
        let source = match self.instance {
            Instance::Own => Source::Only,
            Instance::Running => {
                Source::Virtual { name: self.identity.clone(), width: mode.width, height: mode.height }
            }
        };
        let cast = Screencast::start(&self.socket, &source, deadline).map_err(|error| failed(error.to_string()))?;
        if self.instance == Instance::Running && mode.fps() != RATE {
            match output::set_mode(&self.socket, &self.identity, mode, deadline) {
                Ok(rate) => tracing::debug!(rate, "the rate of the output, in mHz"),
                Err(error) => tracing::warn!(%error, "the output has {RATE} Hz"),
            }
        }
        let node =
            NodeStream::start(self.remote.clone(), cast.node(), Wanted::Anything(mode), Arc::clone(&self.mailbox))
                .map_err(|error| failed(error.to_string()))?;
        Ok(Screen { node, cast })
    }
}

impl Compositor for Kwin {
    fn name(&self) -> &'static str {
        NAME
    }

    fn mode(&self) -> Mode {
        self.mode
    }

    fn environment(&self) -> Vec<(String, String)> {
        vec![
            ("WAYLAND_DISPLAY".to_owned(), self.display.clone()),
            ("XDG_SESSION_TYPE".to_owned(), "wayland".to_owned()),
            ("XDG_CURRENT_DESKTOP".to_owned(), "KDE".to_owned()),
        ]
    }

    fn set_mode(&mut self, mode: Mode) -> Result<(), DisplayError> {
        if mode == self.mode {
            return Ok(());
        }
        // Of a desktop that runs, the new output comes before the old one goes, so that its windows have somewhere to
        // move to. The only output of another changes its mode.
        let old = self.screen.take();
        match self.open_screen(mode, Instant::now() + MODE_PATIENCE) {
            Ok(screen) => {
                // It may still be giving pictures of the old size.
                drop(old);
                self.mailbox.restart();
                self.screen = Some(screen);
                self.mode = mode;
                Ok(())
            }
            Err(error) => {
                self.screen = old;
                Err(error)
            }
        }
    }

    fn capture(&mut self) -> Result<Box<dyn Capture>, DisplayError> {
        Ok(Box::new(MailboxCapture::new(Arc::clone(&self.mailbox))))
    }

    fn input(&mut self) -> Result<Box<dyn InputSink>, DisplayError> {
        let screen = self.screen.as_ref().ok_or_else(|| failed("it has no output".to_owned()))?;
        let input = FakeInput::open(&self.socket, screen.cast.position(), self.mode, Instant::now() + PATIENCE);
        let input = input.map_err(|error| match (error, self.instance) {
            // A desktop that somebody sits at listens to the machine; one without a screen listens to nobody.
            (LinkError::Missing(reason), Instance::Running) => DisplayError::NoInput { backend: NAME, reason },
            (error, _) => failed(error.to_string()),
        })?;
        Ok(Box::new(input))
    }

    fn clipboard(&self) -> Option<ClipboardPlace> {
        Some(ClipboardPlace::Wayland { socket: self.socket.clone(), seat: None })
    }

    fn gone(&mut self) -> Option<String> {
        let ended = self.process.as_mut().and_then(Process::poll).map(|status| format!("kwin ended: {status}"));
        let reason = ended.or_else(|| self.lost())?;
        self.mailbox.end(reason.clone());
        Some(reason)
    }
}

impl Kwin {
    /// Why its screen is gone. A killed KWin closes its socket a moment before its status is there, which says more and
    /// is therefore waited for.
    fn lost(&mut self) -> Option<String> {
        let screen = self.screen.as_mut()?;
        let Some(reason) = screen.cast.ended().or_else(|| screen.node.ended()) else {
            self.lost_since = None;
            return None;
        };
        let since = *self.lost_since.get_or_insert_with(Instant::now);
        (self.process.is_none() || since.elapsed() >= STATUS_TIME).then_some(reason)
    }
}

impl Drop for Kwin {
    fn drop(&mut self) {
        self.mailbox.end("the display was removed");
    }
}

fn refused(mode: Mode, reason: String) -> DisplayError {
    DisplayError::Mode { backend: NAME, width: mode.width, height: mode.height, reason }
}

fn failed(reason: String) -> DisplayError {
    DisplayError::Failed { backend: NAME, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_major_and_minor() {
        assert_eq!(version("kwin 6.7.4"), Some((6, 7)));
        assert_eq!(version("kwin 5.27.5"), Some((5, 27)));
        assert_eq!(version("kwin"), None);
        assert!(version("kwin 6.3.6") < Some(OLDEST));
    }
}
