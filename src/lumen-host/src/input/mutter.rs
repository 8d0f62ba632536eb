//! Input through a RemoteDesktop session of Mutter. Calls are sent without waiting for their answers.
//!
//! A desktop has one pointer and one keyboard focus, whoever moves them. On one that several sessions share, each takes
//! its turn: see [`turn`].

pub mod turn;

use std::io;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};

use lumen_core::gamestream::input::{EvdevKey, PressState, ScrollAxis};
use zbus::blocking::Proxy;
use zbus::zvariant::DynamicType;

use crate::capture::mailbox::Size;

use super::remote::{Devices, axis_number};
use turn::{Player, Turn};

/// Mutter's flag for scrolling that comes from a wheel.
const FROM_WHEEL: u32 = 2;

/// Where input goes: it changes when a monitor has to be made anew.
#[derive(Debug, Clone)]
pub struct Target {
    /// The RemoteDesktop session.
    pub session: Proxy<'static>,
    /// The stream that positions are on.
    pub stream: String,
}

/// A [`Target`] that a display and its input share.
pub type SharedTarget = Arc<Mutex<Target>>;

/// One thing that a client does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Action {
    /// Presses or releases a key.
    Key(EvdevKey, PressState),
    /// Presses or releases whatever key has this keysym.
    Keysym(u32, PressState),
    /// Presses or releases a button.
    Button(u16, PressState),
    /// Moves the pointer to a position of the session's monitor.
    MoveTo(f64, f64),
    /// Moves the pointer.
    MoveBy(f64, f64),
    /// Turns a wheel by whole notches.
    Notches(ScrollAxis, i32),
    /// Scrolls smoothly.
    ScrollBy(f64, f64),
    /// Puts a finger down.
    TouchDown(u32, f64, f64),
    /// Moves a finger.
    TouchMotion(u32, f64, f64),
    /// Lifts a finger.
    TouchUp(u32),
}

/// See the module; a [`RemoteInput`](super::remote::RemoteInput) makes a sink of it.
pub struct MutterDevices {
    way: Way,
}

enum Way {
    /// The desktop is the session's own.
    Direct(SharedTarget),
    /// The desktop is shared.
    InTurn(Sender<Action>),
}

impl MutterDevices {
    /// Input to `target` of a desktop that no other session has.
    pub fn new(target: SharedTarget) -> Self {
        Self { way: Way::Direct(target) }
    }

    /// Input to `target`, whose monitor has this size, of a desktop that others use as well.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn in_turn(target: SharedTarget, turn: Turn, size: Size) -> io::Result<Self> {
        let (actions, waiting) = mpsc::channel();
        let mut player = Player::new(target, turn, size);
        std::thread::Builder::new().name("mutter-input".into()).spawn(move || player.play(&waiting))?;
        Ok(Self { way: Way::InTurn(actions) })
    }

    fn act(&self, action: Action) {
        match &self.way {
            Way::Direct(target) => deliver(target, action),
            Way::InTurn(actions) => {
                // Its thread lives as long as this.
                let _ = actions.send(action);
            }
        }
    }
}

/// Tells Mutter of one action, without waiting for an answer.
fn deliver(target: &SharedTarget, action: Action) {
    let Target { session, stream } = target.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let down = |state| state == PressState::Down;
    match action {
        Action::Key(key, state) => send(&session, "NotifyKeyboardKeycode", &(u32::from(key.0), down(state))),
        Action::Keysym(keysym, state) => send(&session, "NotifyKeyboardKeysym", &(keysym, down(state))),
        Action::Button(code, state) => send(&session, "NotifyPointerButton", &(i32::from(code), down(state))),
        Action::MoveTo(x, y) => send(&session, "NotifyPointerMotionAbsolute", &(stream, x, y)),
        Action::MoveBy(dx, dy) => send(&session, "NotifyPointerMotionRelative", &(dx, dy)),
        Action::Notches(axis, notches) => send(&session, "NotifyPointerAxisDiscrete", &(axis_number(axis), notches)),
        Action::ScrollBy(dx, dy) => send(&session, "NotifyPointerAxis", &(dx, dy, FROM_WHEEL)),
        Action::TouchDown(finger, x, y) => send(&session, "NotifyTouchDown", &(stream, finger, x, y)),
        Action::TouchMotion(finger, x, y) => send(&session, "NotifyTouchMotion", &(stream, finger, x, y)),
        Action::TouchUp(finger) => send(&session, "NotifyTouchUp", &(finger,)),
    }
}

fn send<B: serde::Serialize + DynamicType>(session: &Proxy<'static>, method: &'static str, body: &B) {
    if let Err(error) = session.call_noreply(method, body) {
        // A compositor that is gone is noticed by the display.
        tracing::debug!(method, %error, "input does not reach the compositor");
    }
}

/// Waits until Mutter has taken what it was told so far.
fn settle(target: &SharedTarget) {
    let session = target.lock().unwrap_or_else(PoisonError::into_inner).session.clone();
    let answer: zbus::Result<String> = session.get_property("SessionId");
    if let Err(error) = answer {
        tracing::debug!(%error, "the compositor does not answer");
    }
}

impl Devices for MutterDevices {
    fn key(&self, key: EvdevKey, state: PressState) {
        self.act(Action::Key(key, state));
    }

    fn keysym(&self, keysym: u32, state: PressState) {
        self.act(Action::Keysym(keysym, state));
    }

    fn button(&self, code: u16, state: PressState) {
        self.act(Action::Button(code, state));
    }

    fn move_to(&self, x: f64, y: f64) {
        self.act(Action::MoveTo(x, y));
    }

    fn move_by(&self, dx: f64, dy: f64) {
        self.act(Action::MoveBy(dx, dy));
    }

    fn scroll_notches(&self, axis: ScrollAxis, notches: i32) {
        self.act(Action::Notches(axis, notches));
    }

    fn scroll_by(&self, dx: f64, dy: f64) {
        self.act(Action::ScrollBy(dx, dy));
    }

    fn touch_down(&self, finger: u32, x: f64, y: f64) {
        self.act(Action::TouchDown(finger, x, y));
    }

    fn touch_motion(&self, finger: u32, x: f64, y: f64) {
        self.act(Action::TouchMotion(finger, x, y));
    }

    fn touch_up(&self, finger: u32) {
        self.act(Action::TouchUp(finger));
    }
}
