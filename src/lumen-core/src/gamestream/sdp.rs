//! The bodies of DESCRIBE and ANNOUNCE, the headers of SETUP replies, and the pings that follow them (protocol part 1,
//! sections 5.5 to 5.7; part 2, section 3.2), from both sides.
//!
//! The names are SDP's, but neither side has an SDP parser: the client searches the text of DESCRIBE, the host reads
//! attribute lines of ANNOUNCE.

mod announce;
mod attributes;
mod bitrate;
mod describe;
mod ping;
mod setup;
mod surround;

pub use announce::{
    AnnounceError, AudioQuality, ClientFeatures, ControlProtocol, EncoderRate, Matrix, QosMarks, Range,
    ReferenceFrames, RefreshRate, StreamRequest,
};
pub use attributes::{Attributes, attribute_line};
pub use bitrate::{BitrateSteps, ClientBitrate, encoder_bitrate};
pub use describe::{
    ClientEncryption, DescribeError, DescribeOffer, EncryptionBits, HostFeatures, choose_profile, negotiate_encryption,
};
pub use ping::{Ping, PingError, PingPayload, SenderAddress, SessionIds};
pub use setup::{ConnectData, SessionToken, SetupError, SetupReply, StreamKind, connect_data, server_port};
pub use surround::{OpusLayout, SurroundError, SurroundParams, SurroundQuality};

/// A number as C reads it with automatic base: `0x` hexadecimal, leading `0` octal, else decimal, up to the first other
/// character; 0 if there is none. Saturates at 32 bits.
pub(crate) fn c_number(text: &str) -> u32 {
    let text = text.trim_start();
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(rest) if rest.starts_with(|first: char| first.is_ascii_hexdigit()) => (rest, 16),
        _ if text.starts_with('0') => (text, 8),
        _ => (text, 10),
    };
    digits.chars().map_while(|digit| digit.to_digit(radix)).fold(0, |number: u32, digit| {
        number.checked_mul(radix).and_then(|number| number.checked_add(digit)).unwrap_or(u32::MAX)
    })
}
