//! Which datagrams a network loses: each by itself, or in bursts (Gilbert 1960, Elliott 1963).

use super::random::{Chance, Random};

/// A loss model. Rates and probabilities are 0..=1, lengths are in datagrams.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Loss {
    /// Nothing is lost.
    None,
    /// Each datagram is lost with this probability, whatever happened to others.
    Independent(f64),
    /// Gilbert's model: bursts in which all datagrams are lost, of geometric length.
    Bursts {
        /// Share of datagrams that are lost in the long run.
        rate: f64,
        /// Mean length of a burst, 1 or more.
        length: f64,
    },
    /// Elliott's: two states, each with a loss rate of its own.
    TwoStates {
        /// Probability of going from good to bad before the next datagram.
        to_bad: f64,
        /// Probability of going from bad to good.
        to_good: f64,
        /// Loss rate while good.
        good: f64,
        /// Loss rate while bad.
        bad: f64,
    },
}

/// Two states: probabilities of leaving each, and of losing a datagram in each.
struct States {
    to_bad: f64,
    to_good: f64,
    good: f64,
    bad: f64,
}

impl Loss {
    fn states(self) -> States {
        match self {
            Self::None => States { to_bad: 0.0, to_good: 1.0, good: 0.0, bad: 0.0 },
            Self::Independent(rate) => States { to_bad: 0.0, to_good: 1.0, good: rate, bad: rate },
            Self::Bursts { rate, length } => {
                let to_good = 1.0 / length.max(1.0);
                let rate = rate.clamp(0.0, 1.0);
                let to_bad = to_good * rate / (1.0 - rate);
                // Too high a rate for bursts so short: then the bursts are as long as they must be.
                let (to_bad, to_good) = if to_bad > 1.0 { (1.0, (1.0 - rate) / rate) } else { (to_bad, to_good) };
                States { to_bad, to_good, good: 0.0, bad: 1.0 }
            }
            Self::TwoStates { to_bad, to_good, good, bad } => States { to_bad, to_good, good, bad },
        }
    }

    /// Share of the time spent in the bad state.
    fn bad_share(self) -> f64 {
        let States { to_bad, to_good, .. } = self.states();
        if to_bad + to_good > 0.0 { to_bad / (to_bad + to_good) } else { 0.0 }
    }

    /// Share of datagrams that are lost in the long run.
    pub fn rate(self) -> f64 {
        let States { good, bad, .. } = self.states();
        self.bad_share() * bad + (1.0 - self.bad_share()) * good
    }

    /// Starts to lose, in a state drawn from the long run.
    pub fn start(self, mut random: Random) -> LossProcess {
        let States { to_bad, to_good, good, bad } = self.states();
        let bad_now = random.happens(Chance::new(self.bad_share()));
        LossProcess {
            random,
            bad_now,
            leave: [Chance::new(to_bad), Chance::new(to_good)],
            lose: [Chance::new(good), Chance::new(bad)],
        }
    }
}

/// A loss model at work.
#[derive(Debug, Clone)]
pub struct LossProcess {
    random: Random,
    bad_now: bool,
    leave: [Chance; 2],
    lose: [Chance; 2],
}

impl LossProcess {
    /// Whether the next datagram is lost.
    pub fn next_is_lost(&mut self) -> bool {
        let state = usize::from(self.bad_now);
        let lost = self.draw(self.lose[state]);
        if self.draw(self.leave[state]) {
            self.bad_now = !self.bad_now;
        }
        lost
    }

    /// Certainties draw nothing.
    fn draw(&mut self, chance: Chance) -> bool {
        chance != Chance::new(0.0) && self.random.happens(chance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Loss rate, and mean length of runs of losses.
    fn measure(loss: Loss, seed: u64) -> (f64, f64) {
        let mut process = loss.start(Random::new(seed));
        let (mut lost, mut runs, mut before) = (0u32, 0u32, false);
        const DATAGRAMS: u32 = 2_000_000;
        for _ in 0..DATAGRAMS {
            let now = process.next_is_lost();
            lost += u32::from(now);
            runs += u32::from(now && !before);
            before = now;
        }
        (f64::from(lost) / f64::from(DATAGRAMS), f64::from(lost) / f64::from(runs.max(1)))
    }

    #[test]
    fn bursts_have_the_rate_and_the_length_that_was_asked_for() {
        for (rate, length) in [(0.01, 5.0), (0.05, 5.0), (0.05, 20.0), (0.1, 50.0), (0.2, 1.0)] {
            let loss = Loss::Bursts { rate, length };
            let (measured, run) = measure(loss, 3);
            assert!((measured / rate - 1.0).abs() < 0.1, "{loss:?}: {measured}");
            assert!((run / length - 1.0).abs() < 0.1, "{loss:?}: {run}");
            assert!((loss.rate() - rate).abs() < 1e-12);
        }
    }

    #[test]
    fn independent_losses_run_as_long_as_chance_makes_them() {
        let (measured, run) = measure(Loss::Independent(0.1), 4);
        assert!((measured - 0.1).abs() < 0.002 && (run - 1.0 / 0.9).abs() < 0.01, "{measured} {run}");
        assert_eq!(measure(Loss::None, 4).0, 0.0);
    }

    #[test]
    fn two_states_mix_their_rates() {
        let loss = Loss::TwoStates { to_bad: 0.01, to_good: 0.04, good: 0.001, bad: 0.5 };
        let (measured, _) = measure(loss, 5);
        assert!((measured / loss.rate() - 1.0).abs() < 0.05 && (loss.rate() - 0.1008).abs() < 1e-9, "{measured}");
    }

    #[test]
    fn impossible_figures_still_lose_at_the_rate_that_was_asked_for() {
        for rate in [0.9, 1.0] {
            let (measured, _) = measure(Loss::Bursts { rate, length: 1.0 }, 6);
            assert!((measured - rate).abs() < 0.01, "{measured}");
        }
    }
}
