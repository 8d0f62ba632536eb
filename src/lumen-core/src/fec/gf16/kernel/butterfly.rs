//! The transforms that our own kernels share, two layers at a time: four shards are read into registers, go through both
//! layers there, and are written once. All butterflies of a group have the same factors and lie one after another, so a
//! group is one loop over four runs of memory.

use super::Wanted;
use super::tables::Tables;
use crate::fec::gf16::Chunk;

/// The 64 bytes of a [`Chunk`] in registers, and their arithmetic in the field.
///
/// # Safety
/// All functions need the instruction set that the implementor names. They must be inlined into a function that has it
/// enabled.
pub(super) trait Lanes: Copy {
    /// An element made ready to multiply.
    type Factor: Copy;

    /// Prepares an element.
    ///
    /// # Safety
    /// See [`Lanes`].
    unsafe fn factor(tables: &Tables, element: u16) -> Self::Factor;
    /// Reads a chunk.
    ///
    /// # Safety
    /// See [`Lanes`].
    unsafe fn load(from: &Chunk) -> Self;
    /// Writes a chunk.
    ///
    /// # Safety
    /// See [`Lanes`].
    unsafe fn store(self, to: &mut Chunk);
    /// `self + other`
    ///
    /// # Safety
    /// See [`Lanes`].
    unsafe fn plus(self, other: Self) -> Self;
    /// `self + source·factor`
    ///
    /// # Safety
    /// See [`Lanes`].
    unsafe fn plus_product(self, source: Self, factor: Self::Factor) -> Self;
    /// `self·factor`
    ///
    /// # Safety
    /// See [`Lanes`].
    unsafe fn product(self, factor: Self::Factor) -> Self;
}

/// The three factors of a group: of its first layer's both halves, and of each half's second layer.
struct Factors<L: Lanes> {
    outer: L::Factor,
    low: L::Factor,
    high: L::Factor,
    /// Whether `outer` and `low` are zero, as they are in the first group of a transform without shift.
    only_high: bool,
}

impl<L: Lanes> Factors<L> {
    /// # Safety
    /// See [`Lanes`].
    #[inline(always)]
    unsafe fn new(tables: &Tables, first: usize, distance: usize) -> Self {
        let [low, outer, high] = [1, 2, 3].map(|step| tables.factor(first + step * distance - 1));
        // SAFETY: as the caller promises.
        unsafe {
            Self {
                outer: L::factor(tables, outer),
                low: L::factor(tables, low),
                high: L::factor(tables, high),
                only_high: outer == 0 && low == 0,
            }
        }
    }
}

/// # Safety
/// See [`Lanes`].
#[inline(always)]
pub(super) unsafe fn transform<L: Lanes>(tables: &Tables, data: &mut [Chunk], width: usize, wanted: &Wanted) {
    let size = data.len() / width;
    let mut span = size;
    // SAFETY: as the caller promises.
    unsafe {
        if size.trailing_zeros() % 2 == 1 {
            span /= 2;
            let factor = L::factor(tables, tables.factor(span - 1));
            let (low, high) = data.split_at_mut(span * width);
            for (a, b) in low.iter_mut().zip(high) {
                let [x, y] = forth(L::load(a), L::load(b), factor);
                x.store(a);
                y.store(b);
            }
        }
        while span > 1 {
            let distance = span / 4;
            for (number, group) in data.chunks_exact_mut(span * width).enumerate() {
                if wanted.any(number * span, span) {
                    let factors = Factors::<L>::new(tables, number * span, distance);
                    if factors.only_high {
                        each(group, |[a, b, c, d]: [L; 4]| {
                            let (c, d) = (c.plus(a), d.plus(b));
                            let [c, d] = forth(c, d, factors.high);
                            [a, b.plus(a), c, d]
                        });
                    } else {
                        each(group, |[a, b, c, d]: [L; 4]| {
                            let ([a, c], [b, d]) = (forth(a, c, factors.outer), forth(b, d, factors.outer));
                            let ([a, b], [c, d]) = (forth(a, b, factors.low), forth(c, d, factors.high));
                            [a, b, c, d]
                        });
                    }
                }
            }
            span = distance;
        }
    }
}

/// # Safety
/// See [`Lanes`].
#[inline(always)]
pub(super) unsafe fn inverse_transform<L: Lanes>(
    tables: &Tables,
    data: &mut [Chunk],
    width: usize,
    count: usize,
    shift: usize,
) {
    let size = data.len() / width;
    let mut distance = 1;
    // SAFETY: as the caller promises.
    unsafe {
        while distance * 4 <= size {
            let span = distance * 4;
            for (number, group) in data.chunks_exact_mut(span * width).take(count.div_ceil(span)).enumerate() {
                let factors = Factors::<L>::new(tables, number * span + shift, distance);
                if factors.only_high {
                    each(group, |[a, b, c, d]: [L; 4]| {
                        let ([a, b], [c, d]) = ([a, b.plus(a)], back(c, d, factors.high));
                        [a, b, c.plus(a), d.plus(b)]
                    });
                } else {
                    each(group, |[a, b, c, d]: [L; 4]| {
                        let ([a, b], [c, d]) = (back(a, b, factors.low), back(c, d, factors.high));
                        let ([a, c], [b, d]) = (back(a, c, factors.outer), back(b, d, factors.outer));
                        [a, b, c, d]
                    });
                }
            }
            distance = span;
        }
        if distance < size {
            let factor = L::factor(tables, tables.factor(distance + shift - 1));
            let (low, high) = data.split_at_mut(distance * width);
            for (a, b) in low.iter_mut().zip(high) {
                let [x, y] = back(L::load(a), L::load(b), factor);
                x.store(a);
                y.store(b);
            }
        }
    }
}

/// # Safety
/// See [`Lanes`].
#[inline(always)]
pub(super) unsafe fn multiply<L: Lanes>(tables: &Tables, chunks: &mut [Chunk], logarithm: u16) {
    // SAFETY: as the caller promises.
    unsafe {
        let factor = L::factor(tables, tables.element(logarithm));
        for chunk in chunks {
            L::load(chunk).product(factor).store(chunk);
        }
    }
}

/// One butterfly of a transform.
///
/// # Safety
/// See [`Lanes`].
#[inline(always)]
unsafe fn forth<L: Lanes>(x: L, y: L, factor: L::Factor) -> [L; 2] {
    // SAFETY: as the caller promises.
    unsafe {
        let x = x.plus_product(y, factor);
        [x, y.plus(x)]
    }
}

/// One butterfly of a transform back.
///
/// # Safety
/// See [`Lanes`].
#[inline(always)]
unsafe fn back<L: Lanes>(x: L, y: L, factor: L::Factor) -> [L; 2] {
    // SAFETY: as the caller promises.
    unsafe {
        let y = y.plus(x);
        [x.plus_product(y, factor), y]
    }
}

/// Takes the four quarters of a group through `step`, chunk by chunk.
///
/// # Safety
/// See [`Lanes`].
#[inline(always)]
unsafe fn each<L: Lanes>(group: &mut [Chunk], step: impl Fn([L; 4]) -> [L; 4]) {
    let quarter = group.len() / 4;
    let (ab, cd) = group.split_at_mut(2 * quarter);
    let ((a, b), (c, d)) = (ab.split_at_mut(quarter), cd.split_at_mut(quarter));
    for (((a, b), c), d) in a.iter_mut().zip(b).zip(c).zip(d) {
        // SAFETY: as the caller promises.
        unsafe {
            let [w, x, y, z] = step([L::load(a), L::load(b), L::load(c), L::load(d)]);
            w.store(a);
            x.store(b);
            y.store(c);
            z.store(d);
        }
    }
}

/// Writes the `Engine` of a kernel: for the [`Lanes`] type, the features that it needs. A macro because
/// `#[target_feature]` takes literals only.
macro_rules! engine {
    ($lanes:ty, $features:literal, $kernel:expr) => {
        use super::{Kernel, Wanted, sums};

        /// Proof that this machine has the features, and the tables.
        pub(in super::super) struct Engine(&'static Tables);

        // SAFETY of all calls: `new` found the features on this machine.
        impl Engine {
            /// # Panics
            /// If this machine lacks the kernel; who calls this has looked.
            pub(super) fn new() -> Self {
                assert!($kernel.is_available(), "kernel {} is not available", $kernel);
                Self(Tables::get())
            }

            pub(super) fn transform(&self, data: &mut [Chunk], width: usize, wanted: &Wanted) {
                #[target_feature(enable = $features)]
                fn run(tables: &Tables, data: &mut [Chunk], width: usize, wanted: &Wanted) {
                    // SAFETY: the features of `$lanes` are enabled here.
                    unsafe { butterfly::transform::<$lanes>(tables, data, width, wanted) }
                }
                // SAFETY: see above.
                unsafe { run(self.0, data, width, wanted) }
            }

            pub(super) fn inverse_transform(&self, data: &mut [Chunk], width: usize, count: usize, shift: usize) {
                #[target_feature(enable = $features)]
                fn run(tables: &Tables, data: &mut [Chunk], width: usize, count: usize, shift: usize) {
                    // SAFETY: the features of `$lanes` are enabled here.
                    unsafe { butterfly::inverse_transform::<$lanes>(tables, data, width, count, shift) }
                }
                // SAFETY: see above.
                unsafe { run(self.0, data, width, count, shift) }
            }

            pub(super) fn multiply(&self, chunks: &mut [Chunk], logarithm: u16) {
                #[target_feature(enable = $features)]
                fn run(tables: &Tables, chunks: &mut [Chunk], logarithm: u16) {
                    // SAFETY: the features of `$lanes` are enabled here.
                    unsafe { butterfly::multiply::<$lanes>(tables, chunks, logarithm) }
                }
                // SAFETY: see above.
                unsafe { run(self.0, chunks, logarithm) }
            }

            pub(super) fn add(&self, sum: &mut [Chunk], other: &[Chunk]) {
                #[target_feature(enable = $features)]
                fn run(sum: &mut [Chunk], other: &[Chunk]) {
                    sums::add(sum, other);
                }
                // SAFETY: see above.
                unsafe { run(sum, other) }
            }

            pub(super) fn derivative(&self, data: &mut [Chunk], width: usize) {
                #[target_feature(enable = $features)]
                fn run(data: &mut [Chunk], width: usize) {
                    sums::derivative(data, width);
                }
                // SAFETY: see above.
                unsafe { run(data, width) }
            }
        }
    };
}
pub(super) use engine;
