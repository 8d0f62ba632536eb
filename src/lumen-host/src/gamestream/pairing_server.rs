//! Pairing attempts of all clients (protocol part 1, sections 3.3 to 3.7).
//!
//! The state machine is [`HostPairing`] of `lumen-core`; this module gives it requests, the PIN and the time, holds
//! the connections of phase 1, and has certificates pinned. Attempts do not see each other: each has its own PIN, and
//! one PIN is one try. Those over QUIC (`native`) wait among the others and are given their PIN in the same way. Nothing
//! is reported as paired before the store has it on disk, and nothing that comes over the network can un-pin: that is for
//! the operator.

mod native;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use lumen_core::gamestream::http::{Channel, ErrorReply};
use lumen_core::gamestream::pairing::{
    self, Answer, Certificate, HostPairing, Identity, Outcome, PairCall, PairPath, PairReply, PairingError,
    PairingLimits, Pin, PinTarget, Released, UniqueId,
};
use lumen_core::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};

use crate::admin::PairingResult;
use crate::entropy::SystemEntropy;
use crate::store::{Client, Fingerprint, Store};
pub use native::{NativeAttempt, NoPin};

/// What strangers may make this host remember and do.
const LIMITS: PairingLimits = PairingLimits {
    attempts: 8,
    attempts_per_address: 4,
    starts_per_minute: 20,
    pin_entry: Duration::from_secs(5 * 60),
    phase: Duration::from_secs(30),
};

/// What clients that do not say what they are call themselves (protocol part 1, section 2.1).
const NAMELESS: &str = "roth";

/// Results that are remembered for whoever entered the PIN.
const MAX_RESULTS: usize = 64;

/// Number of an attempt, unique while the host runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct AttemptId(pub u64);

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for AttemptId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// A client that waits for its PIN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PendingAttempt {
    /// Number of the attempt.
    pub id: AttemptId,
    /// Address of the client.
    pub address: IpAddr,
    /// What the client calls itself, if it says.
    pub name: Option<String>,
    /// SHA-256 of the certificate that would be pinned.
    #[schemars(with = "String")]
    pub fingerprint: Fingerprint,
    /// Seconds that it has waited.
    pub age_seconds: u64,
}

/// Why a PIN was not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PinRefused {
    /// Not four digits.
    #[error("a PIN is four digits, as the client shows them")]
    NotAPin,
    /// No client is pairing.
    #[error("no client is waiting for a PIN; choose this host on the client first")]
    NobodyWaits,
    /// The chosen one is gone.
    #[error("that client is not waiting for a PIN")]
    NoSuchAttempt,
    /// It is not clear whose PIN it is.
    #[error("{} clients are waiting for a PIN; say which one it is for, by its address or number", .0.len())]
    SeveralWait(Vec<PendingAttempt>),
}

/// What became of the attempts since the host started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PairingOutcomes {
    /// Clients that may stream now.
    pub paired: u64,
    /// Requests that were refused: a wrong PIN, none in time, too many at once, nonsense.
    pub refused: u64,
}

/// The pairing attempts of this host.
pub struct PairingServer {
    epoch: Instant,
    state: Mutex<State>,
}

struct State {
    attempts: HostPairing,
    /// Where the answers of held connections go. Dropping one releases its connection.
    held: HashMap<pairing::AttemptId, oneshot::Sender<PairReply>>,
    /// Attempts whose PIN was entered, by their client.
    entered: HashMap<(IpAddr, UniqueId), Entered>,
    outcomes: PairingOutcomes,
    /// Attempts over QUIC that wait for their PIN.
    native: BTreeMap<pairing::AttemptId, native::Waiting>,
    /// What became of attempts, or will.
    results: HashMap<AttemptId, watch::Receiver<Option<PairingResult>>>,
}

/// What the operator said about an attempt.
struct Entered {
    name: Option<String>,
    result: watch::Sender<Option<PairingResult>>,
}

impl PairingServer {
    /// No attempts yet.
    pub fn new(identity: Arc<Identity>) -> Self {
        let state = State {
            attempts: HostPairing::new(identity, LIMITS),
            held: HashMap::new(),
            entered: HashMap::new(),
            outcomes: PairingOutcomes::default(),
            native: BTreeMap::new(),
            results: HashMap::new(),
        };
        Self { epoch: Instant::now(), state: Mutex::new(state) }
    }

    /// Answers `/pair` and `/unpair`. Phase 1 is answered when its PIN was entered, or given up when the future is
    /// dropped. Over HTTPS the caller has made sure that the client is known.
    pub async fn answer(
        &self,
        path: PairPath,
        query: &str,
        peer: SocketAddr,
        channel: Channel,
        store: &Arc<Store>,
    ) -> String {
        let address = peer.ip().to_canonical();
        let (answer, held) = self.handle(address, path, query, channel);
        let reply = match answer {
            Answer::Reply(reply) => reply,
            Answer::Held(id) => self.hold(id, address, held).await,
            Answer::Pin { certificate, unique_id, device_name } => {
                let key = (address, unique_id);
                self.pin(key, device_name, certificate, Arc::clone(store)).await
            }
            Answer::CheckCertificate => PairReply::Paired,
        };
        reply.to_xml()
    }

    /// Clients that wait for their PIN, longest first.
    pub fn pending(&self) -> Vec<PendingAttempt> {
        let now = self.now();
        let mut state = self.state();
        state.expire(now);
        state.pending(now)
    }

    /// How the attempts went until now.
    pub fn outcomes(&self) -> PairingOutcomes {
        self.state().outcomes
    }

    /// Enters the PIN that a client shows. `id` and `address` say which, where several wait; `name` is what to
    /// remember it by.
    ///
    /// # Errors
    /// [`PinRefused`]; then no attempt was touched.
    pub fn enter_pin(
        &self,
        pin: &str,
        id: Option<AttemptId>,
        address: Option<IpAddr>,
        name: Option<String>,
    ) -> Result<AttemptId, PinRefused> {
        let pin: Pin = pin.trim().parse().map_err(|_| PinRefused::NotAPin)?;
        let now = self.now();
        let mut state = self.state();
        state.expire(now);
        let chosen = choose(state.pending(now), id, address)?;
        state.enter(chosen, pin, name, now)
    }

    /// Waits for what becomes of an attempt whose PIN was entered, at most `limit`.
    pub async fn outcome(&self, id: AttemptId, limit: Duration) -> PairingResult {
        let failed = |reason: &str| PairingResult::Failed { reason: reason.to_owned() };
        let Some(mut result) = self.state().results.get(&id).cloned() else {
            return failed("nothing is known of that attempt");
        };
        match tokio::time::timeout(limit, result.wait_for(Option::is_some)).await {
            Ok(Ok(known)) => known.clone().unwrap_or_else(|| failed("it ended without a result")),
            Ok(Err(_)) => failed("the client gave up; most likely the PIN was not the one that it shows"),
            Err(_) => failed("the client did not go on; most likely the PIN was not the one that it shows"),
        }
    }

    /// Gives a request to the state machine. For a held one there is a place where its answer will be.
    fn handle(
        &self,
        address: IpAddr,
        path: PairPath,
        query: &str,
        channel: Channel,
    ) -> (Answer, Option<oneshot::Receiver<PairReply>>) {
        let now = self.now();
        let mut state = self.state();
        state.expire(now);
        let Outcome { answer, released, refusal } =
            state.attempts.handle(address, path, query, channel, now, &mut SystemEntropy);
        if let Some(refusal) = &refusal {
            tracing::info!(%address, %refusal, "pairing request refused");
        }
        let goes_on = match &answer {
            // A last phase that came over HTTP is refused, and changes nothing.
            Answer::Reply(_) if refusal == Some(PairingError::NotSecure) => true,
            Answer::Reply(reply) => matches!(reply, PairReply::ChallengeResponse(_) | PairReply::PairingSecret(_)),
            Answer::Pin { .. } | Answer::CheckCertificate => true,
            Answer::Held(_) => false,
        };
        let sender = PairCall::sender(query).filter(|_| !goes_on);
        // Whoever entered the PIN of an attempt that ended learns that nothing came of it.
        let given_up = sender.is_some_and(|sender| state.entered.remove(&(address, sender)).is_some());
        // A client that was given a wrong PIN finds that out itself and leaves.
        if refusal.is_some() || given_up {
            state.outcomes.refused += 1;
        }
        state.release(released);
        let held = match &answer {
            Answer::Held(id) => {
                let (sender, receiver) = oneshot::channel();
                state.held.insert(*id, sender);
                Some(receiver)
            }
            _ => None,
        };
        (answer, held)
    }

    /// Waits for the answer of a held request.
    async fn hold(
        &self,
        id: pairing::AttemptId,
        address: IpAddr,
        held: Option<oneshot::Receiver<PairReply>>,
    ) -> PairReply {
        // If the client closes the connection, this future is dropped, and the attempt with it.
        let _released = Held { server: self, id };
        let Some(held) = held else { return PairReply::refused("No such pairing attempt") };
        tracing::info!(%address, attempt = id.get(), "a client waits for its PIN: `lumen pair`");
        // A moment longer than the state machine waits, so that its answer is the one that is sent.
        match tokio::time::timeout(LIMITS.pin_entry + Duration::from_millis(20), held).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) => PairReply::refused("Replaced by a new attempt"),
            Err(_) => PairReply::refused("The PIN was not entered in time"),
        }
    }

    async fn pin(
        &self,
        key: (IpAddr, UniqueId),
        device: Option<String>,
        certificate: Certificate,
        store: Arc<Store>,
    ) -> PairReply {
        let Entered { name, result } = match self.state().entered.remove(&key) {
            Some(entered) => entered,
            None => Entered { name: None, result: watch::Sender::new(None) },
        };
        match self.remember(key.0, name, device, result, certificate, store).await {
            Ok(()) => PairReply::Paired,
            Err(message) => PairReply::Error(ErrorReply::new(500, message).with_zero("paired")),
        }
    }

    /// Has the certificate of a client pinned, and tells whoever entered its PIN.
    async fn remember(
        &self,
        address: IpAddr,
        name: Option<String>,
        device: Option<String>,
        result: watch::Sender<Option<PairingResult>>,
        certificate: Certificate,
        store: Arc<Store>,
    ) -> Result<(), String> {
        let name = name.unwrap_or_else(|| default_name(device, address));
        let pinned = tokio::task::spawn_blocking(move || -> Result<Client, String> {
            let pem = certificate.to_pem().map_err(|error| error.to_string())?;
            store.pin(&name, &pem, SystemTime::now()).map_err(|error| error.to_string())
        });
        match pinned.await.unwrap_or_else(|_| Err("the host failed; its log says why".to_owned())) {
            Ok(client) => {
                tracing::info!(%address, client = client.name, fingerprint = %client.fingerprint, "paired");
                self.state().outcomes.paired += 1;
                result.send_replace(Some(PairingResult::Paired { client: Box::new(client) }));
                Ok(())
            }
            Err(reason) => {
                tracing::error!(%address, reason, "pairing failed");
                let message = format!("The host cannot remember this client: {reason}");
                result.send_replace(Some(PairingResult::Failed { reason }));
                Err(message)
            }
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::ZERO + self.epoch.elapsed()
    }

    // A panic within would be one of the state machine, which leaves its attempts in a state to go on from.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn pending(&self, now: Timestamp) -> Vec<PendingAttempt> {
        let describe = |attempt: pairing::PendingAttempt| PendingAttempt {
            id: AttemptId(attempt.id.get()),
            address: attempt.remote,
            name: attempt.device_name.filter(|name| name != NAMELESS),
            fingerprint: attempt.fingerprint,
            age_seconds: now.saturating_since(attempt.since).as_secs(),
        };
        let native = self.native.iter().map(|(id, waiting)| waiting.describe(*id, now));
        let mut all: Vec<_> = self.attempts.pending().map(describe).chain(native).collect();
        all.sort_by_key(|attempt| attempt.id);
        all
    }

    fn enter(
        &mut self,
        id: AttemptId,
        pin: Pin,
        name: Option<String>,
        now: Timestamp,
    ) -> Result<AttemptId, PinRefused> {
        let target = pairing::AttemptId::from_number(id.0);
        let (result, watched) = watch::channel(None);
        if let Some(waiting) = self.native.remove(&target) {
            waiting.enter(pin, name, result)?;
            self.watch(id, watched);
            return Ok(id);
        }
        let waiting = self.attempts.pending().find(|attempt| attempt.id == target);
        let attempt = waiting.ok_or(PinRefused::NoSuchAttempt)?;
        let released = self.attempts.enter_pin(PinTarget::Attempt(target), pin, now);
        let Released { reply, .. } = released.map_err(|_| PinRefused::NoSuchAttempt)?;
        let sent = self.held.remove(&target).is_some_and(|held| held.send(reply).is_ok());
        if !sent {
            // The client left in this very moment. There is no connection to send the outcome of this to.
            let _ = self.attempts.cancel(target);
            return Err(PinRefused::NoSuchAttempt);
        }
        self.entered.insert((attempt.remote, attempt.unique_id), Entered { name, result });
        self.watch(id, watched);
        Ok(id)
    }

    fn watch(&mut self, id: AttemptId, result: watch::Receiver<Option<PairingResult>>) {
        if self.results.len() >= MAX_RESULTS {
            let oldest = self.results.keys().min().copied();
            oldest.map(|oldest| self.results.remove(&oldest));
        }
        self.results.insert(id, result);
    }

    fn expire(&mut self, now: Timestamp) {
        for released in self.attempts.handle_timeout(now) {
            self.outcomes.refused += 1;
            self.release(Some(released));
        }
    }

    fn release(&mut self, released: Option<Released>) {
        let Some(Released { attempt, reply }) = released else { return };
        if let Some(held) = self.held.remove(&attempt) {
            // A client that closed its connection needs no answer.
            let _ = held.send(reply);
        }
    }
}

/// Takes an attempt away when its connection is.
struct Held<'a> {
    server: &'a PairingServer,
    id: pairing::AttemptId,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut state = self.server.state();
        state.held.remove(&self.id);
        state.attempts.connection_closed(self.id);
    }
}

/// The one attempt that `id` and `address` leave.
fn choose(
    pending: Vec<PendingAttempt>,
    id: Option<AttemptId>,
    address: Option<IpAddr>,
) -> Result<AttemptId, PinRefused> {
    if pending.is_empty() {
        return Err(PinRefused::NobodyWaits);
    }
    let mut chosen: Vec<PendingAttempt> = pending
        .into_iter()
        .filter(|attempt| id.is_none_or(|id| attempt.id == id))
        .filter(|attempt| address.is_none_or(|address| attempt.address == address.to_canonical()))
        .collect();
    match (chosen.pop(), chosen.is_empty()) {
        (None, _) => Err(PinRefused::NoSuchAttempt),
        (Some(only), true) => Ok(only.id),
        (Some(last), false) => {
            chosen.push(last);
            Err(PinRefused::SeveralWait(chosen))
        }
    }
}

fn default_name(device: Option<String>, address: IpAddr) -> String {
    device.filter(|name| name != NAMELESS && !name.trim().is_empty()).unwrap_or_else(|| format!("Client at {address}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(id: u64, address: &str) -> PendingAttempt {
        PendingAttempt {
            id: AttemptId(id),
            address: address.parse().expect("an address"),
            name: None,
            fingerprint: Fingerprint::new([0; 32]),
            age_seconds: 0,
        }
    }

    #[test]
    fn with_several_waiting_one_must_be_chosen() {
        let both = || vec![attempt(1, "192.0.2.1"), attempt(2, "192.0.2.2")];
        assert_eq!(choose(Vec::new(), None, None), Err(PinRefused::NobodyWaits));
        assert_eq!(choose(vec![attempt(1, "::1")], None, None), Ok(AttemptId(1)));
        assert_eq!(choose(both(), None, None), Err(PinRefused::SeveralWait(both())));
        assert_eq!(choose(both(), Some(AttemptId(2)), None), Ok(AttemptId(2)));
        let mapped = "::ffff:192.0.2.1".parse().ok();
        assert_eq!(choose(both(), None, mapped), Ok(AttemptId(1)));
        assert_eq!(choose(both(), Some(AttemptId(2)), mapped), Err(PinRefused::NoSuchAttempt));
    }

    #[test]
    fn clients_are_named_by_what_they_say_or_where_they_are() {
        let address = "192.0.2.1".parse().expect("an address");
        assert_eq!(default_name(Some("Pixel".to_owned()), address), "Pixel");
        assert_eq!(default_name(Some("roth".to_owned()), address), "Client at 192.0.2.1");
        assert_eq!(default_name(None, address), "Client at 192.0.2.1");
    }
}
