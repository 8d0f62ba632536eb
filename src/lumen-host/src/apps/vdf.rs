//! The text files of Steam ("KeyValues"): nested tables of quoted strings. Whatever the text is, this ends with a value
//! or an error.

/// Deepest nesting; files of Steam have four levels.
const DEEPEST: usize = 32;

/// A table: keys may come several times, and their case does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Table(Vec<(String, Value)>);

/// What a key has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Table(Table),
}

/// Why a text cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum VdfError {
    #[error("a table is not closed")]
    Unclosed,
    #[error("a table is closed that was not open")]
    NotOpen,
    #[error("a key has no value")]
    NoValue,
    #[error("tables are nested more than {DEEPEST} deep")]
    TooDeep,
}

impl Table {
    /// Reads a whole text.
    pub(super) fn parse(text: &str) -> Result<Self, VdfError> {
        let mut tokens = Tokens { rest: text };
        let mut open: Vec<(String, Table)> = Vec::new();
        let mut current = Self::default();
        while let Some(token) = tokens.next() {
            match token {
                Token::Close => {
                    let (key, parent) = open.pop().ok_or(VdfError::NotOpen)?;
                    let done = std::mem::replace(&mut current, parent);
                    current.0.push((key, Value::Table(done)));
                }
                Token::Open => return Err(VdfError::NoValue),
                Token::Text(key) => match tokens.next() {
                    Some(Token::Text(value)) => current.0.push((key, Value::Text(value))),
                    Some(Token::Open) if open.len() < DEEPEST => open.push((key, std::mem::take(&mut current))),
                    Some(Token::Open) => return Err(VdfError::TooDeep),
                    Some(Token::Close) | None => return Err(VdfError::NoValue),
                },
            }
        }
        if open.is_empty() { Ok(current) } else { Err(VdfError::Unclosed) }
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value)
    }

    /// The text of a key.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match self.get(key)? {
            Value::Text(text) => Some(text),
            Value::Table(_) => None,
        }
    }

    /// The table of a key.
    pub(super) fn table(&self, key: &str) -> Option<&Self> {
        match self.get(key)? {
            Value::Table(table) => Some(table),
            Value::Text(_) => None,
        }
    }

    /// All keys and values.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }
}

enum Token {
    Open,
    Close,
    Text(String),
}

struct Tokens<'a> {
    rest: &'a str,
}

impl Tokens<'_> {
    fn next(&mut self) -> Option<Token> {
        loop {
            self.rest = self.rest.trim_start_matches(|one: char| one.is_whitespace() || one == '\u{feff}');
            match self.rest.strip_prefix("//") {
                Some(comment) => self.rest = comment.find('\n').map_or("", |end| &comment[end..]),
                None => break,
            }
        }
        let mut characters = self.rest.chars();
        match characters.next()? {
            '{' => {
                self.rest = characters.as_str();
                Some(Token::Open)
            }
            '}' => {
                self.rest = characters.as_str();
                Some(Token::Close)
            }
            '"' => {
                self.rest = characters.as_str();
                Some(Token::Text(self.quoted()))
            }
            _ => {
                let end = self.rest.find(|one: char| one.is_whitespace() || matches!(one, '{' | '}' | '"'));
                let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
                self.rest = rest;
                Some(Token::Text(word.to_owned()))
            }
        }
    }

    /// Up to the closing quote, or to the end of the text.
    fn quoted(&mut self) -> String {
        let mut text = String::new();
        let mut characters = self.rest.chars();
        while let Some(one) = characters.next() {
            match one {
                '"' => break,
                '\\' => text.extend(characters.next().map(|escaped| match escaped {
                    'n' => '\n',
                    't' => '\t',
                    other => other,
                })),
                other => text.push(other),
            }
        }
        self.rest = characters.as_str();
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tables_strings_comments_and_escapes_are_read() {
        let text = "// a comment\n\"AppState\"\n{\n\t\"appid\"\t\t\"440\"\n\tname \"Say \\\"hi\\\" \\\\o\"\n\t\"Inner\" { }\n}";
        let root = Table::parse(text).expect("it is right");
        let state = root.table("appstate").expect("whatever the case");
        assert_eq!((state.text("AppID"), state.text("name")), (Some("440"), Some("Say \"hi\" \\o")));
        assert_eq!(state.table("inner"), Some(&Table::default()));
        assert_eq!((state.text("inner"), state.table("name")), (None, None));
    }

    #[test]
    fn what_is_not_whole_is_an_error() {
        assert_eq!(Table::parse("\"a\" {"), Err(VdfError::Unclosed));
        assert_eq!(Table::parse("}"), Err(VdfError::NotOpen));
        assert_eq!(Table::parse("\"a\""), Err(VdfError::NoValue));
        assert_eq!(Table::parse("{"), Err(VdfError::NoValue));
        assert_eq!(Table::parse(&"a{".repeat(10_000)), Err(VdfError::TooDeep));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[\\PC\"{}/\\\\\n\t a]{0,200}") {
            let _ = Table::parse(&text);
        }
    }
}
