//! `encode::nvenc` with the test double in the place of NVIDIA's driver: whole streams of `lumen serve` to the reference
//! client, every fault that the double plays, and many starts and stops. The double is strict: what it writes down must
//! name no broken rule.
//!
//! What a real GPU does is not shown by this; `docs/src/guide/gpu.md` says what was seen on which.

mod bed;
mod cycles;
mod faults;
#[path = "../sessions/harness.rs"]
#[expect(dead_code, reason = "shared with the tests of sessions, which use all of it")]
mod harness;
mod streams;
