//! Whether input arrived: every event that is sent is counted and digested, the test card does the same with what it
//! gets, and its strip says what it has.

use std::collections::VecDeque;

use lumen_core::gamestream::input::InputEvent;
use lumen_core::strip::{StripContent, event_digest};
use lumen_core::time::Timestamp;

use super::{Samples, micros_between};

/// Sent events and what the strip says about them.
#[derive(Debug, Clone, Default)]
pub struct InputEcho {
    /// Events sent.
    pub sent: u64,
    /// Digests of what was sent before the first picture: it may show them or not.
    early: Vec<u32>,
    later: u64,
    digest: u32,
    /// What the strip said at first.
    baseline: Option<(u16, u32)>,
    newest: Option<(u16, u32)>,
    /// When events were sent that no picture has shown yet.
    waiting: VecDeque<Timestamp>,
    /// From sending to the decoded picture that shows it.
    pub to_picture: Samples,
    /// From the host's receiving to its drawing.
    pub to_drawing: Samples,
}

impl InputEcho {
    /// An event goes out that the user asked for.
    pub fn sent(&mut self, event: &InputEvent, at: Timestamp) {
        self.sent += 1;
        if self.baseline.is_none() {
            return self.greeting(event);
        }
        self.later += 1;
        self.digest = self.digest.wrapping_add(event_digest(event));
        self.waiting.push_back(at);
    }

    /// An event goes out before the first picture, as every client sends it.
    pub fn greeting(&mut self, event: &InputEvent) {
        self.early.push(event_digest(event));
    }

    /// A picture was decoded.
    pub fn seen(&mut self, strip: &StripContent, at: Timestamp) {
        let echo = (strip.input_events, strip.input_digest);
        self.baseline.get_or_insert(echo);
        let (before, _) = self.newest.replace(echo).unwrap_or(echo);
        let new = strip.input_events.wrapping_sub(before);
        for _ in 0..new {
            if let Some(sent) = self.waiting.pop_front() {
                self.to_picture.add(micros_between(sent, at));
            }
        }
        if let (1.., Some(age)) = (new, strip.input_age) {
            self.to_drawing.add(age.as_micros() as i64);
        }
    }

    /// Events that the card has got since the first picture; none without a card.
    pub fn arrived(&self) -> Option<u16> {
        Some(self.newest?.0.wrapping_sub(self.baseline?.0))
    }

    /// Whether the card got exactly the events that were sent; none without a card.
    pub fn is_complete(&self) -> Option<bool> {
        let ((_, digest), (_, before)) = (self.newest?, self.baseline?);
        let (arrived, digest) = (u64::from(self.arrived()?), digest.wrapping_sub(before));
        // The last so many of the early events came after the first picture.
        let mut late = (0, 0u32);
        let matches = |(count, sum): (u64, u32)| {
            arrived == (self.later + count) % 65_536 && digest == self.digest.wrapping_add(sum)
        };
        let mut complete = matches(late);
        for event in self.early.iter().rev() {
            late = (late.0 + 1, late.1.wrapping_add(*event));
            complete |= matches(late);
        }
        Some(complete)
    }
}

#[cfg(test)]
mod tests {
    use lumen_core::gamestream::input::{KeyEvent, Modifiers, PressState, VirtualKey};

    use super::*;

    fn strip(input_events: u16, input_digest: u32) -> StripContent {
        StripContent {
            session: 1,
            frame: 1,
            unix_micros: 0,
            flash: false,
            pointer: None,
            input_events,
            input_digest,
            input_age: Some(std::time::Duration::from_millis(3)),
        }
    }

    #[test]
    fn an_echo_is_complete_when_count_and_digest_agree() {
        let key = |state| InputEvent::Key(KeyEvent::new(state, VirtualKey(0x41), Modifiers::EMPTY));
        let (down, up) = (key(PressState::Down), key(PressState::Up));
        let mut echo = InputEcho::default();
        // Another client's events came before.
        echo.seen(&strip(65_535, 77), Timestamp::ZERO);
        echo.sent(&down, Timestamp::from_millis(10));
        echo.sent(&up, Timestamp::from_millis(11));
        let sum = 77u32.wrapping_add(event_digest(&down));
        echo.seen(&strip(0, sum), Timestamp::from_millis(30));
        assert_eq!((echo.arrived(), echo.is_complete()), (Some(1), Some(false)));
        echo.seen(&strip(1, sum.wrapping_add(event_digest(&up))), Timestamp::from_millis(40));
        assert_eq!((echo.arrived(), echo.is_complete()), (Some(2), Some(true)));
        let latency = echo.to_picture.distribution().unwrap();
        assert_eq!((latency.count, latency.min, latency.max), (2, 20.0, 29.0));
    }

    #[test]
    fn events_before_the_first_picture_may_be_in_it_or_not() {
        let key = InputEvent::Key(KeyEvent::new(PressState::Down, VirtualKey(0x41), Modifiers::EMPTY));
        for shown in [0, 1] {
            let mut echo = InputEcho::default();
            echo.greeting(&key);
            echo.sent(&key, Timestamp::ZERO);
            let at = |events: u32| strip(events as u16, event_digest(&key).wrapping_mul(events));
            echo.seen(&at(shown), Timestamp::ZERO);
            echo.seen(&at(2), Timestamp::ZERO);
            assert_eq!(echo.is_complete(), Some(true));
            echo.seen(&at(4), Timestamp::ZERO);
            assert_eq!(echo.is_complete(), Some(false));
        }
    }

    #[test]
    fn without_a_card_nothing_is_claimed() {
        assert_eq!(InputEcho::default().is_complete(), None);
    }
}
