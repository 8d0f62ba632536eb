//! A Mutter of one test with its own PipeWire, and what a test does with it.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lumen_core::gamestream::input::{InputEvent, KeyEvent, Modifiers, PressState, VirtualKey};
use lumen_host::capture::{Capture, CaptureError, Captured};
use lumen_host::config::Instance;
use lumen_host::display::compositor::{Compositor, CompositorSpec};
use lumen_host::display::mutter;
use lumen_host::display::process::{Process, find_program};
use lumen_host::frame::{CpuImage, Frame, Mode};
use lumen_host::input::InputSink;
use lumen_host::mediaserver::MediaServer;
use tempfile::TempDir;
use zbus::zvariant::OwnedValue;

use crate::bed::become_ordinary;

/// A bound for whatever must happen.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Colour of the terminal's background, blue first.
pub const BACKGROUND: [u8; 3] = [0x80, 0x40, 0x20];

/// See the module. Fields are dropped in order.
pub struct Session {
    programs: Vec<Process>,
    pub compositor: Box<dyn Compositor>,
    pub server: MediaServer,
    pub directory: TempDir,
    pub id: String,
}

impl Session {
    pub fn open(test: &str, mode: Mode) -> Self {
        become_ordinary();
        // Shown with --nocapture, or when the test fails; RUST_LOG says how much.
        let logged = tracing_subscriber::EnvFilter::from_default_env();
        let _ = tracing_subscriber::fmt().with_env_filter(logged).with_test_writer().try_init();
        for program in ["mutter", "dbus-daemon", "pipewire", "wireplumber", "foot", "weston-simple-shm"] {
            assert!(
                find_program(program).is_some(),
                "{program} is missing: install mutter, dbus, pipewire, wireplumber, foot and weston"
            );
        }
        // The names of sockets in it must be short.
        let directory = tempfile::Builder::new().prefix("lm").tempdir_in("/tmp").unwrap();
        let id = format!("{test}-{}", std::process::id());
        let server = MediaServer::start(&id, directory.path()).unwrap();
        let mut environment = vec![("XDG_RUNTIME_DIR".to_owned(), directory.path().display().to_string())];
        environment.extend(server.environment());
        let compositor = mutter::start(&CompositorSpec {
            session: id.clone(),
            mode,
            instance: Instance::Own,
            directory: directory.path().to_owned(),
            identity: "test".to_owned(),
            command: Vec::new(),
            command_environment: Vec::new(),
            environment,
        })
        .unwrap();
        Self { programs: Vec::new(), compositor, server, directory, id }
    }

    /// A further monitor of this desktop, as a session of its own has it.
    pub fn further(&self, name: &str, mode: Mode) -> Box<dyn Compositor> {
        let environment = self.environment();
        mutter::start(&CompositorSpec {
            session: format!("{}-{name}", self.id),
            mode,
            instance: Instance::Running,
            directory: self.directory.path().join(name),
            identity: "test".to_owned(),
            command: Vec::new(),
            command_environment: Vec::new(),
            environment,
        })
        .unwrap()
    }

    /// Variables by which others find this desktop, wherever their runtime directory is.
    pub fn environment(&self) -> Vec<(String, String)> {
        let mut environment = self.server.environment();
        for (name, value) in self.compositor.environment() {
            let value =
                if name == "WAYLAND_DISPLAY" { self.directory.path().join(value).display().to_string() } else { value };
            environment.push((name, value));
        }
        environment
    }

    /// Starts a program on it.
    pub fn run(&mut self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_remove("DISPLAY")
            .env("XDG_RUNTIME_DIR", self.directory.path())
            .env("HOME", self.directory.path())
            .env("LANG", "C.UTF-8")
            .envs(self.compositor.environment())
            .stderr(Stdio::null());
        self.programs.push(Process::spawn(command, &self.id).unwrap());
    }

    /// Whether all programs still run.
    pub fn programs_run(&mut self) -> bool {
        self.programs.iter_mut().all(|program| program.poll().is_none())
    }

    /// A terminal over the whole picture that writes every byte it gets into the file that is returned, once it has
    /// sent `modes` to its terminal. It reports its focus.
    pub fn terminal(&mut self, modes: &str) -> PathBuf {
        self.terminal_as("typed", "--fullscreen", modes)
    }

    /// The same into a file of this name, with a window as the `option` says.
    pub fn terminal_as(&mut self, name: &str, option: &str, modes: &str) -> PathBuf {
        let (file, script) = (self.directory.path().join(name), self.directory.path().join(format!("{name}.sh")));
        let [blue, green, red] = BACKGROUND;
        // By a sequence: the option for it has another name in newer versions.
        let colour = format!("\\033]11;#{red:02x}{green:02x}{blue:02x}\\033\\\\");
        let text = format!(
            "#!/bin/sh\nprintf '{colour}\\033[2J\\033[?25l\\033[?1004h{modes}'\nstty raw -echo\nexec cat > '{}'\n",
            file.display()
        );
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
        let script = script.display().to_string();
        self.run("foot", &["--config=/dev/null", option, "-o", "pad=0x0", &script]);
        wait_for("the terminal's focus", || fs::read(&file).is_ok_and(|typed| typed.ends_with(b"\x1b[I")));
        file
    }

    /// Size and rate of the monitors, as Mutter tells them to everybody.
    pub fn monitors(&self) -> Vec<(i32, i32, f64)> {
        type Names = (String, String, String, String);
        type Properties = HashMap<String, OwnedValue>;
        type MonitorMode = (String, i32, i32, f64, f64, Vec<f64>, Properties);
        type Logical = (i32, i32, f64, u32, bool, Vec<Names>, Properties);
        type State = (u32, Vec<(Names, Vec<MonitorMode>, Properties)>, Vec<Logical>, Properties);
        let environment: HashMap<String, String> = self.compositor.environment().into_iter().collect();
        let bus = zbus::blocking::connection::Builder::address(environment["DBUS_SESSION_BUS_ADDRESS"].as_str());
        let bus = bus.unwrap().method_timeout(PATIENCE).build().unwrap();
        let name = "org.gnome.Mutter.DisplayConfig";
        let reply = bus.call_method(Some(name), "/org/gnome/Mutter/DisplayConfig", Some(name), "GetCurrentState", &());
        let reply = reply.unwrap();
        let (_, monitors, _, _): State = reply.body().deserialize().unwrap();
        let modes = monitors.into_iter().flat_map(|(_, modes, _)| modes);
        modes.filter(|mode| mode.6.contains_key("is-current")).map(|mode| (mode.1, mode.2, mode.3)).collect()
    }
}

/// Waits until something is so.
pub fn wait_for(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The next picture.
pub fn next(capture: &mut dyn Capture) -> Frame {
    match capture.next(Instant::now() + PATIENCE) {
        Ok(Captured::Frame(frame)) => frame,
        other => panic!("no picture came: {other:?}"),
    }
}

/// Takes pictures until one is as wanted.
pub fn next_where(capture: &mut dyn Capture, what: &str, wanted: impl Fn(&CpuImage) -> bool) -> Frame {
    let deadline = Instant::now() + PATIENCE;
    let mut seen = None;
    loop {
        match capture.next(deadline) {
            Ok(Captured::Frame(frame)) if wanted(&frame.image) => return frame,
            Ok(Captured::Frame(frame)) => seen = Some((frame.serial, background(&frame.image))),
            Ok(Captured::Still) => panic!("no picture showed {what}; the last (serial, background) was {seen:?}"),
            Err(CaptureError::DisplayGone(reason)) => panic!("{reason}, before a picture showed {what}"),
        }
    }
}

/// Part of a picture that has the terminal's background.
pub fn background(image: &CpuImage) -> f64 {
    let pixels = image.data.chunks_exact(4);
    pixels.filter(|pixel| pixel[..3] == BACKGROUND).count() as f64 / f64::from(image.width * image.height)
}

/// Whether all pixels of a picture are the same.
pub fn is_uniform(image: &CpuImage) -> bool {
    image.data.chunks_exact(4).all(|pixel| pixel[..3] == image.data[..3])
}

/// Presses and releases a key, with shift or without.
pub fn press(input: &mut dyn InputSink, key: u8, shift: bool) {
    let mut send = |state, key| {
        input.handle(&InputEvent::Key(KeyEvent::new(state, VirtualKey(key), Modifiers::from_bits(0))));
    };
    if shift {
        send(PressState::Down, 0xA0);
    }
    send(PressState::Down, key);
    send(PressState::Up, key);
    if shift {
        send(PressState::Up, 0xA0);
    }
}
