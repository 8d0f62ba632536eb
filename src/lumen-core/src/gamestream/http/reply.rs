//! Replies that report an error (protocol part 1, sections 2.2, 4.5 and 7.3).

use crate::gamestream::xml::ReplyWriter;

/// An error reply. It goes out under HTTP status 200: clients never read the body of any other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorReply {
    code: u32,
    message: String,
    query: Option<String>,
    /// Element that says "not done" in this kind of reply, such as `gamesession`.
    zero_element: Option<&'static str>,
}

impl ErrorReply {
    /// An error with a root code other than 200 and a message that the client shows to its user.
    pub fn new(code: u32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), query: None, zero_element: None }
    }

    /// 401, for every HTTPS request without a pinned certificate: makes clients fall back to HTTP and show the host
    /// as not paired.
    pub fn unauthorised(path: &str) -> Self {
        Self {
            query: Some(path.to_owned()),
            ..Self::new(401, "The client is not authorized. Certificate verification failed.")
        }
    }

    /// 404, for a path that this host does not serve.
    pub fn not_found(path: &str) -> Self {
        Self { query: Some(path.to_owned()), ..Self::new(404, "Not found") }
    }

    /// Adds `<name>0</name>`, as replies to `/launch` (`gamesession`), `/resume` (`resume`), `/cancel` (`cancel`) and
    /// `/pair` (`paired`) need.
    #[must_use]
    pub const fn with_zero(mut self, element: &'static str) -> Self {
        self.zero_element = Some(element);
        self
    }

    /// The root code.
    pub const fn code(&self) -> u32 {
        self.code
    }

    /// The message for the user.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The reply's body.
    pub fn to_xml(&self) -> String {
        let writer = ReplyWriter::with_status(self.code, &self.message, self.query.as_deref());
        match self.zero_element {
            Some(name) => writer.element(name, 0).finish(),
            None => writer.finish(),
        }
    }
}
