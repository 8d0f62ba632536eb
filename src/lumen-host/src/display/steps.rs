//! The steps before and after an application: commands of the operator's that prepare the machine and put it back.
//!
//! They run outside of the session's display, with lumen's own environment and a few variables that describe the
//! session: before anything of the session is started, and after all of it has ended. Steps `after` run whenever those
//! `before` were begun: also when one of them failed, or the display did, and, from the daemon, when the worker was
//! killed. They do not run when the machine or worker and daemon together went down.

use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::link::SessionSpec;

use super::DisplayError;
use super::application::{directory_of, program_in};
use super::process::Process;

/// How long one step may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Variables that describe a session to its application and to its steps.
pub fn variables(spec: &SessionSpec) -> Vec<(String, String)> {
    let fps = format!("{:.3}", spec.mode.fps());
    let fps = fps.trim_end_matches('0').trim_end_matches('.');
    [
        ("LUMEN_CLIENT_NAME", spec.owner_name.clone()),
        ("LUMEN_APP", spec.app.title.clone()),
        ("LUMEN_WIDTH", spec.mode.width.to_string()),
        ("LUMEN_HEIGHT", spec.mode.height.to_string()),
        ("LUMEN_FPS", fps.to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

/// The steps of a session that has begun. Dropping this runs those after it.
#[derive(Debug)]
pub struct Steps {
    spec: SessionSpec,
}

impl Steps {
    /// Runs the steps before the application, one after another.
    ///
    /// # Errors
    /// [`DisplayError::Application`] for the first that fails; those after the session have run then.
    pub fn begin(spec: &SessionSpec) -> Result<Self, DisplayError> {
        Self::begin_unless(spec, &AtomicBool::new(false))
    }

    /// The same, until `given_up` is set: the step that runs is ended then, as if it had failed.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub fn begin_unless(spec: &SessionSpec, given_up: &AtomicBool) -> Result<Self, DisplayError> {
        let steps = Self { spec: spec.clone() };
        for step in &spec.app.before {
            run(step, spec, PATIENCE, given_up).map_err(|reason| DisplayError::Application {
                what: format!("the step `{}`", step.join(" ")),
                reason,
            })?;
        }
        Ok(steps)
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        after(&self.spec);
    }
}

/// What the steps after the session may take at most.
pub fn longest_after(spec: &SessionSpec) -> Duration {
    PATIENCE.saturating_mul(u32::try_from(spec.app.after.len()).unwrap_or(u32::MAX))
}

/// Runs the steps after the session, one after another, whether or not those before them succeed.
pub fn after(spec: &SessionSpec) {
    for step in &spec.app.after {
        if let Err(reason) = run(step, spec, PATIENCE, &AtomicBool::new(false)) {
            tracing::warn!(session = %spec.id, step = step.join(" "), reason, "a step after the session failed");
        }
    }
}

/// Runs one step, and ends what it leaves running.
fn run(step: &[String], spec: &SessionSpec, patience: Duration, given_up: &AtomicBool) -> Result<(), String> {
    let (program, arguments) = step.split_first().ok_or("no program is named")?;
    let directory = directory_of(&spec.app);
    let file = program_in(&directory, program).ok_or("there is no such program; name its full path, or install it")?;
    let mut command = Command::new(file);
    command.args(arguments).current_dir(directory).envs(variables(spec)).envs(&spec.app.environment);
    let mut step = Process::spawn(command, &spec.id.to_string()).map_err(|error| error.to_string())?;
    match ended(&mut step, patience, given_up) {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(status.to_string()),
        None if given_up.load(Ordering::Relaxed) => Err("the session was ended meanwhile".to_owned()),
        None => Err(format!("it did not end within {} s", patience.as_secs_f64())),
    }
}

fn ended(step: &mut Process, patience: Duration, given_up: &AtomicBool) -> Option<ExitStatus> {
    let deadline = Instant::now() + patience;
    loop {
        match step.poll() {
            Some(status) => return Some(status),
            None if Instant::now() >= deadline || given_up.load(Ordering::Relaxed) => return None,
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::display::process;
    use crate::encode::EncoderPreference;
    use crate::frame::Mode;
    use crate::link::{AppSpec, SessionId};

    fn spec() -> SessionSpec {
        let config = crate::config::AppConfig::built_in().remove(0);
        SessionSpec {
            id: SessionId(40_001),
            owner: [0; 32],
            owner_name: "sofa".to_owned(),
            app: AppSpec::new(1, &config),
            mode: Mode { width: 1920, height: 1080, rate_num: 60_000, rate_den: 1001 },
            keep_alive: Duration::ZERO,
            directory: "/nonexistent".into(),
            reunion: "/nonexistent".into(),
            encoder: EncoderPreference::default(),
        }
    }

    #[test]
    fn steps_are_told_the_session_they_are_for() {
        let all = variables(&spec());
        let value = |name: &str| all.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        assert_eq!(value("LUMEN_CLIENT_NAME"), Some("sofa"));
        assert_eq!((value("LUMEN_WIDTH"), value("LUMEN_HEIGHT")), (Some("1920"), Some("1080")));
        assert_eq!((value("LUMEN_FPS"), value("LUMEN_APP")), (Some("59.94"), Some("Test card")));
        let whole = SessionSpec { mode: Mode::new(1280, 720, 60), ..spec() };
        assert!(variables(&whole).contains(&("LUMEN_FPS".to_owned(), "60".to_owned())));
    }

    #[test]
    fn a_session_that_is_given_up_does_not_wait_for_its_steps() {
        let mut spec = spec();
        spec.id = SessionId(40_002);
        spec.app.before = vec![["sleep", "600"].map(str::to_owned).to_vec()];
        let error = Steps::begin_unless(&spec, &AtomicBool::new(true)).expect_err("it is given up").to_string();
        assert!(error.contains("sleep 600") && error.contains("ended meanwhile"), "{error}");
        assert_eq!(process::of_session("40002"), []);
    }

    #[test]
    fn a_step_that_does_not_end_is_ended() {
        let step = ["sleep", "600"].map(str::to_owned);
        let reason =
            run(&step, &spec(), Duration::from_millis(50), &AtomicBool::new(false)).expect_err("it cannot succeed");
        assert!(reason.contains("did not end"), "{reason}");
        assert_eq!(process::of_session("40001"), []);
    }
}
