//! Every vector of `http.json`: what is read from a peer, and that what this project writes is read the same.

mod vector_file;

use lumen_core::gamestream::http::{
    App, AppList, AppVersion, CancelReply, Channel, CodecMask, CodecMaskError, HostState, LaunchReply, LaunchRequest,
    LaunchVerb, PairingHash, Ports, Profile, RemoteInputKeyId, RtspTransport, ServerInfo, SessionUrl,
    SurroundAudioInfo,
};
use serde_json::{Value, json};
use vector_file::{check, hex, string};

const TEXT: &str = include_str!("vectors/http.json");

#[test]
fn all_vectors_of_the_http_layer_hold() {
    check(TEXT, 134, |kind, inputs, _| {
        Some(match kind {
            "codec_mask" => codec_mask(inputs),
            "appversion" => app_version(inputs),
            "serverinfo" => server_info(inputs),
            "applist" => app_list(inputs),
            "launch_request" => launch_request(inputs),
            "launch_reply" => launch_reply(inputs),
            "launch_iv" => match string(&inputs["rikeyid"]).parse::<RemoteInputKeyId>() {
                Ok(id) => json!({ "iv": hex(&id.iv().0) }),
                Err(error) => class(error),
            },
            "surround_audio_info" => {
                let value = u32::try_from(inputs["value"].as_u64().unwrap()).unwrap();
                let info = SurroundAudioInfo::from_wire(value);
                assert_eq!(info.to_wire(), value);
                json!({ "channels": info.channels, "mask": info.mask })
            }
            "ports" => match Ports::from_base(u16::try_from(inputs["base"].as_u64().unwrap()).unwrap()) {
                Ok(Ports { https, http, video, control, audio, rtsp }) => json!({
                    "https": https, "http": http, "video": video, "control": control, "audio": audio, "rtsp": rtsp,
                }),
                Err(error) => class(error),
            },
            _ => return None,
        })
    });
}

#[test]
fn the_host_writes_the_documents_server_information_byte_for_byte() {
    for name in ["serverinfo_document", "serverinfo_busy", "serverinfo_other_ports", "serverinfo_hostname_escaped"] {
        let xml = input(name, "xml");
        assert_eq!(ServerInfo::parse(&xml, Channel::Https).unwrap().to_xml(Channel::Https), xml, "{name}");
    }
    let unpaired = input("serverinfo_http_unpaired", "xml");
    assert_eq!(ServerInfo::parse(&unpaired, Channel::Http).unwrap().to_xml(Channel::Http), unpaired);
}

#[test]
fn the_host_writes_lists_and_launch_replies_byte_for_byte() {
    for name in ["applist_document_form", "applist_three"] {
        let xml = input(name, "xml");
        assert_eq!(AppList::parse(&xml).unwrap().to_xml(), xml, "{name}");
    }
    for name in ["launch_reply_encrypted", "launch_reply_plain", "launch_reply_ipv6"] {
        let xml = input(name, "xml");
        assert_eq!(LaunchReply::parse(LaunchVerb::Launch, &xml).unwrap().to_xml(), xml, "{name}");
    }
    assert_eq!(CancelReply.to_xml(), input("cancel_reply_ok", "xml"));
}

fn codec_mask(inputs: &Value) -> Value {
    match CodecMask::new(inputs["mask"].as_i64().unwrap()) {
        Ok(mask) => {
            assert_eq!(CodecMask::from_profiles(mask.profiles()), Ok(mask));
            json!({
                "profiles": names(mask),
                "ten_bit": mask.has_ten_bit(),
                "chroma_444": mask.has_chroma_444(),
                "android_hdr": mask.enables_hdr_on_android(),
            })
        }
        Err(error @ (CodecMaskError::NoCodec | CodecMaskError::OutOfRange(_))) => class(error),
    }
}

fn app_version(inputs: &Value) -> Value {
    let text = string(&inputs["text"]);
    match text.parse::<AppVersion>() {
        Ok(version) => {
            assert_eq!(version.to_string(), text);
            json!({
                "quad": version.0,
                "sunshine_like": version.is_sunshine_like(),
                "pairing_hash": match version.pairing_hash() {
                    PairingHash::Sha1 => "sha1",
                    PairingHash::Sha256 => "sha256",
                },
                "rtsp_transport": match version.rtsp_transport() {
                    RtspTransport::Tcp => "tcp",
                    RtspTransport::Enet => "enet",
                },
                "encrypted_control": version.has_encrypted_control(),
            })
        }
        Err(error) => class(error),
    }
}

fn server_info(inputs: &Value) -> Value {
    let channel = if inputs["secure"] == json!(true) { Channel::Https } else { Channel::Http };
    let info = match ServerInfo::parse(string(&inputs["xml"]), channel) {
        Ok(info) => info,
        Err(error) => return class(error),
    };
    let again = ServerInfo::parse(&info.to_xml(Channel::Https), Channel::Https).unwrap();
    assert_eq!(again, info, "what is written is read the same");
    let (busy, game) = match info.state {
        HostState::Free => (false, 0),
        HostState::Busy(app) => (true, app.map_or(0, |app| app.get())),
    };
    json!({
        "hostname": info.hostname,
        "appversion": info.app_version.0,
        "sunshine_like": info.app_version.is_sunshine_like(),
        "uniqueid": info.unique_id,
        "https_port": info.https_port,
        "external_port": info.external_port.unwrap_or(0),
        "mac": info.mac.map(|mac| mac.to_string()),
        "local_ip": info.local_ip.map(|address| address.to_string()),
        "profiles": names(info.codecs),
        "hevc": info.hevc,
        "paired": info.paired,
        "busy": busy,
        "current_game": game,
    })
}

fn app_list(inputs: &Value) -> Value {
    let list = match AppList::parse(string(&inputs["xml"])) {
        Ok(list) => list,
        Err(error) => return class(error),
    };
    assert_eq!(AppList::parse(&list.to_xml()).unwrap(), list, "what is written is read the same");
    let app = |app: &App| json!({ "title": app.title, "id": app.id.get(), "hdr": app.hdr, "collector": app.collector });
    json!({ "apps": list.apps().iter().map(app).collect::<Vec<_>>() })
}

fn launch_request(inputs: &Value) -> Value {
    let (path, query) = string(&inputs["url"]).split_once('?').unwrap();
    let verb = if path == "/resume" { LaunchVerb::Resume } else { LaunchVerb::Launch };
    assert_eq!(verb.path(), path);
    let request = match LaunchRequest::parse(verb, query) {
        Ok(request) => request,
        Err(error) => return class(error),
    };
    assert_eq!(LaunchRequest::parse(verb, &request.to_query()).unwrap(), request, "what is written is read the same");
    json!({
        "verb": path.trim_start_matches('/'),
        "app": request.app,
        "width": request.mode.width,
        "height": request.mode.height,
        "fps": request.mode.fps,
        "key": hex(request.key.as_bytes()),
        "iv": hex(&request.key_id.iv().0),
        "hdr": request.hdr,
        "optimise": request.optimise,
        "play_on_host": request.play_on_host,
        "channels": request.audio.channels,
        "channel_mask": request.audio.mask,
        "gamepads": request.gamepads.0,
        "persist_gamepads": request.persist_gamepads,
        "encrypted_rtsp": request.understands_encrypted_rtsp(),
        "continuous_audio": request.continuous_audio,
        "surround_params": request.surround_params.map(|params| params.to_string()),
    })
}

fn launch_reply(inputs: &Value) -> Value {
    let xml = string(&inputs["xml"]);
    let verb = match string(&inputs["verb"]) {
        "launch" => LaunchVerb::Launch,
        "resume" => LaunchVerb::Resume,
        _ => return CancelReply::parse(xml).map_or_else(class, |CancelReply| json!({ "cancelled": true })),
    };
    match LaunchReply::parse(verb, xml) {
        Ok(reply) => {
            assert_eq!(LaunchReply::parse(verb, &reply.to_xml()).unwrap(), reply, "what is written is read the same");
            let SessionUrl { host, port, encrypted } = reply.session_url;
            json!({ "host": host, "port": port, "encrypted": encrypted })
        }
        Err(error) => class(error),
    }
}

fn names(mask: CodecMask) -> Vec<&'static str> {
    let name = |profile| match profile {
        Profile::H264High8 => "h264",
        Profile::HevcMain8 => "hevc_main",
        Profile::HevcMain10 => "hevc_main10",
        Profile::Av1Main8 => "av1_main8",
        Profile::Av1Main10 => "av1_main10",
        Profile::H264High444 => "h264_high444",
        Profile::HevcRext444x8 => "hevc_rext444_8",
        Profile::HevcRext444x10 => "hevc_rext444_10",
        Profile::Av1High444x8 => "av1_high444_8",
        Profile::Av1High444x10 => "av1_high444_10",
    };
    mask.profiles().map(name).collect()
}

/// The error class: variants are named after it.
fn class(error: impl std::fmt::Debug) -> Value {
    let name: String = format!("{error:?}").chars().take_while(char::is_ascii_alphanumeric).collect();
    json!({ "error": name })
}

fn input(name: &str, member: &str) -> String {
    let file: Value = serde_json::from_str(TEXT).unwrap();
    let vector = file["vectors"].as_array().unwrap().iter().find(|vector| vector["name"] == *name).unwrap();
    string(&vector["inputs"][member]).to_owned()
}
