//! How sure a share is that was counted.

use serde::Serialize;

/// `count` of `trials`, with the interval that holds the true share in 95 of 100 cases.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Share {
    /// Cases counted.
    pub count: u64,
    /// Of so many.
    pub trials: u64,
    /// Count by trials.
    pub share: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Share {
    /// Wilson's score interval, which holds for small counts too: for none of n it says 0 to 3.84 / n.
    pub fn of(count: u64, trials: u64) -> Self {
        const Z: f64 = 1.959_964;
        let (n, x) = (trials.max(1) as f64, count as f64);
        let share = x / n;
        let middle = (share + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
        let half = Z / (1.0 + Z * Z / n) * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
        let low = if count == 0 { 0.0 } else { (middle - half).max(0.0) };
        let high = if count == trials { 1.0 } else { (middle + half).min(1.0) };
        Self { count, trials, share, low, high }
    }

    /// As "1.2e-3 (1.0e-3 … 1.5e-3)", or "< 4e-5" if nothing was counted.
    pub fn text(self) -> String {
        if self.count == 0 {
            format!("< {}", short(self.high))
        } else {
            format!("{} ({} … {})", short(self.share), short(self.low), short(self.high))
        }
    }
}

/// Two digits, with an exponent where that is shorter.
pub fn short(value: f64) -> String {
    if value == 0.0 {
        "0".into()
    } else if value.abs() < 1e-30 {
        "< 1e-30".into()
    } else if value.abs() >= 0.01 {
        format!("{value:.2}")
    } else {
        format!("{value:.1e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_wilsons() {
        let share = Share::of(10, 100);
        assert!((share.low - 0.0552).abs() < 1e-3 && (share.high - 0.1744).abs() < 1e-3, "{share:?}");
        let none = Share::of(0, 1000);
        assert!(none.low == 0.0 && (none.high - 3.84 / 1000.0).abs() < 1e-4, "{none:?}");
        assert_eq!(Share::of(5, 5).high, 1.0);
        assert_eq!(Share::of(0, 1000).text(), "< 3.8e-3");
    }
}
