//! A gamescope with an X program in it.

use lumen_host::display::gamescope;
use lumen_host::frame::Mode;

use crate::bed::{
    BACKGROUND, Bed, POINTER_REPORTS, background, keys_and_text_arrive, next_where, point, pointer_arrives, read,
    recorder, wait_for, xterm,
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
    comes_back_at_another_size(&mut bed, &file);
    bed.ends();
}

/// A client with less beside the picture of 1280x720: it is fitted into the new mode, and so are positions.
fn comes_back_at_another_size(bed: &mut Bed, file: &std::path::PathBuf) {
    const NARROW: Mode = Mode::new(1024, 768, 30);
    bed.compositor.set_mode(NARROW).unwrap_or_else(|error| panic!("{error}"));
    let mut capture = bed.compositor.capture().expect("it is there");
    let frame =
        next_where(&mut *capture, "the same terminal in the middle", |image| background(image, TOLERANCE) > 0.7);
    assert_eq!((frame.image.width, frame.image.height), (NARROW.width, NARROW.height));
    assert!(frame.image.data[..4096].iter().all(|byte| *byte == 0), "it begins with black");
    let mut input = bed.compositor.input().unwrap_or_else(|error| panic!("{error}"));
    // Of 768 lines the first and the last 96 are black; what is in those counts as their edge. Reports count from 1.
    for (at, x, y) in [((512, 384), 641, 361), ((0, 50), 1, 1), ((100, 140), 126, 56)] {
        let report = format!("\x1b[<35;{x};{y}M");
        point(&mut *input, NARROW, at);
        wait_for("the position in the terminal", || read(file).ends_with(&report));
    }
}

#[test]
#[ignore = "needs gamescope 3.16 and a GPU: run by vm-tests/desktops"]
fn a_gamescope_that_is_killed_is_noticed_and_leaves_nothing() {
    let bed = with_terminal(Mode::new(1280, 720, 60));
    bed.ends_when_killed("gamescope-wl", "gamescope ended: signal: 9");
}
