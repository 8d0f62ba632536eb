//! Packets of sound to samples, whichever protocol brought them: decodes, fills gaps, listens and records.

use std::sync::Arc;

use lumen_core::time::Timestamp;
use lumen_opus::{Decoder, Layout, PacketDuration};

use super::state::Shared;
use crate::error::ClientError;
use crate::record::AudioRecorder;

/// Lost packets in a row for which sound is made up; after that it would only be noise.
const MAX_CONCEALED: u64 = 20;

/// Listens to the sound of a session.
pub struct Listener {
    shared: Arc<Shared>,
    decoder: Decoder,
    duration: PacketDuration,
    packet_ms: u8,
    recorder: Option<AudioRecorder>,
    last_packet: Option<Timestamp>,
}

impl Listener {
    /// Opens a decoder for packets of so many milliseconds.
    pub fn new(
        shared: &Arc<Shared>,
        layout: &Layout,
        packet_ms: u8,
        recorder: Option<AudioRecorder>,
    ) -> Result<Self, ClientError> {
        let duration = PacketDuration::from_millis(u32::from(packet_ms))
            .ok_or_else(|| ClientError::Usage(format!("packets of sound last 5 or 10 ms, not {packet_ms}")))?;
        let decoder = Decoder::new(layout).map_err(|error| ClientError::local("cannot start audio", error))?;
        shared.lock().analysis.sound.set_channels(layout.channels());
        Ok(Self { shared: Arc::clone(shared), decoder, duration, packet_ms, recorder, last_packet: None })
    }

    /// The next packet, `recovered` if it was rebuilt or came with a later one.
    pub fn packet(&mut self, opus: &[u8], recovered: bool) -> Result<(), ClientError> {
        let now = self.shared.clock.now();
        let decoded = self.decoder.decode(opus, self.duration);
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
        Ok(())
    }

    /// So many packets are lost.
    pub fn lost(&mut self, count: u64) -> Result<(), ClientError> {
        let now = self.shared.clock.now();
        let mut state = self.shared.lock();
        state.audio.lost += count;
        state.audio.gaps += 1;
        let gap = count * u64::from(self.packet_ms);
        state.audio.longest_gap = state.audio.longest_gap.max(gap);
        drop(state);
        for _ in 0..count.min(MAX_CONCEALED) {
            let Ok(samples) = self.decoder.conceal(self.duration) else { break };
            self.shared.lock().analysis.sound_decoded(samples, now);
            if let Some(recorder) = &mut self.recorder {
                recorder.write(samples)?;
            }
        }
        Ok(())
    }

    /// Nothing follows.
    pub fn finish(&mut self) {
        if let Some(recorder) = self.recorder.take()
            && let Err(error) = recorder.finish()
        {
            self.shared.fail(error);
        }
    }
}
