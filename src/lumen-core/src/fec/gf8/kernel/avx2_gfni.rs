//! AVX2 with GFNI: "times c" is one bit-matrix product per 32 bytes.

use std::arch::x86_64::*;

use super::fused::{self, Job, Lanes, Width, kernel};
use crate::fec::gf8::field::AFFINE;

kernel!(Ymm, "avx2,gfni", rows: [1 2 3 4 5 6]);

/// 32 bytes.
#[derive(Clone, Copy)]
struct Ymm(__m256i);

// SAFETY of all blocks: the instruction set, and readable or writable bytes, are what the caller of `Lanes` promises.
impl Lanes for Ymm {
    const BYTES: usize = 32;
    type Source = __m256i;
    type Factor = __m256i;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_setzero_si256() })
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_loadu_si256(from.cast()) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        // SAFETY: see above.
        unsafe { _mm256_storeu_si256(to.cast(), self.0) }
    }

    #[inline(always)]
    unsafe fn source(self) -> __m256i {
        self.0
    }

    #[inline(always)]
    unsafe fn factor(constant: u8) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_set1_epi64x(AFFINE[usize::from(constant)].cast_signed()) }
    }

    #[inline(always)]
    unsafe fn add_product(self, source: __m256i, factor: __m256i) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_xor_si256(self.0, _mm256_gf2p8affine_epi64_epi8::<0>(source, factor)) })
    }
}
