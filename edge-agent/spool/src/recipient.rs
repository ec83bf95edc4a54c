//! The key that recordings are sealed to, as the control plane named it last.
//!
//! It is kept beside the recordings, so that a start without a connection can end what a crash left open. It is no
//! secret. Whoever could exchange it gains nothing but what is sealed before the control plane is heard again, which
//! then refuses that.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

use countersign_recording::RecordingKey;

use crate::{SpoolError, layout};

#[derive(Debug)]
pub(crate) struct Recipient {
    root: PathBuf,
    key: RwLock<Option<RecordingKey>>,
}

impl Recipient {
    /// The key that is kept; none if there was never one, or what is there is none.
    pub(crate) fn load(root: &Path) -> Result<Self, SpoolError> {
        let path = layout::recording_key(root);
        let key = match layout::read_at_most(&path, 32) {
            Ok(bytes) => bytes.try_into().ok().map(RecordingKey::from_bytes),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => None,
            Err(cause) if cause.kind() == io::ErrorKind::FileTooLarge => None,
            Err(cause) => return Err(SpoolError::io(path)(cause)),
        };
        Ok(Self { root: root.to_owned(), key: RwLock::new(key) })
    }

    /// Nothing panics while it is held, so a poisoned lock is as good as any.
    pub(crate) fn key(&self) -> Option<RecordingKey> {
        *self.key.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps another key, and has it in force then.
    pub(crate) fn replace(&self, key: RecordingKey) -> io::Result<()> {
        if self.key() == Some(key) {
            return Ok(());
        }
        let path = layout::recording_key(&self.root);
        layout::replace(&path, &path.with_extension("new"), key.as_bytes())?;
        *self.key.write().unwrap_or_else(PoisonError::into_inner) = Some(key);
        Ok(())
    }
}
