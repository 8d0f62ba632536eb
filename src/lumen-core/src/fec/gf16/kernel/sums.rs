//! What needs no multiplication: plain code, which each kernel compiles with its own vectors.

use crate::fec::gf16::Chunk;

/// `sum += other`
#[inline(always)]
pub(super) fn add(sum: &mut [Chunk], other: &[Chunk]) {
    for (sum, other) in sum.iter_mut().zip(other) {
        add_chunk(sum, other);
    }
}

/// The formal derivative. With these bases, coefficient `i` of the derivative is the sum of coefficient `i` and of all
/// that have one bit more than `i`. Those are behind `i`, so that going forth finds them unchanged, and each result is
/// written once.
#[inline(always)]
pub(super) fn derivative(data: &mut [Chunk], width: usize) {
    let count = data.len() / width;
    for index in 0..count {
        let (done, ahead) = data.split_at_mut((index + 1) * width);
        let mut sources = [0; usize::BITS as usize];
        let mut used = 0;
        let mut bit = 1;
        while bit < count {
            if index & bit == 0 {
                sources[used] = (bit - 1) * width;
                used += 1;
            }
            bit *= 2;
        }
        let sources = &sources[..used];
        for (at, chunk) in done[index * width..].iter_mut().enumerate() {
            let mut sum = *chunk;
            for source in sources {
                add_chunk(&mut sum, &ahead[source + at]);
            }
            *chunk = sum;
        }
    }
}

#[inline(always)]
fn add_chunk(sum: &mut Chunk, other: &Chunk) {
    for (sum, other) in sum.iter_mut().zip(other) {
        *sum ^= other;
    }
}
