//! Values of the configuration that are valid by construction.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The base port: the plain HTTP port, from which all other ports derive (protocol part 1, section 1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct BasePort(u16);

impl BasePort {
    /// The port that clients try when they are given none.
    pub const DEFAULT: Self = Self(47989);
    /// Least base port: HTTPS is five below and must not be privileged.
    pub const MIN: u16 = 1029;
    /// Greatest base port: RTSP is 21 above.
    pub const MAX: u16 = 65_514;

    /// The base port `port`, unless a port derived from it would lie outside 1024..=65535.
    pub const fn new(port: u16) -> Option<Self> {
        if port >= Self::MIN && port <= Self::MAX { Some(Self(port)) } else { None }
    }

    /// As a number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<i64> for BasePort {
    type Error = String;

    fn try_from(port: i64) -> Result<Self, String> {
        u16::try_from(port).ok().and_then(Self::new).ok_or_else(|| format!("{port} is out of range"))
    }
}

impl From<BasePort> for i64 {
    fn from(port: BasePort) -> Self {
        i64::from(port.0)
    }
}

impl JsonSchema for BasePort {
    fn schema_name() -> Cow<'static, str> {
        "BasePort".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": Self::MIN, "maximum": Self::MAX })
    }
}

impl fmt::Display for BasePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Parity in percent of the data packets, 0..=100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct FecPercent(u8);

impl FecPercent {
    /// One parity packet for five data packets.
    pub const DEFAULT: Self = Self(20);

    /// As a number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<i64> for FecPercent {
    type Error = String;

    fn try_from(percent: i64) -> Result<Self, String> {
        u8::try_from(percent)
            .ok()
            .filter(|percent| *percent <= 100)
            .map(Self)
            .ok_or_else(|| format!("{percent} is out of range"))
    }
}

impl From<FecPercent> for i64 {
    fn from(percent: FecPercent) -> Self {
        i64::from(percent.0)
    }
}

impl JsonSchema for FecPercent {
    fn schema_name() -> Cow<'static, str> {
        "FecPercent".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 0, "maximum": 100 })
    }
}

/// A name to show to people: 1 to 64 characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostName(String);

impl HostName {
    /// Most characters.
    const MAX: usize = 64;

    /// The kernel's name of this machine up to the first dot, or `lumen`.
    pub fn of_this_machine() -> Self {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let label = name.split('.').next().unwrap_or_default().to_owned();
        Self::try_from(label).unwrap_or_else(|_| Self("lumen".to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for HostName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let trimmed = name.trim();
        if trimmed.is_empty() {
            return Err("a name must not be empty".to_owned());
        }
        if trimmed.chars().count() > Self::MAX {
            return Err(format!("a name has at most {} characters", Self::MAX));
        }
        if trimmed.chars().any(char::is_control) {
            return Err("a name must not contain control characters".to_owned());
        }
        Ok(Self(trimmed.to_owned()))
    }
}

impl From<HostName> for String {
    fn from(name: HostName) -> Self {
        name.0
    }
}

impl JsonSchema for HostName {
    fn schema_name() -> Cow<'static, str> {
        "HostName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": Self::MAX })
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_port_keeps_all_derived_ports_legal() {
        assert!(BasePort::new(1028).is_none());
        assert!(BasePort::new(1029).is_some());
        assert!(BasePort::new(65_514).is_some());
        assert!(BasePort::new(65_515).is_none());
        assert!(BasePort::try_from(-1).is_err());
    }

    #[test]
    fn names_are_trimmed_and_bounded() {
        assert_eq!(HostName::try_from(" den ".to_owned()).map(String::from), Ok("den".to_owned()));
        assert!(HostName::try_from("  ".to_owned()).is_err());
        assert!(HostName::try_from("x".repeat(65)).is_err());
        assert!(HostName::try_from("a\nb".to_owned()).is_err());
    }
}
