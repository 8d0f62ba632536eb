//! Sending a frame's datagrams: equal lengths, back to back in memory, one system call for up to sixteen of them
//! (UDP_SEGMENT), or one call each where the kernel or the path cannot segment.

use std::io::{self, IoSlice};
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

/// Datagrams in one call at most: 95 % of what batching saves, while pacing stays fine.
pub const BATCH: usize = 16;
/// Bytes in one call at most (the kernel's limit on a UDP payload).
const MAX_BYTES: usize = 65_507;
/// A full socket buffer is waited for this long, then the batch counts as dropped.
const PATIENCE: Duration = Duration::from_millis(20);

/// Sends batches over a connected socket.
#[derive(Debug)]
pub struct BatchSender {
    socket: UdpSocket,
    segmentation: Segmentation,
    /// System calls made.
    calls: u64,
    /// Datagrams that the kernel did not take.
    dropped: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Segmentation {
    Kernel,
    None,
}

impl BatchSender {
    /// Takes a connected socket.
    ///
    /// # Errors
    /// If the socket cannot be made non-blocking.
    pub fn new(socket: UdpSocket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self { socket, segmentation: Segmentation::Kernel, calls: 0, dropped: 0 })
    }

    /// Datagrams of `datagram_len` bytes that fit into one call.
    pub fn batch_len(datagram_len: usize) -> usize {
        BATCH.min(MAX_BYTES / datagram_len.max(1)).max(1)
    }

    /// Sends `bytes`, a row of datagrams of `datagram_len` bytes each (the last may be shorter), at most
    /// [`BatchSender::batch_len`] of them.
    ///
    /// A datagram that the network or the peer refuses is lost as any datagram may be; that is no error.
    ///
    /// # Errors
    /// When the socket itself is broken.
    pub fn send(&mut self, bytes: &[u8], datagram_len: usize) -> io::Result<()> {
        if bytes.len() > datagram_len && self.segmentation == Segmentation::Kernel {
            let segment = u16::try_from(datagram_len).map_err(|_| io::ErrorKind::InvalidInput)?;
            match self.send_one(bytes, &[ControlMessage::UdpGsoSegments(&segment)])? {
                Sent::Yes | Sent::Dropped => return Ok(()),
                Sent::CannotSegment => {
                    tracing::info!("the kernel cannot segment UDP for this path; sending packet by packet");
                    self.segmentation = Segmentation::None;
                }
            }
        }
        for datagram in bytes.chunks(datagram_len.max(1)) {
            self.send_one(datagram, &[])?;
        }
        Ok(())
    }

    /// The socket.
    pub fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// System calls made so far.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// Calls whose datagrams the kernel did not take.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn send_one(&mut self, bytes: &[u8], control: &[ControlMessage<'_>]) -> io::Result<Sent> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.calls += 1;
            match sendmsg::<()>(self.socket.as_raw_fd(), &[IoSlice::new(bytes)], control, MsgFlags::empty(), None) {
                Ok(_) => return Ok(Sent::Yes),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN | Errno::ENOBUFS) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        self.dropped += 1;
                        return Ok(Sent::Dropped);
                    }
                    let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLOUT)];
                    let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
                    let _ = nix::poll::poll(&mut fds, timeout);
                }
                Err(Errno::EIO | Errno::EINVAL | Errno::EMSGSIZE | Errno::EOPNOTSUPP | Errno::ENOPROTOOPT)
                    if !control.is_empty() =>
                {
                    return Ok(Sent::CannotSegment);
                }
                // The peer's port is closed, or the way to it is: it may come back, and the control channel
                // decides when it is gone.
                Err(
                    Errno::ECONNREFUSED
                    | Errno::EHOSTUNREACH
                    | Errno::ENETUNREACH
                    | Errno::ENETDOWN
                    | Errno::EHOSTDOWN
                    | Errno::EPERM
                    | Errno::EMSGSIZE
                    | Errno::EADDRNOTAVAIL,
                ) => {
                    self.dropped += 1;
                    return Ok(Sent::Dropped);
                }
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

enum Sent {
    Yes,
    Dropped,
    CannotSegment,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (BatchSender, UdpSocket) {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        receiver.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.connect(receiver.local_addr().unwrap()).unwrap();
        (BatchSender::new(sender).unwrap(), receiver)
    }

    fn receive(receiver: &UdpSocket) -> Vec<u8> {
        let mut buffer = [0; 2048];
        let n = receiver.recv(&mut buffer).unwrap();
        buffer[..n].to_vec()
    }

    #[test]
    fn a_batch_arrives_as_single_datagrams_in_order() {
        let (mut sender, receiver) = pair();
        let bytes: Vec<u8> = (0..10u8).flat_map(|i| [i; 1408]).collect();
        sender.send(&bytes, 1408).unwrap();
        for i in 0..10 {
            assert_eq!(receive(&receiver), vec![i; 1408]);
        }
        assert!(sender.calls() <= 2, "one call, or one refused and ten single ones: {}", sender.calls());
    }

    #[test]
    fn without_segmentation_every_datagram_still_arrives() {
        let (mut sender, receiver) = pair();
        sender.segmentation = Segmentation::None;
        sender.send(&[[1; 100], [2; 100]].concat(), 100).unwrap();
        assert_eq!(receive(&receiver), vec![1; 100]);
        assert_eq!(receive(&receiver), vec![2; 100]);
    }

    #[test]
    fn a_closed_port_is_loss_not_an_error() {
        let (mut sender, receiver) = pair();
        drop(receiver);
        for _ in 0..20 {
            sender.send(&[0; 64], 64).unwrap();
        }
    }
}
