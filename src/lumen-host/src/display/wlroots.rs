//! sway, and with it wlroots: a headless one of the session's own, or an output of one that runs.
//!
//! Its own instance has one output, named `HEADLESS-1` whenever it is started, at exactly the client's size and rate,
//! and nothing on it but the application. A running one gets another output with a workspace that is named after
//! client and application, so that rules in the user's configuration can know it, and a seat of its own, so that
//! several people can type into one desktop. The output is unplugged with the session, and nothing else of the desktop
//! is touched. sway 1.7 cannot do that: there the output is made tiny and kept for the next session.
//!
//! Pictures come by [`capture::wayland`](crate::capture::wayland), input goes by
//! [`input::wayland`](crate::input::wayland).

mod ipc;
mod own;
mod running;
mod seat;
mod usher;

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::capture::Capture;
use crate::capture::wayland::WaylandCapture;
use crate::clipboard::ClipboardPlace;
use crate::config::Instance;
use crate::frame::Mode;
use crate::input::InputSink;
use crate::input::wayland::{Layout, WaylandInput};
use crate::wayland::LinkError;

use super::DisplayError;
use super::compositor::{Compositor, CompositorSpec, PATIENCE, START_PATIENCE};

use self::ipc::Ipc;
use self::own::OwnSway;
use self::running::Guest;

/// Name of this backend.
const NAME: &str = "wlroots";

/// The seat that sway always has.
const SEAT: &str = "seat0";

/// The smallest and the largest width and height.
const SIZES: std::ops::RangeInclusive<u32> = 64..=16_384;

/// The sway that is here, with its version.
///
/// # Errors
/// What is missing, and what mends it.
pub fn find() -> Result<String, String> {
    let installed = own::find();
    match (installed, running::find(&[])) {
        (Ok(name), _) => Ok(name),
        // An output of a running one needs nothing else.
        (Err(_), Ok(place)) => Ok(format!("sway, running ({})", place.ipc.display())),
        (Err(missing), Err(_)) => Err(missing),
    }
}

/// Starts a sway, or adds an output to one that runs.
///
/// # Errors
/// If there is none, or it does not come up in time.
pub fn start(spec: &CompositorSpec) -> Result<Box<dyn Compositor>, DisplayError> {
    check(spec.mode)?;
    let (place, host) = match spec.instance {
        Instance::Own => {
            let (place, own) = OwnSway::start(spec, Instant::now() + START_PATIENCE)?;
            (place, Host::Own(own))
        }
        Instance::Running => {
            let place = running::find(&spec.environment)
                .map_err(|reason| DisplayError::Unavailable { backend: NAME, reason })?;
            let guest = Guest::arrive(&place, spec).map_err(failed)?;
            (place, Host::Running(guest))
        }
    };
    // From here on an error removes what was made.
    let mut ipc = Ipc::open(&place.ipc).map_err(failed)?;
    ipc.set_mode(host.output(), spec.mode).map_err(failed)?;
    let watch = crate::wayland::connect_to(&place.ipc).map_err(|error| failed(error.to_string()))?;
    let layout = Layout::from_environment(&spec.environment);
    let deadline = Instant::now() + PATIENCE;
    let escort = match &host {
        Host::Own(_) => None,
        Host::Running(guest) => Some(guest.escort()),
    };
    let input = WaylandInput::open(&place.wayland, host.seat(), host.output(), spec.mode, &layout, escort, deadline)
        .map_err(|error| failed(error.to_string()))?;
    input.enter();
    if let Host::Running(guest) = &host {
        guest.keep(input.clone());
    }
    Ok(Box::new(Sway { input, watch, place, mode: spec.mode, host }))
}

/// Removes what a session whose worker died left in a running sway; `directory` is the session's.
pub fn clean_up(directory: &Path) {
    running::clean_up(directory);
}

/// Where a sway is found.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    /// Socket of its commands.
    ipc: PathBuf,
    /// Socket of Wayland.
    wayland: PathBuf,
    /// Its X server, if it has one.
    x11: Option<String>,
}

/// An output of a sway.
#[derive(Debug)]
struct Sway {
    // Fields are dropped in order: devices before the output.
    input: WaylandInput,
    watch: UnixStream,
    place: Place,
    mode: Mode,
    host: Host,
}

#[derive(Debug)]
enum Host {
    Own(OwnSway),
    Running(Guest),
}

impl Host {
    fn output(&self) -> &str {
        match self {
            Self::Own(_) => own::OUTPUT,
            Self::Running(guest) => guest.output(),
        }
    }

    fn seat(&self) -> &str {
        match self {
            Self::Own(_) => SEAT,
            Self::Running(guest) => guest.seat(),
        }
    }
}

impl Compositor for Sway {
    fn name(&self) -> &'static str {
        NAME
    }

    fn mode(&self) -> Mode {
        self.mode
    }

    fn environment(&self) -> Vec<(String, String)> {
        let mut variables = vec![
            ("WAYLAND_DISPLAY".to_owned(), self.place.wayland.display().to_string()),
            ("SWAYSOCK".to_owned(), self.place.ipc.display().to_string()),
            ("XDG_CURRENT_DESKTOP".to_owned(), "sway".to_owned()),
            ("XDG_SESSION_TYPE".to_owned(), "wayland".to_owned()),
        ];
        variables.extend(self.place.x11.clone().map(|display| ("DISPLAY".to_owned(), display)));
        variables
    }

    fn set_mode(&mut self, mode: Mode) -> Result<(), DisplayError> {
        check(mode)?;
        let mut ipc = Ipc::open(&self.place.ipc).map_err(failed)?;
        let output = self.host.output();
        if let Err(reason) = ipc.set_mode(output, mode) {
            // What it did of it is undone; the first reason is the one to tell.
            let _ = ipc.set_mode(output, self.mode);
            return Err(DisplayError::Mode { backend: NAME, width: mode.width, height: mode.height, reason });
        }
        self.input.set_mode(mode);
        self.mode = mode;
        Ok(())
    }

    fn capture(&mut self) -> Result<Box<dyn Capture>, DisplayError> {
        let deadline = Instant::now() + PATIENCE;
        let capture = WaylandCapture::start(&self.place.wayland, self.host.output(), self.mode, deadline);
        Ok(Box::new(capture.map_err(|error: LinkError| failed(error.to_string()))?))
    }

    fn input(&mut self) -> Result<Box<dyn InputSink>, DisplayError> {
        Ok(Box::new(self.input.clone()))
    }

    fn clipboard(&self) -> Option<ClipboardPlace> {
        let seat = Some(self.host.seat().to_owned());
        Some(ClipboardPlace::Wayland { socket: self.place.wayland.clone(), seat })
    }

    fn gone(&mut self) -> Option<String> {
        match &mut self.host {
            // A dying process closes its sockets a moment before it can say how it died.
            Host::Own(own) => own.gone(),
            Host::Running(_) => ipc::is_closed(&self.watch).then(|| "sway ended".to_owned()),
        }
    }
}

fn check(mode: Mode) -> Result<(), DisplayError> {
    if SIZES.contains(&mode.width) && SIZES.contains(&mode.height) && mode.rate_num > 0 && mode.rate_den > 0 {
        return Ok(());
    }
    let reason = format!("sizes from {} to {} pixels, and rates above zero, are possible", SIZES.start(), SIZES.end());
    Err(DisplayError::Mode { backend: NAME, width: mode.width, height: mode.height, reason })
}

fn failed(reason: String) -> DisplayError {
    DisplayError::Failed { backend: NAME, reason }
}
