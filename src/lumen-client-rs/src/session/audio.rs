//! Audio over GameStream: one thread receives, repairs, decodes and listens.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use super::listener::Listener;
use super::sockets::{Pings, receive};
use super::state::Shared;
use crate::error::ClientError;
use crate::loss::Lossy;
use lumen_core::gamestream::audio::{AudioDropReason, AudioEvent, AudioReceiver, AudioReceiverConfig};

/// Longest wait for a datagram, so that the end is seen.
const MAX_WAIT: Duration = Duration::from_millis(50);

/// What audio needs to know.
pub struct AudioSetup {
    pub socket: UdpSocket,
    pub pings: Pings,
    pub receiver: AudioReceiverConfig,
    pub loss: Lossy,
    pub listener: Listener,
}

/// Starts the thread; pings begin at once.
pub fn start(shared: &Arc<Shared>, setup: AudioSetup) -> Result<JoinHandle<()>, ClientError> {
    let thread = Audio {
        shared: Arc::clone(shared),
        socket: setup.socket,
        pings: setup.pings,
        receiver: AudioReceiver::new(setup.receiver),
        loss: setup.loss,
        listener: setup.listener,
    };
    let handle = std::thread::Builder::new().name("audio".into()).spawn(move || thread.run());
    handle.map_err(|error| ClientError::local("cannot start audio", error))
}

struct Audio {
    shared: Arc<Shared>,
    socket: UdpSocket,
    pings: Pings,
    receiver: AudioReceiver,
    loss: Lossy,
    listener: Listener,
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
        self.listener.finish();
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
            match event {
                AudioEvent::Packet { opus, recovered, .. } => self.listener.packet(&opus, recovered)?,
                AudioEvent::Lost { count, .. } => self.listener.lost(count.into())?,
            }
        }
        self.shared.changed();
        Ok(())
    }
}
