//! The attempts under way, and what became of the last ones. Time is an argument.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};

use super::PinRefused;
use super::limiter::Limiter;
use crate::admin::PairingResult;
use crate::gamestream::http_server::network_of;
use crate::store::Fingerprint;

/// Attempts that may wait for a PIN at a time (protocol part 1, section 3.7).
const MAX_PENDING: usize = 8;
/// Attempts of one address among them, so that one client cannot keep all others from pairing.
const MAX_PENDING_PER_ADDRESS: usize = 4;
/// Time to finish after the PIN. Clients need a second.
const FINISH: Duration = Duration::from_secs(30);
/// Results that are remembered for whoever entered the PIN.
const MAX_RESULTS: usize = 32;

/// Number of an attempt, unique while the host runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingAttempt {
    /// Number of the attempt.
    pub id: AttemptId,
    /// Address of the client.
    pub address: IpAddr,
    /// What the client calls itself; many say the same.
    pub name: String,
    /// SHA-256 of the certificate that would be pinned.
    pub fingerprint: Fingerprint,
    /// Seconds that it has waited.
    pub age_seconds: u64,
}

/// Whose attempt it is: the `uniqueid` alone is the same for many clients.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// Address of the client, IPv4 as IPv4.
    pub(super) address: IpAddr,
    /// `uniqueid` of its requests.
    pub(super) unique_id: String,
}

/// What an attempt begins with.
pub(super) struct Beginning<M> {
    /// The state machine.
    pub(super) machine: M,
    /// What the client calls itself.
    pub(super) device: String,
    /// SHA-256 of its certificate.
    pub(super) fingerprint: Fingerprint,
}

/// Why an attempt may not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crowded {
    /// The address begins too often.
    TooOften,
    /// Too many wait already.
    TooMany,
}

/// An attempt under way.
pub(super) struct Attempt<M> {
    /// Number.
    pub(super) id: AttemptId,
    /// State machine.
    pub(super) machine: M,
    /// Name to remember the client by, if the operator gave one.
    pub(super) name: Option<String>,
    device: String,
    fingerprint: Fingerprint,
    since: Instant,
    stage: Stage,
    result: watch::Sender<Option<PairingResult>>,
}

impl<M> Attempt<M> {
    /// Tells whoever entered the PIN.
    pub(super) fn finish(self, result: PairingResult) {
        self.result.send_replace(Some(result));
    }

    /// What the client calls itself.
    pub(super) fn device(&self) -> &str {
        &self.device
    }
}

enum Stage {
    /// Phase 1 is held; its reply goes here. Dropping this releases the client's connection.
    Held(oneshot::Sender<String>),
    /// The PIN is in; the rest must follow by then.
    Finishing(Instant),
}

/// All attempts. `M` is the state machine.
pub(super) struct Table<M> {
    attempts: HashMap<Key, Attempt<M>>,
    results: VecDeque<(AttemptId, watch::Receiver<Option<PairingResult>>)>,
    limiter: Limiter,
    last: u64,
}

impl<M> Default for Table<M> {
    fn default() -> Self {
        Self { attempts: HashMap::new(), results: VecDeque::new(), limiter: Limiter::default(), last: 0 }
    }
}

impl<M> Table<M> {
    /// Begins an attempt. An older one with the same key ends, and its held connection is released.
    pub(super) fn begin(
        &mut self,
        key: Key,
        beginning: Beginning<M>,
        now: Instant,
    ) -> Result<(AttemptId, oneshot::Receiver<String>), Crowded> {
        self.expire(now);
        if !self.limiter.allow(network_of(key.address), now) {
            return Err(Crowded::TooOften);
        }
        self.attempts.remove(&key);
        let held = || self.attempts.iter().filter(|(_, attempt)| matches!(attempt.stage, Stage::Held(_)));
        let own = held().filter(|(other, _)| network_of(other.address) == network_of(key.address)).count();
        if held().count() >= MAX_PENDING || own >= MAX_PENDING_PER_ADDRESS {
            return Err(Crowded::TooMany);
        }
        self.last += 1;
        let id = AttemptId(self.last);
        let (reply, held) = oneshot::channel();
        let (result, watched) = watch::channel(None);
        let Beginning { machine, device, fingerprint } = beginning;
        let stage = Stage::Held(reply);
        let attempt = Attempt { id, machine, name: None, device, fingerprint, since: now, stage, result };
        self.attempts.insert(key, attempt);
        self.results.push_back((id, watched));
        if self.results.len() > MAX_RESULTS {
            self.results.pop_front();
        }
        Ok((id, held))
    }

    /// Gives a PIN to the one attempt that `id` and `address` leave. `unlock` makes the reply of phase 1.
    pub(super) fn enter_pin(
        &mut self,
        id: Option<AttemptId>,
        address: Option<IpAddr>,
        name: Option<String>,
        now: Instant,
        unlock: impl FnOnce(&mut M) -> String,
    ) -> Result<AttemptId, PinRefused> {
        self.expire(now);
        let pending = self.pending(now);
        if pending.is_empty() {
            return Err(PinRefused::NobodyWaits);
        }
        let mut chosen: Vec<PendingAttempt> = pending
            .into_iter()
            .filter(|attempt| id.is_none_or(|id| attempt.id == id))
            .filter(|attempt| address.is_none_or(|address| attempt.address == address.to_canonical()))
            .collect();
        let Some(only) = chosen.pop() else { return Err(PinRefused::NoSuchAttempt) };
        if !chosen.is_empty() {
            chosen.push(only);
            return Err(PinRefused::SeveralWait(chosen));
        }
        let attempt = self.attempts.values_mut().find(|attempt| attempt.id == only.id);
        let attempt = attempt.ok_or(PinRefused::NoSuchAttempt)?;
        attempt.name = name;
        let reply = unlock(&mut attempt.machine);
        let released = match std::mem::replace(&mut attempt.stage, Stage::Finishing(now + FINISH)) {
            Stage::Held(held) => held.send(reply).is_ok(),
            Stage::Finishing(_) => false,
        };
        if released {
            return Ok(only.id);
        }
        // The client left in this very moment.
        self.attempts.retain(|_, attempt| attempt.id != only.id);
        Err(PinRefused::NoSuchAttempt)
    }

    /// The attempt of a client, to continue with.
    pub(super) fn get(&mut self, key: &Key, now: Instant) -> Option<&mut Attempt<M>> {
        self.expire(now);
        self.attempts.get_mut(key)
    }

    /// Ends an attempt; if `only` is given, no other than this one.
    pub(super) fn remove(&mut self, key: &Key, only: Option<AttemptId>) -> Option<Attempt<M>> {
        let attempt = self.attempts.get(key)?;
        if only.is_some_and(|id| attempt.id != id) {
            return None;
        }
        self.attempts.remove(key)
    }

    /// Clients that wait for their PIN, longest first.
    pub(super) fn pending(&self, now: Instant) -> Vec<PendingAttempt> {
        let held = self.attempts.iter().filter(|(_, attempt)| matches!(attempt.stage, Stage::Held(_)));
        let mut pending: Vec<_> = held
            .map(|(key, attempt)| PendingAttempt {
                id: attempt.id,
                address: key.address,
                name: attempt.device.clone(),
                fingerprint: attempt.fingerprint,
                age_seconds: now.saturating_duration_since(attempt.since).as_secs(),
            })
            .collect();
        pending.sort_by_key(|attempt| attempt.id);
        pending
    }

    /// Where the result of an attempt will be.
    pub(super) fn result(&self, id: AttemptId) -> Option<watch::Receiver<Option<PairingResult>>> {
        self.results.iter().find(|(known, _)| *known == id).map(|(_, result)| result.clone())
    }

    fn expire(&mut self, now: Instant) {
        self.attempts.retain(|_, attempt| match attempt.stage {
            Stage::Held(_) => true,
            Stage::Finishing(until) => now < until,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(address: u8, unique_id: &str) -> Key {
        Key { address: IpAddr::from([192, 0, 2, address]), unique_id: unique_id.to_owned() }
    }

    fn beginning() -> Beginning<&'static str> {
        Beginning { machine: "fresh", device: "tablet".to_owned(), fingerprint: Fingerprint::from_bytes([7; 32]) }
    }

    fn unlock(machine: &mut &'static str) -> String {
        *machine = "unlocked";
        "certificate".to_owned()
    }

    #[test]
    fn a_pin_releases_the_only_attempt() {
        let (mut table, now) = (Table::default(), Instant::now());
        let nobody = table.enter_pin(None, None, None, now, unlock);
        assert_eq!(nobody, Err(PinRefused::NobodyWaits));
        let (id, mut held) = table.begin(key(1, "a"), beginning(), now).expect("begins");
        assert_eq!(table.enter_pin(None, None, Some("Sofa".to_owned()), now, unlock), Ok(id));
        assert_eq!(held.try_recv().expect("a reply"), "certificate");
        let attempt = table.get(&key(1, "a"), now).expect("goes on");
        assert_eq!((attempt.machine, attempt.name.as_deref()), ("unlocked", Some("Sofa")));
        assert_eq!(table.enter_pin(None, None, None, now, unlock), Err(PinRefused::NobodyWaits));
    }

    #[test]
    fn with_several_waiting_one_must_be_chosen() {
        let (mut table, now) = (Table::default(), Instant::now());
        let (first, _held) = table.begin(key(1, "a"), beginning(), now).expect("begins");
        let (second, _held2) = table.begin(key(2, "a"), beginning(), now).expect("begins");
        let refused = table.enter_pin(None, None, None, now, unlock).expect_err("unclear");
        assert!(matches!(refused, PinRefused::SeveralWait(pending) if pending.len() == 2));
        assert_eq!(table.enter_pin(None, Some(key(2, "").address), None, now, unlock), Ok(second));
        assert_eq!(table.enter_pin(Some(second), None, None, now, unlock), Err(PinRefused::NoSuchAttempt));
        assert_eq!(table.enter_pin(Some(first), None, None, now, unlock), Ok(first));
    }

    #[test]
    fn a_new_attempt_replaces_the_old_one_of_the_same_client_only() {
        let (mut table, now) = (Table::default(), Instant::now());
        let (_, mut old) = table.begin(key(1, "a"), beginning(), now).expect("begins");
        let (_, mut other) = table.begin(key(1, "b"), beginning(), now).expect("begins");
        let (new, _held) = table.begin(key(1, "a"), beginning(), now).expect("begins again");
        assert_eq!(old.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        assert_eq!(other.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        assert_eq!(table.pending(now).iter().filter(|attempt| attempt.id == new).count(), 1);
    }

    #[test]
    fn waiting_attempts_are_limited_in_all_and_for_each_address() {
        let (mut table, now) = (Table::default(), Instant::now());
        let mut held = Vec::new();
        for address in 1..=2 {
            for unique_id in ["a", "b", "c", "d"] {
                held.push(table.begin(key(address, unique_id), beginning(), now).expect("begins"));
            }
            assert_eq!(table.begin(key(address, "e"), beginning(), now).err(), Some(Crowded::TooMany));
        }
        assert_eq!(table.begin(key(3, "a"), beginning(), now).err(), Some(Crowded::TooMany));
        table.remove(&key(1, "a"), None);
        assert!(table.begin(key(3, "a"), beginning(), now).is_ok());
    }

    #[test]
    fn beginnings_are_rate_limited() {
        let (mut table, now) = (Table::default(), Instant::now());
        let refusal = (0..100).find_map(|_| table.begin(key(1, "a"), beginning(), now).err());
        assert_eq!(refusal, Some(Crowded::TooOften));
        assert!(table.begin(key(2, "a"), beginning(), now).is_ok());
    }

    #[test]
    fn an_attempt_that_does_not_finish_is_forgotten() {
        let (mut table, now) = (Table::default(), Instant::now());
        let (id, _held) = table.begin(key(1, "a"), beginning(), now).expect("begins");
        let result = table.result(id).expect("a place for it");
        table.enter_pin(None, None, None, now, unlock).expect("entered");
        assert!(table.get(&key(1, "a"), now + FINISH).is_none());
        assert!(result.has_changed().is_err(), "whoever waits for the result is told that there is none");
    }

    #[test]
    fn a_client_that_left_cannot_take_a_pin() {
        let (mut table, now) = (Table::default(), Instant::now());
        let (_, held) = table.begin(key(1, "a"), beginning(), now).expect("begins");
        drop(held);
        assert_eq!(table.enter_pin(None, None, None, now, unlock), Err(PinRefused::NoSuchAttempt));
        assert!(table.pending(now).is_empty());
    }
}
