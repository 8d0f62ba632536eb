//! One connection: handshake, one request, one reply, close. Everything has a time limit.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use openssl::ssl::{Ssl, SslAcceptor};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use super::{Shared, routes};
use crate::store::Fingerprint;

/// Time for the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Time for the request line and the headers.
const HEADERS: Duration = Duration::from_secs(10);
/// Time for a whole connection. Pairing waits five minutes for its PIN, a launch may take two.
const WHOLE: Duration = Duration::from_secs(6 * 60);
/// Bytes of request line and headers. Pairing phase 1 needs about 2.6 kB (protocol part 1, section 2.1).
const HEAD_BYTES: usize = 24 * 1024;
/// Bytes of a body that are read and thrown away, so that the reply is not lost to a reset.
const BODY_BYTES: usize = 64 * 1024;
/// Time for that body.
const BODY: Duration = Duration::from_secs(2);

/// What a listener speaks.
#[derive(Clone)]
pub(super) enum Transport {
    /// HTTP.
    Plain,
    /// HTTPS.
    Tls(Arc<SslAcceptor>),
}

/// What is known about a request's sender.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    /// Address of the client.
    pub(super) peer: SocketAddr,
    /// Address of this host that the client reached.
    pub(super) local: SocketAddr,
    /// How it came.
    pub(super) security: Security,
}

/// How a request came.
#[derive(Debug, Clone, Copy)]
pub(super) enum Security {
    /// Over HTTP.
    Plain,
    /// Over HTTPS, with this certificate, if any.
    Tls(Option<Fingerprint>),
}

/// Serves one connection to its end.
pub(super) async fn serve(stream: TcpStream, peer: SocketAddr, transport: Transport, shared: Arc<Shared>) {
    let Ok(local) = stream.local_addr() else { return };
    // Replies are written whole; waiting to fill a segment only delays them. A failure costs time, nothing else.
    let _ = stream.set_nodelay(true);
    let origin = |security| Origin { peer: canonical(peer), local: canonical(local), security };
    let whole = async {
        match transport {
            Transport::Plain => exchange(stream, origin(Security::Plain), shared).await,
            Transport::Tls(acceptor) => match handshake(stream, &acceptor).await {
                Ok((stream, certificate)) => exchange(stream, origin(Security::Tls(certificate)), shared).await,
                // Probes connect and say nothing (section 7, trap 36).
                Err(error) => tracing::debug!(%peer, error, "TLS handshake failed"),
            },
        }
    };
    if tokio::time::timeout(WHOLE, whole).await.is_err() {
        tracing::debug!(%peer, "connection took too long");
    }
}

async fn handshake(
    stream: TcpStream,
    acceptor: &SslAcceptor,
) -> Result<(SslStream<TcpStream>, Option<Fingerprint>), String> {
    let ssl = Ssl::new(acceptor.context()).map_err(|error| error.to_string())?;
    let mut stream = SslStream::new(ssl, stream).map_err(|error| error.to_string())?;
    match tokio::time::timeout(HANDSHAKE, Pin::new(&mut stream).accept()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err("it took too long".to_owned()),
    }
    let certificate = stream.ssl().peer_certificate().and_then(|certificate| certificate.to_der().ok());
    let fingerprint = certificate.map(|der| Fingerprint::of_der(&der));
    Ok((stream, fingerprint))
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(stream: S, origin: Origin, shared: Arc<Shared>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(answer(request, origin, shared).await) }
    });
    let served = http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(peer = %origin.peer, %error, "connection ended early");
    }
}

async fn answer(request: Request<Incoming>, origin: Origin, shared: Arc<Shared>) -> Response<routes::Body> {
    let (head, body) = request.into_parts();
    // Nothing that clients send has a body we want. What is left unread would turn the close into a reset.
    let _ = tokio::time::timeout(BODY, Limited::new(body, BODY_BYTES).collect()).await;
    routes::answer(&head.method, &head.uri, origin, shared).await
}

/// IPv4 as IPv4, also where the socket is IPv6.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
