//! What the protocol costs a host for each frame: packetize, FEC 20 %, AES-128-GCM, send with segmentation offload.
//!
//! `cargo bench -p lumen-core --bench composite` prints one JSON object per figure on standard output
//! (`{"figure","value","unit","how"}`) and a table on standard error. Without `--bench` (as `cargo test` runs it) every
//! case runs once, unmeasured.
//!
//! The stages are measured as differences: each candidate does one stage more than the one before it. All run in
//! turn, round by round, and each figure is the median over the rounds of thread CPU time per frame. Packets go to a
//! socket on loopback that takes batches whole and that nobody reads: the kernel's way down to the device and up to a
//! full socket buffer is part of the figure, cutting batches into packets, which network cards do, is not.

use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use lumen_core::crypto::PacketKey;
use lumen_core::gamestream::packetizer::{
    FecPercentage, FrameToSend, Oversize, PacketArena, Packetizer, PacketizerConfig, ParityPolicy, gso_batch,
};
use lumen_core::gamestream::video::{FrameIndex, FrameKind, HostLatency, PacketSize};
use rustix::time::{ClockId, clock_gettime};

/// 1 Gbit/s at 120 Hz, and 72 Mbit/s at 60 Hz.
const FRAMES: [(&str, usize); 2] = [("1.04 MB", 1_040_000), ("150 KB", 150_000)];
/// Largest UDP payload over IPv4.
const MAX_SEND: usize = 65_507;

fn main() {
    let measured = std::env::args().any(|argument| argument == "--bench");
    let rounds = if measured { 61 } else { 1 };
    for (name, bytes) in FRAMES {
        frame(name, bytes, rounds, measured);
    }
}

fn frame(name: &str, bytes: usize, rounds: usize, measured: bool) {
    let data: Vec<u8> = (0..bytes).map(|index| (index * 31 + index / 253) as u8).collect();
    let sink = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    set_udp_option(&sink, libc::UDP_GRO, 1);
    let mut candidates = [
        Candidate::new("headers and copy", 0, false, None),
        Candidate::new("FEC", 20, false, None),
        Candidate::new("AES-GCM", 20, true, None),
        Candidate::new("send", 20, true, Some(&sink)),
    ];
    let calls = if measured { (8_000_000 / bytes).max(1) } else { 1 };
    let mut times = candidates.each_ref().map(|_| Vec::with_capacity(rounds));
    for _ in 0..rounds {
        for (candidate, times) in candidates.iter_mut().zip(&mut times) {
            let start = cpu_seconds();
            for _ in 0..calls {
                candidate.run(&data);
            }
            times.push((cpu_seconds() - start) / calls as f64);
        }
    }
    let how = format!(
        "packets of 1408 bytes of UDP payload, one thread, thread CPU time, median of {rounds} interleaved rounds, \
         warm source; send: GSO over loopback, received whole"
    );
    let mut before = 0.0;
    for (candidate, times) in candidates.iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        let total = times[rounds / 2];
        let rate = bytes as f64 * 8.0 / total / 1e9;
        if measured {
            figure(&format!("frame of {name}: {}", candidate.stage), (total - before) * 1e6, "us", &how);
            figure(&format!("frame of {name}: media per core up to {}", candidate.stage), rate, "Gbit/s", &how);
        }
        eprintln!(
            "{name:8} {:16} {:8.1} us, up to here {:8.1} us {rate:6.2} Gbit/s",
            candidate.stage,
            (total - before) * 1e6,
            total * 1e6
        );
        before = total;
    }
}

/// Everything up to one stage.
struct Candidate {
    stage: &'static str,
    packetizer: Packetizer,
    arena: PacketArena,
    socket: Option<UdpSocket>,
    index: FrameIndex,
}

impl Candidate {
    fn new(stage: &'static str, percent: u8, sealed: bool, sink: Option<&UdpSocket>) -> Self {
        // With encryption clients ask for 32 bytes less, so datagrams stay equally long.
        let packet_size = PacketSize::new(if sealed { 1360 } else { 1392 }).expect("in range");
        let packetizer = Packetizer::new(PacketizerConfig {
            packet_size,
            parity: ParityPolicy::fixed(FecPercentage::new(percent), 2),
            encryption: sealed.then(|| PacketKey::new(&[7; 16])),
            oversize: Oversize::Refuse,
        });
        let socket = sink.map(|sink| {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
            socket.connect(sink.local_addr().expect("an address")).expect("loopback");
            set_udp_option(&socket, libc::UDP_SEGMENT, packetizer.datagram_len());
            socket
        });
        Self { stage, packetizer, arena: PacketArena::new(), socket, index: FrameIndex::FIRST }
    }

    fn run(&mut self, data: &[u8]) {
        let frame = FrameToSend {
            data,
            index: self.index,
            kind: FrameKind::P,
            timestamp_90k: self.index.0.wrapping_mul(750),
            host_latency: HostLatency::UNKNOWN,
            long_term_reference: false,
        };
        self.index = self.index.next();
        self.packetizer.packetize(&frame, &mut self.arena).expect("fits");
        if let Some(socket) = &self.socket {
            let stride = self.arena.stride();
            for batch in self.arena.as_bytes().chunks(gso_batch(stride).min(MAX_SEND / stride) * stride) {
                socket.send(batch).expect("loopback takes it");
            }
        }
    }
}

fn set_udp_option(socket: &UdpSocket, option: libc::c_int, value: usize) {
    let value = libc::c_int::try_from(value).expect("a small value");
    // SAFETY: both options take an int; the pointer is to one, with its size, and lives through the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_UDP,
            option,
            (&raw const value).cast(),
            size_of_val(&value) as libc::socklen_t,
        )
    };
    assert_eq!(result, 0, "UDP option {option}: {}", std::io::Error::last_os_error());
}

fn figure(figure: &str, value: f64, unit: &str, how: &str) {
    println!("{}", serde_json::json!({ "figure": figure, "value": value, "unit": unit, "how": how }));
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}
