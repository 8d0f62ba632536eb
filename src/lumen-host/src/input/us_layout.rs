//! Which key of a US keyboard writes a character: for backends that take keys and no text.

use std::collections::BTreeSet;

use lumen_core::gamestream::input::PressState;

use super::characters::{self, Chord};

/// `KEY_LEFTSHIFT`.
const LEFT_SHIFT: u16 = 42;

/// Which keys there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keyboard {
    /// Those of a US keyboard.
    Us,
    /// Those, and keys for [further characters](characters::Reach::X11).
    Extended,
}

/// Rows of the keyboard: code of the first key, what the keys write, and what they write with shift.
const ROWS: [(u16, &str, &str); 5] = [
    (2, "1234567890-=", "!@#$%^&*()_+"),
    (16, "qwertyuiop[]", "QWERTYUIOP{}"),
    (30, "asdfghjkl;'`", "ASDFGHJKL:\"~"),
    (43, "\\zxcvbnm,./", "|ZXCVBNM<>?"),
    (57, " ", " "),
];

/// The evdev code of the key that writes `character`, and whether with shift. `None` if a US keyboard has none.
pub fn key_of(character: char) -> Option<(u16, bool)> {
    match character {
        '\n' | '\r' => return Some((28, false)),
        '\t' => return Some((15, false)),
        _ => {}
    }
    ROWS.iter().find_map(|(first, plain, shifted)| {
        let place = |row: &str| row.chars().position(|other| other == character).and_then(|at| u16::try_from(at).ok());
        let found = place(plain).map(|at| (at, false)).or_else(|| place(shifted).map(|at| (at, true)));
        found.map(|(at, shift)| (first + at, shift))
    })
}

/// Types what a keyboard can: calls `key` for each press and release. `held` are keys that the client holds already.
/// What it has no key for is left out.
pub fn type_text(
    characters: impl Iterator<Item = char>,
    keyboard: Keyboard,
    held: &BTreeSet<u16>,
    mut key: impl FnMut(u16, PressState),
) {
    for character in characters {
        let of_layout = key_of(character).map(|(key, shift)| Chord { key, shift, held: [None, None] });
        let more = || (keyboard == Keyboard::Extended).then(|| characters::chord(character)).flatten();
        let Some(chord) = of_layout.or_else(more) else {
            tracing::debug!("the compositor takes no text, and its keyboard has no key for a character of it");
            continue;
        };
        let shift = (chord.shift && !held.contains(&LEFT_SHIFT)).then_some(LEFT_SHIFT);
        let around = chord.held.into_iter().chain([shift]).flatten();
        around.clone().for_each(|held| key(held, PressState::Down));
        key(chord.key, PressState::Down);
        key(chord.key, PressState::Up);
        around.for_each(|held| key(held, PressState::Up));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_printable_ascii_character_has_a_key_of_its_own() {
        let mut seen = std::collections::HashSet::new();
        for character in ' '..='~' {
            let key = key_of(character).unwrap_or_else(|| panic!("{character:?} has no key"));
            assert!(seen.insert(key), "{character:?} shares {key:?}");
        }
        assert_eq!((key_of('a'), key_of('Z'), key_of('/')), (Some((30, false)), Some((44, true)), Some((53, false))));
        assert_eq!(key_of('ß'), None);
    }
}
