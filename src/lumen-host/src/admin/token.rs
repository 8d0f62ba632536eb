//! The bearer token of the loopback listener.

use std::fs;
use std::io;
use std::path::Path;

use crate::store::write_new_secret;

/// Reads the token, or makes one of 256 bits.
pub(super) fn load_or_create(path: &Path) -> io::Result<String> {
    match fs::read_to_string(path) {
        Ok(text) if text.trim().len() >= 16 => Ok(text.trim().to_owned()),
        Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "the token has fewer than 16 characters")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut bytes = [0; 32];
            openssl::rand::rand_bytes(&mut bytes).map_err(io::Error::other)?;
            let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            write_new_secret(path, format!("{token}\n").as_bytes())?;
            Ok(token)
        }
        Err(error) => Err(error),
    }
}

/// Compares without telling by its time how much is right.
pub(super) fn matches(token: &str, header: Option<&str>) -> bool {
    let given = header.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
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
        assert!(matches(&token, Some(&format!("Bearer {token}"))));
        assert!(!matches(&token, Some("Bearer ")));
        assert!(!matches(&token, Some(&token)));
        assert!(!matches(&token, None));
        fs::write(&path, "short").expect("written");
        assert!(load_or_create(&path).is_err());
    }
}
