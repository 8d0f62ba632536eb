//! What is captured is what the compositor shows.

use lumen_host::frame::Mode;

use crate::bed::{Bed, PATIENCE, colours, eventually, last_frame, next_frame, psnr};
use lumen_host::capture::Captured;
use std::time::{Duration, Instant};

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
fn a_moving_program_gives_distinct_pictures_with_honest_times() {
    const MODE: Mode = Mode::new(640, 360, 60);
    let mut bed = Bed::own(MODE);
    let _foot = bed.terminal("i=0; while :; do i=$((i+1)); printf '\\r%d' $i; done");
    let mut capture = bed.capture();
    let mut seen = Vec::new();
    let until = Instant::now() + PATIENCE;
    while seen.len() < 120 && Instant::now() < until {
        if let Ok(Captured::Frame(frame)) = capture.next(Instant::now() + Duration::from_secs(1)) {
            seen.push(frame);
            // Pictures that are held would keep their memory from being used again.
            if seen.len() > 2 {
                let place = seen.len() - 3;
                seen[place].image = std::sync::Arc::clone(&seen[0].image);
            }
        }
    }
    assert_eq!(seen.len(), 120, "the pictures stopped");
    for pair in seen.windows(2) {
        assert!(pair[0].serial < pair[1].serial);
        assert!(pair[0].timeline.presented < pair[1].timeline.presented);
        assert!(pair[1].timeline.presented <= pair[1].timeline.captured);
    }
    // The compositor's clock of whole milliseconds may run fast; the pictures do not, but for the first in hand.
    let span = seen[119].timeline.presented - seen[0].timeline.presented;
    let pictures = seen[119].serial - seen[0].serial;
    println!("{pictures} intervals in {span:?}");
    assert!(span + MODE.interval() * 2 >= MODE.interval() * u32::try_from(pictures).expect("few"), "{span:?}");
}
