//! `[web]` and `[metrics]`: what browsers and monitoring may reach.

use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[web]`: the console for browsers. It is off unless an address is set, and wants a token of whoever opens it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WebConfig {
    /// Address and port to listen on: a loopback address by HTTP, any other by HTTPS with the host's own certificate.
    #[schemars(example = &"127.0.0.1:47990")]
    pub listen: Option<SocketAddr>,
    /// File with the token; unset is `web-token` in the state directory, made when missing.
    #[schemars(example = &"/run/secrets/lumen-web")]
    pub token_file: Option<PathBuf>,
    /// Names under which browsers may ask for it, beside addresses and `localhost`: that of a proxy, or of this machine.
    #[schemars(example = ["den.example"])]
    pub names: Vec<String>,
}

/// `[metrics]`: what this host does, for Prometheus. It is off unless an address is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsConfig {
    /// Address and port to listen on: a loopback address by HTTP, any other by HTTPS with the host's own certificate.
    #[schemars(example = &"127.0.0.1:9464")]
    pub listen: Option<SocketAddr>,
    /// File with the bearer token that scrapers must send, made when missing. A loopback address can do without.
    #[schemars(example = &"/run/secrets/lumen-metrics")]
    pub token_file: Option<PathBuf>,
}
