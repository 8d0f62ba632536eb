//! AVX2 alone: the product of a byte is the sum of the products of its two nibbles, and those are looked up by byte
//! shuffles, 32 at once.

use std::arch::x86_64::*;

use super::fused::{self, Job, Lanes, Width, kernel};
use crate::fec::gf8::field::NIBBLES;

kernel!(Ymm, "avx2", rows: [1 2 3 4]);

/// 32 bytes.
#[derive(Clone, Copy)]
struct Ymm(__m256i);

// SAFETY of all blocks: the instruction set, and readable or writable bytes, are what the caller of `Lanes` promises.
impl Lanes for Ymm {
    const BYTES: usize = 32;
    /// Low and high nibbles.
    type Source = [__m256i; 2];
    /// Products of low and high nibbles, twice 16.
    type Factor = [__m256i; 2];

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
    unsafe fn source(self) -> [__m256i; 2] {
        // SAFETY: see above.
        unsafe {
            let nibble = _mm256_set1_epi8(0x0f);
            [_mm256_and_si256(self.0, nibble), _mm256_and_si256(_mm256_srli_epi64::<4>(self.0), nibble)]
        }
    }

    #[inline(always)]
    unsafe fn factor(constant: u8) -> [__m256i; 2] {
        let table = NIBBLES[usize::from(constant)].0.as_ptr();
        // SAFETY: see above; the table has 32 bytes.
        unsafe {
            [
                _mm256_broadcastsi128_si256(_mm_load_si128(table.cast())),
                _mm256_broadcastsi128_si256(_mm_load_si128(table.add(16).cast())),
            ]
        }
    }

    #[inline(always)]
    unsafe fn add_product(self, source: [__m256i; 2], factor: [__m256i; 2]) -> Self {
        // SAFETY: see above.
        unsafe {
            let low = _mm256_shuffle_epi8(factor[0], source[0]);
            let high = _mm256_shuffle_epi8(factor[1], source[1]);
            Self(_mm256_xor_si256(_mm256_xor_si256(self.0, low), high))
        }
    }
}
