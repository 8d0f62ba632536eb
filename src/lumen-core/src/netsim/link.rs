//! One direction of a network path: queue and rate first, then loss, then delay.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use super::loss::{Loss, LossProcess};
use super::random::{Chance, Random};
use crate::time::Timestamp;

/// What a link does to datagrams.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinkConfig {
    /// Rate and queue; none means that datagrams never wait.
    pub bottleneck: Option<Bottleneck>,
    /// What is lost behind the bottleneck: such a datagram has used its time on the link.
    pub loss: Loss,
    /// Times in which everything is lost.
    pub outages: Option<Outages>,
    /// From leaving the bottleneck to arriving.
    pub delay: Duration,
    /// Added to the delay, evenly distributed from 0.
    pub jitter: Duration,
    /// Whether jitter makes datagrams overtake each other.
    pub order: Order,
    /// Datagrams that come late, whatever `order` says.
    pub reordering: Option<Reordering>,
    /// Share of datagrams that arrive twice, the copy with a jitter of its own.
    pub duplication: f64,
}

/// A rate and the queue in front of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bottleneck {
    /// Bits per second; at least 1.
    pub bits_per_second: u64,
    /// Bytes that may wait. What does not fit any more is dropped at the tail; a datagram always fits into an empty queue.
    pub queue_bytes: usize,
}

/// Times in which everything is lost, as when a radio changes its cell: exponentially distributed, in microseconds of
/// virtual time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outages {
    /// Mean time from one to the next.
    pub every: Duration,
    /// Mean length.
    pub length: Duration,
}

/// Datagrams that are held back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reordering {
    /// Share of datagrams.
    pub share: f64,
    /// For how long, in addition to the delay.
    pub by: Duration,
}

/// Whether datagrams overtake each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Jitter reorders.
    Free,
    /// Jitter delays what comes after, as the queue of another hop does.
    Kept,
}

impl LinkConfig {
    /// Nothing is lost, and everything arrives after `delay`.
    pub const fn clean(delay: Duration) -> Self {
        Self {
            bottleneck: None,
            loss: Loss::None,
            outages: None,
            delay,
            jitter: Duration::ZERO,
            order: Order::Free,
            reordering: None,
            duplication: 0.0,
        }
    }
}

/// What a link did so far, in datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkCounters {
    /// Given to it.
    pub sent: u64,
    /// Dropped because the queue was full.
    pub overflowed: u64,
    /// Lost by the loss model or an outage.
    pub lost: u64,
    /// Taken out of it, copies included.
    pub received: u64,
}

/// One direction of a path that carries `T`.
///
/// [`Link::send`] and [`Link::receive`] take the time, which must not go backwards; [`Link::next_event`] says when there is
/// something to receive, or sooner.
#[derive(Debug)]
pub struct Link<T> {
    config: LinkConfig,
    queue: VecDeque<(usize, T)>,
    queued_bytes: usize,
    /// Nanoseconds at which the head of the queue has left.
    head_leaves: u64,
    arrivals: BinaryHeap<Reverse<Arrival<T>>>,
    last_arrival: u64,
    arrived: u64,
    loss: LossProcess,
    loss_random: Random,
    jitter: Random,
    reordering: Random,
    duplication: Random,
    outage: OutageProcess,
    counters: LinkCounters,
}

/// Ordered by time, then by sending.
#[derive(Debug)]
struct Arrival<T> {
    at: u64,
    number: u64,
    item: T,
}

impl<T> PartialEq for Arrival<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl<T> Eq for Arrival<T> {}

impl<T> PartialOrd for Arrival<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Arrival<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl<T: Clone> Link<T> {
    /// A link at rest.
    pub fn new(config: LinkConfig, seed: u64) -> Self {
        let random = Random::new(seed);
        Self {
            config,
            queue: VecDeque::new(),
            queued_bytes: 0,
            head_leaves: 0,
            arrivals: BinaryHeap::new(),
            last_arrival: 0,
            arrived: 0,
            loss: config.loss.start(random.fork(1)),
            loss_random: random.fork(2),
            jitter: random.fork(3),
            reordering: random.fork(4),
            duplication: random.fork(5),
            outage: OutageProcess::new(random.fork(6)),
            counters: LinkCounters::default(),
        }
    }

    /// How the link is now.
    pub fn config(&self) -> LinkConfig {
        self.config
    }

    /// Changes the link from `now` on. What has left the bottleneck arrives as it was going to; what waits, waits on.
    pub fn set_config(&mut self, config: LinkConfig, now: Timestamp) {
        self.advance(nanos(now));
        if config.loss != self.config.loss {
            self.loss = config.loss.start(self.loss_random.clone());
            self.loss_random = self.loss_random.fork(7);
        }
        self.config = config;
    }

    /// Puts a datagram of `bytes` bytes, headers included, on the link.
    pub fn send(&mut self, now: Timestamp, bytes: usize, item: T) {
        let now = nanos(now);
        self.advance(now);
        self.counters.sent += 1;
        let Some(bottleneck) = self.config.bottleneck else {
            self.leave(now, item);
            return;
        };
        if self.queue.is_empty() {
            self.head_leaves = now + transmission(bytes, bottleneck);
        } else if self.queued_bytes + bytes > bottleneck.queue_bytes {
            self.counters.overflowed += 1;
            return;
        }
        self.queued_bytes += bytes;
        self.queue.push_back((bytes, item));
    }

    /// The next datagram that has arrived by `now`, and when it did.
    pub fn receive(&mut self, now: Timestamp) -> Option<(Timestamp, T)> {
        self.advance(nanos(now));
        if self.arrivals.peek()?.0.at > nanos(now) {
            return None;
        }
        let Reverse(arrival) = self.arrivals.pop()?;
        self.counters.received += 1;
        Some((Timestamp::from_micros(arrival.at.div_ceil(1000)), arrival.item))
    }

    /// When to call [`Link::receive`] next; none if nothing is on its way.
    pub fn next_event(&self) -> Option<Timestamp> {
        let leaving = (!self.queue.is_empty()).then_some(self.head_leaves);
        let arriving = self.arrivals.peek().map(|Reverse(arrival)| arrival.at);
        [leaving, arriving].into_iter().flatten().min().map(|at| Timestamp::from_micros(at.div_ceil(1000)))
    }

    /// Bytes that wait in front of the bottleneck, the datagram in transmission included.
    pub fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// What became of the datagrams so far.
    pub fn counters(&self) -> LinkCounters {
        self.counters
    }

    /// Moves on to `now`.
    fn advance(&mut self, now: u64) {
        while self.head_leaves <= now
            && let Some((bytes, item)) = self.queue.pop_front()
        {
            self.queued_bytes -= bytes;
            let left = self.head_leaves;
            if let (Some((next, _)), Some(bottleneck)) = (self.queue.front(), self.config.bottleneck) {
                self.head_leaves = left + transmission(*next, bottleneck);
            }
            self.leave(left, item);
        }
    }

    /// A datagram is past the bottleneck at `at`.
    fn leave(&mut self, at: u64, item: T) {
        let lost = self.loss.next_is_lost();
        let out = self.config.outages.is_some_and(|outages| self.outage.is_out(outages, at));
        if lost || out {
            self.counters.lost += 1;
            return;
        }
        let held_back = match self.config.reordering {
            Some(Reordering { share, by }) if self.reordering.happens(Chance::new(share)) => by.as_nanos() as u64,
            _ => 0,
        };
        let copies = 1 + usize::from(self.duplication.happens(Chance::new(self.config.duplication)));
        for copy in 0..copies {
            let jitter = self.jitter.below(self.config.jitter.as_nanos() as u64 + 1);
            let mut arrives = at + self.config.delay.as_nanos() as u64 + jitter;
            if self.config.order == Order::Kept && copy == 0 {
                arrives = arrives.max(self.last_arrival);
                self.last_arrival = arrives;
            }
            self.arrived += 1;
            self.arrivals.push(Reverse(Arrival { at: arrives + held_back, number: self.arrived, item: item.clone() }));
        }
    }
}

/// When nothing gets through.
#[derive(Debug)]
struct OutageProcess {
    random: Random,
    out: bool,
    /// Nanoseconds at which this changes; none before the first look.
    changes: Option<u64>,
}

impl OutageProcess {
    fn new(random: Random) -> Self {
        Self { random, out: false, changes: None }
    }

    fn is_out(&mut self, outages: Outages, now: u64) -> bool {
        let mut changes = self.changes.unwrap_or_else(|| now + exponential(&mut self.random, outages.every));
        while changes <= now {
            self.out = !self.out;
            let mean = if self.out { outages.length } else { outages.every };
            changes += exponential(&mut self.random, mean).max(1);
        }
        self.changes = Some(changes);
        self.out
    }
}

/// Nanoseconds, exponentially distributed around `mean`. By halving: the logarithms of libraries differ in their last
/// bits, and a seed must give the same everywhere.
fn exponential(random: &mut Random, mean: Duration) -> u64 {
    // −ln U = Z·ln 2 + the same of the fraction of U in [1/2, 1), for which a series of ln(1 − x) converges fast.
    let bits = random.bits() | 1;
    let zeros = bits.leading_zeros();
    let fraction = ((bits << zeros) >> 11) as f64 / (1u64 << 53) as f64;
    let x = 1.0 - fraction;
    let series: f64 = (1..=50).rev().fold(0.0, |sum, n| x * (1.0 / f64::from(n) + sum));
    ((f64::from(zeros) * std::f64::consts::LN_2 + series) * mean.as_nanos() as f64) as u64
}

fn nanos(time: Timestamp) -> u64 {
    time.as_micros().saturating_mul(1000)
}

/// Nanoseconds that `bytes` take.
fn transmission(bytes: usize, bottleneck: Bottleneck) -> u64 {
    (bytes as u64).saturating_mul(8_000_000_000).div_ceil(bottleneck.bits_per_second.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn drain(link: &mut Link<u32>) -> Vec<(u64, u32)> {
        let mut all = Vec::new();
        while let Some(at) = link.next_event() {
            all.extend(std::iter::from_fn(|| link.receive(at)).map(|(at, item)| (at.as_micros(), item)));
        }
        all
    }

    #[test]
    fn a_clean_link_delivers_everything_after_its_delay() {
        let mut link = Link::new(LinkConfig::clean(10 * MS), 1);
        for item in 0..3 {
            link.send(Timestamp::from_millis(item.into()), 1000, item);
        }
        assert_eq!(drain(&mut link), [(10_000, 0), (11_000, 1), (12_000, 2)]);
    }

    #[test]
    fn a_bottleneck_spaces_datagrams_by_their_time_on_the_link() {
        let bottleneck = Some(Bottleneck { bits_per_second: 8_000_000, queue_bytes: 10_000 });
        let mut link = Link::new(LinkConfig { bottleneck, ..LinkConfig::clean(5 * MS) }, 1);
        for item in 0..3 {
            link.send(Timestamp::ZERO, 1000, item);
        }
        assert_eq!(link.queued_bytes(), 3000);
        assert_eq!(drain(&mut link), [(6000, 0), (7000, 1), (8000, 2)]);
        link.send(Timestamp::from_millis(20), 1000, 9);
        assert_eq!(drain(&mut link), [(26_000, 9)]);
    }

    #[test]
    fn what_the_queue_cannot_hold_is_dropped_at_the_tail() {
        let bottleneck = Some(Bottleneck { bits_per_second: 8_000_000, queue_bytes: 3000 });
        let mut link = Link::new(LinkConfig { bottleneck, ..LinkConfig::clean(Duration::ZERO) }, 1);
        for item in 0..5 {
            link.send(Timestamp::ZERO, 1000, item);
        }
        link.send(Timestamp::from_millis(1), 1000, 5);
        assert_eq!(drain(&mut link).iter().map(|(_, item)| *item).collect::<Vec<_>>(), [0, 1, 2, 5]);
        assert_eq!(link.counters().overflowed, 2);
    }

    #[test]
    fn a_new_rate_holds_for_what_waits() {
        let slow = Bottleneck { bits_per_second: 8_000_000, queue_bytes: 10_000 };
        let config = LinkConfig { bottleneck: Some(slow), ..LinkConfig::clean(Duration::ZERO) };
        let mut link = Link::new(config, 1);
        for item in 0..3 {
            link.send(Timestamp::ZERO, 1000, item);
        }
        let fast = Bottleneck { bits_per_second: 80_000_000, ..slow };
        link.set_config(LinkConfig { bottleneck: Some(fast), ..config }, Timestamp::from_micros(500));
        assert_eq!(drain(&mut link), [(1000, 0), (1100, 1), (1200, 2)]);
    }

    fn jittery(order: Order, duplication: f64, reordering: Option<Reordering>) -> Link<u32> {
        let config = LinkConfig { jitter: 5 * MS, order, duplication, reordering, ..LinkConfig::clean(10 * MS) };
        let mut link = Link::new(config, 7);
        for item in 0..500 {
            link.send(Timestamp::from_millis(u64::from(item)), 100, item);
        }
        link
    }

    #[test]
    fn jitter_reorders_only_where_it_may() {
        let items = |mut link: Link<u32>| drain(&mut link).iter().map(|(_, item)| *item).collect::<Vec<_>>();
        assert!(items(jittery(Order::Kept, 0.0, None)).is_sorted());
        let free = items(jittery(Order::Free, 0.0, None));
        assert!(!free.is_sorted() && free.len() == 500);
        let held_back = Some(Reordering { share: 0.1, by: 20 * MS });
        let late = items(jittery(Order::Kept, 0.0, held_back));
        let overtaken = late.windows(2).filter(|pair| pair[0] > pair[1]).count();
        assert!((20..100).contains(&overtaken), "{overtaken}");
    }

    #[test]
    fn duplicates_arrive_beside_the_originals() {
        let mut link = jittery(Order::Free, 0.5, None);
        let arrived = drain(&mut link).len();
        assert!((650..850).contains(&arrived), "{arrived}");
    }

    #[test]
    fn an_outage_takes_everything_for_its_time() {
        let outages = Some(Outages { every: 400 * MS, length: 100 * MS });
        let mut link = Link::new(LinkConfig { outages, ..LinkConfig::clean(MS) }, 3);
        for item in 0..200_000 {
            link.send(Timestamp::from_millis(item.into()), 100, item);
        }
        let items: Vec<_> = drain(&mut link).iter().map(|(_, item)| *item).collect();
        let share = 1.0 - items.len() as f64 / 200_000.0;
        assert!((0.17..0.23).contains(&share), "{share}");
        let gaps: Vec<_> = items.windows(2).map(|pair| pair[1] - pair[0] - 1).filter(|gap| *gap > 0).collect();
        let mean = f64::from(gaps.iter().sum::<u32>()) / gaps.len() as f64;
        assert!((85.0..115.0).contains(&mean), "{mean}");
    }

    #[test]
    fn the_same_seed_gives_the_same_and_jitter_does_not_change_what_is_lost() {
        let run = |jitter, seed| {
            let loss = Loss::Bursts { rate: 0.1, length: 3.0 };
            let mut link = Link::new(LinkConfig { loss, jitter, ..LinkConfig::clean(MS) }, seed);
            for item in 0..1000 {
                link.send(Timestamp::from_millis(item.into()), 100, item);
            }
            drain(&mut link)
        };
        let items = |arrived: Vec<(u64, u32)>| {
            let mut items: Vec<_> = arrived.into_iter().map(|(_, item)| item).collect();
            items.sort_unstable();
            items
        };
        assert_eq!(run(MS, 1), run(MS, 1));
        assert_ne!(items(run(MS, 1)), items(run(MS, 2)));
        assert_eq!(items(run(MS, 1)), items(run(7 * MS, 1)));
    }
}
