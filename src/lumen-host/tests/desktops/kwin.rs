//! A KWin of its own.

use lumen_host::display::kwin;
use lumen_host::frame::Mode;

use crate::bed::{Bed, POINTER_REPORTS, background, keys_and_text_arrive, next_where, pointer_arrives};
use crate::painter::{Painter, number_of, shows};

/// What the program drew, and what was captured of it, for several pictures in a row.
fn shows_what_a_program_draws(mode: Mode) {
    let mut bed = Bed::own(kwin::start, mode);
    let painter = Painter::start(&bed.socket(), None);
    let mut capture = bed.compositor.capture().expect("it is there");
    let mut last = 0;
    for _ in 0..5 {
        let frame = next_where(&mut *capture, "a further picture of the program", |image| shows(image, mode, last));
        last = number_of(&frame.image).expect("a number");
    }
    drop((painter, capture));
    bed.ends();
}

#[test]
#[ignore = "needs KWin 6.7: run by vm-tests/desktops"]
fn kwin_shows_what_a_program_draws_at_1280x720() {
    shows_what_a_program_draws(Mode::new(1280, 720, 60));
}

#[test]
#[ignore = "needs KWin 6.7: run by vm-tests/desktops"]
fn kwin_shows_what_a_program_draws_at_1920x1080() {
    shows_what_a_program_draws(Mode::new(1920, 1080, 30));
}

#[test]
#[ignore = "needs KWin 6.7: run by vm-tests/desktops"]
fn kwin_shows_what_a_program_draws_at_1366x768() {
    shows_what_a_program_draws(Mode::new(1366, 768, 50));
}

#[test]
#[ignore = "needs KWin 6.7: run by vm-tests/desktops"]
fn keys_text_and_pointer_arrive_in_a_terminal_on_kwin() {
    const MODE: Mode = Mode::new(1280, 720, 60);
    let mut bed = Bed::own(kwin::start, MODE);
    let input = bed.compositor.input().unwrap_or_else(|error| panic!("{error}"));
    let file = bed.terminal(POINTER_REPORTS);
    let mut input = keys_and_text_arrive(&mut bed, input, &file);

    let mut capture = bed.compositor.capture().expect("it is there");
    next_where(&mut *capture, "the terminal over the whole picture", |image| background(image, 0) > 0.99);
    pointer_arrives(&mut *input, MODE, &file);
}

#[test]
#[ignore = "needs KWin 6.7: run by vm-tests/desktops"]
fn a_kwin_that_is_killed_is_noticed_and_leaves_nothing() {
    let bed = Bed::own(kwin::start, Mode::new(1280, 720, 60));
    bed.ends_when_killed("kwin_wayland", "kwin ended: signal: 9");
}
