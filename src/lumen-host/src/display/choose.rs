//! Which compositor a session gets: what its application names, or the first that works here.

use crate::config::DisplayKind;

use super::DisplayError;
use super::compositor::{Compositor, CompositorSpec};

/// A backend as `lumen doctor` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Which one.
    pub kind: DisplayKind,
    /// What was found (name and version), or what is missing and what would mend it.
    pub found: Result<String, String>,
}

/// All backends in the order in which `auto` takes them.
pub fn candidates() -> Vec<Candidate> {
    vec![
        #[cfg(feature = "pipewire")]
        Candidate { kind: DisplayKind::Mutter, found: super::mutter::find() },
    ]
}

/// Starts the compositor that `kind` names.
///
/// # Errors
/// If it is not there, or does not start.
pub fn start(kind: DisplayKind, spec: &CompositorSpec) -> Result<Box<dyn Compositor>, DisplayError> {
    match kind {
        #[cfg(feature = "pipewire")]
        DisplayKind::Mutter => super::mutter::start(spec),
        _ => {
            Err(DisplayError::Unavailable { backend: kind.as_str(), reason: "this build does not have it".to_owned() })
        }
    }
}
