//! The desktop that runs already, mirrored by way of its portal (xdg-desktop-portal, interfaces ScreenCast and
//! RemoteDesktop): whichever compositor it has, at whatever size. Pictures are fitted into the client's mode. Whoever
//! sits at the desktop has to permit it, once where the portal can remember that; nobody waits for them for ever.

mod session;
mod tokens;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::capture::fit::{FittedCapture, Frame};
use crate::capture::mailbox::{Mailbox, MailboxCapture, Size};
use crate::capture::pipewire::{NodeStream, Origin, Wanted};
use crate::capture::{Capture, Captured};
use crate::frame::Mode;
use crate::input::ei::{EiSink, Place, Surface};
use crate::input::fitted::FittedInput;
use crate::input::kernel::Node;
use crate::input::portal::{PortalDevices, SharedInput};
use crate::input::remote::RemoteInput;
use crate::input::{Deaf, InputSink};

use super::DisplayError;
use super::bus::{self, Bus};
use super::compositor::{Compositor, CompositorSpec, PATIENCE};
use session::PortalSession;
use tokens::Tokens;

const NAME: &str = "portal";

/// How long somebody may take to answer the desktop's question whether its screen may be seen.
pub const DIALOG_PATIENCE: Duration = Duration::from_secs(60);

/// Versions of the portal that answers, or what is missing.
///
/// # Errors
/// What is missing, and what would mend it.
pub fn find() -> Result<String, String> {
    let bus = Bus::connect(&address(&[]))
        .map_err(|reason| format!("no desktop runs for this user ({reason}); log in, and start lumen as that user"))?;
    let found = session::Versions::of(&bus).map(|versions| {
        if versions.takes_input() { versions.to_string() } else { format!("{versions}; {}", input_of_the_machine()) }
    });
    bus.close();
    found
}

/// What takes the place of input that the portal does not take.
fn input_of_the_machine() -> String {
    match Node::Uinput.open() {
        Ok(_) => "input by devices of the kernel".to_owned(),
        Err(error) => format!("no input: {error}; {}", error.remedy()),
    }
}

/// Asks for the screen of the desktop that runs.
///
/// # Errors
/// If no portal answers, nobody permits it in time, or it is refused.
pub fn start(spec: &CompositorSpec) -> Result<Box<dyn Compositor>, DisplayError> {
    start_within(spec, DIALOG_PATIENCE, &crate::config::state_dir())
}

/// As [`start`], with another bound for the answer and another directory for what the portal gave to recognize the
/// permission by.
///
/// # Errors
/// As [`start`].
pub fn start_within(
    spec: &CompositorSpec,
    patience: Duration,
    state: &std::path::Path,
) -> Result<Box<dyn Compositor>, DisplayError> {
    let unavailable = |reason| DisplayError::Unavailable { backend: NAME, reason };
    let bus = Bus::connect(&address(&spec.environment)).map_err(unavailable)?;
    let tokens = Tokens::new(state, &spec.identity);
    let session = PortalSession::start(bus, patience, &tokens).map_err(|error| match error {
        session::PortalError::Missing(reason) => unavailable(reason),
        other => failed(other.to_string()),
    })?;
    let mailbox: Arc<Mailbox> = Arc::default();
    let remote = session.pipewire().map_err(|error| failed(error.to_string()))?;
    let node = NodeStream::start(
        Origin::Connection(remote),
        session.node(),
        Wanted::Anything(spec.mode),
        Arc::clone(&mailbox),
    )
    .map_err(|error| failed(error.to_string()))?;
    node.wait(PATIENCE).map_err(failed)?;
    let shown = match MailboxCapture::new(Arc::clone(&mailbox)).next(Instant::now()) {
        Ok(Captured::Frame(frame)) => Size { width: frame.image.width, height: frame.image.height },
        Ok(Captured::Still) => size(spec.mode),
        Err(error) => return Err(failed(error.to_string())),
    };
    tracing::info!(session = spec.session, width = shown.width, height = shown.height, "mirrors the desktop");
    Ok(Box::new(Portal {
        node,
        socket: None,
        session,
        mailbox,
        frame: Frame::new(shown, size(spec.mode)),
        shown,
        mode: spec.mode,
        environment: session_environment(spec),
    }))
}

/// See the module.
struct Portal {
    // Fields are dropped in order: pictures and input before the session that gives them.
    node: NodeStream,
    /// The socket for input, once it was asked for.
    socket: Option<Arc<Mutex<EiSink>>>,
    session: PortalSession,
    mailbox: Arc<Mailbox>,
    frame: Frame,
    /// Size of the pictures as they came first, for portals that do not tell the size of what they show.
    shown: Size,
    mode: Mode,
    environment: Vec<(String, String)>,
}

impl Compositor for Portal {
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
        self.frame.resize(size(mode));
        self.mode = mode;
        self.mailbox.wake();
        Ok(())
    }

    fn capture(&mut self) -> Result<Box<dyn Capture>, DisplayError> {
        let inner = MailboxCapture::new(Arc::clone(&self.mailbox));
        Ok(Box::new(FittedCapture::new(inner, self.frame.clone())))
    }

    fn input(&mut self) -> Result<Box<dyn InputSink>, DisplayError> {
        if !self.session.takes_input() {
            let reason = "its desktop has no RemoteDesktop portal; GNOME's and KDE's have one".to_owned();
            return Err(DisplayError::NoInput { backend: NAME, reason });
        }
        let Some(granted) = self.session.granted() else {
            // Not what is missing, but what was refused: nothing takes its place.
            tracing::warn!(
                "whoever permitted lumen to see this desktop did not permit input: it can be looked at only"
            );
            return Ok(Box::new(Deaf));
        };
        if let Some(socket) = &self.socket {
            return Ok(self.fitted(Box::new(SharedInput::new(socket))));
        }
        let surface = self.session.size().unwrap_or(self.shown);
        let inner: Box<dyn InputSink> = match self.session.ei().map_err(|error| failed(error.to_string()))? {
            Some(socket) => {
                let (x, y) = self.session.position();
                let surface = Surface { x, y, width: surface.width, height: surface.height };
                let place = Place {
                    surface,
                    mapping: self.session.mapping().map(str::to_owned),
                    granted,
                    ..Place::from(surface)
                };
                let sink = EiSink::open(socket, place, PATIENCE).map_err(|error| failed(error.to_string()))?;
                let socket = self.socket.insert(Arc::new(Mutex::new(sink)));
                Box::new(SharedInput::new(socket))
            }
            None => {
                let devices = PortalDevices::new(self.session.target()).map_err(|error| failed(error.to_string()))?;
                Box::new(RemoteInput::new(devices, surface))
            }
        };
        Ok(self.fitted(inner))
    }

    fn fitted(&self, device: Box<dyn InputSink>) -> Box<dyn InputSink> {
        Box::new(FittedInput::new(device, self.frame.clone()))
    }

    fn gone(&mut self) -> Option<String> {
        let reason = self.session.closed().or_else(|| self.node.ended())?;
        self.mailbox.end(reason.clone());
        Some(reason)
    }
}

impl Drop for Portal {
    fn drop(&mut self) {
        self.mailbox.end("the display was closed");
    }
}

fn size(mode: Mode) -> Size {
    Size { width: mode.width, height: mode.height }
}

/// The last of the session's variables of that name, or this process's.
fn variable(environment: &[(String, String)], name: &str) -> Option<String> {
    let given = environment.iter().rev().find(|(given, _)| given == name).map(|(_, value)| value.clone());
    given.or_else(|| std::env::var(name).ok()).filter(|value| !value.is_empty())
}

/// Address of the bus of the desktop that runs.
fn address(environment: &[(String, String)]) -> String {
    variable(environment, "DBUS_SESSION_BUS_ADDRESS")
        .unwrap_or_else(|| bus::address_of(&std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).unwrap_or_default()))
}

/// What programs need to appear on the desktop that runs.
fn session_environment(spec: &CompositorSpec) -> Vec<(String, String)> {
    let mut environment = vec![("DBUS_SESSION_BUS_ADDRESS".to_owned(), address(&spec.environment))];
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).unwrap_or_default();
    // Programs of the session have another runtime directory: they need the whole path.
    if let Some(name) = variable(&spec.environment, "WAYLAND_DISPLAY") {
        environment.push(("WAYLAND_DISPLAY".to_owned(), runtime.join(name).display().to_string()));
    }
    if let Some(display) = variable(&spec.environment, "DISPLAY") {
        environment.push(("DISPLAY".to_owned(), display));
    }
    environment
}

fn failed(reason: String) -> DisplayError {
    DisplayError::Failed { backend: NAME, reason }
}
