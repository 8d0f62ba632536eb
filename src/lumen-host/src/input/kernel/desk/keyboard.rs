//! A keyboard. It knows positions, not characters: the compositor's layout makes those.

use evdev::KeyCode;
use lumen_core::gamestream::input::{
    EvdevKey, KeyEvent, KeyOrigin, Modifiers, PressState, Text, VirtualKey,
    keys::{self, KEYS},
};

use super::super::nodes::KernelInputError;
use super::super::uinput::{Features, Identity, Label, Uinput, key};

/// A keyboard.
#[derive(Debug)]
pub struct Keyboard {
    device: Uinput,
    /// What was pressed, by what the client called it: layouts may change before the release.
    held: Vec<(Name, EvdevKey)>,
    foreign_text: Said,
}

type Name = (VirtualKey, KeyOrigin);

#[derive(Debug, PartialEq, Eq)]
enum Said {
    Yes,
    No,
}

impl Keyboard {
    /// Plugs it in.
    ///
    /// # Errors
    /// If the kernel does not make it.
    pub fn new(session: &str) -> Result<Self, KernelInputError> {
        let origins = [KeyOrigin::UsPosition, KeyOrigin::ClientLayout];
        let codes = KEYS.iter().flat_map(|row| origins.map(|origin| keys::evdev(row.virtual_key, origin)));
        let mut keys: Vec<_> = codes.flatten().map(code).collect();
        keys.dedup();
        let label = Label::new(session, "keyboard", "Keyboard");
        let device = Uinput::new(&label, Identity::own(2), &Features { keys, ..Features::default() })?;
        Ok(Self { device, held: Vec::new(), foreign_text: Said::No })
    }

    /// A key went down or up.
    pub fn key(&mut self, event: &KeyEvent) {
        let name = (event.virtual_key(), event.origin);
        match event.state {
            PressState::Down => {
                let Some(evdev) = event.evdev() else { return };
                let borrowed = borrowed(event.modifiers, evdev, &self.held);
                self.send(&borrowed, true);
                if !self.held.iter().any(|(held, _)| *held == name) {
                    self.held.push((name, evdev));
                }
                self.send(&[evdev], true);
                self.send(&borrowed, false);
            }
            PressState::Up => {
                let Some(place) = self.held.iter().position(|(held, _)| *held == name) else { return };
                let (_, evdev) = self.held.swap_remove(place);
                // Two virtual keys may be the same key here.
                if !self.held.iter().any(|(_, other)| *other == evdev) {
                    self.send(&[evdev], false);
                }
            }
        }
    }

    /// Types what a US keyboard can type; there is no other way to say characters with keys.
    pub fn text(&mut self, text: &Text) {
        for character in text.delivered() {
            match us_key(character) {
                Some((evdev, Shift::Held)) => {
                    self.send(&[SHIFT[0], evdev], true);
                    self.send(&[evdev, SHIFT[0]], false);
                }
                Some((evdev, Shift::Free)) => {
                    self.send(&[evdev], true);
                    self.send(&[evdev], false);
                }
                None if std::mem::replace(&mut self.foreign_text, Said::Yes) == Said::No => {
                    tracing::warn!("text beyond a US keyboard needs a compositor that takes text");
                }
                None => {}
            }
        }
    }

    /// Lets go of all keys.
    pub fn release(&mut self) {
        let held: Vec<_> = self.held.drain(..).map(|(_, evdev)| evdev).collect();
        self.send(&held, false);
    }

    /// One report a key: their order counts.
    fn send(&mut self, keys: &[EvdevKey], down: bool) {
        for evdev in keys {
            self.device.emit(&[key(code(*evdev), down)]);
        }
    }
}

const fn code(evdev: EvdevKey) -> KeyCode {
    KeyCode(evdev.0)
}

const SHIFT: [EvdevKey; 2] = [EvdevKey(42), EvdevKey(54)];
const CTRL: [EvdevKey; 2] = [EvdevKey(29), EvdevKey(97)];
const ALT: [EvdevKey; 2] = [EvdevKey(56), EvdevKey(100)];
const META: [EvdevKey; 2] = [EvdevKey(125), EvdevKey(126)];

/// Modifiers that the client holds and of which no press was seen: to be held just for this key.
fn borrowed(modifiers: Modifiers, key: EvdevKey, held: &[(Name, EvdevKey)]) -> Vec<EvdevKey> {
    let all = [(Modifiers::SHIFT, SHIFT), (Modifiers::CTRL, CTRL), (Modifiers::ALT, ALT), (Modifiers::META, META)];
    if all.iter().any(|(_, pair)| pair.contains(&key)) {
        return Vec::new();
    }
    let is_held = |pair: &[EvdevKey; 2]| held.iter().any(|(_, evdev)| pair.contains(evdev));
    let missing = all.iter().filter(|(flag, pair)| modifiers.contains(*flag) && !is_held(pair));
    missing.map(|(_, [left, _])| *left).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shift {
    Held,
    Free,
}

/// The key of a character on a US keyboard.
fn us_key(character: char) -> Option<(EvdevKey, Shift)> {
    // Keys of a row, plain and with shift, and the number of its first key. The gaps hold modifiers.
    const ROWS: [(&str, &str, u16); 6] = [
        ("1234567890-=", "!@#$%^&*()_+", 2),
        ("qwertyuiop[]\n", "QWERTYUIOP{}\r", 16),
        ("asdfghjkl;'`", "ASDFGHJKL:\"~", 30),
        ("\\zxcvbnm,./", "|ZXCVBNM<>?", 43),
        ("\t", "", 15),
        (" ", "", 57),
    ];
    ROWS.iter().find_map(|(plain, shifted, first)| {
        let find = |row: &str| row.chars().zip(*first..).find(|(on_key, _)| *on_key == character);
        let plain = find(plain).map(|(_, number)| (EvdevKey(number), Shift::Free));
        // A carriage return is enter, without shift.
        let shift = if character == '\r' { Shift::Free } else { Shift::Held };
        plain.or_else(|| find(shifted).map(|(_, number)| (EvdevKey(number), shift)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_on_the_keys_of_a_us_keyboard() {
        let on = |character| us_key(character).map(|(evdev, shift)| (evdev.0, shift));
        assert_eq!(on('a'), Some((30, Shift::Free)));
        assert_eq!(on('`'), Some((41, Shift::Free)));
        assert_eq!(on('|'), Some((43, Shift::Held)));
        assert_eq!(on('?'), Some((53, Shift::Held)));
        assert_eq!(on('='), Some((13, Shift::Free)));
        assert_eq!(on(']'), Some((27, Shift::Free)));
        assert_eq!([on('\n'), on('\r'), on('\t'), on(' ')].map(|key| key.unwrap().0), [28, 28, 15, 57]);
        assert_eq!(on('\r'), Some((28, Shift::Free)));
        assert_eq!(on('ä'), None);
    }

    #[test]
    fn modifiers_without_a_press_are_borrowed_and_held_ones_are_not() {
        let a = EvdevKey(30);
        assert_eq!(borrowed(Modifiers::SHIFT | Modifiers::CTRL, a, &[]), [SHIFT[0], CTRL[0]]);
        let held = [((VirtualKey(0xA1), KeyOrigin::UsPosition), SHIFT[1])];
        assert_eq!(borrowed(Modifiers::SHIFT, a, &held), []);
        assert_eq!(borrowed(Modifiers::SHIFT, CTRL[0], &[]), []);
    }
}
