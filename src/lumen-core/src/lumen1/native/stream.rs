//! The bytes of the control stream, cut into messages (section 2.1.2).

/// Bytes of type and length.
const HEAD_LEN: usize = 4;

/// A message as it was cut out of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawMessage {
    /// Its type.
    pub kind: u16,
    /// What belongs to the type.
    pub body: Vec<u8>,
}

impl RawMessage {
    /// Appends the message as it is sent. A body has at most 65 535 bytes; `None` if it is longer, and nothing is
    /// appended.
    pub fn write(&self, out: &mut Vec<u8>) -> Option<()> {
        let length = u16::try_from(self.body.len()).ok()?;
        out.extend_from_slice(&self.kind.to_be_bytes());
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&self.body);
        Some(())
    }
}

/// Collects what arrives until it is a message. Whoever takes all messages before giving it more bytes keeps no more than
/// one of them, which is 64 KiB, beside what was given last.
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Vec<u8>,
    /// How many of them were taken.
    taken: usize,
}

impl Inbox {
    /// Bytes that came next.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next message, if it is there as a whole.
    pub fn poll(&mut self) -> Option<RawMessage> {
        let (head, rest) = self.bytes[self.taken..].split_first_chunk::<HEAD_LEN>()?;
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let message = RawMessage { kind: u16::from_be_bytes([head[0], head[1]]), body: rest.get(..length)?.to_vec() };
        self.taken += HEAD_LEN + length;
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn messages_come_out_as_they_went_in_however_they_are_cut(
            sent in prop::collection::vec((any::<u16>(), prop::collection::vec(any::<u8>(), 0..200)), 0..10),
            piece in 1usize..50,
        ) {
            let sent: Vec<_> = sent.into_iter().map(|(kind, body)| RawMessage { kind, body }).collect();
            let mut bytes = Vec::new();
            for message in &sent {
                message.write(&mut bytes).expect("short");
            }
            let mut inbox = Inbox::default();
            let mut came = Vec::new();
            for piece in bytes.chunks(piece) {
                inbox.push(piece);
                came.extend(std::iter::from_fn(|| inbox.poll()));
                prop_assert!(inbox.bytes.len() <= 250, "what was taken is not kept");
            }
            prop_assert_eq!(came, sent);
        }
    }

    #[test]
    fn a_body_that_has_no_length_is_not_sent() {
        let mut out = vec![1];
        assert_eq!(RawMessage { kind: 1, body: vec![0; 65_536] }.write(&mut out), None);
        assert_eq!(out, [1]);
        assert_eq!(RawMessage { kind: 1, body: vec![0; 65_535] }.write(&mut out), Some(()));
    }
}
