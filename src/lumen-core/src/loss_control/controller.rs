//! The controller of one stream.

use std::collections::HashMap;
use std::time::Duration;

use super::estimate::{LossEstimate, ReceiptEstimator};
use super::ladder::Ladder;

/// Rounds of retransmission that are planned for; more are possible, but no plan needs them.
const MOST_ROUNDS: usize = 3;
/// What a frame that is not shown is worth, in frames' worth of packets: for one in so many, a packet more per packet would
/// be fair.
const FRAME_WORTH: f64 = 60.0;
/// The same for a frame that all others wait for, in multiples of an ordinary one.
const KEY_WORTH: f64 = 1.5;
/// A receiver needs so long to see that something is missing.
const DETECTION: Duration = Duration::from_millis(4);
/// Unspent budget that can be saved up for bad times, in frames.
const SAVED_FRAMES: f64 = 600.0;
/// Budget that can be spent ahead, in frames.
const AHEAD_FRAMES: f64 = 30.0;
/// With less than this in the purse, in frames' budget, frames are worth less.
const THRIFTY_FRAMES: f64 = 60.0;
/// By how much an empty purse lowers the worth of frames.
const THRIFT: f64 = 3000.0;
/// A frame's parity is at most so many times its data.
const MOST_PARITY: f64 = 1.0;
/// Plans are made for estimates in steps of this factor.
const STEP: f64 = 1.2;
/// Plans kept. Networks come back to where they were.
const MOST_PLANS: usize = 128;

/// How a [`LossControl`] works.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossControlConfig {
    /// Who says how much parity a frame gets.
    pub parity: ParityMode,
    /// Whether the receiver asks for packets.
    pub retransmission: Retransmission,
    /// Time from one frame to the next.
    pub frame_interval: Duration,
}

/// Who says how much parity a frame gets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ParityMode {
    /// This share of the data packets, whatever happens; rounded up.
    Fixed(f64),
    /// The controller; parity and retransmissions together are in the long run at most this share of the data packets.
    PerFrame {
        /// Extra packets per data packet.
        budget: f64,
    },
}

/// Whether the receiver asks for what it misses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retransmission {
    /// It does, and it is answered while there is time.
    OnRequest,
    /// It can't: the stock protocol.
    Never,
}

/// What depends on a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Importance {
    /// The next frames.
    Ordinary,
    /// All that follows: a key frame, or a frame that repairs references.
    Key,
}

/// A frame before it is sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FrameToProtect {
    /// Its data packets.
    pub packets: usize,
    /// What depends on it.
    pub importance: Importance,
    /// From the sending of its last packet until it must be complete at the receiver.
    pub time_left: Duration,
}

/// What a frame gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protection {
    /// Parity packets.
    pub parity: usize,
    /// Rounds of retransmission that fit before the deadline.
    pub rounds: usize,
}

/// The answer to a request for missing packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resend {
    /// So many packets: each missing one once, then further parity or copies.
    Packets(usize),
    /// They would come too late, or are not worth it. The receiver repairs its references.
    Nothing,
}

/// Decides about parity and retransmission for one stream.
#[derive(Debug, Clone)]
pub struct LossControl {
    config: LossControlConfig,
    estimator: ReceiptEstimator,
    round_trip: Duration,
    variation: Duration,
    average_packets: f64,
    /// Packets that were saved; below 0 those that were spent ahead.
    purse: f64,
    plans: Plans,
}

impl LossControl {
    /// A controller that knows nothing of its network yet.
    pub fn new(config: LossControlConfig) -> Self {
        Self {
            config,
            estimator: ReceiptEstimator::default(),
            round_trip: Duration::from_millis(50),
            variation: Duration::from_millis(10),
            average_packets: 0.0,
            purse: 0.0,
            plans: Plans::default(),
        }
    }

    /// The next packet in the order of sending arrived, or is known to be lost.
    pub fn packet(&mut self, lost: bool) {
        self.estimator.packet(lost);
    }

    /// A round trip took so long.
    pub fn round_trip(&mut self, sample: Duration) {
        let variation = self.round_trip.abs_diff(sample);
        self.variation = (self.variation * 7 + variation) / 8;
        self.round_trip = (self.round_trip * 15 + sample) / 16;
    }

    /// What the network does, as far as known.
    pub fn estimate(&self) -> LossEstimate {
        self.estimator.estimate()
    }

    /// Decides about a frame that is going to be sent.
    pub fn protect(&mut self, frame: FrameToProtect) -> Protection {
        let FrameToProtect { packets, importance, time_left } = frame;
        let rounds = match self.config.retransmission {
            Retransmission::OnRequest => self.rounds(time_left),
            Retransmission::Never => 0,
        };
        let budget = match self.config.parity {
            ParityMode::Fixed(share) => {
                return Protection { parity: (packets as f64 * share).ceil() as usize, rounds };
            }
            ParityMode::PerFrame { budget } => budget,
        };
        self.earn(packets, budget);
        let most = (packets as f64 * MOST_PARITY).ceil().min(self.available(budget)) as usize;
        let worth = self.worth(importance, budget);
        let parity = self.plans.parity(self.estimator.estimate(), worth, packets, rounds).min(most);
        self.purse -= parity as f64;
        Protection { parity, rounds }
    }

    /// Decides about a frame that lacks `missing` packets at the receiver, beyond what parity replaces, with `time_left`
    /// until it must be complete there.
    pub fn resend(&mut self, missing: usize, importance: Importance, time_left: Duration) -> Resend {
        if self.config.retransmission == Retransmission::Never || time_left < self.round_trip / 2 {
            return Resend::Nothing;
        }
        let packets = match self.config.parity {
            ParityMode::Fixed(_) => missing,
            ParityMode::PerFrame { budget } => {
                let worth = self.worth(importance, budget);
                let rounds = 1 + self.rounds(time_left);
                self.plans.resend(self.estimator.estimate(), worth, rounds, missing)
            }
        };
        self.purse -= packets as f64;
        if packets == 0 { Resend::Nothing } else { Resend::Packets(packets) }
    }

    /// Rounds of retransmission between the arrival of what is sent now and a deadline in `time_left`.
    fn rounds(&self, time_left: Duration) -> usize {
        let margin = self.variation * 2;
        let round = self.round_trip + DETECTION + margin;
        let left = time_left.saturating_sub(self.round_trip / 2 + margin);
        ((left.as_micros() / round.as_micros().max(1)) as usize).min(MOST_ROUNDS)
    }

    fn earn(&mut self, packets: usize, budget: f64) {
        if self.average_packets == 0.0 {
            self.average_packets = packets as f64;
        }
        self.average_packets += (packets as f64 - self.average_packets) / 100.0;
        self.purse = (self.purse + packets as f64 * budget).min(self.average_packets * budget * SAVED_FRAMES);
    }

    /// Packets that can be spent.
    fn available(&self, budget: f64) -> f64 {
        (self.purse + self.average_packets * budget * AHEAD_FRAMES).max(0.0)
    }

    /// What the frame is worth, in packets: more the more frames are not shown without it, less the emptier the purse.
    fn worth(&self, importance: Importance, budget: f64) -> f64 {
        let frames_lost = 1.0 + self.round_trip.as_secs_f64() / self.config.frame_interval.as_secs_f64().max(1e-3);
        let importance = match importance {
            Importance::Ordinary => 1.0,
            Importance::Key => KEY_WORTH,
        };
        let plenty = self.average_packets * budget * THRIFTY_FRAMES;
        let fullness = (self.available(budget) / plenty.max(1.0)).min(1.0);
        FRAME_WORTH * self.average_packets * frames_lost * importance * THRIFT.powf(fullness - 1.0)
    }
}

/// Plans made so far.
#[derive(Debug, Clone, Default)]
struct Plans(HashMap<Circumstances, Plan>);

/// What a plan is made for, in steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Circumstances {
    rate: i32,
    burst: i32,
    worth: i32,
}

#[derive(Debug, Clone)]
struct Plan {
    ladder: Ladder,
    /// By packets and rounds.
    parity: HashMap<(usize, usize), usize>,
}

impl Plans {
    fn parity(&mut self, estimate: LossEstimate, worth: f64, packets: usize, rounds: usize) -> usize {
        // Large frames share plans with those that are a little larger.
        let grain = (packets / 16).max(1);
        let packets = packets.div_ceil(grain) * grain;
        let most = (packets as f64 * MOST_PARITY).ceil() as usize;
        let Plan { ladder, parity } = self.plan(estimate, worth);
        *parity.entry((packets, rounds)).or_insert_with(|| ladder.parity(packets, most, rounds))
    }

    fn resend(&mut self, estimate: LossEstimate, worth: f64, rounds: usize, missing: usize) -> usize {
        self.plan(estimate, worth).ladder.resend(rounds, missing)
    }

    fn plan(&mut self, estimate: LossEstimate, worth: f64) -> &mut Plan {
        let circumstances = Circumstances {
            rate: step(estimate.rate),
            burst: step(estimate.burst),
            // A plan changes little with this.
            worth: step(worth.max(1.0)) / 3 * 3,
        };
        if self.0.len() >= MOST_PLANS && !self.0.contains_key(&circumstances) {
            self.0.clear();
        }
        self.0.entry(circumstances).or_insert_with(|| {
            let chain = LossEstimate { rate: unstep(circumstances.rate), burst: unstep(circumstances.burst) }.chain();
            Plan { ladder: Ladder::new(chain, unstep(circumstances.worth), MOST_ROUNDS + 1), parity: HashMap::new() }
        })
    }
}

fn step(value: f64) -> i32 {
    (value.max(1e-6).ln() / STEP.ln()).round() as i32
}

fn unstep(step: i32) -> f64 {
    STEP.powi(step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netsim::{Loss, Random};

    const FRAME: FrameToProtect =
        FrameToProtect { packets: 40, importance: Importance::Ordinary, time_left: Duration::from_millis(33) };

    fn control(parity: ParityMode, retransmission: Retransmission, loss: Loss, round_trip_ms: u64) -> LossControl {
        let frame_interval = Duration::from_micros(16_667);
        let mut control = LossControl::new(LossControlConfig { parity, retransmission, frame_interval });
        let mut process = loss.start(Random::new(1));
        for _ in 0..50_000 {
            control.packet(process.next_is_lost());
        }
        for _ in 0..200 {
            control.round_trip(Duration::from_millis(round_trip_ms));
        }
        control
    }

    const ADAPTIVE: ParityMode = ParityMode::PerFrame { budget: 0.2 };

    fn parity(loss: Loss, round_trip_ms: u64, frame: FrameToProtect) -> Protection {
        let mut control = control(ADAPTIVE, Retransmission::OnRequest, loss, round_trip_ms);
        // The purse fills first.
        for _ in 0..2000 {
            control.protect(FrameToProtect { time_left: Duration::from_secs(9), ..FRAME });
        }
        control.protect(frame)
    }

    #[test]
    fn a_clean_network_gets_next_to_no_parity() {
        assert!(parity(Loss::None, 80, FRAME).parity <= 4);
    }

    #[test]
    fn parity_stands_in_for_rounds_that_do_not_fit() {
        let loss = Loss::Bursts { rate: 0.03, length: 2.0 };
        let [near, far] = [4, 80].map(|round_trip| parity(loss, round_trip, FRAME));
        assert!(near.rounds >= 2 && far.rounds == 0, "{near:?} {far:?}");
        assert!(near.parity + 4 < far.parity, "{near:?} {far:?}");
    }

    #[test]
    fn key_frames_get_more_and_longer_bursts_need_more() {
        let loss = |length| Loss::Bursts { rate: 0.02, length };
        let ordinary = parity(loss(2.0), 80, FRAME).parity;
        assert!(parity(loss(2.0), 80, FrameToProtect { importance: Importance::Key, ..FRAME }).parity > ordinary);
        assert!(parity(loss(4.0), 80, FRAME).parity > ordinary);
    }

    #[test]
    fn in_the_long_run_no_more_than_the_budget_is_spent() {
        let loss = Loss::Bursts { rate: 0.15, length: 10.0 };
        let mut control = control(ADAPTIVE, Retransmission::OnRequest, loss, 60);
        let frames = 20_000;
        let mut spent = 0;
        for frame in 0..frames {
            spent += control.protect(FRAME).parity;
            if frame % 10 == 0
                && let Resend::Packets(packets) = control.resend(9, Importance::Ordinary, FRAME.time_left)
            {
                spent += packets;
            }
        }
        let share = f64::from(spent as u32) / f64::from(frames * 40);
        assert!((0.1..=0.21).contains(&share), "{share}");
    }

    #[test]
    fn what_would_come_too_late_is_not_sent_again() {
        let loss = Loss::Independent(0.02);
        let mut control = control(ADAPTIVE, Retransmission::OnRequest, loss, 40);
        control.protect(FRAME);
        assert_eq!(control.resend(3, Importance::Ordinary, Duration::from_millis(15)), Resend::Nothing);
        let Resend::Packets(packets) = control.resend(3, Importance::Ordinary, Duration::from_millis(30)) else {
            panic!("there is time")
        };
        assert!((3..=8).contains(&packets), "{packets}");
    }

    #[test]
    fn a_fixed_share_stays_as_it_is() {
        let mut control = control(ParityMode::Fixed(0.2), Retransmission::Never, Loss::Independent(0.3), 5);
        assert_eq!(control.protect(FRAME), Protection { parity: 8, rounds: 0 });
        assert_eq!(control.protect(FrameToProtect { packets: 1, ..FRAME }).parity, 1);
        assert_eq!(control.resend(3, Importance::Key, Duration::from_secs(1)), Resend::Nothing);
    }
}
