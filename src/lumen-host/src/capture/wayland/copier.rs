//! The copying of one output's pictures, by whichever [`Method`] the compositor offers.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use wayland_client::delegate_noop;
use wayland_client::protocol::wl_buffer::WlBuffer;
use wayland_client::protocol::wl_output::WlOutput;
use wayland_client::protocol::wl_shm::WlShm;
use wayland_client::protocol::wl_shm_pool::WlShmPool;

use super::buffers::{Buffer, Layout, Lines};
use super::method::{Change, Frame, Method};
use super::pace::Pace;
use crate::capture::mailbox::{Mailbox, Pool, Size};
use crate::frame::{CpuImage, Mode};
use crate::wayland::{Desk, Link, LinkError, wayland_state};

/// How long the thread waits for events before it looks around; it is woken for everything that matters.
const ROUND: Duration = Duration::from_secs(1);
/// Frames may fail while the compositor reconfigures its output; after this many in a row it has failed.
const MAX_FAILURES: u32 = 120;

/// An output to be captured.
#[derive(Debug)]
pub struct Copier {
    link: Link<Content>,
    content: Content,
    method: Method,
    shm: WlShm,
    output: WlOutput,
    mode: Mode,
    /// One is filled while the other is read.
    buffers: [Option<Buffer>; 2],
    filling: usize,
    pool: Pool,
    /// A picture has come.
    begun: bool,
}

/// What the compositor has said, by whichever method.
#[derive(Debug, Default)]
pub struct Content {
    desk: Desk,
    /// The frame that was asked for.
    pub frame: Option<Frame>,
    /// How far it is.
    pub progress: Progress,
    /// The buffer that it wants.
    pub layout: Option<Layout>,
    /// A format that was offered but cannot be read here.
    pub unknown: Option<String>,
    /// Order of its lines.
    pub lines: Lines,
    /// Pixels per line and lines, where formats are named apart from them.
    pub size: (u32, u32),
    /// When it was shown, where that is said before it is ready.
    pub shown: Duration,
    /// No further picture will come.
    pub stopped: bool,
}

/// The steps to a picture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Progress {
    /// The compositor was asked for a frame.
    #[default]
    Asked,
    /// It has said what buffer it wants.
    Described,
    /// It was given one, and copies after the next change.
    Copying,
    /// The copy is there; it was shown at this time of the monotonic clock.
    Ready(Duration),
    /// It did not work this time.
    Failed,
}

wayland_state!(Content);
delegate_noop!(Content: ignore WlShm);
delegate_noop!(Content: WlShmPool);
delegate_noop!(Content: ignore WlBuffer);

impl Copier {
    /// Connects to the compositor behind `socket` and finds the output.
    ///
    /// # Errors
    /// If it does not answer before `deadline`, or lacks the output or the protocol.
    pub fn open(socket: &Path, output: &str, mode: Mode, deadline: Instant) -> Result<Self, LinkError> {
        let mut content = Content::default();
        let mut link = Link::open(socket, &mut content, deadline)?;
        let shm = link
            .bind::<WlShm>(&mut content, 1)
            .ok_or_else(|| LinkError::Missing("the compositor does not offer wl_shm".to_owned()))?;
        let output = content.desk.output(output)?;
        let method = Method::open(&mut link, &mut content, &output, deadline)?;
        let buffers = [None, None];
        Ok(Self { link, content, method, shm, output, mode, buffers, filling: 0, pool: Pool::default(), begun: false })
    }

    /// Takes pictures until `stop` can be read or none can come any more.
    pub fn run(mut self, mailbox: &Mailbox, stop: &OwnedFd) {
        match self.capture(mailbox, stop) {
            Ok(()) => mailbox.end("the capture was stopped".to_owned()),
            Err(reason) => mailbox.end(reason),
        }
    }

    fn capture(&mut self, mailbox: &Mailbox, stop: &OwnedFd) -> Result<(), String> {
        let mut pace = Pace::new(self.mode.interval(), Instant::now());
        let mut failures = 0;
        while !is_readable(stop) {
            if !self.content.desk.has(&self.output) {
                return Err("the output was removed".to_owned());
            }
            if self.content.stopped {
                return Err("the compositor ended the capture".to_owned());
            }
            let now = Instant::now();
            if self.content.frame.is_none() {
                if now < pace.earliest() {
                    self.pump(pace.earliest(), stop)?;
                    continue;
                }
                self.ask(&mut pace, now);
            }
            match self.content.progress {
                Progress::Asked | Progress::Copying => self.pump(now + ROUND, stop)?,
                Progress::Described => self.copy()?,
                Progress::Failed => {
                    self.end_frame();
                    failures += 1;
                    if failures > MAX_FAILURES {
                        return Err("the compositor refuses to copy its pictures".to_owned());
                    }
                }
                Progress::Ready(shown) => {
                    failures = 0;
                    let lines = self.content.lines;
                    self.end_frame();
                    let full = self.filling;
                    self.filling = 1 - full;
                    // The next one is on its way while this one is read.
                    let now = Instant::now();
                    if now >= pace.earliest() {
                        self.ask(&mut pace, now);
                        self.link.flush().map_err(|error| error.to_string())?;
                    }
                    let image = self.picture(full, lines)?;
                    mailbox.put(image, instant_of(shown, Instant::now()));
                }
            }
        }
        Ok(())
    }

    fn ask(&mut self, pace: &mut Pace, now: Instant) {
        self.content.lines = Lines::TopFirst;
        self.method.ask(&mut self.content, &self.output, &self.link.handle());
        pace.asked(now);
    }

    fn copy(&mut self) -> Result<(), String> {
        let Some(frame) = &self.content.frame else { return Ok(()) };
        let Some(layout) = self.content.layout else {
            let formats = self.content.unknown.take().unwrap_or_else(|| "none".to_owned());
            return Err(format!("the compositor offers its pictures in formats that are not known here: {formats}"));
        };
        if (layout.width, layout.height) != (self.mode.width, self.mode.height) {
            return Err(format!("the output has another size now: {}x{}", layout.width, layout.height));
        }
        let place = &mut self.buffers[self.filling];
        if place.as_ref().is_none_or(|buffer| buffer.layout() != layout) {
            *place = Some(Buffer::new(&self.shm, layout, &self.link.handle())?);
        }
        if let Some(buffer) = place {
            // The first one shows the screen as it is; those after it wait for a change.
            frame.copy(buffer, if self.begun { Change::Awaited } else { Change::NotNeeded });
        }
        self.content.progress = Progress::Copying;
        Ok(())
    }

    fn picture(&mut self, place: usize, lines: Lines) -> Result<Arc<CpuImage>, String> {
        let Some(buffer) = &self.buffers[place] else { return Err("a picture without a buffer".to_owned()) };
        let Layout { width, height, stride, .. } = buffer.layout();
        let size = Size { width, height };
        let image = self.pool.try_fill(size, stride as usize, |image| buffer.read(lines, &mut image.data))?;
        self.begun = true;
        Ok(image)
    }

    fn end_frame(&mut self) {
        self.content.frame = None;
        self.content.progress = Progress::Asked;
    }

    fn pump(&mut self, deadline: Instant, stop: &OwnedFd) -> Result<(), String> {
        self.link.pump(&mut self.content, deadline, Some(stop.as_fd())).map(drop).map_err(|error| error.to_string())
    }
}

/// A time of the monotonic clock, which compositors stamp their pictures with, as an [`Instant`]. A stamp that cannot
/// be right counts as `now`.
fn instant_of(stamp: Duration, now: Instant) -> Instant {
    /// Older pictures than this are not shown for the first time now.
    const OLDEST: Duration = Duration::from_secs(1);
    let clock = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let (Ok(seconds), Ok(nanos)) = (u64::try_from(clock.tv_sec), u32::try_from(clock.tv_nsec)) else { return now };
    Duration::new(seconds, nanos)
        .checked_sub(stamp)
        .filter(|age| *age <= OLDEST)
        .and_then(|age| now.checked_sub(age))
        .unwrap_or(now)
}

fn is_readable(stop: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(stop, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
}
