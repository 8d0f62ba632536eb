//! Keymaps as text, which the compositor compiles: that of the keyboard from the names that xkb knows, and that of
//! arbitrary characters.

use std::fmt::Write;

/// A keyboard layout by the names of xkb.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    layout: String,
    variant: String,
}

/// The key code of the first character; keys count from 8 in xkb.
const FIRST_CODE: usize = 9;

impl Layout {
    /// The layout `layout` (`us`, `de`), with a variant (`nodeadkeys`) or an empty one. Names with other characters
    /// than letters, digits, `_` and `-` are not taken; of several layouts the first counts.
    pub fn new(layout: &str, variant: &str) -> Self {
        let first = |names: &str| names.split(',').next().unwrap_or_default().trim().to_owned();
        let is_name = |name: &String| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        let layout = Some(first(layout)).filter(|name| !name.is_empty()).filter(is_name);
        let variant = Some(first(variant)).filter(is_name).unwrap_or_default();
        match layout {
            Some(layout) => Self { layout, variant },
            None => Self { layout: "us".to_owned(), variant: String::new() },
        }
    }

    /// What `XKB_DEFAULT_LAYOUT` and `XKB_DEFAULT_VARIANT` say in `environment` or, where they are not named there, in
    /// that of this process; `us` if they say nothing.
    pub fn from_environment(environment: &[(String, String)]) -> Self {
        let variable = |name: &str| {
            let given = environment.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone());
            given.or_else(|| std::env::var(name).ok()).unwrap_or_default()
        };
        Self::new(&variable("XKB_DEFAULT_LAYOUT"), &variable("XKB_DEFAULT_VARIANT"))
    }

    /// Whether the right alt key chooses further characters instead of being a second alt.
    pub fn right_alt_is_level_three(&self) -> bool {
        self.layout != "us" || !self.variant.is_empty()
    }

    /// The keymap.
    pub fn keymap(&self) -> String {
        let variant = if self.variant.is_empty() { String::new() } else { format!("({})", self.variant) };
        format!(
            "xkb_keymap {{\n\
             xkb_keycodes {{ include \"evdev+aliases(qwerty)\" }};\n\
             xkb_types {{ include \"complete\" }};\n\
             xkb_compat {{ include \"complete\" }};\n\
             xkb_symbols {{ include \"pc+{}{variant}+inet(evdev)\" }};\n\
             }};\n",
            self.layout
        )
    }
}

/// A keymap whose keys are these characters, one each from evdev code 1 on.
pub fn of_characters(characters: &[char]) -> String {
    of_symbols(characters.iter().map(|character| keysym(*character)))
}

/// A keymap with one key, of evdev code 1: a symbol that is no character, by its number in xkb.
pub fn of_number(symbol: u32) -> String {
    of_symbols(std::iter::once(number_name(symbol)))
}

/// Name of such a symbol, for keymaps and for key bindings of compositors.
pub fn number_name(symbol: u32) -> String {
    format!("0x{symbol:08x}")
}

fn of_symbols(names: impl Iterator<Item = String>) -> String {
    let mut codes = String::new();
    let mut symbols = String::new();
    let mut last = FIRST_CODE;
    for (place, name) in names.enumerate() {
        last = FIRST_CODE + place;
        // Writing to a String cannot fail.
        let _ = writeln!(codes, "<T{last}> = {last};");
        let _ = writeln!(symbols, "key <T{last}> {{ [ {name} ] }};");
    }
    format!(
        "xkb_keymap {{\n\
         xkb_keycodes {{ minimum = 8; maximum = {};\n{codes}}};\n\
         xkb_types {{ include \"complete\" }};\n\
         xkb_compat {{ include \"complete\" }};\n\
         xkb_symbols {{\n{symbols}}};\n\
         }};\n",
        last + 1
    )
}

/// Name of the symbol of a character.
fn keysym(character: char) -> String {
    match character {
        '\n' => "Return".to_owned(),
        '\t' => "Tab".to_owned(),
        character => format!("U{:04X}", u32::from(character)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_without_sense_is_the_american_one() {
        let us = Layout::new("us", "");
        assert_eq!(Layout::new("", ""), us);
        assert_eq!(Layout::new("de\" }; }", ""), us);
        assert_eq!(Layout::new("de,us", "nodeadkeys,"), Layout::new("de", "nodeadkeys"));
        assert!(Layout::new("de", "nodeadkeys").keymap().contains("pc+de(nodeadkeys)+inet(evdev)"));
    }

    #[test]
    fn characters_have_a_key_each() {
        let keymap = of_characters(&['a', '\n', '€', '🦀']);
        for part in ["<T9> { [ U0061 ] }", "<T10> { [ Return ] }", "<T11> { [ U20AC ] }", "<T12> { [ U1F980 ] }"] {
            assert!(keymap.contains(part), "{keymap}");
        }
    }
}
