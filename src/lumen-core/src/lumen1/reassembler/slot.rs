//! One frame in work: its shards, and what is known of it.

use super::super::message::{FrameOutcome, FrameStatus, Missing, ShardRange};
use super::super::video::{FrameFlags, FrameHeader, FrameKind, FrameNumber, Reference, ShardHeader};
use super::LossCause;
use crate::fec::gf8::Strided;
use crate::fec::scheme::{Arrival, Decoder, Progress, Shape};
use crate::time::Timestamp;

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) number: FrameNumber,
    pub(super) progress: Progress,
    pub(super) flags: FrameFlags,
    pub(super) first_at: Timestamp,
    pub(super) last_at: Timestamp,
    pub(super) asked_at: Option<Timestamp>,
    pub(super) complete: Option<Complete>,
    pub(super) failed: Option<LossCause>,
    /// All shards, one after another.
    buffer: Vec<u8>,
    ended_at: Timestamp,
}

/// A frame that waits for those before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Complete {
    pub(super) header: FrameHeader,
    /// Where the encoder's output begins in the buffer.
    pub(super) start: usize,
    pub(super) outcome: FrameOutcome,
    /// Data shards that were rebuilt.
    pub(super) restored: u16,
    pub(super) at: Timestamp,
}

impl Slot {
    pub(super) fn new(shape: Shape) -> Self {
        Self {
            number: FrameNumber::FIRST,
            progress: Progress::new(shape),
            flags: FrameFlags { kind: FrameKind::P, reference: Reference::Short },
            first_at: Timestamp::ZERO,
            last_at: Timestamp::ZERO,
            asked_at: None,
            complete: None,
            failed: None,
            buffer: Vec::new(),
            ended_at: Timestamp::ZERO,
        }
    }

    /// Begins another frame. What the buffer holds is left over, and overwritten before anyone reads it.
    pub(super) fn reset(&mut self, header: &ShardHeader, buffer: Option<Vec<u8>>, now: Timestamp) {
        let shape = header.shape;
        self.progress.reset(shape);
        (self.number, self.flags) = (header.frame, header.flags);
        (self.first_at, self.last_at, self.ended_at) = (now, now, now);
        (self.asked_at, self.complete, self.failed) = (None, None, None);
        if let Some(buffer) = buffer {
            self.buffer = buffer;
        }
        let bytes = shape.total() * shape.shard_len();
        if self.buffer.len() < bytes {
            self.buffer.resize(bytes, 0);
        }
    }

    pub(super) fn has_buffer(&self) -> bool {
        !self.buffer.is_empty()
    }

    pub(super) fn take_buffer(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buffer)
    }

    pub(super) fn shape(&self) -> Shape {
        self.progress.shape()
    }

    /// Takes a shard whose length is that of the shape.
    pub(super) fn insert(&mut self, index: usize, shard: &[u8], now: Timestamp) -> Arrival {
        let arrival = self.progress.insert(index);
        if matches!(arrival, Arrival::Useful | Arrival::Surplus) {
            self.buffer[index * shard.len()..][..shard.len()].copy_from_slice(shard);
            (self.last_at, self.ended_at) = (now, now);
        }
        arrival
    }

    /// Restores what is missing and reads the header.
    pub(super) fn finish(&mut self, decoder: &mut Decoder, now: Timestamp) -> Result<(), LossCause> {
        let shape = self.shape();
        let len = shape.shard_len();
        let (outcome, restored) = if self.progress.is_complete() {
            (FrameOutcome::Complete, 0)
        } else {
            let rows = Strided { stride: len, offset: 0, len };
            let restored = decoder.reconstruct(shape, &mut self.buffer, rows, self.progress.present());
            restored.expect("the buffer holds the shape, and enough shards are here");
            let missing = self.progress.present().missing(shape.data()).count();
            (FrameOutcome::Restored, u16::try_from(missing).unwrap_or(u16::MAX))
        };
        let body = &self.buffer[..shape.data() * len];
        let (header, data) = FrameHeader::parse(body)?;
        self.complete = Some(Complete { header, start: data.start, outcome, restored, at: now });
        Ok(())
    }

    /// Bytes of all shards.
    pub(super) fn bytes(&self) -> usize {
        self.shape().total() * self.shape().shard_len()
    }

    pub(super) fn status(&self, outcome: FrameOutcome) -> FrameStatus {
        let count = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
        let shape = self.shape();
        FrameStatus {
            frame: self.number,
            outcome,
            data: count(shape.data()),
            parity: count(shape.parity()),
            received: count(self.progress.present().len()),
            micros: u32::try_from(self.ended_at.saturating_since(self.first_at).as_micros()).unwrap_or(u32::MAX),
        }
    }

    /// Appends the data shards that are needed, block by block as many as it lacks, as at most `most` ranges.
    pub(super) fn write_missing(&self, most: usize, ranges: &mut Vec<u8>) {
        let shape = self.shape();
        let present = self.progress.present();
        let mut needs: Vec<usize> = (0..shape.blocks()).map(|block| shape.block(block).data).collect();
        present.iter().for_each(|index| {
            let needs = &mut needs[shape.block_of(index)];
            *needs = needs.saturating_sub(1);
        });
        let mut open: Option<ShardRange> = None;
        let mut written = 0;
        for index in present.missing(shape.data()) {
            let needs = &mut needs[shape.block_of(index)];
            if *needs == 0 {
                continue;
            }
            if written == most {
                return;
            }
            *needs -= 1;
            let index = index as u16;
            match &mut open {
                Some(range) if range.first + range.count == index => range.count += 1,
                _ => {
                    if let Some(range) = open.replace(ShardRange { first: index, count: 1 }) {
                        Missing::push_range(range, ranges);
                        written += 1;
                    }
                }
            }
        }
        if let Some(range) = open.filter(|_| written < most) {
            Missing::push_range(range, ranges);
        }
    }
}
