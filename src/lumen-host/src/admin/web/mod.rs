//! The web console: one page, and the management interface behind a login. It adds nothing of its own: what the page can do
//! are the requests that the command line sends.
//!
//! Every request must name this host as its operator does (see `guard`). Those for data need the bearer
//! token, or the cookie of a browser that logged in with it; with the cookie, a request that changes something must come from
//! the console's own page. Nothing is fetched from elsewhere, and nothing of it may be shown inside of another page.

mod logins;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::api::Login;
use super::door::{self, Speaks};
use super::guard::{Guard, is_meant_for_us};
use super::server::{AdminState, Failure};
use super::token;
use logins::{LIFETIME, Logins};

/// Name of the cookie.
const COOKIE: &str = "lumen_console";

/// Files of the console, by path and type.
const PAGE: &str = include_str!("assets/console.html");
const SCRIPT: &str = include_str!("assets/console.js");
const STYLE: &str = include_str!("assets/console.css");

/// Sent with every answer.
const HEADERS: [(header::HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// What logins need.
#[derive(Debug)]
pub(super) struct Gate {
    guard: Guard,
    logins: Logins,
    /// Names under which this host is asked for, beside addresses and `localhost`.
    names: Vec<String>,
    speaks: Speaks,
}

impl Gate {
    pub(super) fn new(token: String, names: Vec<String>, speaks: Speaks) -> Self {
        Self { guard: Guard::new(token), logins: Logins::default(), names, speaks }
    }
}

/// The console with `api` behind its login.
pub(super) fn router(api: axum::Router<AdminState>, state: AdminState, gate: Arc<Gate>) -> axum::Router {
    let api = api.layer(middleware::from_fn_with_state(Arc::clone(&gate), demand_login)).with_state(state);
    let file =
        |text: &'static str, kind: &'static str| get(move || async move { ([(header::CONTENT_TYPE, kind)], text) });
    axum::Router::new()
        .route("/", file(PAGE, "text/html; charset=utf-8"))
        .route("/console.js", file(SCRIPT, "text/javascript; charset=utf-8"))
        .route("/console.css", file(STYLE, "text/css; charset=utf-8"))
        .route("/login", post(login).delete(logout))
        .with_state(Arc::clone(&gate))
        .merge(api)
        .layer(DefaultBodyLimit::max(door::BODY_BYTES))
        .layer(middleware::from_fn_with_state(gate, demand_name))
        .layer(middleware::map_response(harden))
}

async fn harden(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn demand_name(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    if is_meant_for_us(request.uri(), request.headers(), &gate.names) {
        return next.run(request).await;
    }
    let why = "this host is not known by that name; ask by its address, or list the name in web.names";
    Failure::new(StatusCode::MISDIRECTED_REQUEST, why).into_response()
}

async fn demand_login(
    State(gate): State<Arc<Gate>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let allowed = match token::bearer(request.headers()) {
        Some(given) => gate.guard.admit(given, peer.ip()),
        None => gate.try_cookie(request.method(), request.headers()),
    };
    match allowed {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    }
}

async fn login(
    State(gate): State<Arc<Gate>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Result<Json<Login>, JsonRejection>,
) -> Result<impl IntoResponse, Failure> {
    let Json(Login { token }) = body?;
    from_own_page(&headers)?;
    gate.guard.admit(token.trim(), peer.ip())?;
    let number = gate.logins.begin(Instant::now());
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, gate.cookie(&number, LIFETIME.as_secs()))]))
}

async fn logout(State(gate): State<Arc<Gate>>, headers: HeaderMap) -> Result<impl IntoResponse, Failure> {
    from_own_page(&headers)?;
    numbers(&headers).for_each(|number| gate.logins.end(number));
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, gate.cookie("", 0))]))
}

impl Gate {
    fn try_cookie(&self, method: &Method, headers: &HeaderMap) -> Result<(), Failure> {
        let now = Instant::now();
        if !numbers(headers).any(|number| self.logins.know(number, now)) {
            return Err(Failure::new(StatusCode::UNAUTHORIZED, "log in with the token; `lumen web` prints it"));
        }
        if method.is_safe() { Ok(()) } else { from_own_page(headers) }
    }

    fn cookie(&self, number: &str, seconds: u64) -> String {
        let secure = match self.speaks {
            Speaks::Http => "",
            Speaks::Https => "; Secure",
        };
        format!("{COOKIE}={number}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}")
    }
}

/// Whether a request was sent by the console's page: browsers say where each that changes something comes from.
fn from_own_page(headers: &HeaderMap) -> Result<(), Failure> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    let ours = match text(header::ORIGIN) {
        Some(origin) => origin.split_once("://").is_some_and(|(_, authority)| authority == host),
        None => false,
    };
    let site = headers.get("sec-fetch-site").is_none_or(|site| site == "same-origin");
    if ours && site {
        return Ok(());
    }
    Err(Failure::new(StatusCode::FORBIDDEN, "this did not come from the console's own page; programs send the token"))
}

/// The numbers that a browser sends.
fn numbers(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == COOKIE).map(|(_, number)| number)
}
