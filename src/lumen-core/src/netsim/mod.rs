//! A network in virtual time: loss, bursts, outages, delay, jitter, reordering, duplication, and a bottleneck with a
//! queue, all from one seed. Tests and the loss harness drive both ends of a stream over it; a seed that fails fails
//! again, byte for byte, on every machine.
//!
//! A [`Link`] is one direction: datagrams and `now` go in, datagrams and the time of the next event come out. It reads no
//! clock, and never looks into what it carries. Each mechanism draws from a random stream of its own, so that more jitter,
//! say, does not change which datagrams are lost.

mod link;
mod loss;
mod random;

pub use link::{Bottleneck, Link, LinkConfig, LinkCounters, Order, Outages, Reordering};
pub use loss::{Loss, LossProcess};
pub use random::{Chance, Random};
