//! A virtual monitor of Mutter: a ScreenCast session with its one stream, and the RemoteDesktop session that it is
//! linked with. Both end with this.

use std::collections::HashMap;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use zbus::blocking::Proxy;
use zbus::zvariant::{OwnedObjectPath, Value};

use crate::display::compositor::PATIENCE;
use crate::input::mutter::Target;

use crate::display::bus::Bus;

const REMOTE_DESKTOP: &str = "org.gnome.Mutter.RemoteDesktop";
const SCREEN_CAST: &str = "org.gnome.Mutter.ScreenCast";

/// How often the interfaces are looked for.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The pointer is drawn into the pictures. Beside them (as metadata) it would come in buffers without a picture, and one
/// of those that follows a picture closely takes its place before anybody has seen it: PipeWire hands on the newest
/// buffer only. Nothing brings that picture again on a screen that stays still.
const CURSOR_EMBEDDED: u32 = 1;

/// A key that does nothing by itself: left shift.
const HARMLESS_KEY: u32 = 42;

/// Waits until Mutter offers both interfaces; `ended` says whether it has ended.
///
/// # Errors
/// In words, if it does not in time.
pub fn wait_for_interfaces(bus: &Bus, mut ended: impl FnMut() -> Option<String>) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    while ![REMOTE_DESKTOP, SCREEN_CAST].into_iter().all(|name| bus.has(name)) {
        if let Some(status) = ended() {
            return Err(format!("mutter ended at once: {status}"));
        }
        if Instant::now() >= deadline {
            return Err(format!("nobody offers {SCREEN_CAST} on the message bus: is it Mutter that runs?"));
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}

/// See the module.
pub struct Recording {
    remote_desktop: Proxy<'static>,
    stream: OwnedObjectPath,
    node: u32,
}

impl Recording {
    /// Asks for a monitor. It appears once somebody consumes [`Recording::node`].
    ///
    /// # Errors
    /// In words, if Mutter refuses, or does not answer in time.
    pub fn start(bus: &Bus) -> Result<Self, String> {
        let said = |what: &'static str| move |error: zbus::Error| format!("{what}: {error}");
        let desktop = bus.proxy(REMOTE_DESKTOP, "/org/gnome/Mutter/RemoteDesktop", REMOTE_DESKTOP)?;
        let session: OwnedObjectPath =
            desktop.call("CreateSession", &()).map_err(said("RemoteDesktop.CreateSession"))?;
        let remote_desktop = bus.proxy(REMOTE_DESKTOP, &session, "org.gnome.Mutter.RemoteDesktop.Session")?;
        let id: String = remote_desktop.get_property("SessionId").map_err(said("RemoteDesktop.SessionId"))?;

        let cast = bus.proxy(SCREEN_CAST, "/org/gnome/Mutter/ScreenCast", SCREEN_CAST)?;
        let options = HashMap::from([("remote-desktop-session-id", Value::from(id))]);
        let session: OwnedObjectPath =
            cast.call("CreateSession", &(options,)).map_err(said("ScreenCast.CreateSession"))?;
        let session = bus.proxy(SCREEN_CAST, &session, "org.gnome.Mutter.ScreenCast.Session")?;
        let options = HashMap::from([
            ("cursor-mode", Value::from(CURSOR_EMBEDDED)),
            // As a monitor that is there for good: the desktop does not say that it is being watched.
            ("is-platform", Value::from(true)),
        ]);
        let stream: OwnedObjectPath = session.call("RecordVirtual", &(options,)).map_err(said("RecordVirtual"))?;
        let added = bus.proxy(SCREEN_CAST, &stream, "org.gnome.Mutter.ScreenCast.Stream")?;
        let mut signals = added.receive_signal("PipeWireStreamAdded").map_err(said("PipeWireStreamAdded"))?;
        let (node, nodes) = mpsc::channel();
        std::thread::Builder::new()
            .name("stream-added".into())
            .spawn(move || {
                if let Some(id) = signals.next().and_then(|signal| signal.body().deserialize::<u32>().ok()) {
                    let _ = node.send(id);
                }
            })
            .map_err(|error| error.to_string())?;
        let _: () = remote_desktop.call("Start", &()).map_err(said("RemoteDesktop.Start"))?;
        let node = nodes
            .recv_timeout(PATIENCE)
            .map_err(|_| "Mutter gave no PipeWire node: does a PipeWire run where it looks?".to_owned())?;
        Ok(Self { remote_desktop, stream, node })
    }

    /// The PipeWire node of the monitor's pictures.
    pub fn node(&self) -> u32 {
        self.node
    }

    /// Where input goes.
    pub fn target(&self) -> Target {
        Target { session: self.remote_desktop.clone(), stream: self.stream.to_string() }
    }

    /// Makes the keyboard appear.
    ///
    /// # Errors
    /// In words, if Mutter does not take keys.
    pub fn wake_keyboard(&self) -> Result<(), String> {
        for down in [true, false] {
            let pressed: zbus::Result<()> = self.remote_desktop.call("NotifyKeyboardKeycode", &(HARMLESS_KEY, down));
            pressed.map_err(|error| format!("it takes no keys: {error}"))?;
        }
        Ok(())
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        // The ScreenCast session ends with it. Where Mutter is gone there is nothing to end.
        let _ = self.remote_desktop.call_noreply("Stop", &());
    }
}
