//! Starting workers and listening to them.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::Context;

use crate::link::{FromWorker, Link, LinkError, SessionId, SessionSpec, ToWorker};

/// Told what a worker says; called from the thread that listens to it.
pub(super) trait WorkerEvents: Send + Sync + 'static {
    /// A message arrived.
    fn worker_said(&self, session: SessionId, message: FromWorker);

    /// The worker is gone, and what its process said last.
    fn worker_gone(&self, session: SessionId, status: &str);
}

/// A worker as the daemon holds it.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) link: Arc<Link>,
    pub(super) pid: u32,
}

/// Starts a worker for `spec` and a thread that listens to it.
pub(super) fn spawn(spec: &SessionSpec, events: Arc<dyn WorkerEvents>) -> anyhow::Result<Worker> {
    let (ours, theirs) = Link::pair().context("making the link")?;
    ours.send(&ToWorker::Session(Box::new(spec.clone())), &[]).context("describing the session")?;
    // This very binary, also when its file was replaced by an upgrade.
    let child = Command::new("/proc/self/exe")
        .arg0_lumen()
        .arg("session")
        .stdin(Stdio::from(theirs.into_fd()))
        .stdout(Stdio::null())
        .spawn()
        .context("starting the worker")?;
    let pid = child.id();
    let link = Arc::new(ours);
    listen(spec.id, Arc::clone(&link), Some(child), events)?;
    Ok(Worker { link, pid })
}

/// Takes back a worker that outlived an earlier daemon.
pub(super) fn adopt(id: SessionId, pid: u32, link: Link, events: Arc<dyn WorkerEvents>) -> anyhow::Result<Worker> {
    let link = Arc::new(link);
    listen(id, Arc::clone(&link), None, events)?;
    Ok(Worker { link, pid })
}

fn listen(
    session: SessionId,
    link: Arc<Link>,
    child: Option<Child>,
    events: Arc<dyn WorkerEvents>,
) -> anyhow::Result<()> {
    let run = move || {
        loop {
            match link.receive::<FromWorker>(None) {
                Ok(Some((message, _))) => events.worker_said(session, message),
                Ok(None) => {}
                Err(LinkError::Malformed(error)) => tracing::warn!(%session, %error, "worker message ignored"),
                Err(_) => break,
            }
        }
        let status = match child.map(|mut child| child.wait()) {
            Some(Ok(status)) => status.to_string(),
            Some(Err(error)) => error.to_string(),
            None => "not a child of this daemon".to_owned(),
        };
        events.worker_gone(session, &status);
    };
    std::thread::Builder::new().name("worker-link".into()).spawn(run).context("starting a thread")?;
    Ok(())
}

trait WorkerCommand {
    fn arg0_lumen(&mut self) -> &mut Self;
}

impl WorkerCommand for Command {
    /// A name that people find in `ps`, and a process group of its own: an interrupt in the daemon's terminal is
    /// the daemon's to handle.
    fn arg0_lumen(&mut self) -> &mut Self {
        use std::os::unix::process::CommandExt;
        self.arg0("lumen").process_group(0)
    }
}
