//! AVX-512 with GFNI: "times c" is one bit-matrix product per 64 bytes, and two products are added to a sum by one
//! three-way exclusive or.

use std::arch::x86_64::*;

use super::fused::{self, Job, Lanes, Width, kernel};
use crate::fec::gf8::field::AFFINE;

kernel!(Zmm, "avx512f,gfni", rows: [1 2 3 4 5 6 7 8]);

/// 64 bytes.
#[derive(Clone, Copy)]
struct Zmm(__m512i);

// SAFETY of all blocks: the instruction set, and readable or writable bytes, are what the caller of `Lanes` promises.
impl Lanes for Zmm {
    const BYTES: usize = 64;
    const PAIRS: bool = true;
    type Source = __m512i;
    type Factor = __m512i;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_setzero_si512() })
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_loadu_si512(from.cast()) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        // SAFETY: see above.
        unsafe { _mm512_storeu_si512(to.cast(), self.0) }
    }

    #[inline(always)]
    unsafe fn source(self) -> __m512i {
        self.0
    }

    #[inline(always)]
    unsafe fn factor(constant: u8) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_set1_epi64(AFFINE[usize::from(constant)].cast_signed()) }
    }

    #[inline(always)]
    unsafe fn add_product(self, source: __m512i, factor: __m512i) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_xor_si512(self.0, _mm512_gf2p8affine_epi64_epi8::<0>(source, factor)) })
    }

    #[inline(always)]
    unsafe fn add_products(self, sources: [__m512i; 2], factors: [__m512i; 2]) -> Self {
        const EXCLUSIVE_OR: i32 = 0x96;
        // SAFETY: see above.
        unsafe {
            let first = _mm512_gf2p8affine_epi64_epi8::<0>(sources[0], factors[0]);
            let second = _mm512_gf2p8affine_epi64_epi8::<0>(sources[1], factors[1]);
            Self(_mm512_ternarylogic_epi64::<EXCLUSIVE_OR>(self.0, first, second))
        }
    }
}
