//! Bytes of a connection as they arrive, until one request is complete. Clients write in pieces of about 500 bytes.

use super::request::{Unread, split_head};
use super::{MAX_BODY_BYTES, MAX_HEAD_BYTES, RecordError, Request, RequestError, SealedRecord};

/// What arrived on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WireMessage {
    /// A request in plain text, or what is wrong with it. On an encrypted stream either must be refused.
    Plain(Result<Request, RequestError>),
    /// A record to open with the key of a launch.
    Sealed(SealedRecord),
}

/// Collects one message. The first bit tells which form it has: text never begins with a byte above 127.
#[derive(Debug, Default)]
pub struct MessageDecoder {
    buffer: Vec<u8>,
    /// So far no end of a head was found.
    searched: usize,
    /// A request whose head is known is complete with so many bytes, not before: nothing is parsed until then.
    needed: usize,
}

impl MessageDecoder {
    /// A decoder for a fresh connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing has arrived yet: a connection that ends so was only a probe.
    pub const fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Takes what was read. `None` means that more must follow; after a message or an error the decoder is done with.
    ///
    /// # Errors
    /// [`RecordError`] if the bytes can never become a message; the connection is to be closed in silence.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Option<WireMessage>, RecordError> {
        // Never hold more than the largest message and one read beyond it.
        if self.buffer.len() > MAX_HEAD_BYTES + MAX_BODY_BYTES {
            return Err(RecordError::TooLarge);
        }
        self.buffer.extend_from_slice(bytes);
        match self.buffer.first() {
            None => Ok(None),
            Some(first) if first & 0x80 != 0 => match SealedRecord::parse(&self.buffer) {
                Ok(record) => Ok(Some(WireMessage::Sealed(record))),
                Err(RecordError::Incomplete) => Ok(None),
                Err(error) => Err(error),
            },
            Some(_) => Ok(self.plain()),
        }
    }

    fn plain(&mut self) -> Option<WireMessage> {
        if self.buffer.len() < self.needed {
            return None;
        }
        // The end of a head spans at most four bytes; what was searched before need not be searched again.
        let from = self.searched.saturating_sub(4);
        if split_head(&self.buffer, from).is_none() {
            self.searched = self.buffer.len();
            return (self.buffer.len() > MAX_HEAD_BYTES).then_some(WireMessage::Plain(Err(RequestError::TooLarge)));
        }
        match Request::parse_or_missing(&self.buffer) {
            Ok(request) => Some(WireMessage::Plain(Ok(request))),
            Err(Unread::Never(error)) => Some(WireMessage::Plain(Err(error))),
            Err(Unread::Missing(bytes)) => {
                self.needed = self.buffer.len() + bytes;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::gamestream::rtsp::{Method, RtspCipher};

    fn request() -> Request {
        Request::new(Method::Announce, "streamid=control/13/0").with_header("CSeq", 6).with_body("v=0\r\na=x:1 \r\n")
    }

    #[test]
    fn an_endless_head_is_refused() {
        let mut decoder = MessageDecoder::new();
        let last = std::iter::repeat_with(|| decoder.push(&[b'a'; 512])).find(|result| !matches!(result, Ok(None)));
        assert_eq!(last, Some(Ok(Some(WireMessage::Plain(Err(RequestError::TooLarge))))));
    }

    #[test]
    fn a_record_that_is_too_long_is_refused_at_its_first_word() {
        let mut decoder = MessageDecoder::new();
        assert_eq!(decoder.push(&[0xff, 0xff, 0xff, 0xff]), Err(RecordError::TooLarge));
    }

    proptest! {
        #[test]
        fn pieces_make_up_the_same_message(cuts in proptest::collection::vec(1usize..20, 1..100), sealed in any::<bool>()) {
            let plain = request().to_bytes();
            let bytes = if sealed { RtspCipher::client(&[3; 16], 1).seal(&plain).unwrap() } else { plain };
            let (mut decoder, mut rest, mut cuts) = (MessageDecoder::new(), &bytes[..], cuts.into_iter().cycle());
            let message = loop {
                prop_assert!(!rest.is_empty());
                let (piece, tail) = rest.split_at(cuts.next().unwrap().min(rest.len()));
                rest = tail;
                if let Some(message) = decoder.push(piece).unwrap() {
                    break message;
                }
            };
            prop_assert!(rest.is_empty());
            match message {
                WireMessage::Plain(read) => prop_assert_eq!(read, Ok(request())),
                WireMessage::Sealed(record) => prop_assert_eq!(record.to_bytes(), bytes),
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..8)) {
            let mut decoder = MessageDecoder::new();
            for piece in pieces {
                let _ = decoder.push(&piece);
            }
        }
    }
}
