//! The cheapest way to get a frame through in a given number of rounds.
//!
//! A frame that lacks `m` packets after a round can be helped in the next: `m` packets are sent again and `q` more with
//! them, any `m` of which suffice. More now costs packets; less now costs another round, or the frame if there is none left.
//! Counted backwards from the last round, every choice is a minimum over sums (a Markov decision process, as in Hairpin,
//! NSDI 2024), and so is the parity of the first round.

use super::chain::GilbertChain;

/// Missing packets up to which choices are computed one by one.
const MOST_MISSING: usize = 48;
/// Packets sent again together, up to which.
const MOST_RESENT: usize = 2 * MOST_MISSING;

/// The choices of all rounds after the first, for one network and one worth of a frame.
#[derive(Debug, Clone)]
pub(super) struct Ladder {
    chain: GilbertChain,
    /// Packets that one would give to save the frame.
    worth: f64,
    /// Per number of rounds left, then per number of missing packets: expected cost in packets, and what to send.
    rounds: Vec<Vec<Step>>,
}

#[derive(Debug, Clone, Copy)]
struct Step {
    cost: f64,
    send: usize,
}

impl Ladder {
    /// Choices for up to `rounds` rounds.
    pub(super) fn new(chain: GilbertChain, worth: f64, rounds: usize) -> Self {
        let lost = |missing| Step { cost: if missing == 0 { 0.0 } else { worth }, send: 0 };
        let mut ladder = Self { chain, worth, rounds: vec![(0..=MOST_MISSING).map(lost).collect()] };
        if rounds > 0 {
            let mut distributions = Vec::with_capacity(MOST_RESENT + 1);
            chain.distributions(MOST_RESENT, MOST_RESENT, |_, distribution| distributions.push(distribution.to_vec()));
            for _ in 0..rounds {
                let steps = (0..=MOST_MISSING).map(|missing| ladder.step(missing, &distributions)).collect();
                ladder.rounds.push(steps);
            }
        }
        ladder
    }

    /// The best choice when one round more is left than the ladder has so far.
    fn step(&self, missing: usize, distributions: &[Vec<f64>]) -> Step {
        if missing == 0 {
            return Step { cost: 0.0, send: 0 };
        }
        let rounds_after = self.rounds.len() - 1;
        // The request may be lost, and the round with it.
        let unheard = self.chain.long_run().bad;
        let without = self.cost(rounds_after, missing);
        let mut best = Step { cost: self.worth, send: 0 };
        let mut worse = 0;
        for send in missing..=MOST_RESENT {
            let surplus = send - missing;
            let still: f64 = distributions[send][..=send]
                .iter()
                .enumerate()
                .skip(surplus + 1)
                .map(|(lost, probability)| probability * self.cost(rounds_after, lost - surplus))
                .sum();
            let cost = (1.0 - unheard) * (send as f64 + still) + unheard * without;
            if cost < best.cost {
                best = Step { cost, send };
                worse = 0;
            } else {
                worse += 1;
                // Costs fall, then rise.
                if worse > 6 {
                    break;
                }
            }
        }
        best
    }

    /// Expected cost in packets of a frame that lacks `missing` packets with `rounds` rounds left.
    fn cost(&self, rounds: usize, missing: usize) -> f64 {
        let steps = &self.rounds[rounds.min(self.rounds.len() - 1)];
        match steps.get(missing) {
            Some(step) => step.cost,
            None => (steps[MOST_MISSING].cost * missing as f64 / MOST_MISSING as f64).min(self.worth),
        }
    }

    /// How many packets to send for a frame that lacks `missing`, with `rounds` rounds left, this one included; 0 if the
    /// frame is not worth it.
    pub(super) fn resend(&self, rounds: usize, missing: usize) -> usize {
        if rounds == 0 || missing == 0 {
            return 0;
        }
        let steps = &self.rounds[rounds.min(self.rounds.len() - 1)];
        match steps.get(missing) {
            Some(step) => step.send,
            None if self.worth > missing as f64 => (missing * steps[MOST_MISSING].send).div_ceil(MOST_MISSING),
            None => 0,
        }
    }

    /// The parity of a frame of `data` packets, at most `most`, when `rounds` rounds can follow.
    pub(super) fn parity(&self, data: usize, most: usize, rounds: usize) -> usize {
        let counted = most + MOST_MISSING;
        let (mut best, mut best_cost) = (0, f64::INFINITY);
        self.chain.distributions(data + most, counted, |packets, distribution| {
            let Some(parity) = packets.checked_sub(data) else { return };
            let missing: f64 = distribution
                .iter()
                .enumerate()
                .skip(parity + 1)
                .map(|(lost, probability)| probability * self.cost(rounds, lost - parity))
                .sum();
            let cost = parity as f64 + missing;
            if cost < best_cost {
                (best, best_cost) = (parity, cost);
            }
        });
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_rounds_parity_grows_until_another_packet_saves_less_than_itself() {
        let chain = GilbertChain::independent(0.05);
        let worth = 5000.0;
        let parity = Ladder::new(chain, worth, 0).parity(40, 40, 0);
        let gain =
            |parity: usize| worth * (chain.more_than(parity - 1, 39 + parity) - chain.more_than(parity, 40 + parity));
        assert!(gain(parity) > 1.0 && gain(parity + 1) < 1.0, "{parity}: {} {}", gain(parity), gain(parity + 1));
    }

    #[test]
    fn rounds_save_parity_and_worth_costs_it() {
        let chain = GilbertChain::bursts(0.03, 3.0);
        let ladder = Ladder::new(chain, 5000.0, 3);
        let parity: Vec<_> = (0..=3).map(|rounds| ladder.parity(40, 40, rounds)).collect();
        assert!(parity.is_sorted_by(|a, b| a >= b) && parity[0] > parity[2] + 5, "{parity:?}");
        assert!(Ladder::new(chain, 100_000.0, 0).parity(40, 40, 0) > parity[0]);
        assert_eq!(Ladder::new(chain, 0.5, 0).parity(40, 40, 0), 0);
    }

    #[test]
    fn the_last_round_is_sent_with_more_surplus_than_earlier_ones() {
        let ladder = Ladder::new(GilbertChain::independent(0.1), 5000.0, 3);
        let sent: Vec<_> = (0..=3).map(|rounds| ladder.resend(rounds, 4)).collect();
        assert!(sent[0] == 0 && sent[1] > sent[2] && sent[2] >= sent[3] && sent[3] >= 4, "{sent:?}");
        assert!(ladder.resend(1, 400) >= 400);
        assert_eq!(Ladder::new(GilbertChain::independent(0.1), 3.0, 1).resend(1, 4), 0, "not worth it");
    }
}
