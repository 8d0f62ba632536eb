//! The XML dialect of the HTTP replies.
