//! Echo latency under loss, in the set-ups that the C implementation was measured in (protocol part 3, section
//! 1.6): 100 messages per second over 46 channels, 8 to 128 bytes, every tenth one 900 to 200 000 bytes, each
//! with an unreliable or unsequenced companion; all echoed. Virtual time, so the figures are exact.

use std::collections::HashMap;
use std::time::Duration;

use lumen_core::enet::{Delivery, Event, HostConfig, Limits};
use lumen_core::netsim::LinkConfig;
use lumen_core::time::Timestamp;

use crate::network::{End, Network, lossy};

struct Setup {
    link: LinkConfig,
    messages: u32,
    /// p50, p95, p99 of C to C in milliseconds; the larger ones where a range was measured.
    reference: [u64; 3],
}

const SETUPS: [Setup; 3] = [
    Setup { link: lossy(0.01, 10, 2), messages: 300, reference: [24, 90, 180] },
    Setup { link: lossy(0.05, 10, 6), messages: 400, reference: [29, 164, 342] },
    Setup { link: lossy(0.15, 20, 20), messages: 300, reference: [279, 1146, 1748] },
];

fn length(number: u32) -> usize {
    if number % 10 == 9 {
        [900, 2000, 16_000, 64_000, 200_000][number as usize / 10 % 5]
    } else {
        8 + (number as usize * 37) % 121
    }
}

fn content(number: u32) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.resize(length(number), number as u8);
    bytes
}

/// Latency of each message, in milliseconds, sorted.
fn echo(setup: &Setup, seed: u64) -> Vec<u64> {
    let limits = Limits {
        packet_bytes: 256 * 1024,
        waiting_bytes: 8 * 1024 * 1024,
        outgoing_bytes: 16 * 1024 * 1024,
        ..Limits::default()
    };
    let server = HostConfig { limits, ..HostConfig::host() };
    let client = HostConfig { limits, ..HostConfig::client() };
    let mut network = Network::with_config(setup.link, seed, server, client);
    let (_, peer) = network.connect();
    let start = network.now;
    let sent_at = |number: u32| start + Duration::from_millis(10) * number;
    let mut latencies = Vec::new();
    let mut echoed: HashMap<u8, u32> = HashMap::new();
    let mut sent = 0;
    while latencies.len() < setup.messages as usize {
        assert!(network.now < start + Duration::from_secs(120), "{} of {}", latencies.len(), setup.messages);
        if sent < setup.messages && network.now >= sent_at(sent) {
            let channel = (sent % 46) as u8;
            network.client.send(peer, channel, &content(sent), Delivery::Reliable).unwrap();
            let companion = if sent % 2 == 0 { Delivery::Unreliable } else { Delivery::Unsequenced };
            network.client.send(peer, channel, &[0xFF; 20], companion).unwrap();
            sent += 1;
            network.flush();
            continue;
        }
        let limit = if sent < setup.messages { sent_at(sent) } else { network.now + Duration::from_secs(1) };
        for (end, event) in network.step(limit) {
            let Event::Message { peer, channel, delivery, bytes } = event else { panic!("{event:?}") };
            match end {
                End::Server => network.server.send(peer, channel, &bytes, delivery).unwrap(),
                End::Client if delivery == Delivery::Reliable => {
                    let number = u32::from_be_bytes(bytes[..4].try_into().unwrap());
                    assert!(bytes == content(number), "corrupt");
                    assert_eq!(number % 46, channel.into());
                    if let Some(previous) = echoed.insert(channel, number) {
                        assert_eq!(previous + 46, number, "misordered");
                    }
                    latencies.push(millis_since(network.now, sent_at(number)));
                }
                End::Client => {}
            }
        }
    }
    latencies.sort_unstable();
    latencies
}

fn millis_since(now: Timestamp, earlier: Timestamp) -> u64 {
    now.saturating_since(earlier).as_millis() as u64
}

fn percentile(sorted: &[u64], percent: usize) -> u64 {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

#[test]
fn echo_latency_under_loss_is_that_of_the_reference() {
    for setup in &SETUPS {
        let runs: Vec<_> = (1..=9).map(|seed| echo(setup, seed)).collect();
        let mut medians = [0; 3];
        for (median, percent) in medians.iter_mut().zip([50, 95, 99]) {
            let mut figures: Vec<_> = runs.iter().map(|run| percentile(run, percent)).collect();
            figures.sort_unstable();
            println!("loss {:>4}: p{percent} of 9 runs {figures:?}", setup.link.loss.rate());
            *median = figures[figures.len() / 2];
        }
        println!(
            "loss {:>4}: p50/p95/p99 {medians:?} ms (median of 9 runs); reference {:?} ms",
            setup.link.loss.rate(),
            setup.reference
        );
        for (median, reference) in medians.iter().zip(setup.reference) {
            assert!(*median * 10 <= reference * 12, "{medians:?} against {:?}", setup.reference);
        }
    }
}
