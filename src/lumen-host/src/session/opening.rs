//! A session's start: the steps before it, then its display. It happens on a thread of its own, because a desktop may
//! take minutes to come up, and the worker has a client to talk to meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

use lumen_core::lumen1::negotiation::Grants;

use crate::display::steps::Steps;
use crate::display::{self, DisplayError, VirtualDisplay, process};
use crate::input::InputSink;
use crate::link::SessionSpec;

/// How long a start that is given up may take to end in order.
const ORDERLY: Duration = Duration::from_secs(1);
/// How long it is waited for at all. The daemon kills a worker that takes ten seconds to end.
const GIVE_UP: Duration = Duration::from_secs(5);
/// How often what it still starts is ended meanwhile.
const SWEEP_INTERVAL: Duration = Duration::from_millis(50);

/// See the module. Dropping it gives the start up: what was started is ended, and the steps after the session run.
pub struct Opening {
    news: Receiver<News>,
    session: String,
    given_up: Arc<AtomicBool>,
    steps: Option<Box<Steps>>,
    /// The thread has said all it had to say.
    over: bool,
}

/// What has come up.
pub struct Opened {
    /// To be dropped after the display.
    pub steps: Box<Steps>,
    /// The display, with the application on it.
    pub display: Box<dyn VirtualDisplay>,
    /// Its input.
    pub input: Box<dyn InputSink>,
}

type Display = (Box<dyn VirtualDisplay>, Box<dyn InputSink>);

enum News {
    Prepared(Box<Steps>),
    Display(Result<Display, DisplayError>),
}

impl Opening {
    /// Begins. `granted` are the streams that the client may use beside picture and sound.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn begin(spec: &SessionSpec, granted: Grants) -> std::io::Result<Self> {
        let (sender, news) = channel();
        let given_up = Arc::new(AtomicBool::new(false));
        let (spec, span, flag) = (spec.clone(), tracing::Span::current(), Arc::clone(&given_up));
        let session = spec.id.to_string();
        std::thread::Builder::new().name("opening".into()).spawn(move || {
            let _entered = span.enter();
            open(&spec, granted, &flag, &sender);
        })?;
        Ok(Self { news, session, given_up, steps: None, over: false })
    }

    /// Whether it is there, or why it cannot be; `None` as long as it starts. Returns at once.
    pub fn poll(&mut self) -> Option<Result<Opened, DisplayError>> {
        loop {
            match self.news.try_recv() {
                Ok(News::Prepared(steps)) => self.steps = Some(steps),
                Ok(News::Display(display)) => {
                    self.over = true;
                    return Some(display.and_then(|(display, input)| {
                        let steps = self.steps.take().ok_or_else(broken)?;
                        Ok(Opened { steps, display, input })
                    }));
                }
                Err(TryRecvError::Empty) => return None,
                Err(TryRecvError::Disconnected) => {
                    self.over = true;
                    return Some(Err(broken()));
                }
            }
        }
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.given_up.store(true, Ordering::Relaxed);
        let begin = Instant::now();
        while !self.over && begin.elapsed() < GIVE_UP {
            match self.news.recv_timeout(SWEEP_INTERVAL) {
                Ok(News::Prepared(steps)) => self.steps = Some(steps),
                Ok(News::Display(_)) | Err(RecvTimeoutError::Disconnected) => self.over = true,
                // Steps end by themselves now, and those after the session must not be hit.
                Err(RecvTimeoutError::Timeout) if self.steps.is_some() && begin.elapsed() >= ORDERLY => {
                    process::end_all(&self.session);
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

fn open(spec: &SessionSpec, granted: Grants, given_up: &AtomicBool, news: &Sender<News>) {
    // Whoever gave up hears nothing more, and what is sent to nobody is ended.
    match Steps::begin_unless(spec, given_up) {
        Ok(steps) => _ = news.send(News::Prepared(Box::new(steps))),
        Err(error) => {
            let _ = news.send(News::Display(Err(error)));
            return;
        }
    }
    if given_up.load(Ordering::Relaxed) {
        return;
    }
    let display = display::open(spec, granted).and_then(|mut display| Ok((display.input()?, display)));
    let _ = news.send(News::Display(display.map(|(input, display)| (display, input))));
}

fn broken() -> DisplayError {
    DisplayError::Failed { backend: "display", reason: "its start broke; the log says where".to_owned() }
}
