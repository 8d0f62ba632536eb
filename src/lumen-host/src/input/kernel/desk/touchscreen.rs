//! A touchscreen for up to sixteen fingers, each in a slot of its own (the kernel's multi-touch protocol B).

use evdev::{AbsoluteAxisCode as Axis, InputEvent, KeyCode, PropType};
use lumen_core::gamestream::input::{PointerEvent, PointerId, TouchEvent, geometry::touch_orientation};

use super::super::nodes::KernelInputError;
use super::super::uinput::{Features, Identity, Label, Uinput, absolute, key, range};
use super::{PARTS, Surface, part};

/// Fingers at a time.
const SLOTS: usize = 16;
const PRESSURE: i32 = 255;
/// Kinds of contacts: the kernel's MT_TOOL_FINGER and MT_TOOL_PALM.
const FINGER: i32 = 0;
const PALM: i32 = 2;

/// A touchscreen.
#[derive(Debug)]
pub struct Touchscreen {
    device: Uinput,
    surface: Surface,
    fingers: Fingers,
}

impl Touchscreen {
    /// Plugs it in.
    ///
    /// # Errors
    /// If the kernel does not make it.
    pub fn new(session: &str, surface: Surface) -> Result<Self, KernelInputError> {
        let diagonal = surface.width.max(surface.height);
        let length = range(0, (diagonal * PARTS).cast_signed());
        let mut axes = vec![
            (Axis::ABS_MT_SLOT, range(0, SLOTS as i32 - 1)),
            (Axis::ABS_MT_TRACKING_ID, range(0, 0xFFFF)),
            (Axis::ABS_MT_TOOL_TYPE, range(FINGER, PALM)),
            (Axis::ABS_MT_PRESSURE, range(0, PRESSURE)),
            (Axis::ABS_PRESSURE, range(0, PRESSURE)),
            (Axis::ABS_MT_ORIENTATION, range(-90, 90)),
            (Axis::ABS_MT_TOUCH_MAJOR, length),
            (Axis::ABS_MT_TOUCH_MINOR, length),
        ];
        axes.extend(surface.axes(Axis::ABS_X, Axis::ABS_Y));
        axes.extend(surface.axes(Axis::ABS_MT_POSITION_X, Axis::ABS_MT_POSITION_Y));
        let features = Features {
            keys: vec![KeyCode::BTN_TOUCH],
            absolute: axes,
            properties: vec![PropType::DIRECT],
            ..Features::default()
        };
        let device = Uinput::new(&Label::new(session, "touch", "Touchscreen"), Identity::own(5), &features)?;
        Ok(Self { device, surface, fingers: Fingers::default() })
    }

    /// A finger did something. Fingers beyond the sixteenth, and those that only hover, have no place here.
    pub fn touch(&mut self, event: &TouchEvent) {
        match event.event {
            PointerEvent::Down | PointerEvent::Move => {
                let Some(place) = self.fingers.put(event.pointer) else { return };
                let mut events = place.events();
                events.extend(self.contact(event));
                events.push(key(KeyCode::BTN_TOUCH, true));
                self.device.emit(&events);
            }
            PointerEvent::Up => {
                let slot = self.fingers.lift(event.pointer);
                self.lift(slot.into_iter().collect());
            }
            PointerEvent::Cancel | PointerEvent::HoverLeave => {
                let slot = self.fingers.lift(event.pointer);
                self.cancel(slot.into_iter().collect());
            }
            PointerEvent::CancelAll => self.release(),
            PointerEvent::Hover | PointerEvent::ButtonOnly => {}
        }
    }

    /// Ends all contacts, without a tap.
    pub fn release(&mut self) {
        let slots = self.fingers.lift_all();
        self.cancel(slots);
    }

    fn contact(&self, event: &TouchEvent) -> Vec<InputEvent> {
        let [x, y] = self.surface.place(event.x, event.y);
        let area = event.contact_area(self.surface.width.into(), self.surface.height.into());
        let length = |pixels: f64| (pixels * f64::from(PARTS)).round() as i32;
        let pressure = match part(event.pressure_or_distance, PRESSURE) {
            // Not known; a finger that presses nothing would be none.
            0 => PRESSURE,
            known => known,
        };
        vec![
            absolute(Axis::ABS_MT_TOOL_TYPE, FINGER),
            absolute(Axis::ABS_MT_POSITION_X, x),
            absolute(Axis::ABS_MT_POSITION_Y, y),
            absolute(Axis::ABS_MT_PRESSURE, pressure),
            absolute(Axis::ABS_MT_TOUCH_MAJOR, length(area.major)),
            absolute(Axis::ABS_MT_TOUCH_MINOR, length(area.minor)),
            absolute(Axis::ABS_MT_ORIENTATION, event.rotation.map_or(0, touch_orientation).into()),
            // For programs that know one finger only.
            absolute(Axis::ABS_X, x),
            absolute(Axis::ABS_Y, y),
            absolute(Axis::ABS_PRESSURE, pressure),
        ]
    }

    fn lift(&mut self, slots: Vec<i32>) {
        if slots.is_empty() {
            return;
        }
        let lifted = |slot| [absolute(Axis::ABS_MT_SLOT, slot), absolute(Axis::ABS_MT_TRACKING_ID, -1)];
        let mut events: Vec<_> = slots.into_iter().flat_map(lifted).collect();
        if self.fingers.none() {
            events.extend([absolute(Axis::ABS_PRESSURE, 0), key(KeyCode::BTN_TOUCH, false)]);
        }
        self.device.emit(&events);
    }

    /// A palm is what compositors forget again.
    fn cancel(&mut self, slots: Vec<i32>) {
        for slot in &slots {
            self.device.emit(&[absolute(Axis::ABS_MT_SLOT, *slot), absolute(Axis::ABS_MT_TOOL_TYPE, PALM)]);
        }
        self.lift(slots);
    }
}

/// Which finger of the client is in which slot.
#[derive(Debug, Default)]
struct Fingers {
    slots: [Option<PointerId>; SLOTS],
    next: u16,
}

/// Where a finger is.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// Where it was.
    Known { slot: i32 },
    /// In a slot that was free, as a contact of its own.
    New { slot: i32, contact: u16 },
}

impl Place {
    fn events(&self) -> Vec<InputEvent> {
        match *self {
            Self::Known { slot } => vec![absolute(Axis::ABS_MT_SLOT, slot)],
            Self::New { slot, contact } => {
                vec![absolute(Axis::ABS_MT_SLOT, slot), absolute(Axis::ABS_MT_TRACKING_ID, contact.into())]
            }
        }
    }
}

impl Fingers {
    fn put(&mut self, finger: PointerId) -> Option<Place> {
        if let Some(slot) = self.slot(Some(finger)) {
            return Some(Place::Known { slot: slot as i32 });
        }
        let slot = self.slot(None)?;
        self.slots[slot] = Some(finger);
        let contact = self.next;
        self.next = self.next.wrapping_add(1);
        Some(Place::New { slot: slot as i32, contact })
    }

    fn lift(&mut self, finger: PointerId) -> Option<i32> {
        let slot = self.slot(Some(finger))?;
        self.slots[slot] = None;
        Some(slot as i32)
    }

    fn lift_all(&mut self) -> Vec<i32> {
        let taken = self.slots.iter_mut().zip(0..).filter_map(|(slot, number)| slot.take().map(|_| number));
        taken.collect()
    }

    fn none(&self) -> bool {
        self.slots.iter().all(Option::is_none)
    }

    fn slot(&self, holding: Option<PointerId>) -> Option<usize> {
        self.slots.iter().position(|slot| *slot == holding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingers_take_the_lowest_free_slot_and_are_contacts_of_their_own() {
        let mut fingers = Fingers::default();
        assert_eq!(fingers.put(PointerId(7)), Some(Place::New { slot: 0, contact: 0 }));
        assert_eq!(fingers.put(PointerId(9)), Some(Place::New { slot: 1, contact: 1 }));
        assert_eq!(fingers.put(PointerId(7)), Some(Place::Known { slot: 0 }));
        assert_eq!(fingers.lift(PointerId(7)), Some(0));
        assert_eq!(fingers.put(PointerId(7)), Some(Place::New { slot: 0, contact: 2 }));
        assert_eq!(fingers.lift(PointerId(8)), None);
        assert_eq!(fingers.lift_all(), [0, 1]);
        assert!(fingers.none());
    }

    #[test]
    fn a_seventeenth_finger_has_no_place() {
        let mut fingers = Fingers::default();
        let places = (0..17).filter_map(|finger| fingers.put(PointerId(finger))).count();
        assert_eq!(places, SLOTS);
    }
}
