//! Measurements of this machine. A display: how evenly its pictures come, and how many are replaced, repeated or still.
//! What is printed was measured while it was printed; nothing is stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::bail;
use lumen_core::lumen1::negotiation::Grants;
use serde::Serialize;

use crate::capture::{CaptureError, Captured};
use crate::display::steps::Steps;
use crate::display::{self, DisplayState};
use crate::frame::Frame;
use crate::link::SessionSpec;

/// How long a display may take to its first picture, once it is up: programs may have to load before they draw.
const FIRST_PICTURE: Duration = Duration::from_secs(60);

/// Pacing of a display.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DisplayReport {
    /// Kind of the display.
    pub display: String,
    /// Pixels per line.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// Frames per second of the mode.
    pub fps: f64,
    /// Time from the first to the last picture.
    pub seconds: f64,
    /// Pictures that were captured.
    pub pictures: u64,
    /// Pictures that a newer one replaced before they were captured.
    pub replaced: u64,
    /// Captured pictures that were the same as the one before.
    pub repeated: u64,
    /// Times that nothing came for two frame intervals.
    pub still: u64,
    /// Time from one presentation to the next, in milliseconds.
    pub interval_ms: Distribution,
    /// From presentation to capture, in milliseconds.
    pub capture_ms: Distribution,
}

/// A distribution.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Distribution {
    /// Half of all are not above.
    pub p50: f64,
    /// 95 of 100 are not above.
    pub p95: f64,
    /// 99 of 100 are not above.
    pub p99: f64,
    /// None is above.
    pub max: f64,
}

impl Distribution {
    /// Of these times, in milliseconds; all zero if there are none.
    pub fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |share: f64| {
            let rank = (share * times.len() as f64).ceil() as usize;
            times.get(rank.saturating_sub(1)).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
        };
        Self { p50: at(0.50), p95: at(0.95), p99: at(0.99), max: at(1.0) }
    }
}

/// Opens the display as a session does and captures its pictures for `duration`.
///
/// # Errors
/// If the display cannot be opened, ends, or shows nothing.
pub fn display(spec: &SessionSpec, duration: Duration, stop: &AtomicBool) -> anyhow::Result<DisplayReport> {
    let _steps = Steps::begin(spec)?;
    let mut display = display::open(spec, Grants::NONE)?;
    let mut capture = display.capture()?;
    let (mut intervals, mut latencies) = (Vec::new(), Vec::new());
    let (mut pictures, mut replaced, mut repeated, mut still) = (0, 0, 0, 0);
    let mut first = None;
    let mut last: Option<Frame> = None;
    let patience = spec.mode.interval() * 2;
    let began = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        match (display.poll(), first) {
            (DisplayState::Gone(reason), _) => bail!("the display ended: {reason}"),
            (DisplayState::ApplicationEnded, _) => break,
            (DisplayState::Running, Some(first)) if Instant::now() >= first + duration => break,
            (DisplayState::Running, None) if began.elapsed() > FIRST_PICTURE => break,
            (DisplayState::Running, _) => {}
        }
        match capture.next(Instant::now() + patience) {
            Ok(Captured::Frame(frame)) => {
                pictures += 1;
                latencies.push(frame.timeline.captured.saturating_duration_since(frame.timeline.presented));
                match &last {
                    Some(last) => {
                        let interval = frame.timeline.presented.saturating_duration_since(last.timeline.presented);
                        intervals.push(interval);
                        replaced += frame.serial.saturating_sub(last.serial + 1);
                        let same = Arc::ptr_eq(&frame.image, &last.image) || frame.image == last.image;
                        repeated += u64::from(same);
                    }
                    None => first = Some(frame.timeline.presented),
                }
                last = Some(frame);
            }
            Ok(Captured::Still) if first.is_some() => still += 1,
            Ok(Captured::Still) => {}
            Err(CaptureError::DisplayGone(reason)) => bail!("the display ended: {reason}"),
        }
    }
    let (Some(first), Some(last)) = (first, last) else { bail!("the display showed no picture") };
    Ok(DisplayReport {
        display: spec.app.display.as_str().to_owned(),
        width: spec.mode.width,
        height: spec.mode.height,
        fps: spec.mode.fps(),
        seconds: last.timeline.presented.saturating_duration_since(first).as_secs_f64(),
        pictures,
        replaced,
        repeated,
        still,
        interval_ms: Distribution::of(intervals),
        capture_ms: Distribution::of(latencies),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let distribution = Distribution::of((1..=200).rev().map(Duration::from_millis).collect());
        assert_eq!(distribution, Distribution { p50: 100.0, p95: 190.0, p99: 198.0, max: 200.0 });
        assert_eq!(Distribution::of(Vec::new()), Distribution::default());
        let one = Distribution::of(vec![Duration::from_millis(7)]);
        assert_eq!((one.p50, one.max), (7.0, 7.0));
    }
}
