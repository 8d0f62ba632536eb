//! The key schedule (section 4): from the secret of a session to the keys of each direction, stream and epoch.

use ring::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};

use super::header::{Epoch, PacketNumber, Stream};
use crate::crypto::{KEY_LEN, NONCE_LEN, PacketKey};

/// Bytes of the random value that each end adds to the schedule.
pub const RANDOM_LEN: usize = 16;

/// Fewest bytes of a session secret.
pub const MIN_SECRET_LEN: usize = 16;

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Direction {
    /// The host.
    HostToClient = 0,
    /// The client.
    ClientToHost = 1,
}

impl Direction {
    /// The other one.
    #[must_use]
    pub const fn reverse(self) -> Self {
        match self {
            Self::HostToClient => Self::ClientToHost,
            Self::ClientToHost => Self::HostToClient,
        }
    }
}

/// The secret is too short to be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a session secret of {0} bytes is too short; at least {MIN_SECRET_LEN} are needed")]
pub struct SecretTooShort(pub usize);

/// Key and initialisation vector of one direction, stream and epoch.
#[derive(Clone)]
pub struct StreamKey {
    key: PacketKey,
    iv: [u8; NONCE_LEN],
}

impl StreamKey {
    /// The key.
    pub fn key(&self) -> &PacketKey {
        &self.key
    }

    /// The nonce of a packet (section 4.2): the initialisation vector with the packet number XORed into its last eight
    /// bytes, big endian.
    pub fn nonce(&self, number: PacketNumber) -> [u8; NONCE_LEN] {
        let mut nonce = self.iv;
        for (byte, number) in nonce[NONCE_LEN - 8..].iter_mut().zip(number.0.to_be_bytes()) {
            *byte ^= number;
        }
        nonce
    }
}

impl std::fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StreamKey(..)")
    }
}

/// All keys of a session. It prints nothing.
#[derive(Clone)]
pub struct KeySchedule(Prk);

impl KeySchedule {
    /// From the secret that both ends have and the random values that they exchanged. The values must be new for every
    /// negotiation: they are what keeps keys apart when a secret comes twice.
    ///
    /// # Errors
    /// [`SecretTooShort`].
    pub fn new(
        secret: &[u8],
        host_random: &[u8; RANDOM_LEN],
        client_random: &[u8; RANDOM_LEN],
    ) -> Result<Self, SecretTooShort> {
        if secret.len() < MIN_SECRET_LEN {
            return Err(SecretTooShort(secret.len()));
        }
        let mut salt = [0; 2 * RANDOM_LEN];
        salt[..RANDOM_LEN].copy_from_slice(host_random);
        salt[RANDOM_LEN..].copy_from_slice(client_random);
        Ok(Self(Salt::new(HKDF_SHA256, &salt).extract(secret)))
    }

    /// Key and initialisation vector as bytes, 16 and 12, for test vectors and other implementations.
    pub fn material(&self, direction: Direction, stream: Stream, epoch: Epoch) -> [u8; KEY_LEN + NONCE_LEN] {
        let [high, low] = epoch.0.to_be_bytes();
        let mut bytes = [0; KEY_LEN + NONCE_LEN];
        self.expand(b"lumen/1 key", &[direction as u8, stream.wire(), high, low], &mut bytes);
        bytes
    }

    /// The keys of a direction, stream and epoch.
    pub fn stream_key(&self, direction: Direction, stream: Stream, epoch: Epoch) -> StreamKey {
        let material = self.material(direction, stream, epoch);
        let (key, iv) = material.split_first_chunk().expect("28 bytes");
        StreamKey { key: PacketKey::new(key), iv: iv.try_into().expect("12 bytes") }
    }

    fn expand(&self, label: &[u8], context: &[u8], out: &mut [u8]) {
        struct Bytes(usize);
        impl KeyType for Bytes {
            fn len(&self) -> usize {
                self.0
            }
        }
        self.0
            .expand(&[label, context], Bytes(out.len()))
            .and_then(|okm| okm.fill(out))
            .expect("HKDF gives up to 8160 bytes");
    }
}

impl std::fmt::Debug for KeySchedule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeySchedule(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_directions_streams_epochs_or_negotiations_share_a_key() {
        let mut seen = HashSet::new();
        for host in [[1; 16], [2; 16]] {
            let schedule = KeySchedule::new(&[9; 16], &host, &[3; 16]).expect("long enough");
            for direction in [Direction::HostToClient, Direction::ClientToHost] {
                for stream in Stream::ALL {
                    for epoch in [0, 1, 255, 256, 65_535] {
                        assert!(seen.insert(schedule.material(direction, stream, Epoch(epoch))));
                    }
                }
            }
        }
        assert_eq!(seen.len(), 2 * 2 * 8 * 5);
    }

    #[test]
    fn keys_never_print_themselves_and_short_secrets_are_refused() {
        let schedule = KeySchedule::new(&[9; 16], &[1; 16], &[3; 16]).expect("long enough");
        let key = schedule.stream_key(Direction::HostToClient, Stream::Video, Epoch(0));
        assert_eq!(format!("{schedule:?} {key:?}"), "KeySchedule(..) StreamKey(..)");
        assert_eq!(KeySchedule::new(&[9; 15], &[1; 16], &[3; 16]).map(|_| ()), Err(SecretTooShort(15)));
    }

    #[test]
    fn nonces_of_different_packets_differ_and_the_first_four_bytes_stay() {
        let schedule = KeySchedule::new(&[9; 32], &[1; 16], &[3; 16]).expect("long enough");
        let key = schedule.stream_key(Direction::HostToClient, Stream::Video, Epoch(0));
        let (zero, one) = (key.nonce(PacketNumber(0)), key.nonce(PacketNumber(1)));
        assert_eq!(zero, key.iv);
        assert_eq!(zero[..11], one[..11]);
        assert_eq!(zero[11] ^ one[11], 1);
    }
}
