//! Keys for characters that a keyboard's layout lacks.
//!
//! Some compositors type text by the keys of their keyboard, or are sent keys alone, and leave out what none of these
//! writes. One of the session's own reads more of them here: keys that no keyboard has, and that nobody else sends. They
//! come after those of the layout, whichever it is, through a rule that xkb finds before those of the system.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// The variable by which xkb finds it.
pub const VARIABLE: &str = "XKB_CONFIG_EXTRA_PATH";

/// For whom the keys are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Programs of Wayland: keys by all numbers, with two characters each, the second with Shift.
    Wayland,
    /// Programs of X11 as well, which know no number above 255: fewer keys, with eight characters each, by Shift and two
    /// more keys that are held.
    X11,
}

/// A key, and those that are held while it is pressed, by their evdev codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chord {
    /// The key.
    pub key: u16,
    /// Whether Shift is held.
    pub shift: bool,
    /// Others that are held.
    pub held: [Option<u16>; 2],
}

/// Keys by their numbers in xkb, all but the first for remote controls and the like; between these are buttons, or none.
const KEYS: [RangeInclusive<u32>; 5] = [208..=254, 360..=450, 452..=454, 456..=459, 472..=493];

/// Those of them that X11 knows, up to the two that are held.
const X11_KEYS: RangeInclusive<u32> = 208..=252;
const THIRD_LEVEL: u16 = 253;
const FIFTH_LEVEL: u16 = 254;

/// What xkb adds to evdev codes.
const OFFSET: u16 = 8;

/// What they write: the letters and signs of western and eastern Europe, quotation marks and dashes, and Cyrillic letters.
const CHARACTERS: [RangeInclusive<char>; 17] = [
    '\u{A1}'..='\u{AC}',
    '\u{AE}'..='\u{FF}',
    '€'..='€',
    '–'..='—',
    '‘'..='‚',
    '“'..='„',
    '•'..='•',
    '…'..='…',
    '‹'..='›',
    '™'..='™',
    'Ā'..='ſ',
    'А'..='я',
    'Ё'..='Ё',
    'ё'..='ё',
    'Є'..='Ї',
    'є'..='ї',
    'Ґ'..='ґ',
];

impl Reach {
    /// Characters of a key.
    fn levels(self) -> usize {
        match self {
            Self::Wayland => 2,
            Self::X11 => 8,
        }
    }

    fn keys(self) -> impl Iterator<Item = u32> {
        let all = KEYS.into_iter().flatten();
        all.filter(move |key| self == Self::Wayland || X11_KEYS.contains(key))
    }

    fn symbols(self) -> String {
        let mut text = "xkb_symbols \"text\" {\n".to_owned();
        let kind = match self {
            Self::Wayland => "TWO_LEVEL",
            Self::X11 => "EIGHT_LEVEL",
        };
        let mut characters = CHARACTERS.into_iter().flatten().map(name);
        for key in self.keys() {
            let mut names: Vec<String> = characters.by_ref().take(self.levels()).collect();
            if names.is_empty() {
                break;
            }
            names.resize(self.levels(), "NoSymbol".to_owned());
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  replace key <I{key}> {{ type = \"{kind}\", [ {} ] }};", names.join(", "));
        }
        if self == Self::X11 {
            for (key, symbol, modifier) in
                [(THIRD_LEVEL, "ISO_Level3_Shift", "Mod5"), (FIFTH_LEVEL, "ISO_Level5_Shift", "Mod3")]
            {
                let _ = writeln!(text, "  replace key <I{key}> {{ type = \"ONE_LEVEL\", [ {symbol} ] }};");
                let _ = writeln!(text, "  modifier_map {modifier} {{ <I{key}> }};");
            }
        }
        text + "};\n"
    }
}

/// Writes the keys into a new directory in `directory`. Gives the variable by which a compositor of the session's own
/// finds them; `None` if `environment` or that of this process has something of the user's own there, or if they cannot be
/// written.
pub fn offer(
    directory: &Path,
    environment: &[(String, String)],
    reach: Reach,
    session: &str,
) -> Option<(&'static str, PathBuf)> {
    let given = environment.iter().any(|(name, _)| name == VARIABLE);
    if given || std::env::var_os(VARIABLE).is_some() {
        return None;
    }
    let written = write(directory, reach).inspect_err(|error| {
        tracing::warn!(session, %error, "text will lack what the keyboard's layout lacks");
    });
    Some((VARIABLE, written.ok()?))
}

fn write(directory: &Path, reach: Reach) -> io::Result<PathBuf> {
    let root = directory.join("xkb");
    let write = |name: &str, text: String| {
        let file = root.join(name).join(if name == "rules" { "evdev" } else { "lumen" });
        fs::create_dir_all(root.join(name))?;
        fs::write(file, text)
    };
    // %S are the rules of the system. What is added comes last.
    write("rules", "! include %S/evdev\n\n! model = symbols\n  * = +lumen(text)\n".to_owned())?;
    write("symbols", reach.symbols())?;
    Ok(root)
}

/// How a keyboard with the keys for [X11](Reach::X11) writes a character, if one of these does.
pub fn chord(character: char) -> Option<Chord> {
    let place = CHARACTERS.into_iter().flatten().position(|known| known == character)?;
    let levels = Reach::X11.levels();
    let key = X11_KEYS.clone().nth(place / levels)?;
    let level = place % levels;
    let held = |bit: usize, key: u16| (level & bit != 0).then_some(key - OFFSET);
    Some(Chord {
        key: u16::try_from(key).ok()? - OFFSET,
        shift: level & 1 != 0,
        held: [held(2, THIRD_LEVEL), held(4, FIFTH_LEVEL)],
    })
}

/// The X11 keysym of a character.
pub(super) fn keysym(character: char) -> u32 {
    match u32::from(character) {
        0x09 => 0xFF09,
        0x0A | 0x0D => 0xFF0D,
        // This one is older than the rule; layouts have no other.
        euro @ 0x20AC => euro,
        latin @ (0x20..=0x7E | 0xA0..=0xFF) => latin,
        other => 0x0100_0000 | other,
    }
}

/// Name of the symbol of a character.
fn name(character: char) -> String {
    match character {
        '€' => "EuroSign".to_owned(),
        character => format!("U{:04X}", u32::from(character)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_key_for_every_character() {
        let characters = CHARACTERS.into_iter().flatten().count();
        for reach in [Reach::Wayland, Reach::X11] {
            let keys = reach.keys().count();
            assert!(characters <= keys * reach.levels(), "{characters} characters, {keys} keys for {reach:?}");
            let symbols = reach.symbols();
            for character in CHARACTERS.into_iter().flatten() {
                let name = name(character);
                assert_eq!(symbols.matches(&format!(" {name}")).count(), 1, "{name} for {reach:?}");
            }
        }
    }

    #[test]
    fn every_character_has_a_chord_of_its_own() {
        let mut seen = Vec::new();
        for character in CHARACTERS.into_iter().flatten() {
            let chord = chord(character).unwrap_or_else(|| panic!("{character:?} has none"));
            assert!(!seen.contains(&chord), "{character:?} shares {chord:?}");
            seen.push(chord);
        }
        let first = Chord { key: 200, shift: false, held: [None, None] };
        assert_eq!(chord('¡'), Some(first));
        assert_eq!(chord('¤'), Some(Chord { shift: true, held: [Some(245), None], ..first }));
        assert_eq!(chord('¥'), Some(Chord { held: [None, Some(246)], ..first }));
        assert_eq!([chord('a'), chord('語')], [None, None]);
    }

    #[test]
    fn characters_have_the_keysyms_of_x11() {
        assert_eq!([keysym('a'), keysym('ß'), keysym('\n'), keysym('\t')], [0x61, 0xDF, 0xFF0D, 0xFF09]);
        assert_eq!([keysym('€'), keysym('語')], [0x20AC, 0x0100_8A9E]);
    }
}
