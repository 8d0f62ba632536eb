//! The `lumen-client` binary.
fn main() {}
