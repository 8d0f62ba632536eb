//! AVX2 with GFNI: low and high bytes of a chunk in a register each. A product is four bit-matrix products.

use std::arch::x86_64::*;

use super::butterfly::{self, Lanes, engine};
use super::tables::Tables;
use crate::fec::gf16::Chunk;

engine!(Ymm, "avx2,gfni", Kernel::Avx2Gfni);

/// A chunk.
#[derive(Clone, Copy)]
struct Ymm {
    low: __m256i,
    high: __m256i,
}

/// The four matrices, in the order of [`Matrix`](super::tables::Matrix).
type Factor = [__m256i; 4];

// SAFETY of all blocks: the instruction set is what the caller of `Lanes` promises; references are readable and writable.
impl Lanes for Ymm {
    type Factor = Factor;

    #[inline(always)]
    unsafe fn factor(tables: &Tables, element: u16) -> Factor {
        let matrices = tables.matrices(element);
        std::array::from_fn(|part| {
            let sum = matrices.iter().fold(0, |sum, matrix| sum ^ matrix.0[part]);
            // SAFETY: see above.
            unsafe { _mm256_set1_epi64x(sum.cast_signed()) }
        })
    }

    #[inline(always)]
    unsafe fn load(from: &Chunk) -> Self {
        // SAFETY: see above.
        unsafe {
            let low = from.as_ptr().cast::<__m256i>();
            Self { low: _mm256_loadu_si256(low), high: _mm256_loadu_si256(low.add(1)) }
        }
    }

    #[inline(always)]
    unsafe fn store(self, to: &mut Chunk) {
        // SAFETY: see above.
        unsafe {
            let low = to.as_mut_ptr().cast::<__m256i>();
            _mm256_storeu_si256(low, self.low);
            _mm256_storeu_si256(low.add(1), self.high);
        }
    }

    #[inline(always)]
    unsafe fn plus(self, other: Self) -> Self {
        // SAFETY: see above.
        unsafe { Self { low: _mm256_xor_si256(self.low, other.low), high: _mm256_xor_si256(self.high, other.high) } }
    }

    #[inline(always)]
    unsafe fn plus_product(self, source: Self, factor: Factor) -> Self {
        // SAFETY: see above.
        unsafe { self.plus(source.product(factor)) }
    }

    #[inline(always)]
    unsafe fn product(self, [low_low, high_high, high_low, low_high]: Factor) -> Self {
        // SAFETY: see above.
        unsafe {
            let times = |source, matrix| _mm256_gf2p8affine_epi64_epi8::<0>(source, matrix);
            Self {
                low: _mm256_xor_si256(times(self.low, low_low), times(self.high, high_low)),
                high: _mm256_xor_si256(times(self.high, high_high), times(self.low, low_high)),
            }
        }
    }
}
