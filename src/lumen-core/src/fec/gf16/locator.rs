//! The error locator: for each point of the block, the logarithm of the product of its differences to all points that
//! are missing (without itself).
//!
//! Differences are exclusive ors here, so the sums of logarithms over all points are a convolution over the group of
//! exclusive or, and two Walsh–Hadamard transforms compute it. The points of a block of N = 2^k points are a subgroup, so
//! transforms of N values suffice: no difference leaves it. Logarithms are taken modulo 65 535, where 2^16 is 1; the
//! factor 1/N of the transform is then 2^(16-k), which the transformed table of logarithms contains already.
//!
//! Zero has two faces here, 0 and 65 535: both mean "times one".

use std::sync::LazyLock;

use reed_solomon_simd::engine::{GF_BITS, GF_MODULUS, GF_ORDER, tables};

/// The locator of one pattern of losses at a time; keeps its memory.
#[derive(Debug, Default)]
pub(super) struct Locator(Vec<u16>);

impl Locator {
    /// Computes the locator of a block of `points` points, a power of two, from those that are `missing`.
    pub(super) fn compute(&mut self, points: usize, missing: impl Iterator<Item = usize>) {
        self.0.clear();
        self.0.resize(points, 0);
        missing.for_each(|point| self.0[point] = 1);
        walsh(&mut self.0);
        for (value, factor) in self.0.iter_mut().zip(&LOGARITHMS[points..]) {
            *value = product(*value, *factor);
        }
        walsh(&mut self.0);
    }

    /// The logarithm of the locator at `point`.
    pub(super) fn logarithm(&self, point: usize) -> u16 {
        self.0[point]
    }

    /// The logarithm of one over the locator at `point`.
    pub(super) fn inverse(&self, point: usize) -> u16 {
        GF_MODULUS - self.0[point]
    }
}

/// From index N on, for each N = 2^k: the Walsh–Hadamard transform of the first N logarithms over N.
static LOGARITHMS: LazyLock<Box<[u16]>> = LazyLock::new(|| {
    let mut values = tables::get_exp_log().log.to_vec();
    values[0] = 0;
    let mut table = vec![0; 2 * GF_ORDER];
    for bits in 0..=GF_BITS {
        let points = 1 << bits;
        if bits > 0 {
            values.chunks_exact_mut(points).for_each(layer);
        }
        let share = ((1u32 << (GF_BITS - bits)) % u32::from(GF_MODULUS)) as u16;
        for (entry, value) in table[points..].iter_mut().zip(&values[..points]) {
            *entry = product(*value, share);
        }
    }
    table.into()
});

/// The Walsh–Hadamard transform, unscaled.
fn walsh(values: &mut [u16]) {
    let mut span = 2;
    while span <= values.len() {
        values.chunks_exact_mut(span).for_each(layer);
        span *= 2;
    }
}

/// The last layer of the transform: sums and differences of both halves.
#[inline(always)]
fn layer(values: &mut [u16]) {
    let (low, high) = values.split_at_mut(values.len() / 2);
    for (a, b) in low.iter_mut().zip(high) {
        (*a, *b) = (sum(*a, *b), difference(*a, *b));
    }
}

/// Modulo 65 535.
#[inline(always)]
fn sum(a: u16, b: u16) -> u16 {
    let (sum, carry) = a.overflowing_add(b);
    sum.wrapping_add(u16::from(carry))
}

/// Modulo 65 535.
#[inline(always)]
fn difference(a: u16, b: u16) -> u16 {
    let (difference, borrow) = a.overflowing_sub(b);
    difference.wrapping_sub(u16::from(borrow))
}

/// Modulo 65 535.
#[inline(always)]
fn product(a: u16, b: u16) -> u16 {
    let product = u32::from(a) * u32::from(b);
    sum(product as u16, (product >> 16) as u16)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_locator_is_the_sum_of_the_logarithms_of_all_differences(
            bits in 0usize..11, missing in prop::collection::btree_set(0usize..1024, 0..400),
        ) {
            let points = 1 << bits;
            let missing: Vec<_> = missing.into_iter().filter(|&point| point < points).collect();
            let mut locator = Locator::default();
            locator.compute(1024, 0..700); // what was there before
            locator.compute(points, missing.iter().copied());
            let log = &tables::get_exp_log().log;
            for point in 0..points {
                let others = missing.iter().filter(|&&other| other != point);
                let expected: u64 = others.map(|other| u64::from(log[point ^ other])).sum();
                let found = u64::from(locator.logarithm(point));
                prop_assert_eq!(found % 65_535, expected % 65_535, "point {} of {}", point, points);
                prop_assert_eq!((found + u64::from(locator.inverse(point))) % 65_535, 0);
            }
        }
    }
}
