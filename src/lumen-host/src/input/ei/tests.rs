//! Against a compositor's side of EI, by the other half of `reis`, over a real socket.

use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use lumen_core::gamestream::input::{
    Fraction, InputEvent, KeyEvent, Modifiers, MouseButton, MouseButtonEvent, PressState, ReferenceExtent, Text,
    VirtualKey,
};
use reis::eis;
use reis::handshake::EisHandshaker;
use reis::request::{DeviceCapability as Capability, EisRequest, EisRequestConverter};

use super::*;

const PATIENCE: Duration = Duration::from_secs(10);
const SURFACE: Surface = Surface { x: 100, y: 0, width: 641, height: 361 };

/// A compositor with one device for everything in `offered`, on two screens beside each other. What the client does
/// arrives as text.
fn compositor(offered: &'static [Capability]) -> (UnixStream, Receiver<String>) {
    compositor_with(offered, None)
}

/// The same; the device that takes positions is another one, and comes so much `later`.
fn compositor_with(offered: &'static [Capability], later: Option<Duration>) -> (UnixStream, Receiver<String>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let context = eis::Context::new(theirs).unwrap();
        let mut handshaker = EisHandshaker::new(&context, 1);
        let mut converter: Option<EisRequestConverter> = None;
        loop {
            context.flush().ok();
            poll(&mut [PollFd::new(&context, PollFlags::IN)], None).unwrap();
            if !context.read().is_ok_and(|read| read > 0) {
                return;
            }
            while let Some(PendingRequestResult::Request(request)) = context.pending_request() {
                let Some(converter) = &mut converter else {
                    if let Some(response) = handshaker.handle_request(request).unwrap() {
                        let made = EisRequestConverter::new(&context, response, 1);
                        let all = offered.iter().fold(BitFlags::empty(), |all, one| all | *one);
                        let _seat = made.handle().add_seat(Some("default"), all);
                        converter = Some(made);
                    }
                    continue;
                };
                converter.handle_request(request).unwrap();
                while let Some(request) = converter.next_request() {
                    let said = match request {
                        EisRequest::Bind(bind) => {
                            let kind = eis::device::DeviceType::Virtual;
                            let screens = |device: &reis::request::Device| {
                                for (name, x, width) in [("left", 0, 1000), ("right", 1000, 201)] {
                                    device.device().region_mapping_id(name);
                                    device.device().region(x, 50, width, 101, 1.0);
                                }
                            };
                            let Some(later) = later else {
                                bind.seat.add_device(Some("all"), kind, bind.capabilities, screens).resumed();
                                continue;
                            };
                            let rest = bind.capabilities & !BitFlags::from(Capability::PointerAbsolute);
                            bind.seat.add_device(Some("first"), kind, rest, |_| {}).resumed();
                            context.flush().unwrap();
                            std::thread::sleep(later);
                            let positions = Capability::PointerAbsolute.into();
                            bind.seat.add_device(Some("second"), kind, positions, screens).resumed();
                            continue;
                        }
                        EisRequest::KeyboardKey(key) => format!("key {} {:?}", key.key, key.state),
                        EisRequest::Button(button) => format!("button {:#x} {:?}", button.button, button.state),
                        EisRequest::PointerMotionAbsolute(to) => format!("at {} {}", to.dx_absolute, to.dy_absolute),
                        EisRequest::PointerMotion(by) => format!("by {} {}", by.dx, by.dy),
                        EisRequest::ScrollDiscrete(scroll) => {
                            format!("scroll {} {}", scroll.discrete_dx, scroll.discrete_dy)
                        }
                        EisRequest::TouchDown(touch) => format!("touch {} {}", touch.x, touch.y),
                        EisRequest::TouchUp(_) => "lift".to_owned(),
                        EisRequest::TextUtf8(text) => format!("text {}", text.text),
                        _ => continue,
                    };
                    sender.send(said).unwrap();
                }
            }
        }
    });
    (ours, receiver)
}

const KEYS_AND_POINTER: &[Capability] = &[
    Capability::Keyboard,
    Capability::Pointer,
    Capability::PointerAbsolute,
    Capability::Button,
    Capability::Scroll,
    Capability::Touch,
];

fn expect(receiver: &Receiver<String>, expected: &[&str]) {
    for expected in expected {
        assert_eq!(receiver.recv_timeout(PATIENCE).as_deref(), Ok(*expected));
    }
}

fn key(state: PressState, code: u8) -> InputEvent {
    InputEvent::Key(KeyEvent::new(state, VirtualKey(code), Modifiers::EMPTY))
}

#[test]
fn keys_buttons_and_wheels_arrive_as_they_were_meant() {
    let (socket, said) = compositor(KEYS_AND_POINTER);
    let mut sink = EiSink::open(socket, SURFACE, PATIENCE).unwrap();
    sink.handle(&key(PressState::Down, 0x41));
    // A repeat of a held key means nothing.
    sink.handle(&key(PressState::Down, 0x41));
    sink.handle(&key(PressState::Up, 0x41));
    let right = |state| InputEvent::MouseButton(MouseButtonEvent { state, button: MouseButton::Right });
    sink.handle(&right(PressState::Down));
    sink.handle(&right(PressState::Up));
    sink.handle(&InputEvent::Scroll(Scroll { axis: ScrollAxis::Vertical, amount: 120 }));
    sink.handle(&InputEvent::Scroll(Scroll { axis: ScrollAxis::Horizontal, amount: -30 }));
    sink.handle(&InputEvent::MouseRelative(RelativeMotion { dx: 5, dy: -3 }));
    expect(
        &said,
        &[
            "key 30 Press",
            "key 30 Released",
            "button 0x111 Press",
            "button 0x111 Released",
            "scroll 0 -120",
            "scroll -30 0",
            "by 5 -3",
        ],
    );
}

#[test]
fn positions_are_those_of_the_surface_in_its_region() {
    let (socket, said) = compositor(KEYS_AND_POINTER);
    let mut sink = EiSink::open(socket, SURFACE, PATIENCE).unwrap();
    let extent = |size| ReferenceExtent::try_from(size).unwrap();
    let at = |x, y| {
        let (reference_width, reference_height) = (extent(1280), extent(720));
        InputEvent::MouseAbsolute(AbsolutePosition { x, y, reference_width, reference_height })
    };
    sink.handle(&at(0, 0));
    sink.handle(&at(640, 360));
    sink.handle(&at(1280, 720));
    // Whole pixels, as they are meant.
    let (reference_width, reference_height) = (extent(1000), extent(1000));
    sink.handle(&InputEvent::MouseAbsolute(AbsolutePosition { x: 333, y: 333, reference_width, reference_height }));
    expect(&said, &["at 100 0", "at 420 180", "at 740 360", "at 313 120"]);

    // Where the compositor says where the screen is, that counts.
    for (mapping, expected) in [("right", ["at 1000 50", "at 1200 150"]), ("unknown", ["at 100 0", "at 740 360"])] {
        let (socket, said) = compositor(KEYS_AND_POINTER);
        let place = Place { mapping: Some(mapping.to_owned()), ..Place::from(SURFACE) };
        let mut sink = EiSink::open(socket, place, PATIENCE).unwrap();
        sink.handle(&at(0, 0));
        sink.handle(&at(1280, 720));
        expect(&said, &expected);
    }
}

#[test]
fn a_device_for_positions_that_comes_after_the_others_is_waited_for() {
    let (socket, said) = compositor_with(KEYS_AND_POINTER, Some(Duration::from_millis(200)));
    let mut sink = EiSink::open(socket, SURFACE, PATIENCE).unwrap();
    let extent = |size| ReferenceExtent::try_from(size).unwrap();
    let (reference_width, reference_height) = (extent(640), extent(360));
    sink.handle(&InputEvent::MouseAbsolute(AbsolutePosition { x: 640, y: 360, reference_width, reference_height }));
    sink.handle(&key(PressState::Down, 0x41));
    expect(&said, &["at 740 360", "key 30 Press"]);
}

#[test]
fn fingers_are_on_the_screen_that_is_meant() {
    let (socket, said) = compositor(KEYS_AND_POINTER);
    let place = Place { mapping: Some("right".to_owned()), ..Place::from(SURFACE) };
    let mut sink = EiSink::open(socket, place, PATIENCE).unwrap();
    let part = |part: f32| Fraction::try_from(part).unwrap();
    let touch = |event, x, y| {
        let (pointer, none) = (PointerId(7), part(0.0));
        let (pressure_or_distance, contact_major, contact_minor) = (none, none, none);
        let (x, y) = (part(x), part(y));
        InputEvent::Touch(TouchEvent {
            event,
            pointer,
            x,
            y,
            pressure_or_distance,
            rotation: None,
            contact_major,
            contact_minor,
        })
    };
    sink.handle(&touch(PointerEvent::Down, 0.0, 0.0));
    sink.handle(&touch(PointerEvent::Up, 0.0, 0.0));
    sink.handle(&touch(PointerEvent::Down, 1.0, 1.0));
    sink.handle(&touch(PointerEvent::Up, 1.0, 1.0));
    expect(&said, &["touch 1000 50", "lift", "touch 1200 150", "lift"]);
}

#[test]
fn only_what_is_let_in_is_waited_for() {
    for (granted, offered) in [(Granted::Keyboard, Capability::Keyboard), (Granted::Pointer, Capability::Pointer)] {
        let offered: &'static [Capability] = Box::leak(Box::new([offered]));
        let (socket, said) = compositor(offered);
        let place = Place { granted, ..Place::from(SURFACE) };
        let mut sink = EiSink::open(socket, place, PATIENCE).unwrap();
        sink.handle(&key(PressState::Down, 0x41));
        sink.handle(&InputEvent::MouseRelative(RelativeMotion { dx: 5, dy: -3 }));
        expect(&said, &[if granted == Granted::Keyboard { "key 30 Press" } else { "by 5 -3" }]);
    }
}

#[test]
fn text_is_typed_where_it_cannot_be_sent() {
    let (socket, said) = compositor(KEYS_AND_POINTER);
    let mut sink = EiSink::open(socket, SURFACE, PATIENCE).unwrap();
    sink.handle(&InputEvent::Text(Text::try_from("aß!".to_owned()).unwrap()));
    let typed = ["key 30 Press", "key 30 Released", "key 42 Press", "key 2 Press", "key 2 Released", "key 42 Released"];
    expect(&said, &typed);

    // Held until the character is typed, in this order.
    let (socket, said) = compositor(KEYS_AND_POINTER);
    let place = Place { keyboard: Keyboard::Extended, ..Place::from(SURFACE) };
    let mut sink = EiSink::open(socket, place, PATIENCE).unwrap();
    sink.handle(&InputEvent::Text(Text::try_from("a¨語".to_owned()).unwrap()));
    let level = ["key 245 Press", "key 246 Press", "key 42 Press", "key 200 Press"];
    let back = ["key 200 Released", "key 245 Released", "key 246 Released", "key 42 Released"];
    expect(&said, &["key 30 Press", "key 30 Released"]);
    expect(&said, &level);
    expect(&said, &back);

    let (socket, said) = compositor(&[Capability::Keyboard, Capability::Pointer, Capability::Text]);
    let mut sink = EiSink::open(socket, SURFACE, PATIENCE).unwrap();
    sink.handle(&InputEvent::Text(Text::try_from("aß!".to_owned()).unwrap()));
    expect(&said, &["text aß!"]);
}

#[test]
fn what_is_held_is_released_when_the_session_ends() {
    let (socket, said) = compositor(KEYS_AND_POINTER);
    let mut sink = EiSink::open(socket, SURFACE, PATIENCE).unwrap();
    sink.handle(&key(PressState::Down, 0x10));
    let left = MouseButtonEvent { state: PressState::Down, button: MouseButton::Left };
    sink.handle(&InputEvent::MouseButton(left));
    drop(sink);
    expect(&said, &["key 42 Press", "button 0x110 Press", "key 42 Released", "button 0x110 Released"]);
}

#[test]
fn a_compositor_that_offers_nothing_is_not_waited_for_longer_than_agreed() {
    let (socket, _said) = compositor(&[Capability::Touch]);
    let opened = EiSink::open(socket, SURFACE, Duration::from_millis(100));
    assert!(matches!(opened, Err(EiError::NoDevices(_))), "{opened:?}");
    let (silent, _kept) = UnixStream::pair().unwrap();
    let opened = EiSink::open(silent, SURFACE, Duration::from_millis(100));
    assert!(matches!(opened, Err(EiError::NoDevices(_))), "{opened:?}");
}
