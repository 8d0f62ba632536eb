//! A compositor that dies, hangs, or never comes up.

use std::fs;
use std::time::{Duration, Instant};

use lumen_core::gamestream::input::{InputEvent, RelativeMotion};
use lumen_host::capture::{CaptureError, Captured};
use lumen_host::config::Instance;
use lumen_host::display::DisplayError;
use lumen_host::display::process::{clean_up, of_session};
use lumen_host::display::wlroots;
use lumen_host::frame::Mode;
use rustix::process::{Pid, Signal, kill_process};

use crate::bed::{Bed, PATIENCE, eventually, next_frame, spec};

const MODE: Mode = Mode::new(1280, 720, 60);

/// The sway of a session.
fn sway(bed: &Bed) -> Pid {
    of_session(&bed.spec.session)
        .into_iter()
        .find(|pid| {
            fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero())).is_ok_and(|name| name.trim() == "sway")
        })
        .expect("sway runs")
}

#[test]
fn a_killed_sway_is_noticed_and_nothing_is_left() {
    let mut bed = Bed::own(MODE);
    let foot = bed.terminal("sleep 1000");
    let mut capture = bed.capture();
    let mut sink = bed.compositor.input().unwrap_or_else(|error| panic!("{error}"));
    next_frame(&mut *capture);
    assert!(bed.compositor.gone().is_none());
    let x11 = bed.compositor.environment().into_iter().find(|(name, _)| name == "DISPLAY").map(|(_, display)| display);
    let pid = sway(&bed);
    kill_process(pid, Signal::KILL).expect("ours");
    let until = Instant::now() + PATIENCE;
    let error = loop {
        match capture.next(Instant::now() + Duration::from_millis(50)) {
            Ok(_) => assert!(Instant::now() < until, "the capture does not end"),
            Err(CaptureError::DisplayGone(reason)) => break reason,
        }
    };
    println!("the capture says: {error}");
    let reason = eventually("the compositor is gone", || bed.compositor.gone());
    assert!(reason.contains("signal: 9"), "{reason}");
    // Nobody minds.
    sink.handle(&InputEvent::MouseRelative(RelativeMotion { dx: 1, dy: 1 }));
    sink.release_all();
    assert!(bed.compositor.capture().is_err());
    let (session, directory) = (bed.spec.session.clone(), bed.spec.directory.clone());
    drop((capture, sink, foot, bed));
    clean_up(&session, &directory);
    eventually("no process is left", || of_session(&session).is_empty().then_some(()));
    assert!(!directory.exists());
    println!("its X display was {x11:?}");
    if let Some(display) = x11 {
        let number = display.trim_start_matches(':');
        // Another sway may have taken the number by now.
        let lock = fs::read_to_string(format!("/tmp/.X{number}-lock")).unwrap_or_default();
        assert_ne!(lock.trim(), pid.as_raw_nonzero().to_string(), "the lock of {display} is left");
    }
}

#[test]
fn an_end_in_order_leaves_nothing() {
    let mut bed = Bed::own(MODE);
    let foot = bed.terminal("sleep 1000");
    let mut capture = bed.capture();
    next_frame(&mut *capture);
    let (session, directory) = (bed.spec.session.clone(), bed.spec.directory.clone());
    drop((capture, foot, bed));
    eventually("no process is left", || of_session(&session).is_empty().then_some(()));
    assert!(!directory.exists());
}

#[test]
fn a_sway_that_hangs_blocks_nobody() {
    let mut bed = Bed::own(MODE);
    let mut capture = bed.capture();
    let mut sink = bed.compositor.input().unwrap_or_else(|error| panic!("{error}"));
    next_frame(&mut *capture);
    let pid = sway(&bed);
    kill_process(pid, Signal::STOP).expect("ours");
    // More than any socket holds; and every call returns.
    for _ in 0..200_000 {
        sink.handle(&InputEvent::MouseRelative(RelativeMotion { dx: 1, dy: 1 }));
    }
    sink.release_all();
    // At most one picture was on its way.
    let mut still = 0;
    for _ in 0..4 {
        if let Ok(Captured::Still) = capture.next(Instant::now() + Duration::from_millis(50)) {
            still += 1;
        }
    }
    assert!(still >= 3, "a stopped compositor yields pictures");
    assert!(bed.compositor.gone().is_none(), "it is not gone");
    // A new capture of it fails by its deadline instead of waiting for ever.
    assert!(matches!(bed.compositor.capture(), Err(DisplayError::Failed { .. })));
    kill_process(pid, Signal::CONT).expect("ours");
    eventually("it goes on", || {
        sink.handle(&InputEvent::MouseRelative(RelativeMotion { dx: 5, dy: 5 }));
        matches!(capture.next(Instant::now() + Duration::from_millis(50)), Ok(Captured::Frame(_))).then_some(())
    });
}

#[test]
fn a_hanging_sway_is_ended_all_the_same() {
    let bed = Bed::own(MODE);
    let session = bed.spec.session.clone();
    kill_process(sway(&bed), Signal::STOP).expect("ours");
    drop(bed);
    eventually("no process is left", || of_session(&session).is_empty().then_some(()));
}

#[test]
fn a_sway_that_does_not_come_up_says_why() {
    let (mut spec, _directory) = spec(MODE, Instance::Own);
    // No socket has room for such a path.
    spec.directory = spec.directory.join("x".repeat(120));
    fs::create_dir(&spec.directory).expect("a directory");
    let error = wlroots::start(&spec).err().expect("it cannot start").to_string();
    println!("{error}");
    assert!(error.contains("sway ended") && error.to_lowercase().contains("socket"), "{error}");
    assert!(of_session(&spec.session).is_empty());
}

#[test]
fn without_a_running_sway_the_reason_is_named() {
    let (mut spec, _directory) = spec(MODE, Instance::Running);
    spec.environment.push(("SWAYSOCK".to_owned(), "/nonexistent/sway.sock".to_owned()));
    assert!(
        matches!(wlroots::start(&spec), Err(DisplayError::Unavailable { reason, .. }) if reason.contains("SWAYSOCK"))
    );
}
