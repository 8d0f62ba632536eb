//! Audio datagrams, clear and encrypted. The input is one datagram; and again a row of datagrams, each after a byte
//! that gives its length.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use lumen_core::crypto::CbcKey;
use lumen_core::gamestream::audio::{
    AudioEncryption, AudioEvent, AudioReceiver, AudioReceiverConfig, AudioStart, PacketDuration, open_packet,
};
use lumen_core::gamestream::video::SequenceNumber;
use lumen_core::time::Timestamp;

const KEY: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

fuzz_target!(|data: &[u8]| {
    let encryption = AudioEncryption { key: CbcKey::new(&KEY), key_id: -1 };
    let _ = open_packet(Some(&encryption), &mut data.to_vec());
    for encryption in [None, Some(encryption)] {
        for start in [AudioStart::Live(Duration::ZERO), AudioStart::At(SequenceNumber(8))] {
            let config =
                AudioReceiverConfig { packet_duration: PacketDuration::FIVE, encryption: encryption.clone(), start };
            play(AudioReceiver::new(config.clone()), std::iter::once(data));
            play(AudioReceiver::new(config), datagrams(data));
        }
    }
});

fn datagrams(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (&length, rest) = data.split_first()?;
        let (datagram, rest) = rest.split_at(rest.len().min(length.into()));
        data = rest;
        Some(datagram)
    })
}

/// Packets and losses follow each other without gap or overlap, whatever comes in.
fn play<'a>(mut receiver: AudioReceiver, datagrams: impl Iterator<Item = &'a [u8]>) {
    let mut next = None;
    for (millis, datagram) in (0..).zip(datagrams) {
        let now = Timestamp::from_millis(millis);
        let _ = receiver.receive(datagram, now);
        receiver.handle_timeout(now);
        while let Some(event) = receiver.poll() {
            let (first, count) = match event {
                AudioEvent::Packet { header, .. } => (header.sequence, 1),
                AudioEvent::Lost { first, count } => (first, count),
            };
            assert!(next.is_none_or(|next| next == first));
            next = Some(first.plus(count));
        }
    }
}
