//! `[[apps]]`: what clients can start.

use std::collections::BTreeMap;
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
    /// What it runs on. `auto`, with a command, takes the best that works here; without one, the test card.
    #[serde(default)]
    pub display: DisplayKind,
    /// Whether it gets a compositor of its own or a further output of one that runs already.
    #[serde(default)]
    pub instance: Instance,
    /// Program and arguments. Empty, the session shows the compositor alone.
    #[serde(default)]
    #[schemars(example = ["steam", "-gamepadui"])]
    pub command: Vec<String>,
    /// Variables for the program and its steps, over those of the session.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Where the program starts; unset, in the home directory.
    #[serde(default)]
    pub directory: Option<PathBuf>,
    /// Commands that must succeed, one after another, before anything of the session starts.
    #[serde(default)]
    pub before: Vec<Vec<String>>,
    /// Commands that run, one after another, once the session has ended, however it did.
    #[serde(default)]
    pub after: Vec<Vec<String>>,
    /// What follows when the program ends by itself.
    #[serde(default)]
    pub on_exit: OnExit,
    /// Box art (PNG or JPEG, portrait 3:4); unset gets a drawn one. A relative path starts at the configuration file.
    #[serde(default)]
    #[schemars(example = &"art/testcard.png")]
    pub image: Option<PathBuf>,
}

impl AppConfig {
    /// An application of this name on a display of this kind, and nothing else.
    pub fn new(name: HostName, display: DisplayKind) -> Self {
        Self {
            name,
            id: None,
            display,
            instance: Instance::default(),
            command: Vec::new(),
            environment: BTreeMap::new(),
            directory: None,
            before: Vec::new(),
            after: Vec::new(),
            on_exit: OnExit::default(),
            image: None,
        }
    }

    /// The applications that are on offer when none is configured: one for each built-in display.
    pub fn built_in() -> Vec<Self> {
        [("Test card", DisplayKind::Testcard), ("Test card, full motion", DisplayKind::TestcardMotion)]
            .into_iter()
            .map(|(name, display)| {
                let name = HostName::try_from(name.to_owned()).unwrap_or_else(|_| HostName::of_this_machine());
                Self::new(name, display)
            })
            .collect()
    }
}

/// Kinds of displays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DisplayKind {
    /// The built-in test card.
    Testcard,
    /// The built-in test card over a background that moves everywhere: it needs the whole bit rate.
    #[serde(rename = "testcard-motion")]
    TestcardMotion,
    /// The first of the others that works here; the test card where there is no command.
    #[default]
    Auto,
    /// gamescope, without a screen of its own: made for games.
    Gamescope,
    /// KWin.
    Kwin,
    /// Mutter, the compositor of GNOME.
    Mutter,
    /// sway or another compositor on wlroots.
    Wlroots,
    /// Mirrors the desktop that runs already, by way of its portal.
    Portal,
}

impl DisplayKind {
    /// The name in logs and configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Testcard => "testcard",
            Self::TestcardMotion => "testcard-motion",
            Self::Auto => "auto",
            Self::Gamescope => "gamescope",
            Self::Kwin => "kwin",
            Self::Mutter => "mutter",
            Self::Wlroots => "wlroots",
            Self::Portal => "portal",
        }
    }
}

/// Whose compositor a session's display belongs to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Instance {
    /// One that is started for the session and ends with it.
    #[default]
    Own,
    /// The one that runs already: it gets another output, which goes away with the session.
    Running,
}

/// What follows when an application ends by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnExit {
    /// The session ends.
    #[default]
    End,
    /// The session goes on with the bare compositor.
    Stay,
}
