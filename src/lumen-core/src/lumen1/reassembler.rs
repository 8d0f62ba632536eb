//! Video payloads back to frames (section 6.3): in any order, with duplicates and losses, several frames at a time.
//!
//! Frames come out in the order of their numbers and whole, or as lost: each number exactly once. A frame is given up
//! when its time is over, or when newer frames need its place. Memory is bounded by [`ReassemblerConfig`], whatever
//! arrives. This module takes payloads that were opened; it asks for nothing, but says what it misses.

mod slot;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use self::slot::Slot;
use super::message::{FrameOutcome, FrameStatus, Missing, ShardRange};
use super::video::{FrameFlags, FrameHeader, FrameHeaderError, FrameNumber, Reference, ShardHeader, ShardHeaderError};
use crate::fec::scheme::{Arrival, Decoder};
use crate::time::Timestamp;

/// Longest frame header of a later revision that is provided for.
const HEADER_ROOM: usize = 1024;

/// Slots kept for reuse.
const SPARE_SLOTS: usize = 4;

/// A frame in which nothing arrives for so long is taken for incomplete.
const QUIET: Duration = Duration::from_millis(2);

/// The range that asks for all data shards of a frame of which nothing arrived.
const ALL_SHARDS: ShardRange = ShardRange { first: 0, count: u16::MAX };

/// The bounds of a [`Reassembler`].
#[derive(Debug, Clone, Copy)]
pub struct ReassemblerConfig {
    /// Longest frame, in bytes.
    pub max_frame: usize,
    /// Most bytes for all frames in work; at least one longest frame with as much parity fits.
    pub max_memory: usize,
    /// Most frames in work, at least 1.
    pub max_frames: u32,
    /// How long after its first packet, or after that of a later frame, an incomplete frame is waited for.
    pub patience: Duration,
    /// The first frame that is expected.
    pub first_frame: FrameNumber,
}

impl ReassemblerConfig {
    /// For frames of at most `max_frame` bytes: eight in work, memory for two of the longest with as much parity, 150 ms.
    pub fn new(max_frame: usize) -> Self {
        Self {
            max_frame,
            max_memory: max_frame.saturating_add(HEADER_ROOM + (1 << 16)).saturating_mul(4),
            max_frames: 8,
            patience: Duration::from_millis(150),
            first_frame: FrameNumber::FIRST,
        }
    }
}

/// What came of the payloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VideoEvent {
    /// A frame is complete, and so are all before it that did not get lost.
    Frame(Frame),
    /// Frames that will not come.
    Lost {
        /// The first of them.
        first: FrameNumber,
        /// The last of them; the same or later.
        last: FrameNumber,
        /// Why.
        cause: LossCause,
        /// What is known of the first.
        status: FrameStatus,
        /// What refers to the lost frames, as far as it is known.
        reference: Reference,
    },
}

/// A complete frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its number.
    pub number: FrameNumber,
    /// What it is to others.
    pub flags: FrameFlags,
    /// Its header.
    pub header: FrameHeader,
    /// How it came together.
    pub status: FrameStatus,
    /// Data shards of it that were rebuilt from parity.
    pub restored: u16,
    /// When its first packet arrived.
    pub first_packet_at: Timestamp,
    /// When the packet arrived that made it complete.
    pub complete_at: Timestamp,
    buffer: Vec<u8>,
    start: usize,
}

impl Frame {
    /// The encoder's output.
    pub fn data(&self) -> &[u8] {
        &self.buffer[self.start..][..self.header.len as usize]
    }
}

/// Why a frame is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LossCause {
    /// It was not complete in time.
    #[error("the frame was not complete in time")]
    Late,
    /// Newer frames needed its place.
    #[error("newer frames arrived before the frame was complete")]
    Overtaken,
    /// Its header can't be read.
    #[error(transparent)]
    Header(#[from] FrameHeaderError),
}

/// Why a payload was not used. Most are harmless: surplus parity comes in as [`DropReason::OldFrame`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DropReason {
    /// Its header can't be read.
    #[error(transparent)]
    Header(#[from] ShardHeaderError),
    /// The frame is complete or lost.
    #[error("frame {} is over", .0.0)]
    OldFrame(FrameNumber),
    /// The frame is longer than agreed, or takes more memory than there is.
    #[error("frame {} has {bytes} bytes of shards, more than the limit", .frame.0)]
    TooLarge {
        /// The frame.
        frame: FrameNumber,
        /// Bytes of its shards.
        bytes: usize,
    },
    /// It says other things about its frame than the frame's first packet.
    #[error("the packet contradicts earlier packets of its frame")]
    Inconsistent,
    /// The shard is there already.
    #[error("the shard is a duplicate")]
    Duplicate,
}

/// Makes frames of payloads. One per session.
#[derive(Debug)]
pub struct Reassembler {
    config: ReassemblerConfig,
    decoder: Decoder,
    /// The next frame to come out.
    next: FrameNumber,
    /// Frames in work, in order.
    slots: Vec<Slot>,
    memory: usize,
    spare: Vec<Slot>,
    spare_buffers: Vec<Vec<u8>>,
    /// When all of `next` was asked for last.
    asked_at: Option<Timestamp>,
    events: VecDeque<VideoEvent>,
}

impl Reassembler {
    /// One for a new session.
    pub fn new(config: ReassemblerConfig) -> Self {
        Self {
            decoder: Decoder::new(),
            next: config.first_frame,
            slots: Vec::new(),
            memory: 0,
            spare: Vec::new(),
            spare_buffers: Vec::new(),
            asked_at: None,
            events: VecDeque::new(),
            config: ReassemblerConfig { max_frames: config.max_frames.max(1), ..config },
        }
    }

    /// Takes the payload of a video datagram that arrived at `now`. Drain [`Reassembler::poll`] after each call.
    ///
    /// # Errors
    /// [`DropReason`] if the payload was not used. Events may have come of it all the same.
    pub fn receive(&mut self, payload: &[u8], now: Timestamp) -> Result<(), DropReason> {
        let (header, shard) = ShardHeader::parse(payload)?;
        let frame = header.frame;
        if frame < self.next {
            return Err(DropReason::OldFrame(frame));
        }
        let place = match self.slots.binary_search_by_key(&frame, |slot| slot.number) {
            Ok(place) => place,
            Err(_) => self.make_place(&header, now)?,
        };
        let slot = &mut self.slots[place];
        if (slot.shape(), slot.flags) != (header.shape, header.flags) {
            return Err(DropReason::Inconsistent);
        }
        if slot.complete.is_some() || slot.failed.is_some() {
            return Err(DropReason::OldFrame(frame));
        }
        match slot.insert(header.index.into(), shard, now) {
            Arrival::Useful | Arrival::Surplus => {}
            Arrival::Duplicate | Arrival::NoSuchShard => return Err(DropReason::Duplicate),
        }
        if slot.progress.is_decodable() {
            slot.failed = slot.finish(&mut self.decoder, now).err();
            self.deliver();
        }
        Ok(())
    }

    /// The next event; none when everything was said about the payloads so far.
    pub fn poll(&mut self) -> Option<VideoEvent> {
        self.events.pop_front()
    }

    /// Takes back a frame, whose memory is filled again.
    pub fn recycle(&mut self, frame: Frame) {
        if self.spare_buffers.len() < SPARE_SLOTS {
            self.spare_buffers.push(frame.buffer);
        }
    }

    /// When [`Reassembler::handle_timeout`] has something to do.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.known_since().map(|since| since + self.config.patience)
    }

    /// Gives up frames whose time is over at `now`.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        while self.deadline().is_some_and(|deadline| deadline <= now) {
            self.lose(self.end_of_gap(), LossCause::Late);
            self.deliver();
        }
    }

    /// The newest frame that anything is known of.
    pub fn newest(&self) -> FrameNumber {
        self.slots.last().map_or(self.next.previous(), |slot| slot.number)
    }

    /// Bytes that frames in work hold.
    pub fn memory(&self) -> usize {
        self.memory
    }

    /// A frame that is worth asking for at `now`, and its missing data shards, appended to `ranges` as [`Missing`] takes
    /// them, at most `most` ranges: as many shards as the frame needs. Each frame is named once in `round_trip`, and only
    /// if an answer can come in time.
    pub fn poll_missing(
        &mut self,
        now: Timestamp,
        round_trip: Duration,
        most: usize,
        ranges: &mut Vec<u8>,
    ) -> Option<FrameNumber> {
        let patience = self.config.patience;
        let in_time = |since: Timestamp| since + patience > now + round_trip;
        let due = |asked: Option<Timestamp>| asked.is_none_or(|asked| asked + round_trip <= now);
        let newest = self.slots.last()?.number;
        if self.slots[0].number > self.next && self.known_since().is_some_and(in_time) && due(self.asked_at) {
            self.asked_at = Some(now);
            Missing::push_range(ALL_SHARDS, ranges);
            return Some(self.next);
        }
        let slot = self.slots.iter_mut().find(|slot| {
            let idle = slot.number < newest || slot.last_at + QUIET <= now;
            slot.complete.is_none() && slot.failed.is_none() && idle && in_time(slot.first_at) && due(slot.asked_at)
        })?;
        slot.asked_at = Some(now);
        slot.write_missing(most, ranges);
        Some(slot.number)
    }

    /// Since when it is known that `next` was sent: since the first packet of it or of a later frame.
    fn known_since(&self) -> Option<Timestamp> {
        self.slots.iter().map(|slot| slot.first_at).min()
    }

    /// Makes a slot for the frame of `header`, which has none, and says its place; gives up older frames if it takes their place.
    fn make_place(&mut self, header: &ShardHeader, now: Timestamp) -> Result<usize, DropReason> {
        let shape = header.shape;
        let bytes = shape.total() * shape.shard_len();
        let before_last = (shape.data() - 1) * shape.shard_len();
        let too_large = DropReason::TooLarge { frame: header.frame, bytes };
        if before_last >= self.config.max_frame.saturating_add(HEADER_ROOM) || bytes > self.config.max_memory {
            return Err(too_large);
        }
        let oldest = header.frame.0.saturating_sub(self.config.max_frames - 1);
        let crowded = |this: &Self| {
            let by_older = this.slots.first().is_some_and(|slot| slot.number < header.frame);
            this.memory + bytes > this.config.max_memory && by_older
        };
        while self.next.0 < oldest || crowded(self) {
            let last = self.slots.first().map_or(header.frame.previous(), |_| self.end_of_gap());
            let last = last.min(header.frame.previous()).0;
            // Of a gap only as much is given up as must be.
            let last = if self.next.0 < oldest { last.min(oldest - 1) } else { last };
            self.lose(FrameNumber(last), LossCause::Overtaken);
            self.deliver();
        }
        if self.memory + bytes > self.config.max_memory {
            // What is left is younger, and goes before it.
            return Err(too_large);
        }
        let mut slot = self.spare.pop().unwrap_or_else(|| Slot::new(shape));
        let buffer = if slot.has_buffer() { None } else { self.spare_buffers.pop() };
        slot.reset(header, buffer, now);
        self.memory += bytes;
        let place = self.slots.partition_point(|slot| slot.number < header.frame);
        self.slots.insert(place, slot);
        Ok(place)
    }

    /// The last frame of those from `next` on of which nothing arrived; `next` itself if something did.
    fn end_of_gap(&self) -> FrameNumber {
        match self.slots.first() {
            Some(slot) if slot.number > self.next => slot.number.previous(),
            _ => self.next,
        }
    }

    /// Hands out complete frames as long as none before them is missing.
    fn deliver(&mut self) {
        while let Some(slot) = self.slots.first_mut().filter(|slot| slot.number == self.next) {
            if let Some(cause) = slot.failed {
                self.lose(self.next, cause);
                continue;
            }
            let Some(complete) = slot.complete.take() else { break };
            self.events.push_back(VideoEvent::Frame(Frame {
                number: slot.number,
                flags: slot.flags,
                header: complete.header,
                status: slot.status(complete.outcome),
                restored: complete.restored,
                first_packet_at: slot.first_at,
                complete_at: complete.at,
                buffer: slot.take_buffer(),
                start: complete.start,
            }));
            self.advance(self.next.next());
        }
    }

    /// Gives up the frames from `next` to `last`; if those are several, nothing arrived of any.
    fn lose(&mut self, last: FrameNumber, cause: LossCause) {
        let first = self.next;
        let (status, reference) = match self.slots.first().filter(|slot| slot.number == first) {
            Some(slot) => (slot.status(FrameOutcome::Lost), slot.flags.reference),
            None => (FrameStatus::unseen(first), Reference::Short),
        };
        self.events.push_back(VideoEvent::Lost { first, last, cause, status, reference });
        self.advance(last.next());
    }

    /// Makes `next` the next frame, and forgets those before it.
    fn advance(&mut self, next: FrameNumber) {
        let over = self.slots.partition_point(|slot| slot.number < next);
        for slot in self.slots.drain(..over) {
            self.memory -= slot.bytes();
            if self.spare.len() < SPARE_SLOTS {
                self.spare.push(slot);
            }
        }
        self.next = next;
        self.asked_at = None;
    }
}
