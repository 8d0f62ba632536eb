//! Messages that arrive for certain and in order (section 8.2): pieces with numbers, acknowledged, sent again after a
//! time that doubles. For keys, text, pointer shapes and the clipboard; never for pictures.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::message::{Message, Piece};
use crate::time::Timestamp;

/// Most pieces under way.
pub const WINDOW: u32 = 64;

/// Longest time between two sendings of a piece.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// Shortest time until a piece is sent again.
const MIN_WAIT: Duration = Duration::from_millis(20);

/// The message does not fit in what a [`ReliableSender`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message of {bytes} bytes does not fit: {held} of {limit} bytes wait already")]
pub struct QueueFull {
    /// Bytes of the message.
    pub bytes: usize,
    /// Bytes that wait.
    pub held: usize,
    /// Most bytes that may wait.
    pub limit: usize,
}

/// The sending half of one stream and direction.
#[derive(Debug)]
pub struct ReliableSender {
    piece_len: usize,
    limit: usize,
    held: usize,
    next: u32,
    pieces: VecDeque<Outgoing>,
}

#[derive(Debug)]
struct Outgoing {
    sequence: u32,
    piece: Piece,
    bytes: Vec<u8>,
    due: Option<Timestamp>,
    wait: Duration,
    arrived: bool,
}

impl ReliableSender {
    /// One that cuts messages into pieces of `piece_len` bytes and holds at most `limit` bytes.
    pub fn new(piece_len: usize, limit: usize) -> Self {
        Self { piece_len: piece_len.max(1), limit, held: 0, next: 0, pieces: VecDeque::new() }
    }

    /// Takes a message to be sent.
    ///
    /// # Errors
    /// [`QueueFull`]; nothing was taken then.
    pub fn push(&mut self, message: &Message<'_>) -> Result<(), QueueFull> {
        let mut bytes = message.kind().to_be_bytes().to_vec();
        message.write_body(&mut bytes);
        if bytes.len() + self.held > self.limit {
            return Err(QueueFull { bytes: bytes.len(), held: self.held, limit: self.limit });
        }
        self.held += bytes.len();
        let count = bytes.len().div_ceil(self.piece_len);
        for (index, part) in bytes.chunks(self.piece_len).enumerate() {
            self.pieces.push_back(Outgoing {
                sequence: self.next,
                piece: if index + 1 == count { Piece::Last } else { Piece::More },
                bytes: part.to_vec(),
                due: None,
                wait: MIN_WAIT,
                arrived: false,
            });
            self.next = self.next.wrapping_add(1);
        }
        Ok(())
    }

    /// The next piece to be sent at `now`, if one is due. `round_trip` is the estimate for the path.
    pub fn poll(&mut self, now: Timestamp, round_trip: Duration) -> Option<Message<'_>> {
        let piece = self
            .pieces
            .iter_mut()
            .take(WINDOW as usize)
            .find(|piece| !piece.arrived && piece.due.is_none_or(|due| due <= now))?;
        piece.wait = match piece.due {
            None => (round_trip * 3 / 2).clamp(MIN_WAIT, MAX_WAIT),
            Some(_) => (piece.wait * 2).min(MAX_WAIT),
        };
        piece.due = Some(now + piece.wait);
        Some(Message::Reliable { sequence: piece.sequence, piece: piece.piece, bytes: &piece.bytes })
    }

    /// When [`ReliableSender::poll`] has something to say: `None` if nothing waits.
    pub fn due(&self) -> Option<Timestamp> {
        let waiting = self.pieces.iter().take(WINDOW as usize).filter(|piece| !piece.arrived);
        waiting.map(|piece| piece.due.unwrap_or(Timestamp::ZERO)).min()
    }

    /// Takes an acknowledgement.
    pub fn acknowledge(&mut self, next: u32, beyond: u64) {
        for piece in self.pieces.iter_mut().take(WINDOW as usize) {
            let ahead = piece.sequence.wrapping_sub(next) as i32;
            let beyond = (1..=64).contains(&ahead) && beyond >> (ahead - 1) & 1 == 1;
            // Nothing that was never sent can have arrived.
            if piece.due.is_some() && (ahead < 0 || beyond) {
                piece.arrived = true;
            }
        }
        while let Some(piece) = self.pieces.pop_front_if(|piece| piece.arrived) {
            self.held -= piece.bytes.len();
        }
    }
}

/// The receiving half of one stream and direction.
#[derive(Debug)]
pub struct ReliableReceiver {
    limit: usize,
    next: u32,
    early: BTreeMap<u32, (Piece, Vec<u8>)>,
    message: Vec<u8>,
    /// Whether a message was longer than the limit: its rest is dropped.
    skipping: bool,
    owes_ack: bool,
}

impl ReliableReceiver {
    /// One that takes messages of at most `limit` bytes; longer ones are acknowledged and dropped.
    pub fn new(limit: usize) -> Self {
        Self { limit, next: 0, early: BTreeMap::new(), message: Vec::new(), skipping: false, owes_ack: false }
    }

    /// Takes a piece. Hands every message that is complete now to `deliver`: type and body.
    pub fn receive(&mut self, sequence: u32, piece: Piece, bytes: &[u8], mut deliver: impl FnMut(u16, &[u8])) {
        self.owes_ack = true;
        // Distances rather than numbers are compared, so that numbers may wrap.
        let ahead = sequence.wrapping_sub(self.next);
        if ahead >= WINDOW {
            return;
        }
        if ahead > 0 {
            self.early.entry(sequence).or_insert_with(|| (piece, bytes.to_vec()));
            return;
        }
        self.take(piece, bytes, &mut deliver);
        while let Some((piece, bytes)) = self.early.remove(&self.next) {
            self.take(piece, &bytes, &mut deliver);
        }
    }

    fn take(&mut self, piece: Piece, bytes: &[u8], deliver: &mut impl FnMut(u16, &[u8])) {
        self.next = self.next.wrapping_add(1);
        self.skipping |= self.message.len() + bytes.len() > self.limit;
        if !self.skipping {
            self.message.extend_from_slice(bytes);
        }
        if piece == Piece::Last {
            if let Some((kind, body)) = self.message.split_first_chunk().filter(|_| !self.skipping) {
                deliver(u16::from_be_bytes(*kind), body);
            }
            self.message.clear();
            self.skipping = false;
        }
    }

    /// The acknowledgement that the sender is owed, if any.
    pub fn poll_ack(&mut self) -> Option<Message<'static>> {
        std::mem::take(&mut self.owes_ack).then(|| {
            let beyond = self.early.keys().fold(0, |beyond, sequence| {
                beyond | 1u64.checked_shl(sequence.wrapping_sub(self.next).wrapping_sub(1)).unwrap_or(0)
            });
            Message::Ack { next: self.next, beyond }
        })
    }

    /// Whether [`ReliableReceiver::poll_ack`] has something to say.
    pub fn owes_ack(&self) -> bool {
        self.owes_ack
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROUND_TRIP: Duration = Duration::from_millis(30);

    proptest! {
        #[test]
        fn all_messages_arrive_once_and_in_order_whatever_is_lost_doubled_or_late(
            lengths in prop::collection::vec(0usize..400, 1..30), fate in prop::collection::vec(0u8..6, 1..200), start: u32
        ) {
            let mut sender = ReliableSender::new(50, 1 << 20);
            let mut receiver = ReliableReceiver::new(1 << 20);
            (sender.next, receiver.next) = (start, start);
            let sent: Vec<Vec<u8>> = (0u8..).zip(&lengths).map(|(fill, &len)| vec![fill; len]).collect();
            for event in &sent {
                sender.push(&Message::Input(event)).expect("room");
            }
            let (mut got, mut late, mut turn) = (Vec::new(), None, 0);
            let mut fate = fate.into_iter().chain(std::iter::repeat(5));
            while sender.due().is_some() {
                let now = Timestamp::from_millis(turn * 7);
                turn += 1;
                prop_assert!(turn < 20_000, "it does not end");
                if let Some(Message::Reliable { sequence, piece, bytes }) = sender.poll(now, ROUND_TRIP) {
                    let this = (sequence, piece, bytes.to_vec());
                    let arriving = match fate.next() {
                        Some(0) => vec![],
                        Some(1) => vec![this.clone(), this],
                        Some(2) => late.replace(this).into_iter().collect(),
                        _ => vec![this],
                    };
                    for (sequence, piece, bytes) in arriving {
                        receiver.receive(sequence, piece, &bytes, |_, body| got.push(body.to_vec()));
                    }
                }
                if let Some(Message::Ack { next, beyond }) = receiver.poll_ack().filter(|_| fate.next() != Some(0)) {
                    sender.acknowledge(next, beyond);
                }
            }
            prop_assert_eq!(got, sent);
            prop_assert_eq!(sender.held, 0);
        }

        #[test]
        fn no_sequence_of_pieces_or_acks_panics_or_holds_more_than_a_window(pieces: Vec<(u32, bool, Vec<u8>, u64)>) {
            let mut receiver = ReliableReceiver::new(100);
            let mut sender = ReliableSender::new(10, 200);
            for (sequence, more, bytes, beyond) in pieces {
                let piece = if more { Piece::More } else { Piece::Last };
                receiver.receive(sequence % 80, piece, &bytes, |_, body| assert!(body.len() <= 98));
                prop_assert!(receiver.early.len() < WINDOW as usize && receiver.message.len() <= 100);
                let _ = (receiver.poll_ack(), sender.push(&Message::Input(&bytes)));
                let _ = sender.poll(Timestamp::ZERO, ROUND_TRIP).is_some();
                sender.acknowledge(sequence % 80, beyond);
                prop_assert!(sender.held <= 200);
            }
        }
    }

    #[test]
    fn a_message_beyond_the_limit_is_dropped_and_the_next_one_arrives() {
        let mut receiver = ReliableReceiver::new(10);
        let mut got = Vec::new();
        for (sequence, piece, bytes) in
            [(0, Piece::More, &[0; 8][..]), (1, Piece::Last, &[0; 8]), (2, Piece::Last, &[0, 32, 7])]
        {
            receiver.receive(sequence, piece, bytes, |kind, body| got.push((kind, body.to_vec())));
        }
        assert_eq!(got, [(32, vec![7])]);
    }

    #[test]
    fn a_full_queue_refuses_and_keeps_what_it_has() {
        let mut sender = ReliableSender::new(10, 20);
        sender.push(&Message::Input(&[1; 10])).expect("room");
        assert_eq!(sender.push(&Message::Input(&[1; 10])), Err(QueueFull { bytes: 12, held: 12, limit: 20 }));
    }
}
