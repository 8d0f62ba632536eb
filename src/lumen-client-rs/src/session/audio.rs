//! Audio: one thread receives, repairs, decodes and listens.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use lumen_core::gamestream::audio::{AudioDropReason, AudioEvent, AudioReceiver, AudioReceiverConfig};
use lumen_core::time::Timestamp;
use lumen_opus::{Decoder, Layout, PacketDuration};

use super::sockets::{Pings, receive};
use super::state::Shared;
use crate::error::ClientError;
use crate::loss::Lossy;
use crate::record::AudioRecorder;

/// Longest wait for a datagram, so that the end is seen.
const MAX_WAIT: Duration = Duration::from_millis(50);
/// Lost packets in a row for which sound is made up; after that it would only be noise.
const MAX_CONCEALED: u16 = 20;

/// What audio needs to know.
pub struct AudioSetup {
    pub socket: UdpSocket,
    pub pings: Pings,
    pub receiver: AudioReceiverConfig,
    pub layout: Layout,
    pub packet_ms: u8,
    pub loss: Lossy,
    pub recorder: Option<AudioRecorder>,
}

/// Starts the thread; pings begin at once.
pub fn start(shared: &Arc<Shared>, setup: AudioSetup) -> Result<JoinHandle<()>, ClientError> {
    let local = |error: &dyn std::fmt::Display| ClientError::local("cannot start audio", error);
    let duration = PacketDuration::from_millis(u32::from(setup.packet_ms))
        .ok_or_else(|| ClientError::Usage(format!("packets of sound last 5 or 10 ms, not {}", setup.packet_ms)))?;
    let decoder = Decoder::new(&setup.layout).map_err(|error| local(&error))?;
    shared.lock().analysis.sound.set_channels(setup.layout.channels());
    let thread = Audio {
        shared: Arc::clone(shared),
        socket: setup.socket,
        pings: setup.pings,
        receiver: AudioReceiver::new(setup.receiver),
        decoder,
        duration,
        packet_ms: setup.packet_ms,
        loss: setup.loss,
        recorder: setup.recorder,
        last_packet: None,
    };
    std::thread::Builder::new().name("audio".into()).spawn(move || thread.run()).map_err(|error| local(&error))
}

struct Audio {
    shared: Arc<Shared>,
    socket: UdpSocket,
    pings: Pings,
    receiver: AudioReceiver,
    decoder: Decoder,
    duration: PacketDuration,
    packet_ms: u8,
    loss: Lossy,
    recorder: Option<AudioRecorder>,
    last_packet: Option<Timestamp>,
}

impl Audio {
    fn run(mut self) {
        let mut buffer = vec![0; 4096];
        while !self.shared.stopping() {
            let now = self.shared.clock.now();
            let mut wait = self.pings.send_if_due(&self.socket, now).min(MAX_WAIT);
            if let Some(deadline) = self.receiver.deadline() {
                wait = wait.min(deadline.saturating_since(now));
            }
            match receive(&self.socket, &mut buffer, wait) {
                Ok(Some(length)) => self.datagram(&buffer[..length]),
                Ok(None) => self.receiver.handle_timeout(self.shared.clock.now()),
                Err(error) => return self.shared.fail(ClientError::local("cannot receive audio", error)),
            }
            if let Err(error) = self.drain() {
                return self.shared.fail(error);
            }
        }
        if let Some(recorder) = self.recorder.take()
            && let Err(error) = recorder.finish()
        {
            self.shared.fail(error);
        }
    }

    fn datagram(&mut self, datagram: &[u8]) {
        let now = self.shared.clock.now();
        let counters = &self.shared.audio_datagrams;
        if counters.received.load(Ordering::Relaxed) == 0 {
            self.shared.lock().analysis.moments.first_audio_datagram = Some(now);
        }
        counters.arrived(datagram.len());
        if self.loss.takes() {
            counters.withheld.fetch_add(1, Ordering::Relaxed);
            return;
        }
        match self.receiver.receive(datagram, now) {
            Ok(()) => {}
            Err(AudioDropReason::Late | AudioDropReason::Duplicate | AudioDropReason::NotStarted) => {
                counters.surplus.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                counters.malformed.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(%error, "an audio datagram was dropped");
            }
        }
    }

    fn drain(&mut self) -> Result<(), ClientError> {
        while let Some(event) = self.receiver.poll() {
            let now = self.shared.clock.now();
            match event {
                AudioEvent::Packet { opus, recovered, .. } => {
                    let decoded = self.decoder.decode(&opus, self.duration);
                    let mut state = self.shared.lock();
                    state.audio.recovered += u64::from(recovered);
                    match decoded {
                        Ok(samples) => {
                            state.audio.packets += 1;
                            if let Some(last) = self.last_packet.replace(now) {
                                state.audio.interval.add(now.saturating_since(last).as_micros() as i64);
                            }
                            state.analysis.sound_decoded(samples, now);
                            drop(state);
                            if let Some(recorder) = &mut self.recorder {
                                recorder.write(samples)?;
                            }
                        }
                        Err(error) => {
                            state.audio.decode_errors += 1;
                            tracing::debug!(%error, "a packet of sound could not be decoded");
                        }
                    }
                }
                AudioEvent::Lost { count, .. } => {
                    let mut state = self.shared.lock();
                    state.audio.lost += u64::from(count);
                    state.audio.gaps += 1;
                    let gap = u64::from(count) * u64::from(self.packet_ms);
                    state.audio.longest_gap = state.audio.longest_gap.max(gap);
                    drop(state);
                    for _ in 0..count.min(MAX_CONCEALED) {
                        let Ok(samples) = self.decoder.conceal(self.duration) else { break };
                        self.shared.lock().analysis.sound_decoded(samples, now);
                        if let Some(recorder) = &mut self.recorder {
                            recorder.write(samples)?;
                        }
                    }
                }
            }
        }
        self.shared.changed();
        Ok(())
    }
}
