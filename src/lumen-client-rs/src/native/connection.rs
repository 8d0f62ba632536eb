//! The QUIC connection and its control stream, on a thread of their own: the only place of the client with async, and
//! nothing that a stream waits for.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use lumen_core::gamestream::pairing::{Certificate, Identity};
use lumen_core::lumen1::native::{Inbox, MessageError, PAIRING_LABEL, Reply, Request, SECRET_LABEL, SECRET_LEN};
use quinn::{ConnectionError, Endpoint, RecvStream, SendStream, TransportConfig, VarInt};
use rustls::pki_types::CertificateDer;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use super::tls::{self, Trusted};
use crate::error::ClientError;

/// How long a host may take to answer at all. One that begins first finds out what it can encode.
const CONNECT: Duration = Duration::from_secs(10);
/// How often something is said, so that neither end takes the other for gone.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// How long goodbyes are given to leave.
const GOODBYE: Duration = Duration::from_millis(200);
/// Bytes that are read at once.
const READ: usize = 16 << 10;

/// What TLS has for the two ends of a connection alone, and who the other one is.
#[derive(Clone)]
pub(super) struct Exported {
    /// The host's certificate.
    pub(super) certificate: Certificate,
    /// What the keys of streams are made of.
    pub(super) secret: [u8; SECRET_LEN],
    /// What pairing is bound to.
    pub(super) pairing: [u8; SECRET_LEN],
}

enum Command {
    Ask(Vec<u8>, Duration, mpsc::Sender<Result<Reply, String>>),
    ChangeAddress,
}

/// See the module. Dropping it ends the connection.
pub(super) struct Connection {
    host: SocketAddr,
    /// Taken when the connection is to end.
    commands: Option<UnboundedSender<Command>>,
    exported: Exported,
    thread: Option<JoinHandle<()>>,
}

impl Connection {
    /// Connects to `host`, at its port for QUIC.
    pub(super) fn open(host: SocketAddr, identity: &Arc<Identity>, trusted: &Trusted) -> Result<Self, ClientError> {
        let config = tls::client(identity, trusted)?;
        let local = |error: &dyn std::fmt::Display| ClientError::local("cannot open a QUIC connection", error);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| local(&error))?;
        let (commands, orders) = unbounded_channel();
        let (opened, result) = mpsc::channel();
        let run = move || {
            runtime.block_on(async {
                match connect(host, config).await {
                    Ok((link, exported)) => {
                        // Whoever asked for it waits.
                        let _ = opened.send(Ok(exported));
                        link.serve(orders).await;
                    }
                    Err(error) => {
                        let _ = opened.send(Err(error));
                    }
                }
            });
        };
        let thread = std::thread::Builder::new().name("quic".into()).spawn(run).map_err(|error| local(&error))?;
        match result.recv() {
            Ok(Ok(exported)) => Ok(Self { host, commands: Some(commands), exported, thread: Some(thread) }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(local(&"its thread ended")),
        }
    }

    pub(super) const fn exported(&self) -> &Exported {
        &self.exported
    }

    /// Asks, and waits for the reply.
    pub(super) fn ask(&self, request: &Request, limit: Duration) -> Result<Reply, ClientError> {
        let failed = |reason: String| ClientError::Unreachable { address: self.host.to_string(), reason };
        let mut bytes = Vec::new();
        request.to_message().write(&mut bytes).ok_or_else(|| ClientError::Usage("that is too long to ask".into()))?;
        let (answer, answered) = mpsc::channel();
        let over = || failed("the connection has ended".into());
        let commands = self.commands.as_ref().ok_or_else(over)?;
        commands.send(Command::Ask(bytes, limit, answer)).map_err(|_| over())?;
        answered.recv().map_err(|_| over())?.map_err(failed)
    }

    /// Goes on from another socket.
    pub(super) fn change_address(&self) {
        // An ended connection has no address.
        let _ = self.commands.as_ref().map(|commands| commands.send(Command::ChangeAddress));
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// An open connection, in its own thread.
struct Link {
    endpoint: Endpoint,
    connection: quinn::Connection,
    requests: SendStream,
    replies: RecvStream,
    inbox: Inbox,
    any: SocketAddr,
}

async fn connect(host: SocketAddr, mut config: quinn::ClientConfig) -> Result<(Link, Exported), ClientError> {
    let unreachable = |reason: String| ClientError::Unreachable { address: host.to_string(), reason };
    let local = |error: &dyn std::fmt::Display| ClientError::local("cannot open a QUIC connection", error);
    let any: SocketAddr = match host {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let mut transport = TransportConfig::default();
    transport
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None);
    config.transport_config(Arc::new(transport));
    let endpoint = Endpoint::client(any).map_err(|error| local(&error))?;
    // Names mean nothing to either end, but TLS wants one.
    let connecting = endpoint.connect_with(config, host, "lumen").map_err(|error| local(&error))?;
    let connection = match timeout(CONNECT, connecting).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(ConnectionError::TransportError(error))) if is_other_certificate(&error.reason) => {
            return Err(ClientError::OtherCertificate { host: host.to_string() });
        }
        Ok(Err(error)) => return Err(unreachable(error.to_string())),
        Err(_) => return Err(unreachable("it does not answer over QUIC; is `quic` on at the host?".into())),
    };
    let exported = |label| -> Result<[u8; SECRET_LEN], ClientError> {
        let mut bytes = [0; SECRET_LEN];
        let exported = connection.export_keying_material(&mut bytes, label, &[]);
        exported.map(|()| bytes).map_err(|error| local(&format!("{error:?}")))
    };
    let chain =
        connection.peer_identity().and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok());
    let certificate = chain.and_then(|chain| Certificate::from_der(chain.first()?).ok());
    let exported = Exported {
        certificate: certificate.ok_or_else(|| unreachable("its certificate cannot be read".into()))?,
        secret: exported(SECRET_LABEL)?,
        pairing: exported(PAIRING_LABEL)?,
    };
    let (requests, replies) = connection.open_bi().await.map_err(|error| unreachable(error.to_string()))?;
    Ok((Link { endpoint, connection, requests, replies, inbox: Inbox::default(), any }, exported))
}

/// Whether it was this client that did not take the host's certificate.
fn is_other_certificate(reason: &str) -> bool {
    let refused = rustls::Error::InvalidCertificate(rustls::CertificateError::ApplicationVerificationFailure);
    reason.contains(&refused.to_string())
}

impl Link {
    /// Does what it is told until nobody can tell it anything, or the connection ends.
    async fn serve(mut self, mut orders: UnboundedReceiver<Command>) {
        while let Some(order) = orders.recv().await {
            match order {
                Command::Ask(bytes, limit, answer) => {
                    let asked = timeout(limit, self.ask(&bytes)).await;
                    let reply = asked.unwrap_or_else(|_| Err("there was no reply in time".into()));
                    let failed = reply.is_err();
                    // Whoever does not wait any more needs no answer.
                    let _ = answer.send(reply);
                    if failed {
                        // The next reply would be that to this request.
                        break;
                    }
                }
                Command::ChangeAddress => {
                    let moved = UdpSocket::bind(self.any).and_then(|socket| self.endpoint.rebind(socket));
                    if let Err(error) = moved {
                        tracing::debug!(%error, "no other way to the host");
                    }
                }
            }
        }
        self.connection.close(VarInt::from_u32(0), b"");
        let _ = timeout(GOODBYE, self.endpoint.wait_idle()).await;
    }

    async fn ask(&mut self, request: &[u8]) -> Result<Reply, String> {
        self.requests.write_all(request).await.map_err(|error| error.to_string())?;
        let mut buffer = vec![0; READ];
        loop {
            while let Some(message) = self.inbox.poll() {
                match Reply::parse(&message) {
                    Err(MessageError::Unknown(kind)) => tracing::debug!(kind, "a message of a later revision"),
                    reply => return reply.map_err(|error| error.to_string()),
                }
            }
            match self.replies.read(&mut buffer).await {
                Ok(Some(length)) => self.inbox.push(&buffer[..length]),
                Ok(None) => return Err("the host closed the connection".into()),
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}
