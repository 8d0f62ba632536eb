//! Reads a file of vectors and compares results with what they expect. Shared by the tests of video and audio packets.

use ring::digest::{SHA256, digest};
use serde_json::{Map, Value};

/// Results by name, or the class of the error.
pub type Outcome = Result<Value, &'static str>;

/// Runs all vectors of a file and insists on their number: a shorter file must be noticed.
pub fn run(json: &str, count: usize, evaluate: impl Fn(&str, Inputs<'_>, &Map<String, Value>) -> Outcome) {
    let file: Value = serde_json::from_str(json).expect("JSON");
    let vectors = file["vectors"].as_array().expect("a list of vectors");
    for vector in vectors {
        let name = vector["name"].as_str().expect("a name");
        let expected = vector["expected"].as_object().expect("results");
        let outcome = evaluate(vector["kind"].as_str().expect("a kind"), Inputs(&vector["inputs"]), expected);
        match (expected.get("error"), outcome) {
            (Some(class), Err(error)) => assert_eq!(class, error, "{name}"),
            (None, Ok(results)) => {
                for (member, value) in expected {
                    assert!(
                        contains(&results[member], value, member == "samples"),
                        "{name}: {member}\nexpected {value}\n     got {}",
                        results[member]
                    );
                }
            }
            (expected, outcome) => panic!("{name}: expected error {expected:?}, got {outcome:?}"),
        }
    }
    assert_eq!(vectors.len(), count);
}

/// Samples are some of many; everything else must be equal.
fn contains(result: &Value, expected: &Value, samples: bool) -> bool {
    match expected {
        Value::Object(members) if samples => members.iter().all(|(name, value)| result[name] == *value),
        _ => result == expected,
    }
}

/// Arguments of a vector. A missing or wrong one is a fault of the file, so everything here panics.
#[derive(Clone, Copy)]
pub struct Inputs<'a>(pub &'a Value);

impl<'a> Inputs<'a> {
    /// The argument, if it is there and not null.
    pub fn get(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub fn number<T: TryFrom<i64>>(self, name: &str) -> T {
        self.try_number(name).unwrap_or_else(|| panic!("{name} is out of range"))
    }

    /// None if the number does not fit.
    pub fn try_number<T: TryFrom<i64>>(self, name: &str) -> Option<T> {
        let value = &self.0[name];
        T::try_from(value.as_i64().unwrap_or_else(|| panic!("{name} is no integer"))).ok()
    }

    #[allow(dead_code, reason = "only video vectors have wide counters")]
    pub fn wide(self, name: &str) -> u64 {
        self.0[name].as_u64().unwrap_or_else(|| panic!("{name} is no count"))
    }

    pub fn flag(self, name: &str) -> bool {
        self.0[name].as_bool().unwrap_or_else(|| panic!("{name} is no flag"))
    }

    pub fn text(self, name: &str) -> &'a str {
        self.0[name].as_str().unwrap_or_else(|| panic!("{name} is no text"))
    }

    pub fn bytes(self, name: &str) -> Vec<u8> {
        unhex(&self.0[name])
    }

    pub fn key(self, name: &str) -> [u8; 16] {
        self.bytes(name).try_into().expect("a key of 16 bytes")
    }

    pub fn list(self, name: &str) -> Vec<Vec<u8>> {
        self.0[name].as_array().unwrap_or_else(|| panic!("{name} is no list")).iter().map(unhex).collect()
    }
}

pub fn unhex(value: &Value) -> Vec<u8> {
    let text = value.as_str().expect("hex");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

pub fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn hexes<T: AsRef<[u8]>>(list: impl IntoIterator<Item = T>) -> Vec<String> {
    list.into_iter().map(hex).collect()
}

#[allow(dead_code, reason = "only video vectors have digests")]
pub fn sha256(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes))
}

/// `length` bytes of pattern `name`, shard or seed `index`.
pub fn pattern(name: &str, index: u32, length: usize) -> Vec<u8> {
    match name {
        "linear" => (0..length).map(|at| (31 * index as usize + 7 * at + 3) as u8).collect(),
        "lcg" => {
            let mut state = index.wrapping_mul(0x9E37_79B1).wrapping_add(0x7F4A_7C15);
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            };
            (0..length).map(|_| next()).collect()
        }
        unknown => panic!("unknown pattern {unknown}"),
    }
}
