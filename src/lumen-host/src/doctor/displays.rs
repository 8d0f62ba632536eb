//! Compositors: which there are, which one `auto` takes, and why not the others.

use super::Finding;
use crate::display::{Selection, candidates};

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
    findings
}
