//! The congestion controller on a link whose rate changes: how much of it is used, what waits in its queue, what overflows.

use std::time::Duration;

use lumen_core::congestion::{BitsPerSecond, CongestionConfig, CongestionControl, Receipt};
use lumen_core::netsim::{Bottleneck, Link, LinkConfig, Loss, Order, Random};
use lumen_core::time::Timestamp;
use serde::Serialize;

use crate::table::Table;

const FPS: u64 = 60;
const PACKET: usize = 1440 + 28;
const REPORT_EVERY: Duration = Duration::from_millis(20);
/// What the link carries from which second on.
const RATES: [(u64, f64); 4] = [(0, 30.0), (30, 12.0), (60, 30.0), (90, 50.0)];
const SECONDS: u64 = 120;
/// A change needs so long; what holds before that is not judged.
const SETTLING: u64 = 15;

/// A path.
#[derive(Debug, Clone, Serialize)]
pub struct Path {
    /// For the table.
    pub name: &'static str,
    /// Of the bottleneck.
    pub queue_kb: usize,
    /// One way.
    pub delay_ms: u64,
    /// Added to the delay.
    pub jitter_ms: u64,
    /// Lost whatever the rate.
    pub loss: f64,
}

/// The published paths.
pub const PATHS: [Path; 5] = [
    Path { name: "ordinary queue", queue_kb: 150, delay_ms: 10, jitter_ms: 0, loss: 0.0 },
    Path { name: "deep queue", queue_kb: 2000, delay_ms: 10, jitter_ms: 0, loss: 0.0 },
    Path { name: "shallow queue", queue_kb: 20, delay_ms: 10, jitter_ms: 0, loss: 0.0 },
    Path { name: "far, with jitter", queue_kb: 300, delay_ms: 50, jitter_ms: 6, loss: 0.0 },
    Path { name: "3 % lost by itself", queue_kb: 150, delay_ms: 15, jitter_ms: 2, loss: 0.03 },
];

/// One second of a run.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Second {
    /// What the link carries, in Mbit/s.
    pub rate: f64,
    /// What the controller wanted at its end, in Mbit/s.
    pub target: f64,
    /// What was sent, in Mbit/s.
    pub sent: f64,
    /// Mean time in the queue, in milliseconds, and the longest.
    pub queue_mean_ms: f64,
    /// The longest.
    pub queue_most_ms: f64,
    /// Share of packets that did not fit into the queue.
    pub overflowed: f64,
}

/// A run over one path.
#[derive(Debug, Clone, Serialize)]
pub struct Trace {
    /// The path.
    pub path: Path,
    /// Second by second.
    pub seconds: Vec<Second>,
}

impl Trace {
    /// Seconds in which the link was as it is for long enough.
    pub fn settled(&self) -> Vec<Second> {
        let settled = |second: &usize| {
            RATES
                .iter()
                .rev()
                .find(|(from, _)| *from <= *second as u64)
                .is_some_and(|(from, _)| *second as u64 >= from + SETTLING)
        };
        (0..self.seconds.len()).filter(settled).map(|second| self.seconds[second]).collect()
    }

    /// Mean share of the link that is used once settled.
    pub fn used(&self) -> f64 {
        mean(self.settled().iter().map(|second| second.sent / second.rate))
    }

    /// Mean time in the queue once settled, in milliseconds.
    pub fn queue_ms(&self) -> f64 {
        mean(self.settled().iter().map(|second| second.queue_mean_ms))
    }

    /// Mean share of packets that overflowed once settled.
    pub fn overflowed(&self) -> f64 {
        mean(self.settled().iter().map(|second| second.overflowed))
    }

    /// Seconds from the fall of the link's rate until what is sent fits again.
    pub fn seconds_to_yield(&self) -> usize {
        let from = RATES[1].0 as usize;
        (from..RATES[2].0 as usize).find(|&s| self.seconds[s].sent <= self.seconds[s].rate).map_or(99, |s| s - from)
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    if count > 0.0 { sum / count } else { 0.0 }
}

#[derive(Debug, Clone, Copy)]
struct Packet {
    number: u64,
    frame: u64,
    sent: Timestamp,
}

/// What the receiver says.
#[derive(Debug, Clone)]
struct Report {
    receipts: Vec<Receipt>,
    /// When the newest packet was sent, and how long ago it arrived.
    newest: Option<(Timestamp, Duration)>,
}

/// Streams over `path`.
pub fn run(path: &Path, seed: u64) -> Trace {
    let random = Random::new(seed);
    let config = |mbps: f64| LinkConfig {
        bottleneck: Some(Bottleneck { bits_per_second: (mbps * 1e6) as u64, queue_bytes: path.queue_kb * 1000 }),
        loss: Loss::Independent(path.loss),
        jitter: Duration::from_millis(path.jitter_ms),
        order: Order::Kept,
        ..LinkConfig::clean(Duration::from_millis(path.delay_ms))
    };
    let mut link = Link::new(config(RATES[0].1), random.fork(1).bits());
    let mut reports: Link<Report> =
        Link::new(LinkConfig::clean(Duration::from_millis(path.delay_ms)), random.fork(2).bits());
    let mut control = CongestionControl::new(CongestionConfig {
        least: BitsPerSecond(500_000),
        start: BitsPerSecond(3_000_000),
        most: BitsPerSecond(200_000_000),
    });
    let mut sizes = random.fork(3);
    let mut waiting: std::collections::VecDeque<u64> = std::collections::VecDeque::new();
    let (mut next_send, mut next_frame, mut next_report) = (Timestamp::ZERO, Timestamp::ZERO, Timestamp::ZERO);
    let (mut number, mut frame, mut expected) = (0, 0, 0);
    let mut receipts = Vec::new();
    let mut newest = None;
    let mut seconds = Vec::new();
    let mut now = Timestamp::ZERO;
    for second in 0..SECONDS {
        let end = Timestamp::from_millis((second + 1) * 1000);
        let rate = RATES.iter().rev().find(|(from, _)| *from <= second).map_or(0.0, |(_, rate)| *rate);
        link.set_config(config(rate), now);
        let before = link.counters();
        let (mut queue_sum, mut queue_most, mut queue_count) = (0.0, 0.0f64, 0.0);
        while now < end {
            let sending = (!waiting.is_empty()).then_some(next_send);
            let next =
                [Some(next_frame), sending, Some(next_report), link.next_event(), reports.next_event(), Some(end)];
            now = next.into_iter().flatten().min().unwrap_or(end).max(now);
            if now >= next_frame {
                frame += 1;
                next_frame = next_frame + Duration::from_micros(1_000_000 / FPS);
                let bytes = control.target().0 as f64 / 8.0 / FPS as f64 * (0.8 + 0.4 * sizes.fraction());
                waiting.extend((0..(bytes / PACKET as f64).ceil() as u64).map(|_| frame));
            }
            if now >= next_send
                && let Some(of) = waiting.pop_front()
            {
                let queue = link.queued_bytes() as f64 * 8.0 / (rate * 1e3);
                (queue_sum, queue_most, queue_count) = (queue_sum + queue, queue_most.max(queue), queue_count + 1.0);
                link.send(now, PACKET, Packet { number, frame: of, sent: now });
                number += 1;
                let gap = PACKET as f64 * 8.0 / control.pacing_rate().0 as f64;
                next_send = now + Duration::from_secs_f64(gap);
            }
            while let Some((arrived, packet)) = link.receive(now) {
                receipts.extend((expected..packet.number).map(|_| Receipt::Lost));
                expected = packet.number + 1;
                receipts.push(Receipt::Arrived { sent: packet.sent, arrived, bytes: PACKET, frame: packet.frame });
                newest = Some((packet.sent, arrived));
            }
            if now >= next_report {
                next_report = now + REPORT_EVERY;
                let held =
                    newest.take().map(|(sent, arrived): (Timestamp, Timestamp)| (sent, now.saturating_since(arrived)));
                reports.send(now, 200, Report { receipts: std::mem::take(&mut receipts), newest: held });
            }
            while let Some((_, Report { receipts, newest })) = reports.receive(now) {
                if let Some((sent, held)) = newest {
                    control.round_trip(now.saturating_since(sent).saturating_sub(held));
                }
                control.report(&receipts, now);
            }
        }
        let after = link.counters();
        let sent = (after.sent - before.sent) as f64;
        seconds.push(Second {
            rate,
            target: control.target().0 as f64 / 1e6,
            sent: sent * PACKET as f64 * 8.0 / 1e6,
            queue_mean_ms: queue_sum / f64::max(queue_count, 1.0),
            queue_most_ms: queue_most,
            overflowed: (after.overflowed - before.overflowed) as f64 / sent.max(1.0),
        });
    }
    Trace { path: path.clone(), seconds }
}

/// The paths in figures.
pub fn table(traces: &[Trace]) -> Table {
    let mut table =
        Table::new(["Path", "Used of the link", "Mean queue", "Overflowed", "Yields after", "Longest queue meanwhile"]);
    for trace in traces {
        let falling = RATES[1].0 as usize;
        let most = trace.seconds[falling..falling + 10].iter().map(|second| second.queue_most_ms).fold(0.0, f64::max);
        table.row([
            trace.path.name.into(),
            format!("{:.0} %", trace.used() * 100.0),
            format!("{:.1} ms", trace.queue_ms()),
            format!("{:.2} %", trace.overflowed() * 100.0),
            format!("{} s", trace.seconds_to_yield() + 1),
            format!("{most:.0} ms"),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_used_without_a_standing_queue_and_yielded_when_it_narrows() {
        for trace in PATHS.map(|path| run(&path, 1)) {
            let name = trace.path.name;
            println!("{name}: used {:.2}, queue {:.1} ms", trace.used(), trace.queue_ms());
            assert!((0.6..=1.0).contains(&trace.used()), "{name}: {} used", trace.used());
            assert!(trace.queue_ms() < 15.0, "{name}: {} ms", trace.queue_ms());
            assert!(trace.overflowed() < 0.03, "{name}: {} overflowed", trace.overflowed());
            assert!(trace.seconds_to_yield() <= 3, "{name}: {} s", trace.seconds_to_yield());
        }
    }
}
