//! Where state and sockets lie when nobody says: systemd's directories, root's, or the user's.

use std::env;
use std::path::PathBuf;

/// `$STATE_DIRECTORY` (systemd), else `/var/lib/lumen` for root, else `$XDG_STATE_HOME/lumen`.
pub(crate) fn state_dir() -> PathBuf {
    of_systemd("STATE_DIRECTORY").unwrap_or_else(|| {
        if is_root() {
            PathBuf::from("/var/lib/lumen")
        } else {
            absolute("XDG_STATE_HOME").unwrap_or_else(|| home().join(".local/state")).join("lumen")
        }
    })
}

/// `$RUNTIME_DIRECTORY` (systemd), else `/run/lumen` for root, else `$XDG_RUNTIME_DIR/lumen`, else a directory of
/// this user in `/tmp`.
pub(super) fn runtime_dir() -> PathBuf {
    of_systemd("RUNTIME_DIRECTORY").unwrap_or_else(|| {
        if is_root() {
            PathBuf::from("/run/lumen")
        } else if let Some(directory) = absolute("XDG_RUNTIME_DIR") {
            directory.join("lumen")
        } else {
            PathBuf::from(format!("/tmp/lumen-{}", rustix::process::geteuid().as_raw()))
        }
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

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
