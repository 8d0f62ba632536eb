//! A session's input in two parts: controllers go to the kernel, the rest to the compositor. Feedback of both comes
//! back as one.

use lumen_core::gamestream::{control::HostMessage, input::InputEvent};

use super::InputSink;

/// See the module.
pub struct Split {
    controllers: Option<Box<dyn InputSink>>,
    rest: Box<dyn InputSink>,
}

impl Split {
    /// Controllers to one sink, the rest to another. Without a sink for controllers they are ignored.
    pub fn new(controllers: Option<Box<dyn InputSink>>, rest: Box<dyn InputSink>) -> Self {
        Self { controllers, rest }
    }
}

impl InputSink for Split {
    fn handle(&mut self, event: &InputEvent) {
        if !event.is_of_controller() {
            self.rest.handle(event);
        } else if let Some(controllers) = &mut self.controllers {
            controllers.handle(event);
        }
    }

    fn release_all(&mut self) {
        if let Some(controllers) = &mut self.controllers {
            controllers.release_all();
        }
        self.rest.release_all();
    }

    fn poll_feedback(&mut self) -> Option<HostMessage> {
        self.controllers
            .as_mut()
            .and_then(|controllers| controllers.poll_feedback())
            .or_else(|| self.rest.poll_feedback())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use lumen_core::gamestream::control::Rumble;
    use lumen_core::gamestream::input::{ControllerIndex, ControllerState, HapticsEnable};

    use super::*;

    struct Ear(Sender<Option<InputEvent>>, Option<HostMessage>);

    impl InputSink for Ear {
        fn handle(&mut self, event: &InputEvent) {
            self.0.send(Some(event.clone())).unwrap();
        }
        fn release_all(&mut self) {
            self.0.send(None).unwrap();
        }
        fn poll_feedback(&mut self) -> Option<HostMessage> {
            self.1.take()
        }
    }

    fn rumble(low_frequency: u16) -> HostMessage {
        let controller = ControllerIndex::new(0).unwrap();
        HostMessage::Rumble(Rumble { controller, low_frequency, high_frequency: 0 })
    }

    fn ear(speed: u16) -> (Box<dyn InputSink>, Receiver<Option<InputEvent>>) {
        let (sender, receiver) = channel();
        (Box::new(Ear(sender, Some(rumble(speed)))), receiver)
    }

    #[test]
    fn each_part_hears_its_own_and_both_are_heard() {
        let ((pads, pads_heard), (rest, rest_heard)) = (ear(1), ear(2));
        let mut split = Split::new(Some(pads), rest);
        let state = InputEvent::Controller(ControllerState::idle(ControllerIndex::new(0).unwrap()));
        let other = InputEvent::HapticsEnable(HapticsEnable(1));
        split.handle(&state);
        split.handle(&other);
        split.release_all();
        assert_eq!(pads_heard.try_iter().collect::<Vec<_>>(), [Some(state), None]);
        assert_eq!(rest_heard.try_iter().collect::<Vec<_>>(), [Some(other), None]);
        let told: Vec<_> = std::iter::from_fn(|| split.poll_feedback()).collect();
        assert_eq!(told, [rumble(1), rumble(2)]);
    }

    #[test]
    fn without_gamepads_the_rest_goes_on() {
        let (rest, heard) = ear(2);
        let mut split = Split::new(None, rest);
        split.handle(&InputEvent::Controller(ControllerState::idle(ControllerIndex::new(0).unwrap())));
        split.release_all();
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), [None]);
        assert_eq!(split.poll_feedback(), Some(rumble(2)));
    }
}
