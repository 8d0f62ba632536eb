//! Streams over lumen/1: as whole as those over GameStream, and beyond them.

use std::time::{Duration, Instant};

use lumen_client::loss::LossOptions;
use lumen_client::options::{Entry, Transport};
use lumen_client::report::{Ending, StreamReport};
use lumen_client::script::Script;
use lumen_client::{Session, StreamOptions};
use lumen_host::admin::{SessionState, Transport as AdminTransport};
use rustix::process::Signal;

use crate::harness::{
    Host, assert_accounted, assert_tone, assert_whole, begin, ending, eventually, script, small, turn, watch,
};

fn lumen1() -> StreamOptions {
    StreamOptions { transport: Transport::Lumen1, ..small() }
}

fn stop(session: Session) -> StreamReport {
    let report = session.stop().expect("a report");
    assert_eq!(report.transport, "lumen1", "{report}");
    report
}

#[test]
fn a_stream_is_whole_with_its_tone_and_its_input() {
    let _turn = turn();
    let host = Host::start();
    let client = host.client("sofa");
    for address in [host.address(), host.address_v6()] {
        let options = StreamOptions { script: Some(script(640, 360)), ..lumen1() };
        let report = client.stream(&address, &options).unwrap_or_else(|error| panic!("{error}\n{}", host.log()));
        assert_eq!((report.ending.clone(), report.transport.as_str()), (Ending::Completed, "lumen1"), "{report}");
        assert_whole(&report);
        assert_accounted(&host, "sofa", &report);
        assert_tone(&report);
        assert!(report.video.frames_decoded >= 10 && report.input.sent > 20, "{report}");
        assert_eq!(report.input.complete, Some(true), "{report}");
        client.quit(&address).expect("it ends");
        host.is_deserted();
    }
}

#[test]
fn a_host_that_does_not_offer_it_streams_without() {
    let _turn = turn();
    let host = Host::with("stream.lumen1 = false");
    let client = host.client("sofa");
    let refused = client.stream(&host.address(), &lumen1()).map(drop).expect_err("it is off").to_string();
    assert!(refused.contains("does not offer lumen/1"), "{refused}");
    let options = StreamOptions { transport: Transport::Auto, ..small() };
    let report = client.stream(&host.address(), &options).expect("a stream");
    assert_eq!(report.transport, "gamestream");
    assert_whole(&report);
}

#[test]
fn what_is_lost_is_restored_or_asked_for_again() {
    let _turn = turn();
    let host = Host::start();
    let client = host.client("sofa");
    let loss = LossOptions { video_percent: 5.0, audio_percent: 5.0, ..LossOptions::default() };
    let duration = Some(Duration::from_secs(6));
    let options = StreamOptions { duration, least_frames: 100, fps: 60, loss, ..lumen1() };
    let report = client.stream(&host.address(), &options).expect("a stream");
    let video = &report.video;
    assert!(video.datagrams_withheld > 0 && report.audio.packets_recovered > 0, "{report}");
    assert_eq!((video.decode_errors, video.datagrams_malformed), (0, 0), "{report}");
    assert_eq!(video.card.as_ref().map(|card| card.unreadable), Some(0), "{report}");
    assert!(video.frames_lost * 100 <= video.frames_received, "{report}");
    // Three packets of sound in a row, of 5 % each.
    assert!(report.audio.packets_lost * 200 <= report.audio.packets, "{report}");
}

#[test]
fn after_a_burst_that_nothing_restores_the_picture_comes_back() {
    let _turn = turn();
    let host = Host::start();
    let client = host.client("sofa");
    let loss = LossOptions { video_percent: 40.0, burst: 60, seed: 5, ..LossOptions::default() };
    let options = StreamOptions { duration: Some(Duration::from_secs(4)), least_frames: 60, loss, ..lumen1() };
    let report = client.stream(&host.address(), &options).expect("a stream");
    let video = &report.video;
    assert!(video.frames_lost > 0, "the loss is meant to be too much: {report}");
    assert_eq!(video.decode_errors, 0, "{report}");
    assert_eq!(video.card.as_ref().map(|card| card.unreadable), Some(0), "{report}");
    let first = video.lost_ranges.first().expect("a loss").first;
    assert!(video.frames_decoded > u64::from(first), "{report}");
}

#[test]
fn a_client_that_changes_its_address_streams_on() {
    let _turn = turn();
    let host = Host::start();
    let client = host.client("sofa");
    let stream = begin(&client, &host.address(), &lumen1());
    let peer = || host.session_of("sofa").and_then(|session| session.peer);
    let first = eventually("it is somewhere", peer);
    assert_eq!(host.session_of("sofa").and_then(|session| session.transport), Some(AdminTransport::Lumen1));
    for _ in 0..3 {
        let before = eventually("it is somewhere", peer);
        stream.change_address();
        eventually("the host follows", || peer().filter(|now| *now != before));
        watch(&stream, 15);
    }
    assert_ne!(peer(), Some(first));
    assert_eq!(host.workers().len(), 1);
    let report = stop(stream);
    assert_eq!((report.ending, report.video.decode_errors), (Ending::Completed, 0));
}

#[test]
fn a_client_that_vanished_comes_back_by_either_protocol() {
    let _turn = turn();
    let host = Host::start();
    let client = host.client("sofa");
    let stream = begin(&client, &host.address(), &lumen1());
    let (mark, worker) = (stream.strip().expect("a card").session, host.worker_of("sofa"));
    assert_eq!(stream.vanish().transport, "lumen1");
    for transport in [Transport::GameStream, Transport::Lumen1, Transport::Lumen1] {
        let options = StreamOptions { entry: Entry::Resume, transport, ..small() };
        let stream = begin(&client, &host.address(), &options);
        watch(&stream, 10);
        assert_eq!(stream.strip().expect("a card").session, mark, "it is the same display");
        assert_eq!(host.worker_of("sofa"), worker);
        let report = stream.stop().expect("a report");
        assert_eq!(report.transport, transport.name());
        assert_whole(&report);
        eventually("it is suspended", || {
            host.session_of("sofa").filter(|session| session.state == SessionState::Suspended)
        });
    }
    client.quit(&host.address()).expect("it ends");
    host.is_deserted();
}

/// A client that says nothing any more is gone after ten seconds.
#[test]
fn the_session_of_a_silent_client_is_suspended() {
    let _turn = turn();
    let host = Host::start();
    let client = host.client("sofa");
    begin(&client, &host.address(), &lumen1()).vanish();
    eventually("it is suspended", || {
        host.session_of("sofa").filter(|session| session.state == SessionState::Suspended)
    });
    assert_eq!(host.workers(), [host.worker_of("sofa")]);
}

#[test]
fn a_restart_of_the_daemon_ends_no_stream_and_loses_no_input() {
    let _turn = turn();
    let mut host = Host::start();
    let client = host.client("sofa");
    let stream = begin(&client, &host.address(), &lumen1());
    let (begun, worker) = (Instant::now(), host.worker_of("sofa"));
    let play = |text: &str| {
        let script = Script::parse(text, small().width, small().height).expect("a script");
        script.steps.into_iter().for_each(|step| stream.send(step.event));
    };
    while begun.elapsed() < Duration::from_secs(13) {
        play("key W down");
        watch(&stream, 10);
        assert_eq!(host.end_by(Signal::USR2).code(), Some(0), "{}", host.log());
        // The worker hears its client by a socket of its own.
        play("key W up");
        watch(&stream, 2);
        host.serve();
        let back = eventually("its stream goes on", || host.session_of("sofa"));
        assert_eq!((back.worker_pid, back.state), (Some(worker), SessionState::Streaming));
        eventually("the host heard it", || (stream.report().input.complete == Some(true)).then_some(()));
    }
    assert_whole(&stream.report());
    // The new daemon knows whose datagrams these are, too.
    stream.change_address();
    watch(&stream, 30);
    let report = stop(stream);
    assert_eq!((report.ending, report.video.decode_errors), (Ending::Completed, 0));
    assert_eq!(host.workers(), [worker]);
    client.quit(&host.address()).expect("it ends");
    host.is_deserted();
}

#[test]
fn a_stream_outlives_a_killed_daemon() {
    let _turn = turn();
    let mut host = Host::start();
    let client = host.client("sofa");
    let stream = begin(&client, &host.address(), &lumen1());
    let worker = host.worker_of("sofa");
    host.kill();
    watch(&stream, 45);
    host.serve();
    let back = eventually("the session is taken back", || host.session_of("sofa"));
    assert_eq!((back.worker_pid, back.state), (Some(worker), SessionState::Streaming));
    // The new daemon knows whose stream it is, and where its client may come from.
    let peer = || host.session_of("sofa").and_then(|session| session.peer);
    let before = eventually("it is somewhere", peer);
    stream.change_address();
    eventually("the host follows", || peer().filter(|now| *now != before));
    watch(&stream, 15);
    let report = stop(stream);
    assert_eq!((report.ending, report.video.decode_errors), (Ending::Completed, 0));
    let resumed = begin(&client, &host.address(), &StreamOptions { entry: Entry::Resume, ..lumen1() });
    watch(&resumed, 10);
    assert_whole(&stop(resumed));
    assert_eq!(host.workers(), [worker]);
}

#[test]
fn the_end_of_the_application_is_told() {
    let _turn = turn();
    let host = Host::start();
    let (client, other) = (host.client("sofa"), host.client("desk"));
    let beside = begin(&other, &host.address(), &lumen1());
    let stream = begin(&client, &host.address(), &lumen1());
    client.quit(&host.address()).expect("it ends");
    assert_eq!(ending(&stream), Ending::ClosedByHost);
    watch(&beside, 10);
    assert_whole(&stop(beside));
}

#[test]
fn input_that_is_not_granted_goes_nowhere_and_grants_change_at_once() {
    let _turn = turn();
    let host = Host::with("grants.input = []");
    let client = host.client("sofa");
    let stream = begin(&client, &host.address(), &lumen1());
    let play = |text: &str| {
        let script = Script::parse(text, small().width, small().height).expect("a script");
        script.steps.into_iter().for_each(|step| stream.send(step.event));
    };
    play("key A tap");
    watch(&stream, 20);
    assert_eq!(stream.report().input.arrived.unwrap_or(0), 0, "{}", stream.report());
    let granted = host.command().args(["clients", "grant", "sofa", "--input", "keyboard"]).output().expect("it runs");
    assert!(granted.status.success(), "{}", String::from_utf8_lossy(&granted.stderr));
    eventually("a key arrives", || {
        play("key B tap");
        watch(&stream, 2);
        stream.report().input.arrived.filter(|arrived| *arrived > 0)
    });
    stream.vanish();
}
