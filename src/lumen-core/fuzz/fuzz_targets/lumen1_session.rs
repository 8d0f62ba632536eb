//! Both ends of a session of lumen/1, on datagrams that anyone can send and on payloads that a peer with the right keys
//! but bad intent seals. The input is cut into pieces: a stream, a length, bytes.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use lumen_core::fec::scheme::Scheme;
use lumen_core::lumen1::FrameToSend;
use lumen_core::lumen1::header::{SessionId, Stream};
use lumen_core::lumen1::keys::{Direction, KeySchedule};
use lumen_core::lumen1::negotiation::Grants;
use lumen_core::lumen1::path::PathId;
use lumen_core::lumen1::seal::{Sealer, SendPosition};
use lumen_core::lumen1::session::{Client, ClientConfig, ClientEvent, Host, HostConfig, SessionConfig};
use lumen_core::lumen1::video::{FrameFlags, FrameKind, Reference};
use lumen_core::time::Timestamp;

fuzz_target!(|data: &[u8]| {
    let keys = KeySchedule::new(&[1; 16], &[2; 16], &[3; 16]).expect("long enough");
    let session = SessionId(42);
    let grants = Grants::CLIPBOARD.with(Grants::MICROPHONE).with(Grants::CURSOR);
    let config = SessionConfig { grants, max_frame: 64 << 10, max_message: 4096, ..SessionConfig::new(session, keys.clone()) };
    let mut now = Timestamp::from_millis(1);
    let mut host = Host::new(HostConfig::new(config.clone(), [7; 32]), now);
    let mut client = Client::new(ClientConfig::new(config), now);
    // The ends meet, so that what follows finds them at work.
    let mut out = Vec::new();
    for _ in 0..3 {
        while client.poll_transmit(now, &mut out) {
            host.receive(PathId(1), &mut out, now).expect("honest");
        }
        while host.poll_transmit(now, &mut out).is_some() {
            client.receive(&mut out, now).expect("honest");
        }
    }
    assert_eq!(host.path(), Some(PathId(1)));
    let position = |stream, position: SendPosition, direction| Sealer::new(&keys, direction, stream, session, position);
    let mut to_host = Stream::ALL.map(|stream| position(stream, client.position(stream), Direction::ClientToHost));
    let mut to_client = Stream::ALL.map(|stream| position(stream, host.position(stream), Direction::HostToClient));

    let mut rest = data;
    while let [what, time, len, tail @ ..] = rest {
        let (bytes, after) = tail.split_at(tail.len().min(usize::from(*len) * 2));
        rest = after;
        now = now + Duration::from_millis(u64::from(*time));
        let stream = usize::from(what & 7);
        match what >> 3 & 7 {
            0..=2 => {
                let mut datagram = to_host[stream].seal_payload(bytes).expect("epochs left");
                let _ = host.receive(PathId(u64::from(what >> 7)), &mut datagram, now);
            }
            3..=4 => {
                let mut datagram = to_client[stream].seal_payload(bytes).expect("epochs left");
                let _ = client.receive(&mut datagram, now);
            }
            5 => {
                assert!(host.receive(PathId(9), &mut bytes.to_vec(), now).is_err(), "a forgery");
                assert!(client.receive(&mut bytes.to_vec(), now).is_err(), "a forgery");
            }
            6 => {
                let frame = FrameToSend {
                    data: &vec![*len; usize::from(*len) * 9 + 1],
                    flags: FrameFlags { kind: FrameKind::P, reference: Reference::Short },
                    captured: now,
                    deadline: None,
                    host_latency: Duration::ZERO,
                    scheme: Scheme::Gf16,
                    parity: 1,
                };
                let _ = host.send_frame(&frame).is_ok();
            }
            _ => {}
        }
        for _ in 0..200 {
            if host.poll_transmit(now, &mut out).is_none() && !client.poll_transmit(now, &mut out) {
                break;
            }
        }
        while host.poll_event().is_some() {}
        while let Some(event) = client.poll_event() {
            if let ClientEvent::Frame(frame, _) = event {
                client.recycle(frame);
            }
        }
    }
});
