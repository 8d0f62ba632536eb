//! The encoder: hard constant bitrate, so that every packet of a stream has the same length (the audio FEC of
//! GameStream needs that), and the low-delay mode without look-ahead.

use core::ffi::c_int;
use core::ptr::NonNull;

use opusic_sys as sys;

use crate::{Layout, OpusError, PacketDuration, SAMPLE_RATE, check};

/// Equal packets of silence in a row after which all further ones are the same: what was heard before has faded away.
const SETTLED: u32 = 8;

/// What an [`Encoder`] is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncoderConfig {
    /// Streams and mapping.
    pub layout: Layout,
    /// Bits per second of all channels together.
    pub bitrate_bps: u32,
    /// Sound per packet.
    pub duration: PacketDuration,
    /// 0 (cheapest) to 10 (best).
    pub complexity: u8,
}

/// A multistream Opus encoder in constant bitrate and restricted low delay.
pub struct Encoder {
    state: NonNull<sys::OpusMSEncoder>,
    channels: usize,
    /// Samples per channel and packet.
    samples: usize,
    /// As long as every packet is; the last one.
    buffer: Vec<u8>,
    /// The packet of silence before the last one, and how many in a row were equal up to the last one.
    previous: Vec<u8>,
    equal: u32,
}

// SAFETY: the state is owned by this value alone and libopus keeps no thread-local data.
unsafe impl Send for Encoder {}

impl Encoder {
    /// Opens an encoder.
    ///
    /// # Errors
    /// [`OpusError::Library`] if libopus refuses the configuration or has no memory.
    pub fn new(config: &EncoderConfig) -> Result<Self, OpusError> {
        let layout = &config.layout;
        let mut error: c_int = 0;
        // SAFETY: the mapping holds one byte per channel, as libopus reads it; `error` is a valid place to write to.
        let state = unsafe {
            sys::opus_multistream_encoder_create(
                SAMPLE_RATE as i32,
                c_int::from(layout.channels()),
                c_int::from(layout.streams()),
                c_int::from(layout.coupled()),
                layout.mapping().as_ptr(),
                sys::OPUS_APPLICATION_RESTRICTED_LOWDELAY,
                &raw mut error,
            )
        };
        check("open an encoder", error)?;
        let state = NonNull::new(state)
            .ok_or(OpusError::Library { action: "open an encoder", reason: "it returned no encoder" })?;
        let samples = config.duration.samples();
        // With a constant bitrate libopus fills the space that it is given, so the space is the packet's length.
        let packet_bytes = config.bitrate_bps as usize * samples / 8 / SAMPLE_RATE as usize;
        let (channels, buffer) = (usize::from(layout.channels()), vec![0; packet_bytes.max(2)]);
        let encoder = Self { state, channels, samples, buffer, previous: Vec::new(), equal: 0 };
        let bitrate = i32::try_from(config.bitrate_bps).unwrap_or(i32::MAX);
        encoder.control("set the bitrate", sys::OPUS_SET_BITRATE_REQUEST, bitrate)?;
        encoder.control("set a constant bitrate", sys::OPUS_SET_VBR_REQUEST, 0)?;
        let complexity = i32::from(config.complexity.min(10));
        encoder.control("set the complexity", sys::OPUS_SET_COMPLEXITY_REQUEST, complexity)?;
        Ok(encoder)
    }

    /// Interleaved samples of one packet, all channels together.
    pub fn packet_samples(&self) -> usize {
        self.samples * self.channels
    }

    /// Bytes of every packet.
    pub fn packet_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Encodes exactly one packet of interleaved samples in -1..1 (louder is clipped by the decoder). Lasting silence
    /// costs next to nothing.
    ///
    /// # Errors
    /// [`OpusError::SampleCount`] unless `samples` fill one packet; [`OpusError::Library`] if libopus fails.
    pub fn encode(&mut self, samples: &[f32]) -> Result<&[u8], OpusError> {
        if samples.len() != self.packet_samples() {
            return Err(OpusError::SampleCount { given: samples.len(), expected: self.packet_samples() });
        }
        let silent = samples.iter().all(|sample| *sample == 0.0);
        if silent && self.equal == SETTLED {
            return Ok(&self.buffer);
        }
        self.previous.clone_from(&self.buffer);
        // SAFETY: the state is live; `samples` holds that many samples for each channel of the layout, and the buffer
        // is as long as it is said to be.
        let written = unsafe {
            sys::opus_multistream_encode_float(
                self.state.as_ptr(),
                samples.as_ptr(),
                self.samples as c_int,
                self.buffer.as_mut_ptr(),
                self.buffer.len() as i32,
            )
        };
        let written = check("encode a packet", written)?;
        self.equal = if silent && self.previous == self.buffer { self.equal + 1 } else { 0 };
        Ok(&self.buffer[..written])
    }

    fn control(&self, action: &'static str, request: c_int, value: i32) -> Result<(), OpusError> {
        // SAFETY: the state is live, and each request that is passed here takes one 32-bit integer.
        check(action, unsafe { sys::opus_multistream_encoder_ctl(self.state.as_ptr(), request, value) }).map(drop)
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: the state came from opus_multistream_encoder_create and is not used afterwards.
        unsafe { sys::opus_multistream_encoder_destroy(self.state.as_ptr()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Decoder;

    /// A tone per channel, each of its own pitch.
    fn tones(channels: usize, samples: usize, from: usize) -> Vec<f32> {
        (0..samples * channels)
            .map(|i| {
                let (time, channel) = (from + i / channels, i % channels);
                let pitch = 300.0 + 170.0 * channel as f32;
                0.4 * (time as f32 / SAMPLE_RATE as f32 * pitch * core::f32::consts::TAU).sin()
            })
            .collect()
    }

    /// How much of `pitch` is in one channel of interleaved samples.
    fn power(samples: &[f32], channels: usize, channel: usize, pitch: f32) -> f32 {
        let (mut re, mut im, mut count) = (0.0, 0.0, 0.0);
        for (i, frame) in samples.chunks_exact(channels).enumerate() {
            let phase = i as f32 / SAMPLE_RATE as f32 * pitch * core::f32::consts::TAU;
            re += frame[channel] * phase.cos();
            im += frame[channel] * phase.sin();
            count += 1.0;
        }
        (re * re + im * im).sqrt() / count * 2.0
    }

    fn config(layout: Layout, bitrate_bps: u32, duration: PacketDuration) -> EncoderConfig {
        EncoderConfig { layout, bitrate_bps, duration, complexity: 5 }
    }

    #[test]
    fn every_channel_carries_its_own_tone_and_no_other() {
        let layout = Layout::new(5, 3, &[0, 1, 4, 5, 6, 7, 2, 3]).unwrap();
        let mut encoder = Encoder::new(&config(layout, 450_000, PacketDuration::Ms5)).unwrap();
        let mut decoder = Decoder::new(&layout).unwrap();
        let mut heard = Vec::new();
        for packet in 0..200 {
            let sound = tones(8, 240, packet * 240);
            let packet = encoder.encode(&sound).unwrap().to_vec();
            heard.extend_from_slice(decoder.decode(&packet, PacketDuration::Ms5).unwrap());
        }
        let steady = &heard[heard.len() / 2..];
        for channel in 0..8 {
            for tone in 0..8 {
                let power = power(steady, 8, channel, 300.0 + 170.0 * tone as f32);
                if tone == channel {
                    assert!((0.3..0.5).contains(&power), "channel {channel} has {power} of its tone");
                } else {
                    assert!(power < 0.05, "channel {channel} has {power} of tone {tone}");
                }
            }
        }
    }

    #[test]
    fn all_packets_have_the_same_length_for_silence_and_noise() {
        let layout = Layout::new(4, 2, &[0, 1, 2, 3, 4, 5]).unwrap();
        for duration in [PacketDuration::Ms2_5, PacketDuration::Ms5, PacketDuration::Ms10, PacketDuration::Ms20] {
            let mut encoder = Encoder::new(&config(layout, 256_000, duration)).unwrap();
            let expected = 256_000 * duration.samples() / 48_000 / 8;
            assert_eq!(encoder.packet_bytes(), expected);
            let mut noise = 1u32;
            for loud in [false, true, false, true, true, false] {
                let sound: Vec<f32> = (0..encoder.packet_samples())
                    .map(|_| {
                        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        if loud { (noise >> 8) as f32 / (1 << 23) as f32 - 1.0 } else { 0.0 }
                    })
                    .collect();
                assert_eq!(encoder.encode(&sound).unwrap().len(), expected);
            }
        }
    }

    /// Samples by which libopus is late in this mode.
    const LOOK_AHEAD: usize = 120;

    /// Sound, silence, sound, by an encoder of which `prepare` is done before each packet.
    fn interrupted(layout: Layout, duration: PacketDuration, prepare: impl Fn(&mut Encoder)) -> Vec<Vec<u8>> {
        let mut encoder = Encoder::new(&config(layout, 256_000, duration)).unwrap();
        let (channels, samples) = (usize::from(layout.channels()), duration.samples());
        let mut encode = |packet: usize| {
            let silent = (100..600).contains(&packet);
            let sound = if silent { vec![0.0; samples * channels] } else { tones(channels, samples, packet * samples) };
            prepare(&mut encoder);
            encoder.encode(&sound).unwrap().to_vec()
        };
        (0..800).map(&mut encode).collect()
    }

    #[test]
    fn lasting_silence_is_the_packets_that_libopus_would_have_written() {
        for (streams, coupled, mapping) in [(1, 1, &[0, 1][..]), (4, 2, &[0, 1, 2, 3, 4, 5])] {
            for duration in [PacketDuration::Ms5, PacketDuration::Ms10] {
                let layout = Layout::new(streams, coupled, mapping).unwrap();
                let by_libopus = interrupted(layout, duration, |encoder| encoder.equal = 0);
                let ours = interrupted(layout, duration, |_| {});
                assert!(ours[..600] == by_libopus[..600], "{duration:?}");
                // What follows is as close to what was to be heard.
                let channels = usize::from(layout.channels());
                let (samples, ahead) = (duration.samples(), LOOK_AHEAD * channels);
                let error = |packets: &[Vec<u8>]| {
                    let mut decoder = Decoder::new(&layout).unwrap();
                    let decode = |packet: &Vec<u8>| decoder.decode(packet, duration).unwrap().to_vec();
                    let heard: Vec<f32> = packets.iter().flat_map(decode).collect();
                    let begin = 600 * samples;
                    let wanted = tones(channels, 200 * samples - LOOK_AHEAD, begin);
                    let heard = &heard[begin * channels + ahead..];
                    heard.iter().zip(&wanted).map(|(heard, wanted)| f64::from(heard - wanted).powi(2)).sum::<f64>()
                };
                let (ours, by_libopus) = (error(&ours), error(&by_libopus));
                assert!(ours < by_libopus * 1.05, "{duration:?}: {ours} against {by_libopus}");
            }
        }
    }

    #[test]
    fn samples_that_are_no_whole_packet_are_refused() {
        let layout = Layout::new(1, 1, &[0, 1]).unwrap();
        let mut encoder = Encoder::new(&config(layout, 96_000, PacketDuration::Ms5)).unwrap();
        assert_eq!(encoder.encode(&[0.0; 100]), Err(OpusError::SampleCount { given: 100, expected: 480 }));
    }
}
