//! How many connections there may be, in all and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// Connections over all clients.
const TOTAL: usize = 512;
/// Connections of one client. A busy client has two or three.
const PER_ADDRESS: usize = 32;

/// Counts connections.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    open: Mutex<HashMap<IpAddr, usize>>,
    closed: Notify,
}

/// One admitted connection; dropping it makes room.
pub(crate) struct Permit {
    limits: Arc<Limits>,
    key: IpAddr,
}

impl Limits {
    /// Room for one more connection from `address`.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Permit> {
        let key = network_of(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let total: usize = open.values().sum();
        let own = open.entry(key).or_default();
        if total >= TOTAL || *own >= PER_ADDRESS {
            return None;
        }
        *own += 1;
        Some(Permit { limits: Arc::clone(self), key })
    }

    /// Waits until no connection is left, at most `limit`.
    pub(super) async fn drained(&self, limit: Duration) {
        let empty = async {
            loop {
                let closed = self.closed.notified();
                if self.open.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
                    return;
                }
                closed.await;
            }
        };
        // Past the limit, the process ends anyway.
        let _ = tokio::time::timeout(limit, empty).await;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.limits.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&self.key) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.key);
            }
        }
        drop(open);
        self.limits.closed.notify_waiters();
    }
}

/// Whom an address belongs to: itself for IPv4; the /64 for IPv6, since a host there has as many as it likes.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_all_connections() {
        let limits = Arc::new(Limits::default());
        let greedy: IpAddr = "192.0.2.1".parse().expect("an address");
        let permits: Vec<_> = std::iter::from_fn(|| limits.admit(greedy)).collect();
        assert_eq!(permits.len(), PER_ADDRESS);
        assert!(limits.admit("192.0.2.2".parse().expect("an address")).is_some());
        drop(permits);
        assert!(limits.admit(greedy).is_some());
        assert!(limits.open.lock().expect("unpoisoned").is_empty());
    }

    #[test]
    fn a_network_counts_as_one_in_ipv6() {
        let of = |text: &str| network_of(text.parse().expect("an address"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}
