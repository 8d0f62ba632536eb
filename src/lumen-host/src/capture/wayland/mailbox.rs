//! Room for one picture between the capture thread and its reader: the newest wins.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::capture::{CaptureError, Captured};
use crate::frame::Frame;

/// See the module.
#[derive(Debug, Default)]
pub struct Mailbox {
    content: Mutex<Content>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Content {
    newest: Option<Frame>,
    ended: Option<String>,
}

impl Mailbox {
    /// Puts a picture in, over one that nobody took.
    pub fn put(&self, frame: Frame) {
        self.lock().newest = Some(frame);
        self.changed.notify_one();
    }

    /// No further picture will come.
    pub fn end(&self, reason: String) {
        self.lock().ended = Some(reason);
        self.changed.notify_one();
    }

    /// Waits for a picture, at most until `deadline`.
    ///
    /// # Errors
    /// Once the end has come and the last picture is taken.
    pub fn take(&self, deadline: Instant) -> Result<Captured, CaptureError> {
        let mut content = self.lock();
        loop {
            if let Some(frame) = content.newest.take() {
                return Ok(Captured::Frame(frame));
            }
            if let Some(reason) = &content.ended {
                return Err(CaptureError::DisplayGone(reason.clone()));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Captured::Still);
            }
            content = self.changed.wait_timeout(content, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::frame::{CpuImage, PixelFormat, Timeline};

    fn picture(serial: u64) -> Frame {
        let image = CpuImage { width: 0, height: 0, stride: 0, format: PixelFormat::Bgrx, data: Vec::new() };
        Frame { image: Arc::new(image), serial, timeline: Timeline::starting(Instant::now()) }
    }

    #[test]
    fn the_newest_picture_wins_and_the_end_comes_after_it() {
        let mailbox = Mailbox::default();
        mailbox.put(picture(1));
        mailbox.put(picture(2));
        mailbox.end("gone".to_owned());
        assert!(matches!(mailbox.take(Instant::now()), Ok(Captured::Frame(frame)) if frame.serial == 2));
        assert!(mailbox.take(Instant::now()).is_err());
    }

    #[test]
    fn nothing_new_is_a_still_screen() {
        assert!(matches!(Mailbox::default().take(Instant::now()), Ok(Captured::Still)));
    }
}
