//! The simulated network and the run loop of its two ends.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::time::Duration;

use lumen_core::enet::{Event, Host, HostConfig, PeerAddress, PeerId, Transmit};
use lumen_core::time::Timestamp;

/// How datagrams fare in one direction or the other.
#[derive(Debug, Clone, Copy)]
pub struct Link {
    pub loss: f64,
    pub duplication: f64,
    pub delay: Duration,
    /// Added to the delay, evenly distributed from 0; reorders.
    pub jitter: Duration,
}

impl Link {
    pub const CLEAN: Self =
        Self { loss: 0.0, duplication: 0.0, delay: Duration::from_millis(10), jitter: Duration::ZERO };

    pub const fn lossy(loss: f64, delay_ms: u64, jitter_ms: u64) -> Self {
        Self {
            loss,
            duplication: 0.0,
            delay: Duration::from_millis(delay_ms),
            jitter: Duration::from_millis(jitter_ms),
        }
    }
}

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Server,
    Client,
}

/// Arrival, tie breaker, whether it goes to the server, sender's address, payload.
type Travelling = (Timestamp, u64, bool, SocketAddr, Vec<u8>);

pub struct Network {
    pub server: Host,
    pub client: Host,
    pub now: Timestamp,
    pub link: Link,
    pub client_address: PeerAddress,
    random: Random,
    wire: BinaryHeap<Reverse<Travelling>>,
    order: u64,
}

pub fn server_address() -> PeerAddress {
    PeerAddress::new(SocketAddr::from(([192, 0, 2, 1], 47_999)))
}

pub fn client_address(port: u16) -> PeerAddress {
    PeerAddress::new(SocketAddr::from(([192, 0, 2, 2], port)))
}

pub fn host(config: HostConfig, seed: u64) -> Host {
    let mut random = Random(seed);
    Host::new(config, move |bytes: &mut [u8]| bytes.fill_with(|| random.next() as u8))
}

impl Network {
    pub fn new(link: Link, seed: u64) -> Self {
        Self::with_config(link, seed, HostConfig::host(), HostConfig::client())
    }

    pub fn with_config(link: Link, seed: u64, server: HostConfig, client: HostConfig) -> Self {
        Self {
            server: host(server, seed ^ 1),
            client: host(client, seed ^ 2),
            now: Timestamp::from_millis(1_000_000),
            link,
            client_address: client_address(50_000),
            random: Random(seed),
            wire: BinaryHeap::new(),
            order: 0,
        }
    }

    /// Connects; gives the ids at the server and at the client.
    pub fn connect(&mut self) -> (PeerId, PeerId) {
        let at_client = self.client.connect(server_address(), 48, 0xDEAD_BEEF).unwrap();
        let mut at_server = None;
        let mut connected = false;
        let deadline = self.now + Duration::from_secs(20);
        while at_server.is_none() || !connected {
            assert!(self.now < deadline, "no connection");
            for (end, event) in self.step(deadline) {
                match (end, event) {
                    (End::Server, Event::Connected { peer, data: 0xDEAD_BEEF }) => at_server = Some(peer),
                    (End::Client, Event::Connected { peer, .. }) if peer == at_client => connected = true,
                    other => panic!("{other:?}"),
                }
            }
        }
        (at_server.unwrap(), at_client)
    }

    /// Sends what is to be sent, then advances to the next thing that happens, at most to `limit`. Gives the
    /// events of both ends.
    pub fn step(&mut self, limit: Timestamp) -> Vec<(End, Event)> {
        self.flush();
        let arrival = self.wire.peek().map(|Reverse((at, ..))| *at);
        let next = [arrival, self.server.timeout(), self.client.timeout()].into_iter().flatten().min();
        let next = next.unwrap_or(limit).max(self.now);
        if next > limit {
            self.now = limit;
            return Vec::new();
        }
        self.now = next;
        while self.wire.peek().is_some_and(|Reverse((at, ..))| *at <= self.now) {
            let Some(Reverse((_, _, to_server, from, bytes))) = self.wire.pop() else { break };
            let receiver = if to_server { &mut self.server } else { &mut self.client };
            // What is ignored, is ignored.
            let _ = receiver.receive(PeerAddress::new(from), &bytes, self.now);
        }
        self.server.handle_timeout(self.now);
        self.client.handle_timeout(self.now);
        self.flush();
        self.events()
    }

    pub fn events(&mut self) -> Vec<(End, Event)> {
        let mut events = Vec::new();
        events.extend(std::iter::from_fn(|| self.server.poll_event()).map(|event| (End::Server, event)));
        events.extend(std::iter::from_fn(|| self.client.poll_event()).map(|event| (End::Client, event)));
        events
    }

    /// Runs for `duration` and gives all events.
    pub fn run(&mut self, duration: Duration) -> Vec<(End, Event)> {
        let limit = self.now + duration;
        let mut events = Vec::new();
        while self.now < limit {
            events.extend(self.step(limit));
        }
        events
    }

    /// Puts what both ends want to send on the wire.
    pub fn flush(&mut self) {
        while let Some(transmit) = self.server.poll_transmit(self.now) {
            self.carry(false, server_address(), transmit);
        }
        while let Some(transmit) = self.client.poll_transmit(self.now) {
            self.carry(true, self.client_address, transmit);
        }
    }

    fn carry(&mut self, to_server: bool, from: PeerAddress, Transmit { to, bytes, .. }: Transmit) {
        let reaches = if to_server { server_address() } else { self.client_address };
        if to.remote() != reaches.remote() {
            return;
        }
        let copies = if self.random.fraction() < self.link.duplication { 2 } else { 1 };
        for _ in 0..copies {
            if self.random.fraction() < self.link.loss {
                continue;
            }
            let at = self.now + self.link.delay + self.link.jitter.mul_f64(self.random.fraction());
            self.order += 1;
            self.wire.push(Reverse((at, self.order, to_server, from.remote(), bytes.clone())));
        }
    }
}
