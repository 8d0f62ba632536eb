//! Pictures of a display that is still coming up: a placeholder, until those of the display take its place in the same
//! capture. So a stream can begin before its display is there. Nothing here waits longer than it is asked to.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use crate::display::placeholder::Placeholder;
use crate::frame::{Frame, Mode, Timeline};

use super::{Capture, CaptureError, Captured};

/// From one picture of the placeholder to the next.
const STEP: Duration = Duration::from_millis(500);

/// See the module.
pub struct Opening(Stage);

enum Stage {
    Starting(Starting),
    /// The display, and how many of its pictures came before the first that was taken.
    Open(Box<dyn Capture>, u64),
}

struct Starting {
    placeholder: Placeholder,
    /// How often it was shown.
    count: u64,
    /// When it is shown again.
    due: Instant,
    arrival: Receiver<Box<dyn Capture>>,
    /// The display, before its first picture.
    display: Option<Box<dyn Capture>>,
}

/// What there is to see while the display starts.
enum Seen {
    Placeholder(Captured),
    Display(Box<dyn Capture>, Frame),
}

impl Opening {
    /// A capture at `mode` for an application with this title, and where the display's own is to be sent, which must
    /// have the same size.
    pub fn new(mode: Mode, title: &str) -> (Sender<Box<dyn Capture>>, Self) {
        let (sender, arrival) = channel();
        let placeholder = Placeholder::new(mode, title);
        let starting = Starting { placeholder, count: 0, due: Instant::now(), arrival, display: None };
        (sender, Self(Stage::Starting(starting)))
    }
}

impl Capture for Opening {
    fn next(&mut self, deadline: Instant) -> Result<Captured, CaptureError> {
        let starting = match &mut self.0 {
            Stage::Starting(starting) => starting,
            Stage::Open(display, before) => {
                return Ok(match display.next(deadline)? {
                    Captured::Frame(frame) => Captured::Frame(Frame { serial: frame.serial - *before, ..frame }),
                    Captured::Still => Captured::Still,
                });
            }
        };
        match starting.next(deadline)? {
            Seen::Placeholder(captured) => Ok(captured),
            Seen::Display(display, frame) => {
                self.0 = Stage::Open(display, frame.serial - 1);
                // Beginning anew says that this is another picture altogether.
                Ok(Captured::Frame(Frame { serial: 1, ..frame }))
            }
        }
    }
}

impl Starting {
    fn next(&mut self, deadline: Instant) -> Result<Seen, CaptureError> {
        loop {
            let now = Instant::now();
            if now >= self.due {
                // Pictures that nobody came for are not made up for.
                self.due = now + STEP;
                let image = self.placeholder.draw(self.count);
                self.count += 1;
                let frame = Frame { image, serial: self.count, timeline: Timeline::starting(Instant::now()) };
                return Ok(Seen::Placeholder(Captured::Frame(frame)));
            }
            if now >= deadline {
                return Ok(Seen::Placeholder(Captured::Still));
            }
            let until = deadline.min(self.due);
            if let Some(mut display) = self.display.take() {
                if let Captured::Frame(frame) = display.next(until)? {
                    return Ok(Seen::Display(display, frame));
                }
                self.display = Some(display);
                continue;
            }
            match self.arrival.recv_timeout(until - now) {
                Ok(display) => self.display = Some(display),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(CaptureError::DisplayGone("it did not come up".to_owned()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::mailbox::{Mailbox, MailboxCapture, Pool, Size};
    use super::*;

    const MODE: Mode = Mode::new(64, 64, 60);

    fn put(mailbox: &Mailbox, value: u8) {
        let image = Pool::default().fill(Size { width: 64, height: 64 }, |image| image.data.fill(value));
        mailbox.put(image, Instant::now());
    }

    /// The next picture: its serial, and whether the display drew it.
    fn next(capture: &mut Opening) -> (u64, bool) {
        match capture.next(Instant::now() + Duration::from_secs(40)) {
            Ok(Captured::Frame(frame)) => (frame.serial, frame.image.data.iter().all(|byte| *byte == 0x77)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_display_takes_the_place_of_the_placeholder_and_counts_anew() {
        let (arrival, mut capture) = Opening::new(MODE, "Desk");
        assert_eq!(next(&mut capture), (1, false));
        assert_eq!(next(&mut capture), (2, false));
        let mailbox: Arc<Mailbox> = Arc::default();
        arrival.send(Box::new(MailboxCapture::new(Arc::clone(&mailbox)))).expect("it listens");
        // There is no picture of it yet.
        assert_eq!(next(&mut capture), (3, false));
        put(&mailbox, 0x11);
        put(&mailbox, 0x77);
        assert_eq!(next(&mut capture), (1, true), "the newest, by a number that the placeholder had");
        put(&mailbox, 0x22);
        put(&mailbox, 0x77);
        assert_eq!(next(&mut capture), (3, true), "one was replaced");
        mailbox.end("gone");
        assert!(matches!(capture.next(Instant::now()), Err(CaptureError::DisplayGone(reason)) if reason == "gone"));
    }

    #[test]
    fn between_its_pictures_it_is_still_and_it_waits_no_longer_than_asked() {
        let (_arrival, mut capture) = Opening::new(MODE, "Desk");
        next(&mut capture);
        assert!(matches!(capture.next(Instant::now()), Ok(Captured::Still)));
    }

    #[test]
    fn a_display_that_never_comes_ends_it() {
        let (arrival, mut capture) = Opening::new(MODE, "Desk");
        next(&mut capture);
        drop(arrival);
        assert!(capture.next(Instant::now() + Duration::from_millis(1)).is_err());
    }
}
