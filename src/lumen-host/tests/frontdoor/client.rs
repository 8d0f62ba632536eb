//! A client: one connection a request, over HTTP or over OpenSSL.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use lumen_core::gamestream::http::Channel;
use lumen_core::gamestream::pairing::{
    Certificate, ClientPairing, ClientPairingError, Identity, Pin, Progress, UniqueId, Validity,
};
use lumen_host::entropy::SystemEntropy;
use openssl::pkey::PKey;
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode, SslVersion};
use openssl::x509::X509;
use socket2::{Domain, Socket, Type};

use super::TestHost;

/// One HTTP answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Code of the root element.
    pub fn code(&self) -> u32 {
        let text = self.text();
        let code = text.split("status_code=\"").nth(1).and_then(|rest| rest.split('"').next());
        code.and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("no root code in {text:?}"))
    }

    /// Text of an element.
    pub fn element(&self, name: &str) -> Option<String> {
        let text = self.text();
        let from = text.find(&format!("<{name}>"))? + name.len() + 2;
        let to = text[from..].find(&format!("</{name}>"))? + from;
        Some(text[from..to].to_owned())
    }
}

/// A client with an identity of its own.
#[derive(Clone)]
pub struct TestClient {
    pub identity: Arc<Identity>,
    pub unique_id: String,
    /// Address to come from.
    pub source: Option<IpAddr>,
}

impl TestClient {
    pub fn new(unique_id: &str) -> Self {
        Self::valid(unique_id, Validity { not_before: 1_600_000_000, not_after: 4_000_000_000 })
    }

    /// A client whose certificate ended long ago.
    pub fn expired(unique_id: &str) -> Self {
        Self::valid(unique_id, Validity { not_before: 1_000_000_000, not_after: 1_100_000_000 })
    }

    fn valid(unique_id: &str, validity: Validity) -> Self {
        let identity = Identity::generate("NVIDIA GameStream Client", validity, &mut SystemEntropy).expect("a key");
        Self { identity: Arc::new(identity), unique_id: unique_id.to_owned(), source: None }
    }

    pub fn from(mut self, source: [u8; 4]) -> Self {
        self.source = Some(IpAddr::from(source));
        self
    }

    pub fn certificate(&self) -> &Certificate {
        self.identity.certificate()
    }

    fn target(&self, path: &str, query: &str) -> String {
        let more = if query.is_empty() { String::new() } else { format!("&{query}") };
        format!("{path}?uniqueid={}&uuid=0{more}", self.unique_id)
    }

    /// A request over HTTP.
    pub fn http(&self, host: &TestHost, path: &str, query: &str) -> Answer {
        self.plain(host, &self.target(path, query)).expect("an answer")
    }

    /// A request over HTTPS with the certificate.
    pub fn https(&self, host: &TestHost, path: &str, query: &str) -> Answer {
        self.secure(host, &self.target(path, query), Some(SslVersion::TLS1_3), true).expect("an answer")
    }

    pub fn plain(&self, host: &TestHost, target: &str) -> io::Result<Answer> {
        exchange(connect(host.http(), self.source)?, target)
    }

    pub fn secure(
        &self,
        host: &TestHost,
        target: &str,
        version: Option<SslVersion>,
        with_certificate: bool,
    ) -> io::Result<Answer> {
        let mut builder = SslConnector::builder(SslMethod::tls_client()).expect("TLS");
        builder.set_verify(SslVerifyMode::NONE);
        builder.set_min_proto_version(version).expect("a version");
        builder.set_max_proto_version(version).expect("a version");
        if with_certificate {
            let key = self.identity.key_pem().expect("a key");
            builder.set_private_key(&PKey::private_key_from_pem(key.as_bytes()).expect("a key")).expect("a key");
            builder.set_certificate(&X509::from_der(self.certificate().der()).expect("a certificate")).expect("fits");
        }
        let mut configuration = builder.build().configure().expect("TLS");
        configuration.set_verify_hostname(false);
        configuration.set_use_server_name_indication(false);
        let stream = connect(host.https(), self.source)?;
        let stream = configuration.connect("host", stream).map_err(io::Error::other)?;
        let chain = stream.ssl().peer_cert_chain().map_or(0, |chain| chain.len());
        assert_eq!(chain, 1, "clients want exactly one certificate");
        exchange(stream, target)
    }

    /// Begins to pair in a thread of its own; the PIN is to be entered at the host.
    pub fn pair(&self, host: &TestHost, pin: &str) -> std::thread::JoinHandle<Result<Certificate, PairFailure>> {
        let (client, pin) = (self.clone(), pin.parse::<Pin>().expect("a PIN"));
        let (http, https) = (host.http(), host.https());
        std::thread::spawn(move || client.pair_now(http, https, &pin))
    }

    fn pair_now(&self, http: SocketAddr, https: SocketAddr, pin: &Pin) -> Result<Certificate, PairFailure> {
        let unique_id = UniqueId::new(&self.unique_id).expect("short");
        let mut pairing = ClientPairing::new(Arc::clone(&self.identity), unique_id, pin, &mut SystemEntropy);
        while let Some(request) = pairing.request() {
            let target = format!("{}?{}", request.path, request.query);
            let answer = match request.channel {
                Channel::Http => exchange(connect(http, self.source).map_err(PairFailure::Io)?, &target),
                Channel::Https => self.tls(https).and_then(|stream| exchange(stream, &target)),
            };
            let answer = answer.map_err(PairFailure::Io)?;
            match pairing.receive(&answer.text()) {
                Ok(Progress::Continue) => {}
                Ok(Progress::Paired(host)) => return Ok(host),
                Err(error) => {
                    let request = pairing.unpair();
                    let target = format!("{}?{}", request.path, request.query);
                    exchange(connect(http, self.source).map_err(PairFailure::Io)?, &target).map_err(PairFailure::Io)?;
                    return Err(PairFailure::Pairing(error, answer.text()));
                }
            }
        }
        panic!("pairing ends with a result");
    }

    fn tls(&self, at: SocketAddr) -> io::Result<openssl::ssl::SslStream<TcpStream>> {
        let mut builder = SslConnector::builder(SslMethod::tls_client()).expect("TLS");
        builder.set_verify(SslVerifyMode::NONE);
        let key = self.identity.key_pem().expect("a key");
        builder.set_private_key(&PKey::private_key_from_pem(key.as_bytes()).expect("a key")).expect("a key");
        builder.set_certificate(&X509::from_der(self.certificate().der()).expect("a certificate")).expect("fits");
        let mut configuration = builder.build().configure().expect("TLS");
        configuration.set_verify_hostname(false);
        configuration.connect("host", connect(at, self.source)?).map_err(io::Error::other)
    }
}

/// Why a client did not pair.
#[derive(Debug)]
pub enum PairFailure {
    Io(io::Error),
    Pairing(ClientPairingError, String),
}

/// Connects, from `source` if given.
pub fn connect(to: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    if let Some(source) = source {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    socket.connect(&to.into())?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.set_write_timeout(Some(Duration::from_secs(20)))?;
    Ok(stream)
}

/// Sends a GET and reads to the end of the connection.
pub fn exchange(stream: impl Read + Write, target: &str) -> io::Result<Answer> {
    raw(stream, format!("GET {target} HTTP/1.1\r\nHost: host\r\n\r\n").as_bytes())
}

/// Sends bytes and reads one answer to the end of the connection.
pub fn raw(mut stream: impl Read + Write, bytes: &[u8]) -> io::Result<Answer> {
    stream.write_all(bytes)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "no answer"))?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Ok(Answer { status, head, body: answer[end + 4..].to_vec() })
}

/// Whether a body has no white space between elements.
pub fn is_compact_xml(text: &str) -> bool {
    let (_, root) = text.split_once("<root").expect("a root");
    !root.contains(">\n") && !root.contains("> ")
}
