//! KWin's screencast protocol: a node of PipeWire with the pictures of an output, for as long as the connection lives.

use std::path::Path;
use std::time::Instant;

use wayland_client::protocol::wl_output::WlOutput;
use wayland_client::{Connection, Dispatch, QueueHandle};
use wayland_protocols_plasma::screencast::v1::client::zkde_screencast_stream_unstable_v1::{
    self as stream, ZkdeScreencastStreamUnstableV1 as Stream,
};
use wayland_protocols_plasma::screencast::v1::client::zkde_screencast_unstable_v1::{
    self as manager, Pointer, ZkdeScreencastUnstableV1 as Manager,
};

use crate::wayland::{Desk, Link, LinkError, wayland_state};

/// What is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The only output of a KWin of our own.
    Only,
    /// A new output.
    Virtual {
        /// By which KWin knows it again.
        name: String,
        /// Pixels per line.
        width: u32,
        /// Lines.
        height: u32,
    },
}

/// See the module.
#[derive(Debug)]
pub struct Screencast {
    link: Link<State>,
    state: State,
    stream: Stream,
    node: u32,
    position: (i32, i32),
}

#[derive(Debug, Default)]
struct State {
    desk: Desk,
    node: Option<u32>,
    ended: Option<String>,
}

wayland_state!(State);

impl Screencast {
    /// Asks for the pictures of `source`.
    ///
    /// # Errors
    /// If KWin refuses, lacks the protocol, or does not answer before `deadline`.
    pub fn start(socket: &Path, source: &Source, deadline: Instant) -> Result<Self, LinkError> {
        let mut state = State::default();
        let mut link = Link::open(socket, &mut state, deadline)?;
        let manager: Manager = link.bind(&mut state, 4).ok_or_else(|| {
            LinkError::Missing(
                "KWin does not offer its screencast protocol to this program: a desktop file must name it \
                 (X-KDE-Wayland-Interfaces), and the program must not have file capabilities"
                    .to_owned(),
            )
        })?;
        let pointer = Pointer::Embedded.into();
        let queue = link.handle();
        let stream = match source {
            Source::Only => {
                let output: WlOutput = state.desk.only_output()?;
                manager.stream_output(&output, pointer, &queue, ())
            }
            Source::Virtual { name, width, height } => {
                let size = |pixels: u32| i32::try_from(pixels).unwrap_or(i32::MAX);
                manager.stream_virtual_output(name.clone(), size(*width), size(*height), 1.0, pointer, &queue, ())
            }
        };
        let node = loop {
            if let Some(reason) = state.ended.take() {
                return Err(LinkError::Missing(format!("KWin refuses its pictures: {reason}")));
            }
            if let Some(node) = state.node {
                break node;
            }
            if Instant::now() >= deadline {
                return Err(LinkError::Silent);
            }
            link.pump(&mut state, deadline, None)?;
        };
        if let Source::Virtual { name, .. } = source {
            // The output was announced before its stream; where it lies may come after.
            link.roundtrip(&mut state, deadline)?;
            let position = state.desk.position(name).unwrap_or_default();
            return Ok(Self { link, state, stream, node, position });
        }
        Ok(Self { link, state, stream, node, position: (0, 0) })
    }

    /// The node of PipeWire.
    pub fn node(&self) -> u32 {
        self.node
    }

    /// Where the output lies among all, in KWin's pixels.
    pub fn position(&self) -> (i32, i32) {
        self.position
    }

    /// Why there are no more pictures, if so. Returns at once.
    pub fn ended(&mut self) -> Option<String> {
        if let Err(error) = self.link.pump(&mut self.state, Instant::now(), None) {
            return Some(error.to_string());
        }
        self.state.ended.clone()
    }
}

impl Drop for Screencast {
    fn drop(&mut self) {
        self.stream.close();
        let _ = self.link.flush();
    }
}

impl Dispatch<Manager, ()> for State {
    fn event(_: &mut Self, _: &Manager, _: manager::Event, (): &(), _: &Connection, _: &QueueHandle<Self>) {}
}

impl Dispatch<Stream, ()> for State {
    fn event(state: &mut Self, _: &Stream, event: stream::Event, (): &(), _: &Connection, _: &QueueHandle<Self>) {
        match event {
            stream::Event::Created { node } => state.node = Some(node),
            stream::Event::Failed { error } => state.ended = Some(error),
            stream::Event::Closed => state.ended = Some("KWin closed it".to_owned()),
            _ => {}
        }
    }
}
