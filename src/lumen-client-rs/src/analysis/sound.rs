//! Decoded sound: levels, the test card's tone in every channel, and its clicks.
//!
//! The pitch of the tone follows from the session, so it is known what to listen for. The phase of the tone against
//! its nominal pitch is followed from window to window: a slow turn is an error of pitch, a jump is sound that is
//! missing or came twice.

use std::collections::VecDeque;
use std::f64::consts::TAU;
use std::time::Duration;

use lumen_core::strip::tone_hertz;
use lumen_core::time::Timestamp;

const RATE: f64 = 48_000.0;
/// Samples of a window: 50 ms.
const WINDOW: usize = 2400;
/// A click is louder than this; the tone peaks at 0.05.
const CLICK_LEVEL: f32 = 0.2;
/// Clicks are a second apart; what is louder within this time belongs to the same one.
const CLICK_REST: Duration = Duration::from_millis(400);
/// A turn of the phase from one window to the next by more than this is a jump, in radians. An error of pitch of
/// 0.2 % turns it by about 0.3 at the highest tone.
const JUMP: f64 = 0.6;
/// Below this a channel is silent.
const SILENCE: f64 = 0.000_5;

/// What was heard.
#[derive(Debug, Clone, Default)]
pub struct Sound {
    channels: Vec<Channel>,
    session: Option<u16>,
    /// Samples of each channel so far.
    pub samples: u64,
    clicks: VecDeque<Timestamp>,
    /// How many clicks were heard.
    pub clicks_heard: u64,
    last_click: Option<Timestamp>,
}

#[derive(Debug, Clone, Default)]
struct Channel {
    window: Vec<f32>,
    /// Sample number of the window's first sample.
    start: u64,
    phase: Option<f64>,
    phase_at: u64,
    result: ChannelSound,
    /// Sum of all turns, and over how many samples.
    turned: f64,
    turned_over: u64,
    energy: f64,
}

/// What was heard in one channel.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct ChannelSound {
    /// Pitch that the test card plays in this channel, in hertz; 0 without a test card.
    pub expected_hertz: f64,
    /// Pitch that was heard; 0 if none.
    pub heard_hertz: f64,
    /// Level of everything, in dB below full scale.
    pub level_db: f64,
    /// Windows of 50 ms in which the tone was clear.
    pub clear_windows: u64,
    /// Windows with other sound.
    pub other_windows: u64,
    /// Silent windows.
    pub silent_windows: u64,
    /// Jumps of the tone's phase.
    pub jumps: u64,
}

impl Sound {
    /// The session whose tone is to be heard.
    pub fn set_session(&mut self, session: u16) {
        self.session = Some(session);
    }

    /// Sets the number of channels; before the first sound.
    pub fn set_channels(&mut self, channels: u8) {
        self.channels = vec![Channel::default(); usize::from(channels)];
    }

    /// Interleaved samples, the first of which is heard at `at`.
    pub fn add(&mut self, samples: &[f32], at: Timestamp) {
        let channels = self.channels.len();
        if channels == 0 {
            return;
        }
        for (index, frame) in samples.chunks_exact(channels).enumerate() {
            let number = self.samples + index as u64;
            let mut peak = 0.0f32;
            for (place, (channel, sample)) in self.channels.iter_mut().zip(frame).enumerate() {
                peak = peak.max(sample.abs());
                channel.add(*sample, number, self.session.map(|session| tone_hertz(session, place as u8)));
            }
            if peak > CLICK_LEVEL {
                let at = at + Duration::from_nanos(index as u64 * 1_000_000_000 / RATE as u64);
                if self.last_click.is_none_or(|last| at.saturating_since(last) > CLICK_REST) {
                    self.last_click = Some(at);
                    self.clicks_heard += 1;
                    self.clicks.push_back(at);
                }
            }
        }
        self.samples += (samples.len() / channels) as u64;
    }

    /// The next click that was heard.
    pub fn poll_click(&mut self) -> Option<Timestamp> {
        self.clicks.pop_front()
    }

    /// What was heard in each channel.
    pub fn channels(&self) -> Vec<ChannelSound> {
        self.channels.iter().map(|channel| channel.result(self.samples)).collect()
    }
}

impl Channel {
    fn add(&mut self, sample: f32, number: u64, expected: Option<f64>) {
        self.energy += f64::from(sample).powi(2);
        let Some(expected) = expected else { return };
        if self.window.is_empty() {
            self.start = number;
        }
        self.window.push(sample);
        if self.window.len() == WINDOW {
            self.result.expected_hertz = expected;
            self.judge(expected);
            self.window.clear();
        }
    }

    fn judge(&mut self, expected: f64) {
        // Clicks are not part of the tone.
        if self.window.iter().any(|sample| sample.abs() > CLICK_LEVEL) {
            return;
        }
        let (mut re, mut im, mut energy, mut weights) = (0.0, 0.0, 0.0, 0.0);
        for (index, sample) in self.window.iter().enumerate() {
            let weight = 0.5 - 0.5 * (TAU * (index as f64 + 0.5) / WINDOW as f64).cos();
            let (sin, cos) = (TAU * expected * ((self.start + index as u64) as f64 / RATE)).sin_cos();
            let value = weight * f64::from(*sample);
            re += value * cos;
            im -= value * sin;
            energy += value * f64::from(*sample);
            weights += weight;
        }
        let amplitude = 2.0 * re.hypot(im) / weights;
        let power = energy / weights;
        if power.sqrt() < SILENCE {
            self.result.silent_windows += 1;
            self.phase = None;
            return;
        }
        // A pure tone has all of its power at its pitch.
        if amplitude * amplitude / 2.0 < power * 0.7 {
            self.result.other_windows += 1;
            self.phase = None;
            return;
        }
        self.result.clear_windows += 1;
        let phase = im.atan2(re);
        if let Some(before) = self.phase.replace(phase) {
            let turn = (phase - before + TAU / 2.0).rem_euclid(TAU) - TAU / 2.0;
            if turn.abs() > JUMP {
                self.result.jumps += 1;
            } else {
                self.turned += turn;
                self.turned_over += self.start - self.phase_at;
            }
        }
        self.phase_at = self.start;
    }

    fn result(&self, samples: u64) -> ChannelSound {
        let level = if samples == 0 { 0.0 } else { (self.energy / samples as f64).sqrt() };
        let heard = match self.turned_over {
            0 => 0.0,
            over => self.result.expected_hertz + self.turned / TAU * RATE / over as f64,
        };
        ChannelSound { heard_hertz: heard, level_db: 20.0 * level.max(1e-6).log10(), ..self.result }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two channels of the tone of session 5, `off` times its pitch, from sample `from` on.
    fn tone(off: f64, from: u64, count: u64) -> Vec<f32> {
        (from..from + count)
            .flat_map(|number| {
                [0, 1].map(|channel| {
                    let hertz = tone_hertz(5, channel) * off;
                    (0.05 * (TAU * hertz * number as f64 / RATE).sin()) as f32
                })
            })
            .collect()
    }

    fn sound() -> Sound {
        let mut sound = Sound::default();
        sound.set_channels(2);
        sound.set_session(5);
        sound
    }

    #[test]
    fn a_steady_tone_has_its_pitch_and_no_jumps() {
        let mut sound = sound();
        for packet in 0..400 {
            sound.add(&tone(1.0005, packet * 240, 240), Timestamp::from_millis(packet * 5));
        }
        for (place, channel) in sound.channels().iter().enumerate() {
            assert_eq!((channel.clear_windows, channel.other_windows, channel.jumps), (40, 0, 0));
            let pitch = tone_hertz(5, place as u8) * 1.0005;
            assert!((channel.heard_hertz - pitch).abs() < 0.02, "{channel:?}");
            assert!((channel.level_db + 29.0).abs() < 0.2);
        }
        assert_eq!(sound.clicks_heard, 0);
    }

    #[test]
    fn sound_that_is_cut_out_is_a_jump() {
        let mut sound = sound();
        sound.add(&tone(1.0, 0, 24_000), Timestamp::ZERO);
        sound.add(&tone(1.0, 24_240, 24_000), Timestamp::from_millis(500));
        assert!(sound.channels().iter().any(|channel| channel.jumps == 1));
    }

    #[test]
    fn another_sessions_tone_and_silence_are_not_taken_for_the_own() {
        let mut sound = sound();
        sound.add(&tone(1.2, 0, 24_000), Timestamp::ZERO);
        sound.add(&vec![0.0; 48_000], Timestamp::from_millis(500));
        let channel = sound.channels()[0];
        assert_eq!((channel.clear_windows, channel.other_windows, channel.silent_windows), (0, 10, 10));
    }

    #[test]
    fn a_click_is_heard_once_and_where_it_begins() {
        let mut sound = sound();
        let mut samples = tone(1.0, 0, 4800);
        for index in 960..1440 {
            samples[index * 2] += 0.6 * (index as f32 * 0.26).cos();
        }
        sound.add(&samples, Timestamp::from_millis(100));
        assert_eq!(sound.poll_click().unwrap().as_millis(), 120);
        assert_eq!((sound.clicks_heard, sound.poll_click()), (1, None));
    }
}
