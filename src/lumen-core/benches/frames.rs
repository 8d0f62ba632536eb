//! Speed of the codes of lumen/1 for whole frames with 20 % parity: one block over GF(2^16), with each of our kernels, and
//! interleaved blocks over GF(2^8), against the engine that `reed-solomon-simd` chooses (AVX2 on x86-64), reused from
//! frame to frame.
//!
//! Ours work in place on the packets of a frame. The library is given every shard and leaves its results where it made
//! them: bringing them to their packets is not counted.
//!
//! `cargo bench -p lumen-core --bench frames` measures and prints one JSON object per figure on standard output
//! (`{"figure","value","unit","how"}`) and a table on standard error. `-- TEXT` picks the cases whose name contains
//! TEXT. Without `--bench` (as `cargo test` runs it) every case runs once, unmeasured. How it measures stands in `report`.

mod report;

use std::hint::black_box;
use std::time::Instant;

use lumen_core::fec::gf16::Kernel;
use lumen_core::fec::scheme::{Decoder, Encoder, Scheme, Shape, ShardSet, Strided};
use reed_solomon_simd::engine::DefaultEngine;
use reed_solomon_simd::rate::{HighRateDecoder, HighRateEncoder, RateDecoder, RateEncoder};
use report::{Random, Report, candidate};

/// Data and parity of frames of 150 KB, 520 KB, 1.04 MB and 2.6 MB.
const FRAMES: [(u16, u16); 4] = [(107, 22), (370, 74), (741, 149), (1850, 370)];
const LEN: usize = 1408;
/// Bytes before each shard, as a packet has its header before what FEC protects.
const PREFIX: usize = 32;

fn main() {
    // The first frame of a process makes the tables; nothing else is running yet.
    for kernel in Kernel::available() {
        let mut frame = Frame::new(Scheme::Gf16, 2, 1);
        let mut encoder = Encoder::new().with_gf16_kernel(kernel).expect("available");
        let start = Instant::now();
        encoder.encode(frame.shape, &mut frame.arena, frame.layout).expect("fits");
        eprintln!("first frame, {kernel}: {:.2} ms, with what tables it adds", start.elapsed().as_secs_f64() * 1e3);
    }
    let mut report = Report::new(3);
    for (data, parity) in FRAMES {
        encoding(&mut report, data, parity);
    }
    for (data, parity) in FRAMES {
        let total = usize::from(data + parity);
        decoding(&mut report, data, parity, "5% of all", |random, lost| {
            while lost.len() < total.div_ceil(20) {
                lost.insert(random.next() as usize % total);
            }
        });
        decoding(&mut report, data, parity, "10% of all", |random, lost| {
            while lost.len() < total.div_ceil(10) {
                lost.insert(random.next() as usize % total);
            }
        });
        // As many as every block can bear, so that interleaved blocks can restore them too.
        let blocks = total.div_ceil(255);
        let bearable = usize::from(parity) / blocks * blocks;
        decoding(&mut report, data, parity, "all parity's worth of data", |random, lost| {
            let first = random.next() as usize % (usize::from(data) - bearable);
            lost.extend(first..first + bearable);
        });
    }
}

fn encoding(report: &mut Report, data: u16, parity: u16) {
    let peer_frame = Frame::new(Scheme::Gf16, data, parity);
    let mut peer =
        HighRateEncoder::new(usize::from(data), usize::from(parity), LEN, DefaultEngine::new(), None).expect("a shape");
    let mut candidates = vec![candidate("library", |_| {
        for index in 0..usize::from(data) {
            peer.add_original_shard(peer_frame.shard(index)).expect("a shard");
        }
        black_box(peer.encode().expect("all shards"));
    })];
    for (name, scheme, kernel) in ours() {
        let Frame { shape, layout, mut arena } = Frame::new(scheme, data, parity);
        let mut encoder = Encoder::new().with_gf16_kernel(kernel).expect("available");
        candidates.push(candidate(name, move |_| encoder.encode(shape, &mut arena, layout).expect("fits")));
    }
    report.case(&format!("encode {data}+{parity} x {LEN}"), usize::from(data) * LEN, &mut candidates);
}

fn decoding(report: &mut Report, data: u16, parity: u16, name: &str, lose: impl Fn(&mut Random, &mut ShardSet) + Copy) {
    let total = usize::from(data + parity);
    let peer_frame = Frame::new(Scheme::Gf16, data, parity);
    let mut peer =
        HighRateDecoder::new(usize::from(data), usize::from(parity), LEN, DefaultEngine::new(), None).expect("a shape");
    let (mut random, mut lost) = (Random(7), ShardSet::default());
    let mut candidates = vec![candidate("library", move |_| {
        lost.reset(total);
        lose(&mut random, &mut lost);
        for index in lost.missing(total) {
            let shard = peer_frame.shard(index);
            match index.checked_sub(usize::from(data)) {
                None => peer.add_original_shard(index, shard).expect("a shard"),
                Some(parity) => peer.add_recovery_shard(parity, shard).expect("a shard"),
            }
        }
        black_box(peer.decode().expect("enough"));
    })];
    for (name, scheme, kernel) in ours() {
        let Frame { shape, layout, mut arena } = Frame::new(scheme, data, parity);
        let mut decoder = Decoder::new().with_gf16_kernel(kernel).expect("available");
        let (mut random, mut lost, mut present) = (Random(7), ShardSet::default(), ShardSet::default());
        candidates.push(candidate(name, move |_| {
            present.reset(total);
            // Rarely, one of several blocks loses too much: then there is another draw.
            while !shape.recoverable(&present) {
                lost.reset(total);
                lose(&mut random, &mut lost);
                present.reset(total);
                present.extend(lost.missing(total));
            }
            decoder.reconstruct(shape, &mut arena, layout, &present).expect("enough");
        }));
    }
    report.case(&format!("decode {data}+{parity} x {LEN}, lost {name}"), usize::from(data) * LEN, &mut candidates);
}

/// Our candidates.
fn ours() -> impl Iterator<Item = (String, Scheme, Kernel)> {
    let gf16 = Kernel::available().into_iter().map(|kernel| (format!("gf16 {kernel}"), Scheme::Gf16, kernel));
    gf16.chain([("gf8x".to_owned(), Scheme::Gf8Interleaved, Kernel::Library)])
}

/// A frame of correct data and parity.
struct Frame {
    shape: Shape,
    layout: Strided,
    arena: Vec<u8>,
}

impl Frame {
    fn new(scheme: Scheme, data: u16, parity: u16) -> Self {
        let shape = Shape::new(scheme, data, parity, LEN).expect("a shape");
        let layout = shape.strided(PREFIX);
        let mut random = Random(42);
        let mut arena: Vec<u8> = (0..shape.total() * layout.stride).map(|_| random.next() as u8).collect();
        if shape.data() > 2 {
            Encoder::new().encode(shape, &mut arena, layout).expect("fits");
        }
        Self { shape, layout, arena }
    }

    fn shard(&self, index: usize) -> &[u8] {
        &self.arena[self.layout.offset + index * self.layout.stride..][..self.layout.len]
    }
}
