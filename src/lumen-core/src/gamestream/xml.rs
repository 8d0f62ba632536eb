//! The XML dialect of the HTTP replies (protocol part 1, sections 2.2 and 7): a writer that can only produce what
//! every client reads, and a reader that names what is wrong with a reply.
//!
//! The writer never emits blanks between elements, which one client's parser cannot stand, and always puts
//! `status_code` first. The reader never follows entities or document types.

use std::fmt::Write as _;

/// Longest reply that is read, in bytes. An application list of a thousand entries is a tenth of it.
pub const MAX_REPLY_BYTES: usize = 1 << 20;

/// Most XML nodes that a reply may have.
const MAX_NODES: u32 = 65_536;

/// What is wrong with a reply. The names are those of the error classes of the protocol's test vectors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// Larger than [`MAX_REPLY_BYTES`], or a text above its own limit.
    #[error("the reply, or a text in it, is too long")]
    TooLong,
    /// Not well-formed XML, or a document type in it.
    #[error("the reply is not XML")]
    BadXml,
    /// The root element has no usable `status_code`.
    #[error("the reply has no status code")]
    MissingStatusCode,
    /// `status_message` stands before `status_code`.
    #[error("the reply's status message stands before its code")]
    AttributeOrder,
    /// Root code 401: the host does not know this client's certificate.
    #[error("the host does not know this client; pair first")]
    Unauthorised,
    /// Root code 470: the running application was started by another client.
    #[error("the application was started by another client: {0}")]
    OtherOwner(String),
    /// Root code 525: the running application is minimised.
    #[error("the application is minimised: {0}")]
    Minimised(String),
    /// Any other root code but 200.
    #[error("the host answered with error {code}: {message}")]
    HostError {
        /// Root code.
        code: u32,
        /// Text for the user.
        message: String,
    },
    /// Blanks between elements.
    #[error("the reply has blanks between elements")]
    Whitespace,
    /// An element appears twice.
    #[error("element {0} appears twice")]
    DuplicateElement(String),
    /// A required element is absent.
    #[error("element {0} is missing")]
    MissingElement(&'static str),
    /// A required element has no text.
    #[error("element {0} is empty")]
    EmptyElement(&'static str),
    /// An element is not a decimal number.
    #[error("element {0} is not a number")]
    BadNumber(&'static str),
    /// A number is outside of its range.
    #[error("element {0} is out of range")]
    OutOfRange(&'static str),
    /// The application version is not four numbers separated by dots.
    #[error("the version is not four numbers")]
    BadVersion,
    /// An address is not an IPv4 address.
    #[error("element {0} is not an IPv4 address")]
    BadAddress(&'static str),
    /// The codec mask is zero or absent.
    #[error("the host offers no codec")]
    NoCodec,
    /// The state contains `MJOLNIR`, which marks NVIDIA's own, incompatible host.
    #[error("the host is NVIDIA's own software")]
    NvidiaState,
    /// An application number is not in 1..=2147483647.
    #[error("an application has a bad number")]
    BadAppId,
    /// Two applications have the same number.
    #[error("two applications have the number {0}")]
    DuplicateAppId(u32),
    /// The application list is empty.
    #[error("the host offers no application")]
    EmptyList,
    /// The reply says that the request was not carried out, without an error code.
    #[error("the host refused the request")]
    Refused,
    /// A session URL has neither the scheme `rtsp` nor `rtspenc`.
    #[error("the session URL has an unknown scheme")]
    BadScheme,
    /// `paired` is not 1.
    #[error("the host did not pair")]
    PairingFailed,
    /// The host pairs with somebody else, or does not pair at all now.
    #[error("the host is busy with another pairing; try again later")]
    Busy,
    /// Hexadecimal text is malformed.
    #[error("element {0} is not hexadecimal")]
    BadHex(&'static str),
    /// A binary element has the wrong length.
    #[error("element {0} has the wrong length")]
    BadLength(&'static str),
    /// The host's certificate cannot be read.
    #[error("the host's certificate cannot be read")]
    BadCertificate,
}

/// Writes one reply. Elements appear in the order of the calls.
#[derive(Debug)]
pub struct ReplyWriter {
    text: String,
}

impl ReplyWriter {
    /// A reply that reports success.
    pub fn ok() -> Self {
        Self::with_status(200, "OK", None)
    }

    /// A reply with a root code, a message for the user, and, for 401, the path that was asked for.
    pub fn with_status(code: u32, message: &str, query: Option<&str>) -> Self {
        let mut text = String::with_capacity(512);
        text.push_str("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<root status_code=\"");
        // Writing to a String cannot fail.
        let _ = write!(text, "{code}\"");
        if let Some(query) = query {
            let _ = write!(text, " query=\"{}\"", escape(query));
        }
        let _ = write!(text, " status_message=\"{}\">", escape(message));
        Self { text }
    }

    /// Adds `<name>value</name>`; `value` is escaped.
    #[must_use]
    pub fn element(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        let _ = write!(self.text, "<{name}>{}</{name}>", escape(&value.to_string()));
        self
    }

    /// Adds `<name>…</name>` with what `content` adds inside.
    #[must_use]
    pub fn group(mut self, name: &str, content: impl FnOnce(Self) -> Self) -> Self {
        let _ = write!(self.text, "<{name}>");
        let mut inner = content(self);
        let _ = write!(inner.text, "</{name}>");
        inner
    }

    /// The finished text.
    pub fn finish(mut self) -> String {
        self.text.push_str("</root>");
        self.text
    }
}

/// Escapes text for elements and attributes and drops what XML 1.0 cannot hold.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            // Written as references: a literal one would be normalised to a line feed, or a blank in attributes.
            '\r' => escaped.push_str("&#13;"),
            '\t' => escaped.push_str("&#9;"),
            '\n' => escaped.push_str("&#10;"),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {}
            other => escaped.push(other),
        }
    }
    escaped
}

/// A well-formed reply that reports success.
pub(crate) struct Reply<'a> {
    document: roxmltree::Document<'a>,
}

impl<'a> Reply<'a> {
    /// Reads the root of a reply (section 2.2).
    pub(crate) fn parse(text: &'a str) -> Result<Self, ReplyError> {
        if text.len() > MAX_REPLY_BYTES {
            return Err(ReplyError::TooLong);
        }
        let options = roxmltree::ParsingOptions { nodes_limit: MAX_NODES, ..Default::default() };
        let document = roxmltree::Document::parse_with_options(text, options).map_err(|_| ReplyError::BadXml)?;
        let root = document.root_element();
        let position = |name: &str| root.attributes().position(|attribute| attribute.name() == name);
        let code = root.attribute("status_code").ok_or(ReplyError::MissingStatusCode)?;
        if let (Some(code), Some(message)) = (position("status_code"), position("status_message"))
            && message < code
        {
            return Err(ReplyError::AttributeOrder);
        }
        // Other hosts have been seen to send -1, printed as an unsigned number.
        let code = code.trim().parse::<i64>().map_err(|_| ReplyError::MissingStatusCode)?;
        let message = || root.attribute("status_message").unwrap_or_default().to_owned();
        match code {
            200 => Ok(Self { document }),
            401 => Err(ReplyError::Unauthorised),
            470 => Err(ReplyError::OtherOwner(message())),
            525 => Err(ReplyError::Minimised(message())),
            other => Err(ReplyError::HostError { code: u32::try_from(other).unwrap_or(u32::MAX), message: message() }),
        }
    }

    /// The root's child elements.
    pub(crate) fn elements(&self) -> impl Iterator<Item = roxmltree::Node<'_, 'a>> {
        self.document.root_element().children().filter(roxmltree::Node::is_element)
    }

    /// Text of the root's first child of that name: `None` if there is no such element.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        child_text(self.document.root_element(), name)
    }

    /// Text of a child that must be there and must not be empty.
    pub(crate) fn required(&self, name: &'static str) -> Result<String, ReplyError> {
        let text = self.text(name).ok_or(ReplyError::MissingElement(name))?;
        if text.is_empty() { Err(ReplyError::EmptyElement(name)) } else { Ok(text) }
    }

    /// A decimal number; 0 if the element is absent or empty.
    pub(crate) fn number(&self, name: &'static str) -> Result<i64, ReplyError> {
        match self.text(name).as_deref() {
            None | Some("") => Ok(0),
            Some(text) => decimal(text).ok_or(ReplyError::BadNumber(name)),
        }
    }

    /// Refuses blanks between elements (section 7, trap 1).
    pub(crate) fn refuse_whitespace(&self) -> Result<(), ReplyError> {
        let blank = |node: roxmltree::Node<'_, '_>| {
            node.is_text()
                && node.text().is_some_and(|text| !text.is_empty() && text.trim().is_empty())
                && node.parent().is_some_and(|parent| parent.children().any(|child| child.is_element()))
        };
        if self.document.descendants().any(blank) { Err(ReplyError::Whitespace) } else { Ok(()) }
    }

    /// Refuses two children of the root with one name (section 7, trap 13).
    pub(crate) fn refuse_duplicates(&self) -> Result<(), ReplyError> {
        let mut seen = std::collections::BTreeSet::new();
        for element in self.elements() {
            let name = element.tag_name().name();
            if !seen.insert(name.to_owned()) {
                return Err(ReplyError::DuplicateElement(name.to_owned()));
            }
        }
        Ok(())
    }
}

/// Text of the first child element of that name.
pub(crate) fn child_text(parent: roxmltree::Node<'_, '_>, name: &str) -> Option<String> {
    let element = parent.children().find(|child| child.is_element() && child.tag_name().name() == name)?;
    Some(element.children().filter(roxmltree::Node::is_text).filter_map(|node| node.text()).collect())
}

/// A decimal number with an optional minus sign and nothing else.
pub(crate) fn decimal(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_code_comes_first_and_texts_are_escaped() {
        let text = ReplyWriter::with_status(400, "a<b & \"c\"", Some("/x")).element("paired", 0).finish();
        assert_eq!(
            text,
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<root status_code=\"400\" query=\"/x\" \
             status_message=\"a&lt;b &amp; &quot;c&quot;\"><paired>0</paired></root>"
        );
    }

    #[test]
    fn document_types_are_refused() {
        let bomb = "<!DOCTYPE root [<!ENTITY a \"aaaa\">]><root status_code=\"200\">&a;</root>";
        assert_eq!(Reply::parse(bomb).err(), Some(ReplyError::BadXml));
    }

    #[test]
    fn deep_nesting_does_not_overflow_the_stack() {
        let mut text = String::from("<root status_code=\"200\">");
        for _ in 0..100_000 {
            text.push_str("<a>");
        }
        assert_eq!(Reply::parse(&text).err(), Some(ReplyError::BadXml));
    }

    proptest::proptest! {
        #[test]
        fn any_text_survives_the_way_through_an_element(value in "[ -~\u{a0}-\u{2fff}\t\r\n]{0,60}") {
            let text = ReplyWriter::ok().element("hostname", &value).finish();
            let reply = Reply::parse(&text).unwrap();
            proptest::prop_assert_eq!(reply.text("hostname").unwrap(), value);
        }

        #[test]
        fn arbitrary_text_never_panics(text in ".{0,200}") {
            let _ = Reply::parse(&text);
            let _ = escape(&text);
        }
    }
}
