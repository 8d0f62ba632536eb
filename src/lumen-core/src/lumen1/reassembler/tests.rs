//! The reassembler against the packetizer.

use proptest::prelude::*;

use super::*;
use crate::arena::PacketArena;
use crate::fec::scheme::{Scheme, Shape};
use crate::lumen1::header::{HEADER_LEN, SessionId, Stream};
use crate::lumen1::keys::{Direction, KeySchedule};
use crate::lumen1::packetizer::{FrameToSend, Packetizer, PacketizerConfig};
use crate::lumen1::seal::{Opener, Sealer, SendPosition};
use crate::lumen1::video::{FRAME_HEADER_LEN, FrameKind, Sending};

const MAX_FRAME: usize = 64 << 10;

/// A host's packetizer, and payloads as the client opens them.
struct Wire {
    packetizer: Packetizer,
    opener: Opener,
    arena: PacketArena,
}

impl Wire {
    fn new() -> Self {
        let keys = KeySchedule::new(&[1; 16], &[2; 16], &[3; 16]).expect("long enough");
        let session = SessionId(9);
        let sealer = Sealer::new(&keys, Direction::HostToClient, Stream::Video, session, SendPosition::default());
        let config = PacketizerConfig { datagram: 1200, max_frame: MAX_FRAME, first_frame: FrameNumber::FIRST };
        Self {
            packetizer: Packetizer::new(config, sealer),
            opener: Opener::new(&keys, Direction::HostToClient, session),
            arena: PacketArena::new(),
        }
    }

    fn send(&mut self, data: &[u8], scheme: Scheme, parity: u16) -> Vec<Vec<u8>> {
        let frame = FrameToSend {
            data,
            flags: FrameFlags { kind: FrameKind::P, reference: Reference::Short },
            captured: Timestamp::from_millis(5),
            deadline: Some(Duration::from_millis(100)),
            host_latency: Duration::from_millis(3),
            scheme,
            parity,
        };
        self.packetizer.packetize(&frame, &mut self.arena).expect("fits");
        let opener = &mut self.opener;
        self.arena.datagrams_mut().map(|datagram| opener.open(datagram).expect("authentic").payload.to_vec()).collect()
    }
}

fn content(number: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + number * 97) as u8).collect()
}

fn drain(receiver: &mut Reassembler) -> Vec<VideoEvent> {
    std::iter::from_fn(|| receiver.poll()).collect()
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn every_frame_comes_out_once_in_order_and_as_sent_or_as_lost(
        frames in prop::collection::vec((1usize..20_000, any::<bool>(), 0u16..8), 1..12),
        fate in prop::collection::vec((0u8..10, 0usize..40), 1..300),
    ) {
        let mut wire = Wire::new();
        let mut sent = Vec::new();
        let mut queue: Vec<Vec<u8>> = Vec::new();
        for (number, (len, gf16, parity)) in frames.into_iter().enumerate() {
            sent.push(content(number, len));
            let scheme = if gf16 { Scheme::Gf16 } else { Scheme::Gf8Interleaved };
            queue.extend(wire.send(&sent[number], scheme, parity));
        }
        // Losses, duplicates, and places changed with later payloads.
        let mut fate = fate.into_iter().cycle();
        let mut arriving = Vec::new();
        for place in 0..queue.len() {
            let (luck, distance) = fate.next().expect("endless");
            let other = (place + distance).min(queue.len() - 1);
            if luck == 9 { queue.swap(place, other); }
            match luck {
                0 => {}
                1 => arriving.extend([queue[place].clone(), queue[place].clone()]),
                _ => arriving.push(queue[place].clone()),
            }
        }
        let mut receiver = Reassembler::new(ReassemblerConfig::new(MAX_FRAME));
        let mut next = FrameNumber::FIRST;
        for (step, payload) in arriving.iter().enumerate() {
            let now = at(step as u64);
            let _ = receiver.receive(payload, now);
            receiver.handle_timeout(now);
            prop_assert!(receiver.memory() <= receiver.config.max_memory);
            for event in drain(&mut receiver) {
                match event {
                    VideoEvent::Frame(frame) => {
                        prop_assert_eq!(frame.number, next);
                        prop_assert_eq!(frame.data(), &sent[next.0 as usize - 1][..]);
                        next = next.next();
                        receiver.recycle(frame);
                    }
                    VideoEvent::Lost { first, last, .. } => {
                        prop_assert_eq!(first, next);
                        next = last.next();
                    }
                }
            }
        }
    }
}

#[test]
fn a_frame_of_any_size_is_restored_from_its_parity_by_both_schemes() {
    for scheme in [Scheme::Gf8Interleaved, Scheme::Gf16] {
        let mut wire = Wire::new();
        let mut receiver = Reassembler::new(ReassemblerConfig::new(MAX_FRAME));
        for (number, len) in [1, 100, 1128, 1129, 20_000, MAX_FRAME].into_iter().enumerate() {
            let data = content(number, len);
            let payloads = wire.send(&data, scheme, 5);
            // The first shard, which has the frame header, is always lost.
            let lost = payloads.len().min(5 + 1) - 1;
            for payload in &payloads[lost.min(5)..] {
                receiver
                    .receive(payload, at(1))
                    .unwrap_or_else(|reason| assert!(matches!(reason, DropReason::OldFrame(_))));
            }
            let events = drain(&mut receiver);
            let [VideoEvent::Frame(frame)] = &events[..] else { panic!("{events:?}") };
            assert_eq!(frame.data(), data);
            assert_eq!(frame.status.outcome, FrameOutcome::Restored);
            assert_eq!(frame.header.deadline, Some(Duration::from_millis(100)));
        }
    }
}

#[test]
fn an_incomplete_frame_is_given_up_after_its_time_and_those_behind_it_come() {
    let mut wire = Wire::new();
    let mut receiver = Reassembler::new(ReassemblerConfig::new(MAX_FRAME));
    let first = wire.send(&content(0, 5000), Scheme::Gf16, 0);
    let second = wire.send(&content(1, 10), Scheme::Gf16, 0);
    receiver.receive(&first[1], at(10)).expect("useful");
    receiver.receive(&second[0], at(20)).expect("useful");
    assert_eq!(receiver.deadline(), Some(at(160)));
    receiver.handle_timeout(at(159));
    assert_eq!(drain(&mut receiver), []);
    receiver.handle_timeout(at(160));
    let events = drain(&mut receiver);
    let [VideoEvent::Lost { first: lost, last, cause: LossCause::Late, status, .. }, VideoEvent::Frame(frame)] =
        &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((lost.0, last.0, status.received, frame.number.0), (1, 1, 1, 2));
    assert_eq!(receiver.receive(&first[0], at(161)), Err(DropReason::OldFrame(FrameNumber(1))));
    assert_eq!((receiver.deadline(), receiver.memory()), (None, 0));
}

#[test]
fn frames_of_which_nothing_came_are_one_loss_and_a_leap_costs_no_time() {
    let mut wire = Wire::new();
    let mut receiver = Reassembler::new(ReassemblerConfig::new(MAX_FRAME));
    let payload = wire.send(&content(0, 10), Scheme::Gf16, 0).remove(0);
    let (header, shard) = ShardHeader::parse(&payload).expect("video");
    let far = ShardHeader { frame: FrameNumber(u32::MAX - 1), ..header };
    receiver.receive(&[&far.to_bytes()[..], shard].concat(), at(1)).expect("useful");
    receiver.handle_timeout(at(1000));
    let events = drain(&mut receiver);
    let [
        VideoEvent::Lost { first, last, cause: LossCause::Overtaken, .. },
        VideoEvent::Lost { .. },
        VideoEvent::Frame(_),
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((first.0, last.0), (1, u32::MAX - 9));
}

#[test]
fn what_is_missing_is_named_shard_by_shard_and_not_twice_in_a_round_trip() {
    let mut wire = Wire::new();
    let mut receiver = Reassembler::new(ReassemblerConfig::new(MAX_FRAME));
    let round_trip = Duration::from_millis(10);
    let payloads = wire.send(&content(0, 10_000), Scheme::Gf16, 1);
    assert_eq!(payloads.len(), 10);
    for index in [0, 2, 3, 6, 7, 9] {
        receiver.receive(&payloads[index], at(5)).expect("useful");
    }
    let mut ranges = Vec::new();
    assert_eq!(receiver.poll_missing(at(6), round_trip, 99, &mut ranges), None, "more may be under way");
    assert_eq!(receiver.poll_missing(at(7), round_trip, 99, &mut ranges), Some(FrameNumber(1)));
    let wanted = |ranges: &[u8]| Missing::new(FrameNumber(1), ranges).ranges().collect::<Vec<_>>();
    // Five shards are lost, of which one is made good by parity and one need not be data.
    assert_eq!(wanted(&ranges), [ShardRange { first: 1, count: 1 }, ShardRange { first: 4, count: 2 }]);
    ranges.clear();
    assert_eq!(receiver.poll_missing(at(16), round_trip, 99, &mut ranges), None);
    assert_eq!(receiver.poll_missing(at(17), round_trip, 1, &mut ranges), Some(FrameNumber(1)));
    assert_eq!(wanted(&ranges), [ShardRange { first: 1, count: 1 }]);
    assert_eq!(receiver.poll_missing(at(150), round_trip, 99, &mut ranges), None, "too late");

    wire.send(&content(1, 10), Scheme::Gf16, 0);
    let third = wire.send(&content(2, 10), Scheme::Gf16, 0);
    receiver.receive(&third[0], at(151)).expect("useful");
    receiver.handle_timeout(at(155));
    ranges.clear();
    assert_eq!(receiver.poll_missing(at(156), round_trip, 99, &mut ranges), Some(FrameNumber(2)));
    assert_eq!(wanted(&ranges), [ALL_SHARDS]);
}

#[test]
fn hostile_shapes_take_no_memory() {
    let mut receiver = Reassembler::new(ReassemblerConfig::new(1000));
    let limit = receiver.config.max_memory;
    let flags = FrameFlags { kind: FrameKind::P, reference: Reference::Short };
    for (number, (data, parity, len)) in [(4095, 1, 60_000), (1, 2048, 1000), (40, 1, 60_000)].into_iter().enumerate() {
        let shape = Shape::new(Scheme::Gf16, data, parity, len).expect("a shape");
        let frame = FrameNumber(number as u32 + 1);
        let header = ShardHeader { frame, index: 0, shape, flags, sending: Sending::First };
        let payload = [&header.to_bytes()[..], &vec![1; len]].concat();
        assert!(matches!(receiver.receive(&payload, at(1)), Err(DropReason::TooLarge { .. })));
        assert_eq!(receiver.memory(), 0);
    }
    for number in 1..100 {
        let shape = Shape::new(Scheme::Gf16, 2, 60, 1000).expect("a shape");
        let header = ShardHeader { frame: FrameNumber(number), index: 0, shape, flags, sending: Sending::First };
        receiver.receive(&[&header.to_bytes()[..], &[1; 1000]].concat(), at(1)).expect("useful");
        assert!(receiver.memory() <= limit);
    }
}

#[test]
fn contradictions_and_bad_frame_headers_are_told_apart() {
    let mut wire = Wire::new();
    let mut receiver = Reassembler::new(ReassemblerConfig::new(MAX_FRAME));
    let payloads = wire.send(&content(0, 5000), Scheme::Gf16, 1);
    receiver.receive(&payloads[0], at(1)).expect("useful");
    assert_eq!(receiver.receive(&payloads[0], at(1)), Err(DropReason::Duplicate));
    let mut other = payloads[1].clone();
    other[9] += 1;
    assert_eq!(receiver.receive(&other, at(1)), Err(DropReason::Inconsistent));
    other[9] -= 1;
    other.pop();
    other.pop();
    assert_eq!(receiver.receive(&other, at(1)), Err(DropReason::Inconsistent));

    let mut single = wire.send(&content(1, 10), Scheme::Gf16, 0).remove(0);
    single[12..14].copy_from_slice(&(FRAME_HEADER_LEN as u16 - 1).to_be_bytes());
    receiver.receive(&single, at(1)).expect("useful");
    receiver.handle_timeout(at(500));
    let events = drain(&mut receiver);
    assert!(
        matches!(
            &events[..],
            [VideoEvent::Lost { cause: LossCause::Late, .. }, VideoEvent::Lost { cause: LossCause::Header(_), .. }]
        ),
        "{events:?}"
    );
    assert!(HEADER_LEN < single.len());
}
