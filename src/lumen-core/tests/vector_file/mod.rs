//! Reads a file of protocol test vectors and runs each through a function: a vector is a pure function of its
//! inputs, and every member that its expectation names is compared.
#![allow(dead_code, reason = "each test program uses a part of this")]

use serde_json::Value;

/// Runs every vector of a file. `run` gets the kind and the inputs and gives the result, or `None` for a kind that
/// it does not know.
pub fn check(text: &str, count: usize, run: impl Fn(&str, &Value, &Value) -> Option<Value>) {
    let file: Value = serde_json::from_str(text).expect("vector file is JSON");
    let vectors = file["vectors"].as_array().expect("vector file has vectors");
    assert_eq!(vectors.len(), count, "number of vectors");
    let mut failures = Vec::new();
    for vector in vectors {
        let kind = string(&vector["kind"]);
        let name = string(&vector["name"]);
        match run(kind, &vector["inputs"], &vector["expected"]) {
            None => failures.push(format!("{name}: unknown kind {kind}")),
            Some(result) if !agrees(&vector["expected"], &result) => {
                failures.push(format!("{name}: expected {}, got {result}", vector["expected"]));
            }
            Some(_) => {}
        }
    }
    assert!(failures.is_empty(), "{} of {count} vectors fail:\n{}", failures.len(), failures.join("\n"));
}

/// Whether a result has every member of an expectation. Floats may differ by 1e-9 of their size.
pub fn agrees(expected: &Value, result: &Value) -> bool {
    match (expected, result) {
        (Value::Object(expected), Value::Object(result)) => {
            expected.iter().all(|(name, value)| result.get(name).is_some_and(|found| agrees(value, found)))
        }
        (Value::Array(expected), Value::Array(result)) => {
            expected.len() == result.len() && expected.iter().zip(result).all(|(one, other)| agrees(one, other))
        }
        (Value::Number(one), Value::Number(other)) => match (one.as_f64(), other.as_f64()) {
            (Some(one), Some(other)) => (one - other).abs() <= 1e-9 * one.abs().max(1e-12),
            _ => false,
        },
        _ => expected == result,
    }
}

/// A string member.
pub fn string(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is a string"))
}

/// A number member.
pub fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is a number"))
}

/// Bytes as hexadecimal digits.
pub fn unhex(value: &Value) -> Vec<u8> {
    let text = string(value);
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex digits")).collect()
}

/// Hexadecimal digits of bytes.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
