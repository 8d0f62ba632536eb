//! The control channel: ENet and its encryption from `lumen-core`, driven by one thread.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use lumen_core::enet::{Delivery, DisconnectCause, Event, Host, HostConfig, PeerAddress, PeerId};
use lumen_core::gamestream::control::{
    ClientMessage, ControlCipher, EnvelopeMode, Framing, HostMessage, Reliability, Side, Termination,
};
use lumen_core::gamestream::input::{HapticsEnable, InputEvent};
use lumen_core::lumen1::message::ClipboardFormat;
use lumen_core::time::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::sockets::connected;
use super::state::Shared;
use crate::clock::entropy;
use crate::error::ClientError;
use crate::report::Ending;

/// How often the host is told that the client lives.
const PING_INTERVAL: Duration = Duration::from_millis(100);
/// How long the connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the goodbye may take.
const LINGER: Duration = Duration::from_secs(2);
/// Longest sleep, so that nothing is missed for longer.
const MAX_SLEEP: Duration = Duration::from_millis(100);

/// By which other threads speak to the host.
#[derive(Clone)]
pub struct ControlHandle {
    commands: Sender<Command>,
    wake: Arc<UnixStream>,
}

/// What other threads want of the one that speaks to the host.
pub enum Command {
    Send(ClientMessage),
    Disconnect,
    Vanish,
    ChangeAddress,
    /// New content of the clipboard.
    Clipboard(ClipboardFormat, Vec<u8>),
    /// A packet of the microphone, and its first sample at 48 kHz.
    Microphone(Vec<u8>, u32),
}

/// Where commands arrive.
pub struct Inbox {
    pub commands: Receiver<Command>,
    /// Readable once there is a command.
    pub woken: UnixStream,
}

/// A handle, and where its commands arrive.
pub fn channel() -> io::Result<(ControlHandle, Inbox)> {
    let (wake, woken) = UnixStream::pair()?;
    wake.set_nonblocking(true)?;
    woken.set_nonblocking(true)?;
    let (commands, inbox) = mpsc::channel();
    Ok((ControlHandle { commands, wake: Arc::new(wake) }, Inbox { commands: inbox, woken }))
}

impl Inbox {
    /// Forgets that it was woken.
    pub fn calm(&self) {
        while (&self.woken).read(&mut [0; 64]).is_ok_and(|count| count > 0) {}
    }
}

impl ControlHandle {
    /// Sends a message as soon as possible; does nothing after the end.
    pub fn send(&self, message: ClientMessage) {
        self.command(Command::Send(message));
    }

    /// Says goodbye.
    pub fn disconnect(&self) {
        self.command(Command::Disconnect);
    }

    /// Ends without saying anything.
    pub fn vanish(&self) {
        self.command(Command::Vanish);
    }

    /// Goes on from another address, where the protocol can.
    pub fn change_address(&self) {
        self.command(Command::ChangeAddress);
    }

    /// Sends new content of the clipboard, where the protocol can.
    pub fn clipboard(&self, format: ClipboardFormat, bytes: Vec<u8>) {
        self.command(Command::Clipboard(format, bytes));
    }

    /// Sends a packet of the microphone whose first sample is `timestamp`, where the protocol can.
    pub fn microphone(&self, packet: Vec<u8>, timestamp: u32) {
        self.command(Command::Microphone(packet, timestamp));
    }

    /// Wakes the thread.
    pub fn wake(&self) {
        // A full pipe wakes just as well.
        let _ = (&*self.wake).write(&[0]);
    }

    fn command(&self, command: Command) {
        if self.commands.send(command).is_ok() {
            self.wake();
        }
    }
}

/// Connects, sends the two start messages, and leaves a thread that keeps the connection.
pub fn start(
    shared: &Arc<Shared>,
    remote: SocketAddr,
    connect_data: u32,
    key: &[u8; 16],
    mode: EnvelopeMode,
) -> Result<(ControlHandle, JoinHandle<()>), ClientError> {
    let local = |error: io::Error| ClientError::local("cannot open the control channel", error);
    let socket = connected(remote).map_err(local)?;
    socket.set_nonblocking(true).map_err(local)?;
    let (handle, inbox) = channel().map_err(local)?;
    let (connected_tx, connected_rx) = mpsc::channel();
    let mut host = Host::new(HostConfig::client(), entropy);
    let peer = host
        .connect(PeerAddress::new(remote), ClientMessage::CHANNELS, connect_data)
        .map_err(|error| ClientError::handshake("connecting the control channel", error))?;
    let thread = Control {
        shared: Arc::clone(shared),
        socket,
        inbox,
        host,
        peer,
        remote: PeerAddress::new(remote),
        cipher: ControlCipher::new(key, mode, Side::Client),
        connected: Some(connected_tx),
        next_ping: None,
        leave_by: None,
        terminated: None,
    };
    let thread = std::thread::Builder::new().name("control".into()).spawn(move || thread.run()).map_err(local)?;
    let failed = |reason: &str| ClientError::handshake("connecting the control channel", reason);
    match connected_rx.recv_timeout(CONNECT_TIMEOUT) {
        Ok(()) => Ok((handle, thread)),
        Err(mpsc::RecvTimeoutError::Timeout) => Err(failed("the host does not answer by UDP")),
        Err(mpsc::RecvTimeoutError::Disconnected) => Err(failed("the host refused the connection")),
    }
}

struct Control {
    shared: Arc<Shared>,
    socket: UdpSocket,
    inbox: Inbox,
    host: Host,
    peer: PeerId,
    remote: PeerAddress,
    cipher: ControlCipher,
    /// Told once the connection stands.
    connected: Option<Sender<()>>,
    next_ping: Option<Timestamp>,
    /// When the goodbye is given up.
    leave_by: Option<Timestamp>,
    /// What the host said about the end.
    terminated: Option<Termination>,
}

/// Whether to go on.
#[derive(PartialEq)]
enum Flow {
    On,
    Done,
}

impl Control {
    fn run(mut self) {
        while self.turn() == Flow::On {
            self.sleep();
            self.receive();
        }
        self.flush();
    }

    fn turn(&mut self) -> Flow {
        let now = self.shared.clock.now();
        self.host.handle_timeout(now);
        loop {
            match self.inbox.commands.try_recv() {
                Ok(Command::Send(message)) => self.say(&message, message.channel()),
                Ok(Command::Vanish) => return Flow::Done,
                // GameStream's host follows its pings; ENet has no such thing.
                Ok(Command::ChangeAddress | Command::Microphone(..) | Command::Clipboard(..)) => {}
                // Without a handle nobody waits for anything any more.
                Ok(Command::Disconnect) | Err(mpsc::TryRecvError::Disconnected) if self.leave_by.is_none() => {
                    self.host.disconnect_later(self.peer, 0);
                    self.leave_by = Some(now + LINGER);
                }
                Ok(Command::Disconnect) | Err(_) => break,
            }
        }
        if self.next_ping.is_some_and(|due| due <= now) && self.leave_by.is_none() {
            self.say(&ClientMessage::Ping { value: Some(4) }, 0);
            self.next_ping = Some(now + PING_INTERVAL);
        }
        loop {
            self.flush();
            match self.host.poll_event() {
                Some(event) => {
                    if self.event(event) == Flow::Done {
                        return Flow::Done;
                    }
                }
                None => break,
            }
        }
        if self.leave_by.is_some_and(|deadline| deadline <= now) {
            self.host.disconnect_now(self.peer, 0);
            return Flow::Done;
        }
        Flow::On
    }

    fn event(&mut self, event: Event) -> Flow {
        match event {
            Event::Connected { .. } => {
                let now = self.shared.clock.now();
                self.shared.lock().analysis.moments.controlled.get_or_insert(now);
                // The request for a key frame is what current clients begin with, on the generic channel.
                self.say(&ClientMessage::RequestIdr, 0);
                self.say(&ClientMessage::StartB, 0);
                let haptics = InputEvent::HapticsEnable(HapticsEnable(1));
                self.shared.lock().analysis.input.greeting(&haptics);
                self.say(&ClientMessage::Input(haptics), 0);
                self.next_ping = Some(now);
                if let Some(connected) = self.connected.take() {
                    let _ = connected.send(());
                }
            }
            Event::Message { mut bytes, .. } => self.message(&mut bytes),
            Event::Disconnected { cause, .. } => {
                let ending = match (self.terminated, cause) {
                    (Some(Termination::Closed), _) => Ending::ClosedByHost,
                    (Some(other), _) => Ending::HostError(format!("{other:?} ({:#010x})", other.code())),
                    (None, DisconnectCause::ByPeer) => {
                        Ending::Lost("the host closed the control channel without saying why".into())
                    }
                    (None, DisconnectCause::TimedOut) => Ending::Lost("the host does not answer any more".into()),
                    (None, DisconnectCause::Completed) => Ending::Completed,
                    (None, DisconnectCause::BadHandshake) => Ending::Lost("the control channel failed".into()),
                };
                self.shared.end(ending);
                return Flow::Done;
            }
            Event::ForeignAddress { .. } => {}
        }
        Flow::On
    }

    fn message(&mut self, bytes: &mut [u8]) {
        let message = match self.cipher.open(bytes) {
            Ok(opened) => HostMessage::parse(opened.message),
            Err(error) => {
                tracing::debug!(%error, "a control packet was dropped");
                return;
            }
        };
        match message {
            Ok(HostMessage::Termination(reason)) => {
                self.terminated = Some(reason);
                self.shared.feedback(HostMessage::Termination(reason));
                self.shared.end(match reason {
                    Termination::Closed => Ending::ClosedByHost,
                    other => Ending::HostError(format!("{other:?} ({:#010x})", other.code())),
                });
            }
            Ok(message) => self.shared.feedback(message),
            Err(error) => tracing::debug!(%error, "a control message was dropped"),
        }
    }

    /// Seals and queues a message.
    fn say(&mut self, message: &ClientMessage, channel: u8) {
        let delivery = match message.reliability() {
            Reliability::Reliable => Delivery::Reliable,
            Reliability::Unreliable => Delivery::Unreliable,
            Reliability::Unsequenced => Delivery::Unsequenced,
        };
        let channel = if channel < self.host.channel_count(self.peer).unwrap_or(1) { channel } else { 0 };
        let Ok(sealed) = self.cipher.seal(&message.to_bytes(Framing::V2)) else {
            self.shared.end(Ending::Lost("the numbers of the control channel are used up".into()));
            return;
        };
        if let Err(error) = self.host.send(self.peer, channel, &sealed, delivery) {
            tracing::debug!(%error, "a control message could not be sent");
        }
    }

    fn flush(&mut self) {
        let now = self.shared.clock.now();
        while let Some(transmit) = self.host.poll_transmit(now) {
            // What cannot be sent counts as lost: ENet repeats it.
            let _ = self.socket.send(&transmit.bytes);
        }
    }

    fn sleep(&self) {
        let now = self.shared.clock.now();
        let due = [self.host.timeout(), self.next_ping, self.leave_by].into_iter().flatten().min();
        let sleep = due.map_or(MAX_SLEEP, |due| due.saturating_since(now)).min(MAX_SLEEP);
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(sleep.subsec_nanos()) };
        let mut ready = [PollFd::new(&self.socket, PollFlags::IN), PollFd::new(&self.inbox.woken, PollFlags::IN)];
        // An interrupted sleep is only a short one.
        let _ = poll(&mut ready, Some(&timeout));
    }

    fn receive(&mut self) {
        let mut buffer = [0; 4096];
        self.inbox.calm();
        loop {
            match self.socket.recv(&mut buffer) {
                Ok(length) => {
                    let now = self.shared.clock.now();
                    if let Err(error) = self.host.receive(self.remote, &buffer[..length], now) {
                        tracing::trace!(?error, "a control datagram was ignored");
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(_) => return,
            }
        }
    }
}
