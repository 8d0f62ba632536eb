//! A desktop of one test: a bus, PipeWire, Mutter with one monitor, the portal, and the backend that answers for it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lumen_host::capture::{Capture, CaptureError, Captured};
use lumen_host::config::Instance;
use lumen_host::display::DisplayError;
use lumen_host::display::compositor::{Compositor, CompositorSpec};
use lumen_host::display::portal;
use lumen_host::display::process::{Process, find_program};
use lumen_host::frame::{CpuImage, Frame, Mode};
use lumen_host::mediaserver::MediaServer;
use tempfile::TempDir;

use super::backend::{Answer, Backend, NAME};
use super::remembering::Remembering;

/// A bound for whatever must happen.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Colour of the terminal's background, blue first.
const BACKGROUND: [u8; 3] = [0x80, 0x40, 0x20];

/// Where Debian has the portal.
const PORTAL: &str = "/usr/libexec/xdg-desktop-portal";

/// What clients ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frontend {
    /// The real xdg-desktop-portal.
    Real,
    /// The same, on a desktop that shows its screen but takes no input.
    ScreenAlone,
    /// A newer one of ours.
    Remembering,
}

/// See the module. Fields are dropped in order.
pub struct Bed {
    remembering: Option<Remembering>,
    backend: Backend,
    programs: Vec<Process>,
    server: MediaServer,
    directory: TempDir,
    id: String,
}

impl Bed {
    pub fn open(test: &str, size: (u32, u32), frontend: Frontend) -> Self {
        Self::with_monitors(test, &[size], frontend)
    }

    /// The monitors stand beside each other, from the left to the right.
    pub fn with_monitors(test: &str, monitors: &[(u32, u32)], frontend: Frontend) -> Self {
        // Shown with --nocapture, or when the test fails; RUST_LOG says how much.
        let logged = tracing_subscriber::EnvFilter::from_default_env();
        let _ = tracing_subscriber::fmt().with_env_filter(logged).with_test_writer().try_init();
        for program in ["mutter", "dbus-daemon", "pipewire", "wireplumber", "foot", PORTAL] {
            assert!(
                Path::new(program).exists() || find_program(program).is_some(),
                "{program} is missing: install mutter, dbus-daemon, pipewire, wireplumber, foot and xdg-desktop-portal"
            );
        }
        // The names of sockets in it must be short.
        let directory = tempfile::Builder::new().prefix("lm").tempdir_in("/tmp").unwrap();
        let id = format!("{test}-{}", std::process::id());
        let server = MediaServer::start(&id, directory.path()).unwrap();
        let portals = directory.path().join("portals");
        fs::create_dir(&portals).unwrap();
        let input = match frontend {
            Frontend::ScreenAlone => "",
            Frontend::Real | Frontend::Remembering => ";org.freedesktop.impl.portal.RemoteDesktop",
        };
        let text = format!(
            "[portal]\nDBusName={NAME}\nUseIn=lumentest\n\
             Interfaces=org.freedesktop.impl.portal.ScreenCast{input}\n"
        );
        fs::write(portals.join("lumentest.portal"), text).unwrap();
        fs::write(portals.join("lumentest-portals.conf"), "[preferred]\ndefault=lumentest\n").unwrap();

        let mut programs = Vec::new();
        let bus = directory.path().join("bus");
        let address = format!("--address=unix:path={}", bus.display());
        programs.push(spawn(&id, directory.path(), "dbus-daemon", &["--session", "--nofork", "--nopidfile", &address]));
        wait_for("the bus", || bus.exists());
        let mut arguments = vec!["--headless", "--wayland", "--no-x11", "--wayland-display", "wayland-0"];
        let monitors: Vec<_> = monitors.iter().map(|(width, height)| format!("{width}x{height}@60")).collect();
        arguments.extend(monitors.iter().flat_map(|monitor| ["--virtual-monitor", monitor]));
        programs.push(spawn(&id, directory.path(), "mutter", &arguments));
        let backend = Backend::start(&address["--address=".len()..]);
        backend.wait_for("org.gnome.Mutter.RemoteDesktop");
        backend.wait_for("org.gnome.Mutter.ScreenCast");
        let remembering = match frontend {
            Frontend::Remembering => {
                Some(Remembering::start(&backend, &address["--address=".len()..], server.remote()))
            }
            Frontend::Real | Frontend::ScreenAlone => {
                programs.push(spawn(&id, directory.path(), PORTAL, &[]));
                None
            }
        };
        backend.wait_for("org.freedesktop.portal.Desktop");
        Self { remembering, backend, programs, server, directory, id }
    }

    /// What happens with the questions that come, in their order.
    pub fn answers(&self, answers: impl IntoIterator<Item = Answer>) {
        self.backend.answers(answers);
    }

    /// Questions so far.
    pub fn asked(&self) -> usize {
        self.backend.asked()
    }

    /// Questions that were taken back.
    pub fn taken_back(&self) -> usize {
        self.backend.taken_back()
    }

    /// The desktop's part of the portal.
    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    /// Where lumen keeps what it got for the permission of this client.
    pub fn token(&self, client: &str) -> PathBuf {
        self.directory.path().join("state/portal").join(client)
    }

    /// By what the last question was recognized, if it was.
    pub fn last_token(&self) -> Option<String> {
        self.remembering.as_ref().and_then(Remembering::last_token)
    }

    /// Ends all sharing, as the desktop's own button does.
    pub fn stop_sharing(&self) {
        self.backend.stop_sharing();
    }

    /// Starts a mirror for a client.
    pub fn start(&self, identity: &str, mode: Mode, patience: Duration) -> Result<Box<dyn Compositor>, DisplayError> {
        let bus = format!("unix:path={}", self.directory.path().join("bus").display());
        let mut environment = vec![("DBUS_SESSION_BUS_ADDRESS".to_owned(), bus)];
        environment.extend(self.server.environment());
        let spec = CompositorSpec {
            session: format!("{}-{identity}", self.id),
            mode,
            instance: Instance::Running,
            directory: self.directory.path().join("session"),
            identity: identity.to_owned(),
            command: Vec::new(),
            command_environment: Vec::new(),
            environment,
        };
        portal::start_within(&spec, patience, &self.directory.path().join("state"))
    }

    /// A terminal over the whole desktop that writes every byte it gets into the file that is returned, once it has
    /// sent `modes` to its terminal. It reports its focus.
    pub fn terminal(&mut self, modes: &str) -> PathBuf {
        self.terminal_as(&["--fullscreen"], modes)
    }

    /// The same over the monitor that the pointer is on.
    pub fn terminal_at_pointer(&mut self, modes: &str) -> PathBuf {
        self.terminal_as(&["--maximized", "-o", "csd.preferred=none"], modes)
    }

    fn terminal_as(&mut self, window: &[&str], modes: &str) -> PathBuf {
        let (file, script) = (self.directory.path().join("typed"), self.directory.path().join("terminal"));
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
        let mut arguments = vec!["--config=/dev/null", "-o", "pad=0x0"];
        arguments.extend(window);
        arguments.push(&script);
        self.programs.push(spawn(&self.id, self.directory.path(), "foot", &arguments));
        wait_for("the terminal", || file.exists());
        file
    }
}

fn spawn(id: &str, directory: &Path, program: &str, arguments: &[&str]) -> Process {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("XDG_RUNTIME_DIR", directory)
        .env("PIPEWIRE_RUNTIME_DIR", directory)
        .env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", directory.join("bus").display()))
        .env("XDG_CURRENT_DESKTOP", "lumentest")
        .env("XDG_DESKTOP_PORTAL_DIR", directory.join("portals"))
        .env("XDG_DATA_HOME", directory.join("data"))
        .env("XDG_CONFIG_HOME", directory.join("config"))
        .env("XDG_SESSION_TYPE", "wayland")
        .env("LIBGL_ALWAYS_SOFTWARE", "1")
        .env("GIO_USE_VFS", "local")
        .env("WAYLAND_DISPLAY", "wayland-0")
        .env("LANG", "C.UTF-8")
        .env_remove("DISPLAY");
    if program == "mutter" {
        command.env_remove("WAYLAND_DISPLAY");
    }
    if program == "foot" {
        command.stderr(Stdio::null());
    }
    Process::spawn(command, id).unwrap()
}

/// Waits until something is so.
pub fn wait_for(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(20));
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
