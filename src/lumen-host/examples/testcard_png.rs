//! Writes one picture of the test card to a PNG file.
//!
//! `testcard_png 1280x720 card.png` shows the card at rest; with `busy`, input is held; with `motion`, it stands on
//! moving ground.

use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use lumen_core::gamestream::input::{
    BatteryState, Buttons, Capabilities, ChargePercent, ControllerArrival, ControllerBattery, ControllerIndex,
    ControllerKind, ControllerMask, ControllerMotion, ControllerState, ControllerTouch, Fraction, InputEvent, KeyEvent,
    Modifiers, MotionKind, MouseButton, MouseButtonEvent, PenButtons, PenEvent, PenTool, PointerEvent, PointerId,
    PressState, RelativeMotion, Rotation, Scroll, ScrollAxis, Stick, Text, Tilt, TouchEvent, TouchpadIndex, VirtualKey,
};
use lumen_host::capture::Captured;
use lumen_host::display::VirtualDisplay;
use lumen_host::display::testcard::{Ground, Testcard};
use lumen_host::frame::Mode;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [size, path, rest @ ..] = arguments.as_slice() else {
        bail!("usage: testcard_png WIDTHxHEIGHT FILE [busy] [motion]");
    };
    let (width, height) = size.split_once('x').context("the size is WIDTHxHEIGHT")?;
    let mode = Mode::new(width.parse()?, height.parse()?, 60);
    let said = |wanted: &str| rest.iter().any(|word| word == wanted);
    let ground = if said("motion") { Ground::Motion } else { Ground::Plain };
    let mut card = Testcard::on(ground, mode, 0x4F2A, "living room")?;
    if said("busy") {
        let mut input = card.input()?;
        for event in busy(mode)? {
            input.handle(&event);
        }
        card.audio(6);
    }
    let Captured::Frame(frame) = card.capture()?.next(Instant::now() + Duration::from_secs(1))? else {
        return Err(anyhow!("the card gave no picture"));
    };
    let rgb: Vec<u8> = frame.image.data.chunks_exact(4).flat_map(|pixel| [pixel[2], pixel[1], pixel[0]]).collect();
    let mut encoder = png::Encoder::new(std::fs::File::create(path)?, mode.width, mode.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header()?.write_image_data(&rgb)?;
    Ok(())
}

/// A client with its hands full.
fn busy(mode: Mode) -> anyhow::Result<Vec<InputEvent>> {
    let fraction = |value: f32| Fraction::try_from(value).unwrap_or(Fraction::ZERO);
    let mut events = Vec::new();
    for step in 0..14 {
        let (dx, dy) = if step == 0 { (-(mode.width as i16) / 9, mode.height as i16 / 7) } else { (14, step * 2 - 20) };
        events.push(InputEvent::MouseRelative(RelativeMotion { dx, dy }));
    }
    events.push(InputEvent::MouseButton(MouseButtonEvent { state: PressState::Down, button: MouseButton::Left }));
    events.push(InputEvent::Scroll(Scroll { axis: ScrollAxis::Vertical, amount: -360 }));
    for key in [0xA2, 0xA0, b'L', 0x20, 0x25, 0x74] {
        events.push(InputEvent::Key(KeyEvent::new(PressState::Down, VirtualKey(key), Modifiers::EMPTY)));
    }
    for text in ["fiat lux – ", "и стало светло"] {
        events.push(InputEvent::Text(Text::try_from(text.to_owned())?));
    }
    for (id, x, y) in [(0, 0.4, 0.3), (1, 0.58, 0.75)] {
        events.push(InputEvent::Touch(TouchEvent {
            event: PointerEvent::Down,
            pointer: PointerId(id),
            x: fraction(x),
            y: fraction(y),
            pressure_or_distance: fraction(0.7),
            rotation: None,
            contact_major: Fraction::ZERO,
            contact_minor: Fraction::ZERO,
        }));
    }
    events.push(InputEvent::Pen(PenEvent {
        event: PointerEvent::Move,
        tool: PenTool::Pen,
        buttons: PenButtons::PRIMARY,
        x: fraction(0.36),
        y: fraction(0.7),
        pressure_or_distance: fraction(0.6),
        rotation: Rotation::from_wire(40),
        tilt: Tilt::from_wire(35),
        contact_major: Fraction::ZERO,
        contact_minor: Fraction::ZERO,
    }));
    for (number, kind) in [(0, ControllerKind::PlayStation), (1, ControllerKind::Xbox), (2, ControllerKind::Nintendo)] {
        let controller = ControllerIndex::new(number).context("a controller number")?;
        let buttons = [Buttons::EMPTY, Buttons::A | Buttons::UP | Buttons::LB, Buttons::START | Buttons::LEFT_STICK];
        events.push(InputEvent::ControllerArrival(ControllerArrival {
            controller,
            kind,
            capabilities: Capabilities::ALL,
            buttons: Buttons::ALL,
        }));
        events.push(InputEvent::Controller(ControllerState {
            mask: ControllerMask(0b111),
            buttons: buttons[usize::from(number)],
            left_trigger: 60 * number,
            right_trigger: 255 - 70 * number,
            left_stick: Stick { x: 12_000 * i16::from(number), y: 20_000 },
            right_stick: Stick { x: -9_000 * i16::from(number), y: 0 },
            ..ControllerState::idle(controller)
        }));
        events.push(InputEvent::ControllerBattery(ControllerBattery {
            controller,
            state: BatteryState::Charging,
            charge: ChargePercent::from_wire(90 - 30 * number),
        }));
        for kind in [MotionKind::Accelerometer, MotionKind::Gyro] {
            events.push(InputEvent::ControllerMotion(ControllerMotion::new(controller, kind, [2.0, 9.0, -60.0])?));
        }
        events.push(InputEvent::ControllerTouch(ControllerTouch {
            controller,
            event: PointerEvent::Down,
            touchpad: TouchpadIndex(0),
            pointer: PointerId(0),
            x: fraction(0.3),
            y: fraction(0.6),
            pressure: Fraction::ONE,
        }));
    }
    Ok(events)
}
