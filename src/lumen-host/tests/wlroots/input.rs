//! What a client types and points at arrives, exactly.

use std::fs;

use lumen_core::gamestream::input::{
    AbsolutePosition, Fraction, InputEvent, KeyEvent, Modifiers, MouseButton, MouseButtonEvent, PointerEvent,
    PointerId, PressState, ReferenceExtent, RelativeMotion, Scroll, ScrollAxis, Text, TouchEvent, VirtualKey,
};
use lumen_host::display::process::Process;
use lumen_host::frame::Mode;
use lumen_host::input::InputSink;

use crate::bed::{Bed, eventually, need};

const MODE: Mode = Mode::new(1280, 720, 60);

/// A terminal that writes down what it is sent.
fn recorder(bed: &Bed) -> Process {
    let terminal = bed.terminal("stty raw -echo; touch ready; exec cat > typed");
    eventually("the terminal listens", || bed.path("ready").exists().then_some(()));
    terminal
}

fn sink(bed: &mut Bed) -> Box<dyn InputSink> {
    bed.compositor.input().unwrap_or_else(|error| panic!("{error}"))
}

fn key(sink: &mut dyn InputSink, state: PressState, key: u8, modifiers: Modifiers) {
    sink.handle(&InputEvent::Key(KeyEvent::new(state, VirtualKey(key), modifiers)));
}

fn tap(sink: &mut dyn InputSink, code: u8) {
    key(sink, PressState::Down, code, Modifiers::EMPTY);
    key(sink, PressState::Up, code, Modifiers::EMPTY);
}

fn text(sink: &mut dyn InputSink, text: &str) {
    sink.handle(&InputEvent::Text(Text::try_from(text.to_owned()).expect("short")));
}

fn arrives(bed: &Bed, wanted: &str) {
    let read = || fs::read(bed.path("typed")).unwrap_or_default();
    eventually(&format!("{wanted:?} arrives"), || (read().len() >= wanted.len()).then_some(()));
    assert_eq!(String::from_utf8_lossy(&read()), wanted);
}

#[test]
fn typed_text_arrives_byte_for_byte() {
    let mut bed = Bed::own(MODE);
    let mut sink = sink(&mut bed);
    let sink = &mut *sink;
    let _terminal = recorder(&bed);
    // The very first keys, before anything else was sent.
    for code in [b'H', b'E', b'L', b'L', b'O', 0x20] {
        tap(sink, code);
    }
    // Shift by its own key, then only by the packet's flag.
    key(sink, PressState::Down, 0xA0, Modifiers::SHIFT);
    for code in [b'A', b'1', 0xBF] {
        key(sink, PressState::Down, code, Modifiers::SHIFT);
        key(sink, PressState::Up, code, Modifiers::SHIFT);
    }
    key(sink, PressState::Up, 0xA0, Modifiers::EMPTY);
    key(sink, PressState::Down, b'B', Modifiers::SHIFT);
    key(sink, PressState::Up, b'B', Modifiers::SHIFT);
    // Capital letters by their lock, digits of the keypad, control and alt.
    tap(sink, 0x14);
    tap(sink, b'C');
    tap(sink, 0x14);
    tap(sink, b'D');
    for code in [0x67, 0x68, 0x69, 0x0D, 0x09] {
        tap(sink, code);
    }
    key(sink, PressState::Down, 0xA2, Modifiers::CTRL);
    key(sink, PressState::Down, b'C', Modifiers::CTRL);
    key(sink, PressState::Up, b'C', Modifiers::CTRL);
    key(sink, PressState::Up, 0xA2, Modifiers::EMPTY);
    key(sink, PressState::Down, 0xA4, Modifiers::ALT);
    key(sink, PressState::Down, b'X', Modifiers::ALT);
    key(sink, PressState::Up, b'X', Modifiers::ALT);
    key(sink, PressState::Up, 0xA4, Modifiers::EMPTY);
    let mut wanted = "hello A!?BCd789\r\t\u{3}\u{1b}x".to_owned();
    arrives(&bed, &wanted);
    // Characters that the layout lacks, keys in between, and more of them than a keymap has room for.
    for part in ["grüße €", "漢字 🦀", "ÄÖÜ\n"] {
        text(sink, part);
        tap(sink, b'Y');
        wanted += &part.replace('\n', "\r");
        wanted.push('y');
    }
    for block in 0..80u32 {
        let characters: String = (0..4).filter_map(|n| char::from_u32(0x0400 + block * 4 + n)).collect();
        text(sink, &characters);
        wanted += &characters;
    }
    arrives(&bed, &wanted);
}

#[test]
fn keys_have_the_characters_of_the_configured_layout() {
    let mut bed = Bed::with(MODE, &[("XKB_DEFAULT_LAYOUT", "de")]);
    let mut sink = sink(&mut bed);
    let sink = &mut *sink;
    let _terminal = recorder(&bed);
    // By their places on an American keyboard: z, y, the three umlauts, and what the right alt key makes of two.
    for code in [b'Y', b'Z', 0xBA, 0xDE, 0xDB] {
        tap(sink, code);
    }
    key(sink, PressState::Down, 0xA5, Modifiers::ALT);
    for code in [b'E', b'Q'] {
        key(sink, PressState::Down, code, Modifiers::ALT);
        key(sink, PressState::Up, code, Modifiers::ALT);
    }
    key(sink, PressState::Up, 0xA5, Modifiers::EMPTY);
    arrives(&bed, "zyöäü€@");
}

#[test]
fn nothing_stays_held_when_the_client_is_gone() {
    let mut bed = Bed::own(MODE);
    let mut sink = sink(&mut bed);
    let _terminal = recorder(&bed);
    key(&mut *sink, PressState::Down, 0xA0, Modifiers::SHIFT);
    key(&mut *sink, PressState::Down, 0xA2, Modifiers::EMPTY);
    sink.release_all();
    tap(&mut *sink, b'A');
    arrives(&bed, "a");
}

#[test]
fn the_pointer_arrives_where_the_client_points() {
    let mut bed = Bed::own(MODE);
    need("wev");
    let log = fs::File::create(bed.path("events")).expect("a file");
    let mut command = bed.command("stdbuf", &["-oL", "wev"]);
    command.stdout(log);
    let _wev = Process::spawn(command, &bed.spec.session).expect("it starts");
    let events = |bed: &Bed| fs::read_to_string(bed.path("events")).unwrap_or_default();
    let mut sink = sink(&mut bed);
    let sink = &mut *sink;
    let expect = |what: &str, sink: &mut dyn InputSink| {
        eventually(&format!("the program sees {what}"), || {
            sink.poll_feedback();
            events(&bed).contains(what).then_some(())
        });
    };
    eventually("the window takes the pointer", || {
        events(&bed).contains("wl_pointer").then_some(()).filter(|()| events(&bed).contains("enter"))
    });
    let extent = |size: u32| ReferenceExtent::try_from(i16::try_from(size).expect("small")).expect("positive");
    let absolute = |sink: &mut dyn InputSink, x: i16, y: i16, width: u32, height: u32| {
        sink.handle(&InputEvent::MouseAbsolute(AbsolutePosition {
            x,
            y,
            reference_width: extent(width),
            reference_height: extent(height),
        }));
    };
    // The client's picture has the output's size, then half of it.
    for (x, y) in [(0, 0), (100, 50), (1279, 719), (640, 360)] {
        absolute(sink, x, y, 1279, 719);
        expect(&format!("x, y: {x}.000000, {y}.000000"), sink);
    }
    absolute(sink, 639, 0, 639, 359);
    expect("x, y: 1279.000000, 0.000000", sink);
    absolute(sink, 10, 20, 1279, 719);
    sink.handle(&InputEvent::MouseRelative(RelativeMotion { dx: 7, dy: -3 }));
    expect("x, y: 17.000000, 17.000000", sink);
    // Linux names its buttons from 272 on.
    for (button, code) in [(MouseButton::Left, 272), (MouseButton::Right, 273), (MouseButton::X1, 275)] {
        for (state, name) in [(PressState::Down, "pressed"), (PressState::Up, "released")] {
            sink.handle(&InputEvent::MouseButton(MouseButtonEvent { state, button }));
            let line = |line: &&str| line.contains(&format!("button: {code} ")) && line.contains(name);
            eventually("the button arrives", || events(&bed).lines().find(line).map(drop));
        }
    }
    sink.handle(&InputEvent::Scroll(Scroll { axis: ScrollAxis::Vertical, amount: 120 }));
    expect("value: -15.000000", sink);
    sink.handle(&InputEvent::Scroll(Scroll { axis: ScrollAxis::Horizontal, amount: 40 }));
    expect("value: 5.000000", sink);
    // A finger acts as the pointer.
    let part = |part: f32| Fraction::try_from(part).expect("finite");
    for event in [PointerEvent::Down, PointerEvent::Up] {
        sink.handle(&InputEvent::Touch(TouchEvent {
            event,
            pointer: PointerId(7),
            x: part(1.0),
            y: part(0.0),
            pressure_or_distance: part(0.5),
            rotation: None,
            contact_major: part(0.0),
            contact_minor: part(0.0),
        }));
    }
    eventually("the finger presses the left button again", || {
        (events(&bed).lines().filter(|line| line.contains("button: 272 ")).count() == 4).then_some(())
    });
    let all = events(&bed);
    println!("{}", all.lines().filter(|line| line.contains("wl_pointer")).collect::<Vec<_>>().join("\n"));
}
