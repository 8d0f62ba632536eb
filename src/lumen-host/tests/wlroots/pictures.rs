//! What is captured is what the compositor shows.

use lumen_host::frame::Mode;

use crate::animation::{Animation, number_of};
use crate::bed::{Bed, colours, eventually, last_frame, next_frame, psnr};

/// Coloured text that then stays.
pub const SCENE: &str = "for i in $(seq 0 255); do printf '\\033[48;5;%dm %3d ' $i $i; done; sleep 1000";

fn matches_the_screenshot(mode: Mode) {
    let mut bed = Bed::own(mode);
    let _foot = bed.terminal(SCENE);
    let mut capture = bed.capture();
    let mut last = next_frame(&mut *capture);
    eventually("the picture equals the screenshot", || {
        if let Some(frame) = last_frame(&mut *capture) {
            last = frame;
        }
        (colours(&last.image) == 64).then_some(())?;
        let found = psnr(&last.image, &bed.screenshot("HEADLESS-1"));
        println!("{mode:?}: PSNR {found} dB");
        (found > 50.0).then_some(())
    });
    let outputs = bed.output("swaymsg", &["-t", "get_outputs"]);
    let rate = format!("\"refresh\": {}", mode.rate_num * 1000 / mode.rate_den);
    assert!(outputs.contains(&rate), "{rate} in {outputs}");
}

#[test]
fn hd_at_60_hz_matches_the_screenshot() {
    matches_the_screenshot(Mode::new(1280, 720, 60));
}

#[test]
fn full_hd_at_30_hz_matches_the_screenshot() {
    matches_the_screenshot(Mode::new(1920, 1080, 30));
}

#[test]
fn an_odd_mode_matches_the_screenshot() {
    matches_the_screenshot(Mode::new(1366, 768, 50));
}

#[test]
fn a_fractional_rate_is_kept() {
    matches_the_screenshot(Mode { width: 1280, height: 720, rate_num: 60_000, rate_den: 1001 });
}

#[test]
fn the_first_picture_of_a_still_screen_comes_and_then_nothing() {
    let mut bed = Bed::own(Mode::new(640, 360, 60));
    for _ in 0..2 {
        let mut capture = bed.capture();
        assert_eq!(next_frame(&mut *capture).serial, 1);
        let last = last_frame(&mut *capture);
        assert!(last.is_none_or(|frame| frame.serial <= 2), "a still screen yields pictures");
    }
}

#[test]
fn every_picture_of_a_moving_program_is_another_one_with_honest_times() {
    const MODE: Mode = Mode::new(640, 360, 60);
    const PICTURES: usize = 240;
    let mut bed = Bed::own(MODE);
    let socket = bed.compositor.environment().into_iter().find(|(name, _)| name == "WAYLAND_DISPLAY");
    let animation = Animation::start(&socket.expect("a socket").1);
    let mut capture = bed.capture();
    // The desktop's own colour reads as a number that no program reaches here.
    let is_drawn = |number| (2..1_000_000).contains(&number);
    eventually("the program is shown", || is_drawn(number_of(&next_frame(&mut *capture).image)).then_some(()));
    let seen: Vec<_> = (0..PICTURES)
        .map(|_| {
            let frame = next_frame(&mut *capture);
            (number_of(&frame.image), frame.serial, frame.timeline)
        })
        .collect();
    drop(animation);
    for pair in seen.windows(2) {
        let [(number, serial, timeline), (next_number, next_serial, next_timeline)] = pair else { continue };
        assert!(number < next_number, "picture {number} came twice: {pair:?}");
        assert!(serial < next_serial);
        assert!(timeline.presented < next_timeline.presented);
        assert!(next_timeline.presented <= next_timeline.captured);
    }
    // The compositor's clock of whole milliseconds may run fast; the pictures do not, but for the first in hand.
    let ((first, first_serial, begin), (last, last_serial, end)) = (seen[0], seen[PICTURES - 1]);
    let span = end.presented - begin.presented;
    let captured = last_serial - first_serial;
    println!("{} pictures drawn, {captured} captured, {} taken in {span:?}", last - first, PICTURES - 1);
    assert!(span + MODE.interval() * 2 >= MODE.interval() * u32::try_from(captured).expect("few"), "{span:?}");
}
