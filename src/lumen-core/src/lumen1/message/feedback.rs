//! What a client says about video (section 8.3): receipts for every packet, missing shards, the outcome of frames.

use std::collections::BTreeMap;

use super::Message;
use crate::lumen1::header::{Epoch, PacketNumber};
use crate::lumen1::video::FrameNumber;
use crate::reader::{Reader, Short};
use crate::time::Timestamp;

/// Microseconds of a unit of arrival times.
pub const TICK_MICROS: u64 = 16;

/// Most packets of one message of receipts; it fits in the smallest datagram.
pub const MAX_RECEIPTS: usize = 512;

/// The entry that stands for a packet that did not arrive yet.
const ABSENT: i16 = i16::MIN;

/// Most numbers that one message passes over; a longer gap begins a new message.
const MAX_GAP: u64 = 64;

/// Packets that a log remembers until the next report.
const MAX_LOG: usize = 8192;

/// When packets arrived, by the receiver's clock. Entry `n` is about packet `first + n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipts<'a> {
    /// The epoch of the packets.
    pub epoch: Epoch,
    /// The first packet.
    pub first: PacketNumber,
    /// What the first entry that is not absent counts from.
    pub reference: Timestamp,
    /// Two bytes each, big endian: ticks since the packet before that arrived, signed; 0x8000 if absent.
    entries: &'a [u8],
}

/// One packet of [`Receipts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The packet.
    pub number: PacketNumber,
    /// When it arrived, to [`TICK_MICROS`]; `None` if it did not when the message was written.
    pub arrived: Option<Timestamp>,
}

impl<'a> Receipts<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Option<Self>, Short> {
        let epoch = Epoch(reader.u16_be()?);
        let first = PacketNumber(reader.u64_be()?);
        let reference = Timestamp::from_micros(reader.u64_be()?);
        let count = usize::from(reader.u16_be()?);
        let entries = reader.take(count * 2)?;
        let last = first.0.checked_add(count as u64);
        Ok((count <= MAX_RECEIPTS && last.is_some()).then_some(Self { epoch, first, reference, entries }))
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.epoch.0.to_be_bytes());
        out.extend_from_slice(&self.first.0.to_be_bytes());
        out.extend_from_slice(&self.reference.as_micros().to_be_bytes());
        out.extend_from_slice(&((self.entries.len() / 2) as u16).to_be_bytes());
        out.extend_from_slice(self.entries);
    }

    /// The packets, in order.
    pub fn iter(&self) -> impl Iterator<Item = Receipt> + use<'a> {
        let mut clock = self.reference.as_micros();
        let entries = self.entries.chunks_exact(2).map(|entry| i16::from_be_bytes([entry[0], entry[1]]));
        (self.first.0..).zip(entries).map(move |(number, entry)| {
            let arrived = (entry != ABSENT).then(|| {
                clock = clock.saturating_add_signed(i64::from(entry) * TICK_MICROS as i64);
                Timestamp::from_micros(clock)
            });
            Receipt { number: PacketNumber(number), arrived }
        })
    }
}

/// What a receiver notes of each packet until it reports.
#[derive(Debug, Default)]
pub struct ReceiptLog {
    arrived: BTreeMap<(Epoch, PacketNumber), Timestamp>,
    entries: Vec<u8>,
}

impl ReceiptLog {
    /// Notes a packet. Of more packets than anyone sends between two reports the oldest numbers are forgotten.
    pub fn note(&mut self, epoch: Epoch, number: PacketNumber, now: Timestamp) {
        if self.arrived.len() >= MAX_LOG {
            self.arrived.pop_first();
        }
        self.arrived.insert((epoch, number), now);
    }

    /// Whether there is nothing to report.
    pub fn is_empty(&self) -> bool {
        self.arrived.is_empty()
    }

    /// Takes the oldest packets that fit in one message out of the log and writes it to `out`, which then is at most
    /// `room` bytes long. `false` if there is none or no room.
    pub fn write_next(&mut self, room: usize, out: &mut Vec<u8>) -> bool {
        const FIXED: usize = super::MESSAGE_HEADER_LEN + 20;
        let most = room.saturating_sub(out.len() + FIXED) / 2;
        let most = most.min(MAX_RECEIPTS);
        let Some((&(epoch, first), &reference)) = self.arrived.first_key_value().filter(|_| most > 0) else {
            return false;
        };
        self.entries.clear();
        let mut next = first;
        let mut clock = reference.as_micros() as i64;
        while let Some(entry) = self.arrived.first_entry() {
            let (of, number) = *entry.key();
            let gap = (number.0 - next.0) as usize;
            let ticks = (entry.get().as_micros() as i64 - clock).div_euclid(TICK_MICROS as i64);
            let Some(ticks) = i16::try_from(ticks).ok().filter(|ticks| *ticks != ABSENT) else { break };
            if of != epoch || gap as u64 > MAX_GAP || self.entries.len() / 2 + gap + 1 > most {
                break;
            }
            for _ in 0..gap {
                self.entries.extend_from_slice(&ABSENT.to_be_bytes());
            }
            self.entries.extend_from_slice(&ticks.to_be_bytes());
            clock += i64::from(ticks) * TICK_MICROS as i64;
            next = PacketNumber(number.0 + 1);
            entry.remove();
        }
        Message::Receipts(Receipts { epoch, first, reference, entries: &self.entries }).write(out);
        true
    }
}

/// Shards of a frame that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardRange {
    /// The first.
    pub first: u16,
    /// How many, at least 1.
    pub count: u16,
}

impl ShardRange {
    /// The shards.
    pub fn indices(self) -> impl Iterator<Item = u16> {
        self.first..=self.first.saturating_add(self.count - 1)
    }
}

/// Shards of a frame that are missing and still wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing<'a> {
    /// The frame.
    pub frame: FrameNumber,
    /// Four bytes for each range.
    ranges: &'a [u8],
}

impl<'a> Missing<'a> {
    /// Bytes of each range in a body.
    pub const RANGE_LEN: usize = 4;

    /// From ranges as [`Missing::push_range`] writes them.
    pub fn new(frame: FrameNumber, ranges: &'a [u8]) -> Self {
        Self { frame, ranges: &ranges[..ranges.len() - ranges.len() % Self::RANGE_LEN] }
    }

    /// Appends a range.
    pub fn push_range(range: ShardRange, ranges: &mut Vec<u8>) {
        ranges.extend_from_slice(&range.first.to_be_bytes());
        ranges.extend_from_slice(&range.count.to_be_bytes());
    }

    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Option<Self>, Short> {
        let frame = FrameNumber(reader.u32_be()?);
        let missing = Self::new(frame, reader.rest());
        let possible = frame.0 != 0
            && missing
                .ranges()
                .all(|range| range.count > 0 && u32::from(range.first) + u32::from(range.count) <= 1 << 16);
        Ok(possible.then_some(missing))
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.frame.0.to_be_bytes());
        out.extend_from_slice(self.ranges);
    }

    /// The ranges, in order.
    pub fn ranges(&self) -> impl Iterator<Item = ShardRange> + use<'a> {
        self.ranges.chunks_exact(Self::RANGE_LEN).map(|range| ShardRange {
            first: u16::from_be_bytes([range[0], range[1]]),
            count: u16::from_be_bytes([range[2], range[3]]),
        })
    }
}

/// How a frame ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameOutcome {
    /// All data arrived.
    Complete,
    /// Lost data was restored from parity.
    Restored,
    /// It was given up.
    Lost,
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameStatus {
    /// The frame.
    pub frame: FrameNumber,
    /// How it ended.
    pub outcome: FrameOutcome,
    /// Its data shards; 0 if none of its packets arrived.
    pub data: u16,
    /// Its parity shards.
    pub parity: u16,
    /// Shards that arrived before it ended.
    pub received: u16,
    /// From its first packet to its end, in microseconds; saturates.
    pub micros: u32,
}

impl FrameStatus {
    /// Of a frame of which nothing arrived.
    pub const fn unseen(frame: FrameNumber) -> Self {
        Self { frame, outcome: FrameOutcome::Lost, data: 0, parity: 0, received: 0, micros: 0 }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Option<Self>, Short> {
        let frame = FrameNumber(reader.u32_be()?);
        let outcome = match reader.u8()? {
            0 => FrameOutcome::Complete,
            1 => FrameOutcome::Restored,
            2 => FrameOutcome::Lost,
            _ => return Ok(None),
        };
        let _reserved = reader.u8()?;
        let [data, parity, received] = [reader.u16_be()?, reader.u16_be()?, reader.u16_be()?];
        Ok(Some(Self { frame, outcome, data, parity, received, micros: reader.u32_be()? }))
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.frame.0.to_be_bytes());
        out.push(match self.outcome {
            FrameOutcome::Complete => 0,
            FrameOutcome::Restored => 1,
            FrameOutcome::Lost => 2,
        });
        out.push(0);
        for value in [self.data, self.parity, self.received] {
            out.extend_from_slice(&value.to_be_bytes());
        }
        out.extend_from_slice(&self.micros.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::messages;
    use super::*;
    use crate::lumen1::header::Stream;

    proptest! {
        #[test]
        fn every_noted_packet_is_reported_once_to_a_tick(
            packets in prop::collection::btree_map(0u64..5000, 0u64..3_000_000, 1..600), room in 40usize..1200
        ) {
            let mut log = ReceiptLog::default();
            for (&number, &micros) in &packets {
                log.note(Epoch((number / 2000) as u16), PacketNumber(number), Timestamp::from_micros(micros));
            }
            let mut got = BTreeMap::new();
            loop {
                let mut payload = Vec::new();
                if !log.write_next(room, &mut payload) { break }
                prop_assert!(payload.len() <= room);
                for message in messages(Stream::Feedback, &payload) {
                    let Ok(Message::Receipts(receipts)) = message else { panic!("{message:?}") };
                    for receipt in receipts.iter() {
                        if let Some(arrived) = receipt.arrived {
                            prop_assert_eq!(receipts.epoch.0, (receipt.number.0 / 2000) as u16);
                            prop_assert!(got.insert(receipt.number.0, arrived.as_micros()).is_none());
                        }
                    }
                }
            }
            prop_assert!(log.is_empty());
            prop_assert!(got.keys().eq(packets.keys()));
            for (number, micros) in got {
                prop_assert!(packets[&number].abs_diff(micros) < TICK_MICROS);
            }
        }
    }

    #[test]
    fn ranges_and_outcomes_are_read_as_written() {
        let mut ranges = Vec::new();
        let expected = [ShardRange { first: 0, count: 1 }, ShardRange { first: 65_535, count: 1 }];
        expected.iter().for_each(|range| Missing::push_range(*range, &mut ranges));
        let missing = Missing::new(FrameNumber(3), &ranges);
        assert!(missing.ranges().eq(expected));
        assert!(expected[1].indices().eq([65_535]));
        let status = FrameStatus {
            frame: FrameNumber(3),
            outcome: FrameOutcome::Restored,
            data: 5,
            parity: 2,
            received: 5,
            micros: 1234,
        };
        let mut payload = Vec::new();
        Message::Missing(missing).write(&mut payload);
        Message::FrameStatus(status).write(&mut payload);
        let read: Vec<_> = messages(Stream::Feedback, &payload).collect();
        assert_eq!(read, [Ok(Message::Missing(missing)), Ok(Message::FrameStatus(status))]);
    }
}
