//! How often one address may begin to pair.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Attempts that may come at once.
const BURST: u32 = 20;
/// Time after which one more is allowed.
const REFILL: Duration = Duration::from_secs(6);
/// Addresses that are remembered. Beyond, those that have been quiet longest are forgotten.
const MAX_ADDRESSES: usize = 1024;

/// Counts the beginnings of each address.
#[derive(Debug, Default)]
pub(super) struct Limiter {
    /// When the address will have its whole burst again.
    full_at: HashMap<IpAddr, Instant>,
}

impl Limiter {
    /// Whether `address` may begin once more at `now`; if so, it has.
    pub(super) fn allow(&mut self, address: IpAddr, now: Instant) -> bool {
        let full_at = self.full_at.get(&address).copied().map_or(now, |at| at.max(now));
        let after = full_at + REFILL;
        if after.saturating_duration_since(now) > REFILL * BURST {
            return false;
        }
        if self.full_at.len() >= MAX_ADDRESSES {
            self.full_at.retain(|_, at| *at > now);
            if self.full_at.len() >= MAX_ADDRESSES {
                let quietest = self.full_at.iter().min_by_key(|(_, at)| **at).map(|(address, _)| *address);
                quietest.map(|address| self.full_at.remove(&address));
            }
        }
        self.full_at.insert(address, after);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_a_trickle() {
        let (mut limiter, now) = (Limiter::default(), Instant::now());
        let (a, b) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        assert_eq!((0..100).filter(|_| limiter.allow(a, now)).count(), BURST as usize);
        assert!(limiter.allow(b, now), "others are not disturbed");
        assert!(!limiter.allow(a, now + REFILL / 2));
        assert!(limiter.allow(a, now + REFILL));
        assert!(!limiter.allow(a, now + REFILL));
    }

    #[test]
    fn a_flood_of_addresses_does_not_grow_for_ever() {
        let (mut limiter, now) = (Limiter::default(), Instant::now());
        for number in 0..5000u32 {
            limiter.allow(IpAddr::from(number.to_be_bytes()), now);
        }
        assert!(limiter.full_at.len() <= MAX_ADDRESSES);
    }
}
