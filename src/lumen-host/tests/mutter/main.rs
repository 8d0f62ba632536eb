//! Sessions on a real Mutter, with software rendering and a PipeWire of their own. Needs the packages mutter, dbus,
//! pipewire, wireplumber, foot and weston (for weston-simple-shm).

#![cfg(feature = "pipewire")]

#[path = "../wlroots/bed.rs"]
#[expect(dead_code, reason = "shared with the tests on sway, which use all of it")]
mod bed;
mod clipboard;
#[path = "../wlroots/crossing.rs"]
mod crossing;
mod desk;
#[path = "../sessions/harness.rs"]
#[expect(dead_code, reason = "shared with the tests of sessions, which use all of it")]
mod harness;
#[path = "../sessions/leftovers.rs"]
#[expect(dead_code, reason = "shared with the tests on sway, which use all of it")]
mod leftovers;
#[path = "../desktops/painter.rs"]
#[expect(dead_code, reason = "shared with the tests of newer desktops, which use all of it")]
mod painter;
mod shared;
#[path = "../wlroots/stage.rs"]
mod stage;
mod streams;
mod together;
#[path = "../sound/tones.rs"]
mod tones;

use std::fs;
use std::time::{Duration, Instant};

use lumen_core::gamestream::input::{
    AbsolutePosition, InputEvent, MouseButton, MouseButtonEvent, PressState, ReferenceExtent, Text,
};
use lumen_host::capture::{CaptureError, Captured};
use lumen_host::display::process::of_session;
use lumen_host::frame::Mode;
use lumen_host::input::InputSink;
use rustix::process::{Pid, Signal, kill_process};

use desk::{PATIENCE, Session, background, is_uniform, next, next_where, press, wait_for};

/// Shows a terminal of known colour and a moving client at `mode`, and looks at both.
fn shows_its_mode(test: &str, mode: Mode) {
    let mut session = Session::open(test, mode);
    let mut capture = session.compositor.capture().unwrap();
    let first = next(&mut *capture);
    assert_eq!((first.image.width, first.image.height), (mode.width, mode.height));
    assert_eq!(first.serial, 1);
    let monitors = session.monitors();
    assert_eq!(monitors.len(), 1, "one monitor: {monitors:?}");
    let (width, height, rate) = monitors[0];
    assert_eq!((width.cast_unsigned(), height.cast_unsigned()), (mode.width, mode.height));
    assert!((rate - mode.fps()).abs() < 0.01, "{rate} Hz instead of {}", mode.fps());

    session.terminal("");
    let shown = next_where(&mut *capture, "the terminal", |image| background(image) > 0.99);
    assert_eq!((shown.image.width, shown.image.height), (mode.width, mode.height));

    session.run("weston-simple-shm", &[]);
    let moving = next_where(&mut *capture, "the moving client", |image| !is_uniform(image) && background(image) < 0.99);
    next_where(&mut *capture, "movement", |image| *image != *moving.image && background(image) < 0.99);
}

#[test]
fn a_monitor_has_exactly_the_mode_1280x720_at_60() {
    shows_its_mode("m1", Mode::new(1280, 720, 60));
}

#[test]
fn a_monitor_has_exactly_the_mode_1920x1080_at_30() {
    shows_its_mode("m2", Mode::new(1920, 1080, 30));
}

#[test]
fn a_monitor_has_exactly_the_mode_1366x768_at_50() {
    shows_its_mode("m3", Mode::new(1366, 768, 50));
}

#[test]
fn typed_text_arrives_byte_for_byte() {
    let mut session = Session::open("t", Mode::new(1280, 720, 60));
    let file = session.terminal("");
    // It reported its focus.
    let before = fs::read(&file).unwrap().len();
    let mut input = session.compositor.input().unwrap();
    // H e l l o , space W 4 2 !
    let keys = [
        (0x48, true),
        (0x45, false),
        (0x4C, false),
        (0x4C, false),
        (0x4F, false),
        (0xBC, false),
        (0x20, false),
        (0x57, true),
        (0x34, false),
        (0x32, false),
        (0x31, true),
    ];
    for (key, shift) in keys {
        press(&mut *input, key, shift);
    }
    input.handle(&InputEvent::Text(Text::try_from("Fox & {Dog} ~ 99%\n".to_owned()).unwrap()));
    // What no key of a US keyboard writes, of both levels.
    for text in ["Größe à 5 €, ¿ñandú?", "„Zażółć“ – œuvre…", "Щука и Ёж, ґ"] {
        input.handle(&InputEvent::Text(Text::try_from(text.to_owned()).unwrap()));
    }
    let wanted = "Hello, W42!Fox & {Dog} ~ 99%\rGröße à 5 €, ¿ñandú?„Zażółć“ – œuvre…Щука и Ёж, ґ";
    let typed = || fs::read(&file).unwrap()[before..].to_vec();
    wait_for("all bytes", || typed().len() >= wanted.len());
    assert_eq!(String::from_utf8_lossy(&typed()), wanted);
}

#[test]
fn the_pointer_goes_where_the_client_says() {
    let mode = Mode::new(1280, 720, 60);
    let mut session = Session::open("p", mode);
    // Reports of all motion, in pixels.
    let file = session.terminal("\\033[?1003h\\033[?1006h\\033[?1016h");
    let mut capture = session.compositor.capture().unwrap();
    next_where(&mut *capture, "the terminal over the whole picture", |image| background(image) > 0.99);
    let mut input = session.compositor.input().unwrap();
    let extent = |extent: u32| ReferenceExtent::try_from((extent - 1) as i16).unwrap();
    let move_to = |input: &mut dyn InputSink, x: i16, y: i16| {
        input.handle(&InputEvent::MouseAbsolute(AbsolutePosition {
            x,
            y,
            reference_width: extent(mode.width),
            reference_height: extent(mode.height),
        }));
    };
    // A pointer that enters a window is not one that moves in it: it moves until the terminal sees that.
    let mut at = 200;
    wait_for("the first report", || {
        at += 1;
        move_to(&mut *input, at, at);
        fs::read(&file).unwrap().ends_with(b"M")
    });
    for (x, y) in [(100, 50), (640, 360), (1200, 600), (3, 650)] {
        move_to(&mut *input, x, y);
        // Reports count from 1.
        let report = format!("\x1b[<35;{};{}M", x + 1, y + 1);
        wait_for(&format!("the report of {x},{y}"), || {
            let typed = fs::read(&file).unwrap();
            typed.windows(report.len()).any(|window| window == report.as_bytes())
        });
    }
    for state in [PressState::Down, PressState::Up] {
        input.handle(&InputEvent::MouseButton(MouseButtonEvent { state, button: MouseButton::Left }));
    }
    wait_for("the click", || {
        let typed = fs::read(&file).unwrap();
        typed.ends_with(b"m") && typed.windows(8).any(|window| window.starts_with(b"\x1b[<0;"))
    });
}

#[test]
fn another_mode_keeps_the_programs() {
    let mut session = Session::open("r", Mode::new(1280, 720, 60));
    let file = session.terminal("");
    let mut old = session.compositor.capture().unwrap();
    // Mutter lets windows grow when they appear, and stops half-way when its monitors change then.
    next_where(&mut *old, "the terminal", |image| background(image) > 0.99);
    // The last change is of the rate alone.
    for mode in [Mode::new(1600, 900, 30), Mode::new(800, 600, 60), Mode::new(800, 600, 30)] {
        session.compositor.set_mode(mode).unwrap();
        assert_eq!(session.compositor.mode(), mode);
        let ended = (0..100).find_map(|_| old.next(Instant::now() + Duration::from_millis(10)).err());
        assert!(matches!(ended, Some(CaptureError::DisplayGone(_))), "the earlier capture goes on: {ended:?}");
        let mut capture = session.compositor.capture().unwrap();
        let shown = next_where(&mut *capture, "the terminal at the new size", |image| background(image) > 0.99);
        assert_eq!((shown.image.width, shown.image.height), (mode.width, mode.height));
        let (width, height, rate) = session.monitors()[0];
        assert_eq!(
            (width.cast_unsigned(), height.cast_unsigned(), rate.round()),
            (mode.width, mode.height, mode.fps())
        );
        old = capture;
    }
    assert!(session.programs_run());
    let before = fs::read(&file).unwrap().len();
    press(&mut *session.compositor.input().unwrap(), 0x41, false);
    wait_for("a key after the change", || fs::read(&file).unwrap()[before..].contains(&b'a'));
}

#[test]
fn a_desktop_that_runs_gets_a_further_monitor_which_goes_with_its_session() {
    let session = Session::open("f", Mode::new(1280, 720, 60));
    let mode = Mode::new(1024, 600, 50);
    let mut further = session.further("further", mode);
    let shown = next(&mut *further.capture().unwrap());
    assert_eq!((shown.image.width, shown.image.height), (mode.width, mode.height));
    let mut monitors = session.monitors();
    monitors.sort_by_key(|monitor| monitor.0);
    assert_eq!(monitors.iter().map(|monitor| (monitor.0, monitor.1)).collect::<Vec<_>>(), [(1024, 600), (1280, 720)]);
    drop(further);
    wait_for("the monitor to go", || session.monitors().len() == 1);
}

#[test]
fn pictures_and_input_come_back_after_pipewire_was_killed() {
    let mode = Mode::new(1280, 720, 60);
    let mut session = Session::open("w", mode);
    let file = session.terminal("");
    let mut capture = session.compositor.capture().unwrap();
    let mut input = session.compositor.input().unwrap();
    next_where(&mut *capture, "the terminal", |image| background(image) > 0.99);
    let killed = session.server.process_id().unwrap();
    kill_process(Pid::from_raw(killed.cast_signed()).unwrap(), Signal::KILL).unwrap();
    wait_for("PipeWire to be back", || session.server.process_id().is_some_and(|id| id != killed));
    // The session looks after its display all the time.
    wait_for("a picture by the same capture", || {
        assert_eq!(session.compositor.gone(), None);
        match capture.next(Instant::now()) {
            Ok(Captured::Frame(frame)) => {
                eprintln!(
                    "picture {}: {:.2} of it are the terminal's background",
                    frame.serial,
                    background(&frame.image)
                );
                background(&frame.image) > 0.99
            }
            Ok(Captured::Still) => false,
            Err(error) => panic!("{error}"),
        }
    });
    assert!(session.programs_run());
    let before = fs::read(&file).unwrap().len();
    wait_for("a key by the same input", || {
        assert_eq!(session.compositor.gone(), None);
        press(&mut *input, 0x41, false);
        fs::read(&file).unwrap()[before..].contains(&b'a')
    });
}

#[test]
fn a_mutter_that_is_killed_is_noticed_and_leaves_nothing() {
    let mut session = Session::open("k", Mode::new(1280, 720, 60));
    session.terminal("");
    let mut capture = session.compositor.capture().unwrap();
    next(&mut *capture);
    assert_eq!(session.compositor.gone(), None);
    let mutter = of_session(&session.id).into_iter().find(|pid| {
        fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero())).is_ok_and(|name| name.trim() == "mutter")
    });
    kill_process(mutter.expect("a process named mutter"), Signal::KILL).unwrap();
    wait_for("notice", || session.compositor.gone().is_some());
    let ended = (0..100).find_map(|_| capture.next(Instant::now() + PATIENCE).err());
    assert!(matches!(ended, Some(CaptureError::DisplayGone(_))));
    let (id, directory) = (session.id.clone(), session.directory.path().to_owned());
    drop(session);
    assert_eq!(of_session(&id), Vec::<Pid>::new());
    assert!(!directory.exists());
}
