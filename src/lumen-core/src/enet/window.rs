//! Which numbers a receiver takes: reliable windows and the filter of unsequenced duplicates (protocol part 3,
//! section 1.3).

/// Numbers in one reliable window.
const WINDOW: u16 = 0x1000;
/// Windows ahead of the current one whose numbers are accepted.
const WINDOWS_AHEAD: u16 = 6;
/// Windows in the number space.
const WINDOWS: u16 = 16;

/// What a receiver does with a reliable sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Not delivered yet and close enough: take it and acknowledge it.
    New,
    /// Delivered before: acknowledge it again.
    Old,
    /// Too far ahead: neither.
    Ahead,
}

/// Judges `number` on a channel that delivered everything up to `delivered`.
pub fn admit(delivered: u16, number: u16) -> Admission {
    if number == delivered {
        return Admission::Old;
    }
    let wrapped = if number < delivered { WINDOWS } else { 0 };
    match number / WINDOW + wrapped - delivered / WINDOW {
        0..=WINDOWS_AHEAD => Admission::New,
        7 | 8 => Admission::Ahead,
        _ => Admission::Old,
    }
}

/// Whether a receiver that delivered everything before `oldest` takes `number`: what a sender asks when its
/// numbers enter a new window.
pub(super) fn may_send(oldest: u16, number: u16) -> bool {
    admit(oldest.wrapping_sub(1), number) == Admission::New
}

/// Whether `number` opens a window.
pub(super) fn opens_window(number: u16) -> bool {
    number.is_multiple_of(WINDOW)
}

/// Remembers which unsequenced messages arrived.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(super) struct UnsequencedFilter {
    newest: u16,
    /// Bit `n % GROUPS` belongs to number `n`, for the last `GROUPS` numbers.
    seen: [u64; (GROUPS / 64) as usize],
}

const GROUPS: u16 = 1024;
const GROUPS_AHEAD: u16 = 32 * 1024;

impl UnsequencedFilter {
    pub fn new() -> Self {
        Self { newest: 0, seen: [0; (GROUPS / 64) as usize] }
    }

    /// Whether the message with this number is new; it counts as seen from now on.
    pub fn admit(&mut self, group: u16) -> bool {
        let ahead = group.wrapping_sub(self.newest);
        if ahead > 0 && ahead < GROUPS_AHEAD {
            if ahead >= GROUPS {
                self.seen = [0; (GROUPS / 64) as usize];
            } else {
                for step in 1..=ahead {
                    let (word, bit) = Self::position(self.newest.wrapping_add(step));
                    self.seen[word] &= !bit;
                }
            }
            self.newest = group;
        } else if self.newest.wrapping_sub(group) >= GROUPS {
            return false;
        }
        let (word, bit) = Self::position(group);
        let new = self.seen[word] & bit == 0;
        self.seen[word] |= bit;
        new
    }

    fn position(group: u16) -> (usize, u64) {
        let index = group % GROUPS;
        (usize::from(index / 64), 1 << (index % 64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_delivered_number_is_old() {
        assert_eq!(admit(0, 0), Admission::Old);
        assert_eq!(admit(0xFFFF, 0xFFFF), Admission::Old);
    }

    #[test]
    fn a_sender_never_enters_a_window_that_its_receiver_refuses() {
        assert!(may_send(1, 0x6000));
        assert!(!may_send(1, 0x7000));
        assert!(!may_send(0x1000, 0x7000), "the receiver may still be in window 0");
        assert!(may_send(0x1001, 0x7000));
        assert!(may_send(0xA001, 0x0000));
        assert!(!may_send(0x9001, 0x0000));
    }

    #[test]
    fn an_unsequenced_number_is_taken_once() {
        let mut filter = UnsequencedFilter::new();
        assert!(filter.admit(1));
        assert!(!filter.admit(1));
        assert!(filter.admit(1000));
        assert!(filter.admit(2), "late, within the filter");
        assert!(!filter.admit(2));
        assert!(filter.admit(1025));
        assert!(!filter.admit(1), "too old to tell");
        assert!(filter.admit(1025 + GROUPS_AHEAD - 1));
        assert!(!filter.admit(1025), "would be ahead by more than allowed");
    }

    #[test]
    fn unsequenced_numbers_wrap() {
        let mut filter = UnsequencedFilter::new();
        for number in (1..=u16::MAX).chain(0..100) {
            assert!(filter.admit(number), "{number}");
        }
        assert!(!filter.admit(0));
        assert!(!filter.admit(0xFFFF));
    }
}
