//! The simulated network and the run loop of its two ends.

use std::net::SocketAddr;
use std::time::Duration;

use lumen_core::enet::{Event, Host, HostConfig, PeerAddress, PeerId, Transmit};
use lumen_core::netsim::{Link, LinkConfig, Loss, Random};
use lumen_core::time::Timestamp;

/// Both directions lose, delay and reorder.
pub const fn lossy(loss: f64, delay_ms: u64, jitter_ms: u64) -> LinkConfig {
    LinkConfig {
        loss: Loss::Independent(loss),
        jitter: Duration::from_millis(jitter_ms),
        ..LinkConfig::clean(Duration::from_millis(delay_ms))
    }
}

pub const CLEAN: LinkConfig = LinkConfig::clean(Duration::from_millis(10));

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Server,
    Client,
}

/// Sender's address, payload.
type Travelling = (SocketAddr, Vec<u8>);

pub struct Network {
    pub server: Host,
    pub client: Host,
    pub now: Timestamp,
    pub client_address: PeerAddress,
    to_server: Link<Travelling>,
    to_client: Link<Travelling>,
}

pub fn server_address() -> PeerAddress {
    PeerAddress::new(SocketAddr::from(([192, 0, 2, 1], 47_999)))
}

pub fn client_address(port: u16) -> PeerAddress {
    PeerAddress::new(SocketAddr::from(([192, 0, 2, 2], port)))
}

pub fn host(config: HostConfig, seed: u64) -> Host {
    let mut random = Random::new(seed);
    Host::new(config, move |bytes: &mut [u8]| random.fill(bytes))
}

impl Network {
    pub fn new(link: LinkConfig, seed: u64) -> Self {
        Self::with_config(link, seed, HostConfig::host(), HostConfig::client())
    }

    pub fn with_config(link: LinkConfig, seed: u64, server: HostConfig, client: HostConfig) -> Self {
        Self {
            server: host(server, seed ^ 1),
            client: host(client, seed ^ 2),
            now: Timestamp::from_millis(1_000_000),
            client_address: client_address(50_000),
            to_server: Link::new(link, seed ^ 3),
            to_client: Link::new(link, seed ^ 4),
        }
    }

    /// Loses so much from now on, in both directions.
    pub fn set_loss(&mut self, rate: f64) {
        for link in [&mut self.to_server, &mut self.to_client] {
            link.set_config(LinkConfig { loss: Loss::Independent(rate), ..link.config() }, self.now);
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
        let next =
            [self.to_server.next_event(), self.to_client.next_event(), self.server.timeout(), self.client.timeout()]
                .into_iter()
                .flatten()
                .min();
        let next = next.unwrap_or(limit).max(self.now);
        if next > limit {
            self.now = limit;
            return Vec::new();
        }
        self.now = next;
        // What is ignored, is ignored.
        while let Some((_, (from, bytes))) = self.to_server.receive(self.now) {
            let _ = self.server.receive(PeerAddress::new(from), &bytes, self.now);
        }
        while let Some((_, (from, bytes))) = self.to_client.receive(self.now) {
            let _ = self.client.receive(PeerAddress::new(from), &bytes, self.now);
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
        while let Some(Transmit { to, bytes, .. }) = self.server.poll_transmit(self.now) {
            if to.remote() == self.client_address.remote() {
                self.to_client.send(self.now, bytes.len(), (server_address().remote(), bytes));
            }
        }
        while let Some(Transmit { to, bytes, .. }) = self.client.poll_transmit(self.now) {
            if to.remote() == server_address().remote() {
                self.to_server.send(self.now, bytes.len(), (self.client_address.remote(), bytes));
            }
        }
    }
}
