//! Two ENet hosts over a simulated network: seeded loss, delay, jitter (hence reordering) and duplication, in
//! virtual time. Nothing sleeps, and every run can be repeated exactly.

mod connections;
mod delivery;
mod hostile;
mod latency;
mod network;
