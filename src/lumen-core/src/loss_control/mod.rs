//! Loss control: how much parity a frame gets, what is sent again, and what happens when something is lost all the same.
//! The mathematics and what simulations say of it are in the book, `docs/src/loss.md`.
//!
//! [`LossControl`] decides for one stream whose receiver tells of every packet; [`StockLossControl`] makes the parity
//! rule of a GameStream stream from the little that stock clients say. Both are values: receipts, frames and times go in,
//! numbers of packets come out. Nothing here sends, and nothing knows a wire format or a code: a frame is a number of
//! packets, any of which can be rebuilt from as many parity packets as are lost.

mod chain;
mod controller;
mod estimate;
mod ladder;
mod repair;
mod stock;

pub use chain::{GilbertChain, States};
pub use controller::{
    FrameToProtect, Importance, LossControl, LossControlConfig, ParityMode, Protection, Resend, Retransmission,
};
pub use estimate::{CountEstimator, LossEstimate, ReceiptEstimator};
pub use repair::{Repair, repair_after_loss};
pub use stock::{FrameParity, StockLossControl};
