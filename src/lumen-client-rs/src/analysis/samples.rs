//! Measured times and what is to be said of them.

use serde::{Deserialize, Serialize};

/// Measured times in microseconds; four bytes each.
#[derive(Debug, Clone, Default)]
pub struct Samples(Vec<i32>);

/// What is said of measured times, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Distribution {
    /// How many there are.
    pub count: usize,
    /// The smallest.
    pub min: f64,
    /// The median.
    pub p50: f64,
    /// 95 % are not above it.
    pub p95: f64,
    /// 99 % are not above it.
    pub p99: f64,
    /// The largest.
    pub max: f64,
    /// The mean.
    pub mean: f64,
}

impl Samples {
    /// Adds a time in microseconds; beyond half an hour it counts as that.
    pub fn add(&mut self, micros: i64) {
        self.0.push(i32::try_from(micros).unwrap_or(if micros < 0 { i32::MIN } else { i32::MAX }));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is to be said of them; none if there are none.
    pub fn distribution(&self) -> Option<Distribution> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let millis = |micros: i32| f64::from(micros) / 1000.0;
        // The smallest value that at least so many percent do not exceed.
        let percentile = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100).clamp(1, sorted.len());
            millis(sorted[rank - 1])
        };
        let (first, last) = (*sorted.first()?, *sorted.last()?);
        let sum: i64 = sorted.iter().map(|micros| i64::from(*micros)).sum();
        Some(Distribution {
            count: sorted.len(),
            min: millis(first),
            p50: percentile(50),
            p95: percentile(95),
            p99: percentile(99),
            max: millis(last),
            mean: sum as f64 / sorted.len() as f64 / 1000.0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let mut samples = Samples::default();
        assert!(samples.distribution().is_none());
        (1..=100).rev().for_each(|millis| samples.add(millis * 1000));
        let all = samples.distribution().unwrap();
        assert_eq!((all.count, all.min, all.p50, all.p95, all.p99, all.max), (100, 1.0, 50.0, 95.0, 99.0, 100.0));
        assert!((all.mean - 50.5).abs() < 1e-9);
    }

    #[test]
    fn one_sample_is_all_of_its_distribution() {
        let mut samples = Samples::default();
        samples.add(-1500);
        let all = samples.distribution().unwrap();
        assert_eq!((all.min, all.p99, all.max), (-1.5, -1.5, -1.5));
    }
}
