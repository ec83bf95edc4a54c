//! Files that hold private keys: mode 0600, written whole or not at all, never replaced.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

/// Longest key file that is read, in bytes; an RSA-4096 key has under 4 KiB.
const MAX_KEY_FILE: u64 = 64 * 1024;

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file system said no.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Group or others may read or write the file, so its key must be taken as known.
    #[error("{} has mode {mode:03o}; a private key needs 600 or less", path.display())]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The content is not the key that belongs there.
    #[error("{} does not hold {expected}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What should be there.
        expected: &'static str,
    },
    /// No key could be made: the cryptographic library failed.
    #[error("no key could be generated")]
    Generate,
}

/// Reads a private key as text. Refuses a file that anybody but its owner can read or write, and one of over 64 KiB.
pub fn read_private(path: &Path) -> Result<Zeroizing<String>, KeyFileError> {
    let io = |source| KeyFileError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    // Asked of the open file: the name may point elsewhere by now.
    let metadata = file.metadata().map_err(io)?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::TooOpen { path: path.to_owned(), mode });
    }
    if !metadata.is_file() || metadata.len() > MAX_KEY_FILE {
        return Err(malformed(path, "a key"));
    }
    // Sized once, so that no grown-out copy stays behind in memory.
    let mut text = Zeroizing::new(String::with_capacity(MAX_KEY_FILE as usize + 1));
    file.take(MAX_KEY_FILE).read_to_string(&mut text).map_err(io)?;
    Ok(text)
}

/// Writes a file of mode 0600 that must not exist yet, and makes it durable. Missing folders are made with mode 0700.
/// `false` if somebody else was first; their file stays.
pub fn create_private(path: &Path, text: &str) -> Result<bool, KeyFileError> {
    create(path, text, 0o600)
}

/// As [`create_private`], for what everybody may read.
pub(crate) fn create_public(path: &Path, text: &str) -> Result<bool, KeyFileError> {
    create(path, text, 0o644)
}

/// The key in the file, which is made if it is not there.
pub(crate) fn load_or_create(
    path: &Path,
    generate: impl FnOnce() -> Result<Zeroizing<String>, KeyFileError>,
) -> Result<Zeroizing<String>, KeyFileError> {
    match read_private(path) {
        Err(KeyFileError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
            create_private(path, &generate()?)?;
            // Read again: what counts is what is on disk, whoever wrote it.
            read_private(path)
        }
        read => read,
    }
}

pub(crate) fn malformed(path: &Path, expected: &'static str) -> KeyFileError {
    KeyFileError::Malformed { path: path.to_owned(), expected }
}

fn create(path: &Path, text: &str, mode: u32) -> Result<bool, KeyFileError> {
    let mut unique = [0; 8];
    aws_lc_rs::rand::fill(&mut unique).map_err(|_| KeyFileError::Generate)?;
    let unique = u64::from_be_bytes(unique);
    create_linked(path, &format!(".unfinished-{unique:016x}"), text, mode)
        .map_err(|source| KeyFileError::Io { path: path.to_owned(), source })
}

/// Writes under another name and links: a link never replaces, and the name is there only when its content is.
fn create_linked(path: &Path, unfinished: &str, text: &str, mode: u32) -> io::Result<bool> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let unfinished = folder.join(unfinished);
    let linked = write_synced(&unfinished, text, mode).and_then(|()| fs::hard_link(&unfinished, path));
    // A file that could not be written may not be there to remove.
    let removed = fs::remove_file(&unfinished);
    let created = match linked {
        Ok(()) => true,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
        Err(error) => return Err(error),
    };
    removed?;
    File::open(folder)?.sync_all()?;
    Ok(created)
}

fn write_synced(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_once_and_privately() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/a.pem");
        assert!(create_private(&path, "one").unwrap());
        assert!(!create_private(&path, "two").unwrap());
        assert_eq!(*read_private(&path).unwrap(), "one");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(folder.path().join("keys")).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(folder.path().join("keys")).unwrap().count(), 1, "nothing unfinished stays");
    }

    #[test]
    fn of_many_first_starts_one_key_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pem");
        let keys = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..8)
                .map(|n| {
                    let path = &path;
                    scope.spawn(move || load_or_create(path, || Ok(Zeroizing::new(n.to_string()))).unwrap())
                })
                .collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    }

    #[test]
    fn refuses_what_others_can_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pem");
        create_private(&path, "one").unwrap();
        for mode in [0o640, 0o604, 0o620, 0o602, 0o644] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(read_private(&path), Err(KeyFileError::TooOpen { .. })), "{mode:o}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        assert_eq!(*read_private(&path).unwrap(), "one");
    }

    #[test]
    fn bounds_what_it_reads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pem");
        create_private(&path, &"x".repeat(MAX_KEY_FILE as usize + 1)).unwrap();
        assert!(matches!(read_private(&path), Err(KeyFileError::Malformed { .. })));
    }
}
