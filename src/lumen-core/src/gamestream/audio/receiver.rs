//! Datagrams back to Opus packets, in order: the client half of audio (protocol part 2, section 5.4).
//!
//! Packets in order come out at once. At a hole the receiver waits until its block can be repaired; once a later block
//! has begun it waits no longer, or for 10 ms if packets were late before. What does not come is announced, so that the
//! decoder can conceal it.

use std::collections::VecDeque;
use std::time::Duration;

use super::packet::{
    AudioEncryption, AudioHeader, AudioPacket, AudioPacketError, BLOCK_DATA, BLOCK_PARITY, MAX_AUDIO_DATAGRAM,
    PacketDuration, open_payload,
};
use crate::fec::gf8::{Codec, ShardSet};
use crate::gamestream::video::SequenceNumber;
use crate::time::Timestamp;

/// Blocks that are held at most; a packet further ahead starts the queue anew.
const MAX_BLOCKS: usize = 16;
/// How long an incomplete block is waited for where packets are known to be late at times.
const LATE_GRACE: Duration = Duration::from_millis(10);
/// For so many packets after a late one, lateness is expected.
const LATE_MEMORY: u16 = 32_767;

/// Where the queue begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AudioStart {
    /// At the first block that begins after this time: what had piled up before playback could start is dropped.
    /// Clients wait 500 ms.
    Live(Duration),
    /// With this packet, whenever it comes.
    At(SequenceNumber),
}

/// What an [`AudioReceiver`] needs to know about its stream.
#[derive(Debug, Clone)]
pub struct AudioReceiverConfig {
    /// As announced; timestamps of recovered packets follow from it.
    pub packet_duration: PacketDuration,
    /// Key and key id if audio is encrypted.
    pub encryption: Option<AudioEncryption>,
    /// Where the queue begins.
    pub start: AudioStart,
}

/// What came of the datagrams, in order of playback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AudioEvent {
    /// An Opus packet to decode.
    Packet {
        /// Sequence number and timestamp.
        header: AudioHeader,
        /// Opus.
        opus: Vec<u8>,
        /// Whether it was rebuilt from parity.
        recovered: bool,
    },
    /// Packets that will not come, or could not be decrypted: to be concealed.
    Lost {
        /// The first of them.
        first: SequenceNumber,
        /// How many, at least 1.
        count: u16,
    },
}

/// Why a datagram was not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AudioDropReason {
    /// Longer than any audio packet.
    #[error("a datagram of {0} bytes is no audio packet")]
    TooLong(usize),
    /// Its headers can't be read.
    #[error(transparent)]
    Packet(#[from] AudioPacketError),
    /// The queue has not begun.
    #[error("playback has not begun")]
    NotStarted,
    /// Its turn is over.
    #[error("the packet came too late")]
    Late,
    /// It is there already.
    #[error("the packet is a duplicate")]
    Duplicate,
    /// All payloads of a block have one length.
    #[error("a payload of {found} bytes in a block of payloads of {expected}")]
    LengthMismatch {
        /// Length in the block.
        expected: usize,
        /// Length of this one.
        found: usize,
    },
}

/// Puts audio packets in order and repairs their blocks. One per stream.
#[derive(Debug)]
pub struct AudioReceiver {
    config: AudioReceiverConfig,
    codec: Codec,
    /// The next packet to come out; none before the queue begins.
    next: Option<SequenceNumber>,
    first_arrival: Option<Timestamp>,
    /// The block of `next` and those after it, without gaps.
    blocks: VecDeque<Block>,
    /// How many packets more lateness is expected for.
    late_memory: u16,
    events: VecDeque<AudioEvent>,
}

/// One block on its way to completeness.
#[derive(Debug, Default)]
struct Block {
    shards: [Vec<u8>; BLOCK_DATA + BLOCK_PARITY],
    present: ShardSet,
    recovered: ShardSet,
    /// Timestamp of its first packet, once any packet is here.
    timestamp: u32,
    first_arrival: Timestamp,
}

impl AudioReceiver {
    /// A receiver for a new stream.
    pub fn new(config: AudioReceiverConfig) -> Self {
        let next = match config.start {
            AudioStart::Live(_) => None,
            AudioStart::At(sequence) => Some(sequence),
        };
        Self {
            config,
            codec: Codec::audio(),
            next,
            first_arrival: None,
            blocks: VecDeque::new(),
            late_memory: 0,
            events: VecDeque::new(),
        }
    }

    /// Takes one datagram as it arrived at `now`. Drain [`AudioReceiver::poll`] after each call.
    ///
    /// # Errors
    /// [`AudioDropReason`] if the datagram was not used.
    pub fn receive(&mut self, datagram: &[u8], now: Timestamp) -> Result<(), AudioDropReason> {
        if datagram.len() > MAX_AUDIO_DATAGRAM {
            return Err(AudioDropReason::TooLong(datagram.len()));
        }
        let step = u32::from(self.config.packet_duration.as_millis());
        let (sequence, place, timestamp, payload) = match AudioPacket::parse(datagram)? {
            AudioPacket::Data { header, payload } => {
                let place = header.sequence.0 % BLOCK_DATA as u16;
                let timestamp = header.timestamp.wrapping_sub(u32::from(place) * step);
                (header.sequence, usize::from(place), timestamp, payload)
            }
            AudioPacket::Parity { index, base, payload } => {
                (base.sequence, BLOCK_DATA + usize::from(index), base.timestamp, payload)
            }
        };
        if payload.is_empty() {
            return Err(AudioPacketError::Truncated(datagram.len()).into());
        }
        let base = block_of(sequence);
        let next = self.started(sequence, place, now)?;
        self.late_memory = self.late_memory.saturating_sub(1);
        let is_data = place < BLOCK_DATA;
        if base.is_before(block_of(next)) || is_data && sequence.is_before(next) && !self.holds(place, base) {
            if is_data {
                self.late_memory = LATE_MEMORY;
            }
            return Err(AudioDropReason::Late);
        }
        let mut ahead = usize::from(base.0.wrapping_sub(block_of(next).0)) / BLOCK_DATA;
        if ahead >= MAX_BLOCKS {
            self.start_anew(next, base);
            ahead = 0;
        }
        while self.blocks.len() <= ahead {
            self.blocks.push_back(Block::default());
        }
        self.blocks[ahead].insert(place, payload, timestamp, now)?;
        self.advance(now);
        Ok(())
    }

    /// When [`AudioReceiver::handle_timeout`] must be called if nothing arrives; none if there is nothing to wait for.
    pub fn deadline(&self) -> Option<Timestamp> {
        let later = self.blocks.iter().skip(1).filter(|block| !block.present.is_empty());
        later.map(|block| block.first_arrival + LATE_GRACE).min()
    }

    /// Goes on without what is missing if it was waited for long enough.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.advance(now);
    }

    /// The next event; none when everything was said about the datagrams so far.
    pub fn poll(&mut self) -> Option<AudioEvent> {
        self.events.pop_front()
    }

    /// The packet whose turn it is. Begins the queue if it is time.
    fn started(
        &mut self,
        sequence: SequenceNumber,
        place: usize,
        now: Timestamp,
    ) -> Result<SequenceNumber, AudioDropReason> {
        if let Some(next) = self.next {
            return Ok(next);
        }
        let first = *self.first_arrival.get_or_insert(now);
        let AudioStart::Live(wait) = self.config.start else { return Err(AudioDropReason::NotStarted) };
        if place != 0 || now.saturating_since(first) < wait {
            return Err(AudioDropReason::NotStarted);
        }
        self.next = Some(sequence);
        Ok(sequence)
    }

    fn holds(&self, place: usize, base: SequenceNumber) -> bool {
        let front = self.next.map(block_of);
        front == Some(base) && self.blocks.front().is_some_and(|block| block.present.contains(place))
    }

    /// A gap larger than the queue: everything up to the block at `base` counts as lost.
    fn start_anew(&mut self, next: SequenceNumber, base: SequenceNumber) {
        self.blocks.clear();
        self.lose(next, base.0.wrapping_sub(next.0));
        self.next = Some(base);
    }

    fn lose(&mut self, first: SequenceNumber, count: u16) {
        if let Some(AudioEvent::Lost { first: earlier, count: known }) = self.events.back_mut()
            && earlier.plus(*known) == first
        {
            *known = known.saturating_add(count);
        } else {
            self.events.push_back(AudioEvent::Lost { first, count });
        }
    }

    /// Lets out everything whose turn has come.
    fn advance(&mut self, now: Timestamp) {
        while let (Some(next), Some(block)) = (self.next, self.blocks.front_mut()) {
            let place = usize::from(next.0) % BLOCK_DATA;
            if !block.present.contains(place) && block.present.len() >= BLOCK_DATA {
                block.rebuild(&mut self.codec);
            }
            if block.present.contains(place) {
                let timestamp =
                    block.timestamp.wrapping_add(place as u32 * u32::from(self.config.packet_duration.as_millis()));
                let recovered = block.recovered.contains(place);
                // The ciphertext stays: later packets of the block may be rebuilt from it.
                let mut opus = block.shards[place].clone();
                match open_payload(self.config.encryption.as_ref(), next, &mut opus).map(<[u8]>::len) {
                    Ok(len) => {
                        opus.truncate(len);
                        let header = AudioHeader { sequence: next, timestamp };
                        self.events.push_back(AudioEvent::Packet { header, opus, recovered });
                    }
                    Err(_) => self.lose(next, 1),
                }
            } else if self.may_give_up(now) {
                self.lose(next, 1);
            } else {
                return;
            }
            self.next = Some(next.plus(1));
            if place + 1 == BLOCK_DATA {
                self.blocks.pop_front();
            }
        }
    }

    /// Whether a later block has begun, and long enough ago if packets are late at times.
    fn may_give_up(&self, now: Timestamp) -> bool {
        self.deadline().is_some_and(|deadline| self.late_memory == 0 || now >= deadline)
    }
}

impl Block {
    fn insert(&mut self, place: usize, payload: &[u8], timestamp: u32, now: Timestamp) -> Result<(), AudioDropReason> {
        if let Some(any) = self.present.last() {
            let expected = self.shards[any].len();
            if expected != payload.len() {
                return Err(AudioDropReason::LengthMismatch { expected, found: payload.len() });
            }
        } else {
            self.timestamp = timestamp;
            self.first_arrival = now;
        }
        if !self.present.insert(place) {
            return Err(AudioDropReason::Duplicate);
        }
        self.shards[place].extend_from_slice(payload);
        Ok(())
    }

    /// Restores all missing data; there are four shards at least.
    fn rebuild(&mut self, codec: &mut Codec) {
        let len = self.present.last().map_or(0, |any| self.shards[any].len());
        for place in (0..BLOCK_DATA).filter(|&place| !self.present.contains(place)) {
            self.shards[place].resize(len, 0);
        }
        if let Ok(recovered) = codec.reconstruct(&mut self.shards, &self.present) {
            self.present.extend(recovered.iter());
            self.recovered = recovered;
        }
    }
}

/// The first sequence number of the block that `sequence` is in.
fn block_of(sequence: SequenceNumber) -> SequenceNumber {
    SequenceNumber(sequence.0 - sequence.0 % BLOCK_DATA as u16)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
