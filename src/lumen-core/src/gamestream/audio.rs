//! Audio packets, their RS(4,2) and their encryption (protocol part 2, section 5): the packetizer of the host and the
//! receiver of the client.
//!
//! Four Opus packets, the first with a sequence number divisible by four, are a block with two parity packets. Nothing
//! here encodes or decodes sound.

mod packet;
mod packetizer;
mod profile;
mod receiver;

pub use packet::{
    AudioEncryption, AudioHeader, AudioPacket, AudioPacketError, BLOCK_DATA, BLOCK_PARITY, MAX_AUDIO_DATAGRAM,
    PacketDuration, open_packet,
};
pub use packetizer::{
    AudioConfig, AudioCounters, AudioDatagrams, AudioFec, AudioPacketizeError, AudioPacketizer, NotABlockStart,
};
pub use profile::{OpusProfile, OpusQuality};
pub use receiver::{AudioDropReason, AudioEvent, AudioReceiver, AudioReceiverConfig, AudioStart};
