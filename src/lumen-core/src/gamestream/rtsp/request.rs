//! Requests: read as a tolerant host reads them, written as clients write them (protocol part 1, section 5.1).

use std::fmt;
use std::str::FromStr;

use super::{MAX_BODY_BYTES, MAX_HEAD_BYTES, Response};
use crate::gamestream::sdp::StreamKind;

/// Most header lines; clients send about eight.
const MAX_HEADERS: usize = 64;

/// The methods that clients use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// What can be asked.
    Options,
    /// What the host can do.
    Describe,
    /// Ports of one stream.
    Setup,
    /// What the client wants.
    Announce,
    /// Begin.
    Play,
}

impl Method {
    /// All methods, in the order of a handshake.
    pub const ALL: [Self; 5] = [Self::Options, Self::Describe, Self::Setup, Self::Announce, Self::Play];

    /// The word on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Options => "OPTIONS",
            Self::Describe => "DESCRIBE",
            Self::Setup => "SETUP",
            Self::Announce => "ANNOUNCE",
            Self::Play => "PLAY",
        }
    }
}

impl FromStr for Method {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|method| method.name() == name).ok_or(())
    }
}

impl fmt::Display for Method {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Why bytes are not a request. The names are those of the error classes of the test vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// More bytes must follow.
    #[error("the request is incomplete")]
    Incomplete,
    /// Not a request line, or not a header line.
    #[error("the request is malformed")]
    Malformed,
    /// A method that no client uses.
    #[error("unknown method")]
    UnknownMethod {
        /// Number of the request, for the reply.
        cseq: Option<u32>,
    },
    /// `Content-length` is not a number.
    #[error("the length of the body is not a number")]
    BadNumber {
        /// Number of the request, for the reply.
        cseq: Option<u32>,
    },
    /// Head or body is larger than allowed.
    #[error("the request is too large")]
    TooLarge,
    /// SETUP of a stream that does not exist.
    #[error("unknown stream")]
    UnknownStream {
        /// Number of the request, for the reply.
        cseq: Option<u32>,
    },
}

impl RequestError {
    /// What to answer.
    pub fn to_response(self) -> Response {
        match self {
            Self::UnknownMethod { cseq } => Response::error(405, "Method Not Allowed", cseq),
            Self::UnknownStream { cseq } => Response::error(404, "Not Found", cseq),
            Self::BadNumber { cseq } => Response::error(400, "Bad Request", cseq),
            Self::TooLarge => Response::error(413, "Request Entity Too Large", None),
            Self::Incomplete | Self::Malformed => Response::error(400, "Bad Request", None),
        }
    }
}

/// Why a request could not be read yet, or ever.
pub(super) enum Unread {
    /// It is no request.
    Never(RequestError),
    /// At least so many bytes are missing.
    Missing(usize),
}

impl From<RequestError> for Unread {
    fn from(error: RequestError) -> Self {
        Self::Never(error)
    }
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is asked.
    pub method: Method,
    /// Target, as it was written: `streamid=audio/0/0`, `/`, or a URL.
    pub target: String,
    headers: Vec<(String, String)>,
    /// Body; empty if there is none.
    pub body: Vec<u8>,
}

impl Request {
    /// A request without headers.
    pub fn new(method: Method, target: impl Into<String>) -> Self {
        Self { method, target: target.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// Adds a header. Control characters are dropped: they would end the line.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.headers.push((name.to_owned(), printable(&value.to_string())));
        self
    }

    /// Sets the body and adds its length as a header.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        let length = self.body.len();
        self.with_header("Content-length", length)
    }

    /// The last value of a header, by its name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        find_header(&self.headers, name)
    }

    /// Number of the request, if it is one.
    pub fn cseq(&self) -> Option<u32> {
        self.header("CSeq")?.parse().ok()
    }

    /// The `Host` header.
    pub fn host(&self) -> Option<&str> {
        self.header("Host")
    }

    /// The stream that the target names: what stands between `streamid=` and the first slash.
    pub fn stream(&self) -> Option<&str> {
        self.target.strip_prefix("streamid=").map(|rest| rest.split('/').next().unwrap_or(rest))
    }

    /// The stream of a SETUP request; it is known to exist, since the request could be read.
    pub fn stream_kind(&self) -> Option<StreamKind> {
        self.stream()?.parse().ok()
    }

    /// The body as text.
    pub fn body_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.body).ok()
    }

    /// Reads a complete request. Lines may end in CRLF or LF, header names may have any case, bytes behind the body
    /// are ignored.
    ///
    /// # Errors
    /// [`RequestError`]; [`RequestError::Incomplete`] if more bytes must follow.
    pub fn parse(bytes: &[u8]) -> Result<Self, RequestError> {
        Self::parse_or_missing(bytes).map_err(|unread| match unread {
            Unread::Never(error) => error,
            Unread::Missing(_) => RequestError::Incomplete,
        })
    }

    /// As [`Request::parse`], but says how many bytes are missing at least.
    pub(super) fn parse_or_missing(bytes: &[u8]) -> Result<Self, Unread> {
        let Some((head, body)) = split_head(bytes, 0) else {
            let too_long = bytes.len() > MAX_HEAD_BYTES;
            return Err(if too_long { RequestError::TooLarge.into() } else { Unread::Missing(1) });
        };
        if head.len() > MAX_HEAD_BYTES {
            return Err(RequestError::TooLarge.into());
        }
        let head = std::str::from_utf8(head).map_err(|_| RequestError::Malformed)?;
        let mut lines = head.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (method, target) = match (words.next(), words.next(), words.next(), words.next()) {
            (Some(method), Some(target), Some("RTSP/1.0"), None) => (method, target),
            _ => return Err(RequestError::Malformed.into()),
        };
        let mut headers = Vec::new();
        for line in lines {
            let (name, value) = line.split_once(':').ok_or(RequestError::Malformed)?;
            if headers.len() == MAX_HEADERS {
                return Err(RequestError::TooLarge.into());
            }
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        let cseq = find_header(&headers, "CSeq").and_then(|number| number.parse().ok());
        let method = method.parse().map_err(|()| RequestError::UnknownMethod { cseq })?;
        let length = match find_header(&headers, "Content-length") {
            None => 0,
            Some(text) if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) => {
                return Err(RequestError::BadNumber { cseq }.into());
            }
            // A number that does not fit is a number above the limit.
            Some(text) => text.parse().unwrap_or(usize::MAX),
        };
        if length > MAX_BODY_BYTES {
            return Err(RequestError::TooLarge.into());
        }
        let body = body.get(..length).ok_or(Unread::Missing(length.saturating_sub(body.len())))?.to_vec();
        let request = Self { method, target: target.to_owned(), headers, body };
        if request.stream().is_some() && method == Method::Setup && request.stream_kind().is_none() {
            return Err(RequestError::UnknownStream { cseq }.into());
        }
        Ok(request)
    }

    /// The message.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("{} {} RTSP/1.0\r\n", self.method, printable(&self.target).replace(' ', ""));
        for (name, value) in &self.headers {
            text.push_str(name);
            text.push_str(": ");
            text.push_str(value);
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// Head (without the blank line) and what follows it. The search may begin at `from`, if no blank line ends before it.
pub(super) fn split_head(bytes: &[u8], from: usize) -> Option<(&[u8], &[u8])> {
    let mut position = from;
    while let Some(offset) = bytes.get(position..)?.iter().position(|byte| *byte == b'\n') {
        let end = position + offset;
        let rest = &bytes[end + 1..];
        let blank = if rest.starts_with(b"\r\n") {
            2
        } else if rest.starts_with(b"\n") {
            1
        } else {
            position = end + 1;
            continue;
        };
        let head = &bytes[..end];
        return Some((head.strip_suffix(b"\r").unwrap_or(head), &rest[blank..]));
    }
    None
}

pub(super) fn find_header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().rev().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

pub(super) fn printable(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bare_line_feeds_are_read() {
        let request = Request::parse(b"SETUP streamid=audio/0/0 RTSP/1.0\nCSeq:3\n\n").unwrap();
        assert_eq!((request.stream_kind(), request.cseq()), (Some(StreamKind::Audio), Some(3)));
    }

    #[test]
    fn floods_of_headers_and_endless_heads_are_refused() {
        let mut flood = b"PLAY / RTSP/1.0\r\n".to_vec();
        flood.extend(b"a: b\r\n".repeat(100));
        flood.extend(b"\r\n");
        assert_eq!(Request::parse(&flood), Err(RequestError::TooLarge));
        assert_eq!(Request::parse(&[b'a'; MAX_HEAD_BYTES + 1]), Err(RequestError::TooLarge));
    }

    #[test]
    fn headers_cannot_be_split_by_their_values() {
        let request = Request::new(Method::Play, "/\r\nEvil: 1").with_header("Host", "a\r\nEvil: 2");
        assert!(!String::from_utf8(request.to_bytes()).unwrap().contains("\nEvil"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(method in 0usize..5, target in "[!-~]{1,30}", values in proptest::collection::vec("[!-~]([ -~]{0,20}[!-~])?", 0..8), body in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assume!(!target.starts_with("streamid="));
            let mut request = Request::new(Method::ALL[method], target);
            for (index, value) in values.iter().enumerate() {
                request = request.with_header(&format!("X-{index}"), value);
            }
            let request = request.with_body(body);
            prop_assert_eq!(Request::parse(&request.to_bytes()), Ok(request));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Request::parse(&bytes);
        }

        #[test]
        fn arbitrary_lines_never_panic(text in "(SETUP |streamid=|RTSP/1.0|Content-length: |\r\n|\n|[0-9a-z/ :é]){0,20}") {
            let _ = Request::parse(text.as_bytes());
        }
    }
}
