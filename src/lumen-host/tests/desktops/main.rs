//! Sessions on a real KWin and a real gamescope, with real programs. Needs versions of both that Debian 12 lacks, and a
//! node of a GPU: `vm-tests/desktops` runs all this in an emulated machine that has them. Nothing here is timed; waits
//! only bound a failure, and that machine is some much slower than this one.

#![cfg(feature = "pipewire")]

mod bed;
mod bench;
mod gamescope;
#[path = "../sessions/harness.rs"]
#[expect(dead_code, reason = "shared with the tests of sessions, which use all of it")]
mod harness;
mod kwin;
mod outputs;
mod painter;
mod streams;
mod together;
mod x11;
