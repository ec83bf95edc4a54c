//! Secrets that are nothing but random bytes: 32 of them in base64, on one line of a private file.

use std::path::Path;

use base64::{Engine, prelude::BASE64_STANDARD};
use zeroize::Zeroizing;

use crate::{
    KeyFileError,
    key_file::{load_or_create, malformed},
};

/// Bytes of a secret.
const SECRET: usize = 32;

/// Length of a secret in base64.
const ENCODED: usize = SECRET.div_ceil(3) * 4;

/// The secret in a file, which is made with mode 0600 if it is not there.
///
/// # Errors
/// [`KeyFileError`]; a file that others can read, or that holds something else, is refused and not replaced.
pub fn load_or_create_secret(path: &Path) -> Result<Zeroizing<[u8; SECRET]>, KeyFileError> {
    let text = load_or_create(path, generate)?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let secret = BASE64_STANDARD.decode(line).map(Zeroizing::new);
    let secret = secret.ok().and_then(|secret| secret.as_slice().try_into().ok().map(Zeroizing::new));
    secret.ok_or_else(|| malformed(path, "32 bytes in base64"))
}

fn generate() -> Result<Zeroizing<String>, KeyFileError> {
    let mut secret = Zeroizing::new([0; SECRET]);
    aws_lc_rs::rand::fill(&mut *secret).map_err(|_| KeyFileError::Generate)?;
    // Sized once, so that no grown-out copy stays behind in memory.
    let mut text = Zeroizing::new(String::with_capacity(ENCODED + 1));
    BASE64_STANDARD.encode_string(secret.as_slice(), &mut text);
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn a_reload_gives_the_same_secret_and_another_file_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/recording.key");
        let secret = load_or_create_secret(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(load_or_create_secret(&path).unwrap(), secret);
        assert_ne!(load_or_create_secret(&folder.path().join("other.key")).unwrap(), secret);
    }

    #[test]
    fn a_file_that_others_can_read_or_that_holds_no_secret_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recording.key");
        load_or_create_secret(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(load_or_create_secret(&path), Err(KeyFileError::TooOpen { .. })));
        for (n, text) in ["", "nothing", &BASE64_STANDARD.encode([7; 31])].into_iter().enumerate() {
            let path = folder.path().join(n.to_string());
            crate::create_private(&path, text).unwrap();
            assert!(matches!(load_or_create_secret(&path), Err(KeyFileError::Malformed { .. })), "{text:?}");
            assert_eq!(*crate::read_private(&path).unwrap(), text);
        }
    }
}
