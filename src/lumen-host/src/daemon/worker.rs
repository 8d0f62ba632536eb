//! Starting workers and listening to them.

use std::fmt;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::config::{Grants, LogConfig, LogFormat};
use crate::display::steps;
use crate::encode::{EncoderInfo, EncoderPreference};
use crate::link::{EndReason, FromWorker, Link, LinkError, SessionId, SessionSpec, ToWorker};

use super::units::Units;

/// For opening every encoder once. On a machine that boots and has little time this takes long; with the time that the
/// manager of units gets, it stays below the 90 s in which systemd wants a service to be ready.
const PROBE_LIMIT: Duration = Duration::from_secs(45);

/// For everything that the doctor looks at.
const DOCTOR_LIMIT: Duration = Duration::from_secs(60);

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
        Self { link, pid, handle: open(pid) }
    }

    /// Which process it is: what was started was what asks a service manager to start it.
    pub(super) fn is_process(&mut self, pid: u32) {
        if pid != self.pid {
            *self = Self::new(Arc::clone(&self.link), pid);
        }
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

fn open(pid: u32) -> Option<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw)?;
    pidfd_open(pid, PidfdFlags::empty()).ok()
}

/// Starts a worker for `spec`, whose client may do what `may` says, and a thread that listens to it.
pub(super) fn spawn(
    spec: &SessionSpec,
    may: &Grants,
    log: &LogConfig,
    events: Arc<dyn WorkerEvents>,
) -> anyhow::Result<Worker> {
    let (ours, theirs) = Link::pair().context("making the link")?;
    ours.send(&ToWorker::Session(Box::new(spec.clone())), &[]).context("describing the session")?;
    ours.send(&ToWorker::Grants(Box::new(may.clone())), &[]).context("describing the session")?;
    let format = match log.format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    // A worker logs as its daemon does.
    let log = [("LUMEN_LOG__FILTER", log.filter.as_str()), ("LUMEN_LOG__FORMAT", format)];
    let mut child = lumen(&format!("lumen-session-{}.service", spec.id), &["session"], &log)
        .stdin(Stdio::from(theirs.into_fd()))
        .stdout(Stdio::null())
        .spawn()
        .context("starting the worker")?;
    let pid = child.id();
    let link = Arc::new(ours);
    let child = match Units::of_this_service() {
        None => Some(child),
        // How systemd-run ends says nothing about the worker; somebody has to wait for it all the same.
        Some(_) => {
            std::thread::Builder::new().name("worker-unit".into()).spawn(move || child.wait())?;
            None
        }
    };
    listen(spec.id, Arc::clone(&link), child, events)?;
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
    let text = ask("probe", &["probe", &preference], PROBE_LIMIT).context("asking which encoders work")?;
    serde_json::from_str(&text).context("the probe of the encoders broke; see `lumen doctor`")
}

/// What `lumen doctor` finds about a host with this configuration file.
pub(super) fn examine(config: &Path) -> anyhow::Result<serde_json::Value> {
    let config = config.to_str().context("the runtime directory has no readable name")?;
    let text = ask("doctor", &["--config", config, "doctor", "--json"], DOCTOR_LIMIT).context("asking the doctor")?;
    serde_json::from_str(&text).context("the doctor gave no report")
}

/// What another process of this program prints, outside of the daemon's sandbox.
fn ask(what: &str, arguments: &[&str], limit: Duration) -> anyhow::Result<String> {
    let mut child = lumen(&format!("lumen-{what}-{}.service", std::process::id()), arguments, &[])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting the process")?;
    let output = child.stdout.take();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let read = output.map(|mut output| std::io::Read::read_to_string(&mut output, &mut text));
        let _ = sender.send(read.transpose().map(|_| text));
    });
    let text = receiver.recv_timeout(limit);
    // Whatever it still does, it is not needed any more.
    let _ = child.kill();
    let _ = child.wait();
    text.context("it did not answer in time")?.context("reading its answer")
}

/// Runs the steps after a session whose worker could not: not in the sandbox of this daemon's service.
pub(super) fn steps_after(spec: &SessionSpec) {
    if spec.app.after.is_empty() || Units::of_this_service().is_none() {
        return steps::after(spec);
    }
    let run = || -> anyhow::Result<()> {
        let mut child = lumen(&format!("lumen-after-{}.service", spec.id), &["after"], &[])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        if let Some(input) = child.stdin.take() {
            serde_json::to_writer(input, spec)?;
        }
        child.wait()?;
        Ok(())
    };
    if let Err(error) = run() {
        tracing::warn!(session = %spec.id, "the steps after the session did not run: {error:#}");
    }
}

/// This very binary, also when its file was replaced by an upgrade: as the unit `name` where this daemon is a service;
/// otherwise as a child under a name that people find in `ps`, in a process group of its own, because an interrupt in
/// the daemon's terminal is the daemon's to handle.
fn lumen(name: &str, arguments: &[&str], own: &[(&str, &str)]) -> Command {
    use std::os::unix::process::CommandExt;
    // SVT-AV1 prints a banner for every stream unless this says "errors only".
    let own = [own, &[("SVT_LOG", "1")]].concat();
    let mut command = match Units::of_this_service() {
        Some(units) => {
            let file = std::env::current_exe().ok().filter(|file| file.exists());
            let file = file.unwrap_or_else(|| format!("/proc/{}/exe", std::process::id()).into());
            units.command(name, &file, arguments, &own)
        }
        None => {
            let mut command = Command::new("/proc/self/exe");
            command.arg0("lumen").args(arguments).envs(own);
            command
        }
    };
    command.process_group(0);
    command
}
