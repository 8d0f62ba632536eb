//! Both ends against each other over a small network that loses, doubles and swaps, all from a seed.

use super::*;
use crate::fec::scheme::Scheme;
use crate::gamestream::input::{
    AbsolutePosition, InputEvent, MouseButton, MouseButtonEvent, PressState, ReferenceExtent,
};
use crate::lumen1::header::Stream;
use crate::lumen1::message::{ClipboardFormat, CursorPosition, CursorShape, CursorVisibility, FrameOutcome};
use crate::lumen1::packetizer::FrameToSend;
use crate::lumen1::path::PathId;
use crate::lumen1::video::{FrameFlags, FrameKind, FrameNumber, Reference};
use crate::time::Timestamp;

const HOME: PathId = PathId(1);
const AWAY: PathId = PathId(2);
const FRAME_TIME: u64 = 16_667;

fn config() -> SessionConfig {
    let keys = KeySchedule::new(&[1; 16], &[2; 16], &[3; 16]).expect("long enough");
    let grants = Grants::CLIPBOARD.with(Grants::CURSOR).with(Grants::MICROPHONE);
    SessionConfig { grants, ..SessionConfig::new(SessionId(77), keys) }
}

/// Both ends, what is under way between them, and what each said.
struct World {
    host: Host,
    client: Client,
    now: Timestamp,
    /// The address from which the client's datagrams come; answers to another one get lost.
    address: PathId,
    delay: Duration,
    /// Of 1000 datagrams.
    loss: u64,
    random: u64,
    to_host: Vec<(Timestamp, PathId, Vec<u8>)>,
    to_client: Vec<(Timestamp, Vec<u8>)>,
    host_events: Vec<HostEvent>,
    frames: Vec<(FrameNumber, Vec<u8>, References)>,
    client_events: Vec<ClientEvent>,
    sent_to: Vec<(PathId, usize)>,
    /// Frames of [`World::stream`], and wishes for repair that it answered.
    streamed: usize,
    answered: usize,
}

impl World {
    fn new(loss: u64) -> Self {
        let now = Timestamp::from_millis(1000);
        Self {
            host: Host::new(HostConfig::new(config(), [9; 32]), now),
            client: Client::new(ClientConfig::new(config()), now),
            now,
            address: HOME,
            delay: Duration::from_millis(8),
            loss,
            random: 0x9E37_79B9_7F4A_7C15,
            to_host: Vec::new(),
            to_client: Vec::new(),
            host_events: Vec::new(),
            frames: Vec::new(),
            client_events: Vec::new(),
            sent_to: Vec::new(),
            streamed: 0,
            answered: 0,
        }
    }

    fn next_random(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    /// When a datagram arrives: never, once or twice.
    fn fate(&mut self) -> Vec<Timestamp> {
        if self.next_random(1000) < self.loss {
            return Vec::new();
        }
        let arrival = |world: &mut Self| {
            let jitter = Duration::from_micros(world.next_random(1500));
            world.now + world.delay + jitter
        };
        let copies = if self.next_random(100) == 0 { 2 } else { 1 };
        (0..copies).map(|_| arrival(self)).collect()
    }

    fn pump(&mut self) {
        let mut out = Vec::new();
        while let Some(path) = self.host.poll_transmit(self.now, &mut out) {
            self.sent_to.push((path, out.len()));
            if path == self.address {
                for at in self.fate() {
                    self.to_client.push((at, out.clone()));
                }
            }
        }
        while self.client.poll_transmit(self.now, &mut out) {
            for at in self.fate() {
                self.to_host.push((at, self.address, out.clone()));
            }
        }
        self.host_events.extend(std::iter::from_fn(|| self.host.poll_event()));
        while let Some(event) = self.client.poll_event() {
            if let ClientEvent::Frame(frame, references) = event {
                self.frames.push((frame.number, frame.data().to_vec(), references));
                self.client.recycle(frame);
            } else {
                self.client_events.push(event);
            }
        }
    }

    /// Lets time pass in steps of a millisecond.
    fn run(&mut self, millis: u64) {
        for _ in 0..millis {
            self.pump();
            self.now = self.now + Duration::from_millis(1);
            let now = self.now;
            let arrived = |at: Timestamp| at <= now;
            for (_, path, mut datagram) in self.to_host.extract_if(.., |(at, ..)| arrived(*at)).collect::<Vec<_>>() {
                let _ = self.host.receive(path, &mut datagram, now);
            }
            for (_, mut datagram) in self.to_client.extract_if(.., |(at, _)| arrived(*at)).collect::<Vec<_>>() {
                let _ = self.client.receive(&mut datagram, now);
            }
        }
        self.pump();
    }

    fn frame(&mut self, data: &[u8], kind: FrameKind, parity: u16) -> Result<(), SendError> {
        let frame = FrameToSend {
            data,
            flags: FrameFlags { kind, reference: Reference::Short },
            captured: self.now,
            deadline: Some(Duration::from_millis(150)),
            host_latency: Duration::from_millis(4),
            scheme: Scheme::Gf16,
            parity,
        };
        let sent = self.host.send_frame(&frame)?;
        let datagrams: Vec<_> = sent.arena.datagrams().map(<[u8]>::to_vec).collect();
        let path = sent.path;
        for datagram in datagrams {
            self.sent_to.push((path, datagram.len()));
            if path == self.address {
                for at in self.fate() {
                    self.to_client.push((at, datagram.clone()));
                }
            }
        }
        Ok(())
    }

    /// `count` frames at 60 a second, each of a few packets; answers wishes for repair as a host does.
    fn stream(&mut self, count: usize, parity: u16) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        for number in 0..count {
            let data: Vec<u8> = (0..9000 + number * 13).map(|at| (at * 7 + number) as u8).collect();
            let wishes = self.host_events.iter().filter(|event| matches!(event, HostEvent::Invalidate { .. })).count();
            let kind = match self.streamed {
                0 => FrameKind::Idr,
                _ if wishes > self.answered => FrameKind::AfterInvalidation,
                _ => FrameKind::P,
            };
            (self.streamed, self.answered) = (self.streamed + 1, wishes);
            self.frame(&data, kind, parity).expect("a path");
            sent.push(data);
            self.run(FRAME_TIME / 1000);
        }
        sent
    }
}

fn press(number: u8) -> InputEvent {
    use MouseButton::{Left, Middle, Right, X1, X2};
    let state = if number.is_multiple_of(2) { PressState::Down } else { PressState::Up };
    InputEvent::MouseButton(MouseButtonEvent {
        button: [Left, Middle, Right, X1, X2][usize::from(number) / 2 % 5],
        state,
    })
}

#[test]
fn a_session_without_faults_delivers_every_frame_and_says_so() {
    let mut world = World::new(0);
    assert!(matches!(world.frame(&[1], FrameKind::Idr, 0), Err(SendError::NoPath)));
    world.run(100);
    assert_eq!(world.host_events, [HostEvent::Path(HOME)]);
    assert_eq!(world.client_events, [ClientEvent::Connected]);
    let sent = world.stream(30, 1);
    world.run(300);
    assert_eq!(world.frames.len(), sent.len());
    for ((number, data, references), (index, expected)) in world.frames.iter().zip(sent.iter().enumerate()) {
        assert_eq!((number.0 as usize, data, *references), (index + 1, expected, References::Whole));
    }
    let whole = |event: &&HostEvent| matches!(event, HostEvent::FrameStatus(status) if status.outcome != FrameOutcome::Lost && status.data > 0);
    assert_eq!(world.host_events.iter().filter(whole).count(), sent.len());
    let arrived: usize = world
        .host_events
        .iter()
        .map(|event| match event {
            HostEvent::Receipts { receipts, .. } => receipts.iter().filter(|receipt| receipt.arrived.is_some()).count(),
            _ => 0,
        })
        .sum();
    assert_eq!(arrived as u64, world.host.position(Stream::Video).next.0, "a receipt for every packet");
    let round_trip = world.client.round_trip();
    assert!(round_trip >= Duration::from_millis(16) && round_trip < Duration::from_millis(30), "{round_trip:?}");
}

#[test]
fn lost_shards_come_again_and_no_wrong_frame_is_shown() {
    let mut world = World::new(50);
    world.run(1500);
    let sent = world.stream(120, 0);
    world.run(500);
    let resent = world.host_events.iter().filter(|event| matches!(event, HostEvent::Resent { .. })).count();
    assert!(resent > 10, "{resent} shards were sent again");
    for (number, data, _) in &world.frames {
        assert_eq!(*data, sent[number.0 as usize - 1]);
    }
    // Without retransmission 30 % of the frames would be lost: each has seven packets.
    assert!(world.frames.len() > sent.len() * 9 / 10, "{} of {} frames", world.frames.len(), sent.len());
}

#[test]
fn a_loss_is_repaired_by_a_frame_that_refers_to_nothing_lost() {
    let mut world = World::new(0);
    world.run(100);
    world.stream(3, 0);
    world.loss = 1000;
    world.stream(15, 0);
    world.loss = 0;
    world.stream(40, 0);
    world.run(300);
    assert!(world.client_events.iter().any(|event| matches!(event, ClientEvent::Lost { .. })));
    assert!(world.host_events.iter().any(|event| matches!(event, HostEvent::Invalidate { .. })));
    assert!(world.frames.iter().any(|(.., references)| *references == References::Broken));
    assert_eq!(world.frames.last().expect("frames").2, References::Whole);
    let numbers: Vec<_> = world.frames.iter().map(|(number, ..)| *number).collect();
    assert!(numbers.is_sorted());
}

#[test]
fn keys_and_clipboard_arrive_once_and_in_order_over_a_bad_network() {
    let mut world = World::new(200);
    world.run(2000);
    let image: Vec<u8> = (0..200_000u32).map(|at| (at % 251) as u8).collect();
    let mut expected = Vec::new();
    for number in 0..60u8 {
        expected.push(press(number));
        world.client.send_input(expected.last().expect("one")).expect("room");
        if number == 5 {
            world.client.send_clipboard(ClipboardFormat::Png, &image).expect("room");
            world.host.send_clipboard(ClipboardFormat::Text, "Grüße".as_bytes()).expect("room");
            world.host.send_input_answer(0x010B, &[1, 2, 3]).expect("room");
        }
        world.run(15);
    }
    world.run(8000);
    let inputs = world.host_events.iter().filter_map(|event| match event {
        HostEvent::Input(input) => Some(input.clone()),
        _ => None,
    });
    assert_eq!(inputs.collect::<Vec<_>>(), expected);
    assert!(world.host_events.contains(&HostEvent::Clipboard(ClipboardFormat::Png, image)));
    assert!(world.client_events.contains(&ClientEvent::Clipboard(ClipboardFormat::Text, "Grüße".into())));
    assert!(world.client_events.contains(&ClientEvent::InputAnswer(0x010B, vec![1, 2, 3])));
}

#[test]
fn sound_pointer_and_movements_pass() {
    let mut world = World::new(0);
    world.run(100);
    let pixels = [5; 16];
    let shape = CursorShape { id: 3, width: 2, height: 2, hot_x: 0, hot_y: 1, pixels: &pixels };
    world.host.send_cursor_shape(shape).expect("room");
    let position = |x| CursorPosition { shape: 3, x, y: -4, visibility: CursorVisibility::Visible };
    for x in 0..5 {
        world.host.send_cursor_position(position(x)).expect("room");
        world.host.send_audio(&[x as u8; 60], x as u32 * 240).expect("short");
        world.client.send_microphone(&[x as u8; 30], x as u32 * 480).expect("short");
        world.run(5);
    }
    let extent = |pixels: i16| ReferenceExtent::try_from(pixels).expect("positive");
    let moved = InputEvent::MouseAbsolute(AbsolutePosition {
        x: 10,
        y: 20,
        reference_width: extent(1919),
        reference_height: extent(1079),
    });
    world.client.send_input(&moved).expect("room");
    world.run(60);
    assert!(world.host_events.contains(&HostEvent::Input(moved)));
    let audio = world.client_events.iter().filter(|event| matches!(event, ClientEvent::Audio { .. })).count();
    let voice = world.host_events.iter().filter(|event| matches!(event, HostEvent::Microphone { .. })).count();
    assert_eq!((audio, voice), (5, 5));
    assert!(world.client_events.iter().any(|event| matches!(event, ClientEvent::CursorShape { id: 3, .. })));
    let last = world.client_events.iter().rev().find_map(|event| match event {
        ClientEvent::CursorPosition(position) => Some(*position),
        _ => None,
    });
    assert_eq!(last, Some(position(4)));
}

#[test]
fn a_change_of_address_costs_the_picture_less_than_200_ms() {
    let mut world = World::new(0);
    world.run(100);
    world.stream(5, 0);
    let before = world.frames.len();
    world.address = AWAY;
    world.to_client.clear();
    let moved_at = world.now;
    while world.host.path() != Some(AWAY) {
        assert!(world.now.saturating_since(moved_at) < Duration::from_millis(200), "the move takes too long");
        world.stream(1, 0);
    }
    world.stream(3, 0);
    world.run(60);
    assert!(world.frames.len() > before);
    assert_eq!(world.host_events.iter().filter(|event| **event == HostEvent::Path(AWAY)).count(), 1);
}

#[test]
fn a_client_that_knows_of_its_new_address_is_followed_when_nothing_moves() {
    let mut world = World::new(0);
    world.run(100);
    world.stream(2, 0);
    world.run(300);
    world.address = AWAY;
    world.client.knock();
    // A datagram there, a challenge back, the response; far from the second that lies between two pings.
    world.run(60);
    assert_eq!(world.host.path(), Some(AWAY));
}

#[test]
fn a_stream_cannot_be_aimed_at_someone_else() {
    let mut world = World::new(0);
    world.run(100);
    world.stream(2, 0);
    // Somebody takes a fresh datagram off the wire and sends it from the address of a victim.
    let victim = PathId(66);
    let mut out = Vec::new();
    world.client.request_key_frame().expect("keys");
    while world.client.poll_transmit(world.now, &mut out) {
        let _ = world.host.receive(victim, &mut out, world.now);
    }
    let stolen = out.len();
    world.run(3000);
    world.stream(5, 0);
    let at_victim: usize = world.sent_to.iter().filter(|(path, _)| *path == victim).map(|(_, len)| len).sum();
    assert!(at_victim > 0 && at_victim <= 3 * stolen.max(64), "{at_victim} bytes for {stolen}");
    assert_eq!(world.host.path(), Some(HOME));
}

#[test]
fn ends_are_said_once_to_both_sides() {
    let mut world = World::new(0);
    world.run(100);
    world.client.close(CloseCode::Done, "bye").expect("keys");
    world.run(30);
    assert_eq!(world.host_events.last(), Some(&HostEvent::Ended(Ended::Closed(CloseCode::Done, "bye".to_owned()))));
    let mut silent = World::new(0);
    silent.run(100);
    silent.loss = 1000;
    silent.run(10_500);
    let ends = |event: &&HostEvent| matches!(event, HostEvent::Ended(_));
    assert_eq!(silent.host_events.iter().filter(ends).count(), 1);
    assert_eq!(
        silent.client_events.iter().filter(|event| matches!(event, ClientEvent::Ended(Ended::Silent))).count(),
        1
    );
    let wait = silent.client.deadline().map(|deadline| deadline > silent.now);
    assert_ne!(wait, Some(false), "nothing is left to do");
}

#[test]
fn what_was_not_granted_is_neither_sent_nor_taken() {
    let now = Timestamp::from_millis(1);
    let granted = config();
    let bare = SessionConfig { grants: Grants::NONE, ..granted.clone() };
    let mut host = Host::new(HostConfig::new(bare.clone(), [9; 32]), now);
    let mut client = Client::new(ClientConfig::new(bare), now);
    assert!(matches!(
        client.send_clipboard(ClipboardFormat::Text, b"x"),
        Err(SendError::NotGranted(Stream::Clipboard))
    ));
    assert!(matches!(client.send_microphone(b"x", 0), Err(SendError::NotGranted(Stream::Microphone))));
    assert!(matches!(host.send_clipboard(ClipboardFormat::Text, b"x"), Err(SendError::NotGranted(Stream::Clipboard))));
    let mut bold = Client::new(ClientConfig::new(granted), now);
    bold.send_microphone(b"x", 0).expect("granted here");
    let mut out = Vec::new();
    assert!(bold.poll_transmit(now, &mut out));
    assert_eq!(host.receive(HOME, &mut out, now), Err(ReceiveError::Stream(Stream::Microphone)));
}

#[test]
fn what_is_withdrawn_is_thrown_away_and_works_again_when_it_is_granted_again() {
    let mut world = World::new(0);
    world.run(50);
    let heard = |world: &mut World, what: u8| {
        world.host_events.clear();
        world.client.send_clipboard(ClipboardFormat::Text, &[what]).expect("it was agreed on");
        world.client.send_microphone(&[what], 0).expect("it was agreed on");
        world.run(100);
        let sent = world.host.send_clipboard(ClipboardFormat::Text, b"x");
        let clipboard = world.host_events.iter().any(|event| matches!(event, HostEvent::Clipboard(..)));
        let microphone = world.host_events.iter().any(|event| matches!(event, HostEvent::Microphone { .. }));
        (clipboard, microphone, sent.is_ok())
    };
    assert_eq!(heard(&mut world, 1), (true, true, true));
    world.host.restrict(Grants::MICROPHONE);
    assert_eq!(heard(&mut world, 2), (false, true, false));
    world.host.restrict(Grants::NONE);
    assert_eq!(heard(&mut world, 3), (false, false, false));
    world.host.restrict(Grants::CLIPBOARD.with(Grants::MICROPHONE));
    assert_eq!(heard(&mut world, 4), (true, true, true));
    // What came meanwhile was thrown away, not kept.
    let text = |event: &HostEvent| match event {
        HostEvent::Clipboard(_, bytes) => Some(bytes.clone()),
        _ => None,
    };
    assert_eq!(world.host_events.iter().filter_map(text).collect::<Vec<_>>(), [vec![4]]);
}
