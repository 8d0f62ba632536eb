//! The random numbers of a simulation: SplitMix64, in integers only, so that every machine draws the same.

/// A stream of random numbers. Not for keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Random(u64);

impl Random {
    /// The stream of `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Another stream of the same seed: one for each thing that is drawn. `purpose` tells them apart.
    pub fn fork(&self, purpose: u64) -> Self {
        let mut parent = Self(self.0 ^ purpose.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        Self(parent.bits())
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, each as likely as the others; 0 if `limit` is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(limit)) >> 64) as u64
    }

    /// A number of `range`, 0..1, with 53 bits.
    pub fn fraction(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Whether something happens that has this chance.
    pub fn happens(&mut self, chance: Chance) -> bool {
        chance.0 == u64::MAX || self.bits() < chance.0
    }

    /// Fills `buffer`.
    pub fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let bytes = self.bits().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}

/// A probability as a threshold of 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chance(u64);

impl Chance {
    /// A probability; what is outside of 0..=1 becomes 0 or 1.
    pub fn new(probability: f64) -> Self {
        // Casts of floats saturate, and 1.0 becomes the largest number, which stands for certainty.
        Self((probability * (u64::MAX as f64)) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_come_true_as_often_as_they_say() {
        let mut random = Random::new(1);
        for probability in [0.0, 0.001, 0.3, 0.999, 1.0] {
            let chance = Chance::new(probability);
            let hits = (0..200_000).filter(|_| random.happens(chance)).count() as f64 / 200_000.0;
            assert!(
                (hits - probability).abs() <= 5.0 * (probability * (1.0 - probability) / 200_000.0).sqrt(),
                "{hits}"
            );
        }
        assert!(!random.happens(Chance::new(-1.0)) && random.happens(Chance::new(7.0)));
        assert!((0..1000).all(|_| random.below(3) < 3) && random.below(0) == 0);
    }

    #[test]
    fn forks_differ_from_each_other_and_repeat() {
        let random = Random::new(5);
        assert_ne!(random.fork(1).bits(), random.fork(2).bits());
        assert_eq!(random.fork(1), random.fork(1));
        let mut bytes = [0; 11];
        random.fork(3).fill(&mut bytes);
        assert!(bytes[8..].iter().any(|&byte| byte != 0));
    }
}
