//! Datagrams that nobody should send (protocol part 3, section 7, ENet layer). Nothing panics, memory stays
//! within its limits, and a connection that is not addressed goes on.

use std::time::Duration;

use lumen_core::enet::wire::{Body, Command, Datagram, Fragment, Handshake, Header, ThrottleSettings};
use lumen_core::enet::{Delivery, DropReason, Event, Host, HostConfig, Limits, PeerId};
use lumen_core::time::Timestamp;
use proptest::prelude::*;

use crate::network::{CLEAN, End, Network, client_address};

/// A server with one connection, and the address that it was opened from.
fn connected() -> (Network, PeerId) {
    let mut network = Network::new(CLEAN, 1);
    let (peer, _) = network.connect();
    network.run(Duration::from_millis(100));
    (network, peer)
}

fn datagram(commands: &[Command<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Header { slot: Some(0), session: 0, sent_time: Some(7) }.encode(&mut bytes);
    commands.iter().for_each(|command| command.encode(&mut bytes));
    bytes
}

fn reliable(channel: u8, sequence: u16, body: Body<'_>) -> Command<'_> {
    Command { channel, sequence, acknowledge: true, unsequenced: false, body }
}

/// Everything that a host is allowed to hold for one peer, generously.
fn memory_bound(limits: Limits) -> usize {
    2 * limits.waiting_bytes + 3 * limits.packet_bytes
}

#[test]
fn broken_headers_and_foreign_slots_are_named() {
    use lumen_core::enet::wire::HeaderError::{Compressed, NotConnect, Truncated};
    let (mut network, _) = connected();
    let (from, now) = (network.client_address, network.now);
    let cases: [(&[u8], DropReason); 9] = [
        (&[], Truncated.into()),
        (&[0], Truncated.into()),
        (&[0x80, 0], Truncated.into()),
        (&[0x80, 0, 1], Truncated.into()),
        (&[0x40, 0], Compressed.into()),
        (&[0x0F, 0xFF, 0x05, 0xFF, 0, 1], NotConnect.into()),
        (&[0x00, 0x01], DropReason::NoConnection(1)),
        (&[0x00, 0xFF], DropReason::NoConnection(255)),
        (&[0x10, 0x00], DropReason::WrongSession(0)),
    ];
    for (bytes, reason) in cases {
        assert_eq!(network.server.receive(from, bytes, now), Err(reason), "{bytes:?}");
    }
    let long = vec![0; 4097];
    assert_eq!(network.server.receive(from, &long, now), Err(DropReason::TooLong(4097)));
    assert_eq!(network.server.receive(client_address(9), &[0, 0], now), Err(DropReason::ForeignAddress));
}

#[test]
fn commands_out_of_place_change_nothing() {
    let (mut network, peer) = connected();
    let (from, now) = (network.client_address, network.now);
    let throttle = ThrottleSettings { interval: 0, acceleration: u32::MAX, deceleration: u32::MAX };
    let handshake = Handshake {
        slot: 0xFFFF,
        incoming_session: 9,
        outgoing_session: 9,
        mtu: 0,
        window: 0,
        channels: 0,
        incoming_bandwidth: 1,
        outgoing_bandwidth: 1,
        throttle,
        connect_id: [0; 4],
    };
    let connect = datagram(&[reliable(0xFF, 1, Body::Connect { offer: handshake, data: 0 })]);
    assert_eq!(network.server.receive(from, &connect, now), Err(DropReason::UnexpectedConnect));
    network
        .server
        .receive(
            from,
            &datagram(&[
                reliable(0xFF, 90, Body::VerifyConnect(handshake)),
                reliable(0xFF, 91, Body::BandwidthLimit { incoming: 1, outgoing: u32::MAX }),
                reliable(0xFF, 92, Body::ThrottleConfigure(throttle)),
                reliable(3, 4, Body::Acknowledge { sequence: 999, sent_time: 0xFFFF }),
                reliable(0xFF, 1, Body::Acknowledge { sequence: 1, sent_time: (now.as_millis() as u16) + 9 }),
            ]),
            now,
        )
        .unwrap();
    let beyond = datagram(&[reliable(48, 1, Body::SendReliable { data: b"x" })]);
    assert_eq!(network.server.receive(from, &beyond, now), Err(DropReason::BadChannel));
    assert_eq!(network.server.statistics(peer).unwrap().round_trip, Duration::from_millis(20));
    network.server.send(peer, 0, &[1; 60_000], Delivery::Reliable).unwrap();
    let events = network.run(Duration::from_secs(5));
    assert!(matches!(events[..], [(End::Client, Event::Message { .. })]), "{events:?}");
}

#[test]
fn acknowledgements_of_the_future_do_not_bend_the_clock() {
    let (mut network, peer) = connected();
    let before = network.server.statistics(peer).unwrap().round_trip;
    for ahead in [1, 100, 0x7FFF] {
        let sent_time = (network.now.as_millis() as u16).wrapping_add(ahead);
        let future = datagram(&[reliable(0, 1, Body::Acknowledge { sequence: 1, sent_time })]);
        network.server.receive(network.client_address, &future, network.now).unwrap();
    }
    assert_eq!(network.server.statistics(peer).unwrap().round_trip, before);
}

#[test]
fn gaps_that_are_never_filled_stay_within_the_memory_limit() {
    let (mut network, peer) = connected();
    let limits = HostConfig::host().limits;
    let mut full = 0;
    for channel in 0..48 {
        for sequence in 2..3000 {
            let command = reliable(channel, sequence, Body::SendReliable { data: &[0; 30] });
            let outcome = network.server.receive(network.client_address, &datagram(&[command]), network.now);
            full += usize::from(outcome == Err(DropReason::Full));
            while network.server.poll_transmit(network.now).is_some() {}
        }
    }
    assert!(full > 0);
    assert!(network.server.statistics(peer).unwrap().waiting_bytes <= memory_bound(limits));
}

#[test]
fn fragments_that_never_complete_stay_within_the_memory_limit() {
    let (mut network, peer) = connected();
    let limits = HostConfig::host().limits;
    let mut full = 0;
    for channel in 0..48 {
        for start in (2..200).step_by(2) {
            let fragment = Fragment { start, count: 2, number: 0, total: 65_536, offset: 0, data: b"x" };
            for body in [Body::SendFragment(fragment), Body::SendUnreliableFragment(fragment)] {
                let command = reliable(channel, start, body);
                let outcome = network.server.receive(network.client_address, &datagram(&[command]), network.now);
                full += usize::from(outcome == Err(DropReason::Full));
            }
        }
    }
    assert!(full > 0);
    assert!(network.server.statistics(peer).unwrap().waiting_bytes <= memory_bound(limits));
}

#[test]
fn an_owner_that_does_not_take_its_events_stays_within_the_memory_limit() {
    let (mut network, peer) = connected();
    let limits = HostConfig::host().limits;
    let refused = (1..20_000).find_map(|sequence| {
        let command = reliable(0, sequence, Body::SendReliable { data: &[0; 300] });
        network.server.receive(network.client_address, &datagram(&[command]), network.now).err()
    });
    assert_eq!(refused, Some(DropReason::Full));
    assert!(network.server.statistics(peer).unwrap().waiting_bytes <= memory_bound(limits));
    while network.server.poll_event().is_some() {}
    assert_eq!(network.server.statistics(peer).unwrap().waiting_bytes, 0);
}

#[test]
fn foreign_datagrams_are_reported_a_few_times_only() {
    let (mut network, _) = connected();
    let messages: Vec<_> = (1..50).map(|n| reliable(0, n, Body::SendReliable { data: b"guess" })).collect();
    for port in 1..100 {
        let outcome = network.server.receive(client_address(port), &datagram(&messages), network.now);
        assert_eq!(outcome, Err(DropReason::ForeignAddress));
    }
    assert_eq!(std::iter::from_fn(|| network.server.poll_event()).count(), 16);
}

fn word() -> impl Strategy<Value = u32> {
    prop_oneof![0u32..4, any::<u32>(), Just(65_536), Just(u32::MAX), 0u32..3000]
}

/// A command that parses, with fields that are likely to matter.
fn command() -> impl Strategy<Value = Vec<u8>> {
    let data = prop::collection::vec(any::<u8>(), 0..40);
    let numbers = prop_oneof![0u16..8, any::<u16>()];
    (0u8..16, any::<[bool; 2]>(), 0u8..50, (numbers.clone(), numbers), (word(), word(), word(), word()), data).prop_map(
        |(kind, [acknowledge, on_peer], channel, (first, second), (count, number, total, offset), data)| {
            let throttle = ThrottleSettings { interval: count, acceleration: number, deceleration: total };
            let handshake = Handshake {
                slot: first,
                incoming_session: channel,
                outgoing_session: channel,
                mtu: count,
                window: number,
                channels: total,
                incoming_bandwidth: offset,
                outgoing_bandwidth: count,
                throttle,
                connect_id: [1; 4],
            };
            let fragment = Fragment { start: first, count, number, total, offset, data: &data };
            let body = match kind {
                0 | 1 => Body::Acknowledge { sequence: first, sent_time: second },
                2 => Body::Connect { offer: handshake, data: 0 },
                3 => Body::VerifyConnect(handshake),
                5 => Body::Ping,
                6 | 13 => Body::SendReliable { data: &data },
                7 => Body::SendUnreliable { number: second, data: &data },
                8 | 14 => Body::SendFragment(fragment),
                9 => Body::SendUnsequenced { group: second, data: &data },
                10 => Body::BandwidthLimit { incoming: count, outgoing: number },
                11 => Body::ThrottleConfigure(throttle),
                12 | 15 => Body::SendUnreliableFragment(fragment),
                _ => Body::Disconnect { data: count },
            };
            let channel = if on_peer { 0xFF } else { channel };
            let sequence = if kind > 12 { first.wrapping_add(number as u16) } else { first };
            let mut bytes = Vec::new();
            Command { channel, sequence, acknowledge, unsequenced: false, body }.encode(&mut bytes);
            bytes
        },
    )
}

#[derive(Debug, Clone)]
enum Step {
    Raw(Vec<u8>),
    Commands(u16, Vec<Vec<u8>>),
    Wait(u64),
    Send(u8, Vec<u8>),
    Disconnect(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => prop::collection::vec(any::<u8>(), 0..120).prop_map(Step::Raw),
        8 => (any::<u16>(), prop::collection::vec(command(), 0..8)).prop_map(|(time, c)| Step::Commands(time, c)),
        3 => (0u64..3000).prop_map(Step::Wait),
        2 => (0u8..50, prop::collection::vec(any::<u8>(), 0..3000)).prop_map(|(c, b)| Step::Send(c, b)),
        1 => (0u8..30).prop_map(Step::Disconnect),
    ]
}

fn drain(host: &mut Host, now: Timestamp) {
    while let Some(transmit) = host.poll_transmit(now) {
        assert!(transmit.bytes.len() <= 900);
        for command in Datagram::parse(&transmit.bytes).expect("own header").commands() {
            command.expect("own command");
        }
    }
    while host.poll_event().is_some() {}
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_datagrams_is_survived(steps in prop::collection::vec(step(), 0..60)) {
        let (mut network, peer) = connected();
        let from = network.client_address;
        for step in steps {
            match step {
                Step::Raw(bytes) => {
                    let _ = network.server.receive(from, &bytes, network.now);
                }
                Step::Commands(time, commands) => {
                    let mut bytes = Vec::new();
                    Header { slot: Some(0), session: 0, sent_time: Some(time) }.encode(&mut bytes);
                    bytes.extend(commands.concat());
                    let _ = network.server.receive(from, &bytes, network.now);
                }
                Step::Wait(millis) => {
                    network.now = network.now + Duration::from_millis(millis);
                    network.server.handle_timeout(network.now);
                }
                Step::Send(channel, bytes) => {
                    let _ = network.server.send(peer, channel, &bytes, Delivery::Reliable);
                }
                Step::Disconnect(0) => network.server.disconnect(peer, 0),
                Step::Disconnect(1) => network.server.disconnect_later(peer, 0),
                Step::Disconnect(2) => network.server.disconnect_now(peer, 0),
                Step::Disconnect(_) => {}
            }
            drain(&mut network.server, network.now);
            if let Some(statistics) = network.server.statistics(peer) {
                prop_assert!(statistics.waiting_bytes <= memory_bound(HostConfig::host().limits));
            }
            network.server.handle_timeout(network.now);
            drain(&mut network.server, network.now);
            let next = network.server.timeout();
            prop_assert!(next.is_none_or(|next| next > network.now), "a deadline that was handled must move");
        }
    }
}
