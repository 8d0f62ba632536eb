//! Whose datagrams of lumen/1 these are: they come to the port that all sessions share until their session's worker has a
//! socket of its own towards that address. What is not sealed with the keys of the session stays outside.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lumen_core::lumen1::header::{PacketHeader, SessionId};
use lumen_core::lumen1::keys::Direction;
use lumen_core::lumen1::seal::Opener;

use super::launch::Announced;

/// New addresses of one client in [`PERIOD`]; more wait for the next.
const MOST_ADDRESSES: usize = 8;
/// See [`MOST_ADDRESSES`].
const PERIOD: Duration = Duration::from_secs(1);

/// Lets datagrams of one session through.
#[derive(Debug)]
pub(super) struct Gate {
    session: SessionId,
    opener: Opener,
    /// To whom the worker was given a socket in this period.
    known: Vec<SocketAddr>,
    since: Option<Instant>,
    buffer: Vec<u8>,
}

/// What is to be done with a datagram that may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// The worker needs a socket towards this address, too.
    NewAddress,
    /// The worker was just given one; this datagram came before it took effect.
    KnownAddress,
}

impl Gate {
    /// The gate of a stream over lumen/1; `None` of any other.
    pub(super) fn of(announced: &Announced) -> Option<Self> {
        let lumen1 = announced.lumen1.as_ref()?;
        let keys = lumen1.answer.keys(&lumen1.offer, lumen1.secret.as_bytes()).ok()?;
        let session = lumen1.offer.session;
        let opener = Opener::new(&keys, Direction::ClientToHost, session);
        Some(Self { session, opener, known: Vec::new(), since: None, buffer: Vec::new() })
    }

    /// What to do with a datagram from `client`; `None` if it is not this session's, or one too many.
    pub(super) fn admit(&mut self, datagram: &[u8], client: SocketAddr, now: Instant) -> Option<Pass> {
        if PacketHeader::parse(datagram).ok()?.session != self.session {
            return None;
        }
        self.buffer.clear();
        self.buffer.extend_from_slice(datagram);
        self.opener.open(&mut self.buffer).ok()?;
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= PERIOD) {
            self.since = Some(now);
            self.known.clear();
        }
        if self.known.contains(&client) {
            return Some(Pass::KnownAddress);
        }
        if self.known.len() == MOST_ADDRESSES {
            return None;
        }
        self.known.push(client);
        Some(Pass::NewAddress)
    }
}

#[cfg(test)]
mod tests {
    use lumen_core::lumen1::header::Stream;
    use lumen_core::lumen1::keys::KeySchedule;
    use lumen_core::lumen1::seal::{Sealer, SendPosition};

    use super::*;

    const SESSION: SessionId = SessionId(7);

    fn keys(secret: u8) -> KeySchedule {
        KeySchedule::new(&[secret; 16], &[2; 16], &[3; 16]).expect("long enough")
    }

    fn gate() -> Gate {
        let opener = Opener::new(&keys(1), Direction::ClientToHost, SESSION);
        Gate { session: SESSION, opener, known: Vec::new(), since: None, buffer: Vec::new() }
    }

    fn sealer(secret: u8, direction: Direction, session: SessionId) -> Sealer {
        Sealer::new(&keys(secret), direction, Stream::Control, session, SendPosition::default())
    }

    fn client(port: u16) -> SocketAddr {
        ([10, 0, 0, 1], port).into()
    }

    #[test]
    fn an_address_gets_one_socket_and_only_for_what_the_client_sealed() {
        let (mut gate, now) = (gate(), Instant::now());
        let mut own = sealer(1, Direction::ClientToHost, SESSION);
        let mut seal = || own.seal_payload(b"knock").expect("keys");
        let first = seal();
        assert_eq!(gate.admit(&first, client(1), now), Some(Pass::NewAddress));
        assert_eq!(gate.admit(&seal(), client(1), now), Some(Pass::KnownAddress));
        // Replayed, from wherever; changed; of other keys, another session, or the host itself.
        assert_eq!(gate.admit(&first, client(2), now), None);
        let mut changed = seal();
        *changed.last_mut().expect("a tag") ^= 1;
        assert_eq!(gate.admit(&changed, client(2), now), None);
        for (secret, direction, session) in [
            (9, Direction::ClientToHost, SESSION),
            (1, Direction::ClientToHost, SessionId(8)),
            (1, Direction::HostToClient, SESSION),
        ] {
            let other = sealer(secret, direction, session).seal_payload(b"knock").expect("keys");
            assert_eq!(gate.admit(&other, client(2), now), None);
        }
        assert_eq!(gate.admit(b"", client(2), now), None);
        assert_eq!(gate.admit(&seal(), client(2), now), Some(Pass::NewAddress));
    }

    #[test]
    fn a_client_that_is_everywhere_gets_no_more_than_some_sockets_a_second() {
        let (mut gate, now) = (gate(), Instant::now());
        let mut own = sealer(1, Direction::ClientToHost, SESSION);
        let mut admit = |port, at| gate.admit(&own.seal_payload(b"knock").expect("keys"), client(port), at);
        let passed = (0..100).filter(|port| admit(*port, now).is_some()).count();
        assert_eq!(passed, MOST_ADDRESSES);
        assert_eq!(admit(100, now + PERIOD), Some(Pass::NewAddress));
    }
}
