//! What is delivered under loss, reordering and duplication.

use std::collections::HashMap;
use std::time::Duration;

use lumen_core::enet::{Delivery, Event};
use lumen_core::netsim::{LinkConfig, Loss};

use crate::network::{CLEAN, End, Network, lossy};

const ROUGH: LinkConfig = LinkConfig { duplication: 0.05, ..lossy(0.15, 20, 20) };

fn message(channel: u8, number: u32, length: usize) -> Vec<u8> {
    let mut bytes = vec![channel];
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes.extend((0..length).map(|at| (at as u32 ^ number) as u8));
    bytes
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[1..5].try_into().unwrap())
}

#[test]
fn reliable_messages_arrive_once_and_in_order_per_channel() {
    for (loss, seed) in [(0.01, 1), (0.05, 2), (0.15, 3), (0.15, 4), (0.3, 5)] {
        let mut network = Network::new(LinkConfig { loss: Loss::Independent(loss), ..ROUGH }, seed);
        let (_, peer) = network.connect();
        let lengths = [0, 8, 100, 862, 867, 868, 2000, 16_000, 60_000];
        let mut received: HashMap<u8, u32> = HashMap::new();
        let mut events = Vec::new();
        for round in 0..40u32 {
            for channel in [0u8, 2, 3, 16, 47] {
                let length = lengths[(round as usize + usize::from(channel)) % lengths.len()];
                network.client.send(peer, channel, &message(channel, round, length), Delivery::Reliable).unwrap();
            }
            events.extend(network.run(Duration::from_millis(150)));
        }
        events.extend(network.run(Duration::from_secs(30)));
        for (end, event) in events {
            let Event::Message { channel, bytes, delivery, .. } = event else { panic!("{loss}: {event:?}") };
            assert_eq!((end, delivery), (End::Server, Delivery::Reliable));
            let expected = received.entry(channel).or_insert(0);
            let length = lengths[(*expected as usize + usize::from(channel)) % lengths.len()];
            assert!(bytes == message(channel, *expected, length), "loss {loss}, channel {channel}, {expected}");
            *expected += 1;
        }
        assert_eq!(received.values().sum::<u32>(), 200, "loss {loss}");
        let statistics = network.client.statistics(peer).unwrap();
        assert_eq!((statistics.in_flight_bytes, statistics.outgoing_bytes), (0, 0));
        assert!(statistics.lost > 0 && statistics.transmissions > statistics.lost);
        // Losses in either direction, and what jitter made late.
        let lost = 1.0 - (1.0 - loss) * (1.0 - loss);
        let measured = statistics.lost as f64 / statistics.transmissions as f64;
        assert!((lost * 0.7..lost * 1.2 + 0.1).contains(&measured), "{measured} at {loss}");
    }
}

#[test]
fn unreliable_messages_arrive_at_most_once_and_never_late() {
    let mut network = Network::new(ROUGH, 11);
    let (_, peer) = network.connect();
    let mut events = Vec::new();
    for round in 0..500 {
        network.client.send(peer, 4, &message(4, round, 50), Delivery::Unreliable).unwrap();
        if round % 10 == 0 {
            network.client.send(peer, 4, &message(4, 10_000, 20), Delivery::Reliable).unwrap();
        }
        events.extend(network.run(Duration::from_millis(10)));
    }
    events.extend(network.run(Duration::from_secs(5)));
    let mut last = None;
    let (mut unreliable, mut reliable) = (0, 0);
    for (_, event) in events {
        match event {
            Event::Message { delivery: Delivery::Unreliable, bytes, .. } => {
                assert!(last < Some(number(&bytes)), "{last:?} before {}", number(&bytes));
                last = Some(number(&bytes));
                unreliable += 1;
            }
            Event::Message { delivery: Delivery::Reliable, .. } => reliable += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(reliable, 50);
    assert!((100..500).contains(&unreliable), "{unreliable}");
}

#[test]
fn unsequenced_messages_arrive_at_most_once() {
    let mut network = Network::new(LinkConfig { duplication: 0.5, ..ROUGH }, 12);
    let (_, peer) = network.connect();
    let mut events = Vec::new();
    for round in 0..3000 {
        network.client.send(peer, 0, &message(0, round, 30), Delivery::Unsequenced).unwrap();
        events.extend(network.run(Duration::from_millis(2)));
    }
    events.extend(network.run(Duration::from_secs(1)));
    let mut seen = std::collections::HashSet::new();
    for (_, event) in events {
        let Event::Message { delivery: Delivery::Unsequenced, bytes, .. } = event else { panic!("{event:?}") };
        assert!(seen.insert(number(&bytes)));
    }
    assert!(seen.len() > 2000, "{}", seen.len());
}

#[test]
fn on_a_clean_link_every_unreliable_message_arrives_in_order_with_the_reliable_ones() {
    let mut network = Network::new(CLEAN, 13);
    let (_, peer) = network.connect();
    for round in 0..100 {
        let delivery = if round % 3 == 0 { Delivery::Reliable } else { Delivery::Unreliable };
        network.client.send(peer, 9, &message(9, round, 100), delivery).unwrap();
    }
    let events = network.run(Duration::from_secs(1));
    let numbers: Vec<_> = events
        .iter()
        .map(|(_, event)| match event {
            Event::Message { bytes, .. } => number(bytes),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(numbers, (0..100).collect::<Vec<_>>());
}

#[test]
fn an_oversized_unreliable_message_becomes_reliable() {
    let mut network = Network::new(CLEAN, 14);
    let (_, peer) = network.connect();
    network.client.send(peer, 0, &message(0, 1, 5000), Delivery::Unreliable).unwrap();
    network.client.send(peer, 0, &message(0, 2, 5000), Delivery::Unsequenced).unwrap();
    let events = network.run(Duration::from_secs(1));
    assert_eq!(events.len(), 2);
    for (_, event) in events {
        assert!(matches!(event, Event::Message { delivery: Delivery::Reliable, .. }));
    }
}

#[test]
fn the_clock_of_the_wire_may_wrap() {
    for start in [65_536_u64 * 20, 1 << 32, (1 << 32) * 3 + 65_536] {
        let mut network = Network::new(LinkConfig { duplication: 0.0, loss: Loss::None, ..ROUGH }, 15);
        network.now = lumen_core::time::Timestamp::from_millis(start - 3000);
        let (_, peer) = network.connect();
        let mut messages = 0;
        for round in 0..600 {
            network.client.send(peer, 0, &message(0, round, 10), Delivery::Reliable).unwrap();
            messages += network.run(Duration::from_millis(10)).len();
            let statistics = network.client.statistics(peer).unwrap();
            if round > 10 {
                assert!((40..=85).contains(&statistics.round_trip.as_millis()), "{:?}", statistics.round_trip);
            }
        }
        messages += network.run(Duration::from_secs(1)).len();
        assert_eq!(messages, 600);
    }
}

#[test]
fn a_peer_that_cannot_keep_up_fills_a_bounded_queue() {
    let mut network = Network::new(CLEAN, 16);
    let (_, peer) = network.connect();
    network.set_loss(1.0);
    let refused = (0..2000).find_map(|_| network.client.send(peer, 0, &[0; 1000], Delivery::Reliable).err());
    assert_eq!(refused, Some(lumen_core::enet::SendError::QueueFull));
    network.run(Duration::from_secs(1));
    let statistics = network.client.statistics(peer).unwrap();
    assert!(statistics.outgoing_bytes <= 1 << 20);
    assert!(statistics.in_flight_bytes <= 65_536);
}
