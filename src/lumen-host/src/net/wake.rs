//! Waking a thread that waits for sockets.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};

/// Wakes whoever waits for it to become readable. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Waker(Arc<OwnedFd>);

impl Waker {
    /// One that nobody woke yet.
    ///
    /// # Errors
    /// If there are no descriptors left.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)))
    }

    /// Wakes; several times before anyone looks are one.
    pub fn wake(&self) {
        // A counter that is full wakes just as well.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    /// Whether it was woken since the last call.
    pub fn reset(&self) -> bool {
        rustix::io::read(&self.0, &mut [0; 8]).is_ok()
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, poll};

    use super::*;

    #[test]
    fn who_is_woken_twice_wakes_once() {
        let waker = Waker::new().unwrap();
        let readable = || poll(&mut [PollFd::new(&waker, PollFlags::IN)], Some(&Default::default())).unwrap() == 1;
        assert!(!readable() && !waker.reset());
        waker.clone().wake();
        waker.wake();
        assert!(readable() && waker.reset());
        assert!(!readable() && !waker.reset());
    }
}
