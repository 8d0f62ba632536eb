//! Input through a RemoteDesktop session of Mutter. Calls are sent without waiting for their answers.

use std::sync::{Arc, Mutex, PoisonError};

use lumen_core::gamestream::input::{EvdevKey, PressState, ScrollAxis};
use zbus::blocking::Proxy;
use zbus::zvariant::DynamicType;

use super::remote::{Devices, axis_number};

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

/// See the module; a [`RemoteInput`](super::remote::RemoteInput) makes a sink of it.
pub struct MutterDevices {
    target: SharedTarget,
}

impl MutterDevices {
    /// Input to `target`.
    pub fn new(target: SharedTarget) -> Self {
        Self { target }
    }

    /// Sends one event; `body` makes its arguments of the stream.
    fn send<B: serde::Serialize + DynamicType>(&self, method: &'static str, body: impl FnOnce(String) -> B) {
        let Target { session, stream } = self.target.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Err(error) = session.call_noreply(method, &body(stream)) {
            // A compositor that is gone is noticed by the display.
            tracing::debug!(method, %error, "input does not reach the compositor");
        }
    }
}

impl Devices for MutterDevices {
    fn key(&self, key: EvdevKey, state: PressState) {
        self.send("NotifyKeyboardKeycode", |_| (u32::from(key.0), state == PressState::Down));
    }

    fn keysym(&self, keysym: u32, state: PressState) {
        self.send("NotifyKeyboardKeysym", |_| (keysym, state == PressState::Down));
    }

    fn button(&self, code: u16, state: PressState) {
        self.send("NotifyPointerButton", |_| (i32::from(code), state == PressState::Down));
    }

    fn move_to(&self, x: f64, y: f64) {
        self.send("NotifyPointerMotionAbsolute", |stream| (stream, x, y));
    }

    fn move_by(&self, dx: f64, dy: f64) {
        self.send("NotifyPointerMotionRelative", |_| (dx, dy));
    }

    fn scroll_notches(&self, axis: ScrollAxis, notches: i32) {
        self.send("NotifyPointerAxisDiscrete", |_| (axis_number(axis), notches));
    }

    fn scroll_by(&self, dx: f64, dy: f64) {
        self.send("NotifyPointerAxis", |_| (dx, dy, FROM_WHEEL));
    }

    fn touch_down(&self, finger: u32, x: f64, y: f64) {
        self.send("NotifyTouchDown", |stream| (stream, finger, x, y));
    }

    fn touch_motion(&self, finger: u32, x: f64, y: f64) {
        self.send("NotifyTouchMotion", |stream| (stream, finger, x, y));
    }

    fn touch_up(&self, finger: u32) {
        self.send("NotifyTouchUp", |_| (finger,));
    }
}
