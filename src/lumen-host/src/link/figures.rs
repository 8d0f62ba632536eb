//! What a worker has done over its life, for metrics: totals that only grow, over all of its streams. The daemon adds what
//! is new in each report to its own totals, which outlive sessions.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Upper bounds of the buckets of a [`Histogram`] in microseconds; a last one has none. Around the intervals of 240, 120,
/// 60 and 30 frames a second they are close.
pub const BOUNDS_US: [u32; 14] =
    [500, 1000, 2000, 3000, 4000, 6000, 8000, 12_000, 16_000, 24_000, 33_000, 66_000, 150_000, 1_000_000];

/// How long something took, how often.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    counts: [u64; BOUNDS_US.len() + 1],
    sum_us: u64,
}

impl Histogram {
    /// Takes one measurement in.
    pub fn note(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.iter().position(|bound| micros <= u64::from(*bound)).unwrap_or(BOUNDS_US.len());
        self.counts[bucket] += 1;
        self.sum_us = self.sum_us.saturating_add(micros);
    }

    /// Measurements in each bucket, not cumulative; the last has no bound.
    pub const fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Sum of all measurements in microseconds.
    pub const fn sum_us(&self) -> u64 {
        self.sum_us
    }

    fn combine(&mut self, other: &Self, with: impl Fn(u64, u64) -> u64) {
        self.counts.iter_mut().zip(other.counts).for_each(|(mine, theirs)| *mine = with(*mine, theirs));
        self.sum_us = with(self.sum_us, other.sum_us);
    }
}

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Frames that an encoder made.
    pub frames_encoded: u64,
    /// Frames handed to the network.
    pub frames_sent: u64,
    /// Key frames among those that were encoded.
    pub key_frames: u64,
    /// Pictures that newer ones took the place of before they were encoded.
    pub frames_replaced: u64,
    /// Frames dropped because the network was behind.
    pub frames_dropped: u64,
    /// Pictures that the encoder skipped to hold its rate.
    pub frames_skipped: u64,
    /// Encoders that broke and were opened anew.
    pub encoder_restarts: u64,
    /// Bytes of video on the wire, protection and headers included.
    pub video_bytes: u64,
    /// Video packets with data.
    pub data_packets: u64,
    /// Video packets with parity.
    pub parity_packets: u64,
    /// Audio packets, those with parity not counted.
    pub audio_packets: u64,
    /// From the presentation of a picture to its capture.
    pub capture: Histogram,
    /// Encoding alone.
    pub encode: Histogram,
    /// From the presentation of a picture to its last packet.
    pub host: Histogram,
}

impl Figures {
    /// Adds others to these.
    pub fn add(&mut self, other: &Self) {
        self.combine(other, u64::saturating_add);
    }

    /// What is new since `earlier` figures of the same worker.
    pub fn since(mut self, earlier: &Self) -> Self {
        self.combine(earlier, u64::saturating_sub);
        self
    }

    fn combine(&mut self, other: &Self, with: impl Fn(u64, u64) -> u64 + Copy) {
        let counters = [
            (&mut self.frames_encoded, other.frames_encoded),
            (&mut self.frames_sent, other.frames_sent),
            (&mut self.key_frames, other.key_frames),
            (&mut self.frames_replaced, other.frames_replaced),
            (&mut self.frames_dropped, other.frames_dropped),
            (&mut self.frames_skipped, other.frames_skipped),
            (&mut self.encoder_restarts, other.encoder_restarts),
            (&mut self.video_bytes, other.video_bytes),
            (&mut self.data_packets, other.data_packets),
            (&mut self.parity_packets, other.parity_packets),
            (&mut self.audio_packets, other.audio_packets),
        ];
        counters.into_iter().for_each(|(mine, theirs)| *mine = with(*mine, theirs));
        self.capture.combine(&other.capture, with);
        self.encode.combine(&other.encode, with);
        self.host.combine(&other.host, with);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_can_be_added_up_again() {
        let mut early = Figures { frames_sent: 3, ..Figures::default() };
        early.encode.note(Duration::from_millis(2));
        let mut late = Figures { frames_sent: 10, parity_packets: 4, ..early.clone() };
        late.encode.note(Duration::from_secs(5));
        late.frames_sent = 10;
        let new = late.clone().since(&early);
        assert_eq!((new.frames_sent, new.parity_packets, new.encode.sum_us()), (7, 4, 5_000_000));
        let mut sum = early;
        sum.add(&new);
        assert_eq!(sum, late);
    }

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let mut histogram = Histogram::default();
        for micros in [500, 501, 2_000_000] {
            histogram.note(Duration::from_micros(micros));
        }
        let counts = histogram.counts();
        assert_eq!((counts[0], counts[1], counts[BOUNDS_US.len()]), (1, 1, 1));
    }
}
