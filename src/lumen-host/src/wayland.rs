//! A Wayland client whose every wait has a deadline: what capture and input share. It speaks the wire format itself
//! and needs no library of the system.
//!
//! It finds outputs by name, and seats. It draws nothing and never opens a window.

pub mod kde;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use wayland_client::backend::WaylandError;
use wayland_client::protocol::wl_callback::{self, WlCallback};
use wayland_client::protocol::wl_output::{self, WlOutput};
use wayland_client::protocol::wl_registry::{self, WlRegistry};
use wayland_client::protocol::wl_seat::{self, WlSeat};
use wayland_client::{Connection, Dispatch, EventQueue, Proxy, QueueHandle};

/// Why a compositor cannot be talked to.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Nobody listens there.
    #[error("cannot connect to the compositor at {}: {reason}", socket.display())]
    Connect {
        /// Its socket.
        socket: PathBuf,
        /// What the kernel said.
        reason: String,
    },
    /// The connection is over.
    #[error("the compositor closed the connection: {0}")]
    Closed(String),
    /// No answer in time.
    #[error("the compositor did not answer in time")]
    Silent,
    /// It lacks something.
    #[error("{0}")]
    Missing(String),
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pumped {
    /// Events were handled.
    Events,
    /// The deadline passed, or somebody else woke the wait.
    Nothing,
}

/// What a state must be able to take from every connection; `wayland_state!` writes it.
pub trait State:
    Dispatch<WlRegistry, ()>
    + Dispatch<WlCallback, Arc<AtomicBool>>
    + Dispatch<WlOutput, u32>
    + Dispatch<WlSeat, u32>
    + AsMut<Desk>
    + 'static
{
}

/// Makes a struct with a field `desk` of type [`Desk`] a [`State`].
macro_rules! wayland_state {
    ($state:ty) => {
        impl AsMut<crate::wayland::Desk> for $state {
            fn as_mut(&mut self) -> &mut crate::wayland::Desk {
                &mut self.desk
            }
        }
        impl crate::wayland::State for $state {}
        wayland_client::delegate_dispatch!($state: [
            wayland_client::protocol::wl_registry::WlRegistry: ()
        ] => crate::wayland::Desk);
        wayland_client::delegate_dispatch!($state: [
            wayland_client::protocol::wl_callback::WlCallback: std::sync::Arc<std::sync::atomic::AtomicBool>
        ] => crate::wayland::Desk);
        wayland_client::delegate_dispatch!($state: [
            wayland_client::protocol::wl_output::WlOutput: u32
        ] => crate::wayland::Desk);
        wayland_client::delegate_dispatch!($state: [
            wayland_client::protocol::wl_seat::WlSeat: u32
        ] => crate::wayland::Desk);
    };
}
pub(crate) use wayland_state;

/// What a compositor offers, with its outputs and seats.
#[derive(Debug, Default)]
pub struct Desk {
    globals: BTreeMap<u32, (String, u32)>,
    outputs: BTreeMap<u32, Named<WlOutput>>,
    seats: BTreeMap<u32, Named<WlSeat>>,
}

#[derive(Debug)]
struct Named<P> {
    proxy: P,
    name: Option<String>,
    /// Of outputs: where it lies among all.
    position: (i32, i32),
}

/// A connection with its queue.
#[derive(Debug)]
pub struct Link<S: 'static> {
    connection: Connection,
    queue: EventQueue<S>,
    registry: WlRegistry,
}

impl<S: State> Link<S> {
    /// Connects, and learns what there is.
    ///
    /// # Errors
    /// If nobody listens at `socket`, or does not answer before `deadline`.
    pub fn open(socket: &Path, state: &mut S, deadline: Instant) -> Result<Self, LinkError> {
        let stream = connect_to(socket)?;
        let connection = Connection::from_socket(stream)
            .map_err(|error| LinkError::Connect { socket: socket.to_owned(), reason: error.to_string() })?;
        let queue = connection.new_event_queue();
        let registry = connection.display().get_registry(&queue.handle(), ());
        let mut link = Self { connection, queue, registry };
        link.roundtrip(state, deadline)?;
        // Names of outputs and seats come with a second answer.
        link.roundtrip(state, deadline)?;
        Ok(link)
    }

    /// For requests that make objects.
    pub fn handle(&self) -> QueueHandle<S> {
        self.queue.handle()
    }

    /// Binds the interface of `P` in at most `version`; `None` if it is not offered.
    pub fn bind<P>(&self, state: &mut S, version: u32) -> Option<P>
    where
        P: Proxy + 'static,
        S: Dispatch<P, ()>,
    {
        let (name, offered) = state.as_mut().find(P::interface().name)?;
        Some(self.registry.bind(name, offered.min(version), &self.queue.handle(), ()))
    }

    /// Waits for events, at most until `deadline` or until `wake` can be read.
    ///
    /// # Errors
    /// [`LinkError::Closed`] once no further event can come.
    pub fn pump(
        &mut self,
        state: &mut S,
        deadline: Instant,
        wake: Option<BorrowedFd<'_>>,
    ) -> Result<Pumped, LinkError> {
        let wake = wake.map(|wake| PollFd::from_borrowed_fd(wake, PollFlags::IN));
        self.pump_beside(state, deadline, wake.as_slice())
    }

    /// As [`pump`](Self::pump), until one of `others` is ready.
    ///
    /// # Errors
    /// [`LinkError::Closed`] once no further event can come.
    pub fn pump_beside(
        &mut self,
        state: &mut S,
        deadline: Instant,
        others: &[PollFd<'_>],
    ) -> Result<Pumped, LinkError> {
        let full = self.flush()?;
        if self.dispatch(state)? > 0 {
            return Ok(Pumped::Events);
        }
        let Some(reader) = self.queue.prepare_read() else {
            return if self.dispatch(state)? > 0 { Ok(Pumped::Events) } else { Ok(Pumped::Nothing) };
        };
        let interest = match full {
            Backlog::Clear => PollFlags::IN,
            Backlog::Full => PollFlags::IN | PollFlags::OUT,
        };
        let left = deadline.saturating_duration_since(Instant::now());
        {
            let socket = reader.connection_fd();
            let mut fds = vec![PollFd::from_borrowed_fd(socket, interest)];
            fds.extend(others.iter().cloned());
            match poll(&mut fds, Some(&timespec(left))) {
                Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(Pumped::Nothing),
                Ok(_) => {}
                Err(error) => return Err(LinkError::Closed(error.to_string())),
            }
            let seen = fds[0].revents();
            if !seen.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
                return Ok(Pumped::Nothing);
            }
        }
        match reader.read() {
            Ok(_) => {}
            Err(WaylandError::Io(error)) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(self.closed(&error.to_string())),
        }
        if self.dispatch(state)? > 0 { Ok(Pumped::Events) } else { Ok(Pumped::Nothing) }
    }

    /// Waits until the compositor has handled all requests made so far, and its answers are handled.
    ///
    /// # Errors
    /// [`LinkError::Silent`] past the deadline.
    pub fn roundtrip(&mut self, state: &mut S, deadline: Instant) -> Result<(), LinkError> {
        let done = self.mark();
        while !done.load(Ordering::Relaxed) {
            self.pump(state, deadline, None)?;
            if !done.load(Ordering::Relaxed) && Instant::now() >= deadline {
                return Err(LinkError::Silent);
            }
        }
        Ok(())
    }

    /// Becomes true with the events that are [pumped](Self::pump) once the compositor has handled all requests made so far.
    pub fn mark(&self) -> Arc<AtomicBool> {
        let done = Arc::new(AtomicBool::new(false));
        self.connection.display().sync(&self.queue.handle(), Arc::clone(&done));
        done
    }

    /// Sends what is waiting, as far as the compositor takes it. Never waits.
    ///
    /// # Errors
    /// [`LinkError::Closed`] if the connection is over.
    pub fn flush(&mut self) -> Result<Backlog, LinkError> {
        match self.connection.flush() {
            Ok(()) => Ok(Backlog::Clear),
            Err(WaylandError::Io(error)) if error.kind() == ErrorKind::WouldBlock => Ok(Backlog::Full),
            // What the compositor said last, for instance why it hung up, may still be there to be read.
            Err(error) => Err(self.closed(&error.to_string())),
        }
    }

    fn dispatch(&mut self, state: &mut S) -> Result<usize, LinkError> {
        self.queue.dispatch_pending(state).map_err(|error| self.closed(&error.to_string()))
    }

    fn closed(&self, reason: &str) -> LinkError {
        LinkError::Closed(self.connection.protocol_error().map_or_else(|| reason.to_owned(), |error| error.to_string()))
    }
}

/// Whether requests wait for room in the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backlog {
    /// All are sent.
    Clear,
    /// Some wait: the compositor does not read.
    Full,
}

impl Desk {
    /// The output with this name.
    ///
    /// # Errors
    /// [`LinkError::Missing`] if there is none. Where outputs have no names, the only one is taken.
    pub fn output(&self, name: &str) -> Result<WlOutput, LinkError> {
        let named = |output: &&Named<WlOutput>| output.name.as_deref() == Some(name);
        let mut all = self.outputs.values();
        if let Some(output) = all.clone().find(named) {
            return Ok(output.proxy.clone());
        }
        match (all.next(), all.next()) {
            (Some(only), None) if only.name.is_none() => Ok(only.proxy.clone()),
            _ => Err(LinkError::Missing(format!("the compositor has no output {name}"))),
        }
    }

    /// The only output.
    ///
    /// # Errors
    /// [`LinkError::Missing`] if there is none, or more than one.
    pub fn only_output(&self) -> Result<WlOutput, LinkError> {
        let mut all = self.outputs.values();
        match (all.next(), all.next()) {
            (Some(only), None) => Ok(only.proxy.clone()),
            (None, _) => Err(LinkError::Missing("the compositor has no output".to_owned())),
            _ => Err(LinkError::Missing("the compositor has several outputs".to_owned())),
        }
    }

    /// Where the output whose name contains `part` lies among all, in the compositor's pixels.
    pub fn position(&self, part: &str) -> Option<(i32, i32)> {
        let named = |output: &&Named<WlOutput>| output.name.as_deref().is_some_and(|name| name.contains(part));
        self.outputs.values().find(named).map(|output| output.position)
    }

    /// Whether an output is still there.
    pub fn has(&self, output: &WlOutput) -> bool {
        self.outputs.values().any(|known| known.proxy == *output)
    }

    /// The seat with this name.
    ///
    /// # Errors
    /// [`LinkError::Missing`] if there is none.
    pub fn seat(&self, name: &str) -> Result<WlSeat, LinkError> {
        self.seats
            .values()
            .find(|seat| seat.name.as_deref() == Some(name))
            .map(|seat| seat.proxy.clone())
            .ok_or_else(|| LinkError::Missing(format!("the compositor has no seat {name}")))
    }

    /// Some seat: where nothing is known of any, there is only one.
    ///
    /// # Errors
    /// [`LinkError::Missing`] if there is none.
    pub fn any_seat(&self) -> Result<WlSeat, LinkError> {
        let first = self.seats.values().next().map(|seat| seat.proxy.clone());
        first.ok_or_else(|| LinkError::Missing("the compositor has no seat".to_owned()))
    }

    fn find(&self, interface: &str) -> Option<(u32, u32)> {
        self.globals.iter().find(|(_, (offered, _))| offered == interface).map(|(name, (_, version))| (*name, *version))
    }
}

impl<S: State> Dispatch<WlRegistry, (), S> for Desk {
    fn event(
        state: &mut S,
        registry: &WlRegistry,
        event: wl_registry::Event,
        (): &(),
        _: &Connection,
        queue: &QueueHandle<S>,
    ) {
        let desk = state.as_mut();
        match event {
            wl_registry::Event::Global { name, interface, version } => {
                if interface == WlOutput::interface().name {
                    let proxy = registry.bind(name, version.min(4), queue, name);
                    desk.outputs.insert(name, Named { proxy, name: None, position: (0, 0) });
                } else if interface == WlSeat::interface().name {
                    let proxy = registry.bind(name, version.min(5), queue, name);
                    desk.seats.insert(name, Named { proxy, name: None, position: (0, 0) });
                }
                desk.globals.insert(name, (interface, version));
            }
            wl_registry::Event::GlobalRemove { name } => {
                desk.globals.remove(&name);
                if let Some(output) = desk.outputs.remove(&name)
                    && output.proxy.version() >= 3
                {
                    output.proxy.release();
                }
                desk.seats.remove(&name);
            }
            _ => {}
        }
    }
}

impl<S: State> Dispatch<WlCallback, Arc<AtomicBool>, S> for Desk {
    fn event(
        _: &mut S,
        _: &WlCallback,
        event: wl_callback::Event,
        done: &Arc<AtomicBool>,
        _: &Connection,
        _: &QueueHandle<S>,
    ) {
        if let wl_callback::Event::Done { .. } = event {
            done.store(true, Ordering::Relaxed);
        }
    }
}

impl<S: State> Dispatch<WlOutput, u32, S> for Desk {
    fn event(state: &mut S, _: &WlOutput, event: wl_output::Event, global: &u32, _: &Connection, _: &QueueHandle<S>) {
        let Some(output) = state.as_mut().outputs.get_mut(global) else { return };
        match event {
            wl_output::Event::Name { name } => output.name = Some(name),
            wl_output::Event::Geometry { x, y, .. } => output.position = (x, y),
            _ => {}
        }
    }
}

impl<S: State> Dispatch<WlSeat, u32, S> for Desk {
    fn event(state: &mut S, _: &WlSeat, event: wl_seat::Event, global: &u32, _: &Connection, _: &QueueHandle<S>) {
        if let wl_seat::Event::Name { name } = event
            && let Some(seat) = state.as_mut().seats.get_mut(global)
        {
            seat.name = Some(name);
        }
    }
}

/// Connects without ever waiting: a compositor that hangs may have a full queue of callers.
///
/// # Errors
/// [`LinkError::Connect`].
pub fn connect_to(path: &Path) -> Result<UnixStream, LinkError> {
    let attempt = || -> rustix::io::Result<OwnedFd> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        connect(&socket, &SocketAddrUnix::new(path)?)?;
        Ok(socket)
    };
    attempt()
        .map(UnixStream::from)
        .map_err(|error| LinkError::Connect { socket: path.to_owned(), reason: error.to_string() })
}

/// A descriptor that holds `bytes`, for handing them to a compositor.
///
/// # Errors
/// What the kernel said.
pub fn shared_file(name: &str, bytes: &[u8]) -> std::io::Result<OwnedFd> {
    let file = rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut written = 0;
    while written < bytes.len() {
        written += rustix::io::pwrite(file.as_fd(), &bytes[written..], written as u64)?;
    }
    Ok(file)
}

fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX), tv_nsec: duration.subsec_nanos().into() }
}
