//! Paths and who may ask for them.
//!
//! Over HTTP: `/serverinfo`, phases 1 to 4 of `/pair`, `/unpair`. Over HTTPS, everything, and for pinned or declared
//! clients only: all others get root 401, whatever the path (protocol part 1, sections 2.2 and 3.7).

use std::sync::Arc;
use std::time::SystemTime;

use hyper::{Method, Response, Uri};
use lumen_core::gamestream::http::{
    App, AppList, AppVersion, CancelReply, Channel, Codec, DisplayMode, ErrorReply, HostState, LaunchReply,
    LaunchRequest, LaunchVerb, Query, ServerInfo, advertised_address,
};

use super::connection::{Origin, Security};
use lumen_core::gamestream::pairing::PairPath;

pub(super) use super::reply::Body;
use super::{ClientIdentity, RefusedReason, Shared, reply};
use crate::config::Grants;
use crate::gamestream::{box_art, interfaces};

/// Longest request target that is served (protocol part 1, section 2.1).
const MAX_TARGET: usize = 16 * 1024;

/// Answers one request.
pub(super) async fn answer(method: &Method, uri: &Uri, origin: Origin, shared: Arc<Shared>) -> Response<Body> {
    let path = uri.path();
    let query = uri.query().unwrap_or_default();
    tracing::trace!(peer = %origin.peer, path, "request");
    if path.len() + query.len() > MAX_TARGET {
        return reply::error(&ErrorReply::new(414, "The request is too long"));
    }
    let served = match origin.security {
        Security::Plain => plain(method, path, query, origin, &shared).await,
        Security::Tls(certificate) => {
            let known = certificate.and_then(|fingerprint| shared.store.client(&fingerprint));
            match known {
                Some(client) => {
                    let may = client.may;
                    let client = ClientIdentity { fingerprint: client.fingerprint, name: client.name };
                    note_visit(&client, &shared);
                    secure(method, path, query, origin, client, may, &shared).await
                }
                None => Some(reply::error(&ErrorReply::unauthorised(path))),
            }
        }
    };
    served.unwrap_or_else(|| reply::not_found(path))
}

/// What strangers may ask for.
async fn plain(
    method: &Method,
    path: &str,
    query: &str,
    origin: Origin,
    shared: &Arc<Shared>,
) -> Option<Response<Body>> {
    if method != Method::GET {
        return None;
    }
    match path {
        "/serverinfo" => Some(reply::xml(server_info(origin, None, shared).to_xml(Channel::Http))),
        "/pair" => Some(pair(PairPath::Pair, query, origin, Channel::Http, shared).await),
        "/unpair" => Some(pair(PairPath::Unpair, query, origin, Channel::Http, shared).await),
        "/applist" | "/appasset" | "/launch" | "/resume" | "/cancel" => {
            Some(reply::error(&ErrorReply::unauthorised(path)))
        }
        _ => None,
    }
}

/// What known clients may ask for.
async fn secure(
    method: &Method,
    path: &str,
    query: &str,
    origin: Origin,
    client: ClientIdentity,
    may: Grants,
    shared: &Arc<Shared>,
) -> Option<Response<Body>> {
    if method != Method::GET {
        return None;
    }
    match path {
        "/serverinfo" => Some(reply::xml(server_info(origin, Some(&client), shared).to_xml(Channel::Https))),
        "/pair" => Some(pair(PairPath::Pair, query, origin, Channel::Https, shared).await),
        "/unpair" => Some(pair(PairPath::Unpair, query, origin, Channel::Https, shared).await),
        "/applist" => Some(app_list(&may, shared).await),
        "/appasset" => app_asset(query, &may, shared).await,
        "/launch" => Some(launch(LaunchVerb::Launch, query, origin, client, &may, shared).await),
        "/resume" => Some(launch(LaunchVerb::Resume, query, origin, client, &may, shared).await),
        "/cancel" => Some(cancel(client, shared).await),
        _ => None,
    }
}

async fn pair(path: PairPath, query: &str, origin: Origin, channel: Channel, shared: &Arc<Shared>) -> Response<Body> {
    reply::xml(shared.pairing.answer(path, query, origin.peer, channel, &shared.store).await)
}

fn server_info(origin: Origin, client: Option<&ClientIdentity>, shared: &Shared) -> ServerInfo {
    let codecs = shared.launch.codec_mask();
    // Strangers are not told what runs: whether the host is busy is a matter of the client's own session.
    let state = match client.and_then(|client| shared.launch.running_app(client)) {
        Some(app) => HostState::Busy(Some(app)),
        None => HostState::Free,
    };
    ServerInfo {
        hostname: shared.config.name.to_string(),
        app_version: AppVersion::ANNOUNCED,
        unique_id: shared.store.host_id().to_owned(),
        https_port: shared.ports.https,
        external_port: Some(shared.ports.http),
        external_ip: None,
        local_ip: advertised_address(origin.local.ip()),
        mac: client.and_then(|_| interfaces::mac_of(origin.local.ip())),
        codecs,
        hevc: codecs.profiles().any(|profile| profile.codec() == Codec::Hevc),
        paired: client.is_some(),
        state,
        display_modes: display_modes(),
    }
}

/// Any mode works; these are for clients that ask only for listed ones (section 7, trap 39).
fn display_modes() -> Vec<DisplayMode> {
    let sizes = [(1280, 720), (1920, 1080), (2560, 1440), (3840, 2160)];
    let mode = |(width, height), refresh_rate| DisplayMode { width, height, refresh_rate };
    sizes.into_iter().flat_map(|size| [30, 60, 120].map(|rate| mode(size, rate))).collect()
}

async fn app_list(may: &Grants, shared: &Arc<Shared>) -> Response<Body> {
    let apps = Arc::clone(&shared.apps);
    // Directories may be on slow disks.
    let _ = tokio::task::spawn_blocking(move || apps.refresh()).await;
    let codecs = shared.launch.codec_mask();
    let entries = shared.apps.entries_for(may);
    let apps = entries.iter().map(|entry| App {
        title: entry.config.name.to_string(),
        id: entry.id,
        hdr: codecs.has_ten_bit(),
        collector: false,
    });
    match AppList::new(apps.collect()) {
        Ok(list) => reply::xml(list.to_xml()),
        Err(error) => reply::error(&ErrorReply::new(500, error.to_string())),
    }
}

async fn app_asset(query: &str, may: &Grants, shared: &Arc<Shared>) -> Option<Response<Body>> {
    let id = Query::parse(query).ok()?.get("appid")?.parse().ok()?;
    let app = shared.apps.find_for(may, id)?;
    let picture = tokio::task::spawn_blocking(move || box_art::of_app(app.config.image.as_deref(), app.art.as_ref()));
    picture.await.ok().map(reply::png)
}

async fn launch(
    verb: LaunchVerb,
    query: &str,
    origin: Origin,
    client: ClientIdentity,
    may: &Grants,
    shared: &Arc<Shared>,
) -> Response<Body> {
    let request = match LaunchRequest::parse(verb, query) {
        Ok(request) => request,
        Err(error) => return refused(&RefusedReason::BadRequest(error.to_string()), verb.result_element(), &client),
    };
    // A client whose right to its running application was taken away is told that when it resumes, not this.
    if verb == LaunchVerb::Launch && shared.apps.find_for(may, request.app).is_none() {
        return refused(&RefusedReason::UnknownApp(request.app), verb.result_element(), &client);
    }
    let service = Arc::clone(&shared.launch);
    let caller = client.clone();
    let outcome = blocking(move || match verb {
        LaunchVerb::Launch => service.launch(&caller, request, origin.local, origin.peer),
        LaunchVerb::Resume => service.resume(&caller, request, origin.local, origin.peer),
    });
    match outcome.await {
        Ok(launched) => reply::xml(LaunchReply::to_xml(&launched)),
        Err(reason) => refused(&reason, verb.result_element(), &client),
    }
}

async fn cancel(client: ClientIdentity, shared: &Arc<Shared>) -> Response<Body> {
    let service = Arc::clone(&shared.launch);
    let caller = client.clone();
    match blocking(move || service.cancel(&caller)).await {
        Ok(()) => reply::xml(CancelReply.to_xml()),
        Err(reason) => refused(&reason, "cancel", &client),
    }
}

fn refused(reason: &RefusedReason, element: &'static str, client: &ClientIdentity) -> Response<Body> {
    tracing::info!(client = client.name, %reason, "refused");
    reply::error(&reason.reply(element))
}

/// Session work may take seconds; polls of other clients must not wait for it (section 7, trap 40).
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RefusedReason> + Send + 'static,
) -> Result<T, RefusedReason> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(RefusedReason::Failed("The host failed; its log says why".to_owned())),
    }
}

fn note_visit(client: &ClientIdentity, shared: &Arc<Shared>) {
    let (store, fingerprint) = (Arc::clone(&shared.store), client.fingerprint);
    tokio::task::spawn_blocking(move || {
        if let Err(error) = store.seen(&fingerprint, SystemTime::now()) {
            tracing::debug!(%error, "a visit was not written down");
        }
    });
}
