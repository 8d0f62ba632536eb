//! Input through a RemoteDesktop session of the desktop's portal: by its calls, for portals that give no socket for it. The portal may
//! work on several calls at once, so each is made when the one before was answered: by a thread of its own, which
//! whoever hands over input never waits for.

use std::collections::HashMap;
use std::io;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lumen_core::gamestream::control::HostMessage;
use lumen_core::gamestream::input::{EvdevKey, InputEvent, PressState, ScrollAxis};
use zbus::blocking::Proxy;
use zbus::zvariant::{DynamicType, OwnedObjectPath, Value};

use crate::display::bus::Bus;

use super::InputSink;
use super::ei::EiSink;
use super::remote::{Devices, axis_number};

/// A key that does nothing by itself: left shift.
const HARMLESS_KEY: EvdevKey = EvdevKey(42);

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

    /// Sends one event; `body` makes its arguments of the session, options and the stream.
    fn send<B: serde::Serialize + DynamicType + Send + 'static>(
        &self,
        method: &'static str,
        body: impl FnOnce(OwnedObjectPath, Options, u32) -> B,
    ) {
        let body = body(self.session.clone(), Options::new(), self.stream);
        let _ = self.calls.send(Box::new(move |proxy| proxy.call(method, &body)));
    }
}

/// See the module; a [`RemoteInput`](super::remote::RemoteInput) makes a sink of it.
pub struct PortalDevices {
    calls: Caller,
}

impl PortalDevices {
    /// Input to `target`.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn new(target: Target) -> io::Result<Self> {
        let devices = Self { calls: Caller::start(target)? };
        // The first keys after a keyboard appears are lost, so it appears before anybody types.
        for state in [PressState::Down, PressState::Up] {
            devices.key(HARMLESS_KEY, state);
        }
        Ok(devices)
    }
}

impl Devices for PortalDevices {
    fn key(&self, key: EvdevKey, state: PressState) {
        let key = i32::from(key.0);
        self.calls.send("NotifyKeyboardKeycode", |session, options, _| (session, options, key, number(state)));
    }

    fn keysym(&self, keysym: u32, state: PressState) {
        let keysym = keysym.cast_signed();
        self.calls.send("NotifyKeyboardKeysym", |session, options, _| (session, options, keysym, number(state)));
    }

    fn button(&self, code: u16, state: PressState) {
        let code = i32::from(code);
        self.calls.send("NotifyPointerButton", |session, options, _| (session, options, code, number(state)));
    }

    fn move_to(&self, x: f64, y: f64) {
        self.calls.send("NotifyPointerMotionAbsolute", |session, options, stream| (session, options, stream, x, y));
    }

    fn move_by(&self, dx: f64, dy: f64) {
        self.calls.send("NotifyPointerMotion", |session, options, _| (session, options, dx, dy));
    }

    fn scroll_notches(&self, axis: ScrollAxis, notches: i32) {
        let axis = axis_number(axis);
        self.calls.send("NotifyPointerAxisDiscrete", |session, options, _| (session, options, axis, notches));
    }

    fn scroll_by(&self, dx: f64, dy: f64) {
        self.calls.send("NotifyPointerAxis", |session, options, _| (session, options, dx, dy));
    }

    fn touch_down(&self, finger: u32, x: f64, y: f64) {
        self.calls.send("NotifyTouchDown", |session, options, stream| (session, options, stream, finger, x, y));
    }

    fn touch_motion(&self, finger: u32, x: f64, y: f64) {
        self.calls.send("NotifyTouchMotion", |session, options, stream| (session, options, stream, finger, x, y));
    }

    fn touch_up(&self, finger: u32) {
        self.calls.send("NotifyTouchUp", |session, options, _| (session, options, finger));
    }
}

/// Input by a socket that a portal gives once for each session, for all sinks that one after the other take input for it.
pub struct SharedInput(Arc<Mutex<EiSink>>);

impl SharedInput {
    /// Another sink in front of `shared`.
    pub fn new(shared: &Arc<Mutex<EiSink>>) -> Self {
        Self(Arc::clone(shared))
    }

    fn sink(&self) -> MutexGuard<'_, EiSink> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InputSink for SharedInput {
    fn handle(&mut self, event: &InputEvent) {
        self.sink().handle(event);
    }

    fn release_all(&mut self) {
        self.sink().release_all();
    }

    fn poll_feedback(&mut self) -> Option<HostMessage> {
        self.sink().poll_feedback()
    }
}

impl Drop for SharedInput {
    fn drop(&mut self) {
        self.sink().release_all();
    }
}

fn number(state: PressState) -> u32 {
    u32::from(state == PressState::Down)
}
