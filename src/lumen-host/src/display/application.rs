//! The application of a session: started on its display, watched, and ended with everything that it started.
//!
//! It has ended once no process of its group lives: a launcher that starts the real program in its group and goes away
//! is still the application. Helpers that detach themselves do not keep it alive, and are ended with it.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use crate::link::AppSpec;

use super::DisplayError;
use super::process::{self, APPLICATION, Process, ROLE_VARIABLE, SESSION_VARIABLE, find_program};
use super::scope::Manager;

/// How long an application may take to end when it is told to.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often a group whose first process has ended is looked at.
const GROUP_INTERVAL: Duration = Duration::from_millis(250);

/// Variables of the desktop that lumen itself may run on.
const FOREIGN: [&str; 2] = ["DISPLAY", "WAYLAND_DISPLAY"];

/// A running application. Dropping it ends it.
#[derive(Debug)]
pub struct Application {
    process: Process,
    session: String,
    next_look: Instant,
}

impl Application {
    /// Starts the command of `app` for `session` with `variables`; those of the application's configuration come over
    /// them. In a systemd scope where that is possible.
    ///
    /// # Errors
    /// [`DisplayError::Application`] if there is no such program or directory.
    pub fn start(app: &AppSpec, session: &str, variables: &[(String, String)]) -> Result<Self, DisplayError> {
        Self::start_with(app, session, variables, Manager::of_this_machine())
    }

    fn start_with(
        app: &AppSpec,
        session: &str,
        variables: &[(String, String)],
        manager: Option<&Manager>,
    ) -> Result<Self, DisplayError> {
        let failed = |reason: String| DisplayError::Application { what: app.command.join(" "), reason };
        let (program, arguments) = app.command.split_first().ok_or_else(|| failed("no program is named".to_owned()))?;
        let directory = directory_of(app);
        if !directory.is_dir() {
            return Err(failed(format!("its directory {} is not there", directory.display())));
        }
        let file = program_in(&directory, program)
            .ok_or_else(|| failed("there is no such program; name its full path, or install it".to_owned()))?;
        let mut own: Vec<(String, String)> = variables.to_vec();
        own.extend(app.environment.iter().map(|(name, value)| (name.clone(), value.clone())));
        own.push((ROLE_VARIABLE.to_owned(), APPLICATION.to_owned()));
        let mut command = match manager {
            Some(manager) => {
                own.push((SESSION_VARIABLE.to_owned(), session.to_owned()));
                manager.command(session, &file, arguments, &FOREIGN, &own)
            }
            None => {
                let mut command = Command::new(&file);
                FOREIGN.iter().for_each(|name| _ = command.env_remove(name));
                command.args(arguments).envs(own);
                command
            }
        };
        command.current_dir(directory);
        let process = Process::spawn(command, session).map_err(|error| failed(error.to_string()))?;
        tracing::info!(application = %app.title, pid = process.id(), scope = manager.is_some(), "started");
        Ok(Self { process, session: session.to_owned(), next_look: Instant::now() })
    }

    /// How it ended, once it has. Returns at once.
    pub fn poll(&mut self) -> Option<ExitStatus> {
        let status = self.process.poll()?;
        let now = Instant::now();
        if now < self.next_look {
            return None;
        }
        self.next_look = now + GROUP_INTERVAL;
        (!self.process.group_lives()).then_some(status)
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        self.process.stop(PATIENCE);
        match process::sweep_application(&self.session) {
            0 => {}
            left => tracing::info!(session = self.session, left, "ended what the application left running"),
        }
    }
}

/// Where the application and its steps start: as configured, else in the home directory.
pub(super) fn directory_of(app: &AppSpec) -> PathBuf {
    let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_dir());
    app.directory.clone().or(home).unwrap_or_else(|| Path::new("/").to_owned())
}

/// The file of a program: a relative path starts at `directory`, as the program itself does.
pub(super) fn program_in(directory: &Path, program: &str) -> Option<PathBuf> {
    find_program(if program.contains('/') { directory.join(program) } else { PathBuf::from(program) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AppConfig, DisplayKind, HostName};

    /// Stands for `systemd-run`: drops its own options and becomes the rest.
    fn stand_in(directory: &Path) -> Manager {
        use std::os::unix::fs::PermissionsExt;
        let file = directory.join("systemd-run");
        let script =
            "#!/bin/sh\nwhile [ \"$1\" != -- ]; do echo \"$1\"; shift; done >\"${0%/*}/options\"\nshift\nexec \"$@\"\n";
        std::fs::write(&file, script).expect("written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("ours");
        Manager { which: "--user", systemd_run: file, env: find_program("env").expect("env is everywhere") }
    }

    #[test]
    fn in_a_scope_the_program_has_the_variables_of_its_session() {
        let directory = tempfile::tempdir().expect("a directory");
        let manager = stand_in(directory.path());
        let mut config = AppConfig::new(HostName::try_from("a game".to_owned()).expect("a name"), DisplayKind::Wlroots);
        config.command = ["sh", "-c", "env >seen.new; mv seen.new seen"].map(str::to_owned).to_vec();
        config.directory = Some(directory.path().to_owned());
        config.environment.insert("OWN".to_owned(), "with a space".to_owned());
        let variables = [("WAYLAND_DISPLAY".to_owned(), "wayland-7".to_owned())];
        let mut application =
            Application::start_with(&AppSpec::new(1, &config), "scoped", &variables, Some(&manager)).expect("it runs");
        let until = Instant::now() + Duration::from_secs(30);
        while application.poll().is_none() {
            assert!(Instant::now() < until, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
        let seen = std::fs::read_to_string(directory.path().join("seen")).expect("it ran");
        for line in ["WAYLAND_DISPLAY=wayland-7", "OWN=with a space", "LUMEN_SESSION=scoped", "LUMEN_ROLE=application"]
        {
            assert!(seen.lines().any(|seen| seen == line), "{line} is missing in {seen}");
        }
        let options = std::fs::read_to_string(directory.path().join("options")).expect("it was asked");
        assert!(options.contains("--unit=lumen-scoped-app.scope"), "{options}");
    }
}
