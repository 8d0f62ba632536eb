//! `/pair` and `/unpair`: requests as the host reads them, whole attempts, and replies as the client reads them.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use lumen_core::gamestream::http::Channel;
use lumen_core::gamestream::pairing::{
    HostPairing, Identity, PairPath, PairPhase, PairReply, PairingLimits, PinTarget, Validity,
};
use lumen_core::time::Timestamp;

static IDENTITY: LazyLock<Arc<Identity>> = LazyLock::new(|| {
    let mut entropy = |buffer: &mut [u8]| buffer.fill(1);
    Arc::new(Identity::generate("fuzz", Validity::twenty_years(0), &mut entropy).expect("OpenSSL works"))
});

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let mut entropy = |buffer: &mut [u8]| buffer.fill(2);
    let mut host = HostPairing::new(Arc::clone(&IDENTITY), PairingLimits::default());
    let from = IpAddr::V4(Ipv4Addr::LOCALHOST);
    // Each line is a request; a line `pin` is the user.
    for line in text.lines().take(8) {
        if line == "pin" {
            let _ = host.enter_pin(PinTarget::Only, "4217".parse().expect("a PIN"), Timestamp::ZERO);
            continue;
        }
        let query = line.split_once('?').map_or(line, |(_, query)| query);
        let path = if line.starts_with("/unpair") { PairPath::Unpair } else { PairPath::Pair };
        let _ = host.handle(from, path, query, Channel::Http, Timestamp::ZERO, &mut entropy);
    }
    for phase in [PairPhase::GetServerCertificate, PairPhase::ClientChallenge, PairPhase::ServerChallengeResponse] {
        let _ = PairReply::parse(phase, &text);
    }
});
