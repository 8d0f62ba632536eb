//! One session, and what must hold in it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use lumen_core::crypto::PacketKey;
use lumen_core::enet::{Delivery, Event, Host, HostConfig, PeerAddress, PeerId, Transmit};
use lumen_core::fec::block_plan::FecPercentage;
use lumen_core::gamestream::control::{
    ClientMessage, ControlCipher, EnvelopeMode, FrameRange, Framing, HostMessage, Reliability, Rumble, Side,
};
use lumen_core::gamestream::input::ControllerIndex;
use lumen_core::gamestream::packetizer::{
    FrameToSend, Oversize, PacketArena, Packetizer, PacketizerConfig, ParityPolicy,
};
use lumen_core::gamestream::reassembler::{
    LossResponse, Reassembler, ReassemblerConfig, RecoveryRequest, ReferenceInvalidation, Verdict, VideoEvent,
    VideoFrame,
};
use lumen_core::gamestream::video::{FrameIndex, FrameKind, HostLatency, PacketSize, VideoCodec};
use lumen_core::netsim::{Link, LinkConfig, Random};
use lumen_core::time::Timestamp;

use crate::scenario::Scenario;

const KEY: [u8; 16] = *b"netsim's own key";
/// How long the network is as the scenario says.
const ROUGH: Duration = Duration::from_millis(1200);
/// By when the picture must be back after that. ENet's retransmissions back off over many seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// Frames in a row that count as a picture.
const STEADY: u32 = 20;

/// What came of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub frames_sent: u64,
    pub frames_lost: u64,
    pub frames_rebuilt: u64,
    pub key_frames: u64,
    pub repairs: u64,
    pub datagrams_sent: u64,
    pub datagrams_lost: u64,
    /// Of every datagram that arrived, and when.
    pub digest: u64,
}

/// FNV-1a.
struct Digest(u64);

impl Digest {
    fn add(&mut self, at: Timestamp, bytes: &[u8]) {
        for byte in at.as_micros().to_le_bytes().iter().chain(bytes) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }
}

/// Prints the seed if the session panics.
struct Blame(u64);

impl Drop for Blame {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}: {:?}", self.0, Scenario::of(self.0));
        }
    }
}

pub fn run(seed: u64) -> Outcome {
    let _blame = Blame(seed);
    let scenario = Scenario::of(seed);
    let mut session = Session::new(&scenario, seed);
    session.connect();
    session.start_video();
    session.run_until(session.now + ROUGH);
    session.heal(scenario.healed());
    let deadline = session.now + PATIENCE;
    let owed = session.rumbles_sent;
    while session.in_a_row < STEADY || session.rumbles < owed {
        assert!(session.now < deadline, "no picture, or a message lost, {PATIENCE:?} after the network became well");
        session.run_until(session.now + Duration::from_millis(100));
    }
    session.outcome()
}

struct Session {
    now: Timestamp,
    interval: Duration,
    frame_packets: u64,
    unit: usize,
    random: Random,
    digest: Digest,

    video: Link<Vec<u8>>,
    to_host: Link<Vec<u8>>,
    to_client: Link<Vec<u8>>,

    packetizer: Packetizer,
    arena: PacketArena,
    next_frame: Option<Timestamp>,
    index: FrameIndex,
    wanted: FrameKind,
    /// What a repairing frame may refer to.
    repair_from: FrameIndex,
    repairs_possible: bool,
    sent: HashMap<u32, Vec<u8>>,
    host: Host,
    host_peer: Option<PeerId>,
    host_cipher: ControlCipher,
    rumbles_sent: u32,

    reassembler: Reassembler,
    response: LossResponse,
    client: Host,
    client_peer: Option<PeerId>,
    client_cipher: ControlCipher,
    last_decoded: u32,
    decoded: Vec<u32>,
    in_a_row: u32,
    rumbles: u32,
    outcome: Outcome,
}

fn address(last: u8) -> PeerAddress {
    PeerAddress::new(SocketAddr::from(([192, 0, 2, last], 47_999)))
}

fn delivery(reliability: Reliability) -> Delivery {
    match reliability {
        Reliability::Reliable => Delivery::Reliable,
        Reliability::Unreliable => Delivery::Unreliable,
        Reliability::Unsequenced => Delivery::Unsequenced,
    }
}

impl Session {
    fn new(scenario: &Scenario, seed: u64) -> Self {
        let packet_size = PacketSize::new(scenario.packet_size).expect("in range");
        let encryption = || scenario.encrypted.then(|| PacketKey::new(&KEY));
        let random = Random::new(seed);
        let end = |config, purpose| {
            let mut random = random.fork(purpose);
            Host::new(config, move |bytes: &mut [u8]| random.fill(bytes))
        };
        let link = |config, purpose| Link::new(config, random.fork(purpose).bits());
        let invalidation =
            if scenario.repairs { ReferenceInvalidation::Available } else { ReferenceInvalidation::Unavailable };
        Self {
            now: Timestamp::from_millis(50_000),
            interval: scenario.frame_interval,
            frame_packets: scenario.frame_packets,
            unit: packet_size.payload_len(),
            random: random.fork(1),
            digest: Digest(0xCBF2_9CE4_8422_2325),
            video: link(scenario.link, 2),
            to_host: link(scenario.control_link(), 3),
            to_client: link(scenario.control_link(), 4),
            packetizer: Packetizer::new(PacketizerConfig {
                packet_size,
                parity: ParityPolicy::fixed(FecPercentage::new(scenario.parity_percent), 2),
                encryption: encryption(),
                oversize: Oversize::Refuse,
            }),
            arena: PacketArena::new(),
            next_frame: None,
            index: FrameIndex::FIRST,
            wanted: FrameKind::Idr,
            repair_from: FrameIndex::FIRST,
            repairs_possible: scenario.repairs,
            sent: HashMap::new(),
            host: end(HostConfig::host(), 5),
            host_peer: None,
            host_cipher: ControlCipher::new(&KEY, EnvelopeMode::V2, Side::Host),
            rumbles_sent: 0,
            reassembler: Reassembler::new(ReassemblerConfig {
                encryption: encryption(),
                ..ReassemblerConfig::new(packet_size, VideoCodec::Av1)
            }),
            response: LossResponse::new(invalidation),
            client: end(HostConfig::client(), 6),
            client_peer: None,
            client_cipher: ControlCipher::new(&KEY, EnvelopeMode::V2, Side::Client),
            last_decoded: 0,
            decoded: Vec::new(),
            in_a_row: 0,
            rumbles: 0,
            outcome: Outcome {
                frames_sent: 0,
                frames_lost: 0,
                frames_rebuilt: 0,
                key_frames: 0,
                repairs: 0,
                datagrams_sent: 0,
                datagrams_lost: 0,
                digest: 0,
            },
        }
    }

    fn connect(&mut self) {
        self.client.connect(address(1), 48, 7).expect("room for a peer");
        let deadline = self.now + PATIENCE;
        while self.host_peer.is_none() || self.client_peer.is_none() {
            assert!(self.now < deadline, "no control connection");
            self.step(deadline);
        }
    }

    fn start_video(&mut self) {
        self.next_frame = Some(self.now);
    }

    fn heal(&mut self, config: LinkConfig) {
        for link in [&mut self.video, &mut self.to_host, &mut self.to_client] {
            link.set_config(config, self.now);
        }
        self.in_a_row = 0;
    }

    fn run_until(&mut self, limit: Timestamp) {
        while self.now < limit {
            self.step(limit);
        }
    }

    /// To the next thing that happens.
    fn step(&mut self, limit: Timestamp) {
        self.flush();
        let next = [
            self.next_frame,
            self.video.next_event(),
            self.to_host.next_event(),
            self.to_client.next_event(),
            self.host.timeout(),
            self.client.timeout(),
            Some(limit),
        ];
        self.now = next.into_iter().flatten().min().expect("there is a limit").max(self.now);
        let now = self.now;
        if self.next_frame.is_some_and(|at| at <= now) {
            self.send_frame();
            self.next_frame = Some(now + self.interval);
        }
        while let Some((at, mut datagram)) = self.video.receive(now) {
            self.digest.add(at, &datagram);
            // Surplus parity, duplicates, latecomers: what is not used is none of the client's business.
            let _ = self.reassembler.receive(&mut datagram, now);
            self.take_video_events();
        }
        while let Some((at, datagram)) = self.to_host.receive(now) {
            self.digest.add(at, &datagram);
            let _ = self.host.receive(address(2), &datagram, now);
        }
        while let Some((at, datagram)) = self.to_client.receive(now) {
            self.digest.add(at, &datagram);
            let _ = self.client.receive(address(1), &datagram, now);
        }
        self.host.handle_timeout(now);
        self.client.handle_timeout(now);
        self.take_host_events();
        self.take_client_events();
        self.flush();
    }

    fn flush(&mut self) {
        let now = self.now;
        while let Some(Transmit { bytes, .. }) = self.host.poll_transmit(now) {
            self.to_client.send(now, bytes.len() + 28, bytes);
        }
        while let Some(Transmit { bytes, .. }) = self.client.poll_transmit(now) {
            self.to_host.send(now, bytes.len() + 28, bytes);
        }
    }

    fn send_frame(&mut self) {
        let kind = std::mem::replace(&mut self.wanted, FrameKind::P);
        let reference = match kind {
            FrameKind::AfterInvalidation => self.repair_from.0,
            FrameKind::P | FrameKind::IntraRefresh => self.index.previous().0,
            FrameKind::Idr => 0,
        };
        let packets = self.frame_packets * if kind == FrameKind::Idr { 4 } else { 1 };
        let length = 8 + self.random.below(packets * self.unit as u64) as usize;
        let mut data = vec![0; length];
        self.random.fill(&mut data);
        data[..4].copy_from_slice(&self.index.0.to_le_bytes());
        data[4..8].copy_from_slice(&reference.to_le_bytes());
        let frame = FrameToSend {
            data: &data,
            index: self.index,
            kind,
            timestamp_90k: self.index.0,
            host_latency: HostLatency::UNKNOWN,
            long_term_reference: false,
        };
        self.packetizer.packetize(&frame, &mut self.arena).expect("small enough");
        for datagram in self.arena.datagrams() {
            self.video.send(self.now, datagram.len() + 28, datagram.to_vec());
        }
        self.outcome.frames_sent += 1;
        self.outcome.key_frames += u64::from(kind == FrameKind::Idr);
        self.outcome.repairs += u64::from(kind == FrameKind::AfterInvalidation);
        self.sent.insert(self.index.0, data);
        if self.index.0.is_multiple_of(8) {
            let rumble = HostMessage::Rumble(Rumble {
                controller: ControllerIndex::new(0).expect("below 16"),
                low_frequency: self.index.0 as u16,
                high_frequency: 0,
            });
            let sealed = self.host_cipher.seal(&rumble.to_bytes(Framing::V2)).expect("numbers are left");
            let peer = self.host_peer.expect("connected");
            self.host.send(peer, 0, &sealed, Delivery::Reliable).expect("connected");
            self.rumbles_sent += 1;
        }
        self.index = self.index.next();
    }

    fn take_video_events(&mut self) {
        while let Some(event) = self.reassembler.poll() {
            match event {
                VideoEvent::Frame(frame) => self.take_frame(frame),
                VideoEvent::Lost { first, last, .. } => {
                    assert!(first.0 <= last.0 && first.0 > self.last_decoded, "lost {first:?} to {last:?}");
                    self.outcome.frames_lost += u64::from(last.0 - first.0 + 1);
                    self.in_a_row = 0;
                    self.response.lost(first, last);
                }
                VideoEvent::FecStatus(status) => self.tell_host(&ClientMessage::FecStatus(status)),
            }
            while let Some(request) = self.response.poll() {
                self.tell_host(&match request {
                    RecoveryRequest::KeyFrame => ClientMessage::RequestIdr,
                    RecoveryRequest::InvalidateReferences { first, last } => {
                        ClientMessage::InvalidateReferences(FrameRange::new(first, last).expect("in order"))
                    }
                });
            }
        }
    }

    fn take_frame(&mut self, frame: VideoFrame) {
        let sent = self.sent.get(&frame.index.0).expect("a frame that was sent");
        assert!(frame.data == *sent, "{:?} came out changed", frame.index);
        self.outcome.frames_rebuilt += u64::from(frame.recovered_packets > 0);
        if self.response.completed(&frame) == Verdict::Drop {
            self.in_a_row = 0;
            return;
        }
        assert!(frame.index.0 > self.last_decoded, "frames come in order, each once");
        let reference = u32::from_le_bytes(frame.data[4..8].try_into().expect("four bytes"));
        if frame.key_frame {
            self.response.key_frame_decoded();
        } else {
            assert!(self.decoded.contains(&reference), "{:?} refers to {reference}, never decoded", frame.index);
        }
        self.last_decoded = frame.index.0;
        self.decoded.push(frame.index.0);
        self.in_a_row += 1;
        self.reassembler.recycle(frame.data);
    }

    fn tell_host(&mut self, message: &ClientMessage) {
        let sealed = self.client_cipher.seal(&message.to_bytes(Framing::V2)).expect("numbers are left");
        let peer = self.client_peer.expect("connected");
        self.client.send(peer, 1, &sealed, delivery(message.reliability())).expect("connected");
    }

    fn take_host_events(&mut self) {
        while let Some(event) = self.host.poll_event() {
            match event {
                Event::Connected { peer, data: 7 } => self.host_peer = Some(peer),
                Event::Message { mut bytes, .. } => {
                    let opened = self.host_cipher.open(&mut bytes).expect("authentic, and never twice");
                    match ClientMessage::parse(opened.message).expect("well formed") {
                        ClientMessage::RequestIdr => self.wanted = FrameKind::Idr,
                        ClientMessage::InvalidateReferences(range) => {
                            assert!(range.last().0 < self.index.0, "frames that were sent");
                            if self.wanted != FrameKind::Idr && self.repairs_possible {
                                self.wanted = FrameKind::AfterInvalidation;
                                self.repair_from = range.first().previous();
                            }
                        }
                        ClientMessage::FecStatus(status) => {
                            assert!(status.missing_before_highest > 0 || status.total_data > 0)
                        }
                        other => panic!("{other:?} was never sent"),
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn take_client_events(&mut self) {
        while let Some(event) = self.client.poll_event() {
            match event {
                Event::Connected { peer, .. } => self.client_peer = Some(peer),
                Event::Message { mut bytes, .. } => {
                    let opened = self.client_cipher.open(&mut bytes).expect("authentic, and never twice");
                    let HostMessage::Rumble(rumble) = HostMessage::parse(opened.message).expect("well formed") else {
                        panic!("nothing but rumbles was sent");
                    };
                    self.rumbles += 1;
                    assert_eq!(u32::from(rumble.low_frequency), self.rumbles * 8, "in order");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn outcome(self) -> Outcome {
        let counters = self.video.counters();
        Outcome {
            datagrams_sent: counters.sent,
            datagrams_lost: counters.lost + counters.overflowed,
            digest: self.digest.0,
            ..self.outcome
        }
    }
}
