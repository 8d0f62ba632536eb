//! Attribute lines, `a=NAME:VALUE`. Values end in a blank that does not count; lines end in CRLF or LF.

use std::collections::HashMap;

use super::AnnounceError;

/// Longest body that is read, in bytes; clients send about 1.7 kB.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// Most attribute lines; clients send about 45.
const MAX_ATTRIBUTES: usize = 512;

/// The attributes of a body. A name that appears twice has its last value.
#[derive(Debug, Clone, Default)]
pub struct Attributes<'a> {
    values: HashMap<&'a str, &'a str>,
}

impl<'a> Attributes<'a> {
    /// Collects the attribute lines; all other lines are ignored.
    ///
    /// # Errors
    /// [`AnnounceError::TooLarge`] if there are more than any client sends.
    pub fn parse(body: &'a str) -> Result<Self, AnnounceError> {
        if body.len() > MAX_BODY_BYTES {
            return Err(AnnounceError::TooLarge);
        }
        let mut values = HashMap::new();
        for (name, value) in body.split(['\r', '\n']).filter_map(attribute_line) {
            values.insert(name, value);
            if values.len() > MAX_ATTRIBUTES {
                return Err(AnnounceError::TooLarge);
            }
        }
        Ok(Self { values })
    }

    /// The value of a name, trimmed.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.values.get(name).copied()
    }

    /// A decimal number: `None` if the attribute is absent.
    ///
    /// # Errors
    /// [`AnnounceError::BadNumber`] for any other text, [`AnnounceError::OutOfRange`] above 32 bits.
    pub fn number(&self, name: &'static str) -> Result<Option<u32>, AnnounceError> {
        match self.get(name) {
            None => Ok(None),
            Some(text) if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) => {
                Err(AnnounceError::BadNumber(name))
            }
            Some(text) => text.parse().map(Some).map_err(|_| AnnounceError::OutOfRange(name)),
        }
    }
}

/// Name and trimmed value of one attribute line, split at the first colon; `None` for other lines.
pub fn attribute_line(line: &str) -> Option<(&str, &str)> {
    let attribute = line.strip_prefix("a=")?;
    let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
    Some((name, value.trim()))
}
