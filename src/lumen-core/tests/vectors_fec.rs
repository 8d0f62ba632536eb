//! Runs every vector of `vectors/video_fec.json` (protocol part 2, sections 2 and 8).

use std::collections::BTreeMap;

use lumen_core::fec::block_plan::{BlockParity, FecPercentage, FrameSplit, NotRepresentable, SplitError};
use lumen_core::fec::gf8::{self, Codec, EncodeError, Kernel, ReconstructError, ShapeError, ShardSet};
use ring::digest::{SHA256, digest};
use serde_json::{Map, Value, json};

/// Vectors in the file; a shorter file must be noticed.
const VECTORS: usize = 240;

/// What a vector expects by name, or the class of the error.
type Outcome = Result<Map<String, Value>, &'static str>;

#[test]
fn every_fec_vector_holds() {
    let file: Value = serde_json::from_str(include_str!("vectors/video_fec.json")).expect("JSON");
    let vectors = file["vectors"].as_array().expect("a list of vectors");
    let mut run = 0;
    for vector in vectors {
        let name = vector["name"].as_str().expect("a name");
        for kernel in Kernel::available() {
            let outcome = evaluate(vector["kind"].as_str().expect("a kind"), &Inputs(&vector["inputs"]), kernel);
            let expected = vector["expected"].as_object().expect("results");
            match (expected.get("error"), outcome) {
                (Some(class), Err(error)) => assert_eq!(class, error, "{name}"),
                (None, Ok(results)) => {
                    for (member, value) in expected {
                        assert_eq!(results.get(member), Some(value), "{name}: {member} on {kernel}");
                    }
                }
                (expected, outcome) => panic!("{name}: expected error {expected:?}, got {outcome:?}"),
            }
        }
        run += 1;
    }
    assert_eq!((run, vectors.len()), (VECTORS, VECTORS));
}

fn evaluate(kind: &str, inputs: &Inputs<'_>, kernel: Kernel) -> Outcome {
    let results = match kind {
        "field_inverse" => field_inverse(inputs)?,
        "matrix" => matrix(inputs)?,
        "encode" => encode(inputs, kernel)?,
        "reconstruct" => reconstruct(inputs, kernel)?,
        "parity_mismatch" => parity_mismatch(inputs, kernel)?,
        "parity_count" => parity_count(inputs),
        "percentage_for" => percentage_for(inputs)?,
        "floored_parity_count" => floored_parity_count(inputs),
        "floored_parity_sweep" => floored_parity_sweep(inputs),
        "blocks" => blocks(inputs)?,
        "block_limits" => block_limits(inputs),
        unknown => panic!("unknown kind {unknown}"),
    };
    match results {
        Value::Object(results) => Ok(results),
        other => panic!("{kind} gives {other}"),
    }
}

fn field_inverse(inputs: &Inputs<'_>) -> Result<Value, &'static str> {
    let inverses: Option<Vec<u8>> = inputs.list("values").map(|value| gf8::inverse(value as u8)).collect();
    Ok(json!({ "inverses": hex(&inverses.ok_or("DivisionByZero")?) }))
}

fn matrix(inputs: &Inputs<'_>) -> Result<Value, &'static str> {
    let codec = codec(inputs, inputs.number("parity"), Kernel::Scalar)?;
    let rows: Vec<Vec<u8>> = (0..codec.parity_shards())
        .map(|row| (0..codec.data_shards()).filter_map(|column| codec.coefficient(row, column)).collect())
        .collect();
    Ok(json!({ "rows": rows.iter().map(|row| hex(row)).collect::<Vec<_>>(), "sha256": sha256(&rows.concat()) }))
}

fn encode(inputs: &Inputs<'_>, kernel: Kernel) -> Result<Value, &'static str> {
    let codec = codec(inputs, inputs.number("parity"), kernel)?;
    let parity = &coded(inputs, &codec)[codec.data_shards()..];
    let prefix =
        inputs.get("prefix").map_or(inputs.number("length"), |prefix| prefix.as_u64().expect("bytes") as usize);
    Ok(json!({
        "parity": parity.iter().map(|shard| hex(shard)).collect::<Vec<_>>(),
        "parity_sha256": sha256(&parity.concat()),
        "first": hex(&parity[0][..prefix]),
        "last": hex(&parity[parity.len() - 1][..prefix]),
    }))
}

fn reconstruct(inputs: &Inputs<'_>, kernel: Kernel) -> Result<Value, &'static str> {
    let mut codec = codec(inputs, inputs.number("parity"), kernel)?;
    let (mut shards, present) = match inputs.get("shards") {
        Some(shards) => explicit(shards, codec.total_shards(), inputs.number("length")),
        None => {
            let lost: ShardSet = inputs.list("lost").collect();
            let mut shards = coded(inputs, &codec);
            lost.iter().for_each(|index| shards[index].fill(0xee));
            (shards, (0..codec.total_shards()).filter(|&index| !lost.contains(index)).collect())
        }
    };
    let restored = codec.reconstruct(&mut shards, &present).map_err(|error| match error {
        ReconstructError::TooFewShards { .. } => "TooFewShards",
        ReconstructError::NoSuchShard { .. } => "BadIndex",
        ReconstructError::BadBlock(EncodeError::LengthMismatch { .. }) => "LengthMismatch",
        ReconstructError::BadBlock(error) => panic!("{error}"),
    })?;
    let by_index: BTreeMap<String, String> = restored.iter().map(|i| (i.to_string(), hex(&shards[i]))).collect();
    let bytes: Vec<u8> = restored.iter().flat_map(|index| shards[index].iter().copied()).collect();
    Ok(json!({
        "recovered": by_index,
        "recovered_indexes": restored.iter().collect::<Vec<_>>(),
        "recovered_sha256": sha256(&bytes),
    }))
}

/// Shards given by index; those not given have `length` bytes.
fn explicit(given: &Value, total: usize, length: usize) -> (Vec<Vec<u8>>, ShardSet) {
    let mut shards = vec![vec![0; length]; total];
    let mut present = ShardSet::EMPTY;
    for (index, shard) in given.as_object().expect("shards by index") {
        let index: usize = index.parse().expect("an index");
        present.insert(index);
        if let Some(slot) = shards.get_mut(index) {
            *slot = unhex(shard.as_str().expect("hex"));
        }
    }
    (shards, present)
}

fn parity_mismatch(inputs: &Inputs<'_>, kernel: Kernel) -> Result<Value, &'static str> {
    let sender = codec(inputs, inputs.number("parity_sent"), kernel)?;
    let mut receiver = codec(inputs, inputs.number("parity_assumed"), kernel)?;
    let sent = coded(inputs, &sender);
    let lost = inputs.number("lost");
    let mut shards = sent[..receiver.total_shards()].to_vec();
    shards[lost].fill(0);
    let present = (0..receiver.total_shards()).filter(|&index| index != lost).collect();
    receiver.reconstruct(&mut shards, &present).expect("enough shards");
    Ok(json!({
        "recovered": hex(&shards[lost]),
        "original": hex(&sent[lost]),
        "equal": shards[lost] == sent[lost],
    }))
}

fn parity_count(inputs: &Inputs<'_>) -> Value {
    let data = inputs.number("data");
    let block = BlockParity::for_block(data, inputs.percentage(), inputs.number("min_required") as u8);
    json!({
        "parity": block.shards,
        "header_percentage": block.percentage.get(),
        "client_parity": block.percentage.parity(data),
    })
}

fn percentage_for(inputs: &Inputs<'_>) -> Result<Value, &'static str> {
    let block = BlockParity::exactly(inputs.number("data"), inputs.number("parity"))
        .map_err(|NotRepresentable { .. }| "NotRepresentable")?;
    Ok(json!({ "percentage": block.percentage.get() }))
}

/// The rule that a host must not use (section 8, trap 1): parity and percentage rounded down, and what a client makes
/// of it.
fn floored(data: usize, percentage: FecPercentage) -> (usize, usize, usize) {
    let parity = data * usize::from(percentage.get()) / 100;
    let header = 100 * parity / data;
    (parity, header, FecPercentage::new(header as u8).parity(data))
}

fn floored_parity_count(inputs: &Inputs<'_>) -> Value {
    let data = inputs.number("data");
    let (parity, header, client) = floored(data, inputs.percentage());
    json!({
        "host_parity": parity,
        "host_percentage": header,
        "client_parity": client,
        "correct_parity": inputs.percentage().parity(data),
    })
}

fn floored_parity_sweep(inputs: &Inputs<'_>) -> Value {
    let wrong: Vec<usize> = (inputs.number("first")..=inputs.number("last"))
        .filter(|&data| {
            let (host, _, client) = floored(data, inputs.percentage());
            host != client
        })
        .collect();
    let (host, _, client) = floored(inputs.number("last"), inputs.percentage());
    json!({
        "mismatches": wrong.len(),
        "first_mismatch": wrong.first(),
        "host_parity_at_last": host,
        "client_parity_at_last": client,
    })
}

fn blocks(inputs: &Inputs<'_>) -> Result<Value, &'static str> {
    let split = FrameSplit::new(inputs.number("data_packets"), inputs.percentage()).map_err(|error| match error {
        SplitError::EmptyFrame => "EmptyFrame",
        SplitError::FrameTooLarge { .. } => "FrameTooLarge",
    })?;
    Ok(json!({
        "data_max": inputs.percentage().max_data_shards(),
        "fec_percentage": split.percentage().get(),
        "blocks": split.blocks().collect::<Vec<_>>(),
    }))
}

fn block_limits(inputs: &Inputs<'_>) -> Value {
    let percentage = inputs.percentage();
    let data = percentage.max_data_shards();
    json!({
        "data_max": data,
        "parity_at_max": percentage.parity(data),
        "shards_at_max": data + percentage.parity(data),
        "frame_data_packets": percentage.max_frame_packets(),
        "frame_codec_bytes": percentage.max_frame_bytes(inputs.number("packet_size")),
    })
}

fn codec(inputs: &Inputs<'_>, parity: usize, kernel: Kernel) -> Result<Codec, &'static str> {
    let codec = Codec::new(inputs.number("data"), parity).map_err(|ShapeError { .. }| "BadShape")?;
    Ok(codec.with_kernel(kernel).expect("available"))
}

/// Data shards of the vector's pattern, and their parity.
fn coded(inputs: &Inputs<'_>, codec: &Codec) -> Vec<Vec<u8>> {
    let length = inputs.number("length");
    let pattern = match inputs.get("pattern").and_then(Value::as_str) {
        Some("linear") => linear,
        Some("lcg") => lcg,
        other => panic!("unknown pattern {other:?}"),
    };
    let data: Vec<Vec<u8>> = (0..codec.data_shards()).map(|shard| pattern(shard, length)).collect();
    let mut parity = vec![vec![0; length]; codec.parity_shards()];
    codec.encode(&data, &mut parity).expect("one length");
    [data, parity].concat()
}

fn linear(shard: usize, length: usize) -> Vec<u8> {
    (0..length).map(|j| (31 * shard + 7 * j + 3) as u8).collect()
}

fn lcg(shard: usize, length: usize) -> Vec<u8> {
    let mut state = (shard as u32).wrapping_mul(0x9e37_79b1).wrapping_add(0x7f4a_7c15);
    let step = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(step).take(length).collect()
}

struct Inputs<'a>(&'a Value);

impl Inputs<'_> {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    fn number(&self, name: &str) -> usize {
        self.0[name].as_u64().unwrap_or_else(|| panic!("no number {name}")) as usize
    }

    fn list(&self, name: &str) -> impl Iterator<Item = usize> {
        let list = self.0[name].as_array().unwrap_or_else(|| panic!("no list {name}"));
        list.iter().map(|value| value.as_u64().expect("a number") as usize)
    }

    fn percentage(&self) -> FecPercentage {
        FecPercentage::new(u8::try_from(self.number("fec_percentage")).expect("8 bits"))
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}
