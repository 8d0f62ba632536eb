//! Applications as processes: how they start, how they end, and what is left of them. The compositor here is none:
//! these tests are not about pictures.
#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lumen_core::gamestream::control::HostMessage;
use lumen_core::gamestream::input::InputEvent;
use lumen_host::capture::Capture;
use lumen_host::config::{DisplayKind, Instance, OnExit};
use lumen_host::display::compositor::Compositor;
use lumen_host::display::desktop::Desktop;
use lumen_host::display::steps::Steps;
use lumen_host::display::{DisplayError, DisplayState, VirtualDisplay, process};
use lumen_host::encode::EncoderPreference;
use lumen_host::frame::Mode;
use lumen_host::input::InputSink;
use lumen_host::link::{AppSpec, SessionId, SessionSpec};

/// Bounds every wait.
const PATIENCE: Duration = Duration::from_secs(40);

/// A compositor that shows nothing.
struct Nothing {
    mode: Mode,
    gone: Arc<AtomicBool>,
}

impl Compositor for Nothing {
    fn name(&self) -> &'static str {
        "nothing"
    }

    fn mode(&self) -> Mode {
        self.mode
    }

    fn environment(&self) -> Vec<(String, String)> {
        vec![("WAYLAND_DISPLAY".to_owned(), "wayland-of-this-session".to_owned())]
    }

    fn set_mode(&mut self, mode: Mode) -> Result<(), DisplayError> {
        self.mode = mode;
        Ok(())
    }

    fn capture(&mut self) -> Result<Box<dyn Capture>, DisplayError> {
        Err(DisplayError::Unavailable { backend: "nothing", reason: "there is nothing to see".to_owned() })
    }

    fn input(&mut self) -> Result<Box<dyn InputSink>, DisplayError> {
        Ok(Box::new(NoInput))
    }

    fn gone(&mut self) -> Option<String> {
        self.gone.load(Ordering::Relaxed).then(|| "it was told to".to_owned())
    }
}

impl Drop for Nothing {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Relaxed);
    }
}

struct NoInput;

impl InputSink for NoInput {
    fn handle(&mut self, _event: &InputEvent) {}

    fn release_all(&mut self) {}

    fn poll_feedback(&mut self) -> Option<HostMessage> {
        None
    }
}

/// A session with an application that is a shell script, in a directory of its own.
struct Trial {
    directory: tempfile::TempDir,
    spec: SessionSpec,
    compositor_gone: Arc<AtomicBool>,
}

impl Trial {
    fn new(script: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let id = SessionId(u64::from(std::process::id()) * 1000 + number);
        let directory = tempfile::tempdir().expect("a directory");
        let app = AppSpec {
            id: 1,
            title: "a script".to_owned(),
            display: DisplayKind::Wlroots,
            instance: Instance::Own,
            command: shell(script),
            environment: BTreeMap::from([("OWN".to_owned(), "value".to_owned())]),
            directory: Some(directory.path().to_owned()),
            before: Vec::new(),
            after: Vec::new(),
            on_exit: OnExit::End,
        };
        let spec = SessionSpec {
            id,
            owner: [7; 32],
            owner_name: "sofa".to_owned(),
            app,
            mode: Mode::new(1366, 768, 50),
            keep_alive: Duration::ZERO,
            directory: directory.path().join("session"),
            reunion: directory.path().join("reunion"),
            encoder: EncoderPreference::default(),
        };
        Self { directory, spec, compositor_gone: Arc::default() }
    }

    fn open(&self) -> Result<Running, DisplayError> {
        let steps = Steps::begin(&self.spec)?;
        let compositor = Nothing { mode: self.spec.mode, gone: Arc::clone(&self.compositor_gone) };
        Ok(Running { desktop: Desktop::with_compositor(&self.spec, Vec::new(), Box::new(compositor))?, _steps: steps })
    }

    fn started(&self) -> Running {
        self.open().unwrap_or_else(|error| panic!("{error}"))
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    /// What the script wrote, once it did. It writes the file whole by moving it there.
    fn said(&self, name: &str) -> String {
        eventually(&format!("{name} is written"), || fs::read_to_string(self.path(name)).ok())
    }

    fn processes(&self) -> usize {
        process::of_session(&self.spec.id.to_string()).len()
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        process::sweep(&self.spec.id.to_string());
    }
}

/// What a worker holds of a session, in its order.
struct Running {
    desktop: Desktop,
    _steps: Steps,
}

impl Running {
    fn poll(&mut self) -> DisplayState {
        self.desktop.poll()
    }
}

fn shell(script: &str) -> Vec<String> {
    ["sh", "-c", script].map(str::to_owned).to_vec()
}

fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "{what}: it did not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn ends(desktop: &mut Running) {
    eventually("the session ends", || (desktop.poll() == DisplayState::ApplicationEnded).then_some(()));
}

/// Whether a process lives: one that has ended but was not waited for does not.
fn lives(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with(['Z', 'X']))
}

#[test]
fn an_application_that_ends_takes_its_session_with_it() {
    let trial = Trial::new("exit 3");
    ends(&mut trial.started());
}

#[test]
fn by_policy_the_session_stays_when_its_application_ends() {
    let mut trial = Trial::new("echo >done.new; mv done.new done");
    trial.spec.app.on_exit = OnExit::Stay;
    let mut desktop = trial.started();
    trial.said("done");
    eventually("nothing of it is left", || (trial.processes() == 0).then_some(()));
    for _ in 0..100 {
        assert_eq!(desktop.poll(), DisplayState::Running);
        std::thread::sleep(Duration::from_millis(5));
    }
    trial.compositor_gone.store(true, Ordering::Relaxed);
    assert_eq!(desktop.poll(), DisplayState::Gone("it was told to".to_owned()));
}

#[test]
fn an_application_is_told_its_display_and_its_session() {
    let trial = Trial::new("env >seen.new; pwd >>seen.new; mv seen.new seen; exec sleep 600");
    let _desktop = trial.started();
    let seen = trial.said("seen");
    let session = format!("LUMEN_SESSION={}", trial.spec.id);
    let expected = [
        "WAYLAND_DISPLAY=wayland-of-this-session",
        "OWN=value",
        "LUMEN_CLIENT_NAME=sofa",
        "LUMEN_APP=a script",
        "LUMEN_WIDTH=1366",
        "LUMEN_HEIGHT=768",
        "LUMEN_FPS=50",
        &session,
        trial.directory.path().to_str().expect("text"),
    ];
    for line in expected {
        assert!(seen.lines().any(|seen| seen == line), "{line} is missing in\n{seen}");
    }
    assert!(!seen.lines().any(|line| line.starts_with("DISPLAY=")), "{seen}");
}

#[test]
fn a_launcher_that_starts_the_program_and_ends_is_still_the_application() {
    let trial = Trial::new("(while [ ! -e stop ]; do sleep 0.02; done) & echo $! >child.new; mv child.new child");
    let mut desktop = trial.started();
    let child = trial.said("child");
    for _ in 0..100 {
        assert_eq!(desktop.poll(), DisplayState::Running);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(lives(&child));
    fs::write(trial.path("stop"), "").expect("written");
    ends(&mut desktop);
}

#[test]
fn an_application_that_ignores_sigterm_is_killed() {
    let trial = Trial::new("trap '' TERM; echo $$ >pid.new; mv pid.new pid; while :; do sleep 0.05; done");
    let desktop = trial.started();
    let pid = trial.said("pid");
    drop(desktop);
    assert!(!lives(&pid));
    assert_eq!(trial.processes(), 0);
}

#[test]
fn an_application_has_time_to_end_in_order() {
    let trial = Trial::new(
        "trap 'sleep 0.1; echo >saved; exit' TERM; echo >ready.new; mv ready.new ready; while :; do sleep 0.01; done",
    );
    let desktop = trial.started();
    trial.said("ready");
    drop(desktop);
    assert!(trial.path("saved").exists());
}

#[test]
fn what_detached_itself_ends_with_the_session() {
    let trial = Trial::new("setsid sh -c 'echo $$ >pid.new; mv pid.new pid; exec sleep 600' & exec sleep 600");
    let desktop = trial.started();
    let pid = trial.said("pid");
    assert!(lives(&pid));
    drop(desktop);
    eventually("it ends", || (!lives(&pid)).then_some(()));
    assert_eq!(trial.processes(), 0);
}

#[test]
fn what_detached_itself_does_not_keep_the_session() {
    let trial = Trial::new(
        "setsid sh -c 'echo $$ >pid.new; mv pid.new pid; exec sleep 600' & while [ ! -e pid ]; do sleep 0.01; done",
    );
    let mut desktop = trial.started();
    ends(&mut desktop);
    let pid = trial.said("pid");
    drop(desktop);
    eventually("it ends", || (!lives(&pid)).then_some(()));
}

#[test]
fn a_program_that_is_not_there_is_named_and_nothing_is_left() {
    let mut trial = Trial::new("");
    trial.spec.app.command = vec!["no-such-program-anywhere".to_owned(), "--now".to_owned()];
    trial.spec.app.after = vec![shell("echo >after")];
    let error = trial.open().err().expect("it cannot start").to_string();
    assert!(error.contains("no-such-program-anywhere --now") && error.contains("no such program"), "{error}");
    assert!(trial.compositor_gone.load(Ordering::Relaxed), "the compositor stays behind");
    assert!(trial.path("after").exists(), "what was prepared was not put back");
    trial.spec.app.command = shell("exit");
    trial.spec.app.directory = Some("/no/such/directory".into());
    trial.spec.app.after.clear();
    let error = trial.open().err().expect("it cannot start").to_string();
    assert!(error.contains("/no/such/directory"), "{error}");
}

#[test]
fn a_relative_path_starts_where_the_program_does() {
    let mut trial = Trial::new("");
    fs::write(trial.path("run.sh"), "#!/bin/sh\necho $1 >ran.new; mv ran.new ran\n").expect("written");
    fs::set_permissions(trial.path("run.sh"), fs::Permissions::from_mode(0o755)).expect("ours");
    trial.spec.app.command = ["./run.sh", "here"].map(str::to_owned).to_vec();
    ends(&mut trial.started());
    assert_eq!(trial.said("ran").trim(), "here");
}

#[test]
fn steps_run_before_and_after_in_order_and_know_the_session() {
    let mut trial = Trial::new("cat order >at-start.new; mv at-start.new at-start; exec sleep 600");
    let step = |text: &str| shell(&format!("echo \"{text} $LUMEN_CLIENT_NAME $LUMEN_WIDTH $OWN\" >>order"));
    trial.spec.app.before = vec![step("first"), step("second")];
    trial.spec.app.after = vec![shell("exit 1"), step("third"), step("fourth")];
    let desktop = trial.started();
    let before = "first sofa 1366 value\nsecond sofa 1366 value\n";
    assert_eq!(trial.said("at-start"), before);
    assert_eq!(trial.said("order"), before);
    drop(desktop);
    assert_eq!(trial.said("order"), format!("{before}third sofa 1366 value\nfourth sofa 1366 value\n"));
}

#[test]
fn steps_after_the_session_find_nothing_of_it_running() {
    let mut trial = Trial::new("echo $$ >pid.new; mv pid.new pid; exec sleep 600");
    trial.spec.app.after = vec![shell("kill -0 $(cat pid) 2>/dev/null && echo lives >state || echo ended >state")];
    let desktop = trial.started();
    trial.said("pid");
    drop(desktop);
    assert_eq!(trial.said("state").trim(), "ended");
    assert!(trial.compositor_gone.load(Ordering::Relaxed));
}

#[test]
fn a_failing_step_is_named_and_stops_the_start() {
    let mut trial = Trial::new("echo >started");
    trial.spec.app.before = vec![shell("echo >prepared"), shell("exit 9"), shell("echo >too-late")];
    trial.spec.app.after = vec![shell("rm prepared")];
    let error = trial.open().err().expect("a step fails").to_string();
    assert!(error.contains("the step `sh -c exit 9`") && error.contains('9'), "{error}");
    let exists = |name: &str| Path::new(&trial.path(name)).exists();
    assert_eq!([exists("started"), exists("too-late"), exists("prepared")], [false; 3]);
    assert_eq!(trial.processes(), 0);
}

#[test]
fn two_sessions_of_one_application_are_two_applications() {
    let trials = [(); 2].map(|()| Trial::new("echo $$ >pid.new; mv pid.new pid; exec sleep 600"));
    let [first, second] = trials.each_ref().map(Trial::started);
    let [left, right] = trials.each_ref().map(|trial| trial.said("pid"));
    assert_ne!(left, right);
    drop(first);
    assert_eq!((lives(&left), lives(&right)), (false, true));
    drop(second);
    assert!(!lives(&right));
}
