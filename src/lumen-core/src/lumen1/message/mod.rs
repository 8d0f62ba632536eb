//! Messages (section 8): everything that is neither picture nor sound. A payload is any number of them, each a type, a
//! length and a body; types of later revisions are skipped, and so are bytes after the fields that this revision knows.

mod desktop;
mod feedback;

pub use desktop::{Clipboard, ClipboardFormat, CursorPosition, CursorShape, CursorVisibility};
pub use feedback::{
    FrameOutcome, FrameStatus, MAX_RECEIPTS, Missing, Receipt, ReceiptLog, Receipts, ShardRange, TICK_MICROS,
};

use super::header::Stream;
use super::video::FrameNumber;
use crate::reader::{Reader, Short};

/// Bytes of type and length before a body.
pub const MESSAGE_HEADER_LEN: usize = 4;

/// Bytes of a [`Message::Reliable`] body before its piece.
pub const RELIABLE_HEADER_LEN: usize = 5;

/// Longest text of a [`Message::Close`], in bytes.
pub const MAX_CLOSE_TEXT: usize = 256;

/// Message types (section 8.1).
pub mod kind {
    /// Room that means nothing.
    pub const PADDING: u16 = 0x00;
    /// Asks for a [`PONG`].
    pub const PING: u16 = 0x01;
    /// Answers a [`PING`].
    pub const PONG: u16 = 0x02;
    /// Asks whether an address is the peer's.
    pub const PATH_CHALLENGE: u16 = 0x03;
    /// Answers a [`PATH_CHALLENGE`].
    pub const PATH_RESPONSE: u16 = 0x04;
    /// The session is over.
    pub const CLOSE: u16 = 0x05;
    /// A piece of a message that arrives for certain and in order.
    pub const RELIABLE: u16 = 0x06;
    /// Which pieces arrived.
    pub const ACK: u16 = 0x07;
    /// When packets arrived.
    pub const RECEIPTS: u16 = 0x10;
    /// Shards that are missing.
    pub const MISSING: u16 = 0x11;
    /// What became of a frame.
    pub const FRAME_STATUS: u16 = 0x12;
    /// Frames that must not be referred to any more.
    pub const INVALIDATE: u16 = 0x13;
    /// Asks for a key frame.
    pub const KEY_FRAME: u16 = 0x14;
    /// An input event.
    pub const INPUT: u16 = 0x20;
    /// What the host answers to input devices.
    pub const INPUT_ANSWER: u16 = 0x21;
    /// What the pointer looks like.
    pub const CURSOR_SHAPE: u16 = 0x28;
    /// Where the pointer is.
    pub const CURSOR_POSITION: u16 = 0x29;
    /// New content of the clipboard.
    pub const CLIPBOARD: u16 = 0x30;
}

/// Why a session ends (section 10). Codes of later revisions count as [`CloseCode::Other`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseCode {
    /// Nothing is wrong: the user left, or the application ended.
    Done,
    /// The peer broke the protocol.
    Protocol,
    /// A limit of the session was passed.
    Limit,
    /// All epochs are used, or keys were lost: negotiate anew.
    KeysExhausted,
    /// The host's machinery failed.
    Failed,
    /// Another code.
    Other(u16),
}

impl CloseCode {
    /// The number of the wire.
    pub const fn wire(self) -> u16 {
        match self {
            Self::Done => 0,
            Self::Protocol => 1,
            Self::Limit => 2,
            Self::KeysExhausted => 3,
            Self::Failed => 4,
            Self::Other(code) => code,
        }
    }

    /// The code of a number.
    pub const fn from_wire(code: u16) -> Self {
        match code {
            0 => Self::Done,
            1 => Self::Protocol,
            2 => Self::Limit,
            3 => Self::KeysExhausted,
            4 => Self::Failed,
            code => Self::Other(code),
        }
    }
}

/// Whether more pieces of the same message follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Piece {
    /// More follow.
    More,
    /// It is the last.
    Last,
}

/// A message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// So many bytes of nothing.
    Padding(usize),
    /// To be answered with the same value.
    Ping(u64),
    /// The answer.
    Pong(u64),
    /// To be answered with the same value, from the address that it came to.
    PathChallenge(u64),
    /// The answer.
    PathResponse(u64),
    /// The session is over.
    Close {
        /// Why.
        code: CloseCode,
        /// For people; at most [`MAX_CLOSE_TEXT`] bytes.
        text: &'a str,
    },
    /// A piece of a message that arrives for certain and in order.
    Reliable {
        /// Number of the piece in its direction and stream, from 0.
        sequence: u32,
        /// Whether the message ends with it.
        piece: Piece,
        /// Its bytes; all pieces together are a type and a body.
        bytes: &'a [u8],
    },
    /// Pieces that arrived.
    Ack {
        /// All pieces before this one did.
        next: u32,
        /// Bit `n`: piece `next + 1 + n` did too.
        beyond: u64,
    },
    /// When video packets arrived.
    Receipts(Receipts<'a>),
    /// Shards that are missing.
    Missing(Missing<'a>),
    /// What became of a frame.
    FrameStatus(FrameStatus),
    /// Frames `first..=last` must not be referred to any more.
    Invalidate {
        /// The first.
        first: FrameNumber,
        /// The last; the same or later.
        last: FrameNumber,
    },
    /// A key frame is needed.
    KeyFrame,
    /// An input event, as `gamestream::input::InputEvent` reads it (annex A).
    Input(&'a [u8]),
    /// What the host answers to input devices, as `gamestream::control::HostMessage` reads it (annex B).
    InputAnswer {
        /// Its type.
        kind: u16,
        /// Its payload.
        payload: &'a [u8],
    },
    /// What the pointer looks like.
    CursorShape(CursorShape<'a>),
    /// Where the pointer is.
    CursorPosition(CursorPosition),
    /// New content of the clipboard.
    Clipboard(Clipboard<'a>),
}

/// Why a message is not used. The rest of its payload is dropped with it where its end is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Fewer bytes than its length says.
    #[error("a message is longer than its payload")]
    Truncated,
    /// Fewer bytes than its fields need.
    #[error("message type {0:#04x} is cut short")]
    Short(u16),
    /// Its stream carries no such message.
    #[error("message type {kind:#04x} does not belong on stream {stream:?}")]
    WrongStream {
        /// Its type.
        kind: u16,
        /// Where it came.
        stream: Stream,
    },
    /// A field has a value that it can't have.
    #[error("message type {0:#04x} has an impossible value")]
    BadValue(u16),
    /// Text that is not UTF-8.
    #[error("message type {0:#04x} has text that is not UTF-8")]
    NotText(u16),
}

impl<'a> Message<'a> {
    /// The type.
    pub const fn kind(&self) -> u16 {
        match self {
            Self::Padding(_) => kind::PADDING,
            Self::Ping(_) => kind::PING,
            Self::Pong(_) => kind::PONG,
            Self::PathChallenge(_) => kind::PATH_CHALLENGE,
            Self::PathResponse(_) => kind::PATH_RESPONSE,
            Self::Close { .. } => kind::CLOSE,
            Self::Reliable { .. } => kind::RELIABLE,
            Self::Ack { .. } => kind::ACK,
            Self::Receipts(_) => kind::RECEIPTS,
            Self::Missing(_) => kind::MISSING,
            Self::FrameStatus(_) => kind::FRAME_STATUS,
            Self::Invalidate { .. } => kind::INVALIDATE,
            Self::KeyFrame => kind::KEY_FRAME,
            Self::Input(_) => kind::INPUT,
            Self::InputAnswer { .. } => kind::INPUT_ANSWER,
            Self::CursorShape(_) => kind::CURSOR_SHAPE,
            Self::CursorPosition(_) => kind::CURSOR_POSITION,
            Self::Clipboard(_) => kind::CLIPBOARD,
        }
    }

    /// Appends the body.
    pub fn write_body(&self, out: &mut Vec<u8>) {
        match self {
            Self::Padding(len) => out.resize(out.len() + len, 0),
            Self::Ping(value) | Self::Pong(value) | Self::PathChallenge(value) | Self::PathResponse(value) => {
                out.extend_from_slice(&value.to_be_bytes());
            }
            Self::Close { code, text } => {
                out.extend_from_slice(&code.wire().to_be_bytes());
                out.extend_from_slice(&text.as_bytes()[..text.floor_char_boundary(MAX_CLOSE_TEXT)]);
            }
            Self::Reliable { sequence, piece, bytes } => {
                out.extend_from_slice(&sequence.to_be_bytes());
                out.push(u8::from(*piece == Piece::More));
                out.extend_from_slice(bytes);
            }
            Self::Ack { next, beyond } => {
                out.extend_from_slice(&next.to_be_bytes());
                out.extend_from_slice(&beyond.to_be_bytes());
            }
            Self::Receipts(receipts) => receipts.write(out),
            Self::Missing(missing) => missing.write(out),
            Self::FrameStatus(status) => status.write(out),
            Self::Invalidate { first, last } => {
                out.extend_from_slice(&first.0.to_be_bytes());
                out.extend_from_slice(&last.0.to_be_bytes());
            }
            Self::KeyFrame => {}
            Self::Input(event) => out.extend_from_slice(event),
            Self::InputAnswer { kind, payload } => {
                out.extend_from_slice(&kind.to_be_bytes());
                out.extend_from_slice(payload);
            }
            Self::CursorShape(shape) => shape.write(out),
            Self::CursorPosition(position) => position.write(out),
            Self::Clipboard(clipboard) => clipboard.write(out),
        }
    }

    /// Appends type, length and body. A body of more than 65535 bytes does not fit: such messages go as pieces of a
    /// reliable one.
    ///
    /// # Panics
    /// If the body has more than 65535 bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.kind().to_be_bytes());
        out.extend_from_slice(&[0; 2]);
        self.write_body(out);
        let len = u16::try_from(out.len() - start - MESSAGE_HEADER_LEN).expect("a message in one datagram");
        out[start + 2..start + 4].copy_from_slice(&len.to_be_bytes());
    }

    /// Reads a body. `None` for types of later revisions.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn parse_body(kind: u16, stream: Stream, body: &'a [u8]) -> Result<Option<Self>, MessageError> {
        let Some(allowed) = allowed(kind) else { return Ok(None) };
        if !allowed.contains(&stream) {
            return Err(MessageError::WrongStream { kind, stream });
        }
        Self::read(kind, body).unwrap_or(Err(MessageError::Short(kind)))
    }

    fn read(kind: u16, body: &'a [u8]) -> Result<Result<Option<Self>, MessageError>, Short> {
        let reader = &mut Reader::new(body);
        let bad = MessageError::BadValue(kind);
        let message = match kind {
            kind::PADDING => Self::Padding(body.len()),
            kind::PING => Self::Ping(reader.u64_be()?),
            kind::PONG => Self::Pong(reader.u64_be()?),
            kind::PATH_CHALLENGE => Self::PathChallenge(reader.u64_be()?),
            kind::PATH_RESPONSE => Self::PathResponse(reader.u64_be()?),
            kind::CLOSE => {
                let code = CloseCode::from_wire(reader.u16_be()?);
                let text = reader.rest();
                if text.len() > MAX_CLOSE_TEXT {
                    return Ok(Err(bad));
                }
                match std::str::from_utf8(text) {
                    Ok(text) => Self::Close { code, text },
                    Err(_) => return Ok(Err(MessageError::NotText(kind))),
                }
            }
            kind::RELIABLE => Self::Reliable {
                sequence: reader.u32_be()?,
                piece: if reader.u8()? & 1 == 1 { Piece::More } else { Piece::Last },
                bytes: reader.rest(),
            },
            kind::ACK => Self::Ack { next: reader.u32_be()?, beyond: reader.u64_be()? },
            kind::RECEIPTS => match Receipts::read(reader)? {
                Some(receipts) => Self::Receipts(receipts),
                None => return Ok(Err(bad)),
            },
            kind::MISSING => match Missing::read(reader)? {
                Some(missing) => Self::Missing(missing),
                None => return Ok(Err(bad)),
            },
            kind::FRAME_STATUS => match FrameStatus::read(reader)? {
                Some(status) => Self::FrameStatus(status),
                None => return Ok(Err(bad)),
            },
            kind::INVALIDATE => {
                let (first, last) = (FrameNumber(reader.u32_be()?), FrameNumber(reader.u32_be()?));
                if first.0 == 0 || last < first {
                    return Ok(Err(bad));
                }
                Self::Invalidate { first, last }
            }
            kind::KEY_FRAME => Self::KeyFrame,
            kind::INPUT => Self::Input(body),
            kind::INPUT_ANSWER => Self::InputAnswer { kind: reader.u16_be()?, payload: reader.rest() },
            kind::CURSOR_SHAPE => match CursorShape::read(reader)? {
                Some(shape) => Self::CursorShape(shape),
                None => return Ok(Err(bad)),
            },
            kind::CURSOR_POSITION => Self::CursorPosition(CursorPosition::read(reader)?),
            kind::CLIPBOARD => match Clipboard::read(reader)? {
                Some(Ok(clipboard)) => Self::Clipboard(clipboard),
                Some(Err(_)) => return Ok(Err(MessageError::NotText(kind))),
                // A format of a later revision.
                None => return Ok(Ok(None)),
            },
            _ => return Ok(Ok(None)),
        };
        Ok(Ok(Some(message)))
    }
}

/// The streams on which a type may come; `None` for types of later revisions.
const fn allowed(kind: u16) -> Option<&'static [Stream]> {
    use Stream::{Clipboard, Control, Cursor, Feedback, Input};
    Some(match kind {
        kind::PADDING => &[Control, Input, Cursor, Clipboard, Feedback],
        kind::PING | kind::PONG | kind::PATH_CHALLENGE | kind::PATH_RESPONSE | kind::CLOSE => &[Control],
        kind::RELIABLE | kind::ACK => &[Control, Input, Cursor, Clipboard],
        kind::RECEIPTS | kind::MISSING | kind::FRAME_STATUS | kind::INVALIDATE | kind::KEY_FRAME => &[Feedback],
        kind::INPUT | kind::INPUT_ANSWER => &[Input],
        kind::CURSOR_SHAPE | kind::CURSOR_POSITION => &[Cursor],
        kind::CLIPBOARD => &[Clipboard],
        _ => return None,
    })
}

/// The messages of a payload, in order; those of later revisions are left out.
pub fn messages(stream: Stream, payload: &[u8]) -> impl Iterator<Item = Result<Message<'_>, MessageError>> {
    let mut rest = payload;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let mut reader = Reader::new(rest);
            let parts = reader.u16_be().and_then(|kind| {
                let len = reader.u16_be()?;
                Ok((kind, reader.take(len.into())?))
            });
            let Ok((kind, body)) = parts else {
                rest = &[];
                return Some(Err(MessageError::Truncated));
            };
            rest = reader.rest();
            if let Some(result) = Message::parse_body(kind, stream, body).transpose() {
                return Some(result);
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(stream: Stream, payload: &[u8]) -> Vec<Result<Message<'_>, MessageError>> {
        messages(stream, payload).collect()
    }

    #[test]
    fn messages_of_later_revisions_and_bytes_after_known_fields_are_skipped() {
        let mut payload = vec![0x7F, 0xFF, 0, 3, 1, 2, 3];
        payload.extend_from_slice(&[0, 1, 0, 10, 0, 0, 0, 0, 0, 0, 0, 9, 0xEE, 0xEE]);
        Message::Padding(5).write(&mut payload);
        Message::Pong(4).write(&mut payload);
        let expected = [Message::Ping(9), Message::Padding(5), Message::Pong(4)].map(Ok);
        assert_eq!(parse(Stream::Control, &payload), expected);
    }

    #[test]
    fn each_fault_is_named_and_the_messages_after_it_still_count_where_its_end_is_known() {
        let mut payload = Vec::new();
        Message::KeyFrame.write(&mut payload);
        payload.extend_from_slice(&[0, 1, 0, 7, 0, 0, 0, 0, 0, 0, 0]);
        payload.extend_from_slice(&[0, 5, 0, 4, 0, 0, 0xC3, 0x28]);
        Message::Ping(1).write(&mut payload);
        payload.extend_from_slice(&[0, 1, 0, 8, 0]);
        assert_eq!(
            parse(Stream::Control, &payload),
            [
                Err(MessageError::WrongStream { kind: kind::KEY_FRAME, stream: Stream::Control }),
                Err(MessageError::Short(kind::PING)),
                Err(MessageError::NotText(kind::CLOSE)),
                Ok(Message::Ping(1)),
                Err(MessageError::Truncated),
            ]
        );
        let mut payload = Vec::new();
        Message::Invalidate { first: FrameNumber(5), last: FrameNumber(4) }.write(&mut payload);
        assert_eq!(parse(Stream::Feedback, &payload), [Err(MessageError::BadValue(kind::INVALIDATE))]);
    }

    #[test]
    fn small_messages_are_read_as_written() {
        let cases: [(Stream, Message<'_>); 11] = [
            (Stream::Control, Message::Ping(1)),
            (Stream::Control, Message::PathChallenge(u64::MAX)),
            (Stream::Control, Message::PathResponse(3)),
            (Stream::Control, Message::Close { code: CloseCode::Other(77), text: "é" }),
            (Stream::Input, Message::Reliable { sequence: 4, piece: Piece::More, bytes: b"abc" }),
            (Stream::Clipboard, Message::Ack { next: 9, beyond: 5 }),
            (Stream::Feedback, Message::Invalidate { first: FrameNumber(1), last: FrameNumber(1) }),
            (Stream::Feedback, Message::KeyFrame),
            (Stream::Input, Message::Input(&[1, 2, 3])),
            (Stream::Input, Message::InputAnswer { kind: 0x010B, payload: &[9] }),
            (Stream::Clipboard, Message::Clipboard(Clipboard { format: ClipboardFormat::Text, bytes: "ü".as_bytes() })),
        ];
        for (stream, message) in cases {
            let mut payload = Vec::new();
            message.write(&mut payload);
            assert_eq!(parse(stream, &payload), [Ok(message)]);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_payloads_never_panic(stream in 0usize..8, payload: Vec<u8>, kind in 0u16..0x34, body: Vec<u8>) {
            let stream = Stream::ALL[stream];
            let _ = parse(stream, &payload);
            if let Ok(Some(message)) = Message::parse_body(kind, stream, &body) {
                let mut again = Vec::new();
                message.write(&mut again);
                prop_assert_eq!(parse(stream, &again), [Ok(message)]);
            }
        }
    }
}
