//! Between the thread that encodes and the one that sends: room for one frame, the way back for its memory, and what the
//! sender wants of the next frame. Which protocol sends is not known here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvError, Sender, SyncSender};
use std::time::Duration;

use crate::encode::{FrameIndex, FrameKind};
use crate::frame::Timeline;
use crate::net::wake::Waker;

use super::request::RequestSlot;
use super::room::Room;

/// An access unit on its way to the network.
#[derive(Debug)]
pub struct EncodedFrame {
    /// The encoder's output.
    pub data: Vec<u8>,
    /// Its number: counts all that were encoded.
    pub index: FrameIndex,
    /// What it is.
    pub kind: FrameKind,
    /// What happened to it until now.
    pub timeline: Timeline,
}

/// The encoder's side.
#[derive(Debug)]
pub struct Outlet {
    frames: SyncSender<EncodedFrame>,
    spent: Receiver<Vec<u8>>,
    room: Arc<Room>,
    wishes: Arc<Wishes>,
    wake: Option<Waker>,
}

/// The sender's side.
#[derive(Debug)]
pub struct Inlet {
    frames: Receiver<EncodedFrame>,
    spent: Sender<Vec<u8>>,
    room: Arc<Room>,
    wishes: Arc<Wishes>,
}

/// What the next frame shall be.
#[derive(Debug, Default)]
pub struct Wishes {
    /// By its kind.
    pub requests: RequestSlot,
    /// In bits per second; 0 while nobody said anything.
    bitrate: AtomicU64,
}

impl Wishes {
    /// At which rate to encode from now on.
    pub fn set_bitrate(&self, bits_per_second: u64) {
        self.bitrate.store(bits_per_second, Ordering::Relaxed);
    }

    /// The rate to encode at, if it is not the one that the stream began with.
    pub fn bitrate(&self) -> Option<u64> {
        Some(self.bitrate.load(Ordering::Relaxed)).filter(|rate| *rate > 0)
    }
}

/// Both sides. `wake` is woken by each frame, for a sender that waits for more than frames.
pub fn outlet(wishes: Arc<Wishes>, wake: Option<Waker>) -> (Outlet, Inlet) {
    let (frames, to_send) = mpsc::sync_channel(1);
    let (spent, buffers) = mpsc::channel();
    let room = Arc::new(Room::default());
    let inlet = Inlet { frames: to_send, spent, room: Arc::clone(&room), wishes: Arc::clone(&wishes) };
    (Outlet { frames, spent: buffers, room, wishes, wake }, inlet)
}

impl Outlet {
    /// What the sender and its client want.
    pub fn wishes(&self) -> &Wishes {
        &self.wishes
    }

    /// Waits until there is room for a frame; `false` if there is none after `patience`.
    pub fn wait(&self, patience: Duration) -> bool {
        self.room.wait(patience)
    }

    /// Memory to write a frame to; empty.
    pub fn buffer(&self) -> Vec<u8> {
        let mut buffer = self.spent.try_recv().unwrap_or_default();
        buffer.clear();
        buffer
    }

    /// Hands a frame over; `false` if there was no room, or nobody sends any more.
    pub fn put(&self, frame: EncodedFrame) -> bool {
        self.room.take();
        let taken = self.frames.try_send(frame).is_ok();
        if let Some(wake) = &self.wake {
            wake.wake();
        }
        taken
    }
}

impl Inlet {
    /// What the encoder shall do.
    pub fn wishes(&self) -> &Wishes {
        &self.wishes
    }

    /// Waits for the next frame.
    ///
    /// # Errors
    /// Once nobody encodes any more.
    pub fn take(&self) -> Result<EncodedFrame, RecvError> {
        let frame = self.frames.recv()?;
        self.room.give();
        Ok(frame)
    }

    /// The next frame, if there is one.
    pub fn try_take(&self) -> Option<EncodedFrame> {
        let frame = self.frames.try_recv().ok()?;
        self.room.give();
        Some(frame)
    }

    /// Gives a frame's memory back.
    pub fn give_back(&self, data: Vec<u8>) {
        // Without an encoder nobody needs it.
        let _ = self.spent.send(data);
    }
}
