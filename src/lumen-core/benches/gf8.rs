//! Speed of the GF(2^8) code against the crate `fec-rs`, which gives the same bytes.
//!
//! `fec-rs` takes GFNI where the machine has it: the ratio of our AVX2 kernel there compares it with better instructions
//! than its own. `scripts/icount` compares both on AVX2.
//!
//! `cargo bench -p lumen-core --bench gf8` measures and prints one JSON object per figure on standard output
//! (`{"figure","value","unit","how"}`) and a table on standard error. `-- TEXT` picks the cases whose name contains
//! TEXT. Without `--bench` (as `cargo test` runs it) every case runs once, unmeasured.
//!
//! All candidates of a case run in turn, round by round, and each figure is the median over the rounds of thread CPU
//! time per call: neighbours on the machine then disturb all candidates alike. Only ratios of one run mean anything on
//! a shared machine.

use std::hint::black_box;

use fec_rs::ReedSolomon;
use lumen_core::fec::gf8::{Codec, Kernel, ShardSet, Strided};
use rustix::time::{ClockId, clock_gettime};

/// Who the others are compared to. Its decoding counts the inversion of its matrix and the memory for restored shards,
/// as its interface has it.
const PEER: &str = "fec-rs";
const SHAPES: [(usize, usize); 3] = [(40, 8), (100, 20), (200, 50)];
const LENGTHS: [usize; 2] = [1408, 1200];
/// Bytes before each shard in the arena, as a packet has its prefix before what FEC protects.
const PREFIX: usize = 32;

fn main() {
    let measured = std::env::args().any(|argument| argument == "--bench");
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let mut report = Report { rounds: if measured { 25 } else { 1 }, measured, filter };
    eprintln!("kernels: {:?}; medians of {} rounds, thread CPU time", Kernel::available(), report.rounds);
    for (data, parity) in SHAPES {
        construction(&mut report, data, parity);
    }
    for len in LENGTHS {
        for (data, parity) in SHAPES {
            encoding(&mut report, data, parity, len);
        }
    }
    for len in LENGTHS {
        for (data, parity) in SHAPES {
            let lost = (data + parity).div_ceil(20);
            decoding(&mut report, data, parity, len, "5% of all", |random| random.choose(data + parity, lost));
            decoding(&mut report, data, parity, len, "all parity's worth of data", |random| {
                random.choose(data, parity)
            });
        }
    }
}

fn construction(report: &mut Report, data: usize, parity: usize) {
    let mut codec = Codec::new(data, parity).expect("shape");
    report.case(
        &format!("construct {data}+{parity}"),
        0,
        &mut [
            candidate(PEER, |_| drop(black_box(ReedSolomon::new(data, parity)))),
            candidate("new", |_| drop(black_box(Codec::new(data, parity)))),
            candidate("reset", |_| black_box(&mut codec).reset(data, parity).expect("shape")),
        ],
    );
}

fn encoding(report: &mut Report, data: usize, parity: usize, len: usize) {
    let block = Block::new(data, parity, len);
    let peer = ReedSolomon::new(data, parity).expect("shape");
    let mut sources = block.separate();
    let mut sums = sources.split_off(data);
    let mut candidates = vec![candidate(PEER, |_| peer.encode_sep(&sources, &mut sums).expect("encode"))];
    for kernel in Kernel::available() {
        let codec = Codec::new(data, parity).expect("shape").with_kernel(kernel).expect("available");
        let Block { mut arena, layout, .. } = block.clone();
        candidates.push(candidate(kernel, move |_| codec.encode_strided(&mut arena, layout).expect("encode")));
    }
    report.case(&format!("encode {data}+{parity} x {len}"), data * len, &mut candidates);
}

fn decoding(
    report: &mut Report,
    data: usize,
    parity: usize,
    len: usize,
    name: &str,
    loss: impl Fn(&mut Random) -> ShardSet + Copy,
) {
    let block = Block::new(data, parity, len);
    let peer = ReedSolomon::new(data, parity).expect("shape");
    let mut random = Random(7);
    let mut shards: Vec<_> = block.separate().into_iter().map(Some).collect();
    let mut candidates = vec![candidate(PEER, move |_| {
        let lost = loss(&mut random);
        let spare: Vec<_> = lost.iter().map(|index| (index, shards[index].take())).collect();
        peer.reconstruct_data(&mut shards).expect("reconstruct");
        for (index, shard) in spare {
            if index >= data {
                shards[index] = shard;
            }
        }
    })];
    for kernel in Kernel::available() {
        let mut codec = Codec::new(data, parity).expect("shape").with_kernel(kernel).expect("available");
        let Block { mut arena, layout, .. } = block.clone();
        let mut random = Random(7);
        candidates.push(candidate(kernel, move |_| {
            let lost = loss(&mut random);
            let present = ShardSet::first(data + parity).without(&lost);
            codec.reconstruct_strided(&mut arena, layout, &present).expect("reconstruct");
        }));
    }
    report.case(&format!("decode {data}+{parity} x {len}, lost {name}"), data * len, &mut candidates);
}

/// A block of correct data and parity.
#[derive(Clone)]
struct Block {
    arena: Vec<u8>,
    layout: Strided,
    shards: usize,
}

impl Block {
    fn new(data: usize, parity: usize, len: usize) -> Self {
        let layout = Strided { stride: PREFIX + len, offset: PREFIX, len };
        let shards = data + parity;
        let mut random = Random(42);
        let mut arena: Vec<u8> = (0..shards * layout.stride).map(|_| random.next() as u8).collect();
        let codec = Codec::new(data, parity).expect("shape");
        codec.encode_strided(&mut arena, layout).expect("fits");
        Self { arena, layout, shards }
    }

    fn separate(&self) -> Vec<Vec<u8>> {
        let Strided { stride, offset, len } = self.layout;
        (0..self.shards).map(|shard| self.arena[offset + shard * stride..][..len].to_vec()).collect()
    }
}

struct Candidate<'a> {
    name: String,
    call: Box<dyn FnMut(()) + 'a>,
}

fn candidate<'a>(name: impl ToString, call: impl FnMut(()) + 'a) -> Candidate<'a> {
    Candidate { name: name.to_string(), call: Box::new(call) }
}

struct Report {
    rounds: usize,
    measured: bool,
    filter: String,
}

impl Report {
    /// Measures the candidates; the first one is what the others are compared to. `bytes` are the data bytes of a call.
    fn case(&mut self, name: &str, bytes: usize, candidates: &mut [Candidate<'_>]) {
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
            if self.measured && who != PEER {
                figure(&format!("{name}: {who} against {PEER}"), ratio, "x", &how);
            }
            let speed = if bytes == 0 { String::new() } else { format!("{:8.2} GB/s", bytes as f64 / seconds / 1e9) };
            eprintln!("{name:55} {who:12} {:10.2} us {speed:14} x{ratio:.2}", seconds * 1e6);
        }
    }

    /// As many calls as fill a third of a millisecond.
    fn calls_per_round(&self, candidate: &mut Candidate<'_>) -> usize {
        if !self.measured {
            return 1;
        }
        time(candidate, 3);
        let seconds = time(candidate, 5) / 5.0;
        (3e-4 / seconds).clamp(1.0, 2000.0) as usize
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
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// `count` different indices below `limit`.
    fn choose(&mut self, limit: usize, count: usize) -> ShardSet {
        let mut set = ShardSet::EMPTY;
        while set.len() < count {
            set.insert(self.next() as usize % limit);
        }
        set
    }
}
