//! The applications on offer: what the configuration says, then what is installed, with the numbers that the store
//! keeps. What is installed is looked for again when a list is asked for and something has changed.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use lumen_core::gamestream::http::AppId;

use crate::apps::{self, Art, Discovered, Stamp, Surroundings};
use crate::config::{AppConfig, Config, DiscoveryConfig, DisplayKind, Grants, HostName};
use crate::store::{Store, StoreError};

/// So long after a look for changes no other is taken.
const REFRESH_INTERVAL: Duration = Duration::from_secs(3);

/// Most characters of a title.
const LONGEST_TITLE: usize = 64;

/// One application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppEntry {
    /// Its number.
    pub id: AppId,
    /// What was configured, or follows from what was found.
    pub config: AppConfig,
    /// The picture that was found with it.
    pub art: Option<Art>,
}

/// All applications: those of the configuration in its order, then those that are installed. Never empty; numbers and
/// titles are unique.
#[derive(Debug)]
pub struct AppCatalogue {
    declared: Vec<AppEntry>,
    discovery: Option<Discovery>,
    all: RwLock<Arc<[AppEntry]>>,
}

#[derive(Debug)]
struct Discovery {
    config: DiscoveryConfig,
    surroundings: Surroundings,
    store: Arc<Store>,
    last: Mutex<Look>,
}

/// The last look at what is installed.
#[derive(Debug)]
struct Look {
    at: Instant,
    stamp: Stamp,
}

impl AppCatalogue {
    /// Gives every application of `config` its number. What is installed is not looked for.
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
            entries.push(AppEntry { id, config: app, art: None });
        }
        Ok(Self { all: RwLock::new(entries.clone().into()), declared: entries, discovery: None })
    }

    /// [`AppCatalogue::new`] with what is installed and `config` wants on offer.
    ///
    /// # Errors
    /// The store's.
    pub fn with_discovery(config: &Config, store: &Arc<Store>, surroundings: Surroundings) -> Result<Self, StoreError> {
        let mut catalogue = Self::new(config, store)?;
        let (found, stamp) = apps::discover(&config.discovery, &surroundings).into_parts();
        catalogue.offer(store, found)?;
        catalogue.discovery = Some(Discovery {
            config: config.discovery.clone(),
            surroundings,
            store: Arc::clone(store),
            last: Mutex::new(Look { at: Instant::now(), stamp }),
        });
        Ok(catalogue)
    }

    /// Looks whether other applications are installed now. Cheap when nothing changed, or it was called a moment ago;
    /// reads files otherwise.
    pub fn refresh(&self) {
        self.refresh_after(REFRESH_INTERVAL);
    }

    fn refresh_after(&self, interval: Duration) {
        let Some(discovery) = &self.discovery else { return };
        let mut last = discovery.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.at.elapsed() < interval {
            return;
        }
        if apps::stamp(last.stamp.iter().map(|(path, _)| path.clone())) != last.stamp {
            let (found, stamp) = apps::discover(&discovery.config, &discovery.surroundings).into_parts();
            tracing::info!(found = found.len(), "installed applications have changed");
            last.stamp = stamp;
            if let Err(error) = self.offer(&discovery.store, found) {
                tracing::warn!(%error, "the applications on offer stay as they were");
            }
        }
        last.at = Instant::now();
    }

    /// The applications that a client with these grants may see and start.
    pub fn entries_for(&self, grants: &Grants) -> Vec<AppEntry> {
        self.entries().iter().filter(|entry| grants.allow_app(entry.config.name.as_str())).cloned().collect()
    }

    /// The one of those that the client named with a number, which may be none at all.
    pub fn find_for(&self, grants: &Grants, id: u32) -> Option<AppEntry> {
        let allowed = |entry: &&AppEntry| grants.allow_app(entry.config.name.as_str());
        self.entries().iter().filter(allowed).find(|entry| entry.id.get() == id).cloned()
    }

    /// All applications.
    pub fn entries(&self) -> Arc<[AppEntry]> {
        Arc::clone(&self.all.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts `found` behind what is declared.
    fn offer(&self, store: &Store, found: Vec<Discovered>) -> Result<(), StoreError> {
        let taken = self.declared.iter().map(|entry| entry.id).collect();
        let keys: Vec<&str> = found.iter().map(|app| app.key.as_str()).collect();
        let ids = store.app_ids(&keys, &taken)?;
        let mut titles: HashSet<String> =
            self.declared.iter().map(|entry| entry.config.name.as_str().to_owned()).collect();
        let mut all = self.declared.clone();
        for (app, id) in found.into_iter().zip(ids) {
            let Some(name) = free_title(&app, &titles) else { continue };
            titles.insert(name.as_str().to_owned());
            let config =
                AppConfig { command: app.command, directory: app.directory, ..AppConfig::new(name, DisplayKind::Auto) };
            all.push(AppEntry { id, config, art: app.art });
        }
        *self.all.write().unwrap_or_else(PoisonError::into_inner) = all.into();
        Ok(())
    }
}

/// A title that no other has: its own, that with the name of its source, or that with a number as well.
fn free_title(app: &Discovered, taken: &HashSet<String>) -> Option<HostName> {
    let source = app.source.as_str();
    let suffixes = [String::new(), format!(" ({source})")].into_iter();
    let titles = suffixes.chain((2..1000).map(|number| format!(" ({source} {number})"))).map(|suffix| {
        let room = LONGEST_TITLE - suffix.chars().count();
        app.title.chars().take(room).collect::<String>().trim_end().to_owned() + &suffix
    });
    titles.filter(|title| !taken.contains(title)).find_map(|title| HostName::try_from(title).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    struct Machine {
        directory: tempfile::TempDir,
        store: Arc<Store>,
        config: Config,
    }

    impl Machine {
        fn new() -> Self {
            let directory = tempfile::tempdir().expect("a directory");
            let discovery = DiscoveryConfig { desktop_entries: true, ..DiscoveryConfig::off() };
            let config = Config { state_dir: directory.path().join("state"), discovery, ..Config::default() };
            let store = Arc::new(Store::open(&config).expect("a store"));
            fs::create_dir_all(directory.path().join("data/applications")).expect("made");
            Self { directory, store, config }
        }

        fn install(&self, file: &str, name: &str) {
            let text = format!("[Desktop Entry]\nType=Application\nName={name}\nExec=true\n");
            fs::write(self.path(file), text).expect("written");
        }

        fn path(&self, file: &str) -> std::path::PathBuf {
            self.directory.path().join("data/applications").join(file)
        }

        fn catalogue(&self) -> AppCatalogue {
            let data_home = self.directory.path().join("data");
            let surroundings = Surroundings { data_home, ..Surroundings::default() };
            AppCatalogue::with_discovery(&self.config, &self.store, surroundings).expect("a catalogue")
        }
    }

    fn titles(catalogue: &AppCatalogue) -> Vec<String> {
        catalogue.entries().iter().map(|entry| entry.config.name.to_string()).collect()
    }

    #[test]
    fn what_is_installed_comes_behind_what_is_declared_under_a_title_of_its_own() {
        let machine = Machine::new();
        for (file, name) in [("a.desktop", "Chess"), ("b.desktop", "Test card"), ("c.desktop", "Chess")] {
            machine.install(file, name);
        }
        let catalogue = machine.catalogue();
        assert_eq!(
            titles(&catalogue),
            ["Test card", "Test card, full motion", "Chess", "Chess (Menu)", "Test card (Menu)"]
        );
        let ids: HashSet<_> = catalogue.entries().iter().map(|entry| entry.id).collect();
        assert_eq!(ids.len(), 5);
        let found = catalogue.find_for(&Grants::default(), catalogue.entries()[2].id.get()).expect("it is there");
        assert_eq!((found.config.command, found.config.display), (vec!["true".to_owned()], DisplayKind::Auto));
        machine.install("long.desktop", &"x".repeat(200));
        catalogue.refresh_after(Duration::ZERO);
        assert!(titles(&catalogue).contains(&"x".repeat(64)));
    }

    #[test]
    fn an_installed_application_keeps_its_number_whatever_comes_and_goes() {
        let machine = Machine::new();
        machine.install("chess.desktop", "Chess");
        let catalogue = machine.catalogue();
        let id =
            |title: &str| catalogue.entries().iter().find(|app| app.config.name.as_str() == title).map(|app| app.id);
        let chess = id("Chess").expect("it is there");
        machine.install("another.desktop", "Another");
        catalogue.refresh_after(Duration::ZERO);
        assert!(id("Another").is_some());
        assert_eq!(id("Chess"), Some(chess));
        fs::remove_file(machine.path("chess.desktop")).expect("removed");
        catalogue.refresh_after(Duration::ZERO);
        assert_eq!(id("Chess"), None);
        machine.install("chess.desktop", "Chess 2");
        catalogue.refresh_after(Duration::ZERO);
        assert_eq!(id("Chess 2"), Some(chess));
    }

    #[test]
    fn a_second_look_within_moments_is_none() {
        let machine = Machine::new();
        let catalogue = machine.catalogue();
        machine.install("chess.desktop", "Chess");
        catalogue.refresh_after(Duration::from_secs(600));
        assert_eq!(titles(&catalogue).len(), 2);
        assert!(Path::new(&machine.path("chess.desktop")).exists());
    }
}
