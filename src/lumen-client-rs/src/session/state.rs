//! What the threads of a session share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use lumen_core::gamestream::control::HostMessage;
use lumen_core::lumen1::message::ClipboardFormat;
use lumen_core::time::Timestamp;

use crate::analysis::{Analysis, Samples};
use crate::clock::Clock;
use crate::error::ClientError;
use crate::picture::Picture;
use crate::report::Ending;

/// Messages of the host that are kept; more are dropped.
const MAX_FEEDBACK: usize = 10_000;
/// Contents of the clipboard that are kept; older ones are dropped.
const MAX_CONTENTS: usize = 16;

/// Shared by all threads of a session.
pub struct Shared {
    pub clock: Clock,
    /// Threads shall come to an end.
    pub stop: AtomicBool,
    pub video_datagrams: Datagrams,
    pub audio_datagrams: Datagrams,
    /// Packets of the microphone that were sent.
    pub microphone_packets: AtomicU64,
    /// Contents of the clipboard that were sent.
    pub clipboard_sent: AtomicU64,
    state: Mutex<State>,
    changed: Condvar,
}

/// Datagrams of one stream.
#[derive(Debug, Default)]
pub struct Datagrams {
    pub received: AtomicU64,
    pub bytes: AtomicU64,
    pub withheld: AtomicU64,
    pub surplus: AtomicU64,
    pub malformed: AtomicU64,
}

/// Behind the lock.
pub struct State {
    pub analysis: Analysis,
    pub audio: AudioCounters,
    pub ending: Ending,
    pub feedback: Vec<(Timestamp, HostMessage)>,
    /// What was copied in the session.
    pub clipboard: Vec<(Timestamp, ClipboardFormat, Vec<u8>)>,
    pub picture: Option<Picture>,
    pub decoder: String,
    /// The first thing that went wrong on this machine.
    pub error: Option<ClientError>,
}

/// What became of packets of sound.
#[derive(Debug, Default)]
pub struct AudioCounters {
    pub packets: u64,
    pub recovered: u64,
    pub lost: u64,
    pub decode_errors: u64,
    pub gaps: u64,
    pub longest_gap: u64,
    pub interval: Samples,
}

impl Datagrams {
    /// A datagram arrived.
    pub fn arrived(&self, bytes: usize) {
        self.received.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Shared {
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            stop: AtomicBool::new(false),
            video_datagrams: Datagrams::default(),
            audio_datagrams: Datagrams::default(),
            microphone_packets: AtomicU64::new(0),
            clipboard_sent: AtomicU64::new(0),
            state: Mutex::new(State {
                analysis: Analysis::default(),
                audio: AudioCounters::default(),
                ending: Ending::Running,
                feedback: Vec::new(),
                clipboard: Vec::new(),
                picture: None,
                decoder: String::new(),
                error: None,
            }),
            changed: Condvar::new(),
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells those who wait that something changed.
    pub fn changed(&self) {
        self.changed.notify_all();
    }

    pub fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The stream ended; the first reason counts.
    pub fn end(&self, ending: Ending) {
        let mut state = self.lock();
        if state.ending == Ending::Running {
            state.ending = ending;
        }
        drop(state);
        self.changed();
    }

    /// Something on this machine failed, and the stream ends with it.
    pub fn fail(&self, error: ClientError) {
        let why = error.to_string();
        self.lock().error.get_or_insert(error);
        self.end(Ending::Lost(why));
    }

    /// A message of the host.
    pub fn feedback(&self, message: HostMessage) {
        let now = self.clock.now();
        let mut state = self.lock();
        if state.feedback.len() < MAX_FEEDBACK {
            state.feedback.push((now, message));
        }
        drop(state);
        self.changed();
    }

    /// Something was copied in the session.
    pub fn copied(&self, format: ClipboardFormat, bytes: Vec<u8>) {
        let now = self.clock.now();
        let mut state = self.lock();
        if state.clipboard.len() == MAX_CONTENTS {
            state.clipboard.remove(0);
        }
        state.clipboard.push((now, format, bytes));
        drop(state);
        self.changed();
    }

    /// Waits until `look` finds something; none if it did not in time.
    pub fn wait<T>(&self, until: Instant, mut look: impl FnMut(&State) -> Option<T>) -> Option<T> {
        let mut state = self.lock();
        loop {
            if let Some(found) = look(&state) {
                return Some(found);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
