//! The link between the daemon and a worker: typed messages and file descriptors over a Unix socket pair that
//! keeps message boundaries. Frames never cross it.

mod figures;
mod messages;

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::{Serialize, de::DeserializeOwned};

pub use figures::{BOUNDS_US, Figures, Histogram};
pub use messages::{
    AppSpec, Asked, AudioParams, EndReason, FromWorker, Lumen1Spec, Resumable, SessionId, SessionSpec, SessionStats,
    StreamKey, StreamSecret, StreamSpec, ToWorker, VideoParams,
};

/// Longest message. Every message is far shorter; the limit bounds what a broken peer can make us read.
const MAX_MESSAGE: usize = 64 << 10;
/// Descriptors in one message.
const MAX_FDS: usize = 4;

/// One end of a link.
#[derive(Debug)]
pub struct Link {
    fd: OwnedFd,
}

/// Why a message could not be sent or received.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The other process is gone.
    #[error("the other end of the link is gone")]
    Closed,
    /// The other process does not read.
    #[error("the other end of the link does not read")]
    Full,
    /// The other process sent what this version does not understand.
    #[error("unreadable message on the link: {0}")]
    Malformed(#[from] postcard::Error),
    /// What the kernel said.
    #[error("link: {0}")]
    Io(#[from] io::Error),
}

impl Link {
    /// Two connected ends, closed on exec.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (a, b) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self { fd: a }, Self { fd: b }))
    }

    /// Sends one message with descriptors. Never blocks.
    ///
    /// # Errors
    /// [`LinkError::Full`] if the other end does not read, [`LinkError::Closed`] if it is gone.
    pub fn send<T: Serialize>(&self, message: &T, fds: &[BorrowedFd<'_>]) -> Result<(), LinkError> {
        let bytes = postcard::to_stdvec(message)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(io::Error::from(io::ErrorKind::InvalidInput).into());
        }
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match rustix::io::retry_on_intr(|| sendmsg(&self.fd, &[IoSlice::new(&bytes)], &mut control, flags)) {
            Ok(_) => Ok(()),
            Err(rustix::io::Errno::AGAIN) => Err(LinkError::Full),
            Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET | rustix::io::Errno::NOTCONN) => {
                Err(LinkError::Closed)
            }
            Err(errno) => Err(io::Error::from(errno).into()),
        }
    }

    /// Waits for one message, at most `timeout` (for ever if `None`). `Ok(None)` is a time-out.
    ///
    /// # Errors
    /// [`LinkError::Closed`] once the other end is gone.
    pub fn receive<T: DeserializeOwned>(
        &self,
        timeout: Option<Duration>,
    ) -> Result<Option<(T, Vec<OwnedFd>)>, LinkError> {
        match timeout {
            Some(timeout) if !wait(&mut [PollFd::new(&self.fd, PollFlags::IN)], timeout)? => Ok(None),
            _ => self.read(),
        }
    }

    /// As [`receive`](Self::receive), but also returns, with nothing, when `other` becomes readable.
    ///
    /// # Errors
    /// [`LinkError::Closed`] once the other end is gone.
    pub fn receive_or<T: DeserializeOwned>(
        &self,
        other: BorrowedFd<'_>,
        timeout: Duration,
    ) -> Result<Option<(T, Vec<OwnedFd>)>, LinkError> {
        let mut fds = [PollFd::new(&self.fd, PollFlags::IN), PollFd::from_borrowed_fd(other, PollFlags::IN)];
        if !wait(&mut fds, timeout)? || fds[0].revents().is_empty() { Ok(None) } else { self.read() }
    }

    fn read<T: DeserializeOwned>(&self) -> Result<Option<(T, Vec<OwnedFd>)>, LinkError> {
        let mut bytes = vec![0; MAX_MESSAGE];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::io::retry_on_intr(|| {
            recvmsg(&self.fd, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)
        });
        let received = match received {
            Ok(received) => received,
            Err(rustix::io::Errno::CONNRESET) => return Err(LinkError::Closed),
            Err(errno) => return Err(io::Error::from(errno).into()),
        };
        if received.bytes == 0 {
            return Err(LinkError::Closed);
        }
        if received.flags.contains(ReturnFlags::TRUNC) {
            return Err(postcard::Error::DeserializeUnexpectedEnd.into());
        }
        let mut fds = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                fds.extend(rights);
            }
        }
        Ok(Some((postcard::from_bytes(&bytes[..received.bytes])?, fds)))
    }

    /// The descriptor, for handing it to a child process.
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }
}

/// Whether one of `fds` has something to say before the time is over.
fn wait(fds: &mut [PollFd<'_>], timeout: Duration) -> Result<bool, LinkError> {
    let limit = Timespec::try_from(timeout).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    match poll(fds, Some(&limit)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => Ok(false),
        Ok(_) => Ok(true),
        Err(errno) => Err(io::Error::from(errno).into()),
    }
}

impl From<OwnedFd> for Link {
    fn from(fd: OwnedFd) -> Self {
        Self { fd }
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn messages_keep_their_boundaries_and_carry_descriptors() {
        let (a, b) = Link::pair().unwrap();
        let (mut reader, writer) = std::io::pipe().unwrap();
        a.send(&"first", &[]).unwrap();
        a.send(&"second", &[writer.as_fd()]).unwrap();
        drop(writer);
        let (text, fds) = b.receive::<String>(None).unwrap().unwrap();
        assert_eq!((text.as_str(), fds.len()), ("first", 0));
        let (text, mut fds) = b.receive::<String>(None).unwrap().unwrap();
        assert_eq!((text.as_str(), fds.len()), ("second", 1));
        std::fs::File::from(fds.remove(0)).write_all(b"through").unwrap();
        let mut read = String::new();
        reader.read_to_string(&mut read).unwrap();
        assert_eq!(read, "through");
    }

    #[test]
    fn a_timeout_is_no_error_and_a_dead_peer_is_closed() {
        let (a, b) = Link::pair().unwrap();
        assert!(b.receive::<String>(Some(Duration::from_millis(1))).unwrap().is_none());
        drop(a);
        assert!(matches!(b.receive::<String>(Some(Duration::from_millis(50))), Err(LinkError::Closed)));
        assert!(matches!(b.send(&"x", &[]), Err(LinkError::Closed)));
    }

    #[test]
    fn a_peer_that_does_not_read_never_blocks_the_sender() {
        let (a, _b) = Link::pair().unwrap();
        let refused = (0..100_000).any(|_| matches!(a.send(&[0u64; 512].to_vec(), &[]), Err(LinkError::Full)));
        assert!(refused);
    }

    #[test]
    fn nonsense_is_an_error_not_a_panic() {
        let (a, b) = Link::pair().unwrap();
        a.send(&vec![0xffu8; 300], &[]).unwrap();
        assert!(matches!(b.receive::<ToWorker>(None), Err(LinkError::Malformed(_))));
    }
}
