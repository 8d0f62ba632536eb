//! The wlroots backend on a real sway, with real programs. Nothing here is timed; waits only bound a failure.
//!
//! sway 1.7 refuses root, so under root the whole test process becomes the user `nobody` first. The programs that are
//! needed are installed by `scripts/test`; without one of them its tests fail.

mod animation;
mod bed;
mod clipboard;
mod crossing;
mod faults;
#[path = "../sessions/harness.rs"]
#[expect(dead_code, reason = "shared with the tests of sessions, which use all of it")]
mod harness;
mod input;
#[path = "../sessions/leftovers.rs"]
mod leftovers;
mod lifecycle;
mod microphone;
mod opening;
mod outputs;
mod pictures;
mod seats;
mod stage;
mod streams;
mod together;
#[path = "../sound/tones.rs"]
mod tones;
