//! The sound of one session: a sink of its own in PipeWire, to which the session's programs play and nobody else. It
//! is a stream of ours that the session manager takes for a loudspeaker; what is played to it waits in a short ring
//! for the encoder. It outlives its PipeWire: while that is away there is silence, and when it is back so is the sink.

mod ring;

use std::sync::Arc;
use std::time::{Duration, Instant};

use pipewire::stream::Stream;

use crate::mediaserver::Remote;

use super::AudioSource;
use super::node::{Class, Node, NodeSpec, Sound};
use ring::Ring;

/// How long PipeWire may take to make the sink.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a session has no sound.
#[derive(Debug, thiserror::Error)]
pub enum SoundError {
    /// The number of channels is none of those that clients play.
    #[error("a sink cannot have {0} channels, only 2, 6 or 8")]
    Channels(u8),
    /// No thread could be started.
    #[error("the session's sink cannot be made: {0}")]
    Thread(#[from] std::io::Error),
    /// PipeWire did not make the sink.
    #[error("PipeWire did not make the sink {name}: {reason}; check that wireplumber runs")]
    NotMade {
        /// Name of the sink.
        name: String,
        /// What it said, or that it said nothing.
        reason: String,
    },
}

/// See the module. Dropping it removes the sink.
#[derive(Debug)]
pub struct SessionSound {
    name: String,
    remote: Remote,
    sink: Sink,
}

impl SessionSound {
    /// Makes the sink of `session` in `remote`, with 2, 6 or 8 channels.
    ///
    /// # Errors
    /// If PipeWire does not make it in time.
    pub fn open(session: &str, remote: &Remote, channels: u8) -> Result<Self, SoundError> {
        let name = format!("lumen-{session}");
        let sink = Sink::open(&name, remote, channels)?;
        Ok(Self { name, remote: remote.clone(), sink })
    }

    /// Name of the sink.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Variables that send what programs play to this sink.
    pub fn environment(&self) -> Vec<(String, String)> {
        ["PULSE_SINK", "PIPEWIRE_NODE"].map(|variable| (variable.to_owned(), self.name.clone())).into()
    }

    /// What is played. A number of channels other than before makes the sink anew: programs move to it, and earlier
    /// sources fall silent.
    ///
    /// # Errors
    /// If PipeWire does not make the sink in time; the old one is gone then.
    pub fn source(&mut self, channels: u8) -> Result<Box<dyn AudioSource>, SoundError> {
        if self.sink.channels != channels {
            self.sink.node.close();
            self.sink = Sink::open(&self.name, &self.remote, channels)?;
        }
        Ok(Box::new(SinkSource { ring: Arc::clone(&self.sink.ring), channels }))
    }
}

#[derive(Debug)]
struct Sink {
    channels: u8,
    ring: Arc<Ring>,
    node: Node,
}

impl Sink {
    fn open(name: &str, remote: &Remote, channels: u8) -> Result<Self, SoundError> {
        if !matches!(channels, 2 | 6 | 8) {
            return Err(SoundError::Channels(channels));
        }
        let ring = Arc::new(Ring::new(channels.into()));
        let spec = NodeSpec { name: name.to_owned(), description: name.to_owned(), class: Class::Sink, channels };
        let node = Node::start(spec, remote.clone(), Played(Arc::clone(&ring)))?;
        let made = node.presence().wait_until_made(Instant::now() + PATIENCE);
        made.map_err(|reason| SoundError::NotMade { name: name.to_owned(), reason })?;
        Ok(Self { channels, ring, node })
    }
}

/// Fills the ring with what is played.
struct Played(Arc<Ring>);

impl Sound for Played {
    fn process(&mut self, stream: &Stream) {
        while let Some(mut buffer) = stream.dequeue_buffer() {
            let Some(data) = buffer.datas_mut().first_mut() else { continue };
            let (start, size) = (data.chunk().offset() as usize, data.chunk().size() as usize);
            let Some(bytes) = data.data() else { continue };
            let bytes = bytes.get(start..start.saturating_add(size).min(bytes.len())).unwrap_or_default();
            self.0.write(
                bytes.chunks_exact(4).map(|sample| f32::from_le_bytes([sample[0], sample[1], sample[2], sample[3]])),
            );
        }
    }

    fn gone(&mut self) {
        self.0.clear();
    }
}

struct SinkSource {
    ring: Arc<Ring>,
    channels: u8,
}

impl AudioSource for SinkSource {
    fn channels(&self) -> u8 {
        self.channels
    }

    fn read(&mut self, _at: Instant, samples: &mut [f32]) {
        self.ring.read(samples);
    }
}
