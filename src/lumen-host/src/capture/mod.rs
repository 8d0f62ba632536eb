//! Capture: whatever yields pictures of one display. It never waits for the encoder.

pub mod fit;
pub mod mailbox;
pub mod opening;
#[cfg(feature = "pipewire")]
pub mod pipewire;
pub mod wayland;

use std::time::Instant;

use crate::frame::Frame;

/// What a capture has to say when asked for the next picture.
#[derive(Debug)]
pub enum Captured {
    /// A new picture.
    Frame(Frame),
    /// Nothing changed until the deadline.
    Still,
}

/// Why no picture can come any more.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The display behind the capture is gone.
    #[error("the display ended: {0}")]
    DisplayGone(String),
}

/// A source of pictures.
pub trait Capture: Send {
    /// Waits for the next picture, at most until `deadline`.
    ///
    /// # Errors
    /// [`CaptureError`] once the source can yield no further picture.
    fn next(&mut self, deadline: Instant) -> Result<Captured, CaptureError>;
}
