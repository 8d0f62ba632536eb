//! What is said in one connection: each request answered for whoever the client is at that moment.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lumen_core::gamestream::pairing::Certificate;
use lumen_core::gamestream::sdp::StreamRequest;
use lumen_core::lumen1::native::pairing::{Binding, HostPairing};
use lumen_core::lumen1::native::{App, REVISION, Refusal, Reply, Request, SECRET_LEN, Verb, Wish};
use lumen_core::lumen1::negotiation::{Answer, Offer};
use tokio::time::Instant;

use super::Shared;
use crate::daemon::Lumen1Terms;
use crate::entropy::SystemEntropy;
use crate::gamestream::control_server::LaunchId;
use crate::gamestream::http_server::{ClientIdentity, LaunchService, RefusedReason};
use crate::gamestream::pairing_server::{NativeAttempt, NoPin};
use crate::store::{Client, Fingerprint};

/// For so long an entered PIN is good: the client needs no person any more.
const CONFIRM: Duration = Duration::from_secs(30);

/// The other end of a connection.
pub(super) struct Peer {
    /// Where it was when it connected.
    pub(super) address: IpAddr,
    /// Its certificate in DER form, whose key it has.
    pub(super) certificate: Vec<u8>,
    /// What the keys of its streams are made of.
    pub(super) secret: [u8; SECRET_LEN],
    /// What pairing is bound to.
    pub(super) pairing: [u8; SECRET_LEN],
}

/// The one try that a connection has.
enum Try {
    /// Not begun.
    Left,
    /// The PIN was entered, and the client must show until then that it has the same.
    Entered(Box<(HostPairing, NativeAttempt)>, Instant),
    /// Over.
    Spent,
}

/// A stream that was offered.
struct Offered {
    launch: LaunchId,
    wish: StreamRequest,
    offer: Offer,
}

/// See the module.
pub(super) struct Conversation {
    peer: Peer,
    fingerprint: Fingerprint,
    shared: Arc<Shared>,
    pairing: Try,
    offered: Option<Offered>,
}

/// Why a request is refused.
type Refused = (Refusal, String);

impl Conversation {
    pub(super) fn new(peer: Peer, shared: Arc<Shared>) -> Self {
        let fingerprint = Fingerprint::of_der(&peer.certificate);
        let conversation = Self { peer, fingerprint, shared, pairing: Try::Left, offered: None };
        conversation.note_visit();
        conversation
    }

    /// Whether the client may do more than pair.
    pub(super) fn is_known(&self) -> bool {
        self.client().is_some()
    }

    /// Until when a client whose PIN was entered must show that it has the same.
    pub(super) fn confirm_until(&self) -> Option<Instant> {
        match &self.pairing {
            Try::Entered(_, until) => Some(*until),
            Try::Left | Try::Spent => None,
        }
    }

    /// The one reply to a request.
    pub(super) async fn answer(&mut self, request: Request) -> Reply {
        let answered = match (request, self.client()) {
            (Request::Hello { .. }, client) => Ok(self.welcome(client)),
            (Request::Pair { element, name }, _) => self.pair(&element, name).await,
            (Request::Confirm { proof }, _) => self.confirm(&proof).await,
            (Request::Unknown(kind), _) => Err((Refusal::UnknownRequest, format!("there is no request {kind:#06x}"))),
            (_, None) => Err((Refusal::NotPaired, "this host does not know this client; pair first".to_owned())),
            (Request::Apps { first }, Some(client)) => Ok(self.apps(&client, first).await),
            (Request::Launch { verb, app, wish }, Some(client)) => self.launch(&client, verb, app, &wish).await,
            (Request::Take(answer), Some(_)) => self.take(answer),
            (Request::Quit, Some(client)) => self.quit(&client).await,
            (Request::Figures, Some(client)) => {
                let figures = self.shared.engine.figures_of(&identity(&client)).map(Reply::Figures);
                figures.ok_or_else(|| refused(&RefusedReason::NothingRunning))
            }
        };
        answered.unwrap_or_else(|(refusal, text)| {
            tracing::info!(client = %self.peer.address, ?refusal, text, "refused over QUIC");
            Reply::Refused { refusal, text }
        })
    }

    /// The client as it is known now: it may have been removed since its last word.
    fn client(&self) -> Option<Client> {
        self.shared.store.client(&self.fingerprint)
    }

    fn welcome(&self, client: Option<Client>) -> Reply {
        let running = client.as_ref().and_then(|client| self.shared.engine.running_app(&identity(client)));
        Reply::Welcome {
            revision: REVISION,
            paired: client.is_some(),
            codecs: self.shared.engine.codec_mask(),
            running: running.map_or(0, |app| app.get()),
            id: self.shared.store.host_id().to_owned(),
            name: self.shared.config.name.to_string(),
        }
    }

    async fn pair(&mut self, element: &[u8; 32], name: String) -> Result<Reply, Refused> {
        if !matches!(std::mem::replace(&mut self.pairing, Try::Spent), Try::Left) {
            return Err((Refusal::TooMany, "a connection has one try; connect again".to_owned()));
        }
        let device = Some(name.trim().to_owned()).filter(|name| !name.is_empty() && !name.contains(char::is_control));
        let waited = self.shared.pairing.native_pin(self.peer.address, device, self.fingerprint).await;
        let attempt = waited.map_err(|error| match error {
            NoPin::TooMany => (Refusal::TooMany, error.to_string()),
            NoPin::TooLate => (Refusal::NoPin, error.to_string()),
        })?;
        let host = self.shared.store.identity().certificate().fingerprint();
        let binding =
            Binding { client: *self.fingerprint.as_bytes(), host: *host.as_bytes(), exported: self.peer.pairing };
        match HostPairing::new(&attempt.pin(), binding, element, &mut SystemEntropy) {
            Ok(run) => {
                let element = run.element();
                self.pairing = Try::Entered(Box::new((run, attempt)), Instant::now() + CONFIRM);
                Ok(Reply::Pair { element })
            }
            Err(error) => {
                attempt.fail(&self.shared.pairing);
                Err((Refusal::BadRequest, error.to_string()))
            }
        }
    }

    async fn confirm(&mut self, proof: &[u8; 32]) -> Result<Reply, Refused> {
        let (run, attempt) = match std::mem::replace(&mut self.pairing, Try::Spent) {
            Try::Entered(entered, _) => *entered,
            before => {
                self.pairing = before;
                return Err((Refusal::BadRequest, "there is nothing to confirm".to_owned()));
            }
        };
        match run.check(proof) {
            Ok(proof) => {
                let certificate = Certificate::from_der(&self.peer.certificate)
                    .map_err(|error| (Refusal::BadRequest, error.to_string()))?;
                let pinned = attempt.succeed(&self.shared.pairing, certificate, &self.shared.store).await;
                pinned.map_err(|text| (Refusal::Failed, text))?;
                Ok(Reply::Paired { proof })
            }
            Err(error) => {
                attempt.fail(&self.shared.pairing);
                Err((Refusal::WrongPin, error.to_string()))
            }
        }
    }

    async fn apps(&self, client: &Client, first: u16) -> Reply {
        let apps = Arc::clone(&self.shared.apps);
        // Directories may be on slow disks.
        let _ = tokio::task::spawn_blocking(move || apps.refresh()).await;
        let hdr = self.shared.engine.codec_mask().has_ten_bit();
        let entries = self.shared.apps.entries_for(&client.may);
        let rest = entries.iter().skip(first.into());
        let apps = rest.map(|entry| App { id: entry.id.get(), hdr, title: entry.config.name.to_string() }).collect();
        Reply::Apps { total: u16::try_from(entries.len()).unwrap_or(u16::MAX), apps }
    }

    async fn launch(&mut self, client: &Client, verb: Verb, app: u32, wish: &Wish) -> Result<Reply, Refused> {
        self.offered = None;
        if !self.shared.engine.codec_mask().contains(wish.profile) {
            return Err((Refusal::BadRequest, format!("this host does not encode {:?}", wish.profile)));
        }
        let (engine, caller, address) = (Arc::clone(&self.shared.engine), identity(client), self.peer.address);
        let request = wish.to_request();
        let work = tokio::task::spawn_blocking(move || {
            let launched = engine.launch_natively(&caller, verb, app, &request, address);
            launched.map(|(launch, offer)| Offered { launch, wish: request, offer })
        });
        let offered = work.await.unwrap_or_else(|_| Err(RefusedReason::Failed("The host failed".to_owned())));
        let offered = offered.map_err(|reason| refused(&reason))?;
        let offer = offered.offer;
        self.offered = Some(offered);
        Ok(Reply::Offer(offer))
    }

    fn take(&mut self, answer: Answer) -> Result<Reply, Refused> {
        let Some(Offered { launch, wish, offer }) = self.offered.take() else {
            return Err((Refusal::BadRequest, "nothing was offered".to_owned()));
        };
        answer.check(&offer).map_err(|error| (Refusal::BadRequest, error.to_string()))?;
        let terms = Lumen1Terms { offer, answer, exported: Some(self.peer.secret) };
        match self.shared.engine.take_natively(launch, &wish, terms) {
            Ok(Some(layout)) => Ok(Reply::Taken(layout)),
            Ok(None) => Err((Refusal::NothingRunning, "the offer is not valid any more".to_owned())),
            Err(error) => Err((Refusal::BadRequest, format!("{error:#}"))),
        }
    }

    async fn quit(&mut self, client: &Client) -> Result<Reply, Refused> {
        self.offered = None;
        let (engine, caller) = (Arc::clone(&self.shared.engine), identity(client));
        let ended = tokio::task::spawn_blocking(move || engine.cancel(&caller)).await;
        match ended {
            Ok(Ok(())) => Ok(Reply::Quit),
            Ok(Err(reason)) => Err(refused(&reason)),
            Err(_) => Err((Refusal::Failed, "The host failed; its log says why".to_owned())),
        }
    }

    fn note_visit(&self) {
        if !self.is_known() {
            return;
        }
        let (store, fingerprint) = (Arc::clone(&self.shared.store), self.fingerprint);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = store.seen(&fingerprint, SystemTime::now()) {
                tracing::debug!(%error, "a visit was not written down");
            }
        });
    }
}

impl Drop for Conversation {
    /// Whoever entered the PIN of a client that left before it used it learns that.
    fn drop(&mut self) {
        if let Try::Entered(entered, _) = std::mem::replace(&mut self.pairing, Try::Spent) {
            entered.1.fail(&self.shared.pairing);
        }
    }
}

fn identity(client: &Client) -> ClientIdentity {
    ClientIdentity { fingerprint: client.fingerprint, name: client.name.clone() }
}

fn refused(reason: &RefusedReason) -> Refused {
    let refusal = match reason {
        RefusedReason::BadRequest(_) | RefusedReason::EncryptionRequired => Refusal::BadRequest,
        RefusedReason::UnknownApp(_) => Refusal::UnknownApp,
        RefusedReason::NotGranted(_) => Refusal::NotGranted,
        RefusedReason::Busy => Refusal::Busy,
        RefusedReason::NothingRunning => Refusal::NothingRunning,
        RefusedReason::TooManySessions(_) => Refusal::TooMany,
        RefusedReason::Failed(_) | RefusedReason::ShuttingDown => Refusal::Failed,
    };
    (refusal, reason.to_string())
}
