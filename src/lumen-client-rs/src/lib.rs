//! The lumen client without a screen: finds GameStream hosts, pairs with them, lists what they offer and streams from
//! them, on the client half of `lumen-core`. It decodes in software, reads the numbers that lumen's test card draws
//! into its pictures, and says what became of every frame, packet and input event.
//!
//! It works with any GameStream host; what needs the test card (latency, frames by number, flash and click) is left
//! out of the report where there is none. No async: a session is four native threads.
//!
//! ```no_run
//! use lumen_client::{Client, StreamOptions};
//!
//! # fn main() -> Result<(), lumen_client::ClientError> {
//! let client = Client::new("identity".as_ref())?;
//! let host = "192.168.1.20".parse()?;
//! client.pair(&host, None, |pin| println!("type {pin} at the host"))?;
//! let report = client.stream(&host, &StreamOptions::default())?;
//! println!("{report}");
//! # Ok(())
//! # }
//! ```
#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod address;
pub mod analysis;
pub mod cli;
pub mod client;
mod clock;
pub mod decode;
pub mod discover;
pub mod error;
mod http;
pub mod identity;
pub mod loss;
pub mod microphone;
#[cfg(feature = "quic")]
pub mod native;
pub mod options;
mod pair;
pub mod picture;
mod record;
pub mod report;
pub mod script;
pub mod session;

pub use address::HostAddress;
pub use client::{Client, HostInfo};
pub use error::ClientError;
pub use options::StreamOptions;
pub use report::StreamReport;
pub use session::Session;
