//! Which node is a process's: for compositors that announce their pictures to nobody in particular.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use pipewire::context::ContextRc;
use pipewire::loop_::Timeout;
use pipewire::main_loop::MainLoopRc;
use pipewire::types::ObjectType;

use crate::mediaserver::Remote;

/// How long news are waited for at a time.
const SLICE: Duration = Duration::from_millis(50);

/// What is known of the graph so far.
#[derive(Default)]
struct Graph {
    /// Process of each client.
    clients: HashMap<u32, u32>,
    /// Client of each node that is a source of pictures.
    nodes: HashMap<u32, u32>,
}

/// Waits until the process `pid` has a node that gives pictures, and says its number.
///
/// # Errors
/// If there is none within `patience`, or PipeWire cannot be asked.
pub fn find_node(remote: &Remote, pid: u32, patience: Duration) -> Result<u32, String> {
    let deadline = Instant::now() + patience;
    search(remote, pid, deadline)
        .map_err(|error| format!("PipeWire cannot be asked for its node: {error}"))?
        .ok_or_else(|| format!("it made no node of PipeWire within {} s", patience.as_secs()))
}

fn search(remote: &Remote, pid: u32, deadline: Instant) -> Result<Option<u32>, pipewire::Error> {
    pipewire::init();
    let main_loop = MainLoopRc::new(None)?;
    let context = ContextRc::new(&main_loop, None)?;
    let core = remote.connect(&context)?;
    let registry = core.get_registry_rc()?;
    let graph = Rc::new(RefCell::new(Graph::default()));
    let _globals = registry
        .add_listener_local()
        .global({
            let graph = Rc::clone(&graph);
            move |global| {
                let Some(properties) = global.props else { return };
                let number = |name: &str| properties.get(name).and_then(|value| value.parse::<u32>().ok());
                let mut graph = graph.borrow_mut();
                match global.type_ {
                    ObjectType::Client => {
                        if let Some(pid) = number("pipewire.sec.pid") {
                            graph.clients.insert(global.id, pid);
                        }
                    }
                    ObjectType::Node if properties.get("media.class") == Some("Video/Source") => {
                        if let Some(client) = number("client.id") {
                            graph.nodes.insert(global.id, client);
                        }
                    }
                    _ => {}
                }
            }
        })
        .register();
    loop {
        let found = {
            let graph = graph.borrow();
            graph.nodes.iter().find(|(_, client)| graph.clients.get(client) == Some(&pid)).map(|(node, _)| *node)
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if found.is_some() || left.is_zero() {
            return Ok(found);
        }
        main_loop.loop_().iterate(Timeout::Finite(left.min(SLICE)));
    }
}
