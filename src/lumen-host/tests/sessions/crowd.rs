//! Several clients at the same time, and many one after the other.

use std::collections::HashSet;
use std::time::Duration;

use lumen_client::report::Ending;
use lumen_client::{ClientError, StreamOptions};
use lumen_core::strip::tone_hertz;

use crate::harness::{Host, assert_accounted, assert_tone, assert_whole, begin, eventually, full, script, small, turn};
use crate::leftovers::{Around, Inventory};

#[test]
fn four_clients_at_four_modes_do_not_cross() {
    let _turn = turn();
    let host = Host::start();
    let modes = [(320, 180, 30), (640, 360, 30), (480, 270, 20), (400, 300, 24)];
    let clients: Vec<_> = (0..modes.len()).map(|number| host.client(&format!("client {number}"))).collect();
    let seconds = if full() { 60 } else { 3 };
    let reports: Vec<_> = std::thread::scope(|scope| {
        let streams: Vec<_> = clients
            .iter()
            .zip(modes)
            .enumerate()
            .map(|(number, (client, (width, height, fps)))| {
                let mut options = StreamOptions::new(width, height, fps, Duration::from_secs(seconds));
                options.bitrate_kbps = 2000;
                // Each its own input: a different number of different keys.
                let keys: String = (0..=number * 3)
                    .map(|key| format!("wait 50ms key {} tap\n", char::from(b'A' + key as u8)))
                    .collect();
                options.script = Some(lumen_client::script::Script::parse(&keys, width, height).expect("a script"));
                let host = &host;
                scope.spawn(move || {
                    let session = begin(client, &host.address(), &options);
                    let mark = session.strip().expect("a card").session;
                    session.run(&std::sync::atomic::AtomicBool::new(false));
                    let report = session.stop().expect("a report");
                    assert_eq!(report.video.card.as_ref().map(|card| card.session), Some(mark));
                    assert_accounted(host, &format!("client {number}"), &report);
                    report
                })
            })
            .collect();
        // All four stream at the same time.
        eventually("four sessions stream", || (host.status().sessions.len() == 4).then_some(()));
        streams.into_iter().map(|stream| stream.join().expect("this stream")).collect()
    });
    let mut marks = HashSet::new();
    for (report, (width, height, _)) in reports.iter().zip(modes) {
        assert_eq!(report.ending, Ending::Completed, "{report}");
        assert_whole(report);
        assert_tone(report);
        assert_eq!((report.video.width as u32, report.video.height as u32), (width, height));
        assert_eq!(report.input.complete, Some(true), "{report}");
        let mark = report.video.card.as_ref().expect("a card").session;
        assert!((report.audio.sound[0].expected_hertz - tone_hertz(mark, 0)).abs() < 0.01);
        assert!(marks.insert(mark % 128), "two sessions have one tone");
    }
    for client in &clients {
        client.quit(&host.address()).expect("it ends");
    }
    host.is_deserted();
}

#[test]
fn memory_and_descriptors_do_not_grow_with_sessions() {
    let _turn = turn();
    let host = Host::with("log.filter = \"warn\"");
    let client = host.client("sofa");
    let session = || {
        let options = StreamOptions { width: 320, height: 180, ..small() };
        begin(&client, &host.address(), &options).stop().expect("a report");
        client.quit(&host.address()).expect("it ends");
        host.is_deserted();
    };
    let sessions = if full() { 200 } else { 50 };
    // The first ones fill what is kept for reuse.
    (0..10).for_each(|_| session());
    let settled = || {
        eventually("connections close", || {
            let before = host.descriptors();
            std::thread::sleep(Duration::from_millis(200));
            (host.descriptors() == before).then_some(())
        });
        (host.memory_kb(), host.descriptors())
    };
    let (memory, descriptors) = settled();
    (10..sessions).for_each(|_| session());
    let (memory_after, descriptors_after) = settled();
    println!("{sessions} sessions: {memory} to {memory_after} kB, {descriptors} to {descriptors_after} descriptors");
    assert!(memory_after < memory + 3000, "the daemon grew from {memory} to {memory_after} kB");
    assert!(descriptors_after <= descriptors, "{descriptors} descriptors became {descriptors_after}");
    assert!(host.sessions().is_empty());
}

/// The same client twice, for the same reason that a user starts again after a moment: the input of the first stream
/// is not in the second, but the display is the same.
#[test]
fn the_display_outlives_a_stream_and_held_keys_do_not() {
    let _turn = turn();
    let host = Host::start();
    let client = host.client("sofa");
    let mut options = small();
    options.script = Some(script(options.width, options.height));
    let first = client.stream(&host.address(), &options).expect("a stream");
    let second = client.stream(&host.address(), &options).expect("a stream");
    assert_eq!((first.host.entry.as_str(), second.host.entry.as_str()), ("launch", "resume"));
    for report in [&first, &second] {
        assert_whole(report);
        assert_eq!(report.input.complete, Some(true), "{report}");
    }
    let (before, after) = (first.video.card.expect("a card"), second.video.card.expect("a card"));
    assert_eq!(before.session, after.session);
    assert!(before.numbers.expect("numbers").last < after.numbers.expect("numbers").first);
}

#[test]
fn a_host_for_eight_refuses_the_ninth_until_there_is_room() {
    let _turn = turn();
    let host = Host::start();
    let before = Inventory::of(&host, &Around::default());
    let clients: Vec<_> = (0..9).map(|number| host.client(&format!("client {number}"))).collect();
    let options = StreamOptions { width: 320, height: 180, ..small() };
    // Suspended, a session still has its place. All have the same application, each its own.
    for client in &clients[..8] {
        begin(client, &host.address(), &options).stop().expect("a report");
    }
    let workers: HashSet<_> = (0..8).map(|number| host.worker_of(&format!("client {number}"))).collect();
    assert_eq!(workers.len(), 8);
    match clients[8].connect(&host.address(), &options).map(drop) {
        Err(ClientError::Refused { reason, .. }) => {
            assert!(reason.contains("already streams to 8 clients, as many as it may"), "{reason}");
        }
        other => panic!("the host should have refused: {other:?}"),
    }
    assert_eq!(host.sessions().len(), 8);
    clients[3].quit(&host.address()).expect("it ends");
    begin(&clients[8], &host.address(), &options).stop().expect("a report");
    for client in &clients {
        client.quit(&host.address()).expect("it ends");
    }
    before.is_all_that_is_left(&host, &Around::default());
}
