//! Whole sessions: the real `lumen serve` with its workers, and the reference client, over real sockets. What is
//! asserted are counts and states, never times; waits are generous, because they only bound a failure.
//!
//! Streams are small and take turns, since they would compete for the same few cores. `LUMEN_TEST_FULL=yes` runs
//! every combination instead of a selection, and longer.

mod away;
mod crashes;
mod crowd;
mod grants;
mod harness;
mod intruders;
#[expect(dead_code, reason = "shared with the tests of desktops, which use all of it")]
mod leftovers;
mod loss;
mod lumen1;
mod metrics;
#[cfg(feature = "quic")]
mod quic;
mod rules;
mod streams;
