//! Sealing and opening datagrams (section 4): in place, the header as additional data, the tag at the end.
//!
//! A [`Sealer`] is one direction of one stream; it owns the packet numbers and never gives one out twice. An [`Opener`]
//! is all streams of one direction at the receiver; it owns the replay windows.

use super::header::{Epoch, HEADER_LEN, HeaderError, PacketHeader, PacketNumber, SessionId, Stream};
use super::keys::{Direction, KeySchedule, StreamKey};
use crate::crypto::TAG_LEN;
use crate::replay::ReplayWindow;

/// Packets that are sealed under one key (section 4.3); then the next epoch begins.
pub const PACKETS_PER_EPOCH: u64 = 1 << 30;

/// How far ahead of its own a receiver follows an epoch (section 4.3).
pub const EPOCHS_AHEAD: u16 = 16;

/// Packet numbers that a receiver remembers for each stream and epoch (section 4.4).
pub const REPLAY_WINDOW: usize = 16_384;

/// Where a sender stands: what must survive it so that no nonce is used twice. Whoever gives this away must not seal
/// any more. An end that lost it goes on with [`SendPosition::after_loss`] or negotiates anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct SendPosition {
    /// The epoch in force.
    pub epoch: Epoch,
    /// The number of the next packet.
    pub next: PacketNumber,
}

impl SendPosition {
    /// Where a sender goes on that knows only which epochs may have been used: in the one after them.
    ///
    /// # Errors
    /// [`EpochsExhausted`] if there is none.
    pub fn after_loss(last_epoch: Epoch) -> Result<Self, EpochsExhausted> {
        let epoch = last_epoch.0.checked_add(1).map(Epoch).ok_or(EpochsExhausted)?;
        Ok(Self { epoch, next: PacketNumber(0) })
    }
}

/// All epochs of a stream are used: the session must be negotiated anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("all epochs of the stream are used; negotiate the session anew")]
pub struct EpochsExhausted;

/// Seals the datagrams of one stream in one direction.
#[derive(Debug)]
pub struct Sealer {
    schedule: KeySchedule,
    direction: Direction,
    stream: Stream,
    session: SessionId,
    position: SendPosition,
    key: StreamKey,
}

impl Sealer {
    /// One that begins at `position`.
    pub fn new(
        schedule: &KeySchedule,
        direction: Direction,
        stream: Stream,
        session: SessionId,
        position: SendPosition,
    ) -> Self {
        let key = schedule.stream_key(direction, stream, position.epoch);
        Self { schedule: schedule.clone(), direction, stream, session, position, key }
    }

    /// Where the next packet stands.
    pub fn position(&self) -> SendPosition {
        self.position
    }

    /// Makes the next `count` packets lie in one epoch, one after another.
    ///
    /// # Errors
    /// [`EpochsExhausted`].
    pub fn reserve(&mut self, count: u64) -> Result<(Epoch, PacketNumber), EpochsExhausted> {
        if self.position.next.0 + count.min(PACKETS_PER_EPOCH) > PACKETS_PER_EPOCH {
            self.position = SendPosition::after_loss(self.position.epoch)?;
            self.key = self.schedule.stream_key(self.direction, self.stream, self.position.epoch);
        }
        Ok((self.position.epoch, self.position.next))
    }

    /// Seals a datagram in place: [`HEADER_LEN`] bytes of room, the payload, [`TAG_LEN`] bytes of room.
    ///
    /// # Errors
    /// [`EpochsExhausted`]; the datagram is unchanged then.
    ///
    /// # Panics
    /// If the datagram has no room for header and tag.
    pub fn seal(&mut self, datagram: &mut [u8]) -> Result<(Epoch, PacketNumber), EpochsExhausted> {
        let (epoch, number) = self.reserve(1)?;
        self.position.next = PacketNumber(number.0 + 1);
        let header = PacketHeader { stream: self.stream, epoch, session: self.session, number }.to_bytes();
        let (room, rest) = datagram.split_at_mut(HEADER_LEN);
        room.copy_from_slice(&header);
        let (payload, tag) = rest.split_at_mut(rest.len() - TAG_LEN);
        tag.copy_from_slice(&self.key.key().seal_with_header(&self.key.nonce(number), &header, payload));
        Ok((epoch, number))
    }

    /// A sealed datagram of `payload`.
    ///
    /// # Errors
    /// [`EpochsExhausted`].
    pub fn seal_payload(&mut self, payload: &[u8]) -> Result<Vec<u8>, EpochsExhausted> {
        let mut datagram = vec![0; HEADER_LEN + payload.len() + TAG_LEN];
        datagram[HEADER_LEN..][..payload.len()].copy_from_slice(payload);
        self.seal(&mut datagram)?;
        Ok(datagram)
    }

    /// Takes the seal off a datagram of this sender again, to be sealed under a new number (section 6.4): its payload
    /// lies in place afterwards. `false` if it is none of this sender's last two epochs.
    pub fn unseal(&self, datagram: &mut [u8]) -> bool {
        let Ok(header) = PacketHeader::parse(datagram) else { return false };
        let own;
        let key = if header.epoch == self.position.epoch {
            &self.key
        } else {
            own = self.schedule.stream_key(self.direction, self.stream, header.epoch);
            &own
        };
        header.stream == self.stream && open_in_place(key, &header, datagram).is_some()
    }
}

/// Why a datagram does not open. It is dropped, nothing else happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Its header can't be read.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// It belongs to another session.
    #[error("the datagram belongs to session {:#010x}", .0.0)]
    OtherSession(SessionId),
    /// Its epoch is over, or too far ahead.
    #[error("epoch {} is not in force", .0.0)]
    Epoch(Epoch),
    /// Its number came before or is older than the window.
    #[error("packet {} was replayed or is too old", .0.0)]
    Replay(PacketNumber),
    /// Wrong key, wrong sender or changed bytes.
    #[error("the datagram is not authentic")]
    NotAuthentic,
}

/// An opened datagram.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened<'a> {
    /// Its header.
    pub header: PacketHeader,
    /// What it carries.
    pub payload: &'a mut [u8],
}

/// Opens the datagrams of all streams of one direction.
#[derive(Debug)]
pub struct Opener {
    schedule: KeySchedule,
    direction: Direction,
    session: SessionId,
    streams: [Option<Incoming>; Stream::ALL.len()],
}

/// One stream at its receiver.
#[derive(Debug)]
struct Incoming {
    current: Window,
    previous: Option<Window>,
}

#[derive(Debug)]
struct Window {
    epoch: Epoch,
    key: StreamKey,
    seen: ReplayWindow<Box<[u64]>>,
}

impl Opener {
    /// One for what the other end sends in `direction`, from epoch 0 on.
    pub fn new(schedule: &KeySchedule, direction: Direction, session: SessionId) -> Self {
        Self { schedule: schedule.clone(), direction, session, streams: Default::default() }
    }

    /// Opens a datagram in place.
    ///
    /// # Errors
    /// [`OpenError`], tested in the order of its variants. Only authentic packets move windows and epochs.
    pub fn open<'a>(&mut self, datagram: &'a mut [u8]) -> Result<Opened<'a>, OpenError> {
        let header = PacketHeader::parse(datagram)?;
        if header.session != self.session {
            return Err(OpenError::OtherSession(header.session));
        }
        let (schedule, direction) = (&self.schedule, self.direction);
        let window = |epoch| Window {
            epoch,
            key: schedule.stream_key(direction, header.stream, epoch),
            seen: ReplayWindow::of_size(REPLAY_WINDOW),
        };
        let incoming = self.streams[usize::from(header.stream.wire())]
            .get_or_insert_with(|| Incoming { current: window(Epoch(0)), previous: None });
        match header.epoch.0.checked_sub(incoming.current.epoch.0) {
            None => {
                let previous = incoming.previous.as_mut().filter(|window| window.epoch == header.epoch);
                let window = previous.ok_or(OpenError::Epoch(header.epoch))?;
                window.open(header, datagram)
            }
            Some(0) => incoming.current.open(header, datagram),
            Some(1..=EPOCHS_AHEAD) => {
                // Nothing is kept of an epoch before a packet proved it.
                let mut next = window(header.epoch);
                let opened = next.open(header, datagram)?;
                incoming.previous = Some(std::mem::replace(&mut incoming.current, next));
                Ok(opened)
            }
            Some(_) => Err(OpenError::Epoch(header.epoch)),
        }
    }
}

impl Window {
    fn open<'a>(&mut self, header: PacketHeader, datagram: &'a mut [u8]) -> Result<Opened<'a>, OpenError> {
        if !self.seen.is_fresh(header.number.0) {
            return Err(OpenError::Replay(header.number));
        }
        let payload = open_in_place(&self.key, &header, datagram).ok_or(OpenError::NotAuthentic)?;
        self.seen.mark(header.number.0);
        Ok(Opened { header, payload })
    }
}

/// The payload of a datagram whose header was parsed.
fn open_in_place<'a>(key: &StreamKey, header: &PacketHeader, datagram: &'a mut [u8]) -> Option<&'a mut [u8]> {
    let (head, rest) = datagram.split_at_mut_checked(HEADER_LEN)?;
    let (payload, tag) = rest.split_at_mut_checked(rest.len().checked_sub(TAG_LEN)?)?;
    let tag = <&[u8; TAG_LEN]>::try_from(&*tag).ok()?;
    key.key().open_with_header(&key.nonce(header.number), head, tag, payload).ok()?;
    Some(payload)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SESSION: SessionId = SessionId(7);

    fn schedule() -> KeySchedule {
        KeySchedule::new(&[5; 16], &[1; 16], &[2; 16]).expect("long enough")
    }

    fn sealer(position: SendPosition) -> Sealer {
        Sealer::new(&schedule(), Direction::HostToClient, Stream::Video, SESSION, position)
    }

    fn opener() -> Opener {
        Opener::new(&schedule(), Direction::HostToClient, SESSION)
    }

    fn at(epoch: u16, next: u64) -> SendPosition {
        SendPosition { epoch: Epoch(epoch), next: PacketNumber(next) }
    }

    #[test]
    fn replays_reflections_and_other_sessions_are_refused() {
        let datagram = sealer(at(0, 0)).seal_payload(b"hello").expect("epochs left");
        let mut opener = opener();
        assert_eq!(opener.open(&mut datagram.clone()).expect("authentic").payload, b"hello");
        assert_eq!(opener.open(&mut datagram.clone()), Err(OpenError::Replay(PacketNumber(0))));
        let mut reflected = Opener::new(&schedule(), Direction::ClientToHost, SESSION);
        assert_eq!(reflected.open(&mut datagram.clone()), Err(OpenError::NotAuthentic));
        let mut other = Opener::new(&schedule(), Direction::HostToClient, SessionId(8));
        assert_eq!(other.open(&mut datagram.clone()), Err(OpenError::OtherSession(SESSION)));
    }

    #[test]
    fn a_full_epoch_is_followed_by_the_next_and_the_last_by_none() {
        let mut sealer = sealer(at(3, PACKETS_PER_EPOCH - 1));
        let mut opener = opener();
        let (last, first) = (sealer.seal_payload(b"a").expect("left"), sealer.seal_payload(b"b").expect("left"));
        assert_eq!(sealer.position(), at(4, 1));
        assert_eq!(opener.open(&mut first.clone()).expect("authentic").payload, b"b");
        // It came late and by way of an epoch that this receiver never saw.
        assert_eq!(opener.open(&mut last.clone()), Err(OpenError::Epoch(Epoch(3))));
        let mut full = super::tests::sealer(at(u16::MAX, PACKETS_PER_EPOCH));
        assert_eq!(full.seal_payload(b"a"), Err(EpochsExhausted));
    }

    #[test]
    fn late_packets_of_the_epoch_before_still_open_once() {
        let mut old = sealer(at(0, 0));
        let mut opener = opener();
        let (first, second) = (old.seal_payload(b"1").expect("left"), old.seal_payload(b"2").expect("left"));
        opener.open(&mut first.clone()).expect("authentic");
        let mut new = sealer(SendPosition::after_loss(Epoch(0)).expect("left"));
        opener.open(&mut new.seal_payload(b"3").expect("left")).expect("authentic");
        assert_eq!(opener.open(&mut second.clone()).expect("authentic").payload, b"2");
        assert_eq!(opener.open(&mut first.clone()), Err(OpenError::Replay(PacketNumber(0))));
        let mut far = sealer(at(18, 0)).seal_payload(b"4").expect("left");
        assert_eq!(opener.open(&mut far), Err(OpenError::Epoch(Epoch(18))));
    }

    #[test]
    fn a_forged_epoch_moves_nothing() {
        let mut opener = opener();
        let mut forged = sealer(at(0, 0)).seal_payload(b"x").expect("left");
        forged[3] = 9;
        assert_eq!(opener.open(&mut forged), Err(OpenError::NotAuthentic));
        let mut good = sealer(at(0, 0)).seal_payload(b"x").expect("left");
        assert!(opener.open(&mut good).is_ok());
    }

    #[test]
    fn a_sender_can_take_its_own_seal_off() {
        let mut sealer = sealer(at(0, 0));
        let mut datagram = sealer.seal_payload(b"shard").expect("left");
        assert!(sealer.unseal(&mut datagram));
        assert_eq!(datagram[HEADER_LEN..][..5], *b"shard");
        assert!(!sealer.unseal(&mut datagram), "it is open already");
    }

    proptest! {
        #[test]
        fn any_changed_bit_of_header_payload_or_tag_is_found(payload: Vec<u8>, flip: prop::sample::Index) {
            let mut datagram = sealer(at(0, 5)).seal_payload(&payload).expect("left");
            prop_assert_eq!(datagram.len(), payload.len() + HEADER_LEN + TAG_LEN);
            let bit = flip.index(datagram.len() * 8);
            datagram[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(opener().open(&mut datagram).is_err());
        }

        #[test]
        fn arbitrary_bytes_never_panic(mut datagram: Vec<u8>) {
            prop_assert!(opener().open(&mut datagram).is_err());
        }
    }
}
