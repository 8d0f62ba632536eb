//! A display that takes its time: its client sees that it comes, then the program, in one stream; and is told if it
//! does not come.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use lumen_client::{Client, Session, StreamOptions};
use lumen_core::gamestream::input::{InputEvent, KeyEvent, Modifiers, PressState, VirtualKey};
use lumen_host::display::process::find_program;

use crate::bed::{PATIENCE, become_ordinary, eventually, need};
use crate::harness::{Host, begin, ending, turn, watch};
use crate::leftovers::{Around, Inventory};
use crate::stage::{Scenery, Stage, seen, type_text};

/// What the program fills its screen with.
const GREEN: [u8; 3] = [0x10, 0xA0, 0x10];

/// A program that is green and writes down what is typed.
const PROGRAM: &str = "printf '\\033[?25l\\033]11;#10a010\\033\\\\\\033[2J'; stty raw -echo; exec cat >\"$HOME/typed\"";

/// A host with one application, whose sway does `first` before it is one.
struct Slow {
    host: Host,
    before: Inventory,
}

impl Slow {
    fn new(first: &str, more: &str) -> Self {
        become_ordinary();
        for program in ["sway", "foot"] {
            need(program);
        }
        let command = ["foot", "-o", "cursor.blink=no", "sh", "-c", PROGRAM].map(|part| format!("{part:?}")).join(", ");
        let mut host = Host::prepared(&format!(
            "[[apps]]\nname = \"Desk\"\ndisplay = \"wlroots\"\ncommand = [{command}]\n{more}\n"
        ));
        let home = host.path("home");
        fs::create_dir(&home).expect("a directory");
        let mut serve = host.command();
        serve.env("HOME", &home).env("LC_ALL", "C.UTF-8").env("PATH", slow_sway(&host, first));
        host.serve_by(serve);
        let before = Inventory::of(&host, &Around::default());
        Self { host, before }
    }

    fn options(&self) -> StreamOptions {
        StreamOptions {
            bitrate_kbps: 3000,
            keep_pictures: true,
            first_frame_timeout: PATIENCE,
            ..StreamOptions::new(640, 360, 30, std::time::Duration::from_secs(2))
        }
    }

    fn begin(&self, client: &Client) -> Session {
        begin(client, &self.host.address(), &self.options())
    }

    fn write(&self, name: &str) {
        fs::write(self.host.path("home").join(name), "").expect("written");
    }

    fn typed(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.host.path("home/typed")).unwrap_or_default()).into_owned()
    }

    fn is_as_before(&self) {
        self.before.is_all_that_is_left(&self.host, &Around::default());
    }
}

/// A search path on which sway does `first` before it is one.
fn slow_sway(host: &Host, first: &str) -> String {
    let programs = host.path("programs");
    fs::create_dir(&programs).expect("a directory");
    let sway = find_program("sway").expect("it is installed");
    let sway = sway.display();
    let script = format!("#!/bin/sh\n[ \"$1\" = --version ] && exec {sway} \"$@\"\n{first}\nexec {sway} \"$@\"\n");
    fs::write(programs.join("sway"), script).expect("written");
    fs::set_permissions(programs.join("sway"), fs::Permissions::from_mode(0o755)).expect("ours");
    format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default())
}

/// Waits for a file in the home directory.
fn until(file: &str) -> String {
    format!("while [ ! -e \"$HOME/{file}\" ]; do sleep 0.05; done")
}

/// The pixel in the corner of the newest picture.
fn corner(session: &Session) -> Option<[u8; 3]> {
    session.picture()?.to_rgb().first_chunk().copied()
}

fn is_near(pixel: [u8; 3], wanted: [u8; 3]) -> bool {
    pixel.iter().zip(wanted).all(|(seen, wanted)| seen.abs_diff(wanted) < 40)
}

fn key(session: &Session, state: PressState) {
    session.send(InputEvent::Key(KeyEvent::new(state, VirtualKey(b'A'), Modifiers::EMPTY)));
}

#[test]
fn a_client_sees_its_display_come_up_and_loses_nothing() {
    let _turn = turn();
    let slow = Slow::new(&until("go"), "");
    let client = slow.host.client("sofa");
    // There is a picture though there is no display, and it changes.
    let session = slow.begin(&client);
    let first = session.picture().expect("a picture").to_rgb();
    assert!(is_near(corner(&session).expect("a picture"), [0x12, 0x15, 0x1B]), "{:?}", corner(&session));
    eventually("the picture changes", || (session.picture()?.to_rgb() != first).then_some(()));
    let packets = session.report().audio.packets;
    eventually("there is sound", || (session.report().audio.packets > packets + 20).then_some(()));
    // Nobody is there to get this.
    type_text(&session, "lost");
    key(&session, PressState::Down);
    watch(&session, 2);
    let before = session.report().video.key_frames;
    slow.write("go");
    eventually("the program is seen", || is_near(corner(&session)?, GREEN).then_some(()));
    key(&session, PressState::Up);
    eventually("typing arrives", || {
        type_text(&session, ".");
        (!slow.typed().is_empty()).then_some(())
    });
    type_text(&session, "kept");
    eventually("all of it arrives", || slow.typed().ends_with("kept").then_some(()));
    assert_eq!(slow.typed().trim_start_matches('.'), "kept");
    let report = session.stop().expect("a report");
    let video = &report.video;
    assert_eq!((video.frames_lost, video.frames_dropped, video.decode_errors), (0, 0, 0), "{report}");
    assert!(video.key_frames > before, "the program begins with a key frame: {report}");
    assert_eq!((report.audio.packets_lost, report.audio.decode_errors), (0, 0), "{report}");
    client.quit(&slow.host.address()).expect("it ends");
    slow.is_as_before();
}

#[test]
fn the_sound_of_a_late_display_is_heard_in_the_same_stream() {
    let _turn = turn();
    let mut stage = Stage::prepared(Scenery { desktop: None, shared_sound: false, config: "" });
    let mut serve = stage.command();
    serve.env("PATH", slow_sway(&stage.host, &until("go")));
    stage.host.serve_by(serve);
    stage.before = Inventory::of(&stage.host, &stage.around);
    let client = stage.host.client("ann");
    let session = begin(&client, &stage.host.address(), &stage.options("ann", "Own", (640, 360, 30)));
    eventually("there is sound, and it is silence", || {
        let heard = stage.heard("ann");
        (heard.len() == 96_000).then(|| assert!(heard.iter().all(|sample| sample.abs() < 0.01)))
    });
    fs::write(stage.host.path("home/go"), "").expect("written");
    eventually("its own colour is seen", || (seen(&session) == Some("ann")).then_some(()));
    stage.hears_its_tone("ann");
    drop(session);
    client.quit(&stage.host.address()).expect("it ends");
    stage.is_as_before();
}

#[test]
fn a_client_that_comes_back_before_the_display_is_up_gets_it_at_its_new_size() {
    let _turn = turn();
    let slow = Slow::new(&until("go"), "");
    let client = slow.host.client("sofa");
    drop(slow.begin(&client));
    let options = StreamOptions { width: 800, height: 600, ..slow.options() };
    let session = begin(&client, &slow.host.address(), &options);
    assert_eq!((session.report().video.width, session.report().video.height), (800, 600));
    slow.write("go");
    eventually("the program is seen", || is_near(corner(&session)?, GREEN).then_some(()));
    let report = session.stop().expect("a report");
    assert_eq!((report.video.width, report.video.height), (800, 600));
    client.quit(&slow.host.address()).expect("it ends");
    slow.is_as_before();
}

#[test]
fn a_client_is_told_when_its_display_does_not_come() {
    let _turn = turn();
    let slow = Slow::new(&format!("{}; echo no luck today >&2; exit 3", until("fail")), "");
    let client = slow.host.client("sofa");
    let session = slow.begin(&client);
    slow.write("fail");
    let told = ending(&session);
    assert!(matches!(told, lumen_client::report::Ending::HostError(_)), "the client was told: {told:?}");
    drop(session);
    slow.is_as_before();
    assert!(slow.host.log().contains("no luck today"), "the log says why");
}

/// So its user reads why, instead of a number.
#[test]
fn what_fails_at_once_is_told_in_the_answer_to_the_launch() {
    let _turn = turn();
    let slow = Slow::new("echo no luck today >&2; exit 3", "after = [[\"sh\", \"-c\", \"echo >after\"]]");
    let client = slow.host.client("sofa");
    let error = client.connect(&slow.host.address(), &slow.options()).err().expect("it cannot start").to_string();
    assert!(error.contains("sway ended") && error.contains("no luck today"), "{error}");
    slow.is_as_before();
    assert!(slow.host.path("home/after").exists(), "what was prepared was not put back");
}

#[test]
fn a_session_that_is_quit_before_its_display_is_up_leaves_nothing() {
    let _turn = turn();
    let after = "after = [[\"sh\", \"-c\", \"echo >after\"]]";
    let before = format!("before = [[\"sh\", \"-c\", {:?}]]\n{after}", until("go"));
    // While its sway starts, and while a step before it runs.
    for slow in [Slow::new(&until("go"), after), Slow::new("", &before)] {
        let client = slow.host.client("sofa");
        let session = slow.begin(&client);
        drop(session);
        client.quit(&slow.host.address()).expect("it ends");
        slow.is_as_before();
        slow.host.is_deserted();
        assert!(slow.host.path("home/after").exists(), "what was prepared was not put back");
    }
}
