//! What every real desktop has in common, whichever compositor draws it. One backend a file; none knows applications,
//! sound or the session.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::Duration;

use crate::capture::Capture;
use crate::clipboard::ClipboardPlace;
use crate::config::Instance;
use crate::frame::Mode;
use crate::input::InputSink;

use super::DisplayError;

/// How long a compositor that is up may take to answer a request. Past it the request has failed: nobody waits for a
/// dialog that nobody sees.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// How long a compositor of the session's own may take to come up, on machines that are slow or busy. One that ends
/// before is noticed at once.
pub const START_PATIENCE: Duration = Duration::from_secs(120);

/// What a compositor is started with.
#[derive(Debug, Clone)]
pub struct CompositorSpec {
    /// Names the session in process lists and for [`sweep`](super::process::sweep).
    pub session: String,
    /// The mode that the client asked for.
    pub mode: Mode,
    /// A compositor of its own, or an output of one that runs.
    pub instance: Instance,
    /// Directory of the session: `XDG_RUNTIME_DIR` of a compositor of its own and of everything on it.
    pub directory: PathBuf,
    /// Stays the same for a client and an application: displays are recognized by it (scale and layout are kept).
    pub identity: String,
    /// The application, for compositors that must start it themselves (gamescope); others leave it to the desktop.
    pub command: Vec<String>,
    /// Variables for that command alone.
    pub command_environment: Vec<(String, String)>,
    /// Variables of the session so far: those of PipeWire and of the bus.
    pub environment: Vec<(String, String)>,
}

/// A compositor, or an output of one. Dropping it removes the output, or ends the compositor.
pub trait Compositor: Send {
    /// Name of the backend.
    fn name(&self) -> &'static str;

    /// The mode in force.
    fn mode(&self) -> Mode;

    /// Variables that programs need to find it: `WAYLAND_DISPLAY`, `DISPLAY` and so on.
    fn environment(&self) -> Vec<(String, String)>;

    /// Whether it starts [`CompositorSpec::command`] itself, and ends with it.
    fn runs_command(&self) -> bool {
        false
    }

    /// Changes the mode; programs stay. Captures taken before end.
    ///
    /// # Errors
    /// If it cannot show that; the old mode stays.
    fn set_mode(&mut self, mode: Mode) -> Result<(), DisplayError>;

    /// A new source of its pictures.
    ///
    /// # Errors
    /// If it does not let them be captured, or does not answer in time.
    fn capture(&mut self) -> Result<Box<dyn Capture>, DisplayError>;

    /// Where it takes pointer, keyboard, touch and pen. Gamepads never come here.
    ///
    /// # Errors
    /// [`DisplayError::NoInput`] if it takes none but that of the machine; or if it does not answer in time.
    fn input(&mut self) -> Result<Box<dyn InputSink>, DisplayError>;

    /// What leads the client's positions to a device that spans the desktop, where its pictures do not.
    fn fitted(&self, device: Box<dyn InputSink>) -> Box<dyn InputSink> {
        device
    }

    /// Where its clipboard is, if others can be let share it.
    fn clipboard(&self) -> Option<ClipboardPlace> {
        None
    }

    /// `Some` once it is gone, with what is known about why. Returns at once.
    fn gone(&mut self) -> Option<String>;
}

/// Whether there is a node of a GPU that this user may draw with. One that may not be opened is as good as none: the
/// compositor would fall back to drawing on the CPU without a word.
pub fn has_render_node() -> bool {
    let Ok(nodes) = fs::read_dir("/dev/dri") else { return false };
    nodes
        .flatten()
        .filter(|node| node.file_name().as_encoded_bytes().starts_with(b"renderD"))
        .any(|node| File::options().read(true).write(true).open(node.path()).is_ok())
}
