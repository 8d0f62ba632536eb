//! lumen/1: the protocol between two lumen ends (`docs/protocol/lumen-1.md`, to which the sections named here belong).
//!
//! Its data plane is sealed datagrams of video, audio, input, cursor, clipboard, microphone and feedback. The
//! ends agree on it inside a GameStream session ([`negotiation`]), of which a stock client sees nothing, or without one
//! ([`native`]).
//!
//! From the outside in: every datagram is a [`header`] and a sealed payload ([`seal`]) under keys of its direction,
//! stream and epoch ([`keys`]). Video payloads are shards of frames ([`video`]) that [`Packetizer`] makes and
//! [`Reassembler`] puts together again; sound is [`audio`]; all else are [`message`]s, some of them reliable
//! ([`reliable`]). [`session`] ties these to two state machines, [`session::Host`] and [`session::Client`].

pub mod audio;
pub mod header;
pub mod keys;
pub mod message;
pub mod native;
pub mod negotiation;
mod packetizer;
pub mod path;
mod reassembler;
pub mod reliable;
pub mod seal;
pub mod session;
pub mod video;

pub use packetizer::{FrameToSend, PacketizeError, Packetized, Packetizer, PacketizerConfig, Retransmitted};
pub use reassembler::{DropReason, Frame, LossCause, Reassembler, ReassemblerConfig, VideoEvent};

/// What a packet costs beyond the shard that it carries: header, video header and tag (section 3). No kind of packet
/// costs more.
pub const OVERHEAD: usize = header::HEADER_LEN + video::SHARD_HEADER_LEN + crate::crypto::TAG_LEN;

/// Smallest datagram that both ends must carry (section 9).
pub const MIN_DATAGRAM: usize = 1200;

/// Largest datagram: what UDP over IPv4 carries, rounded down.
pub const MAX_DATAGRAM: usize = 65_472;

/// The length of datagrams that fits an Ethernet of 1500 bytes over IPv4 and IPv6 and leaves shards of 1408 bytes.
pub const DEFAULT_DATAGRAM: usize = 1452;

const _: () = assert!(OVERHEAD == 44 && DEFAULT_DATAGRAM - OVERHEAD == 1408);
