//! Mutter, the compositor of GNOME: one of its own without any screen, or the one that runs already. Either way the
//! session gets a virtual monitor through Mutter's ScreenCast interface, whose mode is the one that the consumer of
//! its pictures asks for, and input through the RemoteDesktop session that the monitor is linked with.

mod recording;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::capture::Capture;
use crate::capture::mailbox::{Mailbox, MailboxCapture, Size};
use crate::capture::pipewire::{NodeStream, Wanted};
use crate::clipboard::ClipboardPlace;
use crate::config::Instance;
use crate::frame::Mode;
use crate::input::InputSink;
use crate::input::characters::{self, Reach};
use crate::input::mutter::turn::Turn;
use crate::input::mutter::{MutterDevices, SharedTarget};
use crate::input::remote::{Devices as _, RemoteInput};
use crate::mediaserver::Remote;

use super::DisplayError;
use super::bus::{self, Bus};
use super::compositor::{Compositor, CompositorSpec, PATIENCE, has_render_node};
use super::process::{Process, find_program};
use recording::Recording;

const NAME: &str = "mutter";

/// The oldest version whose virtual monitors take the consumer's mode. Input by way of libei came later (45), and is
/// not needed.
const OLDEST: u32 = 43;

/// Name of the Wayland socket in the session's directory.
const SOCKET: &str = "wayland-lumen";

/// How long a virtual monitor may take to change its size before it is made anew.
const RESIZE_PATIENCE: Duration = Duration::from_secs(8);

/// Name and version of the Mutter that is installed, or what is missing.
///
/// # Errors
/// What is missing, and what would mend it.
pub fn find() -> Result<String, String> {
    if find_program("mutter").is_none() {
        return Err("mutter is not installed: install the package mutter".to_owned());
    }
    if find_program("dbus-daemon").is_none() {
        return Err("mutter needs a message bus: install the package dbus".to_owned());
    }
    let output = Command::new("mutter").arg("--version").output().map_err(|error| format!("mutter: {error}"))?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match major(&version) {
        Some(major) if major >= OLDEST => Ok(version),
        Some(_) => Err(format!("{version} is too old: {OLDEST} or newer is needed")),
        None => Err(format!("mutter does not tell its version: '{version}'")),
    }
}

/// The number before the first dot of `mutter 43.8`.
fn major(version: &str) -> Option<u32> {
    version.split_whitespace().last()?.split('.').next()?.parse().ok()
}

/// Starts a Mutter, or finds the one that runs, and gives it a monitor for the session.
///
/// # Errors
/// If it is not there, does not come up, or refuses the monitor.
pub fn start(spec: &CompositorSpec) -> Result<Box<dyn Compositor>, DisplayError> {
    Ok(Box::new(Mutter::start(spec)?))
}

/// Windows that appear grow for a quarter of a second, and stop half-way when the monitors change meanwhile. No picture
/// for so long says that none grows.
const QUIET: Duration = Duration::from_millis(500);

/// Lines by which a monitor is made larger for a moment.
const DETOUR: u32 = 8;

/// How long a monitor may take to give all of its pictures.
const LIFT_PATIENCE: Duration = Duration::from_secs(3);

/// How often a monitor that was lost is asked for again.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// See the module.
struct Mutter {
    // Fields are dropped in order: the monitor while there still is somebody to tell.
    screen: Monitor,
    own: Option<Own>,
    maker: Maker,
    target: SharedTarget,
    mode: Mode,
    environment: Vec<(String, String)>,
}

/// The virtual monitor of the session.
enum Monitor {
    /// It is there.
    There(Screen),
    /// PipeWire went away and took it along; it is being made again.
    Returning(JoinHandle<Result<Screen, DisplayError>>),
    /// It cannot be made.
    Lost(String),
}

/// A monitor that is there.
struct Screen {
    node: NodeStream,
    recording: Recording,
}

/// What a monitor is made with.
#[derive(Clone)]
struct Maker {
    bus: Bus,
    remote: Remote,
    mailbox: Arc<Mailbox>,
    /// Of a desktop that other sessions may have monitors of.
    turn: Option<Turn>,
}

/// Where a session's Mutter is: its processes if it is the session's own, its bus, and variables for programs.
type Place = (Option<Own>, Bus, Vec<(String, String)>);

/// The processes of a Mutter of its own. The bus outlives its user.
struct Own {
    mutter: Process,
    daemon: Process,
}

impl Mutter {
    fn start(spec: &CompositorSpec) -> Result<Self, DisplayError> {
        let remote = Remote::of_environment(&spec.environment)
            .ok_or_else(|| failed("there is no PipeWire to take its pictures from".to_owned()))?;
        let (own, bus, environment) = match spec.instance {
            Instance::Own => Self::start_own(spec)?,
            Instance::Running => Self::find_running(spec)?,
        };
        let mut own = own;
        let ended = || own.as_mut().and_then(|own| own.mutter.poll()).map(|status| status.to_string());
        recording::wait_for_interfaces(&bus, ended).map_err(failed)?;
        let turn = match spec.instance {
            Instance::Own => None,
            Instance::Running => runtime_directory(&environment).map(|directory| Turn::new(directory, &spec.session)),
        };
        let maker = Maker { bus, remote, mailbox: Arc::default(), turn };
        let screen = maker.make(spec.mode)?;
        let target = Arc::new(Mutex::new(screen.recording.target()));
        if let Some(turn) = &maker.turn {
            // Windows open where the pointer is.
            turn.begin(&target, (f64::from(spec.mode.width / 2), f64::from(spec.mode.height / 2)));
        }
        Ok(Self { screen: Monitor::There(screen), own, maker, target, mode: spec.mode, environment })
    }

    fn start_own(spec: &CompositorSpec) -> Result<Place, DisplayError> {
        let version = find().map_err(|reason| DisplayError::Unavailable { backend: NAME, reason })?;
        tracing::info!(session = spec.session, version, "starts a compositor");
        let socket = spec.directory.join("bus");
        let address = format!("unix:path={}", socket.display());
        let mut environment = vec![
            ("DBUS_SESSION_BUS_ADDRESS".to_owned(), address.clone()),
            ("XDG_SESSION_TYPE".to_owned(), "wayland".to_owned()),
        ];
        // Mesa must be told to draw in software.
        if !has_render_node() {
            environment.push(("LIBGL_ALWAYS_SOFTWARE".to_owned(), "1".to_owned()));
        }
        let characters = characters::offer(&spec.directory, &spec.environment, Reach::Wayland, &spec.session);
        let spawn = |program: &str, arguments: &[&str]| {
            let mut command = Command::new(program);
            command
                .args(arguments)
                .env("XDG_RUNTIME_DIR", &spec.directory)
                .envs(spec.environment.iter().map(|(name, value)| (name, value)))
                .envs(environment.iter().map(|(name, value)| (name, value)))
                .envs(characters.clone())
                .env_remove("DISPLAY")
                .env_remove("WAYLAND_DISPLAY");
            Process::spawn(command, &spec.session)
                .map_err(|error| failed(format!("{program} cannot be started: {error}")))
        };
        let mut daemon =
            spawn("dbus-daemon", &["--session", "--nofork", "--nopidfile", &format!("--address={address}")])?;
        let bus = Bus::connect_to_new(&address, &socket, || daemon.poll().map(|status| status.to_string()))
            .map_err(failed)?;
        let mutter = spawn("mutter", &["--headless", "--wayland", "--no-x11", "--wayland-display", SOCKET])?;
        environment.push(("WAYLAND_DISPLAY".to_owned(), SOCKET.to_owned()));
        Ok((Some(Own { mutter, daemon }), bus, environment))
    }

    fn find_running(spec: &CompositorSpec) -> Result<Place, DisplayError> {
        let missing = |reason: &str| DisplayError::Unavailable { backend: NAME, reason: reason.to_owned() };
        let variable = |name: &str| {
            let given = spec.environment.iter().rev().find(|(given, _)| given == name).map(|(_, value)| value.clone());
            given.or_else(|| std::env::var(name).ok()).filter(|value| !value.is_empty())
        };
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).unwrap_or_default();
        let address = variable("DBUS_SESSION_BUS_ADDRESS").unwrap_or_else(|| bus::address_of(&runtime));
        let bus = Bus::connect(&address).map_err(|reason| {
            missing(&format!("no desktop runs for this user ({reason}); log in, or let the session have its own"))
        })?;
        // Programs of the session have another runtime directory: they need the whole path.
        let display =
            variable("WAYLAND_DISPLAY").map_or_else(|| first_wayland_socket(&runtime), |name| Some(runtime.join(name)));
        let display = display.ok_or_else(|| missing("the desktop that runs has no Wayland socket"))?;
        let environment = vec![
            ("DBUS_SESSION_BUS_ADDRESS".to_owned(), address),
            ("WAYLAND_DISPLAY".to_owned(), display.display().to_string()),
            ("XDG_SESSION_TYPE".to_owned(), "wayland".to_owned()),
        ];
        Ok((None, bus, environment))
    }

    /// Looks whether a monitor was lost, or is back.
    fn look_after_monitor(&mut self) {
        let next = match &mut self.screen {
            Monitor::There(screen) => screen.node.ended().map(|reason| {
                tracing::warn!(reason, "the monitor is gone and is made again");
                self.maker.make_again(self.mode)
            }),
            Monitor::Returning(making) if making.is_finished() => None,
            Monitor::Returning(_) | Monitor::Lost(_) => return,
        };
        match next {
            Some(next) => self.screen = next,
            None if matches!(self.screen, Monitor::Returning(_)) => self.take_back(),
            None => {}
        }
    }

    /// Waits for a monitor that is being made again.
    fn take_back(&mut self) {
        let Monitor::Returning(making) = std::mem::replace(&mut self.screen, Monitor::Lost(String::new())) else {
            return;
        };
        let made = making.join().unwrap_or_else(|_| Err(failed("its thread broke".to_owned())));
        self.put(made);
    }

    fn put(&mut self, made: Result<Screen, DisplayError>) {
        self.screen = match made {
            Ok(screen) => {
                *self.target.lock().unwrap_or_else(PoisonError::into_inner) = screen.recording.target();
                Monitor::There(screen)
            }
            Err(error) => {
                self.maker.mailbox.end(error.to_string());
                Monitor::Lost(error.to_string())
            }
        };
    }

    /// The monitor, waited for if it is on its way.
    fn screen(&mut self) -> Result<&Screen, DisplayError> {
        if matches!(self.screen, Monitor::Returning(_)) {
            self.take_back();
        }
        match &self.screen {
            Monitor::There(screen) => Ok(screen),
            Monitor::Lost(reason) => Err(failed(reason.clone())),
            Monitor::Returning(_) => Err(failed("its monitor is on its way".to_owned())),
        }
    }
}

impl Maker {
    fn make(&self, mode: Mode) -> Result<Screen, DisplayError> {
        let recording = Recording::start(&self.bus).map_err(failed)?;
        let mailbox = Arc::clone(&self.mailbox);
        let node = NodeStream::start(self.remote.clone(), recording.node(), Wanted::Exactly(mode), mailbox)
            .map_err(|error| failed(error.to_string()))?;
        node.wait(PATIENCE).map_err(|reason| refused(mode, reason))?;
        let screen = Screen { node, recording };
        self.take_every_picture(&screen, mode);
        // The first keys after a keyboard appears are lost, so it appears before anybody types.
        let wake = || screen.recording.wake_keyboard().map_err(failed);
        self.turn.as_ref().map_or_else(wake, |turn| turn.hold(wake))?;
        Ok(screen)
    }

    /// Mutter (43) leaves out a picture that comes earlier than one interval of the agreed rate after the last one, and half
    /// of them do. The rate that is agreed upon later is a limit only: the monitor keeps the one that it was made with.
    fn take_every_picture(&self, screen: &Screen, mode: Mode) {
        let target = Arc::new(Mutex::new(screen.recording.target()));
        let mut step = 0;
        // The pointer is part of the pictures.
        let nudge = || {
            step = 1 - step;
            let at = (f64::from(mode.width / 2 + step), f64::from(mode.height / 2));
            match &self.turn {
                None => MutterDevices::new(Arc::clone(&target)).move_to(at.0, at.1),
                Some(turn) => turn.begin(&target, at),
            }
        };
        if let Err(reason) = screen.node.lift_limit(mode, LIFT_PATIENCE, nudge) {
            tracing::info!(reason, "the monitor may not give all of its pictures");
        }
    }

    /// A monitor in place of one that was lost, with programs as they were on that.
    fn make_in_place(&self, mode: Mode) -> Result<Screen, DisplayError> {
        let screen = self.make(mode)?;
        // Without any monitor Mutter (43) gives windows that cover the screen no size, and does not take that back when
        // there is a monitor again; when the monitor changes its size, it does.
        screen.node.settle(QUIET, RESIZE_PATIENCE);
        let by = Mode { height: mode.height + DETOUR, ..mode };
        if let Err(reason) = screen.node.detour(by, mode, PATIENCE) {
            tracing::info!(reason, "windows that covered the monitor may not cover it again");
            screen.node.wait(PATIENCE).map_err(|reason| refused(mode, reason))?;
        }
        self.take_every_picture(&screen, mode);
        Ok(screen)
    }

    /// Tries for a while.
    fn make_again(&self, mode: Mode) -> Monitor {
        let maker = self.clone();
        let making = std::thread::Builder::new().name("monitor".into()).spawn(move || {
            let deadline = Instant::now() + PATIENCE;
            loop {
                match maker.make_in_place(mode) {
                    Err(error) if Instant::now() < deadline && !maker.mailbox.has_ended() => {
                        tracing::debug!(%error, "the monitor is not back yet");
                        std::thread::sleep(RETRY_INTERVAL);
                    }
                    made => return made,
                }
            }
        });
        making.map_or_else(|error| Monitor::Lost(error.to_string()), Monitor::Returning)
    }
}

impl Compositor for Mutter {
    fn name(&self) -> &'static str {
        NAME
    }

    fn mode(&self) -> Mode {
        self.mode
    }

    fn environment(&self) -> Vec<(String, String)> {
        self.environment.clone()
    }

    fn set_mode(&mut self, mode: Mode) -> Result<(), DisplayError> {
        let same_size = size_of(self.mode) == size_of(mode);
        self.screen()?;
        let Monitor::There(screen) = &self.screen else { return Ok(()) };
        let change = |mode| {
            screen.node.renegotiate(Wanted::Exactly(mode));
            screen.node.wait(RESIZE_PATIENCE)
        };
        // Mutter (43, 50) does not look at the rate of a monitor that keeps its size.
        let detour = if same_size { change(Mode { height: mode.height + DETOUR, ..mode }) } else { Ok(()) };
        let changed = detour.and_then(|()| change(mode));
        if changed.is_ok() {
            self.maker.take_every_picture(screen, mode);
        }
        if let Err(reason) = changed {
            tracing::info!(reason, "the monitor does not change its size: it is made anew");
            // The old one goes first: programs then move to the only monitor there is.
            self.screen = Monitor::Lost("its mode is being changed".to_owned());
            let made = self.maker.make(mode);
            if let Err(error) = made {
                let old = self.maker.make(self.mode);
                self.put(old);
                return Err(error);
            }
            self.put(made);
        }
        self.mode = mode;
        Ok(())
    }

    fn capture(&mut self) -> Result<Box<dyn Capture>, DisplayError> {
        self.screen()?;
        Ok(Box::new(MailboxCapture::new(Arc::clone(&self.maker.mailbox))))
    }

    fn input(&mut self) -> Result<Box<dyn InputSink>, DisplayError> {
        self.screen()?;
        let (target, size) = (Arc::clone(&self.target), size_of(self.mode));
        let devices = match &self.maker.turn {
            None => MutterDevices::new(target),
            Some(turn) => {
                MutterDevices::in_turn(target, turn.clone(), size).map_err(|error| failed(error.to_string()))?
            }
        };
        Ok(Box::new(RemoteInput::new(devices, size)))
    }

    fn clipboard(&self) -> Option<ClipboardPlace> {
        Some(ClipboardPlace::Mutter(Arc::clone(&self.target)))
    }

    fn gone(&mut self) -> Option<String> {
        let ended = self.own.as_mut().and_then(|own| {
            let mutter = own.mutter.poll().map(|status| format!("mutter ended: {status}"));
            mutter.or_else(|| own.daemon.poll().map(|status| format!("its message bus ended: {status}")))
        });
        if let Some(reason) = ended {
            self.maker.mailbox.end(reason.clone());
            return Some(reason);
        }
        self.look_after_monitor();
        match &self.screen {
            Monitor::Lost(reason) => Some(reason.clone()),
            Monitor::There(_) | Monitor::Returning(_) => None,
        }
    }
}

impl Drop for Mutter {
    fn drop(&mut self) {
        self.maker.mailbox.end("the display was closed");
        if matches!(self.screen, Monitor::Returning(_)) {
            self.own = None;
            self.take_back();
        }
    }
}

/// The directory that the Wayland socket of a running desktop is in.
fn runtime_directory(environment: &[(String, String)]) -> Option<PathBuf> {
    let (_, socket) = environment.iter().find(|(name, _)| name == "WAYLAND_DISPLAY")?;
    Path::new(socket).parent().filter(|directory| directory.is_absolute()).map(Path::to_owned)
}

fn size_of(mode: Mode) -> Size {
    Size { width: mode.width, height: mode.height }
}

/// The first Wayland socket of a runtime directory.
fn first_wayland_socket(runtime: &Path) -> Option<PathBuf> {
    let mut sockets: Vec<PathBuf> = std::fs::read_dir(runtime)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_none())
        .filter(|path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"wayland-")))
        .collect();
    sockets.sort();
    sockets.into_iter().next()
}

fn failed(reason: String) -> DisplayError {
    DisplayError::Failed { backend: NAME, reason }
}

fn refused(mode: Mode, reason: String) -> DisplayError {
    DisplayError::Mode { backend: NAME, width: mode.width, height: mode.height, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_number_before_the_first_dot() {
        assert_eq!(major("mutter 43.8"), Some(43));
        assert_eq!(major("mutter 49.alpha"), Some(49));
        assert_eq!(major("mutter"), None);
        assert_eq!(major(""), None);
    }
}
