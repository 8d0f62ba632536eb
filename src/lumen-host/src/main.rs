//! The `lumen` binary.
fn main() {}
