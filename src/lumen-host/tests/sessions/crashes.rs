//! Processes that die: a worker, the daemon; and the daemon that is told to end.

use std::fs::File;
use std::time::{Duration, Instant};

use lumen_client::options::Entry;
use lumen_client::report::Ending;
use lumen_client::script::Script;
use lumen_client::{ClientError, StreamOptions};
use lumen_host::admin::SessionState;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Signal;

use crate::harness::{Host, assert_whole, begin, ending, eventually, signal, small, turn, watch};

#[test]
fn a_killed_worker_takes_one_stream_with_it() {
    let _turn = turn();
    let host = Host::start();
    let (sofa, desk) = (host.client("sofa"), host.client("desk"));
    let beside = begin(&desk, &host.address(), &small());
    // Once before, so that what is counted below has happened once already.
    begin(&sofa, &host.address(), &small()).stop().expect("a report");
    sofa.quit(&host.address()).expect("it ends");
    eventually("one session is left", || (host.sessions().len() == 1).then_some(()));
    let descriptors = eventually("connections close", || {
        let before = host.descriptors();
        std::thread::sleep(std::time::Duration::from_millis(300));
        (host.descriptors() == before).then_some(before)
    });

    let hit = begin(&sofa, &host.address(), &small());
    signal(host.worker_of("sofa"), Signal::KILL);
    let told = ending(&hit);
    assert!(matches!(told, Ending::HostError(_)), "the client was told: {told:?}");
    hit.stop().expect("a report");
    let left: Vec<_> = host.status().sessions.into_iter().map(|session| session.client).collect();
    assert_eq!(left, ["desk"]);
    assert_eq!(host.workers(), [host.worker_of("desk")]);
    eventually("its descriptors are closed", || (host.descriptors() <= descriptors).then_some(()));

    // It may start again at once.
    let again = begin(&sofa, &host.address(), &StreamOptions { entry: Entry::Launch, ..small() });
    watch(&again, 10);
    assert_whole(&again.stop().expect("a report"));
    let beside = beside.stop().expect("a report");
    assert_eq!(beside.ending, Ending::Completed);
    assert_whole(&beside);
}

#[test]
fn streams_outlive_a_killed_daemon_and_a_new_one_takes_them_back() {
    let _turn = turn();
    let mut host = Host::start();
    let client = host.client("sofa");
    let stream = begin(&client, &host.address(), &small());
    let mark = stream.strip().expect("a card").session;
    let worker = host.worker_of("sofa");
    host.kill();
    watch(&stream, 45);
    assert_eq!(host.workers(), [worker]);
    host.serve();
    let back = eventually("the session is taken back", || host.session_of("sofa"));
    assert_eq!((back.worker_pid, back.state), (Some(worker), SessionState::Streaming));
    // Also while the new daemon is there and the client has not noticed anything yet.
    watch(&stream, 15);
    let before = stream.vanish();
    assert_eq!(before.video.frames_lost + before.video.decode_errors, 0, "{before}");

    let resumed = begin(&client, &host.address(), &StreamOptions { entry: Entry::Resume, ..small() });
    watch(&resumed, 10);
    assert_eq!(resumed.strip().expect("a card").session, mark, "it is the same display");
    assert_eq!(host.workers(), [worker]);
    let resumed = resumed.stop().expect("a report");
    assert_whole(&resumed);
    let (before, after) = (before.video.card.expect("a card"), resumed.video.card.expect("a card"));
    assert!(before.numbers.expect("numbers").last < after.numbers.expect("numbers").first);
    client.quit(&host.address()).expect("it ends");
    host.is_deserted();
}

/// As a service manager restarts it. A client whose control connection is lost gives up after ten seconds.
#[test]
fn a_restart_of_the_daemon_ends_no_stream_and_loses_no_input() {
    let _turn = turn();
    let mut host = Host::start();
    let client = host.client("sofa");
    let stream = begin(&client, &host.address(), &small());
    let (begun, worker) = (Instant::now(), host.worker_of("sofa"));
    let play = |text: &str| {
        let script = Script::parse(text, small().width, small().height).expect("a script");
        script.steps.into_iter().for_each(|step| stream.send(step.event));
    };
    play("key A down");
    while begun.elapsed() < Duration::from_secs(13) {
        play("key W down");
        watch(&stream, 10);
        assert_eq!(host.end_by(Signal::USR2).code(), Some(0), "{}", host.log());
        // Nobody hears this now.
        play("key W up");
        watch(&stream, 2);
        host.serve();
        let back = || host.session_of("sofa").filter(|session| session.peer.is_some());
        let back = eventually("its stream goes on", back);
        assert_eq!((back.worker_pid, back.state), (Some(worker), SessionState::Streaming));
        eventually("the host heard it", || (stream.report().input.complete == Some(true)).then_some(()));
    }
    play("key A up");
    eventually("the host heard it", || (stream.report().input.complete == Some(true)).then_some(()));
    assert_eq!(stream.ending(), Ending::Running);
    let report = stream.stop().expect("a report");
    assert_whole(&report);
    assert_eq!(host.workers(), [worker]);
    client.quit(&host.address()).expect("it ends");
    host.is_deserted();
}

/// A driver that takes its time, or for ever, keeps those waiting who come, not those who are here.
#[test]
fn a_daemon_whose_driver_hangs_goes_on_with_the_streams_of_the_one_before() {
    let _turn = turn();
    let mut host = Host::start();
    let client = host.client("sofa");
    let stream = begin(&client, &host.address(), &small());
    let worker = host.worker_of("sofa");
    // Whoever loads this library waits for somebody who writes it.
    let driver = host.path("driver");
    std::fs::create_dir(&driver).expect("a directory");
    let library = driver.join("libnvidia-encode.so.1");
    let hangs = || mknodat(CWD, &library, FileType::Fifo, Mode::RWXU, 0).expect("a pipe with a name");
    let answers = || {
        let writer = File::options().write(true).open(&library).expect("it is loaded");
        std::fs::remove_file(&library).expect("removed");
        drop(writer);
    };
    let command = || {
        let mut command = host.command();
        command.env("LUMEN_NVIDIA_DIR", &driver);
        command
    };
    let (first, second) = (command(), command());

    watch(&stream, 10);
    assert_eq!(host.end_by(Signal::USR2).code(), Some(0), "{}", host.log());
    hangs();
    host.begin_to_serve_by(first);
    let script = Script::parse("key W down\nkey W up", small().width, small().height).expect("a script");
    script.steps.into_iter().for_each(|step| stream.send(step.event));
    eventually("the host heard it", || (stream.report().input.complete == Some(true)).then_some(()));
    watch(&stream, 10);
    let ready = || host.log().matches("lumen is ready").count();
    assert_eq!((ready(), host.log().matches("session taken back").count()), (1, 1), "{}", host.log());
    answers();
    host.answers();
    let back = eventually("its stream goes on", || host.session_of("sofa"));
    assert_eq!((back.worker_pid, back.state, back.peer.is_some()), (Some(worker), SessionState::Streaming, true));

    // It can be told to end meanwhile.
    assert_eq!(host.end_by(Signal::USR2).code(), Some(0), "{}", host.log());
    hangs();
    host.begin_to_serve_by(second);
    eventually("it took the session back", || (host.log().matches("session taken back").count() == 2).then_some(()));
    assert_eq!(host.end_by(Signal::TERM).code(), Some(0), "{}", host.log());
    answers();
    assert_eq!(ending(&stream), Ending::ClosedByHost);
    host.is_deserted();
}

/// A worker whose client never comes back to the new daemon stops to stream after a while, and keeps its display.
#[test]
fn a_stream_that_was_taken_back_does_not_go_on_for_ever() {
    let _turn = turn();
    let mut host = Host::with("stream.keep_alive = 2");
    let client = host.client("sofa");
    let stream = begin(&client, &host.address(), &small());
    host.kill();
    stream.vanish();
    host.serve();
    eventually("the session is taken back", || host.session_of("sofa"));
    eventually("the session ends", || host.sessions().is_empty().then_some(()));
    host.is_deserted();
}

#[test]
fn without_a_new_daemon_workers_end_after_the_keep_alive() {
    let _turn = turn();
    let mut host = Host::with("stream.keep_alive = 2");
    let client = host.client("sofa");
    let stream = begin(&client, &host.address(), &small());
    host.kill();
    host.is_deserted();
    stream.vanish();
}

#[test]
fn a_daemon_that_is_told_to_end_says_goodbye() {
    let _turn = turn();
    let mut host = Host::start();
    let (sofa, desk) = (host.client("sofa"), host.client("desk"));
    let streams = [begin(&sofa, &host.address(), &small()), begin(&desk, &host.address(), &small())];
    let status = host.terminate();
    assert_eq!(status.code(), Some(0), "{}", host.log());
    for stream in &streams {
        assert_eq!(ending(stream), Ending::ClosedByHost);
    }
    host.is_deserted();
    let refused = sofa.info(&host.address());
    assert!(matches!(refused, Err(ClientError::Unreachable { .. })), "{refused:?}");
    // What it leaves behind starts again.
    host.serve();
    assert!(sofa.info(&host.address()).expect("it answers").info.paired);
}

#[test]
fn steps_after_a_session_run_also_when_its_worker_was_killed() {
    let _turn = turn();
    let mut host = Host::prepared("");
    let told = host.path("told");
    let step = |text: &str| format!("[\"sh\", \"-c\", \"echo {text} $LUMEN_CLIENT_NAME >>{}\"]", told.display());
    let app = format!(
        "[[apps]]\nname = \"Test card\"\ndisplay = \"testcard\"\nbefore = [{}]\nafter = [{}]\n",
        step("before"),
        step("after")
    );
    let config = std::fs::read_to_string(host.path("lumen.toml")).expect("readable");
    std::fs::write(host.path("lumen.toml"), config + &app).expect("written");
    host.serve();
    let client = host.client("sofa");
    let stream = begin(&client, &host.address(), &small());
    let lines = |expected: usize| {
        eventually(&format!("{expected} steps have run"), || {
            let text = std::fs::read_to_string(&told).unwrap_or_default();
            (text.lines().count() >= expected).then_some(text)
        })
    };
    assert_eq!(lines(1), "before sofa\n");
    signal(host.worker_of("sofa"), Signal::KILL);
    ending(&stream);
    drop(stream);
    assert_eq!(lines(2), "before sofa\nafter sofa\n");
    // In order, they run once as well.
    begin(&client, &host.address(), &small()).stop().expect("a report");
    client.quit(&host.address()).expect("it ends");
    assert_eq!(lines(4), "before sofa\nafter sofa\n".repeat(2));
    host.is_deserted();
    assert_eq!(lines(4).lines().count(), 4);
}
