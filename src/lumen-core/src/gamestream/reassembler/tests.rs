//! Tests of the reassembler, most of them against our own packetizer.

use proptest::prelude::*;

use super::*;
use crate::fec::block_plan::FecPercentage;
use crate::gamestream::packetizer::{
    FrameLayout, FrameToSend, Oversize, PacketArena, Packetizer, PacketizerConfig, ParityPolicy,
};

const KEY: [u8; 16] = *b"0123456789abcdef";
const SIZE: u32 = 64;
const UNIT: usize = 48;

struct Sender {
    packetizer: Packetizer,
    next: FrameIndex,
}

impl Sender {
    fn new(percent: u8, encryption: Option<PacketKey>) -> Self {
        let packetizer = Packetizer::new(PacketizerConfig {
            packet_size: PacketSize::new(SIZE).expect("in range"),
            parity: ParityPolicy::fixed(FecPercentage::new(percent), 2),
            encryption,
            oversize: Oversize::Refuse,
        });
        Self { packetizer, next: FrameIndex::FIRST }
    }

    fn send(&mut self, data: &[u8]) -> (FrameLayout, Vec<Vec<u8>>) {
        let frame = FrameToSend {
            data,
            index: self.next,
            kind: FrameKind::P,
            timestamp_90k: self.next.0.wrapping_mul(1500),
            host_latency: HostLatency(7),
            long_term_reference: false,
        };
        self.next = self.next.next();
        let mut arena = PacketArena::new();
        let layout = self.packetizer.packetize(&frame, &mut arena).expect("fits");
        (layout, arena.datagrams().map(<[u8]>::to_vec).collect())
    }
}

fn receiver(codec: VideoCodec, encryption: Option<PacketKey>) -> Reassembler {
    let packet_size = PacketSize::new(SIZE).expect("in range");
    Reassembler::new(ReassemblerConfig { encryption, ..ReassemblerConfig::new(packet_size, codec) })
}

/// Feeds datagrams at one instant and drains what comes of them.
fn feed(receiver: &mut Reassembler, datagrams: &[Vec<u8>], now: Timestamp) -> Vec<VideoEvent> {
    for datagram in datagrams {
        let _ = receiver.receive(&mut datagram.clone(), now);
    }
    std::iter::from_fn(|| receiver.poll()).collect()
}

fn pattern(seed: usize, len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + seed * 31 + i / 251) as u8).collect()
}

fn frames(events: &[VideoEvent]) -> Vec<&VideoFrame> {
    events
        .iter()
        .filter_map(|event| match event {
            VideoEvent::Frame(frame) => Some(frame),
            _ => None,
        })
        .collect()
}

fn losses(events: &[VideoEvent]) -> Vec<(u32, u32, LossCause)> {
    events
        .iter()
        .filter_map(|event| match *event {
            VideoEvent::Lost { first, last, cause } => Some((first.0, last.0, cause)),
            _ => None,
        })
        .collect()
}

#[test]
fn as_many_losses_as_parity_are_recovered_and_reported() {
    let mut sender = Sender::new(20, None);
    let mut receiver = receiver(VideoCodec::Av1, None);
    let data = pattern(1, UNIT * 20 - 8);
    let (layout, datagrams) = sender.send(&data);
    assert_eq!((layout.data_packets(), layout.parity_packets()), (20, 4));
    let events = feed(&mut receiver, &datagrams[4..], Timestamp::ZERO);
    let [VideoEvent::FecStatus(status), VideoEvent::Frame(frame)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((status.total_data, status.total_parity), (20, 4));
    assert_eq!((status.received_data, status.received_parity), (16, 4));
    assert_eq!((status.missing_before_highest, status.next_contiguous, status.highest_received), (4, 0, 23));
    assert_eq!((status.block, status.block_count), (0, 1));
    assert_eq!((frame.recovered_packets, frame.data_packets), (4, 20));
    assert_eq!(frame.data, data);
}

#[test]
fn one_loss_more_than_parity_is_found_before_the_next_frame_arrives() {
    let mut sender = Sender::new(20, None);
    let mut receiver = receiver(VideoCodec::Av1, None);
    let (_, datagrams) = sender.send(&pattern(1, UNIT * 20 - 8));
    let events = feed(&mut receiver, &datagrams[5..7], Timestamp::ZERO);
    assert_eq!(losses(&events), [(1, 1, LossCause::BeyondRepair)]);
    assert!(matches!(events[0], VideoEvent::FecStatus(_)));
    assert_eq!(receiver.receive(&mut datagrams[8].clone(), Timestamp::ZERO), Err(DropReason::OldFrame(FrameIndex(1))));
}

#[test]
fn where_packets_arrive_out_of_order_no_frame_is_given_up_early() {
    let mut sender = Sender::new(20, None);
    let mut receiver = receiver(VideoCodec::Av1, None);
    let (_, first) = sender.send(&pattern(1, UNIT * 20 - 8));
    let reversed: Vec<_> = first.iter().rev().cloned().collect();
    // Nothing is known about reordering yet: the frame is given up, but its late packets are a lesson.
    let events = feed(&mut receiver, &reversed, Timestamp::ZERO);
    assert_eq!(losses(&events), [(1, 1, LossCause::BeyondRepair)]);

    let (_, second) = sender.send(&pattern(2, UNIT * 20 - 8));
    let reversed: Vec<_> = second.iter().rev().cloned().collect();
    let events = feed(&mut receiver, &reversed, Timestamp::from_millis(299_000));
    assert_eq!(frames(&events).len(), 1);

    // Five minutes later the lesson is forgotten.
    let (_, third) = sender.send(&pattern(3, UNIT * 20 - 8));
    let reversed: Vec<_> = third.iter().rev().cloned().collect();
    let events = feed(&mut receiver, &reversed, Timestamp::from_millis(700_000));
    assert_eq!(losses(&events), [(3, 3, LossCause::BeyondRepair)]);
}

#[test]
fn missing_frames_are_one_range() {
    let mut sender = Sender::new(20, None);
    let mut receiver = receiver(VideoCodec::Av1, None);
    for _ in 0..5 {
        sender.send(&[1]);
    }
    let (_, datagrams) = sender.send(&[9; 30]);
    let events = feed(&mut receiver, &datagrams, Timestamp::ZERO);
    assert_eq!(losses(&events), [(1, 5, LossCause::Overtaken)]);
    assert_eq!(frames(&events)[0].data, [9; 30]);
}

#[test]
fn a_later_block_before_the_current_one_is_complete_loses_the_frame() {
    let mut sender = Sender::new(20, None);
    let mut receiver = receiver(VideoCodec::Av1, None);
    let (layout, datagrams) = sender.send(&pattern(1, UNIT * 300));
    assert_eq!(layout.blocks().len(), 2);
    let first_block = usize::from(layout.blocks()[0].data + layout.blocks()[0].parity);
    feed(&mut receiver, &datagrams[..10], Timestamp::ZERO);
    assert_eq!(
        receiver.receive(&mut datagrams[first_block].clone(), Timestamp::ZERO),
        Err(DropReason::EarlierBlockIncomplete)
    );
    let events: Vec<_> = std::iter::from_fn(|| receiver.poll()).collect();
    assert_eq!(losses(&events), [(1, 1, LossCause::Overtaken)]);
    let (_, next) = sender.send(&[3; 9]);
    assert_eq!(frames(&feed(&mut receiver, &next, Timestamp::ZERO)).len(), 1);
}

#[test]
fn duplicates_and_late_packets_change_nothing() {
    let mut sender = Sender::new(20, None);
    let mut receiver = receiver(VideoCodec::Av1, None);
    let (_, datagrams) = sender.send(&pattern(1, UNIT * 5));
    let now = Timestamp::ZERO;
    assert_eq!(receiver.receive(&mut datagrams[0].clone(), now), Ok(()));
    assert_eq!(receiver.receive(&mut datagrams[0].clone(), now), Err(DropReason::Duplicate));
    assert_eq!(frames(&feed(&mut receiver, &datagrams, now)).len(), 1);
    assert!(feed(&mut receiver, &datagrams, now).is_empty());
    assert_eq!(receiver.receive(&mut datagrams[0].clone(), now), Err(DropReason::OldFrame(FrameIndex(1))));
}

#[test]
fn parity_of_another_count_is_noticed_and_the_data_packets_still_make_the_frame() {
    let mut sender = Sender::new(100, None);
    let mut receiver = receiver(VideoCodec::Av1, None);
    let data = pattern(1, UNIT * 4 - 8);
    let (_, mut datagrams) = sender.send(&data);
    // The host says 50 %: the client then computes another matrix than the one that made this parity.
    for datagram in &mut datagrams {
        let header = ShardHeader::parse(datagram).expect("own header");
        let fec = crate::gamestream::video::FecInfo::new(4, header.fec.shard_index(), FecPercentage::new(50));
        datagram[28..32].copy_from_slice(&fec.expect("fits").to_bytes());
    }
    let now = Timestamp::ZERO;
    assert!(feed(&mut receiver, &[&datagrams[2..4], &datagrams[4..6]].concat(), now).is_empty());
    let events = feed(&mut receiver, &datagrams[..2], now);
    assert_eq!(frames(&events)[0].data, data);
    assert_eq!(frames(&events)[0].recovered_packets, 0);
}

#[test]
fn a_packet_counter_that_runs_backwards_from_block_to_block_loses_the_frame() {
    let mut sender = Sender::new(0, None);
    let mut receiver = receiver(VideoCodec::Av1, None);
    let (layout, mut datagrams) = sender.send(&pattern(1, UNIT * 300));
    let first_block = usize::from(layout.blocks()[0].data);
    for datagram in &mut datagrams[first_block..] {
        let counter = ShardHeader::parse(datagram).expect("own header").stream_packet_index.minus(1);
        datagram[16..20].copy_from_slice(&(counter.get() << 8).to_le_bytes());
    }
    let events = feed(&mut receiver, &datagrams, Timestamp::ZERO);
    assert_eq!(losses(&events), [(1, 1, LossCause::CounterBackwards)]);
}

#[test]
fn packets_that_contradict_their_block_are_dropped() {
    let mut sender = Sender::new(20, None);
    let (_, datagrams) = sender.send(&pattern(1, UNIT * 5 - 8));
    let cases: [(usize, u8, DropReason); 4] = [
        (3, 1, DropReason::Inconsistent),  // sequence
        (17, 1, DropReason::Inconsistent), // packet counter
        (24, 0x08, DropReason::BadFlags { index: 1, flags: 0x09 }),
        (28, 0x10, DropReason::Inconsistent), // percentage
    ];
    for (offset, flip, reason) in cases {
        let mut receiver = receiver(VideoCodec::Av1, None);
        assert_eq!(receiver.receive(&mut datagrams[0].clone(), Timestamp::ZERO), Ok(()));
        let mut changed = datagrams[1].clone();
        changed[offset] ^= flip;
        assert_eq!(receiver.receive(&mut changed, Timestamp::ZERO), Err(reason));
        assert_eq!(frames(&feed(&mut receiver, &datagrams[1..], Timestamp::ZERO)).len(), 1);
    }
}

#[test]
fn shapes_that_cannot_be_are_refused_without_touching_the_frame_in_work() {
    let mut receiver = receiver(VideoCodec::Av1, None);
    let (_, datagrams) = Sender::new(20, None).send(&[1; 9]);
    for (data, shard, percent) in [(0, 0, 0), (3, 4, 20), (200, 0, 100), (1023, 0, 1), (1, 1, 0)] {
        let mut changed = datagrams[0].clone();
        changed[20] = 200;
        let word: u32 = data << 22 | shard << 12 | percent << 4;
        changed[28..32].copy_from_slice(&word.to_le_bytes());
        assert!(matches!(receiver.receive(&mut changed, Timestamp::ZERO), Err(DropReason::BadShape { .. })));
    }
    assert!(receiver.poll().is_none());
    assert_eq!(frames(&feed(&mut receiver, &datagrams, Timestamp::ZERO)).len(), 1);
}

#[test]
fn a_shortened_last_data_packet_is_taken_as_padded_with_zeros() {
    let mut sender = Sender::new(20, None);
    let mut receiver = receiver(VideoCodec::Av1, None);
    let data = pattern(1, UNIT + 5);
    let (_, mut datagrams) = sender.send(&data);
    datagrams[1].truncate(32 + 13);
    assert_eq!(frames(&feed(&mut receiver, &datagrams[..2], Timestamp::ZERO))[0].data, data);
}

#[test]
fn annex_b_keeps_its_padding_and_knows_key_frames_by_their_slices() {
    for (codec, start, key) in [
        (VideoCodec::H264, &[0, 0, 0, 1, 0x67, 0, 0, 1, 0x65][..], true),
        (VideoCodec::H264, &[0, 0, 0, 1, 0x41][..], false),
        (VideoCodec::Hevc, &[0, 0, 0, 1, 0x40, 1, 0, 0, 1, 0x26][..], true),
    ] {
        let mut receiver = receiver(codec, None);
        let (_, datagrams) = Sender::new(20, None).send(start);
        let events = feed(&mut receiver, &datagrams, Timestamp::ZERO);
        let frame = frames(&events)[0];
        assert_eq!(frame.key_frame, key);
        assert_eq!(frame.data.len(), UNIT - 8);
        assert!(frame.data.starts_with(start));
    }
}

#[test]
fn an_encrypted_frame_with_another_key_never_comes_out() {
    let mut sender = Sender::new(20, Some(PacketKey::new(&KEY)));
    let mut receiver = receiver(VideoCodec::Av1, Some(PacketKey::new(&[0; 16])));
    let (_, datagrams) = sender.send(&[1; 500]);
    assert!(feed(&mut receiver, &datagrams, Timestamp::ZERO).is_empty());
}

#[test]
fn a_stream_without_packets_or_without_key_frame_is_dead_after_ten_seconds() {
    let mut receiver = receiver(VideoCodec::Av1, None);
    let at = Timestamp::from_millis;
    assert_eq!(receiver.check_alive(at(0), at(10_000)), Ok(()));
    assert_eq!(receiver.check_alive(at(0), at(10_001)), Err(StreamStalled::NoDatagrams));
    let (_, datagrams) = Sender::new(20, None).send(&[1; 9]);
    feed(&mut receiver, &datagrams, at(5_000));
    assert_eq!(receiver.check_alive(at(0), at(15_000)), Ok(()));
    feed(&mut receiver, &datagrams, at(15_001));
    assert_eq!(receiver.check_alive(at(0), at(15_001)), Err(StreamStalled::NoKeyFrame));
}

#[test]
fn reports_are_limited_but_losses_are_not() {
    let mut sender = Sender::new(20, None);
    let mut receiver = receiver(VideoCodec::Av1, None);
    let mut events = Vec::new();
    for index in 0..20 {
        let (_, datagrams) = sender.send(&pattern(index, UNIT * 20 - 8));
        events.extend(feed(&mut receiver, &datagrams[5..7], Timestamp::ZERO));
    }
    assert_eq!(losses(&events).len(), 20);
    assert_eq!(events.iter().filter(|event| matches!(event, VideoEvent::FecStatus(_))).count(), 8);
}

/// What the network does to each packet.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Deliver,
    Lose,
    Duplicate,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![8 => Just(Fate::Deliver), 1 => Just(Fate::Lose), 1 => Just(Fate::Duplicate)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn frames_that_come_out_are_those_that_went_in(
        sizes in prop::collection::vec(1usize..2500, 1..6),
        percent in prop_oneof![Just(0u8), Just(20), Just(50), Just(255)],
        fates in prop::collection::vec(fate(), 1..700),
        encrypted: bool,
    ) {
        let key = encrypted.then(|| PacketKey::new(&KEY));
        let mut sender = Sender::new(percent, key.clone());
        let mut receiver = receiver(VideoCodec::Av1, key);
        let mut fates = fates.into_iter().cycle();
        let mut events = Vec::new();
        let mut sent = Vec::new();
        for (seed, &size) in sizes.iter().enumerate() {
            let data = pattern(seed, size);
            let (_, datagrams) = sender.send(&data);
            for datagram in &datagrams {
                let copies = match fates.next() { Some(Fate::Lose) => 0, Some(Fate::Duplicate) => 2, _ => 1 };
                events.extend(feed(&mut receiver, &vec![datagram.clone(); copies], Timestamp::ZERO));
            }
            sent.push(data);
        }
        // A last frame, so that every loss before it is known.
        let (_, datagrams) = sender.send(&[42]);
        events.extend(feed(&mut receiver, &datagrams, Timestamp::ZERO));
        sent.push(vec![42]);

        let mut next = 1;
        for event in &events {
            match event {
                VideoEvent::Frame(frame) => {
                    prop_assert_eq!(frame.index.0, next);
                    prop_assert_eq!(&frame.data, &sent[frame.index.0 as usize - 1]);
                    next += 1;
                }
                VideoEvent::Lost { first, last, .. } => {
                    prop_assert_eq!(first.0, next);
                    next = last.0 + 1;
                }
                VideoEvent::FecStatus(_) => {}
            }
        }
        prop_assert_eq!(next as usize, sent.len() + 1);
    }

    #[test]
    fn any_order_within_a_block_and_any_losses_up_to_parity_give_the_frame(
        size in 1usize..5000, percent in prop_oneof![Just(20u8), Just(100)],
        order in prop::collection::vec(any::<u32>(), 300), encrypted: bool,
    ) {
        let key = encrypted.then(|| PacketKey::new(&KEY));
        let mut sender = Sender::new(percent, key.clone());
        let mut receiver = receiver(VideoCodec::Av1, key);
        receiver.last_reordering = Some(Timestamp::ZERO);
        let data = pattern(3, size);
        let (layout, datagrams) = sender.send(&data);
        let mut events = Vec::new();
        let mut rest = &datagrams[..];
        for block in layout.blocks() {
            let (these, after) = rest.split_at(usize::from(block.data + block.parity));
            rest = after;
            let mut shuffled: Vec<_> = these.iter().cloned().zip(order.iter().cycle()).collect();
            shuffled.sort_by_key(|(_, rank)| **rank);
            let kept: Vec<_> = shuffled.into_iter().map(|(datagram, _)| datagram).skip(block.parity.into()).collect();
            events.extend(feed(&mut receiver, &kept, Timestamp::ZERO));
        }
        let frames = frames(&events);
        prop_assert_eq!(frames.len(), 1);
        prop_assert_eq!(&frames[0].data, &data);
        prop_assert_eq!(frames[0].timestamp_90k, 1500);
    }

    #[test]
    fn arbitrary_datagrams_never_panic(
        datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..90), 0..50), encrypted: bool
    ) {
        let mut receiver = receiver(VideoCodec::H264, encrypted.then(|| PacketKey::new(&KEY)));
        feed(&mut receiver, &datagrams, Timestamp::ZERO);
    }

    #[test]
    fn changed_headers_never_panic(
        size in 1usize..2500, flips in prop::collection::vec((any::<prop::sample::Index>(), 0usize..32, any::<u8>()), 1..20),
    ) {
        let (_, mut datagrams) = Sender::new(50, None).send(&pattern(9, size));
        for (packet, offset, value) in flips {
            let count = datagrams.len();
            datagrams[packet.index(count)][offset] ^= value;
        }
        let mut receiver = receiver(VideoCodec::Av1, None);
        feed(&mut receiver, &datagrams, Timestamp::ZERO);
    }
}
