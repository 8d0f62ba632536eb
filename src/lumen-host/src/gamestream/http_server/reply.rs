//! Replies as HTTP responses.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use lumen_core::gamestream::http::ErrorReply;

/// Body of a response.
pub(super) type Body = Full<Bytes>;

/// An XML reply, under status 200 whatever it says.
pub(super) fn xml(text: String) -> Response<Body> {
    response(StatusCode::OK, "application/xml", Bytes::from(text))
}

/// An error reply, under status 200.
pub(super) fn error(reply: &ErrorReply) -> Response<Body> {
    xml(reply.to_xml())
}

/// A path that is not served: the one error that clients understand as a status.
pub(super) fn not_found(path: &str) -> Response<Body> {
    let text = ErrorReply::not_found(path).to_xml();
    response(StatusCode::NOT_FOUND, "application/xml", Bytes::from(text))
}

/// A picture.
pub(super) fn png(bytes: Bytes) -> Response<Body> {
    response(StatusCode::OK, "image/png", bytes)
}

fn response(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
