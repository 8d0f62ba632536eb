//! The microphone that a client sends over lumen/1: a tone, or samples from a file or a pipe, encoded at their own pace on
//! a thread of its own.

use std::f32::consts::TAU;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lumen_opus::{Encoder, EncoderConfig, Layout, PacketDuration};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::error::ClientError;
use crate::session::control::ControlHandle;
use crate::session::state::Shared;

/// Sound in a packet: that of [`ClientConfig`](lumen_core::lumen1::session::ClientConfig).
const PACKET: PacketDuration = PacketDuration::Ms10;
const STEP: Duration = Duration::from_millis(10);
/// Plenty for a voice.
const BITRATE_BPS: u32 = 64_000;
/// As the host encodes sound.
const COMPLEXITY: u8 = 5;
/// Whoever falls behind by more than this starts over with the present.
const MAX_LAG: Duration = Duration::from_millis(60);
/// How often a pipe that says nothing is left for a look at the end.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// Pitch of a tone of which nothing is said.
const PITCH: f32 = 440.0;

/// What a microphone hears.
#[derive(Debug, Clone, PartialEq)]
pub enum MicrophoneSource {
    /// A tone of so many hertz.
    Tone(f32),
    /// Samples of one channel at 48 kHz, 16 bits, least significant byte first: a file or a pipe. After its end there is
    /// silence.
    Pcm(PathBuf),
    /// The same from standard input.
    Stdin,
}

impl FromStr for MicrophoneSource {
    type Err = String;

    /// `tone`, `tone:HERTZ`, `-` for standard input, or a path.
    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text.split_once(':') {
            _ if text == "tone" => Self::Tone(PITCH),
            Some(("tone", hertz)) => {
                let hertz = hertz.parse().ok().filter(|hertz| (20.0..20_000.0).contains(hertz));
                Self::Tone(hertz.ok_or_else(|| format!("{text} is no tone; write tone:440, from 20 to 20000"))?)
            }
            _ if text == "-" => Self::Stdin,
            _ => Self::Pcm(text.into()),
        })
    }
}

/// Opens the microphone and starts to send what it hears.
pub fn start(
    shared: &Arc<Shared>,
    source: &MicrophoneSource,
    to: ControlHandle,
) -> Result<JoinHandle<()>, ClientError> {
    let local = |error: &dyn std::fmt::Display| ClientError::local("cannot start the microphone", error);
    let ear = match source {
        MicrophoneSource::Tone(hertz) => Ear::Tone { step: hertz / lumen_opus::SAMPLE_RATE as f32, phase: 0.0 },
        MicrophoneSource::Stdin => {
            Ear::Pcm { from: std::io::stdin().as_fd().try_clone_to_owned().map_err(|error| local(&error))?.into() }
        }
        MicrophoneSource::Pcm(path) => Ear::Pcm {
            from: File::open(path).map_err(|source| ClientError::File {
                action: "read",
                path: path.clone(),
                source,
            })?,
        },
    };
    let layout = const { Layout::new(1, 0, &[0]) }.map_err(|error| local(&error))?;
    let config = EncoderConfig { layout, bitrate_bps: BITRATE_BPS, duration: PACKET, complexity: COMPLEXITY };
    let encoder = Encoder::new(&config).map_err(|error| local(&error))?;
    let microphone = Microphone { shared: Arc::clone(shared), ear, encoder, to };
    let thread = std::thread::Builder::new().name("microphone".into()).spawn(move || microphone.run());
    thread.map_err(|error| local(&error))
}

enum Ear {
    Tone { step: f32, phase: f32 },
    Pcm { from: File },
    Deaf,
}

struct Microphone {
    shared: Arc<Shared>,
    ear: Ear,
    encoder: Encoder,
    to: ControlHandle,
}

impl Microphone {
    fn run(mut self) {
        let mut samples = vec![0.0; PACKET.samples()];
        let (mut timestamp, mut tick) = (0u32, Instant::now());
        while !self.shared.stopping() {
            self.hear(&mut samples);
            match self.encoder.encode(&samples) {
                Ok(packet) => {
                    self.to.microphone(packet.to_vec(), timestamp);
                    self.shared.microphone_packets.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => tracing::warn!(%error, "a packet of the microphone was not encoded"),
            }
            timestamp = timestamp.wrapping_add(PACKET.samples() as u32);
            tick += STEP;
            let now = Instant::now();
            if now.saturating_duration_since(tick) > MAX_LAG {
                tick = now;
            }
            std::thread::sleep(tick.saturating_duration_since(now));
        }
    }

    fn hear(&mut self, samples: &mut [f32]) {
        match &mut self.ear {
            Ear::Tone { step, phase } => {
                for sample in samples {
                    *sample = 0.5 * (*phase * TAU).sin();
                    *phase = (*phase + *step).fract();
                }
            }
            Ear::Pcm { from } => {
                let mut bytes = [0; PACKET.samples() * 2];
                if !read(from, &mut bytes, &|| self.shared.stopping()) {
                    tracing::info!("the microphone has nothing more to say");
                    self.ear = Ear::Deaf;
                }
                for (sample, bytes) in samples.iter_mut().zip(bytes.chunks_exact(2)) {
                    *sample = f32::from(i16::from_le_bytes([bytes[0], bytes[1]])) / 32_768.0;
                }
            }
            Ear::Deaf => samples.fill(0.0),
        }
    }
}

/// Fills `bytes`; false at the end, or once `stopping`.
fn read(from: &mut File, bytes: &mut [u8], stopping: &dyn Fn() -> bool) -> bool {
    let mut filled = 0;
    while filled < bytes.len() {
        let ready = poll(&mut [PollFd::new(&*from, PollFlags::IN)], Some(&LOOK));
        if stopping() {
            return false;
        }
        if !matches!(ready, Ok(1..)) {
            continue;
        }
        match from.read(&mut bytes[filled..]) {
            Ok(0) => return false,
            Ok(count) => filled += count,
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
            Err(error) => {
                tracing::warn!(%error, "the microphone cannot be read");
                return false;
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::OwnedFd;

    use super::*;

    #[test]
    fn sources_are_read_from_the_command_line() {
        let source = str::parse::<MicrophoneSource>;
        assert_eq!(source("tone"), Ok(MicrophoneSource::Tone(440.0)));
        assert_eq!(source("tone:1000"), Ok(MicrophoneSource::Tone(1000.0)));
        assert_eq!(source("-"), Ok(MicrophoneSource::Stdin));
        assert_eq!(source("/run/voice"), Ok(MicrophoneSource::Pcm("/run/voice".into())));
        assert!(source("tone:loud").is_err() && source("tone:0").is_err());
    }

    #[test]
    fn a_pipe_is_read_in_whole_packets_to_its_end() {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        let mut from = File::from(OwnedFd::from(reader));
        let speaker = std::thread::spawn(move || {
            for part in [&[1u8; 3][..], &[2; 6], &[3; 4]] {
                writer.write_all(part).expect("somebody reads");
            }
        });
        let mut packet = [0; 8];
        assert!(read(&mut from, &mut packet, &|| false));
        assert_eq!(packet, [1, 1, 1, 2, 2, 2, 2, 2]);
        speaker.join().expect("no panic");
        assert!(!read(&mut from, &mut packet, &|| false), "five bytes are no packet");
    }

    #[test]
    fn a_pipe_that_says_nothing_is_left_at_the_end_of_the_stream() {
        let (reader, _writer) = std::io::pipe().expect("a pipe");
        assert!(!read(&mut File::from(OwnedFd::from(reader)), &mut [0; 8], &|| true));
    }
}
