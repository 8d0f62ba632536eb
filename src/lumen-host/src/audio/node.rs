//! A node of ours in PipeWire, that programs take for a device: a loudspeaker or a microphone. One thread runs PipeWire's
//! loop, moves the sound, and connects again when PipeWire went away.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pipewire::channel::{Receiver, Sender};
use pipewire::context::ContextRc;
use pipewire::keys;
use pipewire::main_loop::MainLoopRc;
use pipewire::properties::properties;
use pipewire::spa::param::ParamType;
use pipewire::spa::param::audio::{AudioFormat, AudioInfoRaw};
use pipewire::spa::pod::serialize::PodSerializer;
use pipewire::spa::pod::{Object, Pod, Value};
use pipewire::spa::sys;
use pipewire::spa::utils::{Direction, SpaTypes};
use pipewire::stream::{Stream, StreamFlags, StreamRc, StreamState};

use crate::audio::SAMPLE_RATE;
use crate::mediaserver::Remote;

/// How long after a failure PipeWire is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// Sound that PipeWire hands over at a time, if it follows the wish.
const LATENCY: &str = "480/48000";

/// Channels by their number, in the order of [`AudioSource`](crate::audio::AudioSource).
const POSITIONS: [(u32, &str); 8] = [
    (sys::SPA_AUDIO_CHANNEL_FL, "FL"),
    (sys::SPA_AUDIO_CHANNEL_FR, "FR"),
    (sys::SPA_AUDIO_CHANNEL_FC, "FC"),
    (sys::SPA_AUDIO_CHANNEL_LFE, "LFE"),
    (sys::SPA_AUDIO_CHANNEL_RL, "RL"),
    (sys::SPA_AUDIO_CHANNEL_RR, "RR"),
    (sys::SPA_AUDIO_CHANNEL_SL, "SL"),
    (sys::SPA_AUDIO_CHANNEL_SR, "SR"),
];

/// That of a single channel.
const MONO: [(u32, &str); 1] = [(sys::SPA_AUDIO_CHANNEL_MONO, "MONO")];

/// What a node is to the programs that see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Programs play to it.
    Sink,
    /// Programs record from it.
    Source,
}

/// What is to be made.
#[derive(Debug, Clone)]
pub struct NodeSpec {
    /// Its name, by which programs are sent to it.
    pub name: String,
    /// What people read.
    pub description: String,
    pub class: Class,
    /// 1, 2, 6 or 8.
    pub channels: u8,
}

/// What moves the sound of a node, on PipeWire's thread.
pub trait Sound: Send + 'static {
    /// PipeWire has buffers with sound, or wants them with it.
    fn process(&mut self, stream: &Stream);

    /// PipeWire went away.
    fn gone(&mut self);
}

/// Whether the node is there.
#[derive(Debug, Default)]
pub struct Presence {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    made: bool,
    failure: Option<String>,
}

impl Presence {
    /// Waits for the node.
    ///
    /// # Errors
    /// The last failure, or that there was no answer.
    pub fn wait_until_made(&self, deadline: Instant) -> Result<(), String> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.made {
            let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else {
                return Err(state.failure.clone().unwrap_or_else(|| "no answer".to_owned()));
            };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    fn set(&self, made: bool, failure: Option<String>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.made = made;
        state.failure = failure.or(state.failure.take());
        self.changed.notify_all();
    }
}

/// A running node. Dropping it removes it.
pub struct Node {
    presence: Arc<Presence>,
    stop: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("presence", &self.presence).finish_non_exhaustive()
    }
}

impl Node {
    /// Begins to make it in `remote`.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start(spec: NodeSpec, remote: Remote, sound: impl Sound) -> std::io::Result<Self> {
        let (stop, stopped) = pipewire::channel::channel();
        let presence = Arc::<Presence>::default();
        let name = match spec.class {
            Class::Sink => "sink",
            Class::Source => "microphone",
        };
        let shared = Arc::clone(&presence);
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            let thread = NodeThread { spec, remote, presence: shared, sound: Rc::new(RefCell::new(sound)) };
            if let Err(error) = thread.run(stopped) {
                tracing::warn!(node = thread.spec.name, %error, "the session has no such sound: PipeWire cannot be used");
                thread.presence.set(false, Some(error.to_string()));
            }
        })?;
        Ok(Self { presence, stop, thread: Some(thread) })
    }

    /// Whether it is there.
    pub fn presence(&self) -> &Presence {
        &self.presence
    }

    /// Removes it.
    pub fn close(&mut self) {
        let _ = self.stop.send(());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.close();
    }
}

struct NodeThread<S> {
    spec: NodeSpec,
    remote: Remote,
    presence: Arc<Presence>,
    sound: Rc<RefCell<S>>,
}

impl<S: Sound> NodeThread<S> {
    fn run(&self, stop: Receiver<()>) -> Result<(), pipewire::Error> {
        pipewire::init();
        let main_loop = MainLoopRc::new(None)?;
        let stopped = Rc::new(Cell::new(false));
        let _stop = stop.attach(main_loop.loop_(), {
            let (main_loop, stopped) = (main_loop.clone(), Rc::clone(&stopped));
            move |()| {
                stopped.set(true);
                main_loop.quit();
            }
        });
        while !stopped.get() {
            // A context of its own each time: what a lost connection leaves in one is not used again.
            let context = ContextRc::new(&main_loop, None)?;
            if let Err(error) = self.serve(&main_loop, &context) {
                self.presence.set(false, Some(error.to_string()));
            }
            self.sound.borrow_mut().gone();
            drop(context);
            if stopped.get() {
                break;
            }
            let wake = main_loop.loop_().add_timer({
                let main_loop = main_loop.clone();
                move |_| main_loop.quit()
            });
            wake.update_timer(Some(RETRY_INTERVAL), None);
            main_loop.run();
        }
        Ok(())
    }

    /// Serves the node until PipeWire goes away, or the loop is told to end.
    fn serve(&self, main_loop: &MainLoopRc, context: &ContextRc) -> Result<(), pipewire::Error> {
        let core = self.remote.connect(context)?;
        let _errors = core
            .add_listener_local()
            .error({
                let (presence, main_loop) = (Arc::clone(&self.presence), main_loop.clone());
                let node = self.spec.name.clone();
                move |id, _, code, message| {
                    if id == pipewire::core::PW_ID_CORE {
                        tracing::warn!(node, code, message, "PipeWire is gone: silence until it is back");
                        presence.set(false, Some(message.to_owned()));
                        main_loop.quit();
                    }
                }
            })
            .register();
        let spec = &self.spec;
        let (class, direction) = match spec.class {
            Class::Sink => ("Audio/Sink", Direction::Input),
            Class::Source => ("Audio/Source", Direction::Output),
        };
        let positions: Vec<&str> = self.positions().iter().map(|(_, name)| *name).collect();
        let stream = StreamRc::new(
            core.clone(),
            &spec.name,
            properties! {
                *keys::MEDIA_CLASS => class,
                *keys::NODE_NAME => spec.name.clone(),
                *keys::NODE_DESCRIPTION => spec.description.clone(),
                *keys::NODE_LATENCY => LATENCY,
                *keys::NODE_VIRTUAL => "true",
                // Driven by the server's own clock. Without any other PipeWire lets a compositor's pictures drive it, and
                // there is sound only when something moves.
                *keys::NODE_GROUP => "pipewire.dummy",
                *keys::AUDIO_CHANNELS => spec.channels.to_string(),
                "audio.position" => format!("[ {} ]", positions.join(" ")),
                // Real devices come first for everybody else.
                "priority.session" => "0",
            },
        )?;
        let _events = stream
            .add_local_listener_with_user_data((Arc::clone(&self.presence), Rc::clone(&self.sound)))
            .state_changed({
                let (main_loop, node) = (main_loop.clone(), spec.name.clone());
                move |_, (presence, _), old, new| {
                    tracing::debug!(node, ?old, ?new, "state of a node");
                    match new {
                        StreamState::Paused | StreamState::Streaming => presence.set(true, None),
                        StreamState::Error(reason) => {
                            presence.set(false, Some(reason));
                            main_loop.quit();
                        }
                        StreamState::Unconnected if old != StreamState::Unconnected => main_loop.quit(),
                        StreamState::Unconnected | StreamState::Connecting => {}
                    }
                }
            })
            .process(|stream, (_, sound)| sound.borrow_mut().process(stream))
            .register()?;
        let format = self.format();
        let mut params: Vec<&Pod> = Pod::from_bytes(&format).into_iter().collect();
        stream.connect(direction, None, StreamFlags::AUTOCONNECT | StreamFlags::MAP_BUFFERS, &mut params)?;
        main_loop.run();
        Ok(())
    }

    fn positions(&self) -> &'static [(u32, &'static str)] {
        match self.spec.channels {
            1 => &MONO,
            channels => &POSITIONS[..channels.into()],
        }
    }

    fn format(&self) -> Vec<u8> {
        let mut info = AudioInfoRaw::new();
        info.set_format(AudioFormat::F32LE);
        info.set_rate(SAMPLE_RATE);
        info.set_channels(self.spec.channels.into());
        let mut positions = info.position();
        for (position, (channel, _)) in positions.iter_mut().zip(self.positions()) {
            *position = *channel;
        }
        info.set_position(positions);
        let format = Object {
            type_: SpaTypes::ObjectParamFormat.as_raw(),
            id: ParamType::EnumFormat.as_raw(),
            properties: info.into(),
        };
        let bytes = PodSerializer::serialize(std::io::Cursor::new(Vec::new()), &Value::Object(format));
        // Writing to memory does not fail; an empty parameter is one that nobody takes.
        bytes.map(|(bytes, _)| bytes.into_inner()).unwrap_or_default()
    }
}
