//! Replies to SETUP: session, port, and the values that bind the UDP flows to the session (protocol part 1, section
//! 5.6).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{PingPayload, c_number};
use crate::entropy::Entropy;
use crate::gamestream::rtsp::Response;

/// The three streams of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StreamKind {
    /// Sound; the first to be set up.
    Audio,
    /// Pictures.
    Video,
    /// Control and input.
    Control,
}

impl StreamKind {
    /// Name in request targets.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Control => "control",
        }
    }

    /// Target of the SETUP request for a host of version 7.1.431.
    pub const fn target(self) -> &'static str {
        match self {
            Self::Audio => "streamid=audio/0/0",
            Self::Video => "streamid=video/0/0",
            Self::Control => "streamid=control/13/0",
        }
    }

    /// The port that clients assume when a reply names none.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Audio => 48000,
            Self::Video => 47998,
            Self::Control => 47999,
        }
    }
}

impl FromStr for StreamKind {
    type Err = SetupError;

    fn from_str(name: &str) -> Result<Self, SetupError> {
        match name {
            "audio" => Ok(Self::Audio),
            "video" => Ok(Self::Video),
            "control" => Ok(Self::Control),
            _ => Err(SetupError::UnknownStream),
        }
    }
}

/// Why a SETUP exchange failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// The request names no stream of a session.
    #[error("no such stream")]
    UnknownStream,
    /// The reply for audio has no `Session` header.
    #[error("the host gave no session")]
    MissingSession,
    /// A session token has a character that cannot stand in a header, or is empty or longer than 64 characters.
    #[error("the session token is malformed")]
    BadSession,
}

/// Token of a session in RTSP headers: 1 to 64 printable ASCII characters without `;`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct SessionToken(String);

impl SessionToken {
    /// A fresh token of 16 hexadecimal digits.
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        Self(PingPayload::generate(entropy).to_string())
    }

    /// The token of a `Session` header: the text before the first semicolon.
    ///
    /// # Errors
    /// [`SetupError::BadSession`].
    pub fn from_header(value: &str) -> Result<Self, SetupError> {
        let token = value.split(';').next().unwrap_or_default().trim();
        if token.is_empty() || token.len() > 64 || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SetupError::BadSession);
        }
        Ok(Self(token.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// `X-SS-Connect-Data`: the number that the ENet connect of the control stream must carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ConnectData(pub u32);

impl ConnectData {
    /// A fresh number.
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        let mut bytes = [0; 4];
        entropy.fill(&mut bytes);
        Self(u32::from_be_bytes(bytes))
    }
}

/// A reply to SETUP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupReply {
    /// Session; required in the reply for audio, the first.
    pub session: Option<SessionToken>,
    /// UDP port of the stream.
    pub port: u16,
    /// Payload for pings, in the replies for audio and video.
    pub ping_payload: Option<PingPayload>,
    /// Number for the ENet connect, in the reply for control.
    pub connect_data: Option<ConnectData>,
}

impl SetupReply {
    /// The message.
    pub fn to_response(&self, cseq: Option<u32>) -> Response {
        let mut response = Response::ok(cseq);
        if let Some(session) = &self.session {
            response = response.with_header("Session", format!("{session};timeout = 90"));
        }
        response = response.with_header("Transport", format!("server_port={}", self.port));
        if let Some(payload) = self.ping_payload {
            response = response.with_header("X-SS-Ping-Payload", payload);
        }
        if let Some(data) = self.connect_data {
            response = response.with_header("X-SS-Connect-Data", data.0);
        }
        response
    }

    /// Reads the reply for `stream` as clients do: what is missing or malformed has its default.
    ///
    /// # Errors
    /// [`SetupError`] if the session is missing where it must not be, or malformed.
    pub fn parse(response: &Response, stream: StreamKind) -> Result<Self, SetupError> {
        let session = response.header("Session").map(SessionToken::from_header).transpose()?;
        if stream == StreamKind::Audio && session.is_none() {
            return Err(SetupError::MissingSession);
        }
        let transport = response.header("Transport").unwrap_or_default();
        Ok(Self {
            session,
            port: server_port(transport).unwrap_or(stream.default_port()),
            ping_payload: response.header("X-SS-Ping-Payload").and_then(|payload| payload.parse().ok()),
            connect_data: response.header("X-SS-Connect-Data").map(connect_data),
        })
    }
}

/// The first number after `server_port=` in a `Transport` header.
pub fn server_port(transport: &str) -> Option<u16> {
    let (_, rest) = transport.split_once("server_port=")?;
    let digits = rest.len() - rest.trim_start_matches(|digit: char| digit.is_ascii_digit()).len();
    rest[..digits].parse().ok().filter(|port| *port != 0)
}

/// The number in an `X-SS-Connect-Data` header, with automatic base: a leading zero means octal.
pub fn connect_data(value: &str) -> ConnectData {
    ConnectData(c_number(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut entropy = |buffer: &mut [u8]| buffer.fill(0x1f);
        let reply = SetupReply {
            session: Some(SessionToken::generate(&mut entropy)),
            port: 48000,
            ping_payload: Some(PingPayload::generate(&mut entropy)),
            connect_data: Some(ConnectData::generate(&mut entropy)),
        };
        let response = Response::parse(&reply.to_response(Some(3)).to_bytes()).unwrap();
        assert_eq!(SetupReply::parse(&response, StreamKind::Audio), Ok(reply));
    }

    #[test]
    fn audio_needs_a_session_and_ports_have_defaults() {
        let bare = Response::ok(Some(1));
        assert_eq!(SetupReply::parse(&bare, StreamKind::Audio), Err(SetupError::MissingSession));
        assert_eq!(SetupReply::parse(&bare, StreamKind::Control).unwrap().port, 47999);
    }
}
