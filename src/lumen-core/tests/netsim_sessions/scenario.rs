//! What a seed stands for.

use std::time::Duration;

use lumen_core::netsim::{Bottleneck, LinkConfig, Loss, Order, Outages, Random, Reordering};

/// One session's stream and network.
#[derive(Debug, Clone)]
pub struct Scenario {
    pub link: LinkConfig,
    pub frame_interval: Duration,
    pub packet_size: u32,
    /// Of an ordinary frame, in packets.
    pub frame_packets: u64,
    pub parity_percent: u8,
    pub encrypted: bool,
    /// Whether the host can leave references out; otherwise it answers with a key frame.
    pub repairs: bool,
}

fn millis(random: &mut Random, below: u64) -> Duration {
    Duration::from_micros(random.below(below * 1000))
}

impl Scenario {
    pub fn of(seed: u64) -> Self {
        let mut random = Random::new(seed).fork(100);
        let random = &mut random;
        let loss = match random.below(5) {
            0 => Loss::None,
            1 => Loss::Independent(random.fraction() * 0.1),
            2 => Loss::TwoStates { to_bad: 0.002, to_good: 0.02, good: 0.002, bad: random.fraction() * 0.6 },
            _ => Loss::Bursts { rate: random.fraction() * 0.06, length: 1.0 + random.fraction() * 15.0 },
        };
        let sometimes = |random: &mut Random, one_in: u64| random.below(one_in) == 0;
        let bottleneck = sometimes(random, 3).then(|| Bottleneck {
            bits_per_second: 15_000_000 + random.below(100_000_000),
            queue_bytes: 30_000 + random.below(200_000) as usize,
        });
        let outages =
            sometimes(random, 6).then(|| Outages { every: Duration::from_millis(700), length: millis(random, 60) });
        let reordering =
            sometimes(random, 4).then(|| Reordering { share: random.fraction() * 0.02, by: millis(random, 8) });
        let link = LinkConfig {
            bottleneck,
            loss,
            outages,
            delay: millis(random, 60),
            jitter: millis(random, 8),
            order: if sometimes(random, 4) { Order::Free } else { Order::Kept },
            reordering,
            duplication: if sometimes(random, 4) { random.fraction() * 0.05 } else { 0.0 },
        };
        Self {
            link,
            frame_interval: Duration::from_micros([33_333, 16_667, 8333][random.below(3) as usize]),
            packet_size: [96, 400, 1024][random.below(3) as usize],
            frame_packets: 1 + random.below(24),
            parity_percent: [0, 10, 20, 50][random.below(4) as usize],
            encrypted: sometimes(random, 2),
            repairs: !sometimes(random, 3),
        }
    }

    /// The path of the control channel. Bursts are counted in packets: between its few ones a burst of video is over, and eight
    /// in a row, retransmissions of one message, would be ten seconds without a word.
    pub fn control_link(&self) -> LinkConfig {
        LinkConfig { loss: Loss::Independent(self.link.loss.rate()), ..self.link }
    }

    /// The same path, once it is well.
    pub fn healed(&self) -> LinkConfig {
        LinkConfig {
            bottleneck: None,
            jitter: self.link.jitter,
            order: Order::Kept,
            ..LinkConfig::clean(self.link.delay)
        }
    }
}
