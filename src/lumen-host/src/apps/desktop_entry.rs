//! One desktop entry (Desktop Entry Specification 1.5): its keys, and the command in `Exec`. Pure.

use std::collections::HashMap;

/// The group that describes the program.
const GROUP: &str = "[Desktop Entry]";

/// A desktop entry.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct DesktopEntry {
    keys: HashMap<String, String>,
}

/// Why a text is no entry that could be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum EntryError {
    #[error("it has no group [Desktop Entry]")]
    NoGroup,
    #[error("a quote in Exec is not closed")]
    Quote,
    #[error("Exec is empty")]
    NoCommand,
}

impl DesktopEntry {
    /// Reads the group [Desktop Entry]. Lines that are none are skipped.
    pub(super) fn parse(text: &str) -> Result<Self, EntryError> {
        let lines = text.lines().map(str::trim);
        let mut group = lines.skip_while(|line| *line != GROUP);
        group.next().ok_or(EntryError::NoGroup)?;
        let mut keys = HashMap::new();
        for line in group.take_while(|line| !line.starts_with('[')).filter(|line| !line.starts_with('#')) {
            if let Some((key, value)) = line.split_once('=') {
                keys.entry(key.trim_end().to_owned()).or_insert_with(|| value.trim_start().to_owned());
            }
        }
        Ok(Self { keys })
    }

    /// A value as text.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.keys.get(key).map(|value| unescape(value)).filter(|value| !value.is_empty())
    }

    /// A value in the best of these languages.
    pub(super) fn localized(&self, key: &str, languages: &[String]) -> Option<String> {
        let mut keys = languages.iter().map(|language| format!("{key}[{language}]"));
        keys.find_map(|key| self.text(&key)).or_else(|| self.text(key))
    }

    /// Whether a key says true.
    pub(super) fn is(&self, key: &str) -> bool {
        self.keys.get(key).is_some_and(|value| value == "true")
    }

    /// The elements of a list, or none if there is no such key.
    pub(super) fn list(&self, key: &str) -> Option<Vec<&str>> {
        self.keys.get(key).map(|value| value.split(';').filter(|one| !one.is_empty()).collect())
    }

    /// The program and its arguments, for no file at all. `file` is where the entry itself lies.
    pub(super) fn command(&self, name: &str, file: &str) -> Result<Vec<String>, EntryError> {
        let exec = self.text("Exec").ok_or(EntryError::NoCommand)?;
        let mut command = Vec::new();
        for Argument { text, quoted } in arguments(&exec)? {
            match text.as_str() {
                "%f" | "%F" | "%u" | "%U" | "%d" | "%D" | "%n" | "%N" | "%v" | "%m" if !quoted => {}
                "%i" if !quoted => {
                    if let Some(icon) = self.text("Icon") {
                        command.extend(["--icon".to_owned(), icon]);
                    }
                }
                _ => command.push(expand(&text, name, file)),
            }
        }
        if command.first().is_none_or(String::is_empty) { Err(EntryError::NoCommand) } else { Ok(command) }
    }
}

/// Field codes within an argument.
fn expand(argument: &str, name: &str, file: &str) -> String {
    let mut text = String::new();
    let mut characters = argument.chars();
    while let Some(one) = characters.next() {
        match one {
            '%' => match characters.next() {
                Some('%') => text.push('%'),
                Some('c') => text.push_str(name),
                Some('k') => text.push_str(file),
                // Files that there are none of, and codes that have no meaning any more.
                _ => {}
            },
            other => text.push(other),
        }
    }
    text
}

/// The escapes of all values.
fn unescape(value: &str) -> String {
    let mut text = String::new();
    let mut characters = value.chars();
    while let Some(one) = characters.next() {
        match one {
            '\\' => match characters.next() {
                Some('s') => text.push(' '),
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some('r') => text.push('\r'),
                Some('\\') => text.push('\\'),
                Some(other) => text.extend(['\\', other]),
                None => text.push('\\'),
            },
            other => text.push(other),
        }
    }
    text
}

struct Argument {
    text: String,
    quoted: bool,
}

/// The arguments of `Exec`, by its rules of quoting.
fn arguments(exec: &str) -> Result<Vec<Argument>, EntryError> {
    let mut all = Vec::new();
    let mut current: Option<Argument> = None;
    let mut characters = exec.chars();
    while let Some(one) = characters.next() {
        match one {
            ' ' | '\t' | '\n' | '\r' => all.extend(current.take()),
            '"' => {
                let argument = current.get_or_insert_with(|| Argument { text: String::new(), quoted: true });
                argument.quoted = true;
                loop {
                    match characters.next().ok_or(EntryError::Quote)? {
                        '"' => break,
                        '\\' => argument.text.push(characters.next().ok_or(EntryError::Quote)?),
                        other => argument.text.push(other),
                    }
                }
            }
            other => current.get_or_insert_with(|| Argument { text: String::new(), quoted: false }).text.push(other),
        }
    }
    all.extend(current);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn command(exec: &str) -> Result<Vec<String>, EntryError> {
        let text = format!("[Desktop Entry]\nIcon=shield\nExec={exec}\n");
        DesktopEntry::parse(&text).and_then(|entry| entry.command("A Name", "/a/file.desktop"))
    }

    #[test]
    fn field_codes_are_replaced_or_dropped() {
        let parts = |exec: &str| command(exec).expect("a command");
        assert_eq!(parts("game %U --fast %f"), ["game", "--fast"]);
        assert_eq!(
            parts("game %i --title %c --from=%k 100%%"),
            ["game", "--icon", "shield", "--title", "A Name", "--from=/a/file.desktop", "100%"]
        );
        assert_eq!(parts("env A=b game"), ["env", "A=b", "game"]);
    }

    #[test]
    fn quotes_keep_spaces_and_escapes() {
        let parts = command(r#""/opt/My Game/run" "say \\"hi\\" for \\$5" """#).expect("a command");
        assert_eq!(parts, ["/opt/My Game/run", "say \"hi\" for $5", ""]);
        assert_eq!(command("\"open"), Err(EntryError::Quote));
        assert_eq!(command("%f"), Err(EntryError::NoCommand));
        assert_eq!(command(""), Err(EntryError::NoCommand));
    }

    #[test]
    fn only_the_first_group_counts_and_the_best_language() {
        let text = "# top\n[Desktop Entry]\nName=Chess\nName[de]=Schach\nName[de_AT]=Schoch\n[Desktop Action new]\nName=New\nHidden=true\n";
        let entry = DesktopEntry::parse(text).expect("an entry");
        let name = |languages: &[&str]| {
            let languages: Vec<String> = languages.iter().map(|one| (*one).to_owned()).collect();
            entry.localized("Name", &languages).expect("a name")
        };
        assert_eq!([name(&["de_AT", "de"]), name(&["de"]), name(&["fr"])], ["Schoch", "Schach", "Chess"]);
        assert!(!entry.is("Hidden"));
        assert_eq!(DesktopEntry::parse("Name=x"), Err(EntryError::NoGroup));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(\\[Desktop Entry\\]\n)?(Exec=|Name=)?[\\PC\"%\\\\\n=]{0,200}") {
            if let Ok(entry) = DesktopEntry::parse(&text) {
                let _ = entry.command("n", "f");
                let _ = entry.localized("Name", &["de".to_owned()]);
            }
        }
    }
}
