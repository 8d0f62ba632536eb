//! Text packets (protocol part 3, section 3.3). Stock clients send one code point per packet.

use super::InputError;
use super::number::OutOfRange;
use crate::reader::Reader;

/// UTF-8 text of at most [`Text::MAX_BYTES`] bytes, as sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Text(String);

impl Text {
    /// The longest text of one packet, in bytes.
    pub const MAX_BYTES: usize = 32;

    /// The text as it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The characters to type: all but the C0 controls other than tab, line feed and carriage return.
    pub fn delivered(&self) -> impl Iterator<Item = char> {
        self.0.chars().filter(|c| *c >= ' ' || matches!(c, '\t' | '\n' | '\r'))
    }

    pub(super) fn read(body: &mut Reader<'_>) -> Result<Self, InputError> {
        let bytes = body.rest();
        if bytes.len() > Self::MAX_BYTES {
            return Err(InputError::TooLong(bytes.len()));
        }
        std::str::from_utf8(bytes).map(|text| Self(text.to_owned())).map_err(|_| InputError::BadText)
    }
}

impl TryFrom<String> for Text {
    type Error = OutOfRange;

    fn try_from(text: String) -> Result<Self, OutOfRange> {
        if text.len() <= Self::MAX_BYTES { Ok(Self(text)) } else { Err(OutOfRange) }
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.0
    }
}
