//! A message bus, with a bound to everything that is asked on it.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use zbus::blocking::connection::Builder;
use zbus::blocking::{Connection, Proxy};

use crate::display::compositor::PATIENCE;

/// How often a socket is looked for.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A connection. Calls on it fail when they are not answered in time.
#[derive(Debug, Clone)]
pub struct Bus {
    connection: Connection,
}

/// Address of the bus of the user whose runtime directory this is.
pub fn address_of(runtime: &Path) -> String {
    format!("unix:path={}", runtime.join("bus").display())
}

impl Bus {
    /// Connects to a bus that runs.
    ///
    /// # Errors
    /// In words, if nobody answers there in time.
    pub fn connect(address: &str) -> Result<Self, String> {
        let failed = |error: zbus::Error| format!("the message bus {address} does not answer: {error}");
        let builder = Builder::address(address).map_err(failed)?.method_timeout(PATIENCE);
        // The greeting has no bound of its own.
        let (answer, answers) = mpsc::channel();
        std::thread::Builder::new()
            .name("bus-greeting".into())
            .spawn(move || answer.send(builder.build()))
            .map_err(|error| error.to_string())?;
        match answers.recv_timeout(PATIENCE) {
            Ok(connection) => Ok(Self { connection: connection.map_err(failed)? }),
            Err(_) => Err(format!("the message bus {address} does not answer")),
        }
    }

    /// Connects to a bus whose daemon was just started; `ended` says whether it has ended.
    ///
    /// # Errors
    /// In words, if it does not come up in time.
    pub fn connect_to_new(
        address: &str,
        socket: &Path,
        mut ended: impl FnMut() -> Option<String>,
    ) -> Result<Self, String> {
        let deadline = Instant::now() + PATIENCE;
        while UnixStream::connect(socket).is_err() {
            if let Some(status) = ended() {
                return Err(format!("dbus-daemon ended at once: {status}"));
            }
            if Instant::now() >= deadline {
                return Err(format!("dbus-daemon did not open {} in time", socket.display()));
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        Self::connect(address)
    }

    /// Ends the connection for all who share it: whoever waits for a signal gets none any more.
    pub fn close(&self) {
        let _ = self.connection.clone().close();
    }

    /// The unique name of this end.
    pub fn name(&self) -> Option<String> {
        self.connection.unique_name().map(ToString::to_string)
    }

    /// Whether somebody has this name.
    pub fn has(&self, name: &str) -> bool {
        let proxy = self.proxy("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus");
        proxy.and_then(|proxy| proxy.call("NameHasOwner", &(name,)).map_err(|error| error.to_string())).unwrap_or(false)
    }

    /// One interface of an object.
    ///
    /// # Errors
    /// In words, if the names are not valid ones.
    pub fn proxy(&self, destination: &str, path: &str, interface: &str) -> Result<Proxy<'static>, String> {
        let [destination, path, interface] = [destination, path, interface].map(ToOwned::to_owned);
        let builder = zbus::blocking::proxy::Builder::new(&self.connection)
            .destination(destination)
            .and_then(|builder| builder.path(path))
            .and_then(|builder| builder.interface(interface))
            .map_err(|error| error.to_string())?;
        builder.cache_properties(zbus::proxy::CacheProperties::No).build().map_err(|error| error.to_string())
    }
}
