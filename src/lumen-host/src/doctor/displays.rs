//! Compositors: which there are, which one `auto` takes, and why not the others.

use super::Finding;
use crate::display::{Selection, candidates};
#[cfg(feature = "pipewire")]
use crate::display::{kwin, process::find_program};

/// One finding for each backend, and one for the choice.
pub(super) fn findings() -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut chosen = None;
    for candidate in candidates() {
        let check = candidate.kind.as_str();
        match candidate.found {
            Ok(found) if candidate.selection == Selection::ByName => {
                findings.push(Finding::ok(check, format!("{found}; for applications that name it")));
            }
            Ok(found) => {
                chosen.get_or_insert((check, found.clone()));
                findings.push(Finding::ok(check, found));
            }
            Err(reason) => {
                // What mends it stands in the reason; not having all of them is nothing to worry about.
                findings.push(Finding::ok(check, format!("not used: {reason}")));
            }
        }
    }
    findings.push(match chosen {
        Some((kind, found)) => {
            Finding::ok("display", format!("applications with display = \"auto\" get {kind} ({found})"))
        }
        None => Finding::warn(
            "display",
            "no compositor works here: only the test card can be streamed",
            "install one: sway asks least of a machine, gamescope is made for games",
        ),
    });
    findings.extend(plasma());
    findings
}

/// Whether sessions may have outputs of a Plasma desktop that runs, where there can be one.
fn plasma() -> Option<Finding> {
    const CHECK: &str = "plasma";
    #[cfg(feature = "pipewire")]
    if find_program("kwin_wayland").is_some() {
        return Some(match kwin::permission() {
            Ok(file) => Finding::ok(CHECK, format!("KWin knows this program by {}", file.display())),
            Err(reason) => Finding::ok(CHECK, format!("no outputs of a running desktop: {reason}")),
        });
    }
    None
}
