//! The card as its session sees it: through the traits, by its pixels.

use std::time::{Duration, Instant};

use lumen_core::gamestream::control::{HostMessage, Led, MotionRequest, Rumble, TriggerRumble};
use lumen_core::gamestream::input::{
    AbsolutePosition, Buttons, Capabilities, ControllerArrival, ControllerIndex, ControllerKind, ControllerMask,
    ControllerState, Fraction, InputEvent, KeyEvent, Modifiers, MotionKind, MouseButton, MouseButtonEvent,
    PointerEvent, PointerId, PressState, ReferenceExtent, RelativeMotion, Text, TouchEvent, VirtualKey,
};
use lumen_core::strip::{StripContent, StripLayout, event_digest, read_with};

use super::background::Facts;
use super::clock::UnixNanos;
use super::echo::Echo;
use super::layout::Layout;
use super::painter::{Moment, Painter};
use super::*;
use crate::frame::CpuImage;

const MODE: Mode = Mode::new(640, 360, 60);

fn strip_of(image: &CpuImage) -> StripContent {
    let layout = StripLayout::for_picture(image.width, image.height).unwrap();
    read_with(layout, |x, y| u32::from(image.data[y as usize * image.stride + x as usize * 4 + 1])).unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

fn take(capture: &mut Box<dyn Capture>) -> Frame {
    match capture.next(soon()).unwrap() {
        Captured::Frame(frame) => frame,
        Captured::Still => panic!("no frame in five seconds"),
    }
}

fn controller(number: u8) -> ControllerIndex {
    ControllerIndex::new(number).unwrap()
}

fn held(number: u8, buttons: Buttons) -> InputEvent {
    let controller = controller(number);
    InputEvent::Controller(ControllerState {
        buttons,
        mask: ControllerMask(0xFFFF),
        ..ControllerState::idle(controller)
    })
}

fn arrival(number: u8, capabilities: Capabilities) -> InputEvent {
    let controller = controller(number);
    InputEvent::ControllerArrival(ControllerArrival {
        controller,
        kind: ControllerKind::PlayStation,
        capabilities,
        buttons: Buttons::ALL,
    })
}

fn key(key: u8, state: PressState) -> InputEvent {
    InputEvent::Key(KeyEvent::new(state, VirtualKey(key), Modifiers::EMPTY))
}

fn touch(event: PointerEvent, id: u32, at: f32) -> InputEvent {
    let at = Fraction::try_from(at).unwrap();
    InputEvent::Touch(TouchEvent {
        event,
        pointer: PointerId(id),
        x: at,
        y: at,
        pressure_or_distance: at,
        rotation: None,
        contact_major: Fraction::ZERO,
        contact_minor: Fraction::ZERO,
    })
}

fn feedback(sink: &mut dyn InputSink) -> Vec<HostMessage> {
    std::iter::from_fn(|| sink.poll_feedback()).collect()
}

#[test]
fn pictures_have_the_size_of_the_mode_and_say_session_time_and_frame() {
    for (width, height) in [(320, 180), (640, 360), (1366, 768), (1080, 1920)] {
        let mut card = Testcard::new(Mode::new(width, height, 60), 0xBEEF, "test").unwrap();
        let mut capture = card.capture().unwrap();
        let before = UnixNanos::now();
        let frame = take(&mut capture);
        let strip = strip_of(&frame.image);
        assert_eq!((frame.image.width, frame.image.height, frame.serial), (width, height, 1));
        assert_eq!((strip.session, strip.pointer, strip.input_events), (0xBEEF, None, 0));
        assert!((before.micros()..=UnixNanos::now().micros()).contains(&strip.unix_micros));
        let next = strip_of(&take(&mut capture).image);
        assert!(next.frame > strip.frame && next.unix_micros > strip.unix_micros);
    }
}

#[test]
fn frames_come_at_their_turns_and_never_twice() {
    let mut card = Testcard::new(Mode::new(320, 180, 100), 1, "").unwrap();
    let mut capture = card.capture().unwrap();
    let first = take(&mut capture);
    for number in 2..=12u64 {
        let frame = take(&mut capture);
        assert!(frame.serial >= number);
        let turns = frame.serial - first.serial;
        let late = frame.timeline.presented - first.timeline.presented;
        // The first may have been up to one interval after its turn.
        assert!(late >= Duration::from_millis(10 * (turns - 1)), "{late:?} for {turns}");
        let strips = (strip_of(&frame.image).frame, strip_of(&first.image).frame);
        assert_eq!(u64::from(strips.0 - strips.1), turns);
    }
}

#[test]
fn a_late_reader_gets_the_newest_frame_and_a_gap() {
    let mut card = Testcard::new(Mode::new(320, 180, 200), 1, "").unwrap();
    let mut capture = card.capture().unwrap();
    let first = take(&mut capture);
    std::thread::sleep(Duration::from_millis(60));
    let asked = Instant::now();
    let second = take(&mut capture);
    assert!(second.serial - first.serial >= 11, "{}", second.serial);
    assert!(second.timeline.presented >= asked);
}

#[test]
fn a_deadline_before_the_next_turn_yields_still() {
    let mut card = Testcard::new(Mode::new(320, 180, 1), 1, "").unwrap();
    let mut capture = card.capture().unwrap();
    take(&mut capture);
    assert!(matches!(capture.next(Instant::now() + Duration::from_millis(2)), Ok(Captured::Still)));
}

#[test]
fn a_new_mode_ends_old_captures_and_keeps_the_pointer_in_place() {
    let mut card = Testcard::new(MODE, 1, "").unwrap();
    let mut capture = card.capture().unwrap();
    take(&mut capture);
    let extent = |value| ReferenceExtent::try_from(value).unwrap();
    card.input().unwrap().handle(&InputEvent::MouseAbsolute(AbsolutePosition {
        x: 320,
        y: 180,
        reference_width: extent(640),
        reference_height: extent(360),
    }));
    card.set_mode(Mode::new(1280, 720, 30)).unwrap();
    assert!(matches!(capture.next(soon()), Err(CaptureError::DisplayGone(_))));
    let frame = take(&mut card.capture().unwrap());
    assert_eq!((frame.image.width, card.mode().rate_num), (1280, 30));
    let (x, y) = strip_of(&frame.image).pointer.unwrap();
    assert!(x.abs_diff(640) <= 2 && y.abs_diff(360) <= 2, "{x} {y}");
}

#[test]
fn dropping_the_display_ends_its_captures() {
    let mut card = Testcard::new(MODE, 1, "").unwrap();
    let mut capture = card.capture().unwrap();
    drop(card);
    assert!(matches!(capture.next(soon()), Err(CaptureError::DisplayGone(_))));
}

#[test]
fn impossible_modes_are_refused_and_leave_the_old_one() {
    for mode in [Mode::new(160, 90, 60), Mode::new(20_000, 900, 60), Mode { rate_num: 0, ..MODE }] {
        assert!(Testcard::new(mode, 1, "").is_err());
        let mut card = Testcard::new(MODE, 1, "").unwrap();
        assert!(card.set_mode(mode).is_err());
        assert_eq!(card.mode(), MODE);
    }
}

#[test]
fn frames_that_are_held_keep_their_pixels() {
    let mut card = Testcard::new(Mode::new(320, 180, 500), 1, "").unwrap();
    let mut capture = card.capture().unwrap();
    let frames: Vec<Frame> = (0..12).map(|_| take(&mut capture)).collect();
    let numbers: Vec<u32> = frames.iter().map(|frame| strip_of(&frame.image).frame).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
}

#[test]
fn a_reader_that_lets_go_of_frames_makes_the_card_use_two_buffers_at_most() {
    let mut card = Testcard::new(Mode::new(320, 180, 500), 1, "").unwrap();
    let mut capture = card.capture().unwrap();
    let mut buffers: Vec<*const u8> = (0..20).map(|_| take(&mut capture).image.data.as_ptr()).collect();
    buffers.sort_unstable();
    buffers.dedup();
    assert!(buffers.len() <= 2, "{}", buffers.len());
}

/// A picture drawn on a much used buffer must equal one drawn on a fresh one: nothing stale remains.
#[test]
fn used_buffers_show_what_fresh_ones_would() {
    let plain = [(1280, 720), (360, 640), (1080, 1920)].map(|size| (size, Ground::Plain));
    for ((width, height), ground) in plain.into_iter().chain([((1280, 720), Ground::Motion)]) {
        let layout = Layout::new(width, height).unwrap();
        let facts = Facts { mode: Mode::new(width, height, 60), session: 3, label: "x".to_owned(), ground };
        let mut echo = Echo::new(width, height);
        let mut used = Painter::new(layout.clone(), &facts);
        let start = Instant::now();
        let mut kept = None;
        for step in 0..130u64 {
            let now = start + Duration::from_millis(step * 16);
            for event in busy_step(step) {
                echo.apply(&event, now);
            }
            if step == 100 {
                echo.release_all();
            }
            let wall = UnixNanos(1_764_000_000_950_000_000 + step as i64 * 16_666_667);
            let interval = Duration::from_nanos(16_666_667);
            let channels = (step > 20).then_some(8);
            let moment = Moment { frame: step * 997, tick: wall, interval, drawn: wall, now, channels };
            let picture = used.draw(&moment, &echo);
            if step % 13 == 0 {
                let fresh = Painter::new(layout.clone(), &facts).draw(&moment, &echo);
                assert!(picture == fresh, "{width}x{height}: step {step} differs");
                // Holding one now and then changes which buffers are drawn on.
                kept = Some(picture);
            }
        }
        drop(kept);
    }
}

fn busy_step(step: u64) -> Vec<InputEvent> {
    let way = (step % 40) as i16 - 20;
    let mut events = vec![InputEvent::MouseRelative(RelativeMotion { dx: way * 3, dy: 17 - way })];
    match step {
        10 => events.extend([arrival(0, Capabilities::ALL), held(0, Buttons::A | Buttons::LEFT_STICK)]),
        20 => events
            .push(InputEvent::MouseButton(MouseButtonEvent { state: PressState::Down, button: MouseButton::Right })),
        30 => events.extend([key(b'A', PressState::Down), key(0x1B, PressState::Down)]),
        40 => events.push(InputEvent::Text(Text::try_from("héllo 日本".to_owned()).unwrap())),
        50..60 => events.push(touch(PointerEvent::Move, step as u32 % 3, step as f32 / 100.0)),
        70 => events.push(touch(PointerEvent::CancelAll, 0, 0.0)),
        80 => events.push(held(0, Buttons::EMPTY)),
        _ => {}
    }
    events
}

#[test]
fn the_strip_tells_which_events_came_and_where_the_pointer_is() {
    let mut card = Testcard::new(MODE, 1, "").unwrap();
    let mut sink = card.input().unwrap();
    let events = [
        key(b'Q', PressState::Down),
        InputEvent::MouseRelative(RelativeMotion { dx: -20, dy: 7 }),
        touch(PointerEvent::Down, 4, 0.5),
    ];
    let mut digest = 0u32;
    for event in &events {
        sink.handle(event);
        digest = digest.wrapping_add(event_digest(event));
    }
    let strip = strip_of(&take(&mut card.capture().unwrap()).image);
    assert_eq!((strip.input_events, strip.input_digest), (3, digest));
    assert_eq!(strip.pointer, Some((300, 187)));
    assert!(strip.input_age.unwrap() < Duration::from_secs(5));
}

#[test]
fn input_of_one_card_never_shows_on_another() {
    let mut cards: Vec<Testcard> = (0..4).map(|session| Testcard::new(MODE, session, "").unwrap()).collect();
    for (number, card) in cards.iter_mut().enumerate() {
        let mut sink = card.input().unwrap();
        for _ in 0..=number {
            sink.handle(&key(b'Z', PressState::Down));
        }
    }
    for (number, card) in cards.iter_mut().enumerate() {
        let strip = strip_of(&take(&mut card.capture().unwrap()).image);
        assert_eq!((usize::from(strip.session), usize::from(strip.input_events)), (number, number + 1));
    }
}

#[test]
fn a_pressed_button_rumbles_and_lights_its_own_pad_until_it_is_let_go() {
    let mut card = Testcard::new(MODE, 1, "").unwrap();
    let mut sink = card.input().unwrap();
    sink.handle(&arrival(2, Capabilities::RUMBLE | Capabilities::LED));
    feedback(&mut *sink);
    sink.handle(&held(2, Buttons::A));
    let pressed = feedback(&mut *sink);
    let index = controller(2);
    assert!(matches!(pressed[..], [
        HostMessage::Rumble(Rumble { controller, low_frequency: 1.., high_frequency: 1.. }),
        HostMessage::Led(Led { controller: lit, .. }),
    ] if controller == index && lit == index));
    sink.handle(&held(2, Buttons::A));
    assert_eq!(feedback(&mut *sink), [], "no change, no message");
    sink.handle(&held(2, Buttons::EMPTY));
    let released = feedback(&mut *sink);
    assert!(matches!(released[..], [
        HostMessage::Rumble(Rumble { controller, low_frequency: 0, high_frequency: 0 }),
        HostMessage::Led(_),
    ] if controller == index));
}

#[test]
fn triggers_rumble_and_motion_is_asked_for_where_the_pad_can() {
    let mut card = Testcard::new(MODE, 1, "").unwrap();
    let mut sink = card.input().unwrap();
    let pull = |number: u8| {
        InputEvent::Controller(ControllerState {
            right_trigger: 255,
            mask: ControllerMask(3),
            ..ControllerState::idle(controller(number))
        })
    };
    sink.handle(&arrival(0, Capabilities::ALL));
    sink.handle(&arrival(1, Capabilities::RUMBLE));
    let asked: Vec<_> = feedback(&mut *sink)
        .into_iter()
        .filter_map(|message| match message {
            HostMessage::MotionRequest(MotionRequest { controller, rate_hz, kind }) => {
                Some((controller.get(), rate_hz, kind))
            }
            _ => None,
        })
        .collect();
    assert_eq!(asked, [(0, 100, MotionKind::Accelerometer), (0, 100, MotionKind::Gyro)]);
    sink.handle(&pull(0));
    sink.handle(&pull(1));
    let rumbles = feedback(&mut *sink);
    assert_eq!(
        rumbles,
        [HostMessage::TriggerRumble(TriggerRumble { controller: controller(0), left: 0, right: 65_528 })]
    );
}

#[test]
fn release_all_stops_the_rumble_and_lets_go() {
    let mut card = Testcard::new(MODE, 1, "").unwrap();
    let mut sink = card.input().unwrap();
    sink.handle(&held(0, Buttons::B));
    sink.handle(&key(b'W', PressState::Down));
    feedback(&mut *sink);
    sink.release_all();
    assert!(matches!(
        feedback(&mut *sink)[..],
        [HostMessage::Rumble(Rumble { low_frequency: 0, high_frequency: 0, .. }), HostMessage::Led(_),]
    ));
    let state = card.shared.lock();
    assert!(state.echo.keys.is_empty());
    assert_eq!(
        state.echo.pads.present().map(|(number, pad)| (number, pad.buttons)).collect::<Vec<_>>(),
        [(0, Buttons::EMPTY)]
    );
}

#[test]
fn feedback_that_nobody_fetches_does_not_grow() {
    let mut card = Testcard::new(MODE, 1, "").unwrap();
    let mut sink = card.input().unwrap();
    for _ in 0..10_000 {
        sink.handle(&held(0, Buttons::B));
        sink.handle(&held(0, Buttons::EMPTY));
    }
    assert!(feedback(&mut *sink).len() <= 128);
}

#[test]
fn a_pad_that_leaves_is_gone_and_one_that_never_arrived_is_made() {
    let mut echo = Echo::new(640, 360);
    let now = Instant::now();
    echo.apply(&held(5, Buttons::X), now);
    assert_eq!(echo.pads.present().map(|(number, _)| number).collect::<Vec<_>>(), [5]);
    let gone = ControllerState { mask: ControllerMask(0), ..ControllerState::idle(controller(5)) };
    echo.apply(&InputEvent::Controller(gone), now);
    assert_eq!(echo.pads.present().count(), 0);
}

#[test]
fn touches_and_text_are_bounded() {
    let mut echo = Echo::new(640, 360);
    let now = Instant::now();
    for id in 0..100 {
        echo.apply(&touch(PointerEvent::Down, id, 0.5), now);
        echo.apply(&InputEvent::Text(Text::try_from("ünïcödé ".to_owned()).unwrap()), now);
        echo.apply(&key(id as u8 + 1, PressState::Down), now);
    }
    assert_eq!((echo.touches.len(), echo.text.chars().count(), echo.keys.len()), (16, 48, 32));
    echo.apply(&touch(PointerEvent::Up, 3, 0.5), now);
    assert!(echo.touches.iter().all(|touch| touch.id != PointerId(3)) && echo.touches.len() == 15);
}

#[test]
fn the_flash_is_on_the_frame_that_contains_the_second() {
    let layout = Layout::new(640, 360).unwrap();
    let facts = Facts { mode: MODE, session: 3, label: String::new(), ground: Ground::Plain };
    let mut painter = Painter::new(layout.clone(), &facts);
    let echo = Echo::new(640, 360);
    let interval = MODE.interval();
    let lamp = ((layout.dial.y - layout.dial.radius * 0.5) as usize * 640 + 320) * 4;
    let mut flashes = Vec::new();
    for frame in 0..150u64 {
        let tick = UnixNanos(1_764_000_000_500_000_000 + frame as i64 * interval.as_nanos() as i64);
        let moment = Moment { frame, tick, interval, drawn: tick, now: Instant::now(), channels: None };
        let picture = painter.draw(&moment, &echo);
        if strip_of(&picture).flash {
            assert_eq!(picture.data[lamp..lamp + 3], [255, 255, 255]);
            flashes.push(frame);
        }
    }
    assert_eq!(flashes, [30, 90]);
}

/// The pictures of half a second, with a pointer that moves.
fn half_a_second(ground: Ground, mode: Mode) -> impl Iterator<Item = (UnixNanos, Arc<CpuImage>)> {
    let Mode { width, height, .. } = mode;
    let layout = Layout::new(width, height).unwrap();
    let mut painter = Painter::new(layout, &Facts { mode, session: 0xA5C3, label: String::new(), ground });
    (0..30u64).map(move |frame| {
        let mut echo = Echo::new(width, height);
        let now = Instant::now();
        echo.apply(&InputEvent::MouseRelative(RelativeMotion { dx: frame as i16 * 5, dy: 3 }), now);
        let tick = UnixNanos(1_764_000_000_900_000_000 + frame as i64 * 16_666_667);
        let moment = Moment { frame, tick, interval: mode.interval(), drawn: tick, now, channels: Some(2) };
        (tick, painter.draw(&moment, &echo))
    })
}

/// Sends half a second through H.264 at a rate, reads the strip of every picture that arrives, and returns the rate
/// that was needed.
fn streamed(ground: Ground, mode: Mode, bitrate: u32) -> u32 {
    use lumen_core::strip::{LumaPlane, read};
    use openh264::OpenH264API;
    use openh264::decoder::Decoder;
    use openh264::encoder::{BitRate, Encoder, EncoderConfig, FrameRate, RateControlMode};
    use openh264::formats::{BgraSliceU8, YUVBuffer, YUVSource};

    let Mode { width, height, .. } = mode;
    let config = EncoderConfig::new()
        .bitrate(BitRate::from_bps(bitrate))
        .max_frame_rate(FrameRate::from_hz(60.0))
        .rate_control_mode(RateControlMode::Bitrate)
        .skip_frames(false);
    let mut encoder = Encoder::with_api_config(OpenH264API::from_source(), config).unwrap();
    let mut decoder = Decoder::new().unwrap();
    let (even_width, even_height) = (width as usize & !1, height as usize & !1);
    let (mut seen, mut bytes) = (0, 0);
    for (tick, picture) in half_a_second(ground, mode) {
        let source = BgraSliceU8::new(&picture.data, (even_width, even_height));
        let unit = encoder.encode(&YUVBuffer::from_bgra8_source(source)).unwrap().to_vec();
        bytes += unit.len() as u32;
        let Some(decoded) = decoder.decode(&unit).unwrap() else { continue };
        let plane = LumaPlane { data: decoded.y(), stride: decoded.strides().0, width, height };
        let strip = read(&plane).unwrap_or_else(|error| panic!("{width}x{height}, picture {seen}: {error}"));
        assert_eq!((strip.session, strip.input_events), (0xA5C3, 1));
        assert_eq!(strip.unix_micros, tick.micros());
        seen += 1;
    }
    assert!(seen >= 28);
    bytes * 8 * 2
}

/// Through a real codec at a rate where text is long unreadable, the strip must still say all.
#[test]
fn strip_survives_h264_at_a_low_rate() {
    for (width, height, bitrate) in [(640, 360, 300_000), (1366, 768, 1_000_000)] {
        let needed = streamed(Ground::Plain, Mode::new(width, height, 60), bitrate);
        assert!(needed < bitrate * 3 / 2, "{width}x{height}: {needed} bit/s");
    }
}

#[test]
fn moving_ground_needs_the_whole_rate_and_leaves_the_strip_readable() {
    let needed = streamed(Ground::Motion, Mode::new(1280, 720, 60), 10_000_000);
    assert!(needed > 7_300_000, "{needed} bit/s");
    streamed(Ground::Motion, Mode::new(640, 360, 60), 500_000);
}

#[test]
fn moving_ground_changes_most_of_the_picture_with_every_frame() {
    let mut last: Option<Arc<CpuImage>> = None;
    for (_, picture) in half_a_second(Ground::Motion, Mode::new(1280, 720, 60)) {
        if let Some(last) = last.replace(Arc::clone(&picture)) {
            // Encoders work on blocks of 16x16 pixels.
            let mut changed = std::collections::HashSet::new();
            for (index, (one, other)) in last.data.chunks(64).zip(picture.data.chunks(64)).enumerate() {
                if one != other {
                    changed.insert((index % 80, index / 80 / 16));
                }
            }
            assert!(changed.len() > 80 * 45 / 2, "{} blocks of {}", changed.len(), 80 * 45);
        }
    }
}
