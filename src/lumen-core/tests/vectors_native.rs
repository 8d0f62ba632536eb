//! The published vectors of lumen/1's own negotiation (`docs/protocol/vectors`, section 2.1). `LUMEN_BLESS=1` writes them
//! anew from the inputs below; a run without it checks that every vector holds, and that the file is what the inputs give.

mod vector_file;

use std::path::PathBuf;

use lumen_core::gamestream::http::{CodecMask, Profile};
use lumen_core::gamestream::sdp::{AudioQuality, Matrix, Range, ReferenceFrames};
use lumen_core::lumen1::header::SessionId;
use lumen_core::lumen1::native::pairing::{Binding, ClientPairing, HostPairing};
use lumen_core::lumen1::native::{
    App, Figures, Inbox, MessageError, REVISION, RawMessage, Refusal, Reply, Request, SoundLayout, Verb, Wish,
};
use lumen_core::lumen1::negotiation::{Answer, Grants, Offer, Schemes};
use serde_json::{Value, json};
use vector_file::{hex, string, unhex};

/// Kind, name and inputs of a vector.
type Case = (&'static str, &'static str, Value);

#[test]
fn published_vectors_hold_and_are_what_their_inputs_give() {
    let cases: Vec<Case> = pairing().into_iter().chain(messages()).collect();
    let count = cases.len();
    let vectors: Vec<Value> = cases
        .into_iter()
        .map(|(kind, name, inputs)| {
            let expected = run(kind, &inputs).unwrap_or_else(|| panic!("{kind} is a kind"));
            json!({ "name": name, "kind": kind, "inputs": inputs, "expected": expected })
        })
        .collect();
    let text = serde_json::to_string_pretty(&json!({ "vectors": vectors })).expect("JSON") + "\n";
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocol/vectors/native.json");
    if std::env::var_os("LUMEN_BLESS").is_some() {
        std::fs::write(&path, &text).expect("the vectors can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    vector_file::check(&found, count, |kind, inputs, _| run(kind, inputs));
    assert!(found == text, "native.json is not what its inputs give; LUMEN_BLESS=1 writes it");
}

fn pairing() -> Vec<Case> {
    let random = |first: u8| hex(&(0..64).map(|index| first ^ index).collect::<Vec<u8>>());
    let inputs = |typed: &str| {
        json!({
            "pin": "4711", "typed": typed,
            "client": hex(&[0xC1; 32]), "host": hex(&[0xB0; 32]), "exported": hex(&[0xEE; 32]),
            "client_random": random(0x40), "host_random": random(0x80),
        })
    };
    vec![("pairing", "the_right_pin", inputs("4711")), ("pairing", "a_wrong_pin", inputs("4712"))]
}

fn messages() -> Vec<Case> {
    let request = |name, request: &Request| ("request", name, json!({ "message": written(&request.to_message()) }));
    let reply = |name, reply: &Reply| ("reply", name, json!({ "message": written(&reply.to_message()) }));
    let wish = Wish {
        width: 1920,
        height: 1080,
        fps: 60,
        refresh_x100: 5994,
        bitrate_kbps: 20_000,
        profile: Profile::HevcMain10,
        matrix: Matrix::Bt2020,
        range: Range::Limited,
        references: ReferenceFrames::HostDecides,
        slices: 4,
        channels: 6,
        sound: AudioQuality::High,
        sound_ms: 5,
    };
    let session = SessionId(0x2A);
    let offer = Offer {
        session,
        random: [0xA0; 16],
        port: 47_998,
        datagram: 1452,
        schemes: Schemes::ALL,
        grants: Grants::NONE,
    };
    let answer = Answer {
        session,
        random: [0xC0; 16],
        datagram: 1200,
        schemes: Schemes::ALL,
        grants: Grants::NONE,
        max_frame: 16 << 20,
    };
    let welcome = Reply::Welcome {
        revision: REVISION,
        paired: true,
        codecs: CodecMask::from_profiles([Profile::H264High8, Profile::HevcMain8]).expect("some"),
        running: 7,
        id: "0123".to_owned(),
        name: "Höhle".to_owned(),
    };
    let figures = Figures {
        width: 1920,
        height: 1080,
        sent: 1000,
        dropped: 1,
        skipped: 2,
        bitrate_kbps: 18_000,
        encoder: "x264".to_owned(),
    };
    let apps = vec![App { id: 1, hdr: false, title: "Desktop".to_owned() }];
    vec![
        request("hello", &Request::Hello { revision: REVISION }),
        request("pair", &Request::Pair { element: [0x11; 32], name: "sofa".to_owned() }),
        request("confirm", &Request::Confirm { proof: [0x22; 32] }),
        request("apps", &Request::Apps { first: 0 }),
        request("launch", &Request::Launch { verb: Verb::Launch, app: 7, wish }),
        request("resume", &Request::Launch { verb: Verb::Resume, app: 0, wish }),
        request("take", &Request::Take(answer)),
        request("quit", &Request::Quit),
        request("figures", &Request::Figures),
        request("a_request_of_a_later_revision", &Request::Unknown(0xF000)),
        ("request", "a_notice_of_a_later_revision", json!({ "message": "70000001ff" })),
        ("request", "hello_cut_short", json!({ "message": "8001000101" })),
        ("request", "hello_of_a_later_revision", json!({ "message": "8001000500024142ff" })),
        ("request", "take_of_too_short_datagrams", {
            json!({ "message": written(&Request::Take(Answer { datagram: 1199, ..answer }).to_message()) })
        }),
        reply("welcome", &welcome),
        reply("element", &Reply::Pair { element: [0x33; 32] }),
        reply("paired", &Reply::Paired { proof: [0x44; 32] }),
        reply("list_of_apps", &Reply::Apps { total: 1, apps }),
        reply("offer", &Reply::Offer(offer)),
        reply("taken", &Reply::Taken(SoundLayout { streams: 4, coupled: 2, mapping: vec![0, 4, 1, 5, 2, 3] })),
        reply("ended", &Reply::Quit),
        reply("numbers", &Reply::Figures(figures)),
        reply("refused", &Reply::Refused { refusal: Refusal::Busy, text: "an application runs".to_owned() }),
        ("reply", "a_notice_of_a_later_revision", json!({ "message": "70000001ff" })),
    ]
}

fn written(message: &RawMessage) -> String {
    let mut bytes = Vec::new();
    message.write(&mut bytes).expect("short");
    hex(&bytes)
}

fn run(kind: &str, inputs: &Value) -> Option<Value> {
    let message = || {
        let mut inbox = Inbox::default();
        inbox.push(&unhex(&inputs["message"]));
        inbox.poll().expect("a whole message")
    };
    Some(match kind {
        "pairing" => pair(inputs),
        "request" => match Request::parse(&message()) {
            Ok(Some(request)) => describe_request(&request),
            Ok(None) => Value::Null,
            Err(error) => json!({ "error": class(error) }),
        },
        "reply" => match Reply::parse(&message()) {
            Ok(reply) => describe_reply(&reply),
            Err(error) => json!({ "error": class(error) }),
        },
        _ => return None,
    })
}

fn pair(inputs: &Value) -> Value {
    let bytes = |name: &str| <[u8; 32]>::try_from(unhex(&inputs[name])).expect("32 bytes");
    let binding = Binding { client: bytes("client"), host: bytes("host"), exported: bytes("exported") };
    // 64 bytes, little endian, modulo the order of the group, are a scalar.
    let random = |name: &str| {
        let bytes = unhex(&inputs[name]);
        move |buffer: &mut [u8]| buffer.copy_from_slice(&bytes)
    };
    let client = ClientPairing::new(string(&inputs["pin"]), binding, &mut random("client_random"));
    let (element, typed) = (client.element(), string(&inputs["typed"]));
    let host = HostPairing::new(typed, binding, &element, &mut random("host_random")).expect("an element");
    let answer = host.element();
    let client = client.answer(&answer).expect("an element");
    let proof = client.proof();
    let said = host.check(&proof);
    assert_eq!(client.check(&said.unwrap_or_default()), said.map(drop));
    json!({
        "client_element": hex(&element), "host_element": hex(&answer), "client_proof": hex(&proof),
        "host_proof": said.ok().map(|proof| hex(&proof)),
    })
}

fn class(error: MessageError) -> &'static str {
    match error {
        MessageError::Short => "short",
        MessageError::BadValue(_) => "bad_value",
        MessageError::Unknown(_) => "unknown",
    }
}

fn describe_request(request: &Request) -> Value {
    match request {
        Request::Hello { revision } => json!({ "hello": { "revision": revision } }),
        Request::Pair { element, name } => json!({ "pair": { "element": hex(element), "name": name } }),
        Request::Confirm { proof } => json!({ "confirm": { "proof": hex(proof) } }),
        Request::Apps { first } => json!({ "apps": { "first": first } }),
        Request::Launch { verb, app, wish } => json!({ "launch": {
            "resume": *verb == Verb::Resume, "app": app, "width": wish.width, "height": wish.height, "fps": wish.fps,
            "refresh_x100": wish.refresh_x100, "bitrate_kbps": wish.bitrate_kbps,
            "profile": format!("{:?}", wish.profile), "matrix": format!("{:?}", wish.matrix),
            "full_range": wish.range == Range::Full, "one_reference": wish.references == ReferenceFrames::One,
            "slices": wish.slices, "channels": wish.channels, "high_quality_sound": wish.sound == AudioQuality::High,
            "sound_ms": wish.sound_ms,
        } }),
        Request::Take(answer) => json!({ "take": {
            "session": answer.session.0, "random": hex(&answer.random), "datagram": answer.datagram,
            "schemes": answer.schemes.bits(), "grants": answer.grants.0, "frame": answer.max_frame,
        } }),
        Request::Quit => json!("quit"),
        Request::Figures => json!("figures"),
        Request::Unknown(kind) => json!({ "unknown": kind }),
    }
}

fn describe_reply(reply: &Reply) -> Value {
    match reply {
        Reply::Welcome { revision, paired, codecs, running, id, name } => json!({ "welcome": {
            "revision": revision, "paired": paired, "codecs": codecs.bits(), "running": running, "id": id, "name": name,
        } }),
        Reply::Pair { element } => json!({ "pair": { "element": hex(element) } }),
        Reply::Paired { proof } => json!({ "paired": { "proof": hex(proof) } }),
        Reply::Apps { total, apps } => json!({ "apps": {
            "total": total,
            "apps": apps.iter().map(|app| json!([app.id, app.hdr, app.title])).collect::<Vec<_>>(),
        } }),
        Reply::Offer(offer) => json!({ "offer": {
            "session": offer.session.0, "random": hex(&offer.random), "port": offer.port, "datagram": offer.datagram,
            "schemes": offer.schemes.bits(), "grants": offer.grants.0,
        } }),
        Reply::Taken(layout) => json!({ "taken": {
            "streams": layout.streams, "coupled": layout.coupled, "mapping": layout.mapping,
        } }),
        Reply::Quit => json!("quit"),
        Reply::Figures(figures) => json!({ "figures": {
            "width": figures.width, "height": figures.height, "sent": figures.sent, "dropped": figures.dropped,
            "skipped": figures.skipped, "bitrate_kbps": figures.bitrate_kbps, "encoder": figures.encoder,
        } }),
        Reply::Refused { refusal, text } => json!({ "refused": { "code": refusal.code(), "text": text } }),
    }
}
