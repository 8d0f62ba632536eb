//! lumen/1 without GameStream (`docs/protocol/lumen-1.md`, section 2.1): clients pair, launch and agree on a stream over
//! QUIC. It carries no picture and no sound: those go to the worker as they do when GameStream negotiated them, and go on
//! when this connection ends.
//!
//! Who a client is, its certificate says; a connection of one that is not paired can do nothing but pair. Addresses are
//! believed after they have answered a Retry, connections are counted like those of the HTTP servers, and each has one try
//! at one PIN.

mod connection;
mod conversation;
mod tls;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::{Endpoint, EndpointConfig, TokioRuntime, TransportConfig, VarInt};
use tokio::task::JoinSet;

use crate::config::Config;
use crate::daemon::Engine;
use crate::gamestream::catalogue::AppCatalogue;
use crate::gamestream::http_server::Limits;
use crate::gamestream::listen;
use crate::gamestream::pairing_server::PairingServer;
use crate::net::BindError;
use crate::store::Store;

pub use tls::TlsError;

/// Silence after which a connection is over. Clients send something every few seconds.
const IDLE: Duration = Duration::from_secs(30);
/// Bytes that a client may send before they were read: a message.
const WINDOW: u32 = 128 << 10;
/// Codes of the end of a connection.
mod code {
    /// The host ends.
    pub(super) const SHUTDOWN: u32 = 0;
    /// The client broke a rule or a limit.
    pub(super) const REFUSED: u32 = 1;
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum NativeServerError {
    /// The port could not be opened.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The host's identity is of no use to it.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A socket could not be watched.
    #[error("cannot watch the QUIC socket: {0}")]
    Io(#[from] std::io::Error),
}

/// What all connections need.
pub struct Shared {
    /// Configuration.
    pub config: Arc<Config>,
    /// Identity and clients.
    pub store: Arc<Store>,
    /// Applications.
    pub apps: Arc<AppCatalogue>,
    /// Pairing attempts.
    pub pairing: Arc<PairingServer>,
    /// Sessions.
    pub engine: Arc<Engine>,
}

/// The listening endpoints.
pub struct NativeServer {
    endpoints: Vec<Endpoint>,
    shared: Arc<Shared>,
}

impl NativeServer {
    /// Opens the port. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`NativeServerError`] names what is in the way.
    pub fn bind(shared: Shared, port: u16) -> Result<Self, NativeServerError> {
        let mut server = tls::server(shared.store.identity())?;
        let mut transport = TransportConfig::default();
        transport
            .max_concurrent_bidi_streams(VarInt::from_u32(1))
            .max_concurrent_uni_streams(VarInt::from_u32(0))
            .datagram_receive_buffer_size(None)
            .receive_window(VarInt::from_u32(WINDOW))
            .stream_receive_window(VarInt::from_u32(WINDOW))
            .max_idle_timeout(Some(IDLE.try_into().expect("30 s are a number of milliseconds")));
        server.transport_config(Arc::new(transport));
        let open = |address| {
            let socket = listen::udp(address, port, "QUIC")?;
            let config = EndpointConfig::default();
            Ok(Endpoint::new(config, Some(server.clone()), socket, Arc::new(TokioRuntime))?)
        };
        let endpoints = shared.config.bind.iter().map(|address| open(*address)).collect::<Result<_, _>>();
        endpoints.map(|endpoints| Self { endpoints, shared: Arc::new(shared) })
    }

    /// Serves until `shutdown` is ready.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let limits = Arc::new(Limits::default());
        let mut accepting = JoinSet::new();
        for endpoint in &self.endpoints {
            accepting.spawn(accept(endpoint.clone(), Arc::clone(&self.shared), Arc::clone(&limits)));
        }
        shutdown.await;
        accepting.shutdown().await;
        for endpoint in &self.endpoints {
            endpoint.close(code::SHUTDOWN.into(), b"the host ends");
        }
    }
}

async fn accept(endpoint: Endpoint, shared: Arc<Shared>, limits: Arc<Limits>) {
    while let Some(incoming) = endpoint.accept().await {
        let client = canonical(incoming.remote_address());
        if !incoming.remote_address_validated() {
            // Costs the client a round trip, and a stranger with a false address all.
            let _ = incoming.retry();
            continue;
        }
        let Some(permit) = limits.admit(client.ip()) else {
            tracing::debug!(%client, "too many connections; this one is refused");
            incoming.refuse();
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            if let Err(error) = connection::serve(incoming, client, &shared).await {
                tracing::debug!(%client, %error, "QUIC connection ended");
            }
            drop(permit);
        });
    }
}

/// IPv4 as IPv4, also where the socket is IPv6.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
