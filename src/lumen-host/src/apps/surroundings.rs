//! Where to look: the directories and preferences of the user that the host runs as.

use std::path::{Path, PathBuf};

/// Directories and preferences. A value, so that tests have their own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Home directory.
    pub home: PathBuf,
    /// `$XDG_DATA_HOME`.
    pub data_home: PathBuf,
    /// `$XDG_CONFIG_HOME`.
    pub config_home: PathBuf,
    /// `$XDG_CACHE_HOME`.
    pub cache_home: PathBuf,
    /// `$XDG_DATA_DIRS`, most important first.
    pub data_dirs: Vec<PathBuf>,
    /// `$PATH`.
    pub path: Vec<PathBuf>,
    /// Languages as keys carry them, best first: `de_AT`, `de`.
    pub languages: Vec<String>,
    /// `$XDG_CURRENT_DESKTOP`.
    pub desktops: Vec<String>,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_process() -> Self {
        Self::from_variables(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let home = PathBuf::from(variable("HOME").unwrap_or_else(|| "/".to_owned()));
        // By the specification, paths that are not absolute do not count.
        let directory = |name: &str, otherwise: &str| {
            variable(name).map(PathBuf::from).filter(|path| path.is_absolute()).unwrap_or_else(|| home.join(otherwise))
        };
        let list = |name: &str, otherwise: &str| {
            let text = variable(name).unwrap_or_else(|| otherwise.to_owned());
            text.split(':').map(PathBuf::from).filter(|path| path.is_absolute()).collect()
        };
        let locale = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(&variable).unwrap_or_default();
        let desktops = variable("XDG_CURRENT_DESKTOP").unwrap_or_default();
        Self {
            data_home: directory("XDG_DATA_HOME", ".local/share"),
            config_home: directory("XDG_CONFIG_HOME", ".config"),
            cache_home: directory("XDG_CACHE_HOME", ".cache"),
            data_dirs: list("XDG_DATA_DIRS", "/usr/local/share:/usr/share"),
            path: list("PATH", "/usr/local/bin:/usr/bin:/bin"),
            languages: languages(&locale),
            desktops: desktops.split(':').filter(|one| !one.is_empty()).map(str::to_owned).collect(),
            home,
        }
    }

    /// Directories of data, most important first.
    pub(super) fn data(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(self.data_home.as_path()).chain(self.data_dirs.iter().map(PathBuf::as_path))
    }

    /// Whether there is such a program.
    pub(super) fn has_program(&self, name: &str) -> bool {
        if name.contains('/') {
            return is_program(Path::new(name));
        }
        self.path.iter().any(|directory| is_program(&directory.join(name)))
    }
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// The keys that match a locale `language_COUNTRY.encoding@modifier`, best first.
fn languages(locale: &str) -> Vec<String> {
    let (rest, modifier) = locale.split_once('@').unwrap_or((locale, ""));
    let rest = rest.split('.').next().unwrap_or_default();
    let (language, country) = rest.split_once('_').unwrap_or((rest, ""));
    if language.is_empty() || matches!(language, "C" | "POSIX") {
        return Vec::new();
    }
    let mut keys = Vec::new();
    if !country.is_empty() && !modifier.is_empty() {
        keys.push(format!("{language}_{country}@{modifier}"));
    }
    if !country.is_empty() {
        keys.push(format!("{language}_{country}"));
    }
    if !modifier.is_empty() {
        keys.push(format!("{language}@{modifier}"));
    }
    keys.push(language.to_owned());
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_tried_from_the_most_particular() {
        assert_eq!(languages("sr_YU.UTF-8@Latn"), ["sr_YU@Latn", "sr_YU", "sr@Latn", "sr"]);
        assert_eq!(languages("de"), ["de"]);
        assert_eq!(languages("C.UTF-8"), [""; 0]);
    }

    #[test]
    fn directories_have_the_defaults_of_the_specification() {
        let home = |name: &str| match name {
            "HOME" => Some("/home/u".to_owned()),
            "XDG_CONFIG_HOME" => Some("not/absolute".to_owned()),
            _ => None,
        };
        let found = Surroundings::from_variables(home);
        assert_eq!(found.data_home, Path::new("/home/u/.local/share"));
        assert_eq!(found.config_home, Path::new("/home/u/.config"));
        assert_eq!(found.data_dirs, [Path::new("/usr/local/share"), Path::new("/usr/share")]);
    }
}
