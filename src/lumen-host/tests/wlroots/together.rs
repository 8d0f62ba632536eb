//! Several sessions at once, each with its own display: pictures, sound and input never cross.

use lumen_host::frame::Mode;

use crate::bed::Bed;
use crate::crossing::do_not_cross;
use crate::harness::turn;
use crate::stage::{Scenery, Stage};

fn desktop() -> Scenery {
    Scenery { desktop: Some(Bed::own(Mode::new(800, 600, 30))), shared_sound: true, config: "" }
}

#[test]
fn two_outputs_of_one_running_desktop_do_not_cross() {
    let _turn = turn();
    do_not_cross(&Stage::set(desktop()), &["Shared"; 2]);
}

#[test]
fn four_outputs_of_one_running_desktop_do_not_cross() {
    let _turn = turn();
    do_not_cross(&Stage::set(desktop()), &["Shared"; 4]);
}

/// Two sways of their own, an output of a running one, and the test card. Every session has a PipeWire of its own.
#[test]
fn four_sessions_on_different_compositors_do_not_cross() {
    let _turn = turn();
    let stage = Stage::set(Scenery { shared_sound: false, ..desktop() });
    do_not_cross(&stage, &["Own", "Own", "Shared", "Card"]);
}
