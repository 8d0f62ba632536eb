//! A sway as lumen starts it, with programs on it, and what the tests look at them with.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use lumen_host::capture::{Capture, Captured};
use lumen_host::config::Instance;
use lumen_host::display::compositor::{Compositor, CompositorSpec};
use lumen_host::display::process::{Process, find_program};
use lumen_host::display::wlroots;
use lumen_host::frame::{CpuImage, Frame, Mode};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

/// Bounds every wait. Nothing takes nearly as long on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// How long nothing may change on a screen that is called still.
const STILL: Duration = Duration::from_millis(400);

/// Waits until `look` finds something.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "{what}: it did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Makes root `nobody`, for good.
pub fn become_ordinary() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if Uid::effective().is_root() {
            let (user, group) = (Uid::from_raw(65_534), Gid::from_raw(65_534));
            setgroups(&[]).expect("root may");
            setresgid(group, group, group).expect("root may");
            setresuid(user, user, user).expect("root may");
        }
    });
}

/// Fails clearly without a program.
pub fn need(program: &str) {
    assert!(find_program(program).is_some(), "{program} is not installed: `scripts/test host` installs it");
}

/// A session's directory and what runs in it.
pub struct Bed {
    // Dropped in this order.
    pub compositor: Box<dyn Compositor>,
    pub spec: CompositorSpec,
    _directory: tempfile::TempDir,
}

/// A specification, with the directory that it names.
pub fn spec(mode: Mode, instance: Instance) -> (CompositorSpec, tempfile::TempDir) {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    become_ordinary();
    for program in ["sway", "swaymsg", "grim", "foot"] {
        need(program);
    }
    let directory = tempfile::Builder::new().prefix("lw").tempdir().expect("a directory");
    let session = format!("test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let spec = CompositorSpec {
        identity: format!("client of {session}"),
        session,
        mode,
        instance,
        directory: directory.path().to_owned(),
        command: Vec::new(),
        command_environment: Vec::new(),
        environment: vec![("XDG_RUNTIME_DIR".to_owned(), directory.path().display().to_string())],
    };
    (spec, directory)
}

impl Bed {
    /// A sway of its own at `mode`.
    pub fn own(mode: Mode) -> Self {
        let (spec, directory) = spec(mode, Instance::Own);
        Self::of(spec, directory)
    }

    /// A sway of its own in a session with these variables.
    pub fn with(mode: Mode, variables: &[(&str, &str)]) -> Self {
        let (mut spec, directory) = spec(mode, Instance::Own);
        spec.environment.extend(variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())));
        Self::of(spec, directory)
    }

    /// Another output of the sway of `host`.
    pub fn beside(host: &Self, mode: Mode) -> Self {
        let (mut spec, directory) = spec(mode, Instance::Running);
        spec.environment.extend(host.compositor.environment());
        Self::of(spec, directory)
    }

    fn of(spec: CompositorSpec, directory: tempfile::TempDir) -> Self {
        let compositor = wlroots::start(&spec).unwrap_or_else(|error| panic!("{error}"));
        Self { compositor, spec, _directory: directory }
    }

    /// A file of this session.
    pub fn path(&self, name: &str) -> PathBuf {
        self.spec.directory.join(name)
    }

    /// A command with the session's variables.
    pub fn command(&self, program: &str, arguments: &[&str]) -> Command {
        need(program);
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(&self.spec.directory)
            .env("HOME", &self.spec.directory)
            .env("LC_ALL", "C.UTF-8")
            .envs(self.spec.environment.iter().map(|(name, value)| (name, value)))
            .envs(self.compositor.environment())
            .stderr(Stdio::null());
        command
    }

    /// Starts a program on this output.
    pub fn spawn(&self, program: &str, arguments: &[&str]) -> Process {
        Process::spawn(self.command(program, arguments), &self.spec.session).expect("it starts")
    }

    /// What a program prints.
    pub fn output(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.command(program, arguments).output().expect("it starts");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Starts a terminal that runs a shell script, and waits until its window is there.
    pub fn terminal(&self, script: &str) -> Process {
        let before = self.windows();
        let foot = self.spawn("foot", &["-o", "cursor.blink=no", "sh", "-c", script]);
        eventually("a terminal appears", || (self.windows() > before).then_some(()));
        foot
    }

    /// Names of the outputs that show something.
    pub fn active_outputs(&self) -> Vec<String> {
        let stream = UnixStream::connect(self.path("sway.sock")).expect("sway listens");
        let outputs = swayipc::Connection::from(stream).get_outputs().expect("sway answers");
        outputs.into_iter().filter(|output| output.active).map(|output| output.name).collect()
    }

    fn windows(&self) -> usize {
        self.output("swaymsg", &["-t", "get_tree"]).matches("\"app_id\": \"foot\"").count()
    }

    /// A source of pictures.
    pub fn capture(&mut self) -> Box<dyn Capture> {
        self.compositor.capture().unwrap_or_else(|error| panic!("{error}"))
    }

    /// The screen of `output` as `grim` sees it: red, green, blue.
    pub fn screenshot(&self, output: &str) -> (u32, u32, Vec<u8>) {
        let file = self.path("shot.ppm");
        let status = self.command("grim", &["-c", "-t", "ppm", "-o", output]).arg(&file).status().expect("grim starts");
        assert!(status.success(), "grim: {status}");
        read_ppm(&file)
    }
}

/// The next picture, which must come.
pub fn next_frame(capture: &mut dyn Capture) -> Frame {
    match capture.next(Instant::now() + PATIENCE) {
        Ok(Captured::Frame(frame)) => frame,
        Ok(Captured::Still) => panic!("no picture came"),
        Err(error) => panic!("{error}"),
    }
}

/// The last picture once nothing moves any more.
pub fn last_frame(capture: &mut dyn Capture) -> Option<Frame> {
    let mut last = None;
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        match capture.next(Instant::now() + STILL) {
            Ok(Captured::Frame(frame)) => last = Some(frame),
            Ok(Captured::Still) => return last,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the screen never was still");
}

/// Peak signal to noise ratio of a picture against a screenshot, in dB.
pub fn psnr(image: &CpuImage, (width, height, shot): &(u32, u32, Vec<u8>)) -> f64 {
    assert_eq!((image.width, image.height), (*width, *height));
    let mut error = 0.0;
    for (line, shown) in image.data.chunks(image.stride).zip(shot.chunks(*width as usize * 3)) {
        for (pixel, shown) in line.chunks(4).zip(shown.chunks(3)) {
            for (a, b) in pixel[..3].iter().rev().zip(shown) {
                error += (f64::from(*a) - f64::from(*b)).powi(2);
            }
        }
    }
    let mean = error / (f64::from(*width) * f64::from(*height) * 3.0);
    if mean == 0.0 { f64::INFINITY } else { 10.0 * (255.0 * 255.0 / mean).log10() }
}

/// The same of two pictures of red, green and blue, in brightness alone; `None` if they differ in size.
pub fn luma_psnr(picture: &[u8], (width, height, shot): &(u32, u32, Vec<u8>)) -> Option<f64> {
    (picture.len() == shot.len()).then_some(())?;
    let luma =
        |pixel: &[u8]| 0.2126 * f64::from(pixel[0]) + 0.7152 * f64::from(pixel[1]) + 0.0722 * f64::from(pixel[2]);
    let error: f64 = picture.chunks(3).zip(shot.chunks(3)).map(|(a, b)| (luma(a) - luma(b)).powi(2)).sum();
    let mean = error / (f64::from(*width) * f64::from(*height));
    Some(if mean == 0.0 { f64::INFINITY } else { 10.0 * (255.0 * 255.0 / mean).log10() })
}

/// How many colours a picture has, up to 64.
pub fn colours(image: &CpuImage) -> usize {
    let mut seen = std::collections::BTreeSet::new();
    for line in image.data.chunks(image.stride) {
        for pixel in line[..image.width as usize * 4].chunks(4) {
            seen.insert([pixel[0], pixel[1], pixel[2]]);
            if seen.len() >= 64 {
                return 64;
            }
        }
    }
    seen.len()
}

/// A picture as `grim -t ppm` writes it.
pub fn read_ppm(file: &Path) -> (u32, u32, Vec<u8>) {
    let bytes = fs::read(file).expect("a screenshot");
    let mut begin = 0;
    let mut fields = Vec::new();
    while fields.len() < 4 {
        let length = bytes[begin..].iter().position(u8::is_ascii_whitespace).expect("a header");
        fields.push(String::from_utf8_lossy(&bytes[begin..begin + length]).into_owned());
        begin += length + 1;
    }
    assert_eq!(fields[0], "P6");
    (fields[1].parse().expect("a width"), fields[2].parse().expect("a height"), bytes[begin..].to_vec())
}
