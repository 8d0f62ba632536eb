//! Network interfaces: which hardware address belongs to an address of this machine.

use std::net::IpAddr;

use lumen_core::gamestream::http::MacAddress;

/// The hardware address of the interface that has `local`, for wake-on-LAN. None for interfaces without one.
pub(super) fn mac_of(local: IpAddr) -> Option<MacAddress> {
    let local = local.to_canonical();
    let interface = if_addrs::get_if_addrs().ok()?.into_iter().find(|interface| interface.ip() == local)?;
    let text = std::fs::read_to_string(format!("/sys/class/net/{}/address", interface.name)).ok()?;
    text.trim().parse().ok().filter(|mac| *mac != MacAddress([0; 6]))
}
