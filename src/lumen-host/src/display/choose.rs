//! Which compositor a session gets: what its application names, or the first that works here.

use crate::config::{DisplayKind, Instance};

use super::DisplayError;
use super::compositor::{Compositor, CompositorSpec};

/// What a backend found, and what is missing.
type Found = Result<String, String>;
type Start = fn(&CompositorSpec) -> Result<Box<dyn Compositor>, DisplayError>;

/// Whether `auto` takes a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// If it is the first that works.
    Automatic,
    /// Only an application that names it gets it.
    ByName,
}

struct Backend {
    kind: DisplayKind,
    selection: Selection,
    find: fn() -> Found,
    start: Start,
}

/// All that this build has, in the order in which `auto` takes them: what was made for one program that fills the
/// screen, then what asks least of the machine, then whole desktops.
const BACKENDS: &[Backend] = &[
    #[cfg(feature = "pipewire")]
    Backend {
        kind: DisplayKind::Gamescope,
        selection: Selection::Automatic,
        find: super::gamescope::find,
        start: super::gamescope::start,
    },
    Backend {
        kind: DisplayKind::Wlroots,
        selection: Selection::Automatic,
        find: super::wlroots::find,
        start: super::wlroots::start,
    },
    #[cfg(feature = "pipewire")]
    Backend {
        kind: DisplayKind::Kwin,
        selection: Selection::Automatic,
        find: super::kwin::find,
        start: super::kwin::start,
    },
    #[cfg(feature = "pipewire")]
    Backend {
        kind: DisplayKind::Mutter,
        selection: Selection::Automatic,
        find: super::mutter::find,
        start: super::mutter::start,
    },
    // Somebody has to sit at the desktop and permit it.
    #[cfg(feature = "pipewire")]
    Backend {
        kind: DisplayKind::Portal,
        selection: Selection::ByName,
        find: super::portal::find,
        start: super::portal::start,
    },
];

/// A backend as `lumen doctor` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Which one.
    pub kind: DisplayKind,
    /// Whether `auto` takes it.
    pub selection: Selection,
    /// Name and version, or what is missing and what would mend it.
    pub found: Result<String, String>,
}

/// All backends in the order in which `auto` takes them.
pub fn candidates() -> Vec<Candidate> {
    BACKENDS
        .iter()
        .map(|backend| Candidate { kind: backend.kind, selection: backend.selection, found: (backend.find)() })
        .collect()
}

/// Starts the compositor that `kind` names. `auto` tries all that are there, because some find out only when they start
/// that they cannot work here.
///
/// # Errors
/// If it is not there, or does not start; for `auto`, if none does: then all reasons.
pub fn start(kind: DisplayKind, spec: &CompositorSpec) -> Result<Box<dyn Compositor>, DisplayError> {
    if kind == DisplayKind::Auto {
        return start_any(spec);
    }
    match BACKENDS.iter().find(|backend| backend.kind == kind) {
        Some(backend) => (backend.start)(spec),
        None => Err(DisplayError::Unavailable {
            backend: kind.as_str(),
            reason: "this build of lumen does not have it; choose another display for the application".to_owned(),
        }),
    }
}

fn start_any(spec: &CompositorSpec) -> Result<Box<dyn Compositor>, DisplayError> {
    let mut reasons = Vec::new();
    for backend in BACKENDS.iter().filter(|backend| backend.selection == Selection::Automatic) {
        // A desktop that runs is found by asking it, not by what is installed.
        let found = if spec.instance == Instance::Own { (backend.find)() } else { Ok(String::new()) };
        let started = match found {
            Ok(_) => (backend.start)(spec).map_err(|error| error.to_string()),
            Err(reason) => Err(reason),
        };
        match started {
            Ok(compositor) => return Ok(compositor),
            Err(reason) => {
                tracing::info!(backend = backend.kind.as_str(), reason, "not this one");
                reasons.push(reason);
            }
        }
    }
    Err(DisplayError::Unavailable { backend: "auto", reason: reasons.join("; ") })
}
