//! How the interfaces for programs and browsers are served over TCP: each connection has limits of its own, so that one
//! that is slow, large or one of very many cannot hold up the host.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use lumen_core::gamestream::pairing::{Identity, IdentityError};
use openssl::pkey::PKey;
use openssl::ssl::{Ssl, SslAcceptor, SslMethod};
use openssl::x509::X509;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_openssl::SslStream;
use tower_service::Service;

use super::server::AdminError;
use crate::gamestream::listen;

/// Connections at one time.
const CONNECTIONS: usize = 64;
/// Time for the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Time for the request line and the headers, and between requests.
const HEADERS: Duration = Duration::from_secs(10);
/// Time for a whole connection. Entering a PIN takes up to twenty seconds, the doctor somewhat less.
const WHOLE: Duration = Duration::from_secs(120);
/// Bytes of request line and headers.
const HEAD_BYTES: usize = 16 * 1024;
/// Headers of a request.
const HEADER_COUNT: usize = 64;

/// Bytes of a request's body.
pub(super) const BODY_BYTES: usize = 16 * 1024;

/// What is spoken at a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaks {
    /// HTTP: nobody but this machine hears it.
    Http,
    /// HTTPS, with the host's own certificate.
    Https,
}

/// A listener and what is spoken there.
pub(super) struct Door {
    listener: TcpListener,
    tls: Option<Arc<SslAcceptor>>,
}

impl Door {
    /// Opens the port of `service`. Must be called within a tokio runtime.
    pub(super) fn open(address: SocketAddr, service: &'static str, identity: &Identity) -> Result<Self, AdminError> {
        let failed = |reason: String| AdminError::Door { service, reason };
        let listener = listen::tcp(address.ip(), address.port(), service)?;
        let listener = TcpListener::from_std(listener).map_err(|error| failed(error.to_string()))?;
        let tls = match address.ip().is_loopback() {
            true => None,
            false => Some(Arc::new(acceptor(identity).map_err(|error| failed(error.to_string()))?)),
        };
        Ok(Self { listener, tls })
    }

    /// Where it is.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    /// What is spoken there.
    pub(super) fn speaks(&self) -> Speaks {
        if self.tls.is_some() { Speaks::Https } else { Speaks::Http }
    }

    /// Serves until it is dropped.
    pub(super) async fn serve(self, router: Router) {
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let (router, tls) = (router.clone(), self.tls.clone());
                    connections.spawn(async move {
                        let served = timeout(WHOLE, connection(stream, peer, tls, router)).await;
                        match served.unwrap_or_else(|_| Err("it took too long".to_owned())) {
                            Ok(()) => {}
                            Err(error) => tracing::debug!(%peer, error, "connection ended early"),
                        }
                        drop(permit);
                    });
                }
                Err(error) => {
                    // Out of descriptors, or a peer that left before it was accepted: neither ends the server.
                    tracing::debug!(%error, "accepting a connection failed");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

/// TLS without a question for the browser's certificate.
fn acceptor(identity: &Identity) -> Result<SslAcceptor, IdentityError> {
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    builder.set_private_key(&*PKey::private_key_from_pem(identity.key_pem()?.as_bytes())?)?;
    builder.set_certificate(&*X509::from_der(identity.certificate().der())?)?;
    builder.check_private_key()?;
    Ok(builder.build())
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<SslAcceptor>>,
    router: Router,
) -> Result<(), String> {
    let Some(acceptor) = tls else { return exchange(stream, peer, router).await };
    let ssl = Ssl::new(acceptor.context()).map_err(|error| error.to_string())?;
    let mut stream = SslStream::new(ssl, stream).map_err(|error| error.to_string())?;
    let shaken = timeout(HANDSHAKE, Pin::new(&mut stream).accept()).await;
    shaken.map_err(|_| "the handshake took too long".to_owned())?.map_err(|error| error.to_string())?;
    exchange(stream, peer, router).await
}

async fn exchange(stream: impl AsyncRead + AsyncWrite + Unpin, peer: SocketAddr, router: Router) -> Result<(), String> {
    let service = service_fn(move |mut request: Request<Incoming>| {
        let mut router = router.clone();
        request.extensions_mut().insert(ConnectInfo(peer));
        async move { Ok::<_, Infallible>(router.call(request).await.unwrap_or_else(|never| match never {})) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADER_COUNT)
        .serve_connection(TokioIo::new(stream), service);
    served.await.map_err(|error| error.to_string())
}
