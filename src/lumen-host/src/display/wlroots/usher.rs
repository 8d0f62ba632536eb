//! Keeps a session's programs and its seat where they belong in a sway that others use as well.
//!
//! sway opens every window where its own seat is, and gives a new window there the attention of all seats. So every
//! window that a process of the session opens is led to the session's workspace, wherever it appears, and the session's
//! seat is led back to its output. The desktop's own seat is never moved. This follows sway's events: what is wrong is
//! put right a few milliseconds after it went wrong, not before. What the client does to windows does not rely on it:
//! that is [escorted](Seat::bind).

use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use swayipc::{Event, EventStream, Node, NodeType, WindowChange, WorkspaceChange};

use crate::display::compositor::PATIENCE;
use crate::display::process;
use crate::input::wayland::WaylandInput;

use super::Place;
use super::ipc::Ipc;
use super::seat::Seat;

/// See the module. Dropping it ends the watch, and gives the seat back.
#[derive(Debug)]
pub struct Usher {
    events: UnixStream,
    input: Arc<Mutex<Option<WaylandInput>>>,
    thread: Option<JoinHandle<()>>,
}

/// What belongs together.
#[derive(Debug, Clone)]
pub struct Ward {
    /// The session.
    pub session: String,
    /// Its output.
    pub output: String,
    /// The workspace of its programs.
    pub workspace: String,
}

impl Usher {
    /// Begins, with the seat on its output, whose keys are [bound](Seat::bind).
    ///
    /// # Errors
    /// If sway does not do it.
    pub fn begin(place: &Place, ward: Ward, seat: Seat) -> Result<Self, String> {
        let (stream, events) = Ipc::open(&place.ipc)?.events()?;
        let input = Arc::default();
        let ipc = Ipc::open(&place.ipc)?;
        let mut watch = Watch { ipc, place: place.clone(), ward, seat, input: Arc::clone(&input) };
        watch.put_right()?;
        let thread = std::thread::Builder::new()
            .name("sway-usher".into())
            .spawn(move || watch.run(stream))
            .map_err(|error| error.to_string())?;
        Ok(Self { events, input, thread: Some(thread) })
    }

    /// From now on it keeps these devices on the seat as well.
    pub fn keep(&self, input: WaylandInput) {
        *self.input.lock().unwrap_or_else(PoisonError::into_inner) = Some(input);
    }
}

impl Drop for Usher {
    fn drop(&mut self) {
        let _ = self.events.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Watch {
    ipc: Ipc,
    place: Place,
    ward: Ward,
    seat: Seat,
    input: Arc<Mutex<Option<WaylandInput>>>,
}

impl Watch {
    fn run(&mut self, events: EventStream) {
        for event in events {
            let done = match event {
                Ok(Event::Window(event)) if event.change == WindowChange::New => self.receive(&event.container),
                Ok(Event::Window(event))
                    if !matches!(event.change, WindowChange::Focus | WindowChange::Close | WindowChange::Move) =>
                {
                    Ok(())
                }
                // Neither kept the keys that were bound.
                Ok(Event::Mode(_)) => self.bind(),
                Ok(Event::Workspace(event)) if event.change == WorkspaceChange::Reload => {
                    self.bind().and_then(|()| self.put_right())
                }
                Ok(_) => self.put_right(),
                Err(_) => break,
            };
            if let Err(error) = done {
                tracing::warn!(session = self.ward.session, %error, "a window or the keyboard may be in the wrong place");
            }
        }
        self.seat.unbind(&mut self.ipc);
    }

    fn bind(&mut self) -> Result<(), String> {
        self.seat.bind(&mut self.ipc, &self.ward.output)
    }

    /// A window appeared somewhere.
    fn receive(&mut self, window: &Node) -> Result<(), String> {
        let Ward { session, workspace, .. } = &self.ward;
        if !window.pid.is_some_and(|pid| process::belongs(pid, session)) {
            return self.put_right();
        }
        self.ipc.run(&format!("[con_id={}] move container to workspace \"{workspace}\"", window.id))?;
        self.seat.run(&mut self.ipc, &format!("[con_id={}] focus", window.id))?;
        self.put_right()
    }

    /// The seat has its devices, and looks at its own output. Whatever it looks at there is its user's
    /// choice; anything else is somebody else's.
    fn put_right(&mut self) -> Result<(), String> {
        let seat = self.ipc.seats()?.into_iter().find(|seat| seat.name == self.seat.name());
        let seat = seat.ok_or_else(|| format!("the seat {} is not there any more", self.seat.name()))?;
        if seat.devices.is_empty() {
            self.seat.renew(&self.place)?;
            let input = self.input.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(input) = input {
                input.renew(Instant::now() + PATIENCE).map_err(|error| error.to_string())?;
                input.enter();
            }
        }
        let tree = self.ipc.tree()?;
        let own = find(&tree, &|node| {
            node.node_type == NodeType::Output && node.name.as_deref() == Some(self.ward.output.as_str())
        });
        let Some(own) = own else { return Ok(()) };
        // A launcher or a menu, which sway gives back from by itself, has no place in the tree.
        let is_elsewhere = seat.focus != 0 && find(own, &|node| node.id == seat.focus).is_none();
        if !is_elsewhere {
            return Ok(());
        }
        let command = format!("workspace --no-auto-back-and-forth \"{}\"", self.ward.workspace);
        self.seat.run(&mut self.ipc, &command)
    }
}

/// The first node of a tree that is as wanted.
fn find<'a>(node: &'a Node, wanted: &dyn Fn(&Node) -> bool) -> Option<&'a Node> {
    if wanted(node) {
        return Some(node);
    }
    node.nodes.iter().chain(&node.floating_nodes).find_map(|child| find(child, wanted))
}
