//! One hot path, run as often as the command line says and nothing else, for `scripts/icount` to count its instructions
//! under callgrind: a figure that neighbours on the machine cannot move. callgrind knows AVX2 but not GFNI or AVX-512,
//! so both sides of a comparison with `fec-rs` take their AVX2 paths here.
//!
//! `icount CASE ROUNDS`; without arguments (as `cargo test` runs it) every case runs once.

use std::hint::black_box;

use fec_rs::ReedSolomon;
use lumen_core::crypto::PacketKey;
use lumen_core::fec::gf8::{Codec, ShardSet, Strided};
use lumen_core::fec::scheme::{self, Decoder, Encoder, Scheme, Shape};
use lumen_core::gamestream::packetizer::{
    FecPercentage, FrameToSend, Oversize, PacketArena, Packetizer, PacketizerConfig, ParityPolicy,
};
use lumen_core::gamestream::reassembler::{Reassembler, ReassemblerConfig, VideoEvent};
use lumen_core::gamestream::video::{FrameIndex, FrameKind, HostLatency, PacketSize, VideoCodec};
use lumen_core::time::Timestamp;

type Case = (&'static str, fn(usize));

const CASES: [Case; 11] = [
    ("gf8-encode-100+20", |rounds| encode(100, 20, rounds)),
    ("gf8-encode-200+50", |rounds| encode(200, 50, rounds)),
    ("fec-rs-encode-100+20", |rounds| encode_by_peer(100, 20, rounds)),
    ("fec-rs-encode-200+50", |rounds| encode_by_peer(200, 50, rounds)),
    ("gf8-decode-100+20-lost-6", |rounds| decode(6, rounds)),
    ("gf8-decode-100+20-lost-20", |rounds| decode(20, rounds)),
    ("gf16-encode-741+149", |rounds| frame(Scheme::Gf16, 0, rounds)),
    ("gf16-decode-741+149-lost-45", |rounds| frame(Scheme::Gf16, 45, rounds)),
    ("gf8x-decode-741+149-lost-45", |rounds| frame(Scheme::Gf8Interleaved, 45, rounds)),
    ("packetize-150KB", |rounds| stream(rounds, 0)),
    ("stream-150KB-lost-5", |rounds| stream(rounds, 5)),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let [case, rounds] = arguments.as_slice() else {
        CASES.iter().for_each(|(_, run)| run(1));
        return;
    };
    let rounds = rounds.parse().expect("a number of rounds");
    let Some((_, run)) = CASES.iter().find(|(name, _)| name == case) else {
        panic!("no case {case}; there are {:?}", CASES.map(|(name, _)| name));
    };
    run(rounds);
}

const LAYOUT: Strided = Strided { stride: 1440, offset: 32, len: 1408 };

fn arena(shards: usize) -> Vec<u8> {
    (0..shards * LAYOUT.stride).map(|index| (index * 31 + index / 253) as u8).collect()
}

fn encode(data: usize, parity: usize, rounds: usize) {
    let codec = Codec::new(data, parity).expect("shape");
    let mut arena = arena(data + parity);
    for _ in 0..rounds {
        codec.encode_strided(black_box(&mut arena), LAYOUT).expect("fits");
    }
}

fn encode_by_peer(data: usize, parity: usize, rounds: usize) {
    let codec = ReedSolomon::new(data, parity).expect("shape");
    let mut shards: Vec<Vec<u8>> = arena(data + parity).chunks(LAYOUT.stride).map(|c| c[32..].to_vec()).collect();
    let mut sums = shards.split_off(data);
    for _ in 0..rounds {
        codec.encode_sep(black_box(&shards), black_box(&mut sums)).expect("encode");
    }
}

fn decode(lost: usize, rounds: usize) {
    let mut codec = Codec::new(100, 20).expect("shape");
    let mut arena = arena(120);
    codec.encode_strided(&mut arena, LAYOUT).expect("fits");
    let mut gone = ShardSet::EMPTY;
    (0..lost).for_each(|index| _ = gone.insert(index * 5));
    let present = ShardSet::first(120).without(&gone);
    for _ in 0..rounds {
        codec.reconstruct_strided(black_box(&mut arena), LAYOUT, &present).expect("reconstruct");
    }
}

/// A frame of 1.04 MB of lumen/1: its parity, or with `lost` data shards their restoration. For GF(2^16) that is the
/// library's AVX2 engine under our columns, locator and derivative: our own kernels need GFNI.
fn frame(scheme: Scheme, lost: usize, rounds: usize) {
    let shape = Shape::new(scheme, 741, 149, LAYOUT.len).expect("shape");
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
    let mut arena = arena(shape.total());
    encoder.encode(shape, &mut arena, LAYOUT).expect("fits");
    let mut present = scheme::ShardSet::full(shape.total());
    (0..lost).for_each(|index| _ = present.remove(index * 15));
    for _ in 0..rounds {
        if lost == 0 {
            encoder.encode(shape, black_box(&mut arena), LAYOUT).expect("fits");
        } else {
            decoder.reconstruct(shape, black_box(&mut arena), LAYOUT, &present).expect("enough");
        }
    }
}

/// Frames of 150 KB, sealed, with 20 % parity; with `lost` of a hundred packets missing, received as well.
fn stream(rounds: usize, lost: usize) {
    let packet_size = PacketSize::new(1360).expect("in range");
    let mut packetizer = Packetizer::new(PacketizerConfig {
        packet_size,
        parity: ParityPolicy::fixed(FecPercentage::new(20), 2),
        encryption: Some(PacketKey::new(&[7; 16])),
        oversize: Oversize::Refuse,
    });
    let mut receiver = Reassembler::new(ReassemblerConfig {
        encryption: Some(PacketKey::new(&[7; 16])),
        ..ReassemblerConfig::new(packet_size, VideoCodec::H264)
    });
    let mut arena = PacketArena::new();
    let mut data: Vec<u8> = (0..150_000).map(|index| (index * 31 + index / 253) as u8).collect();
    data[..8].copy_from_slice(&[0, 0, 0, 1, 0x67, 1, 2, 3]);
    let mut index = FrameIndex::FIRST;
    for round in 0..rounds {
        let kind = if round == 0 { FrameKind::Idr } else { FrameKind::P };
        let frame = FrameToSend {
            data: &data,
            index,
            kind,
            timestamp_90k: index.0.wrapping_mul(750),
            host_latency: HostLatency::UNKNOWN,
            long_term_reference: false,
        };
        index = index.next();
        packetizer.packetize(&frame, &mut arena).expect("fits");
        if lost == 0 {
            continue;
        }
        let now = Timestamp::from_micros(round as u64 * 16_667);
        let stride = arena.stride();
        let mut datagrams = arena.as_bytes().to_vec();
        for (number, datagram) in datagrams.chunks_mut(stride).enumerate() {
            if number % 100 >= lost {
                let _ = receiver.receive(datagram, now);
            }
        }
        let mut frames = 0;
        while let Some(event) = receiver.poll() {
            if let VideoEvent::Frame(frame) = event {
                frames += 1;
                receiver.recycle(frame.data);
            }
        }
        assert_eq!(frames, 1, "frame {round} was not whole");
    }
}
