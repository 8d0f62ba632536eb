//! Making sockets: dual-stack where the machine has IPv6, with buffers and QoS marks, and errors that name the
//! port, its service and the remedy.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::BindError;

/// Kernel send buffer of a media socket: a whole large frame.
const MEDIA_SEND_BUFFER: usize = 1 << 20;
/// Kernel receive buffer of the sockets that clients' pings and control datagrams arrive at.
const RECEIVE_BUFFER: usize = 256 << 10;

/// What kind of traffic a socket carries; decides its QoS mark (protocol part 2, section 3.3, and part 3, 1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// Video: CS5.
    Video,
    /// Audio: CS6.
    Audio,
    /// Control: EF.
    Control,
}

impl Traffic {
    fn type_of_service(self) -> u32 {
        match self {
            Self::Video => 0xA0,
            Self::Audio => 0xC0,
            Self::Control => 0xB8,
        }
    }

    fn priority(self) -> u32 {
        match self {
            Self::Video => 5,
            Self::Audio | Self::Control => 6,
        }
    }
}

/// Whether other sockets may have the same port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Nobody else may: a second daemon is refused.
    Exclusive,
    /// [`connected`] sockets share it, also those that a worker still holds from before the daemon was restarted. A
    /// second daemon is not noticed here, but at the ports that are exclusive, which are opened first.
    WithConnected,
}

/// Binds a UDP port for datagrams from anybody at `address`; `::` takes IPv4 as well and becomes 0.0.0.0 on a machine
/// without IPv6.
///
/// # Errors
/// [`BindError`] with the remedy.
pub fn bind_udp(service: &'static str, address: IpAddr, port: u16, sharing: Sharing) -> Result<UdpSocket, BindError> {
    let open = |ip: IpAddr| {
        bound(SocketAddr::new(ip, port), sharing).map_err(|source| BindError::of(service, "udp", ip, port, source))
    };
    match open(address) {
        Ok(socket) => Ok(socket),
        Err(error @ BindError::InUse { .. }) => Err(error),
        Err(_) if address == IpAddr::V6(Ipv6Addr::UNSPECIFIED) => open(Ipv4Addr::UNSPECIFIED.into()),
        Err(error) => Err(error),
    }
}

/// A socket on the same local port as `listener`, connected to `remote`: from now on the kernel hands `remote`'s
/// datagrams to it, and a worker may own it.
///
/// # Errors
/// What the kernel said.
pub fn connected(listener: &UdpSocket, local: Option<IpAddr>, remote: SocketAddr) -> io::Result<UdpSocket> {
    let bound = listener.local_addr()?;
    // A socket of the listener's family: v4-mapped peers of a dual-stack listener stay v4-mapped.
    let remote = match (bound.ip(), remote.ip()) {
        (IpAddr::V6(_), IpAddr::V4(v4)) => SocketAddr::new(v4.to_ipv6_mapped().into(), remote.port()),
        _ => remote,
    };
    let ip = match (bound.ip(), local) {
        (ip, _) if !ip.is_unspecified() => ip,
        (IpAddr::V6(_), Some(IpAddr::V4(v4))) => v4.to_ipv6_mapped().into(),
        (ip, Some(local)) if ip.is_ipv6() == local.is_ipv6() => local,
        (ip, _) => ip,
    };
    let socket = self::bound(SocketAddr::new(ip, bound.port()), Sharing::WithConnected)?;
    socket.connect(remote)?;
    Ok(socket)
}

/// Marks what a socket sends, and sizes its buffer. Marks that the kernel refuses are left out: they only help.
pub fn mark(socket: &UdpSocket, traffic: Traffic, dscp: Dscp) {
    let socket = socket2::SockRef::from(socket);
    let _ = socket.set_send_buffer_size(MEDIA_SEND_BUFFER);
    if dscp == Dscp::On {
        let _ = socket.set_tos_v4(traffic.type_of_service());
        if socket.domain().is_ok_and(|domain| domain == Domain::IPV6) {
            let _ = socket.set_tclass_v6(traffic.type_of_service());
        }
    }
    // After the type of service, which resets it.
    let _ = socket.set_priority(traffic.priority());
}

/// Whether packets carry a DSCP mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Dscp {
    /// Marked.
    On,
    /// Best effort.
    Off,
}

/// The address without the IPv6 wrapping that a dual-stack socket puts around IPv4 peers.
pub fn unmapped(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn new_udp(target: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(target), Type::DGRAM, Some(Protocol::UDP))?;
    if target.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    Ok(socket)
}

fn bound(target: SocketAddr, sharing: Sharing) -> io::Result<UdpSocket> {
    let socket = new_udp(target)?;
    socket.set_reuse_port(sharing == Sharing::WithConnected)?;
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.bind(&SockAddr::from(target))?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn free_port() -> u16 {
        UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }

    #[test]
    fn a_taken_port_is_named_with_its_service_and_remedy() {
        let port = free_port();
        let holder = UdpSocket::bind(("0.0.0.0", port)).unwrap();
        for sharing in [Sharing::Exclusive, Sharing::WithConnected] {
            let text = bind_udp("video", Ipv6Addr::UNSPECIFIED.into(), port, sharing).unwrap_err().to_string();
            assert!(
                text.contains("video") && text.contains(&port.to_string()) && text.contains("another base port"),
                "{text}"
            );
        }
        drop(holder);
    }

    #[test]
    fn a_restarted_daemon_shares_the_port_with_workers_that_stream_on() {
        let everywhere = Ipv6Addr::UNSPECIFIED.into();
        let listener = bind_udp("video", everywhere, free_port(), Sharing::WithConnected).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        let worker = connected(&listener, None, client.local_addr().unwrap()).unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        bind_udp("video", everywhere, port, Sharing::WithConnected).unwrap();
        drop(worker);
    }

    #[test]
    fn a_connected_socket_takes_over_its_peers_datagrams() {
        let listener = bind_udp("video", Ipv6Addr::UNSPECIFIED.into(), free_port(), Sharing::WithConnected).unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        let media = connected(&listener, None, client.local_addr().unwrap()).unwrap();
        for socket in [&listener, &media] {
            socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        }
        client.send_to(b"mine", ("127.0.0.1", port)).unwrap();
        stranger.send_to(b"other", ("127.0.0.1", port)).unwrap();
        let mut buffer = [0; 16];
        let n = media.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..n], b"mine");
        let (n, from) = listener.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..n], b"other");
        assert_eq!(unmapped(from), stranger.local_addr().unwrap());
        media.send(b"picture").unwrap();
        let (n, from) = client.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..n], from.port()), (&b"picture"[..], port));
    }
}
