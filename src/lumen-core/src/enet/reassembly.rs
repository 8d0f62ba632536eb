//! A message that arrives in fragments (protocol part 3, section 1.3): checks every field before it allocates,
//! takes fragments in any order and any number of times.

use super::wire::Fragment;

/// Most fragments that a message may have.
const MAX_FRAGMENTS: u32 = 1_048_576;

/// Why a fragment was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FragmentError {
    /// Its fields contradict each other or those of earlier fragments.
    Bad,
    /// The message is longer than allowed.
    TooLarge,
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Reassembly {
    count: u32,
    remaining: u32,
    seen: Vec<u64>,
    bytes: Vec<u8>,
}

impl Reassembly {
    /// Checks the fields of one fragment by themselves.
    pub fn check(fragment: &Fragment<'_>, limit: usize) -> Result<(), FragmentError> {
        let Fragment { count, number, total, offset, data, .. } = *fragment;
        if count == 0 || count > MAX_FRAGMENTS || number >= count || count > total {
            return Err(FragmentError::Bad);
        }
        if total as usize > limit {
            return Err(FragmentError::TooLarge);
        }
        if data.is_empty() || offset >= total || data.len() > (total - offset) as usize {
            return Err(FragmentError::Bad);
        }
        Ok(())
    }

    /// Memory that the message of a checked fragment takes while it is incomplete, bytes.
    pub fn cost(fragment: &Fragment<'_>) -> usize {
        fragment.total as usize + fragment.count.div_ceil(64) as usize * 8
    }

    /// Room for the message of a checked fragment; takes nothing from it yet.
    pub fn new(fragment: &Fragment<'_>) -> Self {
        Self {
            count: fragment.count,
            remaining: fragment.count,
            seen: vec![0; fragment.count.div_ceil(64) as usize],
            bytes: vec![0; fragment.total as usize],
        }
    }

    /// Takes a checked fragment. True when the message is complete.
    pub fn insert(&mut self, fragment: &Fragment<'_>) -> Result<bool, FragmentError> {
        if fragment.count != self.count || fragment.total as usize != self.bytes.len() {
            return Err(FragmentError::Bad);
        }
        let (word, bit) = ((fragment.number / 64) as usize, 1u64 << (fragment.number % 64));
        let start = fragment.offset as usize;
        let seen = self.seen.get_mut(word).ok_or(FragmentError::Bad)?;
        let room = self.bytes.get_mut(start..start + fragment.data.len()).ok_or(FragmentError::Bad)?;
        if *seen & bit == 0 {
            *seen |= bit;
            self.remaining -= 1;
            room.copy_from_slice(fragment.data);
        }
        Ok(self.remaining == 0)
    }

    /// The complete message.
    pub fn take_bytes(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}
