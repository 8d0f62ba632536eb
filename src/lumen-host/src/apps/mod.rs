//! Applications that are installed on this machine: programs of the desktop's menu, games of Steam, Lutris and Heroic.
//!
//! Everything here reads files that belong to other programs, or to nobody in particular. A file that is broken, too
//! large or not a file is named in the log and left out; none can stop or delay the host. Nothing is ever written, and
//! nothing is started. Which applications are on offer at last is the catalogue's to say.

mod desktop_entries;
mod desktop_entry;
mod findings;
mod heroic;
mod icons;
mod lutris;
mod steam;
mod surroundings;
mod vdf;

use std::path::PathBuf;

use crate::config::DiscoveryConfig;

pub use findings::{Findings, Stamp, stamp};
pub use surroundings::Surroundings;

/// Most applications that are taken; those beyond are left out.
pub const MOST: usize = 500;

/// Who knows an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Steam.
    Steam,
    /// Lutris.
    Lutris,
    /// Heroic.
    Heroic,
    /// The menu of the desktop.
    Menu,
}

impl Source {
    /// The name for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Steam => "Steam",
            Self::Lutris => "Lutris",
            Self::Heroic => "Heroic",
            Self::Menu => "Menu",
        }
    }
}

/// A picture for an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Art {
    /// Fills the whole box.
    Poster(PathBuf),
    /// A small square one.
    Icon(PathBuf),
}

/// An application that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovered {
    /// Stays the same for as long as it is installed, whatever its title becomes; unique.
    pub key: String,
    /// Who knows it.
    pub source: Source,
    /// Its title: not empty, without control characters.
    pub title: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Where it starts; unset, in the home directory.
    pub directory: Option<PathBuf>,
    /// Its picture, if one was found.
    pub art: Option<Art>,
}

/// Looks for what `config` asks for. Sorted by source and title, and no more than [`MOST`].
pub fn discover(config: &DiscoveryConfig, surroundings: &Surroundings) -> Findings {
    let mut findings = Findings::default();
    // A launcher that is installed later makes its games count.
    surroundings.path.iter().for_each(|directory| findings.watch(directory));
    if config.steam {
        steam::find(surroundings, &mut findings);
    }
    if config.lutris {
        lutris::find(surroundings, &mut findings);
    }
    if config.heroic {
        heroic::find(surroundings, &mut findings);
    }
    if config.desktop_entries {
        desktop_entries::find(surroundings, &mut findings);
    }
    findings.settle(&config.hidden);
    findings
}

#[cfg(test)]
mod tests;
