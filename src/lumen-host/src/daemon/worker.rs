//! Starting workers and listening to them.

use std::fmt;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::config::{LogConfig, LogFormat};
use crate::encode::{EncoderInfo, EncoderPreference};
use crate::link::{EndReason, FromWorker, Link, LinkError, SessionId, SessionSpec, ToWorker};

/// For opening every encoder once.
const PROBE_LIMIT: Duration = Duration::from_secs(10);

/// Told what a worker says; called from the thread that listens to it.
pub(super) trait WorkerEvents: Send + Sync + 'static {
    /// A message arrived.
    fn worker_said(&self, session: SessionId, message: FromWorker);

    /// The worker is gone.
    fn worker_gone(&self, session: SessionId, exit: &WorkerExit);
}

/// How a worker ended.
#[derive(Debug)]
pub(super) enum WorkerExit {
    /// As this.
    Status(ExitStatus),
    /// It was not a child of this daemon, or could not be waited for: nobody knows.
    Unknown,
}

impl WorkerExit {
    /// Whether it got as far as its own end, where it puts away what belongs to its session.
    pub(super) fn in_order(&self) -> bool {
        matches!(self, Self::Status(status) if status.code().is_some())
    }

    /// Whether a signal ended it.
    pub(super) fn was_killed(&self) -> bool {
        matches!(self, Self::Status(status) if status.code().is_none())
    }
}

impl fmt::Display for WorkerExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => status.fmt(f),
            Self::Unknown => f.write_str("not a child of this daemon"),
        }
    }
}

/// How long a worker may take to end when it is told to, beside its steps.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// A worker as the daemon holds it.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) link: Arc<Link>,
    pub(super) pid: u32,
    /// The process itself, whatever its number may be given to later.
    handle: Option<OwnedFd>,
}

impl Worker {
    fn new(link: Arc<Link>, pid: u32) -> Self {
        let handle = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let handle = handle.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        Self { link, pid, handle }
    }

    /// Tells it to end. If it does not, say because a driver hangs, it is killed; `steps` is what those after its
    /// session may take.
    pub(super) fn stop(self, reason: EndReason, steps: Duration) {
        if let Err(error) = self.link.send(&ToWorker::Stop(reason), &[]) {
            tracing::debug!(pid = self.pid, %error, "the worker was not told to stop");
        }
        let Some(handle) = self.handle else { return };
        let watch = move || {
            let limit = Timespec::try_from(STOP_LIMIT + steps).unwrap_or_default();
            let ended = poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&limit));
            if ended == Ok(0) {
                tracing::error!(pid = self.pid, "the worker does not end and is killed");
                let _ = pidfd_send_signal(&handle, Signal::KILL);
            }
        };
        if let Err(error) = std::thread::Builder::new().name("worker-end".into()).spawn(watch) {
            tracing::warn!(%error, "nobody watches whether the worker ends");
        }
    }
}

/// Starts a worker for `spec` and a thread that listens to it.
pub(super) fn spawn(spec: &SessionSpec, log: &LogConfig, events: Arc<dyn WorkerEvents>) -> anyhow::Result<Worker> {
    let (ours, theirs) = Link::pair().context("making the link")?;
    ours.send(&ToWorker::Session(Box::new(spec.clone())), &[]).context("describing the session")?;
    let format = match log.format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    let child = lumen("session")
        // A worker logs as its daemon does.
        .env("LUMEN_LOG__FILTER", &log.filter)
        .env("LUMEN_LOG__FORMAT", format)
        .stdin(Stdio::from(theirs.into_fd()))
        .stdout(Stdio::null())
        .spawn()
        .context("starting the worker")?;
    let pid = child.id();
    let link = Arc::new(ours);
    listen(spec.id, Arc::clone(&link), Some(child), events)?;
    Ok(Worker::new(link, pid))
}

/// Takes back a worker that outlived an earlier daemon.
pub(super) fn adopt(id: SessionId, pid: u32, link: Link, events: Arc<dyn WorkerEvents>) -> anyhow::Result<Worker> {
    let link = Arc::new(link);
    listen(id, Arc::clone(&link), None, events)?;
    Ok(Worker::new(link, pid))
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
        let exit = child.and_then(|mut child| child.wait().ok()).map_or(WorkerExit::Unknown, WorkerExit::Status);
        events.worker_gone(session, &exit);
    };
    std::thread::Builder::new().name("worker-link".into()).spawn(run).context("starting a thread")?;
    Ok(())
}

/// Asks a process of its own which encoders work: the libraries that answer may crash, hang or print, and the daemon
/// touches none of them.
pub(crate) fn probe_encoders(preference: EncoderPreference) -> anyhow::Result<Vec<EncoderInfo>> {
    let preference = serde_json::to_string(&preference)?;
    let mut child = lumen("probe")
        .arg(preference)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting the probe")?;
    let output = child.stdout.take();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let read = output.map(|mut output| std::io::Read::read_to_string(&mut output, &mut text));
        let _ = sender.send(read.transpose().map(|_| text));
    });
    let text = receiver.recv_timeout(PROBE_LIMIT);
    // Whatever it still does, it is not needed any more.
    let _ = child.kill();
    let _ = child.wait();
    let text = text.context("the encoders did not answer in time")?.context("reading what the probe found")?;
    serde_json::from_str(&text).context("the probe of the encoders broke; see `lumen doctor`")
}

/// This very binary, also when its file was replaced by an upgrade; under a name that people find in `ps`; in a
/// process group of its own, because an interrupt in the daemon's terminal is the daemon's to handle.
fn lumen(role: &str) -> Command {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new("/proc/self/exe");
    // SVT-AV1 prints a banner for every stream unless this says "errors only".
    command.arg0("lumen").arg(role).env("SVT_LOG", "1").process_group(0);
    command
}
