//! Figures of a stream, kept by its threads and read once a second. Latency comes from each frame's Timeline.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::frame::Timeline;
use crate::link::{Figures, SessionStats};

/// Frames whose latency is remembered: about four seconds.
const WINDOW: usize = 256;

/// Shared by the threads of a stream. The lock is held for a few instructions, once a frame.
#[derive(Debug, Default)]
pub struct StreamStats {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    totals: SessionStats,
    /// What stands in the totals as well is only filled in when it is asked for.
    figures: Figures,
    latency: Ring,
    encode: Ring,
}

#[derive(Debug, Default)]
struct Ring {
    values: Vec<u32>,
    next: usize,
}

impl Ring {
    fn push(&mut self, value: u32) {
        if self.values.len() < WINDOW {
            self.values.push(value);
        } else {
            self.values[self.next] = value;
        }
        self.next = (self.next + 1) % WINDOW;
    }

    fn percentile(&self, share: f64) -> u32 {
        let mut sorted = self.values.clone();
        sorted.sort_unstable();
        let index = (sorted.len() as f64 * share) as usize;
        sorted.get(index.min(sorted.len().saturating_sub(1))).copied().unwrap_or(0)
    }
}

impl StreamStats {
    /// Changes the totals.
    pub fn update(&self, change: impl FnOnce(&mut SessionStats)) {
        change(&mut self.lock().totals);
    }

    /// Changes those of the figures that are not in the totals.
    pub fn count(&self, change: impl FnOnce(&mut Figures)) {
        change(&mut self.lock().figures);
    }

    /// Notes a frame that left completely.
    pub fn frame_sent(&self, timeline: &Timeline) {
        let mut inner = self.lock();
        inner.figures.capture.note(timeline.captured.saturating_duration_since(timeline.presented));
        if let Some(sent) = timeline.sent_last {
            let took = sent.saturating_duration_since(timeline.presented);
            inner.latency.push(micros(took));
            inner.figures.host.note(took);
        }
        if let (Some(start), Some(end)) = (timeline.encode_start, timeline.encode_end) {
            let took = end.saturating_duration_since(start);
            inner.encode.push(micros(took));
            inner.figures.encode.note(took);
        }
    }

    /// What this stream has done until now.
    pub fn figures(&self) -> Figures {
        let inner = self.lock();
        let totals = &inner.totals;
        Figures {
            frames_sent: totals.frames_sent,
            key_frames: totals.key_frames,
            frames_replaced: totals.frames_replaced,
            frames_dropped: totals.frames_dropped,
            frames_skipped: totals.frames_skipped,
            video_bytes: totals.wire_bytes,
            audio_packets: totals.audio_packets,
            ..inner.figures.clone()
        }
    }

    /// Packets that the client accounted for, and how many of these did not arrive.
    pub fn reported(&self) -> (u64, u64) {
        let inner = self.lock();
        (inner.totals.reported_sent, inner.totals.reported_missing)
    }

    /// The figures now.
    pub fn snapshot(&self) -> SessionStats {
        let inner = self.lock();
        SessionStats {
            latency_p50_us: inner.latency.percentile(0.5),
            latency_p99_us: inner.latency.percentile(0.99),
            encode_p50_us: inner.encode.percentile(0.5),
            ..inner.totals.clone()
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn micros(duration: std::time::Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn percentiles_come_from_the_last_frames_only() {
        let stats = StreamStats::default();
        let now = Instant::now();
        for i in 0..2 * WINDOW as u64 {
            let mut timeline = Timeline::starting(now);
            let latency = if i < WINDOW as u64 { 90_000 } else { i % 100 };
            timeline.sent_last = Some(now + Duration::from_micros(latency));
            stats.frame_sent(&timeline);
        }
        let snapshot = stats.snapshot();
        assert!(snapshot.latency_p99_us < 100, "{snapshot:?}");
        assert!((40..60).contains(&snapshot.latency_p50_us), "{snapshot:?}");
    }
}
