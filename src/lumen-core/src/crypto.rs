//! Packet encryption: AES-128-GCM for video, control and RTSP; AES-128-CBC for audio (protocol part 2, section 6).
//!
//! A key here never chooses its nonce: each stream has its own rule (section 6.2), and the module that owns the
//! stream owns the counter. Nothing here can be printed: `Debug` shows no key material.

use aes::Aes128;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

/// Length of every key of a session, in bytes.
pub const KEY_LEN: usize = 16;
/// Length of a GCM nonce as the modern streams use it, in bytes.
pub const NONCE_LEN: usize = 12;
/// Length of a GCM authentication tag, in bytes.
pub const TAG_LEN: usize = 16;
/// Block length of AES, and so the length of a CBC initialisation vector, in bytes.
pub const BLOCK_LEN: usize = 16;

/// Why a message could not be decrypted. The message must be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The authentication tag does not match: another key, another nonce or changed bytes.
    #[error("the authentication tag does not match the message")]
    BadTag,
    /// CBC ciphertext is empty or no multiple of [`BLOCK_LEN`].
    #[error("ciphertext of {0} bytes is not a positive number of 16-byte blocks")]
    BadLength(usize),
    /// The decrypted text does not end in PKCS#7 padding.
    #[error("the decrypted text has no valid padding")]
    BadPadding,
}

/// AES-128-GCM with 12-byte nonces and a tag apart from the text. The streams of GameStream have no additional data
/// (section 6.2), the packets of lumen/1 their header.
#[derive(Clone)]
pub struct PacketKey(LessSafeKey);

impl PacketKey {
    /// Expands `key`, 16 bytes in the order in which the launch request writes them.
    pub fn new(key: &[u8; KEY_LEN]) -> Self {
        let unbound = UnboundKey::new(&AES_128_GCM, key).expect("16 bytes are a key of AES-128-GCM");
        Self(LessSafeKey::new(unbound))
    }

    /// Encrypts `text` in place and returns its tag. A `nonce` must never come twice under one key.
    ///
    /// # Panics
    /// If `text` is longer than GCM allows (64 GiB).
    pub fn seal_in_place(&self, nonce: &[u8; NONCE_LEN], text: &mut [u8]) -> [u8; TAG_LEN] {
        self.seal_with_header(nonce, &[], text)
    }

    /// [`PacketKey::seal_in_place`] with a tag that also covers `header`, which stays readable.
    ///
    /// # Panics
    /// If `text` is longer than GCM allows (64 GiB).
    pub fn seal_with_header(&self, nonce: &[u8; NONCE_LEN], header: &[u8], text: &mut [u8]) -> [u8; TAG_LEN] {
        let tag = self
            .0
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(*nonce), Aad::from(header), text)
            .expect("shorter than 64 GiB");
        let mut bytes = [0; TAG_LEN];
        bytes.copy_from_slice(tag.as_ref());
        bytes
    }

    /// Checks `tag` and decrypts `text` in place. After an error the content of `text` is unspecified.
    ///
    /// # Errors
    /// [`OpenError::BadTag`].
    pub fn open_in_place(
        &self,
        nonce: &[u8; NONCE_LEN],
        tag: &[u8; TAG_LEN],
        text: &mut [u8],
    ) -> Result<(), OpenError> {
        self.open_with_header(nonce, &[], tag, text)
    }

    /// Checks `tag` over `header` and `text`, and decrypts `text` in place. After an error its content is unspecified.
    ///
    /// # Errors
    /// [`OpenError::BadTag`].
    pub fn open_with_header(
        &self,
        nonce: &[u8; NONCE_LEN],
        header: &[u8],
        tag: &[u8; TAG_LEN],
        text: &mut [u8],
    ) -> Result<(), OpenError> {
        self.0
            .open_in_place_separate_tag(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(header),
                ring::aead::Tag::from(*tag),
                text,
                0..,
            )
            .map(|_| ())
            .map_err(|_| OpenError::BadTag)
    }
}

impl std::fmt::Debug for PacketKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PacketKey(..)")
    }
}

/// AES-128-CBC with PKCS#7 padding, for audio (section 5.5). It protects against reading, not against changes.
#[derive(Clone)]
pub struct CbcKey([u8; KEY_LEN]);

impl CbcKey {
    /// Takes `key`, 16 bytes in the order in which the launch request writes them.
    pub const fn new(key: &[u8; KEY_LEN]) -> Self {
        Self(*key)
    }

    /// Length of the ciphertext of `plain` bytes: padding of 1 to 16 bytes is always added.
    pub const fn sealed_len(plain: usize) -> usize {
        plain - plain % BLOCK_LEN + BLOCK_LEN
    }

    /// Encrypts `plain` and appends the ciphertext, [`CbcKey::sealed_len`] bytes, to `out`.
    pub fn seal_into(&self, iv: &[u8; BLOCK_LEN], plain: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(plain);
        out.resize(start + Self::sealed_len(plain.len()), 0);
        cbc::Encryptor::<Aes128>::new(&self.0.into(), iv.into())
            .encrypt_padded_mut::<Pkcs7>(&mut out[start..], plain.len())
            .expect("sealed_len leaves room for the padding");
    }

    /// Decrypts `text` in place and returns the plain bytes at its start. After an error the content of `text`
    /// is unspecified.
    ///
    /// # Errors
    /// [`OpenError::BadLength`], or [`OpenError::BadPadding`] where a wrong key or changed bytes can be seen; they
    /// can't always.
    pub fn open_in_place<'a>(&self, iv: &[u8; BLOCK_LEN], text: &'a mut [u8]) -> Result<&'a [u8], OpenError> {
        if text.is_empty() || !text.len().is_multiple_of(BLOCK_LEN) {
            return Err(OpenError::BadLength(text.len()));
        }
        cbc::Decryptor::<Aes128>::new(&self.0.into(), iv.into())
            .decrypt_padded_mut::<Pkcs7>(text)
            .map_err(|_| OpenError::BadPadding)
    }
}

impl std::fmt::Debug for CbcKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CbcKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_never_prints_itself() {
        let key = [0xAB; KEY_LEN];
        assert_eq!(format!("{:?} {:?}", PacketKey::new(&key), CbcKey::new(&key)), "PacketKey(..) CbcKey(..)");
    }

    #[test]
    fn cbc_of_no_whole_blocks_is_refused_before_decrypting() {
        let key = CbcKey::new(&[1; KEY_LEN]);
        assert_eq!(key.open_in_place(&[0; BLOCK_LEN], &mut []), Err(OpenError::BadLength(0)));
        assert_eq!(key.open_in_place(&[0; BLOCK_LEN], &mut [0; 31]), Err(OpenError::BadLength(31)));
    }

    proptest! {
        #[test]
        fn gcm_round_trips_and_any_flipped_bit_is_found(
            key: [u8; KEY_LEN], nonce: [u8; NONCE_LEN], plain: Vec<u8>, flip: prop::sample::Index
        ) {
            let key = PacketKey::new(&key);
            let mut text = plain.clone();
            let mut tag = key.seal_in_place(&nonce, &mut text);
            let mut copy = text.clone();
            prop_assert_eq!(key.open_in_place(&nonce, &tag, &mut copy), Ok(()));
            prop_assert_eq!(&copy, &plain);

            let bit = flip.index((text.len() + TAG_LEN) * 8);
            match bit / 8 {
                byte if byte < TAG_LEN => tag[byte] ^= 1 << (bit % 8),
                byte => text[byte - TAG_LEN] ^= 1 << (bit % 8),
            }
            prop_assert_eq!(key.open_in_place(&nonce, &tag, &mut text), Err(OpenError::BadTag));
        }

        #[test]
        fn cbc_round_trips_with_one_to_sixteen_bytes_of_padding(
            key: [u8; KEY_LEN], iv: [u8; BLOCK_LEN], plain: Vec<u8>
        ) {
            let key = CbcKey::new(&key);
            let mut text = vec![7];
            key.seal_into(&iv, &plain, &mut text);
            prop_assert_eq!(text.len() - 1, CbcKey::sealed_len(plain.len()));
            prop_assert!((1..=16).contains(&(text.len() - 1 - plain.len())));
            prop_assert_eq!(key.open_in_place(&iv, &mut text[1..]), Ok(&plain[..]));
        }

        #[test]
        fn cbc_of_arbitrary_bytes_never_panics(key: [u8; KEY_LEN], iv: [u8; BLOCK_LEN], mut text: Vec<u8>) {
            let _ = CbcKey::new(&key).open_in_place(&iv, &mut text);
        }
    }
}
