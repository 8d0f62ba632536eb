//! Randomness from the operating system, for everything in `lumen-core` that takes it as an argument.

use lumen_core::entropy::Entropy;

/// The kernel's generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    /// # Panics
    /// If the kernel has no randomness to give, which Linux never says once it is up. To go on would mean keys that
    /// can be guessed.
    fn fill(&mut self, buffer: &mut [u8]) {
        openssl::rand::rand_bytes(buffer).expect("the operating system gives random bytes");
    }
}
