//! Input of a display that is still coming up: what is done before is lost, and what was begun before does not reach in.
//! Only which controllers there are is kept, because clients say it once.

use std::collections::{BTreeMap, BTreeSet};

use lumen_core::gamestream::control::HostMessage;
use lumen_core::gamestream::input::{ControllerArrival, InputEvent, PointerEvent, PointerId};

use super::InputSink;

/// More fingers than anybody has.
const FINGERS: usize = 32;

/// See the module.
#[derive(Default)]
pub struct Late {
    sink: Option<Box<dyn InputSink>>,
    controllers: BTreeMap<u8, ControllerArrival>,
    /// Fingers that are down since before.
    fingers: BTreeSet<PointerId>,
    /// The pen is.
    pen: Pen,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Pen {
    #[default]
    Away,
    Down,
}

impl Late {
    /// From now on input goes there.
    pub fn open(&mut self, mut sink: Box<dyn InputSink>) {
        for arrival in std::mem::take(&mut self.controllers).into_values() {
            sink.handle(&InputEvent::ControllerArrival(arrival));
        }
        self.sink = Some(sink);
    }

    /// Keeps what must be known later.
    fn note(&mut self, event: &InputEvent) {
        match event {
            InputEvent::ControllerArrival(arrival) => _ = self.controllers.insert(arrival.controller.get(), *arrival),
            InputEvent::Controller(state) if !state.is_present() => {
                self.controllers.remove(&state.controller.get());
            }
            InputEvent::Touch(touch) if matches!(touch.event, PointerEvent::Down | PointerEvent::Move) => {
                if self.fingers.len() < FINGERS {
                    self.fingers.insert(touch.pointer);
                }
            }
            InputEvent::Pen(pen) if matches!(pen.event, PointerEvent::Down | PointerEvent::Move) => {
                self.pen = Pen::Down;
            }
            _ => _ = self.is_of_before(event),
        }
    }

    /// Whether a finger or the pen does it that has been down since before. Keys and buttons need none of this: a
    /// display takes no release of what was not pressed there.
    fn is_of_before(&mut self, event: &InputEvent) -> bool {
        match event {
            InputEvent::Touch(touch) => match touch.event {
                PointerEvent::Move => self.fingers.contains(&touch.pointer),
                PointerEvent::CancelAll => {
                    self.fingers.clear();
                    false
                }
                _ => self.fingers.remove(&touch.pointer) && touch.event != PointerEvent::Down,
            },
            InputEvent::Pen(pen) => match pen.event {
                PointerEvent::Move | PointerEvent::ButtonOnly => self.pen == Pen::Down,
                event => std::mem::take(&mut self.pen) == Pen::Down && event != PointerEvent::Down,
            },
            _ => false,
        }
    }
}

impl InputSink for Late {
    fn handle(&mut self, event: &InputEvent) {
        if self.sink.is_none() {
            self.note(event);
        } else if !self.is_of_before(event)
            && let Some(sink) = &mut self.sink
        {
            sink.handle(event);
        }
    }

    fn release_all(&mut self) {
        // The client is gone, or begins anew.
        *self = Self { sink: self.sink.take(), ..Self::default() };
        if let Some(sink) = &mut self.sink {
            sink.release_all();
        }
    }

    fn poll_feedback(&mut self) -> Option<HostMessage> {
        self.sink.as_mut()?.poll_feedback()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use lumen_core::gamestream::input::{
        Buttons, Capabilities, ControllerIndex, ControllerKind, ControllerMask, ControllerState, Fraction, KeyEvent,
        Modifiers, PressState, TouchEvent, VirtualKey,
    };

    use super::*;

    struct Ear(Sender<InputEvent>);

    impl InputSink for Ear {
        fn handle(&mut self, event: &InputEvent) {
            self.0.send(event.clone()).expect("somebody listens");
        }
        fn release_all(&mut self) {}
        fn poll_feedback(&mut self) -> Option<HostMessage> {
            None
        }
    }

    fn ear() -> (Box<dyn InputSink>, Receiver<InputEvent>) {
        let (sender, heard) = channel();
        (Box::new(Ear(sender)), heard)
    }

    fn key(state: PressState) -> InputEvent {
        InputEvent::Key(KeyEvent::new(state, VirtualKey(b'A'), Modifiers::EMPTY))
    }

    fn touch(event: PointerEvent, finger: u32) -> InputEvent {
        InputEvent::Touch(TouchEvent {
            event,
            pointer: PointerId(finger),
            x: Fraction::ZERO,
            y: Fraction::ZERO,
            pressure_or_distance: Fraction::ZERO,
            rotation: None,
            contact_major: Fraction::ZERO,
            contact_minor: Fraction::ZERO,
        })
    }

    fn arrival(number: u8) -> InputEvent {
        InputEvent::ControllerArrival(ControllerArrival {
            controller: ControllerIndex::new(number).expect("a number"),
            kind: ControllerKind::PlayStation,
            capabilities: Capabilities::EMPTY,
            buttons: Buttons::EMPTY,
        })
    }

    #[test]
    fn nothing_of_before_reaches_in_but_the_controllers_that_are_there() {
        let mut late = Late::default();
        let (sink, heard) = ear();
        let gone =
            ControllerState { mask: ControllerMask(0), ..ControllerState::idle(ControllerIndex::new(1).unwrap()) };
        for event in [
            key(PressState::Down),
            touch(PointerEvent::Down, 1),
            touch(PointerEvent::Down, 2),
            arrival(0),
            arrival(1),
            InputEvent::Controller(gone),
        ] {
            late.handle(&event);
        }
        late.open(sink);
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), [arrival(0)]);
        late.handle(&touch(PointerEvent::Move, 1));
        late.handle(&touch(PointerEvent::Up, 1));
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), [], "that finger came before");
        let now = [touch(PointerEvent::Down, 1), touch(PointerEvent::Move, 1), touch(PointerEvent::Down, 3)];
        now.iter().for_each(|event| late.handle(event));
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), now);
        late.handle(&touch(PointerEvent::Move, 2));
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), []);
    }

    #[test]
    fn another_client_does_not_inherit_controllers() {
        let mut late = Late::default();
        late.handle(&arrival(0));
        late.release_all();
        let (sink, heard) = ear();
        late.open(sink);
        late.handle(&key(PressState::Down));
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), [key(PressState::Down)]);
    }
}
