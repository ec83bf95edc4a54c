//! The archive as a folder of files, for one node.
//!
//! An object is written to `.incoming`, synced, and then *linked* to its name: linking never replaces, so of two
//! writers one wins, and a name is there only when its bytes are. Folders have mode 0700, files 0600.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use countersign_runtime::{LOCK_PATIENCE, retry_while};

use crate::{Archive, ArchiveError, Key, PutOutcome};

/// Where objects are written before they have a name. No key begins with a dot.
const INCOMING: &str = ".incoming";
const LOCK: &str = ".lock";

/// An archive in a folder of its own.
#[derive(Clone)]
pub struct FileArchive(Arc<Folder>);

struct Folder {
    root: PathBuf,
    next_incoming: AtomicU64,
    /// Held for as long as the archive is open: cleaning up at start must not meet somebody else's unfinished file.
    _lock: File,
}

impl FileArchive {
    /// Opens the archive in `root`, which is made if it is not there, and removes what a dead process left unfinished.
    /// Refuses a folder that another process (or another part of this one) has open. Blocks.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, ArchiveError> {
        let root = root.into();
        create_private_dir(&root)?;
        // It may have been there with the mode of somebody's umask; below it nobody else gets.
        fs::set_permissions(&root, fs::Permissions::from_mode(0o700))?;
        if let Some(parent) = root.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
        let lock = private_file().create(true).truncate(false).open(root.join(LOCK))?;
        let busy = |error: &TryLockError| matches!(error, TryLockError::WouldBlock);
        retry_while(LOCK_PATIENCE, || lock.try_lock(), busy).map_err(|error| {
            ArchiveError::Unavailable(format!("{} is in use by another process: {error}", root.display()))
        })?;
        let incoming = root.join(INCOMING);
        create_private_dir(&incoming)?;
        for left in fs::read_dir(&incoming)? {
            fs::remove_file(left?.path())?;
        }
        Ok(Self(Arc::new(Folder { root, next_incoming: AtomicU64::new(0), _lock: lock })))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Folder) -> Result<T, ArchiveError> + Send + 'static,
    ) -> Result<T, ArchiveError> {
        let folder = self.0.clone();
        tokio::task::spawn_blocking(move || work(&folder))
            .await
            .map_err(|error| ArchiveError::Unavailable(error.to_string()))?
    }
}

#[async_trait]
impl Archive for FileArchive {
    async fn put_new(&self, key: &Key, bytes: Bytes) -> Result<PutOutcome, ArchiveError> {
        let key = key.clone();
        self.blocking(move |folder| folder.put_new(&key, &bytes)).await
    }

    async fn get(&self, key: &Key, max_bytes: usize) -> Result<Option<Bytes>, ArchiveError> {
        let key = key.clone();
        self.blocking(move |folder| folder.get(&key, max_bytes)).await
    }

    async fn get_range(&self, key: &Key, offset: u64, len: usize) -> Result<Option<Bytes>, ArchiveError> {
        let key = key.clone();
        self.blocking(move |folder| folder.get_range(&key, offset, len)).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Key>, ArchiveError> {
        let prefix = prefix.to_owned();
        self.blocking(move |folder| folder.list(&prefix)).await
    }

    async fn health(&self) -> Result<(), ArchiveError> {
        self.blocking(|folder| folder.write_incoming(b"health").map(drop).map_err(Into::into)).await
    }
}

impl Folder {
    fn put_new(&self, key: &Key, bytes: &[u8]) -> Result<PutOutcome, ArchiveError> {
        let path = self.root.join(key.as_str());
        let outcome = match self.compare(&path, bytes)? {
            Some(outcome) => outcome,
            None => self.link_new(&path, bytes)?,
        };
        self.sync_folders(&path)?;
        Ok(outcome)
    }

    /// `None` if nothing is there.
    fn compare(&self, path: &Path, bytes: &[u8]) -> Result<Option<PutOutcome>, ArchiveError> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == ErrorKind::NotADirectory => return Err(ArchiveError::Conflict),
            Err(error) => return Err(error.into()),
        };
        let metadata = file.metadata()?;
        let same =
            metadata.is_file() && metadata.len() == bytes.len() as u64 && same_bytes(&mut file, bytes)?;
        if same { Ok(Some(PutOutcome::AlreadySame)) } else { Err(ArchiveError::Conflict) }
    }

    fn link_new(&self, path: &Path, bytes: &[u8]) -> Result<PutOutcome, ArchiveError> {
        if let Some(parent) = path.parent() {
            create_private_dir(parent)?;
        }
        let incoming = self.write_incoming(bytes)?;
        match fs::hard_link(&incoming.0, path) {
            Ok(()) => Ok(PutOutcome::Created),
            // Somebody else was first; what counts is what they wrote.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                self.compare(path, bytes)?.ok_or(ArchiveError::Conflict)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Writes and syncs a file without a key; it disappears when the returned guard does.
    fn write_incoming(&self, bytes: &[u8]) -> io::Result<Incoming> {
        let number = self.next_incoming.fetch_add(1, Ordering::Relaxed);
        let path = self.root.join(INCOMING).join(number.to_string());
        let mut file = private_file().create_new(true).open(&path)?;
        let guard = Incoming(path);
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(guard)
    }

    /// Makes the name itself durable. Also when the object was there already: whoever made it may not have got so far.
    fn sync_folders(&self, path: &Path) -> io::Result<()> {
        for folder in path.ancestors().skip(1) {
            File::open(folder)?.sync_all()?;
            if folder == self.root {
                break;
            }
        }
        Ok(())
    }

    fn get(&self, key: &Key, max_bytes: usize) -> Result<Option<Bytes>, ArchiveError> {
        let Some((file, len)) = self.object(key)? else { return Ok(None) };
        if len > max_bytes as u64 {
            return Err(ArchiveError::TooLarge { bytes: len });
        }
        let mut bytes = Vec::with_capacity(len as usize);
        file.take(max_bytes as u64).read_to_end(&mut bytes)?;
        Ok(Some(bytes.into()))
    }

    fn get_range(&self, key: &Key, offset: u64, len: usize) -> Result<Option<Bytes>, ArchiveError> {
        let Some((mut file, there)) = self.object(key)? else { return Ok(None) };
        let len = there.saturating_sub(offset).min(len as u64);
        let mut bytes = Vec::with_capacity(len as usize);
        if len > 0 {
            file.seek(SeekFrom::Start(offset))?;
            file.take(len).read_to_end(&mut bytes)?;
        }
        Ok(Some(bytes.into()))
    }

    /// The file of an object, and its length.
    fn object(&self, key: &Key) -> Result<Option<(File, u64)>, ArchiveError> {
        let file = match File::open(self.root.join(key.as_str())) {
            Ok(file) => file,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let metadata = file.metadata()?;
        Ok((!metadata.is_dir()).then_some((file, metadata.len())))
    }

    fn list(&self, prefix: &str) -> Result<Vec<Key>, ArchiveError> {
        let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
        if !folder.is_empty() && folder.parse::<Key>().is_err() {
            return Ok(Vec::new());
        }
        let mut keys = Vec::new();
        let mut open = vec![self.root.join(folder)];
        while let Some(folder) = open.pop() {
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            for entry in entries {
                let entry = entry?;
                let path = entry.path();
                // What is no key (`.incoming`, `.lock`) is not ours to show.
                let Some(key) = self.key_of(&path) else { continue };
                if entry.file_type()?.is_dir() {
                    open.push(path);
                } else if key.as_str().starts_with(prefix) {
                    keys.push(key);
                }
            }
        }
        keys.sort();
        Ok(keys)
    }

    fn key_of(&self, path: &Path) -> Option<Key> {
        path.strip_prefix(&self.root).ok()?.to_str()?.parse().ok()
    }
}

/// A file that has no key; removed on drop. What a dead process leaves is removed at the next start.
struct Incoming(PathBuf);

impl Drop for Incoming {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl From<io::Error> for ArchiveError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

fn create_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn same_bytes(file: &mut File, mut expected: &[u8]) -> io::Result<bool> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        let Some(rest) = buffer.get(..read).and_then(|read| expected.strip_prefix(read)) else {
            return Ok(false);
        };
        if read == 0 {
            return Ok(rest.is_empty());
        }
        expected = rest;
    }
}

#[cfg(test)]
mod tests;
