//! Attempts over QUIC (lumen/1, section 2.1.4): they wait for their PIN here, among the others; what is exchanged then is
//! the connection's business. Each ends with its connection, and has one try.

use std::net::IpAddr;
use std::sync::Arc;

use lumen_core::gamestream::pairing::{self, Certificate, Pin};
use lumen_core::time::Timestamp;
use tokio::sync::{oneshot, watch};

use super::{AttemptId, LIMITS, PairingServer, PendingAttempt, PinRefused};
use crate::admin::PairingResult;
use crate::store::{Fingerprint, Store};

/// One that waits for its PIN.
pub(super) struct Waiting {
    address: IpAddr,
    device: Option<String>,
    fingerprint: Fingerprint,
    since: Timestamp,
    pin: oneshot::Sender<Typed>,
}

/// What the operator typed, and where the result goes.
type Typed = (Pin, Option<String>, watch::Sender<Option<PairingResult>>);

/// An attempt whose PIN was entered.
pub struct NativeAttempt {
    pin: Pin,
    address: IpAddr,
    device: Option<String>,
    name: Option<String>,
    result: watch::Sender<Option<PairingResult>>,
}

/// Why there is no PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoPin {
    /// There are too many attempts.
    #[error("Too many clients are pairing; try again in a minute")]
    TooMany,
    /// Nobody entered it.
    #[error("The PIN was not entered in time")]
    TooLate,
}

impl Waiting {
    pub(super) fn describe(&self, id: pairing::AttemptId, now: Timestamp) -> PendingAttempt {
        PendingAttempt {
            id: AttemptId(id.get()),
            address: self.address,
            name: self.device.clone(),
            fingerprint: self.fingerprint,
            age_seconds: now.saturating_since(self.since).as_secs(),
        }
    }

    pub(super) fn enter(
        self,
        pin: Pin,
        name: Option<String>,
        result: watch::Sender<Option<PairingResult>>,
    ) -> Result<(), PinRefused> {
        // Its connection may have ended in this very moment.
        self.pin.send((pin, name, result)).map_err(|_| PinRefused::NoSuchAttempt)
    }
}

impl PairingServer {
    /// Waits for the PIN of a client that shows one. Dropping the future ends the attempt.
    ///
    /// # Errors
    /// [`NoPin`].
    pub async fn native_pin(
        &self,
        address: IpAddr,
        device: Option<String>,
        fingerprint: Fingerprint,
    ) -> Result<NativeAttempt, NoPin> {
        let (address, now) = (address.to_canonical(), self.now());
        let (pin, typed) = oneshot::channel();
        let id = {
            let mut state = self.state();
            state.expire(now);
            let others: Vec<_> = state.native.values().map(|waiting| waiting.address).collect();
            let Some(id) = state.attempts.admit(address, &others, now) else {
                state.outcomes.refused += 1;
                return Err(NoPin::TooMany);
            };
            state.native.insert(id, Waiting { address, device: device.clone(), fingerprint, since: now, pin });
            id
        };
        let _forgotten = Forget { server: self, id };
        tracing::info!(%address, attempt = id.get(), "a client waits for its PIN: `lumen pair`");
        match tokio::time::timeout(LIMITS.pin_entry, typed).await {
            Ok(Ok((pin, name, result))) => Ok(NativeAttempt { pin, address, device, name, result }),
            _ => {
                self.state().outcomes.refused += 1;
                Err(NoPin::TooLate)
            }
        }
    }
}

impl NativeAttempt {
    /// The PIN that was entered.
    pub fn pin(&self) -> String {
        self.pin.reveal()
    }

    /// The client showed that it has the PIN: its certificate is pinned, for good when this returns.
    ///
    /// # Errors
    /// What the store said, for the client's user.
    pub async fn succeed(
        self,
        server: &PairingServer,
        certificate: Certificate,
        store: &Arc<Store>,
    ) -> Result<(), String> {
        let Self { address, device, name, result, .. } = self;
        server.remember(address, name, device, result, certificate, Arc::clone(store)).await
    }

    /// The client did not. It gets no other try with this PIN.
    pub fn fail(self, server: &PairingServer) {
        tracing::info!(address = %self.address, "pairing refused: wrong PIN");
        server.state().outcomes.refused += 1;
        let reason = "the PIN is not the one that the client shows".to_owned();
        self.result.send_replace(Some(PairingResult::Failed { reason }));
    }
}

/// Takes an attempt away with its connection.
struct Forget<'a> {
    server: &'a PairingServer,
    id: pairing::AttemptId,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.server.state().native.remove(&self.id);
    }
}
