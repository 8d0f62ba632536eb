//! Two people at once under one `lumen serve`, one on a KWin and one in a gamescope: pictures and input never cross.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lumen_client::{Client, Session};
use lumen_core::gamestream::input::{InputEvent, Text};

use crate::bed::{arrives, foot, read, recorder, wait_for, xterm};
use crate::harness::Host;
use crate::streams::{app, enter, leave};

/// Rounds of typing.
const ROUNDS: usize = 6;

/// By how much a decoded colour may differ from the terminal's.
const NEAR: u8 = 30;

/// Somebody with a terminal of their own.
struct Person {
    name: &'static str,
    display: &'static str,
    mode: (u32, u32, u32),
    /// The terminal's: blue, green, red.
    colour: [u8; 3],
}

const PEOPLE: [Person; 2] = [
    Person { name: "ann", display: "kwin", mode: (800, 600, 30), colour: [0x10, 0x10, 0xC0] },
    Person { name: "bob", display: "gamescope", mode: (640, 360, 20), colour: [0x20, 0xA0, 0x20] },
];

impl Person {
    /// Its command, and the file with what it was sent.
    fn terminal(&self, directory: &Path) -> (Vec<String>, PathBuf) {
        let (script, file) = recorder(directory, self.name, "");
        let command = if self.display == "kwin" { foot(self.colour, &script) } else { xterm(self.colour, &script) };
        (command, file)
    }
}

/// Part of the newest picture that has the colour, if it has the size of this person's.
fn share(session: &Session, person: &Person) -> Option<f64> {
    let (width, height, _) = person.mode;
    let pixels = (width * height) as usize;
    let rgb = session.picture()?.to_rgb();
    let [blue, green, red] = person.colour;
    let near = |pixel: &&[u8]| pixel.iter().zip([red, green, blue]).all(|(seen, wanted)| seen.abs_diff(wanted) <= NEAR);
    (rgb.len() == pixels * 3).then(|| rgb.chunks_exact(3).filter(near).count() as f64 / pixels as f64)
}

fn type_text(session: &Session, text: &str) {
    session.send(InputEvent::Text(Text::try_from(text.to_owned()).expect("short")));
}

#[test]
#[ignore = "needs KWin 6.7 and gamescope 3.16: run by vm-tests/desktops"]
fn a_session_on_kwin_and_one_in_gamescope_do_not_cross() {
    let directory = tempfile::tempdir().expect("a directory");
    let terminals = PEOPLE.each_ref().map(|person| person.terminal(directory.path()));
    let apps: String =
        PEOPLE.iter().zip(&terminals).map(|(person, (command, _))| app(person.display, command)).collect();
    let host = Host::with(&apps);
    let files = terminals.map(|(_, file)| file);
    let clients: [Client; 2] = PEOPLE.each_ref().map(|person| host.client(person.name));

    let mut sessions = Vec::new();
    for (person, client) in PEOPLE.iter().zip(&clients) {
        let session = enter(&host, client, person.display, person.mode);
        wait_for("their own colour", || share(&session, person).is_some_and(|share| share > 0.9));
        println!("{} sees a terminal on {}", person.name, person.display);
        sessions.push(session);
    }
    // What is typed before a terminal has the keyboard is lost.
    for (session, file) in sessions.iter().zip(&files) {
        wait_for("the terminal to take keys", || {
            type_text(session, ".");
            std::thread::sleep(Duration::from_millis(500));
            !read(file).is_empty()
        });
        type_text(session, ",");
        wait_for("the last of these keys", || read(file).ends_with(','));
    }
    let before = files.each_ref().map(read);
    let mut wanted = [String::new(), String::new()];
    for round in 0..ROUNDS {
        for (at, person) in PEOPLE.iter().enumerate() {
            let text = format!("{}{round} ", person.name);
            type_text(&sessions[at], &text);
            wanted[at] += &text;
        }
        for (session, person) in sessions.iter().zip(&PEOPLE) {
            let found = share(session, person).expect("a picture of their size");
            assert!(found > 0.8, "{} sees {found} of their colour", person.name);
        }
    }
    for at in 0..PEOPLE.len() {
        arrives(&files[at], &before[at], &wanted[at]);
        println!("{} typed {:?}, and nothing else arrived", PEOPLE[at].name, wanted[at]);
    }
    for (session, person) in sessions.into_iter().zip(&PEOPLE) {
        let report = session.stop().expect("a report");
        println!("{report}");
        assert_eq!((report.video.width as u32, report.video.height as u32), (person.mode.0, person.mode.1));
        assert_eq!((report.video.frames_lost, report.video.decode_errors), (0, 0), "{report}");
    }
    for (client, person) in clients.iter().zip(&PEOPLE) {
        leave(&host, client, person.name);
    }
    host.is_deserted();
}
