//! A headless sway of the session's own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::display::DisplayError;
use crate::display::compositor::{CompositorSpec, START_PATIENCE, has_render_node};
use crate::display::process::{Process, find_program};

use super::{NAME, Place, failed};

/// The name that wlroots gives to the first output without a screen.
pub const OUTPUT: &str = "HEADLESS-1";

/// How often a sway that comes up is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// How long it may take to end in order.
const END_PATIENCE: Duration = Duration::from_secs(2);
/// Lines of sway's log that an error repeats.
const LOG_LINES: usize = 8;
/// How long it may take to say its version.
const VERSION_PATIENCE: Duration = Duration::from_secs(5);

/// See the module. Dropping it ends sway and all that it started.
#[derive(Debug)]
pub struct OwnSway {
    process: Process,
    log: PathBuf,
    x11: Option<String>,
}

/// The sway that is installed.
///
/// # Errors
/// What is missing, and what mends it.
pub fn find() -> Result<String, String> {
    let program = find_program("sway")
        .ok_or("sway is not installed: install the package 'sway' (1.7 or newer); 1.10 or newer to run it as root")?;
    let version = version(&program).ok_or_else(|| format!("{} does not say its version", program.display()))?;
    if refuses_root(&version) && rustix::process::geteuid().is_root() {
        return Err(format!(
            "sway {version} refuses to run as root: run lumen as a user, or install sway 1.10 or newer"
        ));
    }
    Ok(format!("sway {version}"))
}

impl OwnSway {
    /// Starts it and waits until it can be talked to.
    ///
    /// # Errors
    /// If it is not installed, or ends, or is not there before `deadline`: with what it logged.
    pub fn start(spec: &CompositorSpec, deadline: Instant) -> Result<(Place, Self), DisplayError> {
        find().map_err(|reason| DisplayError::Unavailable { backend: NAME, reason })?;
        let file = |name: &str| spec.directory.join(name);
        let (config, script, ready, log) =
            (file("sway.conf"), file("sway-ready.sh"), file("sway-ready"), file("sway.log"));
        let ipc = file("sway.sock");
        // A name that an earlier one left would be taken for that of another sway.
        for leftover in [&ready, &ipc] {
            let _ = fs::remove_file(leftover);
        }
        let write = |path: &Path, text: String| {
            fs::write(path, text).map_err(|error| failed(format!("cannot write {}: {error}", path.display())))
        };
        write(&script, ready_script(&ready))?;
        write(&config, configuration(&script, XServer::of_this_machine()))?;
        let output = File::create(&log).and_then(|log| Ok((log.try_clone()?, log)));
        let (out, err) = output.map_err(|error| failed(format!("cannot write {}: {error}", log.display())))?;

        let mut command = Command::new("sway");
        command
            .arg("-c")
            .arg(&config)
            .stdout(out)
            .stderr(err)
            // Those of a desktop that lumen itself may run on.
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .env_remove("WAYLAND_SOCKET")
            .env_remove("I3SOCK")
            .envs(renderer())
            .envs(spec.environment.iter().map(|(name, value)| (name, value)))
            .env("XDG_RUNTIME_DIR", &spec.directory)
            .env("SWAYSOCK", &ipc)
            .env("XDG_CURRENT_DESKTOP", "sway")
            .env("XDG_SESSION_TYPE", "wayland")
            .env("WLR_BACKENDS", "headless")
            .env("WLR_HEADLESS_OUTPUTS", "1")
            .env("WLR_LIBINPUT_NO_DEVICES", "1");
        let process = Process::spawn(command, &spec.session)
            .map_err(|error| failed(format!("sway cannot be started: {error}")))?;
        let mut own = Self { process, log, x11: None };
        let names = own.wait_for(&ready, deadline).map_err(failed)?;
        let mut names = names.lines();
        let wayland = spec.directory.join(names.next().unwrap_or_default());
        let x11 = names.next().filter(|display| !display.is_empty()).map(str::to_owned);
        own.x11.clone_from(&x11);
        Ok((Place { ipc, wayland, x11 }, own))
    }

    /// Why it is gone, once it is.
    pub fn gone(&mut self) -> Option<String> {
        let status = self.process.poll()?;
        Some(format!("sway ended ({status}); its last words: {}", self.last_words()))
    }

    fn wait_for(&mut self, ready: &Path, deadline: Instant) -> Result<String, String> {
        loop {
            if let Some(reason) = self.gone() {
                return Err(reason);
            }
            if let Ok(names) = fs::read_to_string(ready) {
                return Ok(names);
            }
            if Instant::now() >= deadline {
                return Err(format!(
                    "sway did not come up within {} s; its last words: {}",
                    START_PATIENCE.as_secs(),
                    self.last_words()
                ));
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    fn last_words(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
        if lines.is_empty() {
            return "none".to_owned();
        }
        lines[lines.len().saturating_sub(LOG_LINES)..].join(" | ")
    }
}

impl Drop for OwnSway {
    fn drop(&mut self) {
        self.process.stop(END_PATIENCE);
        if let Some(display) = &self.x11 {
            remove_x11(display, self.process.id());
        }
    }
}

/// Removes the lock and the socket of an X display that a killed sway left outside of the session's directory.
fn remove_x11(display: &str, owner: u32) {
    let Ok(number) = display.trim_start_matches(':').parse::<u32>() else { return };
    let lock = PathBuf::from(format!("/tmp/.X{number}-lock"));
    if fs::read_to_string(&lock).is_ok_and(|pid| pid.trim().parse() == Ok(owner)) {
        let _ = fs::remove_file(format!("/tmp/.X11-unix/X{number}"));
        let _ = fs::remove_file(lock);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum XServer {
    Installed,
    Missing,
}

impl XServer {
    fn of_this_machine() -> Self {
        if find_program("Xwayland").is_some() { Self::Installed } else { Self::Missing }
    }
}

/// A sway that shows the application and nothing else.
fn configuration(script: &Path, x_server: XServer) -> String {
    let x_server = match x_server {
        XServer::Installed => "enable",
        XServer::Missing => "disable",
    };
    format!(
        "# Written by lumen for one session.\n\
         xwayland {x_server}\n\
         output {OUTPUT} scale 1 position 0 0\n\
         default_border none\n\
         default_floating_border none\n\
         hide_edge_borders both\n\
         gaps inner 0\n\
         gaps outer 0\n\
         focus_on_window_activation focus\n\
         popup_during_fullscreen smart\n\
         exec sh '{}'\n",
        script.display()
    )
}

/// Tells how programs find this sway, once it runs.
fn ready_script(ready: &Path) -> String {
    let ready = ready.display();
    format!("printf '%s\\n%s\\n' \"$WAYLAND_DISPLAY\" \"$DISPLAY\" > '{ready}.part' && mv '{ready}.part' '{ready}'\n")
}

/// sway draws on the processor where there is no GPU; unless told otherwise it would end instead.
fn renderer() -> Option<(&'static str, &'static str)> {
    let is_free = std::env::var_os("WLR_RENDERER").is_none() && !has_render_node();
    is_free.then_some(("WLR_RENDERER", "pixman"))
}

/// 1.7 tries whether it could become root again and ends if so; 1.10 and 1.12 were seen to run as root. Those in between
/// may try.
fn refuses_root(version: &str) -> bool {
    let mut parts = version.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) < (1, 8)
}

/// `1.7` of `sway version 1.7`.
fn version(program: &Path) -> Option<String> {
    let mut child = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let deadline = Instant::now() + VERSION_PATIENCE;
    while child.try_wait().ok()?.is_none() {
        if Instant::now() >= deadline {
            let _ = child.kill();
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    let said = String::from_utf8(child.wait_with_output().ok()?.stdout).ok()?;
    let version = said.trim().strip_prefix("sway version ")?;
    version.split_whitespace().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_versions_refuse_root() {
        assert!(refuses_root("1.7"));
        assert!(!refuses_root("1.8"));
        assert!(!refuses_root("1.10.1"));
    }

    #[test]
    fn the_x_server_is_used_where_there_is_one() {
        let text = |x_server| configuration(Path::new("/run/ready.sh"), x_server);
        assert!(text(XServer::Installed).contains("xwayland enable\n"));
        assert!(text(XServer::Missing).contains("xwayland disable\n"));
    }
}
