//! Pictures by the frame numbers in their strips: which are missing, which came twice or out of order.

use super::{MAX_RANGES, Range};

/// A number so far from the last one does not belong to the same count: the display began anew.
const RESTART: i64 = 36_000;

/// What was seen of a display's frames.
#[derive(Debug, Clone, Default)]
pub struct PictureNumbers {
    first: Option<u32>,
    last: u32,
    /// Pictures with a number that was not seen before.
    pub seen: u64,
    /// Pictures with the number of the picture before.
    pub repeated: u64,
    /// Pictures with an earlier number than the picture before.
    pub out_of_order: u64,
    /// Numbers between the first and the last that never came.
    pub missing: u64,
    /// Which, the first so many ranges.
    pub missing_ranges: Vec<Range>,
    /// How often the count began anew.
    pub restarts: u64,
}

impl PictureNumbers {
    /// A picture with this number was decoded.
    pub fn add(&mut self, number: u32) {
        if self.first.is_none() {
            (self.first, self.last, self.seen) = (Some(number), number, 1);
            return;
        }
        let step = i64::from(number.wrapping_sub(self.last).cast_signed());
        match step {
            0 => self.repeated += 1,
            _ if step.abs() > RESTART => {
                self.restarts += 1;
                self.seen += 1;
                self.last = number;
            }
            1.. => {
                self.seen += 1;
                if step > 1 {
                    self.missing += step as u64 - 1;
                    if self.missing_ranges.len() < MAX_RANGES {
                        let (first, last) = (self.last.wrapping_add(1), number.wrapping_sub(1));
                        self.missing_ranges.push(Range { first, last });
                    }
                }
                self.last = number;
            }
            _ => self.out_of_order += 1,
        }
    }

    /// The first and the last number.
    pub fn range(&self) -> Option<Range> {
        self.first.map(|first| Range { first, last: self.last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(list: &[u32]) -> PictureNumbers {
        let mut numbers = PictureNumbers::default();
        list.iter().for_each(|number| numbers.add(*number));
        numbers
    }

    #[test]
    fn a_complete_run_misses_nothing() {
        let run = numbers(&[7, 8, 9, 10]);
        assert_eq!((run.seen, run.missing, run.repeated, run.out_of_order), (4, 0, 0, 0));
        assert_eq!(run.range(), Some(Range { first: 7, last: 10 }));
    }

    #[test]
    fn gaps_repeats_and_reordering_are_told_apart() {
        let run = numbers(&[1, 2, 2, 5, 4, 6]);
        assert_eq!((run.seen, run.missing, run.repeated, run.out_of_order), (4, 2, 1, 1));
        assert_eq!(run.missing_ranges, [Range { first: 3, last: 4 }]);
    }

    #[test]
    fn the_count_wraps_and_restarts() {
        let run = numbers(&[u32::MAX, 0, 1]);
        assert_eq!((run.seen, run.missing, run.restarts), (3, 0, 0));
        assert_eq!(numbers(&[500_000, 1, 2]).restarts, 1);
    }
}
