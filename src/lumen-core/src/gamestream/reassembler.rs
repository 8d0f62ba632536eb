//! Video packets back to frames: the client half (protocol part 2, section 2.5).
//!
//! Datagrams go in in the order of their arrival, events come out: complete frames, lost frames, reports about forward
//! error correction. The rules are those of the clients in the field: one block of one frame is in work at a time,
//! inside it any order is fine; a packet of a later block or frame while it is incomplete means that the frame is lost.
//!
//! A frame comes out only if every data packet arrived or was rebuilt, and every rebuilt packet carries the flags and
//! the counter that it must have had. Memory is bounded by one block and one frame. This module never asks for
//! anything: whether a loss calls for a key frame is [`LossResponse`]'s to say.

mod block;
mod loss_response;
mod status;

use std::collections::VecDeque;
use std::time::Duration;

pub use loss_response::{LossResponse, RecoveryRequest, ReferenceInvalidation, Verdict};

use self::block::{Block, Progress};
use self::status::StatusLimit;
use super::control::FrameFecStatus;
use super::video::{
    AnnexB, EnvelopeError, FrameHeader, FrameHeaderError, FrameIndex, FrameKind, HostLatency, PacketSize, Sealing,
    ShardHeader, ShardHeaderError, StreamPacketIndex, VideoCodec, frame_hint, open_datagram,
};
use crate::crypto::PacketKey;
use crate::time::Timestamp;

/// For so long after a packet out of order, frames are not given up early (section 2.5, item 6).
const REORDER_MEMORY: Duration = Duration::from_secs(300);
/// A stream without datagrams, or without a key frame, for so long is dead (section 2.5, item 10).
const STALL: Duration = Duration::from_secs(10);
/// Frame buffers kept for reuse.
const SPARE_BUFFERS: usize = 4;

/// What a [`Reassembler`] needs to know about its stream.
#[derive(Debug, Clone)]
pub struct ReassemblerConfig {
    /// As announced.
    pub packet_size: PacketSize,
    /// Decides how frames end and how key frames are known.
    pub codec: VideoCodec,
    /// The session key if video is encrypted.
    pub encryption: Option<PacketKey>,
    /// The first three numbers of the host's `appversion`; they decide the length of frame headers.
    pub host_version: [u32; 3],
    /// The first frame that the host will send; 1 unless a stream is joined later.
    pub first_frame: FrameIndex,
}

impl ReassemblerConfig {
    /// For a new unencrypted stream of a modern host (7.1.431).
    pub fn new(packet_size: PacketSize, codec: VideoCodec) -> Self {
        Self { packet_size, codec, encryption: None, host_version: [7, 1, 431], first_frame: FrameIndex::FIRST }
    }
}

/// What came of the datagrams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VideoEvent {
    /// A frame is complete.
    Frame(VideoFrame),
    /// Frames that will not come.
    Lost {
        /// The first of them.
        first: FrameIndex,
        /// The last of them; the same or later.
        last: FrameIndex,
        /// Why the last of them will not come.
        cause: LossCause,
    },
    /// A report that a client sends to hosts that understand it.
    FecStatus(FrameFecStatus),
}

/// A complete frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoFrame {
    /// Its number.
    pub index: FrameIndex,
    /// What the host says that it is; types that are not known count as [`FrameKind::P`].
    pub kind: FrameKind,
    /// Whether a decoder can start here: by its NAL units in H.264 and HEVC, by `kind` in AV1.
    pub key_frame: bool,
    /// Encoded bytes. H.264 and HEVC end in the zero padding of the last packet, AV1 is cut. Give the buffer back with
    /// [`Reassembler::recycle`] to save an allocation.
    pub data: Vec<u8>,
    /// Capture time on a 90 kHz clock.
    pub timestamp_90k: u32,
    /// Capture-to-send time at the host.
    pub host_latency: HostLatency,
    /// Whether the host wants the frame acknowledged as a long-term reference.
    pub long_term_reference: bool,
    /// Data packets of the frame.
    pub data_packets: u16,
    /// Data packets that did not arrive in time and were rebuilt.
    pub recovered_packets: u16,
    /// When the first packet of the frame arrived.
    pub first_packet_at: Timestamp,
    /// When the packet arrived that made the frame complete.
    pub received_at: Timestamp,
}

/// Why a frame is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LossCause {
    /// A packet of a later block or frame came first.
    #[error("packets of a later block or frame arrived before the frame was complete")]
    Overtaken,
    /// More packets are missing than parity can replace; found before a later frame arrived.
    #[error("more packets are missing than parity can replace")]
    BeyondRepair,
    /// The packet counter of a block goes back behind the block before it.
    #[error("the packet counter runs backwards within the frame")]
    CounterBackwards,
    /// The frame header can't be read.
    #[error(transparent)]
    FrameHeader(#[from] FrameHeaderError),
    /// The length of the last packet of an AV1 frame is impossible.
    #[error("the last packet of the frame cannot hold {0} bytes")]
    LastPayloadLength(u16),
}

/// Why a datagram was not used. Most are harmless: surplus parity comes in as [`DropReason::OldFrame`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DropReason {
    /// Longer than the stream's packets, or too short for the headers.
    #[error("a datagram of {0} bytes is no packet of this stream")]
    WrongLength(usize),
    /// It can't be decrypted.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// Its headers can't be read.
    #[error(transparent)]
    Header(#[from] ShardHeaderError),
    /// Its block is empty, larger than the code can be, or does not contain the packet.
    #[error("shard {index} of {data} + {parity} cannot be")]
    BadShape {
        /// Place in the block.
        index: u16,
        /// Data packets.
        data: u16,
        /// Parity packets.
        parity: usize,
    },
    /// The flags of a data packet are not those of its place.
    #[error("flags {flags:#04x} do not belong to data packet {index} of its block")]
    BadFlags {
        /// Place in the block.
        index: u16,
        /// The flags byte.
        flags: u8,
    },
    /// The frame is complete or lost.
    #[error("{0:?} is over")]
    OldFrame(FrameIndex),
    /// The block is complete.
    #[error("the block is complete")]
    OldBlock,
    /// The packet is there already.
    #[error("the packet is a duplicate")]
    Duplicate,
    /// It says other things about its block than the block's first packet.
    #[error("the packet contradicts earlier packets of its block")]
    Inconsistent,
    /// It belongs to a block after an incomplete one; the frame is lost with it.
    #[error("an earlier block of the frame is incomplete")]
    EarlierBlockIncomplete,
}

/// Why a stream must be given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamStalled {
    /// Nothing arrives (error −100 of other clients).
    #[error("no video packet arrived for 10 s; check that UDP reaches this machine")]
    NoDatagrams,
    /// Packets arrive, but no key frame (error −101 of other clients).
    #[error("no key frame was complete within 10 s of the first video packet; the network loses too much")]
    NoKeyFrame,
}

/// Makes frames of datagrams. One per stream.
#[derive(Debug)]
pub struct Reassembler {
    config: ReassemblerConfig,
    /// The frame in work, or the next one.
    current: FrameIndex,
    /// The block of it that is in work.
    block_index: u8,
    block: Block,
    partial: Partial,
    events: VecDeque<VideoEvent>,
    spare: Vec<Vec<u8>>,
    last_reordering: Option<Timestamp>,
    /// The frame that was given up last before a later one arrived, and how far it had come.
    given_up: Option<(FrameIndex, u8, u16)>,
    status_limit: StatusLimit,
    first_datagram_at: Option<Timestamp>,
    last_datagram_at: Option<Timestamp>,
    key_frame_seen: bool,
}

/// The complete blocks of the frame in work.
#[derive(Debug, Default)]
struct Partial {
    data: Vec<u8>,
    header: Option<FrameHeader>,
    header_len: usize,
    last_block: u8,
    timestamp: u32,
    long_term_reference: bool,
    key_frame: bool,
    /// The packet counter after the last data packet.
    next_counter: Option<StreamPacketIndex>,
    data_packets: u16,
    recovered_packets: u16,
    first_packet_at: Timestamp,
    started: bool,
}

impl Reassembler {
    /// A reassembler for a new stream.
    pub fn new(config: ReassemblerConfig) -> Self {
        Self {
            current: config.first_frame,
            block_index: 0,
            block: Block::new(config.packet_size.shard_len()),
            partial: Partial::default(),
            events: VecDeque::new(),
            spare: Vec::new(),
            last_reordering: None,
            given_up: None,
            status_limit: StatusLimit::default(),
            first_datagram_at: None,
            last_datagram_at: None,
            key_frame_seen: false,
            config,
        }
    }

    /// Takes one datagram as it arrived at `now`; decrypts in place, so its content is unspecified afterwards. Drain
    /// [`Reassembler::poll`] after each call: events are kept until then.
    ///
    /// # Errors
    /// [`DropReason`] if the datagram was not used. Events may have come of it all the same.
    pub fn receive(&mut self, datagram: &mut [u8], now: Timestamp) -> Result<(), DropReason> {
        self.first_datagram_at.get_or_insert(now);
        self.last_datagram_at = Some(now);
        let shard = self.open(datagram)?;
        let header = ShardHeader::parse(shard)?;
        check_shape(&header)?;
        if header.frame.is_before(self.current) {
            self.note_late_packet(&header, now);
            return Err(DropReason::OldFrame(header.frame));
        }
        if header.frame != self.current {
            self.lose(header.frame.previous(), LossCause::Overtaken, now);
        }
        if header.block.index() < self.block_index {
            return Err(DropReason::OldBlock);
        }
        if header.block.index() > self.block_index {
            self.lose(self.current, LossCause::Overtaken, now);
            return Err(DropReason::EarlierBlockIncomplete);
        }
        if self.block_index > 0 && header.block.last() != self.partial.last_block {
            return Err(DropReason::Inconsistent);
        }

        let inserted = self.block.insert(&header, shard)?;
        if inserted.out_of_order {
            self.last_reordering = Some(now);
        }
        if !self.partial.started {
            self.partial.started = true;
            self.partial.first_packet_at = now;
            self.partial.timestamp = header.timestamp;
        }
        self.partial.last_block = header.block.last();
        match self.block.progress() {
            Progress::Complete { recovered } => self.finish_block(recovered, now),
            Progress::Incomplete if self.block.is_beyond_repair() && !self.expects_reordering(now) => {
                self.given_up = Some((self.current, self.block_index, self.block.highest()));
                self.lose(self.current, LossCause::BeyondRepair, now);
            }
            Progress::Incomplete => {}
        }
        Ok(())
    }

    /// The next event; none when everything was said about the datagrams so far.
    pub fn poll(&mut self) -> Option<VideoEvent> {
        self.events.pop_front()
    }

    /// Takes back the buffer of a frame, to be filled again.
    pub fn recycle(&mut self, mut buffer: Vec<u8>) {
        if self.spare.len() < SPARE_BUFFERS {
            buffer.clear();
            self.spare.push(buffer);
        }
    }

    /// Whether the stream is alive at `now` (section 2.5, item 10). `started` is when packets were asked for.
    ///
    /// # Errors
    /// [`StreamStalled`] if the stream must be given up.
    pub fn check_alive(&self, started: Timestamp, now: Timestamp) -> Result<(), StreamStalled> {
        if now.saturating_since(self.last_datagram_at.unwrap_or(started)) > STALL {
            return Err(StreamStalled::NoDatagrams);
        }
        match self.first_datagram_at {
            Some(first) if !self.key_frame_seen && now.saturating_since(first) > STALL => {
                Err(StreamStalled::NoKeyFrame)
            }
            _ => Ok(()),
        }
    }

    /// Checks the length and decrypts. Packets of finished frames are dropped before that, except those whose
    /// lateness says something.
    fn open<'a>(&self, datagram: &'a mut [u8]) -> Result<&'a [u8], DropReason> {
        let sealing = if self.config.encryption.is_some() { Sealing::Sealed } else { Sealing::Clear };
        if datagram.len() > self.config.packet_size.datagram_len(sealing) {
            return Err(DropReason::WrongLength(datagram.len()));
        }
        let Some(key) = &self.config.encryption else { return Ok(datagram) };
        if let Some(frame) = frame_hint(datagram)
            && frame.is_before(self.current)
            && self.given_up.is_none_or(|(given_up, ..)| given_up != frame)
        {
            return Err(DropReason::OldFrame(frame));
        }
        Ok(open_datagram(key, datagram)?)
    }

    /// A packet that would have completed a frame that was given up too early shows that the network reorders.
    fn note_late_packet(&mut self, header: &ShardHeader, now: Timestamp) {
        if let Some((frame, block, highest)) = self.given_up
            && header.frame == frame
            && (header.block.index(), header.fec.shard_index().0) < (block, highest)
        {
            self.last_reordering = Some(now);
        }
    }

    fn expects_reordering(&self, now: Timestamp) -> bool {
        self.last_reordering.is_some_and(|last| now.saturating_since(last) < REORDER_MEMORY)
    }

    /// Gives up the frame in work and all up to `last`.
    fn lose(&mut self, last: FrameIndex, cause: LossCause, now: Timestamp) {
        self.report_status(now);
        self.events.push_back(VideoEvent::Lost { first: self.current, last, cause });
        self.start_frame(last.next());
    }

    fn start_frame(&mut self, index: FrameIndex) {
        self.current = index;
        self.block_index = 0;
        self.block.clear();
        let mut data = std::mem::take(&mut self.partial.data);
        data.clear();
        self.partial = Partial { data, ..Partial::default() };
    }

    fn report_status(&mut self, now: Timestamp) {
        if let Some(status) = self.block.status(self.current)
            && self.status_limit.allows(now)
        {
            self.events.push_back(VideoEvent::FecStatus(status));
        }
    }

    fn finish_block(&mut self, recovered: u16, now: Timestamp) {
        if recovered > 0 {
            self.report_status(now);
        }
        if let Err(cause) = self.take_block(recovered) {
            self.lose(self.current, cause, now);
            return;
        }
        if self.block_index < self.partial.last_block {
            self.block_index += 1;
            self.block.clear();
            return;
        }
        match self.take_frame(now) {
            Ok(frame) => {
                self.key_frame_seen |= frame.key_frame;
                self.events.push_back(VideoEvent::Frame(frame));
                self.start_frame(self.current.next());
            }
            Err(cause) => self.lose(self.current, cause, now),
        }
    }

    /// Appends the payload of the complete block to the frame.
    fn take_block(&mut self, recovered: u16) -> Result<(), LossCause> {
        let partial = &mut self.partial;
        let counters = self.block.counters();
        if let (Some((first, _)), Some(next)) = (counters, partial.next_counter)
            && first.is_before(next)
        {
            return Err(LossCause::CounterBackwards);
        }
        partial.next_counter = counters.map(|(_, next)| next);
        let mut payloads = self.block.payloads();
        if self.block_index == 0 {
            let first = payloads.next().unwrap_or_default();
            let (header, header_len) = FrameHeader::parse(first, self.config.host_version)?;
            let encoded = &first[header_len..];
            partial.header = header;
            partial.header_len = header_len;
            partial.long_term_reference = self.block.long_term_reference();
            partial.key_frame = match self.config.codec {
                VideoCodec::H264 => AnnexB::H264.starts_key_frame(encoded),
                VideoCodec::Hevc => AnnexB::Hevc.starts_key_frame(encoded),
                VideoCodec::Av1 => header.is_some_and(|header| header.kind == Some(FrameKind::Idr)),
            };
            partial.data.extend_from_slice(encoded);
        }
        for payload in payloads {
            partial.data.extend_from_slice(payload);
        }
        partial.data_packets += self.block.data_packets();
        partial.recovered_packets += recovered;
        Ok(())
    }

    /// All blocks are there: cuts the end where the codec wants that.
    fn take_frame(&mut self, now: Timestamp) -> Result<VideoFrame, LossCause> {
        let partial = &mut self.partial;
        if let (VideoCodec::Av1, Some(header)) = (self.config.codec, partial.header) {
            let unit = self.config.packet_size.payload_len();
            let last = usize::from(header.last_payload_len);
            let header_in_last = if partial.data_packets == 1 { partial.header_len } else { 0 };
            if last <= header_in_last || last > unit {
                return Err(LossCause::LastPayloadLength(header.last_payload_len));
            }
            partial.data.truncate(partial.data.len() - (unit - last));
        }
        Ok(VideoFrame {
            index: self.current,
            kind: partial.header.and_then(|header| header.kind).unwrap_or(FrameKind::P),
            key_frame: partial.key_frame,
            data: std::mem::replace(&mut partial.data, self.spare.pop().unwrap_or_default()),
            timestamp_90k: partial.timestamp,
            host_latency: partial.header.map_or(HostLatency::UNKNOWN, |header| header.host_latency),
            long_term_reference: partial.long_term_reference,
            data_packets: partial.data_packets,
            recovered_packets: partial.recovered_packets,
            first_packet_at: partial.first_packet_at,
            received_at: now,
        })
    }
}

/// Whether the packet lies in a block that can be.
fn check_shape(header: &ShardHeader) -> Result<(), DropReason> {
    let (data, parity) = (header.fec.data_shards(), header.fec.parity_shards());
    let index = header.fec.shard_index().0;
    let total = usize::from(data) + parity;
    let decodable = parity == 0 || total <= crate::fec::gf8::MAX_SHARDS;
    if data == 0 || !decodable || usize::from(index) >= total {
        return Err(DropReason::BadShape { index, data, parity });
    }
    if header.fec.is_data() && !header.flags.fits_data(index, data) {
        return Err(DropReason::BadFlags { index, flags: header.flags.0 });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
