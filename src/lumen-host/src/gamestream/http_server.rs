//! The HTTP and HTTPS servers (protocol part 1, sections 2 to 4): who may ask for what, and nothing about streams.
//!
//! Every reply goes out under HTTP status 200 with the outcome in its XML root, because clients never read the body
//! of anything else. Clients are told apart by their TLS certificate alone: any certificate passes the handshake,
//! and authorisation happens here, by its SHA-256. A connection carries one request, has limits of its own, and
//! cannot hold up another one.

mod connection;
mod launch;
mod limits;
mod reply;
mod routes;
mod tls;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lumen_core::gamestream::http::{Ports, PortsError};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use launch::{ClientIdentity, LaunchService, RefusedReason};

use super::catalogue::AppCatalogue;
use super::listen;
use super::pairing_server::PairingServer;
use crate::config::Config;
use crate::net::BindError;
use crate::store::Store;
pub(crate) use limits::Limits;

/// Why the servers did not start.
#[derive(Debug, thiserror::Error)]
pub enum HttpServerError {
    /// A port could not be opened.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The base port leaves no room for the others.
    #[error(transparent)]
    Ports(#[from] PortsError),
    /// OpenSSL refused the host's identity.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] lumen_core::gamestream::pairing::IdentityError),
    /// A listener could not be watched.
    #[error("cannot watch a listener: {0}")]
    Io(#[from] std::io::Error),
}

/// What all requests need.
pub struct Shared {
    /// Configuration.
    pub config: Arc<Config>,
    /// Ports of all services.
    pub ports: Ports,
    /// Identity and clients.
    pub store: Arc<Store>,
    /// Applications.
    pub apps: Arc<AppCatalogue>,
    /// Pairing attempts.
    pub pairing: Arc<PairingServer>,
    /// Sessions.
    pub launch: Arc<dyn LaunchService>,
}

/// The listening servers.
pub struct HttpServer {
    listeners: Vec<(TcpListener, connection::Transport)>,
    shared: Arc<Shared>,
    limits: Arc<Limits>,
}

impl HttpServer {
    /// Opens the ports. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`HttpServerError`] names what is in the way.
    pub fn bind(shared: Shared) -> Result<Self, HttpServerError> {
        let tls = Arc::new(tls::acceptor(shared.store.identity())?);
        let mut listeners = Vec::new();
        for address in &shared.config.bind {
            let http = listen::tcp(*address, shared.ports.http, "HTTP")?;
            listeners.push((TcpListener::from_std(http)?, connection::Transport::Plain));
            let https = listen::tcp(*address, shared.ports.https, "HTTPS")?;
            listeners.push((TcpListener::from_std(https)?, connection::Transport::Tls(Arc::clone(&tls))));
        }
        Ok(Self { listeners, shared: Arc::new(shared), limits: Arc::new(Limits::default()) })
    }

    /// Addresses that are listened on: HTTP and HTTPS for each address of `bind`, in turn.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|(listener, _)| listener.local_addr().ok()).collect()
    }

    /// Serves until `shutdown` is ready, then gives replies under way a moment to leave.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let mut accepting = JoinSet::new();
        for (listener, transport) in self.listeners {
            accepting.spawn(accept(listener, transport, Arc::clone(&self.shared), Arc::clone(&self.limits)));
        }
        shutdown.await;
        accepting.shutdown().await;
        self.limits.drained(Duration::from_millis(500)).await;
    }
}

async fn accept(listener: TcpListener, transport: connection::Transport, shared: Arc<Shared>, limits: Arc<Limits>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let Some(permit) = limits.admit(peer.ip()) else {
                    tracing::debug!(%peer, "too many connections; this one is closed");
                    continue;
                };
                let task = connection::serve(stream, peer, transport.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    task.await;
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
