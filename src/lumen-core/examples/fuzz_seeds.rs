//! Writes the seeds of the fuzz targets: every input of the protocol vectors that a target could be given.
//! `cargo run --example fuzz_seeds -- DIRECTORY`

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Which vectors feed which targets.
const FEEDS: &[(&str, &[&str])] = &[
    ("video_packets.json", &["video_receive"]),
    ("audio.json", &["audio_receive"]),
    ("control.json", &["control_open", "client_message", "host_message"]),
    ("input.json", &["input_packet"]),
    ("enet.json", &["enet_host"]),
    ("http.json", &["http_query", "serverinfo_xml"]),
    ("rtsp.json", &["rtsp_message", "rtsp_record", "announce", "describe", "ping"]),
    ("pairing.json", &["pairing_request"]),
    ("../../../../docs/protocol/vectors/packets.json", &["lumen1_parse", "lumen1_session"]),
    ("../../../../docs/protocol/vectors/messages.json", &["lumen1_parse", "lumen1_session"]),
    ("../../../../docs/protocol/vectors/negotiation.json", &["lumen1_parse"]),
    ("../../../../docs/protocol/vectors/bad.json", &["lumen1_parse", "lumen1_session"]),
    ("../../../../docs/protocol/vectors/native.json", &["lumen1_native"]),
];

/// Larger inputs slow a fuzzer down more than they teach it.
const MAX_SEED: usize = 16 << 10;

fn main() -> std::io::Result<()> {
    let target = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("corpus"), PathBuf::from);
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    for (file, names) in FEEDS {
        let document: Value = serde_json::from_slice(&fs::read(vectors.join(file))?)?;
        let mut seeds = HashSet::new();
        for vector in document["vectors"].as_array().into_iter().flatten() {
            collect(&vector["inputs"], &mut seeds);
        }
        let of = Path::new(file).file_stem().unwrap_or_default().display();
        for name in *names {
            let directory = target.join(name);
            fs::create_dir_all(&directory)?;
            for (number, seed) in seeds.iter().enumerate() {
                fs::write(directory.join(format!("{of}-{number}")), seed)?;
            }
        }
    }
    // Steps that send three frames in order, with one shard doubled and one lost, and then let time pass.
    let steps: Vec<[u8; 4]> =
        (0..3).flat_map(|frame| (0..4).map(move |shard| [0, frame, shard, 0])).chain([[7, 0, 9, 200]]).collect();
    let directory = target.join("lumen1_reassembler");
    fs::create_dir_all(&directory)?;
    fs::write(directory.join("steps"), steps.concat())
}

/// Every text in `value`, as bytes if it is hexadecimal and as it is otherwise.
fn collect(value: &Value, seeds: &mut HashSet<Vec<u8>>) {
    match value {
        Value::String(text) if text.len() <= MAX_SEED => {
            seeds.insert(bytes(text).unwrap_or_else(|| text.clone().into_bytes()));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, seeds)),
        Value::Object(members) => members.values().for_each(|member| collect(member, seeds)),
        _ => {}
    }
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    if text.is_empty() || !text.len().is_multiple_of(2) {
        return None;
    }
    text.as_bytes()
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect()
}
