//! How a bench measures: all candidates of a case run in turn, round by round, and each figure is the median over the
//! rounds of thread CPU time per call. Neighbours on the machine then disturb all candidates alike; only ratios of one run
//! mean anything on a shared machine.

use rustix::time::{ClockId, clock_gettime};

/// One way to do what a case measures.
pub struct Candidate<'a> {
    name: String,
    call: Box<dyn FnMut(()) + 'a>,
}

/// A candidate by this name.
pub fn candidate<'a>(name: impl ToString, call: impl FnMut(()) + 'a) -> Candidate<'a> {
    Candidate { name: name.to_string(), call: Box::new(call) }
}

/// Runs cases and prints what they took.
pub struct Report {
    rounds: usize,
    measured: bool,
    filter: String,
    fewest_calls: usize,
}

impl Report {
    /// As the command line says: measured with `--bench`, else every case once. Each round has at least `fewest_calls`.
    pub fn new(fewest_calls: usize) -> Self {
        let measured = std::env::args().any(|argument| argument == "--bench");
        let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
        let rounds = if measured { 25 } else { 1 };
        eprintln!("medians of {rounds} rounds, thread CPU time");
        Self { rounds, measured, filter, fewest_calls }
    }

    /// Measures the candidates; the first one is what the others are compared to. `bytes` are the data bytes of a call.
    pub fn case(&mut self, name: &str, bytes: usize, candidates: &mut [Candidate<'_>]) {
        if !name.contains(&self.filter) {
            return;
        }
        let calls: Vec<usize> = candidates.iter_mut().map(|candidate| self.calls_per_round(candidate)).collect();
        let mut times = vec![Vec::with_capacity(self.rounds); candidates.len()];
        for _ in 0..self.rounds {
            for ((candidate, times), &calls) in candidates.iter_mut().zip(&mut times).zip(&calls) {
                times.push(time(candidate, calls) / calls as f64);
            }
        }
        let medians: Vec<f64> = times.iter_mut().map(|times| median(times)).collect();
        let peer = candidates.first().map(|candidate| candidate.name.clone()).unwrap_or_default();
        for (candidate, &seconds) in candidates.iter().zip(&medians) {
            let Candidate { name: who, .. } = candidate;
            let how = format!(
                "median of {} interleaved rounds, thread CPU time, one thread, warm source; a new random loss per decode",
                self.rounds
            );
            let ratio = medians[0] / seconds;
            if self.measured {
                figure(&format!("{name}: {who}"), seconds * 1e6, "us", &how);
            }
            if self.measured && *who != peer {
                figure(&format!("{name}: {who} against {peer}"), ratio, "x", &how);
            }
            let speed = if bytes == 0 { String::new() } else { format!("{:8.2} GB/s", bytes as f64 / seconds / 1e9) };
            eprintln!("{name:55} {who:17} {:10.2} us {speed:14} x{ratio:.2}", seconds * 1e6);
        }
    }

    /// As many calls as fill a third of a millisecond.
    fn calls_per_round(&self, candidate: &mut Candidate<'_>) -> usize {
        if !self.measured {
            return 1;
        }
        time(candidate, 3);
        let seconds = time(candidate, 5) / 5.0;
        (3e-4 / seconds).clamp(self.fewest_calls as f64, 2000.0) as usize
    }
}

fn figure(figure: &str, value: f64, unit: &str, how: &str) {
    println!("{}", serde_json::json!({ "figure": figure, "value": value, "unit": unit, "how": how }));
}

/// Seconds of thread CPU time for this many calls.
fn time(candidate: &mut Candidate<'_>, calls: usize) -> f64 {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
    };
    let start = now();
    for _ in 0..calls {
        (candidate.call)(());
    }
    now() - start
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Xorshift: cheap beside what is measured, and the same on every run.
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
