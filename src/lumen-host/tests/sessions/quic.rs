//! lumen/1 without GameStream: pairing and streams over QUIC, and what strangers get there.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use lumen_client::native::HostLink;
use lumen_client::options::{Entry, Transport};
use lumen_client::report::{Ending, StreamReport};
use lumen_client::{Client, ClientError, StreamOptions};
use lumen_core::gamestream::http::Profile;
use lumen_core::gamestream::sdp::{AudioQuality, Matrix, Range, ReferenceFrames};
use lumen_core::lumen1::header::{SessionId, Stream};
use lumen_core::lumen1::keys::{Direction, KeySchedule};
use lumen_core::lumen1::message::Message;
use lumen_core::lumen1::native::{Refusal, Reply, Request, Verb, Wish};
use lumen_core::lumen1::negotiation::{Answer, Grants, Offer};
use lumen_core::lumen1::seal::{Sealer, SendPosition};
use lumen_host::admin::{SessionState, Status};
use rustix::process::Signal;

use crate::harness::{
    Host, PATIENCE, assert_accounted, assert_tone, assert_whole, begin, eventually, script, small, turn, watch,
};

fn host() -> Host {
    Host::with("quic = true")
}

fn quic() -> StreamOptions {
    StreamOptions { transport: Transport::Quic, ..small() }
}

fn let_in(host: &Host, client: &Client, name: &str, typed: &str) -> Result<(), String> {
    host.let_in_by(client, name, typed, || client.pair_natively(&host.address(), Some("4711"), |_| {}).map(drop))
}

/// A client that the operator has let in under `name`, over QUIC.
fn client(host: &Host, name: &str) -> Client {
    let client = host.stranger(name);
    let_in(host, &client, name, "4711").unwrap_or_else(|error| panic!("{name}: {error}\n{}", host.log()));
    client
}

fn refusal(link: &HostLink, request: &Request) -> Refusal {
    match link.ask(request) {
        Ok(Reply::Refused { refusal, .. }) => refusal,
        other => panic!("{request:?} was not refused: {other:?}"),
    }
}

fn wish() -> Wish {
    Wish {
        width: 640,
        height: 360,
        fps: 30,
        refresh_x100: 0,
        bitrate_kbps: 3000,
        profile: Profile::H264High8,
        matrix: Matrix::Bt709,
        range: Range::Limited,
        references: ReferenceFrames::HostDecides,
        slices: 1,
        channels: 2,
        sound: AudioQuality::Normal,
        sound_ms: 5,
    }
}

/// In milliseconds, between two decoded pictures.
fn longest_interval(report: &StreamReport) -> f64 {
    report.latency.picture_interval.map_or(0.0, |interval| interval.max)
}

fn take(offer: &Offer) -> Answer {
    let Offer { session, datagram, schemes, .. } = *offer;
    Answer { session, random: [7; 16], datagram, schemes, grants: Grants::NONE, max_frame: 1 << 20 }
}

#[test]
fn a_wrong_pin_shows_at_both_ends_and_the_right_one_is_good_for_gamestream_too() {
    let host = host();
    let sofa = host.stranger("sofa");
    let error = let_in(&host, &sofa, "sofa", "4712").expect_err("another PIN");
    assert_eq!(error.matches("the PIN is not the one that the client shows").count(), 2, "{error}");
    assert!(sofa.store().hosts().expect("a list").is_empty());
    assert!(matches!(sofa.link(&host.address()), Err(ClientError::NotPaired { .. })));
    assert_eq!(host.admin().get::<Status>("/v1/status").expect("an answer").clients, 0);

    let_in(&host, &sofa, "sofa", "4711").expect("the right one");
    let info = sofa.info(&host.address()).expect("it is known");
    assert!(info.info.paired && info.pinned == Some(host.certificate()));
    let titles = |apps: Vec<lumen_core::gamestream::http::App>| apps.into_iter().map(|app| (app.id, app.title));
    let over_quic = sofa.link(&host.address()).expect("a connection").apps().expect("a list");
    let over_http = sofa.apps(&host.address()).expect("a list");
    assert!(titles(over_quic).eq(titles(over_http)));

    // And the other way round.
    let desk = host.client("desk");
    assert!(desk.link(&host.address_v6()).expect("a connection").apps().is_ok());
}

#[test]
fn a_stranger_can_do_nothing_but_pair_and_has_one_try() {
    let host = host();
    let stranger = host.stranger("stranger");
    let link = stranger.link_to_stranger(&host.address()).expect("a connection");
    let session = SessionId(1);
    let offer = Offer {
        session,
        random: [0; 16],
        port: 1,
        datagram: 1200,
        schemes: lumen_core::lumen1::negotiation::Schemes::ALL,
        grants: Grants::NONE,
    };
    let requests = [
        Request::Apps { first: 0 },
        Request::Launch { verb: Verb::Launch, app: 1, wish: wish() },
        Request::Launch { verb: Verb::Resume, app: 1, wish: wish() },
        Request::Take(take(&offer)),
        Request::Quit,
        Request::Figures,
    ];
    for request in &requests {
        assert_eq!(refusal(&link, request), Refusal::NotPaired, "{request:?}");
    }
    assert!(host.sessions().is_empty() && host.workers().is_empty());
    assert_eq!(refusal(&link, &Request::Confirm { proof: [0; 32] }), Refusal::BadRequest);
    assert_eq!(refusal(&link, &Request::Unknown(0xFFFF)), Refusal::UnknownRequest);
    assert!(matches!(link.ask(&Request::Hello { revision: 9 }), Ok(Reply::Welcome { paired: false, running: 0, .. })));

    // A proof that is guessed is the end of it, in this connection.
    let guess = || {
        let Ok(Reply::Pair { .. }) = link.ask(&Request::Pair { element: point(), name: String::new() }) else {
            panic!("the PIN was entered")
        };
        assert_eq!(refusal(&link, &Request::Confirm { proof: [0; 32] }), Refusal::WrongPin);
        Err(ClientError::NativePairing("a guess".to_owned()))
    };
    assert!(host.let_in_by(&stranger, "stranger", "4711", guess).is_err());
    assert_eq!(refusal(&link, &Request::Pair { element: point(), name: String::new() }), Refusal::TooMany);
    assert_eq!(refusal(&link, &Request::Confirm { proof: [0; 32] }), Refusal::BadRequest);
    assert_eq!(refusal(&link, &Request::Quit), Refusal::NotPaired);
}

/// The base point, which is an element as good as any.
fn point() -> [u8; 32] {
    let mut point = [0x66; 32];
    point[0] = 0x58;
    point
}

#[test]
fn one_address_cannot_begin_any_number_of_attempts() {
    let host = host();
    let stranger = host.stranger("stranger");
    let pair = || Request::Pair { element: point(), name: "greedy".to_owned() };
    let connect = || stranger.link_to_stranger(&host.address()).expect("a connection");
    let links: Vec<_> = (0..4).map(|_| connect()).collect();
    let pending = || host.admin().get::<Vec<serde_json::Value>>("/v1/pairing").expect("a list").len();
    std::thread::scope(|scope| {
        let waiting: Vec<_> = links.iter().map(|link| scope.spawn(|| link.ask(&pair()))).collect();
        eventually("four wait", || (pending() == 4).then_some(()));
        assert_eq!(refusal(&connect(), &pair()), Refusal::TooMany);
        // Asking ends when there was no reply in time, the attempt with its connection.
        assert!(waiting.into_iter().all(|waiting| waiting.join().expect("no panic").is_err()));
        eventually("none waits", || (pending() == 0).then_some(()));
    });
}

#[test]
fn a_client_that_was_removed_is_a_stranger_at_its_next_word() {
    let host = host();
    let sofa = client(&host, "sofa");
    let link = sofa.link(&host.address()).expect("a connection");
    assert!(link.apps().is_ok());
    let removed = host.command().args(["clients", "remove", "sofa"]).output().expect("it runs");
    assert!(removed.status.success(), "{}", String::from_utf8_lossy(&removed.stderr));
    assert_eq!(refusal(&link, &Request::Apps { first: 0 }), Refusal::NotPaired);
    assert!(matches!(sofa.link(&host.address()), Err(ClientError::NotPaired { .. })));
}

#[test]
fn another_host_at_the_same_address_is_noticed_and_one_without_quic_does_not_answer() {
    let (one, other) = (host(), host());
    let sofa = client(&one, "sofa");
    assert!(matches!(sofa.link(&other.address()), Err(ClientError::OtherCertificate { .. })));
    let without = Host::start();
    assert!(matches!(sofa.link(&without.address()), Err(ClientError::Unreachable { .. })));
}

#[test]
fn a_stream_is_whole_with_its_tone_and_its_input() {
    let _turn = turn();
    let host = host();
    let sofa = client(&host, "sofa");
    for address in [host.address(), host.address_v6()] {
        let options = StreamOptions { script: Some(script(640, 360)), ..quic() };
        let report = sofa.stream(&address, &options).unwrap_or_else(|error| panic!("{error}\n{}", host.log()));
        assert_eq!((report.ending.clone(), report.transport.as_str()), (Ending::Completed, "lumen1"), "{report}");
        assert_eq!(report.host.encrypted, "quic, lumen/1");
        assert_whole(&report);
        assert_accounted(&host, "sofa", &report);
        assert_tone(&report);
        assert!(report.video.frames_decoded >= 10 && report.input.sent > 20, "{report}");
        assert_eq!(report.input.complete, Some(true), "{report}");
        let link = sofa.link(&address).expect("a connection");
        let figures = link.figures().expect("a session");
        assert_eq!((figures.width, figures.height), (640, 360));
        assert!(figures.sent >= report.video.frames_received, "{figures:?}");
        link.quit().expect("it ends");
        host.is_deserted();
        assert!(matches!(link.figures(), Err(ClientError::Refused { .. })));
    }
}

#[test]
fn a_change_of_address_costs_neither_the_stream_nor_the_connection() {
    let _turn = turn();
    let host = host();
    let sofa = client(&host, "sofa");
    let stream = begin(&sofa, &host.address(), &StreamOptions { fps: 60, ..quic() });
    let peer = || host.session_of("sofa").and_then(|session| session.peer);
    watch(&stream, 60);
    let quiet = longest_interval(&stream.report());
    for _ in 0..5 {
        let before = eventually("it is somewhere", peer);
        stream.change_address();
        let link = stream.link().expect("it came by QUIC");
        assert!(link.figures().expect("the connection went along").sent > 0);
        eventually("the host follows", || peer().filter(|now| *now != before));
        watch(&stream, 30);
    }
    let report = stream.stop().expect("a report");
    let longest = longest_interval(&report);
    println!(
        "longest time between two pictures: {longest:.1} ms with five changes of address, {quiet:.1} ms before them"
    );
    assert_eq!((report.ending, report.video.decode_errors), (Ending::Completed, 0));
}

#[test]
fn the_mode_changes_while_the_stream_runs() {
    let _turn = turn();
    let host = host();
    let sofa = client(&host, "sofa");
    let mut stream = begin(&sofa, &host.address(), &quic());
    watch(&stream, 10);
    let (mark, worker) = (stream.strip().expect("a card").session, host.worker_of("sofa"));
    for (width, height, fps) in [(800, 600, 60), (320, 240, 30)] {
        let options = StreamOptions { width, height, fps, ..quic() };
        let (before, next) = stream.change_mode(&options).unwrap_or_else(|error| panic!("{error}\n{}", host.log()));
        assert_eq!(before.ending, Ending::Completed);
        next.wait_for_picture(PATIENCE).expect("a picture");
        watch(&next, 10);
        let figures = next.link().expect("the same connection").figures().expect("a session");
        assert_eq!((u32::from(figures.width), u32::from(figures.height)), (width, height));
        assert_eq!((next.report().video.width, next.report().video.height), (width as usize, height as usize));
        assert_eq!(next.strip().expect("a card").session, mark, "it is the same display");
        assert_eq!(host.worker_of("sofa"), worker);
        stream = next;
    }
    assert_whole(&stream.stop().expect("a report"));
}

#[test]
fn a_stream_outlives_its_connection_and_the_daemon() {
    let _turn = turn();
    let mut host = host();
    let sofa = client(&host, "sofa");
    let stream = begin(&sofa, &host.address(), &quic());
    let worker = host.worker_of("sofa");
    assert_eq!(host.end_by(Signal::USR2).code(), Some(0), "{}", host.log());
    watch(&stream, 10);
    host.serve();
    let back = eventually("its stream goes on", || host.session_of("sofa"));
    assert_eq!((back.worker_pid, back.state), (Some(worker), SessionState::Streaming));
    watch(&stream, 10);
    assert!(stream.link().expect("it came by QUIC").figures().is_err(), "that connection was with the last daemon");
    // The next daemon knows the keys, too.
    stream.change_address();
    watch(&stream, 30);
    let link = sofa.link(&host.address()).expect("a new one");
    assert!(link.figures().expect("a session").sent > 0);
    let report = stream.stop().expect("a report");
    assert_eq!((report.ending, report.video.decode_errors), (Ending::Completed, 0));
    let resumed = begin(&sofa, &host.address(), &StreamOptions { entry: Entry::Resume, ..quic() });
    watch(&resumed, 10);
    assert_whole(&resumed.stop().expect("a report"));
    link.quit().expect("it ends");
    host.is_deserted();
}

/// A stream that is agreed on and not begun: its name, and the keys of this connection.
fn agree(link: &HostLink, verb: Verb) -> (SessionId, KeySchedule) {
    let app = link.apps().expect("a list")[0].id.get();
    let offer = match link.ask(&Request::Launch { verb, app, wish: wish() }) {
        Ok(Reply::Offer(offer)) => offer,
        other => panic!("no offer: {other:?}"),
    };
    let answer = take(&offer);
    assert!(matches!(link.ask(&Request::Take(answer)), Ok(Reply::Taken(_))));
    (offer.session, answer.keys(&offer, &link.secret()).expect("long enough"))
}

/// The first datagram of a client.
fn knock(keys: &KeySchedule, session: SessionId, packet: u64) -> Vec<u8> {
    let mut payload = Vec::new();
    Message::Ping(packet).write(&mut payload);
    let mut sealer = Sealer::new(keys, Direction::ClientToHost, Stream::Control, session, SendPosition::default());
    let mut sealed = Vec::new();
    for _ in 0..=packet {
        sealed = sealer.seal_payload(&payload).expect("keys");
    }
    sealed
}

#[test]
fn what_was_recorded_or_sealed_for_another_session_is_answered_by_nobody() {
    let _turn = turn();
    let host = host();
    let (sofa, desk) = (client(&host, "sofa"), client(&host, "desk"));
    let (sofa, desk) = (sofa.link(&host.address()), desk.link(&host.address()));
    let (sofa, desk) = (sofa.expect("a connection"), desk.expect("a connection"));
    let (old, old_keys) = agree(&sofa, Verb::Launch);
    let (session, keys) = agree(&sofa, Verb::Resume);
    let (other, other_keys) = agree(&desk, Verb::Launch);
    assert!(session != old && session != other);
    let socket = || {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        socket.connect((Ipv4Addr::LOCALHOST, host.ports().video)).expect("loopback");
        socket
    };
    let mut buffer = [0; 2048];
    let good = socket();
    let first = knock(&keys, session, 0);
    good.send(&first).expect("loopback");
    good.set_read_timeout(Some(PATIENCE)).expect("a socket");
    good.recv(&mut buffer).expect("the host answers its client");

    let mut changed = knock(&keys, session, 1);
    *changed.last_mut().expect("a tag") ^= 1;
    let recorded = [
        ("replayed", first),
        ("changed", changed),
        ("of the stream before this one", knock(&old_keys, old, 0)),
        ("of the stream before this one, with its name", knock(&old_keys, session, 1)),
        ("of another client, with this one's name", knock(&other_keys, session, 1)),
        ("of this client, with another one's name", knock(&keys, other, 1)),
    ];
    let sent = recorded.iter().map(|(what, datagram)| {
        let socket = socket();
        socket.send(datagram).expect("loopback");
        (what, socket)
    });
    let sent: Vec<_> = sent.collect();
    // Datagrams come in order here: when this one is answered, those were judged.
    let last = socket();
    last.set_read_timeout(Some(PATIENCE)).expect("a socket");
    last.send(&knock(&keys, session, 2)).expect("loopback");
    last.recv(&mut buffer).expect("the host answers its client, wherever it is");
    for (what, socket) in sent {
        socket.set_nonblocking(true).expect("a socket");
        assert!(socket.recv(&mut buffer).is_err(), "the host answers what is {what}");
    }
    assert!(host.workers().len() == 2, "nothing of it harmed anybody");
}

#[test]
fn one_command_goes_through_several_modes_and_ends_the_application_if_that_is_wanted() {
    let _turn = turn();
    let host = host();
    let sofa = client(&host, "sofa");
    let options = StreamOptions { duration: Some(Duration::from_millis(500)), quit_after: true, ..quic() };
    let through = |options: &StreamOptions| {
        sofa.stream_in_modes(&host.address(), options, &[(320, 240, 60)], &AtomicBool::new(false))
    };
    let reports = through(&options).unwrap_or_else(|error| panic!("{error}\n{}", host.log()));
    let modes = reports.iter().map(|report| (report.video.width, report.video.height));
    assert_eq!(modes.collect::<Vec<_>>(), [(640, 360), (320, 240)]);
    assert!(reports.iter().all(|report| report.ending == Ending::Completed && report.video.decode_errors == 0));
    host.is_deserted();
    let without = StreamOptions { transport: Transport::Lumen1, ..options.clone() };
    assert!(matches!(through(&without), Err(ClientError::Usage(_))));
}
