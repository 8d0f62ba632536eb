//! Pairing by a PIN (section 2.1.4): SPAKE2 over Ed25519, bound to the certificates of both ends and to the TLS session that
//! it runs in, then a proof of either end that it came to the same key. The host's proof is made only for a client whose
//! own was right, so that one run is one guess and leaves nothing to guess on.

use ring::hkdf::{HKDF_SHA256, Salt};
use ring::hmac;
use spake2::{Ed25519Group, Identity, Password, Spake2};

use crate::entropy::Entropy;

/// Bytes of an element, a proof, a fingerprint and the exported value.
pub const LEN: usize = 32;

/// What the crate writes before the element of the side that is `A`, the client.
const SIDE_CLIENT: u8 = 0x41;
/// The same for `B`, the host.
const SIDE_HOST: u8 = 0x42;

/// Why two ends are not paired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PairingError {
    /// The PINs differ, or somebody is in between: neither can be told from the other.
    #[error("the PIN is not the one that the client shows")]
    WrongPin,
    /// What the peer sent is no element of the group.
    #[error("the peer sent nonsense")]
    BadElement,
}

/// What a run belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// SHA-256 of the client's certificate in DER form.
    pub client: [u8; LEN],
    /// SHA-256 of the host's certificate in DER form.
    pub host: [u8; LEN],
    /// Exported from TLS with [`super::PAIRING_LABEL`].
    pub exported: [u8; LEN],
}

impl Binding {
    fn identity(&self, side: &[u8], certificate: &[u8; LEN]) -> Identity {
        Identity::new(&[side, certificate, &self.exported].concat())
    }

    fn identities(&self) -> (Identity, Identity) {
        (self.identity(b"lumen/1 client", &self.client), self.identity(b"lumen/1 host", &self.host))
    }
}

/// The client's run, until the host's element is there.
pub struct ClientPairing {
    run: Spake2<Ed25519Group>,
    binding: Binding,
    element: [u8; LEN],
}

impl ClientPairing {
    /// Begins a run with the PIN that the client shows.
    pub fn new(pin: &str, binding: Binding, entropy: &mut dyn Entropy) -> Self {
        let (client, host) = binding.identities();
        let (run, message) =
            Spake2::<Ed25519Group>::start_a_with_rng(&Password::new(pin), &client, &host, Random(entropy));
        Self { run, binding, element: element_of(&message) }
    }

    /// To be sent to the host.
    pub const fn element(&self) -> [u8; LEN] {
        self.element
    }

    /// Goes on with the host's element.
    ///
    /// # Errors
    /// [`PairingError::BadElement`].
    pub fn answer(self, element: &[u8; LEN]) -> Result<ClientProof, PairingError> {
        let key = self.run.finish(&with_side(SIDE_HOST, element)).map_err(|_| PairingError::BadElement)?;
        Ok(ClientProof(Proofs::new(&key, &self.binding, &self.element, element)))
    }
}

/// The client's run, until the host has proved that it was given the PIN.
pub struct ClientProof(Proofs);

impl ClientProof {
    /// To be sent to the host.
    pub fn proof(&self) -> [u8; LEN] {
        self.0.make(&self.0.client)
    }

    /// Whether the host was given the PIN: only then its certificate is to be pinned.
    ///
    /// # Errors
    /// [`PairingError::WrongPin`].
    pub fn check(self, proof: &[u8; LEN]) -> Result<(), PairingError> {
        self.0.check(&self.0.host, proof)
    }
}

/// The host's run, from the moment when the PIN was entered.
pub struct HostPairing {
    proofs: Proofs,
    element: [u8; LEN],
}

impl HostPairing {
    /// Runs with the PIN that was entered for a client, and that client's element.
    ///
    /// # Errors
    /// [`PairingError::BadElement`].
    pub fn new(
        pin: &str,
        binding: Binding,
        element: &[u8; LEN],
        entropy: &mut dyn Entropy,
    ) -> Result<Self, PairingError> {
        let (client, host) = binding.identities();
        let (run, message) =
            Spake2::<Ed25519Group>::start_b_with_rng(&Password::new(pin), &client, &host, Random(entropy));
        let own = element_of(&message);
        let key = run.finish(&with_side(SIDE_CLIENT, element)).map_err(|_| PairingError::BadElement)?;
        Ok(Self { proofs: Proofs::new(&key, &binding, element, &own), element: own })
    }

    /// To be sent to the client.
    pub const fn element(&self) -> [u8; LEN] {
        self.element
    }

    /// Whether the client has the PIN, in which case its certificate is to be pinned, and the host's own proof, to be sent
    /// when that is done. There is no second try.
    ///
    /// # Errors
    /// [`PairingError::WrongPin`].
    pub fn check(self, proof: &[u8; LEN]) -> Result<[u8; LEN], PairingError> {
        self.proofs.check(&self.proofs.client, proof)?;
        Ok(self.proofs.make(&self.proofs.host))
    }
}

/// What either end must know to prove itself.
struct Proofs {
    client: hmac::Key,
    host: hmac::Key,
    /// Both elements, the client's first.
    elements: [u8; 2 * LEN],
}

impl Proofs {
    fn new(key: &[u8], binding: &Binding, client: &[u8; LEN], host: &[u8; LEN]) -> Self {
        let secret = Salt::new(HKDF_SHA256, &binding.exported).extract(key);
        let of = |label: &'static [u8]| {
            let label = [label];
            let material = secret.expand(&label, hmac::HMAC_SHA256).expect("32 bytes are not too many");
            hmac::Key::from(material)
        };
        let mut elements = [0; 2 * LEN];
        elements[..LEN].copy_from_slice(client);
        elements[LEN..].copy_from_slice(host);
        Self { client: of(b"lumen/1 pair client"), host: of(b"lumen/1 pair host"), elements }
    }

    fn make(&self, key: &hmac::Key) -> [u8; LEN] {
        let mut proof = [0; LEN];
        proof.copy_from_slice(hmac::sign(key, &self.elements).as_ref());
        proof
    }

    fn check(&self, key: &hmac::Key, proof: &[u8; LEN]) -> Result<(), PairingError> {
        hmac::verify(key, &self.elements, proof).map_err(|_| PairingError::WrongPin)
    }
}

fn element_of(message: &[u8]) -> [u8; LEN] {
    *message.last_chunk().expect("a side and an element")
}

fn with_side(side: u8, element: &[u8; LEN]) -> [u8; LEN + 1] {
    let mut message = [side; LEN + 1];
    message[1..].copy_from_slice(element);
    message
}

/// The house's source of randomness, as the crate wants it.
struct Random<'a>(&'a mut dyn Entropy);

impl rand_core::CryptoRng for Random<'_> {}

impl rand_core::RngCore for Random<'_> {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, buffer: &mut [u8]) {
        self.0.fill(buffer);
    }

    fn try_fill_bytes(&mut self, buffer: &mut [u8]) -> Result<(), rand_core::Error> {
        self.0.fill(buffer);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn binding() -> Binding {
        Binding { client: [1; LEN], host: [2; LEN], exported: [3; LEN] }
    }

    fn from(seed: u8) -> impl FnMut(&mut [u8]) {
        move |buffer| buffer.iter_mut().zip(0u8..).for_each(|(byte, index)| *byte = seed.wrapping_mul(31) ^ index)
    }

    /// What either end thinks in the end, when each sees a connection of its own.
    fn run(client: (&str, Binding), host: (&str, Binding)) -> (Result<(), PairingError>, Result<(), PairingError>) {
        let one = ClientPairing::new(client.0, client.1, &mut from(1));
        let other = HostPairing::new(host.0, host.1, &one.element(), &mut from(2)).expect("an element");
        let one = one.answer(&other.element()).expect("an element");
        match other.check(&one.proof()) {
            Ok(proof) => (one.check(&proof), Ok(())),
            // It gets nothing from the host, and no other bytes will do.
            Err(error) => (one.check(&[0; LEN]), Err(error)),
        }
    }

    #[test]
    fn the_same_pin_pairs_and_another_shows_at_both_ends() {
        assert_eq!(run(("4711", binding()), ("4711", binding())), (Ok(()), Ok(())));
        let wrong = Err(PairingError::WrongPin);
        assert_eq!(run(("4711", binding()), ("4712", binding())), (wrong, wrong));
        assert_eq!(run(("4711", binding()), ("", binding())), (wrong, wrong));
    }

    #[test]
    fn whoever_is_in_between_is_found_out() {
        let wrong = Err(PairingError::WrongPin);
        let others = [
            Binding { client: [9; LEN], ..binding() },
            Binding { host: [9; LEN], ..binding() },
            Binding { exported: [9; LEN], ..binding() },
            // The certificates swapped.
            Binding { client: [2; LEN], host: [1; LEN], ..binding() },
        ];
        for other in others {
            assert_eq!(run(("4711", binding()), ("4711", other)), (wrong, wrong), "{other:?}");
        }
    }

    /// Everything that a client said, recorded and said again in another connection, or in the same to the host's next run.
    #[test]
    fn a_recorded_run_is_of_no_use() {
        let client = ClientPairing::new("4711", binding(), &mut from(1));
        let element = client.element();
        let host = HostPairing::new("4711", binding(), &element, &mut from(2)).expect("an element");
        let proof = client.answer(&host.element()).expect("an element").proof();
        let answer = host.check(&proof).expect("the right PIN");
        let later = Binding { exported: [4; LEN], ..binding() };
        for (binding, seed) in [(later, 2), (later, 3), (binding(), 3)] {
            let host = HostPairing::new("4711", binding, &element, &mut from(seed)).expect("an element");
            assert_eq!(host.check(&proof), Err(PairingError::WrongPin));
            let host = HostPairing::new("4711", binding, &element, &mut from(seed)).expect("an element");
            assert_eq!(host.check(&answer), Err(PairingError::WrongPin), "nor is what the host said");
        }
    }

    #[test]
    fn the_proofs_differ_so_that_none_can_be_sent_back() {
        let client = ClientPairing::new("4711", binding(), &mut from(1));
        let host = HostPairing::new("4711", binding(), &client.element(), &mut from(2)).expect("an element");
        let client = client.answer(&host.element()).expect("an element");
        let proof = client.proof();
        assert_eq!(client.check(&proof), Err(PairingError::WrongPin));
    }

    proptest! {
        #[test]
        fn whatever_a_stranger_sends_it_is_not_paired(element: [u8; LEN], proof: [u8; LEN], pin in "[0-9]{4}") {
            match HostPairing::new(&pin, binding(), &element, &mut from(2)) {
                Ok(host) => prop_assert_eq!(host.check(&proof), Err(PairingError::WrongPin)),
                Err(error) => prop_assert_eq!(error, PairingError::BadElement),
            }
            match ClientPairing::new(&pin, binding(), &mut from(1)).answer(&element) {
                Ok(client) => prop_assert_eq!(client.check(&proof), Err(PairingError::WrongPin)),
                Err(error) => prop_assert_eq!(error, PairingError::BadElement),
            }
        }
    }
}
