//! Congestion control: how fast a stream may send, from when its packets arrive. Delay based, after Google congestion control
//! (Carlucci, De Cicco, Holmer, Mascolo: "Congestion Control for Web Real-Time Communication", IEEE/ACM Transactions on
//! Networking 25(5), 2017; draft-ietf-rmcat-gcc), with a bound on the standing queue. Why this one, and what simulations say
//! of it, is in the book, `docs/src/loss.md`.
//!
//! [`CongestionControl`] is a value: receipts go in, a target rate and a pacing rate come out. It knows no wire format and
//! reads no clock; only differences between arrival times are used, so the receiver's clock may be any.

mod controller;
mod rate;
mod stock;
mod trend;

pub use controller::{CongestionConfig, CongestionControl, Receipt};
pub use rate::BitsPerSecond;
pub use stock::StockCongestion;
pub use trend::Usage;
