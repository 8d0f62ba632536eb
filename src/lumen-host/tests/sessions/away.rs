//! Clients that go away without a word, and come back or do not.

use lumen_client::StreamOptions;
use lumen_client::options::Entry;
use lumen_host::admin::SessionState;

use crate::harness::{Host, assert_whole, begin, eventually, small, turn, watch};

fn state(host: &Host) -> Option<SessionState> {
    host.session_of("sofa").map(|session| session.state)
}

/// Two hosts, so that the ten seconds of silence pass only once.
#[test]
fn a_vanished_client_suspends_its_session_until_it_is_back_or_given_up() {
    let _turn = turn();
    let (patient, hasty) = (Host::start(), Host::with("stream.keep_alive = 2"));
    let clients = [patient.client("sofa"), hasty.client("sofa")];
    let mark = {
        let [first, second] =
            [begin(&clients[0], &patient.address(), &small()), begin(&clients[1], &hasty.address(), &small())];
        let mark = first.strip().expect("a card").session;
        first.vanish();
        second.vanish();
        mark
    };
    assert_eq!((state(&patient), state(&hasty)), (Some(SessionState::Streaming), Some(SessionState::Streaming)));
    eventually("the session is suspended", || (state(&patient) == Some(SessionState::Suspended)).then_some(()));
    eventually("the other ends after its keep-alive", || state(&hasty).is_none().then_some(()));
    hasty.is_deserted();
    assert_eq!(state(&patient), Some(SessionState::Suspended));
    let back = begin(&clients[0], &patient.address(), &StreamOptions { entry: Entry::Resume, ..small() });
    watch(&back, 10);
    assert_eq!(state(&patient), Some(SessionState::Streaming));
    let back = back.stop().expect("a report");
    assert_whole(&back);
    assert_eq!(back.video.card.expect("a card").session, mark);
    // The client that was given up starts anew.
    let anew = begin(&clients[1], &hasty.address(), &small());
    assert_whole(&anew.stop().expect("a report"));
}

#[test]
fn a_session_resumes_in_another_mode() {
    let _turn = turn();
    let host = Host::start();
    let client = host.client("sofa");
    let mut marks = Vec::new();
    for (width, height, fps, entry) in
        [(640, 360, 30, Entry::Launch), (400, 300, 24, Entry::Resume), (854, 480, 20, Entry::Auto)]
    {
        let session = begin(&client, &host.address(), &StreamOptions { width, height, fps, entry, ..small() });
        watch(&session, 10);
        assert_eq!(host.session_of("sofa").expect("a session").mode, Some(format!("{width}x{height}@{fps}")));
        let report = session.stop().expect("a report");
        assert_whole(&report);
        assert_eq!((report.video.width as u32, report.video.height as u32), (width, height));
        marks.push(report.video.card.expect("a card").session);
    }
    assert_eq!(marks, [marks[0]; 3]);
    assert_eq!(host.workers().len(), 1);
}

/// A device that lost its network is back with a new launch before its old stream is given up.
#[test]
fn a_client_that_resumes_replaces_its_own_stream() {
    let _turn = turn();
    let host = Host::start();
    let client = host.client("sofa");
    let first = begin(&client, &host.address(), &small());
    let mark = first.strip().expect("a card").session;
    first.vanish();
    let second = begin(&client, &host.address(), &small());
    watch(&second, 10);
    assert_eq!(host.sessions().len(), 1);
    let second = second.stop().expect("a report");
    assert_whole(&second);
    assert_eq!((second.host.entry.as_str(), second.video.card.expect("a card").session), ("resume", mark));
}

/// The time that a session is kept begins when its client goes, not when it is launched or about to come back.
#[test]
fn without_a_keep_alive_sessions_end_with_their_stream() {
    let _turn = turn();
    let host = Host::with("stream.keep_alive = 0");
    let client = host.client("sofa");
    for _ in 0..2 {
        let session = begin(&client, &host.address(), &StreamOptions { entry: Entry::Launch, ..small() });
        watch(&session, 10);
        session.stop().expect("a report");
        eventually("the session ends", || host.sessions().is_empty().then_some(()));
        host.is_deserted();
    }
}
