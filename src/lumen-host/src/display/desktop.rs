//! A real desktop of one session: a compositor, the application on it, its sound and its input, put together.

use std::fs::{self, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::{Duration, Instant};

use lumen_core::lumen1::negotiation::Grants;
use rustix::fs::{FlockOperation, flock};

use crate::audio::AudioSource;
use crate::audio::microphone;
#[cfg(feature = "pipewire")]
use crate::audio::microphone::{Microphone, MicrophoneInlet};
#[cfg(feature = "pipewire")]
use crate::audio::sink::SessionSound;
use crate::capture::Capture;
use crate::clipboard::ClipboardPlace;
use crate::config::OnExit;
use crate::frame::Mode;
use crate::input::kernel::{KernelInput, KernelInputError};
use crate::input::split::Split;
use crate::input::{Deaf, InputSink};
use crate::link::{AppSpec, SessionSpec};
use crate::mediaserver::MediaServer;

use super::application::Application;
use super::compositor::{Compositor, CompositorSpec};
use super::steps;
use super::{DisplayError, DisplayState, VirtualDisplay, choose};

/// A compositor that crashes takes its programs along, which are often noticed first. For so long it is waited whether
/// it was that.
const CAUSE_TIME: Duration = Duration::from_millis(200);

/// File that is locked while a session has a worker.
const IN_USE: &str = "in-use";

/// Removes what sessions left whose worker is gone and whose daemon could not see to it: it was gone as well.
/// `sessions` is the directory of all sessions' directories.
pub fn clean_up_abandoned(sessions: &Path) {
    for entry in fs::read_dir(sessions).into_iter().flatten().flatten() {
        let directory = entry.path();
        let Ok(file) = File::open(directory.join(IN_USE)) else { continue };
        if let (Some(session), Ok(())) =
            (entry.file_name().to_str(), flock(&file, FlockOperation::NonBlockingLockExclusive))
        {
            tracing::info!(session, "a session was left without its worker; putting it away");
            super::clean_up(session, &directory);
        }
    }
}

/// The display's own input; where it says that it has none, devices of the kernel, which are everybody's on the machine;
/// where there are none of these either, nothing: a session that one can only look at.
fn own_or_machines(
    own: Result<Box<dyn InputSink>, DisplayError>,
    machines: impl FnOnce() -> Result<Box<dyn InputSink>, KernelInputError>,
) -> Result<Box<dyn InputSink>, DisplayError> {
    let reason = match own {
        Err(DisplayError::NoInput { backend, reason }) => format!("{backend} takes no input: {reason}"),
        own => return own,
    };
    match machines() {
        Ok(machines) => {
            tracing::info!(reason, "the session types by devices of the kernel");
            Ok(machines)
        }
        Err(error) => {
            tracing::error!(reason, %error, remedy = error.remedy(), "this session has no input");
            Ok(Box::new(Deaf))
        }
    }
}

fn mark(directory: &Path) -> Option<File> {
    let path = directory.join(IN_USE);
    let locked = File::create(&path).and_then(|file| {
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(file)
    });
    locked.inspect_err(|error| tracing::warn!(path = %path.display(), %error, "the session cannot be marked")).ok()
}

/// See the module.
pub struct Desktop {
    // Fields are dropped in order: the application before what it is shown on.
    application: Option<Application>,
    compositor: Box<dyn Compositor>,
    #[cfg(feature = "pipewire")]
    sound: Option<SessionSound>,
    /// Made when its client first has one, and kept: programs keep what they record from.
    #[cfg(feature = "pipewire")]
    microphone: Option<Microphone>,
    mediaserver: Option<MediaServer>,
    session: String,
    #[cfg(feature = "pipewire")]
    owner: String,
    app: AppSpec,
    /// Since when the application is gone that the session ends with.
    ended: Option<Instant>,
    /// Held for as long as the session has a worker.
    in_use: Option<File>,
    /// Made with the first input, and kept: programs keep their gamepads when the mode changes.
    pads: Option<KernelInput>,
}

impl Desktop {
    /// Starts everything. `granted` are the streams that the client may use beside picture and sound: programs that record
    /// find their microphone when they start, and need not change to it.
    ///
    /// # Errors
    /// Whatever could not be started; the rest is ended then.
    pub fn open(spec: &SessionSpec, granted: Grants) -> Result<Self, DisplayError> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&spec.directory).map_err(|error| {
            DisplayError::Failed {
                backend: spec.app.display.as_str(),
                reason: format!("cannot make {}: {error}", spec.directory.display()),
            }
        })?;
        let in_use = mark(&spec.directory);
        let session = spec.id.to_string();
        let mut environment = vec![("XDG_RUNTIME_DIR".to_owned(), spec.directory.display().to_string())];
        // Before the compositor, which looks for it when it starts.
        let mediaserver = MediaServer::open(&session, &spec.directory)
            .inspect_err(
                |error| tracing::warn!(%error, "the session has no sound, and compositors that need PipeWire fail"),
            )
            .ok();
        environment.extend(mediaserver.iter().flat_map(MediaServer::environment));
        #[cfg(feature = "pipewire")]
        let sound = mediaserver.as_ref().and_then(|server| {
            SessionSound::open(&session, server.remote(), 2)
                .inspect_err(|error| tracing::warn!(%error, "the session has no sound"))
                .ok()
        });
        // In a PipeWire of its own its sink and microphone are the only ones. This variable sends programs to the sink even
        // when they record.
        #[cfg(feature = "pipewire")]
        let alone = mediaserver.as_ref().is_some_and(MediaServer::is_private);
        #[cfg(feature = "pipewire")]
        let variables = sound.iter().flat_map(SessionSound::environment);
        #[cfg(feature = "pipewire")]
        environment.extend(variables.filter(|(name, _)| !alone || name != "PIPEWIRE_NODE"));
        environment.extend(mediaserver.iter().flat_map(|_| microphone::environment(&session)));
        #[cfg(feature = "pipewire")]
        let microphone = mediaserver.as_ref().filter(|_| granted.contains(Grants::MICROPHONE)).and_then(|server| {
            let made = Microphone::open(&session, &spec.owner_name, server.remote())
                .and_then(|microphone| microphone.wait_until_made().map(|()| microphone));
            made.inspect_err(|error| tracing::warn!(%error, "the client's microphone is not heard")).ok()
        });
        #[cfg(not(feature = "pipewire"))]
        let _ = granted;
        let compositor = choose::start(
            spec.app.display,
            &CompositorSpec {
                session,
                mode: spec.mode,
                instance: spec.app.instance,
                directory: spec.directory.clone(),
                identity: format!("{}-{}", spec.owner_name, spec.app.title),
                command: spec.app.command.clone(),
                command_environment: steps::variables(spec).into_iter().chain(spec.app.environment.clone()).collect(),
                environment: environment.clone(),
            },
        )?;
        let mut desktop = Self::with_compositor(spec, environment, compositor)?;
        #[cfg(feature = "pipewire")]
        {
            desktop.sound = sound;
            desktop.microphone = microphone;
        }
        desktop.mediaserver = mediaserver;
        desktop.in_use = in_use;
        Ok(desktop)
    }

    /// Starts the application on a compositor that runs already. `environment` are variables of the session.
    ///
    /// # Errors
    /// If the application cannot be started; the compositor is ended then.
    pub fn with_compositor(
        spec: &SessionSpec,
        environment: Vec<(String, String)>,
        compositor: Box<dyn Compositor>,
    ) -> Result<Self, DisplayError> {
        let mut desktop = Self {
            application: None,
            compositor,
            #[cfg(feature = "pipewire")]
            sound: None,
            #[cfg(feature = "pipewire")]
            microphone: None,
            mediaserver: None,
            #[cfg(feature = "pipewire")]
            owner: spec.owner_name.clone(),
            app: spec.app.clone(),
            pads: None,
            session: spec.id.to_string(),
            ended: None,
            in_use: None,
        };
        if !desktop.app.command.is_empty() && !desktop.compositor.runs_command() {
            let variables: Vec<_> =
                environment.into_iter().chain(desktop.compositor.environment()).chain(steps::variables(spec)).collect();
            desktop.application = Some(Application::start(&desktop.app, &spec.id.to_string(), &variables)?);
        }
        Ok(desktop)
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
        let own = self.compositor.input();
        if self.pads.is_none() {
            self.pads = KernelInput::pads(&self.session)
                .inspect_err(
                    |error| tracing::error!(%error, remedy = error.remedy(), "this session goes on without gamepads"),
                )
                .ok();
        }
        let (session, mode) = (&self.session, self.compositor.mode());
        let desk = || {
            let machine = match self.pads.clone() {
                Some(pads) => pads.with_desk(session, mode)?,
                None => KernelInput::everything(session, mode)?,
            };
            Ok(self.compositor.fitted(Box::new(machine)))
        };
        let rest = own_or_machines(own, desk)?;
        let pads = self.pads.clone().map(|pads| Box::new(pads) as Box<dyn InputSink>);
        Ok(Box::new(Split::new(pads, rest)))
    }

    fn audio(&mut self, channels: u8) -> Box<dyn AudioSource> {
        #[cfg(feature = "pipewire")]
        match self.sound.as_mut().map(|sound| sound.source(channels)) {
            Some(Ok(source)) => return source,
            Some(Err(error)) => tracing::warn!(%error, "the session has no sound"),
            None => {}
        }
        Box::new(crate::audio::Silence::new(channels))
    }

    #[cfg(feature = "pipewire")]
    fn microphone(&mut self) -> Option<MicrophoneInlet> {
        if self.microphone.is_none() {
            let server = self.mediaserver.as_ref()?;
            self.microphone = Microphone::open(&self.session, &self.owner, server.remote())
                .inspect_err(|error| tracing::warn!(%error, "the client's microphone is not heard"))
                .ok();
        }
        self.microphone.as_ref().map(Microphone::inlet)
    }

    fn clipboard(&self) -> Option<ClipboardPlace> {
        self.compositor.clipboard()
    }

    fn poll(&mut self) -> DisplayState {
        if let Some(status) = self.application.as_mut().and_then(Application::poll) {
            tracing::info!(application = %self.app.title, %status, "the application ended");
            self.application = None;
            if self.app.on_exit == OnExit::End {
                self.ended = Some(Instant::now());
            }
        }
        match self.compositor.gone() {
            None if self.ended.is_some_and(|ended| ended.elapsed() >= CAUSE_TIME) => DisplayState::ApplicationEnded,
            None => DisplayState::Running,
            Some(_) if self.compositor.runs_command() => DisplayState::ApplicationEnded,
            Some(reason) => DisplayState::Gone(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use lumen_core::gamestream::control::HostMessage;
    use lumen_core::gamestream::input::{InputEvent, RelativeMotion};

    use super::*;
    use crate::input::kernel::Node;

    struct Ear(&'static str, Sender<&'static str>);

    impl InputSink for Ear {
        fn handle(&mut self, _event: &InputEvent) {
            self.1.send(self.0).expect("somebody listens");
        }
        fn release_all(&mut self) {}
        fn poll_feedback(&mut self) -> Option<HostMessage> {
            None
        }
    }

    type Machines = Result<&'static str, KernelInputError>;

    /// Who hears of an event.
    fn heard(own: Result<&'static str, DisplayError>, machines: Machines) -> Result<Vec<&'static str>, String> {
        let (sender, ears) = channel();
        let ear = |name| Box::new(Ear(name, sender.clone())) as Box<dyn InputSink>;
        let mut sink = own_or_machines(own.map(ear), || machines.map(ear)).map_err(|error| error.to_string())?;
        sink.handle(&InputEvent::MouseRelative(RelativeMotion { dx: 1, dy: 1 }));
        sink.release_all();
        Ok(ears.try_iter().collect())
    }

    #[test]
    fn only_a_display_that_says_it_has_no_input_gets_that_of_the_machine() {
        let none = || Err(DisplayError::NoInput { backend: "x", reason: "none".to_owned() });
        let broken = || Err(DisplayError::Failed { backend: "x", reason: "broken".to_owned() });
        assert_eq!(heard(Ok("own"), Ok("machine")), Ok(vec!["own"]));
        assert_eq!(heard(none(), Ok("machine")), Ok(vec!["machine"]));
        assert_eq!(heard(broken(), Ok("machine")), Err("x failed: broken".to_owned()));
    }

    #[test]
    fn a_machine_without_devices_leaves_a_session_to_look_at() {
        let none = Err(DisplayError::NoInput { backend: "x", reason: "none".to_owned() });
        assert_eq!(heard(none, Err(KernelInputError::Denied(Node::Uinput))), Ok(vec![]));
    }
}
