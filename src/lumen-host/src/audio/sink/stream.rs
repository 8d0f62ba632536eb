//! The thread of a sink: it runs PipeWire's loop, fills the ring, and connects again when PipeWire went away.

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

use super::ring::Ring;

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

/// What the thread shares with the session.
#[derive(Debug)]
pub struct Shared {
    /// What is played.
    pub ring: Arc<Ring>,
    sink: Mutex<SinkState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct SinkState {
    made: bool,
    failure: Option<String>,
}

impl Shared {
    /// Nothing yet.
    pub fn new(ring: Ring) -> Self {
        Self { ring: Arc::new(ring), sink: Mutex::default(), changed: Condvar::new() }
    }

    /// Waits for the sink.
    ///
    /// # Errors
    /// The last failure, or that there was no answer.
    pub fn wait_until_made(&self, deadline: Instant) -> Result<(), String> {
        let mut state = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.made {
            let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else {
                return Err(state.failure.clone().unwrap_or_else(|| "no answer".to_owned()));
            };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    fn set(&self, made: bool, failure: Option<String>) {
        let mut state = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        state.made = made;
        state.failure = failure.or(state.failure.take());
        self.changed.notify_all();
    }
}

/// Ends the thread.
pub struct Stop(Sender<()>);

impl Stop {
    pub fn stop(&self) {
        let _ = self.0.send(());
    }
}

impl std::fmt::Debug for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stop")
    }
}

/// Starts the thread.
pub fn start(
    name: String,
    remote: Remote,
    channels: u8,
    shared: Arc<Shared>,
) -> std::io::Result<(Stop, JoinHandle<()>)> {
    let (sender, receiver) = pipewire::channel::channel();
    let thread = std::thread::Builder::new().name("sink".into()).spawn(move || {
        let sink = SinkThread { name, remote, channels, shared };
        if let Err(error) = sink.run(receiver) {
            tracing::warn!(sink = sink.name, %error, "the session has no sound: PipeWire cannot be used");
            sink.shared.set(false, Some(error.to_string()));
        }
    })?;
    Ok((Stop(sender), thread))
}

struct SinkThread {
    name: String,
    remote: Remote,
    channels: u8,
    shared: Arc<Shared>,
}

impl SinkThread {
    fn run(&self, stop: Receiver<()>) -> Result<(), pipewire::Error> {
        pipewire::init();
        let main_loop = MainLoopRc::new(None)?;
        let stopped = std::rc::Rc::new(std::cell::Cell::new(false));
        let _stop = stop.attach(main_loop.loop_(), {
            let (main_loop, stopped) = (main_loop.clone(), std::rc::Rc::clone(&stopped));
            move |()| {
                stopped.set(true);
                main_loop.quit();
            }
        });
        while !stopped.get() {
            // A context of its own each time: what a lost connection leaves in one is not used again.
            let context = ContextRc::new(&main_loop, None)?;
            if let Err(error) = self.play(&main_loop, &context) {
                self.shared.set(false, Some(error.to_string()));
            }
            self.shared.ring.clear();
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

    /// Serves the sink until PipeWire goes away, or the loop is told to end.
    fn play(&self, main_loop: &MainLoopRc, context: &ContextRc) -> Result<(), pipewire::Error> {
        let core = self.remote.connect(context)?;
        let _errors = core
            .add_listener_local()
            .error({
                let (shared, main_loop, sink) = (Arc::clone(&self.shared), main_loop.clone(), self.name.clone());
                move |id, _, code, message| {
                    if id == pipewire::core::PW_ID_CORE {
                        tracing::warn!(sink, code, message, "PipeWire is gone: silence until it is back");
                        shared.set(false, Some(message.to_owned()));
                        main_loop.quit();
                    }
                }
            })
            .register();
        let positions: Vec<&str> = POSITIONS[..self.channels.into()].iter().map(|(_, name)| *name).collect();
        let stream = StreamRc::new(
            core.clone(),
            &self.name,
            properties! {
                *keys::MEDIA_CLASS => "Audio/Sink",
                *keys::NODE_NAME => self.name.clone(),
                *keys::NODE_DESCRIPTION => self.name.clone(),
                *keys::NODE_LATENCY => LATENCY,
                *keys::NODE_VIRTUAL => "true",
                // Driven by the server's own clock. Without any other PipeWire lets a compositor's pictures drive it, and
                // there is sound only when something moves.
                *keys::NODE_GROUP => "pipewire.dummy",
                *keys::AUDIO_CHANNELS => self.channels.to_string(),
                "audio.position" => format!("[ {} ]", positions.join(" ")),
                // Real loudspeakers come first for everybody else.
                "priority.session" => "0",
            },
        )?;
        let _events = stream
            .add_local_listener_with_user_data(Arc::clone(&self.shared))
            .state_changed({
                let (main_loop, sink) = (main_loop.clone(), self.name.clone());
                move |_, shared, old, new| {
                    tracing::debug!(sink, ?old, ?new, "state of a sink");
                    match new {
                        StreamState::Paused | StreamState::Streaming => shared.set(true, None),
                        StreamState::Error(reason) => {
                            shared.set(false, Some(reason));
                            main_loop.quit();
                        }
                        StreamState::Unconnected if old != StreamState::Unconnected => main_loop.quit(),
                        StreamState::Unconnected | StreamState::Connecting => {}
                    }
                }
            })
            .process(process)
            .register()?;
        let format = self.format();
        let mut params: Vec<&Pod> = Pod::from_bytes(&format).into_iter().collect();
        stream.connect(Direction::Input, None, StreamFlags::AUTOCONNECT | StreamFlags::MAP_BUFFERS, &mut params)?;
        main_loop.run();
        Ok(())
    }

    fn format(&self) -> Vec<u8> {
        let mut info = AudioInfoRaw::new();
        info.set_format(AudioFormat::F32LE);
        info.set_rate(SAMPLE_RATE);
        info.set_channels(self.channels.into());
        let mut positions = info.position();
        for (position, (channel, _)) in positions.iter_mut().zip(&POSITIONS[..self.channels.into()]) {
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

fn process(stream: &Stream, shared: &mut Arc<Shared>) {
    while let Some(mut buffer) = stream.dequeue_buffer() {
        let Some(data) = buffer.datas_mut().first_mut() else { continue };
        let (start, size) = (data.chunk().offset() as usize, data.chunk().size() as usize);
        let Some(bytes) = data.data() else { continue };
        let bytes = bytes.get(start..start.saturating_add(size).min(bytes.len())).unwrap_or_default();
        shared.ring.write(
            bytes.chunks_exact(4).map(|sample| f32::from_le_bytes([sample[0], sample[1], sample[2], sample[3]])),
        );
    }
}
