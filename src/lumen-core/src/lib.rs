//! The lumen protocols, sans-IO: no sockets, no threads, no clocks, no async. Bytes and `now` go in; bytes,
//! events and the next deadline come out.
//!
//! Everything that a peer can send is parsed here, into a typed value or a typed error, and nowhere else.
#![deny(missing_docs)]
#![deny(unsafe_code)]

pub mod abi;
pub mod arena;
pub mod congestion;
pub mod crypto;
pub mod enet;
pub mod entropy;
pub mod fec;
pub mod gamestream;
pub mod loss_control;
pub mod lumen1;
pub mod netsim;
mod reader;
pub mod replay;
pub mod strip;
pub mod time;
