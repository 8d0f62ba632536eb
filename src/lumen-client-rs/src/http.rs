//! A small HTTP client, as much as hosts need: GET, one request per connection, XML back; over TLS with this client's
//! certificate, and only to a host that presents the certificate that was pinned.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use lumen_core::gamestream::pairing::{Certificate, Identity};
use openssl::pkey::PKey;
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
use openssl::x509::X509;

use crate::clock::entropy;
use crate::error::ClientError;

/// Longest reply that is read, headers included, in bytes.
const MAX_REPLY: u64 = 2 << 20;
/// How long a TCP connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a reply may take, for requests that nobody has to think about.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a launch may take: the host starts an application.
pub const LAUNCH_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a user may take to type a PIN.
pub const PIN_TIMEOUT: Duration = Duration::from_secs(310);

/// Who makes requests.
pub struct HttpClient {
    connector: SslConnector,
    unique_id: String,
}

impl HttpClient {
    /// Requests in the name of `identity`.
    pub fn new(identity: &Identity, unique_id: &str) -> Result<Self, ClientError> {
        let wrong = |error: openssl::error::ErrorStack| ClientError::local("cannot set up TLS", error);
        let key = PKey::private_key_from_pem(identity.key_pem()?.as_bytes()).map_err(wrong)?;
        let certificate = X509::from_der(identity.certificate().der()).map_err(wrong)?;
        let mut builder = SslConnector::builder(SslMethod::tls_client()).map_err(wrong)?;
        // Hosts sign their own certificates: what counts is that it is the pinned one, which `get` compares.
        builder.set_verify(SslVerifyMode::NONE);
        builder.set_certificate(&certificate).map_err(wrong)?;
        builder.set_private_key(&key).map_err(wrong)?;
        Ok(Self { connector: builder.build(), unique_id: unique_id.to_owned() })
    }

    /// GET over plain HTTP.
    pub fn get(&self, to: SocketAddr, path: &str, query: &str, timeout: Duration) -> Result<String, ClientError> {
        let unreachable = |error: io::Error| ClientError::Unreachable { address: to.to_string(), reason: said(&error) };
        let stream = connect(to, timeout).map_err(unreachable)?;
        self.exchange(stream, to, path, query, timeout)
    }

    /// GET over HTTPS from the host that owns `pinned`.
    pub fn get_pinned(
        &self,
        to: SocketAddr,
        pinned: &Certificate,
        path: &str,
        query: &str,
        timeout: Duration,
    ) -> Result<String, ClientError> {
        let unreachable = |error: io::Error| ClientError::Unreachable { address: to.to_string(), reason: said(&error) };
        let stream = connect(to, timeout).map_err(unreachable)?;
        let tls = |error: &dyn std::fmt::Display| ClientError::handshake("TLS", error);
        let stream = self
            .connector
            .configure()
            .map_err(|error| tls(&error))?
            .use_server_name_indication(false)
            .verify_hostname(false)
            .connect("host", stream)
            .map_err(|error| tls(&error))?;
        let presented = stream.ssl().peer_certificate().and_then(|certificate| certificate.to_der().ok());
        if presented.as_deref() != Some(pinned.der()) {
            return Err(ClientError::OtherCertificate { host: to.to_string() });
        }
        self.exchange(stream, to, path, query, timeout)
    }

    fn exchange(
        &self,
        mut stream: impl Read + Write,
        to: SocketAddr,
        path: &str,
        query: &str,
        timeout: Duration,
    ) -> Result<String, ClientError> {
        let unreachable = |error: io::Error| ClientError::Unreachable { address: to.to_string(), reason: said(&error) };
        let request = format!("GET {} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n", self.target(path, query));
        stream.write_all(request.as_bytes()).map_err(unreachable)?;
        let reply = read_reply(&mut stream, Instant::now() + timeout).map_err(unreachable)?;
        body(&reply).map_err(|reason| ClientError::handshake("HTTP", reason))
    }

    /// Path and query with what every request carries.
    fn target(&self, path: &str, query: &str) -> String {
        let mut uuid = [0; 16];
        entropy(&mut uuid);
        let mut target = format!("{path}?");
        // Pairing writes its own identifier.
        if !query.split('&').any(|pair| pair.starts_with("uniqueid=")) {
            target.push_str(&format!("uniqueid={}&", self.unique_id));
        }
        target.push_str(&format!("uuid={:032x}", u128::from_be_bytes(uuid)));
        if !query.is_empty() {
            target.push('&');
            target.push_str(query);
        }
        target
    }
}

fn connect(to: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, CONNECT_TIMEOUT.min(timeout))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(REPLY_TIMEOUT))?;
    Ok(stream)
}

/// Reads until the reply is complete by its own length, or the host closes.
fn read_reply(stream: &mut impl Read, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut reply = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        let count = match stream.read(&mut piece) {
            Ok(0) => return Ok(reply),
            Ok(count) => count,
            // Hosts that close without saying so in TLS first are common.
            Err(error) if !reply.is_empty() && error.kind() != io::ErrorKind::WouldBlock => {
                return if is_complete(&reply) { Ok(reply) } else { Err(error) };
            }
            Err(error) => return Err(error),
        };
        reply.extend_from_slice(&piece[..count]);
        if reply.len() as u64 > MAX_REPLY {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the reply is too long"));
        }
        if is_complete(&reply) {
            return Ok(reply);
        }
        if Instant::now() > deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}

/// Head and body of what arrived, once the head is complete.
fn split(reply: &[u8]) -> Option<(&str, &[u8])> {
    let end = reply.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some((std::str::from_utf8(&reply[..end]).ok()?, &reply[end + 4..]))
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.split("\r\n").skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

fn is_complete(reply: &[u8]) -> bool {
    let Some((head, body)) = split(reply) else { return false };
    if header(head, "Transfer-Encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        return unchunk(body).is_some();
    }
    header(head, "Content-Length")
        .and_then(|value| value.parse().ok())
        .is_some_and(|length: usize| body.len() >= length)
}

/// The body as text. What it means stands in its XML; the status line only matters where there is none.
fn body(reply: &[u8]) -> Result<String, String> {
    let (head, body) = split(reply).ok_or("the host closed the connection without a reply")?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse::<u16>().ok()).ok_or("the reply is not HTTP")?;
    let chunked = header(head, "Transfer-Encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    let body = if chunked { unchunk(body).ok_or("the reply is cut short")? } else { body.to_vec() };
    if status != 200 {
        return Err(format!("the host answered with HTTP status {status}"));
    }
    String::from_utf8(body).map_err(|_| "the reply is not text".to_owned())
}

/// The content of a chunked body, once its last chunk is there.
fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let digits = std::str::from_utf8(&rest[..end]).ok()?.split(';').next()?.trim();
        let length = usize::from_str_radix(digits, 16).ok()?;
        rest = &rest[end + 2..];
        if length == 0 {
            return Some(content);
        }
        content.extend_from_slice(rest.get(..length)?);
        rest = rest.get(length.checked_add(2)?..)?;
    }
}

/// An error in words that a user can act on.
fn said(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "it does not answer".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_complete_by_its_length_or_its_last_chunk() {
        assert!(!is_complete(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"));
        assert!(is_complete(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc"));
        assert!(!is_complete(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"));
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x=y\r\nd\r\n0\r\n\r\n";
        assert!(is_complete(chunked));
        assert_eq!(body(chunked).unwrap(), "abcd");
    }

    #[test]
    fn a_body_without_length_ends_with_the_connection() {
        let mut reply: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<root/>";
        let read = read_reply(&mut reply, Instant::now() + REPLY_TIMEOUT).unwrap();
        assert_eq!(body(&read).unwrap(), "<root/>");
    }

    #[test]
    fn nonsense_is_an_error() {
        assert!(body(b"").is_err());
        assert!(body(b"SSH-2.0\r\n\r\n").is_err());
        assert!(body(b"HTTP/1.1 404 Not Found\r\n\r\n").is_err());
        assert_eq!(unchunk(b"ffffffffffffffff\r\nabc"), None);
    }
}
