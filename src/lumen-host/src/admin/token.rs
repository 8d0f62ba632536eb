//! Bearer tokens: files of one line, made when missing.

use std::fs;
use std::io;
use std::path::Path;

use axum::http::{HeaderMap, header};

use crate::store::write_new_secret;

/// Reads the token of a file.
///
/// # Errors
/// The file system's; [`io::ErrorKind::InvalidData`] for a token that is too short.
pub fn read_token(path: &Path) -> io::Result<String> {
    match fs::read_to_string(path)?.trim() {
        token if token.len() >= 16 => Ok(token.to_owned()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the token has fewer than 16 characters")),
    }
}

/// Reads the token, or makes one of 256 bits.
pub(super) fn load_or_create(path: &Path) -> io::Result<String> {
    match read_token(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut bytes = [0; 32];
            openssl::rand::rand_bytes(&mut bytes).map_err(io::Error::other)?;
            let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            write_new_secret(path, format!("{token}\n").as_bytes())?;
            Ok(token)
        }
        read => read,
    }
}

/// The bearer token that a request brings.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

/// Compares without telling by its time how much is right.
pub(super) fn is(token: &str, given: &str) -> bool {
    given.len() == token.len() && openssl::memcmp::eq(given.as_bytes(), token.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_once_and_compared_whole() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("token");
        let token = load_or_create(&path).expect("made");
        assert_eq!(load_or_create(&path).expect("read"), token);
        assert!(is(&token, &token));
        assert!(!is(&token, "") && !is(&token, &token[1..]) && !is(&token, &format!("{token}0")));
        let with = |value: String| HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().expect("text"))]);
        assert_eq!(bearer(&with(format!("Bearer {token}"))), Some(token.as_str()));
        assert_eq!(bearer(&with(token)), None);
        assert_eq!(bearer(&HeaderMap::new()), None);
        fs::write(&path, "short").expect("written");
        assert!(load_or_create(&path).is_err());
    }
}
