//! Runs every vector of `vectors/audio.json` (protocol part 2, section 5), in both directions where a vector has two.

mod media_vectors;

use lumen_core::crypto::{CbcKey, OpenError};
use lumen_core::fec::gf8::{Codec, EncodeError};
use lumen_core::gamestream::audio::{
    AudioConfig, AudioCounters, AudioDropReason, AudioEncryption, AudioEvent, AudioFec, AudioHeader, AudioPacket,
    AudioPacketError, AudioPacketizeError, AudioPacketizer, AudioReceiver, AudioReceiverConfig, AudioStart, BLOCK_DATA,
    BLOCK_PARITY, OpusProfile, OpusQuality, PacketDuration, open_packet,
};
use lumen_core::gamestream::video::SequenceNumber;
use lumen_core::time::Timestamp;
use media_vectors::{Inputs, Outcome, hex, hexes, pattern, run};
use serde_json::{Map, Value, json};

#[test]
fn every_audio_vector_holds() {
    run(include_str!("vectors/audio.json"), 81, |kind, inputs, _| evaluate(kind, inputs));
}

fn evaluate(kind: &str, inputs: Inputs<'_>) -> Outcome {
    match kind {
        "audio_matrix" => Ok(matrix(inputs)),
        "audio_parity" => parity(inputs),
        "audio_iv" => {
            let encryption = AudioEncryption { key: CbcKey::new(&[0; 16]), key_id: inputs.number("rikeyid") };
            Ok(json!({ "iv": hex(encryption.iv(SequenceNumber(inputs.number("sequence")))) }))
        }
        "audio_packet" => Ok(packet(inputs)),
        "audio_open" => open(inputs),
        "audio_block" => block(inputs),
        "audio_receive" => receive(inputs),
        "opus_layout" => Ok(opus_layout(inputs)),
        unknown => panic!("unknown kind {unknown}"),
    }
}

fn matrix(inputs: Inputs<'_>) -> Value {
    assert_eq!((&inputs.0["data_points"], &inputs.0["parity_points"]), (&json!([0, 1, 2, 4]), &json!([8, 16])));
    let codec = Codec::audio();
    let row = |parity| (0..BLOCK_DATA).filter_map(|data| codec.coefficient(parity, data)).collect::<Vec<u8>>();
    json!({ "rows": hexes((0..BLOCK_PARITY).map(row)) })
}

fn parity(inputs: Inputs<'_>) -> Outcome {
    let payloads = match inputs.get("payloads") {
        Some(_) => inputs.list("payloads"),
        None => {
            let first: u32 = inputs.get("first_shard").map_or(0, |_| inputs.number("first_shard"));
            let make = |index| pattern(inputs.text("pattern"), first + index, inputs.number("length"));
            (0..BLOCK_DATA as u32).map(make).collect()
        }
    };
    let mut parity = vec![vec![0; payloads[0].len()]; BLOCK_PARITY];
    Codec::audio().encode(&payloads, &mut parity).map_err(|error| match error {
        EncodeError::WrongCount { .. } => "BadShape",
        EncodeError::LengthMismatch { .. } => "LengthMismatch",
        other => panic!("{other}"),
    })?;
    Ok(json!({ "parity": hexes(parity) }))
}

/// The packetizer begins at blocks, so the packets of the block before this one are made too.
fn packet(inputs: Inputs<'_>) -> Value {
    let sequence: u16 = inputs.number("sequence");
    let place = sequence % BLOCK_DATA as u16;
    let opus = inputs.bytes("opus");
    let counters = AudioCounters {
        sequence: sequence - place,
        timestamp: inputs.number::<u32>("timestamp") - u32::from(place) * inputs.number::<u32>("packet_duration"),
    };
    let mut packetizer = AudioPacketizer::resume(config(inputs), counters).expect("a block start");
    for _ in 0..place {
        packetizer.push(&opus).expect("fits");
    }
    let datagram = packetizer.push(&opus).expect("fits").data.to_vec();

    let encryption = encryption(inputs).expect("a key");
    let mut copy = datagram.clone();
    let (header, opened) = open_packet(Some(&encryption), &mut copy).expect("own packet");
    assert_eq!((header.sequence.0, header.timestamp), (sequence, inputs.number("timestamp")));
    assert_eq!(opened, opus);
    json!({ "iv": hex(encryption.iv(header.sequence)), "datagram": hex(datagram) })
}

fn open(inputs: Inputs<'_>) -> Outcome {
    let mut datagram = inputs.bytes("datagram");
    let (header, opus) = open_packet(encryption(inputs).as_ref(), &mut datagram).map_err(packet_error)?;
    Ok(json!({ "sequence": header.sequence.0, "timestamp": header.timestamp, "opus": hex(opus) }))
}

fn block(inputs: Inputs<'_>) -> Outcome {
    let counters =
        AudioCounters { sequence: inputs.number("base_sequence"), timestamp: inputs.number("base_timestamp") };
    let mut packetizer = AudioPacketizer::resume(config(inputs), counters).map_err(|_| "BadBase")?;
    let opus = inputs.list("opus");
    let (mut data, mut fec) = (Vec::new(), Vec::new());
    for packet in &opus {
        let datagrams = packetizer.push(packet).map_err(|error| match error {
            AudioPacketizeError::LengthMismatch { .. } => "LengthMismatch",
            other => panic!("{other}"),
        })?;
        data.push(datagrams.data.to_vec());
        fec.extend(datagrams.parity.iter().cloned());
    }

    // The client half gets them back, from any four of the six.
    let all = [&data[..], &fec[..]].concat();
    for kept in (0u8..64).filter(|kept| kept.count_ones() == 4) {
        let mut receiver = receiver(inputs, counters.sequence);
        for (_, datagram) in (0..).zip(&all).filter(|(index, _)| kept >> index & 1 == 1) {
            receiver.receive(datagram, Timestamp::ZERO).expect("used");
        }
        let played = std::iter::from_fn(|| receiver.poll()).map(|event| match event {
            AudioEvent::Packet { opus, .. } => opus,
            AudioEvent::Lost { .. } => panic!("nothing is lost"),
        });
        assert!(played.eq(opus.iter().cloned()));
    }
    Ok(json!({ "data": hexes(data), "fec": hexes(fec) }))
}

fn receive(inputs: Inputs<'_>) -> Outcome {
    let datagrams = inputs.list("datagrams");
    let base = datagrams.iter().find_map(|datagram| match AudioPacket::parse(datagram) {
        Ok(AudioPacket::Data { header, .. }) => Some(header.sequence.0 / 4 * 4),
        Ok(AudioPacket::Parity { base, .. }) => Some(base.sequence.0),
        Err(_) => None,
    });
    let mut receiver = receiver(inputs, base.expect("a packet"));
    for datagram in &datagrams {
        match receiver.receive(datagram, Timestamp::ZERO) {
            // Parity of a block that is complete.
            Ok(()) | Err(AudioDropReason::Late) => {}
            Err(AudioDropReason::Packet(error)) => return Err(packet_error(error)),
            Err(AudioDropReason::LengthMismatch { .. }) => return Err("LengthMismatch"),
            Err(other) => panic!("{other}"),
        }
    }
    let encryption = encryption(inputs);
    let mut rebuilt = Map::new();
    let mut played = Vec::new();
    while let Some(AudioEvent::Packet { header, opus, recovered }) = receiver.poll() {
        if recovered {
            rebuilt.insert(header.sequence.0.to_string(), hex(datagram(header, &opus, encryption.as_ref())).into());
        }
        played.push(hex(opus));
    }
    if played.len() < BLOCK_DATA {
        return Err("TooFewShards");
    }
    Ok(json!({ "recovered": rebuilt, "opus": played }))
}

/// The datagram that a packet came in, or would have come in.
fn datagram(header: AudioHeader, opus: &[u8], encryption: Option<&AudioEncryption>) -> Vec<u8> {
    let mut datagram = header.to_bytes().to_vec();
    match encryption {
        Some(encryption) => encryption.key.seal_into(&encryption.iv(header.sequence), opus, &mut datagram),
        None => datagram.extend_from_slice(opus),
    }
    datagram
}

fn opus_layout(inputs: Inputs<'_>) -> Value {
    let quality = if inputs.flag("high_quality") { OpusQuality::High } else { OpusQuality::Normal };
    let profile = OpusProfile::new(inputs.number("channels"), quality).expect("a known layout");
    let bytes = |millis| {
        let duration = PacketDuration::from_millis(millis).expect("not zero");
        profile.supports(duration).then(|| profile.packet_bytes(duration))
    };
    json!({
        "streams": profile.streams,
        "coupled": profile.coupled,
        "bitrate": profile.bits_per_second,
        "bytes_5ms": bytes(5),
        "bytes_10ms": bytes(10),
    })
}

fn packet_error(error: AudioPacketError) -> &'static str {
    match error {
        AudioPacketError::Truncated(_) => "Truncated",
        AudioPacketError::PayloadType(_) => "BadPayloadType",
        AudioPacketError::ParityIndex(_) => "BadIndex",
        AudioPacketError::Base(_) => "BadBase",
        AudioPacketError::Open(OpenError::BadLength(_)) => "BadLength",
        AudioPacketError::Open(OpenError::BadPadding) => "BadPadding",
        AudioPacketError::Open(OpenError::BadTag) => "BadTag",
    }
}

fn config(inputs: Inputs<'_>) -> AudioConfig {
    AudioConfig { packet_duration: duration(inputs), encryption: encryption(inputs), fec: AudioFec::On }
}

fn receiver(inputs: Inputs<'_>, base: u16) -> AudioReceiver {
    AudioReceiver::new(AudioReceiverConfig {
        packet_duration: duration(inputs),
        encryption: encryption(inputs),
        start: AudioStart::At(SequenceNumber(base)),
    })
}

fn duration(inputs: Inputs<'_>) -> PacketDuration {
    PacketDuration::from_millis(inputs.number("packet_duration")).expect("not zero")
}

fn encryption(inputs: Inputs<'_>) -> Option<AudioEncryption> {
    inputs
        .get("key")
        .map(|_| AudioEncryption { key: CbcKey::new(&inputs.key("key")), key_id: inputs.number("rikeyid") })
}
