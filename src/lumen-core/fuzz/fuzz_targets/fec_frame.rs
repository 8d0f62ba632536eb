//! What a receiver of lumen/1 does with counts from headers: an arbitrary shape, arbitrary shards that are said to be here
//! (twice, or that no frame has), in a buffer of arbitrary size. Restoring gives back what was sent, or a typed error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lumen_core::fec::scheme::{
    Arrival, Decoder, Encoder, LayoutError, ParityShare, Progress, Receiver, ReconstructError, Scheme, Shape, plan,
    shard_len,
};

/// Bytes and shards of frames that are restored: without optimisation, larger ones take longer than they teach.
const LARGEST: usize = 1 << 16;
const MOST_SHARDS: usize = 1200;

fuzz_target!(|input: &[u8]| {
    let Some((header, arrivals)) = input.split_first_chunk::<12>() else { return };
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let receiver = if header[0] & 0x80 == 0 { Receiver::Modest } else { Receiver::Fast };
    let (bytes, share) = (usize::from(word(2)) << (header[1] % 17), ParityShare::per_mille(word(4)));
    if let Ok(shape) = plan(bytes, usize::from(word(6)), share, receiver) {
        assert!(shape.data() * shape.shard_len() >= bytes);
    }
    assert!(shard_len(word(2).into(), word(4).into()).is_none_or(|len| len <= usize::from(word(2))));

    let Ok(scheme) = Scheme::try_from(header[0] & 0x7F) else { return };
    let Ok(shape) = Shape::new(scheme, word(2), word(4), word(6).into()) else { return };
    let mut progress = Progress::new(shape);
    for index in arrivals.chunks_exact(2).map(|pair| usize::from(u16::from_be_bytes([pair[0], pair[1]]))) {
        // Runs let a short input complete a large frame.
        for index in index..index + 1 + usize::from(word(8)) {
            let before = progress.missing();
            let arrival = progress.insert(index);
            assert_eq!(arrival == Arrival::NoSuchShard, index >= shape.total());
            assert_eq!(arrival == Arrival::Useful, progress.missing() < before);
        }
    }
    assert_eq!(progress.is_decodable(), shape.recoverable(progress.present()));

    let layout = shape.strided(usize::from(header[10]));
    let size = shape.total() * layout.stride;
    if size > LARGEST || shape.total() > MOST_SHARDS {
        return;
    }
    let mut sent: Vec<u8> = (0..size).map(|index| (index * 31 + index / 253) as u8).collect();
    Encoder::new().encode(shape, &mut sent, layout).expect("fits");
    let mut arena = sent.clone();
    for index in progress.present().missing(shape.total()) {
        arena[layout.offset + index * layout.stride..][..layout.len].fill(header[11]);
    }
    let mut decoder = Decoder::new();
    let short = decoder.reconstruct(shape, &mut arena[..size - 1], layout, progress.present());
    assert!(matches!(short, Err(ReconstructError::BadLayout(LayoutError::OutsideArena { .. }))));
    match decoder.reconstruct(shape, &mut arena, layout, progress.present()) {
        Ok(_) => {
            assert!(progress.is_decodable());
            let data = shape.data() * layout.stride;
            assert!(arena[..data] == sent[..data]);
        }
        Err(error) => assert_eq!(error, ReconstructError::TooFewShards { missing: progress.missing() }),
    }
});
