//! Which scheme a frame gets, how many shards, and how long they are. Pure functions; what they weigh was measured with
//! `benches/frames.rs`.
//!
//! - A frame of at most 255 shards is one block of either scheme: both restore exactly the same losses, and GF(2^8) is
//!   faster.
//! - Above that, one block over GF(2^16) restores more random loss near its parity's limit, and interleaved blocks over
//!   GF(2^8) are restored several times faster; against bursts both are alike. The receiver is often the weaker machine, so
//!   GF(2^16) needs one that said it is fast.
//! - Restoring a block over GF(2^16) works on as many points as parity, rounded up to a power of two, and data have
//!   together, rounded up again. Just above a power of two that is twice the work for nothing, and above
//!   [`MOST_POINTS`] it takes longer than a frame can wait; such frames are interleaved.

use thiserror::Error;

use super::{MAX_SHARD_LEN, Scheme, Shape, ShapeError};
use crate::fec::{gf8, gf16};

/// Most points of a block over GF(2^16) that a receiver is asked to work on: some milliseconds.
pub const MOST_POINTS: usize = 4096;

/// How fast the end that restores frames is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Receiver {
    /// A phone, a television, a small box, or unknown.
    #[default]
    Modest,
    /// It has a core with AVX2 and GFNI, or as good, to spare for milliseconds of every frame.
    Fast,
}

impl Receiver {
    /// What this machine is, if it has a core to spare.
    pub fn here() -> Self {
        if gf16::Kernel::Avx2Gfni.is_available() { Self::Fast } else { Self::Modest }
    }
}

/// How much parity a frame gets: thousandths of its data shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParityShare(u16);

impl ParityShare {
    /// No parity.
    pub const NONE: Self = Self(0);

    /// So many parity shards per thousand data shards.
    pub const fn per_mille(share: u16) -> Self {
        Self(share)
    }

    /// Parity shards of `data` shards, rounded up.
    pub const fn shards(self, data: usize) -> usize {
        data.saturating_mul(self.0 as usize).div_ceil(1000)
    }
}

/// How many points a decoder works on for one block over GF(2^16).
pub const fn points(data: u16, parity: u16) -> usize {
    ((parity as usize).next_power_of_two() + data as usize).next_power_of_two()
}

/// The scheme that suits a frame of so many shards, by the rules at the top of this module. A frame that it names
/// [`Scheme::Gf16`] for has at most [`MOST_POINTS`] points, and at most one and a half for each shard.
pub const fn choose(data: u16, parity: u16, shard_len: usize, receiver: Receiver) -> Scheme {
    let (total, points) = (data as usize + parity as usize, points(data, parity));
    match receiver {
        Receiver::Fast
            if total > gf8::MAX_SHARDS
                && parity > 0
                && shard_len.is_multiple_of(2)
                && points <= MOST_POINTS
                && 2 * points <= 3 * total =>
        {
            Scheme::Gf16
        }
        _ => Scheme::Gf8Interleaved,
    }
}

/// The shape of a frame of `bytes`, cut into shards of `shard_len`, the last one padded. It has at least as much parity as
/// `share` says, with these adjustments:
///
/// - interleaved blocks all get the same parity: up to one shard more for each block;
/// - parity just above a power of two is lowered to it, by a sixteenth at most, where that lets a frame have
///   [`Scheme::Gf16`].
///
/// # Errors
/// [`PlanError`] for no bytes or shards without length, and for a frame that is larger than any scheme can have.
pub fn plan(bytes: usize, shard_len: usize, share: ParityShare, receiver: Receiver) -> Result<Shape, PlanError> {
    if bytes == 0 {
        return Err(PlanError::EmptyFrame);
    }
    if !(1..=MAX_SHARD_LEN).contains(&shard_len) {
        return Err(ShapeError::Length { scheme: Scheme::Gf8Interleaved, shard_len }.into());
    }
    let too_large = PlanError::TooLarge { bytes, shard_len };
    let data = u16::try_from(bytes.div_ceil(shard_len)).map_err(|_| too_large)?;
    let asked = share.shards(usize::from(data));
    let parity = u16::try_from(asked).map_err(|_| too_large)?;
    let below = (asked + 1).next_power_of_two() / 2;
    let lowered = if asked - below <= asked / 16 { below as u16 } else { parity };
    let one_block = |parity: &u16| choose(data, *parity, shard_len, receiver) == Scheme::Gf16;
    let (scheme, parity) = match [parity, lowered].into_iter().find(one_block) {
        Some(parity) => (Scheme::Gf16, parity),
        None => (Scheme::Gf8Interleaved, same_for_all_blocks(data, parity).ok_or(too_large)?),
    };
    match Shape::new(scheme, data, parity, shard_len) {
        Ok(shape) => Ok(shape),
        Err(ShapeError::Counts { .. }) => Err(too_large),
        Err(error) => Err(error.into()),
    }
}

/// The length of shards on a path that carries packets of `path_mtu` bytes, of which `headers` (IP, UDP, packet header and
/// authentication) are not payload; none if nothing is left. A multiple of 128 where that wastes a sixteenth at most,
/// else of 64 on the same terms: the vectors of all kernels then fit without a rest. Always even, so that both schemes
/// can have it.
pub const fn shard_len(path_mtu: usize, headers: usize) -> Option<usize> {
    let room = path_mtu.saturating_sub(headers);
    let room = if room > MAX_SHARD_LEN { MAX_SHARD_LEN } else { room };
    let rest = if room % 128 <= room / 16 {
        room % 128
    } else if room % 64 <= room / 16 {
        room % 64
    } else {
        room % 2
    };
    match room - rest {
        0 => None,
        len => Some(len),
    }
}

/// The smallest count from `asked` on that gives every block the same parity; none above 65 535.
fn same_for_all_blocks(data: u16, asked: u16) -> Option<u16> {
    let blocks = |parity: u16| (usize::from(data) + usize::from(parity)).div_ceil(gf8::MAX_SHARDS);
    (asked..=u16::MAX).find(|&parity| usize::from(parity) % blocks(parity) == 0)
}

/// A frame that cannot be planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PlanError {
    /// No bytes.
    #[error("a frame needs at least one byte")]
    EmptyFrame,
    /// More shards than any scheme has.
    #[error(
        "a frame of {bytes} bytes has too many shards of {shard_len}: drop it and ask the encoder for less, \
         or send it with less parity"
    )]
    TooLarge {
        /// Bytes of the frame.
        bytes: usize,
        /// Bytes of a shard.
        shard_len: usize,
    },
    /// A length that no shard has.
    #[error(transparent)]
    Shape(#[from] ShapeError),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIFTH: ParityShare = ParityShare::per_mille(200);

    fn planned(data: usize, receiver: Receiver) -> Shape {
        plan(data * 1408, 1408, FIFTH, receiver).expect("a plan")
    }

    #[test]
    fn frames_of_one_block_and_slow_receivers_get_the_fast_code() {
        for data in [1, 107, 212] {
            assert_eq!(planned(data, Receiver::Fast).scheme(), Scheme::Gf8Interleaved, "{data}");
        }
        for data in [370, 741, 1850, 7103] {
            assert_eq!(planned(data, Receiver::Modest).scheme(), Scheme::Gf8Interleaved, "{data}");
        }
    }

    #[test]
    fn a_fast_receiver_gets_one_block_where_its_points_are_well_used() {
        // 128 + 370 points fit 512, and 256 + 741 fit 1024. 769 data shards would need 2048, 1850 need 4096.
        for (data, scheme) in [
            (370, Scheme::Gf16),
            (384, Scheme::Gf16),
            (385, Scheme::Gf8Interleaved),
            (741, Scheme::Gf16),
            (768, Scheme::Gf16),
            (769, Scheme::Gf8Interleaved),
            (1280, Scheme::Gf16),
            (1850, Scheme::Gf8Interleaved),
            (3000, Scheme::Gf16),
            (3500, Scheme::Gf8Interleaved),
            (7103, Scheme::Gf8Interleaved),
        ] {
            assert_eq!(planned(data, Receiver::Fast).scheme(), scheme, "{data}");
        }
    }

    #[test]
    fn parity_just_above_a_power_of_two_is_lowered_to_it() {
        // 130 parity shards would take 256 + 850 points; 128 leave it below 1024.
        let share = ParityShare::per_mille(153);
        assert_eq!(share.shards(850), 131);
        let shape = plan(850 * 1408, 1408, share, Receiver::Fast).expect("a plan");
        assert_eq!((shape.scheme(), shape.parity()), (Scheme::Gf16, 128));
        // 149 would have to give up too much.
        let share = ParityShare::per_mille(175);
        let shape = plan(850 * 1408, 1408, share, Receiver::Fast).expect("a plan");
        assert_eq!(shape.scheme(), Scheme::Gf8Interleaved);
        assert!(shape.parity() >= share.shards(850));
    }

    #[test]
    fn the_length_of_shards_follows_the_path() {
        for (path, headers, expected) in [
            (1500, 76, Some(1408)),     // Ethernet, IPv4
            (1500, 96, Some(1344)),     // Ethernet, IPv6
            (1280, 96, Some(1152)),     // the smallest IPv6 path
            (9000, 76, Some(8832)),     // jumbo
            (1420, 76, Some(1280)),     // WireGuard
            (576, 76, Some(500)),       // a multiple of 64 would waste a tenth
            (65_535, 76, Some(65_408)), // loopback
            (usize::MAX, 0, Some(65_408)),
            (77, 76, None),
            (76, 76, None),
            (0, 76, None),
        ] {
            assert_eq!(shard_len(path, headers), expected, "{path} - {headers}");
        }
    }

    #[test]
    fn frames_that_no_scheme_can_have_are_refused() {
        assert_eq!(plan(0, 1408, FIFTH, Receiver::Fast), Err(PlanError::EmptyFrame));
        assert!(matches!(plan(1, 0, FIFTH, Receiver::Fast), Err(PlanError::Shape(_))));
        assert!(matches!(plan(1, 65_536, FIFTH, Receiver::Fast), Err(PlanError::Shape(_))));
        assert!(matches!(plan(60_000, 1, FIFTH, Receiver::Fast), Err(PlanError::TooLarge { .. })));
        assert!(matches!(plan(usize::MAX, 1, FIFTH, Receiver::Fast), Err(PlanError::TooLarge { .. })));
        let most = ParityShare::per_mille(u16::MAX);
        assert!(matches!(plan(60_000, 2, most, Receiver::Fast), Err(PlanError::TooLarge { .. })));
    }

    proptest! {
        #[test]
        fn every_plan_holds_the_frame_and_the_parity_asked_for(
            bytes in 1usize..4_000_000, len in 100usize..9000, share in 0u16..600, fast: bool,
        ) {
            let (share, receiver) =
                (ParityShare::per_mille(share), if fast { Receiver::Fast } else { Receiver::Modest });
            let Ok(shape) = plan(bytes, len, share, receiver) else {
                return Err(TestCaseError::fail("no plan"));
            };
            let (data, parity, asked) = (shape.data(), shape.parity(), share.shards(shape.data()));
            prop_assert!(data * len >= bytes && (data - 1) * len < bytes);
            match shape.scheme() {
                Scheme::Gf16 => {
                    prop_assert!(fast && parity <= asked && parity >= asked - asked / 16);
                    let points = points(data as u16, parity as u16);
                    prop_assert!(points <= MOST_POINTS && 2 * points <= 3 * shape.total());
                }
                Scheme::Gf8Interleaved => {
                    prop_assert!(parity >= asked && parity <= asked + 2 * shape.blocks(), "{} for {}", parity, asked);
                    let same = (0..shape.blocks()).all(|block| shape.block(block).parity == shape.block(0).parity);
                    prop_assert!(same || parity == asked, "{} has uneven blocks", shape);
                }
            }
        }
    }
}
