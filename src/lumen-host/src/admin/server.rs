//! The serving end.

use std::fs;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path as UrlPath, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post, put};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;

use super::api::{EnterPin, ErrorBody, PairingResult, Rename, SessionId, Status};
use super::door::Door;
use super::guard::Guard;
use super::{SessionDirectory, metrics, token, web};
use crate::config::{Config, OwnGrants};
use crate::gamestream::catalogue::AppCatalogue;
use crate::gamestream::http_server::{ClientIdentity, LaunchService};
use crate::gamestream::listen;
use crate::gamestream::pairing_server::{PairingServer, PendingAttempt, PinRefused};
use crate::store::{Client, Fingerprint, Store, StoreError};

/// How long the answer to a PIN waits for the client to finish.
const PAIRING_WAIT: Duration = Duration::from_secs(20);

/// Why the interface did not start.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The socket could not be made.
    #[error("cannot open admin socket {path}: {source}; make its directory writable for this user or set runtime_dir", path = path.display())]
    Socket {
        /// Path of the socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another host answers on the socket.
    #[error("admin socket {path} belongs to a running lumen; stop it, or give this one its own runtime_dir", path = path.display())]
    InUse {
        /// Path of the socket.
        path: PathBuf,
    },
    /// The loopback port is taken.
    #[error(transparent)]
    Bind(#[from] crate::net::BindError),
    /// A listener could not be watched, or OpenSSL refused the host's identity.
    #[error("cannot serve the {service} port: {reason}")]
    Door {
        /// Which.
        service: &'static str,
        /// Why.
        reason: String,
    },
    /// A token file is unusable.
    #[error("token file {path}: {source}; put a token of 16 characters or more there, or remove it and one is made", path = path.display())]
    Token {
        /// Path of the file.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
}

/// What requests need.
#[derive(Clone)]
pub struct AdminState {
    /// Configuration.
    pub config: Arc<Config>,
    /// Clients.
    pub store: Arc<Store>,
    /// Applications.
    pub apps: Arc<AppCatalogue>,
    /// Pairing attempts.
    pub pairing: Arc<PairingServer>,
    /// Sessions, to look at and to stop.
    pub sessions: Arc<dyn SessionDirectory>,
    /// Sessions, to be told of removed clients.
    pub launch: Arc<dyn LaunchService>,
    /// What `lumen doctor` finds.
    pub examine: Examination,
    /// When the host started.
    pub started: Instant,
}

/// Examines this host as `lumen doctor` does: in another process, so that nothing of it harms the daemon. Blocks.
pub type Examination = Arc<dyn Fn() -> anyhow::Result<serde_json::Value> + Send + Sync>;

/// The listening interfaces. Dropping it removes the socket.
pub struct AdminServer {
    unix: UnixListener,
    path: PathBuf,
    tcp: Option<(TcpListener, Arc<str>)>,
    web: Option<(Door, Arc<web::Gate>)>,
    metrics: Option<(Door, Option<Arc<Guard>>)>,
    state: AdminState,
}

impl AdminServer {
    /// Opens the socket, and the ports that are configured. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`AdminError`] says what is in the way.
    pub fn bind(state: AdminState) -> Result<Self, AdminError> {
        let config = Arc::clone(&state.config);
        let path = config.admin_socket();
        let unix = open_socket(&path)?;
        let tcp = match config.admin.listen {
            None => None,
            Some(address) => {
                let listener = listen::tcp(address.ip(), address.port(), "admin")?;
                let token = load(config.admin_token_file())?;
                let listener = TcpListener::from_std(listener)
                    .map_err(|source| AdminError::Socket { path: path.clone(), source })?;
                Some((listener, Arc::from(token)))
            }
        };
        let identity = state.store.identity();
        let web = match config.web.listen {
            None => None,
            Some(address) => {
                let door = Door::open(address, "web", identity)?;
                let gate = web::Gate::new(load(config.web_token_file())?, config.web.names.clone(), door.speaks());
                Some((door, Arc::new(gate)))
            }
        };
        let metrics = match config.metrics.listen {
            None => None,
            Some(address) => {
                let token = config.metrics.token_file.clone().map(load).transpose()?;
                let guard = token.map(|token| Arc::new(Guard::new(token)));
                Some((Door::open(address, "metrics", identity)?, guard))
            }
        };
        Ok(Self { unix, path, tcp, web, metrics, state })
    }

    /// Address of the loopback listener.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.tcp.as_ref().and_then(|(listener, _)| listener.local_addr().ok())
    }

    /// Address of the web console.
    pub fn web_address(&self) -> Option<SocketAddr> {
        self.web.as_ref().and_then(|(door, _)| door.address())
    }

    /// Address of the metrics.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().and_then(|(door, _)| door.address())
    }

    /// Serves until `shutdown` is ready.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let (stop, stopped) = watch::channel(());
        let router = router().with_state(self.state.clone());
        let unix = axum::serve(self.unix, router.clone());
        let unix = unix.with_graceful_shutdown(until(stopped.clone()));
        let mut doors = tokio::task::JoinSet::new();
        if let Some((door, gate)) = self.web {
            doors.spawn(door.serve(web::router(self::router(), self.state.clone(), gate)));
        }
        if let Some((door, guard)) = self.metrics {
            doors.spawn(door.serve(metrics::router(guard).with_state(self.state)));
        }
        let tcp = async {
            if let Some((listener, token)) = self.tcp {
                let guarded = router.layer(middleware::from_fn_with_state(token, demand_token));
                // axum's accept loop outlives errors; it ends with the shutdown only.
                let _ = axum::serve(listener, guarded).with_graceful_shutdown(until(stopped)).await;
            }
        };
        let serving = async { tokio::join!(async { unix.await }, tcp) };
        tokio::pin!(serving);
        tokio::select! {
            _ = &mut serving => {}
            () = shutdown => {
                drop(stop);
                // A PIN that waits for its client must not hold up the end.
                let _ = tokio::time::timeout(Duration::from_millis(500), serving).await;
            }
        }
        doors.shutdown().await;
        // Gone already is as good.
        let _ = fs::remove_file(&self.path);
    }
}

fn load(file: PathBuf) -> Result<String, AdminError> {
    token::load_or_create(&file).map_err(|source| AdminError::Token { path: file, source })
}

async fn until(mut stopped: watch::Receiver<()>) {
    // The sender is dropped, never used.
    let _ = stopped.changed().await;
}

fn router() -> axum::Router<AdminState> {
    axum::Router::new()
        .route("/v1/status", get(status))
        .route("/v1/doctor", get(doctor))
        .route("/v1/pairing", get(pending).post(enter_pin))
        .route("/v1/clients", get(clients))
        .route("/v1/clients/{client}", patch(rename).delete(remove))
        .route("/v1/clients/{client}/grants", put(grant))
        .route("/v1/sessions/{id}/stop", post(stop_session))
        .fallback(|| async { Failure::new(StatusCode::NOT_FOUND, "there is nothing at this path") })
        .method_not_allowed_fallback(|| async {
            Failure::new(StatusCode::METHOD_NOT_ALLOWED, "this path knows no such method")
        })
}

async fn status(State(state): State<AdminState>) -> Json<Status> {
    Json(Status {
        name: state.config.name.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        host_id: state.store.host_id().to_owned(),
        pid: std::process::id(),
        uptime_seconds: state.started.elapsed().as_secs(),
        port: state.config.port.get(),
        addresses: addresses(&state.config),
        fingerprint: state.store.identity().certificate().fingerprint(),
        apps: state.apps.entries().iter().map(|entry| entry.config.name.to_string()).collect(),
        encoders: state.sessions.encoders(),
        clients: state.store.clients().len(),
        pairing: state.pairing.pending(),
        sessions: state.sessions.sessions(),
    })
}

async fn doctor(State(state): State<AdminState>) -> Result<Json<serde_json::Value>, Failure> {
    match tokio::task::spawn_blocking(move || (state.examine)()).await {
        Ok(Ok(report)) => Ok(Json(report)),
        Ok(Err(error)) => Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}"))),
        Err(_) => Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "the host failed; its log says why")),
    }
}

async fn pending(State(state): State<AdminState>) -> Json<Vec<PendingAttempt>> {
    Json(state.pairing.pending())
}

async fn enter_pin(
    State(state): State<AdminState>,
    body: Result<Json<EnterPin>, JsonRejection>,
) -> Result<Json<PairingResult>, Failure> {
    let Json(body) = body?;
    let chosen = state.pairing.enter_pin(&body.pin, body.id, body.address, body.name)?;
    Ok(Json(state.pairing.outcome(chosen, PAIRING_WAIT).await))
}

async fn clients(State(state): State<AdminState>) -> Json<Vec<Client>> {
    Json(state.store.clients())
}

async fn rename(
    State(state): State<AdminState>,
    UrlPath(client): UrlPath<String>,
    body: Result<Json<Rename>, JsonRejection>,
) -> Result<Json<Client>, Failure> {
    let Json(body) = body?;
    let fingerprint = parse_fingerprint(&client)?;
    on_disk(move || state.store.rename(&fingerprint, &body.name)).await.map(Json)
}

async fn remove(State(state): State<AdminState>, UrlPath(client): UrlPath<String>) -> Result<Json<Client>, Failure> {
    let fingerprint = parse_fingerprint(&client)?;
    let removed = on_disk(move || {
        let client = state.store.remove(&fingerprint)?;
        state.launch.client_removed(&ClientIdentity { fingerprint, name: client.name.clone() });
        Ok(client)
    });
    removed.await.map(Json)
}

async fn grant(
    State(state): State<AdminState>,
    UrlPath(client): UrlPath<String>,
    body: Result<Json<OwnGrants>, JsonRejection>,
) -> Result<Json<Client>, Failure> {
    let Json(grants) = body?;
    let fingerprint = parse_fingerprint(&client)?;
    let granted = on_disk(move || {
        let client = state.store.grant(&fingerprint, grants)?;
        state.launch.grants_changed(&ClientIdentity { fingerprint, name: client.name.clone() });
        Ok(client)
    });
    granted.await.map(Json)
}

async fn stop_session(State(state): State<AdminState>, UrlPath(id): UrlPath<u64>) -> Result<StatusCode, Failure> {
    let stopped = tokio::task::spawn_blocking(move || state.sessions.stop(SessionId(id))).await;
    match stopped {
        Ok(Ok(())) => Ok(StatusCode::NO_CONTENT),
        Ok(Err(error)) => Err(Failure::new(StatusCode::NOT_FOUND, error.to_string())),
        Err(_) => Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "the host failed; its log says why")),
    }
}

async fn demand_token(State(token): State<Arc<str>>, request: Request, next: Next) -> Response {
    if token::bearer(request.headers()).is_some_and(|given| token::is(&token, given)) {
        next.run(request).await
    } else {
        Failure::new(StatusCode::UNAUTHORIZED, "this needs the bearer token of the token file").into_response()
    }
}

/// A request that was not done.
pub(super) struct Failure {
    status: StatusCode,
    body: ErrorBody,
    /// Seconds after which it may be tried again.
    retry_after: Option<u64>,
}

impl Failure {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, body: ErrorBody { error: error.into(), pending: Vec::new() }, retry_after: None }
    }

    pub(super) fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let status = match error {
            StoreError::UnknownClient(_) => StatusCode::NOT_FOUND,
            StoreError::Declared(_) | StoreError::NameTaken(_) => StatusCode::CONFLICT,
            StoreError::BadName => StatusCode::BAD_REQUEST,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

impl From<PinRefused> for Failure {
    fn from(refused: PinRefused) -> Self {
        let status = match refused {
            PinRefused::NotAPin => StatusCode::BAD_REQUEST,
            PinRefused::NobodyWaits | PinRefused::NoSuchAttempt => StatusCode::NOT_FOUND,
            PinRefused::SeveralWait(_) => StatusCode::CONFLICT,
        };
        let error = refused.to_string();
        let pending = match refused {
            PinRefused::SeveralWait(pending) => pending,
            _ => Vec::new(),
        };
        Self { status, body: ErrorBody { error, pending }, retry_after: None }
    }
}

impl From<JsonRejection> for Failure {
    fn from(rejection: JsonRejection) -> Self {
        // Too large is told apart from senseless.
        let status = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        };
        Self::new(status, rejection.body_text())
    }
}

fn parse_fingerprint(text: &str) -> Result<Fingerprint, Failure> {
    text.parse().map_err(|_| Failure::from(StoreError::UnknownClient(text.to_owned())))
}

async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome.map_err(Failure::from),
        Err(_) => Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "the host failed; its log says why")),
    }
}

/// Where clients can reach this host: what it is bound to, or all addresses of the machine that are not its own
/// business.
fn addresses(config: &Config) -> Vec<String> {
    if config.bind.iter().all(|address| !address.is_unspecified()) {
        return config.bind.iter().map(ToString::to_string).collect();
    }
    let usable = |address: &IpAddr| match address {
        IpAddr::V4(address) => !address.is_loopback() && !address.is_link_local(),
        IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
    };
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let mut all: Vec<IpAddr> = interfaces.iter().map(if_addrs::Interface::ip).filter(usable).collect();
    all.sort();
    all.dedup();
    all.iter().map(ToString::to_string).collect()
}

/// Makes the socket under another name, so that it never exists without its mode, and takes the place of one that
/// nobody answers any more.
fn open_socket(path: &Path) -> Result<UnixListener, AdminError> {
    let failed = |source| AdminError::Socket { path: path.to_owned(), source };
    if let Some(directory) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(AdminError::InUse { path: path.to_owned() });
    }
    let temporary = path.with_extension(format!("{}", std::process::id()));
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(&temporary).map_err(failed)?;
    fs::set_permissions(&temporary, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    fs::rename(&temporary, path).map_err(failed)?;
    Ok(listener)
}
