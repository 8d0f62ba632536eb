//! The desktop's part of the portal, as xdg-desktop-portal-gnome is for GNOME, without its dialog: it gives what it is
//! asked for by asking Mutter, at once, or says no, or says nothing. What it permitted for good it gives again without a
//! question, to whoever shows what it gave for that.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Instant;

use zbus::ObjectServer;
use zbus::blocking::{Connection, Proxy, connection};
use zbus::zvariant::{ObjectPath, OwnedFd, OwnedObjectPath, OwnedValue, Value};

use super::bed::PATIENCE;

/// Its name on the bus.
pub const NAME: &str = "org.freedesktop.impl.portal.desktop.lumentest";

const PATH: &str = "/org/freedesktop/portal/desktop";
const MUTTER: &str = "org.gnome.Mutter.RemoteDesktop";
const MUTTER_CAST: &str = "org.gnome.Mutter.ScreenCast";

type Options = HashMap<String, OwnedValue>;
type Results = HashMap<String, OwnedValue>;

/// What becomes of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Permit,
    /// The screen may be seen, and no more.
    PermitLooking,
    Refuse,
    Never,
}

#[derive(Default)]
struct Shared {
    answers: Mutex<VecDeque<Answer>>,
    asked: AtomicUsize,
    taken_back: AtomicUsize,
    /// Sockets for input that were given.
    sockets: AtomicUsize,
    /// Calls that brought input.
    notified: AtomicUsize,
    /// What is restored for each session of the portal that wants that; nothing yet for those that come first.
    kept: Mutex<HashMap<String, Option<String>>>,
    /// What was permitted for good.
    permitted: Mutex<HashSet<String>>,
    /// The monitor that is shown; Mutter's first if it is not named.
    monitor: Mutex<String>,
    /// Mutter's session for each session of the portal.
    sessions: Mutex<HashMap<String, Proxy<'static>>>,
}

/// See the module.
pub struct Backend {
    shared: Arc<Shared>,
    connection: Connection,
    mutter: Connection,
}

impl Backend {
    pub fn start(address: &str) -> Self {
        let shared: Arc<Shared> = Arc::default();
        let connect = || connection::Builder::address(address).unwrap().method_timeout(PATIENCE);
        let mutter = connect().build().unwrap();
        let remote = Remote { shared: Arc::clone(&shared), mutter: mutter.clone() };
        let connection = connect()
            .name(NAME)
            .unwrap()
            .serve_at(PATH, remote.clone())
            .unwrap()
            .serve_at(PATH, Cast(remote))
            .unwrap()
            .build()
            .unwrap();
        Self { shared, connection, mutter }
    }

    pub fn answers(&self, answers: impl IntoIterator<Item = Answer>) {
        self.shared.answers.lock().unwrap().extend(answers);
    }

    pub fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }

    pub fn taken_back(&self) -> usize {
        self.shared.taken_back.load(Ordering::SeqCst)
    }

    pub fn sockets(&self) -> usize {
        self.shared.sockets.load(Ordering::SeqCst)
    }

    pub fn notified(&self) -> usize {
        self.shared.notified.load(Ordering::SeqCst)
    }

    /// Shows this monitor from now on.
    pub fn show(&self, monitor: &str) {
        monitor.clone_into(&mut self.shared.monitor.lock().unwrap());
    }

    /// Forgets what was permitted for good.
    pub fn forget(&self) {
        self.shared.permitted.lock().unwrap().clear();
    }

    /// A property of the portal that clients see.
    pub fn version(&self, interface: &str) -> u32 {
        let portal = Proxy::new(&self.mutter, "org.freedesktop.portal.Desktop", PATH, interface).unwrap();
        portal.get_property("version").unwrap()
    }

    /// Takes a permission away in the portal's own store, as the desktop's settings do.
    pub fn revoke(&self, token: &str) {
        let name = "org.freedesktop.impl.portal.PermissionStore";
        let store = Proxy::new(&self.mutter, name, "/org/freedesktop/impl/portal/PermissionStore", name).unwrap();
        let _: () = store.call("Delete", &("remote-desktop", token)).unwrap();
    }

    pub fn stop_sharing(&self) {
        for (path, mutter) in self.shared.sessions.lock().unwrap().drain() {
            let _ = mutter.call_noreply("Stop", &());
            let closed = ("org.freedesktop.impl.portal.Session", "Closed");
            self.connection.emit_signal(None::<&str>, path.as_str(), closed.0, closed.1, &()).unwrap();
        }
    }

    /// Has Mutter give the pictures of its monitor for the session of this name.
    pub fn sharer(&self) -> impl Fn(&str) -> u32 + Send + Sync + use<> {
        let remote = Remote { shared: Arc::clone(&self.shared), mutter: self.mutter.clone() };
        move |session| remote.share(session).0
    }

    /// Waits until somebody has this name.
    pub fn wait_for(&self, name: &str) {
        let bus = zbus::blocking::fdo::DBusProxy::new(&self.mutter).unwrap();
        super::bed::wait_for(name, || bus.name_has_owner(name.try_into().unwrap()).unwrap_or(false));
    }
}

/// A session, which ends with its Mutter session.
struct Session {
    shared: Arc<Shared>,
    path: String,
}

#[zbus::interface(name = "org.freedesktop.impl.portal.Session")]
impl Session {
    fn close(&self) {
        if let Some(mutter) = self.shared.sessions.lock().unwrap().remove(&self.path) {
            let _ = mutter.call_noreply("Stop", &());
        }
    }

    #[zbus(property, name = "version")]
    fn version(&self) -> u32 {
        1
    }
}

/// A question, which can be taken back.
struct Request(Arc<Shared>);

#[zbus::interface(name = "org.freedesktop.impl.portal.Request")]
impl Request {
    fn close(&self) {
        self.0.taken_back.fetch_add(1, Ordering::SeqCst);
    }
}

/// The screen without input.
struct Cast(Remote);

#[zbus::interface(name = "org.freedesktop.impl.portal.ScreenCast")]
impl Cast {
    async fn create_session(
        &self,
        _handle: ObjectPath<'_>,
        session: ObjectPath<'_>,
        _app: &str,
        _options: Options,
        #[zbus(object_server)] server: &ObjectServer,
    ) -> (u32, Results) {
        self.0.open(session, server).await
    }

    async fn start(
        &self,
        handle: ObjectPath<'_>,
        session: ObjectPath<'_>,
        _app: &str,
        _parent: &str,
        _options: Options,
        #[zbus(object_server)] server: &ObjectServer,
    ) -> (u32, Results) {
        self.0.ask(handle, session, server).await
    }

    fn select_sources(
        &self,
        _handle: ObjectPath<'_>,
        _session: ObjectPath<'_>,
        _app: &str,
        _options: Options,
    ) -> (u32, Results) {
        (0, Results::new())
    }

    #[zbus(property)]
    fn available_source_types(&self) -> u32 {
        1
    }

    #[zbus(property)]
    fn available_cursor_modes(&self) -> u32 {
        7
    }

    #[zbus(property, name = "version")]
    fn version(&self) -> u32 {
        4
    }
}

#[derive(Clone)]
struct Remote {
    shared: Arc<Shared>,
    mutter: Connection,
}

impl Remote {
    /// Hands one event to Mutter.
    fn notify<B: serde::Serialize + zbus::zvariant::DynamicType>(
        &self,
        session: &ObjectPath<'_>,
        method: &str,
        body: impl FnOnce() -> B,
    ) {
        self.shared.notified.fetch_add(1, Ordering::SeqCst);
        if let Some(mutter) = self.shared.sessions.lock().unwrap().get(session.as_str()) {
            mutter.call_noreply(method, &body()).unwrap();
        }
    }

    async fn open(&self, session: ObjectPath<'_>, server: &ObjectServer) -> (u32, Results) {
        let object = Session { shared: Arc::clone(&self.shared), path: session.to_string() };
        server.at(session, object).await.unwrap();
        (0, Results::new())
    }

    /// Asks whoever sits at the desktop, unless they have said for good that it may be.
    async fn ask(&self, handle: ObjectPath<'_>, session: ObjectPath<'_>, server: &ObjectServer) -> (u32, Results) {
        server.at(handle, Request(Arc::clone(&self.shared))).await.unwrap();
        let kept = self.shared.kept.lock().unwrap().remove(session.as_str());
        let shown = kept.clone().flatten();
        let known = shown.filter(|shown| self.shared.permitted.lock().unwrap().contains(shown));
        let answer = known.is_none().then(|| {
            let answer = self.shared.answers.lock().unwrap().pop_front();
            self.shared.asked.fetch_add(1, Ordering::SeqCst);
            answer.expect("a question that the test does not expect")
        });
        let devices = match answer {
            Some(Answer::Refuse) => return (1, Results::new()),
            Some(Answer::Never) => std::future::pending().await,
            Some(Answer::PermitLooking) => 0u32,
            Some(Answer::Permit) | None => 7,
        };
        let began = Instant::now();
        let (node, mut properties) = self.share(session.as_str());
        eprintln!("the backend shares node {node} after {:?}", began.elapsed());
        properties.insert("source_type".to_owned(), OwnedValue::from(1u32));
        let value = |value: Value<'static>| OwnedValue::try_from(value).unwrap();
        let mut results = HashMap::from([
            ("devices".to_owned(), OwnedValue::from(devices)),
            ("streams".to_owned(), value(Value::from(vec![(node, properties)]))),
        ]);
        if kept.is_some() {
            let permission = known.unwrap_or_else(|| format!("permission {}", self.asked()));
            self.shared.permitted.lock().unwrap().insert(permission.clone());
            let data = ("lumentest", 1u32, Value::from(permission));
            results.insert("restore_data".to_owned(), value(Value::from(data)));
            results.insert("persist_mode".to_owned(), OwnedValue::from(2u32));
        }
        (0, results)
    }

    fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }

    /// Has Mutter give the pictures of its monitor, and take input for it.
    fn share(&self, session: &str) -> (u32, Results) {
        let proxy = |service: &'static str, path: String, interface: &'static str| {
            Proxy::new(&self.mutter, service, path, interface).unwrap()
        };
        let desktop = proxy(MUTTER, "/org/gnome/Mutter/RemoteDesktop".into(), MUTTER);
        let path: OwnedObjectPath = desktop.call("CreateSession", &()).unwrap();
        let remote = proxy(MUTTER, path.to_string(), "org.gnome.Mutter.RemoteDesktop.Session");
        let id: String = remote.get_property("SessionId").unwrap();
        let cast = proxy(MUTTER_CAST, "/org/gnome/Mutter/ScreenCast".into(), MUTTER_CAST);
        let options = HashMap::from([("remote-desktop-session-id", Value::from(id))]);
        let path: OwnedObjectPath = cast.call("CreateSession", &(options,)).unwrap();
        let cast = proxy(MUTTER_CAST, path.to_string(), "org.gnome.Mutter.ScreenCast.Session");
        let options = HashMap::from([("cursor-mode", Value::from(1u32))]);
        let stream: OwnedObjectPath =
            cast.call("RecordMonitor", &(self.shared.monitor.lock().unwrap().clone(), options)).unwrap();
        let stream = proxy(MUTTER_CAST, stream.to_string(), "org.gnome.Mutter.ScreenCast.Stream");
        let mut added = stream.receive_signal("PipeWireStreamAdded").unwrap();
        let (node, nodes) = mpsc::channel();
        std::thread::spawn(move || node.send(added.next()?.body().deserialize::<u32>().ok()?).ok());
        let _: () = remote.call("Start", &()).unwrap();
        let node = nodes.recv_timeout(PATIENCE).unwrap();
        self.shared.sessions.lock().unwrap().insert(session.to_owned(), remote);
        // The stream's own path is what Mutter's absolute positions need.
        STREAMS.lock().unwrap().insert(node, stream.path().to_string());
        // Mutter's properties of it, by the portal's names.
        let mut told: Results = stream.get_property("Parameters").unwrap();
        if let Some(mapping) = told.remove("mapping-id") {
            told.insert("mapping_id".to_owned(), mapping);
        }
        (node, told)
    }
}

/// Mutter's name for each node.
static STREAMS: Mutex<std::collections::BTreeMap<u32, String>> = Mutex::new(std::collections::BTreeMap::new());

fn stream_of(node: u32) -> String {
    STREAMS.lock().unwrap().get(&node).cloned().unwrap_or_default()
}

/// The text in a value, which the portal's store wraps in another.
fn innermost(value: &Value<'_>) -> String {
    match value {
        Value::Value(inner) => innermost(inner),
        Value::Str(text) => text.to_string(),
        other => panic!("{other:?} is nothing that was given"),
    }
}

#[zbus::interface(name = "org.freedesktop.impl.portal.RemoteDesktop")]
impl Remote {
    async fn create_session(
        &self,
        _handle: ObjectPath<'_>,
        session: ObjectPath<'_>,
        _app: &str,
        _options: Options,
        #[zbus(object_server)] server: &ObjectServer,
    ) -> (u32, Results) {
        self.open(session, server).await
    }

    fn select_devices(
        &self,
        _handle: ObjectPath<'_>,
        session: ObjectPath<'_>,
        _app: &str,
        options: Options,
    ) -> (u32, Results) {
        if options.get("persist_mode").is_some_and(|mode| u32::try_from(mode).unwrap() == 2) {
            let shown = options.get("restore_data").map(|data| {
                let data = data.try_clone().unwrap();
                let (vendor, version, permission) = <(String, u32, OwnedValue)>::try_from(data).unwrap();
                assert_eq!((vendor.as_str(), version), ("lumentest", 1));
                innermost(&permission)
            });
            self.shared.kept.lock().unwrap().insert(session.to_string(), shown);
        }
        (0, Results::new())
    }

    /// Mutter's own socket.
    #[zbus(name = "ConnectToEIS")]
    fn connect_to_eis(&self, session: ObjectPath<'_>, _app: &str, _options: Options) -> OwnedFd {
        self.shared.sockets.fetch_add(1, Ordering::SeqCst);
        let sessions = self.shared.sessions.lock().unwrap();
        let options: HashMap<&str, Value<'_>> = HashMap::new();
        sessions[session.as_str()].call("ConnectToEIS", &(options,)).unwrap()
    }

    async fn start(
        &self,
        handle: ObjectPath<'_>,
        session: ObjectPath<'_>,
        _app: &str,
        _parent: &str,
        _options: Options,
        #[zbus(object_server)] server: &ObjectServer,
    ) -> (u32, Results) {
        self.ask(handle, session, server).await
    }

    fn notify_pointer_motion(&self, session: ObjectPath<'_>, _options: Options, dx: f64, dy: f64) {
        self.notify(&session, "NotifyPointerMotionRelative", || (dx, dy));
    }

    fn notify_pointer_motion_absolute(&self, session: ObjectPath<'_>, _options: Options, stream: u32, x: f64, y: f64) {
        self.notify(&session, "NotifyPointerMotionAbsolute", || (stream_of(stream), x, y));
    }

    fn notify_pointer_button(&self, session: ObjectPath<'_>, _options: Options, button: i32, state: u32) {
        self.notify(&session, "NotifyPointerButton", || (button, state == 1));
    }

    fn notify_keyboard_keycode(&self, session: ObjectPath<'_>, _options: Options, key: i32, state: u32) {
        self.notify(&session, "NotifyKeyboardKeycode", || (key.cast_unsigned(), state == 1));
    }

    fn notify_keyboard_keysym(&self, session: ObjectPath<'_>, _options: Options, key: i32, state: u32) {
        self.notify(&session, "NotifyKeyboardKeysym", || (key.cast_unsigned(), state == 1));
    }

    #[zbus(property)]
    fn available_device_types(&self) -> u32 {
        7
    }

    #[zbus(property, name = "version")]
    fn version(&self) -> u32 {
        2
    }
}
