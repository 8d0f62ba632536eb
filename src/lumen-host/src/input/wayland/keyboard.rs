//! Keys by position: held keys, and the modifiers that follow from them, which a virtual keyboard has to say itself.

use std::io;
use std::os::fd::AsFd;

use lumen_core::gamestream::input::{EvdevKey, KeyEvent, KeyOrigin, Modifiers, PressState, VirtualKey};
use wayland_protocols_misc::zwp_virtual_keyboard_v1::client::zwp_virtual_keyboard_v1::ZwpVirtualKeyboardV1;

use super::keymap::Layout;
use crate::wayland::shared_file;

/// `wl_keyboard.keymap_format.xkb_v1`.
pub const XKB_V1: u32 = 1;
/// `wl_keyboard.key_state.pressed`.
pub const DOWN: u32 = 1;
/// `wl_keyboard.key_state.released`.
pub const UP: u32 = 0;

// Real modifiers of xkb, by the masks that every keymap of evdev gives them.
const SHIFT: u32 = 1 << 0;
const LOCK: u32 = 1 << 1;
const CONTROL: u32 = 1 << 2;
const ALT: u32 = 1 << 3;
const NUM: u32 = 1 << 4;
const SUPER: u32 = 1 << 6;
const LEVEL_THREE: u32 = 1 << 7;

const CAPS_LOCK: EvdevKey = EvdevKey(58);
const NUM_LOCK: EvdevKey = EvdevKey(69);
const LEFT_SHIFT: EvdevKey = EvdevKey(42);
const RIGHT_SHIFT: EvdevKey = EvdevKey(54);
const LEFT_CONTROL: EvdevKey = EvdevKey(29);
const RIGHT_CONTROL: EvdevKey = EvdevKey(97);
const LEFT_ALT: EvdevKey = EvdevKey(56);
const RIGHT_ALT: EvdevKey = EvdevKey(100);
const LEFT_SUPER: EvdevKey = EvdevKey(125);
const RIGHT_SUPER: EvdevKey = EvdevKey(126);

/// A virtual keyboard with its state.
#[derive(Debug)]
pub struct Keyboard {
    device: ZwpVirtualKeyboardV1,
    keys: Keys,
}

/// Which keys are held, and which modifiers follow; knows no device.
#[derive(Debug)]
struct Keys {
    held: Vec<(Holder, EvdevKey)>,
    locked: u32,
    right_alt: u32,
}

/// Who holds a key down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    /// The client, by what it calls the key: the release goes to the key that was pressed, whatever it is called then.
    Client(VirtualKey, KeyOrigin),
    /// Another key, of which the client said that it came with this one.
    OtherKey,
}

/// What the device is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Key(EvdevKey, u32),
    Modifiers { depressed: u32, locked: u32 },
}

impl Keyboard {
    /// Gives the device its keymap.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn new(device: ZwpVirtualKeyboardV1, layout: &Layout) -> io::Result<Self> {
        let mut keymap = layout.keymap().into_bytes();
        keymap.push(0);
        let file = shared_file("lumen-keymap", &keymap)?;
        // Far below 4 GiB.
        device.keymap(XKB_V1, file.as_fd(), keymap.len() as u32);
        let keyboard = Self { device, keys: Keys::new(layout) };
        keyboard.say(0, Order::Modifiers { depressed: 0, locked: keyboard.keys.locked });
        Ok(keyboard)
    }

    /// A key went down or up at the client.
    pub fn key(&mut self, now: u32, event: &KeyEvent) {
        for order in self.keys.apply(event) {
            self.say(now, order);
        }
    }

    /// Releases every held key.
    pub fn release_all(&mut self, now: u32) {
        for order in self.keys.release_all() {
            self.say(now, order);
        }
    }

    fn say(&self, now: u32, order: Order) {
        match order {
            Order::Key(key, state) => self.device.key(now, key.0.into(), state),
            Order::Modifiers { depressed, locked } => self.device.modifiers(depressed, 0, locked, 0),
        }
    }
}

impl Keys {
    /// No key is held. Number lock is on: clients send keypad digits as digits.
    fn new(layout: &Layout) -> Self {
        let right_alt = if layout.right_alt_is_level_three() { LEVEL_THREE } else { ALT };
        Self { held: Vec::new(), locked: NUM, right_alt }
    }

    fn apply(&mut self, event: &KeyEvent) -> Vec<Order> {
        let holder = Holder::Client(event.virtual_key(), event.origin);
        let mut orders = Vec::new();
        match event.state {
            PressState::Down => {
                let Some(key) = event.evdev().filter(|_| !event.is_ignored()) else { return orders };
                let missing = if self.mask(key) == 0 { self.missing(event.modifiers) } else { Vec::new() };
                for &modifier in &missing {
                    self.press(Holder::OtherKey, modifier, &mut orders);
                }
                self.press(holder, key, &mut orders);
                for _ in missing {
                    self.release(Holder::OtherKey, &mut orders);
                }
            }
            PressState::Up => self.release(holder, &mut orders),
        }
        orders
    }

    fn press(&mut self, holder: Holder, key: EvdevKey, orders: &mut Vec<Order>) {
        // A key that is held twice, by two names, goes down once.
        let was_held = self.is_held(key);
        if !self.held.contains(&(holder, key)) {
            self.held.push((holder, key));
        }
        if was_held {
            return;
        }
        orders.push(Order::Key(key, DOWN));
        match key {
            CAPS_LOCK => self.locked ^= LOCK,
            NUM_LOCK => self.locked ^= NUM,
            key if self.mask(key) == 0 => return,
            _ => {}
        }
        orders.push(self.modifiers());
    }

    fn release(&mut self, holder: Holder, orders: &mut Vec<Order>) {
        let Some(place) = self.held.iter().rposition(|(held_by, _)| *held_by == holder) else { return };
        let (_, key) = self.held.remove(place);
        if self.is_held(key) {
            return;
        }
        orders.push(Order::Key(key, UP));
        if self.mask(key) != 0 {
            orders.push(self.modifiers());
        }
    }

    fn release_all(&mut self) -> Vec<Order> {
        let mut orders = Vec::new();
        while let Some((holder, _)) = self.held.last().copied() {
            self.release(holder, &mut orders);
        }
        orders
    }

    /// Modifiers that the client held but of which no key came.
    fn missing(&self, said: Modifiers) -> Vec<EvdevKey> {
        let held = self.depressed();
        [
            (Modifiers::SHIFT, SHIFT, LEFT_SHIFT),
            (Modifiers::CTRL, CONTROL, LEFT_CONTROL),
            // Clients say "alt" of the right one as well, whatever it does here.
            (Modifiers::ALT, ALT | LEVEL_THREE, LEFT_ALT),
            (Modifiers::META, SUPER, LEFT_SUPER),
        ]
        .into_iter()
        .filter(|(flag, mask, _)| said.contains(*flag) && held & mask == 0)
        .map(|(_, _, key)| key)
        .collect()
    }

    fn modifiers(&self) -> Order {
        Order::Modifiers { depressed: self.depressed(), locked: self.locked }
    }

    fn depressed(&self) -> u32 {
        self.held.iter().fold(0, |mask, (_, key)| mask | self.mask(*key))
    }

    fn is_held(&self, key: EvdevKey) -> bool {
        self.held.iter().any(|(_, held)| *held == key)
    }

    fn mask(&self, key: EvdevKey) -> u32 {
        match key {
            LEFT_SHIFT | RIGHT_SHIFT => SHIFT,
            LEFT_CONTROL | RIGHT_CONTROL => CONTROL,
            LEFT_ALT => ALT,
            RIGHT_ALT => self.right_alt,
            LEFT_SUPER | RIGHT_SUPER => SUPER,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: EvdevKey = EvdevKey(30);

    fn keys() -> Keys {
        Keys::new(&Layout::new("us", ""))
    }

    fn event(state: PressState, key: u8, modifiers: Modifiers) -> KeyEvent {
        KeyEvent::new(state, VirtualKey(key), modifiers)
    }

    fn modifiers(depressed: u32) -> Order {
        Order::Modifiers { depressed, locked: NUM }
    }

    #[test]
    fn modifiers_follow_their_keys() {
        let mut keys = keys();
        let shift = keys.apply(&event(PressState::Down, 0xA0, Modifiers::SHIFT));
        assert_eq!(shift, [Order::Key(LEFT_SHIFT, DOWN), modifiers(SHIFT)]);
        assert_eq!(keys.apply(&event(PressState::Down, 0x41, Modifiers::SHIFT)), [Order::Key(A, DOWN)]);
        assert_eq!(keys.apply(&event(PressState::Up, 0x41, Modifiers::SHIFT)), [Order::Key(A, UP)]);
        let shift = keys.apply(&event(PressState::Up, 0xA0, Modifiers::EMPTY));
        assert_eq!(shift, [Order::Key(LEFT_SHIFT, UP), modifiers(0)]);
    }

    #[test]
    fn a_modifier_that_only_the_packet_names_is_held_for_that_key() {
        let mut keys = keys();
        let orders = keys.apply(&event(PressState::Down, 0x41, Modifiers::CTRL));
        assert_eq!(
            orders,
            [
                Order::Key(LEFT_CONTROL, DOWN),
                modifiers(CONTROL),
                Order::Key(A, DOWN),
                Order::Key(LEFT_CONTROL, UP),
                modifiers(0)
            ]
        );
        assert_eq!(keys.apply(&event(PressState::Up, 0x41, Modifiers::EMPTY)), [Order::Key(A, UP)]);
    }

    #[test]
    fn locks_toggle_with_each_press() {
        let mut keys = keys();
        for locked in [NUM | LOCK, NUM] {
            let orders = keys.apply(&event(PressState::Down, 0x14, Modifiers::EMPTY));
            assert_eq!(orders, [Order::Key(CAPS_LOCK, DOWN), Order::Modifiers { depressed: 0, locked }]);
            keys.apply(&event(PressState::Up, 0x14, Modifiers::EMPTY));
        }
    }

    #[test]
    fn a_key_with_two_names_goes_down_and_up_once() {
        let mut keys = keys();
        assert_eq!(keys.apply(&event(PressState::Down, 0x10, Modifiers::SHIFT)).len(), 2);
        assert_eq!(keys.apply(&event(PressState::Down, 0xA0, Modifiers::SHIFT)), []);
        assert_eq!(keys.apply(&event(PressState::Up, 0x10, Modifiers::SHIFT)), []);
        assert_eq!(keys.apply(&event(PressState::Up, 0xA0, Modifiers::SHIFT)).len(), 2);
    }

    #[test]
    fn nothing_is_held_after_the_client_is_gone() {
        let mut keys = keys();
        for key in [0xA2, 0xA5, 0x41, 0x42] {
            keys.apply(&event(PressState::Down, key, Modifiers::EMPTY));
        }
        let orders = keys.release_all();
        assert_eq!(orders.iter().filter(|order| matches!(order, Order::Key(_, UP))).count(), 4);
        assert_eq!(orders.last(), Some(&modifiers(0)));
        assert_eq!(keys.release_all(), []);
    }

    #[test]
    fn a_release_of_a_free_key_and_an_unknown_key_mean_nothing() {
        let mut keys = keys();
        assert_eq!(keys.apply(&event(PressState::Up, 0x41, Modifiers::EMPTY)), []);
        assert_eq!(keys.apply(&event(PressState::Down, 0xFF, Modifiers::SHIFT)), []);
    }
}
