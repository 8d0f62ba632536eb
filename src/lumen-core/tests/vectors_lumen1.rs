//! The published vectors of lumen/1 (`docs/protocol/vectors`). `LUMEN_BLESS=1` writes them anew from the inputs below; a
//! run without it checks that every vector holds, and that the files are what the inputs give.

mod vector_file;

use std::path::PathBuf;
use std::time::Duration;

use lumen_core::arena::PacketArena;
use lumen_core::fec::scheme::Scheme;
use lumen_core::lumen1::audio::AudioPacket;
use lumen_core::lumen1::header::{Epoch, HeaderError, PacketHeader, PacketNumber, SessionId, Stream};
use lumen_core::lumen1::keys::{Direction, KeySchedule};
use lumen_core::lumen1::message::{Clipboard, ClipboardFormat, CursorPosition, CursorShape, CursorVisibility};
use lumen_core::lumen1::message::{CloseCode, ShardRange, messages};
use lumen_core::lumen1::message::{FrameOutcome, FrameStatus, Message, MessageError, Missing, Piece, ReceiptLog};
use lumen_core::lumen1::negotiation::{Answer, Grants, NegotiationError, Offer, Schemes};
use lumen_core::lumen1::seal::{OpenError, Opener, Sealer, SendPosition};
use lumen_core::lumen1::video::{FrameFlags, FrameKind, FrameNumber, Reference, ShardHeader, ShardHeaderError};
use lumen_core::lumen1::{FrameToSend, Packetizer, PacketizerConfig, Reassembler, ReassemblerConfig, VideoEvent};
use lumen_core::time::Timestamp;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use vector_file::{hex, number, string, unhex};

const SECRET: &str = "000102030405060708090a0b0c0d0e0f";
const HOST_RANDOM: &str = "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf";
const CLIENT_RANDOM: &str = "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf";
const SESSION: u32 = 0x0000_002A;

/// Kind, name and inputs of a vector.
type Case = (&'static str, String, Value);

/// Each file: its name, and its vectors.
fn files() -> Vec<(&'static str, Vec<Case>)> {
    vec![
        ("keys.json", keys()),
        ("packets.json", packets()),
        ("messages.json", message_vectors()),
        ("frames.json", frames()),
        ("negotiation.json", negotiation()),
        ("bad.json", bad()),
    ]
}

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocol/vectors")
}

#[test]
fn published_vectors_hold_and_are_what_their_inputs_give() {
    for (file, cases) in files() {
        let path = directory().join(file);
        let count = cases.len();
        let vectors: Vec<Value> = cases
            .into_iter()
            .map(|(kind, name, inputs)| {
                let expected = run(kind, &inputs).unwrap_or_else(|| panic!("{kind} is a kind"));
                json!({ "name": name, "kind": kind, "inputs": inputs, "expected": expected })
            })
            .collect();
        let text = serde_json::to_string_pretty(&json!({ "vectors": vectors })).expect("JSON") + "\n";
        if std::env::var_os("LUMEN_BLESS").is_some() {
            std::fs::write(&path, &text).expect("the vectors can be written");
        }
        let found = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        vector_file::check(&found, count, |kind, inputs, _| run(kind, inputs));
        assert!(found == text, "{file} is not what its inputs give; LUMEN_BLESS=1 writes it");
    }
}

#[test]
fn the_schedule_is_that_of_rfc_5869() {
    // Computed with another implementation of HKDF: Python's hmac module, see the README of the vectors.
    let inputs = key_inputs(json!({ "direction": 0, "stream": 1, "epoch": 0, "number": 1 }));
    let found = run("keys", &inputs).expect("a kind");
    assert_eq!(string(&found["key"]), "0359a6d7c1fc72f6647b2ae9ac0f3092");
    assert_eq!(string(&found["iv"]), "3b30ca3ab6d532a4bceafe6c");
}

fn key_inputs(more: Value) -> Value {
    let mut inputs = json!({ "secret": SECRET, "host_random": HOST_RANDOM, "client_random": CLIENT_RANDOM });
    let members = inputs.as_object_mut().expect("an object");
    members.extend(more.as_object().expect("an object").clone());
    inputs
}

fn keys() -> Vec<Case> {
    let case = |name: &str, direction: u8, stream: u8, epoch: u16, number: u64| {
        let more = json!({ "direction": direction, "stream": stream, "epoch": epoch, "number": number });
        ("keys", name.to_owned(), key_inputs(more))
    };
    let mut cases = vec![
        case("video_first_packet", 0, 1, 0, 0),
        case("video_second_packet", 0, 1, 0, 1),
        case("video_next_epoch", 0, 1, 1, 0),
        case("video_last_epoch", 0, 1, 65_535, (1 << 30) - 1),
        case("control_of_the_host", 0, 0, 0, 0),
        case("control_of_the_client", 1, 0, 0, 0),
    ];
    let mut long = case("a_secret_of_32_bytes", 0, 1, 0, 0);
    long.2["secret"] = json!(SECRET.repeat(2));
    cases.push(long);
    cases
}

fn packets() -> Vec<Case> {
    let packet = |name: &str, direction: u8, stream: Stream, epoch: u16, number: u64, payload: Vec<u8>| {
        let more = json!({
            "direction": direction, "stream": stream.wire(), "epoch": epoch, "session": SESSION, "number": number,
            "payload": hex(&payload),
        });
        ("packet", name.to_owned(), key_inputs(more))
    };
    let message = |message: Message<'_>| {
        let mut payload = Vec::new();
        message.write(&mut payload);
        payload
    };
    vec![
        packet("an_empty_payload", 0, Stream::Control, 0, 0, vec![]),
        packet("ping", 1, Stream::Control, 0, 7, message(Message::Ping(1))),
        packet("video_shard", 0, Stream::Video, 0, 1 << 20, unhex(&json!("0000000100000001000001024142"))),
        packet("audio", 0, Stream::Audio, 2, 300, unhex(&json!("00000005000004b00a0200030a0b0c00020708"))),
        packet("input", 1, Stream::Input, 0, 1, message(Message::Input(&unhex(&json!("000000050900000001"))))),
        packet("cursor", 0, Stream::Cursor, 0, 0, message(position())),
        packet("clipboard", 1, Stream::Clipboard, 0, 0, message(clipboard())),
        packet("microphone", 1, Stream::Microphone, 0, 0, unhex(&json!("0000000000000000140100020708"))),
        packet("feedback", 1, Stream::Feedback, 0, 0, message(Message::KeyFrame)),
    ]
}

fn position() -> Message<'static> {
    Message::CursorPosition(CursorPosition { shape: 3, x: -5, y: 700, visibility: CursorVisibility::Visible })
}

fn clipboard() -> Message<'static> {
    Message::Clipboard(Clipboard { format: ClipboardFormat::Text, bytes: "Grüße\n".as_bytes() })
}

fn message_vectors() -> Vec<Case> {
    let pixels: Vec<u8> = (0..16).collect();
    let mut ranges = Vec::new();
    for (first, count) in [(0, 1), (5, 3), (65_535, 1)] {
        Missing::push_range(ShardRange { first, count }, &mut ranges);
    }
    let status = FrameStatus {
        frame: FrameNumber(9),
        outcome: FrameOutcome::Restored,
        data: 740,
        parity: 148,
        received: 742,
        micros: 8123,
    };
    let input_event = [0, 0, 0, 5, 9, 0, 0, 0, 1];
    let list: Vec<(&str, Stream, Message<'_>)> = vec![
        ("padding", Stream::Control, Message::Padding(3)),
        ("ping", Stream::Control, Message::Ping(258)),
        ("pong", Stream::Control, Message::Pong(258)),
        ("path_challenge", Stream::Control, Message::PathChallenge(0x0102_0304_0506_0708)),
        ("path_response", Stream::Control, Message::PathResponse(0x0102_0304_0506_0708)),
        ("close", Stream::Control, Message::Close { code: CloseCode::Failed, text: "the encoder is gone" }),
        ("reliable", Stream::Input, Message::Reliable { sequence: 4, piece: Piece::More, bytes: &[0, 0x20, 1, 2] }),
        ("ack", Stream::Input, Message::Ack { next: 5, beyond: 0b101 }),
        ("missing", Stream::Feedback, Message::Missing(Missing::new(FrameNumber(9), &ranges))),
        ("frame_status", Stream::Feedback, Message::FrameStatus(status)),
        ("invalidate", Stream::Feedback, Message::Invalidate { first: FrameNumber(8), last: FrameNumber(9) }),
        ("key_frame", Stream::Feedback, Message::KeyFrame),
        ("input", Stream::Input, Message::Input(&input_event)),
        ("input_answer", Stream::Input, Message::InputAnswer { kind: 0x010B, payload: &[0, 0, 1, 2] }),
        (
            "cursor_shape",
            Stream::Cursor,
            Message::CursorShape(CursorShape { id: 3, width: 2, height: 2, hot_x: 1, hot_y: 0, pixels: &pixels }),
        ),
        ("cursor_position", Stream::Cursor, position()),
        ("clipboard", Stream::Clipboard, clipboard()),
    ];
    let mut cases: Vec<_> = list
        .into_iter()
        .map(|(name, stream, message)| {
            let mut payload = Vec::new();
            message.write(&mut payload);
            ("messages", name.to_owned(), json!({ "stream": stream.wire(), "payload": hex(&payload) }))
        })
        .collect();
    let mut log = ReceiptLog::default();
    for (number, micros) in [(100, 5_000_000), (101, 5_000_160), (103, 5_000_016), (104, 5_000_500)] {
        log.note(Epoch(1), PacketNumber(number), Timestamp::from_micros(micros));
    }
    let mut payload = Vec::new();
    assert!(log.write_next(1000, &mut payload));
    cases.push(("messages", "receipts".to_owned(), json!({ "stream": 7, "payload": hex(&payload) })));
    let later = "7fff0002aabb0001000a0000000000000009ffff";
    let name = "a_later_type_and_bytes_after_known_fields".to_owned();
    cases.push(("messages", name, json!({ "stream": 0, "payload": later })));
    let audio = "00000005000004b00a0300030a0b0c000207080000";
    cases.push(("audio", "audio_with_two_copies".to_owned(), json!({ "payload": audio })));
    cases
}

fn frames() -> Vec<Case> {
    let frame = |name: &str, len: usize, scheme: Scheme, parity: u16, show: &str, lost: Vec<usize>| {
        let more = json!({
            "session": SESSION, "datagram": 1200, "length": len, "scheme": scheme.wire(), "parity": parity,
            "kind": 2, "captured": 1_000_000, "deadline": 50_000, "host_latency": 4_000, "show": show, "lost": lost,
        });
        ("frame", name.to_owned(), key_inputs(more))
    };
    use Scheme::{Gf8Interleaved, Gf16};
    vec![
        frame("a_small_frame_without_parity", 5, Gf16, 0, "datagrams", vec![]),
        frame("a_small_frame_and_two_copies", 5, Gf8Interleaved, 2, "datagrams", vec![0, 1]),
        frame("gf16_3_and_2", 3000, Gf16, 2, "datagrams", vec![0, 2]),
        frame("gf8x_3_and_2", 3000, Gf8Interleaved, 2, "datagrams", vec![1, 2]),
        frame("gf8x_two_blocks", 300_000, Gf8Interleaved, 50, "digest", (10..40).collect()),
        frame("gf16_one_large_block", 300_000, Gf16, 50, "digest", (10..60).collect()),
    ]
}

fn negotiation() -> Vec<Case> {
    let mut body = "a=x-ss-general.featureFlags:3\n".to_owned();
    let offer = Offer {
        session: SessionId(SESSION),
        random: unhex(&json!(HOST_RANDOM)).try_into().expect("16 bytes"),
        port: 47_998,
        datagram: 1452,
        schemes: Schemes::ALL,
        grants: Grants::CLIPBOARD.with(Grants::CURSOR),
    };
    offer.append_to(&mut body);
    let answer = Answer {
        session: SessionId(SESSION),
        random: unhex(&json!(CLIENT_RANDOM)).try_into().expect("16 bytes"),
        datagram: 1200,
        schemes: Schemes::only(Scheme::Gf8Interleaved),
        grants: Grants::CURSOR,
        max_frame: 16 << 20,
    };
    let mut taken = "a=x-nv-video[0].clientViewportWd:1280 \r\n".to_owned();
    answer.append_to(&mut taken);
    let case = |name: &str, offer: &str, answer: &str| {
        ("negotiation", name.to_owned(), json!({ "describe": offer, "announce": answer }))
    };
    vec![
        case("offered_and_taken", &body, &taken),
        case("offered_and_not_taken", &body, "a=x-nv-video[0].clientViewportWd:1280 \r\n"),
        case("not_offered", "a=x-ss-general.featureFlags:3\n", ""),
        case("pairs_of_a_later_revision", &body.replace(":session", ":later=9;session"), &taken),
        case("an_offer_without_a_port", &body.replace("port=47998;", ""), ""),
        case("an_offer_with_a_short_random", &body.replace("a0a1", ""), ""),
        case("an_offer_of_too_short_datagrams", &body.replace("datagram=1452", "datagram=1199"), ""),
        case("an_answer_to_another_session", &body, &taken.replace("0000002a", "0000002b")),
        case("an_answer_with_longer_datagrams", &body, &taken.replace("datagram=1200", "datagram=1453")),
        case("an_answer_without_a_common_code", &body, &taken.replace("schemes=2", "schemes=8")),
        case("an_answer_that_takes_the_microphone", &body, &taken.replace("grants=4", "grants=6")),
    ]
}

fn bad() -> Vec<Case> {
    let mut sealer = sealer(&key_inputs(json!({})), Direction::HostToClient, Stream::Video, SendPosition::default());
    let good: Vec<Vec<u8>> = (0..3).map(|byte| sealer.seal_payload(&[byte; 4]).expect("epochs left")).collect();
    let changed = |at: usize, value: u8| {
        let mut datagram = good[0].clone();
        datagram[at] ^= value;
        datagram
    };
    let case = |name: &str, datagrams: Vec<Vec<u8>>| {
        let list: Vec<String> = datagrams.iter().map(|datagram| hex(datagram)).collect();
        ("open", name.to_owned(), key_inputs(json!({ "direction": 0, "session": SESSION, "datagrams": list })))
    };
    let last = good[0].len() - 1;
    let payload = |kind: &'static str, name: &str, inputs: Value| (kind, name.to_owned(), inputs);
    let shard = |name: &str, bytes: &str| payload("shard", name, json!({ "payload": bytes }));
    let said =
        |name: &str, stream: u8, bytes: &str| payload("messages", name, json!({ "stream": stream, "payload": bytes }));
    vec![
        case("in_any_order_and_again", vec![good[2].clone(), good[0].clone(), good[2].clone(), good[1].clone()]),
        case("too_short", vec![good[0][..31].to_vec(), vec![]]),
        case("another_marker", vec![changed(0, 0xC0)]),
        case("an_unknown_stream", vec![changed(0, 0x1F)]),
        case("another_stream", vec![changed(0, 3)]),
        case("changed_flags", vec![changed(1, 1)]),
        case("a_changed_epoch", vec![changed(3, 1)]),
        case("an_epoch_too_far_ahead", vec![changed(3, 17)]),
        case("another_session", vec![changed(7, 1)]),
        case("a_changed_number", vec![changed(15, 1)]),
        case("changed_ciphertext", vec![changed(16, 1)]),
        case("a_changed_tag", vec![changed(last, 0x80)]),
        shard("shard_of_frame_zero", "0000000000000001000001024142"),
        shard("shard_of_an_unknown_code", "0000000100000001000003024142"),
        shard("shard_outside_of_its_frame", "0000000100020001000101024142"),
        shard("shard_of_no_data", "0000000100000000000101024142"),
        shard("gf16_shard_of_odd_length", "00000001000000010001020241"),
        shard("gf16_frame_of_too_many_shards", "0000000100008001800002024142"),
        shard("gf16_frame_of_too_many_points", "0000000100000001080102024142"),
        shard("shard_cut_in_its_header", "0000000100000001000001"),
        shard("reserved_bits_are_ignored", "0000000100000001000071e24142"),
        said("message_longer_than_its_payload", 0, "0001000900"),
        said("message_cut_short", 0, "0001000700000000000000"),
        said("message_on_the_wrong_stream", 0, "00140000"),
        said("message_with_a_bad_value", 7, "001300080000000500000004"),
        said("close_that_is_not_text", 0, "000500040000c328"),
    ]
}

fn schedule(inputs: &Value) -> KeySchedule {
    let random = |name: &str| unhex(&inputs[name]).try_into().expect("16 bytes");
    KeySchedule::new(&unhex(&inputs["secret"]), &random("host_random"), &random("client_random")).expect("long enough")
}

fn direction(inputs: &Value) -> Direction {
    if number(&inputs["direction"]) == 0 { Direction::HostToClient } else { Direction::ClientToHost }
}

fn stream(inputs: &Value) -> Stream {
    Stream::from_wire(number(&inputs["stream"]) as u8).expect("a stream")
}

fn sealer(inputs: &Value, direction: Direction, stream: Stream, position: SendPosition) -> Sealer {
    Sealer::new(&schedule(inputs), direction, stream, SessionId(SESSION), position)
}

fn run(kind: &str, inputs: &Value) -> Option<Value> {
    Some(match kind {
        "keys" => {
            let (direction, stream) = (direction(inputs), stream(inputs));
            let epoch = Epoch(number(&inputs["epoch"]) as u16);
            let material = schedule(inputs).material(direction, stream, epoch);
            let nonce =
                schedule(inputs).stream_key(direction, stream, epoch).nonce(PacketNumber(number(&inputs["number"])));
            json!({ "key": hex(&material[..16]), "iv": hex(&material[16..]), "nonce": hex(&nonce) })
        }
        "packet" => packet(inputs),
        "messages" => {
            let payload = unhex(&inputs["payload"]);
            let found: Vec<Value> = messages(stream(inputs), &payload).map(describe).collect();
            json!({ "messages": found })
        }
        "audio" => {
            let payload = unhex(&inputs["payload"]);
            let packet = AudioPacket::parse(&payload).expect("well formed");
            let frames: Vec<Value> = packet
                .frames()
                .map(|frame| json!({ "number": frame.sequence, "time": frame.timestamp, "opus": hex(frame.data) }))
                .collect();
            json!({ "frames_oldest_first": frames })
        }
        "frame" => frame(inputs),
        "negotiation" => negotiate(inputs),
        "open" => {
            let mut opener = Opener::new(&schedule(inputs), direction(inputs), SessionId(SESSION));
            let datagrams = inputs["datagrams"].as_array().expect("datagrams");
            let results: Vec<String> = datagrams
                .iter()
                .map(|datagram| match opener.open(&mut unhex(datagram)) {
                    Ok(opened) => format!("ok {}", hex(opened.payload)),
                    Err(error) => open_class(error).to_owned(),
                })
                .collect();
            json!({ "results": results })
        }
        "shard" => match ShardHeader::parse(&unhex(&inputs["payload"])) {
            Ok((header, shard)) => json!({
                "frame": header.frame.0, "index": header.index, "data": header.shape.data(),
                "parity": header.shape.parity(), "scheme": header.shape.scheme().wire(),
                "kind": header.flags.kind.wire_type(), "reference": format!("{:?}", header.flags.reference),
                "sending": format!("{:?}", header.sending), "shard": hex(shard),
            }),
            Err(error) => json!({ "error": shard_class(error) }),
        },
        _ => return None,
    })
}

fn packet(inputs: &Value) -> Value {
    let position =
        SendPosition { epoch: Epoch(number(&inputs["epoch"]) as u16), next: PacketNumber(number(&inputs["number"])) };
    let payload = unhex(&inputs["payload"]);
    let mut sealer = sealer(inputs, direction(inputs), stream(inputs), position);
    let datagram = sealer.seal_payload(&payload).expect("epochs left");
    let header = PacketHeader::parse(&datagram).expect("a header");
    assert_eq!((header.epoch, header.number), (position.epoch, position.next));
    let mut opener = Opener::new(&schedule(inputs), direction(inputs), SessionId(SESSION));
    assert_eq!(opener.open(&mut datagram.clone()).expect("authentic").payload, payload);
    json!({ "datagram": hex(&datagram) })
}

fn frame(inputs: &Value) -> Value {
    let len = number(&inputs["length"]) as usize;
    let data: Vec<u8> = (0..len).map(|at| (at * 7 + at / 256) as u8).collect();
    let sealer = sealer(inputs, Direction::HostToClient, Stream::Video, SendPosition::default());
    let datagram = number(&inputs["datagram"]) as usize;
    let config = PacketizerConfig { datagram, max_frame: 1 << 20, first_frame: FrameNumber::FIRST };
    let micros = |name: &str| Duration::from_micros(number(&inputs[name]));
    let frame = FrameToSend {
        data: &data,
        flags: FrameFlags {
            kind: FrameKind::from_wire_type(number(&inputs["kind"]) as u8).expect("a kind"),
            reference: Reference::Short,
        },
        captured: Timestamp::ZERO + micros("captured"),
        deadline: Some(micros("deadline")),
        host_latency: micros("host_latency"),
        scheme: Scheme::try_from(number(&inputs["scheme"]) as u8).expect("a scheme"),
        parity: number(&inputs["parity"]) as u16,
    };
    let mut arena = PacketArena::new();
    let sent = Packetizer::new(config, sealer).packetize(&frame, &mut arena).expect("fits");
    let shape = sent.shape;
    let mut found = json!({
        "data": shape.data(), "parity": shape.parity(), "shard_length": shape.shard_len(),
        "sha256_of_all_datagrams": hex(digest(&SHA256, arena.as_bytes()).as_ref()),
    });
    if string(&inputs["show"]) == "datagrams" {
        found["datagrams"] = arena.datagrams().map(hex).collect();
    }
    // What is lost is restored.
    let lost: Vec<u64> = inputs["lost"].as_array().expect("a list").iter().map(number).collect();
    let mut opener = Opener::new(&schedule(inputs), Direction::HostToClient, SessionId(SESSION));
    let mut receiver = Reassembler::new(ReassemblerConfig::new(1 << 20));
    for (_, datagram) in (0..).zip(arena.datagrams_mut()).filter(|(index, _)| !lost.contains(index)) {
        let _ = receiver.receive(opener.open(datagram).expect("authentic").payload, Timestamp::ZERO);
    }
    let Some(VideoEvent::Frame(whole)) = receiver.poll() else { panic!("the frame is not restored") };
    assert_eq!(whole.data(), data);
    found["sha256_of_the_frame"] = json!(hex(digest(&SHA256, whole.data()).as_ref()));
    found
}

fn negotiate(inputs: &Value) -> Value {
    let class = |error: NegotiationError| json!({ "error": format!("{error:?}") });
    let offer = match Offer::find(string(&inputs["describe"])) {
        Ok(Some(offer)) => offer,
        Ok(None) => return json!({ "offer": null }),
        Err(error) => return class(error),
    };
    let shown = json!({
        "session": offer.session.0, "random": hex(&offer.random), "port": offer.port, "datagram": offer.datagram,
        "grants": offer.grants.0,
    });
    match Answer::find(string(&inputs["announce"]), &offer) {
        Ok(None) => json!({ "offer": shown, "answer": null }),
        Ok(Some(answer)) => json!({ "offer": shown, "answer": {
            "session": answer.session.0, "random": hex(&answer.random), "datagram": answer.datagram,
            "gf8x": answer.schemes.contains(Scheme::Gf8Interleaved), "gf16": answer.schemes.contains(Scheme::Gf16),
            "grants": answer.grants.0, "frame": answer.max_frame,
        }}),
        Err(error) => class(error),
    }
}

fn describe(message: Result<Message<'_>, MessageError>) -> Value {
    let message = match message {
        Ok(message) => message,
        Err(error) => {
            let class = match error {
                MessageError::Truncated => "truncated",
                MessageError::Short(_) => "short",
                MessageError::WrongStream { .. } => "wrong_stream",
                MessageError::BadValue(_) => "bad_value",
                MessageError::NotText(_) => "not_text",
            };
            return json!({ "error": class });
        }
    };
    let fields = match message {
        Message::Padding(len) => json!({ "length": len }),
        Message::Ping(value) | Message::Pong(value) | Message::PathChallenge(value) | Message::PathResponse(value) => {
            json!({ "value": value })
        }
        Message::Close { code, text } => json!({ "code": code.wire(), "text": text }),
        Message::Reliable { sequence, piece, bytes } => {
            json!({ "piece": sequence, "more": piece == Piece::More, "bytes": hex(bytes) })
        }
        Message::Ack { next, beyond } => json!({ "next": next, "beyond": beyond }),
        Message::Receipts(receipts) => json!({
            "epoch": receipts.epoch.0,
            "packets": receipts.iter().map(|receipt| json!({
                "number": receipt.number.0, "arrived": receipt.arrived.map(Timestamp::as_micros),
            })).collect::<Vec<_>>(),
        }),
        Message::Missing(missing) => json!({
            "frame": missing.frame.0,
            "ranges": missing.ranges().map(|range| json!([range.first, range.count])).collect::<Vec<_>>(),
        }),
        Message::FrameStatus(status) => json!({
            "frame": status.frame.0, "outcome": format!("{:?}", status.outcome), "data": status.data,
            "parity": status.parity, "received": status.received, "micros": status.micros,
        }),
        Message::Invalidate { first, last } => json!({ "first": first.0, "last": last.0 }),
        Message::KeyFrame => json!({}),
        Message::Input(event) => json!({ "event": hex(event) }),
        Message::InputAnswer { kind, payload } => json!({ "type": kind, "payload": hex(payload) }),
        Message::CursorShape(shape) => json!({
            "name": shape.id, "width": shape.width, "height": shape.height, "hot_spot": [shape.hot_x, shape.hot_y],
            "pixels": hex(shape.pixels),
        }),
        Message::CursorPosition(position) => json!({
            "shape": position.shape, "x": position.x, "y": position.y,
            "visible": position.visibility == CursorVisibility::Visible,
        }),
        Message::Clipboard(clipboard) => {
            json!({ "format": format!("{:?}", clipboard.format), "bytes": hex(clipboard.bytes) })
        }
    };
    json!({ "type": message.kind(), "fields": fields })
}

fn open_class(error: OpenError) -> &'static str {
    match error {
        OpenError::Header(HeaderError::TooShort(_)) => "too_short",
        OpenError::Header(HeaderError::NotLumen1(_)) => "not_lumen_1",
        OpenError::Header(HeaderError::UnknownStream(_)) => "unknown_stream",
        OpenError::OtherSession(_) => "other_session",
        OpenError::Epoch(_) => "epoch",
        OpenError::Replay(_) => "replay",
        OpenError::NotAuthentic => "not_authentic",
    }
}

fn shard_class(error: ShardHeaderError) -> &'static str {
    match error {
        ShardHeaderError::TooShort(_) => "too_short",
        ShardHeaderError::FrameZero => "frame_zero",
        ShardHeaderError::Scheme(_) => "unknown_code",
        ShardHeaderError::Shape(_) => "shape",
        ShardHeaderError::TooManyPoints(_) => "points",
        ShardHeaderError::Index { .. } => "index",
    }
}
