//! Files that are whole or absent: made under another name, synced, then renamed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{CWD, FlockOperation, RenameFlags};

use super::StoreError;

/// Makes the directory (mode 0700) and its parents where they are missing.
pub(super) fn make_directory(directory: &Path) -> Result<(), StoreError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|source| StoreError::io(directory, source))
}

/// Takes the lock of the directory. It ends with the file, however the process ends.
pub(super) fn lock(directory: &Path) -> Result<File, StoreError> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(directory.join("lock"))
        .map_err(|source| StoreError::io(directory, source))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::Locked { path: directory.to_owned() }),
        Err(error) => Err(StoreError::io(directory, error.into())),
    }
}

/// Writes a file of mode 0600 that must not exist yet. After a crash at any moment it is there whole, or not at
/// all. A left-over of an earlier crash is replaced.
///
/// # Errors
/// The file system's; [`io::ErrorKind::AlreadyExists`] if the file is there.
pub fn write_new_secret(path: &Path, content: &[u8]) -> io::Result<()> {
    let (directory, name) = match (path.parent(), path.file_name()) {
        (Some(directory), Some(name)) => (directory, name),
        _ => return Err(io::Error::from(io::ErrorKind::InvalidInput)),
    };
    let temporary = directory.join(format!(".{}.new", name.to_string_lossy()));
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = write_synced(&temporary, content)
        .and_then(|()| Ok(rustix::fs::renameat_with(CWD, &temporary, CWD, path, RenameFlags::NOREPLACE)?));
    if let Err(error) = written {
        // The first error is the one to report.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    File::open(directory)?.sync_all()
}

fn write_synced(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_private_and_never_replaced() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("secret");
        fs::write(directory.path().join(".secret.new"), "left over").expect("a left-over");
        write_new_secret(&path, b"one").expect("written");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        let again = write_new_secret(&path, b"two").expect_err("exists");
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).expect("there"), b"one");
        assert_eq!(fs::read_dir(directory.path()).expect("readable").count(), 1, "nothing is left behind");
    }

    #[test]
    fn a_directory_is_locked_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let first = lock(directory.path()).expect("free");
        assert!(matches!(lock(directory.path()), Err(StoreError::Locked { .. })));
        drop(first);
        assert!(lock(directory.path()).is_ok());
    }
}
