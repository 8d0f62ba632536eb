//! The mirror of a desktop that runs, through the real xdg-desktop-portal, a real Mutter and a real PipeWire. Only the
//! dialog is not real: `backend` stands in for the desktop's part of the portal and answers at once, or never. What
//! Debian 12's portal does not have yet (it remembers permissions from version 2 of RemoteDesktop on), `remembering` does;
//! the tests of a real one that has it are in `newer`, and everything here runs with that one, too.
//! Needs the packages mutter, dbus-daemon, pipewire, wireplumber, foot and xdg-desktop-portal.

#![cfg(feature = "pipewire")]

mod backend;
mod bed;
mod newer;
mod remembering;

use std::fs;
use std::time::{Duration, Instant};

use lumen_core::gamestream::input::{
    AbsolutePosition, InputEvent, KeyEvent, Modifiers, PressState, ReferenceExtent, Text, VirtualKey,
};
use lumen_host::capture::CaptureError;
use lumen_host::display::DisplayError;
use lumen_host::frame::Mode;
use lumen_host::input::InputSink;

use backend::Answer;
use bed::{Bed, Frontend, PATIENCE, background, next_where, wait_for};

/// The desktop that is mirrored: as wide as the client's picture when it is as high.
const DESKTOP: (u32, u32) = (800, 600);

#[test]
fn a_desktop_is_mirrored_at_the_clients_size_with_input() {
    let mut bed = Bed::open("pm", DESKTOP, Frontend::Real);
    bed.answers([Answer::Permit]);
    // Reports of all motion, in pixels.
    let file = bed.terminal("\\033[?1003h\\033[?1006h\\033[?1016h");
    let mode = Mode::new(1280, 720, 60);
    let mut portal = bed.start("a client", mode, PATIENCE).unwrap();
    let mut capture = portal.capture().unwrap();
    // 800x600 becomes 960x720, three quarters of the picture.
    let whole = |image: &lumen_host::frame::CpuImage| background(image) > 0.74;
    let shown = next_where(&mut *capture, "the terminal", whole);
    assert_eq!((shown.image.width, shown.image.height), (1280, 720));
    assert_eq!(shown.image.data[..3], [0; 3], "there is black beside it");

    let mut input = portal.input().unwrap();
    let mut at = 400;
    let move_to = |input: &mut dyn InputSink, x: i16, y: i16| {
        let extent = |extent: i16| ReferenceExtent::try_from(extent - 1).unwrap();
        let (reference_width, reference_height) = (extent(1280), extent(720));
        input.handle(&InputEvent::MouseAbsolute(AbsolutePosition { x, y, reference_width, reference_height }));
    };
    // A pointer that enters a window is not one that moves in it: it moves until the terminal sees that.
    wait_for("the first report", || {
        at += 1;
        move_to(&mut *input, at, at);
        fs::read(&file).unwrap().ends_with(b"M")
    });
    for ((x, y), (there_x, there_y)) in [((160, 0), (0, 0)), ((880, 540), (600, 450)), ((0, 0), (0, 0))] {
        move_to(&mut *input, x, y);
        // Reports count from 1.
        let report = format!("\x1b[<35;{};{}M", there_x + 1, there_y + 1);
        wait_for(&format!("the report of {x},{y}"), || fs::read(&file).unwrap().ends_with(report.as_bytes()));
    }
    wait_for("the terminal's focus", || fs::read(&file).unwrap().windows(3).any(|bytes| bytes == b"\x1b[I"));
    let before = fs::read(&file).unwrap().len();
    for state in [PressState::Down, PressState::Up] {
        input.handle(&InputEvent::Key(KeyEvent::new(state, VirtualKey(0x41), Modifiers::from_bits(0))));
    }
    input.handle(&InputEvent::Text(Text::try_from("Fox & {Dog}\n".to_owned()).unwrap()));
    wait_for("all bytes", || fs::read(&file).unwrap().len() >= before + 13);
    assert_eq!(String::from_utf8_lossy(&fs::read(&file).unwrap()[before..]), "aFox & {Dog}\r");

    // Another client, or the same with another size: the desktop stays as it is.
    portal.set_mode(Mode::new(640, 480, 30)).unwrap();
    let ended = (0..100).find_map(|_| capture.next(Instant::now() + Duration::from_millis(10)).err());
    assert!(matches!(ended, Some(CaptureError::DisplayGone(_))), "the earlier capture goes on: {ended:?}");
    let whole = |image: &lumen_host::frame::CpuImage| background(image) > 0.99;
    let shown = next_where(&mut *portal.capture().unwrap(), "the terminal at the new size", whole);
    assert_eq!((shown.image.width, shown.image.height), (640, 480));
    assert_eq!(portal.gone(), None);
}

#[test]
fn a_question_that_nobody_answers_has_a_deadline_and_holds_up_nobody_else() {
    let bed = Bed::open("pd", DESKTOP, Frontend::Real);
    bed.answers([Answer::Never, Answer::Permit]);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| bed.start("unanswered", Mode::new(1280, 720, 60), Duration::from_secs(20)));
        wait_for("the question", || bed.asked() == 1);
        let mut other = bed.start("answered", Mode::new(800, 600, 60), PATIENCE).unwrap();
        assert!(!waiting.is_finished(), "the first one is still being asked");
        other.capture().unwrap();
        match waiting.join().unwrap() {
            Err(DisplayError::Failed { backend: "portal", reason }) => {
                assert_eq!(
                    reason,
                    "nobody permitted lumen to see this desktop within 20 s: answer its question at the desktop itself"
                );
            }
            Err(error) => panic!("another error: {error}"),
            Ok(_) => panic!("nobody permitted that"),
        }
        assert_eq!(other.gone(), None);
    });
    // The dialog was taken back.
    wait_for("the end of the question", || bed.taken_back() == 1);
}

#[test]
fn a_permission_is_remembered_for_each_client() {
    let bed = Bed::open("pt", DESKTOP, Frontend::Remembering);
    let mode = Mode::new(800, 600, 60);
    for (client, token) in [("tv", None), ("tv", Some("token 1")), ("phone", None), ("tv", Some("token 2"))] {
        let mut portal = bed.start(client, mode, PATIENCE).unwrap();
        portal.capture().unwrap();
        assert_eq!(bed.last_token().as_deref(), token, "{client}");
    }
}

#[test]
fn a_desktop_that_takes_no_input_is_seen_and_says_so() {
    let mut bed = Bed::open("pn", DESKTOP, Frontend::ScreenAlone);
    bed.answers([Answer::Permit]);
    bed.terminal("");
    let mut portal = bed.start("a client", Mode::new(800, 600, 60), PATIENCE).unwrap();
    let whole = |image: &lumen_host::frame::CpuImage| background(image) > 0.99;
    next_where(&mut *portal.capture().unwrap(), "the terminal", whole);
    let error = portal.input().err().expect("there is none");
    assert!(matches!(&error, DisplayError::NoInput { backend: "portal", .. }), "{error}");
}

#[test]
fn whoever_permits_to_look_only_is_looked_at_only() {
    let bed = Bed::open("pl", DESKTOP, Frontend::Real);
    bed.answers([Answer::PermitLooking]);
    let mut portal = bed.start("a client", Mode::new(800, 600, 60), PATIENCE).unwrap();
    portal.capture().unwrap();
    let mut input = portal.input().unwrap();
    for state in [PressState::Down, PressState::Up] {
        input.handle(&InputEvent::Key(KeyEvent::new(state, VirtualKey(0x41), Modifiers::from_bits(0))));
    }
    drop(input);
    assert_eq!((bed.backend().sockets(), bed.backend().notified()), (0, 0));
    assert_eq!(portal.gone(), None);
}

#[test]
fn a_refusal_says_so() {
    let bed = Bed::open("pr", DESKTOP, Frontend::Real);
    bed.answers([Answer::Refuse]);
    let refused = bed.start("refused", Mode::new(1280, 720, 60), PATIENCE).err().map(|error| error.to_string());
    assert_eq!(refused.as_deref(), Some("portal failed: whoever sits at the desktop did not permit lumen to see it"));
}

#[test]
fn a_desktop_that_stops_showing_its_screen_is_noticed() {
    let bed = Bed::open("ps", DESKTOP, Frontend::Real);
    bed.answers([Answer::Permit]);
    let mut portal = bed.start("stopped", Mode::new(800, 600, 60), PATIENCE).unwrap();
    let mut capture = portal.capture().unwrap();
    assert_eq!(portal.gone(), None);
    bed.stop_sharing();
    wait_for("notice", || portal.gone().is_some());
    let ended = (0..1000).find_map(|_| capture.next(Instant::now() + Duration::from_millis(10)).err());
    assert!(matches!(ended, Some(CaptureError::DisplayGone(_))));
}
