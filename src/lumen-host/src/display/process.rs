//! Processes of a session: compositor, application, steps. Each has a process group of its own, and all that belong to
//! a session, at whatever depth, carry its name in their environment: [`sweep`] finds them there.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// Variable that names the session of a process.
pub const SESSION_VARIABLE: &str = "LUMEN_SESSION";

/// How often an ending process is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// A process with its group. Dropping it ends the group: first with SIGTERM, after a short while with SIGKILL.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts `command` for `session`. Its standard input is closed; its output goes where that of the caller goes.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn spawn(mut command: Command, session: &str) -> io::Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.env(SESSION_VARIABLE, session).stdin(Stdio::null()).process_group(0).spawn()?;
        Ok(Self { child, name, ended: None })
    }

    /// Name of the program.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id, and the number of its group.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, once it has.
    pub fn poll(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    /// Ends it and its group, with up to `patience` for doing so in order.
    pub fn stop(&mut self, patience: Duration) {
        let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) else { return };
        let _ = kill_process_group(group, Signal::TERM);
        let deadline = Instant::now() + patience;
        while self.poll().is_none() && Instant::now() < deadline {
            std::thread::sleep(POLL_INTERVAL);
        }
        let _ = kill_process_group(group, Signal::KILL);
        if self.ended.is_none() {
            self.ended = self.child.wait().ok();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop(Duration::from_secs(2));
    }
}

/// Processes of this user that belong to `session`.
pub fn of_session(session: &str) -> Vec<Pid> {
    let wanted = format!("{SESSION_VARIABLE}={session}");
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw))
        .filter(|pid| {
            // Those of other users cannot be read, and none of them is ours.
            fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero()))
                .is_ok_and(|bytes| bytes.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes()))
        })
        .collect()
}

/// Ends everything that still carries the name of `session`: what left its process group, and what a worker that died
/// left behind. Says how many processes there were.
pub fn sweep(session: &str) -> usize {
    let found = of_session(session);
    for &pid in &found {
        let _ = kill_process(pid, Signal::KILL);
    }
    found.len()
}

/// Removes what a session may have left: processes and its directory.
pub fn clean_up(session: &str, directory: &Path) {
    match sweep(session) {
        0 => {}
        left => tracing::info!(session, left, "ended processes that the session left behind"),
    }
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(directory = %directory.display(), %error, "the session's directory stays behind");
        }
        _ => {}
    }
}

/// The file that the shell would run for `program`.
pub fn find_program(program: impl AsRef<OsStr>) -> Option<PathBuf> {
    let program = Path::new(program.as_ref());
    if program.components().count() > 1 {
        return program.is_file().then(|| program.to_owned());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|file| file.is_file())
}
