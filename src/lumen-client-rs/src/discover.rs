//! Hosts in the local network, found by mDNS.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mdns_sd::{ServiceDaemon, ServiceEvent};
use serde::Serialize;

use crate::error::ClientError;

const SERVICE: &str = "_nvstream._tcp.local.";

/// A host that announces itself.
#[derive(Debug, Clone, Serialize)]
pub struct DiscoveredHost {
    /// Name of the announcement.
    pub name: String,
    /// Its addresses with the port of plain HTTP, IPv4 first.
    pub addresses: Vec<SocketAddr>,
}

/// Listens for `duration` and returns the hosts that were heard, by name.
///
/// # Errors
/// [`ClientError::Local`] if mDNS cannot be used here.
pub fn discover(duration: Duration) -> Result<Vec<DiscoveredHost>, ClientError> {
    let wrong = |error: mdns_sd::Error| ClientError::local("cannot use mDNS", error);
    let daemon = ServiceDaemon::new().map_err(wrong)?;
    let events = daemon.browse(SERVICE).map_err(wrong)?;
    let deadline = Instant::now() + duration;
    let mut found: BTreeMap<String, DiscoveredHost> = BTreeMap::new();
    while let Ok(event) = events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        match event {
            ServiceEvent::ServiceResolved(service) => {
                let mut addresses: Vec<SocketAddr> = service
                    .addresses
                    .iter()
                    .map(|address| SocketAddr::new(address.to_ip_addr(), service.port))
                    .collect();
                addresses.sort_by_key(|address| (address.is_ipv6(), *address));
                let name = service.fullname.strip_suffix(SERVICE).unwrap_or(&service.fullname);
                let name = name.trim_end_matches('.').to_owned();
                found.insert(service.fullname.clone(), DiscoveredHost { name, addresses });
            }
            ServiceEvent::ServiceRemoved(_, fullname) => {
                found.remove(&fullname);
            }
            _ => {}
        }
    }
    let _ = daemon.shutdown();
    Ok(found.into_values().collect())
}
