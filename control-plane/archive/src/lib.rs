//! Where recordings rest: objects that are written once.
//!
//! An object is never replaced and never seen in part. Writing the same bytes again is no error, so whoever missed an
//! acknowledgement simply tries again, through any node. Every backend is held to [`conformance`].

pub mod conformance;
mod file;
mod key;

use async_trait::async_trait;
use bytes::Bytes;

pub use file::FileArchive;
pub use key::{Key, KeyError};

/// What a put did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOutcome {
    /// The object is new.
    Created,
    /// The same bytes were there already.
    AlreadySame,
}

/// Why an archive did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// Other bytes have this key; they stay.
    #[error("another object has this key")]
    Conflict,
    /// The object is larger than the caller takes.
    #[error("the object has {bytes} bytes")]
    TooLarge {
        /// Its size.
        bytes: u64,
    },
    /// No room is left; nothing was written.
    #[error("the archive is full")]
    Full,
    /// The archive failed. Whether the object was written is unknown. The text is for the log, not for callers.
    #[error("archive unavailable: {0}")]
    Unavailable(String),
}

/// Write-once objects by key.
#[async_trait]
pub trait Archive: Send + Sync {
    /// Writes an object unless the key is taken. Once it returns the object is durable, whichever of the two outcomes
    /// it is. Dropping the future leaves the object whole or absent.
    async fn put_new(&self, key: &Key, bytes: Bytes) -> Result<PutOutcome, ArchiveError>;

    /// The object, `None` if there is none, [`ArchiveError::TooLarge`] if it has more than `max_bytes`.
    async fn get(&self, key: &Key, max_bytes: usize) -> Result<Option<Bytes>, ArchiveError>;

    /// `len` bytes of an object from the byte `offset` on, or fewer (perhaps none) where it ends before; `None` if there
    /// is no such object.
    async fn get_range(&self, key: &Key, offset: u64, len: usize) -> Result<Option<Bytes>, ArchiveError>;

    /// Keys whose text begins with `prefix`, in byte order; all of them for the empty prefix.
    async fn list(&self, prefix: &str) -> Result<Vec<Key>, ArchiveError>;

    /// Whether an object would be taken now.
    async fn health(&self) -> Result<(), ArchiveError>;
}
