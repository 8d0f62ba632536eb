//! The computations of the four phases (protocol part 1, section 3.4).

use std::fmt;
use std::str::FromStr;

use aes::Aes128;
use aes::cipher::{BlockDecrypt, BlockEncrypt, KeyInit};
use openssl::sha::{Sha256, sha256};

use super::{Certificate, Identity, IdentityError, PairingError};
use crate::entropy::Entropy;
use crate::gamestream::http::unhex;

const BLOCK: usize = 16;

macro_rules! secret_bytes {
    ($(#[$doc:meta])* $name:ident, $length:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub struct $name(pub [u8; $length]);

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    };
}

secret_bytes!(
    /// 16 random bytes that the client puts before the PIN.
    Salt, 16
);
secret_bytes!(
    /// 16 random bytes that one end has the other hash.
    Challenge, 16
);
secret_bytes!(
    /// 16 random bytes that one end first hashes and later reveals.
    Secret, 16
);
secret_bytes!(
    /// The host's hash over the client's challenge, the host's certificate signature and its secret.
    ServerHash, 32
);
secret_bytes!(
    /// The client's hash over the host's challenge, the client's certificate signature and its secret.
    ClientHash, 32
);

impl FromStr for Salt {
    type Err = PairingError;

    /// Exactly 32 hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, PairingError> {
        let bytes = unhex(text).ok_or(PairingError::BadHex("salt"))?;
        bytes.try_into().map(Self).map_err(|_| PairingError::BadLength("salt"))
    }
}

/// Takes 16 random bytes.
pub(super) fn random(entropy: &mut dyn Entropy) -> [u8; 16] {
    let mut bytes = [0; 16];
    entropy.fill(&mut bytes);
    bytes
}

/// Four ASCII digits, chosen and shown by the client, typed at the host. Not shown in debug output.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pin([u8; 4]);

impl Pin {
    /// A random PIN, for a client.
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        // 2^64 is so much larger than 10^4 that the digits are even enough.
        let mut bytes = [0; 8];
        entropy.fill(&mut bytes);
        let mut number = u64::from_le_bytes(bytes);
        let mut digits = [0; 4];
        for digit in &mut digits {
            *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
            number /= 10;
        }
        Self(digits)
    }

    /// The digits, for the client's user.
    pub fn reveal(&self) -> String {
        self.0.iter().copied().map(char::from).collect()
    }
}

impl FromStr for Pin {
    type Err = PairingError;

    fn from_str(text: &str) -> Result<Self, PairingError> {
        match <[u8; 4]>::try_from(text.as_bytes()) {
            Ok(digits) if digits.iter().all(u8::is_ascii_digit) => Ok(Self(digits)),
            _ => Err(PairingError::BadPin),
        }
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Pin(…)")
    }
}

/// The AES-128 key that salt and PIN make. It encrypts single blocks, without chaining or padding.
#[derive(Clone)]
pub struct PairingKey {
    bytes: [u8; 16],
    cipher: Aes128,
}

impl PairingKey {
    /// The first half of the SHA-256 of salt and PIN.
    pub fn derive(salt: &Salt, pin: &Pin) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(&salt.0);
        hasher.update(&pin.0);
        let digest = hasher.finish();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self::from_bytes(bytes)
    }

    /// A key from its bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self { bytes, cipher: Aes128::new(&bytes.into()) }
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.bytes
    }

    /// Encrypts whole blocks.
    pub fn encrypt<const N: usize>(&self, mut plain: [u8; N]) -> [u8; N] {
        const { assert!(N.is_multiple_of(BLOCK)) };
        for block in plain.chunks_exact_mut(BLOCK) {
            self.cipher.encrypt_block(block.into());
        }
        plain
    }

    /// Decrypts whole blocks. Under a wrong key the result is noise; nothing shows that here.
    pub fn decrypt<const N: usize>(&self, mut sealed: [u8; N]) -> [u8; N] {
        const { assert!(N.is_multiple_of(BLOCK)) };
        for block in sealed.chunks_exact_mut(BLOCK) {
            self.cipher.decrypt_block(block.into());
        }
        sealed
    }
}

impl fmt::Debug for PairingKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PairingKey(…)")
    }
}

/// The plain text of the reply of phase 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChallengeResponse {
    /// The host's hash, which proves the PIN once the secret is known.
    pub hash: ServerHash,
    /// What the client is to hash.
    pub challenge: Challenge,
}

impl ChallengeResponse {
    /// Encrypts it.
    pub fn seal(&self, key: &PairingKey) -> [u8; 48] {
        let mut plain = [0; 48];
        plain[..32].copy_from_slice(&self.hash.0);
        plain[32..].copy_from_slice(&self.challenge.0);
        key.encrypt(plain)
    }

    /// Decrypts it.
    pub fn open(key: &PairingKey, sealed: [u8; 48]) -> Self {
        let plain = key.decrypt(sealed);
        let (mut hash, mut challenge) = ([0; 32], [0; 16]);
        hash.copy_from_slice(&plain[..32]);
        challenge.copy_from_slice(&plain[32..]);
        Self { hash: ServerHash(hash), challenge: Challenge(challenge) }
    }
}

impl ServerHash {
    /// The hash that proves knowledge of the PIN: `challenge` could only be decrypted with it.
    pub fn new(challenge: &Challenge, host: &Certificate, secret: &Secret) -> Self {
        Self(hash(challenge, host, secret))
    }
}

impl ClientHash {
    /// The hash by which the client commits itself to its secret.
    pub fn new(challenge: &Challenge, client: &Certificate, secret: &Secret) -> Self {
        Self(hash(challenge, client, secret))
    }
}

/// A secret with its signature: what both ends reveal in the end (phase 3 reply, phase 4 request).
///
/// # Errors
/// [`IdentityError::OpenSsl`].
pub fn sign_secret(identity: &Identity, secret: &Secret) -> Result<Vec<u8>, IdentityError> {
    let signature = identity.sign(&secret.0)?;
    Ok([&secret.0[..], &signature].concat())
}

/// The client's check of the reply of phase 3: first the signature, then the hash.
///
/// # Errors
/// [`PairingError::BadSignature`] if somebody is in between, [`PairingError::WrongPin`] if the host was given another
/// PIN.
pub fn verify_pairing_secret(
    message: &[u8],
    host: &Certificate,
    challenge: &Challenge,
    expected: &ServerHash,
) -> Result<Secret, PairingError> {
    let (secret, signature) = message.split_first_chunk().ok_or(PairingError::BadLength("pairingsecret"))?;
    let secret = Secret(*secret);
    if !host.verifies(&secret.0, signature) {
        return Err(PairingError::BadSignature);
    }
    if !same(&ServerHash::new(challenge, host, &secret).0, &expected.0) {
        return Err(PairingError::WrongPin);
    }
    Ok(secret)
}

/// The host's check of the request of phase 4: length, hash, signature. All must hold, since the hash alone covers
/// nothing that proves possession of the client's key.
///
/// # Errors
/// [`PairingError::BadLength`], [`PairingError::BadHash`], [`PairingError::BadSignature`].
pub fn verify_client_pairing_secret(
    message: &[u8],
    client: &Certificate,
    challenge: &Challenge,
    expected: &ClientHash,
) -> Result<Secret, PairingError> {
    const NAME: &str = "clientpairingsecret";
    let (secret, signature) = message.split_first_chunk().ok_or(PairingError::BadLength(NAME))?;
    if client.rsa_signature_bytes().ok_or(PairingError::BadCertificate)? != signature.len() {
        return Err(PairingError::BadLength(NAME));
    }
    let secret = Secret(*secret);
    if !same(&ClientHash::new(challenge, client, &secret).0, &expected.0) {
        return Err(PairingError::BadHash);
    }
    if !client.verifies(&secret.0, signature) {
        return Err(PairingError::BadSignature);
    }
    Ok(secret)
}

fn hash(challenge: &Challenge, certificate: &Certificate, secret: &Secret) -> [u8; 32] {
    sha256(&[&challenge.0[..], certificate.signature(), &secret.0].concat())
}

/// Compares in constant time.
fn same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    openssl::memcmp::eq(one, other)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_sealed_is_opened(salt in any::<[u8; 16]>(), pin in "[0-9]{4}", hash in any::<[u8; 32]>(), challenge in any::<[u8; 16]>()) {
            let key = PairingKey::derive(&Salt(salt), &pin.parse().unwrap());
            let response = ChallengeResponse { hash: ServerHash(hash), challenge: Challenge(challenge) };
            prop_assert_eq!(ChallengeResponse::open(&key, response.seal(&key)), response);
        }

        #[test]
        fn new_pins_are_four_digits(bytes in any::<[u8; 8]>()) {
            let pin = Pin::generate(&mut |buffer: &mut [u8]| buffer.copy_from_slice(&bytes));
            prop_assert_eq!(pin.reveal().parse(), Ok(pin));
        }
    }
}
