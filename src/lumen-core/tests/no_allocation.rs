//! In steady state neither half of the video path allocates: not the packetizer, and not the reassembler if frame
//! buffers are given back. Nor do the codes of lumen/1.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use lumen_core::crypto::PacketKey;
use lumen_core::fec::gf16::Kernel;
use lumen_core::fec::scheme::{Decoder, Encoder, ParityShare, Progress, Receiver, Scheme, Shape, plan};
use lumen_core::gamestream::packetizer::{
    FrameToSend, Oversize, PacketArena, Packetizer, PacketizerConfig, ParityPolicy,
};
use lumen_core::gamestream::reassembler::{Reassembler, ReassemblerConfig, VideoEvent};
use lumen_core::gamestream::video::{FrameIndex, FrameKind, HostLatency, PacketSize, VideoCodec};
use lumen_core::time::Timestamp;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system allocator unchanged; counting touches only a thread-local without destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, and all memory comes from the system allocator.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `realloc`, and all memory comes from the system allocator.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Sizes of frames: small ones, a key frame of several blocks, the largest first so that everything has grown.
const SIZES: [usize; 8] = [400_000, 20_000, 1, 1376, 90_000, 350_000, 5_000, 399_999];

#[test]
fn frames_are_sent_and_received_without_allocation() {
    let packet_size = PacketSize::new(1392).expect("in range");
    let key = PacketKey::new(&[7; 16]);
    let mut packetizer = Packetizer::new(PacketizerConfig {
        packet_size,
        parity: ParityPolicy::default(),
        encryption: Some(key.clone()),
        oversize: Oversize::Refuse,
    });
    let mut receiver = Reassembler::new(ReassemblerConfig {
        encryption: Some(key),
        ..ReassemblerConfig::new(packet_size, VideoCodec::Av1)
    });
    let mut arena = PacketArena::new();
    let data = vec![0x5A; SIZES[0]];
    let mut index = FrameIndex::FIRST;
    let mut allocations = Vec::with_capacity(3);
    for _round in 0..3 {
        let before = ALLOCATIONS.get();
        for size in SIZES {
            let frame = FrameToSend {
                data: &data[..size],
                index,
                kind: FrameKind::P,
                timestamp_90k: index.0,
                host_latency: HostLatency::UNKNOWN,
                long_term_reference: false,
            };
            packetizer.packetize(&frame, &mut arena).expect("fits");
            // The first packet of each frame is lost, so that one is rebuilt.
            for datagram in arena.datagrams_mut().skip(1) {
                let _ = receiver.receive(datagram, Timestamp::from_micros(u64::from(index.0) * 16_667));
            }
            let mut complete = false;
            while let Some(event) = receiver.poll() {
                if let VideoEvent::Frame(frame) = event {
                    complete = frame.data == data[..size];
                    receiver.recycle(frame.data);
                }
            }
            assert!(complete);
            index = index.next();
        }
        allocations.push(ALLOCATIONS.get() - before);
    }
    assert!(allocations[0] > 0, "the allocator does not count");
    assert_eq!(allocations[1..], [0, 0]);
}

#[test]
fn whole_frames_are_protected_and_restored_without_allocation() {
    let share = ParityShare::per_mille(200);
    let largest = Shape::new(Scheme::Gf16, 741, 149, 1408).expect("a shape");
    for kernel in Kernel::available() {
        let mut encoder = Encoder::new().with_gf16_kernel(kernel).expect("available");
        let mut decoder = Decoder::new().with_gf16_kernel(kernel).expect("available");
        let mut progress = Progress::new(largest);
        let mut arena = vec![0x5A; 2 * largest.total() * 1440];
        let mut allocations = Vec::with_capacity(3);
        let mut schemes = [0; 2];
        for _round in 0..3 {
            let before = ALLOCATIONS.get();
            for bytes in [741 * 1408, 20_000, 1, 400 * 1408, 150_000, 600 * 1408, 740 * 1408] {
                for receiver in [Receiver::Fast, Receiver::Modest] {
                    let shape = plan(bytes, 1408, share, receiver).expect("a plan");
                    schemes[usize::from(shape.scheme() == Scheme::Gf16)] += 1;
                    let layout = shape.strided(32);
                    encoder.encode(shape, &mut arena, layout).expect("fits");
                    progress.reset(shape);
                    (0..shape.total()).filter(|index| index % 7 != 0).for_each(|index| _ = progress.insert(index));
                    assert!(progress.is_decodable());
                    let restored = decoder.reconstruct(shape, &mut arena, layout, progress.present());
                    assert_eq!(restored, Ok(shape.data().div_ceil(7)));
                }
            }
            allocations.push(ALLOCATIONS.get() - before);
        }
        assert!(allocations[0] > 0 && schemes.iter().all(|&count| count > 0), "{schemes:?} frames of the schemes");
        assert_eq!(allocations[1..], [0, 0], "{kernel}");
    }
}

#[test]
fn frames_of_lumen_1_are_sent_and_received_without_allocation() {
    use lumen_core::fec::scheme::Scheme;
    use lumen_core::lumen1::header::{SessionId, Stream};
    use lumen_core::lumen1::keys::{Direction, KeySchedule};
    use lumen_core::lumen1::seal::{Opener, Sealer, SendPosition};
    use lumen_core::lumen1::video::{FrameFlags, FrameNumber, Reference};
    use lumen_core::lumen1::{self, Reassembler, ReassemblerConfig};

    let keys = KeySchedule::new(&[7; 16], &[1; 16], &[2; 16]).expect("long enough");
    let session = SessionId(1);
    let sealer = Sealer::new(&keys, Direction::HostToClient, Stream::Video, session, SendPosition::default());
    let mut opener = Opener::new(&keys, Direction::HostToClient, session);
    let config = lumen1::PacketizerConfig { datagram: 1452, max_frame: SIZES[0], first_frame: FrameNumber::FIRST };
    let mut packetizer = lumen1::Packetizer::new(config, sealer);
    let mut receiver = Reassembler::new(ReassemblerConfig::new(SIZES[0]));
    let mut arena = PacketArena::new();
    let data = vec![0x5A; SIZES[0]];
    let mut allocations = Vec::with_capacity(3);
    for _round in 0..3 {
        let before = ALLOCATIONS.get();
        for scheme in [Scheme::Gf8Interleaved, Scheme::Gf16] {
            for size in SIZES {
                let frame = lumen1::FrameToSend {
                    data: &data[..size],
                    flags: FrameFlags { kind: FrameKind::P, reference: Reference::Short },
                    captured: Timestamp::ZERO,
                    deadline: None,
                    host_latency: std::time::Duration::ZERO,
                    scheme,
                    parity: (packetizer.data_shards(size) / 5 + 1) as u16,
                };
                packetizer.packetize(&frame, &mut arena).expect("fits");
                // The first packet of each frame is lost, so that one is rebuilt.
                for datagram in arena.datagrams_mut().skip(1) {
                    let opened = opener.open(datagram).expect("authentic");
                    let _ = receiver.receive(opened.payload, Timestamp::ZERO);
                }
                let Some(lumen1::VideoEvent::Frame(frame)) = receiver.poll() else { panic!("no frame") };
                assert!(frame.data() == &data[..size]);
                receiver.recycle(frame);
            }
        }
        allocations.push(ALLOCATIONS.get() - before);
    }
    assert!(allocations[0] > 0, "the allocator does not count");
    assert_eq!(allocations[1..], [0, 0]);
}
