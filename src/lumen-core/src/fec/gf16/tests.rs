//! Against the library: the same bytes, whichever engine either side uses.

use proptest::prelude::*;
use reed_solomon_simd::engine::NoSimd;
use reed_solomon_simd::rate::{HighRateDecoder, HighRateEncoder, RateDecoder, RateEncoder};

use super::*;
use crate::fec::scheme::Scheme;

/// Xorshift: the same on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Shards of random data with the library's parity.
fn frame(shape: Shape, random: &mut Random) -> (Vec<u8>, Strided) {
    let layout = shape.strided(3);
    let mut arena: Vec<u8> = (0..shape.total() * layout.stride).map(|_| random.next() as u8).collect();
    let shard = |arena: &[u8], index: usize| arena[index * layout.stride + layout.offset..][..layout.len].to_vec();
    let mut peer =
        HighRateEncoder::new(shape.data(), shape.parity(), layout.len, NoSimd::new(), None).expect("a shape");
    for index in 0..shape.data() {
        peer.add_original_shard(shard(&arena, index)).expect("one of the shards");
    }
    let result = peer.encode().expect("all shards");
    for (index, parity) in result.recovery_iter().enumerate() {
        arena[(shape.data() + index) * layout.stride + layout.offset..][..layout.len].copy_from_slice(parity);
    }
    (arena, layout)
}

/// Loses as many shards as there is parity at most.
fn lose(shape: Shape, lost: usize, random: &mut Random) -> ShardSet {
    let mut present = ShardSet::full(shape.total());
    for _ in 0..lost.min(shape.parity()) {
        while !present.remove((random.next() % shape.total() as u64) as usize) {}
    }
    present
}

fn check(shape: Shape, losses: &[usize], random: &mut Random) {
    let (arena, layout) = frame(shape, random);
    for kernel in Kernel::available() {
        let (mut encoder, mut decoder) = (Encoder::new(kernel), Decoder::new(kernel));
        let mut ours = arena.clone();
        ours[shape.data() * layout.stride + layout.offset..].fill(0x77);
        encoder.encode(shape, &mut ours, layout);
        for (index, (ours, theirs)) in ours.chunks(layout.stride).zip(arena.chunks(layout.stride)).enumerate() {
            assert!(ours[layout.offset..] == theirs[layout.offset..], "{kernel}, {shape}: shard {index} differs");
        }
        for &lost in losses {
            let present = lose(shape, lost, random);
            let mut received = arena.clone();
            for index in present.missing(shape.total()) {
                received[index * layout.stride + layout.offset..][..layout.len].fill(0x99);
            }
            decoder.reconstruct(shape, &mut received, layout, &present);
            let data = shape.data() * layout.stride;
            assert!(received[..data] == arena[..data], "{kernel}, {shape}: {lost} lost and not restored");
        }
    }
}

fn shape(data: usize, parity: usize, len: usize) -> Shape {
    Shape::new(Scheme::Gf16, data as u16, parity as u16, len).expect("a shape")
}

#[test]
fn all_counts_around_powers_of_two_agree_with_the_library() {
    let mut random = Random(3);
    let counts = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65];
    for data in counts {
        for parity in counts {
            check(shape(data, parity, 6), &[1, parity / 2, parity], &mut random);
        }
    }
    for (data, parity) in [(127, 129), (255, 33), (256, 128), (257, 64), (511, 103), (513, 127), (895, 128), (897, 128)]
    {
        check(shape(data, parity, 130), &[1, parity / 3, parity, parity, parity], &mut random);
    }
}

#[test]
fn frames_as_they_are_streamed_agree_with_the_library() {
    let mut random = Random(4);
    for (data, parity, len) in [(107, 22, 1408), (370, 74, 1200), (741, 149, 1408), (128, 26, 8192), (1850, 370, 1406)]
    {
        check(shape(data, parity, len), &[1, parity / 4, parity], &mut random);
    }
}

proptest! {
    #[test]
    fn any_shape_and_any_loss_agree_with_the_library(
        data in 1usize..400, parity in 1usize..200, half in 1usize..150, lost in 0usize..200, seed in 1u64..,
    ) {
        let mut random = Random(seed);
        check(shape(data, parity, 2 * half), &[lost, parity], &mut random);
    }
}

#[test]
fn the_librarys_decoder_restores_from_our_parity() {
    let mut random = Random(9);
    let shape = shape(300, 60, 1280);
    let (mut arena, layout) = frame(shape, &mut random);
    Encoder::new(Kernel::detect()).encode(shape, &mut arena, layout);
    let present = lose(shape, 60, &mut random);
    let shard = |index: usize| &arena[index * layout.stride + layout.offset..][..layout.len];
    let mut peer = HighRateDecoder::new(300, 60, 1280, NoSimd::new(), None).expect("a shape");
    for index in present.iter() {
        match index.checked_sub(300) {
            None => peer.add_original_shard(index, shard(index)).expect("a shard"),
            Some(parity) => peer.add_recovery_shard(parity, shard(index)).expect("a shard"),
        }
    }
    let result = peer.decode().expect("enough");
    assert_eq!(result.restored_original_iter().count(), present.missing(300).count());
    assert!(result.restored_original_iter().all(|(index, restored)| restored == shard(index)));
}
