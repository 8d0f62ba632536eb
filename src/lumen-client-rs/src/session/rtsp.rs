//! The requests of the handshake, each on a connection of its own.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use lumen_core::gamestream::rtsp::{Request, Response, RtspCipher, SealedRecord};

use crate::error::ClientError;

/// How long a refused connection is tried again.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// How long a reply may take.
const REPLY_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest reply.
const MAX_REPLY: u64 = (1 << 20) + 24;

/// Asks one host.
pub struct RtspClient {
    address: SocketAddr,
    cipher: Option<RtspCipher>,
}

impl RtspClient {
    /// `key` is the session's if the host encrypts RTSP.
    pub fn new(address: SocketAddr, key: Option<&[u8; 16]>) -> Self {
        Self { address, cipher: key.map(|key| RtspCipher::client(key, 1)) }
    }

    /// Sends a request and reads its reply, which is a success.
    pub fn ask(&mut self, step: &'static str, request: &Request) -> Result<Response, ClientError> {
        let wrong = |error: &dyn std::fmt::Display| ClientError::handshake(step, error);
        let plain = request.to_bytes();
        let message = match &mut self.cipher {
            Some(cipher) => cipher.seal(&plain).map_err(|error| wrong(&error))?,
            None => plain,
        };
        let reply = self.exchange(&message).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => wrong(&"the host does not answer"),
            _ => wrong(&error),
        })?;
        if reply.is_empty() {
            return Err(wrong(&"the host closed the connection without a reply"));
        }
        let reply = match &mut self.cipher {
            Some(cipher) => {
                let record = SealedRecord::parse(&reply).map_err(|error| wrong(&error))?;
                cipher.open(&record).map_err(|error| wrong(&error))?
            }
            None => reply,
        };
        Response::parse(&reply).map_err(|error| wrong(&error))
    }

    fn exchange(&self, message: &[u8]) -> io::Result<Vec<u8>> {
        let mut stream = self.connect()?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(REPLY_TIMEOUT))?;
        stream.set_write_timeout(Some(REPLY_TIMEOUT))?;
        stream.write_all(message)?;
        let mut reply = Vec::new();
        stream.take(MAX_REPLY + 1).read_to_end(&mut reply)?;
        Ok(reply)
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let deadline = Instant::now() + CONNECT_TIMEOUT;
        loop {
            match TcpStream::connect_timeout(&self.address, CONNECT_TIMEOUT) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && Instant::now() < deadline => {
                    thread::sleep(RETRY_INTERVAL);
                }
                result => return result,
            }
        }
    }
}
