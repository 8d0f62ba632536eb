//! Virtual displays: each client gets one of its own at its own mode. One backend a file, one trait.
//!
//! The test card is a [`VirtualDisplay`] by itself. All others are a [`Desktop`](desktop::Desktop): a compositor, the
//! application on it, its sound and its input.

pub mod application;
#[cfg(feature = "pipewire")]
pub(crate) mod bus;
mod choose;
pub mod compositor;
pub mod desktop;
#[cfg(feature = "pipewire")]
pub mod gamescope;
#[cfg(feature = "pipewire")]
pub mod kwin;
#[cfg(feature = "pipewire")]
pub mod mutter;
pub mod placeholder;
#[cfg(feature = "pipewire")]
pub mod portal;
pub mod process;
pub mod scope;
pub mod steps;
pub mod testcard;
pub mod wlroots;

use std::path::Path;

use lumen_core::lumen1::negotiation::Grants;

use crate::audio::AudioSource;
use crate::audio::microphone::MicrophoneInlet;
use crate::capture::Capture;
use crate::clipboard::ClipboardPlace;
use crate::config::DisplayKind;
use crate::frame::Mode;
use crate::input::InputSink;
use crate::link::SessionSpec;

use self::testcard::{Ground, Testcard};

pub use choose::{Candidate, Selection, candidates};

/// Why a display could not be made or changed.
#[derive(Debug, thiserror::Error)]
pub enum DisplayError {
    /// The backend cannot show this mode.
    #[error("{backend} cannot show {width}x{height}: {reason}")]
    Mode {
        /// Name of the backend.
        backend: &'static str,
        /// Pixels per line.
        width: u32,
        /// Lines.
        height: u32,
        /// What stands against it.
        reason: String,
    },
    /// The backend is not there, or too old, or not permitted.
    #[error("{backend} is not available: {reason}")]
    Unavailable {
        /// Name of the backend.
        backend: &'static str,
        /// What is missing, and what would mend it.
        reason: String,
    },
    /// The backend is there but broke, or did not answer in time.
    #[error("{backend} failed: {reason}")]
    Failed {
        /// Name of the backend.
        backend: &'static str,
        /// What happened.
        reason: String,
    },
    /// The backend takes no input of its own. Its desktop has that of the machine alone.
    #[error("{backend} takes no input: {reason}")]
    NoInput {
        /// Name of the backend.
        backend: &'static str,
        /// What is missing, and what would mend it.
        reason: String,
    },
    /// The application or one of its steps could not be started.
    #[error("{what} cannot be started: {reason}")]
    Application {
        /// What was to be started.
        what: String,
        /// What happened.
        reason: String,
    },
}

/// Whether a display and what runs on it are still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DisplayState {
    /// Both are.
    Running,
    /// The application ended by itself, and the session with it.
    ApplicationEnded,
    /// The compositor is gone.
    Gone(String),
}

/// A display of one session, with all that belongs to it. Dropping it removes the display.
pub trait VirtualDisplay: Send {
    /// The mode in force.
    fn mode(&self) -> Mode;

    /// Changes the mode: a client came back with other settings. Captures taken before end.
    ///
    /// # Errors
    /// [`DisplayError::Mode`] if the backend cannot show it; the old mode stays.
    fn set_mode(&mut self, mode: Mode) -> Result<(), DisplayError>;

    /// A new source of this display's pictures.
    ///
    /// # Errors
    /// If the compositor does not let its pictures be captured, or does not answer in time.
    fn capture(&mut self) -> Result<Box<dyn Capture>, DisplayError>;

    /// Where this display takes input.
    ///
    /// # Errors
    /// If the compositor takes no input, or does not answer in time.
    fn input(&mut self) -> Result<Box<dyn InputSink>, DisplayError>;

    /// The sound of this display with `channels` channels (2, 6 or 8). Silence where there is no sound server.
    fn audio(&mut self, channels: u8) -> Box<dyn AudioSource>;

    /// Where the client's microphone is heard, if it can be: programs of this display record from it from now on.
    fn microphone(&mut self) -> Option<MicrophoneInlet> {
        None
    }

    /// Where its clipboard is, if others can be let share it.
    fn clipboard(&self) -> Option<ClipboardPlace> {
        None
    }

    /// Looks whether display and application are still there; called often, returns at once.
    fn poll(&mut self) -> DisplayState {
        DisplayState::Running
    }
}

/// Removes what a session may have left, whoever was to remove it: its processes, what it added to a running desktop,
/// and its directory.
pub fn clean_up(session: &str, directory: &Path) {
    process::end_all(session);
    wlroots::clean_up(directory);
    process::remove(directory);
}

/// Makes the display that a session asks for, and starts its application on it. `granted` are the streams that its client
/// may use beside picture and sound.
///
/// # Errors
/// Whatever stands against it; nothing is left behind then.
pub fn open(spec: &SessionSpec, granted: Grants) -> Result<Box<dyn VirtualDisplay>, DisplayError> {
    // The card shows a short mark of the session, so that its client can tell its own picture.
    let card = |ground| Testcard::on(ground, spec.mode, spec.id.mark(), &spec.owner_name);
    match spec.app.display {
        DisplayKind::Testcard => Ok(Box::new(card(Ground::Plain)?)),
        DisplayKind::TestcardMotion => Ok(Box::new(card(Ground::Motion)?)),
        DisplayKind::Auto if spec.app.command.is_empty() => Ok(Box::new(card(Ground::Plain)?)),
        _ => Ok(Box::new(desktop::Desktop::open(spec, granted)?)),
    }
}
