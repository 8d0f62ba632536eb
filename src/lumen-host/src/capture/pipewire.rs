//! Pictures from a node of PipeWire: how Mutter, KWin, gamescope and the portal give away what they show. Buffers in
//! shared memory are copied once into pictures of ours. The stream has a thread of its own and never waits for
//! whoever looks at the pictures; a stream that lives longer than one [`Capture`](super::Capture) serves many.
//!
//! Formats with a modifier (dmabuf) are not offered: there is no importer for them. One would add its formats in
//! `params` and its kind of buffer in `buffer`.

mod buffer;
mod find;
mod meta;
mod params;
mod picture;
mod thread;

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::frame::Mode;
use crate::mediaserver::Remote;

pub use find::find_node;

use super::CaptureError;
use super::mailbox::{Mailbox, Size};

/// How often a change of the format is looked for.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// How long a picture is waited for after something was drawn.
const NUDGE_INTERVAL: Duration = Duration::from_millis(200);

/// What a consumer asks of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// This size and rate exactly; where the consumer decides (virtual monitors), this makes the mode.
    Exactly(Mode),
    /// This size, and every picture of it, however soon it follows the one before. The mode stays what it is.
    Everything(Mode),
    /// Any size, and up to the rate of this mode.
    Anything(Mode),
}

impl Wanted {
    fn size(self) -> Option<Size> {
        match self {
            Self::Exactly(mode) | Self::Everything(mode) => Some(Size { width: mode.width, height: mode.height }),
            Self::Anything(_) => None,
        }
    }
}

/// How a stream reaches the PipeWire of its node.
#[derive(Debug)]
pub enum Origin {
    /// As everybody does.
    Server(Remote),
    /// By a connection that somebody opened for us, which shows nothing but what it was opened for.
    Connection(OwnedFd),
}

impl From<Remote> for Origin {
    fn from(remote: Remote) -> Self {
        Self::Server(remote)
    }
}

/// A running consumer of one node. Dropping it ends the stream. Its captures go on: another stream may follow into
/// the same mailbox, and whoever knows that none will ends that.
#[derive(Debug)]
pub struct NodeStream {
    mailbox: Arc<Mailbox>,
    ended: Arc<OnceLock<String>>,
    /// Counts formats that were agreed upon.
    formats: Arc<AtomicU64>,
    orders: thread::Orders,
    thread: Option<JoinHandle<()>>,
}

impl NodeStream {
    /// Begins to put pictures of node `node` of `origin` into `mailbox`. The first comes later: see
    /// [`NodeStream::wait`].
    ///
    /// # Errors
    /// If no thread can be started. All other failures end the stream.
    pub fn start(
        origin: impl Into<Origin>,
        node: u32,
        wanted: Wanted,
        mailbox: Arc<Mailbox>,
    ) -> Result<Self, CaptureError> {
        mailbox.clear();
        mailbox.want(wanted.size());
        let ended = Arc::new(OnceLock::new());
        let formats = Arc::default();
        let told = thread::Told { ended: Arc::clone(&ended), formats: Arc::clone(&formats) };
        let (orders, thread) = thread::start(origin.into(), node, wanted, Arc::clone(&mailbox), told)
            .map_err(|error| CaptureError::DisplayGone(format!("its capture cannot start: {error}")))?;
        Ok(Self { mailbox, ended, formats, orders, thread: Some(thread) })
    }

    /// Waits for a picture.
    ///
    /// # Errors
    /// If the stream ended, or none came within `patience`.
    pub fn wait(&self, patience: Duration) -> Result<(), String> {
        self.mailbox.wait(Instant::now() + patience, || self.ended())
    }

    /// Asks for something else from now on. Captures so far end; pictures of another size than the wanted one are not
    /// taken any more.
    pub fn renegotiate(&self, wanted: Wanted) {
        self.mailbox.restart();
        self.mailbox.want(wanted.size());
        self.orders.renegotiate(wanted);
    }

    /// Takes every picture from now on. A node may leave out pictures that come a little earlier than the interval of
    /// the rate that was agreed upon, which every other one does. `mode` is the one in force, and stays.
    ///
    /// What is drawn while this is agreed upon may not be sent: `nudge` has something drawn, and is called every now and
    /// then until a picture comes.
    ///
    /// # Errors
    /// If the stream ended, or no further picture came within `patience`.
    pub fn lift_limit(&self, mode: Mode, patience: Duration, mut nudge: impl FnMut()) -> Result<(), String> {
        let deadline = Instant::now() + patience;
        let agreed = self.formats.load(Ordering::Relaxed);
        self.orders.renegotiate(Wanted::Everything(mode));
        while self.formats.load(Ordering::Relaxed) == agreed && Instant::now() < deadline && self.ended().is_none() {
            std::thread::sleep(POLL_INTERVAL);
        }
        let before = self.mailbox.count();
        loop {
            nudge();
            let until = deadline.min(Instant::now() + NUDGE_INTERVAL);
            match self.mailbox.wait_for_more(before, until, || self.ended()) {
                Err(_) if Instant::now() < deadline && self.ended().is_none() => {}
                result => return result,
            }
        }
    }

    /// Waits until no picture has come for `quiet`, but not longer than `patience` and once more `quiet`.
    pub fn settle(&self, quiet: Duration, patience: Duration) {
        let deadline = Instant::now() + patience;
        loop {
            let before = self.mailbox.count();
            std::thread::sleep(quiet);
            if self.mailbox.count() == before || Instant::now() >= deadline {
                return;
            }
        }
    }

    /// Has the node take another mode and then `mode`, its own, again. Pictures of the other one are not taken; captures
    /// go on.
    ///
    /// # Errors
    /// If the stream ended, or either mode was not shown within `patience`.
    pub fn detour(&self, by: Mode, mode: Mode, patience: Duration) -> Result<(), String> {
        let deadline = Instant::now() + patience;
        self.orders.renegotiate(Wanted::Exactly(by));
        let size = Size { width: by.width, height: by.height };
        let shown = self.mailbox.wait_for_refused(size, deadline, || self.ended());
        if shown.is_ok() {
            self.mailbox.clear();
        }
        // Whether the other mode was shown or not, the node's own one must be.
        self.orders.renegotiate(Wanted::Exactly(mode));
        shown.and_then(|()| self.mailbox.wait(deadline, || self.ended()))
    }

    /// Why no picture comes any more, if so.
    pub fn ended(&self) -> Option<String> {
        self.ended.get().cloned()
    }
}

impl Drop for NodeStream {
    fn drop(&mut self) {
        self.orders.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
