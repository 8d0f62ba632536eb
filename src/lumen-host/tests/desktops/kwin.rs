//! A KWin of its own.

use std::time::Instant;

use lumen_host::display::process::of_session;
use lumen_host::display::{DisplayError, kwin};
use lumen_host::frame::Mode;
use lumen_host::input::InputSink;

use crate::bed::{
    Bed, EUROPE, POINTER_REPORTS, arrives, background, keys_and_text_arrive, next_where, pointer_arrives, read, write,
};
use crate::painter::{Painter, has_mode, number_of, outputs, shows};

/// What the program drew, and what was captured of it, for several pictures in a row.
fn shows_what_a_program_draws(mode: Mode) {
    let mut bed = Bed::own(kwin::start, mode);
    has_mode(&outputs(&bed.socket())[0], mode);
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

/// Sees the terminal that was started on `bed` over the whole picture of `mode`, and types into it.
fn goes_on(bed: &mut Bed, mode: Mode, file: &std::path::PathBuf) {
    has_mode(&outputs(&bed.socket())[0], mode);
    let mut capture = bed.compositor.capture().expect("it is there");
    next_where(&mut *capture, "the terminal at its new size", |image| {
        (image.width, image.height) == (mode.width, mode.height) && background(image, 0) > 0.99
    });
    let mut input: Box<dyn InputSink> = bed.compositor.input().unwrap_or_else(|error| panic!("{error}"));
    let before = read(file);
    write(&mut *input, EUROPE);
    arrives(file, &before, EUROPE);
}

#[test]
#[ignore = "needs KWin 6.7: run by vm-tests/desktops"]
fn a_client_that_comes_back_with_another_mode_keeps_its_program_on_kwin() {
    let mut bed = Bed::own(kwin::start, Mode::new(1280, 720, 60));
    let mut input = bed.compositor.input().unwrap_or_else(|error| panic!("{error}"));
    let file = bed.terminal("");
    crate::bed::takes_keys(&mut *input, &file);
    drop(input);
    let before = of_session(&bed.spec.session).len();
    for mode in [Mode::new(1366, 768, 50), Mode::new(1920, 1080, 120), Mode::new(1280, 800, 30)] {
        let mut capture = bed.compositor.capture().expect("it is there");
        bed.compositor.set_mode(mode).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(bed.compositor.mode(), mode);
        while capture.next(Instant::now()).is_ok() {}
        goes_on(&mut bed, mode, &file);
        println!("{mode:?}: {:?}", outputs(&bed.socket()));
    }
    // KWin makes no modes whose width is no multiple of 8.
    let refused = bed.compositor.set_mode(Mode::new(854, 480, 60));
    assert!(matches!(refused, Err(DisplayError::Mode { width: 854, .. })), "{refused:?}");
    goes_on(&mut bed, Mode::new(1280, 800, 30), &file);
    assert_eq!((bed.compositor.gone(), of_session(&bed.spec.session).len()), (None, before));
    bed.ends();
}

#[test]
#[ignore = "needs KWin 6.7: run by vm-tests/desktops"]
fn a_kwin_that_is_killed_is_noticed_and_leaves_nothing() {
    let bed = Bed::own(kwin::start, Mode::new(1280, 720, 60));
    bed.ends_when_killed("kwin_wayland", "kwin ended: signal: 9");
}
