//! Randomness as an argument: keys, nonces, salts and identifiers come through one injected source, so that a
//! test can replay every byte.

/// A source of random bytes. Outside tests it must be cryptographically secure.
pub trait Entropy {
    /// Fills `buffer` with random bytes.
    fn fill(&mut self, buffer: &mut [u8]);
}

impl<F: FnMut(&mut [u8])> Entropy for F {
    fn fill(&mut self, buffer: &mut [u8]) {
        self(buffer);
    }
}
