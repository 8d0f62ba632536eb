//! `[discovery]`: which installed applications are on offer beside those of `[[apps]]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[discovery]`: installed applications that are on offer as well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DiscoveryConfig {
    /// Whether installed games of Steam are on offer.
    pub steam: bool,
    /// Whether installed games of Lutris are on offer.
    pub lutris: bool,
    /// Whether installed games of Heroic (Epic, GOG, Amazon, own ones) are on offer.
    pub heroic: bool,
    /// Whether programs of the desktop's menu are on offer. There are often many that nobody streams.
    pub desktop_entries: bool,
    /// Titles that are not on offer, however they were found.
    #[schemars(example = ["Godot Engine"])]
    pub hidden: Vec<String>,
}

impl Default for DiscoveryConfig {
    fn default() -> Self {
        Self { steam: true, lutris: true, heroic: true, desktop_entries: false, hidden: Vec::new() }
    }
}

impl DiscoveryConfig {
    /// Nothing is on offer but what is configured.
    pub fn off() -> Self {
        Self { steam: false, lutris: false, heroic: false, ..Self::default() }
    }
}
