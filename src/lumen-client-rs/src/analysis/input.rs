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
    digest: u32,
    /// What the strip said before the first event.
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
    /// An event goes out.
    pub fn sent(&mut self, event: &InputEvent, at: Timestamp) {
        self.sent += 1;
        self.digest = self.digest.wrapping_add(event_digest(event));
        if self.baseline.is_some() {
            self.waiting.push_back(at);
        }
    }

    /// A picture was decoded.
    pub fn seen(&mut self, strip: &StripContent, at: Timestamp) {
        let echo = (strip.input_events, strip.input_digest);
        // Events that were sent before the first picture may be in it or not; they can only be compared in the end. See
        // `arrived`.
        let (events, _) = *self.baseline.get_or_insert(echo);
        let before = self.newest.replace(echo).map_or(events, |(count, _)| count);
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
        Some(u64::from(self.arrived()?) == self.sent % 65_536 && digest.wrapping_sub(before) == self.digest)
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
    fn without_a_card_nothing_is_claimed() {
        assert_eq!(InputEcho::default().is_complete(), None);
    }
}
