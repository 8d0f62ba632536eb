//! The mailbox between the thread that takes pictures from a compositor and whoever encodes them. It holds the newest
//! picture and nothing else: the giver never waits, and a taker that comes late gets the picture that is on the screen.

use std::convert::Infallible;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::frame::{CpuImage, Frame, Timeline};

use super::{Capture, CaptureError, Captured};

/// Size of a picture in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Pixels per line.
    pub width: u32,
    /// Lines.
    pub height: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Mailbox {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    newest: Option<Frame>,
    /// Pictures so far.
    serial: u64,
    /// Counts changes of the mode: captures of an earlier one have ended.
    generation: u64,
    /// The only size that is taken, if that matters.
    wanted: Option<Size>,
    /// Size of the last picture that was refused.
    refused: Option<Size>,
    ended: Option<String>,
}

impl Mailbox {
    /// Puts a picture in, in place of the one before. Pictures of a size that is not wanted are refused.
    pub fn put(&self, image: Arc<CpuImage>, presented: Instant) {
        let mut state = self.lock();
        let size = Size { width: image.width, height: image.height };
        if state.wanted.is_some_and(|wanted| wanted != size) {
            state.refused = Some(size);
            self.changed.notify_all();
            return;
        }
        state.serial += 1;
        let timeline = Timeline { presented, ..Timeline::starting(Instant::now()) };
        state.newest = Some(Frame { image, serial: state.serial, timeline });
        self.changed.notify_all();
    }

    /// No further picture comes. The first reason stays.
    pub fn end(&self, reason: impl Into<String>) {
        self.lock().ended.get_or_insert_with(|| reason.into());
        self.changed.notify_all();
    }

    /// Whether [`Mailbox::end`] was called.
    pub fn has_ended(&self) -> bool {
        self.lock().ended.is_some()
    }

    /// Pictures so far.
    pub fn count(&self) -> u64 {
        self.lock().serial
    }

    /// Forgets the picture that was on the screen: what comes next is a new one.
    pub fn clear(&self) {
        self.lock().newest = None;
    }

    /// From now on only pictures of this size are taken; of any, if none is named.
    pub fn want(&self, size: Option<Size>) {
        let mut state = self.lock();
        state.wanted = size;
        state.refused = None;
    }

    /// The mode was changed: captures so far end.
    pub fn restart(&self) {
        let mut state = self.lock();
        state.generation += 1;
        state.newest = None;
        self.changed.notify_all();
    }

    /// Wakes [`Mailbox::wait`].
    pub fn wake(&self) {
        let _state = self.lock();
        self.changed.notify_all();
    }

    /// Waits until there is a picture, or `ended` (looked at after each [`Mailbox::wake`]) says why none comes.
    ///
    /// # Errors
    /// Why there is none: it ended, or none came in time.
    pub fn wait(&self, deadline: Instant, ended: impl Fn() -> Option<String>) -> Result<(), String> {
        self.wait_until(deadline, ended, |state| state.newest.is_some())
    }

    /// Waits until there were more pictures than `before`.
    ///
    /// # Errors
    /// As [`Mailbox::wait`].
    pub fn wait_for_more(
        &self,
        before: u64,
        deadline: Instant,
        ended: impl Fn() -> Option<String>,
    ) -> Result<(), String> {
        self.wait_until(deadline, ended, |state| state.serial > before)
    }

    /// Waits until a picture of this size, which is not the wanted one, was refused.
    ///
    /// # Errors
    /// As [`Mailbox::wait`].
    pub fn wait_for_refused(
        &self,
        size: Size,
        deadline: Instant,
        ended: impl Fn() -> Option<String>,
    ) -> Result<(), String> {
        self.wait_until(deadline, ended, |state| state.refused == Some(size))
    }

    fn wait_until(
        &self,
        deadline: Instant,
        ended: impl Fn() -> Option<String>,
        so: impl Fn(&State) -> bool,
    ) -> Result<(), String> {
        let mut state = self.lock();
        loop {
            if let Some(reason) = state.ended.clone().or_else(&ended) {
                return Err(reason);
            }
            if so(&state) {
                return Ok(());
            }
            let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else {
                return Err("no picture came in time".to_owned());
            };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What is in it is whole between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a [`Mailbox`].
#[derive(Debug)]
pub struct MailboxCapture {
    mailbox: Arc<Mailbox>,
    generation: u64,
    /// Serials of the mailbox that came before this capture.
    before: u64,
    /// The last serial taken; nothing was, if it equals `before`.
    taken: u64,
}

impl MailboxCapture {
    /// A capture whose first picture is the one that is there, if there is one.
    pub fn new(mailbox: Arc<Mailbox>) -> Self {
        let state = mailbox.lock();
        let before = state.serial - u64::from(state.newest.is_some());
        let generation = state.generation;
        drop(state);
        Self { mailbox, generation, before, taken: before }
    }
}

impl Capture for MailboxCapture {
    fn next(&mut self, deadline: Instant) -> Result<Captured, CaptureError> {
        let mut state = self.mailbox.lock();
        loop {
            if let Some(reason) = &state.ended {
                return Err(CaptureError::DisplayGone(reason.clone()));
            }
            if state.generation != self.generation {
                return Err(CaptureError::DisplayGone("its mode was changed".to_owned()));
            }
            if let Some(newest) = state.newest.as_ref().filter(|newest| newest.serial > self.taken) {
                let mut frame = newest.clone();
                if self.taken == self.before {
                    // It may have been on the screen for long; that is no latency of ours.
                    frame.timeline = Timeline::starting(Instant::now());
                }
                self.taken = newest.serial;
                frame.serial -= self.before;
                return Ok(Captured::Frame(frame));
            }
            let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else {
                return Ok(Captured::Still);
            };
            state = self.mailbox.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Pictures that are used again once nobody looks at them any more.
#[derive(Debug, Default)]
pub struct Pool {
    images: Vec<Arc<CpuImage>>,
}

impl Pool {
    /// Pictures that are kept at most: one in the mailbox, one with the encoder, one being filled, one to spare.
    const KEPT: usize = 4;

    /// A picture of `size` without gaps between its lines, filled by `fill` from whatever was in it before.
    pub fn fill(&mut self, size: Size, fill: impl FnOnce(&mut CpuImage)) -> Arc<CpuImage> {
        let filled = self.try_fill(size, size.width as usize * 4, |image| {
            fill(image);
            Ok::<_, Infallible>(())
        });
        match filled {
            Ok(image) => image,
        }
    }

    /// A picture of `size`, `stride` bytes from line to line, filled by `fill` from whatever was in it before.
    ///
    /// # Errors
    /// What `fill` says.
    pub fn try_fill<E>(
        &mut self,
        size: Size,
        stride: usize,
        fill: impl FnOnce(&mut CpuImage) -> Result<(), E>,
    ) -> Result<Arc<CpuImage>, E> {
        let free = self.images.iter().position(|image| Arc::strong_count(image) == 1);
        let mut image = free.map(|at| self.images.swap_remove(at)).unwrap_or_else(|| Arc::new(empty()));
        let picture = Arc::make_mut(&mut image);
        picture.width = size.width;
        picture.height = size.height;
        picture.stride = stride;
        picture.data.resize(picture.stride * size.height as usize, 0);
        let filled = fill(picture);
        if self.images.len() < Self::KEPT {
            self.images.push(Arc::clone(&image));
        }
        filled.map(|()| image)
    }
}

fn empty() -> CpuImage {
    CpuImage { width: 0, height: 0, stride: 0, format: crate::frame::PixelFormat::Bgrx, data: Vec::new() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SIZE: Size = Size { width: 2, height: 1 };

    fn put(mailbox: &Mailbox, pool: &mut Pool, value: u8) {
        let image = pool.fill(SIZE, |image| image.data.fill(value));
        mailbox.put(image, Instant::now());
    }

    fn taken(capture: &mut MailboxCapture) -> Option<(u64, u8)> {
        match capture.next(Instant::now()) {
            Ok(Captured::Frame(frame)) => Some((frame.serial, frame.image.data[0])),
            _ => None,
        }
    }

    #[test]
    fn the_newest_picture_wins_and_the_gap_is_visible() {
        let (mailbox, mut pool) = (Arc::new(Mailbox::default()), Pool::default());
        let mut capture = MailboxCapture::new(Arc::clone(&mailbox));
        put(&mailbox, &mut pool, 1);
        assert_eq!(taken(&mut capture), Some((1, 1)));
        put(&mailbox, &mut pool, 2);
        put(&mailbox, &mut pool, 3);
        assert_eq!(taken(&mut capture), Some((3, 3)));
        assert_eq!(taken(&mut capture), None);
    }

    #[test]
    fn a_late_capture_begins_with_the_picture_on_the_screen() {
        let (mailbox, mut pool) = (Arc::new(Mailbox::default()), Pool::default());
        put(&mailbox, &mut pool, 1);
        put(&mailbox, &mut pool, 2);
        assert_eq!(taken(&mut MailboxCapture::new(mailbox)), Some((1, 2)));
    }

    #[test]
    fn a_change_of_mode_ends_captures_and_refuses_pictures_of_the_old_size() {
        let (mailbox, mut pool) = (Arc::new(Mailbox::default()), Pool::default());
        let mut old = MailboxCapture::new(Arc::clone(&mailbox));
        mailbox.restart();
        mailbox.want(Some(Size { width: 4, height: 4 }));
        put(&mailbox, &mut pool, 1);
        assert!(old.next(Instant::now()).is_err());
        assert_eq!(taken(&mut MailboxCapture::new(Arc::clone(&mailbox))), None);
        assert!(mailbox.wait(Instant::now(), || None).is_err());
    }

    #[test]
    fn a_picture_that_is_refused_is_noticed_and_nobody_gets_it() {
        let (mailbox, mut pool) = (Arc::new(Mailbox::default()), Pool::default());
        let mut capture = MailboxCapture::new(Arc::clone(&mailbox));
        mailbox.want(Some(Size { width: 4, height: 4 }));
        assert!(mailbox.wait_for_refused(SIZE, Instant::now(), || None).is_err());
        put(&mailbox, &mut pool, 1);
        assert_eq!(mailbox.wait_for_refused(SIZE, Instant::now(), || None), Ok(()));
        assert_eq!(taken(&mut capture), None);
    }

    #[test]
    fn the_end_wakes_whoever_waits() {
        let mailbox = Arc::new(Mailbox::default());
        let mut capture = MailboxCapture::new(Arc::clone(&mailbox));
        let waiting = std::thread::spawn(move || capture.next(Instant::now() + Duration::from_secs(60)));
        mailbox.end("the compositor left");
        assert!(
            matches!(waiting.join(), Ok(Err(CaptureError::DisplayGone(reason))) if reason == "the compositor left")
        );
    }

    #[test]
    fn buffers_are_used_again_once_nobody_holds_them() {
        let mut pool = Pool::default();
        let first = pool.fill(SIZE, |_| {});
        let address = first.data.as_ptr();
        let second = pool.fill(SIZE, |_| {});
        assert_ne!(second.data.as_ptr(), address);
        drop(first);
        assert_eq!(pool.fill(SIZE, |_| {}).data.as_ptr(), address);
    }
}
