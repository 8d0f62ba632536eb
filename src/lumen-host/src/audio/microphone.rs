//! The microphone of a session's client: a source of its own in PipeWire, from which the session's programs record. What
//! comes over the network waits in a short buffer, is decoded at the pace at which programs record, and is heard by nobody
//! while nobody records. The source stays for as long as its session, silent while the client is away.

#[cfg_attr(not(feature = "pipewire"), expect(dead_code, reason = "without PipeWire nobody listens"))]
mod jitter;
#[cfg(feature = "pipewire")]
mod voice;

use std::sync::{Arc, Mutex, PoisonError};

#[cfg(feature = "pipewire")]
use crate::mediaserver::Remote;
use jitter::Jitter;

/// How long PipeWire may take to make the source.
#[cfg(feature = "pipewire")]
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// Where packets of a microphone go.
#[derive(Debug, Clone, Default)]
pub struct MicrophoneInlet(Arc<Mutex<Jitter>>);

impl MicrophoneInlet {
    /// A packet of Opus arrived; numbers count packets and wrap. One that comes too late is dropped.
    pub fn put(&self, number: u32, packet: &[u8]) {
        // Held for the copy of a packet.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(number, packet);
    }

    /// Another stream begins, with numbers of its own.
    pub fn begin_anew(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// The name of the source of `session`, by which programs are sent to it.
pub fn name_of(session: &str) -> String {
    format!("lumen-{session}-microphone")
}

/// Variables that make programs record from the source of `session` once it is there, and from what they would have
/// recorded from until then.
pub fn environment(session: &str) -> Vec<(String, String)> {
    vec![("PULSE_SOURCE".to_owned(), name_of(session))]
}

/// See the module. Dropping it removes the source.
#[cfg(feature = "pipewire")]
#[derive(Debug)]
pub struct Microphone {
    inlet: MicrophoneInlet,
    node: super::node::Node,
}

#[cfg(feature = "pipewire")]
impl Microphone {
    /// Begins to make the source of `session` in `remote`. `client` is whose microphone it is, for people who choose among
    /// several.
    ///
    /// # Errors
    /// If there is no memory or no thread for it. What PipeWire has against it is logged.
    pub fn open(session: &str, client: &str, remote: &Remote) -> anyhow::Result<Self> {
        use super::node::{Class, Node, NodeSpec};
        let inlet = MicrophoneInlet::default();
        let voice = voice::Voice::new(Arc::clone(&inlet.0))?;
        let description = format!("Microphone of {client}");
        let spec = NodeSpec { name: name_of(session), description, class: Class::Source, channels: 1 };
        Ok(Self { inlet, node: Node::start(spec, remote.clone(), Recorded(voice))? })
    }

    /// Waits until programs can record from it, or gives up.
    ///
    /// # Errors
    /// What PipeWire has against it, or that there was no answer.
    pub fn wait_until_made(&self) -> anyhow::Result<()> {
        self.node.presence().wait_until_made(std::time::Instant::now() + PATIENCE).map_err(anyhow::Error::msg)
    }

    /// Where the client's packets go.
    pub fn inlet(&self) -> MicrophoneInlet {
        self.inlet.clone()
    }
}

/// Gives out what was said.
#[cfg(feature = "pipewire")]
struct Recorded(voice::Voice);

#[cfg(feature = "pipewire")]
impl super::node::Sound for Recorded {
    fn process(&mut self, stream: &pipewire::stream::Stream) {
        let Some(mut buffer) = stream.dequeue_buffer() else { return };
        let wanted = usize::try_from(buffer.requested()).unwrap_or(usize::MAX).saturating_mul(size_of::<f32>());
        let Some(data) = buffer.datas_mut().first_mut() else { return };
        let Some(bytes) = data.data() else { return };
        let whole = bytes.len() - bytes.len() % size_of::<f32>();
        let length = if wanted == 0 { whole } else { wanted.min(whole) };
        self.0.fill(&mut bytes[..length]);
        let chunk = data.chunk_mut();
        *chunk.offset_mut() = 0;
        *chunk.stride_mut() = size_of::<f32>() as i32;
        *chunk.size_mut() = u32::try_from(length).unwrap_or(0);
    }

    fn gone(&mut self) {}
}
