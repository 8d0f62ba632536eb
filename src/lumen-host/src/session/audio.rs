//! Audio of one stream: one thread reads the session's sound on an absolute schedule, encodes and sends it.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lumen_core::crypto::CbcKey;
use lumen_core::gamestream::audio::{
    AudioConfig, AudioEncryption, AudioFec, AudioPacketizer, PacketDuration as WireDuration,
};
use lumen_opus::{Encoder, EncoderConfig, Layout, PacketDuration};

use crate::audio::AudioSource;
use crate::link::{AudioParams, StreamSpec};
use crate::net::pacer::{Class, Sleeper};
use crate::net::sockets::{Dscp, Traffic, mark};

use super::lumen1::SoundOutlet;
use super::stats::StreamStats;

/// A thread that fell behind by more than this starts over with the present sound instead of sending old sound in a
/// burst.
const MAX_LAG: Duration = Duration::from_millis(60);

/// A running audio stream. Dropping it stops its thread.
#[derive(Debug)]
pub struct AudioStream {
    stop: Arc<AtomicBool>,
    /// None if something else sends.
    new_sockets: Option<mpsc::Sender<UdpSocket>>,
    thread: Option<JoinHandle<()>>,
}

impl AudioStream {
    /// Starts to send `source`'s sound over `socket`.
    ///
    /// # Errors
    /// If the encoder cannot be opened with these parameters, or no thread be started.
    pub fn start(
        spec: &StreamSpec,
        source: Box<dyn AudioSource>,
        socket: UdpSocket,
        stats: Arc<StreamStats>,
    ) -> anyhow::Result<Self> {
        let params = &spec.audio;
        let packetizer = AudioPacketizer::new(AudioConfig {
            packet_duration: WireDuration::from_millis(params.packet_duration_ms)
                .ok_or_else(|| anyhow::anyhow!("the protocol has no packets of {} ms", params.packet_duration_ms))?,
            encryption: params
                .encrypted
                .then(|| AudioEncryption { key: CbcKey::new(&spec.key.0), key_id: spec.key_id.cast_signed() }),
            fec: AudioFec::On,
        });
        mark(&socket, Traffic::Audio, params.dscp);
        socket.set_nonblocking(true)?;
        let (new_sockets, sockets) = mpsc::channel();
        let output = Output::GameStream(Box::new(GameStream { packetizer, socket, sockets, dscp: params.dscp, stats }));
        let mut stream = Self::run(spec, source, output)?;
        stream.new_sockets = Some(new_sockets);
        Ok(stream)
    }

    /// Starts to send `source`'s sound over lumen/1.
    ///
    /// # Errors
    /// If the encoder cannot be opened with these parameters, or no thread be started.
    pub fn over_lumen1(spec: &StreamSpec, source: Box<dyn AudioSource>, sound: SoundOutlet) -> anyhow::Result<Self> {
        Self::run(spec, source, Output::Lumen1 { sound, timestamp: 0 })
    }

    fn run(spec: &StreamSpec, source: Box<dyn AudioSource>, output: Output) -> anyhow::Result<Self> {
        let params = spec.audio.clone();
        let duration = PacketDuration::from_millis(params.packet_duration_ms.into())
            .ok_or_else(|| anyhow::anyhow!("Opus has no packets of {} ms", params.packet_duration_ms))?;
        let encoder = Encoder::new(&EncoderConfig {
            layout: Layout::new(params.streams, params.coupled, &params.mapping)?,
            bitrate_bps: params.bitrate_bps,
            duration,
            complexity: params.complexity,
        })?;
        let stop = Arc::new(AtomicBool::new(false));
        let class = Class::wanted(spec.realtime);
        let thread = AudioThread { class, params, source, encoder, output, stop: Arc::clone(&stop) };
        let thread = std::thread::Builder::new().name("audio".into()).spawn(move || thread.run())?;
        Ok(Self { stop, new_sockets: None, thread: Some(thread) })
    }

    /// The client's address changed: send through this socket from now on.
    pub fn replace_socket(&self, socket: UdpSocket) {
        if let Some(new_sockets) = &self.new_sockets {
            let _ = new_sockets.send(socket);
        }
    }
}

impl Drop for AudioStream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What takes encoded sound to the client.
enum Output {
    GameStream(Box<GameStream>),
    Lumen1 { sound: SoundOutlet, timestamp: u32 },
}

struct GameStream {
    packetizer: AudioPacketizer,
    socket: UdpSocket,
    sockets: mpsc::Receiver<UdpSocket>,
    dscp: Dscp,
    stats: Arc<StreamStats>,
}

impl GameStream {
    fn send(&mut self, packet: &[u8]) {
        while let Ok(socket) = self.sockets.try_recv() {
            mark(&socket, Traffic::Audio, self.dscp);
            if socket.set_nonblocking(true).is_ok() {
                self.socket = socket;
            }
        }
        match self.packetizer.push(packet) {
            Ok(datagrams) => {
                for datagram in datagrams.iter() {
                    // A datagram that does not leave is lost, as any may be.
                    let _ = self.socket.send(datagram);
                }
                self.stats.update(|s| s.audio_packets += 1);
            }
            Err(error) => tracing::warn!(%error, "a packet of sound was not sent"),
        }
    }
}

struct AudioThread {
    class: Class,
    params: AudioParams,
    source: Box<dyn AudioSource>,
    encoder: Encoder,
    output: Output,
    stop: Arc<AtomicBool>,
}

impl AudioThread {
    fn run(mut self) {
        let sleeper = Sleeper::for_this_thread(self.class);
        let step = Duration::from_millis(self.params.packet_duration_ms.into());
        let samples_per_packet = u32::from(self.params.packet_duration_ms) * 48;
        let mut samples = vec![0.0; self.encoder.packet_samples()];
        let mut tick = Instant::now();
        while !self.stop.load(Ordering::Relaxed) {
            self.source.read(tick, &mut samples);
            match self.encoder.encode(&samples) {
                Ok(packet) => match &mut self.output {
                    Output::GameStream(stream) => stream.send(packet),
                    Output::Lumen1 { sound, timestamp } => {
                        sound.put(packet, *timestamp);
                        *timestamp = timestamp.wrapping_add(samples_per_packet);
                    }
                },
                Err(error) => tracing::warn!(%error, "a packet of sound was not encoded"),
            }
            tick += step;
            let now = Instant::now();
            if now.saturating_duration_since(tick) > MAX_LAG {
                tick = now;
            }
            sleeper.until(tick);
        }
    }
}
