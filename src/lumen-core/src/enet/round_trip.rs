//! Round trip time and retransmission timeout, with the integer arithmetic of the fork that Moonlight uses
//! (protocol part 3, section 1.3). All values are whole milliseconds.

/// Smoothed round trip time of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RoundTrip {
    estimate: Option<(u32, u32)>,
}

/// Round trip time before the first sample, milliseconds.
const INITIAL: u32 = 500;

impl RoundTrip {
    /// Without samples: 500 ms, no variance.
    pub const fn new() -> Self {
        Self { estimate: None }
    }

    /// As if samples so far had led to `time` and `variance`, in milliseconds.
    pub const fn with_estimate(time: u32, variance: u32) -> Self {
        Self { estimate: Some((time, variance)) }
    }

    /// Smoothed round trip time, milliseconds.
    pub fn time(self) -> u32 {
        self.estimate.map_or(INITIAL, |(time, _)| time)
    }

    /// Smoothed deviation, milliseconds.
    pub fn variance(self) -> u32 {
        self.estimate.map_or(0, |(_, variance)| variance)
    }

    /// Takes a measured round trip time in milliseconds; 0 counts as 1.
    pub fn sample(&mut self, measured: u32) {
        let measured = measured.max(1);
        self.estimate = Some(match self.estimate {
            None => (measured, measured.div_ceil(2)),
            Some((time, variance)) => {
                let difference = measured.abs_diff(time);
                let variance = (variance - variance.div_ceil(4)).saturating_add(difference.div_ceil(4));
                let step = difference.div_ceil(8);
                let time = if measured >= time { time.saturating_add(step) } else { time - step };
                (time, variance)
            }
        });
    }

    /// How long to wait for an acknowledgement after `expiries` expired waits for the same command, in
    /// milliseconds. Grows linearly, by at most `limit`; `maximum` is the longest silence of a living peer.
    pub fn timeout(self, expiries: u32, limit: u32, maximum: u32) -> u32 {
        let slack = self.variance().max(1).saturating_mul(4).min(self.time());
        let base = self.time().saturating_add(slack).min(maximum / 5).max(1);
        base.saturating_mul(expiries.min(limit).max(1))
    }
}

impl Default for RoundTrip {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extreme_samples_do_not_overflow() {
        let mut estimate = RoundTrip::new();
        for sample in [0, u32::MAX, 1, u32::MAX, 0, 0] {
            estimate.sample(sample);
            assert!(estimate.timeout(u32::MAX, u32::MAX, u32::MAX) >= 1);
        }
        assert!(RoundTrip::new().timeout(1, 0, 0) >= 1);
    }
}
