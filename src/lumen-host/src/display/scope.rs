//! A systemd scope for an application, where a service manager can be reached: everything that the application starts
//! is in it, however it detaches itself, and `systemctl` shows it under the session's name. Without a manager the
//! application is a plain process group. Nothing here starts or ends a process; see [`super::application`].
//!
//! `systemd-run --scope` is used instead of the manager's bus: it registers itself and then becomes the program, so
//! the process id is the program's and nothing can be started before the scope is there.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::process::{find_program, scope_of};

/// How long the manager may take to say that it works.
const PROBE_PATIENCE: Duration = Duration::from_secs(3);

/// A service manager that makes scopes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manager {
    /// `--user` or `--system`.
    pub which: &'static str,
    /// `systemd-run`.
    pub systemd_run: PathBuf,
    /// `env`, which gives the program its variables: those of the session would lead `systemd-run` astray.
    pub env: PathBuf,
}

impl Manager {
    /// The manager of this machine, if there is one that answers; looked for once.
    pub fn of_this_machine() -> Option<&'static Self> {
        static FOUND: OnceLock<Option<Manager>> = OnceLock::new();
        FOUND.get_or_init(probe).as_ref()
    }

    /// The command that runs `program` in the scope of `session`, with `variables`, without those in `removed`.
    pub fn command(
        &self,
        session: &str,
        program: &Path,
        arguments: &[String],
        removed: &[&str],
        variables: &[(String, String)],
    ) -> Command {
        let mut command = self.systemd_run(&scope_of(session));
        command.arg("--description=lumen application").arg("--").arg(&self.env);
        command.args(removed.iter().map(|name| format!("--unset={name}")));
        command.args(variables.iter().map(|(name, value)| OsString::from(format!("{name}={value}"))));
        command.arg(program).args(arguments);
        command
    }

    fn systemd_run(&self, unit: &str) -> Command {
        let mut command = Command::new(&self.systemd_run);
        command.args([self.which, "--scope", "--quiet", "--collect", &format!("--unit={unit}")]);
        command
    }
}

fn probe() -> Option<Manager> {
    let which = if rustix::process::geteuid().is_root() {
        Path::new("/run/systemd/system").is_dir().then_some("--system")
    } else {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from)?;
        runtime.join("systemd/private").exists().then_some("--user")
    }?;
    let manager = Manager { which, systemd_run: find_program("systemd-run")?, env: find_program("env")? };
    let mut trial = manager.systemd_run(&format!("lumen-probe-{}.scope", std::process::id()));
    trial.arg("--").arg(&manager.env).args(["true"]);
    trial.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = trial.spawn().ok()?;
    let deadline = Instant::now() + PROBE_PATIENCE;
    let works = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status.success(),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(2)),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                break false;
            }
        }
    };
    tracing::debug!(which, works, "systemd scopes for applications");
    works.then_some(manager)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_gets_its_variables_behind_the_manager() {
        let manager =
            Manager { which: "--user", systemd_run: "/usr/bin/systemd-run".into(), env: "/usr/bin/env".into() };
        let variables = [("XDG_RUNTIME_DIR".to_owned(), "/run/lumen/7".to_owned())];
        let command = manager.command("7", Path::new("/bin/game"), &["--full".to_owned()], &["DISPLAY"], &variables);
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect();
        assert_eq!(
            arguments,
            [
                "--user",
                "--scope",
                "--quiet",
                "--collect",
                "--unit=lumen-7-app.scope",
                "--description=lumen application",
                "--",
                "/usr/bin/env",
                "--unset=DISPLAY",
                "XDG_RUNTIME_DIR=/run/lumen/7",
                "/bin/game",
                "--full"
            ]
        );
        assert_eq!(command.get_envs().count(), 0);
    }
}
