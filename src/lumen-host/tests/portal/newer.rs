//! Version 2 of RemoteDesktop, of the real xdg-desktop-portal and a real Mutter: permissions that last, and the socket for
//! input, which is Mutter's own. Debian 12 has neither.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use lumen_core::gamestream::input::{
    AbsolutePosition, InputEvent, KeyEvent, Modifiers, PressState, ReferenceExtent, Text, VirtualKey,
};
use lumen_host::capture::Captured;
use lumen_host::frame::Mode;
use lumen_host::input::InputSink;

use super::DESKTOP;
use super::backend::Answer;
use super::bed::{Bed, Frontend, PATIENCE, background, next_where, wait_for};

const MODE: Mode = Mode::new(800, 600, 60);

/// A place, or how many there are each way.
type Pixel = (i16, i16);

/// A desktop with such a portal.
fn open(test: &str, monitors: &[(u32, u32)]) -> Bed {
    let bed = Bed::with_monitors(test, monitors, Frontend::Real);
    let version = bed.backend().version("org.freedesktop.portal.RemoteDesktop");
    assert!(version >= 2, "this portal has version {version}: vm-tests/newer has one with 2");
    bed
}

/// Mirrors the desktop for `client` until there is a picture, and says how often that was asked about.
fn mirror(bed: &Bed, client: &str) -> usize {
    let before = bed.asked();
    let mut portal = bed.start(client, MODE, PATIENCE).unwrap();
    next_where(&mut *portal.capture().unwrap(), "anything", |_| true);
    assert_eq!(portal.gone(), None);
    bed.asked() - before
}

fn read(token: &Path) -> String {
    fs::read_to_string(token).unwrap()
}

#[test]
#[ignore = "needs xdg-desktop-portal 1.18: run by vm-tests/newer"]
fn a_permission_lasts_for_its_client_until_it_is_taken_away() {
    let bed = open("pv", &[DESKTOP]);
    bed.answers([Answer::Permit, Answer::Permit]);
    assert_eq!(mirror(&bed, "tv"), 1);
    assert_eq!(fs::metadata(bed.token("tv")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(mirror(&bed, "tv"), 0, "the permission lasts");
    assert_eq!(mirror(&bed, "tv"), 0, "for more than one time");
    assert_eq!(mirror(&bed, "phone"), 1, "another client is another question");
    assert_ne!(read(&bed.token("tv")), read(&bed.token("phone")));

    // In the portal's own store, as the desktop's settings do it.
    bed.backend().revoke(&read(&bed.token("tv")));
    bed.answers([Answer::Refuse, Answer::Permit]);
    let refused = bed.start("tv", MODE, PATIENCE).err().map(|error| error.to_string());
    assert_eq!(refused.as_deref(), Some("portal failed: whoever sits at the desktop did not permit lumen to see it"));
    assert_eq!(bed.asked(), 3, "somebody was asked");
    assert!(!bed.token("tv").exists(), "nothing is kept of a permission that is gone");
    assert_eq!(mirror(&bed, "tv"), 1, "that is asked again");
    assert_eq!(mirror(&bed, "tv"), 0, "and lasts again");
    assert_eq!(mirror(&bed, "phone"), 0, "the other one was not touched");

    // By the desktop itself, which no longer knows what it gave.
    bed.backend().forget();
    bed.answers([Answer::Permit]);
    assert_eq!(mirror(&bed, "phone"), 1);
    assert_eq!(mirror(&bed, "phone"), 0);
}

#[test]
#[ignore = "needs xdg-desktop-portal 1.18: run by vm-tests/newer"]
fn what_the_portal_never_gave_means_a_question() {
    let bed = open("pw", &[DESKTOP]);
    fs::create_dir_all(bed.token("tv").parent().unwrap()).unwrap();
    // The first looks like none of its own, which is an error to the portal; the second does.
    for token in ["not one of yours!", "0e4c2b9a-3f0e-4b7e-9a55-2f4f5f2f7b11"] {
        fs::write(bed.token("tv"), token).unwrap();
        bed.answers([Answer::Permit]);
        assert_eq!(mirror(&bed, "tv"), 1, "{token}");
        assert_ne!(read(&bed.token("tv")), token);
        assert_eq!(mirror(&bed, "tv"), 0, "{token}");
    }
}

#[test]
#[ignore = "needs xdg-desktop-portal 1.18: run by vm-tests/newer"]
fn keys_text_and_pointer_arrive_by_the_socket_on_the_monitor_that_is_shown() {
    // The second one is on the right: Mutter begins with the largest.
    let mut bed = open("pe", &[(1024, 768), DESKTOP]);
    bed.backend().show("Meta-1");
    bed.answers([Answer::Permit]);
    let mut portal = bed.start("tv", Mode::new(1280, 720, 60), PATIENCE).unwrap();
    let mut input = portal.input().unwrap();
    let move_to = |input: &mut dyn InputSink, (width, height): Pixel, x: i16, y: i16| {
        let extent = |extent: i16| ReferenceExtent::try_from(extent - 1).unwrap();
        let (reference_width, reference_height) = (extent(width), extent(height));
        input.handle(&InputEvent::MouseAbsolute(AbsolutePosition { x, y, reference_width, reference_height }));
    };
    let (first, second) = ((1280, 720), (640, 480));
    // The terminal opens where the pointer is, which is part of the picture. Reports of all motion, in pixels.
    let mut capture = portal.capture().unwrap();
    let blank = next_where(&mut *capture, "anything", |_| true);
    let mut at = 400;
    wait_for("the pointer", || {
        at = 400 + (at + 1) % 400;
        move_to(&mut *input, first, at, 360);
        let next = capture.next(Instant::now() + Duration::from_millis(50));
        matches!(next, Ok(Captured::Frame(frame)) if *frame.image != *blank.image)
    });
    let file = bed.terminal_at_pointer("\\033[?1003h\\033[?1006h\\033[?1016h");
    let typed = || fs::read(&file).unwrap();
    // 800x600 becomes 960x720, three quarters of the picture.
    let whole = |image: &lumen_host::frame::CpuImage| background(image) > 0.74;
    next_where(&mut *portal.capture().unwrap(), "the terminal", whole);

    // A pointer that enters a window is not one that moves in it: it moves until the terminal sees that.
    let mut at = 400;
    wait_for("the first report", || {
        at += 1;
        move_to(&mut *input, first, at, at);
        typed().ends_with(b"M")
    });
    let path = |input: &mut dyn InputSink, picture: Pixel, path: &[[Pixel; 2]]| {
        for [(x, y), (there_x, there_y)] in path {
            move_to(input, picture, *x, *y);
            // Reports count from 1.
            let report = format!("\x1b[<35;{};{}M", there_x + 1, there_y + 1);
            wait_for(&format!("the report of {x},{y}"), || typed().ends_with(report.as_bytes()));
        }
    };
    path(&mut *input, first, &[[(160, 0), (0, 0)], [(880, 540), (600, 450)], [(0, 0), (0, 0)]]);

    wait_for("the terminal's focus", || typed().windows(3).any(|bytes| bytes == b"\x1b[I"));
    let key = |input: &mut dyn InputSink, state, key| {
        input.handle(&InputEvent::Key(KeyEvent::new(state, VirtualKey(key), Modifiers::from_bits(0))));
    };
    let before = typed().len();
    for (state, code) in
        [(PressState::Down, 0xa2), (PressState::Down, 0x41), (PressState::Up, 0x41), (PressState::Up, 0xa2)]
    {
        key(&mut *input, state, code);
    }
    let printable: String = (' '..='~').collect();
    // A message of the client holds little.
    for text in [&printable[..25], &printable[25..50], &printable[50..75], &printable[75..], "\n"] {
        input.handle(&InputEvent::Text(Text::try_from(text.to_owned()).unwrap()));
    }
    let expected = format!("\x01{printable}\r");
    wait_for("all bytes", || typed().len() >= before + expected.len());
    assert_eq!(String::from_utf8_lossy(&typed()[before..]), expected);

    // A client that comes back with another size takes input anew. The portal gives its socket once.
    portal.set_mode(Mode::new(640, 480, 60)).unwrap();
    let held = typed().len();
    key(&mut *input, PressState::Down, 0xa0);
    input = portal.input().unwrap();
    for state in [PressState::Down, PressState::Up] {
        key(&mut *input, state, 0x42);
    }
    wait_for("a key after that", || typed().len() > held);
    assert_eq!(typed()[held..], *b"b", "the shift that was held before is not held any more");
    path(&mut *input, second, &[[(480, 360), (600, 450)], [(0, 0), (0, 0)]]);
    assert_eq!((bed.backend().sockets(), bed.backend().notified()), (1, 0));
}
