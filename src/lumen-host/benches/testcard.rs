//! What a picture of the test card costs: CPU time of the drawing thread a frame, at rest and with a busy client, as
//! JSON lines `{"figure", "value", "unit", "how"}`.

use std::time::{Duration, Instant};

use lumen_core::gamestream::input::{InputEvent, RelativeMotion};
use lumen_host::capture::Captured;
use lumen_host::display::VirtualDisplay;
use lumen_host::display::testcard::{Ground, Testcard};
use lumen_host::frame::Mode;
use rustix::time::{ClockId, clock_gettime};

/// Frames of one measurement, and as many warm-up frames as a pool has buffers.
const FRAMES: u32 = 600;
const WARM_UP: u32 = 16;

/// A rate at which a frame is always due, so that the card never sleeps.
const NO_WAITING: u32 = 100_000;

fn main() {
    for (name, width, height) in [("720p", 1280, 720), ("1080p", 1920, 1080), ("2160p", 3840, 2160)] {
        let cases = [
            ("idle", Ground::Plain, false, "no input"),
            ("busy", Ground::Plain, true, "pointer moving every frame"),
            ("motion", Ground::Motion, false, "moving ground, no input"),
        ];
        for (case, ground, busy, how) in cases {
            let micros = frame_cost(ground, Mode::new(width, height, NO_WAITING), busy);
            report(&format!("testcard_draw_{name}_{case}"), micros, "us/frame", how);
        }
    }
    report("testcard_tone_8ch", tone_cost(), "us/5ms block", "8 channels of 240 frames");
}

fn report(figure: &str, value: f64, unit: &str, how: &str) {
    let how = format!("thread CPU time, mean; {how}");
    println!("{}", serde_json::json!({ "figure": figure, "value": value, "unit": unit, "how": how }));
}

fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn frame_cost(ground: Ground, mode: Mode, busy: bool) -> f64 {
    let mut card = Testcard::on(ground, mode, 1, "bench").expect("the mode is possible");
    let (mut capture, mut input) = (card.capture().expect("the card"), card.input().expect("the card"));
    let mut start = thread_cpu();
    for frame in 0..FRAMES + WARM_UP {
        if frame == WARM_UP {
            start = thread_cpu();
        }
        if busy {
            let dx = if frame / 50 % 2 == 0 { 7 } else { -7 };
            input.handle(&InputEvent::MouseRelative(RelativeMotion { dx, dy: dx / 2 }));
        }
        let taken = capture.next(Instant::now() + Duration::from_secs(1)).expect("the display is there");
        assert!(matches!(taken, Captured::Frame(_)));
    }
    (thread_cpu() - start).as_secs_f64() * 1e6 / f64::from(FRAMES)
}

fn tone_cost() -> f64 {
    let mut card = Testcard::new(Mode::new(320, 180, 60), 1, "bench").expect("the mode is possible");
    let mut tone = card.audio(8);
    let (mut samples, begin, start) = ([0.0; 240 * 8], Instant::now(), thread_cpu());
    for block in 0..2000 {
        tone.read(begin + Duration::from_millis(5) * block, &mut samples);
    }
    (thread_cpu() - start).as_secs_f64() * 1e6 / 2000.0
}
