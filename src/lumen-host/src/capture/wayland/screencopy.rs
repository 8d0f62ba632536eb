//! `zwlr_screencopy_manager_v1`, from its public protocol description: each picture is a frame object that says which
//! buffer it wants, is copied into it after the next change, and says when it was shown.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use wayland_client::protocol::wl_buffer::WlBuffer;
use wayland_client::protocol::wl_output::WlOutput;
use wayland_client::protocol::wl_shm::WlShm;
use wayland_client::protocol::wl_shm_pool::WlShmPool;
use wayland_client::{Connection, Dispatch, Proxy, QueueHandle, WEnum, delegate_noop};
use wayland_protocols_wlr::screencopy::v1::client::zwlr_screencopy_frame_v1::{self, ZwlrScreencopyFrameV1};
use wayland_protocols_wlr::screencopy::v1::client::zwlr_screencopy_manager_v1::ZwlrScreencopyManagerV1;

use super::buffers::{Buffer, Layout, Lines};
use super::mailbox::Mailbox;
use super::pace::Pace;
use super::pool::Pool;
use crate::frame::{Frame, Mode, Timeline};
use crate::wayland::{Desk, Link, LinkError, wayland_state};

/// The cursor is drawn into the picture.
const WITH_CURSOR: i32 = 1;
/// Version from which a frame can wait for a change.
const DAMAGE_SINCE: u32 = 2;
/// Version from which a frame says that it has said all about its buffer.
const BUFFER_DONE_SINCE: u32 = 3;
/// How long the thread waits for events before it looks around; it is woken for everything that matters.
const ROUND: Duration = Duration::from_secs(1);
/// Frames may fail while the compositor reconfigures its output; after this many in a row it has failed.
const MAX_FAILURES: u32 = 120;

/// An output to be captured.
#[derive(Debug)]
pub struct Screencopy {
    link: Link<Content>,
    content: Content,
    manager: ZwlrScreencopyManagerV1,
    shm: WlShm,
    output: WlOutput,
    mode: Mode,
    /// One is filled while the other is read.
    buffers: [Option<Buffer>; 2],
    filling: usize,
    pool: Pool,
    serial: u64,
}

#[derive(Debug, Default)]
struct Content {
    desk: Desk,
    /// The frame that was asked for.
    frame: Option<ZwlrScreencopyFrameV1>,
    progress: Progress,
    layout: Option<Layout>,
    unknown: Option<String>,
    lines: Lines,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Progress {
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
delegate_noop!(Content: ZwlrScreencopyManagerV1);

impl Screencopy {
    /// Connects to the compositor behind `socket` and finds the output.
    ///
    /// # Errors
    /// If it does not answer before `deadline`, or lacks the output or the protocol.
    pub fn open(socket: &Path, output: &str, mode: Mode, deadline: Instant) -> Result<Self, LinkError> {
        let mut content = Content::default();
        let link = Link::open(socket, &mut content, deadline)?;
        let missing = |what: &str| LinkError::Missing(format!("the compositor does not offer {what}"));
        let manager = link
            .bind::<ZwlrScreencopyManagerV1>(&mut content, BUFFER_DONE_SINCE)
            .filter(|manager| manager.version() >= DAMAGE_SINCE)
            .ok_or_else(|| {
                missing("zwlr_screencopy_manager_v1 in version 2 or newer: it needs wlroots 0.9 or newer")
            })?;
        let shm = link.bind::<WlShm>(&mut content, 1).ok_or_else(|| missing("wl_shm"))?;
        let output = content.desk.output(output)?;
        let buffers = [None, None];
        Ok(Self { link, content, manager, shm, output, mode, buffers, filling: 0, pool: Pool::default(), serial: 0 })
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
                    mailbox.put(self.picture(full, lines, shown)?);
                }
            }
        }
        Ok(())
    }

    fn ask(&mut self, pace: &mut Pace, now: Instant) {
        let frame = self.manager.capture_output(WITH_CURSOR, &self.output, &self.link.handle(), ());
        self.content.frame = Some(frame);
        self.content.progress = Progress::Asked;
        self.content.layout = None;
        self.content.lines = Lines::TopFirst;
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
            if self.serial == 0 {
                frame.copy(buffer.proxy());
            } else {
                frame.copy_with_damage(buffer.proxy());
            }
        }
        self.content.progress = Progress::Copying;
        Ok(())
    }

    fn picture(&mut self, place: usize, lines: Lines, shown: Duration) -> Result<Frame, String> {
        let Some(buffer) = &self.buffers[place] else { return Err("a picture without a buffer".to_owned()) };
        let Layout { width, height, stride, .. } = buffer.layout();
        let image = self.pool.make((width, height, stride as usize), |out| buffer.read(lines, out))?;
        self.serial += 1;
        let mut timeline = Timeline::starting(Instant::now());
        timeline.presented = instant_of(shown, timeline.captured);
        Ok(Frame { image, serial: self.serial, timeline })
    }

    fn end_frame(&mut self) {
        if let Some(frame) = self.content.frame.take() {
            frame.destroy();
        }
        self.content.progress = Progress::Asked;
    }

    fn pump(&mut self, deadline: Instant, stop: &OwnedFd) -> Result<(), String> {
        self.link.pump(&mut self.content, deadline, Some(stop.as_fd())).map(drop).map_err(|error| error.to_string())
    }
}

impl Dispatch<ZwlrScreencopyFrameV1, ()> for Content {
    fn event(
        content: &mut Self,
        frame: &ZwlrScreencopyFrameV1,
        event: zwlr_screencopy_frame_v1::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        use zwlr_screencopy_frame_v1::{Event, Flags};
        if content.frame.as_ref() != Some(frame) {
            return;
        }
        match event {
            Event::Buffer { format, width, height, stride } => {
                match format {
                    WEnum::Value(format) if Layout::is_readable(format) => {
                        content.layout = Some(Layout { width, height, stride, format });
                    }
                    other => content.unknown = Some(format!("{other:?}")),
                }
                if frame.version() < BUFFER_DONE_SINCE {
                    content.progress = Progress::Described;
                }
            }
            Event::BufferDone => content.progress = Progress::Described,
            Event::Flags { flags: WEnum::Value(flags) } => {
                content.lines = if flags.contains(Flags::YInvert) { Lines::BottomFirst } else { Lines::TopFirst };
            }
            Event::Ready { tv_sec_hi, tv_sec_lo, tv_nsec } => {
                let seconds = u64::from(tv_sec_hi) << 32 | u64::from(tv_sec_lo);
                content.progress = Progress::Ready(Duration::new(seconds, tv_nsec.min(999_999_999)));
            }
            Event::Failed => content.progress = Progress::Failed,
            _ => {}
        }
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
