//! Where state and sockets lie when nobody says: systemd's directories, those of the machine's service for root and for
//! the user that the service runs as, or the user's.

use std::env;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// `$STATE_DIRECTORY` (systemd), else `/var/lib/lumen` for root and its owner, else `$XDG_STATE_HOME/lumen`.
pub(crate) fn state_dir() -> PathBuf {
    of_systemd("STATE_DIRECTORY").unwrap_or_else(|| {
        of_service("/var/lib/lumen", rustix::process::geteuid())
            .unwrap_or_else(|| absolute("XDG_STATE_HOME").unwrap_or_else(|| home().join(".local/state")).join("lumen"))
    })
}

/// `$RUNTIME_DIRECTORY` (systemd), else `/run/lumen` for root and its owner, else `$XDG_RUNTIME_DIR/lumen`, else a
/// directory of this user in `/tmp`.
pub(super) fn runtime_dir() -> PathBuf {
    of_systemd("RUNTIME_DIRECTORY").unwrap_or_else(|| {
        let user = rustix::process::geteuid();
        of_service("/run/lumen", user)
            .or_else(|| absolute("XDG_RUNTIME_DIR").map(|directory| directory.join("lumen")))
            .unwrap_or_else(|| PathBuf::from(format!("/tmp/lumen-{}", user.as_raw())))
    })
}

/// systemd lists several directories with colons; the first is ours.
fn of_systemd(variable: &str) -> Option<PathBuf> {
    let value = env::var(variable).ok()?;
    let first = value.split(':').next()?;
    (first.starts_with('/')).then(|| PathBuf::from(first))
}

fn absolute(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}

fn home() -> PathBuf {
    absolute("HOME").unwrap_or_else(|| PathBuf::from("/"))
}

/// `directory` of the machine's service: for root, and for the user that the service runs as. So `sudo -u lumen lumen
/// doctor` looks where the service does.
fn of_service(directory: &str, user: rustix::process::Uid) -> Option<PathBuf> {
    let owner = |path: &Path| std::fs::symlink_metadata(path).ok().filter(std::fs::Metadata::is_dir).map(|it| it.uid());
    let directory = PathBuf::from(directory);
    (user.is_root() || owner(&directory) == Some(user.as_raw())).then_some(directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Uid, geteuid};

    #[test]
    fn the_directories_of_the_service_are_for_root_and_for_their_owner() {
        let own = tempfile::tempdir().unwrap();
        let path = own.path().to_str().unwrap();
        let other = Uid::from_raw(geteuid().as_raw() + 1);
        assert_eq!(of_service(path, geteuid()), Some(own.path().into()));
        assert_eq!(of_service(path, other), None);
        assert_eq!(of_service(path, Uid::ROOT), Some(own.path().into()));
        assert_eq!(of_service("/run/a directory that is not there", other), None);
        assert_eq!(of_service("/dev/null", other), None);
    }
}
