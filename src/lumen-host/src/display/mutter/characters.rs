//! Keys for characters that a keyboard's layout lacks.
//!
//! Mutter types text by the keys of its layout and leaves out what none of them writes. A Mutter of the session's own
//! reads more of them here: keys that no keyboard has, and that nobody else sends, write two characters each. They
//! come after those of the layout, whichever it is, through a rule that xkb finds before those of the system.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// The variable by which xkb finds it.
pub const VARIABLE: &str = "XKB_CONFIG_EXTRA_PATH";

/// Keys by their numbers in xkb, all but the first for remote controls and the like; between these are buttons, or none.
const KEYS: [RangeInclusive<u32>; 5] = [208..=254, 360..=450, 452..=454, 456..=459, 472..=493];

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

/// Writes it into a new directory in `directory`, and returns that.
///
/// # Errors
/// What the file system said.
pub fn write(directory: &Path) -> io::Result<PathBuf> {
    let root = directory.join("xkb");
    let write = |name: &str, text: String| {
        let file = root.join(name).join(if name == "rules" { "evdev" } else { "lumen" });
        fs::create_dir_all(root.join(name))?;
        fs::write(file, text)
    };
    // %S are the rules of the system. What is added comes last.
    write("rules", "! include %S/evdev\n\n! model = symbols\n  * = +lumen(text)\n".to_owned())?;
    write("symbols", symbols())?;
    Ok(root)
}

fn symbols() -> String {
    let mut text = "xkb_symbols \"text\" {\n".to_owned();
    let mut characters = CHARACTERS.into_iter().flatten().map(name);
    for key in KEYS.into_iter().flatten() {
        let Some(plain) = characters.next() else { break };
        let shifted = characters.next().unwrap_or_else(|| "NoSymbol".to_owned());
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  replace key <I{key}> {{ type = \"TWO_LEVEL\", [ {plain}, {shifted} ] }};");
    }
    text + "};\n"
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
        let (keys, characters) = (KEYS.into_iter().flatten().count(), CHARACTERS.into_iter().flatten().count());
        assert!(characters <= keys * 2, "{characters} characters, {keys} keys");
        let symbols = symbols();
        for character in CHARACTERS.into_iter().flatten() {
            let name = name(character);
            assert_eq!(symbols.matches(&format!(" {name}")).count(), 1, "{name}");
        }
    }
}
