//! Query strings: names and values, percent-encoded (protocol part 1, section 2.1). Unknown names are the reader's to
//! ignore; a name that appears twice has its last value.

use std::fmt::Write as _;

/// Longest query that is read, in bytes. The longest that a client sends, pairing phase 1, has about 2.6 kB.
pub const MAX_QUERY_BYTES: usize = 64 * 1024;

/// Most parameters in a query. A launch has about 20.
const MAX_PARAMETERS: usize = 128;

/// Why a query cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// Longer than the 64 KiB that a query may have.
    #[error("the query is longer than {MAX_QUERY_BYTES} bytes")]
    TooLong,
    /// More than 128 parameters.
    #[error("the query has more than {MAX_PARAMETERS} parameters")]
    TooManyParameters,
}

/// The decoded parameters of a query, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    parameters: Vec<(String, String)>,
}

impl Query {
    /// Decodes what follows the question mark. Percent signs that begin no escape stand for themselves; bytes that are
    /// not UTF-8 become replacement characters.
    ///
    /// # Errors
    /// [`QueryError`] if the query is too long.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        if text.len() > MAX_QUERY_BYTES {
            return Err(QueryError::TooLong);
        }
        let mut parameters = Vec::new();
        for part in text.split('&').filter(|part| !part.is_empty()) {
            if parameters.len() == MAX_PARAMETERS {
                return Err(QueryError::TooManyParameters);
            }
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            parameters.push((decode(name), decode(value)));
        }
        Ok(Self { parameters })
    }

    /// The last value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, tail)) = rest.split_first() {
        let escape = |tail: &[u8]| {
            let high = char::from(*tail.first()?).to_digit(16)?;
            let low = char::from(*tail.get(1)?).to_digit(16)?;
            u8::try_from(high << 4 | low).ok()
        };
        rest = tail;
        match first {
            b'+' => decoded.push(b' '),
            b'%' => match escape(tail) {
                Some(byte) => {
                    decoded.push(byte);
                    rest = &tail[2..];
                }
                None => decoded.push(b'%'),
            },
            other => decoded.push(other),
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Writes a query.
#[derive(Debug, Clone, Default)]
pub struct QueryWriter {
    text: String,
}

impl QueryWriter {
    /// An empty query.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `name=value`; both are encoded.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        if !self.text.is_empty() {
            self.text.push('&');
        }
        self.push(name);
        self.text.push('=');
        self.push(&value.to_string());
        self
    }

    /// The query, without a question mark.
    pub fn finish(self) -> String {
        self.text
    }

    fn push(&mut self, text: &str) {
        for byte in text.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                self.text.push(char::from(byte));
            } else {
                // Writing to a String cannot fail.
                let _ = write!(self.text, "%{byte:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_escapes_stand_for_themselves() {
        let query = Query::parse("clientcert=%zz&salt=%&x=%4&y=a+b&y=%c3%a9").unwrap();
        assert_eq!(query.get("clientcert"), Some("%zz"));
        assert_eq!(query.get("salt"), Some("%"));
        assert_eq!(query.get("x"), Some("%4"));
        assert_eq!(query.get("y"), Some("é"));
        assert_eq!(query.get("z"), None);
    }

    #[test]
    fn a_flood_of_parameters_is_refused() {
        assert_eq!(Query::parse(&"a=1&".repeat(200)), Err(QueryError::TooManyParameters));
        assert_eq!(Query::parse(&"a".repeat(MAX_QUERY_BYTES + 1)), Err(QueryError::TooLong));
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read(name in ".{1,20}", value in ".{0,40}") {
            let text = QueryWriter::new().with("first", 1).with(&name, &value).finish();
            let query = Query::parse(&text).unwrap();
            proptest::prop_assert_eq!(query.get(&name), Some(value.as_str()));
        }

        #[test]
        fn arbitrary_text_never_panics(text in ".{0,200}") {
            let _ = Query::parse(&text);
        }
    }
}
