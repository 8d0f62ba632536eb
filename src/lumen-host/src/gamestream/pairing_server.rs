//! Pairing attempts of all clients (protocol part 1, sections 3.3 to 3.7).
//!
//! Each attempt is a state machine of `lumen-core`, kept under the client's address and `uniqueid`; this module
//! gives it requests and the PIN. Phase 1 is held until the PIN arrives. Attempts do not see each other: they have
//! their own PIN, and one PIN is one try. Nothing is pinned before the store has it on disk, and nothing here can
//! un-pin: that is for the operator.

mod limiter;
mod table;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use lumen_core::gamestream::http::{Channel, ErrorReply};

pub use table::{AttemptId, PendingAttempt};

use crate::admin::PairingResult;
use crate::store::{HostIdentity, Store};
use table::Table;

/// How long a client may wait for its PIN.
const PIN_WAIT: Duration = Duration::from_secs(5 * 60);

/// Why a PIN was not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PinRefused {
    /// Not four digits.
    #[error("a PIN is four digits, as the client shows them")]
    NotAPin,
    /// No client is pairing.
    #[error("no client is waiting for a PIN; choose this host on the client first")]
    NobodyWaits,
    /// The chosen one is gone.
    #[error("that client is no longer waiting for a PIN")]
    NoSuchAttempt,
    /// It is not clear whose PIN it is.
    #[error("{} clients are waiting for a PIN; say which one it is for by its address or number", .0.len())]
    SeveralWait(Vec<PendingAttempt>),
}

/// The pairing attempts of this host.
pub struct PairingServer {
    identity: Arc<HostIdentity>,
    table: Mutex<Table<()>>,
}

impl PairingServer {
    /// No attempts yet.
    pub fn new(identity: Arc<HostIdentity>) -> Self {
        Self { identity, table: Mutex::default() }
    }

    /// Answers `/pair`. Phase 1 is answered when its PIN was entered.
    pub async fn answer(&self, query: &str, peer: SocketAddr, channel: Channel, store: &Arc<Store>) -> String {
        let _ = (query, peer, channel, store, &self.identity, PIN_WAIT, SystemTime::now());
        ErrorReply::new(400, "not yet").to_xml()
    }

    /// Answers `/unpair`: an attempt of this client ends. What is pinned stays, since anybody can ask for this.
    pub fn unpair(&self, query: &str, peer: SocketAddr) -> String {
        let _ = (query, peer);
        ErrorReply::new(400, "not yet").to_xml()
    }

    /// Clients that wait for their PIN, longest first.
    pub fn pending(&self) -> Vec<PendingAttempt> {
        self.table().pending(Instant::now())
    }

    /// Enters the PIN that a client shows. `id` and `address` say which, where several wait; `name` is what to
    /// remember it by.
    ///
    /// # Errors
    /// [`PinRefused`]; then no attempt was touched.
    pub fn enter_pin(
        &self,
        pin: &str,
        id: Option<AttemptId>,
        address: Option<IpAddr>,
        name: Option<String>,
    ) -> Result<AttemptId, PinRefused> {
        let _ = pin;
        self.table().enter_pin(id, address, name, Instant::now(), |()| String::new())
    }

    /// Waits for what becomes of an attempt whose PIN was entered, at most `limit`.
    pub async fn outcome(&self, id: AttemptId, limit: Duration) -> PairingResult {
        let failed = |reason: &str| PairingResult::Failed { reason: reason.to_owned() };
        let Some(mut result) = self.table().result(id) else { return failed("that attempt was too long ago") };
        match tokio::time::timeout(limit, result.wait_for(Option::is_some)).await {
            Ok(Ok(known)) => known.clone().unwrap_or_else(|| failed("it ended without a result")),
            Ok(Err(_)) => failed("the client gave up; most likely the PIN was not the one it shows"),
            Err(_) => failed("the client did not go on; most likely the PIN was not the one it shows"),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table<()>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
