//! From the host's half of the protocol to the client's, through memory: sealed, protected, and with datagrams withheld
//! so that parity has something to do. What arrives must be what was sent, byte for byte.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context, bail};
use lumen_core::crypto::{CbcKey, PacketKey};
use lumen_core::gamestream::audio::{
    AudioConfig, AudioEncryption, AudioEvent, AudioFec, AudioPacketizer, AudioReceiver, AudioReceiverConfig,
    AudioStart, PacketDuration,
};
use lumen_core::gamestream::packetizer::{
    FecPercentage, FrameToSend, LossModel, Oversize, PacketArena, Packetizer, PacketizerConfig, ParityPolicy,
};
use lumen_core::gamestream::reassembler::{Reassembler, ReassemblerConfig, VideoEvent};
use lumen_core::gamestream::video::{FrameIndex, FrameKind, HostLatency, PacketSize, SequenceNumber, VideoCodec};
use lumen_core::time::Timestamp;

use crate::encode::Codec;

/// What clients on a local network ask for.
const PACKET_SIZE: u32 = 1392;
/// Parity in per cent, as by default.
const PARITY: u8 = 20;
/// Least parity packets in a block, as by default.
const LEAST_PARITY: u8 = 2;
/// Ticks a second of the video clock.
const VIDEO_CLOCK: u64 = 90_000;
/// Milliseconds of sound in a packet.
const SOUND_MILLIS: u8 = 10;

/// What went through a passage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Datagrams that were made.
    pub datagrams: u64,
    /// Of these, withheld.
    pub withheld: u64,
    /// Packets rebuilt from parity.
    pub rebuilt: u64,
}

/// An access unit on the other side.
#[derive(Debug)]
pub(super) struct Arrived {
    /// Since the first one.
    pub at: Duration,
    /// A decoder can start with it.
    pub key: bool,
    /// As the encoder made it.
    pub data: Vec<u8>,
}

/// Video from end to end.
pub(super) struct VideoPassage {
    packetizer: Packetizer,
    arena: PacketArena,
    reassembler: Reassembler,
    counts: Counts,
}

impl VideoPassage {
    pub(super) fn new(codec: Codec) -> anyhow::Result<Self> {
        let packet_size = PacketSize::new(PACKET_SIZE)?;
        let key = random_key();
        let codec = match codec {
            Codec::H264 => VideoCodec::H264,
            Codec::Hevc => VideoCodec::Hevc,
            Codec::Av1 => VideoCodec::Av1,
        };
        Ok(Self {
            packetizer: Packetizer::new(PacketizerConfig {
                packet_size,
                parity: ParityPolicy::for_loss(FecPercentage::new(PARITY), LEAST_PARITY, LossModel::default()),
                encryption: Some(PacketKey::new(&key)),
                oversize: Oversize::Refuse,
            }),
            arena: PacketArena::new(),
            reassembler: Reassembler::new(ReassemblerConfig {
                encryption: Some(PacketKey::new(&key)),
                ..ReassemblerConfig::new(packet_size, codec)
            }),
            counts: Counts::default(),
        })
    }

    pub(super) fn max_frame_bytes(&self) -> usize {
        self.packetizer.max_frame_bytes()
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// Sends one access unit, presented `at` after the first one, and says what arrived.
    pub(super) fn send(
        &mut self,
        data: &[u8],
        index: FrameIndex,
        kind: FrameKind,
        at: Duration,
    ) -> anyhow::Result<Arrived> {
        let ticks = at.as_micros() * u128::from(VIDEO_CLOCK) / 1_000_000;
        let frame = FrameToSend {
            data,
            index,
            kind,
            timestamp_90k: ticks as u32,
            host_latency: HostLatency::from_duration(Duration::ZERO),
            long_term_reference: false,
        };
        let layout = self.packetizer.packetize(&frame, &mut self.arena)?;
        // One data packet of the first block, another one each time.
        let missing = index.0 as usize % layout.blocks().first().map_or(1, |block| usize::from(block.data));
        self.counts.datagrams += layout.datagrams() as u64;
        self.counts.withheld += 1;
        let now = Timestamp::from_micros(at.as_micros() as u64);
        for (number, datagram) in self.arena.datagrams_mut().enumerate() {
            if number != missing {
                // What parity made needless is refused, which is right.
                let _ = self.reassembler.receive(datagram, now);
            }
        }
        let mut arrived = None;
        while let Some(event) = self.reassembler.poll() {
            match event {
                VideoEvent::Frame(frame) => arrived = Some(frame),
                VideoEvent::Lost { cause, .. } => bail!("frame {} was lost on the way: {cause}", index.0),
                VideoEvent::FecStatus(_) => {}
            }
        }
        let mut frame = arrived.with_context(|| format!("frame {} did not arrive", index.0))?;
        self.counts.rebuilt += u64::from(frame.recovered_packets);
        // Annex B ends in the padding of the last packet.
        let padding = frame.data.get(data.len()..).unwrap_or_default();
        if frame.index != index || !frame.data.starts_with(data) || padding.iter().any(|byte| *byte != 0) {
            bail!("frame {} arrived as another than was sent", index.0);
        }
        frame.data.truncate(data.len());
        // The clock has 32 bits; the high ones are those of the sender, who is near.
        let ticks = (ticks as u64 & !u64::from(u32::MAX)) | u64::from(frame.timestamp_90k);
        let at = Duration::from_nanos(ticks * 1_000_000 / VIDEO_CLOCK * 1000);
        Ok(Arrived { at, key: frame.key_frame, data: frame.data })
    }
}

/// Sound from end to end.
pub(super) struct AudioPassage {
    packetizer: AudioPacketizer,
    receiver: AudioReceiver,
    /// Sent, not yet arrived.
    under_way: VecDeque<Vec<u8>>,
    arrived: u32,
    sent: u32,
    counts: Counts,
}

impl AudioPassage {
    pub(super) fn new() -> anyhow::Result<Self> {
        let key = random_key();
        let encryption = || Some(AudioEncryption { key: CbcKey::new(&key), key_id: 7 });
        let packet_duration = PacketDuration::from_millis(SOUND_MILLIS).context("the protocol has such packets")?;
        Ok(Self {
            packetizer: AudioPacketizer::new(AudioConfig {
                packet_duration,
                encryption: encryption(),
                fec: AudioFec::On,
            }),
            receiver: AudioReceiver::new(AudioReceiverConfig {
                packet_duration,
                encryption: encryption(),
                start: AudioStart::At(SequenceNumber(0)),
            }),
            under_way: VecDeque::new(),
            arrived: 0,
            sent: 0,
            counts: Counts::default(),
        })
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// Sends one packet; those that have arrived by now, with their numbers from 0.
    pub(super) fn send(&mut self, opus: &[u8]) -> anyhow::Result<Vec<(u32, Vec<u8>)>> {
        self.under_way.push_back(opus.to_vec());
        let now = Timestamp::from_millis(u64::from(self.sent) * u64::from(SOUND_MILLIS));
        // The second of each block of four.
        let withheld = self.sent % 4 == 1;
        self.sent += 1;
        let datagrams = self.packetizer.push(opus)?;
        self.counts.datagrams += datagrams.iter().count() as u64;
        self.counts.withheld += u64::from(withheld);
        for datagram in datagrams.iter().skip(usize::from(withheld)) {
            // What parity made needless is refused, which is right.
            let _ = self.receiver.receive(datagram, now);
        }
        let mut all = Vec::new();
        while let Some(event) = self.receiver.poll() {
            match event {
                AudioEvent::Packet { opus, recovered, .. } => {
                    let number = self.arrived;
                    self.arrived += 1;
                    self.counts.rebuilt += u64::from(recovered);
                    if self.under_way.pop_front().as_ref() != Some(&opus) {
                        bail!("packet {number} of the sound arrived as another than was sent");
                    }
                    all.push((number, opus));
                }
                AudioEvent::Lost { first, count } => bail!("{count} packets of sound were lost from {} on", first.0),
            }
        }
        Ok(all)
    }
}

fn random_key() -> [u8; 16] {
    let mut key = [0; 16];
    crate::daemon::random(&mut key);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_arrive_whole_although_a_datagram_of_each_is_missing() {
        let mut passage = VideoPassage::new(Codec::Av1).expect("a passage");
        for index in 1..=30 {
            let data: Vec<u8> = (0..index * 997).map(|byte| byte as u8).collect();
            let at = Duration::from_millis(u64::from(index) * 20);
            let kind = if index == 1 { FrameKind::Idr } else { FrameKind::P };
            let arrived = passage.send(&data, FrameIndex(index), kind, at).expect("it arrives");
            assert_eq!((arrived.data, arrived.at, arrived.key), (data, at, index == 1));
        }
        let counts = passage.counts();
        assert_eq!((counts.withheld, counts.rebuilt), (30, 30));
    }

    #[test]
    fn sound_arrives_in_order_although_each_block_misses_a_packet() {
        let mut passage = AudioPassage::new().expect("a passage");
        let mut arrived = Vec::new();
        for number in 0..40u8 {
            arrived.extend(passage.send(&[number; 80]).expect("it is sent"));
        }
        let expected: Vec<_> = (0..40u8).map(|number| (u32::from(number), vec![number; 80])).collect();
        assert_eq!(arrived, expected);
        assert_eq!((passage.counts().withheld, passage.counts().rebuilt), (10, 10));
    }
}
