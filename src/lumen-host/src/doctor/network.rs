//! Ports, addresses, discovery, the send path.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};

use lumen_core::gamestream::http::Ports;
use socket2::SockRef;

use super::Finding;
use crate::admin::{AdminClient, Status};
use crate::config::Config;
use crate::gamestream::listen;
use crate::net::gso::BatchSender;

/// A frame of 4K at a high rate is about this long in packets; the kernel must take it in one go.
const WANTED_BUFFER: usize = 2 * 1024 * 1024;

pub(super) fn ports(config: &Config) -> Finding {
    const CHECK: &str = "ports";
    let ports = match Ports::from_base(config.port.get()) {
        Ok(ports) => ports,
        Err(error) => return Finding::fail(CHECK, error.to_string(), "set another `port`"),
    };
    if AdminClient::new(config.admin_socket()).get::<Status>("/v1/status").is_ok_and(|status| status.port == ports.http)
    {
        return Finding::ok(CHECK, format!("in use by the running host (base {})", ports.http));
    }
    let tcp = [("HTTPS", ports.https), ("HTTP", ports.http), ("RTSP", ports.rtsp)];
    let quic = config.quic.then_some(("QUIC", ports.https));
    let media = [("video", ports.video), ("control", ports.control), ("audio", ports.audio)];
    let udp: Vec<_> = media.into_iter().chain(quic).collect();
    for address in &config.bind {
        let taken = tcp.iter().find_map(|(service, port)| listen::tcp(*address, *port, service).err());
        let taken =
            taken.or_else(|| udp.iter().find_map(|(service, port)| listen::udp(*address, *port, service).err()));
        if let Some(error) = taken {
            return Finding::fail(CHECK, error.to_string(), "free the port, or set another base with `port`");
        }
    }
    let list = |ports: &[(&str, u16)]| ports.iter().map(|(_, port)| port.to_string()).collect::<Vec<_>>().join(", ");
    Finding::ok(CHECK, format!("free: tcp {}; udp {}; a firewall must let them in", list(&tcp), list(&udp)))
}

pub(super) fn ipv6(config: &Config) -> Finding {
    const CHECK: &str = "IPv6";
    if config.bind.iter().all(IpAddr::is_ipv4) {
        return Finding::ok(CHECK, "not wanted by the configuration");
    }
    match UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)) {
        Ok(_) => Finding::ok(CHECK, "available"),
        Err(error) => Finding::warn(
            CHECK,
            format!("not available ({error}); the host serves IPv4 only"),
            "enable IPv6 in the kernel if clients need it",
        ),
    }
}

pub(super) fn addresses() -> Finding {
    const CHECK: &str = "addresses";
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let mut found: Vec<String> = interfaces
        .iter()
        .filter(|interface| !interface.is_loopback() && !interface.is_link_local())
        .map(|interface| format!("{} ({})", interface.ip(), interface.name))
        .collect();
    found.sort();
    if found.is_empty() {
        Finding::warn(CHECK, "this machine has no address that others reach", "connect it to a network")
    } else {
        Finding::ok(CHECK, found.join(", "))
    }
}

pub(super) fn discovery(config: &Config) -> Finding {
    const CHECK: &str = "discovery";
    if !config.mdns {
        return Finding::ok(CHECK, "switched off; clients need this host's address");
    }
    // Joining the group is what announcing needs first, and what containers most often refuse.
    let joined = UdpSocket::bind(SocketAddr::from(([0, 0, 0, 0], 0)))
        .and_then(|socket| socket.join_multicast_v4(&[224, 0, 0, 251].into(), &[0, 0, 0, 0].into()));
    match joined {
        Ok(()) => Finding::ok(CHECK, "mDNS can be sent and received"),
        Err(error) => Finding::warn(
            CHECK,
            format!("mDNS does not work: {error}"),
            "give the network interface a route for multicast, or add this host to clients by its address",
        ),
    }
}

/// UDP segmentation: one call for many packets. Tried with the sender that streams use.
pub(super) fn segmentation() -> Finding {
    const CHECK: &str = "UDP segmentation";
    match calls_for_four_packets() {
        Ok(1) => Finding::ok(CHECK, "the kernel takes batches of packets"),
        Ok(calls) => Finding::warn(
            CHECK,
            format!("the kernel does not take batches: four packets cost {calls} calls"),
            "use Linux 4.18 or newer; the host works without, and costs more time",
        ),
        Err(error) => {
            Finding::fail(CHECK, format!("no UDP packet can be sent: {error}"), "allow this program to use the network")
        }
    }
}

fn calls_for_four_packets() -> io::Result<u64> {
    const LENGTH: usize = 100;
    let receiver = UdpSocket::bind("127.0.0.1:0")?;
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(receiver.local_addr()?)?;
    let mut sender = BatchSender::new(socket)?;
    sender.send(&[0; 4 * LENGTH], LENGTH)?;
    Ok(sender.calls())
}

pub(super) fn buffers() -> Finding {
    const CHECK: &str = "socket buffers";
    let Ok(socket) = UdpSocket::bind("127.0.0.1:0") else {
        return Finding::fail(CHECK, "no UDP socket can be opened", "allow this program to use the network");
    };
    let socket = SockRef::from(&socket);
    // What was not granted shows in the size that is read back.
    let _ = socket.set_send_buffer_size(WANTED_BUFFER);
    let granted = socket.send_buffer_size().unwrap_or(0);
    let limit = fs::read_to_string("/proc/sys/net/core/wmem_max").unwrap_or_default();
    if granted >= WANTED_BUFFER {
        Finding::ok(CHECK, format!("{} KiB for sending", granted / 1024))
    } else {
        Finding::warn(
            CHECK,
            format!("{} KiB for sending (net.core.wmem_max is {})", granted / 1024, limit.trim()),
            format!("sysctl -w net.core.wmem_max={WANTED_BUFFER}, for rates above some 100 Mbit/s"),
        )
    }
}
