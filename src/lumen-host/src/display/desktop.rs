//! A real desktop of one session: a compositor, the application on it, its sound and its input, put together.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::audio::AudioSource;
use crate::capture::Capture;
use crate::config::OnExit;
use crate::frame::Mode;
use crate::input::InputSink;
use crate::input::kernel::KernelInput;
use crate::input::split::Split;
use crate::link::{AppSpec, SessionSpec};

use super::compositor::{Compositor, CompositorSpec};
use super::process::Process;
use super::{DisplayError, DisplayState, VirtualDisplay, choose};

/// How long a step before or after the application may take.
const STEP_PATIENCE: Duration = Duration::from_secs(60);

/// See the module.
pub struct Desktop {
    // Fields are dropped in order: the application before what it is shown on.
    application: Option<Process>,
    compositor: Box<dyn Compositor>,
    session: String,
    app: AppSpec,
    environment: Vec<(String, String)>,
    /// Made with the first input, and kept: programs keep their gamepads when the mode changes.
    pads: Option<KernelInput>,
}

impl Desktop {
    /// Starts everything.
    ///
    /// # Errors
    /// Whatever could not be started; the rest is ended then.
    pub fn open(spec: &SessionSpec) -> Result<Self, DisplayError> {
        let session = spec.id.to_string();
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&spec.directory).map_err(|error| {
            DisplayError::Failed {
                backend: spec.app.display.as_str(),
                reason: format!("cannot make {}: {error}", spec.directory.display()),
            }
        })?;
        let environment = vec![("XDG_RUNTIME_DIR".to_owned(), spec.directory.display().to_string())];
        let compositor = choose::start(
            spec.app.display,
            &CompositorSpec {
                session: session.clone(),
                mode: spec.mode,
                instance: spec.app.instance,
                directory: spec.directory.clone(),
                identity: format!("{}-{}", spec.owner_name, spec.app.title),
                command: spec.app.command.clone(),
                environment: environment.clone(),
            },
        )?;
        let environment = environment.into_iter().chain(compositor.environment()).collect();
        let mut desktop =
            Self { application: None, compositor, session, app: spec.app.clone(), environment, pads: None };
        for step in &desktop.app.before {
            desktop.run_step(step)?;
        }
        if !desktop.app.command.is_empty() && !desktop.compositor.runs_command() {
            desktop.application = Some(desktop.spawn(&desktop.app.command)?);
        }
        Ok(desktop)
    }

    fn spawn(&self, command: &[String]) -> Result<Process, DisplayError> {
        let what = command.join(" ");
        let failed = |reason: String| DisplayError::Application { what: what.clone(), reason };
        let (program, arguments) = command.split_first().ok_or_else(|| failed("no program is named".to_owned()))?;
        let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_dir());
        let directory = self.app.directory.clone().or(home).unwrap_or_else(|| PathBuf::from("/"));
        let mut process = Command::new(program);
        process
            .args(arguments)
            .current_dir(directory)
            // Those of the desktop that lumen itself may run on.
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .envs(&self.app.environment);
        Process::spawn(process, &self.session).map_err(|error| failed(error.to_string()))
    }

    fn run_step(&self, command: &[String]) -> Result<(), DisplayError> {
        let failed = |reason: String| DisplayError::Application { what: command.join(" "), reason };
        let mut step = self.spawn(command)?;
        let deadline = Instant::now() + STEP_PATIENCE;
        loop {
            match step.poll() {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(failed(status.to_string())),
                None if Instant::now() >= deadline => {
                    return Err(failed(format!("it did not end within {} s", STEP_PATIENCE.as_secs())));
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }
}

impl VirtualDisplay for Desktop {
    fn mode(&self) -> Mode {
        self.compositor.mode()
    }

    fn set_mode(&mut self, mode: Mode) -> Result<(), DisplayError> {
        self.compositor.set_mode(mode)
    }

    fn capture(&mut self) -> Result<Box<dyn Capture>, DisplayError> {
        self.compositor.capture()
    }

    fn input(&mut self) -> Result<Box<dyn InputSink>, DisplayError> {
        let rest = self.compositor.input()?;
        if self.pads.is_none() {
            self.pads = KernelInput::pads(&self.session)
                .inspect_err(
                    |error| tracing::error!(%error, remedy = error.remedy(), "this session goes on without gamepads"),
                )
                .ok();
        }
        let pads = self.pads.clone().map(|pads| Box::new(pads) as Box<dyn InputSink>);
        Ok(Box::new(Split::new(pads, rest)))
    }

    fn audio(&mut self, channels: u8) -> Box<dyn AudioSource> {
        Box::new(crate::audio::Silence::new(channels))
    }

    fn poll(&mut self) -> DisplayState {
        if let Some(status) = self.application.as_mut().and_then(Process::poll) {
            tracing::info!(application = %self.app.title, %status, "the application ended");
            self.application = None;
            if self.app.on_exit == OnExit::End {
                return DisplayState::ApplicationEnded;
            }
        }
        match self.compositor.gone() {
            None => DisplayState::Running,
            Some(_) if self.compositor.runs_command() => DisplayState::ApplicationEnded,
            Some(reason) => DisplayState::Gone(reason),
        }
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        self.application = None;
        for step in &self.app.after {
            if let Err(error) = self.run_step(step) {
                tracing::warn!(%error, "a step after the session failed");
            }
        }
    }
}
