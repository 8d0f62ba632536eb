//! The control channel of every client: one UDP port, one native thread, ENet and its encryption from lumen-core.
//! It turns datagrams into session commands and feedback into datagrams; what they mean is the engine's business.

use std::collections::HashMap;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lumen_core::enet::{self, Delivery, Event, PeerAddress, PeerId};
use lumen_core::gamestream::control::{
    CipherProgress, ClientMessage, ControlCipher, EnvelopeMode, Framing, HostMessage, MessageError, OpenError, Side,
    Termination,
};
use lumen_core::time::Timestamp;
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Deserialize, Serialize};

use crate::link::StreamKey;
use crate::net::sockets::{Dscp, Traffic, mark};

/// Names one connection of a client: a launch of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LaunchId(pub u64);

/// What the engine grants to a control connection.
#[derive(Debug, Clone)]
pub struct ControlGrant {
    /// The launch that it belongs to.
    pub launch: LaunchId,
    /// Its key.
    pub key: StreamKey,
    /// How nonces are made.
    pub mode: EnvelopeMode,
}

/// The engine, as the control channel sees it. Called from the control thread; must not block.
pub trait ControlEngine: Send + Sync + 'static {
    /// A client connected with this connect data from this address. `None` turns it away.
    fn control_connected(&self, connect_data: u32, client: SocketAddr, local: Option<IpAddr>) -> Option<ControlGrant>;

    /// Anything authentic arrived from the client of `launch`.
    fn control_alive(&self, launch: LaunchId);

    /// A message arrived.
    fn control_message(&self, launch: LaunchId, message: ClientMessage);

    /// The client of `launch` left, or was lost.
    fn control_gone(&self, launch: LaunchId);
}

/// A client's connection on its way from one daemon to the next. Without its key, and good for one daemon.
#[derive(Debug, Serialize, Deserialize)]
pub struct Connection {
    peer: enet::HandedOver,
    cipher: CipherProgress,
}

#[cfg(test)]
impl Connection {
    pub(crate) fn new(peer: enet::HandedOver, cipher: CipherProgress) -> Self {
        Self { peer, cipher }
    }
}

/// What the engine asks of the control channel.
#[derive(Debug)]
enum Command {
    Send(LaunchId, HostMessage),
    End(LaunchId, Option<Termination>),
    TakeOver(ControlGrant, Box<Connection>),
    HandOver(Sender<Vec<(LaunchId, Connection)>>),
    Shutdown,
}

/// Sends commands to the control thread. Cheap to clone.
#[derive(Debug)]
pub struct ControlHandle {
    commands: Sender<Command>,
    waker: UnixStream,
}

impl Clone for ControlHandle {
    fn clone(&self) -> Self {
        Self {
            commands: self.commands.clone(),
            waker: self.waker.try_clone().expect("a descriptor of our own can be duplicated"),
        }
    }
}

impl ControlHandle {
    /// Sends a message to the client of `launch`, reliably.
    pub fn send(&self, launch: LaunchId, message: HostMessage) {
        self.command(Command::Send(launch, message));
    }

    /// Ends the connection of `launch`: with a reason that the client understands, or just ends it.
    pub fn end(&self, launch: LaunchId, reason: Option<Termination>) {
        self.command(Command::End(launch, reason));
    }

    /// Goes on with the connection of an earlier daemon. If that cannot be, the engine hears that it is gone.
    pub fn take_over(&self, grant: ControlGrant, connection: Connection) {
        self.command(Command::TakeOver(grant, Box::new(connection)));
    }

    /// Ends the thread, but no connection: returns them for the next daemon. Their clients notice nothing for as long
    /// as they repeat what is not acknowledged, which is ten seconds. Not to be called with a lock that the engine takes.
    pub fn hand_over(&self) -> Vec<(LaunchId, Connection)> {
        let (sender, connections) = mpsc::channel();
        self.command(Command::HandOver(sender));
        connections.recv_timeout(FAREWELL).unwrap_or_default()
    }

    /// Ends every connection with the reason "closed" and then the thread.
    pub fn shutdown(&self) {
        self.command(Command::Shutdown);
    }

    fn command(&self, command: Command) {
        if self.commands.send(command).is_ok() {
            use std::io::Write;
            // A full pipe means that a wake-up is already under way.
            let _ = (&self.waker).write(&[0]);
        }
    }
}

/// Starts the control thread on `sockets`, one for each address that the host listens on.
///
/// # Errors
/// If the socket cannot be prepared or the thread not be started.
pub fn start(
    sockets: Vec<UdpSocket>,
    dscp: Dscp,
    peers: usize,
    engine: std::sync::Arc<dyn ControlEngine>,
) -> io::Result<(ControlHandle, JoinHandle<()>)> {
    let (waker, wakened) = UnixStream::pair()?;
    waker.set_nonblocking(true)?;
    wakened.set_nonblocking(true)?;
    let (commands, receiver) = mpsc::channel();
    let mut listeners = Vec::new();
    for socket in sockets {
        mark(&socket, Traffic::Control, dscp);
        listeners.push(Listener::new(socket)?);
    }
    let defaults = enet::HostConfig::host();
    let config = enet::HostConfig {
        peer_limit: u16::try_from(peers).unwrap_or(u16::MAX),
        // A whole household behind one address may connect at the same moment.
        limits: enet::Limits { half_open: 32, half_open_per_address: 16, ..defaults.limits },
        ..defaults
    };
    let entropy = |buffer: &mut [u8]| crate::daemon::random(buffer);
    let server = ControlServer {
        listeners,
        wakened,
        commands: receiver,
        host: enet::Host::new(config, entropy),
        peers: HashMap::new(),
        by_launch: HashMap::new(),
        engine,
        stopping: None,
    };
    let thread = std::thread::Builder::new().name("control".into()).spawn(move || server.run())?;
    Ok((ControlHandle { commands, waker }, thread))
}

/// Longest wait for the clients to hear that the host shuts down.
const FAREWELL: Duration = Duration::from_millis(1000);
/// Larger than any datagram that ENet makes here.
const MAX_DATAGRAM: usize = 4096;

struct ControlServer {
    listeners: Vec<Listener>,
    wakened: UnixStream,
    commands: Receiver<Command>,
    host: enet::Host,
    peers: HashMap<PeerId, Peer>,
    by_launch: HashMap<LaunchId, PeerId>,
    engine: std::sync::Arc<dyn ControlEngine>,
    stopping: Option<Instant>,
}

struct Peer {
    launch: LaunchId,
    cipher: ControlCipher,
    span: tracing::Span,
}

impl ControlServer {
    fn run(mut self) {
        loop {
            self.drain();
            if self.stopping.is_some_and(|deadline| self.peers.is_empty() || Instant::now() >= deadline) {
                return;
            }
            self.wait();
            self.receive();
            while let Ok(command) = self.commands.try_recv() {
                self.obey(command);
            }
            if self.stopping.is_some() && self.peers.is_empty() {
                return;
            }
            let now = now();
            if self.host.timeout().is_some_and(|deadline| deadline <= now) {
                self.host.handle_timeout(now);
            }
        }
    }

    /// Handles what the host has to say, and sends what it has to send, until it has nothing more.
    fn drain(&mut self) {
        loop {
            let now = now();
            while let Some(transmit) = self.host.poll_transmit(now) {
                if let Some(listener) = self.listeners.iter().find(|listener| listener.reaches(&transmit.to)) {
                    listener.send(&transmit);
                }
            }
            let Some(event) = self.host.poll_event() else { return };
            self.handle(event);
        }
    }

    fn wait(&mut self) {
        let timeout = self.host.timeout().map_or(Duration::from_millis(250), |deadline| {
            deadline.saturating_since(now()).min(Duration::from_millis(250))
        });
        let mut fds = vec![PollFd::from_borrowed_fd(self.wakened.as_fd(), PollFlags::IN)];
        fds.extend(self.listeners.iter().map(|l| PollFd::from_borrowed_fd(l.socket.as_fd(), PollFlags::IN)));
        let timeout = Timespec::try_from(timeout).unwrap_or(Timespec { tv_sec: 0, tv_nsec: 0 });
        let _ = poll(&mut fds, Some(&timeout));
        if fds[0].revents().contains(PollFlags::IN) {
            use std::io::Read;
            let mut sink = [0; 64];
            while matches!((&self.wakened).read(&mut sink), Ok(n) if n > 0) {}
        }
    }

    fn receive(&mut self) {
        for index in 0..self.listeners.len() {
            self.receive_at(index);
        }
    }

    fn receive_at(&mut self, index: usize) {
        let mut buffer = [0; MAX_DATAGRAM];
        // Bounded, so that a flood does not starve what is due.
        for _ in 0..64 {
            let mut meta = [RecvMeta::default()];
            let Listener { socket, state, .. } = &self.listeners[index];
            match state.recv(UdpSockRef::from(socket), &mut [IoSliceMut::new(&mut buffer)], &mut meta) {
                Ok(0) => return,
                Ok(_) => {
                    let from = match meta[0].dst_ip {
                        Some(local) => PeerAddress::with_local(meta[0].addr, local),
                        None => PeerAddress::new(meta[0].addr),
                    };
                    let now = now();
                    for datagram in buffer[..meta[0].len].chunks(meta[0].stride.max(1)) {
                        if let Err(reason) = self.host.receive(from, datagram, now) {
                            tracing::trace!(%reason, from = %from.remote(), "control datagram ignored");
                        }
                        self.drain();
                    }
                }
                // Nothing more, or an ICMP error of some peer: its timeout tells.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {}
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Connected { peer, data } => self.connected(peer, data),
            Event::Message { peer, bytes, .. } => self.message(peer, bytes),
            Event::Disconnected { peer, .. } => self.forget(peer),
            Event::ForeignAddress { peer, address, bytes, .. } => {
                let Some(known) = self.peers.get_mut(&peer) else { return };
                if known.cipher.authenticates(&bytes) {
                    tracing::info!(parent: &known.span, to = %address.remote(), "the client's address changed");
                    let _ = self.host.migrate(peer, address);
                }
            }
        }
    }

    fn connected(&mut self, peer: PeerId, data: u32) {
        let Some(address) = self.host.address(peer) else { return };
        let Some(grant) = self.engine.control_connected(data, address.remote(), address.local()) else {
            tracing::info!(from = %address.remote(), "control connection of nobody's session refused");
            self.host.disconnect_now(peer, 0);
            return;
        };
        if let Some(old) = self.by_launch.insert(grant.launch, peer) {
            self.peers.remove(&old);
            self.host.disconnect_now(old, 0);
        }
        let span = tracing::info_span!("control", launch = grant.launch.0, client = %address.remote());
        tracing::debug!(parent: &span, "connected");
        let cipher = ControlCipher::new(&grant.key.0, grant.mode, Side::Host);
        self.peers.insert(peer, Peer { launch: grant.launch, cipher, span });
    }

    fn message(&mut self, peer: PeerId, mut bytes: Vec<u8>) {
        let Some(known) = self.peers.get_mut(&peer) else { return };
        let launch = known.launch;
        let message = match known.cipher.open(&mut bytes) {
            Ok(opened) => {
                self.engine.control_alive(launch);
                ClientMessage::parse(opened.message).map_err(OpenError::Message)
            }
            Err(error) => Err(error),
        };
        match message {
            Ok(message) => self.engine.control_message(launch, message),
            Err(OpenError::Message(MessageError::UnknownType(kind))) => {
                tracing::debug!(parent: &known.span, kind = format_args!("{kind:#06x}"), "unknown message ignored");
            }
            Err(error) => {
                tracing::debug!(parent: &known.span, %error, "control message ignored");
                if known.cipher.has_failed_too_often() {
                    tracing::warn!(parent: &known.span, "the client uses another key; ending its stream");
                    self.host.disconnect_now(peer, 0);
                    self.forget(peer);
                }
            }
        }
    }

    fn forget(&mut self, peer: PeerId) {
        let Some(known) = self.peers.remove(&peer) else { return };
        if self.by_launch.get(&known.launch) == Some(&peer) {
            self.by_launch.remove(&known.launch);
            self.engine.control_gone(known.launch);
        }
    }

    /// Goes on with what an earlier daemon began.
    fn take_over(&mut self, grant: &ControlGrant, connection: Connection) {
        let client = connection.peer.address().remote();
        match self.host.take_over(connection.peer) {
            Ok(peer) => {
                let span = tracing::info_span!("control", launch = grant.launch.0, %client);
                let cipher = ControlCipher::resume(&grant.key.0, grant.mode, Side::Host, connection.cipher);
                self.by_launch.insert(grant.launch, peer);
                self.peers.insert(peer, Peer { launch: grant.launch, cipher, span });
            }
            Err(error) => {
                tracing::warn!(%client, %error, "the client's connection cannot go on; it has to resume");
                self.engine.control_gone(grant.launch);
            }
        }
    }

    fn hand_over(&mut self) -> Vec<(LaunchId, Connection)> {
        self.drain();
        let launches: Vec<_> = self.by_launch.drain().collect();
        let connection = |(launch, id)| {
            let peer = self.host.hand_over(id)?;
            Some((launch, Connection { peer, cipher: self.peers.remove(&id)?.cipher.stop() }))
        };
        launches.into_iter().filter_map(connection).collect()
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::TakeOver(grant, connection) => self.take_over(&grant, *connection),
            Command::HandOver(whom) => {
                let _ = whom.send(self.hand_over());
                // Nothing is said to anybody from here on.
                self.peers.clear();
                self.stopping = Some(Instant::now());
                return;
            }
            Command::Send(launch, message) => self.send(launch, &message),
            Command::End(launch, reason) => self.end(launch, reason),
            Command::Shutdown => {
                for launch in self.by_launch.keys().copied().collect::<Vec<_>>() {
                    self.end(launch, Some(Termination::Closed));
                }
                self.stopping = Some(Instant::now() + FAREWELL);
            }
        }
        self.drain();
    }

    fn send(&mut self, launch: LaunchId, message: &HostMessage) {
        let Some(&peer) = self.by_launch.get(&launch) else { return };
        let Some(known) = self.peers.get_mut(&peer) else { return };
        match known.cipher.seal(&message.to_bytes(Framing::V2)) {
            Ok(packet) => {
                if let Err(error) = self.host.send(peer, 0, &packet, Delivery::Reliable) {
                    tracing::debug!(parent: &known.span, %error, "message to the client dropped");
                }
            }
            Err(error) => {
                tracing::error!(parent: &known.span, %error, "ending the stream");
                self.host.disconnect_now(peer, 0);
                self.forget(peer);
            }
        }
    }

    /// Tells the client why, waits until it knows, and lets go.
    fn end(&mut self, launch: LaunchId, reason: Option<Termination>) {
        let Some(&peer) = self.by_launch.get(&launch) else { return };
        if let Some(reason) = reason {
            self.send(launch, &HostMessage::Termination(reason));
        }
        self.host.disconnect_later(peer, 0);
        // What it still sends is nobody's business any more; Disconnected removes the rest.
        self.by_launch.remove(&launch);
    }
}

/// The clock of all daemons of this machine: connections outlive the daemon that made them.
fn now() -> Timestamp {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let (seconds, nanos) = (u64::try_from(now.tv_sec).unwrap_or(0), u64::try_from(now.tv_nsec).unwrap_or(0));
    Timestamp::from_micros(seconds.saturating_mul(1_000_000).saturating_add(nanos / 1000))
}

/// One socket of the control port.
struct Listener {
    socket: UdpSocket,
    state: UdpSocketState,
    address: IpAddr,
}

impl Listener {
    fn new(socket: UdpSocket) -> io::Result<Self> {
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        let address = socket.local_addr()?.ip();
        Ok(Self { socket, state, address })
    }

    /// Whether what leaves for `peer` leaves here.
    fn reaches(&self, peer: &PeerAddress) -> bool {
        let family = self.address.is_ipv6() || peer.remote().is_ipv4();
        let local =
            peer.local().is_none_or(|local| self.address.is_unspecified() || self.address.to_canonical() == local);
        family && local
    }

    fn send(&self, transmit: &enet::Transmit) {
        let wrapped = |ip: IpAddr| match ip {
            IpAddr::V4(v4) if self.address.is_ipv6() => v4.to_ipv6_mapped().into(),
            ip => ip,
        };
        let to = transmit.to.remote();
        // A datagram that does not leave counts as lost.
        let _ = self.state.try_send(
            UdpSockRef::from(&self.socket),
            &Transmit {
                destination: SocketAddr::new(wrapped(to.ip()), to.port()),
                ecn: None,
                contents: &transmit.bytes,
                segment_size: None,
                src_ip: transmit.to.local().map(wrapped),
            },
        );
    }
}
