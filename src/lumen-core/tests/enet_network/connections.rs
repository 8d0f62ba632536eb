//! How connections begin, move and end.

use std::time::Duration;

use lumen_core::enet::wire::{Body, Command, Datagram, Header, PEER_CHANNEL};
use lumen_core::enet::{
    Delivery, DisconnectCause, DropReason, Event, HostConfig, Marking, PeerAddress, SendError, UnknownPeer,
};
use lumen_core::netsim::{LinkConfig, Loss};
use lumen_core::time::Timestamp;

use crate::network::{CLEAN, End, Network, client_address, host, lossy, server_address};

const ROUGH: LinkConfig = lossy(0.15, 20, 20);

fn ends(events: Vec<(End, Event)>) -> Vec<(End, u32, DisconnectCause)> {
    let end = |(end, event)| match event {
        Event::Disconnected { data, cause, .. } => Some((end, data, cause)),
        _ => None,
    };
    events.into_iter().filter_map(end).collect()
}

#[test]
fn nothing_reliable_is_lost_before_a_later_disconnect() {
    for seed in 0..20 {
        let mut network = Network::new(ROUGH, seed);
        let (_, peer) = network.connect();
        for number in 0..50u8 {
            network.client.send(peer, number % 48, &[number; 3000], Delivery::Reliable).unwrap();
        }
        network.client.disconnect_later(peer, 7);
        assert_eq!(network.client.send(peer, 0, b"late", Delivery::Reliable), Err(SendError::NotConnected));
        let events = network.run(Duration::from_secs(30));
        let messages = events.iter().filter(|(_, event)| matches!(event, Event::Message { .. })).count();
        assert_eq!(messages, 50, "seed {seed}");
        let mut ends = ends(events);
        ends.sort_by_key(|(end, ..)| *end == End::Client);
        assert_eq!(
            ends,
            [(End::Server, 7, DisconnectCause::ByPeer), (End::Client, 0, DisconnectCause::Completed)],
            "seed {seed}"
        );
    }
}

#[test]
fn a_later_disconnect_lets_unreliable_messages_leave_first() {
    let mut network = Network::new(CLEAN, 1);
    let (_, peer) = network.connect();
    network.client.send(peer, 0, b"last", Delivery::Unreliable).unwrap();
    network.client.disconnect_later(peer, 1);
    let events = network.run(Duration::from_secs(1));
    assert!(matches!(events[0], (End::Server, Event::Message { .. })), "{events:?}");
    assert_eq!(ends(events).len(), 2);
}

#[test]
fn a_disconnect_is_confirmed_even_if_its_acknowledgement_is_lost() {
    for seed in 0..20 {
        let mut network = Network::new(LinkConfig { loss: Loss::Independent(0.25), ..ROUGH }, seed);
        let (peer, _) = network.connect();
        network.server.disconnect(peer, 3);
        let start = network.now;
        let mut seen = Vec::new();
        while seen.len() < 2 {
            seen.extend(ends(network.step(start + Duration::from_secs(60))));
        }
        assert!(seen.contains(&(End::Server, 0, DisconnectCause::Completed)), "{seen:?}");
        assert!(seen.contains(&(End::Client, 3, DisconnectCause::ByPeer)), "{seen:?}");
        assert!(network.now.saturating_since(start) < Duration::from_secs(8), "seed {seed}");
        assert!(network.server.timeout().is_none() && network.client.timeout().is_none());
    }
}

#[test]
fn both_ends_may_disconnect_at_once() {
    for seed in 0..10 {
        let mut network = Network::new(ROUGH, seed);
        let (at_server, at_client) = network.connect();
        network.server.disconnect(at_server, 1);
        network.client.disconnect(at_client, 2);
        let start = network.now;
        let ends = ends(network.run(Duration::from_secs(8)));
        assert_eq!(ends.len(), 2, "seed {seed}: {ends:?} after {:?}", network.now.saturating_since(start));
        assert!(ends.iter().all(|(_, _, cause)| *cause == DisconnectCause::Completed), "{ends:?}");
    }
}

#[test]
fn disconnect_now_tells_the_peer_and_tells_it_again() {
    let mut network = Network::new(CLEAN, 1);
    let (at_server, at_client) = network.connect();
    network.run(Duration::from_secs(2));
    network.server.disconnect_now(at_server, 5);
    assert_eq!(network.server.address(at_server), None);
    network.set_loss(1.0);
    assert!(network.run(Duration::from_millis(50)).is_empty(), "lost");
    network.set_loss(0.0);
    network.client.send(at_client, 0, b"hello?", Delivery::Reliable).unwrap();
    let events = network.run(Duration::from_millis(200));
    assert_eq!(ends(events), [(End::Client, 5, DisconnectCause::ByPeer)]);
}

#[test]
fn a_peer_that_acknowledges_nothing_is_gone_after_ten_seconds() {
    let mut network = Network::new(CLEAN, 1);
    network.connect();
    network.run(Duration::from_secs(3));
    network.set_loss(1.0);
    let start = network.now;
    let mut events = Vec::new();
    while events.len() < 2 {
        events.extend(network.step(start + Duration::from_secs(30)));
        let elapsed = network.now.saturating_since(start);
        assert!(events.is_empty() || (Duration::from_secs(9)..Duration::from_secs(11)).contains(&elapsed));
    }
    let ends = ends(events);
    assert!(ends.iter().all(|(_, _, cause)| *cause == DisconnectCause::TimedOut), "{ends:?}");
    assert!(network.server.timeout().is_none() && network.client.timeout().is_none());
}

#[test]
fn a_silence_of_nine_seconds_is_survived() {
    let mut network = Network::new(CLEAN, 1);
    let (_, peer) = network.connect();
    network.client.send(peer, 0, b"before", Delivery::Reliable).unwrap();
    network.set_loss(1.0);
    assert!(network.run(Duration::from_secs(9)).is_empty());
    network.set_loss(0.0);
    let events = network.run(Duration::from_secs(10));
    assert_eq!(events.len(), 1);
    assert!(matches!(events[0], (End::Server, Event::Message { .. })), "{events:?}");
}

#[test]
fn an_attempt_that_nobody_answers_fails() {
    let mut network = Network::new(lossy(1.0, 1, 0), 1);
    network.client.connect(server_address(), 48, 0).unwrap();
    let start = network.now;
    let mut marked = Vec::new();
    while let Some(next) = network.client.timeout() {
        while let Some(transmit) = network.client.poll_transmit(network.now) {
            marked.push(transmit.marking == Marking::Expedited);
        }
        network.now = network.client.timeout().unwrap_or(next);
        network.client.handle_timeout(network.now);
    }
    // The first datagram leaves before there is a deadline.
    while let Some(transmit) = network.client.poll_transmit(network.now) {
        marked.push(transmit.marking == Marking::Expedited);
        network.now = network.client.timeout().unwrap();
        network.client.handle_timeout(network.now);
    }
    assert_eq!(marked[..4], [true, true, true, false], "marked datagrams may be what is lost");
    assert_eq!(ends(network.events()), [(End::Client, 0, DisconnectCause::TimedOut)]);
    assert_eq!(network.now.saturating_since(start), Duration::from_secs(10));
}

#[test]
fn connections_survive_heavy_loss_at_their_start() {
    for seed in 0..30 {
        let mut network = Network::new(lossy(0.3, 20, 20), seed);
        network.connect();
    }
}

#[test]
fn an_idle_connection_is_pinged_every_half_second_and_measures_its_round_trip() {
    let mut network = Network::new(CLEAN, 1);
    let (at_server, _) = network.connect();
    network.run(Duration::from_secs(5));
    let before = network.server.statistics(at_server).unwrap().transmissions;
    network.run(Duration::from_secs(10));
    let pings = network.server.statistics(at_server).unwrap().transmissions - before;
    assert!((18..=20).contains(&pings), "{pings}");
    assert_eq!(network.server.statistics(at_server).unwrap().round_trip, Duration::from_millis(20));
}

#[test]
fn channels_and_ids_that_do_not_exist_are_refused() {
    let mut network = Network::new(CLEAN, 1);
    let (at_server, at_client) = network.connect();
    let bad = SendError::BadChannel { channel: 48, count: 48 };
    assert_eq!(network.client.send(at_client, 48, b"", Delivery::Reliable), Err(bad));
    let large = SendError::TooLarge { length: 65_537, limit: 65_536 };
    assert_eq!(network.client.send(at_client, 0, &vec![0; 65_537], Delivery::Reliable), Err(large));
    network.server.disconnect_now(at_server, 0);
    network.run(Duration::from_secs(1));
    assert_eq!(network.server.send(at_server, 0, b"", Delivery::Reliable), Err(SendError::NotConnected));
    assert_eq!(network.server.migrate(at_server, client_address(1)), Err(UnknownPeer));
    assert_eq!(network.server.statistics(at_server), None);
    let (again, _) = network.connect();
    assert_eq!(again.slot(), at_server.slot());
    assert_ne!(again, at_server, "the old id must not name the new connection");
    assert_eq!(network.server.address(at_server), None);
}

#[test]
fn a_client_that_roams_is_followed_only_when_its_owner_says_so() {
    let mut network = Network::new(CLEAN, 1);
    let (at_server, at_client) = network.connect();
    network.run(Duration::from_secs(1));
    let roamed = client_address(50_001);
    network.client_address = roamed;
    network.client.send(at_client, 3, b"sealed", Delivery::Reliable).unwrap();
    let events = network.run(Duration::from_millis(15));
    let foreign = Event::ForeignAddress { peer: at_server, address: roamed, channel: 3, bytes: b"sealed".to_vec() };
    assert_eq!(events, [(End::Server, foreign)]);
    network.server.migrate(at_server, roamed).unwrap();
    let events = network.run(Duration::from_secs(1));
    assert!(matches!(&events[..], [(End::Server, Event::Message { channel: 3, .. })]), "{events:?}");
    network.server.send(at_server, 0, b"welcome", Delivery::Reliable).unwrap();
    assert_eq!(network.run(Duration::from_secs(1)).len(), 1);
}

#[test]
fn a_guessed_disconnect_from_elsewhere_does_nothing() {
    let mut network = Network::new(CLEAN, 1);
    let (at_server, _) = network.connect();
    let mut forged = Vec::new();
    Header { slot: Some(0), session: 0, sent_time: None }.encode(&mut forged);
    let body = Body::Disconnect { data: 1 };
    Command { channel: PEER_CHANNEL, sequence: 9, acknowledge: false, unsequenced: true, body }.encode(&mut forged);
    let elsewhere = client_address(6666);
    assert_eq!(network.server.receive(elsewhere, &forged, network.now), Err(DropReason::ForeignAddress));
    assert_eq!(network.server.poll_event(), None);
    assert!(network.server.address(at_server).is_some());
}

#[test]
fn addresses_of_a_dual_stack_socket_are_the_same_peer() {
    let plain = PeerAddress::new("192.0.2.7:5000".parse().unwrap());
    let mapped =
        PeerAddress::with_local("[::ffff:192.0.2.7]:5000".parse().unwrap(), "::ffff:10.0.0.1".parse().unwrap());
    assert_eq!(plain.remote(), mapped.remote());
    assert_eq!(mapped.local(), Some("10.0.0.1".parse().unwrap()));
}

/// What a fresh client sends first.
fn connect_datagram(seed: u64) -> Vec<u8> {
    let mut client = host(HostConfig::client(), seed);
    client.connect(server_address(), 48, 0).unwrap();
    client.poll_transmit(Timestamp::ZERO).unwrap().bytes
}

#[test]
fn half_open_connections_are_few_and_short() {
    let mut server = host(HostConfig::host(), 1);
    let limits = HostConfig::host().limits;
    let now = Timestamp::from_millis(5);
    let mut outcomes = Vec::new();
    for port in 1..=4 {
        outcomes.push(server.receive(client_address(port), &connect_datagram(port.into()), now));
    }
    assert_eq!(outcomes[..2], [Ok(()), Ok(())]);
    assert_eq!(outcomes[2], Err(DropReason::TooManyHalfOpen), "per address");
    for last in 10..100u8 {
        let from = PeerAddress::new(([198, 51, 100, last], 1).into());
        outcomes.push(server.receive(from, &connect_datagram(last.into()), now));
    }
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), limits.half_open);
    assert_eq!(
        server.receive(client_address(1), &connect_datagram(1), now),
        Err(DropReason::RepeatedConnect),
        "a repeated CONNECT is no second connection"
    );
    let mut time = now;
    while let Some(next) = server.timeout() {
        while server.poll_transmit(time).is_some() {}
        time = next;
        server.handle_timeout(time);
    }
    while server.poll_transmit(time).is_some() {}
    while let Some(next) = server.timeout() {
        time = next;
        server.handle_timeout(time);
        while server.poll_transmit(time).is_some() {}
    }
    assert_eq!(time, now + HostConfig::host().timeouts.half_open);
    assert_eq!(server.poll_event(), None, "nobody was told of them");
}

#[test]
fn slots_run_out() {
    let mut server = host(HostConfig { peer_limit: 2, ..HostConfig::host() }, 1);
    for last in 1..=2 {
        let from = PeerAddress::new(([198, 51, 100, last], 1).into());
        server.receive(from, &connect_datagram(last.into()), Timestamp::ZERO).unwrap();
    }
    let from = PeerAddress::new(([198, 51, 100, 3], 1).into());
    assert_eq!(server.receive(from, &connect_datagram(3), Timestamp::ZERO), Err(DropReason::NoFreeSlot));
    let mut client = host(HostConfig::client(), 9);
    assert_eq!(client.receive(from, &connect_datagram(3), Timestamp::ZERO), Err(DropReason::NotAccepting));
}

#[test]
fn datagrams_of_an_earlier_connection_of_the_slot_are_ignored() {
    let mut network = Network::new(CLEAN, 1);
    let (at_server, at_client) = network.connect();
    network.client.send(at_client, 0, b"stale", Delivery::Reliable).unwrap();
    let stale = network.client.poll_transmit(network.now).unwrap().bytes;
    assert_eq!(Datagram::parse(&stale).unwrap().header().session, 0);
    network.client.disconnect_now(at_client, 0);
    network.server.disconnect_now(at_server, 0);
    network.run(Duration::from_millis(100));
    network.connect();
    assert_eq!(network.server.receive(network.client_address, &stale, network.now), Err(DropReason::WrongSession(0)));
}
