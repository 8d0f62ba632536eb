//! The sound of the test card: a quiet tone whose pitch tells the session and the channel, and a click exactly when a
//! second of the wall clock begins, with the card's flash. With two channels both click; with more, one after the
//! other in their order, so that a listener hears which loudspeaker is which.
//!
//! Tones come from rotating a phasor: no sine is computed per sample, and the phase never jumps.

use std::f64::consts::TAU;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lumen_core::strip::tone_hertz;

use super::{AudioSource, SAMPLE_RATE};
use crate::display::testcard::clock::{UnixNanos, WallClock};

/// Peak of a tone: soft enough to leave on, loud enough to measure.
pub const TONE_PEAK: f32 = 0.05;

/// Peak of a click.
pub const CLICK_PEAK: f32 = 0.6;

/// The channel that carries low frequencies only.
const LOW_CHANNEL: u8 = 3;

/// A second that began longer ago than this is not clicked any more.
const LATEST_CLICK: Duration = Duration::from_millis(50);

/// Whether `channel` of `channels` clicks when `second` of the wall clock begins.
pub const fn clicks(second: i64, channel: u8, channels: u8) -> bool {
    channels <= 2 || second.rem_euclid(channels as i64) == channel as i64
}

/// The sound of one session.
#[derive(Debug)]
pub struct Tone {
    channels: u8,
    clock: Arc<WallClock>,
    voices: Vec<Voice>,
    /// The last second that was clicked or missed.
    clicked: Option<i64>,
}

/// One channel.
#[derive(Debug)]
struct Voice {
    tone: Phasor,
    click: Click,
    ring: Option<Ringing>,
}

/// How a channel clicks.
#[derive(Debug, Clone, Copy)]
struct Click {
    hertz: f64,
    /// Samples until it has faded to nothing.
    length: u32,
}

/// A click that sounds.
#[derive(Debug)]
struct Ringing {
    phasor: Phasor,
    left: u32,
}

/// A point on a circle that turns by the same angle with every sample, and may shrink.
#[derive(Debug, Clone, Copy)]
struct Phasor {
    re: f64,
    im: f64,
    turn_re: f64,
    turn_im: f64,
}

impl Phasor {
    /// A phasor at (1, 0) times `radius` that turns `hertz` times a second and shrinks by `shrink` a sample.
    fn new(hertz: f64, radius: f64, shrink: f64) -> Self {
        let (sin, cos) = (TAU * hertz / f64::from(SAMPLE_RATE)).sin_cos();
        Self { re: radius, im: 0.0, turn_re: cos * shrink, turn_im: sin * shrink }
    }

    fn advance(&mut self) {
        let re = self.re * self.turn_re - self.im * self.turn_im;
        self.im = self.re * self.turn_im + self.im * self.turn_re;
        self.re = re;
    }

    /// Takes rounding errors out of the radius.
    fn renew(&mut self, radius: f64) {
        let scale = radius / self.re.hypot(self.im);
        self.re *= scale;
        self.im *= scale;
    }
}

impl Tone {
    /// The sound of session `session` with `channels` channels, clicking by `clock`.
    pub fn new(session: u16, channels: u8, clock: Arc<WallClock>) -> Self {
        let voices = (0..channels).map(|channel| Voice {
            tone: Phasor::new(tone_hertz(session, channel), f64::from(TONE_PEAK), 1.0),
            click: if channel == LOW_CHANNEL && channels > 2 {
                Click { hertz: 80.0, length: 4800 }
            } else {
                Click { hertz: 2000.0, length: 480 }
            },
            ring: None,
        });
        Self { channels, clock, voices: voices.collect(), clicked: None }
    }

    /// The click within a block of `frames` frames that sounds from `at`: its second and its place in the block.
    fn click_within(&mut self, at: UnixNanos, frames: usize) -> Option<(i64, usize)> {
        let rate = i64::from(SAMPLE_RATE);
        let length = Duration::from_nanos(frames as u64 * 1_000_000_000 / u64::from(SAMPLE_RATE));
        // The block before may have ended a little early by the clock: a second that lies between is clicked late
        // rather than never.
        let late = LATEST_CLICK.as_nanos() as i64;
        let second = UnixNanos(at.0 - late).second_within(LATEST_CLICK + length)?;
        if self.clicked.is_some_and(|clicked| second <= clicked && clicked - second < 5) {
            return None;
        }
        let first = self.clicked.replace(second).is_none();
        let ahead = second * 1_000_000_000 - at.0;
        if ahead < 0 && first {
            return None;
        }
        // To the nearest sample.
        let place = (ahead.max(0) * rate + 500_000_000) / 1_000_000_000;
        Some((second, (place as usize).min(frames - 1)))
    }
}

impl AudioSource for Tone {
    fn channels(&self) -> u8 {
        self.channels
    }

    fn read(&mut self, at: Instant, samples: &mut [f32]) {
        let channels = usize::from(self.channels);
        if channels == 0 || samples.len() < channels {
            return samples.fill(0.0);
        }
        let click = self.click_within(self.clock.at(at), samples.len() / channels);
        for (channel, voice) in self.voices.iter_mut().enumerate() {
            voice.tone.renew(f64::from(TONE_PEAK));
            let start =
                click.filter(|(second, _)| clicks(*second, channel as u8, self.channels)).map(|(_, place)| place);
            voice.fill(samples.iter_mut().skip(channel).step_by(channels), start);
        }
    }
}

impl Voice {
    /// Writes a block of this channel, whose click begins at sample `start`.
    fn fill<'a>(&mut self, samples: impl Iterator<Item = &'a mut f32>, start: Option<usize>) {
        for (index, sample) in samples.enumerate() {
            // The sine starts at zero; the click starts at its peak, so that its onset is one exact sample.
            let mut value = self.tone.im;
            self.tone.advance();
            if start == Some(index) {
                let shrink = 0.001f64.powf(1.0 / f64::from(self.click.length));
                let phasor = Phasor::new(self.click.hertz, f64::from(CLICK_PEAK), shrink);
                self.ring = Some(Ringing { phasor, left: self.click.length });
            }
            if let Some(ring) = &mut self.ring {
                value += ring.phasor.re;
                ring.phasor.advance();
                ring.left -= 1;
                if ring.left == 0 {
                    self.ring = None;
                }
            }
            *sample = value as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A listener whose clock began at `second` and a bit.
    struct Listener {
        tone: Tone,
        origin: Instant,
    }

    const START: i64 = 1_764_000_000 * 1_000_000_000;

    fn listener(session: u16, channels: u8, past_second: i64) -> Listener {
        let origin = Instant::now();
        let clock = Arc::new(WallClock::new(origin, UnixNanos(START + past_second)));
        Listener { tone: Tone::new(session, channels, clock), origin }
    }

    impl Listener {
        /// `seconds` of sound in blocks of `block` frames; every block is asked for `jitter` late or in time.
        fn hear(&mut self, seconds: usize, block: usize, jitter: Duration) -> Vec<f32> {
            let channels = usize::from(self.tone.channels());
            let mut heard = Vec::new();
            for number in 0..seconds * 48_000 / block {
                let nominal = Duration::from_nanos((number * block) as u64 * 1_000_000_000 / 48_000);
                let late = if number % 3 == 1 { jitter } else { Duration::ZERO };
                let mut samples = vec![0.0; block * channels];
                self.tone.read(self.origin + nominal + late, &mut samples);
                heard.extend(samples);
            }
            heard
        }
    }

    /// Frames at which a channel jumps as only a click does.
    fn onsets(heard: &[f32], channel: usize, channels: usize) -> Vec<usize> {
        let samples: Vec<f32> = heard.iter().skip(channel).step_by(channels).copied().collect();
        let mut onsets = Vec::new();
        for index in 1..samples.len() {
            if samples[index] - samples[index - 1] > CLICK_PEAK * 0.8 {
                onsets.push(index);
            }
        }
        onsets
    }

    /// Strength of `hertz` in a channel.
    fn strength(heard: &[f32], channel: usize, channels: usize, hertz: f64) -> f64 {
        let (mut re, mut im, mut count) = (0.0, 0.0, 0.0);
        for (index, sample) in heard.iter().skip(channel).step_by(channels).enumerate() {
            let (sin, cos) = (TAU * hertz * index as f64 / 48_000.0).sin_cos();
            re += f64::from(*sample) * cos;
            im += f64::from(*sample) * sin;
            count += 1.0;
        }
        2.0 * re.hypot(im) / count
    }

    #[test]
    fn both_channels_click_on_the_exact_sample_of_every_second() {
        let heard = listener(7, 2, 250_000_000).hear(4, 240, Duration::ZERO);
        for channel in 0..2 {
            assert_eq!(onsets(&heard, channel, 2), [36_000, 84_000, 132_000, 180_000]);
        }
    }

    #[test]
    fn surround_channels_click_in_turn() {
        for channels in [6usize, 8] {
            let heard = listener(7, channels as u8, 500_000_000).hear(9, 480, Duration::ZERO);
            let mut all: Vec<(usize, usize)> = (0..channels)
                .flat_map(|channel| onsets(&heard, channel, channels).into_iter().map(move |onset| (onset, channel)))
                .collect();
            all.sort_unstable();
            let first = (START / 1_000_000_000 + 1).rem_euclid(channels as i64) as usize;
            let expected: Vec<(usize, usize)> =
                (0..9).map(|second| (24_000 + second * 48_000, (first + second) % channels)).collect();
            assert_eq!(all, expected);
        }
    }

    #[test]
    fn jitter_of_the_reader_neither_loses_nor_doubles_a_click() {
        for past in [0, 1, 999_999_999, 997_400_000, 995_000_000] {
            let heard = listener(7, 2, past).hear(6, 240, Duration::from_micros(3_700));
            assert!((5..=6).contains(&onsets(&heard, 0, 2).len()), "{past}");
        }
    }

    #[test]
    fn tone_is_continuous_across_blocks_and_holds_its_level() {
        let heard = listener(9, 2, 0).hear(3, 240, Duration::from_micros(1_500));
        let limit = TAU * tone_hertz(9, 1) / 48_000.0 * f64::from(TONE_PEAK) * 1.01;
        // Between the clicks.
        for second in 0..3 {
            let quiet = &heard[(second * 48_000 + 2_000) * 2..(second * 48_000 + 47_000) * 2];
            for pair in quiet.windows(4) {
                assert!(f64::from((pair[3] - pair[1]).abs()) <= limit);
            }
            let peak = quiet.iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()));
            assert!((TONE_PEAK * 0.99..TONE_PEAK * 1.01).contains(&peak), "{peak}");
        }
    }

    #[test]
    fn sessions_and_channels_are_told_apart_by_pitch() {
        let heard = listener(5, 6, 0).hear(1, 240, Duration::ZERO);
        let heard = &heard[6 * 6_000..];
        for channel in 0..6u8 {
            let own = strength(heard, channel.into(), 6, tone_hertz(5, channel));
            let other = strength(heard, channel.into(), 6, tone_hertz(25, channel));
            assert!(own > 0.8 * f64::from(TONE_PEAK) && other < 0.3 * own, "{channel}: {own} {other}");
        }
    }

    #[test]
    fn a_block_that_is_no_whole_frame_is_silence() {
        let mut samples = [1.0];
        let mut listener = listener(5, 2, 0);
        listener.tone.read(listener.origin, &mut samples);
        assert_eq!(samples, [0.0]);
    }
}
