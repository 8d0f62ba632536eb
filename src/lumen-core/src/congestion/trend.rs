//! Whether queues grow: the slope of one-way delay over the last groups of packets, against a threshold that adapts (Carlucci
//! et al., sections III and IV; the line through the points is what WebRTC implementations use in place of the Kalman filter).

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Timestamp;

/// Packets sent within this time are one group: a frame's packets say more together than each by itself.
const GROUP: Duration = Duration::from_millis(5);
/// Groups in the line.
const POINTS: usize = 20;
/// Smoothing of the delay before the line is drawn.
const SMOOTHING: f64 = 0.9;
/// Slope times number of points times this is compared with the threshold.
const GAIN: f64 = 4.0;
/// The threshold follows what it is compared with, faster downwards than upwards, per millisecond.
const RISE: f64 = 0.0087;
const FALL: f64 = 0.039;
const LEAST_THRESHOLD: f64 = 6.0;
const MOST_THRESHOLD: f64 = 600.0;
/// A queue must grow for so long before it counts, in milliseconds.
const OVERUSE_TIME: f64 = 10.0;

/// What the path is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Usage {
    /// Queues grow.
    Over,
    /// Queues neither grow nor shrink.
    Normal,
    /// Queues drain.
    Under,
}

#[derive(Debug, Clone, Copy)]
struct Group {
    first_sent: Timestamp,
    last_sent: Timestamp,
    last_arrived: Timestamp,
}

/// The detector.
#[derive(Debug, Clone)]
pub(super) struct Trend {
    group: Option<Group>,
    previous: Option<Group>,
    /// Arrival in milliseconds, smoothed accumulated delay in milliseconds.
    points: VecDeque<(f64, f64)>,
    accumulated: f64,
    smoothed: f64,
    deltas: u32,
    threshold: f64,
    over_for: f64,
    last_slope: f64,
    usage: Usage,
}

impl Default for Trend {
    fn default() -> Self {
        Self {
            group: None,
            previous: None,
            points: VecDeque::with_capacity(POINTS),
            accumulated: 0.0,
            smoothed: 0.0,
            deltas: 0,
            threshold: 12.5,
            over_for: 0.0,
            last_slope: 0.0,
            usage: Usage::Normal,
        }
    }
}

impl Trend {
    /// A packet arrived. Packets come in the order of arrival.
    pub(super) fn packet(&mut self, sent: Timestamp, arrived: Timestamp) -> Usage {
        let Some(group) = &mut self.group else {
            self.group = Some(Group { first_sent: sent, last_sent: sent, last_arrived: arrived });
            return self.usage;
        };
        if sent < group.first_sent {
            // Came late: its group is over.
            return self.usage;
        }
        if sent.saturating_since(group.first_sent) <= GROUP {
            group.last_sent = group.last_sent.max(sent);
            group.last_arrived = group.last_arrived.max(arrived);
            return self.usage;
        }
        let complete = *group;
        *group = Group { first_sent: sent, last_sent: sent, last_arrived: arrived };
        if let Some(previous) = self.previous.replace(complete) {
            let sent = millis(complete.last_sent.saturating_since(previous.last_sent));
            let arrived = millis(complete.last_arrived) - millis(previous.last_arrived);
            self.delta(sent, arrived - sent, millis(complete.last_arrived));
        }
        self.usage
    }

    /// One group took `growth` milliseconds longer than the one before it.
    fn delta(&mut self, elapsed: f64, growth: f64, arrived: f64) {
        self.deltas = (self.deltas + 1).min(60);
        self.accumulated += growth;
        self.smoothed = SMOOTHING * self.smoothed + (1.0 - SMOOTHING) * self.accumulated;
        if self.points.len() == POINTS {
            self.points.pop_front();
        }
        self.points.push_back((arrived, self.smoothed));
        if self.points.len() < POINTS {
            return;
        }
        let slope = slope(&self.points);
        let modified = f64::from(self.deltas) * slope * GAIN;
        self.judge(modified, slope, elapsed);
        self.last_slope = slope;
    }

    fn judge(&mut self, modified: f64, slope: f64, elapsed: f64) {
        if modified > self.threshold {
            self.over_for += elapsed;
            if self.over_for > OVERUSE_TIME && slope >= self.last_slope {
                self.over_for = 0.0;
                self.usage = Usage::Over;
            }
        } else {
            self.over_for = 0.0;
            self.usage = if modified < -self.threshold { Usage::Under } else { Usage::Normal };
        }
        // A jump is another route, not a queue; it must not move the threshold.
        if modified.abs() <= self.threshold + 15.0 {
            let rate = if modified.abs() < self.threshold { FALL } else { RISE };
            self.threshold += rate * (modified.abs() - self.threshold) * elapsed.min(100.0);
            self.threshold = self.threshold.clamp(LEAST_THRESHOLD, MOST_THRESHOLD);
        }
    }
}

fn millis(time: impl IntoMicros) -> f64 {
    time.micros() as f64 / 1e3
}

trait IntoMicros {
    fn micros(self) -> u64;
}

impl IntoMicros for Timestamp {
    fn micros(self) -> u64 {
        self.as_micros()
    }
}

impl IntoMicros for Duration {
    fn micros(self) -> u64 {
        u64::try_from(self.as_micros()).unwrap_or(u64::MAX)
    }
}

/// Of the line with the least squares.
fn slope(points: &VecDeque<(f64, f64)>) -> f64 {
    let count = points.len() as f64;
    let (x_mean, y_mean) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / count, y + point.1 / count));
    let (above, below) = points.iter().fold((0.0, 0.0), |(above, below), (x, y)| {
        (above + (x - x_mean) * (y - y_mean), below + (x - x_mean) * (x - x_mean))
    });
    if below > 0.0 { above / below } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends a group every 16 ms; the delay of each is given.
    fn usages(delays: impl Iterator<Item = f64>) -> Vec<Usage> {
        let mut trend = Trend::default();
        (0u64..)
            .zip(delays)
            .map(|(group, delay)| {
                let sent = Timestamp::from_millis(group * 16);
                trend.packet(sent, sent + Duration::from_micros(50_000 + (delay * 1e3) as u64))
            })
            .collect()
    }

    #[test]
    fn a_growing_queue_is_overuse_and_a_draining_one_underuse() {
        let usages = usages((0..60).map(|i| f64::from(i) * 2.0).chain((0..60).map(|i| 120.0 - f64::from(i) * 2.0)));
        assert!(usages[..60].contains(&Usage::Over) && !usages[..60].contains(&Usage::Under));
        assert_eq!(usages[110], Usage::Under);
    }

    #[test]
    fn jitter_is_not_a_queue() {
        let mut random = crate::netsim::Random::new(1);
        let usages = usages((0..2000).map(|_| random.fraction() * 8.0));
        let over = usages.iter().filter(|usage| **usage == Usage::Over).count();
        assert!(over < 100, "{over}");
    }
}
