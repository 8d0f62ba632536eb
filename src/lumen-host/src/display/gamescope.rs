//! gamescope without a screen of its own, made for games: it is started with the application as its child, gives away
//! its pictures as a node of PipeWire and takes input at a socket of EI.
//!
//! It keeps the size that it was started with: a client that comes back with another one sees its pictures fitted into
//! that. It needs a GPU, or the pretence of one, with dmabufs: without, it does not start.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use crate::capture::Capture;
use crate::capture::fit::{FittedCapture, Frame};
use crate::capture::mailbox::{Mailbox, MailboxCapture, Size};
use crate::capture::pipewire::{NodeStream, Wanted, find_node};
use crate::frame::Mode;
use crate::input::InputSink;
use crate::input::characters::{self, Reach};
use crate::input::ei::{EiSink, Place, Surface};
use crate::input::fitted::FittedInput;
use crate::input::us_layout::Keyboard;
use crate::mediaserver::Remote;

use super::DisplayError;
use super::compositor::{Compositor, CompositorSpec, PATIENCE, START_PATIENCE};
use super::process::{Process, find_program};

const NAME: &str = "gamescope";

/// The oldest version that was seen with `--backend headless`.
const OLDEST: (u32, u32) = (3, 16);

/// Its sockets in a directory where it is alone.
const WAYLAND_SOCKET: &str = "gamescope-0";
const EI_SOCKET: &str = "gamescope-0-ei";

/// What it runs when there is no application: something that waits.
const NOTHING: [&str; 2] = ["sleep", "infinity"];

/// Name and version of the gamescope that is installed.
///
/// # Errors
/// What is missing, and what would mend it.
pub fn find() -> Result<String, String> {
    let program = program().ok_or("gamescope is not installed: install the package gamescope")?;
    let output = Command::new(program).arg("--version").output().map_err(|error| format!("gamescope: {error}"))?;
    // It says so on standard error, among other things.
    let text = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    match version(&text) {
        Some((major, minor, rest)) if (major, minor) >= OLDEST => Ok(format!("gamescope {major}.{minor}{rest}")),
        Some((major, minor, rest)) => {
            let (oldest, since) = OLDEST;
            Err(format!("gamescope {major}.{minor}{rest} is too old: {oldest}.{since} or newer is needed"))
        }
        None => Err("gamescope does not tell its version".to_owned()),
    }
}

/// Debian has it among the games, which not everybody has on the path.
fn program() -> Option<PathBuf> {
    find_program(NAME).or_else(|| find_program("/usr/games/gamescope"))
}

/// Finds `3.16.24` in `gamescope version 3.16.24 (gcc ...)`.
fn version(text: &str) -> Option<(u32, u32, String)> {
    let number = text.split_once("version ")?.1.split([' ', '\n', '-', '+']).next()?;
    let (major, rest) = number.split_once('.')?;
    let minor = rest.split('.').next()?;
    Some((major.parse().ok()?, minor.parse().ok()?, rest[minor.len()..].to_owned()))
}

/// Starts gamescope with the application in it.
///
/// # Errors
/// If it is not there, or does not come up in time.
pub fn start(spec: &CompositorSpec) -> Result<Box<dyn Compositor>, DisplayError> {
    let unavailable = |reason| DisplayError::Unavailable { backend: NAME, reason };
    let version = find().map_err(unavailable)?;
    let program = program().ok_or_else(|| unavailable("gamescope is not installed".to_owned()))?;
    tracing::info!(session = spec.session, version, "starts a compositor");
    let remote = Remote::of_environment(&spec.environment)
        .ok_or_else(|| failed("there is no PipeWire to take its pictures from".to_owned()))?;
    let Mode { width, height, .. } = spec.mode;
    let nothing = NOTHING.map(str::to_owned);
    let application = if spec.command.is_empty() { &nothing[..] } else { &spec.command };
    let characters = characters::offer(
        &spec.directory,
        &[&spec.environment[..], &spec.command_environment].concat(),
        Reach::X11,
        &spec.session,
    );
    let keyboard = if characters.is_some() { Keyboard::Extended } else { Keyboard::Us };
    let mut command = Command::new(program);
    command
        .args(["--backend", "headless", "--force-windows-fullscreen"])
        .args(["-W", &width.to_string(), "-H", &height.to_string()])
        .args(["-w", &width.to_string(), "-h", &height.to_string()])
        // Whole frames a second are all that it knows.
        .args(["-r", &format!("{:.0}", spec.mode.fps())])
        .arg("--")
        .args(application)
        .env("XDG_RUNTIME_DIR", &spec.directory)
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .envs(characters)
        .envs(spec.environment.iter().chain(&spec.command_environment).map(|(name, value)| (name, value)));
    let process =
        Process::spawn(command, &spec.session).map_err(|error| failed(format!("it cannot be started: {error}")))?;
    let mailbox = Arc::default();
    let mut gamescope = Gamescope {
        node: None,
        mailbox,
        process,
        directory: spec.directory.clone(),
        keyboard,
        size: size(spec.mode),
        frame: Frame::new(size(spec.mode), size(spec.mode)),
        mode: spec.mode,
    };
    let deadline = Instant::now() + START_PATIENCE;
    gamescope.process.wait_for_file(&spec.directory.join(EI_SOCKET), START_PATIENCE).map_err(failed)?;
    let pid = gamescope.process.id();
    let left = deadline.saturating_duration_since(Instant::now());
    let node = find_node(&remote, pid, left).map_err(failed)?;
    let node = NodeStream::start(remote, node, Wanted::Anything(spec.mode), Arc::clone(&gamescope.mailbox))
        .map_err(|error| failed(error.to_string()))?;
    gamescope.node = Some(node);
    Ok(Box::new(gamescope))
}

/// See the module.
struct Gamescope {
    // Dropped first: gamescope 3.16 fails an assertion when whoever takes its pictures leaves before it has ended, and
    // the game would not end in order.
    process: Process,
    node: Option<NodeStream>,
    mailbox: Arc<Mailbox>,
    directory: PathBuf,
    keyboard: Keyboard,
    /// That it was started with, and keeps.
    size: Size,
    frame: Frame,
    mode: Mode,
}

impl Compositor for Gamescope {
    fn name(&self) -> &'static str {
        NAME
    }

    fn mode(&self) -> Mode {
        self.mode
    }

    fn environment(&self) -> Vec<(String, String)> {
        vec![
            ("GAMESCOPE_WAYLAND_DISPLAY".to_owned(), WAYLAND_SOCKET.to_owned()),
            ("LIBEI_SOCKET".to_owned(), EI_SOCKET.to_owned()),
            ("XDG_SESSION_TYPE".to_owned(), "wayland".to_owned()),
            ("XDG_CURRENT_DESKTOP".to_owned(), NAME.to_owned()),
        ]
    }

    fn runs_command(&self) -> bool {
        true
    }

    fn set_mode(&mut self, mode: Mode) -> Result<(), DisplayError> {
        if mode != self.mode {
            self.frame.resize(size(mode));
            self.mode = mode;
            self.mailbox.wake();
        }
        Ok(())
    }

    fn capture(&mut self) -> Result<Box<dyn Capture>, DisplayError> {
        let inner = MailboxCapture::new(Arc::clone(&self.mailbox));
        Ok(Box::new(FittedCapture::new(inner, self.frame.clone())))
    }

    fn input(&mut self) -> Result<Box<dyn InputSink>, DisplayError> {
        let path = self.directory.join(EI_SOCKET);
        let socket = UnixStream::connect(&path).map_err(|error| failed(format!("{}: {error}", path.display())))?;
        let Size { width, height } = self.size;
        let place = Place { keyboard: self.keyboard, ..Place::from(Surface { x: 0, y: 0, width, height }) };
        let sink = EiSink::open(socket, place, PATIENCE).map_err(|error| failed(error.to_string()))?;
        Ok(Box::new(FittedInput::new(Box::new(sink), self.frame.clone())))
    }

    fn gone(&mut self) -> Option<String> {
        let ended = self.process.poll().map(|status| format!("gamescope ended: {status}"));
        let reason = ended.or_else(|| self.node.as_ref().and_then(NodeStream::ended))?;
        self.mailbox.end(reason.clone());
        Some(reason)
    }
}

impl Drop for Gamescope {
    fn drop(&mut self) {
        self.mailbox.end("the display was removed");
    }
}

fn size(mode: Mode) -> Size {
    Size { width: mode.width, height: mode.height }
}

fn failed(reason: String) -> DisplayError {
    DisplayError::Failed { backend: NAME, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_found_among_other_words() {
        let text = "[gamescope] [Info]  console: gamescope version 3.16.24 (gcc 15.2.0)\n";
        assert_eq!(version(text), Some((3, 16, ".24".to_owned())));
        assert_eq!(version("gamescope version 3.11.49-1"), Some((3, 11, ".49".to_owned())));
        assert_eq!(version("nonsense"), None);
        assert_eq!(version("version x.y"), None);
    }
}
