//! The reassembler of lumen/1 as a state machine: shards in any order, doubled, lost, with headers that a host with the
//! right keys but bad intent wrote, and time in leaps. No frame comes out that differs from what was sent, each number
//! comes out once and in order, and memory stays within its bound.
//!
//! The input is a sequence of steps of four bytes: what to do, and to which frame and shard.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use lumen_core::arena::PacketArena;
use lumen_core::fec::scheme::{Scheme, Shape};
use lumen_core::lumen1::header::{SessionId, Stream};
use lumen_core::lumen1::keys::{Direction, KeySchedule};
use lumen_core::lumen1::seal::{Opener, Sealer, SendPosition};
use lumen_core::lumen1::video::{FrameFlags, FrameKind, FrameNumber, Reference, Sending, ShardHeader};
use lumen_core::lumen1::{FrameToSend, Packetizer, PacketizerConfig, Reassembler, ReassemblerConfig, VideoEvent};
use lumen_core::time::Timestamp;

const MAX_FRAME: usize = 8 << 10;

/// Frames as an honest host sends them: what they hold, and their opened payloads.
static SENT: LazyLock<Vec<(Vec<u8>, Vec<Vec<u8>>)>> = LazyLock::new(|| {
    let keys = KeySchedule::new(&[1; 16], &[2; 16], &[3; 16]).expect("long enough");
    let session = SessionId(42);
    let sealer = Sealer::new(&keys, Direction::HostToClient, Stream::Video, session, SendPosition::default());
    let mut opener = Opener::new(&keys, Direction::HostToClient, session);
    let config = PacketizerConfig { datagram: 1200, max_frame: MAX_FRAME, first_frame: FrameNumber::FIRST };
    let mut packetizer = Packetizer::new(config, sealer);
    let mut arena = PacketArena::new();
    let sizes = [1, 40, 1128, 1129, 3000, 5000, MAX_FRAME];
    (0..24usize)
        .map(|number| {
            let data: Vec<u8> = (0..sizes[number % sizes.len()]).map(|at| (at * 13 + number * 7) as u8).collect();
            let frame = FrameToSend {
                data: &data,
                flags: FrameFlags { kind: FrameKind::P, reference: Reference::Short },
                captured: Timestamp::ZERO,
                deadline: None,
                host_latency: Duration::ZERO,
                scheme: if number % 2 == 0 { Scheme::Gf16 } else { Scheme::Gf8Interleaved },
                parity: (number % 4) as u16,
            };
            packetizer.packetize(&frame, &mut arena).expect("fits");
            let payloads =
                arena.datagrams_mut().map(|datagram| opener.open(datagram).expect("authentic").payload.to_vec());
            let payloads = payloads.collect();
            (data, payloads)
        })
        .collect()
});

fuzz_target!(|data: &[u8]| {
    let config = ReassemblerConfig::new(MAX_FRAME);
    let mut receiver = Reassembler::new(config);
    let mut now = Timestamp::ZERO;
    let mut next = FrameNumber::FIRST;
    // Of frames that a hostile host had a hand in, nothing is promised but their order.
    let mut forged = std::collections::HashSet::new();
    for step in data.chunks_exact(4) {
        let [action, frame, shard, value] = [step[0], step[1], step[2], step[3]];
        let (_, payloads) = &SENT[usize::from(frame) % SENT.len()];
        let payload = &payloads[usize::from(shard) % payloads.len()];
        match action % 8 {
            0..=4 => _ = receiver.receive(payload, now),
            5 => {
                // Any byte of a header, or a length, is not what it was.
                let mut payload = payload.clone();
                let at = usize::from(shard) % 13;
                match payload.get_mut(at).filter(|_| at < 12) {
                    Some(byte) => *byte ^= value,
                    None => payload.truncate(usize::from(value) * 8),
                }
                if let Ok((header, _)) = ShardHeader::parse(&payload) {
                    forged.insert(header.frame);
                }
                let _ = receiver.receive(&payload, now);
            }
            6 => {
                let shape = Shape::new(Scheme::Gf16, u16::from(frame) << 8 | 1, u16::from(shard) << 5, usize::from(value) * 2);
                if let Ok(shape) = shape {
                    let frame = FrameNumber(next.0.saturating_add(u32::from(value)));
                    let flags = FrameFlags { kind: FrameKind::Idr, reference: Reference::None };
                    let header = ShardHeader { frame, index: 0, shape, flags, sending: Sending::First };
                    forged.insert(frame);
                    let payload = [&header.to_bytes()[..], &vec![value; shape.shard_len()]].concat();
                    let _ = receiver.receive(&payload, now);
                }
            }
            _ => {
                now = now + Duration::from_millis(u64::from(value));
                receiver.handle_timeout(now);
                let mut ranges = Vec::new();
                while receiver.poll_missing(now, Duration::from_millis(u64::from(shard)), 50, &mut ranges).is_some() {
                    if shard == 0 {
                        break;
                    }
                }
            }
        }
        assert!(receiver.memory() <= config.max_memory);
        while let Some(event) = receiver.poll() {
            match event {
                VideoEvent::Frame(frame) => {
                    assert_eq!(frame.number, next);
                    next = next.next();
                    if !forged.contains(&frame.number) {
                        assert_eq!(frame.data(), SENT[frame.number.0 as usize - 1].0);
                    }
                    receiver.recycle(frame);
                }
                VideoEvent::Lost { first, last, .. } => {
                    assert_eq!(first, next);
                    assert!(last >= first);
                    next = last.next();
                }
            }
        }
    }
});
