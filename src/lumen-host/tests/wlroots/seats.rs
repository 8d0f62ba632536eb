//! Several sessions on one running sway: each has its own pointer and its own keyboard focus there.

use std::fs;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use lumen_core::gamestream::input::{
    AbsolutePosition, InputEvent, KeyEvent, Modifiers, MouseButton, MouseButtonEvent, PressState, ReferenceExtent,
    Text, VirtualKey,
};
use lumen_host::display::process::Process;
use lumen_host::frame::Mode;
use lumen_host::input::InputSink;

use crate::bed::{Bed, PATIENCE, eventually};

/// A terminal that writes down what it is sent.
fn recorder(bed: &Bed) -> Process {
    let terminal = bed.terminal("stty raw -echo; touch ready; exec cat > typed");
    eventually("the terminal listens", || bed.path("ready").exists().then_some(()));
    terminal
}

fn typed(bed: &Bed) -> String {
    String::from_utf8_lossy(&fs::read(bed.path("typed")).unwrap_or_default()).into_owned()
}

fn tap(sink: &mut dyn InputSink, code: u8) {
    for state in [PressState::Down, PressState::Up] {
        sink.handle(&InputEvent::Key(KeyEvent::new(state, VirtualKey(code), Modifiers::EMPTY)));
    }
}

fn text(sink: &mut dyn InputSink, text: &str) {
    sink.handle(&InputEvent::Text(Text::try_from(text.to_owned()).expect("short")));
}

/// Waits as a session does, which looks after its input all the time.
fn eventually_with<T>(
    sink: &mut dyn InputSink,
    what: &str,
    mut look: impl FnMut(&mut dyn InputSink) -> Option<T>,
) -> T {
    eventually(what, || {
        sink.poll_feedback();
        look(sink)
    })
}

/// sway's seats with how many devices they have, and the output that each looks at.
fn seats(desktop: &Bed) -> Vec<(String, usize, String)> {
    let stream = UnixStream::connect(desktop.path("sway.sock")).expect("sway listens");
    let mut sway = swayipc::Connection::from(stream);
    let tree = sway.get_tree().expect("sway answers");
    let mut seats: Vec<_> = sway
        .get_seats()
        .expect("sway answers")
        .into_iter()
        .map(|seat| {
            let output = tree.nodes.iter().find(|output| output.find_as_ref(|node| node.id == seat.focus).is_some());
            (seat.name, seat.devices.len(), output.and_then(|output| output.name.clone()).unwrap_or_default())
        })
        .collect();
    seats.sort();
    seats
}

fn seat(desktop: &Bed, name: &str) -> (usize, String) {
    let all = seats(desktop);
    let (_, devices, output) = all.iter().find(|(known, ..)| known == name).unwrap_or_else(|| panic!("{all:?}"));
    (*devices, output.clone())
}

fn looks_at(desktop: &Bed, name: &str, output: &str) {
    let until = Instant::now() + PATIENCE;
    while seat(desktop, name).1 != output {
        assert!(Instant::now() < until, "{name} does not look at {output}: {:?}", seats(desktop));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn two_people_type_into_one_desktop_at_the_same_time() {
    let desktop = Bed::own(Mode::new(1280, 720, 60));
    let at_home = recorder(&desktop);
    let mut guests = [Bed::beside(&desktop, Mode::new(800, 600, 60)), Bed::beside(&desktop, Mode::new(1024, 600, 50))];
    // The second's window opens last, and all the same the first keeps its keyboard.
    let _terminals = guests.each_ref().map(recorder);
    let mut sinks = guests.each_mut().map(|bed| bed.compositor.input().unwrap_or_else(|error| panic!("{error}")));
    for (number, guest) in ["lumen-1", "lumen-2"].into_iter().zip(["HEADLESS-2", "HEADLESS-3"]) {
        looks_at(&desktop, number, guest);
    }
    assert_eq!(seat(&desktop, "seat0").1, "HEADLESS-1", "the desktop's own seat stays where it was");
    eventually("each terminal is where its session is", || {
        tap(&mut *sinks[0], b'A');
        tap(&mut *sinks[1], b'B');
        guests.iter().all(|guest| !typed(guest).is_empty()).then_some(())
    });
    // Key by key in turn, and modifiers of one while the other types.
    for _ in 0..20 {
        for (sink, code, part) in [(0, b'A', "ä"), (1, b'B', "ß")] {
            tap(&mut *sinks[sink], code);
            text(&mut *sinks[sink], part);
        }
    }
    sinks[0].handle(&InputEvent::Key(KeyEvent::new(PressState::Down, VirtualKey(0xA0), Modifiers::EMPTY)));
    tap(&mut *sinks[1], b'B');
    sinks[0].release_all();
    for (sink, end) in sinks.iter_mut().zip(["!left", "!right"]) {
        text(&mut **sink, end);
    }
    for ((guest, sink), end) in guests.iter().zip(&mut sinks).zip(["!left", "!right"]) {
        eventually_with(&mut **sink, "all of it arrives", |_| typed(guest).ends_with(end).then_some(()));
    }
    let [left, right] = guests.each_ref().map(typed);
    assert!(left.trim_end_matches("!left").chars().all(|c| matches!(c, 'a' | 'ä')), "{left}");
    assert!(right.trim_end_matches("!right").chars().all(|c| matches!(c, 'b' | 'ß')), "{right}");
    assert_eq!(left.matches('ä').count() + right.matches('ß').count(), 40);
    assert_eq!(typed(&desktop), "", "nothing arrives at the desktop's own window");
    drop((at_home, sinks));
}

#[test]
fn a_window_that_opens_elsewhere_takes_no_keyboard_and_comes_home() {
    let desktop = Bed::own(Mode::new(1280, 720, 60));
    let mut guest = Bed::beside(&desktop, Mode::new(800, 600, 60));
    let _own = recorder(&guest);
    looks_at(&desktop, "lumen-1", "HEADLESS-2");
    // sway gives the attention of all seats to a new window of the desktop's own.
    let _foreign = recorder(&desktop);
    looks_at(&desktop, "lumen-1", "HEADLESS-2");
    assert_eq!(seat(&desktop, "seat0").1, "HEADLESS-1");
    let mut sink = guest.compositor.input().unwrap_or_else(|error| panic!("{error}"));
    text(&mut *sink, "still here");
    eventually_with(&mut *sink, "it arrives", |_| (typed(&guest) == "still here").then_some(()));
    assert_eq!(typed(&desktop), "");
    // A further window of the session: where its first one is, whatever the desktop looks at.
    let _second = guest.terminal("stty raw -echo; touch ready2; exec cat > typed2");
    eventually("the new window has the session's keyboard", || {
        text(&mut *sink, "x");
        fs::read(guest.path("typed2")).is_ok_and(|typed| !typed.is_empty()).then_some(())
    });
    assert_eq!((seat(&desktop, "lumen-1").1, seat(&desktop, "seat0").1), ("HEADLESS-2".into(), "HEADLESS-1".into()));
}

/// Opens ten windows on the desktop's own output, one after the other, while `act` is done on and on: it is told how
/// often it was. Each window runs a shell that writes down all that it is sent, and none may be sent anything.
/// Afterwards the desktop shows `theirs` windows.
fn while_windows_open(desktop: &Bed, prepare: &str, theirs: usize, mut act: impl FnMut(usize)) -> usize {
    let mut windows = Vec::new();
    let mut done = 0;
    for number in 0..10 {
        let script = format!("printf '{prepare}'; stty raw -echo; touch opened{number}; exec cat > foreign{number}");
        windows.push(desktop.spawn("foot", &["sh", "-c", &script]));
        let until = Instant::now() + PATIENCE;
        let mut after = 0;
        // A while longer than until it is there: it starts its shell before its window.
        while after < 60 {
            assert!(Instant::now() < until, "the window does not open");
            after += i32::from(desktop.path(&format!("opened{number}")).exists());
            act(done);
            done += 1;
            std::thread::sleep(Duration::from_millis(4));
        }
    }
    let foreign = || desktop.output("swaymsg", &["-t", "get_tree"]).matches("\"app_id\": \"foot\"").count();
    eventually("all windows are there", || (foreign() == theirs + 1).then_some(()));
    let shown = ["HEADLESS-2", "HEADLESS-1"].map(|output| on_output(desktop, output));
    assert_eq!(shown, [1, theirs], "windows open where they always did");
    for number in 0..10 {
        let astray = fs::read(desktop.path(&format!("foreign{number}"))).unwrap_or_default();
        assert!(astray.is_empty(), "{} bytes went to another window", astray.len());
    }
    assert_eq!(seat(desktop, "seat0").1, "HEADLESS-1");
    looks_at(desktop, "lumen-1", "HEADLESS-2");
    drop(windows);
    done
}

/// How many terminals an output shows.
fn on_output(desktop: &Bed, output: &str) -> usize {
    fn count(node: &swayipc::Node) -> usize {
        let own = usize::from(node.app_id.as_deref() == Some("foot"));
        own + node.nodes.iter().chain(&node.floating_nodes).map(count).sum::<usize>()
    }
    let stream = UnixStream::connect(desktop.path("sway.sock")).expect("sway listens");
    let tree = swayipc::Connection::from(stream).get_tree().expect("sway answers");
    tree.nodes.iter().filter(|node| node.name.as_deref() == Some(output)).map(count).sum()
}

/// sway gives new windows of the desktop's own the attention of all seats, for a moment: the moment counts.
#[test]
fn what_is_typed_while_other_windows_open_does_not_go_astray() {
    let desktop = Bed::own(Mode::new(1280, 720, 60));
    let mut guest = Bed::beside(&desktop, Mode::new(800, 600, 60));
    let _own = recorder(&guest);
    let mut sink = guest.compositor.input().unwrap_or_else(|error| panic!("{error}"));
    eventually("typing arrives", || {
        text(&mut *sink, ".");
        (!typed(&guest).is_empty()).then_some(())
    });
    let mut wanted = String::new();
    while_windows_open(&desktop, "", 10, |number| {
        // By turns of many: each change between the two keyboards makes a program read a keymap.
        if number / 100 % 2 == 0 {
            text(&mut *sink, "xz");
            wanted += "xz";
        } else {
            tap(&mut *sink, b'Y');
            wanted += "y";
        }
        // sway drops a program that does not keep up.
        if number % 50 == 49 {
            let all = || typed(&guest).trim_start_matches('.').len() >= wanted.len();
            eventually_with(&mut *sink, "it arrives", |_| all().then_some(()));
        }
    });
    text(&mut *sink, "!");
    wanted += "!";
    eventually_with(&mut *sink, "all of it arrives", |_| typed(&guest).ends_with('!').then_some(()));
    println!("{} characters", wanted.len());
    assert_eq!(typed(&guest).trim_start_matches('.'), wanted);
}

/// sway reads what it is sent in pieces, and a busy one finds more than one: no window may open between its parts.
#[test]
fn what_is_clicked_while_other_windows_open_does_not_go_astray() {
    /// Reports of buttons.
    const REPORT: &str = "\\033[?1000h\\033[?1006h";
    let desktop = Bed::own(Mode::new(1280, 720, 60));
    // foot takes no clicks of a pointer that came before another one left. The desktop's own is on this one, so that it
    // is not on the session's before that is led home.
    let first = desktop.terminal("exec cat");
    let mut guest = Bed::beside(&desktop, Mode::new(800, 600, 60));
    let _own = guest.terminal(&format!("printf '{REPORT}'; stty raw -echo; touch ready; exec cat > typed"));
    eventually("the terminal listens", || guest.path("ready").exists().then_some(()));
    let mut sink = guest.compositor.input().unwrap_or_else(|error| panic!("{error}"));
    let extent = |extent: i16| ReferenceExtent::try_from(extent).expect("an extent");
    let place = AbsolutePosition { x: 600, y: 450, reference_width: extent(799), reference_height: extent(599) };
    sink.handle(&InputEvent::MouseAbsolute(place));
    let click = |sink: &mut dyn InputSink| {
        for state in [PressState::Down, PressState::Up] {
            sink.handle(&InputEvent::MouseButton(MouseButtonEvent { button: MouseButton::Left, state }));
        }
    };
    eventually("clicks arrive", || {
        click(&mut *sink);
        (!typed(&guest).is_empty()).then_some(())
    });
    // What comes after this was done while windows opened.
    text(&mut *sink, "|");
    eventually_with(&mut *sink, "it arrives", |_| typed(&guest).ends_with('|').then_some(()));
    let since = || typed(&guest).rsplit('|').next().unwrap_or_default().to_owned();
    let done = while_windows_open(&desktop, REPORT, 11, |number| {
        click(&mut *sink);
        // lumen gives up what waits for a sway that stands still for long.
        if number % 50 == 49 {
            eventually_with(&mut *sink, "it arrives", |_| (since().matches('m').count() > number).then_some(()));
        }
    });
    text(&mut *sink, "!");
    eventually_with(&mut *sink, "all of it arrives", |_| typed(&guest).ends_with('!').then_some(()));
    let arrived = since();
    let report = arrived.split_inclusive('M').next().expect("a report");
    println!("{done} clicks, such as {report:?}");
    let release = report.replace('M', "m");
    assert_eq!(arrived, format!("{}!", format!("{report}{release}").repeat(done)), "all of them, in the same place");
    drop(first);
}

#[test]
fn a_seat_is_left_empty_and_used_again() {
    let desktop = Bed::own(Mode::new(1280, 720, 60));
    let before = seats(&desktop).len();
    for _ in 0..3 {
        let guest = Bed::beside(&desktop, Mode::new(800, 600, 60));
        assert!(seat(&desktop, "lumen-1").0 > 0);
        drop(guest);
        eventually("its devices are gone", || (seat(&desktop, "lumen-1").0 == 0).then_some(()));
    }
    assert_eq!(seats(&desktop).len(), before + 8, "as many as are made at first");
    assert!(desktop.active_outputs().len() <= 2);
}

/// sway 1.7 gives the virtual devices of all seats to its own one when a seat is configured.
#[test]
fn devices_that_sway_dealt_out_anew_come_back() {
    let desktop = Bed::own(Mode::new(1280, 720, 60));
    let mut guest = Bed::beside(&desktop, Mode::new(800, 600, 60));
    let _own = recorder(&guest);
    looks_at(&desktop, "lumen-1", "HEADLESS-2");
    desktop.output("swaymsg", &["seat", "lumen-8", "hide_cursor", "0"]);
    // Anything that happens tells it.
    desktop.output("swaymsg", &["workspace", "another"]);
    eventually("the seat has its devices", || (seat(&desktop, "lumen-1").0 >= 4).then_some(()));
    looks_at(&desktop, "lumen-1", "HEADLESS-2");
    let mut sink = guest.compositor.input().unwrap_or_else(|error| panic!("{error}"));
    eventually("typing arrives", || {
        text(&mut *sink, "x");
        (!typed(&guest).is_empty()).then_some(())
    });
}
