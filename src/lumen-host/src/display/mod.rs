//! Virtual displays: each client gets one of its own at its own mode. One backend a file, one trait.

pub mod testcard;

use crate::audio::AudioSource;
use crate::capture::Capture;
use crate::frame::Mode;
use crate::input::InputSink;

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
    fn capture(&mut self) -> Box<dyn Capture>;

    /// Where this display takes input.
    fn input(&mut self) -> Box<dyn InputSink>;

    /// The sound of this display with `channels` channels (2, 6 or 8).
    fn audio(&mut self, channels: u8) -> Box<dyn AudioSource>;
}
