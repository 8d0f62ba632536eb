//! Who may ask over TCP: the name under which this host was asked for, the token, and how often a wrong one may be tried.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, StatusCode, Uri, header};

use super::server::Failure;
use super::token;

/// Wrong tokens that one address may try within [`WINDOW`].
const TRIES: u32 = 10;
/// How long they count.
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are remembered.
const ADDRESSES: usize = 256;

/// Whether a request was meant for this host, by the name that its sender knows. A page of another site can make a browser
/// ask here under its own name (DNS rebinding), but never under an address, `localhost`, or a name that the operator gave.
pub(super) fn is_meant_for_us(uri: &Uri, headers: &HeaderMap, names: &[String]) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let Ok(host) = host.to_str() else { return false };
    // An absolute target is for proxies; where there is one, it must say the same.
    is_ours(host, names) && uri.authority().is_none_or(|authority| authority.as_str() == host)
}

fn is_ours(authority: &str, names: &[String]) -> bool {
    let Some(name) = without_port(authority) else { return false };
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    address.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

fn without_port(authority: &str) -> Option<&str> {
    let (name, port) = match authority.rfind(']') {
        Some(end) => (authority.get(..=end)?, authority.get(end + 1..)?.strip_prefix(':')),
        None => match authority.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (authority, None),
        },
    };
    port.is_none_or(|port| port.parse::<u16>().is_ok()).then_some(name)
}

/// What became of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It is the right one.
    Right,
    /// It is not.
    Wrong,
    /// Its address has tried too often; whether it is right was not looked at.
    TooOften {
        /// When it may try again.
        after: Duration,
    },
}

/// The token, and who tried others.
#[derive(Debug)]
pub(super) struct Guard {
    token: String,
    wrong: Mutex<HashMap<IpAddr, Tries>>,
}

#[derive(Debug)]
struct Tries {
    count: u32,
    since: Instant,
}

impl Guard {
    pub(super) fn new(token: String) -> Self {
        Self { token, wrong: Mutex::default() }
    }

    /// Lets in whoever brings the token, and tells others why not.
    pub(super) fn admit(&self, given: &str, from: IpAddr) -> Result<(), Failure> {
        match self.judge(given, from.to_canonical(), Instant::now()) {
            Verdict::Right => Ok(()),
            Verdict::Wrong => {
                tracing::warn!(%from, "a wrong token was tried");
                Err(Failure::new(StatusCode::UNAUTHORIZED, "this is not the token"))
            }
            Verdict::TooOften { after } => {
                let seconds = after.as_secs() + 1;
                let why = format!("too many wrong tokens came from {from}; try again in {seconds} s");
                Err(Failure::new(StatusCode::TOO_MANY_REQUESTS, why).retry_after(seconds))
            }
        }
    }

    /// Looks at a token that `from` gave at the time `now`.
    fn judge(&self, given: &str, from: IpAddr, now: Instant) -> Verdict {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        wrong.retain(|_, tries| now.saturating_duration_since(tries.since) < WINDOW);
        if let Some(tries) = wrong.get(&from).filter(|tries| tries.count >= TRIES) {
            return Verdict::TooOften { after: WINDOW.saturating_sub(now.saturating_duration_since(tries.since)) };
        }
        if token::is(&self.token, given) {
            return Verdict::Right;
        }
        if wrong.len() < ADDRESSES || wrong.contains_key(&from) {
            wrong.entry(from).or_insert(Tries { count: 0, since: now }).count += 1;
            return Verdict::Wrong;
        }
        // More addresses than anybody has by chance: they wait for each other.
        Verdict::TooOften { after: WINDOW }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_addresses_localhost_and_given_names_are_ours() {
        let names = ["den.example".to_owned()];
        for host in [
            "127.0.0.1:47990",
            "192.168.1.20",
            "[::1]:47990",
            "[fe80::1]",
            "localhost:1",
            "LOCALHOST",
            "Den.Example:443",
        ] {
            assert!(is_ours(host, &names), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "den.example.",
            "a:b",
            "localhost:x",
        ] {
            assert!(!is_ours(host, &names), "{host}");
        }
    }

    #[test]
    fn one_host_header_must_be_there_and_agree_with_the_target() {
        let mut headers = HeaderMap::new();
        let target = Uri::from_static("/v1/status");
        assert!(!is_meant_for_us(&target, &headers, &[]));
        headers.append(header::HOST, HeaderValue::from_static("localhost"));
        assert!(is_meant_for_us(&target, &headers, &[]));
        assert!(!is_meant_for_us(&Uri::from_static("http://evil.example/"), &headers, &[]));
        headers.append(header::HOST, HeaderValue::from_static("localhost"));
        assert!(!is_meant_for_us(&target, &headers, &[]));
    }

    #[test]
    fn an_address_that_guesses_is_made_to_wait_even_with_the_right_token() {
        let guard = Guard::new("0123456789abcdef".to_owned());
        let (guesser, other): (IpAddr, IpAddr) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        let now = Instant::now();
        for _ in 0..TRIES {
            assert_eq!(guard.judge("wrong", guesser, now), Verdict::Wrong);
        }
        assert_eq!(guard.judge("0123456789abcdef", guesser, now), Verdict::TooOften { after: WINDOW });
        assert_eq!(guard.judge("0123456789abcdef", other, now), Verdict::Right);
        assert_eq!(guard.judge("0123456789abcdef", guesser, now + WINDOW), Verdict::Right);
    }

    #[test]
    fn many_addresses_are_not_remembered_without_end() {
        let guard = Guard::new("0123456789abcdef".to_owned());
        let now = Instant::now();
        for number in 0..2 * ADDRESSES as u32 {
            guard.judge("wrong", IpAddr::from(number.to_be_bytes()), now);
        }
        assert_eq!(guard.wrong.lock().expect("unpoisoned").len(), ADDRESSES);
    }
}
