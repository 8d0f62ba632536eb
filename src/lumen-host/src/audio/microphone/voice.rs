//! From packets to samples, at the listener's pace.

use std::sync::{Arc, Mutex, PoisonError};

use lumen_core::lumen1::audio::MAX_FRAME_LEN;
use lumen_opus::{Decoder, Layout, OpusError, PacketDuration};

use super::jitter::{Jitter, Next};

/// See the module.
pub struct Voice {
    packets: Arc<Mutex<Jitter>>,
    decoder: Decoder,
    /// How long the last packet was: as long is what is made up.
    duration: PacketDuration,
    packet: Vec<u8>,
    /// Samples that were decoded, and how many of them were heard.
    samples: Vec<f32>,
    heard: usize,
}

impl Voice {
    /// What `packets` hold, on one channel.
    ///
    /// # Errors
    /// If libopus has no memory.
    pub fn new(packets: Arc<Mutex<Jitter>>) -> Result<Self, OpusError> {
        let mono = const { Layout::new(1, 0, &[0]) };
        let decoder = Decoder::new(&mono.expect("one channel of one stream"))?;
        let samples = Vec::with_capacity(PacketDuration::Ms60.samples());
        let (duration, packet) = (PacketDuration::Ms10, Vec::with_capacity(MAX_FRAME_LEN));
        Ok(Self { packets, decoder, duration, packet, samples, heard: 0 })
    }

    /// The next samples, as bytes, least significant first. Neither waits nor asks for memory.
    pub fn fill(&mut self, wanted: &mut [u8]) {
        for place in wanted.chunks_exact_mut(size_of::<f32>()) {
            if self.heard == self.samples.len() {
                self.decode();
            }
            place.copy_from_slice(&self.samples[self.heard].to_le_bytes());
            self.heard += 1;
        }
    }

    /// Makes the next samples.
    fn decode(&mut self) {
        // Held for the copy of a packet.
        let next = self.packets.lock().unwrap_or_else(PoisonError::into_inner).take(&mut self.packet);
        let decoded = match next {
            // An empty packet is silence that was not encoded.
            Next::Packet if !self.packet.is_empty() => self
                .decoder
                .decode(&self.packet, PacketDuration::Ms60)
                .inspect_err(|error| tracing::trace!(%error, "a packet of the microphone"))
                .unwrap_or_default(),
            Next::Packet | Next::Lost => self.decoder.conceal(self.duration).unwrap_or_default(),
            Next::Silence => &[],
        };
        self.heard = 0;
        self.samples.clear();
        self.samples.extend_from_slice(decoded);
        match PacketDuration::from_samples(self.samples.len()) {
            Some(duration) => self.duration = duration,
            None if self.samples.is_empty() => self.samples.resize(self.duration.samples(), 0.0),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use lumen_opus::{Encoder, EncoderConfig};

    use super::*;

    fn samples(voice: &mut Voice, count: usize) -> Vec<f32> {
        let mut bytes = vec![1; count * 4];
        voice.fill(&mut bytes);
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    }

    fn loudness(samples: &[f32]) -> f32 {
        (samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32).sqrt()
    }

    /// Packets of a tone, of a sender with one channel or two.
    fn tone(duration: PacketDuration, mapping: &[u8], packets: usize) -> Vec<Vec<u8>> {
        let layout = Layout::new(1, mapping.len() as u8 - 1, mapping).expect("a layout");
        let mut encoder =
            Encoder::new(&EncoderConfig { layout, bitrate_bps: 64_000, duration, complexity: 5 }).expect("an encoder");
        let sample = |at: usize| ((at / mapping.len()) as f32 * 0.05).sin() * 0.5;
        let sound: Vec<f32> = (0..encoder.packet_samples() * packets).map(sample).collect();
        let packets = sound.chunks(encoder.packet_samples());
        packets.map(|packet| encoder.encode(packet).expect("it encodes").to_vec()).collect()
    }

    #[test]
    fn packets_of_any_length_and_channels_are_heard_and_gaps_are_made_up() {
        for (duration, mapping) in [(PacketDuration::Ms10, &[0][..]), (PacketDuration::Ms20, &[0, 1])] {
            let packets = Arc::new(Mutex::new(Jitter::default()));
            let mut voice = Voice::new(Arc::clone(&packets)).expect("a decoder");
            assert_eq!(loudness(&samples(&mut voice, 4800)), 0.0);
            let mut heard = Vec::new();
            for (number, packet) in (0..).zip(tone(duration, mapping, 30)) {
                if number % 10 != 9 {
                    packets.lock().expect("unpoisoned").put(number, &packet);
                }
                heard.extend(samples(&mut voice, duration.samples()));
            }
            let steady = &heard[heard.len() / 2..];
            for part in steady.chunks(480) {
                assert!((0.15..0.5).contains(&loudness(part)), "{duration:?}: {}", loudness(part));
            }
            // Nothing comes any more: what is made up fades, and then there is silence.
            samples(&mut voice, 48_000);
            assert_eq!(loudness(&samples(&mut voice, 4800)), 0.0);
        }
    }

    #[test]
    fn garbage_and_empty_packets_are_no_sound_and_no_end() {
        let packets = Arc::new(Mutex::new(Jitter::default()));
        let mut voice = Voice::new(Arc::clone(&packets)).expect("a decoder");
        for number in 0..300u32 {
            let garbage: Vec<u8> = (0..number % 40).map(|at| (at * 37 + number * 11) as u8).collect();
            packets.lock().expect("unpoisoned").put(number, &garbage);
            assert!(samples(&mut voice, 480).iter().all(|sample| sample.is_finite()));
        }
    }
}
