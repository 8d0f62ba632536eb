use proptest::prelude::*;

use super::*;

const GAP: u8 = 0xA5;

/// Xorshift: the same on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// A frame with its parity, a gap of a few bytes before each shard.
struct Frame {
    shape: Shape,
    layout: Strided,
    arena: Vec<u8>,
}

impl Frame {
    fn new(shape: Shape, encoder: &mut Encoder) -> Self {
        let layout = shape.strided(5);
        let mut random = Random(shape.total() as u64 + 1);
        let mut arena = vec![GAP; layout.stride * shape.total()];
        for shard in arena.chunks_mut(layout.stride).take(shape.data()) {
            shard[layout.offset..].fill_with(|| random.next() as u8);
        }
        encoder.encode(shape, &mut arena, layout).expect("fits");
        Self { shape, layout, arena }
    }

    /// The frame with everything that is not in `present` spoiled, and the bytes between the shards untouched.
    fn received(&self, present: &ShardSet) -> Vec<u8> {
        let mut arena = self.arena.clone();
        for index in present.missing(self.shape.total()) {
            arena[index * self.layout.stride + self.layout.offset..][..self.layout.len].fill(0x3C);
        }
        arena
    }

    /// Whether `arena` has all the data of the frame, and lost parity as it arrived.
    fn check(&self, present: &ShardSet, arena: &[u8]) {
        let data = self.layout.stride * self.shape.data();
        assert!(arena[..data] == self.arena[..data], "{}: data differs", self.shape);
        assert!(arena[data..] == self.received(present)[data..], "{}: parity was touched", self.shape);
    }
}

/// Every block of `shape` loses as many shards as it has parity, any of them.
fn worst(shape: Shape, random: &mut Random) -> ShardSet {
    let mut present = ShardSet::full(shape.total());
    for block in 0..shape.blocks() {
        for _ in 0..shape.block(block).parity {
            while !present.remove(block + shape.blocks() * random.below(shape.block(block).total())) {}
        }
    }
    present
}

fn any_shape() -> impl Strategy<Value = Shape> {
    (any::<bool>(), 1u16..700, 0u16..300, 1usize..90).prop_filter_map("a shape", |(gf16, data, parity, len)| {
        let scheme = if gf16 { Scheme::Gf16 } else { Scheme::Gf8Interleaved };
        Shape::new(scheme, data, parity, if gf16 { len * 2 } else { len }).ok()
    })
}

proptest! {
    #[test]
    fn any_loss_up_to_the_parity_is_restored_and_more_is_refused(shape in any_shape(), seed in 1u64..) {
        let mut random = Random(seed);
        let frame = Frame::new(shape, &mut Encoder::new());
        let mut present = worst(shape, &mut random);
        let mut arena = frame.received(&present);
        let mut decoder = Decoder::new();
        let lost = present.missing(shape.data()).count();
        prop_assert_eq!(decoder.reconstruct(shape, &mut arena, frame.layout, &present), Ok(lost));
        frame.check(&present, &arena);

        // One more of any block is one too many.
        while !present.remove(random.below(shape.total())) {}
        let arena = frame.received(&present);
        let mut untouched = arena.clone();
        prop_assert_eq!(
            decoder.reconstruct(shape, &mut untouched, frame.layout, &present),
            Err(ReconstructError::TooFewShards { missing: 1 })
        );
        prop_assert!(untouched == arena);
    }

    #[test]
    fn a_loss_is_restored_exactly_if_it_is_said_to_be_recoverable(
        shape in any_shape(), seed in 1u64.., one_in in 2usize..30,
    ) {
        let mut random = Random(seed);
        let frame = Frame::new(shape, &mut Encoder::new());
        let mut present = ShardSet::new(shape.total());
        present.extend((0..shape.total()).filter(|_| random.below(one_in) != 0));
        let mut arena = frame.received(&present);
        let restored = Decoder::new().reconstruct(shape, &mut arena, frame.layout, &present);
        prop_assert_eq!(restored.is_ok(), shape.recoverable(&present));
        if restored.is_ok() {
            frame.check(&present, &arena);
        }
    }
}

#[test]
fn one_encoder_and_one_decoder_serve_frames_of_all_sizes_in_turn() {
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
    let mut random = Random(11);
    for (data, parity) in [(1, 1), (741, 149), (2, 1), (107, 22), (370, 74), (1, 9), (300, 300), (1, 0), (255, 256)] {
        for scheme in [Scheme::Gf16, Scheme::Gf8Interleaved] {
            let Ok(shape) = Shape::new(scheme, data, parity, 70) else { continue };
            let frame = Frame::new(shape, &mut encoder);
            let present = worst(shape, &mut random);
            let mut arena = frame.received(&present);
            decoder.reconstruct(shape, &mut arena, frame.layout, &present).expect("enough");
            frame.check(&present, &arena);
        }
    }
}

#[test]
fn the_largest_frames_are_restored() {
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
    let mut random = Random(5);
    let largest = [
        (Scheme::Gf16, 49_151, 16_384),
        (Scheme::Gf16, 32_767, 32_768),
        (Scheme::Gf16, 54_000, 8_192),
        (Scheme::Gf8Interleaved, 54_612, 10_923),
    ];
    for (scheme, data, parity) in largest {
        let shape = Shape::new(scheme, data, parity, 4).expect("a shape");
        let frame = Frame::new(shape, &mut encoder);
        let present = worst(shape, &mut random);
        let mut arena = frame.received(&present);
        decoder.reconstruct(shape, &mut arena, frame.layout, &present).expect("enough");
        frame.check(&present, &arena);
    }
}

#[test]
fn what_lies_between_the_shards_is_left_alone() {
    for scheme in [Scheme::Gf16, Scheme::Gf8Interleaved] {
        let shape = Shape::new(scheme, 300, 60, 66).expect("a shape");
        let frame = Frame::new(shape, &mut Encoder::new());
        assert!(frame.arena.chunks(frame.layout.stride).all(|shard| shard[..frame.layout.offset] == [GAP; 5]));
    }
}

#[test]
fn buffers_that_do_not_hold_the_frame_are_refused() {
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
    for scheme in [Scheme::Gf16, Scheme::Gf8Interleaved] {
        let shape = Shape::new(scheme, 300, 60, 64).expect("a shape");
        let layout = shape.strided(8);
        let mut arena = vec![0; layout.stride * shape.total()];
        let present = ShardSet::full(shape.total());
        let bad = [
            Strided { len: 62, ..layout },
            Strided { offset: 9, ..layout },
            Strided { stride: 63, ..layout },
            Strided { stride: usize::MAX, ..layout },
            Strided { offset: usize::MAX, ..layout },
        ];
        for layout in bad {
            let error = encoder.encode(shape, &mut arena, layout).expect_err("does not fit");
            let refused = decoder.reconstruct(shape, &mut arena, layout, &present);
            assert_eq!(refused, Err(ReconstructError::BadLayout(error)));
        }
        let other = ShardSet::full(361);
        assert_eq!(
            decoder.reconstruct(shape, &mut arena, layout, &other),
            Err(ReconstructError::WrongSet { expected: 360, found: 361 })
        );
    }
}
