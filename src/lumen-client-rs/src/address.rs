//! Where a host is: a name or address with the port from which all its other ports derive.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use lumen_core::gamestream::http::Ports;

use crate::ClientError;

/// A host as a user names it: `name`, `name:port`, `192.0.2.1:47989`, `2001:db8::1` or `[2001:db8::1]:47989`. The port
/// is that of plain HTTP, 47989 unless given.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostAddress {
    host: String,
    port: u16,
}

impl HostAddress {
    /// The host at an address and HTTP port.
    pub fn new(ip: IpAddr, port: u16) -> Self {
        Self { host: ip.to_string(), port }
    }

    /// Name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Port of plain HTTP.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// All addresses of the host, those to try first in front.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] if the name means nothing.
    pub fn resolve(&self) -> Result<Vec<SocketAddr>, ClientError> {
        let unreachable = |reason: String| ClientError::Unreachable { address: self.to_string(), reason };
        let found =
            (self.host.as_str(), self.port).to_socket_addrs().map_err(|error| unreachable(error.to_string()))?;
        let found: Vec<_> = found.collect();
        if found.is_empty() { Err(unreachable("the name has no address".into())) } else { Ok(found) }
    }
}

impl From<SocketAddr> for HostAddress {
    fn from(address: SocketAddr) -> Self {
        let host = match address {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
            other => other.ip().to_string(),
        };
        Self { host, port: address.port() }
    }
}

impl fmt::Display for HostAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for HostAddress {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        let wrong = || ClientError::Usage(format!("{text:?} is no address; write NAME, NAME:PORT or [IPV6]:PORT"));
        let port = |digits: &str| digits.parse::<u16>().ok().filter(|port| *port != 0).ok_or_else(wrong);
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (host, rest) = rest.split_once(']').ok_or_else(wrong)?;
            match rest.strip_prefix(':') {
                Some(digits) => (host, port(digits)?),
                None if rest.is_empty() => (host, Ports::DEFAULT_BASE),
                None => return Err(wrong()),
            }
        } else {
            match text.split_once(':') {
                Some((host, digits)) if !digits.contains(':') => (host, port(digits)?),
                _ => (text, Ports::DEFAULT_BASE),
            }
        };
        if host.is_empty() || host.chars().any(|c| c.is_whitespace() || c.is_control() || c == '/') {
            return Err(wrong());
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl TryFrom<String> for HostAddress {
    type Error = ClientError;

    fn try_from(text: String) -> Result<Self, ClientError> {
        text.parse()
    }
}

impl From<HostAddress> for String {
    fn from(address: HostAddress) -> Self {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_read_with_and_without_port() {
        for (text, host, port) in [
            ("tower", "tower", 47989),
            ("tower:41000", "tower", 41000),
            ("192.0.2.7", "192.0.2.7", 47989),
            ("::1", "::1", 47989),
            ("[::1]", "::1", 47989),
            ("[2001:db8::1]:41000", "2001:db8::1", 41000),
        ] {
            let address: HostAddress = text.parse().unwrap();
            assert_eq!((address.host(), address.port()), (host, port), "{text}");
            assert_eq!(address.to_string().parse::<HostAddress>().unwrap(), address);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", ":1", "a b", "tower:", "tower:0", "tower:70000", "[::1", "[::1]x", "http://tower"] {
            assert!(text.parse::<HostAddress>().is_err(), "{text}");
        }
    }
}
