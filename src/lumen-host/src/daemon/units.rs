//! Units of their own for workers and for the probe of the encoders, where the daemon is a service of systemd: a sandbox
//! around the daemon does not reach into them, and neither does a restart. The manager of the daemon's user starts them;
//! for root, that of the system. A daemon that was started in any other way has its workers as children.
//!
//! `systemd-run` stays for as long as the unit runs, as a child of the daemon that dies with it without harm to the unit.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::display::process::find_program;

/// How long the manager may take to say that it works, as the daemon starts: on a busy machine that boots, it comes up
/// beside.
const FIRST_PATIENCE: Duration = Duration::from_secs(30);

/// The same later, when somebody waits for a session.
const PATIENCE: Duration = Duration::from_secs(5);

/// Variables that concern the daemon's own process.
const OWN_VARIABLES: [&str; 10] = [
    "CREDENTIALS_DIRECTORY",
    "FDSTORE",
    "INVOCATION_ID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "MAINPID",
    "NOTIFY_SOCKET",
    "SYSTEMD_EXEC_PID",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// A service manager that starts units for this daemon.
#[derive(Debug)]
pub(super) struct Units {
    /// `--user` or `--system`.
    which: &'static str,
    systemd_run: PathBuf,
}

impl Units {
    /// The manager, if this daemon is a service and it answers. One that does not is asked again the next time.
    pub(super) fn of_this_service() -> Option<&'static Self> {
        static FOUND: OnceLock<Units> = OnceLock::new();
        static ASKED: AtomicBool = AtomicBool::new(false);
        if let Some(found) = FOUND.get() {
            return Some(found);
        }
        let patience = if ASKED.swap(true, Ordering::Relaxed) { PATIENCE } else { FIRST_PATIENCE };
        let units = find(patience)?;
        Some(FOUND.get_or_init(|| units))
    }

    /// The command that runs `program` as the unit `name`, with the daemon's standard streams and variables, and with
    /// `own` beside them.
    pub(super) fn command(&self, name: &str, program: &Path, arguments: &[&str], own: &[(&str, &str)]) -> Command {
        let inherited = std::env::vars_os().filter(|(name, value)| passes(name, value)).map(|(name, _)| name);
        self.command_with(name, program, arguments, own, inherited)
    }

    /// Values of variables are not on the command line, where other users could read them.
    fn command_with(
        &self,
        name: &str,
        program: &Path,
        arguments: &[&str],
        own: &[(&str, &str)],
        inherited: impl Iterator<Item = impl AsRef<OsStr>>,
    ) -> Command {
        let mut command = Command::new(&self.systemd_run);
        command.args([self.which, "--pipe", "--quiet", "--collect", "--service-type=exec", &format!("--unit={name}")]);
        let mut pass = |name: &OsStr| {
            let mut argument = std::ffi::OsString::from("--setenv=");
            argument.push(name);
            command.arg(argument);
        };
        inherited.for_each(|name| pass(name.as_ref()));
        own.iter().for_each(|(name, _)| pass(OsStr::new(name)));
        command.arg("--").arg(program).args(arguments).envs(own.iter().copied());
        command
    }
}

/// Whether the manager takes this variable, and whether it means anything in another process.
fn passes(name: &OsStr, value: &OsStr) -> bool {
    let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else { return false };
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    first
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !value.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n'))
        && !OWN_VARIABLES.contains(&name)
}

fn find(patience: Duration) -> Option<Units> {
    // Set for the first process of a service, and inherited by others.
    let is_service = std::env::var("SYSTEMD_EXEC_PID").is_ok_and(|pid| pid.parse() == Ok(std::process::id()));
    if !is_service {
        return None;
    }
    let which = if rustix::process::geteuid().is_root() { "--system" } else { "--user" };
    let found = find_program("systemd-run").ok_or("systemd-run is not installed".to_owned()).and_then(|systemd_run| {
        let units = Units { which, systemd_run };
        answers(&units, patience)?;
        Ok(units)
    });
    found
        .inspect_err(|reason| {
            tracing::warn!(
                reason,
                "no systemd manager of this user starts units: sessions run inside of this service and its sandbox, \
                 and end with it. Run 'loginctl enable-linger USER' for its user, and give the service XDG_RUNTIME_DIR \
                 and DBUS_SESSION_BUS_ADDRESS"
            );
        })
        .ok()
}

fn answers(units: &Units, patience: Duration) -> Result<(), String> {
    let program = find_program("true").ok_or("the program 'true' is not there")?;
    let name = format!("lumen-trial-{}.service", std::process::id());
    let mut trial = units.command(&name, &program, &[], &[]);
    trial.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = trial.spawn().map_err(|error| error.to_string())?;
    let deadline = Instant::now() + patience;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(2)),
            Ok(Some(_)) => {
                let said = child.wait_with_output().map(|output| output.stderr).unwrap_or_default();
                return Err(String::from_utf8_lossy(&said).trim().to_owned());
            }
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("it did not answer within {} s", patience.as_secs()));
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_gets_the_daemons_variables_without_their_values_on_the_command_line() {
        let units = Units { which: "--user", systemd_run: "/usr/bin/systemd-run".into() };
        let own = [("LUMEN_LOG__FILTER", "debug")];
        let inherited = ["PATH", "LUMEN_SECRET"].iter();
        let command = units.command_with("a.service", Path::new("/bin/lumen"), &["session"], &own, inherited);
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect();
        assert_eq!(
            arguments,
            [
                "--user",
                "--pipe",
                "--quiet",
                "--collect",
                "--service-type=exec",
                "--unit=a.service",
                "--setenv=PATH",
                "--setenv=LUMEN_SECRET",
                "--setenv=LUMEN_LOG__FILTER",
                "--",
                "/bin/lumen",
                "session"
            ]
        );
        assert!(command.get_envs().eq([(OsStr::new("LUMEN_LOG__FILTER"), Some(OsStr::new("debug")))]));
    }

    #[test]
    fn variables_of_the_daemons_process_stay_with_it() {
        let passes = |name: &str, value: &str| passes(OsStr::new(name), OsStr::new(value));
        assert!(passes("PATH", "/bin") && passes("LUMEN_STREAM__DSCP", "a\tb"));
        for name in ["NOTIFY_SOCKET", "SYSTEMD_EXEC_PID", "WATCHDOG_USEC", "BASH_FUNC_x%%", "1ST", ""] {
            assert!(!passes(name, "1"), "{name}");
        }
        assert!(!passes("BELL", "\u{7}"));
    }
}
