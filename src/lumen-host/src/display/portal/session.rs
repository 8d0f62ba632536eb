//! A session of the portal: RemoteDesktop with one screen, or the screen alone where the portal takes no input. Every
//! request has its answer as a signal of an object of its own, which may come late or never; one that is not answered in
//! time is taken back.

use std::collections::HashMap;
use std::fmt;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use zbus::zvariant::{self, DynamicType, ObjectPath, OwnedObjectPath, OwnedValue, Value};

use crate::capture::mailbox::Size;
use crate::display::bus::Bus;
use crate::input::ei::Granted;
use crate::input::portal::Target;

use super::tokens::Tokens;

const SERVICE: &str = "org.freedesktop.portal.Desktop";
const PATH: &str = "/org/freedesktop/portal/desktop";
const SCREEN_CAST: &str = "org.freedesktop.portal.ScreenCast";
const REMOTE_DESKTOP: &str = "org.freedesktop.portal.RemoteDesktop";

/// Devices, as bits.
const KEYBOARD: u32 = 1;
const POINTER: u32 = 2;
const TOUCHSCREEN: u32 = 4;
const ALL_DEVICES: u32 = KEYBOARD | POINTER | TOUCHSCREEN;

/// A whole monitor, rather than a window.
const MONITOR: u32 = 1;

/// Ways to show the pointer, as bits. Drawn into the pictures is best: beside them it comes in buffers that can take a
/// picture's place.
const CURSOR_EMBEDDED: u32 = 2;
const CURSOR_METADATA: u32 = 4;

/// The permission is kept until it is revoked.
const PERSIST: u32 = 2;

/// The version of RemoteDesktop that remembers permissions and gives a socket for input.
const REMEMBERS: u32 = 2;

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum PortalError {
    /// Nobody answers there, or not as needed.
    #[error("{0}")]
    Missing(String),
    /// The desktop's question got no answer.
    #[error("nobody permitted lumen to see this desktop within {} s: answer its question at the desktop itself", .0.as_secs())]
    Unanswered(Duration),
    /// The answer was no.
    #[error("whoever sits at the desktop did not permit lumen to see it")]
    Refused,
    /// It broke.
    #[error("the portal's {what}: {reason}")]
    Failed {
        /// The request.
        what: &'static str,
        /// What it said.
        reason: String,
    },
}

/// What the portal offers.
#[derive(Debug, Clone, Copy)]
pub struct Versions {
    screen_cast: u32,
    /// Not there, where the desktop shows its screen but takes no input.
    remote_desktop: Option<u32>,
    cursors: u32,
}

impl Versions {
    /// Asks for it.
    ///
    /// # Errors
    /// What is missing.
    pub fn of(bus: &Bus) -> Result<Self, String> {
        let number = |interface: &'static str, property: &str| -> Result<u32, zbus::Error> {
            let proxy = bus.proxy(SERVICE, PATH, interface).map_err(zbus::Error::Failure)?;
            proxy.get_property::<u32>(property)
        };
        let screen_cast = number(SCREEN_CAST, "version").map_err(|error| {
            format!("no portal shows screens here ({error}): install xdg-desktop-portal and the one of your desktop")
        })?;
        let remote_desktop = number(REMOTE_DESKTOP, "version").ok().filter(|version| *version > 0);
        // Older ones do not tell, and draw the pointer or not as they like.
        let cursors = number(SCREEN_CAST, "AvailableCursorModes").unwrap_or(0);
        Ok(Self { screen_cast, remote_desktop, cursors })
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the desktop's portal, ScreenCast {}", self.screen_cast)?;
        match self.remote_desktop {
            Some(version) if version >= REMEMBERS => write!(f, ", RemoteDesktop {version}"),
            Some(version) => write!(f, ", RemoteDesktop {version} (asks each time)"),
            None => write!(f, ", no RemoteDesktop (asks each time)"),
        }
    }
}

impl Versions {
    /// Whether it takes input.
    pub fn takes_input(&self) -> bool {
        self.remote_desktop.is_some()
    }

    fn remembers(&self) -> bool {
        self.remote_desktop.is_some_and(|version| version >= REMEMBERS)
    }
}

/// See the module. Dropping it ends the session.
pub struct PortalSession {
    bus: Bus,
    handle: OwnedObjectPath,
    versions: Versions,
    devices: u32,
    stream: Stream,
    closed: Arc<OnceLock<String>>,
}

impl PortalSession {
    /// Asks for the screen. The first of `tokens` spares the question where the portal knows it.
    ///
    /// # Errors
    /// [`PortalError`]; nobody is waited for longer than `patience`.
    pub fn start(bus: Bus, patience: Duration, tokens: &Tokens) -> Result<Self, PortalError> {
        let started = Self::negotiate(&bus, patience, tokens);
        if started.is_err() {
            // The portal ends what this connection has begun, and the threads that wait on it end.
            bus.close();
        }
        started
    }

    fn negotiate(bus: &Bus, patience: Duration, tokens: &Tokens) -> Result<Self, PortalError> {
        let versions = Versions::of(bus).map_err(PortalError::Missing)?;
        let requests = Requests { bus, patience };
        let interface = if versions.takes_input() { REMOTE_DESKTOP } else { SCREEN_CAST };
        let created = requests.call("CreateSession", interface, |mut options| {
            options.insert("session_handle_token", Value::from(unique_token()));
            (options,)
        })?;
        let handle = created.get("session_handle").and_then(text).and_then(|path| OwnedObjectPath::try_from(path).ok());
        let handle = handle.ok_or_else(|| broken("CreateSession", "it names no session"))?;
        let closed = watch(bus, &handle)?;

        if versions.takes_input() {
            let remembers = versions.remembers();
            let select = |token: Option<String>| {
                requests.call("SelectDevices", REMOTE_DESKTOP, |mut options| {
                    options.insert("types", Value::from(ALL_DEVICES));
                    if remembers {
                        options.insert("persist_mode", Value::from(PERSIST));
                    }
                    if let Some(token) = token {
                        options.insert("restore_token", Value::from(token));
                    }
                    (handle.clone(), options)
                })
            };
            let token = tokens.load().filter(|_| remembers);
            if token.is_some() {
                // It is good for one use, whatever comes of that.
                tokens.forget();
            }
            let known = token.is_some();
            match select(token) {
                // What does not look like one of its own is an error to the portal, not a question.
                Err(error @ PortalError::Failed { .. }) if known => {
                    tracing::info!(%error, "the portal does not take what it gave for the permission: it asks again");
                    select(None)?;
                }
                selected => _ = selected?,
            }
        }
        requests.call("SelectSources", SCREEN_CAST, |mut options| {
            options.insert("types", Value::from(MONITOR));
            options.insert("multiple", Value::from(false));
            let cursor = [CURSOR_EMBEDDED, CURSOR_METADATA].into_iter().find(|mode| versions.cursors & mode != 0);
            if let Some(cursor) = cursor {
                options.insert("cursor_mode", Value::from(cursor));
            }
            (handle.clone(), options)
        })?;
        let started = requests.call("Start", interface, |options| (handle.clone(), "", options))?;
        if let Some(token) = started.get("restore_token").and_then(text) {
            tokens.store(&token);
        }
        let stream = started.get("streams").and_then(first_stream);
        let stream = stream.ok_or_else(|| broken("Start", "it shows no screen"))?;
        let devices = started.get("devices").and_then(|devices| u32::try_from(devices).ok()).unwrap_or(ALL_DEVICES);
        Ok(Self { bus: bus.clone(), handle, versions, devices, stream, closed })
    }

    /// Node of the screen's pictures.
    pub fn node(&self) -> u32 {
        self.stream.node
    }

    /// Size of the screen in the unit that positions have on it, where the portal tells it.
    pub fn size(&self) -> Option<Size> {
        self.stream.size
    }

    /// Where the screen is among those of the desktop; the first corner where the portal does not tell it.
    pub fn position(&self) -> (u32, u32) {
        self.stream.position.unwrap_or_default()
    }

    /// What the socket for input calls the screen.
    pub fn mapping(&self) -> Option<&str> {
        self.stream.mapping.as_deref()
    }

    /// A connection to the PipeWire of the pictures.
    ///
    /// # Errors
    /// If the portal gives none.
    pub fn pipewire(&self) -> Result<OwnedFd, PortalError> {
        self.descriptor(SCREEN_CAST, "OpenPipeWireRemote")
    }

    /// Whether the portal takes input.
    pub fn takes_input(&self) -> bool {
        self.versions.takes_input()
    }

    /// What was permitted of that; nothing is possible too.
    pub fn granted(&self) -> Option<Granted> {
        match (self.devices & KEYBOARD != 0, self.devices & POINTER != 0) {
            (true, true) => Some(Granted::Both),
            (true, false) => Some(Granted::Keyboard),
            (false, true) => Some(Granted::Pointer),
            (false, false) => None,
        }
    }

    /// A socket for input, where the portal gives one: once for each session, newer ones refuse a second time.
    ///
    /// # Errors
    /// If it should and does not.
    pub fn ei(&self) -> Result<Option<UnixStream>, PortalError> {
        if !self.versions.remembers() {
            return Ok(None);
        }
        self.descriptor(REMOTE_DESKTOP, "ConnectToEIS").map(|socket| Some(UnixStream::from(socket)))
    }

    /// Where input goes that has no socket.
    pub fn target(&self) -> Target {
        Target { bus: self.bus.clone(), session: self.handle.clone(), stream: self.stream.node }
    }

    /// Why the portal ended it, if it did.
    pub fn closed(&self) -> Option<String> {
        self.closed.get().cloned()
    }

    fn descriptor(&self, interface: &'static str, method: &'static str) -> Result<OwnedFd, PortalError> {
        let proxy = self.bus.proxy(SERVICE, PATH, interface).map_err(|reason| broken(method, &reason))?;
        let options: HashMap<&str, Value<'_>> = HashMap::new();
        let given: zvariant::OwnedFd =
            proxy.call(method, &(&self.handle, options)).map_err(|error| broken(method, &error.to_string()))?;
        Ok(given.into())
    }
}

impl Drop for PortalSession {
    fn drop(&mut self) {
        if let Ok(session) = self.bus.proxy(SERVICE, &self.handle, "org.freedesktop.portal.Session") {
            let _ = session.call_noreply("Close", &());
        }
        self.bus.close();
    }
}

type Options = HashMap<&'static str, Value<'static>>;
type Results = HashMap<String, OwnedValue>;

struct Requests<'a> {
    bus: &'a Bus,
    patience: Duration,
}

impl Requests<'_> {
    /// Makes one request, whose arguments `body` makes of its options, and waits for the answer.
    fn call<B: serde::Serialize + DynamicType>(
        &self,
        method: &'static str,
        interface: &'static str,
        body: impl FnOnce(Options) -> B,
    ) -> Result<Results, PortalError> {
        let failed = |reason: String| broken(method, &reason);
        let token = unique_token();
        // The answer may be there before the request has returned, so its place is known beforehand.
        let name = self.bus.name().unwrap_or_default().trim_start_matches(':').replace('.', "_");
        let path = format!("{PATH}/request/{name}/{token}");
        let request = self.bus.proxy(SERVICE, &path, "org.freedesktop.portal.Request").map_err(failed)?;
        let mut signals = request.receive_signal("Response").map_err(|error| failed(error.to_string()))?;
        let (answer, answers) = mpsc::channel();
        std::thread::Builder::new()
            .name("portal-answer".into())
            .spawn(move || {
                if let Some(signal) = signals.next() {
                    let _ = answer.send(signal.body().deserialize::<(u32, Results)>());
                }
            })
            .map_err(|error| failed(error.to_string()))?;
        let options = HashMap::from([("handle_token", Value::from(token))]);
        let proxy = self.bus.proxy(SERVICE, PATH, interface).map_err(failed)?;
        let _: OwnedObjectPath = proxy.call(method, &body(options)).map_err(|error| failed(error.to_string()))?;
        match answers.recv_timeout(self.patience) {
            Ok(Ok((0, results))) => Ok(results),
            Ok(Ok((1, _))) => Err(PortalError::Refused),
            Ok(Ok((code, _))) => Err(failed(format!("it ended without an answer (code {code})"))),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(RecvTimeoutError::Timeout) => {
                let _ = request.call_noreply("Close", &());
                Err(PortalError::Unanswered(self.patience))
            }
            Err(RecvTimeoutError::Disconnected) => Err(failed("the message bus is gone".to_owned())),
        }
    }
}

/// Watches for the end of the session `handle`.
fn watch(bus: &Bus, handle: &ObjectPath<'_>) -> Result<Arc<OnceLock<String>>, PortalError> {
    let failed = |reason: String| broken("Session", &reason);
    let session = bus.proxy(SERVICE, handle, "org.freedesktop.portal.Session").map_err(failed)?;
    let mut signals = session.receive_signal("Closed").map_err(|error| failed(error.to_string()))?;
    let closed: Arc<OnceLock<String>> = Arc::default();
    std::thread::Builder::new()
        .name("portal-session".into())
        .spawn({
            let closed = Arc::clone(&closed);
            move || {
                let reason = match signals.next() {
                    Some(_) => "the desktop stopped showing its screen",
                    None => "the desktop's message bus is gone",
                };
                let _ = closed.set(reason.to_owned());
            }
        })
        .map_err(|error| failed(error.to_string()))?;
    Ok(closed)
}

/// A screen that is shown.
struct Stream {
    node: u32,
    size: Option<Size>,
    position: Option<(u32, u32)>,
    mapping: Option<String>,
}

/// The first of the streams, `a(ua{sv})`.
fn first_stream(streams: &OwnedValue) -> Option<Stream> {
    let Value::Array(streams) = &**streams else { return None };
    let Some(Value::Structure(stream)) = streams.iter().next() else { return None };
    let [Value::U32(node), Value::Dict(properties), ..] = stream.fields() else { return None };
    let property = |wanted: &str| {
        let found = properties.iter().find(|(name, _)| matches!(name, Value::Str(name) if name.as_str() == wanted));
        found.map(|(_, value)| value)
    };
    Some(Stream {
        node: *node,
        size: property("size").and_then(pair).map(|(width, height)| Size { width, height }),
        position: property("position").and_then(pair),
        mapping: property("mapping_id").and_then(inner_text),
    })
}

/// Two numbers that are not negative, `(ii)`.
fn pair(value: &Value<'_>) -> Option<(u32, u32)> {
    match value {
        Value::Value(inner) => pair(inner),
        Value::Structure(pair) => match pair.fields() {
            [Value::I32(first), Value::I32(second)] => {
                Some((u32::try_from(*first).ok()?, u32::try_from(*second).ok()?))
            }
            _ => None,
        },
        _ => None,
    }
}

fn inner_text(value: &Value<'_>) -> Option<String> {
    match value {
        Value::Value(inner) => inner_text(inner),
        Value::Str(text) => Some(text.to_string()),
        _ => None,
    }
}

/// A string or a path.
fn text(value: &OwnedValue) -> Option<String> {
    match &**value {
        Value::ObjectPath(path) => Some(path.to_string()),
        other => inner_text(other),
    }
}

/// A name that no other request or session of this process has.
fn unique_token() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("lumen{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn broken(what: &'static str, reason: &str) -> PortalError {
    PortalError::Failed { what, reason: reason.to_owned() }
}
