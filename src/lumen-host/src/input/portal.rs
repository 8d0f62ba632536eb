//! Input through a RemoteDesktop session of the desktop's portal, for portals that give no socket for it. The portal may
//! work on several calls at once, so each is made when the one before was answered: by a thread of its own, which
//! whoever hands over input never waits for. It has no pens: a pen moves the pointer and presses its first button. Gamepads do
//! not come here.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::sync::mpsc::{self, Sender};

use lumen_core::gamestream::control::HostMessage;
use lumen_core::gamestream::input::{
    AbsolutePosition, EvdevKey, Fraction, InputEvent, KeyEvent, MouseButton, PenEvent, PointerEvent, PointerId,
    PressState, ReferenceExtent, Scroll, ScrollAxis, TouchEvent, VirtualKey,
};
use zbus::blocking::Proxy;
use zbus::zvariant::{DynamicType, OwnedObjectPath, Value};

use crate::capture::fit::Frame;
use crate::capture::mailbox::Size;
use crate::display::bus::Bus;

use super::InputSink;
use super::mutter::keysym;

/// Fingers that are followed at once.
const MAX_FINGERS: u32 = 32;

/// One notch of a wheel in the protocol.
const NOTCH: i16 = 120;

/// One notch in the unit of the portal's smooth scrolling.
const NOTCH_STEP: f64 = 10.0;

/// A key that does nothing by itself: left shift.
const HARMLESS_KEY: i32 = 42;

/// Largest coordinate of positions that were fitted.
const LARGEST: i16 = i16::MAX;

/// Where input goes.
#[derive(Debug, Clone)]
pub struct Target {
    /// The bus of the portal.
    pub(crate) bus: Bus,
    /// The session.
    pub(crate) session: OwnedObjectPath,
    /// The stream that positions are on.
    pub(crate) stream: u32,
}

type Options = HashMap<&'static str, Value<'static>>;

/// A call that is to be made.
type Call = Box<dyn FnOnce(&Proxy<'static>) -> zbus::Result<()> + Send>;

/// Makes calls one after the other. Its thread ends after the last one when this is dropped.
struct Caller {
    session: OwnedObjectPath,
    stream: u32,
    calls: Sender<Call>,
}

impl Caller {
    fn start(target: Target) -> io::Result<Self> {
        let (calls, waiting) = mpsc::channel::<Call>();
        let Target { bus, session, stream } = target;
        std::thread::Builder::new().name("portal-input".into()).spawn(move || {
            let proxy = bus.proxy(
                "org.freedesktop.portal.Desktop",
                "/org/freedesktop/portal/desktop",
                "org.freedesktop.portal.RemoteDesktop",
            );
            let Ok(proxy) = proxy else { return };
            for call in waiting {
                if let Err(error) = call(&proxy) {
                    // A desktop that is gone is noticed by the display.
                    tracing::debug!(%error, "input does not reach the desktop");
                }
            }
        })?;
        Ok(Self { session, stream, calls })
    }

    /// Sends one event; `body` makes its arguments of the session and its options.
    fn send<B: serde::Serialize + DynamicType + Send + 'static>(
        &self,
        method: &'static str,
        body: impl FnOnce(OwnedObjectPath, Options) -> B,
    ) {
        let body = body(self.session.clone(), Options::new());
        let _ = self.calls.send(Box::new(move |proxy| proxy.call(method, &body)));
    }
}

/// See the module.
pub struct PortalInput {
    target: Caller,
    size: Size,
    /// Keys that are held, by what the client calls them: the release goes to the same key.
    keys: BTreeMap<VirtualKey, EvdevKey>,
    buttons: BTreeSet<MouseButton>,
    fingers: BTreeMap<PointerId, u32>,
}

impl PortalInput {
    /// Input to `target`, a screen of `size`.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn new(target: Target, size: Size) -> io::Result<Self> {
        let target = Caller::start(target)?;
        // The first keys after a keyboard appears are lost, so it appears before anybody types.
        for state in [PressState::Down, PressState::Up] {
            target.send("NotifyKeyboardKeycode", |session, options| (session, options, HARMLESS_KEY, number(state)));
        }
        Ok(Self { target, size, keys: BTreeMap::new(), buttons: BTreeSet::new(), fingers: BTreeMap::new() })
    }

    fn key(&mut self, event: &KeyEvent) {
        let key = match event.state {
            PressState::Down => {
                let Some(key) = event.evdev() else { return };
                if self.keys.insert(event.virtual_key(), key).is_some() {
                    return;
                }
                key
            }
            PressState::Up => {
                let Some(key) = self.keys.remove(&event.virtual_key()) else { return };
                key
            }
        };
        self.press_key(key, event.state);
    }

    fn press_key(&self, key: EvdevKey, state: PressState) {
        self.target
            .send("NotifyKeyboardKeycode", |session, options| (session, options, i32::from(key.0), number(state)));
    }

    fn text(&self, character: char) {
        for state in [PressState::Down, PressState::Up] {
            let keysym = keysym(character).cast_signed();
            self.target.send("NotifyKeyboardKeysym", |session, options| (session, options, keysym, number(state)));
        }
    }

    fn button(&mut self, button: MouseButton, state: PressState) {
        let changed = match state {
            PressState::Down => self.buttons.insert(button),
            PressState::Up => self.buttons.remove(&button),
        };
        if changed {
            let code = i32::from(button.evdev().1);
            self.target.send("NotifyPointerButton", |session, options| (session, options, code, number(state)));
        }
    }

    /// A part of the picture as a position on the stream: the last pixel is that at one.
    fn position(&self, [x, y]: [f64; 2]) -> (f64, f64) {
        (x * f64::from(self.size.width.saturating_sub(1)), y * f64::from(self.size.height.saturating_sub(1)))
    }

    fn move_to(&self, position: [f64; 2]) {
        let ((x, y), stream) = (self.position(position), self.target.stream);
        // A pixel is meant, and a hair's breadth to the left of it is another one.
        let (x, y) = (x.round(), y.round());
        self.target.send("NotifyPointerMotionAbsolute", |session, options| (session, options, stream, x, y));
    }

    fn scroll(&self, scroll: Scroll) {
        // Up and right are positive for the client; down and right are for the portal.
        let (axis, amount) = match scroll.axis {
            ScrollAxis::Vertical => (0u32, -i32::from(scroll.amount)),
            ScrollAxis::Horizontal => (1u32, i32::from(scroll.amount)),
        };
        if scroll.amount % NOTCH == 0 {
            let steps = amount / i32::from(NOTCH);
            self.target.send("NotifyPointerAxisDiscrete", |session, options| (session, options, axis, steps));
        } else {
            let distance = f64::from(amount) / f64::from(NOTCH) * NOTCH_STEP;
            let (dx, dy) = if axis == 0 { (0.0, distance) } else { (distance, 0.0) };
            self.target.send("NotifyPointerAxis", |session, options| (session, options, dx, dy));
        }
    }

    fn touch(&mut self, touch: &TouchEvent) {
        let ((x, y), stream) = (self.position(parts(touch.x, touch.y)), self.target.stream);
        match touch.event {
            PointerEvent::Down | PointerEvent::Move => {
                if let Some(&slot) = self.fingers.get(&touch.pointer) {
                    self.target.send("NotifyTouchMotion", |session, options| (session, options, stream, slot, x, y));
                } else if let Some(slot) = (0..MAX_FINGERS).find(|slot| !self.fingers.values().any(|held| held == slot))
                {
                    self.fingers.insert(touch.pointer, slot);
                    self.target.send("NotifyTouchDown", |session, options| (session, options, stream, slot, x, y));
                }
            }
            PointerEvent::Up | PointerEvent::Cancel => {
                if let Some(slot) = self.fingers.remove(&touch.pointer) {
                    self.target.send("NotifyTouchUp", |session, options| (session, options, slot));
                }
            }
            PointerEvent::CancelAll => self.lift_fingers(),
            PointerEvent::Hover | PointerEvent::HoverLeave | PointerEvent::ButtonOnly => {}
        }
    }

    fn lift_fingers(&mut self) {
        for slot in std::mem::take(&mut self.fingers).into_values() {
            self.target.send("NotifyTouchUp", |session, options| (session, options, slot));
        }
    }

    fn pen(&mut self, pen: &PenEvent) {
        match pen.event {
            PointerEvent::Hover => self.move_to(parts(pen.x, pen.y)),
            PointerEvent::Down | PointerEvent::Move => {
                self.move_to(parts(pen.x, pen.y));
                self.button(MouseButton::Left, PressState::Down);
            }
            PointerEvent::Up | PointerEvent::Cancel | PointerEvent::CancelAll => {
                self.button(MouseButton::Left, PressState::Up);
            }
            PointerEvent::HoverLeave | PointerEvent::ButtonOnly => {}
        }
    }
}

impl InputSink for PortalInput {
    fn handle(&mut self, event: &InputEvent) {
        match event {
            InputEvent::Key(event) => self.key(event),
            InputEvent::Text(text) => text.delivered().for_each(|character| self.text(character)),
            InputEvent::MouseRelative(motion) => {
                let (dx, dy) = (f64::from(motion.dx), f64::from(motion.dy));
                self.target.send("NotifyPointerMotion", |session, options| (session, options, dx, dy));
            }
            InputEvent::MouseAbsolute(position) => self.move_to(position.normalised()),
            InputEvent::MouseButton(event) => self.button(event.button, event.state),
            InputEvent::Scroll(scroll) => self.scroll(*scroll),
            InputEvent::Touch(touch) => self.touch(touch),
            InputEvent::Pen(pen) => self.pen(pen),
            InputEvent::HapticsEnable(_)
            | InputEvent::Controller(_)
            | InputEvent::ControllerArrival(_)
            | InputEvent::ControllerTouch(_)
            | InputEvent::ControllerMotion(_)
            | InputEvent::ControllerBattery(_) => {}
        }
    }

    fn release_all(&mut self) {
        for key in std::mem::take(&mut self.keys).into_values() {
            self.press_key(key, PressState::Up);
        }
        for button in self.buttons.clone() {
            self.button(button, PressState::Up);
        }
        self.lift_fingers();
    }

    fn poll_feedback(&mut self) -> Option<HostMessage> {
        None
    }
}

/// Input whose positions are on pictures that were fitted into a frame, for a sink whose positions are on the desktop.
pub struct FittedInput {
    inner: Box<dyn InputSink>,
    frame: Frame,
}

impl FittedInput {
    /// `inner`, seen through `frame`.
    pub fn new(inner: Box<dyn InputSink>, frame: Frame) -> Self {
        Self { inner, frame }
    }

    fn fractions(&self, x: Fraction, y: Fraction) -> (Fraction, Fraction) {
        let [to_x, to_y] = self.frame.fit().locate(parts(x, y));
        (Fraction::try_from(to_x as f32).unwrap_or(x), Fraction::try_from(to_y as f32).unwrap_or(y))
    }
}

impl InputSink for FittedInput {
    fn handle(&mut self, event: &InputEvent) {
        match event {
            InputEvent::MouseAbsolute(position) => {
                let [x, y] = self.frame.fit().locate(position.normalised());
                let pixel = |part: f64| (part * f64::from(LARGEST)).round() as i16;
                let largest = ReferenceExtent::try_from(LARGEST).unwrap_or(position.reference_width);
                self.inner.handle(&InputEvent::MouseAbsolute(AbsolutePosition {
                    x: pixel(x),
                    y: pixel(y),
                    reference_width: largest,
                    reference_height: largest,
                }));
            }
            InputEvent::Touch(touch) => {
                let (x, y) = self.fractions(touch.x, touch.y);
                self.inner.handle(&InputEvent::Touch(TouchEvent { x, y, ..*touch }));
            }
            InputEvent::Pen(pen) => {
                let (x, y) = self.fractions(pen.x, pen.y);
                self.inner.handle(&InputEvent::Pen(PenEvent { x, y, ..*pen }));
            }
            other => self.inner.handle(other),
        }
    }

    fn release_all(&mut self) {
        self.inner.release_all();
    }

    fn poll_feedback(&mut self) -> Option<HostMessage> {
        self.inner.poll_feedback()
    }
}

fn number(state: PressState) -> u32 {
    u32::from(state == PressState::Down)
}

fn parts(x: Fraction, y: Fraction) -> [f64; 2] {
    [f64::from(x.get()), f64::from(y.get())]
}
