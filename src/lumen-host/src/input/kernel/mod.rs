//! Input devices that the kernel shows to every program: gamepads, and where a compositor takes no input of its own,
//! keyboard, pointers, touchscreen and pen too.
//!
//! Gamepads are the business of `pads`; a thread answers what the kernel wants of them, because a program that
//! uploads an effect waits for the answer. Nothing here depends on the compositor, and nothing blocks.

mod desk;
mod dualsense;
mod nodes;
mod pads;
mod rumble;
mod uhid;
mod uinput;
mod xbox;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use lumen_core::gamestream::control::HostMessage;
use lumen_core::gamestream::input::{Buttons, ControllerIndex, InputEvent};
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};

use super::InputSink;
use crate::frame::Mode;

pub use nodes::{KernelInputError, Node};
pub use pads::MOTION_RATE_HZ;

use desk::Desk;
use dualsense::DualSense;
use pads::{Pad, PadKind, Pads, Workshop};
use xbox::{KeyPad, Layout};

/// The kernel's input devices of one session. Clones share them; they are removed with the last clone.
#[derive(Clone)]
pub struct KernelInput {
    server: Arc<Server>,
    desk: Option<Arc<Mutex<Desk>>>,
}

impl KernelInput {
    /// For controllers only. Devices are made when a client has controllers; where that fails, the log says so once.
    ///
    /// # Errors
    /// If the thread that serves them cannot be started.
    pub fn pads(session: &str) -> Result<Self, KernelInputError> {
        let server = Server::start(session).map_err(KernelInputError::Thread)?;
        Ok(Self { server: Arc::new(server), desk: None })
    }

    /// For everything that a client does, on a display of `mode`: where a compositor takes no input of its own.
    ///
    /// # Errors
    /// If the kernel does not make keyboard, pointers, touchscreen and pen.
    pub fn everything(session: &str, mode: Mode) -> Result<Self, KernelInputError> {
        Self::pads(session)?.with_desk(session, mode)
    }

    /// The same gamepads, and all the rest for a display of `mode`.
    ///
    /// # Errors
    /// As [`everything`](Self::everything).
    pub fn with_desk(self, session: &str, mode: Mode) -> Result<Self, KernelInputError> {
        Ok(Self { desk: Some(Arc::new(Mutex::new(Desk::new(session, mode)?))), ..self })
    }

    fn desk(&self) -> Option<MutexGuard<'_, Desk>> {
        self.desk.as_ref().map(|desk| desk.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl InputSink for KernelInput {
    fn handle(&mut self, event: &InputEvent) {
        if event.is_of_controller() {
            self.server.shared.pads().handle(event, Instant::now());
        } else if let Some(mut desk) = self.desk() {
            desk.handle(event);
        }
    }

    fn release_all(&mut self) {
        self.server.shared.pads().release_all(Instant::now());
        if let Some(mut desk) = self.desk() {
            desk.release_all();
        }
    }

    fn poll_feedback(&mut self) -> Option<HostMessage> {
        self.server.shared.pads().poll_feedback()
    }
}

/// The gamepads and the thread that answers for them.
struct Server {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    pads: Mutex<Pads>,
    /// All descriptors of gamepads, and `stop`.
    events: Arc<OwnedFd>,
    /// Becomes readable when the thread is to end.
    stop: OwnedFd,
}

/// What `stop` is called among the events; gamepads need no names, since all are served.
const STOP: u64 = 1;
const PAD: u64 = 0;

impl Shared {
    fn pads(&self) -> MutexGuard<'_, Pads> {
        self.pads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        let mut events = Vec::with_capacity(ControllerIndex::COUNT + 1);
        loop {
            let now = Instant::now();
            let deadline = self.pads().serve(now);
            // Both parts are in range: deadlines are minutes away at most.
            let timeout = deadline.map(|deadline| {
                let left = deadline.saturating_duration_since(now);
                Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() }
            });
            events.clear();
            match epoll::wait(&*self.events, rustix::buffer::spare_capacity(&mut events), timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    tracing::error!(%error, "gamepads are served no more");
                    return;
                }
            }
            if events.iter().any(|event| event.data.u64() == STOP) {
                return;
            }
        }
    }
}

impl Server {
    fn start(session: &str) -> io::Result<Self> {
        let events = Arc::new(epoll::create(epoll::CreateFlags::CLOEXEC)?);
        let stop = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&*events, &stop, epoll::EventData::new_u64(STOP), epoll::EventFlags::IN)?;
        let workshop = Kernel { session: session.to_owned(), events: Arc::clone(&events) };
        let shared = Arc::new(Shared { pads: Mutex::new(Pads::new(Box::new(workshop))), events, stop });
        let served = Arc::clone(&shared);
        let thread = thread::Builder::new().name("lumen-pads".to_owned()).spawn(move || served.serve())?;
        Ok(Self { shared, thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Neither can fail: the counter is at zero and the thread does not panic.
        let _ = rustix::io::write(&self.shared.stop, &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Makes gamepads with the kernel, and has the thread listen to them.
struct Kernel {
    session: String,
    events: Arc<OwnedFd>,
}

impl Kernel {
    fn listened(&self, pad: impl Pad + std::os::fd::AsFd + 'static) -> io::Result<Box<dyn Pad>> {
        // Closing the descriptor ends this.
        epoll::add(&*self.events, &pad, epoll::EventData::new_u64(PAD), epoll::EventFlags::IN)?;
        Ok(Box::new(pad))
    }
}

impl Workshop for Kernel {
    fn make(
        &mut self,
        kind: PadKind,
        controller: ControllerIndex,
        buttons: Buttons,
        now: Instant,
    ) -> Result<Box<dyn Pad>, KernelInputError> {
        let keys = |layout| KeyPad::new(&self.session, controller, layout, buttons);
        let (node, made) = match kind {
            PadKind::Xbox => (Node::Uinput, self.listened(keys(Layout::Xbox)?)),
            PadKind::Nintendo => (Node::Uinput, self.listened(keys(Layout::Nintendo)?)),
            PadKind::DualSense => (Node::Uhid, self.listened(DualSense::new(&self.session, controller, now)?)),
        };
        made.map_err(|error| node.refused("a gamepad", error))
    }
}
