//! The loops that all vector kernels share: a sum of products whose running sums stay in registers.
//!
//! A tile is a few outputs by a few vectors. Its sums live in registers while the loop walks over all inputs, so every
//! output byte is written once; a loop over (output, input) pairs would read and write each output once per input.
//! The tiles of a column strip are computed one after another, so that the inputs of the strip come from the first-level
//! cache for all but the first. What is left at the end of a shard is computed with a tile that overlaps the one before:
//! no output is also an input, so doing bytes twice changes nothing.

/// Vectors per tile.
const VECTORS: usize = 2;

/// One vector register and its arithmetic in the field.
///
/// # Safety
/// All functions need the instruction set that the implementor names. They must be inlined into a function that has it
/// enabled.
pub(super) trait Lanes: Copy {
    /// Bytes of a vector.
    const BYTES: usize;
    /// Whether two inputs at a time are faster: if there is an instruction that adds two products, and registers to hold
    /// both inputs.
    const PAIRS: bool = false;
    /// An input made ready to be multiplied by many factors.
    type Source: Copy;
    /// A constant made ready to multiply.
    type Factor: Copy;

    /// All bytes 0.
    ///
    /// # Safety
    /// See [`Lanes`].
    unsafe fn zero() -> Self;
    /// Reads a vector.
    ///
    /// # Safety
    /// See [`Lanes`]; `BYTES` bytes are readable.
    unsafe fn load(from: *const u8) -> Self;
    /// Writes a vector.
    ///
    /// # Safety
    /// See [`Lanes`]; `BYTES` bytes are writable.
    unsafe fn store(self, to: *mut u8);
    /// Prepares an input.
    ///
    /// # Safety
    /// See [`Lanes`].
    unsafe fn source(self) -> Self::Source;
    /// Prepares a constant.
    ///
    /// # Safety
    /// See [`Lanes`].
    unsafe fn factor(constant: u8) -> Self::Factor;
    /// `self + source·factor`.
    ///
    /// # Safety
    /// See [`Lanes`].
    unsafe fn add_product(self, source: Self::Source, factor: Self::Factor) -> Self;
    /// `self + Σ source·factor` over two products.
    ///
    /// # Safety
    /// See [`Lanes`].
    #[inline(always)]
    unsafe fn add_products(self, sources: [Self::Source; 2], factors: [Self::Factor; 2]) -> Self {
        // SAFETY: as the caller promises.
        unsafe { self.add_product(sources[0], factors[0]).add_product(sources[1], factors[1]) }
    }
}

/// A sum of products over whole shards. All shards have `len` bytes.
pub(super) struct Job<'a, 'b> {
    coefficients: &'a [u8],
    inputs: &'a [&'a [u8]],
    outputs: &'a mut [&'b mut [u8]],
    len: usize,
}

/// How much of a tile's width is computed.
#[derive(Clone, Copy)]
pub(super) enum Width {
    /// All vectors.
    Full,
    /// One vector.
    One,
    /// The first bytes of one vector; fewer than it has.
    Part(usize),
}

/// Computes the tile at byte `at` of as many outputs as its number says, from `first_row` on.
pub(super) type Tile = unsafe fn(job: &mut Job<'_, '_>, first_row: usize, at: usize, width: Width);

impl<'a, 'b> Job<'a, 'b> {
    /// # Panics
    /// If there are not `inputs`·`outputs` coefficients, or shards differ in length: the tiles rely on both.
    pub(super) fn new(coefficients: &'a [u8], inputs: &'a [&'a [u8]], outputs: &'a mut [&'b mut [u8]]) -> Self {
        let len = outputs.first().map_or(0, |shard| shard.len());
        assert_eq!(coefficients.len(), inputs.len() * outputs.len());
        assert!(inputs.iter().all(|shard| shard.len() == len));
        assert!(outputs.iter().all(|shard| shard.len() == len));
        Self { coefficients, inputs, outputs, len }
    }

    /// Computes everything, with `tiles[n - 1]` for n outputs at once.
    ///
    /// # Safety
    /// The tiles are those of [`tile`] for `L` with 1, 2, ... outputs, and this machine has their instruction set.
    pub(super) unsafe fn run<L: Lanes>(&mut self, tiles: &[Tile]) {
        let (len, wide) = (self.len, L::BYTES * VECTORS);
        let mut at = 0;
        while at < len {
            let rest = len - at;
            let (from, width) = if rest >= wide || (rest > L::BYTES && len >= wide) {
                (at.min(len.saturating_sub(wide)), Width::Full)
            } else if len >= L::BYTES {
                (at.min(len - L::BYTES), Width::One)
            } else {
                (0, Width::Part(len))
            };
            // SAFETY: as the caller promises; the width chosen ends at or before `len`.
            unsafe { self.strip(tiles, from, width) };
            at = from
                + match width {
                    Width::Full => wide,
                    Width::One => L::BYTES,
                    Width::Part(bytes) => bytes,
                };
        }
    }

    /// Computes the strip at byte `at` of all outputs, in groups of nearly equal size.
    unsafe fn strip(&mut self, tiles: &[Tile], at: usize, width: Width) {
        let rows = self.outputs.len();
        let mut groups = rows.div_ceil(tiles.len());
        let mut first = 0;
        while groups > 0 {
            let size = (rows - first).div_ceil(groups);
            // SAFETY: as the caller of `run` promises; `first + size` is at most `rows`.
            unsafe { tiles[size - 1](self, first, at, width) };
            first += size;
            groups -= 1;
        }
    }
}

/// The body of a [`Tile`] for `ROWS` outputs.
///
/// # Safety
/// Inlined into a function with the instruction set of `L`. There are `ROWS` outputs from `first_row` on, and the
/// width from `at` on ends within the shards.
#[inline(always)]
pub(super) unsafe fn tile<L: Lanes, const ROWS: usize>(
    job: &mut Job<'_, '_>,
    first_row: usize,
    at: usize,
    width: Width,
) {
    // SAFETY: the caller's promise is that of the functions called.
    unsafe {
        match width {
            Width::Full => sums::<L, Whole, ROWS, VECTORS>(job, first_row, at, L::BYTES),
            Width::One => sums::<L, Whole, ROWS, 1>(job, first_row, at, L::BYTES),
            Width::Part(bytes) => sums::<L, Partial, ROWS, 1>(job, first_row, at, bytes),
        }
    }
}

#[inline(always)]
unsafe fn sums<L: Lanes, A: Access, const ROWS: usize, const VECTORS: usize>(
    job: &mut Job<'_, '_>,
    first_row: usize,
    at: usize,
    bytes: usize,
) {
    let rows = job.outputs.len();
    let coefficients = job.coefficients.as_ptr();
    // SAFETY: the instruction set is the caller's promise. `Job::new` checked that all shards have `len` bytes and that
    // there is a coefficient for each input and output; the caller says that `ROWS` outputs and the width fit.
    unsafe {
        let load = |input: &[u8]| -> [L::Source; VECTORS] {
            std::array::from_fn(|v| A::load::<L>(input.as_ptr().add(at + v * L::BYTES), bytes).source())
        };
        let mut sums = [[L::zero(); VECTORS]; ROWS];
        let mut column = coefficients.add(first_row);
        let paired = if L::PAIRS { job.inputs.len() & !1 } else { 0 };
        let (pairs, single) = job.inputs.split_at(paired);
        for [first, second] in pairs.as_chunks::<2>().0 {
            let sources = [load(first), load(second)];
            for (row, sum) in sums.iter_mut().enumerate() {
                let factors = [L::factor(*column.add(row)), L::factor(*column.add(rows + row))];
                for (v, sum) in sum.iter_mut().enumerate() {
                    *sum = sum.add_products([sources[0][v], sources[1][v]], factors);
                }
            }
            column = column.add(2 * rows);
        }
        for input in single {
            let source = load(input);
            for (row, sum) in sums.iter_mut().enumerate() {
                let factor = L::factor(*column.add(row));
                for (v, sum) in sum.iter_mut().enumerate() {
                    *sum = sum.add_product(source[v], factor);
                }
            }
            column = column.add(rows);
        }
        for (row, sum) in sums.iter().enumerate() {
            let output = job.outputs.get_unchecked_mut(first_row + row).as_mut_ptr();
            for (v, &sum) in sum.iter().enumerate() {
                A::store(sum, output.add(at + v * L::BYTES), bytes);
            }
        }
    }
}

/// Reads and writes the first `bytes` of a vector.
trait Access {
    unsafe fn load<L: Lanes>(from: *const u8, bytes: usize) -> L;
    unsafe fn store<L: Lanes>(vector: L, to: *mut u8, bytes: usize);
}

/// Whole vectors.
struct Whole;

impl Access for Whole {
    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const u8, _bytes: usize) -> L {
        // SAFETY: as the caller promises.
        unsafe { L::load(from) }
    }

    #[inline(always)]
    unsafe fn store<L: Lanes>(vector: L, to: *mut u8, _bytes: usize) {
        // SAFETY: as the caller promises.
        unsafe { vector.store(to) }
    }
}

/// The start of a vector, by way of a copy: only for shards that are shorter than a vector.
struct Partial;

/// Bytes of the largest vector.
const LARGEST: usize = 64;

impl Access for Partial {
    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const u8, bytes: usize) -> L {
        const { assert!(L::BYTES <= LARGEST) };
        let mut copy = [0; LARGEST];
        // SAFETY: `bytes` bytes are readable, as the caller promises, and are fewer than a vector has.
        unsafe {
            std::ptr::copy_nonoverlapping(from, copy.as_mut_ptr(), bytes);
            L::load(copy.as_ptr())
        }
    }

    #[inline(always)]
    unsafe fn store<L: Lanes>(vector: L, to: *mut u8, bytes: usize) {
        const { assert!(L::BYTES <= LARGEST) };
        let mut copy = [0; LARGEST];
        // SAFETY: `bytes` bytes are writable, as the caller promises, and are fewer than a vector has.
        unsafe {
            vector.store(copy.as_mut_ptr());
            std::ptr::copy_nonoverlapping(copy.as_ptr(), to, bytes);
        }
    }
}

/// Writes the `multiply` of a kernel: for the [`Lanes`] type, the features it needs and how many outputs its registers
/// can hold. A macro because `#[target_feature]` takes literals only.
macro_rules! kernel {
    ($lanes:ty, $features:literal, rows: [$($rows:literal)+]) => {
        /// See [`Kernel::multiply`](super::Kernel::multiply).
        ///
        /// # Safety
        /// This machine has the features named in `target_feature`.
        pub(super) unsafe fn multiply(coefficients: &[u8], inputs: &[&[u8]], outputs: &mut [&mut [u8]]) {
            // SAFETY: the tiles are those of `$lanes` with ascending counts; the features are the caller's promise.
            unsafe { Job::new(coefficients, inputs, outputs).run::<$lanes>(&[$(tile::<$rows>),+]) }
        }

        #[target_feature(enable = $features)]
        unsafe fn tile<const ROWS: usize>(job: &mut Job<'_, '_>, first_row: usize, at: usize, width: Width) {
            // SAFETY: the promise is passed on, and the features of `$lanes` are enabled here.
            unsafe { fused::tile::<$lanes, ROWS>(job, first_row, at, width) }
        }
    };
}
pub(super) use kernel;
