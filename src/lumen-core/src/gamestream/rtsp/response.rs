//! Replies: written exactly as the client's parser demands, and read by the same rules (protocol part 1, section 5.1).

use std::fmt;

use super::request::{printable, split_head};

/// Largest reply that a client reads, in bytes.
const MAX_REPLY_BYTES: usize = 1 << 20;

/// Most header lines that are read.
const MAX_HEADERS: usize = 64;

/// Why bytes are not a reply that a client accepts. The names are those of the error classes of the test vectors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// Not a status line, no headers, or a NUL.
    #[error("the reply is malformed")]
    Malformed,
    /// A header without a blank behind its colon.
    #[error("a header of the reply has no blank behind its colon")]
    HeaderForm,
    /// A status other than 200.
    #[error("the host answered with {code} {reason}")]
    HostError {
        /// Status code.
        code: u16,
        /// Reason phrase.
        reason: String,
    },
    /// Larger than a client reads.
    #[error("the reply is too large")]
    TooLarge,
}

/// A reply. Header names are matched by case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    code: u16,
    reason: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Response {
    /// Success, as the answer to request number `cseq`.
    pub fn ok(cseq: Option<u32>) -> Self {
        Self::error(200, "OK", cseq)
    }

    /// A reply with a status code and a reason.
    pub fn error(code: u16, reason: &str, cseq: Option<u32>) -> Self {
        // Clients refuse a reply without any header, so that there is always this one.
        let response = Self { code, reason: printable(reason), headers: Vec::new(), body: String::new() };
        response.with_header("CSeq", cseq.unwrap_or(0))
    }

    /// Adds a header. Control characters are dropped: they would end the line.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.headers.push((name.to_owned(), printable(&value.to_string())));
        self
    }

    /// Sets the body, text without NUL.
    #[must_use]
    pub fn with_body(mut self, body: &str) -> Self {
        self.body = body.replace('\0', "");
        self
    }

    /// Status code.
    pub const fn code(&self) -> u16 {
        self.code
    }

    /// The body.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The first value of a header, by its exact name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Names and values of all headers, in order.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The message.
    pub fn to_bytes(&self) -> Vec<u8> {
        let reason = if self.reason.is_empty() { "-" } else { &self.reason };
        let mut text = format!("RTSP/1.0 {} {reason}\r\n", self.code);
        for (name, value) in &self.headers {
            text.push_str(name);
            text.push_str(": ");
            text.push_str(value);
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        text.push_str(&self.body);
        text.into_bytes()
    }

    /// Reads everything that came until the end of the connection.
    ///
    /// # Errors
    /// [`ResponseError`]; any status but 200 is one, too.
    pub fn parse(bytes: &[u8]) -> Result<Self, ResponseError> {
        if bytes.len() > MAX_REPLY_BYTES {
            return Err(ResponseError::TooLarge);
        }
        let (head, body) = split_head(bytes, 0).unwrap_or((bytes, &[]));
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_| ResponseError::Malformed);
        let (head, body) = (text(head)?, text(body)?);
        if head.contains('\0') || body.contains('\0') {
            return Err(ResponseError::Malformed);
        }
        let mut lines = head.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        let mut words = lines.next().unwrap_or_default().splitn(3, ' ');
        let (code, reason) = match (words.next(), words.next(), words.next()) {
            (Some("RTSP/1.0"), Some(code), Some(reason)) if !reason.is_empty() => (code, reason),
            _ => return Err(ResponseError::Malformed),
        };
        let code = code.parse::<u16>().map_err(|_| ResponseError::Malformed)?;
        let mut headers = Vec::new();
        for line in lines.filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or(ResponseError::Malformed)?;
            let value = value.strip_prefix(' ').ok_or(ResponseError::HeaderForm)?;
            if headers.len() == MAX_HEADERS {
                return Err(ResponseError::TooLarge);
            }
            headers.push((name.to_owned(), value.to_owned()));
        }
        if headers.is_empty() {
            return Err(ResponseError::Malformed);
        }
        if code != 200 {
            return Err(ResponseError::HostError { code, reason: reason.to_owned() });
        }
        Ok(Self { code, reason: reason.to_owned(), headers, body: body.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_reply_without_a_request_number_still_has_a_header() {
        let error = Response::parse(&Response::error(400, "Bad Request", None).to_bytes());
        assert_eq!(error, Err(ResponseError::HostError { code: 400, reason: "Bad Request".into() }));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(cseq in any::<u32>(), value in "[ -~]{1,30}", body in "[ -~\r\n]{0,80}") {
            let response = Response::ok(Some(cseq)).with_header("Session", value).with_body(&body);
            prop_assert_eq!(Response::parse(&response.to_bytes()), Ok(response));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Response::parse(&bytes);
        }
    }
}
