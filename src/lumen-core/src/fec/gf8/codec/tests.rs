use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;

/// Bytes around and between shards that nobody may touch.
const GUARD: u8 = 0xa5;

/// A block in an arena: `prefix` guard bytes before and `suffix` behind each shard, parity already right.
fn block(codec: &Codec, len: usize, prefix: usize, suffix: usize, seed: u64) -> (Vec<u8>, Strided) {
    let layout = Strided { stride: prefix + len + suffix, offset: prefix, len };
    let mut arena = vec![GUARD; layout.stride * codec.total_shards()];
    let mut state = seed | 1;
    for shard in arena.chunks_mut(layout.stride).take(codec.data_shards()) {
        for byte in &mut shard[prefix..prefix + len] {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            *byte = (state >> 56) as u8;
        }
    }
    codec.encode_strided(&mut arena, layout).expect("fits");
    (arena, layout)
}

/// Overwrites what is not present, restores it, and compares all data and everything outside the shards.
fn loses_and_restores(codec: &mut Codec, original: &[u8], layout: Strided, present: &ShardSet) {
    let mut damaged = original.to_vec();
    for (index, shard) in damaged.chunks_mut(layout.stride).enumerate() {
        if !present.contains(index) {
            shard[layout.offset..][..layout.len].fill(0xee);
        }
    }
    let restored = codec.reconstruct_strided(&mut damaged, layout, present).expect("enough shards");
    let lost: ShardSet = (0..codec.data_shards()).filter(|&index| !present.contains(index)).collect();
    assert_eq!(restored, lost);
    for (index, (found, expected)) in damaged.chunks(layout.stride).zip(original.chunks(layout.stride)).enumerate() {
        if index < codec.data_shards() || present.contains(index) {
            assert_eq!(found, expected, "shard {index} on {}", codec.kernel());
        } else {
            assert!(found[layout.offset..][..layout.len].iter().all(|&byte| byte == 0xee), "lost parity was written");
        }
    }
}

fn shape() -> impl Strategy<Value = (usize, usize)> {
    prop_oneof![
        4 => (1..=40usize, 1..=20usize),
        1 => (1..=254usize).prop_flat_map(|data| (Just(data), 1..=255 - data)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_kernel_encodes_like_scalar(
        (data, parity) in shape(),
        len in prop_oneof![1..=300usize, select(&[1200usize, 1408, 1151][..])],
        prefix in 0..=70usize,
        suffix in 0..=5usize,
        seed: u64,
    ) {
        let codec = Codec::new(data, parity).unwrap().with_kernel(Kernel::Scalar).unwrap();
        let (expected, layout) = block(&codec, len, prefix, suffix, seed);
        for kernel in Kernel::available() {
            let codec = Codec::new(data, parity).unwrap().with_kernel(kernel).unwrap();
            prop_assert_eq!(&block(&codec, len, prefix, suffix, seed).0, &expected, "{}", kernel);
            prop_assert_eq!(layout.len, len);
        }
    }

    #[test]
    fn every_kernel_restores_random_losses(
        (data, parity) in shape(),
        len in 1..=200usize,
        prefix in 0..=70usize,
        losses in vec(any::<Index>(), 0..64),
        seed: u64,
    ) {
        for kernel in Kernel::available() {
            let mut codec = Codec::new(data, parity).unwrap().with_kernel(kernel).unwrap();
            let (arena, layout) = block(&codec, len, prefix, 0, seed);
            let mut present = ShardSet::first(data + parity);
            for loss in losses.iter().take(parity) {
                present.remove(loss.index(data + parity));
            }
            loses_and_restores(&mut codec, &arena, layout, &present);
        }
    }

    #[test]
    fn parity_equals_that_of_fec_rs((data, parity) in (1..=60usize, 1..=30usize), len in 1..=100usize, seed: u64) {
        let codec = Codec::new(data, parity).unwrap().with_kernel(Kernel::Scalar).unwrap();
        let (arena, layout) = block(&codec, len, 3, 0, seed);
        let mut shards: Vec<_> = arena.chunks(layout.stride).map(|shard| shard[3..].to_vec()).collect();
        let expected = shards.clone();
        shards[data..].iter_mut().for_each(|shard| shard.fill(0));
        fec_rs::ReedSolomon::new(data, parity).unwrap().encode(&mut shards).unwrap();
        prop_assert_eq!(shards, expected);
    }

    #[test]
    fn arbitrary_arguments_give_errors_and_never_panic(
        data in prop_oneof![0..=300usize, Just(usize::MAX)],
        parity in prop_oneof![0..=300usize, Just(usize::MAX)],
        arena in 0..4000usize,
        stride in prop_oneof![0..=300usize, Just(usize::MAX)],
        offset in prop_oneof![0..=300usize, Just(usize::MAX)],
        len in prop_oneof![0..=300usize, Just(usize::MAX)],
        present in vec(0..300usize, 0..300),
    ) {
        let fits = data > 0 && parity > 0 && data.saturating_add(parity) <= MAX_SHARDS;
        let codec = Codec::new(data, parity);
        prop_assert_eq!(codec.is_ok(), fits);
        let Ok(mut codec) = codec else { return Ok(()) };
        let mut arena = vec![0; arena];
        let layout = Strided { stride, offset, len };
        let present: ShardSet = present.into_iter().collect();
        let encoded = codec.encode_strided(&mut arena, layout).is_ok();
        let restored = codec.reconstruct_strided(&mut arena, layout, &present);
        prop_assert_eq!(
            restored.is_ok(),
            encoded && present.len() >= data && present.last().is_none_or(|last| last < data + parity)
        );
    }
}

#[test]
fn every_erasure_pattern_of_small_codes_is_restored() {
    let codecs = (1..=6).flat_map(|data| (1..=4).filter_map(move |parity| Codec::new(data, parity).ok()));
    for mut codec in codecs.chain([Codec::audio()]) {
        let (arena, layout) = block(&codec, 5, 1, 2, 9);
        for pattern in 0u32..1 << codec.total_shards() {
            let present: ShardSet = (0..codec.total_shards()).filter(|index| pattern >> index & 1 == 1).collect();
            if present.len() >= codec.data_shards() {
                loses_and_restores(&mut codec, &arena, layout, &present);
            } else {
                let error = ReconstructError::TooFewShards { present: present.len(), needed: codec.data_shards() };
                assert_eq!(codec.reconstruct_strided(&mut arena.clone(), layout, &present), Err(error));
            }
        }
    }
}

#[test]
fn every_class_of_erasures_of_large_codes_is_restored() {
    for kernel in Kernel::available() {
        for (data, parity) in [(40, 8), (100, 20), (200, 50), (212, 43), (127, 128), (128, 127), (254, 1), (1, 254)] {
            let mut codec = Codec::new(data, parity).unwrap().with_kernel(kernel).unwrap();
            let (arena, layout) = block(&codec, 147, 32, 0, 5);
            let most = parity.min(data);
            let total = data + parity;
            let classes: [(&str, Vec<usize>); 8] = [
                ("nothing", vec![]),
                ("first", vec![0]),
                ("last data", vec![data - 1]),
                ("all parity", (data..total).collect()),
                ("burst at the start", (0..most).collect()),
                ("burst at the end of data", (data - most..data).collect()),
                (
                    "burst across the border",
                    (data - most / 2..data - most / 2 + parity.min(total - data + most / 2)).collect(),
                ),
                ("every other", (0..total).step_by(2).take(parity).collect()),
            ];
            for (name, lost) in classes {
                assert!(lost.len() <= parity, "{name}");
                let present = (0..total).filter(|index| !lost.contains(index)).collect();
                loses_and_restores(&mut codec, &arena, layout, &present);
            }
        }
    }
}

#[test]
fn slices_and_arena_give_the_same_bytes() {
    let mut codec = Codec::new(5, 3).unwrap();
    let (arena, layout) = block(&codec, 77, 9, 4, 1);
    let mut shards: Vec<_> = arena.chunks(layout.stride).map(|shard| shard[9..86].to_vec()).collect();
    let expected = shards.clone();
    let (data, parity) = shards.split_at_mut(5);
    parity.iter_mut().for_each(|shard| shard.fill(0));
    codec.encode(data, parity).unwrap();
    assert_eq!(shards, expected);
    for lost in [1, 4] {
        shards[lost].fill(0);
    }
    shards[6].clear();
    let restored = codec.reconstruct(&mut shards, &[0, 2, 3, 5, 7].into_iter().collect()).unwrap();
    assert_eq!(restored.iter().collect::<Vec<_>>(), [1, 4]);
    assert_eq!(shards[..5], expected[..5]);
}

#[test]
fn a_codec_reset_is_a_codec_made_new() {
    let mut codec = Codec::audio();
    for (data, parity) in [(200, 50), (1, 1), (40, 8)] {
        codec.reset(data, parity).unwrap();
        assert_eq!(block(&codec, 33, 0, 0, 4).0, block(&Codec::new(data, parity).unwrap(), 33, 0, 0, 4).0);
    }
    assert_eq!(codec.reset(200, 56), Err(ShapeError { data: 200, parity: 56 }));
    assert_eq!((codec.data_shards(), codec.parity_shards()), (40, 8));
}

#[test]
fn nothing_is_allocated_after_construction() {
    let mut codec = Codec::audio();
    let capacities = |codec: &Codec| (codec.encoding.capacity(), codec.decoding.capacity());
    let before = capacities(&codec);
    for (data, parity) in [(128, 127), (127, 128), (200, 55)] {
        codec.reset(data, parity).unwrap();
        let (arena, layout) = block(&codec, 8, 0, 0, 4);
        let present = (parity.min(data)..data + parity).collect();
        loses_and_restores(&mut codec, &arena, layout, &present);
    }
    assert_eq!(capacities(&codec), before);
}

#[test]
fn shards_that_do_not_fit_are_refused() {
    let mut codec = Codec::new(2, 1).unwrap();
    let good = [[0u8; 4]; 2];
    assert_eq!(codec.encode(&good, &mut [[0u8; 5]]), Err(EncodeError::LengthMismatch { expected: 4, found: 5 }));
    assert_eq!(codec.encode(&good[..1], &mut [[0u8; 4]]), Err(EncodeError::WrongCount { expected: 3, found: 2 }));
    let mut shards = vec![vec![1; 4], vec![], vec![2; 4]];
    let present = [0, 2].into_iter().collect();
    assert_eq!(
        codec.reconstruct(&mut shards, &present),
        Err(EncodeError::LengthMismatch { expected: 4, found: 0 }.into())
    );
    let beyond = [0, 3].into_iter().collect();
    assert_eq!(codec.reconstruct(&mut shards, &beyond), Err(ReconstructError::NoSuchShard { index: 3, total: 3 }));
    let overlapping = Strided { stride: 3, offset: 0, len: 4 };
    let empty = Strided { stride: 3, offset: 0, len: 0 };
    for layout in [overlapping, empty] {
        let found = codec.encode_strided(&mut [0; 99], layout);
        assert!(matches!(found, Err(EncodeError::OutsideArena { .. })), "{layout:?}");
    }
}

#[test]
fn audio_matrix_is_the_documented_one() {
    let codec = Codec::audio();
    let rows: Vec<Vec<_>> = (0..2).map(|j| (0..4).filter_map(|i| codec.coefficient(j, i)).collect()).collect();
    assert_eq!(rows, [[0x77, 0x40, 0x38, 0x0e], [0xc7, 0xa7, 0x0d, 0x6c]]);
}

#[test]
fn audio_parity_is_the_documented_one() {
    let data: [[u8; 16]; 4] = array::from_fn(|i| array::from_fn(|j| (i * 31 + j * 7 + 3) as u8));
    let mut parity = [[0; 16]; 2];
    Codec::audio().encode(&data, &mut parity).unwrap();
    assert_eq!(u128::from_be_bytes(parity[0]), 0x15c8_35c0_09ad_da42_14bf_28b9_43ee_44cc);
    assert_eq!(u128::from_be_bytes(parity[1]), 0x375f_cde6_2b80_3400_bb52_0198_a986_cbef);
}

#[test]
fn unavailable_kernels_are_refused() {
    let foreign = if cfg!(target_arch = "aarch64") { Kernel::Avx2 } else { Kernel::Neon };
    assert_eq!(Codec::audio().with_kernel(foreign).err(), Some(KernelUnavailable(foreign)));
    assert_eq!(Kernel::available().first(), Some(&Kernel::detect()));
    assert_eq!(Kernel::available().last(), Some(&Kernel::Scalar));
}
