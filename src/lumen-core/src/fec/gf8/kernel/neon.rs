//! 64-bit Arm: the product of a byte is the sum of the products of its two nibbles, and those are looked up by table
//! instructions, 16 at once.

use std::arch::aarch64::*;

use super::fused::{self, Job, Lanes, Width, kernel};
use crate::fec::gf8::field::NIBBLES;

kernel!(Quad, "neon", rows: [1 2 3 4 5 6 7 8]);

/// 16 bytes.
#[derive(Clone, Copy)]
struct Quad(uint8x16_t);

// SAFETY of all blocks: the instruction set, and readable or writable bytes, are what the caller of `Lanes` promises.
impl Lanes for Quad {
    const BYTES: usize = 16;
    /// Low and high nibbles.
    type Source = [uint8x16_t; 2];
    /// Products of low and high nibbles.
    type Factor = [uint8x16_t; 2];

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: see above.
        Self(unsafe { vdupq_n_u8(0) })
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: see above.
        Self(unsafe { vld1q_u8(from) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        // SAFETY: see above.
        unsafe { vst1q_u8(to, self.0) }
    }

    #[inline(always)]
    unsafe fn source(self) -> [uint8x16_t; 2] {
        // SAFETY: see above.
        unsafe { [vandq_u8(self.0, vdupq_n_u8(0x0f)), vshrq_n_u8::<4>(self.0)] }
    }

    #[inline(always)]
    unsafe fn factor(constant: u8) -> [uint8x16_t; 2] {
        let table = NIBBLES[usize::from(constant)].0.as_ptr();
        // SAFETY: see above; the table has 32 bytes.
        unsafe { [vld1q_u8(table), vld1q_u8(table.add(16))] }
    }

    #[inline(always)]
    unsafe fn add_product(self, source: [uint8x16_t; 2], factor: [uint8x16_t; 2]) -> Self {
        // SAFETY: see above.
        unsafe {
            let products = veorq_u8(vqtbl1q_u8(factor[0], source[0]), vqtbl1q_u8(factor[1], source[1]));
            Self(veorq_u8(self.0, products))
        }
    }
}
