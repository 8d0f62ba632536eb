//! A gamescope with an X program in it.

use lumen_host::display::gamescope;
use lumen_host::frame::Mode;

use crate::bed::{
    BACKGROUND, Bed, POINTER_REPORTS, background, keys_and_text_arrive, next_where, pointer_arrives, recorder, xterm,
};

/// By how much a colour may differ: gamescope converts it to light and back.
const TOLERANCE: u8 = 2;

/// A terminal of X11 over the whole picture in the background's colour.
fn with_terminal(mode: Mode) -> Bed {
    Bed::with_command(gamescope::start, mode, |directory| {
        let (script, _) = recorder(directory.path(), "typed", POINTER_REPORTS);
        xterm(BACKGROUND, &script)
    })
}

#[test]
#[ignore = "needs gamescope 3.16 and a GPU: run by vm-tests/desktops"]
fn a_program_in_gamescope_is_shown_and_gets_keys_and_pointer() {
    const MODE: Mode = Mode::new(1280, 720, 60);
    let mut bed = with_terminal(MODE);
    let input = bed.compositor.input().unwrap_or_else(|error| panic!("{error}"));
    let mut capture = bed.compositor.capture().expect("it is there");
    let frame = next_where(&mut *capture, "the terminal over the whole picture", |image| {
        (image.width, image.height) == (MODE.width, MODE.height) && background(image, TOLERANCE) > 0.95
    });
    println!("gamescope: picture {} has {:.4} of the background", frame.serial, background(&frame.image, TOLERANCE));
    let file = bed.path("typed");
    let mut input = keys_and_text_arrive(&mut bed, input, &file);
    pointer_arrives(&mut *input, MODE, &file);
    drop((capture, input));
    bed.ends();
}

#[test]
#[ignore = "needs gamescope 3.16 and a GPU: run by vm-tests/desktops"]
fn a_gamescope_that_is_killed_is_noticed_and_leaves_nothing() {
    let bed = with_terminal(Mode::new(1280, 720, 60));
    bed.ends_when_killed("gamescope-wl", "gamescope ended: signal: 9");
}
