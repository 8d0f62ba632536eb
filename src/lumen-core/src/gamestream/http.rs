//! What travels over HTTP and HTTPS besides pairing: server information, the application list, launch, resume and
//! cancel (protocol part 1, sections 2 and 4), from both sides.
//!
//! This module reads and writes text. It opens no socket, and it never decides who may ask for what: that is the
//! server's task, by the TLS certificate.

mod applist;
mod codec;
mod launch;
mod ports;
mod query;
mod reply;
mod serverinfo;
mod version;

pub use applist::{App, AppId, AppList};
pub use codec::{BitDepth, Chroma, Codec, CodecMask, CodecMaskError, Profile, ProfileSet};
pub use launch::{
    CancelReply, GamepadBitmap, LaunchError, LaunchIv, LaunchMode, LaunchReply, LaunchRequest, LaunchVerb,
    RemoteInputKey, RemoteInputKeyId, SessionUrl, SurroundAudioInfo,
};
pub use ports::{Ports, PortsError};
pub use query::{Query, QueryError, QueryWriter};
pub use reply::ErrorReply;
pub use serverinfo::{DisplayMode, HostState, MacAddress, ServerInfo, advertised_address};
pub use version::{AppVersion, PairingHash, RtspTransport};

pub use super::xml::ReplyError;

/// How a request arrived, or how a reply was obtained. Only what came over HTTPS can be trusted, and private facts
/// are told only there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Plain HTTP.
    Http,
    /// HTTPS with a pinned certificate at the other end.
    Https,
}

/// Decodes hexadecimal text of either case.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => Some((nibble(*high)? << 4) | nibble(*low)?),
            _ => None,
        })
        .collect()
}

/// Lower-case hexadecimal text.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]).collect()
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}
