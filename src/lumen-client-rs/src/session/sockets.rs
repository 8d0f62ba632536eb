//! UDP sockets of a client, and the pings by which the host learns where they are.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use lumen_core::gamestream::sdp::{Ping, PingPayload};
use lumen_core::time::Timestamp;
use socket2::{Domain, Protocol, Socket, Type};

/// Room for a burst of frames, in bytes; the system may grant less.
const RECEIVE_BUFFER: usize = 8 << 20;
/// How often a ping is due.
const PING_INTERVAL: Duration = Duration::from_millis(500);

/// A socket that hears only `remote`.
pub fn connected(remote: SocketAddr) -> io::Result<UdpSocket> {
    let (domain, any): (_, SocketAddr) = match remote {
        SocketAddr::V4(_) => (Domain::IPV4, (Ipv4Addr::UNSPECIFIED, 0).into()),
        SocketAddr::V6(_) => (Domain::IPV6, (Ipv6Addr::UNSPECIFIED, 0).into()),
    };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    // A small buffer costs frames, not the stream: what the system grants is good enough.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.bind(&any.into())?;
    socket.connect(&remote.into())?;
    Ok(socket.into())
}

/// The same host at another port.
pub fn at_port(host: SocketAddr, port: u16) -> SocketAddr {
    let mut address = host;
    address.set_port(port);
    address
}

/// Receives one datagram; none when the time is over or there was nothing to receive.
pub fn receive(socket: &UdpSocket, buffer: &mut [u8], timeout: Duration) -> io::Result<Option<usize>> {
    // Zero would mean forever.
    socket.set_read_timeout(Some(timeout.max(Duration::from_micros(100))))?;
    match socket.recv(buffer) {
        Ok(length) => Ok(Some(length)),
        // Refused: the host's port was closed when a ping arrived there. It may open yet.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::WouldBlock
                    | io::ErrorKind::TimedOut
                    | io::ErrorKind::Interrupted
                    | io::ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The pings of one stream.
#[derive(Debug)]
pub struct Pings {
    payload: Option<PingPayload>,
    counter: u32,
    due: Timestamp,
}

impl Pings {
    pub const fn new(payload: Option<PingPayload>) -> Self {
        Self { payload, counter: 0, due: Timestamp::ZERO }
    }

    /// Sends a ping if one is due; returns the time until the next.
    pub fn send_if_due(&mut self, socket: &UdpSocket, now: Timestamp) -> Duration {
        if now >= self.due {
            self.counter = self.counter.wrapping_add(1);
            // A ping that could not be sent is repeated anyway.
            let _ = socket.send(&Ping::new(self.payload, self.counter).to_bytes());
            self.due = now + PING_INTERVAL;
        }
        self.due.saturating_since(now)
    }
}
