//! A compositor as lumen starts it, with a PipeWire and programs of its own, and what the tests look at them with.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use lumen_core::gamestream::input::{
    AbsolutePosition, InputEvent, KeyEvent, Modifiers, PressState, ReferenceExtent, Text, VirtualKey,
};
use lumen_host::capture::{Capture, Captured};
use lumen_host::config::Instance;
use lumen_host::display::DisplayError;
use lumen_host::display::compositor::{Compositor, CompositorSpec};
use lumen_host::display::process::{Process, find_program, of_session};
use lumen_host::frame::{CpuImage, Frame, Mode};
use lumen_host::input::InputSink;
use lumen_host::mediaserver::MediaServer;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Bounds every wait. gamescope may take minutes to a picture where processors emulate processors that stand for a GPU.
pub const PATIENCE: Duration = Duration::from_secs(1200);

/// Colour of a terminal's background, blue first.
pub const BACKGROUND: [u8; 3] = [0x80, 0x40, 0x20];

/// What no US keyboard writes.
pub const EUROPE: &str = "Größe, Zażółć, € „Ёж“";

/// Turns a terminal's reports of the pointer on, in pixels.
pub const POINTER_REPORTS: &str = "\\033[?1003h\\033[?1006h\\033[?1016h";

type Start = fn(&CompositorSpec) -> Result<Box<dyn Compositor>, DisplayError>;

/// A session's directory and what runs in it. Fields are dropped in order.
pub struct Bed {
    programs: Vec<Process>,
    pub compositor: Box<dyn Compositor>,
    pub spec: CompositorSpec,
    _server: MediaServer,
    directory: TempDir,
}

impl Bed {
    /// A compositor of its own.
    pub fn own(start: Start, mode: Mode) -> Self {
        Self::with_command(start, mode, |_| Vec::new())
    }

    /// A compositor of its own that runs a command, which may name files in the directory of the session.
    pub fn with_command(start: Start, mode: Mode, command: impl FnOnce(&TempDir) -> Vec<String>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        for program in ["pipewire", "wireplumber", "foot", "xterm"] {
            assert!(find_program(program).is_some(), "{program} is missing: run this by vm-tests/desktops");
        }
        // The names of sockets in it must be short.
        let directory = tempfile::Builder::new().prefix("ld").tempdir_in("/tmp").expect("a directory");
        let session = format!("desk-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let server = MediaServer::start(&session, directory.path()).unwrap_or_else(|error| panic!("{error}"));
        let mut environment = vec![("XDG_RUNTIME_DIR".to_owned(), directory.path().display().to_string())];
        environment.extend(server.environment());
        let spec = CompositorSpec {
            identity: format!("client of {session}"),
            session,
            mode,
            instance: Instance::Own,
            directory: directory.path().to_owned(),
            command: command(&directory),
            command_environment: Vec::new(),
            environment,
        };
        let begin = Instant::now();
        let compositor = start(&spec).unwrap_or_else(|error| panic!("{error}"));
        println!("{} is up at {mode:?} after {:.0?}", compositor.name(), begin.elapsed());
        Self { programs: Vec::new(), compositor, spec, _server: server, directory }
    }

    /// A further output of this compositor, as a session beside this one has it.
    pub fn further(&self, start: Start, identity: &str, mode: Mode) -> Box<dyn Compositor> {
        let mut spec = self.spec.clone();
        spec.session = format!("{}-{identity}", spec.session);
        spec.identity = identity.to_owned();
        spec.mode = mode;
        spec.instance = Instance::Running;
        spec.environment.push(("WAYLAND_DISPLAY".to_owned(), self.socket().display().to_string()));
        start(&spec).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The compositor's Wayland socket.
    pub fn socket(&self) -> PathBuf {
        let name = self.compositor.environment().into_iter().find(|(name, _)| name == "WAYLAND_DISPLAY");
        self.directory.path().join(name.expect("a socket").1)
    }

    /// Starts a program on it.
    pub fn run(&mut self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_remove("DISPLAY")
            .env("HOME", self.directory.path())
            .envs(self.spec.environment.iter().map(|(name, value)| (name, value)))
            .envs(self.compositor.environment());
        self.programs.push(Process::spawn(command, &self.spec.session).expect("it starts"));
    }

    /// A terminal of Wayland over the whole picture that writes every byte it gets into the file that is returned, once
    /// it has sent `modes` to its terminal.
    pub fn terminal(&mut self, modes: &str) -> PathBuf {
        let (script, file) = recorder(self.directory.path(), "typed", modes);
        let command = foot(BACKGROUND, &script);
        let arguments: Vec<&str> = command[1..].iter().map(String::as_str).collect();
        self.run(&command[0], &arguments);
        file
    }

    /// A file of this session.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The process of this session whose name is `name`.
    pub fn process(&self, name: &str) -> Pid {
        let named = |pid: &Pid| {
            fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero())).is_ok_and(|comm| comm.trim() == name)
        };
        of_session(&self.spec.session).into_iter().find(named).unwrap_or_else(|| panic!("no process named {name}"))
    }

    /// Kills the compositor, and sees that this is noticed, has its reason, and leaves nothing.
    pub fn ends_when_killed(mut self, name: &str, reason: &str) {
        let mut capture = self.compositor.capture().expect("it is there");
        let mut input = self.compositor.input().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(self.compositor.gone(), None);
        kill_process(self.process(name), Signal::KILL).expect("ours");
        let mut said = None;
        wait_for("notice", || {
            said = self.compositor.gone();
            said.is_some()
        });
        let said = said.expect("noticed");
        assert!(said.contains(reason), "{said}");
        println!("the session ends: {said}");
        wait_for("the end of the pictures", || capture.next(Instant::now()).is_err());
        // Nobody minds.
        press(&mut *input, 0x41, false);
        drop((capture, input));
        self.ends();
    }

    /// Ends it all, and sees that nothing is left.
    pub fn ends(self) {
        let (session, directory) = (self.spec.session.clone(), self.directory.path().to_owned());
        drop(self);
        // A child of a child that has ended may not have been waited for yet.
        wait_for("all processes to end", || of_session(&session).is_empty());
        assert!(!directory.exists());
    }
}

/// A terminal of Wayland over the whole picture that runs `script`, in a colour: blue, green, red.
pub fn foot([blue, green, red]: [u8; 3], script: &str) -> Vec<String> {
    let background = format!("colors-dark.background={red:02x}{green:02x}{blue:02x}");
    ["foot", "--config=/dev/null", "--fullscreen", "-o", &background, "-o", "pad=0x0", script]
        .map(str::to_owned)
        .to_vec()
}

/// A terminal of X11 over the whole picture that runs `script`, in a colour: blue, green, red.
pub fn xterm([blue, green, red]: [u8; 3], script: &str) -> Vec<String> {
    let colour = format!("#{red:02x}{green:02x}{blue:02x}");
    let words = ["-fa", "DejaVu Sans Mono", "-bg", &colour, "-bd", &colour, "-b", "0", "-bw", "0", "+sb"];
    ["xterm"].iter().chain(&words).chain(&["-fullscreen", "-e", script]).map(|word| (*word).to_owned()).collect()
}

/// A script that writes all it is sent into the file `name`, and that file.
pub fn recorder(directory: &Path, name: &str, modes: &str) -> (String, PathBuf) {
    let (file, script) = (directory.join(name), directory.join(format!("{name}.sh")));
    let text = format!("#!/bin/sh\nprintf '\\033[?25l{modes}'\nstty raw -echo\nexec cat > '{}'\n", file.display());
    fs::write(&script, text).expect("written");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).expect("ours");
    (script.display().to_string(), file)
}

/// What a terminal was sent so far.
pub fn read(file: &PathBuf) -> String {
    let bytes = fs::read(file).unwrap_or_default();
    // The rest of the last character may be on its way.
    let whole = bytes.utf8_chunks().last().filter(|last| last.invalid().len() < 4 && bytes.ends_with(last.invalid()));
    let rest = whole.map_or(0, |last| last.invalid().len());
    String::from_utf8_lossy(&bytes[..bytes.len() - rest]).into_owned()
}

/// Waits until something is so.
pub fn wait_for(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until `file` ends with `wanted`, after what it had before.
pub fn arrives(file: &PathBuf, before: &str, wanted: &str) {
    wait_for(&format!("{wanted:?} in the terminal"), || {
        let typed = read(file);
        let new = typed.strip_prefix(before).unwrap_or_else(|| panic!("{typed:?} does not begin with {before:?}"));
        assert!(wanted.starts_with(new), "{new:?} arrived instead of {wanted:?}");
        new == wanted
    });
}

/// Waits until a terminal takes keys and has written all of them; says what it was sent until then.
pub fn takes_keys(input: &mut dyn InputSink, file: &PathBuf) -> String {
    // Nobody says when it has the keyboard, and what is typed before is lost.
    wait_for("the terminal to take keys", || {
        press(input, b'X', false);
        std::thread::sleep(Duration::from_millis(500));
        !read(file).is_empty()
    });
    press(input, b'Z', false);
    wait_for("the last of these keys", || read(file).ends_with('z'));
    read(file)
}

/// Types into a terminal that writes what it is sent into `file`: keys, then text, then what a client held when it went
/// must not change what the next one types. Gives the next one's input.
pub fn keys_and_text_arrive(bed: &mut Bed, mut input: Box<dyn InputSink>, file: &PathBuf) -> Box<dyn InputSink> {
    let before = takes_keys(&mut *input, file);
    for (key, shift) in [(b'H', true), (b'E', false), (b'Y', false), (0x31, true), (0x0D, false)] {
        press(&mut *input, key, shift);
    }
    write(&mut *input, "Fox & {Dog} ~ 99%\n");
    arrives(file, &before, "Hey!\rFox & {Dog} ~ 99%\r");

    // Characters that a US keyboard has no key for.
    let before = read(file);
    write(&mut *input, EUROPE);
    arrives(file, &before, EUROPE);

    // What a client held when it went does not change what the next one types.
    let before = read(file);
    hold(&mut *input, PressState::Down, 0xA0);
    hold(&mut *input, PressState::Down, 0xA2);
    drop(input);
    let mut input = bed.compositor.input().unwrap_or_else(|error| panic!("{error}"));
    press(&mut *input, b'C', false);
    arrives(file, &before, "c");
    input
}

/// Takes pictures until one is as wanted.
pub fn next_where(capture: &mut dyn Capture, what: &str, wanted: impl Fn(&CpuImage) -> bool) -> Frame {
    let deadline = Instant::now() + PATIENCE;
    let mut seen = None;
    loop {
        assert!(Instant::now() < deadline, "no picture showed {what}; the last (serial, width, middle) was {seen:?}");
        match capture.next(deadline) {
            Ok(Captured::Frame(frame)) if wanted(&frame.image) => return frame,
            Ok(Captured::Frame(frame)) => {
                let middle = frame.image.data.len() / 2;
                seen = Some((frame.serial, frame.image.width, frame.image.data[middle..middle + 4].to_vec()));
            }
            Ok(Captured::Still) => {}
            Err(error) => panic!("{error}, before a picture showed {what}"),
        }
    }
}

/// Part of a picture that has the terminal's background, give or take `tolerance` in each colour.
pub fn background(image: &CpuImage, tolerance: u8) -> f64 {
    let near = |pixel: &&[u8]| pixel.iter().zip(BACKGROUND).all(|(a, b)| a.abs_diff(b) <= tolerance);
    let pixels = image.data.chunks_exact(4).map(|pixel| &pixel[..3]);
    pixels.filter(near).count() as f64 / f64::from(image.width * image.height)
}

/// Presses and releases a key, with shift or without.
pub fn press(input: &mut dyn InputSink, key: u8, shift: bool) {
    if shift {
        hold(input, PressState::Down, 0xA0);
    }
    hold(input, PressState::Down, key);
    hold(input, PressState::Up, key);
    if shift {
        hold(input, PressState::Up, 0xA0);
    }
}

/// Presses or releases a key.
pub fn hold(input: &mut dyn InputSink, state: PressState, key: u8) {
    input.handle(&InputEvent::Key(KeyEvent::new(state, VirtualKey(key), Modifiers::EMPTY)));
}

/// Types `text` as text, word by word: a message takes 32 bytes.
pub fn write(input: &mut dyn InputSink, text: &str) {
    for word in text.split_inclusive(' ') {
        input.handle(&InputEvent::Text(Text::try_from(word.to_owned()).expect("short")));
    }
}

/// Points at a pixel of a picture of `mode`.
pub fn point(input: &mut dyn InputSink, mode: Mode, (x, y): (i16, i16)) {
    let extent = |extent: u32| {
        let last = i16::try_from(extent - 1).expect("small");
        ReferenceExtent::try_from(last).expect("positive")
    };
    input.handle(&InputEvent::MouseAbsolute(AbsolutePosition {
        x,
        y,
        reference_width: extent(mode.width),
        reference_height: extent(mode.height),
    }));
}

/// Follows a path, turns the wheel and clicks, and waits for each in the reports of a terminal over the whole picture.
pub fn pointer_arrives(input: &mut dyn InputSink, mode: Mode, file: &PathBuf) {
    use lumen_core::gamestream::input::{MouseButton, MouseButtonEvent, RelativeMotion, Scroll, ScrollAxis};
    // A pointer that enters a window is not one that moves in it: it moves until the terminal sees that.
    let mut at = 200;
    wait_for("the first report of the pointer", || {
        at += 1;
        point(input, mode, (at, at));
        read(file).ends_with('M')
    });
    let wait_for_report = |report: &str| {
        wait_for(&format!("the report {}", report.escape_debug()), || read(file).contains(report));
    };
    // Reports count from 1.
    let moved = |x: i16, y: i16| format!("\x1b[<35;{};{}M", x + 1, y + 1);
    for (x, y) in [(100, 50), (640, 360), (1200, 600), (3, 650)] {
        point(input, mode, (x, y));
        wait_for_report(&moved(x, y));
    }
    input.handle(&InputEvent::MouseRelative(RelativeMotion { dx: 40, dy: -30 }));
    wait_for_report(&moved(43, 620));
    for (amount, button) in [(120, 64), (-120, 65)] {
        input.handle(&InputEvent::Scroll(Scroll { axis: ScrollAxis::Vertical, amount }));
        wait_for_report(&format!("\x1b[<{button};44;621M"));
    }
    for (button, number) in [(MouseButton::Left, 0), (MouseButton::Right, 2)] {
        for (state, end) in [(PressState::Down, 'M'), (PressState::Up, 'm')] {
            input.handle(&InputEvent::MouseButton(MouseButtonEvent { state, button }));
            wait_for_report(&format!("\x1b[<{number};44;621{end}"));
        }
    }
}
