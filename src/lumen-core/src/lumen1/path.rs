//! Which address a host sends to (section 5): only one that answered a challenge. An address that was not proven gets at
//! most three times the bytes that came from it, so that nobody can aim a stream at a third party.

use std::time::Duration;

use ring::hmac;

use crate::time::Timestamp;

/// Bytes that an unproven address gets for each that came from it.
const AMPLIFICATION: u64 = 3;

/// Time between two challenges.
const RETRY: Duration = Duration::from_millis(100);

/// Challenges to an address that does not answer.
const MAX_TRIES: u32 = 20;

/// An address of the peer, as the caller numbers them. Equal addresses have equal numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathId(pub u64);

/// Finds and proves the peer's address.
#[derive(Debug)]
pub struct PathValidator {
    key: hmac::Key,
    count: u64,
    active: Option<PathId>,
    candidate: Option<Candidate>,
}

#[derive(Debug)]
struct Candidate {
    path: PathId,
    token: u64,
    received: u64,
    sent: u64,
    tries: u32,
    due: Timestamp,
}

impl PathValidator {
    /// One that has no address yet. `seed` is random and never used again.
    pub fn new(seed: &[u8; 32]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, seed), count: 0, active: None, candidate: None }
    }

    /// The address that is proven.
    pub fn active(&self) -> Option<PathId> {
        self.active
    }

    /// Takes note of an authentic datagram of `bytes` bytes from `path`. Only the newest one may start a move: an old
    /// one that was held up, or that somebody forwarded, does not.
    pub fn received(&mut self, path: PathId, bytes: usize, age: Age, now: Timestamp) {
        if let Some(candidate) = self.candidate.as_mut().filter(|candidate| candidate.path == path) {
            candidate.received += bytes as u64;
            return;
        }
        if age == Age::Late {
            return;
        }
        if self.active == Some(path) {
            // The peer is back where it was.
            self.candidate = None;
            return;
        }
        let token = self.token();
        self.candidate = Some(Candidate { path, token, received: bytes as u64, sent: 0, tries: 0, due: now });
    }

    /// Takes a response from `path`. Returns whether the address is proven by it.
    pub fn responded(&mut self, path: PathId, token: u64) -> bool {
        let proven =
            self.candidate.as_ref().is_some_and(|candidate| (candidate.path, candidate.token) == (path, token));
        if proven {
            self.active = Some(path);
            self.candidate = None;
        }
        proven
    }

    /// The challenge that is due at `now`, if a datagram of `bytes` bytes may be sent for it: where to, and its value.
    pub fn poll(&mut self, bytes: usize, now: Timestamp) -> Option<(PathId, u64)> {
        let candidate = self.candidate.as_mut()?;
        if candidate.due > now || candidate.sent + bytes as u64 > AMPLIFICATION * candidate.received {
            return None;
        }
        if candidate.tries == MAX_TRIES {
            self.candidate = None;
            return None;
        }
        candidate.tries += 1;
        candidate.sent += bytes as u64;
        candidate.due = now + RETRY;
        Some((candidate.path, candidate.token))
    }

    /// When a challenge is due, if one of `bytes` bytes may be sent.
    pub fn due(&self, bytes: usize) -> Option<Timestamp> {
        let candidate = self.candidate.as_ref()?;
        (candidate.sent + bytes as u64 <= AMPLIFICATION * candidate.received).then_some(candidate.due)
    }

    fn token(&mut self) -> u64 {
        self.count += 1;
        let tag = hmac::sign(&self.key, &self.count.to_be_bytes());
        u64::from_be_bytes(*tag.as_ref().first_chunk().expect("32 bytes"))
    }
}

/// Whether a datagram is newer than all before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Age {
    /// It is.
    Newest,
    /// One with a higher number came before.
    Late,
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: PathId = PathId(1);
    const AWAY: PathId = PathId(2);

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn proven() -> PathValidator {
        let mut paths = PathValidator::new(&[7; 32]);
        paths.received(HOME, 60, Age::Newest, at(0));
        let (path, token) = paths.poll(44, at(0)).expect("a challenge");
        assert_eq!(path, HOME);
        assert!(paths.responded(HOME, token));
        paths
    }

    #[test]
    fn an_address_is_used_once_it_answered_and_not_before() {
        let mut paths = proven();
        assert_eq!(paths.active(), Some(HOME));
        paths.received(AWAY, 60, Age::Newest, at(10));
        let (path, token) = paths.poll(44, at(10)).expect("a challenge");
        assert_eq!((path, paths.active()), (AWAY, Some(HOME)));
        assert!(!paths.responded(HOME, token), "from the wrong address");
        assert!(!paths.responded(AWAY, token ^ 1), "the wrong value");
        assert_eq!(paths.active(), Some(HOME));
        assert!(paths.responded(AWAY, token));
        assert_eq!(paths.active(), Some(AWAY));
    }

    #[test]
    fn an_unproven_address_gets_no_more_than_three_times_what_it_sent() {
        let mut paths = PathValidator::new(&[7; 32]);
        paths.received(AWAY, 60, Age::Newest, at(0));
        let sent = (0..10_000).filter(|&millis| paths.poll(44, at(millis)).is_some()).count();
        assert_eq!(sent, 4);
        assert_eq!(paths.due(44), None);
        paths.received(AWAY, 60, Age::Late, at(20_000));
        assert!(paths.poll(44, at(20_000)).is_some());
    }

    #[test]
    fn an_address_that_never_answers_is_forgotten() {
        let mut paths = PathValidator::new(&[7; 32]);
        paths.received(AWAY, 1 << 20, Age::Newest, at(0));
        let sent = (0..10_000).filter(|&millis| paths.poll(44, at(millis)).is_some()).count();
        assert_eq!(sent, MAX_TRIES as usize);
        assert_eq!((paths.active(), paths.due(44)), (None, None));
    }

    #[test]
    fn a_late_datagram_moves_nothing_and_a_return_ends_the_move() {
        let mut paths = proven();
        paths.received(AWAY, 60, Age::Late, at(10));
        assert_eq!(paths.poll(44, at(10)), None);
        paths.received(AWAY, 60, Age::Newest, at(10));
        paths.received(HOME, 60, Age::Newest, at(11));
        assert_eq!(paths.poll(44, at(11)), None);
    }
}
