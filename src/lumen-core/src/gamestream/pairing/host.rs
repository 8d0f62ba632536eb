//! The host's half: all pending attempts, and the strict order of phases in each (protocol part 1, sections 3.5 to
//! 3.7).
//!
//! The driver's contract: give every `/pair` and `/unpair` request to [`HostPairing::handle`], keep the connection of a
//! [`Answer::Held`] open and report when it closes, and call [`HostPairing::handle_timeout`] when
//! [`HostPairing::timeout`] says so. An attempt is known by address *and* client identifier, since the latter is shared
//! by many clients.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::crypto::random;
use super::{
    Certificate, CertificateFingerprint, Challenge, ChallengeResponse, ClientHash, Identity, PairCall, PairPath,
    PairReply, PairRequest, PairingError, PairingKey, Pin, Salt, Secret, ServerHash, UniqueId, sign_secret,
    verify_client_pairing_secret,
};
use crate::entropy::Entropy;
use crate::gamestream::http::Channel;
use crate::time::Timestamp;

/// Time in which starts of one address are counted.
const START_WINDOW: Duration = Duration::from_secs(60);

/// Most starts that are remembered, of all addresses.
const MAX_REMEMBERED_STARTS: usize = 1024;

/// Bounds of what strangers can make the host remember and do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairingLimits {
    /// Attempts at the same time.
    pub attempts: usize,
    /// Attempts of one address at the same time.
    pub attempts_per_address: usize,
    /// Attempts that one address may begin in a minute.
    pub starts_per_minute: usize,
    /// How long the user has to type the PIN.
    pub pin_entry: Duration,
    /// How long the client has for each phase behind that.
    pub phase: Duration,
}

impl Default for PairingLimits {
    fn default() -> Self {
        Self {
            attempts: 16,
            attempts_per_address: 8,
            starts_per_minute: 60,
            pin_entry: Duration::from_secs(300),
            phase: Duration::from_secs(30),
        }
    }
}

/// Names one attempt. Never used again by the same [`HostPairing`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(u64);

impl AttemptId {
    /// A number for logs and interfaces.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The attempt with that number, as an interface named it.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }
}

/// An attempt that waits for its PIN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingAttempt {
    /// Its name.
    pub id: AttemptId,
    /// Where the request came from; to be shown to the user.
    pub remote: IpAddr,
    /// The client's identifier.
    pub unique_id: UniqueId,
    /// What the client calls its device, if it says.
    pub device_name: Option<String>,
    /// The certificate that would be pinned.
    pub fingerprint: CertificateFingerprint,
    /// When it began.
    pub since: Timestamp,
}

/// Which attempt a PIN is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinTarget {
    /// This one.
    Attempt(AttemptId),
    /// The only one that waits; refused if several do.
    Only,
}

/// Why a PIN was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoSuchAttempt {
    /// No attempt waits, or not that one.
    #[error("no such client waits for a PIN; start pairing at the client first")]
    None,
    /// Several wait, and none was named.
    #[error("several clients wait for a PIN; say which")]
    Several,
}

/// What to do with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Keep the connection open without an answer. It comes from [`HostPairing::enter_pin`],
    /// [`HostPairing::cancel`], [`HostPairing::handle_timeout`], or as [`Outcome::released`] of a later request.
    Held(AttemptId),
    /// Send this.
    Reply(PairReply),
    /// First pin this certificate, for good; then send [`PairReply::Paired`], or [`PairReply::NotPaired`] if it could
    /// not be stored.
    Pin {
        /// The client's certificate.
        certificate: Certificate,
        /// The client's identifier.
        unique_id: UniqueId,
        /// What the client calls its device, if it says.
        device_name: Option<String>,
    },
    /// Phase 5: send [`PairReply::Paired`] if the TLS certificate of this connection is pinned, else 401.
    CheckCertificate,
}

/// An answer for a connection that was held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    /// Which one.
    pub attempt: AttemptId,
    /// What to send on it.
    pub reply: PairReply,
}

/// All that follows from a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What to do with the request itself.
    pub answer: Answer,
    /// The held connection of an attempt that the request ended.
    pub released: Option<Released>,
    /// Why the request was refused, for the log.
    pub refusal: Option<PairingError>,
}

/// All pairing attempts of a host.
#[derive(Debug)]
pub struct HostPairing {
    identity: Arc<Identity>,
    limits: PairingLimits,
    attempts: Vec<Attempt>,
    starts: VecDeque<(Timestamp, IpAddr)>,
    next_id: u64,
}

#[derive(Debug)]
struct Attempt {
    id: AttemptId,
    remote: IpAddr,
    unique_id: UniqueId,
    device_name: Option<String>,
    certificate: Certificate,
    since: Timestamp,
    deadline: Timestamp,
    state: State,
}

/// What was exchanged so far. Each state owns exactly what the next phase needs.
#[derive(Debug)]
enum State {
    WaitPin { salt: Salt },
    GotCertificate { key: PairingKey },
    Challenged { key: PairingKey, secret: Secret, challenge: Challenge },
    Responded { challenge: Challenge, hash: ClientHash },
}

impl HostPairing {
    /// No attempts yet.
    pub const fn new(identity: Arc<Identity>, limits: PairingLimits) -> Self {
        Self { identity, limits, attempts: Vec::new(), starts: VecDeque::new(), next_id: 1 }
    }

    /// Handles a request. Any that cannot be read, or comes out of order, ends its sender's attempt.
    pub fn handle(
        &mut self,
        from: IpAddr,
        path: PairPath,
        query: &str,
        channel: Channel,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> Outcome {
        match PairCall::parse(path, query, channel) {
            Ok(call) => self.call(from, call, now, entropy),
            Err(error) => {
                // A stray phase 5 must not change anything.
                let ends = error != PairingError::NotSecure;
                let sender = PairCall::sender(query).filter(|_| ends);
                let released = sender.and_then(|sender| self.end(from, &sender, "The request is malformed"));
                Outcome { answer: Answer::Reply(PairReply::refused(error.to_string())), released, refusal: Some(error) }
            }
        }
    }

    /// Handles a request that was read.
    pub fn call(&mut self, from: IpAddr, call: PairCall, now: Timestamp, entropy: &mut dyn Entropy) -> Outcome {
        let from = from.to_canonical();
        let PairCall { unique_id, request } = call;
        match request {
            PairRequest::PairChallenge => outcome(Answer::CheckCertificate, None),
            PairRequest::Unpair => {
                let released = self.end(from, &unique_id, "Pairing was cancelled");
                outcome(Answer::Reply(PairReply::Unpaired), released)
            }
            PairRequest::GetServerCertificate { salt, certificate, device_name } => {
                let released = self.end(from, &unique_id, "Replaced by a new attempt");
                if !self.may_start(from, now) {
                    return outcome(Answer::Reply(PairReply::Busy), released);
                }
                let id = AttemptId(self.next_id);
                self.next_id += 1;
                self.attempts.push(Attempt {
                    id,
                    remote: from,
                    unique_id,
                    device_name,
                    certificate,
                    since: now,
                    deadline: now + self.limits.pin_entry,
                    state: State::WaitPin { salt },
                });
                outcome(Answer::Held(id), released)
            }
            later => {
                let Some(attempt) = self.take(from, &unique_id) else {
                    return outcome(Answer::Reply(PairReply::refused("No such pairing attempt")), None);
                };
                self.advance(attempt, later, now, entropy)
            }
        }
    }

    /// The attempts that wait for their PIN, oldest first.
    pub fn pending(&self) -> impl Iterator<Item = PendingAttempt> {
        self.attempts.iter().filter(|attempt| attempt.waits()).map(|attempt| PendingAttempt {
            id: attempt.id,
            remote: attempt.remote,
            unique_id: attempt.unique_id.clone(),
            device_name: attempt.device_name.clone(),
            fingerprint: attempt.certificate.fingerprint(),
            since: attempt.since,
        })
    }

    /// Admits an attempt that pairs in another way, if `others` of them, from the addresses of those that wait, leave room
    /// for it. It counts among what its address began, and its name is no other attempt's.
    pub fn admit(&mut self, from: IpAddr, others: &[IpAddr], now: Timestamp) -> Option<AttemptId> {
        let from = from.to_canonical();
        let own = others.iter().filter(|other| **other == from).count();
        if !self.may_start_beside(from, others.len(), own, now) {
            return None;
        }
        let id = AttemptId(self.next_id);
        self.next_id += 1;
        Some(id)
    }

    /// Takes the PIN that the user typed: one PIN, one try. The answer is for the held connection.
    ///
    /// # Errors
    /// [`NoSuchAttempt`]; the PIN was not used then.
    pub fn enter_pin(&mut self, target: PinTarget, pin: Pin, now: Timestamp) -> Result<Released, NoSuchAttempt> {
        let deadline = now + self.limits.phase;
        let mut waiting = self.attempts.iter_mut().filter(|attempt| attempt.waits());
        let attempt = match target {
            PinTarget::Attempt(id) => waiting.find(|attempt| attempt.id == id).ok_or(NoSuchAttempt::None)?,
            PinTarget::Only => match (waiting.next(), waiting.next()) {
                (Some(attempt), None) => attempt,
                (None, _) => return Err(NoSuchAttempt::None),
                (Some(_), Some(_)) => return Err(NoSuchAttempt::Several),
            },
        };
        if let State::WaitPin { salt } = &attempt.state {
            attempt.state = State::GotCertificate { key: PairingKey::derive(salt, &pin) };
        }
        attempt.deadline = deadline;
        let pem = self.identity.certificate_pem().to_owned();
        Ok(Released { attempt: attempt.id, reply: PairReply::ServerCertificate(pem) })
    }

    /// Ends an attempt that waits for its PIN, as its user wishes.
    ///
    /// # Errors
    /// [`NoSuchAttempt::None`].
    pub fn cancel(&mut self, id: AttemptId) -> Result<Released, NoSuchAttempt> {
        let index =
            self.attempts.iter().position(|attempt| attempt.id == id && attempt.waits()).ok_or(NoSuchAttempt::None)?;
        self.attempts.remove(index).release("Pairing was cancelled at the host").ok_or(NoSuchAttempt::None)
    }

    /// The connection that was held for an attempt was closed by the client, before it was answered.
    pub fn connection_closed(&mut self, id: AttemptId) {
        self.attempts.retain(|attempt| attempt.id != id || !attempt.waits());
    }

    /// When [`HostPairing::handle_timeout`] must be called.
    pub fn timeout(&self) -> Option<Timestamp> {
        self.attempts.iter().map(|attempt| attempt.deadline).min()
    }

    /// Ends the attempts whose time is over.
    pub fn handle_timeout(&mut self, now: Timestamp) -> Vec<Released> {
        let over = self.attempts.extract_if(.., |attempt| attempt.deadline <= now);
        over.filter_map(|attempt| attempt.release("The PIN was not entered in time")).collect()
    }

    /// One phase on. The attempt is only put back if the phase is the one that is due.
    fn advance(
        &mut self,
        mut attempt: Attempt,
        request: PairRequest,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> Outcome {
        let (state, reply) = match (attempt.state, request) {
            (State::GotCertificate { key }, PairRequest::ClientChallenge(message)) => {
                let (secret, challenge) = (Secret(random(entropy)), Challenge(random(entropy)));
                let theirs = Challenge(key.decrypt(message));
                let hash = ServerHash::new(&theirs, self.identity.certificate(), &secret);
                let reply = PairReply::ChallengeResponse(ChallengeResponse { hash, challenge }.seal(&key));
                (State::Challenged { key, secret, challenge }, reply)
            }
            (State::Challenged { key, secret, challenge }, PairRequest::ServerChallengeResponse(message)) => {
                let hash = ClientHash(key.decrypt(message));
                match sign_secret(&self.identity, &secret) {
                    Ok(message) => (State::Responded { challenge, hash }, PairReply::PairingSecret(message)),
                    Err(error) => {
                        return outcome(Answer::Reply(PairReply::refused(error.to_string())), None);
                    }
                }
            }
            (State::Responded { challenge, hash }, PairRequest::ClientPairingSecret(message)) => {
                let Attempt { certificate, unique_id, device_name, .. } = attempt;
                return match verify_client_pairing_secret(&message, &certificate, &challenge, &hash) {
                    Ok(_) => outcome(Answer::Pin { certificate, unique_id, device_name }, None),
                    Err(error) => {
                        Outcome { answer: Answer::Reply(PairReply::NotPaired), released: None, refusal: Some(error) }
                    }
                };
            }
            (state, _) => {
                attempt.state = state;
                let released = attempt.release("Pairing requests came out of order");
                return outcome(Answer::Reply(PairReply::refused("Out of order pairing request")), released);
            }
        };
        attempt.state = state;
        attempt.deadline = now + self.limits.phase;
        self.attempts.push(attempt);
        outcome(Answer::Reply(reply), None)
    }

    fn take(&mut self, from: IpAddr, unique_id: &UniqueId) -> Option<Attempt> {
        let from = from.to_canonical();
        let same = |attempt: &Attempt| attempt.remote == from && attempt.unique_id == *unique_id;
        self.attempts.iter().position(same).map(|index| self.attempts.remove(index))
    }

    fn end(&mut self, from: IpAddr, unique_id: &UniqueId, reason: &str) -> Option<Released> {
        self.take(from, unique_id)?.release(reason)
    }

    fn may_start(&mut self, from: IpAddr, now: Timestamp) -> bool {
        self.may_start_beside(from, 0, 0, now)
    }

    /// Whether an address may begin another attempt beside others of another kind, `own` of them its own; counts it.
    fn may_start_beside(&mut self, from: IpAddr, others: usize, own: usize, now: Timestamp) -> bool {
        self.starts.retain(|(at, _)| now.saturating_since(*at) < START_WINDOW);
        let own_attempts = own + self.attempts.iter().filter(|attempt| attempt.remote == from).count();
        let own_starts = self.starts.iter().filter(|(_, remote)| *remote == from).count();
        let allowed = self.attempts.len() + others < self.limits.attempts
            && own_attempts < self.limits.attempts_per_address
            && own_starts < self.limits.starts_per_minute;
        if allowed {
            if self.starts.len() == MAX_REMEMBERED_STARTS {
                self.starts.pop_front();
            }
            self.starts.push_back((now, from));
        }
        allowed
    }
}

impl Attempt {
    const fn waits(&self) -> bool {
        matches!(self.state, State::WaitPin { .. })
    }

    /// The answer for its held connection, if it has one.
    fn release(self, reason: &str) -> Option<Released> {
        self.waits().then(|| Released { attempt: self.id, reply: PairReply::refused(reason) })
    }
}

const fn outcome(answer: Answer, released: Option<Released>) -> Outcome {
    Outcome { answer, released, refusal: None }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::gamestream::pairing::{ClientPairing, ClientPairingError, Progress, Validity};

    fn identity() -> Arc<Identity> {
        let mut entropy = |buffer: &mut [u8]| buffer.fill(7);
        Arc::new(Identity::generate("test", Validity::twenty_years(0), &mut entropy).unwrap())
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))
    }

    struct Device {
        from: IpAddr,
        pairing: ClientPairing,
    }

    impl Device {
        fn new(from: IpAddr, pin: &str, identity: &Arc<Identity>) -> Self {
            let unique_id = UniqueId::new(UniqueId::SHARED).unwrap();
            let mut entropy = |buffer: &mut [u8]| buffer.fill(9);
            let pin = pin.parse().unwrap();
            Self { from, pairing: ClientPairing::new(Arc::clone(identity), unique_id, &pin, &mut entropy) }
        }

        fn send(&self, host: &mut HostPairing, now: Timestamp) -> Outcome {
            let request = self.pairing.request().unwrap();
            let mut entropy = |buffer: &mut [u8]| buffer.fill(3);
            host.handle(self.from, PairPath::Pair, &request.query, request.channel, now, &mut entropy)
        }

        fn hold(&self, host: &mut HostPairing) -> AttemptId {
            match self.send(host, Timestamp::ZERO).answer {
                Answer::Held(id) => id,
                other => panic!("{other:?}"),
            }
        }

        /// Goes on after the first reply until the client is paired or something fails.
        fn finish(&mut self, host: &mut HostPairing, first: &PairReply) -> Result<Certificate, ClientPairingError> {
            let mut reply = first.clone();
            loop {
                if let Progress::Paired(certificate) = self.pairing.receive(&reply.to_xml())? {
                    return Ok(certificate);
                }
                reply = match self.send(host, Timestamp::ZERO).answer {
                    Answer::Reply(reply) => reply,
                    Answer::Pin { .. } | Answer::CheckCertificate => PairReply::Paired,
                    Answer::Held(_) => panic!("only the first phase is held"),
                };
            }
        }
    }

    #[test]
    fn clients_with_the_same_identifier_do_not_disturb_each_other() {
        let identity = identity();
        let mut host = HostPairing::new(Arc::clone(&identity), PairingLimits::default());
        let mut one = Device::new(address(1), "1111", &identity);
        let mut two = Device::new(address(2), "2222", &identity);
        let (first, second) = (one.hold(&mut host), two.hold(&mut host));
        let several = host.enter_pin(PinTarget::Only, "1111".parse().unwrap(), Timestamp::ZERO);
        assert_eq!(several, Err(NoSuchAttempt::Several));
        for (device, id, pin) in [(&mut two, second, "2222"), (&mut one, first, "1111")] {
            let released = host.enter_pin(PinTarget::Attempt(id), pin.parse().unwrap(), Timestamp::ZERO).unwrap();
            assert!(device.finish(&mut host, &released.reply).is_ok());
        }
        assert_eq!(host.timeout(), None, "nothing is left behind");
    }

    #[test]
    fn a_wrong_pin_shows_at_the_client_and_pins_nothing() {
        let identity = identity();
        let mut host = HostPairing::new(Arc::clone(&identity), PairingLimits::default());
        let mut device = Device::new(address(1), "1111", &identity);
        device.hold(&mut host);
        let released = host.enter_pin(PinTarget::Only, "1112".parse().unwrap(), Timestamp::ZERO).unwrap();
        let error = device.finish(&mut host, &released.reply).unwrap_err();
        assert!(matches!(error, ClientPairingError::Check(PairingError::WrongPin)));
        let again = host.enter_pin(PinTarget::Only, "1111".parse().unwrap(), Timestamp::ZERO);
        assert_eq!(again, Err(NoSuchAttempt::None), "one PIN, one try");
    }

    #[test]
    fn attempts_end_at_their_deadlines() {
        let identity = identity();
        let limits = PairingLimits::default();
        let mut host = HostPairing::new(Arc::clone(&identity), limits);
        let device = Device::new(address(1), "1111", &identity);
        let id = device.hold(&mut host);
        assert_eq!(host.timeout(), Some(Timestamp::ZERO + limits.pin_entry));
        assert_eq!(host.handle_timeout(Timestamp::from_millis(1)), []);
        let over = host.handle_timeout(Timestamp::ZERO + limits.pin_entry);
        assert_eq!(over.iter().map(|released| released.attempt).collect::<Vec<_>>(), [id]);
        // With its PIN, an attempt has nothing to answer any more.
        device.hold(&mut host);
        host.enter_pin(PinTarget::Only, "1111".parse().unwrap(), Timestamp::ZERO).unwrap();
        assert_eq!(host.handle_timeout(Timestamp::ZERO + limits.phase), []);
        assert_eq!(host.timeout(), None);
    }

    #[test]
    fn a_closed_connection_ends_only_an_attempt_without_a_pin() {
        let identity = identity();
        let mut host = HostPairing::new(Arc::clone(&identity), PairingLimits::default());
        let mut device = Device::new(address(1), "1111", &identity);
        let id = device.hold(&mut host);
        host.connection_closed(id);
        assert_eq!(host.pending().count(), 0);
        let id = device.hold(&mut host);
        let released = host.enter_pin(PinTarget::Attempt(id), "1111".parse().unwrap(), Timestamp::ZERO).unwrap();
        host.connection_closed(id);
        assert!(device.finish(&mut host, &released.reply).is_ok());
    }

    #[test]
    fn one_address_cannot_fill_the_table() {
        let identity = identity();
        let limits = PairingLimits { attempts: 3, attempts_per_address: 2, ..Default::default() };
        let mut host = HostPairing::new(Arc::clone(&identity), limits);
        let begin = |host: &mut HostPairing, from, id: &str| {
            let call = PairCall {
                unique_id: UniqueId::new(id).unwrap(),
                request: PairRequest::GetServerCertificate {
                    salt: Salt([0; 16]),
                    certificate: identity.certificate().clone(),
                    device_name: None,
                },
            };
            host.call(from, call, Timestamp::ZERO, &mut |_: &mut [u8]| {}).answer
        };
        assert!(matches!(begin(&mut host, address(1), "a"), Answer::Held(_)));
        assert!(matches!(begin(&mut host, address(1), "b"), Answer::Held(_)));
        assert_eq!(begin(&mut host, address(1), "c"), Answer::Reply(PairReply::Busy));
        assert!(matches!(begin(&mut host, address(1), "b"), Answer::Held(_)), "its own attempt is replaced");
        assert!(matches!(begin(&mut host, address(2), "a"), Answer::Held(_)));
        assert_eq!(begin(&mut host, address(3), "a"), Answer::Reply(PairReply::Busy));
    }

    #[test]
    fn an_address_that_starts_too_often_is_told_to_wait() {
        let identity = identity();
        let limits = PairingLimits { starts_per_minute: 2, ..Default::default() };
        let mut host = HostPairing::new(Arc::clone(&identity), limits);
        let device = Device::new(address(1), "1111", &identity);
        device.hold(&mut host);
        device.hold(&mut host);
        let (soon, later) = (Timestamp::from_millis(59_999), Timestamp::from_millis(60_000));
        assert_eq!(device.send(&mut host, soon).answer, Answer::Reply(PairReply::Busy));
        assert!(matches!(device.send(&mut host, later).answer, Answer::Held(_)));
    }

    #[test]
    fn attempts_of_another_kind_count_as_well() {
        let identity = identity();
        let limits = PairingLimits { attempts: 3, attempts_per_address: 2, starts_per_minute: 4, ..Default::default() };
        let mut host = HostPairing::new(Arc::clone(&identity), limits);
        let (held, now) = (Device::new(address(1), "1111", &identity).hold(&mut host), Timestamp::ZERO);
        let other = host.admit(address(1), &[], now).expect("room for one more");
        assert_ne!(other, held);
        assert_eq!(host.admit(address(1), &[address(1)], now), None, "its address has two");
        assert!(host.admit(address(2), &[address(1)], now).is_some());
        assert_eq!(host.admit(address(3), &[address(1), address(2)], now), None, "there are three");
        assert!(host.admit(address(1), &[], now).is_some() && host.admit(address(1), &[], now).is_some());
        assert_eq!(host.admit(address(1), &[], now), None, "it began four in a minute");
    }

    #[test]
    fn a_stray_last_phase_over_http_changes_nothing() {
        let identity = identity();
        let mut host = HostPairing::new(Arc::clone(&identity), PairingLimits::default());
        let device = Device::new(address(1), "1111", &identity);
        device.hold(&mut host);
        let query = "uniqueid=0123456789ABCDEF&phrase=pairchallenge";
        let mut entropy = |_: &mut [u8]| {};
        let http = host.handle(address(1), PairPath::Pair, query, Channel::Http, Timestamp::ZERO, &mut entropy);
        assert_eq!(http.refusal, Some(PairingError::NotSecure));
        let https = host.handle(address(1), PairPath::Pair, query, Channel::Https, Timestamp::ZERO, &mut entropy);
        assert_eq!(https.answer, Answer::CheckCertificate);
        assert_eq!(host.pending().count(), 1);
    }

    #[test]
    fn cancelling_answers_the_held_connection() {
        let identity = identity();
        let mut host = HostPairing::new(Arc::clone(&identity), PairingLimits::default());
        let id = Device::new(address(1), "1111", &identity).hold(&mut host);
        assert_eq!(host.cancel(id).unwrap().attempt, id);
        assert_eq!(host.cancel(id), Err(NoSuchAttempt::None));
    }
}
