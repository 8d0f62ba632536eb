//! Metrics for Prometheus: what this host has done since it started and does now. Read from what others count, only when
//! somebody asks; nothing on a stream's way waits for it.

mod text;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::api::SessionState;
use super::guard::{Guard, is_meant_for_us};
use super::server::{AdminState, Failure};
use super::token;
use crate::link::{BOUNDS_US, Figures, Histogram};
use crate::store::Origin;
use text::{Kind, Page};

/// What the sessions of this host came to since it started, those that are gone included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Sessions that were launched.
    pub sessions_started: u64,
    /// Sessions that were taken back from an earlier daemon.
    pub sessions_taken_back: u64,
    /// Sessions that ended.
    pub sessions_ended: Ends,
    /// Workers that ended without a word.
    pub worker_crashes: u64,
    /// Key frames that clients asked for.
    pub key_frame_requests: u64,
    /// Frames that clients asked not to refer to.
    pub reference_invalidations: u64,
    /// Packets that clients' reports of loss covered.
    pub packets_reported: u64,
    /// Of these, missing.
    pub packets_missing: u64,
    /// Input that was not granted.
    pub input_refused: u64,
    /// What workers reported.
    pub figures: Figures,
}

/// Sessions that ended, by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ends {
    /// Their client quit.
    pub quit: u64,
    /// The host ended.
    pub shutdown: u64,
    /// The application ended by itself.
    pub app_ended: u64,
    /// Nobody came back in time.
    pub keep_alive: u64,
    /// The operator ended them.
    pub administrator: u64,
    /// They broke.
    pub failed: u64,
}

/// `/metrics` and nothing else; with a guard, for those with its token.
pub(super) fn router(guard: Option<Arc<Guard>>) -> axum::Router<AdminState> {
    axum::Router::new().route("/metrics", get(metrics)).layer(middleware::from_fn_with_state(guard, admit))
}

async fn admit(
    State(guard): State<Option<Arc<Guard>>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let admitted = match guard {
        Some(guard) => guard.admit(token::bearer(request.headers()).unwrap_or_default(), peer.ip()),
        // Without a token it is for programs of this machine, not for pages in its browser.
        None if is_meant_for_us(request.uri(), request.headers(), &[]) => Ok(()),
        None => Err(Failure::new(StatusCode::MISDIRECTED_REQUEST, "ask for the metrics by address or as localhost")),
    };
    match admitted {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    }
}

async fn metrics(State(state): State<AdminState>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, Page::CONTENT_TYPE)], page(&state))
}

fn page(state: &AdminState) -> String {
    use Kind::{Counter, Gauge};
    let mut page = Page::default();
    let version = env!("CARGO_PKG_VERSION");
    page.family("lumen_build_info", Gauge, "Always 1; the label names the version.").sample(&[("version", version)], 1);
    let started = SystemTime::now().checked_sub(state.started.elapsed()).unwrap_or(UNIX_EPOCH);
    let started = started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    page.single("process_start_time_seconds", Gauge, "When the host started, in seconds since 1970.", started);
    clients(&mut page, state);
    sessions(&mut page, state);
    let tally = state.sessions.tally();
    let mut counter = |name: &str, help: &str, value: u64| page.single(name, Counter, help, value);
    counter("lumen_sessions_started_total", "Sessions that clients launched.", tally.sessions_started);
    counter("lumen_sessions_taken_back_total", "Sessions that outlived an earlier daemon.", tally.sessions_taken_back);
    counter("lumen_worker_crashes_total", "Session processes that died.", tally.worker_crashes);
    counter("lumen_key_frame_requests_total", "Key frames that clients asked for.", tally.key_frame_requests);
    let help = "Requests of clients not to refer to frames that they lost.";
    counter("lumen_reference_invalidations_total", help, tally.reference_invalidations);
    counter("lumen_input_refused_total", "Input events of clients that are not granted them.", tally.input_refused);
    let Ends { quit, shutdown, app_ended, keep_alive, administrator, failed } = tally.sessions_ended;
    let mut ended = page.family("lumen_sessions_ended_total", Counter, "Sessions that ended, by reason.");
    ended.sample(&[("reason", "quit")], quit).sample(&[("reason", "shutdown")], shutdown);
    ended.sample(&[("reason", "application_ended")], app_ended).sample(&[("reason", "keep_alive")], keep_alive);
    ended.sample(&[("reason", "administrator")], administrator).sample(&[("reason", "failed")], failed);
    let help = "Video packets that clients' reports of loss were about.";
    let received = tally.packets_reported.saturating_sub(tally.packets_missing);
    page.family("lumen_client_reported_packets_total", Counter, help)
        .sample(&[("result", "received")], received)
        .sample(&[("result", "missing")], tally.packets_missing);
    streams(&mut page, &tally.figures);
    page.into_text()
}

fn clients(page: &mut Page, state: &AdminState) {
    let clients = state.store.clients();
    let of = |origin| clients.iter().filter(|client| client.origin == origin).count();
    page.family("lumen_clients", Kind::Gauge, "Clients that may stream.")
        .sample(&[("origin", "paired")], of(Origin::Paired))
        .sample(&[("origin", "declared")], of(Origin::Declared));
    page.single(
        "lumen_pairing_waiting",
        Kind::Gauge,
        "Clients that wait for their PIN.",
        state.pairing.pending().len(),
    );
    let outcomes = state.pairing.outcomes();
    page.family("lumen_pairings_total", Kind::Counter, "Attempts to pair, by what became of them.")
        .sample(&[("result", "paired")], outcomes.paired)
        .sample(&[("result", "refused")], outcomes.refused);
}

fn sessions(page: &mut Page, state: &AdminState) {
    let sessions = state.sessions.sessions();
    let mut family = page.family("lumen_sessions", Kind::Gauge, "Sessions, by where they stand.");
    for (name, wanted) in [
        ("launched", SessionState::Launched),
        ("negotiated", SessionState::Negotiated),
        ("streaming", SessionState::Streaming),
        ("suspended", SessionState::Suspended),
    ] {
        family.sample(&[("state", name)], sessions.iter().filter(|session| session.state == wanted).count());
    }
}

fn streams(page: &mut Page, figures: &Figures) {
    let mut counter = |name: &str, help: &str, value: u64| page.single(name, Kind::Counter, help, value);
    counter("lumen_frames_encoded_total", "Frames that were encoded.", figures.frames_encoded);
    counter("lumen_frames_sent_total", "Frames of which every packet was sent.", figures.frames_sent);
    counter("lumen_key_frames_total", "Key frames that were encoded.", figures.key_frames);
    let help = "Pictures that newer ones took the place of before they were encoded.";
    counter("lumen_frames_replaced_total", help, figures.frames_replaced);
    counter("lumen_frames_dropped_total", "Encoded frames that could not be sent.", figures.frames_dropped);
    let help = "Pictures that an encoder left out to hold its rate.";
    counter("lumen_frames_skipped_total", help, figures.frames_skipped);
    counter("lumen_encoder_restarts_total", "Encoders that broke and were opened anew.", figures.encoder_restarts);
    let help = "Bytes of video that were sent, with parity and the headers of packets.";
    counter("lumen_video_sent_bytes_total", help, figures.video_bytes);
    counter("lumen_audio_sent_packets_total", "Audio packets that were sent, without parity.", figures.audio_packets);
    page.family("lumen_video_sent_packets_total", Kind::Counter, "Video packets that were sent.")
        .sample(&[("kind", "data")], figures.data_packets)
        .sample(&[("kind", "parity")], figures.parity_packets);
    let mut histogram = |name: &str, help: &str, values: &Histogram| {
        page.family(name, Kind::Histogram, help).histogram_us(&BOUNDS_US, values.counts(), values.sum_us());
    };
    let help = "From the presentation of a picture to its capture, of frames that were sent.";
    histogram("lumen_capture_latency_seconds", help, &figures.capture);
    histogram("lumen_encode_latency_seconds", "How long encoding a frame took.", &figures.encode);
    let help = "From the presentation of a picture to the sending of its last packet.";
    histogram("lumen_host_latency_seconds", help, &figures.host);
}
