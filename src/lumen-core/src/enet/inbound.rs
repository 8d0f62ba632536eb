//! The receiving half of a connection (protocol part 3, section 1.3): puts reliable messages in order, holds
//! unreliable ones until their reliable predecessor arrived, drops duplicates, joins fragments, and never holds
//! more than [`Limits`] allow. It does not acknowledge; it says what may be acknowledged.

use std::collections::BTreeMap;

use super::reassembly::{FragmentError, Reassembly};
use super::window::{Admission, UnsequencedFilter, admit};
use super::wire::Fragment;
use super::{Delivery, Limits};

/// Memory that a stored message takes besides its bytes.
const OVERHEAD: usize = 96;
/// Most fragments of a reliable message: one window, so that it always fits into those that are accepted.
const MAX_RELIABLE_FRAGMENTS: u32 = 0x1000;

/// A message that is ready for the owner.
#[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Delivered {
    pub channel: u8,
    pub delivery: Delivery,
    pub bytes: Vec<u8>,
}

/// Whether a command that was taken, or was a duplicate, is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Receipt {
    Acknowledge,
    Silent,
}

/// Why a command was not taken; the rest of its datagram is not looked at, and it is not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    BadChannel,
    BadFragment,
    TooLarge,
    Full,
}

impl From<FragmentError> for Refusal {
    fn from(error: FragmentError) -> Self {
        match error {
            FragmentError::Bad => Self::BadFragment,
            FragmentError::TooLarge => Self::TooLarge,
        }
    }
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Inbound {
    limits: Limits,
    channels: Vec<Channel>,
    unsequenced: UnsequencedFilter,
    memory: Memory,
    ready: Vec<Delivered>,
}

/// Two accounts, each within the limit, so that messages that wait for a gap can never keep out the one that
/// closes it.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Memory {
    limit: usize,
    /// Messages that wait for others or for their own fragments.
    buffered: usize,
    /// Messages that wait for the owner.
    undelivered: usize,
}

#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
struct Channel {
    /// Every reliable number up to here was delivered.
    reliable: u16,
    /// Last delivered unreliable number since then.
    unreliable: u16,
    /// Reliable messages by their first number.
    early: BTreeMap<u16, Stored>,
    /// Unreliable messages by their reliable and unreliable number.
    held: BTreeMap<(u16, u16), Stored>,
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Stored {
    content: Content,
    /// Numbers that the message consumes.
    count: u16,
    cost: usize,
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
enum Content {
    Whole(Vec<u8>),
    Partial(Reassembly),
}

impl Inbound {
    pub fn new(channels: u8, limits: Limits) -> Self {
        Self {
            limits,
            channels: (0..channels).map(|_| Channel::default()).collect(),
            unsequenced: UnsequencedFilter::new(),
            memory: Memory { limit: limits.waiting_bytes, buffered: 0, undelivered: 0 },
            ready: Vec::new(),
        }
    }

    pub fn channel_count(&self) -> u8 {
        self.channels.len() as u8
    }

    /// Takes away what is ready.
    pub fn drain(&mut self) -> impl Iterator<Item = Delivered> {
        self.ready.drain(..)
    }

    /// The owner has a message of this length.
    pub fn release(&mut self, length: usize) {
        self.memory.undelivered = self.memory.undelivered.saturating_sub(length + OVERHEAD);
    }

    /// Memory held for the peer, bytes.
    pub fn waiting(&self) -> usize {
        self.memory.buffered + self.memory.undelivered
    }

    pub fn reliable(&mut self, channel: u8, sequence: u16, data: &[u8]) -> Result<Receipt, Refusal> {
        let state = self.channels.get_mut(usize::from(channel)).ok_or(Refusal::BadChannel)?;
        if data.len() > self.limits.packet_bytes {
            return Err(Refusal::TooLarge);
        }
        match admit(state.reliable, sequence) {
            Admission::New => {}
            Admission::Old => return Ok(Receipt::Acknowledge),
            Admission::Ahead => return Ok(Receipt::Silent),
        }
        match state.early.get(&sequence) {
            Some(Stored { count: 1, content: Content::Whole(_), .. }) => return Ok(Receipt::Acknowledge),
            Some(_) => return Err(Refusal::BadFragment),
            None => {}
        }
        let cost = data.len() + OVERHEAD;
        if sequence == state.reliable.wrapping_add(1) {
            self.memory.claim_undelivered(cost)?;
            self.ready.push(Delivered { channel, delivery: Delivery::Reliable, bytes: data.to_vec() });
            state.step(1, &mut self.memory);
            state.advance(channel, &mut self.memory, &mut self.ready);
        } else {
            self.memory.claim_buffered(cost, 0)?;
            state.early.insert(sequence, Stored { content: Content::Whole(data.to_vec()), count: 1, cost });
        }
        Ok(Receipt::Acknowledge)
    }

    pub fn reliable_fragment(
        &mut self,
        channel: u8,
        sequence: u16,
        fragment: &Fragment<'_>,
    ) -> Result<Receipt, Refusal> {
        let state = self.channels.get_mut(usize::from(channel)).ok_or(Refusal::BadChannel)?;
        Reassembly::check(fragment, self.limits.packet_bytes)?;
        if fragment.count > MAX_RELIABLE_FRAGMENTS || sequence != fragment.start.wrapping_add(fragment.number as u16) {
            return Err(Refusal::BadFragment);
        }
        match admit(state.reliable, fragment.start) {
            Admission::New => {}
            Admission::Old => return Ok(Receipt::Acknowledge),
            Admission::Ahead => return Ok(Receipt::Silent),
        }
        let next = fragment.start == state.reliable.wrapping_add(1);
        // The message that everybody waits for may exceed the limit, once.
        let allowance = if next { self.limits.packet_bytes * 2 } else { 0 };
        let count = fragment.count as u16;
        let complete = join(&mut state.early, fragment.start, fragment, count, &mut self.memory, allowance)?;
        if complete && next {
            state.advance(channel, &mut self.memory, &mut self.ready);
        }
        Ok(Receipt::Acknowledge)
    }

    pub fn unreliable(&mut self, channel: u8, sequence: u16, number: u16, data: &[u8]) -> Result<Receipt, Refusal> {
        let state = self.channels.get_mut(usize::from(channel)).ok_or(Refusal::BadChannel)?;
        if data.len() > self.limits.packet_bytes {
            return Err(Refusal::TooLarge);
        }
        let cost = data.len() + OVERHEAD;
        if sequence == state.reliable {
            if is_newer(number, state.unreliable) {
                self.memory.claim_undelivered(cost)?;
                self.ready.push(Delivered { channel, delivery: Delivery::Unreliable, bytes: data.to_vec() });
                state.pass_unreliable(number, &mut self.memory);
            }
        } else if admit(state.reliable, sequence) == Admission::New && !state.held.contains_key(&(sequence, number)) {
            self.memory.claim_buffered(cost, 0)?;
            let stored = Stored { content: Content::Whole(data.to_vec()), count: 1, cost };
            state.held.insert((sequence, number), stored);
        }
        Ok(Receipt::Acknowledge)
    }

    pub fn unreliable_fragment(
        &mut self,
        channel: u8,
        sequence: u16,
        fragment: &Fragment<'_>,
    ) -> Result<Receipt, Refusal> {
        let state = self.channels.get_mut(usize::from(channel)).ok_or(Refusal::BadChannel)?;
        Reassembly::check(fragment, self.limits.packet_bytes)?;
        let current = sequence == state.reliable;
        let wanted = if current {
            is_newer(fragment.start, state.unreliable)
        } else {
            admit(state.reliable, sequence) == Admission::New
        };
        if wanted {
            let key = (sequence, fragment.start);
            let complete = join(&mut state.held, key, fragment, 1, &mut self.memory, 0)?;
            if complete && current {
                state.deliver_held(channel, &mut self.memory, &mut self.ready);
            }
        }
        Ok(Receipt::Acknowledge)
    }

    pub fn unsequenced(&mut self, channel: u8, group: u16, data: &[u8]) -> Result<Receipt, Refusal> {
        if channel >= self.channel_count() {
            return Err(Refusal::BadChannel);
        }
        if data.len() > self.limits.packet_bytes {
            return Err(Refusal::TooLarge);
        }
        let cost = data.len() + OVERHEAD;
        if self.memory.undelivered + cost > self.memory.limit {
            return Err(Refusal::Full);
        }
        if self.unsequenced.admit(group) {
            self.memory.undelivered += cost;
            self.ready.push(Delivered { channel, delivery: Delivery::Unsequenced, bytes: data.to_vec() });
        }
        Ok(Receipt::Acknowledge)
    }
}

/// Adds a checked fragment to the message under `key`. True when that completed it.
fn join<K: Ord>(
    messages: &mut BTreeMap<K, Stored>,
    key: K,
    fragment: &Fragment<'_>,
    count: u16,
    memory: &mut Memory,
    allowance: usize,
) -> Result<bool, Refusal> {
    use std::collections::btree_map::Entry;

    let stored = match messages.entry(key) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => {
            let cost = Reassembly::cost(fragment) + OVERHEAD;
            memory.claim_buffered(cost, allowance)?;
            entry.insert(Stored { content: Content::Partial(Reassembly::new(fragment)), count, cost })
        }
    };
    match &mut stored.content {
        Content::Partial(partial) => {
            if !partial.insert(fragment)? {
                return Ok(false);
            }
            let bytes = partial.take_bytes();
            stored.content = Content::Whole(bytes);
            Ok(true)
        }
        Content::Whole(bytes) if stored.count == count && bytes.len() == fragment.total as usize => Ok(false),
        Content::Whole(_) => Err(Refusal::BadFragment),
    }
}

impl Channel {
    /// Counts the next `count` reliable numbers as delivered.
    fn step(&mut self, count: u16, memory: &mut Memory) {
        for _ in 0..count {
            let passed = self.reliable;
            self.reliable = passed.wrapping_add(1);
            if !self.held.is_empty() {
                while let Some((&key, _)) = self.held.range((passed, 0)..=(passed, u16::MAX)).next() {
                    memory.drop_stored(self.held.remove(&key));
                }
            }
            if count > 1 {
                // Something that claimed a number inside a fragmented message.
                memory.drop_stored(self.early.remove(&self.reliable));
            }
        }
        self.unreliable = 0;
    }

    /// Delivers what the last step made possible.
    fn advance(&mut self, channel: u8, memory: &mut Memory, ready: &mut Vec<Delivered>) {
        loop {
            self.deliver_held(channel, memory, ready);
            let next = self.reliable.wrapping_add(1);
            if !matches!(self.early.get(&next), Some(Stored { content: Content::Whole(_), .. })) {
                return;
            }
            let Some(Stored { content: Content::Whole(bytes), count, cost }) = self.early.remove(&next) else { return };
            memory.buffered -= cost;
            memory.undelivered += bytes.len() + OVERHEAD;
            ready.push(Delivered { channel, delivery: Delivery::Reliable, bytes });
            self.step(count, memory);
        }
    }

    /// Delivers the complete unreliable messages that follow the last delivered reliable one.
    fn deliver_held(&mut self, channel: u8, memory: &mut Memory, ready: &mut Vec<Delivered>) {
        if self.held.is_empty() {
            return;
        }
        let current = (self.reliable, 0)..=(self.reliable, u16::MAX);
        let whole = |stored: &Stored| matches!(stored.content, Content::Whole(_));
        while let Some(key) = self.held.range(current.clone()).find(|(_, stored)| whole(stored)).map(|(&key, _)| key) {
            let Some(stored) = self.held.remove(&key) else { return };
            memory.buffered -= stored.cost;
            let Content::Whole(bytes) = stored.content else { return };
            if is_newer(key.1, self.unreliable) {
                memory.undelivered += bytes.len() + OVERHEAD;
                ready.push(Delivered { channel, delivery: Delivery::Unreliable, bytes });
                self.pass_unreliable(key.1, memory);
            }
        }
    }

    /// Counts unreliable numbers up to `number` as delivered; incomplete messages among them are lost.
    fn pass_unreliable(&mut self, number: u16, memory: &mut Memory) {
        self.unreliable = number;
        if self.held.is_empty() {
            return;
        }
        while let Some((&key, _)) = self.held.range((self.reliable, 0)..=(self.reliable, number)).next() {
            memory.drop_stored(self.held.remove(&key));
        }
    }
}

impl Memory {
    fn claim_undelivered(&mut self, cost: usize) -> Result<(), Refusal> {
        if self.undelivered + cost > self.limit {
            return Err(Refusal::Full);
        }
        self.undelivered += cost;
        Ok(())
    }

    fn claim_buffered(&mut self, cost: usize, allowance: usize) -> Result<(), Refusal> {
        if self.buffered + cost > self.limit.saturating_add(allowance) {
            return Err(Refusal::Full);
        }
        self.buffered += cost;
        Ok(())
    }

    fn drop_stored(&mut self, stored: Option<Stored>) {
        self.buffered -= stored.map_or(0, |stored| stored.cost);
    }
}

fn is_newer(number: u16, than: u16) -> bool {
    matches!(number.wrapping_sub(than), 1..0x8000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inbound() -> Inbound {
        Inbound::new(2, Limits::default())
    }

    fn texts(inbound: &mut Inbound) -> Vec<String> {
        let ready: Vec<_> = inbound.drain().collect();
        for message in &ready {
            inbound.release(message.bytes.len());
        }
        ready.into_iter().map(|message| String::from_utf8(message.bytes).unwrap()).collect()
    }

    fn fragment(start: u16, count: u32, number: u32, data: &[u8]) -> Fragment<'_> {
        let total = count * data.len() as u32;
        Fragment { start, count, number, total, offset: number * data.len() as u32, data }
    }

    #[test]
    fn reliable_messages_come_out_in_order_and_once() {
        let mut inbound = inbound();
        for (sequence, text) in [(2, "b"), (3, "c"), (2, "b"), (1, "a"), (1, "a"), (3, "c")] {
            assert_eq!(inbound.reliable(0, sequence, text.as_bytes()), Ok(Receipt::Acknowledge));
        }
        assert_eq!(texts(&mut inbound), ["a", "b", "c"]);
        assert_eq!(inbound.waiting(), 0);
    }

    #[test]
    fn numbers_wrap() {
        let mut inbound = inbound();
        for sequence in (1..=u16::MAX).chain(0..3) {
            inbound.reliable(1, sequence, b"").unwrap();
            assert_eq!(texts(&mut inbound).len(), 1, "{sequence}");
        }
    }

    #[test]
    fn far_numbers_are_neither_taken_nor_acknowledged() {
        let mut inbound = inbound();
        assert_eq!(inbound.reliable(0, 0x7000, b"x"), Ok(Receipt::Silent));
        assert_eq!(inbound.reliable(0, 0x9000, b"x"), Ok(Receipt::Acknowledge), "old");
        assert_eq!(inbound.reliable_fragment(0, 0x7001, &fragment(0x7000, 2, 1, b"x")), Ok(Receipt::Silent));
        assert_eq!(inbound.waiting(), 0);
    }

    #[test]
    fn an_unreliable_message_waits_for_its_reliable_predecessor() {
        let mut inbound = inbound();
        inbound.unreliable(0, 1, 2, b"u2").unwrap();
        inbound.unreliable(0, 1, 1, b"u1").unwrap();
        inbound.unreliable(0, 2, 1, b"v1").unwrap();
        inbound.reliable(0, 2, b"b").unwrap();
        assert!(texts(&mut inbound).is_empty());
        inbound.reliable(0, 1, b"a").unwrap();
        assert_eq!(texts(&mut inbound), ["a", "u1", "u2", "b", "v1"]);
        inbound.unreliable(0, 1, 3, b"late").unwrap();
        inbound.unreliable(0, 2, 1, b"again").unwrap();
        inbound.unreliable(0, 2, 3, b"v3").unwrap();
        inbound.unreliable(0, 2, 2, b"v2").unwrap();
        assert_eq!(texts(&mut inbound), ["v3"]);
        assert_eq!(inbound.waiting(), 0);
    }

    #[test]
    fn unreliable_fragments_join_until_something_newer_arrives() {
        let mut inbound = inbound();
        inbound.unreliable_fragment(0, 0, &fragment(1, 2, 1, b"b")).unwrap();
        inbound.unreliable_fragment(0, 0, &fragment(1, 2, 0, b"a")).unwrap();
        assert_eq!(texts(&mut inbound), ["ab"]);
        inbound.unreliable_fragment(0, 0, &fragment(2, 2, 1, b"b")).unwrap();
        inbound.unreliable(0, 0, 3, b"newer").unwrap();
        inbound.unreliable_fragment(0, 0, &fragment(2, 2, 0, b"a")).unwrap();
        assert_eq!(texts(&mut inbound), ["newer"]);
        inbound.unreliable_fragment(0, 1, &fragment(1, 2, 1, b"d")).unwrap();
        inbound.unreliable_fragment(0, 1, &fragment(1, 2, 0, b"c")).unwrap();
        inbound.reliable(0, 1, b"r").unwrap();
        assert_eq!(texts(&mut inbound), ["r", "cd"]);
        inbound.unreliable_fragment(0, 1, &fragment(9, 2, 1, b"z")).unwrap();
        inbound.reliable(0, 2, b"r").unwrap();
        assert_eq!(texts(&mut inbound), ["r"]);
        assert_eq!(inbound.waiting(), 0);
    }

    #[test]
    fn a_message_that_claims_a_number_inside_a_fragmented_one_is_forgotten() {
        let mut inbound = inbound();
        inbound.reliable(0, 2, b"liar").unwrap();
        inbound.reliable_fragment(0, 1, &fragment(1, 3, 0, b"a")).unwrap();
        inbound.reliable_fragment(0, 3, &fragment(1, 3, 2, b"c")).unwrap();
        inbound.reliable_fragment(0, 2, &fragment(1, 3, 1, b"b")).unwrap();
        inbound.reliable(0, 4, b"d").unwrap();
        assert_eq!(texts(&mut inbound), ["abc", "d"]);
        assert_eq!(inbound.waiting(), 0);
    }

    #[test]
    fn contradictions_are_refused() {
        let mut inbound = inbound();
        inbound.reliable_fragment(0, 1, &fragment(1, 3, 0, b"a")).unwrap();
        assert_eq!(inbound.reliable(0, 1, b"x"), Err(Refusal::BadFragment));
        assert_eq!(inbound.reliable_fragment(0, 3, &fragment(1, 3, 1, b"b")), Err(Refusal::BadFragment));
        inbound.reliable(0, 7, b"x").unwrap();
        assert_eq!(inbound.reliable_fragment(0, 7, &fragment(7, 3, 0, b"a")), Err(Refusal::BadFragment));
        assert_eq!(inbound.reliable(2, 1, b"x"), Err(Refusal::BadChannel));
        assert_eq!(inbound.unreliable(2, 1, 1, b"x"), Err(Refusal::BadChannel));
        assert_eq!(inbound.unsequenced(2, 1, b"x"), Err(Refusal::BadChannel));
        assert_eq!(inbound.reliable_fragment(2, 1, &fragment(1, 3, 0, b"a")), Err(Refusal::BadChannel));
        assert_eq!(inbound.unreliable_fragment(2, 1, &fragment(1, 3, 0, b"a")), Err(Refusal::BadChannel));
    }

    #[test]
    fn a_full_buffer_still_takes_what_closes_the_gap() {
        let limits = Limits { waiting_bytes: 4096, packet_bytes: 2048, ..Limits::default() };
        let mut inbound = Inbound::new(1, limits);
        let mut taken = 0;
        for sequence in 4..1000 {
            match inbound.reliable(0, sequence, b"") {
                Ok(Receipt::Acknowledge) => taken += 1,
                other => assert_eq!(other, Err(Refusal::Full)),
            }
        }
        assert!((1..100).contains(&taken));
        let half = [b'x'; 1024];
        inbound.reliable(0, 1, b"a").unwrap();
        inbound.reliable_fragment(0, 2, &fragment(2, 2, 0, &half)).unwrap();
        inbound.reliable_fragment(0, 3, &fragment(2, 2, 1, &half)).unwrap();
        assert_eq!(texts(&mut inbound).len(), taken + 2);
        assert_eq!(inbound.waiting(), 0);
    }

    #[test]
    fn an_owner_that_does_not_listen_is_protected() {
        let limits = Limits { waiting_bytes: 4096, ..Limits::default() };
        let mut inbound = Inbound::new(1, limits);
        let refused = (1..1000).map(|sequence| inbound.reliable(0, sequence, b"x")).find(Result::is_err);
        assert_eq!(refused, Some(Err(Refusal::Full)));
        assert_eq!(inbound.unsequenced(0, 1, &[0; 200]), Err(Refusal::Full));
        texts(&mut inbound);
        assert_eq!(inbound.unsequenced(0, 1, &[0; 200]), Ok(Receipt::Acknowledge), "it was not marked as seen");
    }
}
