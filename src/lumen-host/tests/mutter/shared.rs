//! Two sessions on one running Mutter: it has one pointer and one keyboard focus, which both use in turn.

use std::fs;
use std::path::PathBuf;

use lumen_core::gamestream::input::{
    AbsolutePosition, InputEvent, KeyEvent, Modifiers, MouseButton, MouseButtonEvent, PressState, ReferenceExtent,
    Text, VirtualKey,
};
use lumen_host::display::compositor::Compositor;
use lumen_host::frame::Mode;
use lumen_host::input::InputSink;

use crate::desk::{Session, background, next_where, wait_for};

const LEFT_SHIFT: u8 = 0xA0;
const MODES: [Mode; 2] = [Mode::new(640, 360, 30), Mode::new(480, 270, 20)];

/// Turns reports of the pointer on, in pixels.
const REPORTS: &str = "\\033[?1003h\\033[?1006h\\033[?1016h";

/// A session with its terminal.
struct Guest {
    input: Box<dyn InputSink>,
    _monitor: Box<dyn Compositor>,
    file: PathBuf,
    mode: Mode,
}

fn guest(desktop: &mut Session, name: &str, mode: Mode) -> Guest {
    let mut monitor = desktop.further(name, mode);
    let input = monitor.input().unwrap_or_else(|error| panic!("{error}"));
    let mut capture = monitor.capture().unwrap_or_else(|error| panic!("{error}"));
    let file = desktop.terminal_as(name, "--maximized", REPORTS);
    next_where(&mut *capture, "its own terminal", |image| background(image) > 0.8);
    Guest { input, _monitor: monitor, file, mode }
}

impl Guest {
    fn key(&mut self, state: PressState, code: u8) {
        self.input.handle(&InputEvent::Key(KeyEvent::new(state, VirtualKey(code), Modifiers::EMPTY)));
    }

    fn tap(&mut self, code: u8) {
        self.key(PressState::Down, code);
        self.key(PressState::Up, code);
    }

    fn text(&mut self, text: &str) {
        self.input.handle(&InputEvent::Text(Text::try_from(text.to_owned()).expect("short")));
    }

    fn point(&mut self, x: i16, y: i16) {
        let extent = |extent: u32| ReferenceExtent::try_from((extent - 1) as i16).expect("small");
        self.input.handle(&InputEvent::MouseAbsolute(AbsolutePosition {
            x,
            y,
            reference_width: extent(self.mode.width),
            reference_height: extent(self.mode.height),
        }));
    }

    fn click(&mut self) {
        for state in [PressState::Down, PressState::Up] {
            self.input.handle(&InputEvent::MouseButton(MouseButtonEvent { state, button: MouseButton::Left }));
        }
    }

    fn seen(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.file).unwrap_or_default()).into_owned()
    }

    /// What was typed, without what the terminal reports.
    fn typed(&self) -> String {
        let seen = self.seen();
        let parts = seen.split("\x1b[").enumerate();
        parts
            .map(|(at, part)| if at == 0 { part } else { &part[part.find(char::is_alphabetic).unwrap_or(0) + 1..] })
            .collect()
    }

    fn clicks(&self) -> usize {
        self.seen().matches("\x1b[<0;").count()
    }
}

fn guests(desktop: &mut Session) -> [Guest; 2] {
    [("ann", MODES[0]), ("bob", MODES[1])].map(|(name, mode)| guest(desktop, name, mode))
}

#[test]
fn keys_of_each_session_arrive_in_its_own_window_whoever_typed_last() {
    let mut desktop = Session::open("sk", Mode::new(800, 600, 30));
    let [mut ann, mut bob] = guests(&mut desktop);
    // What one holds does not change what the other types.
    ann.key(PressState::Down, LEFT_SHIFT);
    ann.tap(b'A');
    wait_for("the first key", || ann.typed() == "A");
    for round in 0..5 {
        bob.tap(b'B');
        bob.text("Z");
        wait_for("the other's keys", || bob.typed() == "bZ".repeat(round + 1));
        ann.tap(b'A');
        wait_for("the first one's key", || ann.typed() == "A".repeat(round + 2));
    }
    ann.key(PressState::Up, LEFT_SHIFT);
    // At the same time.
    for _ in 0..10 {
        ann.text("x!");
        bob.text("Y?");
    }
    wait_for("all of the first one's", || ann.typed() == format!("{}{}", "A".repeat(6), "x!".repeat(10)));
    wait_for("all of the other's", || bob.typed() == format!("{}{}", "bZ".repeat(5), "Y?".repeat(10)));
    assert_eq!((ann.clicks(), bob.clicks()), (0, 0), "no program sees how the keyboard is led to it");
}

#[test]
fn the_pointer_goes_to_the_monitor_of_whose_it_is() {
    let mut desktop = Session::open("sp", Mode::new(800, 600, 30));
    let mut both = guests(&mut desktop);
    for round in 0..5 {
        for guest in &mut both {
            let before = guest.seen().len();
            let mut step = 0;
            wait_for("the pointer in its own window", || {
                // A pointer that enters a window is not one that moves in it.
                step += 1;
                guest.point(100 + round * 20 + step % 10, 100);
                guest.seen()[before..].contains("\x1b[<35;")
            });
        }
    }
    // Both click at once, again and again; neither says where again.
    for _ in 0..5 {
        both.iter_mut().for_each(Guest::click);
    }
    wait_for("all clicks", || both.iter().all(|guest| guest.clicks() == 10));
}
