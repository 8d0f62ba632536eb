//! A portal as its documentation describes version 2 of RemoteDesktop, as far as remembering a permission goes: it gives
//! a token with each permission and tells the test which one it was given.

use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

use zbus::Connection;
use zbus::blocking::connection;
use zbus::message::Header;
use zbus::zvariant::{ObjectPath, OwnedFd, OwnedObjectPath, OwnedValue, Value};

use lumen_host::mediaserver::Remote;

use super::backend::Backend;
use super::bed::PATIENCE;

const PATH: &str = "/org/freedesktop/portal/desktop";

type Options = HashMap<String, OwnedValue>;
type Results = HashMap<&'static str, Value<'static>>;

#[derive(Default)]
struct Tokens {
    given: u32,
    last: Option<String>,
}

/// See the module.
pub struct Remembering {
    tokens: Arc<Mutex<Tokens>>,
    _connection: zbus::blocking::Connection,
}

impl Remembering {
    pub fn start(backend: &Backend, address: &str, pipewire: &Remote) -> Self {
        let tokens: Arc<Mutex<Tokens>> = Arc::default();
        let desktop = Desktop { tokens: Arc::clone(&tokens), share: Box::new(backend.sharer()) };
        let connection = connection::Builder::address(address)
            .unwrap()
            .method_timeout(PATIENCE)
            .serve_at(PATH, desktop)
            .unwrap()
            .serve_at(PATH, Cast(pipewire.clone()))
            .unwrap()
            .name("org.freedesktop.portal.Desktop")
            .unwrap()
            .build()
            .unwrap();
        Self { tokens, _connection: connection }
    }

    /// By what the last question was recognized, if it was.
    pub fn last_token(&self) -> Option<String> {
        self.tokens.lock().unwrap().last.clone()
    }
}

fn text(options: &Options, name: &str) -> Option<String> {
    options.get(name).and_then(|value| String::try_from(value.clone()).ok())
}

/// The path that belongs to a token of whoever asks.
fn path(kind: &str, header: &Header<'_>, token: &str) -> OwnedObjectPath {
    let sender = header.sender().unwrap().trim_start_matches(':').replace('.', "_");
    OwnedObjectPath::try_from(format!("{PATH}/{kind}/{sender}/{token}")).unwrap()
}

/// Answers a request at once.
async fn answer(connection: &Connection, header: &Header<'_>, options: &Options, results: Results) -> OwnedObjectPath {
    let request = path("request", header, &text(options, "handle_token").unwrap());
    let interface = "org.freedesktop.portal.Request";
    connection.emit_signal(None::<&str>, &request, interface, "Response", &(0u32, results)).await.unwrap();
    request
}

struct Cast(Remote);

#[zbus::interface(name = "org.freedesktop.portal.ScreenCast")]
impl Cast {
    async fn select_sources(
        &self,
        _session: ObjectPath<'_>,
        options: Options,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> OwnedObjectPath {
        answer(connection, &header, &options, Results::new()).await
    }

    #[zbus(name = "OpenPipeWireRemote")]
    fn open_pipewire_remote(&self, _session: ObjectPath<'_>, _options: Options) -> OwnedFd {
        std::os::fd::OwnedFd::from(UnixStream::connect(self.0.socket()).unwrap()).into()
    }

    #[zbus(property)]
    fn available_cursor_modes(&self) -> u32 {
        7
    }

    #[zbus(property, name = "version")]
    fn version(&self) -> u32 {
        5
    }
}

struct Desktop {
    tokens: Arc<Mutex<Tokens>>,
    share: Box<dyn Fn(&str) -> u32 + Send + Sync>,
}

#[zbus::interface(name = "org.freedesktop.portal.RemoteDesktop")]
impl Desktop {
    async fn create_session(
        &self,
        options: Options,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> OwnedObjectPath {
        let session = path("session", &header, &text(&options, "session_handle_token").unwrap());
        let results = Results::from([("session_handle", Value::from(session.to_string()))]);
        answer(connection, &header, &options, results).await
    }

    async fn select_devices(
        &self,
        _session: ObjectPath<'_>,
        options: Options,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> OwnedObjectPath {
        assert_eq!(options.get("persist_mode").map(|mode| u32::try_from(mode).unwrap()), Some(2));
        self.tokens.lock().unwrap().last = text(&options, "restore_token");
        answer(connection, &header, &options, Results::new()).await
    }

    async fn start(
        &self,
        session: ObjectPath<'_>,
        _parent: &str,
        options: Options,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> OwnedObjectPath {
        let node = (self.share)(session.as_str());
        let token = {
            let mut tokens = self.tokens.lock().unwrap();
            tokens.given += 1;
            format!("token {}", tokens.given)
        };
        let streams: Vec<(u32, HashMap<String, Value<'static>>)> = vec![(node, HashMap::new())];
        let results = Results::from([("streams", Value::from(streams)), ("restore_token", Value::from(token))]);
        answer(connection, &header, &options, results).await
    }

    #[zbus(property, name = "version")]
    fn version(&self) -> u32 {
        2
    }
}
