//! Tones as WAV files, and how much of a tone there is in what was heard.

use std::f64::consts::TAU;
use std::fs;
use std::path::Path;

const RATE: u32 = 48_000;

/// Writes `seconds` of one tone a channel, peak 0.5, 16 bits.
pub fn write_wav(file: &Path, tones: &[f64], seconds: u32) {
    let channels = tones.len() as u16;
    let size = seconds * RATE * u32::from(channels) * 2;
    let mut bytes = Vec::with_capacity(44 + size as usize);
    bytes.extend(b"RIFF");
    bytes.extend((36 + size).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16u32.to_le_bytes());
    bytes.extend(1u16.to_le_bytes());
    bytes.extend(channels.to_le_bytes());
    bytes.extend(RATE.to_le_bytes());
    bytes.extend((RATE * u32::from(channels) * 2).to_le_bytes());
    bytes.extend((channels * 2).to_le_bytes());
    bytes.extend(16u16.to_le_bytes());
    bytes.extend(b"data");
    bytes.extend(size.to_le_bytes());
    for at in 0..seconds * RATE {
        for hertz in tones {
            let value = (TAU * hertz * f64::from(at) / f64::from(RATE)).sin() * 0.5 * f64::from(i16::MAX);
            bytes.extend((value as i16).to_le_bytes());
        }
    }
    fs::write(file, bytes).unwrap();
}

/// Amplitude of a tone in one channel, by Goertzel's method; a full tone of [`write_wav`] has 0.5.
pub fn loudness(heard: &[f32], channels: usize, channel: usize, hertz: f64) -> f64 {
    let turn = TAU * hertz / f64::from(RATE);
    let (mut last, mut before, mut count) = (0.0, 0.0, 0.0);
    for frame in heard.chunks_exact(channels) {
        let next = f64::from(frame[channel]) + 2.0 * turn.cos() * last - before;
        (last, before) = (next, last);
        count += 1.0;
    }
    let power: f64 = last * last + before * before - 2.0 * turn.cos() * last * before;
    power.max(0.0).sqrt() * 2.0 / count
}
