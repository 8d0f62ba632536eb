//! A server with an established connection lives through any sequence of datagrams, waits and own commands
//! without a panic, within its memory limits, and with deadlines that move when they are handled.
#![no_main]

use std::net::SocketAddr;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use lumen_core::enet::{Delivery, Event, Host, HostConfig, PeerAddress, PeerId};
use lumen_core::time::Timestamp;

fuzz_target!(|input: &[u8]| {
    let mut now = Timestamp::from_millis(100_000);
    let (mut server, peer) = connected(now);
    let mut rest = input;
    while let Some((&[step, length], tail)) = rest.split_first_chunk::<2>() {
        let (bytes, tail) = tail.split_at(tail.len().min(length.into()));
        rest = tail;
        match step {
            // From the peer, with a header that fits: the commands are the input.
            0..=159 => {
                let mut datagram = vec![0x80, 0, length, step];
                datagram.extend_from_slice(bytes);
                let _ = server.receive(address(1), &datagram, now);
            }
            160..=199 => {
                let _ = server.receive(address(u16::from(step) % 3), bytes, now);
            }
            200..=229 => now = now + Duration::from_millis(u64::from(length) * u64::from(step - 199)),
            230..=249 => {
                let delivery = [Delivery::Reliable, Delivery::Unreliable, Delivery::Unsequenced][usize::from(step) % 3];
                let _ = server.send(peer, length, &bytes.repeat(usize::from(step - 229)), delivery);
            }
            250..=251 => server.disconnect_later(peer, length.into()),
            252..=253 => server.disconnect(peer, length.into()),
            254 => server.disconnect_now(peer, length.into()),
            255 => {
                let _ = server.migrate(peer, address(u16::from(length) % 3));
            }
        }
        server.handle_timeout(now);
        drain(&mut server, now);
        assert!(server.timeout().is_none_or(|next| next > now));
        if let Some(statistics) = server.statistics(peer) {
            let limits = HostConfig::host().limits;
            assert!(statistics.waiting_bytes <= 2 * limits.waiting_bytes + 3 * limits.packet_bytes);
            assert!(statistics.outgoing_bytes <= limits.outgoing_bytes + 65_536);
        }
    }
});

/// A server whose slot 0 has a connection in session 0, from address 1.
fn connected(now: Timestamp) -> (Host, PeerId) {
    let mut server = Host::new(HostConfig::host(), |bytes: &mut [u8]| bytes.fill(1));
    let mut client = Host::new(HostConfig::client(), |bytes: &mut [u8]| bytes.fill(2));
    client.connect(address(0), 48, 0).expect("a free slot");
    loop {
        while let Some(transmit) = client.poll_transmit(now) {
            server.receive(address(1), &transmit.bytes, now).expect("accepted");
        }
        while let Some(transmit) = server.poll_transmit(now) {
            client.receive(address(0), &transmit.bytes, now).expect("accepted");
        }
        if let Some(Event::Connected { peer, .. }) = server.poll_event() {
            return (server, peer);
        }
    }
}

fn address(number: u16) -> PeerAddress {
    PeerAddress::new(SocketAddr::from(([192, 0, 2, 1], 40_000 + number)))
}

fn drain(server: &mut Host, now: Timestamp) {
    while let Some(transmit) = server.poll_transmit(now) {
        assert!(transmit.bytes.len() <= 900);
    }
    while server.poll_event().is_some() {}
}
