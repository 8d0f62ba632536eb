//! `lumen bench display` with a program that draws for every refresh. What it prints is the machine's, and is not judged.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::painter::Painter;
use crate::x11;

/// Pictures without which it has not worked at all. An emulated machine without a GPU has seconds between them.
const LEAST: u64 = 2;

/// Prints the pacing of `display` with a program on it.
fn is_measured(display: &str, program: &[String], duration: &str) {
    let begin = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_lumen"))
        .args([
            "bench",
            "display",
            "--json",
            "--display",
            display,
            "--mode",
            "1280x720@60",
            "--duration",
            duration,
            "--",
        ])
        .args(program)
        .stderr(Stdio::inherit())
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}after {:.0?}", begin.elapsed());
    assert!(output.status.success(), "{}", output.status);
    let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let number = |name: &str| report[name].as_u64().unwrap_or_else(|| panic!("no {name}: {report}"));
    assert_eq!((number("width"), number("height")), (1280, 720));
    // The program draws no picture twice.
    let different = number("pictures") - number("repeated");
    assert!(different >= LEAST, "{different} different pictures");
}

#[test]
#[ignore = "needs KWin 6.7: run by vm-tests/desktops"]
fn the_pacing_of_kwin_is_measured() {
    is_measured("kwin", &Painter::command(), "90s");
}

#[test]
#[ignore = "needs gamescope 3.16 and a GPU: run by vm-tests/desktops"]
fn the_pacing_of_gamescope_is_measured() {
    is_measured("gamescope", &x11::command(Duration::from_millis(16)), "240s");
}
