//! Runs every vector of `vectors/video_packets.json` (protocol part 2, sections 1 to 4), in both directions where a
//! vector has two: what is packetized is also received.

mod media_vectors;

use std::time::Duration;

use lumen_core::crypto::{OpenError, PacketKey};
use lumen_core::fec::gf8::{Codec, ShardSet};
use lumen_core::gamestream::packetizer::{
    FecPercentage, FrameLayout, FrameToSend, Oversize, PacketArena, PacketCounters, PacketizeError, Packetizer,
    PacketizerConfig, ParityPolicy, gso_batch, packets_per_millisecond,
};
use lumen_core::gamestream::reassembler::{
    DropReason, LossCause, Reassembler, ReassemblerConfig, VideoEvent, VideoFrame,
};
use lumen_core::gamestream::video::{
    AnnexB, BlockPosition, EnvelopeError, FRAME_HEADER_LEN, FecInfo, FirstPacket, FirstPacketError, FrameHeader,
    FrameIndex, FrameKind, HostLatency, PacketFlags, PacketSize, SHARD_HEADER_LEN, Sealing, SequenceNumber,
    ShardHeader, ShardIndex, StreamPacketIndex, VideoCodec, frame_header_len, frame_hint, is_before, nonce,
    open_datagram, seal_datagram,
};
use lumen_core::time::Timestamp;
use media_vectors::{Inputs, Outcome, hex, hexes, pattern, run, sha256};
use serde_json::{Map, Value, json};

#[test]
fn every_video_packet_vector_holds() {
    run(include_str!("vectors/video_packets.json"), 171, evaluate);
}

fn evaluate(kind: &str, inputs: Inputs<'_>, expected: &Map<String, Value>) -> Outcome {
    match kind {
        "fec_info" => fec_info(inputs),
        "multi_fec_blocks" => multi_fec_blocks(inputs),
        "sequence_before" => {
            Ok(json!({ "before": is_before(inputs.number("x"), inputs.number("y"), inputs.number("bits")) }))
        }
        "frame_header" => Ok(frame_header(inputs)),
        "host_latency" => {
            let latency = HostLatency::from_duration(Duration::from_micros(inputs.wide("microseconds")));
            Ok(json!({ "value": latency.0 }))
        }
        "frame_header_size" => Ok(frame_header_size(inputs)),
        "packet_size" => Ok(packet_size(inputs)),
        "video_iv" => Ok(json!({ "iv": hex(nonce(inputs.wide("counter"))) })),
        "encrypt_packet" => Ok(encrypt_packet(inputs)),
        "open_packet" => open_packet(inputs),
        "frame_packets" => frame_packets(inputs, expected),
        "receive_frame" => receive_frame(inputs),
        "raw_recovery" => Ok(raw_recovery(inputs)),
        "first_packet_rule" => first_packet_rule(inputs),
        "pacing" => Ok(json!({
            "packets_per_ms": packets_per_millisecond(800_000_000, inputs.number("shard")),
            "batch": gso_batch(inputs.number("shard")),
        })),
        unknown => panic!("unknown kind {unknown}"),
    }
}

fn fec_info(inputs: Inputs<'_>) -> Outcome {
    let overflow = "FieldOverflow";
    let percentage = FecPercentage::new(inputs.try_number("fec_percentage").ok_or(overflow)?);
    let index = ShardIndex(inputs.number("shard_index"));
    let info = FecInfo::new(inputs.number("data_shards"), index, percentage).map_err(|_| overflow)?;
    assert_eq!(FecInfo::from_bytes(info.to_bytes()), info);
    Ok(json!({ "bytes": hex(info.to_bytes()) }))
}

fn multi_fec_blocks(inputs: Inputs<'_>) -> Outcome {
    let position =
        BlockPosition::new(inputs.number("block"), inputs.number("last_block")).map_err(|_| "FieldOverflow")?;
    assert_eq!(BlockPosition::from_byte(position.to_byte()), Ok(position));
    Ok(json!({ "byte": hex([position.to_byte()]) }))
}

fn frame_header(inputs: Inputs<'_>) -> Value {
    let header = FrameHeader {
        host_latency: HostLatency(inputs.number("host_latency")),
        kind: frame_kind(inputs),
        last_payload_len: inputs.number("last_payload_length"),
    };
    assert_eq!(FrameHeader::parse(&header.to_bytes(), [7, 1, 431]), Ok((Some(header), FRAME_HEADER_LEN)));
    json!({ "bytes": hex(header.to_bytes()) })
}

fn frame_header_size(inputs: Inputs<'_>) -> Value {
    let mut numbers = inputs.text("appversion").split('.').map(|number| number.parse().expect("a number"));
    let version = [0; 3].map(|_: u32| numbers.next().expect("three numbers"));
    json!({ "size": frame_header_len(version, inputs.number("first_byte")) })
}

fn packet_size(inputs: Inputs<'_>) -> Value {
    let sealing = if inputs.flag("encrypted") { Sealing::Sealed } else { Sealing::Clear };
    let size = PacketSize::to_announce(inputs.number("requested"), sealing).expect("in range");
    json!({
        "announced": size.get(),
        "udp_payload": size.datagram_len(sealing),
        "codec_bytes": size.payload_len(),
        "shard": size.shard_len(),
    })
}

fn encrypt_packet(inputs: Inputs<'_>) -> Value {
    let key = PacketKey::new(&inputs.key("key"));
    let shard = inputs.bytes("shard");
    let mut datagram = [vec![0; 32], shard.clone()].concat();
    seal_datagram(&key, inputs.wide("counter"), FrameIndex(inputs.number("frame_number")), &mut datagram);
    let result = json!({ "iv": hex(&datagram[..12]), "tag": hex(&datagram[16..32]), "datagram": hex(&datagram) });
    assert_eq!(open_datagram(&key, &mut datagram).expect("own packet"), shard);
    result
}

/// Lengths are the reassembler's to test, the rest is the envelope's.
fn open_packet(inputs: Inputs<'_>) -> Outcome {
    let key = PacketKey::new(&inputs.key("key"));
    let mut datagram = inputs.bytes("datagram");
    let config = ReassemblerConfig {
        encryption: Some(key.clone()),
        ..ReassemblerConfig::new(size_of(inputs), VideoCodec::H264)
    };
    match Reassembler::new(config).receive(&mut datagram.clone(), Timestamp::ZERO) {
        Err(DropReason::WrongLength(_) | DropReason::Envelope(EnvelopeError::Truncated(_))) => {
            return Err("WrongLength");
        }
        Err(DropReason::Envelope(EnvelopeError::Open(OpenError::BadTag))) => {
            assert!(open_datagram(&key, &mut datagram).is_err());
            return Err("BadTag");
        }
        _ => {}
    }
    let number = frame_hint(&datagram).map(|frame| frame.0);
    let shard = open_datagram(&key, &mut datagram).expect("opened before");
    Ok(json!({ "frame_number": number, "shard": hex(shard) }))
}

fn frame_packets(inputs: Inputs<'_>, expected: &Map<String, Value>) -> Outcome {
    let data = match inputs.get("frame_pattern").map(Inputs) {
        Some(source) => pattern(source.text("pattern"), source.number("seed"), source.number("length")),
        None => inputs.bytes("frame"),
    };
    let encryption = inputs.get("encryption").map(Inputs);
    let key = encryption.map(|encryption| PacketKey::new(&encryption.key("key")));
    let config = PacketizerConfig {
        packet_size: size_of(inputs),
        parity: ParityPolicy::fixed(FecPercentage::new(inputs.number("fec_percentage")), inputs.number("min_required")),
        encryption: key.clone(),
        oversize: Oversize::Unprotected,
    };
    let counters = PacketCounters {
        sequence: inputs.wide("sequence"),
        nonce: encryption.map_or(0, |encryption| encryption.wide("counter")),
    };
    let frame = FrameToSend {
        data: &data,
        index: FrameIndex(inputs.number("frame_index")),
        kind: frame_kind(inputs).expect("a known type"),
        timestamp_90k: inputs.number("timestamp"),
        host_latency: HostLatency(inputs.number("host_latency")),
        long_term_reference: inputs.flag("long_term_reference"),
    };
    let mut packetizer = Packetizer::resume(config, counters);
    let mut arena = PacketArena::new();
    let layout = packetizer.packetize(&frame, &mut arena).map_err(|error| match error {
        PacketizeError::EmptyFrame(_) => "EmptyFrame",
        PacketizeError::FrameZero => "BadFrameIndex",
        PacketizeError::PastBlockLimit { .. } => "FrameTooLarge",
    })?;
    assert_eq!(packetizer.counters().nonce, counters.nonce + if key.is_some() { arena.len() as u64 } else { 0 });

    check_reception(inputs, &frame, &layout, &arena, key.as_ref());
    let datagrams: Vec<&[u8]> = arena.datagrams().collect();
    let mut shards: Vec<Vec<u8>> = datagrams.iter().map(|datagram| datagram.to_vec()).collect();
    if let Some(key) = &key {
        for shard in &mut shards {
            *shard = open_datagram(key, shard).expect("own packet").to_vec();
        }
    }
    let blocks: Vec<Value> = layout
        .blocks()
        .iter()
        .map(|block| json!({ "data": block.data, "parity": block.parity, "percentage": block.percentage.get() }))
        .collect();
    let samples: Map<String, Value> =
        datagrams.iter().enumerate().map(|(index, datagram)| (index.to_string(), hex(datagram).into())).collect();
    let unpatched = expected.contains_key("parity_before_patching").then(|| parity_before_patching(&layout, &shards));
    Ok(json!({
        "frame_header": hex(&shards[0][SHARD_HEADER_LEN..][..FRAME_HEADER_LEN]),
        "data_packets": layout.data_packets(),
        "last_payload_length": layout.last_payload_len(),
        "blocks": blocks,
        "datagram_count": datagrams.len(),
        "next_sequence": packetizer.counters().sequence,
        "datagrams": hexes(&datagrams),
        "datagrams_sha256": sha256(arena.as_bytes()),
        "samples": samples,
        "parity_before_patching": unpatched,
    }))
}

/// The client half gets the frame back: from all packets, and without the first of each block, as many as there is
/// parity.
fn check_reception(
    inputs: Inputs<'_>,
    sent: &FrameToSend<'_>,
    layout: &FrameLayout,
    arena: &PacketArena,
    key: Option<&PacketKey>,
) {
    let codec = codec_of(inputs);
    for lossy in [false, true] {
        let mut kept = Vec::new();
        let mut datagrams = arena.datagrams();
        let mut lost = 0;
        for block in layout.blocks() {
            let drop = if lossy { block.parity } else { 0 };
            lost += drop.min(block.data);
            let packets = block.data + block.parity;
            kept.extend(datagrams.by_ref().take(packets.into()).skip(drop.into()).map(<[u8]>::to_vec));
        }
        let frame = receive(size_of(inputs), codec, key, sent.index, kept).expect("complete");
        assert_eq!((frame.index, frame.kind), (sent.index, sent.kind));
        assert_eq!((frame.timestamp_90k, frame.host_latency), (sent.timestamp_90k, sent.host_latency));
        assert_eq!(frame.long_term_reference, sent.long_term_reference);
        assert_eq!(usize::from(frame.data_packets), layout.data_packets());
        assert_eq!(frame.recovered_packets, lost);
        let (data, padding) = frame.data.split_at(sent.data.len());
        assert!(data == sent.data && padding.iter().all(|&byte| byte == 0));
        assert!(codec != VideoCodec::Av1 || padding.is_empty());
    }
}

/// Parity over the shards as they were before step 3 of section 2.2.
fn parity_before_patching(layout: &FrameLayout, shards: &[Vec<u8>]) -> Vec<String> {
    let mut rest = shards;
    let mut all = Vec::new();
    for block in layout.blocks() {
        let (these, after) = rest.split_at(usize::from(block.data + block.parity));
        rest = after;
        if block.parity == 0 {
            continue;
        }
        let data: Vec<Vec<u8>> = these[..block.data.into()]
            .iter()
            .map(|shard| {
                let mut shard = shard.clone();
                shard[..16].fill(0);
                shard[28..32].fill(0);
                shard
            })
            .collect();
        let codec = Codec::new(block.data.into(), block.parity.into()).expect("a valid shape");
        let mut parity = vec![vec![0; shards[0].len()]; block.parity.into()];
        codec.encode(&data, &mut parity).expect("equal lengths");
        all.extend(hexes(parity));
    }
    all
}

fn receive_frame(inputs: Inputs<'_>) -> Outcome {
    let key = inputs.get("encryption").map(|encryption| PacketKey::new(&Inputs(encryption).key("key")));
    let datagrams = inputs.list("datagrams");
    let first = match &key {
        Some(_) => frame_hint(&datagrams[0]).expect("a frame number"),
        None => ShardHeader::parse(&datagrams[0]).expect("a header").frame,
    };
    let frame = receive(size_of(inputs), codec_of(inputs), key.as_ref(), first, datagrams)?;
    Ok(json!({
        "frame_index": frame.index.0,
        "frame_type": frame.kind.wire_type(),
        "host_latency": frame.host_latency.0,
        "timestamp": frame.timestamp_90k,
        "long_term_reference": frame.long_term_reference,
        "recovered_packets": frame.recovered_packets,
        "payload": hex(frame.data),
    }))
}

/// Feeds the datagrams of frame `index` to a client that has seen packets out of order before, so that it does not
/// give up early.
fn receive(
    packet_size: PacketSize,
    codec: VideoCodec,
    key: Option<&PacketKey>,
    index: FrameIndex,
    datagrams: Vec<Vec<u8>>,
) -> Result<VideoFrame, &'static str> {
    let mut receiver = Reassembler::new(ReassemblerConfig {
        encryption: key.cloned(),
        first_frame: index.previous(),
        ..ReassemblerConfig::new(packet_size, codec)
    });
    for shard in [1, 0] {
        let mut datagram = shard_of_earlier_frame(packet_size, index.previous(), shard);
        if let Some(key) = key {
            datagram.splice(0..0, [0; 32]);
            seal_datagram(key, u64::MAX - u64::from(shard), index.previous(), &mut datagram);
        }
        receiver.receive(&mut datagram, Timestamp::ZERO).expect("a packet of the frame before");
    }
    assert!(matches!(receiver.poll(), Some(VideoEvent::Frame(_))));

    let mut bad_flags = false;
    for mut datagram in datagrams {
        bad_flags |= matches!(receiver.receive(&mut datagram, Timestamp::ZERO), Err(DropReason::BadFlags { .. }));
    }
    let mut outcome = Err(if bad_flags { "BadFlags" } else { "FrameLost" });
    while let Some(event) = receiver.poll() {
        match event {
            VideoEvent::Frame(frame) => outcome = Ok(frame),
            VideoEvent::Lost { cause: LossCause::LastPayloadLength(_), .. } => outcome = Err("BadLastPayloadLength"),
            VideoEvent::Lost { .. } | VideoEvent::FecStatus(_) => {}
        }
    }
    outcome
}

fn shard_of_earlier_frame(packet_size: PacketSize, frame: FrameIndex, index: u16) -> Vec<u8> {
    let mut shard = vec![0; packet_size.shard_len()];
    let (header, payload) = shard.split_first_chunk_mut().expect("room for the header");
    ShardHeader {
        sequence: SequenceNumber(index),
        timestamp: 0,
        stream_packet_index: StreamPacketIndex::new(index.into()),
        frame,
        flags: PacketFlags::of_data(index, 2),
        long_term_reference: false,
        block: BlockPosition::new(0, 0).expect("in range"),
        fec: FecInfo::new(2, ShardIndex(index), FecPercentage::new(100)).expect("in range"),
    }
    .write(header);
    let frame_header = FrameHeader { host_latency: HostLatency(0), kind: Some(FrameKind::P), last_payload_len: 16 };
    payload[..FRAME_HEADER_LEN].copy_from_slice(&frame_header.to_bytes());
    shard
}

fn raw_recovery(inputs: Inputs<'_>) -> Value {
    let sent = inputs.list("datagrams");
    let (data, parity) = (inputs.number("data"), inputs.number("parity"));
    let lost: ShardSet = inputs
        .get("lost")
        .and_then(Value::as_array)
        .expect("a list")
        .iter()
        .map(|i| i.as_u64().expect("an index") as usize)
        .collect();
    let present = (0..data + parity).filter(|&index| !lost.contains(index)).collect();
    let mut shards = sent.clone();
    lost.iter().for_each(|index| shards[index].fill(0xEE));
    Codec::new(data, parity).expect("a valid shape").reconstruct(&mut shards, &present).expect("enough shards");
    let differing: Map<String, Value> = lost
        .iter()
        .map(|index| {
            let offsets: Vec<usize> =
                (0..sent[index].len()).filter(|&offset| sent[index][offset] != shards[index][offset]).collect();
            (index.to_string(), offsets.into())
        })
        .collect();
    json!({ "differing_offsets": differing })
}

fn first_packet_rule(inputs: Inputs<'_>) -> Outcome {
    let codec = match codec_of(inputs) {
        VideoCodec::H264 => AnnexB::H264,
        VideoCodec::Hevc => AnnexB::Hevc,
        VideoCodec::Av1 => panic!("AV1 has no NAL units"),
    };
    let first = FirstPacket::inspect(codec, size_of(inputs), &inputs.bytes("frame")).map_err(|error| match error {
        FirstPacketError::NoStartCode => "NoStartCode",
        FirstPacketError::MissingParameterSets => "MissingParameterSets",
        FirstPacketError::SliceOutsideFirstPacket => "SliceOutsideFirstPacket",
    })?;
    Ok(json!({
        "nal_types": first.nal_types,
        "idr": first.key_frame,
        "first_slice_offset": first.first_slice_offset,
    }))
}

fn size_of(inputs: Inputs<'_>) -> PacketSize {
    PacketSize::new(inputs.number("packet_size")).expect("in range")
}

fn codec_of(inputs: Inputs<'_>) -> VideoCodec {
    match inputs.text("codec") {
        "h264" => VideoCodec::H264,
        "hevc" => VideoCodec::Hevc,
        "av1" => VideoCodec::Av1,
        unknown => panic!("unknown codec {unknown}"),
    }
}

fn frame_kind(inputs: Inputs<'_>) -> Option<FrameKind> {
    FrameKind::from_wire_type(inputs.number("frame_type"))
}
