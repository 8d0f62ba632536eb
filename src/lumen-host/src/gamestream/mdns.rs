//! Discovery: this host as `_nvstream._tcp` (protocol part 1, section 1.1).
//!
//! A host that cannot announce itself still serves: clients can be given its address by hand.

use std::net::IpAddr;
use std::time::Duration;

use mdns_sd::{DaemonStatus, IfKind, ServiceDaemon, ServiceInfo};

use crate::config::HostName;

const SERVICE: &str = "_nvstream._tcp.local.";
/// A DNS label has at most 63 bytes.
const MAX_LABEL: usize = 63;

/// Why the host cannot announce itself.
#[derive(Debug, thiserror::Error)]
pub enum MdnsError {
    /// The responder did not start.
    #[error("{0}")]
    Responder(#[from] mdns_sd::Error),
    /// Only this machine reaches the host.
    #[error("the host listens on loopback addresses only")]
    LoopbackOnly,
}

/// An announcement. Dropping it takes it back.
pub struct Announcement {
    daemon: ServiceDaemon,
    fullname: String,
}

impl Announcement {
    /// Announces `name` at its HTTP port, with the addresses that `bind` makes reachable: those of all interfaces, also
    /// of later ones, where it is unspecified. An address that nobody listens on would have clients show the host as
    /// there and gone in turn.
    ///
    /// # Errors
    /// [`MdnsError`], which is worth a warning and no more.
    pub fn start(name: &HostName, host_id: &str, http_port: u16, bind: &[IpAddr]) -> Result<Self, MdnsError> {
        let instance = instance_name(name.as_str());
        let host = format!("{}.local.", host_label(host_id));
        let no_text: &[(&str, &str)] = &[];
        let everywhere = bind.iter().any(IpAddr::is_unspecified);
        let addresses: Vec<IpAddr> = bind.iter().copied().filter(is_announced).collect();
        if !everywhere && addresses.is_empty() {
            return Err(MdnsError::LoopbackOnly);
        }
        let daemon = ServiceDaemon::new()?;
        if bind.iter().all(IpAddr::is_ipv4) {
            daemon.disable_interface(IfKind::IPv6)?;
        }
        let service = ServiceInfo::new(SERVICE, &instance, &host, &addresses[..], http_port, no_text)?;
        let service = if everywhere { service.enable_addr_auto() } else { service };
        let fullname = service.get_fullname().to_owned();
        daemon.register(service)?;
        Ok(Self { daemon, fullname })
    }

    /// Name under which it is found.
    pub fn fullname(&self) -> &str {
        &self.fullname
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        // A goodbye keeps clients from showing a host that is gone. If it cannot be sent, they find out by themselves.
        if let Ok(done) = self.daemon.unregister(&self.fullname) {
            let _ = done.recv_timeout(Duration::from_millis(300));
        }
        if let Ok(done) = self.daemon.shutdown() {
            while !matches!(done.recv_timeout(Duration::from_millis(300)), Ok(DaemonStatus::Shutdown) | Err(_)) {}
        }
    }
}

fn is_announced(address: &IpAddr) -> bool {
    !address.is_unspecified() && !address.is_loopback()
}

/// Spaces become dashes; the name ends at the first character that is neither letter, digit nor dash.
fn instance_name(name: &str) -> String {
    let label: String = name
        .chars()
        .map(|c| if c == ' ' { '-' } else { c })
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '-')
        .take(MAX_LABEL)
        .collect();
    if label.is_empty() { "lumen".to_owned() } else { label }
}

/// A host label of our own: the machine's name may belong to another responder, and two of them would fight over it.
fn host_label(host_id: &str) -> String {
    let digits: String = host_id.chars().filter(char::is_ascii_hexdigit).take(12).collect();
    format!("lumen-{digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_only_this_machine_reaches_is_not_announced() {
        let name = HostName::try_from("den".to_owned()).expect("a name");
        let bind = ["127.0.0.1".parse().expect("an address")];
        assert!(matches!(Announcement::start(&name, "id", 47989, &bind), Err(MdnsError::LoopbackOnly)));
    }

    #[test]
    fn names_become_labels() {
        assert_eq!(instance_name("den pc"), "den-pc");
        assert_eq!(instance_name("den_pc"), "den");
        assert_eq!(instance_name("über"), "lumen");
        assert_eq!(instance_name(&"a".repeat(80)).len(), MAX_LABEL);
        assert_eq!(host_label("8f0c6f6e-7c1b-4a57-9c39-1f3a2f0f5b11"), "lumen-8f0c6f6e7c1b");
    }
}
