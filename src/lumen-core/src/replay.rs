//! The replay window of encrypted packets (protocol part 3, section 2.2; lumen/1, section 4). Packets overtake each
//! other, so their numbers arrive out of order: a sliding bitmap remembers which came.
//!
//! One mechanism for both protocols: `W` is where the bits lie. The control stream of GameStream keeps 1024 numbers in
//! the value itself, a stream of lumen/1 more of them on the heap.

/// Which of the newest sequence numbers were seen; as many as `W` has bits. The newest one counts.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct ReplayWindow<W = [u64; WORDS]> {
    /// One bit for each number of the window, at its remainder.
    seen: W,
    highest: Option<u64>,
}

const WORDS: usize = 16;

impl ReplayWindow {
    /// Numbers in the window of a control stream: `highest - SIZE + 1` is the oldest that may still come.
    pub const SIZE: u32 = WORDS as u32 * 64;

    /// A window of [`ReplayWindow::SIZE`] numbers that has seen nothing; any number may come first.
    pub const fn new() -> Self {
        Self { seen: [0; WORDS], highest: None }
    }
}

impl ReplayWindow<Box<[u64]>> {
    /// A window of at least `numbers` numbers that has seen nothing; any number may come first.
    pub fn of_size(numbers: usize) -> Self {
        Self { seen: vec![0; numbers.div_ceil(64).max(1)].into(), highest: None }
    }
}

impl<W: AsRef<[u64]> + AsMut<[u64]>> ReplayWindow<W> {
    /// Whether the number is neither seen nor older than the window.
    pub fn is_fresh(&self, sequence: u64) -> bool {
        match self.highest {
            Some(highest) if sequence <= highest => highest - sequence < self.size() && !self.is_marked(sequence),
            _ => true,
        }
    }

    /// Remembers a fresh number. Only for messages that are authentic: else anyone could push the window on.
    pub fn mark(&mut self, sequence: u64) {
        match self.highest {
            None => self.highest = Some(sequence),
            Some(highest) if sequence > highest => {
                if sequence - highest >= self.size() {
                    self.seen.as_mut().fill(0);
                } else {
                    for skipped in highest + 1..=sequence {
                        let (word, bit) = self.place(skipped);
                        self.seen.as_mut()[word] &= !bit;
                    }
                }
                self.highest = Some(sequence);
            }
            Some(highest) if highest - sequence >= self.size() => return,
            Some(_) => {}
        }
        let (word, bit) = self.place(sequence);
        self.seen.as_mut()[word] |= bit;
    }

    fn size(&self) -> u64 {
        self.seen.as_ref().len() as u64 * 64
    }

    fn is_marked(&self, sequence: u64) -> bool {
        let (word, bit) = self.place(sequence);
        self.seen.as_ref()[word] & bit != 0
    }

    fn place(&self, sequence: u64) -> (usize, u64) {
        let index = sequence % self.size();
        (index as usize / 64, 1 << (index % 64))
    }
}

impl Default for ReplayWindow {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn number_after_the_end_of_the_range_never_comes_back() {
        let mut window = ReplayWindow::new();
        window.mark(u64::MAX);
        assert!(!window.is_fresh(u64::MAX));
        assert!(!window.is_fresh(0));
    }

    #[test]
    fn marking_a_number_older_than_the_window_changes_nothing() {
        let mut window = ReplayWindow::new();
        window.mark(5000);
        window.mark(5000 - u64::from(ReplayWindow::SIZE));
        assert!(window.is_fresh(4999));
        assert!(!window.is_fresh(5000));
    }

    fn agrees_with_a_set<W: AsRef<[u64]> + AsMut<[u64]>>(
        mut window: ReplayWindow<W>,
        size: i64,
        start: u32,
        steps: Vec<i64>,
    ) {
        let mut seen = BTreeSet::new();
        let mut sequence = i64::from(start);
        for step in steps {
            sequence = (sequence + step).clamp(0, u32::MAX.into());
            let number = sequence as u64;
            let highest = seen.last().copied();
            let expected =
                !seen.contains(&number) && highest.is_none_or(|highest: u64| number as i64 > highest as i64 - size);
            assert_eq!(window.is_fresh(number), expected);
            if expected {
                window.mark(number);
                seen.insert(number);
            }
        }
    }

    proptest! {
        #[test]
        fn window_agrees_with_a_set_of_all_numbers(start in any::<u32>(), steps in prop::collection::vec(-1500_i64..1500, 1..300)) {
            agrees_with_a_set(ReplayWindow::new(), 1024, start, steps.clone());
            agrees_with_a_set(ReplayWindow::of_size(300), 320, start, steps);
        }
    }
}
