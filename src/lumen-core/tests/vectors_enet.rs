//! Every vector of `vectors/enet.json`, against the public interface: datagrams through the parser and back, and
//! wherever a vector describes behaviour, through a [`Host`] and its datagrams.
//!
//! Kinds and error classes are those of the vectors' description (protocol vectors, `enet.json`).

use std::collections::BTreeMap;
use std::net::SocketAddr;

use lumen_core::enet::round_trip::RoundTrip;
use lumen_core::enet::window::{Admission, admit};
use lumen_core::enet::wire::{
    Body, Command, Datagram, Fragment, Handshake, Header, HeaderError, NO_SLOT, PEER_CHANNEL, Stop, ThrottleSettings,
};
use lumen_core::enet::{
    Delivery, DropReason, Event, Host, HostConfig, Limits, PeerAddress, PeerId, Timeouts, Transmit,
};
use lumen_core::time::Timestamp;
use serde_json::{Value, json};

#[test]
fn every_vector_holds() {
    let file: Value = serde_json::from_str(include_str!("vectors/enet.json")).unwrap();
    assert_eq!(file["format"], 1);
    let vectors = file["vectors"].as_array().unwrap();
    let mut counts = BTreeMap::new();
    let mut failures = Vec::new();
    for vector in vectors {
        let (kind, inputs, expected) = (text(&vector["kind"]), &vector["inputs"], &vector["expected"]);
        let result = match kind {
            "datagram" => datagram(inputs),
            "acknowledge" => acknowledge(inputs),
            "connect_reply" => connect_reply(inputs),
            "session_ids" => session_ids(inputs),
            "fragment" => fragment(inputs),
            "reassemble" => reassemble(inputs),
            "retransmission" => retransmission(inputs),
            "round_trip" => round_trip(inputs),
            "reliable_window" => reliable_window(inputs),
            unknown => panic!("unknown kind {unknown}"),
        };
        *counts.entry(kind).or_insert(0) += 1;
        for (member, value) in expected.as_object().unwrap() {
            if result.get(member) != Some(value) {
                failures.push(format!("{}: {member} is {:?}, not {value}", vector["name"], result.get(member)));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let expected = [
        ("acknowledge", 4),
        ("connect_reply", 18),
        ("datagram", 38),
        ("fragment", 8),
        ("reassemble", 15),
        ("reliable_window", 15),
        ("retransmission", 7),
        ("round_trip", 4),
        ("session_ids", 2),
    ];
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), expected);
    assert_eq!(vectors.len(), 111);
}

#[test]
fn a_connection_attempt_is_repeated_at_the_documented_times() {
    let timeouts = Timeouts { limit: 32, maximum: std::time::Duration::from_secs(30), ..Timeouts::default() };
    let mut host = Host::new(HostConfig { timeouts, ..HostConfig::client() }, |bytes: &mut [u8]| bytes.fill(7));
    host.connect(client(1), 48, 0).unwrap();
    let mut now = Timestamp::ZERO;
    let mut waits = Vec::new();
    while waits.len() < 4 {
        assert!(host.poll_transmit(now).is_some());
        assert!(host.poll_transmit(now).is_none());
        let next = host.timeout().unwrap();
        waits.push(next.saturating_since(now).as_millis());
        now = next;
        host.handle_timeout(now);
    }
    assert_eq!(waits, [504, 504, 1008, 1512]);
}

// ---- vectors ----

fn datagram(inputs: &Value) -> Value {
    let bytes = unhex(&inputs["hex"]);
    let datagram = match Datagram::parse(&bytes) {
        Ok(datagram) => datagram,
        Err(HeaderError::Truncated) => return json!({ "error": "Truncated" }),
        Err(HeaderError::Compressed) => return json!({ "error": "Compressed" }),
        Err(HeaderError::NotConnect) => return json!({ "error": "NotConnect" }),
    };
    let header = datagram.header();
    let mut again = Vec::new();
    header.encode(&mut again);
    let mut commands = Vec::new();
    let mut stopped = Value::Null;
    for command in datagram.commands() {
        match command {
            Ok(command) => {
                command.encode(&mut again);
                commands.push(describe(&command));
            }
            Err(stop) => stopped = json!(stop_class(stop)),
        }
    }
    if stopped.is_null() {
        assert_eq!(hex(&again), hex(&bytes), "encoding must give the same bytes");
    }
    json!({
        "peer": header.slot.unwrap_or(NO_SLOT), "session": header.session, "compressed": false,
        "sent_time": header.sent_time, "commands": commands, "stopped": stopped,
    })
}

fn stop_class(stop: Stop) -> &'static str {
    match stop {
        Stop::ShortCommand => "ShortCommand",
        Stop::ShortData => "ShortData",
        Stop::UnknownCommand => "UnknownCommand",
        Stop::AcknowledgeWithoutSentTime => "AcknowledgeWithoutSentTime",
    }
}

fn describe(command: &Command<'_>) -> Value {
    let (name, mut fields) = match command.body {
        Body::Acknowledge { sequence, sent_time } => {
            ("acknowledge", json!({ "received_sequence": sequence, "received_sent_time": sent_time }))
        }
        Body::Connect { offer, data } => {
            let mut fields = describe_handshake(&offer);
            fields["data"] = json!(data);
            ("connect", fields)
        }
        Body::VerifyConnect(grant) => ("verify_connect", describe_handshake(&grant)),
        Body::Disconnect { data } => ("disconnect", json!({ "data": data })),
        Body::Ping => ("ping", json!({})),
        Body::SendReliable { data } => ("send_reliable", json!({ "data": hex(data) })),
        Body::SendUnreliable { number, data } => {
            ("send_unreliable", json!({ "unreliable_sequence": number, "data": hex(data) }))
        }
        Body::SendFragment(fragment) => ("send_fragment", describe_fragment(&fragment)),
        Body::SendUnsequenced { group, data } => ("send_unsequenced", json!({ "group": group, "data": hex(data) })),
        Body::BandwidthLimit { incoming, outgoing } => {
            ("bandwidth_limit", json!({ "incoming_bandwidth": incoming, "outgoing_bandwidth": outgoing }))
        }
        Body::ThrottleConfigure(ThrottleSettings { interval, acceleration, deceleration }) => (
            "throttle_configure",
            json!({ "interval": interval, "acceleration": acceleration, "deceleration": deceleration }),
        ),
        Body::SendUnreliableFragment(fragment) => ("send_unreliable_fragment", describe_fragment(&fragment)),
    };
    fields["command"] = json!(name);
    fields["channel"] = json!(command.channel);
    fields["sequence"] = json!(command.sequence);
    fields["acknowledge"] = json!(command.acknowledge);
    fields["unsequenced"] = json!(command.unsequenced);
    fields
}

fn describe_handshake(handshake: &Handshake) -> Value {
    json!({
        "outgoing_peer_id": handshake.slot,
        "incoming_session": handshake.incoming_session,
        "outgoing_session": handshake.outgoing_session,
        "mtu": handshake.mtu,
        "window": handshake.window,
        "channels": handshake.channels,
        "incoming_bandwidth": handshake.incoming_bandwidth,
        "outgoing_bandwidth": handshake.outgoing_bandwidth,
        "throttle_interval": handshake.throttle.interval,
        "throttle_acceleration": handshake.throttle.acceleration,
        "throttle_deceleration": handshake.throttle.deceleration,
        "connect_id": hex(&handshake.connect_id),
    })
}

fn describe_fragment(fragment: &Fragment<'_>) -> Value {
    json!({
        "start_sequence": fragment.start, "fragment_count": fragment.count, "fragment_number": fragment.number,
        "total_length": fragment.total, "fragment_offset": fragment.offset, "data": hex(fragment.data),
    })
}

fn acknowledge(inputs: &Value) -> Value {
    let datagrams: Vec<_> = inputs["datagrams"].as_array().unwrap().iter().map(unhex).collect();
    let incoming = Datagram::parse(&datagrams[0]).unwrap().header().session;
    let (slot, outgoing) = (number(&inputs["peer"]) as u16, number(&inputs["session"]) as u8);
    let mut wire = Wire::connected(HostConfig::host(), slot, incoming, outgoing);
    for datagram in &datagrams {
        wire.host.receive(wire.client, datagram, wire.now).unwrap();
    }
    let sent = wire.transmits();
    assert_eq!(sent.len(), 1);
    json!({ "hex": hex(&sent[0]) })
}

fn connect_reply(inputs: &Value) -> Value {
    let limits = Limits { half_open: 100, ..Limits::default() };
    let config = HostConfig {
        mtu: number(&inputs["mtu"]).min(u16::MAX.into()) as u16,
        channel_limit: number(&inputs["channel_limit"]) as u8,
        limits,
        ..HostConfig::host()
    };
    let mut wire = Wire::new(config);
    for other in 0..number(&inputs["slot"]) as u16 {
        wire.open(client(1000 + other), other, 0, 0);
    }
    let (incoming, outgoing) = (number(&inputs["slot_incoming"]) as u8, number(&inputs["slot_outgoing"]) as u8);
    if incoming != 0xFF {
        let peer = wire.open(client(999), 0, incoming, outgoing);
        wire.host.disconnect_now(peer, 0);
        wire.transmits();
    }
    wire.now = Timestamp::from_millis(number(&inputs["sent_time"]));
    match wire.host.receive(wire.client, &unhex(&inputs["connect"]), wire.now) {
        Err(DropReason::BadOffer) => return json!({ "error": "BadChannelCount" }),
        other => other.unwrap(),
    }
    let sent = wire.transmits();
    assert_eq!(sent.len(), 1);
    json!({ "hex": hex(&sent[0]) })
}

fn session_ids(inputs: &Value) -> Value {
    let mut wire = Wire::new(HostConfig::host());
    let mut sessions = Vec::new();
    for (attempt, offer) in inputs["offers"].as_array().unwrap().iter().enumerate() {
        let offered = (number(&offer[0]) as u8, number(&offer[1]) as u8);
        let (peer, grant) = wire.open_with_offer(client(attempt as u16), 0, offered);
        // The grant names the host's numbers the other way round.
        sessions.push(json!([grant.outgoing_session, grant.incoming_session]));
        wire.host.disconnect_now(peer, 0);
        wire.transmits();
    }
    json!({ "sessions": sessions })
}

fn fragment(inputs: &Value) -> Value {
    let (mtu, start) = (number(&inputs["mtu"]) as u16, number(&inputs["start_sequence"]) as u16);
    let channel = number(&inputs["channel"]) as u8;
    let (slot, session) = (number(&inputs["peer"]) as u16, number(&inputs["session"]) as u8);
    let limits = Limits { packet_bytes: 1 << 20, outgoing_bytes: 1 << 22, ..Limits::default() };
    let mut wire = Wire::connected(HostConfig { mtu, limits, ..HostConfig::host() }, slot, session, session);
    let peer = wire.peer.unwrap();
    for _ in 1..start {
        wire.host.send(peer, channel, b"", Delivery::Reliable).unwrap();
        wire.acknowledge_all();
    }
    wire.now = Timestamp::from_millis(65_536 + number(&inputs["sent_time"]));
    assert_eq!(inputs["pattern"], "lcg");
    let payload = lcg(number(&inputs["seed"]) as u32, number(&inputs["length"]) as usize);
    wire.host.send(peer, channel, &payload, Delivery::Reliable).unwrap();
    let datagrams = wire.transmits();
    let mut lengths = Vec::new();
    let mut offsets = Vec::new();
    let mut sequences = Vec::new();
    for datagram in &datagrams {
        for command in Datagram::parse(datagram).unwrap().commands() {
            let command = command.unwrap();
            sequences.push(command.sequence);
            let (data, offset) = match command.body {
                Body::SendReliable { data } => (data, 0),
                Body::SendFragment(fragment) => (fragment.data, fragment.offset),
                other => panic!("{other:?}"),
            };
            lengths.push(data.len());
            offsets.push(offset);
        }
    }
    json!({
        "prefix": hex(&datagrams[0][..21]),
        "datagram_lengths": datagrams.iter().map(Vec::len).collect::<Vec<_>>(),
        "fragment_lengths": lengths,
        "offsets": offsets,
        "sequences": sequences,
        "datagrams": datagrams.iter().map(|datagram| hex(datagram)).collect::<Vec<_>>(),
        "datagrams_sha256": sha256(&datagrams.concat()),
    })
}

fn reassemble(inputs: &Value) -> Value {
    let packet_bytes = number(&inputs["limit"]) as usize;
    let limits = Limits { packet_bytes, ..Limits::default() };
    let mut wire = Wire::connected(HostConfig { limits, ..HostConfig::host() }, 0, 0, 0);
    for datagram in inputs["datagrams"].as_array().unwrap() {
        match wire.host.receive(wire.client, &unhex(datagram), wire.now) {
            Err(DropReason::BadFragment) => return json!({ "error": "BadFragment" }),
            Err(DropReason::TooLarge) => return json!({ "error": "TooLarge" }),
            other => other.unwrap(),
        }
    }
    match wire.host.poll_event() {
        Some(Event::Message { bytes, .. }) => json!({ "length": bytes.len(), "sha256": sha256(&bytes) }),
        None => json!({ "error": "Incomplete" }),
        other => panic!("{other:?}"),
    }
}

fn retransmission(inputs: &Value) -> Value {
    let field = |name: &str| number(&inputs[name]) as u32;
    let estimate = RoundTrip::with_estimate(field("rtt"), field("variance"));
    let timeouts: Vec<_> =
        (0..=field("expiries")).map(|n| estimate.timeout(n, field("limit"), field("maximum"))).collect();
    json!({ "timeouts": timeouts })
}

fn round_trip(inputs: &Value) -> Value {
    let mut estimate = RoundTrip::new();
    let mut estimates = Vec::new();
    for sample in inputs["samples"].as_array().unwrap() {
        estimate.sample(number(sample) as u32);
        estimates.push([estimate.time(), estimate.variance()]);
    }
    json!({ "estimates": estimates })
}

fn reliable_window(inputs: &Value) -> Value {
    let admission = admit(number(&inputs["current"]) as u16, number(&inputs["number"]) as u16);
    json!({ "accept": admission == Admission::New, "acknowledge": admission != Admission::Ahead })
}

// ---- a host, and a peer made of bytes ----

struct Wire {
    host: Host,
    client: PeerAddress,
    peer: Option<PeerId>,
    now: Timestamp,
    header: Header,
}

impl Wire {
    fn new(config: HostConfig) -> Self {
        let header = Header { slot: Some(0), session: 0, sent_time: None };
        let host = Host::new(config, |bytes: &mut [u8]| bytes.fill(7));
        Self { host, client: client(1), peer: None, now: Timestamp::ZERO, header }
    }

    /// A host whose slot 0 talks to the peer's `slot`, with these session numbers at the host.
    fn connected(config: HostConfig, slot: u16, incoming: u8, outgoing: u8) -> Self {
        let mut wire = Self::new(config);
        wire.header.session = incoming;
        wire.peer = Some(wire.open(wire.client, slot, incoming, outgoing));
        wire
    }

    /// Opens a connection in a slot that was never used, so that it gets these session numbers.
    fn open(&mut self, from: PeerAddress, slot: u16, incoming: u8, outgoing: u8) -> PeerId {
        self.open_with_offer(from, slot, (outgoing.wrapping_sub(1) & 3, incoming.wrapping_sub(1) & 3)).0
    }

    fn open_with_offer(&mut self, from: PeerAddress, slot: u16, offered: (u8, u8)) -> (PeerId, Handshake) {
        let offer = Handshake {
            slot,
            incoming_session: offered.0,
            outgoing_session: offered.1,
            mtu: 4096,
            window: 65_536,
            channels: 48,
            incoming_bandwidth: 0,
            outgoing_bandwidth: 0,
            throttle: ThrottleSettings { interval: 5000, acceleration: 2, deceleration: 2 },
            connect_id: [1, 2, 3, 4],
        };
        let connect = encode(
            Header { slot: None, session: 0, sent_time: Some(0) },
            &[command(PEER_CHANNEL, 1, true, Body::Connect { offer, data: 0 })],
        );
        self.host.receive(from, &connect, self.now).unwrap();
        let sent = self.transmits();
        assert_eq!(sent.len(), 1);
        let reply = Datagram::parse(&sent[0]).unwrap();
        let Some(Ok(Command { body: Body::VerifyConnect(grant), sequence, .. })) = reply.commands().next() else {
            panic!("{sent:?}");
        };
        let header = Header { slot: Some(grant.slot), session: grant.outgoing_session, sent_time: None };
        let body = Body::Acknowledge { sequence, sent_time: reply.header().sent_time.unwrap() };
        let verified = encode(header, &[command(PEER_CHANNEL, sequence, false, body)]);
        self.host.receive(from, &verified, self.now).unwrap();
        match self.host.poll_event() {
            Some(Event::Connected { peer, .. }) => (peer, grant),
            other => panic!("{other:?}"),
        }
    }

    fn transmits(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.host.poll_transmit(self.now)).map(|Transmit { bytes, .. }| bytes).collect()
    }

    fn acknowledge_all(&mut self) {
        for datagram in self.transmits() {
            let datagram = Datagram::parse(&datagram).unwrap();
            let sent_time = datagram.header().sent_time;
            let acknowledgements: Vec<_> = datagram
                .commands()
                .map(Result::unwrap)
                .filter(|command| command.acknowledge)
                .map(|Command { channel, sequence, .. }| {
                    let body = Body::Acknowledge { sequence, sent_time: sent_time.unwrap() };
                    command(channel, sequence, false, body)
                })
                .collect();
            self.host.receive(self.client, &encode(self.header, &acknowledgements), self.now).unwrap();
        }
    }
}

fn command(channel: u8, sequence: u16, acknowledge: bool, body: Body<'_>) -> Command<'_> {
    Command { channel, sequence, acknowledge, unsequenced: false, body }
}

fn encode(header: Header, commands: &[Command<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    header.encode(&mut bytes);
    commands.iter().for_each(|command| command.encode(&mut bytes));
    bytes
}

fn client(number: u16) -> PeerAddress {
    PeerAddress::new(SocketAddr::from(([192, 0, 2, 1 + (number / 1000) as u8], 10_000 + number)))
}

// ---- values of the file ----

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn unhex(value: &Value) -> Vec<u8> {
    let digits = text(value);
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sha256(bytes: &[u8]) -> String {
    hex(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref())
}

/// The pattern `lcg` of the vectors.
fn lcg(seed: u32, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B1).wrapping_add(0x7F4A_7C15);
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}
