//! Configuration: one typed value, made once at start from layers (defaults < file < environment < flags).
//!
//! [`load`] merges the layers and refuses what it does not know; everything else in the host receives a
//! [`Config`] that is already valid. Nothing here is changed at run time: what is declared stays as declared.
//! `lumen config schema` prints the JSON Schema of [`Config`], from the same types.

mod apps;
mod check;
mod clients;
mod directories;
mod discovery;
mod error;
mod grants;
mod keys;
mod listeners;
mod load;
mod rules;
mod values;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::encode::{EncoderName, EncoderPreference, NvencOptions, NvencPreset, X264Preset};

pub use apps::{AppConfig, DisplayKind, Instance, OnExit};
pub use clients::{ClientConfig, DeclaredIdentity};
pub(crate) use directories::state_dir;
pub use discovery::DiscoveryConfig;
pub use error::{ConfigError, Place};
pub use grants::{Grants, InputKind, OwnGrants};
pub use listeners::{MetricsConfig, WebConfig};
pub use load::{DEFAULT_FILE, ENV_PREFIX, Loaded, Overrides, Sources, load};
pub use values::{BasePort, FecPercent, HostName};

/// Everything that an operator can decide.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Name that clients show for this host.
    #[schemars(example = &"living room")]
    pub name: HostName,
    /// Addresses to listen on. `::` takes IPv4 as well, and gives way to `0.0.0.0` where there is no IPv6.
    #[schemars(example = ["192.168.1.20", "fd00::20"])]
    pub bind: Vec<IpAddr>,
    /// Base port; all others lie at fixed distances from it (HTTPS -5, HTTP 0, video +9, control +10, audio +11,
    /// RTSP +21).
    pub port: BasePort,
    /// Directory for what must outlive a restart: identity, paired clients.
    pub state_dir: PathBuf,
    /// Directory for what must not: the admin socket.
    pub runtime_dir: PathBuf,
    /// Whether to announce this host by mDNS.
    pub mdns: bool,
    /// Whether clients may pair and launch by lumen/1 itself, over QUIC, as well: on UDP at the number of the HTTPS port,
    /// -5. Only lumen's own client does; an open port that nobody asks is left closed.
    pub quic: bool,
    /// How streams are sent.
    pub stream: StreamConfig,
    /// How pictures are compressed.
    pub encoder: EncoderSettings,
    /// How sound is compressed.
    pub audio: AudioSettings,
    /// What clients can start. An empty list gives the built-in test cards.
    pub apps: Vec<AppConfig>,
    /// Installed applications that are on offer as well.
    pub discovery: DiscoveryConfig,
    /// Clients that may stream without a PIN. They cannot be removed or changed at run time.
    pub clients: Vec<ClientConfig>,
    /// What a client may do of which nothing else is said.
    pub grants: Grants,
    /// What is logged, and how.
    pub log: LogConfig,
    /// The management interface.
    pub admin: AdminConfig,
    /// The console for browsers.
    pub web: WebConfig,
    /// What this host does, for Prometheus.
    pub metrics: MetricsConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: HostName::of_this_machine(),
            bind: vec![IpAddr::V6(Ipv6Addr::UNSPECIFIED)],
            port: BasePort::DEFAULT,
            state_dir: directories::state_dir(),
            runtime_dir: directories::runtime_dir(),
            mdns: true,
            quic: false,
            stream: StreamConfig::default(),
            encoder: EncoderSettings::default(),
            audio: AudioSettings::default(),
            apps: Vec::new(),
            discovery: DiscoveryConfig::default(),
            clients: Vec::new(),
            grants: Grants::default(),
            log: LogConfig::default(),
            admin: AdminConfig::default(),
            web: WebConfig::default(),
            metrics: MetricsConfig::default(),
        }
    }
}

impl Config {
    /// The applications on offer: those configured, or the built-in test cards.
    pub fn effective_apps(&self) -> Vec<AppConfig> {
        if self.apps.is_empty() { AppConfig::built_in() } else { self.apps.clone() }
    }

    /// Path of the admin socket.
    pub fn admin_socket(&self) -> PathBuf {
        self.runtime_dir.join("admin.sock")
    }

    /// Path of the file with the bearer token of the admin TCP listener.
    pub fn admin_token_file(&self) -> PathBuf {
        self.admin.token_file.clone().unwrap_or_else(|| self.state_dir.join("admin-token"))
    }

    /// Path of the file with the token of the web console.
    pub fn web_token_file(&self) -> PathBuf {
        self.web.token_file.clone().unwrap_or_else(|| self.state_dir.join("web-token"))
    }

    /// JSON Schema of the configuration file.
    pub fn json_schema() -> serde_json::Value {
        schemars::schema_for!(Config).to_value()
    }
}

/// `[stream]`: how streams are sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StreamConfig {
    /// Parity in percent of the data packets of a video frame. Small frames get more than this.
    pub fec_percentage: FecPercent,
    /// Whether parity follows what a client says of the network (`adaptive`: for lumen/1 never more than `fec_percentage` in
    /// the long run, for stock clients never more than 35 % or that) or is always that percentage (`fixed`).
    pub fec: Fec,
    /// Least number of parity packets in a protected block of a video frame.
    #[schemars(range(max = 64))]
    pub min_parity: u8,
    /// Seconds for which the session of a vanished client is kept for it to come back; 0 ends it at once.
    pub keep_alive: u32,
    /// Sessions at the same time, over all clients.
    #[schemars(range(min = 1, max = 64))]
    pub max_sessions: u16,
    /// Whether streams are encrypted.
    pub encryption: Encryption,
    /// Least video bit rate in kbit/s, whatever a client asks for.
    #[schemars(range(min = 100))]
    pub min_bitrate_kbps: u32,
    /// Greatest video bit rate in kbit/s, whatever a client asks for.
    #[schemars(range(min = 100))]
    pub max_bitrate_kbps: u32,
    /// Whether the packets of a frame are spread over time (`deadline`) or sent at once (`off`).
    pub pacing: Pacing,
    /// Whether packets carry DSCP marks (video and audio expedited).
    pub dscp: bool,
    /// Whether sending threads ask for a real-time scheduling class. Refusal is not an error.
    pub realtime: bool,
    /// Whether lumen/1 is offered to clients that ask for it. Stock clients never notice.
    pub lumen1: bool,
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self {
            fec_percentage: FecPercent::DEFAULT,
            fec: Fec::Adaptive,
            min_parity: 2,
            keep_alive: 300,
            max_sessions: 8,
            encryption: Encryption::Opportunistic,
            min_bitrate_kbps: 500,
            max_bitrate_kbps: 500_000,
            pacing: Pacing::Deadline,
            dscp: true,
            realtime: true,
            lumen1: true,
        }
    }
}

/// Whether streams are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// Whatever the client can encrypt is encrypted.
    Opportunistic,
    /// Clients that cannot encrypt everything are refused.
    Required,
    /// Nothing that can go unencrypted is encrypted.
    Never,
}

/// How much parity frames get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Fec {
    /// As much as the network asks for, within a budget.
    Adaptive,
    /// A percentage.
    Fixed,
}

/// How the packets of a frame are spread over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Pacing {
    /// Batches leave at absolute deadlines within the frame interval.
    Deadline,
    /// All packets leave at once.
    Off,
}

/// `[encoder]`: how pictures are compressed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EncoderSettings {
    /// The only encoder to use; unset takes the best one that works here for each format.
    #[schemars(example = &"x264")]
    pub only: Option<EncoderName>,
    /// Preset of x264; slower ones look better at the same rate and cost more time.
    pub x264_preset: X264Preset,
    /// Preset of NVENC; higher ones look better at the same rate and cost more time.
    pub nvenc_preset: NvencPreset,
    /// Whether NVENC renews the picture bit by bit all the time: what was lost heals without a key frame, at some cost of
    /// quality.
    pub intra_refresh: bool,
}

impl EncoderSettings {
    /// As encoders are asked for.
    pub fn preference(&self) -> EncoderPreference {
        let nvenc = NvencOptions { preset: self.nvenc_preset, intra_refresh: self.intra_refresh };
        EncoderPreference { encoder: self.only, x264_preset: self.x264_preset, nvenc }
    }
}

/// `[audio]`: how sound is compressed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AudioSettings {
    /// Effort of the Opus encoder; more sounds better at the same rate and costs more time.
    #[schemars(range(max = 10))]
    pub complexity: u8,
}

impl Default for AudioSettings {
    fn default() -> Self {
        Self { complexity: 5 }
    }
}

/// `[log]`: what is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// Level or filter, such as `info` or `info,lumen_host::session=debug`.
    #[schemars(example = &"info,lumen_host::session=debug")]
    pub filter: String,
    /// Form of a line.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Text }
    }
}

/// Form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[admin]`: the management interface. It is always on a Unix socket that only this user can open.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdminConfig {
    /// Loopback address and port to listen on as well, for callers with the bearer token.
    #[schemars(example = &"127.0.0.1:47980")]
    pub listen: Option<SocketAddr>,
    /// File with that token; unset is `admin-token` in the state directory, made when missing.
    #[schemars(example = &"/run/secrets/lumen-admin")]
    pub token_file: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_apps_the_test_cards_are_on_offer() {
        let apps = Config::default().effective_apps();
        let named: Vec<(&str, DisplayKind)> = apps.iter().map(|app| (app.name.as_str(), app.display)).collect();
        assert_eq!(
            named,
            [("Test card", DisplayKind::Testcard), ("Test card, full motion", DisplayKind::TestcardMotion)]
        );
    }

    #[test]
    fn schema_names_every_section() {
        let schema = Config::json_schema();
        let properties = schema["properties"].as_object().expect("an object schema");
        for section in ["name", "port", "stream", "encoder", "audio", "apps", "discovery", "clients", "log", "admin"] {
            assert!(properties.contains_key(section), "{section} is missing");
        }
        assert_eq!(schema["additionalProperties"], false);
    }
}
