//! How many packets of a block a network loses: Gilbert's two states, counted exactly.
//!
//! The network is good or bad; what is sent while it is bad is lost. With `to_bad` and `to_good` the probabilities of
//! changing between two packets, a recursion over packets gives the distribution of the number of lost ones: no
//! approximation, and sums of small terms only, so that a probability of 1e-20 is as exact as one of a half.

/// A network by two figures: how much it loses, and how many packets in a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GilbertChain {
    to_bad: f64,
    to_good: f64,
}

/// How likely each state is before the next packet. The two need not add up to 1: what is missing has gone elsewhere.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct States {
    /// The next packet arrives.
    pub good: f64,
    /// The next packet is lost.
    pub bad: f64,
}

impl States {
    /// Both together.
    pub fn sum(self) -> f64 {
        self.good + self.bad
    }
}

impl GilbertChain {
    /// A network that loses `rate` of all packets, 0..=1, in bursts of `length` packets on average. Lengths below that
    /// of independent losses, 1 / (1 − rate), count as that.
    pub fn bursts(rate: f64, length: f64) -> Self {
        let rate = rate.clamp(0.0, 1.0);
        let to_good = (1.0 / length.max(1.0)).min(1.0 - rate);
        let to_bad = if rate < 1.0 { to_good * rate / (1.0 - rate) } else { 1.0 };
        Self { to_bad, to_good }
    }

    /// A network that loses each packet with probability `rate`, whatever became of the others.
    pub fn independent(rate: f64) -> Self {
        Self::bursts(rate, 1.0)
    }

    /// The states in the long run.
    pub fn long_run(self) -> States {
        let changes = self.to_bad + self.to_good;
        let bad = if changes > 0.0 { self.to_bad / changes } else { 0.0 };
        States { good: 1.0 - bad, bad }
    }

    /// Sends `packets` packets, of which `bearable` may be lost. Gives the states afterwards in the cases that kept to
    /// that, and the probability of those that did not.
    pub fn send(self, start: States, packets: usize, bearable: usize) -> (States, f64) {
        let mut counts = Counts::new(start, bearable);
        for _ in 0..packets {
            counts.send(self);
        }
        let left = counts.by_count.iter().fold(States { good: 0.0, bad: 0.0 }, |sum, states| States {
            good: sum.good + states.good,
            bad: sum.bad + states.bad,
        });
        (left, counts.more)
    }

    /// Probability that more than `bearable` of `packets` packets in a row are lost.
    pub fn more_than(self, bearable: usize, packets: usize) -> f64 {
        self.send(self.long_run(), packets, bearable).1
    }

    /// For each number of packets from 0 to `packets`, in order: `visit(packets, distribution)`, where the distribution
    /// has the probability of each number of lost packets up to `most`, and last the probability of more.
    pub fn distributions(self, packets: usize, most: usize, mut visit: impl FnMut(usize, &[f64])) {
        let mut counts = Counts::new(self.long_run(), most);
        let mut distribution = vec![0.0; most + 2];
        for sent in 0..=packets {
            for (probability, states) in distribution.iter_mut().zip(&counts.by_count) {
                *probability = states.sum();
            }
            distribution[most + 1] = counts.more;
            visit(sent, &distribution);
            counts.send(self);
        }
    }
}

/// The recursion: the states for each number of lost packets.
struct Counts {
    by_count: Vec<States>,
    /// Probability of more lost packets than are counted.
    more: f64,
    sent: usize,
}

impl Counts {
    fn new(start: States, most: usize) -> Self {
        let mut by_count = vec![States { good: 0.0, bad: 0.0 }; most + 1];
        by_count[0] = start;
        Self { by_count, more: 0.0, sent: 0 }
    }

    fn send(&mut self, chain: GilbertChain) {
        let GilbertChain { to_bad, to_good } = chain;
        let last = self.by_count.len() - 1;
        self.more += self.by_count[last].bad;
        // Never more lost than sent. Downwards, because each count takes from the one below.
        for lost in (0..=last.min(self.sent + 1)).rev() {
            let arrived = self.by_count[lost].good;
            let missed = if lost > 0 { self.by_count[lost - 1].bad } else { 0.0 };
            self.by_count[lost] = States {
                good: arrived * (1.0 - to_bad) + missed * to_good,
                bad: arrived * to_bad + missed * (1.0 - to_good),
            };
        }
        self.sent += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netsim::{Loss, Random};

    #[test]
    fn independent_losses_are_binomial() {
        let chain = GilbertChain::independent(0.05);
        // 1 − Σ C(20,k)·0.05^k·0.95^(20−k) for k ≤ 5.
        assert!((chain.more_than(5, 20) - 3.293e-4).abs() < 1e-6);
        assert!((chain.more_than(0, 1) - 0.05).abs() < 1e-15);
        assert_eq!(GilbertChain::independent(1.0).more_than(9, 10), 1.0);
        assert_eq!(GilbertChain::independent(0.0).more_than(0, 1000), 0.0);
    }

    #[test]
    fn figures_of_the_baseline_come_out() {
        // 740 + 148 packets: one block, 5 % and 10 % in bursts of 5, 10 % and 12 % independently.
        for (chain, expected) in [
            (GilbertChain::bursts(0.05, 5.0), 2.5e-5),
            (GilbertChain::bursts(0.1, 5.0), 1.6e-2),
            (GilbertChain::independent(0.1), 3.4e-10),
            (GilbertChain::independent(0.12), 1.8e-5),
        ] {
            let exact = chain.more_than(148, 888);
            assert!((exact / expected - 1.0).abs() < 0.05, "{chain:?}: {exact:e}");
        }
    }

    #[test]
    fn the_recursion_agrees_with_the_simulated_network() {
        let (rate, length) = (0.08, 4.0);
        let chain = GilbertChain::bursts(rate, length);
        let frames: u32 = 40_000;
        let seeds = Random::new(9);
        let beyond = (0..frames)
            .filter(|&frame| {
                let mut process = Loss::Bursts { rate, length }.start(seeds.fork(frame.into()));
                (0..60).filter(|_| process.next_is_lost()).count() > 12
            })
            .count() as f64
            / f64::from(frames);
        let exact = chain.more_than(12, 60);
        assert!((beyond - exact).abs() < 5.0 * (exact / f64::from(frames)).sqrt(), "{beyond} {exact}");
    }

    #[test]
    fn blocks_in_a_row_add_up_to_one_stretch() {
        let chain = GilbertChain::bursts(0.1, 6.0);
        let (states, lost) = chain.send(chain.long_run(), 40, 40);
        assert!((states.sum() - 1.0).abs() < 1e-12 && lost == 0.0);
        let (after, _) = chain.send(states, 40, 40);
        assert!((after.bad - chain.long_run().bad).abs() < 1e-12);
    }

    #[test]
    fn distributions_sum_to_one_for_every_number_of_packets() {
        let mut visited = 0;
        GilbertChain::bursts(0.2, 3.0).distributions(30, 10, |packets, distribution| {
            assert_eq!(packets, visited);
            visited += 1;
            assert!((distribution.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            assert!(distribution.iter().skip(packets + 1).all(|probability| *probability == 0.0));
        });
        assert_eq!(visited, 31);
    }
}
