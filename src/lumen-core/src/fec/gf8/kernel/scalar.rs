//! The kernel for any machine, and the reference for all others: one table look-up per byte.

use crate::fec::gf8::field::PRODUCT;

/// See [`super::Kernel::multiply`].
pub(super) fn multiply(coefficients: &[u8], inputs: &[&[u8]], outputs: &mut [&mut [u8]]) {
    let rows = outputs.len();
    for (row, output) in outputs.iter_mut().enumerate() {
        output.fill(0);
        for (column, input) in inputs.iter().enumerate() {
            let products = &PRODUCT[usize::from(coefficients[column * rows + row])];
            for (sum, &byte) in output.iter_mut().zip(*input) {
                *sum ^= products[usize::from(byte)];
            }
        }
    }
}
