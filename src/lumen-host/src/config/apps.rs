//! `[[apps]]`: what clients can start.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HostName;

/// One application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AppConfig {
    /// Title that clients show; unique.
    #[schemars(example = &"Test card")]
    pub name: HostName,
    /// Number by which clients know it, 1..=2147483647. Unset, the host chooses one and keeps it.
    #[serde(default)]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub id: Option<u32>,
    /// What it runs on.
    #[serde(default)]
    pub display: DisplayKind,
    /// Box art (PNG, portrait 3:4); unset gets a drawn one. A relative path starts at the configuration file.
    #[serde(default)]
    #[schemars(example = &"art/testcard.png")]
    pub image: Option<PathBuf>,
}

impl AppConfig {
    /// The applications that are on offer when none is configured: one for each built-in display.
    pub fn built_in() -> Vec<Self> {
        [("Test card", DisplayKind::Testcard), ("Test card, full motion", DisplayKind::TestcardMotion)]
            .into_iter()
            .map(|(name, display)| Self {
                name: HostName::try_from(name.to_owned()).unwrap_or_else(|_| HostName::of_this_machine()),
                id: None,
                display,
                image: None,
            })
            .collect()
    }
}

/// Kinds of displays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DisplayKind {
    /// The built-in test card.
    #[default]
    Testcard,
    /// The built-in test card over a background that moves everywhere: it needs the whole bit rate.
    #[serde(rename = "testcard-motion")]
    TestcardMotion,
}
