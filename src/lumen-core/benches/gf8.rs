//! Speed of the GF(2^8) code against the crate `fec-rs`, which gives the same bytes.
//!
//! `fec-rs` takes GFNI where the machine has it: the ratio of our AVX2 kernel there compares it with better instructions
//! than its own. `scripts/icount` compares both on AVX2.
//!
//! `cargo bench -p lumen-core --bench gf8` measures and prints one JSON object per figure on standard output
//! (`{"figure","value","unit","how"}`) and a table on standard error. `-- TEXT` picks the cases whose name contains
//! TEXT. Without `--bench` (as `cargo test` runs it) every case runs once, unmeasured.
//!
//! How it measures stands in `report`.

mod report;

use std::hint::black_box;

use fec_rs::ReedSolomon;
use lumen_core::fec::gf8::{Codec, Kernel, ShardSet, Strided};
use report::{Random, Report, candidate};

/// Who the others are compared to. Its decoding counts the inversion of its matrix and the memory for restored shards,
/// as its interface has it.
const PEER: &str = "fec-rs";
const SHAPES: [(usize, usize); 3] = [(40, 8), (100, 20), (200, 50)];
const LENGTHS: [usize; 2] = [1408, 1200];
/// Bytes before each shard in the arena, as a packet has its prefix before what FEC protects.
const PREFIX: usize = 32;

fn main() {
    let mut report = Report::new(1);
    eprintln!("kernels: {:?}", Kernel::available());
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
            decoding(&mut report, data, parity, len, "5% of all", |random| choose(random, data + parity, lost));
            decoding(&mut report, data, parity, len, "all parity's worth of data", |random| {
                choose(random, data, parity)
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

/// `count` different indices below `limit`.
fn choose(random: &mut Random, limit: usize, count: usize) -> ShardSet {
    let mut set = ShardSet::EMPTY;
    while set.len() < count {
        set.insert(random.next() as usize % limit);
    }
    set
}
