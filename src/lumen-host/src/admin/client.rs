//! The asking end: one request a connection over the Unix socket, blocking, for the command line.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::api::ErrorBody;

/// Longer than the host waits for a client to finish pairing.
const TIMEOUT: Duration = Duration::from_secs(40);
/// No answer is larger.
const MAX_ANSWER: u64 = 4 * 1024 * 1024;

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum AdminClientError {
    /// Nobody listens.
    #[error("lumen is not running here (nobody answers at {path}); start it with `lumen serve`", path = path.display())]
    NotRunning {
        /// Path of the socket.
        path: PathBuf,
    },
    /// The socket belongs to another user.
    #[error("no permission to open {path}; run this as the user of the host, or as root", path = path.display())]
    Forbidden {
        /// Path of the socket.
        path: PathBuf,
    },
    /// The host said no.
    #[error("{}", body.error)]
    Refused {
        /// HTTP status.
        status: u16,
        /// Why.
        body: ErrorBody,
    },
    /// The connection broke, or the answer made no sense.
    #[error("talking to the host failed: {0}")]
    Broken(#[from] io::Error),
}

/// Asks a running host.
#[derive(Debug, Clone)]
pub struct AdminClient {
    path: PathBuf,
}

impl AdminClient {
    /// A client for the host with this socket.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// `GET`.
    ///
    /// # Errors
    /// [`AdminClientError`].
    pub fn get<T: DeserializeOwned>(&self, target: &str) -> Result<T, AdminClientError> {
        parse(&self.request("GET", target, None)?)
    }

    /// `POST` with a JSON body.
    ///
    /// # Errors
    /// [`AdminClientError`].
    pub fn post<T: DeserializeOwned>(&self, target: &str, body: &impl Serialize) -> Result<T, AdminClientError> {
        parse(&self.request("POST", target, Some(encode(body)?))?)
    }

    /// `POST` without body, for requests whose answer is empty.
    ///
    /// # Errors
    /// [`AdminClientError`].
    pub fn post_empty(&self, target: &str) -> Result<(), AdminClientError> {
        self.request("POST", target, None).map(drop)
    }

    /// `PATCH` with a JSON body.
    ///
    /// # Errors
    /// [`AdminClientError`].
    pub fn patch<T: DeserializeOwned>(&self, target: &str, body: &impl Serialize) -> Result<T, AdminClientError> {
        parse(&self.request("PATCH", target, Some(encode(body)?))?)
    }

    /// `PUT` with a JSON body.
    ///
    /// # Errors
    /// [`AdminClientError`].
    pub fn put<T: DeserializeOwned>(&self, target: &str, body: &impl Serialize) -> Result<T, AdminClientError> {
        parse(&self.request("PUT", target, Some(encode(body)?))?)
    }

    /// `DELETE`.
    ///
    /// # Errors
    /// [`AdminClientError`].
    pub fn delete<T: DeserializeOwned>(&self, target: &str) -> Result<T, AdminClientError> {
        parse(&self.request("DELETE", target, None)?)
    }

    fn request(&self, method: &str, target: &str, body: Option<Vec<u8>>) -> Result<Vec<u8>, AdminClientError> {
        let mut stream = UnixStream::connect(&self.path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                AdminClientError::NotRunning { path: self.path.clone() }
            }
            io::ErrorKind::PermissionDenied => AdminClientError::Forbidden { path: self.path.clone() },
            _ => AdminClientError::Broken(error),
        })?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let body = body.unwrap_or_default();
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: lumen\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(&body)?;
        let mut answer = Vec::new();
        stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
        let (status, body) = split(&answer).ok_or_else(|| senseless("no HTTP answer"))?;
        if (200..300).contains(&status) {
            return Ok(body.to_vec());
        }
        let body = serde_json::from_slice(body)
            .unwrap_or_else(|_| ErrorBody { error: format!("the host answered {status}"), pending: Vec::new() });
        Err(AdminClientError::Refused { status, body })
    }
}

/// Status and body of an answer that ends with the connection.
fn split(answer: &[u8]) -> Option<(u16, &[u8])> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(answer.get(..end)?).ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer.get(end + 4..)?))
}

fn encode(body: &impl Serialize) -> io::Result<Vec<u8>> {
    serde_json::to_vec(body).map_err(io::Error::other)
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, AdminClientError> {
    serde_json::from_slice(body).map_err(|error| AdminClientError::Broken(senseless(&error.to_string())))
}

fn senseless(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the answer makes no sense: {why}"))
}
