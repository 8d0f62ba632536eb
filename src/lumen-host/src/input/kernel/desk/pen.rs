//! A pen on the display: two ends, three buttons, pressure, distance and tilt.

use evdev::{AbsInfo, AbsoluteAxisCode as Axis, KeyCode, PropType};
use lumen_core::gamestream::input::{PenButtons, PenEvent, PenTool, PointerEvent, geometry::pen_tilt};

use super::super::nodes::KernelInputError;
use super::super::uinput::{Features, Identity, Label, Uinput, absolute, key, range};
use super::{Surface, part};

const PRESSURE: i32 = 4095;
const DISTANCE: i32 = 1023;
/// Units of tilt a radian, for an axis of degrees.
const TILT_RESOLUTION: i32 = 57;

/// A pen.
#[derive(Debug)]
pub struct Pen {
    device: Uinput,
    surface: Surface,
    /// The end that is near the surface.
    near: Option<KeyCode>,
    hovering: Hovering,
}

/// Whether a client tells when its pen is near the surface without touching it.
#[derive(Debug, PartialEq, Eq)]
enum Hovering {
    Told,
    NotTold,
}

/// The crate has no name for it.
const BTN_STYLUS3: KeyCode = KeyCode(0x149);

const BUTTONS: [(PenButtons, KeyCode); 3] = [
    (PenButtons::PRIMARY, KeyCode::BTN_STYLUS),
    (PenButtons::SECONDARY, KeyCode::BTN_STYLUS2),
    (PenButtons::TERTIARY, BTN_STYLUS3),
];

impl Pen {
    /// Plugs it in.
    ///
    /// # Errors
    /// If the kernel does not make it.
    pub fn new(session: &str, surface: Surface) -> Result<Self, KernelInputError> {
        let tilt = AbsInfo::new(0, -90, 90, 0, 0, TILT_RESOLUTION);
        let mut axes = vec![
            (Axis::ABS_PRESSURE, range(0, PRESSURE)),
            (Axis::ABS_DISTANCE, range(0, DISTANCE)),
            (Axis::ABS_TILT_X, tilt),
            (Axis::ABS_TILT_Y, tilt),
        ];
        axes.extend(surface.axes(Axis::ABS_X, Axis::ABS_Y));
        let ends = [KeyCode::BTN_TOOL_PEN, KeyCode::BTN_TOOL_RUBBER, KeyCode::BTN_TOUCH];
        let features = Features {
            keys: ends.into_iter().chain(BUTTONS.map(|(_, code)| code)).collect(),
            absolute: axes,
            properties: vec![PropType::DIRECT],
            ..Features::default()
        };
        let device = Uinput::new(&Label::new(session, "pen", "Pen"), Identity::own(6), &features)?;
        Ok(Self { device, surface, near: None, hovering: Hovering::NotTold })
    }

    /// It did something.
    pub fn pen(&mut self, event: &PenEvent) {
        match event.event {
            PointerEvent::Down | PointerEvent::Move => {
                let pressure = match part(event.pressure_or_distance, PRESSURE) {
                    // Not known: half, which draws a line of ordinary width.
                    0 => PRESSURE / 2,
                    known => known,
                };
                self.place(event, pressure, 0);
            }
            PointerEvent::Hover => {
                self.hovering = Hovering::Told;
                self.place(event, 0, part(event.pressure_or_distance, DISTANCE).max(1));
            }
            // It is still near, if the client is one that says when it leaves.
            PointerEvent::Up if self.hovering == Hovering::Told => self.place(event, 0, 1),
            PointerEvent::ButtonOnly => self.buttons(event.buttons),
            PointerEvent::Up | PointerEvent::Cancel | PointerEvent::HoverLeave | PointerEvent::CancelAll => {
                self.release();
            }
        }
    }

    /// Takes it away.
    pub fn release(&mut self) {
        let Some(end) = self.near.take() else { return };
        let mut events = vec![absolute(Axis::ABS_PRESSURE, 0), key(KeyCode::BTN_TOUCH, false), key(end, false)];
        events.extend(BUTTONS.map(|(_, code)| key(code, false)));
        self.device.emit(&events);
    }

    fn place(&mut self, event: &PenEvent, pressure: i32, distance: i32) {
        let end = match event.tool {
            PenTool::Eraser => KeyCode::BTN_TOOL_RUBBER,
            PenTool::Pen | PenTool::Unknown => KeyCode::BTN_TOOL_PEN,
        };
        if self.near.is_some_and(|near| near != end) {
            self.release();
        }
        self.near = Some(end);
        let [x, y] = self.surface.place(event.x, event.y);
        let tilt = pen_tilt(event.rotation, event.tilt);
        let mut events = vec![
            key(end, true),
            absolute(Axis::ABS_X, x),
            absolute(Axis::ABS_Y, y),
            absolute(Axis::ABS_PRESSURE, pressure),
            absolute(Axis::ABS_DISTANCE, distance),
            absolute(Axis::ABS_TILT_X, tilt.x.round() as i32),
            absolute(Axis::ABS_TILT_Y, tilt.y.round() as i32),
            key(KeyCode::BTN_TOUCH, pressure > 0),
        ];
        events.extend(BUTTONS.map(|(button, code)| key(code, event.buttons.contains(button))));
        self.device.emit(&events);
    }

    fn buttons(&mut self, buttons: PenButtons) {
        self.device.emit(&BUTTONS.map(|(button, code)| key(code, buttons.contains(button))));
    }
}
