//! Tests of the receiver, most of them against our own packetizer.

use proptest::prelude::*;

use super::*;
use crate::crypto::CbcKey;
use crate::gamestream::audio::{AudioConfig, AudioCounters, AudioFec, AudioPacketizeError, AudioPacketizer};

fn encryption() -> Option<AudioEncryption> {
    Some(AudioEncryption { key: CbcKey::new(b"0123456789abcdef"), key_id: -2 })
}

fn packetizer(encryption: Option<AudioEncryption>, sequence: u16) -> AudioPacketizer {
    let config = AudioConfig { packet_duration: PacketDuration::FIVE, encryption, fec: AudioFec::On };
    AudioPacketizer::resume(config, AudioCounters { sequence, timestamp: 0 }).expect("a block start")
}

fn receiver(encryption: Option<AudioEncryption>, start: AudioStart) -> AudioReceiver {
    AudioReceiver::new(AudioReceiverConfig { packet_duration: PacketDuration::FIVE, encryption, start })
}

fn at(sequence: u16) -> AudioStart {
    AudioStart::At(SequenceNumber(sequence))
}

fn opus(index: usize) -> Vec<u8> {
    (0..60).map(|byte| (index * 17 + byte) as u8).collect()
}

/// The datagrams of `count` Opus packets: six for each full block.
fn stream(packetizer: &mut AudioPacketizer, count: usize) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    for index in 0..count {
        datagrams.extend(packetizer.push(&opus(index)).expect("constant length").iter().map(<[u8]>::to_vec));
    }
    datagrams
}

fn drain(receiver: &mut AudioReceiver) -> Vec<AudioEvent> {
    std::iter::from_fn(|| receiver.poll()).collect()
}

/// Sequence numbers: those of packets as they are, those of losses negative.
fn outline(events: &[AudioEvent]) -> Vec<i32> {
    events
        .iter()
        .flat_map(|event| match event {
            AudioEvent::Packet { header, .. } => vec![i32::from(header.sequence.0)],
            AudioEvent::Lost { first, count } => (0..*count).map(|i| -i32::from(first.plus(i).0)).collect(),
        })
        .collect()
}

#[test]
fn packets_in_order_come_out_at_once() {
    let mut receiver = receiver(encryption(), at(0));
    for (index, datagram) in stream(&mut packetizer(encryption(), 0), 8).iter().enumerate() {
        let used = receiver.receive(datagram, Timestamp::ZERO);
        let events = drain(&mut receiver);
        match index % 6 {
            place @ 0..4 => {
                let number = index / 6 * 4 + place;
                let header = AudioHeader { sequence: SequenceNumber(number as u16), timestamp: number as u32 * 5 };
                assert_eq!(events, [AudioEvent::Packet { header, opus: opus(number), recovered: false }]);
            }
            // Parity of a block that is out already.
            _ => assert_eq!((used, events), (Err(AudioDropReason::Late), vec![])),
        }
    }
    assert_eq!(receiver.late_memory, 0);
}

#[test]
fn two_lost_packets_are_rebuilt_with_their_timestamps() {
    let mut receiver = receiver(encryption(), at(65532));
    let datagrams = stream(&mut packetizer(encryption(), 65532), 4);
    for datagram in &datagrams[2..] {
        receiver.receive(datagram, Timestamp::ZERO).expect("used");
    }
    let events = drain(&mut receiver);
    assert_eq!(outline(&events), [65532, 65533, 65534, 65535]);
    for (index, event) in events.iter().enumerate() {
        let header = AudioHeader { sequence: SequenceNumber(65532 + index as u16), timestamp: index as u32 * 5 };
        assert_eq!(*event, AudioEvent::Packet { header, opus: opus(index), recovered: index < 2 });
    }
}

#[test]
fn a_hole_is_given_up_as_soon_as_the_next_block_begins() {
    let mut receiver = receiver(None, at(0));
    let datagrams = stream(&mut packetizer(None, 0), 8);
    for index in [1, 3] {
        receiver.receive(&datagrams[index], Timestamp::ZERO).expect("used");
        assert!(drain(&mut receiver).is_empty());
    }
    receiver.receive(&datagrams[6], Timestamp::ZERO).expect("used");
    assert_eq!(outline(&drain(&mut receiver)), [0, 1, -2, 3, 4]);
}

#[test]
fn where_packets_are_late_a_hole_is_given_ten_milliseconds() {
    let mut receiver = receiver(None, at(4));
    let mut packetizer = packetizer(None, 0);
    let late = stream(&mut packetizer, 4);
    assert_eq!(receiver.receive(&late[3], Timestamp::ZERO), Err(AudioDropReason::Late));
    let datagrams = stream(&mut packetizer, 8);
    for index in [1, 2, 6] {
        receiver.receive(&datagrams[index], Timestamp::from_millis(20)).expect("used");
    }
    assert!(drain(&mut receiver).is_empty());
    assert_eq!(receiver.deadline(), Some(Timestamp::from_millis(30)));
    receiver.handle_timeout(Timestamp::from_millis(29));
    assert!(drain(&mut receiver).is_empty());
    receiver.handle_timeout(Timestamp::from_millis(30));
    assert_eq!(outline(&drain(&mut receiver)), [-4, 5, 6, -7, 8]);
    assert_eq!(receiver.deadline(), None);
}

#[test]
fn a_live_queue_begins_at_a_block_after_the_backlog() {
    let mut receiver = receiver(None, AudioStart::Live(Duration::from_millis(500)));
    let datagrams = stream(&mut packetizer(None, 0), 12);
    assert_eq!(receiver.receive(&datagrams[0], Timestamp::ZERO), Err(AudioDropReason::NotStarted));
    let later = Timestamp::from_millis(500);
    assert_eq!(receiver.receive(&datagrams[1], later), Err(AudioDropReason::NotStarted));
    assert_eq!(receiver.receive(&datagrams[6], later), Ok(()));
    assert_eq!(outline(&drain(&mut receiver)), [4]);
}

#[test]
fn a_gap_larger_than_the_queue_is_one_loss() {
    let mut receiver = receiver(None, at(0));
    let datagrams = stream(&mut packetizer(None, 0), 204);
    receiver.receive(&datagrams[0], Timestamp::ZERO).expect("used");
    receiver.receive(&datagrams[6 * 50], Timestamp::ZERO).expect("used");
    let events = drain(&mut receiver);
    assert_eq!(events[1], AudioEvent::Lost { first: SequenceNumber(1), count: 199 });
    assert_eq!(outline(&events).last(), Some(&200));
}

#[test]
fn payloads_of_other_lengths_do_not_get_into_a_block() {
    let mut receiver = receiver(None, at(0));
    let datagrams = stream(&mut packetizer(None, 0), 4);
    receiver.receive(&datagrams[0], Timestamp::ZERO).expect("used");
    assert_eq!(
        receiver.receive(&datagrams[4][..70], Timestamp::ZERO),
        Err(AudioDropReason::LengthMismatch { expected: 60, found: 46 })
    );
    assert_eq!(receiver.receive(&datagrams[0], Timestamp::ZERO), Err(AudioDropReason::Duplicate));
    assert_eq!(receiver.receive(&[0; 1401], Timestamp::ZERO), Err(AudioDropReason::TooLong(1401)));
}

#[test]
fn the_packetizer_refuses_what_clients_could_not_use() {
    let mut packetizer = packetizer(encryption(), 0);
    assert_eq!(packetizer.push(&[]).map(|_| ()), Err(AudioPacketizeError::Empty));
    assert_eq!(packetizer.push(&[0; 1376]).map(|_| ()), Err(AudioPacketizeError::TooLong(1376)));
    assert!(packetizer.push(&[0; 1280]).is_ok());
    assert_eq!(
        packetizer.push(&[0; 1279]).map(|_| ()),
        Err(AudioPacketizeError::LengthMismatch { expected: 1280, found: 1279 })
    );
    assert_eq!(packetizer.counters().sequence, 1);
}

#[test]
fn without_parity_every_packet_stands_alone() {
    let config = AudioConfig { packet_duration: PacketDuration::FIVE, encryption: None, fec: AudioFec::Off };
    let mut packetizer = AudioPacketizer::new(config);
    for length in 1..20 {
        assert_eq!(packetizer.push(&vec![1; length]).expect("fits").iter().count(), 1);
    }
}

proptest! {
    #[test]
    fn what_comes_out_is_what_went_in_and_nothing_is_missed(
        start in (0u16..16384).prop_map(|block| block * 4), lost in prop::collection::vec(0u8..4, 90), encrypted: bool,
        duplicate: bool,
    ) {
        let encryption = encrypted.then(encryption).flatten();
        let mut receiver = receiver(encryption.clone(), at(start));
        let datagrams = stream(&mut packetizer(encryption, start), 60);
        for (datagram, fate) in datagrams.iter().zip(lost) {
            if fate != 0 {
                let _ = receiver.receive(datagram, Timestamp::ZERO);
                if duplicate {
                    let _ = receiver.receive(datagram, Timestamp::ZERO);
                }
            }
        }
        let mut next = start;
        for event in drain(&mut receiver) {
            match event {
                AudioEvent::Packet { header, opus: payload, .. } => {
                    prop_assert_eq!(header.sequence.0, next);
                    let index = next.wrapping_sub(start);
                    prop_assert_eq!(header.timestamp, u32::from(index) * 5);
                    prop_assert_eq!(payload, opus(index.into()));
                    next = next.wrapping_add(1);
                }
                AudioEvent::Lost { first, count } => {
                    prop_assert_eq!(first.0, next);
                    next = next.wrapping_add(count);
                }
            }
        }
        prop_assert!(next.wrapping_sub(start) <= 60);
    }

    #[test]
    fn blocks_with_four_of_six_in_any_order_are_complete(
        order in Just((0..6usize).collect::<Vec<_>>()).prop_shuffle(), encrypted: bool,
    ) {
        let encryption = encrypted.then(encryption).flatten();
        let mut receiver = receiver(encryption.clone(), at(0));
        let datagrams = stream(&mut packetizer(encryption, 0), 4);
        for &index in &order[..4] {
            receiver.receive(&datagrams[index], Timestamp::ZERO).expect("used");
        }
        prop_assert_eq!(outline(&drain(&mut receiver)), vec![0, 1, 2, 3]);
    }

    #[test]
    fn arbitrary_datagrams_never_panic(
        datagrams in prop::collection::vec(
            (prop::sample::select(vec![97u8, 127, 0]), prop::collection::vec(any::<u8>(), 0..60)), 0..100
        ),
        live: bool,
    ) {
        let start = if live { AudioStart::Live(Duration::ZERO) } else { at(0) };
        let mut receiver = receiver(encryption(), start);
        for (index, (kind, mut datagram)) in datagrams.into_iter().enumerate() {
            if let Some(byte) = datagram.get_mut(1) {
                *byte = kind;
            }
            let now = Timestamp::from_millis(index as u64);
            let _ = receiver.receive(&datagram, now);
            receiver.handle_timeout(now);
            drain(&mut receiver);
        }
    }
}
