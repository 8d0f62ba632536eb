//! The replay window of encrypted control messages (protocol part 3, section 2.2). Messages of different ENet
//! channels overtake each other, so their numbers arrive out of order: a sliding bitmap remembers which came.

/// Which of the newest [`ReplayWindow::SIZE`] sequence numbers were seen. The newest one counts.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct ReplayWindow {
    /// One bit for each number of the window, at its remainder.
    seen: [u64; WORDS],
    highest: Option<u32>,
}

const WORDS: usize = ReplayWindow::SIZE as usize / 64;

impl ReplayWindow {
    /// Numbers in the window: `highest - SIZE + 1` is the oldest that may still come.
    pub const SIZE: u32 = 1024;

    /// A window that has seen nothing; any number may come first.
    pub const fn new() -> Self {
        Self { seen: [0; WORDS], highest: None }
    }

    /// Whether the number is neither seen nor older than the window.
    pub fn is_fresh(&self, sequence: u32) -> bool {
        match self.highest {
            Some(highest) if sequence <= highest => highest - sequence < Self::SIZE && !self.is_marked(sequence),
            _ => true,
        }
    }

    /// Remembers a fresh number. Only for messages that are authentic: else anyone could push the window on.
    pub fn mark(&mut self, sequence: u32) {
        match self.highest {
            None => self.highest = Some(sequence),
            Some(highest) if sequence > highest => {
                if sequence - highest >= Self::SIZE {
                    self.seen = [0; WORDS];
                } else {
                    for skipped in highest + 1..=sequence {
                        let (word, bit) = place(skipped);
                        self.seen[word] &= !bit;
                    }
                }
                self.highest = Some(sequence);
            }
            Some(highest) if highest - sequence >= Self::SIZE => return,
            Some(_) => {}
        }
        let (word, bit) = place(sequence);
        self.seen[word] |= bit;
    }

    fn is_marked(&self, sequence: u32) -> bool {
        let (word, bit) = place(sequence);
        self.seen[word] & bit != 0
    }
}

impl Default for ReplayWindow {
    fn default() -> Self {
        Self::new()
    }
}

fn place(sequence: u32) -> (usize, u64) {
    let index = sequence % ReplayWindow::SIZE;
    (index as usize / 64, 1 << (index % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn number_after_the_end_of_the_range_never_comes_back() {
        let mut window = ReplayWindow::new();
        window.mark(u32::MAX);
        assert!(!window.is_fresh(u32::MAX));
        assert!(!window.is_fresh(0));
    }

    #[test]
    fn marking_a_number_older_than_the_window_changes_nothing() {
        let mut window = ReplayWindow::new();
        window.mark(5000);
        window.mark(5000 - ReplayWindow::SIZE);
        assert!(window.is_fresh(4999));
        assert!(!window.is_fresh(5000));
    }

    proptest! {
        #[test]
        fn window_agrees_with_a_set_of_all_numbers(start in any::<u32>(), steps in prop::collection::vec(-1500_i64..1500, 1..300)) {
            let mut window = ReplayWindow::new();
            let mut seen = BTreeSet::new();
            let mut sequence = i64::from(start);
            for step in steps {
                sequence = (sequence + step).clamp(0, u32::MAX.into());
                let number = sequence as u32;
                let highest = seen.last().copied();
                let expected = !seen.contains(&number)
                    && highest.is_none_or(|highest: u32| i64::from(number) > i64::from(highest) - 1024);
                prop_assert_eq!(window.is_fresh(number), expected);
                if expected {
                    window.mark(number);
                    seen.insert(number);
                }
            }
        }
    }
}
