//! Pictures of one size shown at another: as large as they fit, in the middle, black beside them. For desktops whose
//! size is not ours to choose. Positions go the other way.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::frame::CpuImage;

use super::mailbox::{MailboxCapture, Pool, Size};
use super::{Capture, CaptureError, Captured};

/// Bytes of a pixel.
const PIXEL: usize = 4;

/// How a picture lies in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fit {
    source: Size,
    shown: Size,
    left: u32,
    top: u32,
    target: Size,
}

impl Fit {
    /// As large as `source` fits into `target`; at least one pixel of it is seen.
    pub fn new(source: Size, target: Size) -> Self {
        let (width, height) = (u64::from(target.width), u64::from(target.height));
        let (source_width, source_height) = (u64::from(source.width.max(1)), u64::from(source.height.max(1)));
        let scaled = |extent: u64, by: u64, of: u64| u32::try_from((extent * by / of).max(1)).unwrap_or(u32::MAX);
        let shown = if width * source_height <= height * source_width {
            Size { width: target.width, height: scaled(source_height, width, source_width).min(target.height) }
        } else {
            Size { width: scaled(source_width, height, source_height).min(target.width), height: target.height }
        };
        let (left, top) = ((target.width - shown.width) / 2, (target.height - shown.height) / 2);
        Self { source, shown, left, top, target }
    }

    /// Where a part of the target (0 to 1, both ways) lies in the source. What is beside it counts as its edge.
    pub fn locate(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let part = |part: f64, target: u32, start: u32, shown: u32| {
            let pixel = part * f64::from(target.saturating_sub(1)) - f64::from(start);
            (pixel / f64::from(shown.saturating_sub(1).max(1))).clamp(0.0, 1.0)
        };
        [
            part(x, self.target.width, self.left, self.shown.width),
            part(y, self.target.height, self.top, self.shown.height),
        ]
    }

    /// Draws `source` into `picture`, which has the target's size. Every pixel shows the nearest one of the source.
    fn draw(&self, source: &CpuImage, picture: &mut CpuImage) {
        picture.data.fill(0);
        let columns: Vec<usize> = (0..u64::from(self.shown.width))
            .map(|x| (x * u64::from(self.source.width) / u64::from(self.shown.width)) as usize * PIXEL)
            .collect();
        for y in 0..u64::from(self.shown.height) {
            let from = (y * u64::from(self.source.height) / u64::from(self.shown.height)) as usize * source.stride;
            let to = (u64::from(self.top) + y) as usize * picture.stride + self.left as usize * PIXEL;
            let line = picture.data[to..].chunks_exact_mut(PIXEL);
            for (pixel, column) in line.zip(&columns) {
                pixel.copy_from_slice(&source.data[from + column..][..PIXEL]);
            }
        }
    }
}

/// What pictures are fitted into, and how the last one lay in it. Shared by a display, its captures and its input.
#[derive(Debug, Clone)]
pub struct Frame {
    fit: Arc<Mutex<Fit>>,
    /// Counts changes of the target: captures of an earlier one have ended.
    generation: Arc<AtomicU64>,
}

impl Frame {
    /// A frame of `target` for pictures of `source`.
    pub fn new(source: Size, target: Size) -> Self {
        Self { fit: Arc::new(Mutex::new(Fit::new(source, target))), generation: Arc::default() }
    }

    /// How pictures lie in it.
    pub fn fit(&self) -> Fit {
        *self.fit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another size from now on. Captures so far end.
    pub fn resize(&self, target: Size) {
        let mut fit = self.fit.lock().unwrap_or_else(PoisonError::into_inner);
        *fit = Fit::new(fit.source, target);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// How a picture of this size lies in it.
    fn fit_for(&self, source: Size) -> Fit {
        let mut fit = self.fit.lock().unwrap_or_else(PoisonError::into_inner);
        if fit.source != source {
            *fit = Fit::new(source, fit.target);
        }
        *fit
    }
}

/// A capture whose pictures all have the size of its frame.
#[derive(Debug)]
pub struct FittedCapture {
    inner: MailboxCapture,
    frame: Frame,
    generation: u64,
    pool: Pool,
}

impl FittedCapture {
    /// `inner`, fitted into `frame`.
    pub fn new(inner: MailboxCapture, frame: Frame) -> Self {
        let generation = frame.generation.load(Ordering::Acquire);
        Self { inner, frame, generation, pool: Pool::default() }
    }
}

impl Capture for FittedCapture {
    fn next(&mut self, deadline: Instant) -> Result<Captured, CaptureError> {
        let captured = self.inner.next(deadline)?;
        if self.frame.generation.load(Ordering::Acquire) != self.generation {
            return Err(CaptureError::DisplayGone("its mode was changed".to_owned()));
        }
        let Captured::Frame(mut frame) = captured else { return Ok(captured) };
        let size = Size { width: frame.image.width, height: frame.image.height };
        let fit = self.frame.fit_for(size);
        if size != fit.target {
            let image = &frame.image;
            frame.image = self.pool.fill(fit.target, |picture| fit.draw(image, picture));
        }
        Ok(Captured::Frame(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::mailbox::Mailbox;

    const fn size(width: u32, height: u32) -> Size {
        Size { width, height }
    }

    #[test]
    fn a_picture_lies_in_the_middle_and_keeps_its_proportions() {
        let wide = Fit::new(size(1600, 900), size(1280, 1024));
        assert_eq!((wide.shown, wide.left, wide.top), (size(1280, 720), 0, 152));
        let narrow = Fit::new(size(800, 600), size(1280, 720));
        assert_eq!((narrow.shown, narrow.left, narrow.top), (size(960, 720), 160, 0));
        assert_eq!(Fit::new(size(9000, 1), size(10, 10)).shown, size(10, 1));
    }

    #[test]
    fn positions_beside_the_picture_are_on_its_edge() {
        let fit = Fit::new(size(800, 600), size(1280, 720));
        assert_eq!(fit.locate([0.0, 0.0]), [0.0, 0.0]);
        assert_eq!(fit.locate([1.0, 1.0]), [1.0, 1.0]);
        let [x, y] = fit.locate([160.0 / 1279.0, 0.5]);
        assert!(x.abs() < 1e-9 && (y - 0.5).abs() < 1e-9, "{x} {y}");
        let [x, _] = fit.locate([1119.0 / 1279.0, 0.5]);
        assert!((x - 1.0).abs() < 1e-9, "{x}");
    }

    #[test]
    fn a_picture_is_drawn_with_black_beside_it_and_ends_with_its_frame() {
        let (mailbox, mut pool) = (Arc::new(Mailbox::default()), Pool::default());
        let frame = Frame::new(size(1, 1), size(6, 2));
        let mut capture = FittedCapture::new(MailboxCapture::new(Arc::clone(&mailbox)), frame.clone());
        // Twice as large it fills the middle.
        mailbox.put(pool.fill(size(1, 1), |picture| picture.data.fill(9)), Instant::now());
        let Ok(Captured::Frame(shown)) = capture.next(Instant::now()) else { panic!("no picture") };
        let blue: Vec<u8> = shown.image.data.chunks_exact(PIXEL).map(|pixel| pixel[0]).collect();
        assert_eq!(blue, [0, 0, 9, 9, 0, 0, 0, 0, 9, 9, 0, 0]);
        frame.resize(size(4, 4));
        assert!(capture.next(Instant::now()).is_err());
        let mut capture = FittedCapture::new(MailboxCapture::new(mailbox), frame);
        let Ok(Captured::Frame(shown)) = capture.next(Instant::now()) else { panic!("no picture") };
        assert_eq!((shown.image.width, shown.image.height), (4, 4));
    }
}
