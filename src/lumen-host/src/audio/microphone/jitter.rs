//! Packets between the network, which brings them when it likes, and a listener that wants them one after another. Nothing
//! here reads a clock: the listener's pace is the clock. All memory is there from the start.

use lumen_core::lumen1::audio::MAX_FRAME_LEN;

/// Packets that can wait.
const SLOTS: u32 = 32;
/// Packets that are held back before the first is given out: a packet that was lost comes with one of the next two.
const HELD_BACK: u32 = 3;
/// More than this waits only when the sender's clock is faster, or after the network held packets up: old ones are dropped
/// until [`HELD_BACK`] are left.
const MOST: u32 = 10;
/// For so many packets in a row sound is made up when none is there; after that there is silence.
const MOST_MISSING: u32 = 5;

/// See the module.
#[derive(Debug)]
pub struct Jitter {
    slots: Vec<Slot>,
    /// The number that is given out next; none before the first packet.
    next: Option<u32>,
    /// One more than the newest number.
    end: u32,
    /// Nothing is given out until enough waits.
    filling: bool,
    /// Packets in a row that were wanted while none waited.
    missing: u32,
}

#[derive(Debug)]
struct Slot {
    number: Option<u32>,
    bytes: Vec<u8>,
}

/// What the listener hears next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The packet that was copied out.
    Packet,
    /// A packet that did not come: its sound must be made up.
    Lost,
    /// Nothing.
    Silence,
}

impl Default for Jitter {
    fn default() -> Self {
        let slot = || Slot { number: None, bytes: Vec::with_capacity(MAX_FRAME_LEN) };
        let slots = std::iter::repeat_with(slot).take(SLOTS as usize).collect();
        Self { slots, next: None, end: 0, filling: true, missing: 0 }
    }
}

impl Jitter {
    /// A packet arrived. Numbers wrap.
    pub fn put(&mut self, number: u32, packet: &[u8]) {
        if packet.len() > MAX_FRAME_LEN {
            return;
        }
        let mut ahead = number.wrapping_sub(self.next.unwrap_or(number)).cast_signed();
        if self.next.is_none() || ahead.unsigned_abs() >= SLOTS {
            // The sender began anew, or was silent for long.
            self.clear();
            (self.next, self.end, ahead) = (Some(number), number, 0);
        }
        if ahead < 0 {
            return;
        }
        let slot = self.slot(number);
        slot.number = Some(number);
        slot.bytes.clear();
        slot.bytes.extend_from_slice(packet);
        if number.wrapping_sub(self.end).cast_signed() >= 0 {
            self.end = number.wrapping_add(1);
        }
        if self.waiting() > MOST {
            self.next = Some(self.end.wrapping_sub(HELD_BACK));
        }
    }

    /// What comes next; a packet is copied into `packet`.
    pub fn take(&mut self, packet: &mut Vec<u8>) -> Next {
        let waiting = self.waiting();
        let Some(next) = self.next else { return Next::Silence };
        if self.filling && waiting < HELD_BACK {
            return Next::Silence;
        }
        self.filling = false;
        if waiting == 0 {
            self.missing += 1;
            self.filling = self.missing > MOST_MISSING;
            return if self.filling { Next::Silence } else { Next::Lost };
        }
        self.missing = 0;
        self.next = Some(next.wrapping_add(1));
        let slot = self.slot(next);
        if slot.number.take_if(|number| *number == next).is_none() {
            return Next::Lost;
        }
        packet.clear();
        packet.extend_from_slice(&slot.bytes);
        Next::Packet
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.number = None);
        (self.next, self.filling, self.missing) = (None, true, 0);
    }

    /// Places up to the newest packet, those of lost ones among them.
    fn waiting(&self) -> u32 {
        self.next.map_or(0, |next| self.end.wrapping_sub(next))
    }

    fn slot(&mut self, number: u32) -> &mut Slot {
        &mut self.slots[(number % SLOTS) as usize]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is heard of the next `count` packets: their first byte, `L`ost or silence (`.`).
    fn heard(jitter: &mut Jitter, count: usize) -> String {
        let mut packet = Vec::new();
        let mut next = || match jitter.take(&mut packet) {
            Next::Packet => char::from(packet[0]),
            Next::Lost => 'L',
            Next::Silence => '.',
        };
        (0..count).map(|_| next()).collect()
    }

    fn put(jitter: &mut Jitter, from: u32, names: &str) {
        for (after, name) in (0..).zip(names.bytes()).filter(|(_, name)| *name != b' ') {
            jitter.put(from.wrapping_add(after), &[name]);
        }
    }

    #[test]
    fn packets_are_heard_in_order_once_enough_wait() {
        let mut jitter = Jitter::default();
        assert_eq!(heard(&mut jitter, 2), "..");
        put(&mut jitter, 7, "ab");
        assert_eq!(heard(&mut jitter, 1), ".");
        put(&mut jitter, 10, "d");
        put(&mut jitter, 9, "c");
        put(&mut jitter, 9, "c");
        assert_eq!(heard(&mut jitter, 4), "abcd");
    }

    #[test]
    fn what_is_lost_is_made_up_and_what_is_late_is_dropped() {
        let mut jitter = Jitter::default();
        put(&mut jitter, 0, "ab de");
        assert_eq!(heard(&mut jitter, 3), "abL");
        put(&mut jitter, 2, "c");
        assert_eq!(heard(&mut jitter, 2), "de");
    }

    #[test]
    fn a_sender_that_falls_silent_is_bridged_shortly_and_waited_for_again() {
        let mut jitter = Jitter::default();
        put(&mut jitter, 0, "abc");
        assert_eq!(heard(&mut jitter, 10), "abcLLLLL..");
        put(&mut jitter, 3, "de");
        assert_eq!(heard(&mut jitter, 2), "..");
        put(&mut jitter, 5, "f");
        assert_eq!(heard(&mut jitter, 3), "def");
    }

    #[test]
    fn what_piles_up_is_dropped_and_the_newest_stays() {
        let mut jitter = Jitter::default();
        put(&mut jitter, 0, "abcdefghijk");
        assert_eq!(heard(&mut jitter, 3), "ijk");
    }

    #[test]
    fn a_sender_that_begins_anew_is_followed() {
        let mut jitter = Jitter::default();
        put(&mut jitter, u32::MAX - 1, "abcd");
        assert_eq!(heard(&mut jitter, 4), "abcd");
        put(&mut jitter, 5000, "xyz");
        assert_eq!(heard(&mut jitter, 3), "xyz");
        put(&mut jitter, 5003, "1");
        jitter.clear();
        assert_eq!(heard(&mut jitter, 1), ".");
    }

    proptest! {
        #[test]
        fn nothing_is_heard_twice_or_out_of_order(
            start: u32, moves in proptest::collection::vec((0..SLOTS - 1, any::<bool>()), 1..300)
        ) {
            let mut jitter = Jitter::default();
            let (mut packet, mut last) = (Vec::new(), None::<u32>);
            for (ahead, take) in moves {
                jitter.put(start.wrapping_add(ahead), &ahead.to_be_bytes());
                if take && jitter.take(&mut packet) == Next::Packet {
                    let number = u32::from_be_bytes(packet[..].try_into().expect("four bytes"));
                    prop_assert!(last.is_none_or(|last| number > last), "{number} after {last:?}");
                    last = Some(number);
                }
            }
        }

        #[test]
        fn packets_longer_than_opus_has_them_are_refused(length in MAX_FRAME_LEN..MAX_FRAME_LEN + 2) {
            let mut jitter = Jitter::default();
            for number in 0..HELD_BACK {
                jitter.put(number, &vec![1; length]);
            }
            let heard = jitter.take(&mut Vec::new());
            prop_assert_eq!(heard == Next::Packet, length <= MAX_FRAME_LEN);
        }
    }
}
