//! A PipeWire of a session: `pipewire`, its session manager and, where it is installed, the server for programs that
//! speak PulseAudio. They touch no sound card and no camera of the machine. One that ends is started again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::display::process::{Process, find_program};

use super::{MediaServerError, PATIENCE, Remote};

/// How often the programs are looked at.
const WATCH_INTERVAL: Duration = Duration::from_millis(200);

/// How often a socket is looked for.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A program that ends sooner than this after its start is not started again before that.
const RESTART_INTERVAL: Duration = Duration::from_secs(1);

/// Tells the session manager (version 0.5 and later) to leave devices alone, and to do without a message bus: that is the
/// user's, whose music it would pause when a session's sink goes.
const MANAGER_SETTINGS: &str = "\
wireplumber.profiles = {
  main = {
    hardware.audio = disabled
    hardware.bluetooth = disabled
    hardware.video-capture = disabled
    support.reserve-device = disabled
    support.portal-permissionstore = disabled
    support.logind = disabled
    support.dbus = disabled
    support.system-dbus = disabled
  }
}
";

/// The same for version 0.4. Its own files numbered 90 act upon what those before them say.
const OLD_MANAGER_SETTINGS: [(&str, &str); 2] = [
    (
        "main.lua.d",
        "alsa_monitor.enabled = false\nv4l2_monitor.enabled = false\nlibcamera_monitor.enabled = false\n\
         default_access.properties[\"enable-flatpak-portal\"] = false\n",
    ),
    (
        "bluetooth.lua.d",
        "bluez_monitor.enabled = false\nif bluez_midi_monitor then bluez_midi_monitor.enabled = false end\n",
    ),
];

/// See the module. Dropping it ends the programs.
#[derive(Debug)]
pub struct PrivateServer {
    shared: Arc<Shared>,
    pulse: bool,
    watcher: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    stop: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stopping: bool,
    /// In the order of their start.
    running: Vec<Process>,
}

/// How to start the programs, again and again.
#[derive(Debug)]
struct Recipe {
    session: String,
    directory: PathBuf,
    remote: Remote,
    programs: Vec<&'static str>,
}

impl PrivateServer {
    /// Starts it with its sockets in `directory`, and waits until `remote` answers.
    ///
    /// # Errors
    /// If a program is missing, or does not come up in time.
    pub fn start(session: &str, directory: &Path, remote: &Remote) -> Result<Self, MediaServerError> {
        for program in ["pipewire", "wireplumber"] {
            if find_program(program).is_none() {
                return Err(MediaServerError::Missing(program));
            }
        }
        let pulse = find_program("pipewire-pulse").is_some();
        let mut programs = vec!["pipewire", "wireplumber"];
        programs.extend(pulse.then_some("pipewire-pulse"));
        let recipe =
            Recipe { session: session.to_owned(), directory: directory.to_owned(), remote: remote.clone(), programs };
        recipe.write_settings().map_err(|error| MediaServerError::Start(error.to_string()))?;
        let running = recipe.start_all(&|| false)?;
        let state = Mutex::new(State { stopping: false, running });
        let shared = Arc::new(Shared { state, stop: Condvar::new() });
        let watcher = std::thread::Builder::new()
            .name("mediaserver".into())
            .spawn({
                let shared = Arc::clone(&shared);
                move || watch(&shared, &recipe)
            })
            .map_err(|error| MediaServerError::Start(error.to_string()))?;
        Ok(Self { shared, pulse, watcher: Some(watcher) })
    }

    /// Whether programs that speak PulseAudio are served.
    pub fn has_pulse(&self) -> bool {
        self.pulse
    }

    /// Process id of PipeWire itself, while it runs.
    pub fn process_id(&self) -> Option<u32> {
        self.shared.lock().running.first().map(Process::id)
    }
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        self.shared.lock().stopping = true;
        self.shared.stop.notify_all();
        if let Some(watcher) = self.watcher.take() {
            let _ = watcher.join();
        }
        let mut state = self.shared.lock();
        while let Some(process) = state.running.pop() {
            drop(process);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts again what ended. Without PipeWire the others cannot go on either.
fn watch(shared: &Shared, recipe: &Recipe) {
    let mut state = shared.lock();
    let mut started = Instant::now();
    while !state.stopping {
        state = shared.stop.wait_timeout(state, WATCH_INTERVAL).unwrap_or_else(PoisonError::into_inner).0;
        if state.stopping || started.elapsed() < RESTART_INTERVAL {
            continue;
        }
        let ended = state.running.iter_mut().position(|process| process.poll().is_some());
        let result = match ended {
            None if !state.running.is_empty() => continue,
            Some(at @ 1..) => {
                tracing::warn!(program = recipe.programs[at], "ended and is started again");
                recipe.start(recipe.programs[at]).map(|process| state.running[at] = process)
            }
            Some(0) | None => {
                tracing::warn!("the session's PipeWire ended and is started again");
                while state.running.pop().is_some() {}
                drop(state);
                let running = recipe.start_all(&|| shared.lock().stopping);
                state = shared.lock();
                running.map(|running| state.running = running)
            }
        };
        started = Instant::now();
        if let Err(error) = result {
            tracing::warn!(%error, "the session stays without sound for now");
        }
    }
}

impl Recipe {
    fn write_settings(&self) -> io::Result<()> {
        let settings = self.configuration().join("wireplumber");
        for (directory, text) in OLD_MANAGER_SETTINGS {
            fs::create_dir_all(settings.join(directory))?;
            fs::write(settings.join(directory).join("80-lumen.lua"), text)?;
        }
        fs::create_dir_all(settings.join("wireplumber.conf.d"))?;
        fs::write(settings.join("wireplumber.conf.d/90-lumen.conf"), MANAGER_SETTINGS)
    }

    fn configuration(&self) -> PathBuf {
        self.directory.join("mediaserver")
    }

    fn start_all(&self, stopping: &dyn Fn() -> bool) -> Result<Vec<Process>, MediaServerError> {
        let mut running = Vec::new();
        for program in &self.programs {
            running.push(self.start(program)?);
            if running.len() == 1 {
                self.wait_for_socket(&mut running[0], stopping)?;
            }
        }
        Ok(running)
    }

    fn start(&self, program: &str) -> Result<Process, MediaServerError> {
        let mut command = Command::new(program);
        command
            .env("XDG_RUNTIME_DIR", &self.directory)
            .env("PIPEWIRE_RUNTIME_DIR", &self.directory)
            .env("PULSE_RUNTIME_PATH", self.directory.join("pulse"))
            .env("XDG_CONFIG_HOME", self.configuration())
            .env("XDG_STATE_HOME", self.configuration())
            .env_remove("PIPEWIRE_REMOTE")
            .env_remove("PULSE_SERVER")
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY");
        Process::spawn(command, &self.session).map_err(|error| MediaServerError::Start(format!("{program}: {error}")))
    }

    fn wait_for_socket(&self, server: &mut Process, stopping: &dyn Fn() -> bool) -> Result<(), MediaServerError> {
        let deadline = Instant::now() + PATIENCE;
        while !self.remote.is_reachable() {
            if let Some(status) = server.poll() {
                return Err(MediaServerError::Start(format!("pipewire ended at once: {status}")));
            }
            if stopping() || Instant::now() >= deadline {
                return Err(MediaServerError::Start(format!("pipewire did not answer in {} s", PATIENCE.as_secs())));
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }
}
