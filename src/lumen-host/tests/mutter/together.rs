//! Several stock-protocol sessions at once, through `lumen serve`: monitors of one Mutter that runs, Mutters of their
//! own, and others beside them. Pictures, sound and input never cross.

use lumen_host::frame::Mode;

use crate::bed::Bed;
use crate::crossing::do_not_cross;
use crate::desk::Session;
use crate::harness::turn;
use crate::leftovers::{Around, Inventory};
use crate::stage::{Scenery, Stage};

/// A Mutter that runs, and a host that knows it.
fn one_desktop(test: &str) -> (Stage, Session) {
    let desktop = Session::open(test, Mode::new(800, 600, 30));
    let mut stage = Stage::prepared(Scenery { desktop: None, shared_sound: false, config: "" });
    stage.around = Around { pipewire: Some(desktop.directory.path().to_owned()), ..Around::default() };
    let mut command = stage.command();
    command.envs(desktop.environment());
    stage.host.serve_by(command);
    stage.before = Inventory::of(&stage.host, &stage.around);
    (stage, desktop)
}

#[test]
fn two_monitors_of_one_running_mutter_do_not_cross() {
    let _turn = turn();
    let (stage, desktop) = one_desktop("j2");
    do_not_cross(&stage, &["Mutter shared"; 2]);
    assert_eq!(desktop.monitors().len(), 1);
}

#[test]
fn four_monitors_of_one_running_mutter_do_not_cross() {
    let _turn = turn();
    let (stage, desktop) = one_desktop("j4");
    do_not_cross(&stage, &["Mutter shared"; 4]);
    assert_eq!(desktop.monitors().len(), 1);
}

#[test]
fn four_mutters_of_their_own_do_not_cross() {
    let _turn = turn();
    let stage = Stage::set(Scenery { desktop: None, shared_sound: false, config: "" });
    do_not_cross(&stage, &["Mutter"; 4]);
}

/// A Mutter and a sway of their own, an output of a running sway, and the test card.
#[test]
fn four_sessions_on_different_compositors_do_not_cross() {
    let _turn = turn();
    let desktop = Some(Bed::own(Mode::new(800, 600, 30)));
    let stage = Stage::set(Scenery { desktop, shared_sound: false, config: "" });
    do_not_cross(&stage, &["Mutter", "Own", "Shared", "Card"]);
}
