//! The thread of a video stream: it runs PipeWire's loop, agrees on a format and turns buffers into pictures.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pipewire::channel::{Receiver, Sender};
use pipewire::context::ContextRc;
use pipewire::keys;
use pipewire::main_loop::MainLoopRc;
use pipewire::properties::properties;
use pipewire::spa::param::ParamType;
use pipewire::spa::param::video::{VideoFormat, VideoInfoRaw};
use pipewire::spa::pod::Pod;
use pipewire::spa::sys;
use pipewire::spa::utils::Direction;
use pipewire::stream::{Stream, StreamFlags, StreamRc, StreamState};
use rustix::time::{ClockId, clock_gettime};

use crate::capture::mailbox::{Mailbox, Pool, Size};
use crate::frame::CpuImage;

use super::buffer::{Memory, Taken};
use super::meta;
use super::params::{self, Param};
use super::picture::{Cursor, Order, Pixels, Transform};
use super::{Origin, Wanted};

/// A presentation longer ago than this is a clock that is not ours.
const OLDEST_PRESENTATION: Duration = Duration::from_secs(1);

enum Request {
    Stop,
    Renegotiate(Wanted),
}

/// Says to the thread what to do.
pub struct Orders(Sender<Request>);

impl Orders {
    pub fn stop(&self) {
        let _ = self.0.send(Request::Stop);
    }

    pub fn renegotiate(&self, wanted: Wanted) {
        let _ = self.0.send(Request::Renegotiate(wanted));
    }
}

impl std::fmt::Debug for Orders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Orders")
    }
}

/// What the thread says beside its pictures.
pub struct Told {
    /// Why it came to its end.
    pub ended: Arc<OnceLock<String>>,
    /// Formats that were agreed upon so far.
    pub formats: Arc<AtomicU64>,
}

/// Starts the thread.
pub fn start(
    origin: Origin,
    node: u32,
    wanted: Wanted,
    mailbox: Arc<Mailbox>,
    told: Told,
) -> io::Result<(Orders, JoinHandle<()>)> {
    let (sender, receiver) = pipewire::channel::channel();
    let thread = std::thread::Builder::new().name("capture".into()).spawn(move || {
        if let Err(error) = run(origin, node, wanted, &mailbox, &told, receiver) {
            let _ = told.ended.set(format!("PipeWire: {error}"));
        }
        let _ = told.ended.set("its stream ended".to_owned());
        mailbox.wake();
    })?;
    Ok((Orders(sender), thread))
}

fn run(
    origin: Origin,
    node: u32,
    wanted: Wanted,
    mailbox: &Arc<Mailbox>,
    Told { ended, formats: agreed }: &Told,
    orders: Receiver<Request>,
) -> Result<(), pipewire::Error> {
    pipewire::init();
    let agreed = Arc::clone(agreed);
    let main_loop = MainLoopRc::new(None)?;
    let context = ContextRc::new(&main_loop, None)?;
    let core = match origin {
        Origin::Server(remote) => remote.connect(&context)?,
        Origin::Connection(descriptor) => context.connect_fd_rc(descriptor, None)?,
    };
    let _errors = core
        .add_listener_local()
        .error({
            let (ended, main_loop) = (Arc::clone(ended), main_loop.clone());
            move |id, _, code, message| {
                // Errors of single objects are told to their proxies; those of the core are the end of the connection.
                if id == pipewire::core::PW_ID_CORE {
                    let _ = ended.set(format!("PipeWire is gone: {message} ({code})"));
                    main_loop.quit();
                }
            }
        })
        .register();
    let stream = StreamRc::new(
        core.clone(),
        "lumen",
        properties! {
            *keys::MEDIA_TYPE => "Video",
            *keys::MEDIA_CATEGORY => "Capture",
            *keys::MEDIA_ROLE => "Screen",
        },
    )?;
    let _events = stream
        .add_local_listener_with_user_data(Consumer::new(Arc::clone(mailbox)))
        .state_changed({
            let (ended, main_loop) = (Arc::clone(ended), main_loop.clone());
            let mut linked = false;
            move |_, _, old, new| {
                tracing::debug!(node, ?old, ?new, "state of a capture");
                let gone = match new {
                    StreamState::Error(reason) => Some(format!("its stream failed: {reason}")),
                    StreamState::Unconnected if linked => Some("its node is gone".to_owned()),
                    _ => None,
                };
                linked |= matches!(old, StreamState::Paused | StreamState::Streaming);
                if let Some(reason) = gone {
                    let _ = ended.set(reason);
                    main_loop.quit();
                }
            }
        })
        .param_changed(move |stream, consumer, id, param| {
            if id == ParamType::Format.as_raw() {
                consumer.format_changed(stream, param);
                if param.is_some() {
                    agreed.fetch_add(1, Ordering::Relaxed);
                }
            }
        })
        .process(Consumer::process)
        .register()?;
    let formats = params::formats(wanted);
    stream.connect(
        Direction::Input,
        Some(node),
        StreamFlags::AUTOCONNECT | StreamFlags::MAP_BUFFERS | StreamFlags::DONT_RECONNECT,
        &mut [&formats].into_iter().filter_map(Param::pod).collect::<Vec<_>>(),
    )?;
    let failure = Rc::new(RefCell::new(None));
    let _orders = orders.attach(main_loop.loop_(), {
        let (main_loop, stream, failure) = (main_loop.clone(), stream.downgrade(), Rc::clone(&failure));
        move |order| match order {
            Request::Stop => main_loop.quit(),
            Request::Renegotiate(wanted) => {
                let formats = params::formats(wanted);
                let mut params: Vec<&Pod> = [&formats].into_iter().filter_map(Param::pod).collect();
                if let Some(Err(error)) = stream.upgrade().map(|stream| stream.update_params(&mut params)) {
                    failure.replace(Some(error));
                    main_loop.quit();
                }
            }
        }
    });
    main_loop.run();
    failure.take().map_or(Ok(()), Err)
}

/// What has been agreed upon.
#[derive(Debug, Clone, Copy)]
struct Format {
    size: Size,
    order: Order,
}

/// Turns buffers into pictures.
struct Consumer {
    mailbox: Arc<Mailbox>,
    format: Option<Format>,
    pool: Pool,
    cursor: Cursor,
    /// The last picture without its pointer: the pointer may move on a screen that stands still.
    bare: Option<Arc<CpuImage>>,
    complained: bool,
}

impl Consumer {
    fn new(mailbox: Arc<Mailbox>) -> Self {
        let (pool, cursor) = (Pool::default(), Cursor::default());
        Self { mailbox, format: None, pool, cursor, bare: None, complained: false }
    }

    fn format_changed(&mut self, stream: &Stream, param: Option<&Pod>) {
        self.bare = None;
        self.format = None;
        let Some(param) = param else { return };
        let mut info = VideoInfoRaw::new();
        if info.parse(param).is_err() {
            return;
        }
        let size = Size { width: info.size().width, height: info.size().height };
        self.format = params::order(info.format()).map(|order| Format { size, order });
        tracing::debug!(?size, format = ?info.format(), "a capture has its format");
        let buffers = params::buffers();
        if let Err(error) = stream.update_params(&mut buffers.iter().filter_map(Param::pod).collect::<Vec<_>>()) {
            tracing::warn!(%error, "a capture cannot ask for its buffers");
        }
    }

    /// Takes all buffers that wait: pointers are read from each, the picture from the newest that has one.
    fn process(stream: &Stream, consumer: &mut Self) {
        let mut newest = None;
        let mut moved = false;
        while let Some(buffer) = Taken::next(stream) {
            if let Some(bytes) = buffer.meta(sys::SPA_META_Cursor) {
                moved |= meta::update_cursor(&mut consumer.cursor, bytes, |format| params::order(VideoFormat(format)));
            }
            let corrupted = buffer.meta(sys::SPA_META_Header).and_then(meta::header).is_some_and(|h| h.corrupted);
            if !corrupted && !matches!(buffer.memory(), Memory::Nothing) {
                newest = Some(buffer);
            }
        }
        match newest {
            Some(buffer) => consumer.picture(&buffer),
            None if moved => consumer.publish(Instant::now()),
            None => {}
        }
    }

    fn picture(&mut self, buffer: &Taken<'_>) {
        let Some(format) = self.format else { return };
        let pixels = match buffer.memory() {
            Memory::Mapped { bytes, stride } => {
                let stride =
                    if stride == 0 { Some(format.size.width as usize * 4) } else { usize::try_from(stride).ok() };
                stride.and_then(|stride| Pixels::new(bytes, stride, format.size, format.order))
            }
            Memory::Nothing => return,
            Memory::Unknown(kind) => {
                if !self.complained {
                    tracing::warn!(?kind, "the compositor gives buffers of a kind that was not asked for");
                }
                self.complained = true;
                return;
            }
        };
        let Some(pixels) = pixels else {
            if !self.complained {
                tracing::warn!(?format, "the compositor gives buffers that are smaller than their pictures");
            }
            self.complained = true;
            return;
        };
        let region = pixels.cut(buffer.meta(sys::SPA_META_VideoCrop).and_then(meta::region));
        let transform = buffer.meta(sys::SPA_META_VideoTransform).and_then(meta::transform).unwrap_or(0);
        let transform = Transform::from_number(transform);
        self.bare = None;
        self.bare =
            Some(self.pool.fill(transform.shown(region.size), |picture| pixels.copy(region, transform, picture)));
        let presented = buffer.meta(sys::SPA_META_Header).and_then(meta::header).map_or(0, |header| header.presented);
        self.publish(instant(presented));
    }

    fn publish(&mut self, presented: Instant) {
        let Some(bare) = &self.bare else { return };
        if !self.cursor.is_visible() {
            self.mailbox.put(Arc::clone(bare), presented);
            return;
        }
        let size = Size { width: bare.width, height: bare.height };
        let with_pointer = self.pool.fill(size, |picture| {
            picture.data.copy_from_slice(&bare.data);
            self.cursor.blend(picture);
        });
        self.mailbox.put(with_pointer, presented);
    }
}

/// The moment that a time of the monotonic clock in nanoseconds names; now, if that is not in the near past.
fn instant(nanoseconds: i64) -> Instant {
    let now = Instant::now();
    let clock = clock_gettime(ClockId::Monotonic);
    let age = (clock.tv_sec * 1_000_000_000 + clock.tv_nsec).saturating_sub(nanoseconds);
    let age = u64::try_from(age).ok().map(Duration::from_nanos).filter(|age| *age < OLDEST_PRESENTATION);
    age.and_then(|age| now.checked_sub(age)).unwrap_or(now)
}
