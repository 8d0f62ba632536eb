//! Every vector of `rtsp.json`: whole handshakes, messages and records, the searches in DESCRIBE, the meaning of
//! ANNOUNCE, and pings; and that what this project writes is read the same.

mod vector_file;

use std::net::IpAddr;

use lumen_core::gamestream::http::{BitDepth, Chroma, Codec, CodecMask, ProfileSet, SessionUrl};
use lumen_core::gamestream::rtsp::{
    ClientHandshake, Direction, MessageDecoder, Method, Request, Response, RtspCipher, SealedRecord, WireMessage,
};
use lumen_core::gamestream::sdp::{
    AudioQuality, ClientEncryption, DescribeOffer, EncryptionBits, Matrix, OpusLayout, Ping, PingPayload, QosMarks,
    Range, ReferenceFrames, SenderAddress, SessionIds, SessionToken, SetupReply, StreamKind, StreamRequest,
    SurroundParams, SurroundQuality, attribute_line, choose_profile, connect_data, encoder_bitrate,
    negotiate_encryption, server_port,
};
use serde_json::{Map, Value, json};
use vector_file::{check, hex, number, string, unhex};

const TEXT: &str = include_str!("vectors/rtsp.json");

#[test]
fn all_vectors_of_rtsp_hold() {
    check(TEXT, 210, |kind, inputs, _| {
        Some(match kind {
            "session" => session(inputs),
            "request" => request(inputs),
            "reply" => reply(inputs),
            "record" => record(inputs),
            "open_record" => open_record(inputs),
            "describe" => describe(inputs),
            "codec_choice" => codec_choice(inputs),
            "encryption" => {
                let bits = |name: &str| EncryptionBits(u32_of(&inputs[name]));
                let wanted =
                    ClientEncryption { video: flag(&inputs["client_video"]), audio: flag(&inputs["client_audio"]) };
                json!({ "enabled": negotiate_encryption(bits("supported"), bits("requested"), wanted).0 })
            }
            "announce" => announce(inputs),
            "surround_params" => match SurroundParams::parse(string(&inputs["value"])) {
                Ok(params) => {
                    let (layout, quality) = (params.layout(quality(inputs)), quality(inputs));
                    assert_eq!(SurroundParams::announcing(layout, quality), params);
                    json!({
                        "channels": layout.channels(),
                        "streams": layout.streams(),
                        "coupled": layout.coupled(),
                        "mapping": layout.mapping(),
                    })
                }
                Err(error) => class(error),
            },
            "surround_print" => {
                let mapping: Vec<u8> = inputs["mapping"].as_array().unwrap().iter().map(u8_of).collect();
                let layout = OpusLayout::new(u8_of(&inputs["streams"]), u8_of(&inputs["coupled"]), &mapping).unwrap();
                let params = SurroundParams::announcing(layout, quality(inputs));
                assert_eq!(params.layout(quality(inputs)), layout);
                json!({ "value": params.to_string() })
            }
            "bitrate" => {
                let quality = if flag(&inputs["high_quality"]) { AudioQuality::High } else { AudioQuality::Normal };
                let (fec, channels) = (u8_of(&inputs["fec_percentage"]), u8_of(&inputs["channels"]));
                let steps = encoder_bitrate(u32_of(&inputs["configured"]), fec, channels, quality);
                json!({ "after_fec": steps.after_fec, "after_audio": steps.after_audio, "encoder": steps.encoder })
            }
            "ping" => {
                let payload = inputs["payload"].as_str().and_then(|payload| payload.parse().ok());
                let ping = Ping::new(payload, u32_of(&inputs["counter"]));
                assert_eq!(Ping::parse(&ping.to_bytes()), Ok(ping));
                json!({ "datagram": hex(&ping.to_bytes()) })
            }
            "ping_match" => ping_match(inputs),
            "attribute_line" => {
                let (name, value) = attribute_line(string(&inputs["line"])).unwrap();
                json!({ "name": name, "value": value })
            }
            "session_url" => match string(&inputs["url"]).parse::<SessionUrl>() {
                Ok(url) => {
                    assert_eq!(url.to_string().parse::<SessionUrl>().unwrap(), url);
                    json!({ "host": url.host, "port": url.port, "encrypted": url.encrypted })
                }
                Err(error) => class(error),
            },
            "transport" => {
                let default = u16::try_from(number(&inputs["default"])).unwrap();
                json!({ "port": server_port(string(&inputs["value"])).unwrap_or(default) })
            }
            "connect_data" => json!({ "data": inputs["value"].as_str().map_or(0, |value| connect_data(value).0) }),
            "session_header" => {
                json!({ "echo": SessionToken::from_header(string(&inputs["value"])).unwrap().as_str() })
            }
            _ => return None,
        })
    });
}

/// Reads a handshake from both sides, and writes it again from both sides, byte for byte.
fn session(inputs: &Value) -> Value {
    let messages = inputs["messages"].as_array().unwrap();
    let mut result = json!({});
    let (mut methods, mut streams, mut records) = (Vec::new(), Vec::new(), Vec::new());
    let encryption = inputs["encryption"].as_object();
    let mut ciphers = encryption.map(|encryption| {
        let key: [u8; 16] = unhex(&encryption["key"]).try_into().unwrap();
        assert_eq!(number(&encryption["first_host_sequence"]), 1);
        (RtspCipher::client(&key, u32_of(&encryption["first_client_sequence"])), RtspCipher::host(&key))
    });
    let first = read(&messages[0]["request"]);
    let quality = if first.host() == Some("0.0.0.0") { AudioQuality::Normal } else { AudioQuality::High };
    let port = u16::try_from(number(&inputs["launch_port"])).unwrap();
    let url = SessionUrl { host: first.host().unwrap().to_owned(), port, encrypted: first.target.contains("enc:") };
    let mut handshake = ClientHandshake::new(&url, quality);
    for message in messages {
        let text = string(&message["request"]);
        let request = read(&message["request"]);
        assert_eq!(request.to_bytes(), text.as_bytes());
        let reply_text = string(&message["reply"]);
        let response = Response::parse(reply_text.as_bytes()).unwrap();
        assert_eq!(response.to_bytes(), reply_text.as_bytes());
        methods.push(request.method.name());
        let written = match request.method {
            Method::Options => handshake.options(),
            Method::Describe => {
                let offer = DescribeOffer::parse(response.body()).unwrap();
                assert_eq!(offer.to_text(), response.body());
                handshake.describe()
            }
            Method::Setup => {
                let stream = request.stream_kind().unwrap();
                streams.push(stream.name());
                let written = handshake.setup(stream);
                let reply = SetupReply::parse(&response, stream).unwrap();
                let again = reply.to_response(request.cseq());
                assert_eq!(SetupReply::parse(&again, stream).unwrap(), reply);
                if response.header("Transport").unwrap().starts_with("server_port") {
                    assert_eq!(again.to_bytes(), reply_text.as_bytes());
                }
                result[format!("{}_port", stream.name())] = json!(reply.port);
                if let Some(payload) = reply.ping_payload {
                    result["ping_payload"] = json!(payload.to_string());
                }
                if let Some(data) = reply.connect_data {
                    result["connect_data"] = json!(data.0);
                }
                let session = reply.session.unwrap();
                result["session"] = json!(session.as_str());
                if stream == StreamKind::Audio {
                    handshake.set_session(session);
                }
                written
            }
            Method::Announce => {
                let body = request.body_text().unwrap();
                let offered = [Codec::H264, Codec::Hevc, Codec::Av1];
                let announced = StreamRequest::parse(body, request.host(), &offered).unwrap();
                result["stereo_high_quality"] = json!(announced.audio_quality == AudioQuality::High);
                let address = body.lines().nth(1).unwrap().rsplit(' ').next().unwrap();
                let address: IpAddr = address.parse().unwrap();
                let video_port = result["video_port"].as_u64().unwrap();
                handshake.announce(&announced.to_text(address, u16::try_from(video_port).unwrap()))
            }
            Method::Play => handshake.play(),
        };
        // One vector says that it supports HEVC and wants H.264: an attribute that nobody reads.
        let redundant = "x-nv-clientSupportHevc:1 \r\na=x-nv-vqos[0].bitStreamFormat:0";
        let expected = text.replace(redundant, &redundant.replacen('1', "0", 1));
        assert_eq!(String::from_utf8(written.to_bytes()).unwrap(), expected, "the client writes the same request");
        if let Some((client, host)) = &mut ciphers {
            let sealed = client.seal(text.as_bytes()).unwrap();
            let mut decoder = MessageDecoder::new();
            let Ok(Some(WireMessage::Sealed(record))) = decoder.push(&sealed) else { panic!("a record") };
            assert_eq!(host.open(&record).unwrap(), text.as_bytes());
            let answer = host.seal(reply_text.as_bytes()).unwrap();
            let opened = client.open(&SealedRecord::parse(&answer).unwrap()).unwrap();
            assert_eq!(opened, reply_text.as_bytes());
            records.push(json!({ "request": hex(&sealed), "reply": hex(&answer) }));
        }
    }
    result["methods"] = json!(methods);
    result["streams"] = json!(streams);
    if encryption.is_some() {
        result["records"] = json!(records);
    }
    result
}

fn request(inputs: &Value) -> Value {
    match Request::parse(string(&inputs["text"]).as_bytes()) {
        Ok(request) => {
            assert_eq!(Request::parse(&request.to_bytes()), Ok(request.clone()));
            json!({
                "method": request.method.name(),
                "target": request.target,
                "cseq": request.cseq(),
                "host": request.host(),
                "stream": request.stream(),
                "body_length": request.body.len(),
            })
        }
        Err(error) => class(error),
    }
}

fn reply(inputs: &Value) -> Value {
    match Response::parse(string(&inputs["text"]).as_bytes()) {
        Ok(response) => {
            assert_eq!(response.to_bytes(), string(&inputs["text"]).as_bytes());
            let headers = response.headers().map(|(name, value)| (name.to_owned(), json!(value)));
            let headers: Map<String, Value> = headers.collect();
            json!({ "code": response.code(), "headers": headers, "body": response.body() })
        }
        Err(error) => class(error),
    }
}

fn record(inputs: &Value) -> Value {
    let key: [u8; 16] = unhex(&inputs["key"]).try_into().unwrap();
    let (text, sequence) = (string(&inputs["text"]), u32_of(&inputs["sequence"]));
    let (direction, mut sender, mut receiver) = ends(inputs, &key, sequence, None);
    let sealed = sender.seal(text.as_bytes()).unwrap();
    assert_eq!(receiver.open(&SealedRecord::parse(&sealed).unwrap()).unwrap(), text.as_bytes());
    json!({
        "plain": hex(text.as_bytes()),
        "iv": hex(&direction.nonce(sequence)),
        "tag": hex(&sealed[8..24]),
        "record": hex(&sealed),
    })
}

fn open_record(inputs: &Value) -> Value {
    let key: [u8; 16] = unhex(&inputs["key"]).try_into().unwrap();
    let last = inputs["last_sequence"].as_u64().map(|last| u32::try_from(last).unwrap());
    let (_, _, mut receiver) = ends(inputs, &key, 1, last);
    let record = match SealedRecord::parse(&unhex(&inputs["record"])) {
        Ok(record) => record,
        Err(error) => return class(error),
    };
    match receiver.open(&record) {
        Ok(text) => {
            let (_, mut sender, _) = ends(inputs, &key, record.sequence(), None);
            assert_eq!(sender.seal(&text).unwrap(), record.to_bytes());
            json!({ "sequence": record.sequence(), "text": String::from_utf8(text).unwrap() })
        }
        Err(error) => class(error),
    }
}

/// Sender and receiver of a direction; the sender begins at `sequence`, the receiver has seen `last`.
fn ends(inputs: &Value, key: &[u8; 16], sequence: u32, last: Option<u32>) -> (Direction, RtspCipher, RtspCipher) {
    let host = |next, last| RtspCipher::host_resumed(key, next, last);
    if string(&inputs["direction"]) == "client" {
        (Direction::FromClient, RtspCipher::client(key, sequence), host(1, last))
    } else {
        assert_eq!(last, None, "a client has no history in the vectors");
        (Direction::FromHost, host(sequence, None), RtspCipher::client(key, 1))
    }
}

fn describe(inputs: &Value) -> Value {
    let offer = match DescribeOffer::parse(string(&inputs["body"])) {
        Ok(offer) => offer,
        Err(error) => return class(error),
    };
    assert_eq!(DescribeOffer::parse(&offer.to_text()).unwrap(), offer, "what is written is read the same");
    let mut surround = json!({});
    for channels in [6, 8] {
        for (name, quality) in [("normal", SurroundQuality::Normal), ("high", SurroundQuality::High)] {
            if let Some(layout) = offer.layout(channels, quality) {
                surround[channels.to_string()][name] = json!([layout.streams(), layout.coupled(), layout.mapping()]);
            }
        }
    }
    json!({
        "features": offer.features.0,
        "supported": offer.encryption_supported.0,
        "requested": offer.encryption_requested.0,
        "rfi": offer.reference_invalidation,
        "hevc": offer.hevc,
        "av1": offer.av1,
        "surround": surround,
    })
}

fn codec_choice(inputs: &Value) -> Value {
    let offer = DescribeOffer::parse(string(&inputs["body"])).unwrap();
    let mask = CodecMask::new(inputs["codec_mask"].as_i64().unwrap()).unwrap();
    match choose_profile(&offer, mask, ProfileSet::from_format_ids(u32_of(&inputs["client_formats"]))) {
        Ok(profile) => {
            json!({ "codec": codec_name(profile.codec()), "format": format!("{:#06x}", profile.format_id()) })
        }
        Err(error) => class(error),
    }
}

fn announce(inputs: &Value) -> Value {
    let request = Request::parse(string(&inputs["text"]).as_bytes()).unwrap();
    let offered = inputs["offered_codecs"].as_array().unwrap().iter().map(|name| match string(name) {
        "h264" => Codec::H264,
        "hevc" => Codec::Hevc,
        _ => Codec::Av1,
    });
    let offered: Vec<Codec> = offered.collect();
    let wanted = match StreamRequest::parse(request.body_text().unwrap(), request.host(), &offered) {
        Ok(wanted) => wanted,
        Err(error) => return class(error),
    };
    let text = wanted.to_text("192.168.1.10".parse().unwrap(), 47998);
    assert_eq!(StreamRequest::parse(&text, request.host(), &offered), Ok(wanted.clone()), "read the same");
    let fec = u8_of(&inputs["fec_percentage"]);
    let QosMarks { video, audio } = wanted.qos;
    json!({
        "width": wanted.width,
        "height": wanted.height,
        "fps": wanted.fps,
        "packet_size": wanted.packet_size.get(),
        "codec": codec_name(wanted.codec),
        "ten_bit": wanted.depth == BitDepth::Ten,
        "chroma": match wanted.chroma {
            Chroma::Yuv420 => "4:2:0",
            Chroma::Yuv444 => "4:4:4",
        },
        "colour_space": match wanted.matrix {
            Matrix::Bt601 => "rec601",
            Matrix::Bt709 => "rec709",
            Matrix::Bt2020 => "rec2020",
        },
        "full_range": wanted.range == Range::Full,
        "configured_kbps": wanted.configured_bitrate_kbps.unwrap_or(0),
        "maximum_kbps": wanted.maximum_bitrate_kbps,
        "encoder_kbps": wanted.configured_bitrate_kbps.map(|_| wanted.encoder_rate(fec).0),
        "slices": wanted.slices,
        "reference_frames": match wanted.reference_frames {
            ReferenceFrames::HostDecides => "host",
            ReferenceFrames::One => "one",
        },
        "min_required_fec": wanted.minimum_fec_packets,
        "refresh_x100": wanted.client_refresh_rate_x100,
        "channels": wanted.channels,
        "channel_mask": wanted.channel_mask,
        "audio_high_quality": wanted.audio_quality == AudioQuality::High,
        "packet_duration_ms": wanted.audio_packet_ms,
        "control_v2": wanted.control_is_v2(),
        "video_encrypted": wanted.video_is_encrypted(),
        "audio_encrypted": wanted.audio_is_encrypted(),
        "fec_status": wanted.features.reports_fec_status(),
        "session_ids": wanted.features.session_ids() == SessionIds::Used,
        "video_qos": video,
        "audio_qos": audio,
    })
}

fn ping_match(inputs: &Value) -> Value {
    let expected: PingPayload = string(&inputs["payload"]).parse().unwrap();
    let ids = if flag(&inputs["session_ids"]) { SessionIds::Used } else { SessionIds::NotUsed };
    let sender = if flag(&inputs["same_address"]) { SenderAddress::Same } else { SenderAddress::Other };
    let matched = Ping::parse(&unhex(&inputs["datagram"]))
        .and_then(|ping| ping.belongs_to(&expected, ids, sender).map(|()| ping));
    match matched {
        Ok(Ping::Legacy) => json!({ "form": "legacy" }),
        Ok(Ping::Payload { counter, .. }) => json!({ "form": "payload", "counter": counter }),
        Err(error) => class(error),
    }
}

fn read(text: &Value) -> Request {
    Request::parse(string(text).as_bytes()).unwrap()
}

fn quality(inputs: &Value) -> SurroundQuality {
    if string(&inputs["quality"]) == "high" { SurroundQuality::High } else { SurroundQuality::Normal }
}

const fn codec_name(codec: Codec) -> &'static str {
    match codec {
        Codec::H264 => "h264",
        Codec::Hevc => "hevc",
        Codec::Av1 => "av1",
    }
}

fn flag(value: &Value) -> bool {
    value.as_bool().unwrap()
}

fn u8_of(value: &Value) -> u8 {
    u8::try_from(number(value)).unwrap()
}

fn u32_of(value: &Value) -> u32 {
    u32::try_from(number(value)).unwrap()
}

/// The error class: variants are named after it.
fn class(error: impl std::fmt::Debug) -> Value {
    let name: String = format!("{error:?}").chars().take_while(char::is_ascii_alphanumeric).collect();
    json!({ "error": name })
}
