//! Tables of our own kernels, made once from those of the library: 0.5 MiB and a millisecond, where the library's engine
//! makes 8 MiB. The matrix of "times a" is a sum of matrices of the bits of `a`, so a table for each nibble will do.

use std::sync::LazyLock;

use reed_solomon_simd::engine::tables::{self, Exp, get_exp_log};
use reed_solomon_simd::engine::{GF_MODULUS, GF_ORDER};

/// What the kernels look up.
pub(super) struct Tables {
    /// The element with each logarithm; 65 535 stands for 1, as 0 does.
    elements: &'static Exp,
    /// The factors of the transforms. Zero, where the library's table says 65 535: there, and only there, that number
    /// stands for "times zero".
    factors: Box<[u16; GF_ORDER]>,
    /// Of each nibble of an element, the matrices of its values.
    nibbles: [[Matrix; 16]; 4],
}

impl Tables {
    /// The tables of this process.
    pub(super) fn get() -> &'static Self {
        static TABLES: LazyLock<Tables> = LazyLock::new(Tables::new);
        &TABLES
    }

    fn new() -> Self {
        let elements = &*get_exp_log().exp;
        let mut factors = Box::new([0; GF_ORDER]);
        for (factor, &logarithm) in factors.iter_mut().zip(tables::get_skew()) {
            *factor = if logarithm == GF_MODULUS { 0 } else { elements[usize::from(logarithm)] };
        }
        let mut nibbles = [[Matrix([0; 4]); 16]; 4];
        for (place, values) in nibbles.iter_mut().enumerate() {
            for value in 1..16usize {
                let lowest = value & value.wrapping_neg();
                values[value] = match value - lowest {
                    0 => Matrix::times((value << (4 * place)) as u16),
                    rest => values[rest].plus(values[lowest]),
                };
            }
        }
        Self { elements, factors, nibbles }
    }

    /// The element with this logarithm.
    #[inline(always)]
    pub(super) fn element(&self, logarithm: u16) -> u16 {
        self.elements[usize::from(logarithm)]
    }

    /// The factor of a transform at `index`, below 65 535.
    #[inline(always)]
    pub(super) fn factor(&self, index: usize) -> u16 {
        self.factors[index % GF_ORDER]
    }

    /// Four matrices whose sum is "times `element`".
    #[inline(always)]
    pub(super) fn matrices(&self, element: u16) -> [&Matrix; 4] {
        std::array::from_fn(|place| &self.nibbles[place][usize::from(element >> (4 * place)) & 15])
    }
}

/// "Times a" as four bit matrices in the layout of `gf2p8affineqb`: from low bytes to low, from high to high, from high to
/// low, from low to high bytes. The row of result bit `i` is byte `7 - i`, and bit `j` of a row selects bit `j` of the
/// source.
#[derive(Clone, Copy)]
#[repr(align(32))]
pub(super) struct Matrix(pub(super) [u64; 4]);

impl Matrix {
    fn times(element: u16) -> Self {
        let tables::ExpLog { exp, log } = get_exp_log();
        let column = |bit: usize| tables::mul(1 << bit, log[usize::from(element)], exp, log);
        let matrix = |source: usize, result: usize| {
            let mut rows = [0u8; 8];
            for bit in 0..8 {
                let byte = column(8 * source + bit) >> (8 * result);
                for (row, bits) in rows.iter_mut().rev().enumerate() {
                    *bits |= ((byte >> row & 1) as u8) << bit;
                }
            }
            u64::from_le_bytes(rows)
        };
        Self([matrix(0, 0), matrix(1, 1), matrix(1, 0), matrix(0, 1)])
    }

    fn plus(self, other: Self) -> Self {
        Self(std::array::from_fn(|part| self.0[part] ^ other.0[part]))
    }
}
