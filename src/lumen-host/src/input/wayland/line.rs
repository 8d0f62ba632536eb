//! What a client did, one after the other, as far as the compositor can take each as a whole.
//!
//! A compositor reads a connection in pieces of 4096 bytes and serves all others in between. One that was busy finds
//! more than that, and the cut may lie anywhere: between leading a seat home and the button that it was led home for,
//! where a window that opens takes the button, or is opened where the seat is. So never more than such a piece is on
//! its way: then a cut can only lie where one go ends and the next begins. The rest waits here.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lumen_core::gamestream::input::{InputEvent, PressState, RelativeMotion};

/// So many bytes may be on their way, a little less than a compositor reads at once: what this connection says by
/// itself about outputs and seats that come and go needs room as well.
const PIECE: usize = 3584;
/// Bytes of an event with all that is said around it: more than any has, but for text and for releasing everything.
const EVENT: usize = 512;
/// Bytes of a character that is typed.
const CHARACTER: usize = 40;
/// Bytes of releasing some forty keys and buttons, more than anybody holds.
const RELEASE: usize = 2048;
/// Bytes of a motion, which nothing is said around.
const MOTION: usize = 64;
/// Of a compositor that has not read for so many events nobody expects any more that they arrive.
const MAX_WAITING: usize = 1000;

/// See the module.
#[derive(Debug, Default)]
pub struct Line {
    waiting: VecDeque<Go>,
    under_way: VecDeque<(usize, Arc<AtomicBool>)>,
}

/// What the compositor must read in one go.
#[derive(Debug, Clone, PartialEq)]
pub enum Go {
    /// The client did something.
    Event(InputEvent),
    /// Whatever is held is released.
    ReleaseAll,
}

impl Line {
    /// Appends it. Motions that wait become one.
    pub fn push(&mut self, go: Go) {
        match (self.waiting.back_mut(), &go) {
            (Some(Go::Event(InputEvent::MouseAbsolute(last))), Go::Event(InputEvent::MouseAbsolute(next))) => {
                *last = *next;
                return;
            }
            (Some(Go::Event(InputEvent::MouseRelative(last))), Go::Event(InputEvent::MouseRelative(next))) => {
                if let (Some(dx), Some(dy)) = (last.dx.checked_add(next.dx), last.dy.checked_add(next.dy)) {
                    *last = RelativeMotion { dx, dy };
                    return;
                }
            }
            _ => {}
        }
        if self.waiting.len() >= MAX_WAITING {
            // The end of something that began long ago may be among them.
            self.waiting.clear();
            self.waiting.push_back(Go::ReleaseAll);
        }
        self.waiting.push_back(go);
    }

    /// Takes the next, if there is room for it on the way. It must be [sent](Self::sent) then.
    pub fn next(&mut self) -> Option<Go> {
        while self.under_way.front().is_some_and(|(_, read)| read.load(Ordering::Relaxed)) {
            self.under_way.pop_front();
        }
        let under_way: usize = self.under_way.iter().map(|(size, _)| size).sum();
        // The end of a press goes with it: programs repeat a key that is held for long.
        let room = |go| size(go) + if presses(go) { EVENT } else { 0 };
        let fits = self.waiting.front().is_some_and(|go| under_way + room(go) <= PIECE);
        if fits { self.waiting.pop_front() } else { None }
    }

    /// It is on its way, and `read` becomes true once the compositor has read it.
    pub fn sent(&mut self, go: &Go, read: Arc<AtomicBool>) {
        self.under_way.push_back((size(go), read));
    }

    /// The same line on another connection, on which nothing is under way.
    pub fn moved(self) -> Self {
        Self { under_way: VecDeque::new(), ..self }
    }
}

fn presses(go: &Go) -> bool {
    match go {
        Go::Event(InputEvent::Key(key)) => key.state == PressState::Down,
        Go::Event(InputEvent::MouseButton(button)) => button.state == PressState::Down,
        _ => false,
    }
}

fn size(go: &Go) -> usize {
    match go {
        Go::ReleaseAll => RELEASE,
        Go::Event(InputEvent::Text(text)) => EVENT + text.delivered().count() * CHARACTER,
        Go::Event(InputEvent::MouseAbsolute(_) | InputEvent::MouseRelative(_)) => MOTION,
        Go::Event(_) => EVENT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lumen_core::gamestream::input::{MouseButton, MouseButtonEvent, Text};

    fn click(state: PressState) -> Go {
        Go::Event(InputEvent::MouseButton(MouseButtonEvent { button: MouseButton::Left, state }))
    }

    fn motion(dx: i16, dy: i16) -> Go {
        Go::Event(InputEvent::MouseRelative(RelativeMotion { dx, dy }))
    }

    fn send_all(line: &mut Line) -> Vec<(Go, Arc<AtomicBool>)> {
        let mut sent = Vec::new();
        while let Some(go) = line.next() {
            let read = Arc::new(AtomicBool::new(false));
            line.sent(&go, Arc::clone(&read));
            sent.push((go, read));
        }
        sent
    }

    #[test]
    fn never_more_is_under_way_than_is_read_at_once() {
        let mut line = Line::default();
        (0..100).for_each(|_| line.push(click(PressState::Down)));
        let first = send_all(&mut line);
        // With room for the end of the last.
        assert_eq!(first.len(), PIECE / EVENT - 1);
        // What was read last makes no room as long as what went before it may not have been.
        first[1].1.store(true, Ordering::Relaxed);
        assert!(line.next().is_none());
        first[0].1.store(true, Ordering::Relaxed);
        assert_eq!(send_all(&mut line).len(), 2);
    }

    #[test]
    fn the_longest_text_goes_alone_and_keeps_its_place() {
        let mut line = Line::default();
        let text = Go::Event(InputEvent::Text(Text::try_from("x".repeat(Text::MAX_BYTES)).expect("short")));
        for go in [click(PressState::Down), text.clone(), text.clone(), motion(1, 1)] {
            line.push(go);
        }
        let sent: Vec<Go> = send_all(&mut line).into_iter().map(|(go, _)| go).collect();
        assert_eq!(sent, [click(PressState::Down), text]);
    }

    #[test]
    fn motions_that_wait_become_one() {
        let mut line = Line::default();
        for go in [motion(1, -1), motion(2, -2), click(PressState::Down), motion(30_000, 0), motion(30_000, 5)] {
            line.push(go);
        }
        let sent: Vec<Go> = send_all(&mut line).into_iter().map(|(go, _)| go).collect();
        assert_eq!(sent, [motion(3, -3), click(PressState::Down), motion(30_000, 0), motion(30_000, 5)]);
    }

    #[test]
    fn nothing_stays_held_by_a_compositor_that_never_read() {
        let mut line = Line::default();
        (0..=MAX_WAITING).for_each(|_| line.push(click(PressState::Up)));
        let sent: Vec<Go> = send_all(&mut line).into_iter().map(|(go, _)| go).collect();
        assert_eq!(sent, [Go::ReleaseAll, click(PressState::Up)]);
    }
}
