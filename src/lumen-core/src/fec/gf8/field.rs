//! The field GF(2^8) with polynomial `0x11D` and generator 2 (protocol part 2, section 2.1), and the tables that the
//! kernels multiply with. All tables are computed at compile time.

/// x^8 + x^4 + x^3 + x^2 + 1 without its highest bit.
const REDUCTION: u8 = 0x1d;

/// `EXP[n]` = 2^n, for exponents up to the sum of four logarithms.
static EXP: [u8; 1024] = {
    let mut table = [0; 1024];
    let mut value = 1u8;
    let mut n = 0;
    while n < 1024 {
        table[n] = value;
        value = double(value);
        n += 1;
    }
    table
};

/// `LOG[2^n]` = n for n in 0..255. `LOG[0]` is 0 and has no meaning.
static LOG: [u8; 256] = {
    let mut table = [0; 256];
    let mut n = 0;
    while n < 255 {
        table[EXP[n] as usize] = n as u8;
        n += 1;
    }
    table
};

/// `INVERSE[a]` = 1/a. `INVERSE[0]` is 0 and has no meaning.
pub(super) static INVERSE: [u8; 256] = {
    let mut table = [0; 256];
    let mut a = 1;
    while a < 256 {
        table[a] = EXP[255 - LOG[a] as usize];
        a += 1;
    }
    table
};

/// `PRODUCT[a][b]` = a·b.
pub(super) static PRODUCT: [[u8; 256]; 256] = {
    let mut table = [[0; 256]; 256];
    let mut a = 0;
    while a < 256 {
        let mut b = 0;
        while b < 256 {
            table[a][b] = product(a as u8, b as u8);
            b += 1;
        }
        a += 1;
    }
    table
};

/// For each `c` the products of `c` with every low nibble (16 bytes), then with every high nibble (16 bytes): what
/// byte shuffles multiply with.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) static NIBBLES: [Nibbles; 256] = {
    let mut table = [Nibbles([0; 32]); 256];
    let mut c = 0;
    while c < 256 {
        let mut n = 0;
        while n < 16 {
            table[c].0[n] = product(c as u8, n as u8);
            table[c].0[16 + n] = product(c as u8, (n as u8) << 4);
            n += 1;
        }
        c += 1;
    }
    table
};

/// One entry of [`NIBBLES`], aligned so that no entry crosses a cache line.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[derive(Clone, Copy)]
#[repr(align(32))]
pub(super) struct Nibbles(pub(super) [u8; 32]);

/// For each `c` the 8×8 bit matrix of "times c" in the layout of `gf2p8affineqb`: the row of result bit `i` is byte
/// `7 - i`, and bit `j` of a row selects bit `j` of the source.
#[cfg(target_arch = "x86_64")]
pub(super) static AFFINE: [u64; 256] = {
    let mut table = [0; 256];
    let mut c = 0;
    while c < 256 {
        let mut column = c as u8;
        let mut j = 0;
        while j < 8 {
            let mut i = 0;
            while i < 8 {
                if column >> i & 1 == 1 {
                    table[c] |= 1 << (8 * (7 - i) + j);
                }
                i += 1;
            }
            column = double(column);
            j += 1;
        }
        c += 1;
    }
    table
};

/// The product of two field elements.
pub fn multiply(a: u8, b: u8) -> u8 {
    PRODUCT[usize::from(a)][usize::from(b)]
}

/// The multiplicative inverse; none for 0.
pub fn inverse(a: u8) -> Option<u8> {
    (a != 0).then(|| INVERSE[usize::from(a)])
}

const fn double(a: u8) -> u8 {
    (a << 1) ^ if a & 0x80 == 0 { 0 } else { REDUCTION }
}

const fn product(a: u8, b: u8) -> u8 {
    if a == 0 || b == 0 { 0 } else { EXP[LOG[a as usize] as usize + LOG[b as usize] as usize] }
}

/// A product of nonzero field elements under construction, kept as the sum of their logarithms: one table look-up and
/// one addition per factor.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LogProduct(u32);

impl LogProduct {
    /// Multiplies by `factor`, which is not 0.
    #[inline]
    pub(super) fn times(&mut self, factor: u8) {
        debug_assert_ne!(factor, 0);
        self.0 += u32::from(LOG[usize::from(factor)]);
    }

    /// Divides by `divisor`, which is not 0.
    #[inline]
    pub(super) fn over(&mut self, divisor: u8) {
        debug_assert_ne!(divisor, 0);
        self.0 += 255 - u32::from(LOG[usize::from(divisor)]);
    }

    /// The product's logarithm.
    #[inline]
    pub(super) fn logarithm(self) -> Logarithm {
        Logarithm((self.0 % 255) as u8)
    }
}

/// The logarithm of a nonzero field element, 0..255.
#[derive(Debug, Clone, Copy)]
pub(super) struct Logarithm(u8);

impl Logarithm {
    /// Of the element 1.
    pub(super) const ONE: Self = Self(0);

    /// The field element.
    pub(super) fn value(self) -> u8 {
        EXP[usize::from(self.0)]
    }
}

/// `a·b / divisor`; `divisor` is not 0.
#[inline]
pub(super) fn quotient(a: Logarithm, b: Logarithm, divisor: u8) -> u8 {
    debug_assert_ne!(divisor, 0);
    EXP[usize::from(a.0) + usize::from(b.0) + 255 - usize::from(LOG[usize::from(divisor)])]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shift-and-add multiplication: shares nothing with the tables but the polynomial.
    fn slow_product(a: u8, b: u8) -> u8 {
        let (mut a, mut result) = (u16::from(a), 0u16);
        for bit in 0..8 {
            if b >> bit & 1 == 1 {
                result ^= a;
            }
            a <<= 1;
            if a & 0x100 != 0 {
                a ^= 0x11d;
            }
        }
        result as u8
    }

    #[test]
    fn every_product_equals_shift_and_add() {
        for a in 0..=255 {
            for b in 0..=255 {
                assert_eq!(multiply(a, b), slow_product(a, b), "{a} * {b}");
            }
        }
    }

    #[test]
    fn every_element_but_zero_has_an_inverse() {
        assert_eq!(inverse(0), None);
        for a in 1..=255 {
            assert_eq!(inverse(a).map(|i| multiply(a, i)), Some(1));
        }
    }

    #[test]
    fn log_products_multiply_and_divide() {
        let mut product = LogProduct::default();
        product.times(7);
        product.times(200);
        product.over(7);
        product.over(3);
        assert_eq!(multiply(product.logarithm().value(), 3), 200);
        assert_eq!(quotient(product.logarithm(), Logarithm(LOG[3]), 200), 1);
    }
}
