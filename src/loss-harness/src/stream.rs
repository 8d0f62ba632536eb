//! A stream over a simulated network, packet by packet: a host that protects its frames by some rule, and a client that
//! asks for what is missing, says what arrived, and shows what is complete in time and refers to what it has.
//!
//! Frames are one block each (up to 212 packets that is GameStream's layout, too). All rules see the same frames, and networks
//! of the same seed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::time::Duration;

use lumen_core::gamestream::video::FrameIndex;
use lumen_core::loss_control::{
    FrameToProtect, Importance, LossControl, LossControlConfig, ParityMode, Repair, Resend, Retransmission,
    repair_after_loss,
};
use lumen_core::netsim::{Link, LinkConfig, Random};
use lumen_core::time::Timestamp;
use serde::Serialize;

use crate::models::Model;
use crate::windowed::Windowed;

/// Codec bytes of a packet, and its bytes on the wire.
const PAYLOAD: usize = 1376;
const WIRE: usize = 1440 + 28;
/// An ordinary frame leaves within this share of the interval, the largest within twice that.
const SPREAD: f64 = 0.4;
/// Frames that the encoder keeps to refer to.
const KEPT: u32 = 16;
/// A key frame is so many times as large as an ordinary one, one that repairs references so many.
const KEY_SIZE: f64 = 4.0;
const REPAIR_SIZE: f64 = 1.3;
/// How often the client reports.
const REPORT_EVERY: Duration = Duration::from_millis(5);
/// Packets that came within this time of the newest may have overtaken others: nothing is lost for so long.
const REORDER: Duration = Duration::from_millis(3);
/// How often the client looks for what is missing.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// How a host protects its frames.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// This share of parity for every frame.
    Fixed(f64, Retransmission),
    /// One percentage for all frames, from the losses of the last second.
    Windowed,
    /// Loss control, within this budget.
    PerFrame(f64, Retransmission),
}

/// What came of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Outcome {
    /// Frames sent.
    pub frames: u64,
    /// Of these, not shown in time: incomplete at the deadline, or referring to one that was.
    pub missed: u64,
    /// Of these, incomplete themselves.
    pub incomplete: u64,
    /// Parity and retransmitted packets by data packets.
    pub overhead: f64,
    /// Retransmitted packets by data packets.
    pub resent: f64,
    /// From capture to completion of those complete in time, mean, in milliseconds.
    pub delay_ms: f64,
    /// The same, 99th percentile.
    pub delay_p99_ms: f64,
    /// Key frames sent, the first one included.
    pub key_frames: u64,
}

impl Outcome {
    /// Several runs as one.
    pub fn sum(runs: &[Self]) -> Self {
        let count = runs.len().max(1) as f64;
        let mean = |of: fn(&Self) -> f64| runs.iter().map(of).sum::<f64>() / count;
        Self {
            frames: runs.iter().map(|run| run.frames).sum(),
            missed: runs.iter().map(|run| run.missed).sum(),
            incomplete: runs.iter().map(|run| run.incomplete).sum(),
            overhead: mean(|run| run.overhead),
            resent: mean(|run| run.resent),
            delay_ms: mean(|run| run.delay_ms),
            delay_p99_ms: mean(|run| run.delay_p99_ms),
            key_frames: runs.iter().map(|run| run.key_frames).sum(),
        }
    }
}

/// Streams `frames` frames.
pub fn run(model: &Model, rule: Rule, frames: u32, seed: u64) -> Outcome {
    let mut stream = Stream::new(model, rule, seed);
    stream.go(frames);
    stream.outcome()
}

/// What is on the way to the client.
#[derive(Debug, Clone, Copy)]
enum Packet {
    Video {
        sequence: u64,
        frame: u32,
        /// Place in the block.
        place: usize,
    },
    /// Somebody else's.
    Cross,
}

/// What is on the way to the host.
#[derive(Debug, Clone)]
enum Report {
    /// What arrived, and up to where everything else is lost; the newest packet, and how long ago it came.
    Receipts { arrived: Vec<u64>, horizon: u64, newest: u64, held: Duration },
    /// A frame lacks so many packets; these arrived.
    Missing { frame: u32, lacking: usize, have: Vec<bool> },
    /// Frames after this one cannot be shown, up to that one.
    Repair { last_shown: u32, lost: u32 },
}

/// A frame as the host knows it.
struct Sent {
    captured: Timestamp,
    data: usize,
    places: usize,
    refers_to: Option<u32>,
    importance: Importance,
    resent_at: Option<Timestamp>,
}

/// A frame as the client sees it.
#[derive(Default)]
struct Received {
    /// By place; `count` of them.
    have: Vec<bool>,
    count: usize,
    last_arrival: Timestamp,
    asked_at: Option<Timestamp>,
    complete_at: Option<Timestamp>,
    given_up: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Capture(u32),
    Deadline(u32),
    Client,
    Cross,
}

struct Stream<'a> {
    model: &'a Model,
    rule: Rule,
    control: LossControl,
    windowed: Windowed,
    forward: Link<Packet>,
    back: Link<Report>,
    now: Timestamp,
    events: BinaryHeap<Reverse<(Timestamp, Event)>>,
    /// Packets to send at their times: frame and place.
    paced: VecDeque<(Timestamp, u32, usize)>,
    sizes: Random,
    cross: Random,
    cross_until: Timestamp,
    next_sequence: u64,
    /// Of the packets from `horizon` on: when they were sent, and whether they are known to have arrived.
    in_flight: VecDeque<(Timestamp, bool)>,
    sent: BTreeMap<u32, Sent>,
    horizon: u64,
    repair: Option<(u32, u32)>,
    repaired_at: u32,
    received: BTreeMap<u32, Received>,
    arrivals: VecDeque<(Timestamp, u64)>,
    shown: BTreeMap<u32, bool>,
    last_shown: Option<u32>,
    repair_asked: Option<Timestamp>,
    data_packets: u64,
    extra_packets: u64,
    resent_packets: u64,
    missed: u64,
    incomplete: u64,
    delays: Vec<f64>,
    key_frames: u64,
    newest_frame: u32,
    next_report: Timestamp,
    /// As the host measures it, and tells its client.
    round_trip: Duration,
}

impl<'a> Stream<'a> {
    fn new(model: &'a Model, rule: Rule, seed: u64) -> Self {
        let (parity, retransmission) = match rule {
            Rule::Fixed(share, retransmission) => (ParityMode::Fixed(share), retransmission),
            Rule::Windowed => (ParityMode::Fixed(0.0), Retransmission::Never),
            Rule::PerFrame(budget, retransmission) => (ParityMode::PerFrame { budget }, retransmission),
        };
        let random = Random::new(seed);
        let link = |config: LinkConfig, purpose| (config, random.fork(purpose).bits());
        let (forward, back) = (link(model.link(), 1), link(model.way_back(), 2));
        Self {
            model,
            rule,
            control: LossControl::new(LossControlConfig { parity, retransmission, frame_interval: model.interval() }),
            windowed: Windowed::default(),
            forward: Link::new(forward.0, forward.1),
            back: Link::new(back.0, back.1),
            now: Timestamp::ZERO,
            events: BinaryHeap::new(),
            paced: VecDeque::new(),
            sizes: random.fork(3),
            cross: random.fork(4),
            cross_until: Timestamp::ZERO,
            next_sequence: 0,
            in_flight: VecDeque::new(),
            sent: BTreeMap::new(),
            horizon: 0,
            repair: None,
            repaired_at: 0,
            received: BTreeMap::new(),
            arrivals: VecDeque::new(),
            shown: BTreeMap::new(),
            last_shown: None,
            repair_asked: None,
            data_packets: 0,
            extra_packets: 0,
            resent_packets: 0,
            missed: 0,
            incomplete: 0,
            delays: Vec::new(),
            key_frames: 0,
            newest_frame: 0,
            next_report: Timestamp::ZERO,
            round_trip: Duration::from_millis(50),
        }
    }

    fn go(&mut self, frames: u32) {
        for frame in 1..=frames {
            let at = Timestamp::ZERO + self.model.interval() * frame;
            self.events.push(Reverse((at, Event::Capture(frame))));
            self.events.push(Reverse((at + self.model.deadline(), Event::Deadline(frame))));
        }
        let end = Timestamp::ZERO + self.model.interval() * (frames + 1) + self.model.deadline();
        self.events.push(Reverse((Timestamp::ZERO, Event::Client)));
        if self.model.cross.is_some() {
            self.events.push(Reverse((Timestamp::ZERO, Event::Cross)));
        }
        while self.now < end {
            let timer = self.events.peek().map(|Reverse((at, _))| *at);
            let paced = self.paced.front().map(|(at, ..)| *at);
            let next = [timer, paced, self.forward.next_event(), self.back.next_event()].into_iter().flatten().min();
            self.now = next.unwrap_or(end).max(self.now);
            while let Some((at, packet)) = self.forward.receive(self.now) {
                if let Packet::Video { sequence, frame, place } = packet {
                    self.arrive(at, sequence, frame, place);
                }
            }
            while let Some((_, report)) = self.back.receive(self.now) {
                self.hear(report);
            }
            while let Some(Reverse((at, event))) = self.events.peek().copied()
                && at <= self.now
            {
                self.events.pop();
                match event {
                    Event::Capture(frame) => self.capture(frame),
                    Event::Deadline(frame) => self.judge(frame),
                    Event::Client => self.client(end),
                    Event::Cross => self.cross_traffic(),
                }
            }
            while let Some((_, frame, place)) = self.paced.pop_front_if(|(at, ..)| *at <= self.now) {
                self.send(frame, place);
            }
        }
    }

    // The host.

    fn capture(&mut self, frame: u32) {
        let (refers_to, size) = match self.repair.take() {
            Some((last_shown, _)) => {
                self.repaired_at = frame;
                match repair_after_loss(Some(FrameIndex(last_shown)), FrameIndex(frame - 1), KEPT) {
                    Repair::ReferTo(reference) if last_shown > 0 => (Some(reference.0), REPAIR_SIZE),
                    Repair::ReferTo(_) | Repair::KeyFrame => (None, KEY_SIZE),
                }
            }
            None if frame == 1 => (None, KEY_SIZE),
            None => (Some(frame - 1), 1.0),
        };
        let importance = if size > 1.0 { Importance::Key } else { Importance::Ordinary };
        self.key_frames += u64::from(refers_to.is_none());
        let mean = self.model.video_mbps * 1e6 / 8.0 / self.model.fps / PAYLOAD as f64;
        // From half to one and a half times the mean.
        let data = ((mean * size * (0.5 + self.sizes.fraction())).round() as usize).max(1);
        let spread = SPREAD * if size > 2.0 { 2.0 } else { 1.0 };
        let sending = self.model.interval().mul_f64(spread);
        let parity = match self.rule {
            Rule::Windowed => self.windowed.parity(data),
            Rule::Fixed(..) | Rule::PerFrame(..) => {
                let time_left = self.model.deadline().saturating_sub(sending);
                self.control.protect(FrameToProtect { packets: data, importance, time_left }).parity
            }
        };
        self.data_packets += data as u64;
        self.extra_packets += parity as u64;
        let places = data + parity;
        for place in 0..places {
            let at = self.now + sending.mul_f64(place as f64 / places as f64);
            self.paced.push_back((at, frame, place));
        }
        self.sent.insert(frame, Sent { captured: self.now, data, places, refers_to, importance, resent_at: None });
        while self.sent.len() > 64 {
            self.sent.pop_first();
        }
    }

    fn send(&mut self, frame: u32, place: usize) {
        self.in_flight.push_back((self.now, false));
        self.forward.send(self.now, WIRE, Packet::Video { sequence: self.next_sequence, frame, place });
        self.next_sequence += 1;
    }

    fn hear(&mut self, report: Report) {
        match report {
            Report::Receipts { arrived, horizon, newest, held } => {
                let place = |sequence: u64, horizon: u64| sequence.checked_sub(horizon).map(|place| place as usize);
                if let Some((sent, _)) = place(newest, self.horizon).and_then(|place| self.in_flight.get(place)) {
                    let sample = self.now.saturating_since(*sent).saturating_sub(held);
                    self.control.round_trip(sample);
                    self.round_trip = (self.round_trip * 15 + sample) / 16;
                }
                for place in arrived.into_iter().filter_map(|sequence| place(sequence, self.horizon)) {
                    if let Some((_, known)) = self.in_flight.get_mut(place) {
                        *known = true;
                    }
                }
                while self.horizon < horizon
                    && let Some((_, known)) = self.in_flight.pop_front()
                {
                    self.control.packet(!known);
                    self.windowed.packet(!known, self.now);
                    self.horizon += 1;
                }
            }
            Report::Missing { frame, lacking, have } => self.answer(frame, lacking, &have),
            Report::Repair { last_shown, lost } => {
                // What is on the way repairs everything up to itself.
                if lost >= self.repaired_at {
                    self.repair = Some((last_shown, lost));
                }
            }
        }
    }

    fn answer(&mut self, frame: u32, lacking: usize, have: &[bool]) {
        let Some(sent) = self.sent.get_mut(&frame) else { return };
        // A request that crossed the answer to the one before it.
        if sent.resent_at.is_some_and(|at| self.now.saturating_since(at) < Duration::from_millis(2)) {
            return;
        }
        let left = (sent.captured + self.model.deadline()).saturating_since(self.now);
        let Resend::Packets(packets) = self.control.resend(lacking, sent.importance, left) else { return };
        sent.resent_at = Some(self.now);
        let missing: Vec<_> = (0..sent.places).filter(|&place| !have[place]).collect();
        if missing.is_empty() {
            return;
        }
        self.extra_packets += packets as u64;
        self.resent_packets += packets as u64;
        for number in 0..packets {
            self.send(frame, missing[number % missing.len()]);
        }
    }

    // The client.

    fn arrive(&mut self, at: Timestamp, sequence: u64, frame: u32, place: usize) {
        self.arrivals.push_back((at, sequence));
        self.newest_frame = self.newest_frame.max(frame);
        if self.shown.contains_key(&frame) {
            return;
        }
        let Some(sent) = self.sent.get(&frame) else { return };
        let received = self.received.entry(frame).or_default();
        received.have.resize(sent.places, false);
        received.count += usize::from(!std::mem::replace(&mut received.have[place], true));
        received.last_arrival = at;
        if received.count >= sent.data && received.complete_at.is_none() {
            received.complete_at = Some(at);
        }
    }

    /// Every few milliseconds: reports, and requests for what is missing.
    fn client(&mut self, end: Timestamp) {
        if self.now >= self.next_report {
            self.next_report = self.now + REPORT_EVERY;
            self.report();
        }
        let newest = self.newest_frame;
        let first = self.shown.last_key_value().map_or(1, |(frame, _)| frame + 1);
        for frame in first..=newest {
            self.ask_for(frame);
        }
        if self.now < end {
            self.events.push(Reverse((self.now + LOOK_EVERY, Event::Client)));
        }
    }

    fn report(&mut self) {
        // A lost report must not lose receipts: each packet is reported three times.
        let keep = REPORT_EVERY * 3 + REORDER;
        while self.arrivals.front().is_some_and(|(at, _)| self.now.saturating_since(*at) > keep) {
            self.arrivals.pop_front();
        }
        let Some(&(at, newest)) = self.arrivals.back() else { return };
        let settled = |(at, _): &&(Timestamp, u64)| self.now.saturating_since(*at) >= REORDER;
        let horizon = self.arrivals.iter().filter(settled).map(|(_, sequence)| *sequence).max().unwrap_or(0);
        let arrived = self.arrivals.iter().map(|(_, sequence)| *sequence).collect();
        let held = self.now.saturating_since(at);
        self.back.send(self.now, 100, Report::Receipts { arrived, horizon, newest, held });
    }

    fn ask_for(&mut self, frame: u32) {
        let Some(sent) = self.sent.get(&frame) else { return };
        let received =
            self.received.entry(frame).or_insert_with(|| Received { last_arrival: self.now, ..Received::default() });
        if received.complete_at.is_some() || received.given_up {
            return;
        }
        // The frame has ended: its last packet is here, or a later frame, or nothing came for a while.
        let quiet = self.now.saturating_since(received.last_arrival);
        let jitter = Duration::from_micros((self.model.jitter_ms * 1e3) as u64);
        let ended = frame < self.newest_frame || received.have.last() == Some(&true);
        if quiet < if ended { REORDER } else { REORDER + jitter } {
            return;
        }
        let round_trip = self.round_trip;
        let left = (sent.captured + self.model.deadline()).saturating_since(self.now);
        let possible = !matches!(
            self.rule,
            Rule::Fixed(_, Retransmission::Never) | Rule::Windowed | Rule::PerFrame(_, Retransmission::Never)
        ) && left > round_trip;
        if !possible {
            if received.asked_at.is_none() || left.is_zero() {
                received.given_up = true;
                self.ask_for_repair(frame);
            }
            return;
        }
        let again = round_trip + REORDER + jitter;
        if received.asked_at.is_some_and(|asked| self.now.saturating_since(asked) < again) {
            return;
        }
        received.asked_at = Some(self.now);
        received.have.resize(sent.places, false);
        let lacking = sent.data - received.count.min(sent.data);
        self.back.send(self.now, 100, Report::Missing { frame, lacking, have: received.have.clone() });
    }

    fn ask_for_repair(&mut self, lost: u32) {
        self.repair_asked = Some(self.now);
        let last_shown = self.last_shown.unwrap_or(0);
        self.back.send(self.now, 60, Report::Repair { last_shown, lost });
    }

    /// At its deadline a frame is shown or not.
    fn judge(&mut self, frame: u32) {
        let complete_at = self.received.remove(&frame).and_then(|received| received.complete_at);
        let Some(sent) = self.sent.get(&frame) else { return };
        let referable = sent.refers_to.is_none_or(|reference| self.shown.get(&reference).copied().unwrap_or(false));
        let shown = complete_at.is_some() && referable;
        if let Some(at) = complete_at {
            self.delays.push(at.saturating_since(sent.captured).as_secs_f64() * 1e3);
        } else {
            self.incomplete += 1;
        }
        self.missed += u64::from(!shown);
        self.shown.insert(frame, shown);
        while self.shown.len() > 64 {
            self.shown.pop_first();
        }
        if shown {
            self.last_shown = Some(frame);
        } else if self.repair_asked.is_none_or(|at| self.now.saturating_since(at) > Duration::from_millis(15)) {
            // Again and again until it helps: the request may be lost, too.
            self.ask_for_repair(frame);
        }
    }

    fn cross_traffic(&mut self) {
        let Some(cross) = self.model.cross else { return };
        let mut time = |mean_ms: f64| {
            let uniform = 1.0 - self.cross.fraction();
            Duration::from_micros((-uniform.ln() * mean_ms * 1e3) as u64 + 1)
        };
        if self.now >= self.cross_until {
            let begin = self.now + time(cross.off_ms);
            self.cross_until = begin + time(cross.on_ms);
            self.events.push(Reverse((begin, Event::Cross)));
            return;
        }
        self.forward.send(self.now, WIRE, Packet::Cross);
        let gap = Duration::from_secs_f64(WIRE as f64 * 8.0 / (cross.mbps * 1e6));
        self.events.push(Reverse((self.now + gap, Event::Cross)));
    }

    fn outcome(mut self) -> Outcome {
        self.delays.sort_by(f64::total_cmp);
        let count = self.delays.len().max(1);
        let data = self.data_packets.max(1) as f64;
        Outcome {
            frames: u64::from(self.shown.last_key_value().map_or(0, |(frame, _)| *frame)),
            missed: self.missed,
            incomplete: self.incomplete,
            overhead: self.extra_packets as f64 / data,
            resent: self.resent_packets as f64 / data,
            delay_ms: self.delays.iter().sum::<f64>() / count as f64,
            delay_p99_ms: self.delays.get(count * 99 / 100).copied().unwrap_or(0.0),
            key_frames: self.key_frames,
        }
    }
}
