//! The GameStream protocol as Moonlight clients speak it: wire formats and state machines, both halves.

pub mod audio;
pub mod control;
pub mod http;
pub mod input;
pub mod packetizer;
#[cfg(feature = "pairing")]
pub mod pairing;
pub mod reassembler;
pub mod rtsp;
pub mod sdp;
pub mod video;
pub mod xml;
