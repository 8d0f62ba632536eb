//! The controller: rises while queues are empty, falls back to what arrives when they grow.

use std::collections::VecDeque;
use std::time::Duration;

use super::rate::{ArrivalRate, BitsPerSecond, Dispersion};
use super::trend::{Trend, Usage};
use crate::time::Timestamp;

/// Falling back: so much of what arrives.
const DECREASE: f64 = 0.85;
/// Rising, per second, while the link's rate is not known.
const GROWTH: f64 = 1.08;
/// The target is at most so many times what arrives: a stream that sends less than it may learns nothing.
const HEADROOM: f64 = 1.5;
/// A queue that stands for longer than a round trip is one too many, even if it does not grow.
const STANDING_QUEUE: Duration = Duration::from_millis(12);
/// Paths change; the shortest delay is that of this time.
const BASE_WINDOW: Duration = Duration::from_secs(20);
/// Near the rate of the link, so many packets more in the time that an answer takes.
const NEAR_PACKETS: f64 = 4.0;
const PACKET_BITS: f64 = 1400.0 * 8.0;
/// A queue that is too short to be seen overflows: so much more than what is lost anyway means too much.
const OVERFLOW: f64 = 0.03;
/// How often losses are looked at, what a look counts, and for how long the least loss is what is lost anyway.
const LOSS_EVERY: Duration = Duration::from_millis(250);
const LOSS_SMOOTHING: f64 = 0.4;
const LOSS_WINDOW: Duration = Duration::from_secs(20);
/// Pacing: faster than the target, so that frames end early, but no faster than the path.
const LEAST_PACING: f64 = 1.25;
const MOST_PACING: f64 = 4.0;
const PATH_SHARE: f64 = 0.95;

/// Bounds of a [`CongestionControl`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CongestionConfig {
    /// Never below.
    pub least: BitsPerSecond,
    /// Where it begins.
    pub start: BitsPerSecond,
    /// Never above.
    pub most: BitsPerSecond,
}

/// One packet, as the receiver tells of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Receipt {
    /// It arrived.
    Arrived {
        /// By the host's clock.
        sent: Timestamp,
        /// By the client's clock, whatever its zero is.
        arrived: Timestamp,
        /// With headers.
        bytes: usize,
        /// Number of the frame that it belongs to.
        frame: u64,
    },
    /// It did not.
    Lost,
}

/// Decides how fast to send, from receipts.
#[derive(Debug, Clone)]
pub struct CongestionControl {
    config: CongestionConfig,
    target: BitsPerSecond,
    trend: Trend,
    arrivals: ArrivalRate,
    dispersion: Dispersion,
    train: Option<Train>,
    base: Least<i64>,
    /// Smallest queueing delay since the last decision.
    queue: Option<Duration>,
    /// Mean and variance of what arrived when queues grew: near it, rising is careful.
    link: Option<(f64, f64)>,
    received: u32,
    lost: u32,
    decided_at: Option<Timestamp>,
    fell_at: Option<Timestamp>,
    loss_decided_at: Option<Timestamp>,
    loss: f64,
    lost_anyway: Least<f64>,
    round_trip: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Train {
    frame: u64,
    first: Timestamp,
    last: Timestamp,
    bytes: usize,
}

impl CongestionControl {
    /// A controller that knows nothing of its path yet.
    pub fn new(config: CongestionConfig) -> Self {
        Self {
            config,
            target: config.start,
            trend: Trend::default(),
            arrivals: ArrivalRate::default(),
            dispersion: Dispersion::default(),
            train: None,
            base: Least::over(BASE_WINDOW),
            queue: None,
            link: None,
            received: 0,
            lost: 0,
            decided_at: None,
            fell_at: None,
            loss_decided_at: None,
            loss: 0.0,
            lost_anyway: Least::over(LOSS_WINDOW),
            round_trip: Duration::from_millis(50),
        }
    }

    /// A round trip took so long.
    pub fn round_trip(&mut self, sample: Duration) {
        self.round_trip = (self.round_trip * 7 + sample) / 8;
    }

    /// Takes the receipts of one report, in the order of arrival, as they came in at `now`.
    pub fn report(&mut self, receipts: &[Receipt], now: Timestamp) {
        let mut usage = None;
        for receipt in receipts {
            match *receipt {
                Receipt::Lost => self.lost += 1,
                Receipt::Arrived { sent, arrived, bytes, frame } => {
                    self.received += 1;
                    self.arrivals.add(arrived, bytes);
                    self.train(frame, arrived, bytes);
                    let queue = queue(&mut self.base, sent, arrived);
                    self.queue = Some(self.queue.map_or(queue, |least| least.min(queue)));
                    let new = self.trend.packet(sent, arrived);
                    // Growth anywhere in the report counts.
                    usage = Some(if usage == Some(Usage::Over) { Usage::Over } else { new });
                }
            }
        }
        if let Some(usage) = usage {
            self.decide(usage, now);
        }
        self.decide_by_loss(now);
    }

    /// How fast to send on average; parity and retransmissions count.
    pub fn target(&self) -> BitsPerSecond {
        self.target
    }

    /// How fast to send the packets of a frame, one after another.
    pub fn pacing_rate(&self) -> BitsPerSecond {
        let (least, most) = (self.target.times(LEAST_PACING), self.target.times(MOST_PACING));
        // Without a measurement as slowly as can be: what a path bears is learned from below.
        self.dispersion.rate().map_or(least, |path| path.times(PATH_SHARE)).clamp(least, most)
    }

    fn train(&mut self, frame: u64, arrived: Timestamp, bytes: usize) {
        match &mut self.train {
            Some(train) if train.frame == frame => {
                train.last = train.last.max(arrived);
                train.bytes += bytes;
            }
            train => {
                if let Some(Train { first, last, bytes, .. }) = *train {
                    self.dispersion.train(bytes, last.saturating_since(first));
                }
                // The first packet begins the time, it does not take part in it.
                *train = Some(Train { frame, first: arrived, last: arrived, bytes: 0 });
            }
        }
    }

    fn decide(&mut self, usage: Usage, now: Timestamp) {
        let elapsed = self.decided_at.map_or(Duration::ZERO, |at| now.saturating_since(at));
        self.decided_at = Some(now);
        let queue = self.queue.take().unwrap_or_default();
        let Some(arriving) = self.arrivals.rate() else { return };
        let standing = queue > STANDING_QUEUE.max(self.round_trip / 4);
        if usage == Usage::Over || standing {
            self.fall(arriving, now);
        } else if usage == Usage::Normal {
            self.rise(arriving, elapsed.min(Duration::from_millis(200)));
        }
        // While queues drain the rate is held.
    }

    /// To what arrives, and a little below, so that queues drain; at most once in the time that an answer takes.
    fn fall(&mut self, arriving: BitsPerSecond, now: Timestamp) {
        let pause = self.round_trip + Duration::from_millis(100);
        if self.fell_at.is_none_or(|at| now.saturating_since(at) >= pause) {
            self.fell_at = Some(now);
            self.remember_link(arriving);
            self.set(arriving.times(DECREASE).min(self.target));
        }
    }

    /// Multiplicatively far from what the link was seen to carry, by a few packets a round trip near it.
    fn rise(&mut self, arriving: BitsPerSecond, elapsed: Duration) {
        let seconds = elapsed.as_secs_f64();
        let near = self.link.is_some_and(|(mean, variance)| {
            let distance = arriving.0 as f64 - mean;
            if distance > 3.0 * variance.sqrt() {
                self.link = None;
                return false;
            }
            distance.abs() <= 3.0 * variance.sqrt()
        });
        let risen = if near {
            let answers = seconds / (self.round_trip.as_secs_f64() + 0.1);
            BitsPerSecond(self.target.0 + (answers * NEAR_PACKETS * PACKET_BITS) as u64)
        } else {
            self.target.times(GROWTH.powf(seconds * 4.0))
        };
        let limit = BitsPerSecond(arriving.times(HEADROOM).0 + 10_000);
        if self.target < limit {
            self.set(risen.min(limit));
        }
    }

    fn remember_link(&mut self, arriving: BitsPerSecond) {
        let rate = arriving.0 as f64;
        self.link = Some(match self.link {
            Some((mean, variance)) if (rate - mean).abs() <= 3.0 * variance.sqrt() => {
                let off = rate - mean;
                (mean + 0.05 * off, (0.95 * (variance + 0.05 * off * off)).max((0.01 * rate).powi(2)))
            }
            _ => (rate, (0.03 * rate).powi(2)),
        });
    }

    /// What is lost beyond what is lost anyway did not fit into a queue. Networks that lose much by themselves do so at any
    /// rate, so falling because of that would never end.
    fn decide_by_loss(&mut self, now: Timestamp) {
        let since = *self.loss_decided_at.get_or_insert(now);
        let packets = self.received + self.lost;
        if now.saturating_since(since) < LOSS_EVERY || packets < 50 {
            return;
        }
        let share = f64::from(self.lost) / f64::from(packets);
        (self.received, self.lost, self.loss_decided_at) = (0, 0, Some(now));
        self.loss += (share - self.loss) * LOSS_SMOOTHING;
        let anyway = self.lost_anyway.with(now, self.loss);
        if self.loss > anyway + OVERFLOW
            && let Some(arriving) = self.arrivals.rate()
        {
            self.fall(arriving, now);
        }
    }

    fn set(&mut self, rate: BitsPerSecond) {
        self.target = rate.clamp(self.config.least, self.config.most);
    }
}

/// Time in queues: the one-way delay above the shortest one lately. The clocks' difference is in both.
fn queue(base: &mut Least<i64>, sent: Timestamp, arrived: Timestamp) -> Duration {
    let delay = (arrived.as_micros() as i64).wrapping_sub(sent.as_micros() as i64);
    Duration::from_micros(delay.saturating_sub(base.with(sent, delay)).max(0) as u64)
}

/// The least value of some time.
#[derive(Debug, Clone)]
struct Least<T> {
    window: Duration,
    /// Rising values of rising times.
    candidates: VecDeque<(Timestamp, T)>,
}

impl<T: PartialOrd + Copy> Least<T> {
    fn over(window: Duration) -> Self {
        Self { window, candidates: VecDeque::new() }
    }

    /// One more value; gives the least.
    fn with(&mut self, at: Timestamp, value: T) -> T {
        while self.candidates.back().is_some_and(|(_, other)| *other >= value) {
            self.candidates.pop_back();
        }
        self.candidates.push_back((at, value));
        while self.candidates.front().is_some_and(|(first, _)| at.saturating_since(*first) > self.window) {
            self.candidates.pop_front();
        }
        self.candidates.front().map_or(value, |(_, least)| *least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delay_above_the_shortest_one_is_queue_whatever_the_clocks_say() {
        let mut base = Least::over(BASE_WINDOW);
        let queue = |base: &mut Least<i64>, at: u64, delay: i64| {
            let arrived = (at as i64 * 1000 + delay) as u64;
            queue(base, Timestamp::from_millis(at), Timestamp::from_micros(arrived)).as_micros()
        };
        // The client's clock is 900 ms behind.
        assert_eq!(queue(&mut base, 1000, -880_000), 0);
        assert_eq!(queue(&mut base, 1010, -875_000), 5000);
        assert_eq!(queue(&mut base, 1020, -885_000), 0);
        assert_eq!(queue(&mut base, 1030, -880_000), 5000);
        // A longer route is the base after a while.
        assert_eq!(queue(&mut base, 15_000, -800_000), 85_000);
        assert_eq!(queue(&mut base, 35_100, -800_000), 0);
    }

    #[test]
    fn times_that_make_no_sense_keep_the_rate_in_its_bounds() {
        let (least, most) = (BitsPerSecond(1_000_000), BitsPerSecond(50_000_000));
        let mut control = CongestionControl::new(CongestionConfig { least, start: least, most });
        let mut random = crate::netsim::Random::new(2);
        for _ in 0..20_000 {
            let mut time = || {
                Timestamp::from_micros(if random.bits().is_multiple_of(3) {
                    random.bits()
                } else {
                    random.below(1 << 30)
                })
            };
            let receipt = Receipt::Arrived { sent: time(), arrived: time(), bytes: 1400, frame: time().as_micros() };
            control.report(&[receipt, Receipt::Lost], time());
            assert!((least..=most).contains(&control.target()));
            assert!(control.pacing_rate() >= control.target());
        }
    }
}
