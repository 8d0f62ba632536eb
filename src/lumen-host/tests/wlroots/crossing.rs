//! What must hold of several sessions at once, wherever they run: pictures, sound and input never cross.

use std::time::{Duration, Instant};

use crate::bed::PATIENCE;
use crate::harness::assert_tone;
use crate::stage::{PEOPLE, Stage, parts_with, seen, type_text};
use crate::tones::loudness;

/// Modes of the clients, in their order.
const MODES: [(u32, u32, u32); 4] = [(640, 360, 30), (480, 270, 20), (400, 300, 24), (320, 180, 30)];

/// Rounds of typing.
const ROUNDS: usize = 12;

/// Streams to these applications at once, one client each.
pub fn do_not_cross(stage: &Stage, apps: &[&str]) {
    let people = &PEOPLE[..apps.len()];
    let clients: Vec<_> = people.iter().map(|(name, ..)| stage.host.client(name)).collect();
    let sessions: Vec<_> = clients
        .iter()
        .zip(people)
        .zip(apps.iter().zip(MODES))
        .map(|((client, (name, ..)), (app, mode))| stage.enter(client, name, app, mode))
        .collect();
    let marks: Vec<_> = sessions.iter().map(|session| session.strip().map(|strip| strip.session)).collect();
    let on_card = |at: usize| apps[at] == "Card";
    for (at, (name, ..)) in people.iter().enumerate().filter(|(at, _)| !on_card(*at)) {
        stage.wake(&sessions[at], name);
    }
    // All at the same time, a little each in turn.
    for round in 0..ROUNDS {
        for (at, (name, ..)) in people.iter().enumerate() {
            type_text(&sessions[at], &format!("{name}{round} "));
            let shown = seen(&sessions[at]);
            assert!(on_card(at) || shown == Some(name), "{name} sees the screen of {shown:?}");
            assert_eq!(sessions[at].strip().map(|strip| strip.session), marks[at], "{name} sees another card");
        }
    }
    for (at, (name, ..)) in people.iter().enumerate().filter(|(at, _)| !on_card(*at)) {
        let wanted: String = (0..ROUNDS).map(|round| format!("{name}{round} ")).collect();
        let until = Instant::now() + PATIENCE;
        while !stage.typed(name).ends_with(&wanted) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(stage.typed(name).trim_start_matches('.'), wanted, "what {name} typed, and nothing else");
        stage.hears_its_tone(name);
        let heard = stage.heard(name);
        for (other, _, hertz) in PEOPLE.iter().filter(|(other, ..)| other != name) {
            let found = loudness(&heard, 2, 1, *hertz);
            let parts = parts_with(&heard, 1, *hertz);
            assert!(found < 0.05 && parts == 0, "{name} hears {found} of {other}, and in {parts} of 20 parts");
        }
        assert_eq!(seen(&sessions[at]), Some(*name));
    }
    for (at, session) in sessions.into_iter().enumerate() {
        let report = session.stop().expect("a report");
        let (width, height, _) = MODES[at];
        assert_eq!((report.video.width as u32, report.video.height as u32), (width, height));
        assert_eq!((report.video.frames_lost, report.video.decode_errors), (0, 0), "{report}");
        if on_card(at) {
            assert_tone(&report);
            assert_eq!(report.input.complete, Some(true), "{report}");
        }
        println!(
            "{} on {}: {width}x{height}, {} pictures, {} packets of sound",
            people[at].0, apps[at], report.video.frames_decoded, report.audio.packets
        );
    }
    for client in &clients {
        client.quit(&stage.host.address()).expect("it ends");
    }
    stage.is_as_before();
}
