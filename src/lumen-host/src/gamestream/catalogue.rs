//! The applications on offer: what the configuration says, with the numbers that the store keeps.

use std::collections::HashSet;

use lumen_core::gamestream::http::AppId;

use crate::config::{AppConfig, Config};
use crate::store::{Store, StoreError};

/// One application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppEntry {
    /// Its number.
    pub id: AppId,
    /// What was configured.
    pub config: AppConfig,
}

/// All applications, in the order of the configuration; never empty, numbers unique.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppCatalogue {
    entries: Vec<AppEntry>,
}

impl AppCatalogue {
    /// Gives every application of `config` its number.
    ///
    /// # Errors
    /// The store's.
    pub fn new(config: &Config, store: &Store) -> Result<Self, StoreError> {
        let mut entries: Vec<AppEntry> = Vec::new();
        let apps = config.effective_apps();
        let wanted = |app: &AppConfig| app.id.and_then(|id| AppId::new(id).ok());
        let mut taken: HashSet<AppId> = apps.iter().filter_map(wanted).collect();
        for app in apps {
            let id = match wanted(&app) {
                Some(id) => id,
                None => store.app_id(app.name.as_str(), &taken)?,
            };
            taken.insert(id);
            entries.push(AppEntry { id, config: app });
        }
        Ok(Self { entries })
    }

    /// The application with this number.
    pub fn get(&self, id: AppId) -> Option<&AppEntry> {
        self.entries.iter().find(|entry| entry.id == id)
    }

    /// The application that a client named with a number, which may be none at all.
    pub fn find(&self, id: u32) -> Option<&AppEntry> {
        self.entries.iter().find(|entry| entry.id.get() == id)
    }

    /// All applications.
    pub fn entries(&self) -> &[AppEntry] {
        &self.entries
    }
}
