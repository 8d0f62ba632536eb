//! AVX-512 with GFNI: a register holds a whole chunk, low bytes below high bytes. A product is one pair of bit-matrix
//! products that stay in their half and one pair that changes it, by way of a shuffle that swaps the halves.

use std::arch::x86_64::*;

use super::butterfly::{self, Lanes, engine};
use super::tables::{Matrix, Tables};
use crate::fec::gf16::Chunk;

engine!(Zmm, "avx2,avx512f,gfni", Kernel::Avx512Gfni);

/// A chunk.
#[derive(Clone, Copy)]
struct Zmm(__m512i);

/// The matrices within the halves, and those between them.
#[derive(Clone, Copy)]
struct Factor {
    within: __m512i,
    between: __m512i,
}

const SWAP_HALVES: i32 = 0b01_00_11_10;
const EXCLUSIVE_OR: i32 = 0x96;

// SAFETY of all blocks: the instruction set is what the caller of `Lanes` promises; references are readable and writable.
impl Lanes for Zmm {
    type Factor = Factor;

    #[inline(always)]
    unsafe fn factor(tables: &Tables, element: u16) -> Factor {
        let [a, b, c, d] = tables.matrices(element);
        // SAFETY: see above.
        unsafe {
            let load = |matrix: &Matrix| _mm256_load_si256(matrix.0.as_ptr().cast());
            let sum = _mm256_xor_si256(_mm256_xor_si256(load(a), load(b)), _mm256_xor_si256(load(c), load(d)));
            let sum = _mm512_castsi256_si512(sum);
            Factor {
                within: _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 0, 0, 0, 1, 1, 1, 1), sum),
                between: _mm512_permutexvar_epi64(_mm512_setr_epi64(2, 2, 2, 2, 3, 3, 3, 3), sum),
            }
        }
    }

    #[inline(always)]
    unsafe fn load(from: &Chunk) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_loadu_si512(from.as_ptr().cast()) })
    }

    #[inline(always)]
    unsafe fn store(self, to: &mut Chunk) {
        // SAFETY: see above.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), self.0) }
    }

    #[inline(always)]
    unsafe fn plus(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_xor_si512(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn plus_product(self, source: Self, factor: Factor) -> Self {
        // SAFETY: see above.
        unsafe {
            let swapped = _mm512_shuffle_i64x2::<SWAP_HALVES>(source.0, source.0);
            let within = _mm512_gf2p8affine_epi64_epi8::<0>(source.0, factor.within);
            let between = _mm512_gf2p8affine_epi64_epi8::<0>(swapped, factor.between);
            Self(_mm512_ternarylogic_epi64::<EXCLUSIVE_OR>(self.0, within, between))
        }
    }

    #[inline(always)]
    unsafe fn product(self, factor: Factor) -> Self {
        // SAFETY: see above.
        unsafe {
            let swapped = _mm512_shuffle_i64x2::<SWAP_HALVES>(self.0, self.0);
            let within = _mm512_gf2p8affine_epi64_epi8::<0>(self.0, factor.within);
            let between = _mm512_gf2p8affine_epi64_epi8::<0>(swapped, factor.between);
            Self(_mm512_xor_si512(within, between))
        }
    }
}
