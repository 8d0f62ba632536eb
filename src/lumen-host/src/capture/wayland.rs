//! Pictures of one output of a Wayland compositor, through shared memory: by `ext-image-copy-capture` where it is
//! offered, else by `wlr-screencopy`, which everything on wlroots has.
//!
//! A thread asks for the next picture as soon as the last one came, though never faster than the mode's rate, and keeps
//! the newest for whoever calls [`Capture::next`]. The compositor answers once something changed, so a still screen
//! costs nothing; the first picture comes at once all the same. The compositor never waits for a reader: it copies
//! into one buffer while the other is read. The cursor is part of the picture.
//!
//! A compositor that hangs yields [`Captured::Still`]; one that is gone, an output that was removed, and one whose size
//! changed, end the capture.

mod buffers;
mod copier;
mod image_copy;
mod method;
mod pace;
mod screencopy;

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use rustix::event::{EventfdFlags, eventfd};

use super::mailbox::{Mailbox, MailboxCapture};
use super::{Capture, CaptureError, Captured};
use crate::frame::Mode;
use crate::wayland::LinkError;

use self::copier::Copier;

/// See the module. Dropping it ends its thread.
#[derive(Debug)]
pub struct WaylandCapture {
    pictures: MailboxCapture,
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl WaylandCapture {
    /// Begins to take pictures of the output named `output` of the compositor behind `socket`, which shows `mode`.
    ///
    /// # Errors
    /// If the compositor does not answer before `deadline`, has no such output, or does not let it be captured.
    pub fn start(socket: &Path, output: &str, mode: Mode, deadline: Instant) -> Result<Self, LinkError> {
        let system = |error: std::io::Error| LinkError::Missing(format!("capture cannot start: {error}"));
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC).map_err(|error| system(error.into()))?);
        let mailbox: Arc<Mailbox> = Arc::default();
        let pictures = MailboxCapture::new(Arc::clone(&mailbox));
        let copier = Copier::open(socket, output, mode, deadline)?;
        let thread = std::thread::Builder::new()
            .name("capture".into())
            .spawn({
                let stop = Arc::clone(&stop);
                move || copier.run(&mailbox, &stop)
            })
            .map_err(system)?;
        Ok(Self { pictures, stop, thread: Some(thread) })
    }
}

impl Capture for WaylandCapture {
    fn next(&mut self, deadline: Instant) -> Result<Captured, CaptureError> {
        self.pictures.next(deadline)
    }
}

impl Drop for WaylandCapture {
    fn drop(&mut self) {
        let _ = rustix::io::write(&self.stop, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
