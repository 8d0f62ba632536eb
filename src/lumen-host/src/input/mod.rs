//! Input: what a client does, delivered to the display of its session and to no other.

pub mod characters;
pub mod ei;
#[cfg(feature = "pipewire")]
pub mod fitted;
pub mod kernel;
pub mod kwin;
pub mod late;
#[cfg(feature = "pipewire")]
pub mod mutter;
#[cfg(feature = "pipewire")]
pub mod portal;
#[cfg(feature = "pipewire")]
pub mod remote;
pub mod split;
pub mod us_layout;
pub mod wayland;

use lumen_core::gamestream::{control::HostMessage, input::InputEvent};

/// Takes the input of one session.
pub trait InputSink: Send {
    /// Applies one event.
    fn handle(&mut self, event: &InputEvent);

    /// Releases every held key, button, touch point and pad control: the client is gone.
    fn release_all(&mut self);

    /// Feedback for the client (rumble, lights, motion rates) that came up since the last call.
    fn poll_feedback(&mut self) -> Option<HostMessage>;
}

/// Hears nothing: the input of a display that has none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Deaf;

impl InputSink for Deaf {
    fn handle(&mut self, _event: &InputEvent) {}

    fn release_all(&mut self) {}

    fn poll_feedback(&mut self) -> Option<HostMessage> {
        None
    }
}
