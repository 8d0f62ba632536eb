//! Outputs that change, and several of one sway.

use lumen_host::capture::CaptureError;
use lumen_host::frame::Mode;
use std::time::{Duration, Instant};

use crate::bed::{Bed, colours, eventually, last_frame, next_frame, psnr};
use crate::pictures::SCENE;

#[test]
fn another_mode_keeps_the_program_and_ends_the_old_capture() {
    let mut bed = Bed::own(Mode::new(1280, 720, 60));
    let mut foot = bed.terminal(SCENE);
    let mut old = bed.capture();
    next_frame(&mut *old);
    let mode = Mode::new(1600, 900, 75);
    bed.compositor.set_mode(mode).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(bed.compositor.mode(), mode);
    eventually("the old capture ends", || {
        matches!(old.next(Instant::now() + Duration::from_millis(50)), Err(CaptureError::DisplayGone(_))).then_some(())
    });
    let mut new = bed.capture();
    let mut last = next_frame(&mut *new);
    assert_eq!((last.image.width, last.image.height), (1600, 900));
    eventually("the program is shown in the new mode", || {
        if let Some(frame) = last_frame(&mut *new) {
            last = frame;
        }
        (colours(&last.image) == 64 && psnr(&last.image, &bed.screenshot("HEADLESS-1")) > 50.0).then_some(())
    });
    assert!(foot.poll().is_none(), "the program ended");
    assert!(bed.compositor.gone().is_none());
}

#[test]
fn a_mode_that_cannot_be_is_refused_and_the_old_one_stays() {
    let mut bed = Bed::own(Mode::new(1280, 720, 60));
    for mode in [Mode::new(0, 720, 60), Mode::new(1280, 100_000, 60), Mode::new(1280, 720, 0)] {
        assert!(bed.compositor.set_mode(mode).is_err(), "{mode:?}");
    }
    let mut capture = bed.capture();
    assert_eq!(next_frame(&mut *capture).image.width, 1280);
}

#[test]
fn two_outputs_of_one_sway_have_their_own_modes_and_pictures() {
    let mut first = Bed::own(Mode::new(1280, 720, 60));
    let _left = first.terminal("stty raw -echo; touch ready; exec cat > typed");
    let mut second = Bed::beside(&first, Mode::new(1024, 600, 50));
    let _right = second.terminal(SCENE);
    let third = Bed::beside(&first, Mode::new(800, 600, 30));
    assert_eq!(first.active_outputs(), ["HEADLESS-1", "HEADLESS-2", "HEADLESS-3"]);
    // It is unplugged, or kept for the next session where sway cannot do that.
    drop(third);
    let left = first.active_outputs();
    let third = Bed::beside(&first, Mode::new(640, 480, 30));
    assert_eq!(first.active_outputs().len(), 3, "after {left:?}");
    drop(third);
    let mut captures = [(first.capture(), "HEADLESS-1"), (second.capture(), "HEADLESS-2")];
    let mut pictures = Vec::new();
    for (capture, output) in &mut captures {
        let mut last = next_frame(&mut **capture);
        eventually("each picture equals its own screenshot", || {
            if let Some(frame) = last_frame(&mut **capture) {
                last = frame;
            }
            (psnr(&last.image, &first.screenshot(output)) > 50.0).then_some(())
        });
        pictures.push(last.image);
    }
    assert_eq!((pictures[0].width, pictures[1].width), (1280, 1024));
    assert!(colours(&pictures[1]) == 64 && colours(&pictures[0]) < 64, "the programs are where they belong");
    drop(captures);
}
