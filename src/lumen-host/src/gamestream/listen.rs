//! Listening sockets: IPv4 and IPv6 by one rule, and an error that says which port of which service is taken.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use crate::net::BindError;

/// Connections that the kernel keeps for us to accept.
const BACKLOG: i32 = 128;

/// Opens a listening TCP socket, not blocking. `::` takes IPv4 as well; without IPv6 it becomes `0.0.0.0`.
///
/// # Errors
/// [`BindError`] names the service and the port.
pub fn tcp(address: IpAddr, port: u16, service: &'static str) -> Result<TcpListener, BindError> {
    let open = |address| {
        let socket = bound(address, port, Type::STREAM, Protocol::TCP)?;
        socket.listen(BACKLOG)?;
        Ok(TcpListener::from(socket))
    };
    with_fallback(address, open).map_err(|(address, source)| BindError::of(service, "tcp", address, port, source))
}

/// Opens a UDP socket, not blocking, by the same rule.
///
/// # Errors
/// [`BindError`] names the service and the port.
pub fn udp(address: IpAddr, port: u16, service: &'static str) -> Result<UdpSocket, BindError> {
    with_fallback(address, |address| Ok(UdpSocket::from(bound(address, port, Type::DGRAM, Protocol::UDP)?)))
        .map_err(|(address, source)| BindError::of(service, "udp", address, port, source))
}

fn with_fallback<T>(address: IpAddr, open: impl Fn(IpAddr) -> io::Result<T>) -> Result<T, (IpAddr, io::Error)> {
    match open(address) {
        Err(error) if is_any_v6(address) && lacks_v6(&error) => {
            let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
            open(any).map_err(|error| (any, error))
        }
        result => result.map_err(|error| (address, error)),
    }
}

fn bound(address: IpAddr, port: u16, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let at = SocketAddr::new(address, port);
    let socket = Socket::new(Domain::for_address(at), kind.nonblocking().cloexec(), Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(!is_any_v6(address))?;
    }
    if kind == Type::STREAM {
        // Connections of the last run that linger in TIME_WAIT must not keep the port.
        socket.set_reuse_address(true)?;
    }
    socket.bind(&at.into())?;
    Ok(socket)
}

fn is_any_v6(address: IpAddr) -> bool {
    address.is_ipv6() && address.is_unspecified()
}

fn lacks_v6(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL | libc::EPROTONOSUPPORT))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv6Addr, TcpStream};

    use super::*;

    #[test]
    fn the_unspecified_address_takes_ipv4() {
        let listener = tcp(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0, "test").expect("opens");
        let port = listener.local_addr().expect("bound").port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("IPv4 arrives");
    }

    #[test]
    fn a_taken_port_is_named_with_its_service() {
        let holder = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = holder.local_addr().expect("bound").port();
        let error = tcp(IpAddr::V4(Ipv4Addr::LOCALHOST), port, "HTTP").expect_err("taken").to_string();
        assert!(error.starts_with(&format!("cannot open HTTP port {port}/tcp on 127.0.0.1: it is in use")), "{error}");
        let error = udp(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 77)), port, "video").expect_err("not here").to_string();
        assert!(error.contains("not an address of this machine"), "{error}");
    }
}
