//! What a portal gave to recognize a permission by, so that it does not ask again: one small file for each client and
//! application, readable by its user alone. A token is good for one use; the portal gives the next one.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Longest name of a file that is made of an identity.
const MAX_NAME: usize = 200;

/// The token of one client and application.
#[derive(Debug)]
pub struct Tokens {
    file: PathBuf,
}

impl Tokens {
    /// The token for `identity`, kept in the directory `state`.
    pub fn new(state: &Path, identity: &str) -> Self {
        // Different identities have different names, whatever characters are in them.
        let name: String = identity
            .bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
                other => format!("-{other:02x}"),
            })
            .collect();
        let name: String = name.chars().take(MAX_NAME).collect();
        Self { file: state.join("portal").join(name) }
    }

    /// The token, if there is one.
    pub fn load(&self) -> Option<String> {
        fs::read_to_string(&self.file).ok().map(|token| token.trim().to_owned()).filter(|token| !token.is_empty())
    }

    /// Keeps `token` in place of the one before. That it cannot be kept means one more question, no more.
    pub fn store(&self, token: &str) {
        if let Err(error) = self.write(token) {
            tracing::warn!(file = %self.file.display(), %error, "the portal's permission cannot be kept: it will ask again");
        }
    }

    /// Forgets it: the portal did not take it.
    pub fn forget(&self) {
        let _ = fs::remove_file(&self.file);
    }

    fn write(&self, token: &str) -> std::io::Result<()> {
        if let Some(directory) = self.file.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        let new = self.file.with_extension("new");
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(token.as_bytes())?;
        file.sync_all()?;
        fs::rename(new, &self.file)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_kept_for_its_identity_and_for_its_user_alone() {
        let state = tempfile::tempdir().unwrap();
        let tokens = Tokens::new(state.path(), "TV / ../Desktop");
        assert_eq!(tokens.load(), None);
        tokens.store("first");
        tokens.store("second");
        assert_eq!(tokens.load().as_deref(), Some("second"));
        assert_eq!(fs::metadata(&tokens.file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(tokens.file.parent(), Some(state.path().join("portal").as_path()));
        assert_eq!(Tokens::new(state.path(), "TV").load(), None);
        tokens.forget();
        assert_eq!(tokens.load(), None);
    }
}
