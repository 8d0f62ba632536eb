//! Processes of a session: compositor, application, steps. Each has a process group of its own, and all that belong to
//! a session, at whatever depth, carry its name in their environment: [`sweep`] finds them there.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};

/// Variable that names the session of a process.
pub const SESSION_VARIABLE: &str = "LUMEN_SESSION";

/// Variable that says what a process is in its session; set for what belongs to the application.
pub const ROLE_VARIABLE: &str = "LUMEN_ROLE";

/// Value of [`ROLE_VARIABLE`] for the application and all that it starts.
pub const APPLICATION: &str = "application";

/// How often an ending process is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// How often a sweep looks for further processes.
const SWEEPS: usize = 20;

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

    /// Whether anything of its group lives: a program may start another one and end itself.
    pub fn group_lives(&self) -> bool {
        let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) else { return false };
        // Ended processes that nobody waits for are still members of their group.
        test_kill_process_group(group).is_ok() && processes().any(|pid| group_of_living(pid) == Some(group))
    }

    /// Waits until it has made a file, such as its socket.
    ///
    /// # Errors
    /// If it ends before, or does not make it within `patience`.
    pub fn wait_for_file(&mut self, file: &Path, patience: Duration) -> Result<(), String> {
        let deadline = Instant::now() + patience;
        while !file.exists() {
            if let Some(status) = self.poll() {
                return Err(format!("it ended at once ({status}); its messages in the log say why"));
            }
            if Instant::now() >= deadline {
                return Err(format!("it made no {} within {} s", file.display(), patience.as_secs()));
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    /// Ends it and its group, with up to `patience` for doing so in order.
    pub fn stop(&mut self, patience: Duration) {
        let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) else { return };
        if self.poll().is_some() && !self.group_lives() {
            return;
        }
        let _ = kill_process_group(group, Signal::TERM);
        let deadline = Instant::now() + patience;
        while (self.poll().is_none() || self.group_lives()) && Instant::now() < deadline {
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
    matching(session, &[wanted])
}

/// Those of [`of_session`] that belong to its application.
pub fn of_application(session: &str) -> Vec<Pid> {
    matching(session, &[format!("{SESSION_VARIABLE}={session}"), format!("{ROLE_VARIABLE}={APPLICATION}")])
}

/// Whether this process is one of [`of_session`].
pub fn belongs(pid: i32, session: &str) -> bool {
    let wanted = [format!("{SESSION_VARIABLE}={session}")];
    Pid::from_raw(pid).is_some_and(|pid| matches(pid, &scope_of(session), &wanted))
}

/// Processes that have all these variables, or are in the scope of the session's application.
fn matching(session: &str, variables: &[String]) -> Vec<Pid> {
    let scope = scope_of(session);
    processes().filter(|pid| matches(*pid, &scope, variables)).collect()
}

fn matches(pid: Pid, scope: &str, variables: &[String]) -> bool {
    let read = |name: &str| fs::read(format!("/proc/{}/{name}", pid.as_raw_nonzero())).unwrap_or_default();
    // The environment of other users' processes cannot be read, and none of them is ours.
    let environment = read("environ");
    let has = |wanted: &String| environment.split(|byte| *byte == 0).any(|one| one == wanted.as_bytes());
    // One that has ended and was not waited for has no environment any more, but still a scope.
    variables.iter().all(has) || contains(&read("cgroup"), scope.as_bytes()) && group_of_living(pid).is_some()
}

/// Name of the systemd scope of a session's application.
pub fn scope_of(session: &str) -> String {
    format!("lumen-{session}-app.scope")
}

/// All processes.
fn processes() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").ok();
    entries
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw))
}

/// The group of a process that has not ended.
fn group_of_living(pid: Pid) -> Option<Pid> {
    let text = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The name before the last parenthesis may hold anything; behind it come state, parent and group.
    let mut fields = text.rsplit(')').next()?.split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(1)?.parse().ok().and_then(Pid::from_raw)
}

fn contains(text: &[u8], wanted: &[u8]) -> bool {
    text.windows(wanted.len()).any(|window| window == wanted)
}

/// Ends everything that still carries the name of `session`: what left its process group, and what a worker that died
/// left behind. Says how many processes there were.
pub fn sweep(session: &str) -> usize {
    kill_all(|| of_session(session))
}

/// [`sweep`] for what belongs to the session's application.
pub fn sweep_application(session: &str) -> usize {
    kill_all(|| of_application(session))
}

/// Kills what `find` finds, until it finds nothing more: processes may have been starting others meanwhile.
fn kill_all(find: impl Fn() -> Vec<Pid>) -> usize {
    let mut killed = std::collections::HashSet::new();
    for _ in 0..SWEEPS {
        let new: Vec<Pid> = find().into_iter().filter(|pid| killed.insert(*pid)).collect();
        if new.is_empty() {
            break;
        }
        for pid in new {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    killed.len()
}

/// Removes what a session may have left: processes and its directory.
pub fn clean_up(session: &str, directory: &Path) {
    end_all(session);
    remove(directory);
}

/// [`sweep`], with a word about it in the log.
pub fn end_all(session: &str) {
    match sweep(session) {
        0 => {}
        left => tracing::info!(session, left, "ended processes that the session left behind"),
    }
}

/// Removes the directory of a session.
pub fn remove(directory: &Path) {
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
