//! What was found, and where was looked: a later look is needed only when one of those places has changed.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{Discovered, MOST};

/// Files above this are not read.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// Most entries of a directory that are looked at.
const MAX_ENTRIES: usize = 5000;

/// State of the places that were looked at.
pub type Stamp = Vec<(PathBuf, Option<(SystemTime, u64)>)>;

/// See the module.
#[derive(Debug, Default)]
pub struct Findings {
    apps: Vec<Discovered>,
    places: BTreeSet<PathBuf>,
}

impl Findings {
    /// What was found.
    pub fn apps(&self) -> &[Discovered] {
        &self.apps
    }

    /// What was found, and the state of the places.
    pub fn into_parts(self) -> (Vec<Discovered>, Stamp) {
        (self.apps, stamp(self.places.into_iter()))
    }

    /// Adds an application. One without title or command is none.
    pub(super) fn add(&mut self, mut app: Discovered) {
        app.title = tidy(&app.title);
        if !app.title.is_empty() && !app.command.is_empty() {
            self.apps.push(app);
        }
    }

    /// The text of a file that may be there. Watched.
    pub(super) fn read(&mut self, path: &Path) -> Option<String> {
        self.places.insert(path.to_owned());
        match read(path) {
            Ok(text) => text,
            Err(reason) => {
                broken(path, &reason);
                None
            }
        }
    }

    /// Watches a file that somebody else reads.
    pub(super) fn watch(&mut self, path: &Path) {
        self.places.insert(path.to_owned());
    }

    /// Entries of a directory that may be there, sorted. Watched.
    pub(super) fn list(&mut self, directory: &Path) -> Vec<PathBuf> {
        self.places.insert(directory.to_owned());
        entries(directory)
    }

    /// Puts all in order: no key twice, nothing hidden, no more than [`MOST`].
    pub(super) fn settle(&mut self, hidden: &[String]) {
        let mut keys = HashSet::new();
        self.apps.retain(|app| !hidden.contains(&app.title) && keys.insert(app.key.clone()));
        self.apps.sort_by_cached_key(|app| (app.source, app.title.to_lowercase(), app.key.clone()));
        if self.apps.len() > MOST {
            tracing::warn!(found = self.apps.len(), most = MOST, "too many applications; the last ones are left out");
            self.apps.truncate(MOST);
        }
    }
}

/// State of these places now.
pub fn stamp(places: impl Iterator<Item = PathBuf>) -> Stamp {
    let state = |path: &Path| fs::metadata(path).ok().and_then(|data| Some((data.modified().ok()?, data.len())));
    places
        .map(|path| {
            let state = state(&path);
            (path, state)
        })
        .collect()
}

/// Says that a file is left out.
pub(super) fn broken(path: &Path, reason: &str) {
    tracing::warn!(file = %path.display(), reason, "an application file is left out");
}

/// Entries of a directory, sorted.
pub(super) fn entries(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut paths: Vec<_> = entries.take(MAX_ENTRIES).flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// The text of a regular file; `None` if there is nothing of this name.
fn read(path: &Path) -> Result<Option<String>, String> {
    // A pipe or a device of this name must not make the host wait.
    let open: Result<File, _> = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = match open {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    if !file.metadata().is_ok_and(|data| data.is_file()) {
        return Err("it is not a file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_FILE) {
        return Err(format!("it is larger than {} MiB", MAX_FILE / 1024 / 1024));
    }
    String::from_utf8(bytes).map(Some).map_err(|_| "it is not UTF-8".to_owned())
}

/// A title without control characters and double spaces.
fn tidy(title: &str) -> String {
    let clean: String = title.chars().map(|one| if one.is_control() { ' ' } else { one }).collect();
    clean.split_whitespace().collect::<Vec<_>>().join(" ")
}
