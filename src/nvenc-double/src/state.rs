//! What the double remembers: sessions, their buffers, and the rules that these keep.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{FlockOperation, flock};

use crate::orders::{Fault, SLOTS_VARIABLE, fault, record};
use crate::picture::Codec;

/// Status codes of the interface.
pub(crate) mod status {
    pub(crate) const SUCCESS: u32 = 0;
    pub(crate) const UNSUPPORTED_DEVICE: u32 = 2;
    pub(crate) const INVALID_DEVICE: u32 = 4;
    pub(crate) const DEVICE_NOT_EXIST: u32 = 5;
    pub(crate) const INVALID_PTR: u32 = 6;
    pub(crate) const INVALID_PARAM: u32 = 8;
    pub(crate) const INVALID_CALL: u32 = 9;
    pub(crate) const OUT_OF_MEMORY: u32 = 10;
    pub(crate) const ENCODER_NOT_INITIALIZED: u32 = 11;
    pub(crate) const UNSUPPORTED_PARAM: u32 = 12;
    pub(crate) const LOCK_BUSY: u32 = 13;
    pub(crate) const INVALID_VERSION: u32 = 15;
    pub(crate) const GENERIC: u32 = 20;
}

/// A rule was broken, or a fault is played: the status to answer with.
pub(crate) type Answer<T = ()> = Result<T, u32>;

/// Notes a broken rule.
pub(crate) fn violation(status: u32, what: &str) -> u32 {
    record(&format!("violation: {what}"));
    status
}

/// A picture's place.
pub(crate) struct Input {
    pub(crate) data: Vec<u8>,
    pub(crate) pitch: usize,
    pub(crate) locked: bool,
}

/// Where a coded picture lies.
#[derive(Default)]
pub(crate) struct Output {
    pub(crate) data: Vec<u8>,
    pub(crate) stamp: u64,
    pub(crate) key: bool,
    /// A picture was encoded into it and not fetched yet.
    pub(crate) pending: bool,
    pub(crate) locked: bool,
}

/// An encoder.
pub(crate) struct Session {
    pub(crate) codec: Option<Codec>,
    pub(crate) inputs: BTreeMap<usize, Input>,
    pub(crate) outputs: BTreeMap<usize, Output>,
    /// Time stamps of the pictures that can be referred to.
    pub(crate) references: Vec<u64>,
    pub(crate) capacity: usize,
    pub(crate) invalid: HashSet<u64>,
    pub(crate) ended: bool,
    pub(crate) pictures: u64,
    /// Held while the session is open, if their number is limited.
    _slot: Option<File>,
}

/// Everything.
pub(crate) struct State {
    pub(crate) sessions: BTreeMap<usize, Session>,
    next: usize,
    /// Pictures of the process.
    pub(crate) pictures: u64,
    pub(crate) lost: bool,
}

static STATE: Mutex<State> = Mutex::new(State { sessions: BTreeMap::new(), next: 0x1000, pictures: 0, lost: false });

/// The state, for one call.
pub(crate) fn lock() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many encoders are open.
pub(crate) fn open_sessions() -> usize {
    lock().sessions.len()
}

impl State {
    /// A handle that nothing else has: handles are never used again, so that a stale one is seen.
    pub(crate) fn handle(&mut self) -> usize {
        self.next += 0x10;
        self.next
    }

    /// Opens a session.
    pub(crate) fn open(&mut self) -> Answer<usize> {
        if self.lost {
            return Err(status::DEVICE_NOT_EXIST);
        }
        let slot = free_slot()?;
        let handle = self.handle();
        self.sessions.insert(
            handle,
            Session {
                codec: None,
                inputs: BTreeMap::new(),
                outputs: BTreeMap::new(),
                references: Vec::new(),
                capacity: 1,
                invalid: HashSet::new(),
                ended: false,
                pictures: 0,
                _slot: slot,
            },
        );
        record(&format!("opened, {} open", self.sessions.len()));
        Ok(handle)
    }

    /// The session behind a handle.
    pub(crate) fn session(&mut self, handle: usize) -> Answer<&mut Session> {
        if self.lost {
            return Err(status::DEVICE_NOT_EXIST);
        }
        if !crate::cuda::is_current() {
            return Err(violation(status::INVALID_DEVICE, "a call in a thread whose context is another"));
        }
        self.sessions.get_mut(&handle).ok_or_else(|| violation(status::INVALID_DEVICE, "an encoder that is not open"))
    }

    /// Counts a picture; the fault that strikes it, if one does.
    pub(crate) fn picture(&mut self) -> Answer {
        self.pictures += 1;
        match fault() {
            Some(Fault::OutOfMemory(number)) if self.pictures == number => Err(status::OUT_OF_MEMORY),
            Some(Fault::NeverAgain(number)) if self.pictures >= number => Err(status::GENERIC),
            Some(Fault::DeviceLost(number)) if self.pictures >= number => {
                self.lost = true;
                record("the device is lost");
                Err(status::DEVICE_NOT_EXIST)
            }
            _ => Ok(()),
        }
    }

    /// Closes a session, which must have given back all it had.
    pub(crate) fn close(&mut self, handle: usize) -> Answer {
        let Some(session) = self.sessions.remove(&handle) else {
            return Err(violation(status::INVALID_DEVICE, "an encoder is destroyed that is not open"));
        };
        if !session.inputs.is_empty() || !session.outputs.is_empty() {
            violation(0, "an encoder is destroyed before its buffers");
        }
        if session.pictures > 0 && !session.ended && !self.lost {
            violation(0, "an encoder is destroyed without an end of its stream");
        }
        record(&format!("closed after {} pictures, {} open", session.pictures, self.sessions.len()));
        Ok(())
    }
}

impl Session {
    /// That it was told what to encode.
    pub(crate) fn running(&mut self) -> Answer<&mut Self> {
        if self.codec.is_some() {
            Ok(self)
        } else {
            Err(violation(status::ENCODER_NOT_INITIALIZED, "an encoder is used before it is initialised"))
        }
    }
}

/// A free place for a session: a file that no other session has locked.
fn free_slot() -> Answer<Option<File>> {
    let Some(folder) = std::env::var_os(SLOTS_VARIABLE) else { return Ok(None) };
    for entry in std::fs::read_dir(folder).map_err(|_| status::GENERIC)?.flatten() {
        let file = File::open(entry.path()).map_err(|_| status::GENERIC)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return Ok(Some(file));
        }
    }
    record("no session is left");
    Err(status::OUT_OF_MEMORY)
}
