//! The envelope of an encrypted video packet (protocol part 2, section 1.5): nonce, frame number and tag in front of
//! the ciphertext, which is the whole shard.
//!
//! The frame number is not authenticated. It only saves a receiver the work of decrypting packets of frames that are
//! finished.

use super::FrameIndex;
use crate::crypto::{NONCE_LEN, OpenError, PacketKey, TAG_LEN};

/// Bytes before the ciphertext.
pub const PREFIX_LEN: usize = NONCE_LEN + 4 + TAG_LEN;

/// Where the tag starts.
const TAG: usize = NONCE_LEN + 4;

/// Why a datagram could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not longer than the prefix.
    #[error("{0} bytes are too short for an encrypted video packet")]
    Truncated(usize),
    /// The tag does not match.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// The nonce of packet `counter` of a session: little-endian counter, zeros, `V`.
pub const fn nonce(counter: u64) -> [u8; NONCE_LEN] {
    let [a, b, c, d, e, f, g, h] = counter.to_le_bytes();
    [a, b, c, d, e, f, g, h, 0, 0, 0, b'V']
}

/// Encrypts the shard that starts at [`PREFIX_LEN`] of `datagram` in place and writes the prefix before it. `counter`
/// must never come twice under one key.
///
/// # Panics
/// If `datagram` is shorter than the prefix.
pub fn seal_datagram(key: &PacketKey, counter: u64, frame: FrameIndex, datagram: &mut [u8]) {
    let (prefix, shard) = datagram.split_at_mut(PREFIX_LEN);
    let nonce = nonce(counter);
    let tag = key.seal_in_place(&nonce, shard);
    prefix[..NONCE_LEN].copy_from_slice(&nonce);
    prefix[NONCE_LEN..TAG].copy_from_slice(&frame.0.to_le_bytes());
    prefix[TAG..].copy_from_slice(&tag);
}

/// The frame number that a sealed datagram claims, before any test of its truth; none if the datagram is too short or
/// the number is 0, which says nothing.
pub fn frame_hint(datagram: &[u8]) -> Option<FrameIndex> {
    let prefix: &[u8; PREFIX_LEN] = datagram.first_chunk()?;
    let number = u32::from_le_bytes([prefix[12], prefix[13], prefix[14], prefix[15]]);
    (number != 0).then_some(FrameIndex(number))
}

/// Decrypts a datagram in place and returns its shard.
///
/// # Errors
/// [`EnvelopeError`]; the datagram is then to be dropped, its content is unspecified.
pub fn open_datagram<'a>(key: &PacketKey, datagram: &'a mut [u8]) -> Result<&'a mut [u8], EnvelopeError> {
    let len = datagram.len();
    let Some((prefix, shard)) = datagram.split_first_chunk_mut::<PREFIX_LEN>().filter(|(_, shard)| !shard.is_empty())
    else {
        return Err(EnvelopeError::Truncated(len));
    };
    let mut nonce = [0; NONCE_LEN];
    nonce.copy_from_slice(&prefix[..NONCE_LEN]);
    let mut tag = [0; TAG_LEN];
    tag.copy_from_slice(&prefix[TAG..]);
    key.open_in_place(&nonce, &tag, shard)?;
    Ok(shard)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn datagrams_round_trip(key: [u8; 16], counter: u64, frame: u32, shard in prop::collection::vec(any::<u8>(), 1..99)) {
            let key = PacketKey::new(&key);
            let mut datagram = vec![0; PREFIX_LEN];
            datagram.extend_from_slice(&shard);
            seal_datagram(&key, counter, FrameIndex(frame), &mut datagram);
            prop_assert_eq!(frame_hint(&datagram), (frame != 0).then_some(FrameIndex(frame)));
            prop_assert_eq!(open_datagram(&key, &mut datagram), Ok(&mut shard.clone()[..]));
        }

        #[test]
        fn arbitrary_bytes_are_refused_without_panic(key: [u8; 16], mut datagram: Vec<u8>) {
            let _ = frame_hint(&datagram);
            prop_assert!(open_datagram(&PacketKey::new(&key), &mut datagram).is_err());
        }
    }
}
