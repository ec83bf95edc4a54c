//! The store of a single node: one redb file.
//!
//! What was acknowledged is on disk: writes that arrive while one is being synced share the next sync. One process
//! has the file open; a second one is told so. Dropping a call's future does not undo it.

mod approvals;
mod audit;
mod edges;
mod recordings;
mod resources;
mod sessions;
mod stored;
mod tables;
mod token_uses;
mod writer;

use std::{
    fs::{DirBuilder, File, OpenOptions, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use async_trait::async_trait;
use countersign_runtime::{LOCK_PATIENCE, retry_while};
use countersign_store::{Store, StoreError};
use redb::{Database, DatabaseError, ReadTransaction, ReadableDatabase};

use tables::Fault;
use writer::Writer;

/// Memory for pages that were read, in bytes.
const CACHE: usize = 64 << 20;

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open, or another part of this one.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A newer version of this software wrote it.
    #[error("{} has format {found}; this version knows formats up to {known}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The newest format that this version reads.
        known: u64,
    },
    /// It holds something else.
    #[error("{} is no store of the control plane", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file system or the database said no.
    #[error("{}: {cause}", path.display())]
    Failed {
        /// The file.
        path: PathBuf,
        /// What it said.
        cause: String,
    },
}

/// A store in a file. Clones share it; the file is closed when the last one is dropped.
#[derive(Clone)]
pub struct EmbeddedStore {
    // Before the writer, so that a dropped store is closed once its writer has ended.
    database: Arc<Database>,
    writer: Arc<Writer>,
}

impl EmbeddedStore {
    /// Opens the store in the file `path`, which is made with mode 0600 (its folders with 0700) if it is not there.
    /// Blocks, for as long as a repair takes if the last process was killed.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let failed = |cause: String| OpenError::Failed { path: path.to_owned(), cause };
        create_file(path).map_err(|error| failed(error.to_string()))?;
        let create = || Database::builder().set_cache_size(CACHE).create(path);
        let busy = |error: &DatabaseError| matches!(error, DatabaseError::DatabaseAlreadyOpen);
        let database = retry_while(LOCK_PATIENCE, create, busy).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => OpenError::InUse { path: path.to_owned() },
            other => failed(other.to_string()),
        })?;
        tables::prepare(&database, path)?;
        let database = Arc::new(database);
        let writer = Writer::start(database.clone()).map_err(|error| failed(error.to_string()))?;
        Ok(Self { database, writer: Arc::new(writer) })
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&ReadTransaction) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let database = self.database.clone();
        let read = move || {
            let transaction = database.begin_read().map_err(StoreError::unavailable)?;
            work(&transaction).map_err(Fault::into_error)
        };
        tokio::task::spawn_blocking(read).await.map_err(StoreError::unavailable)?
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn purge_expired(&self, now: SystemTime) -> Result<u64, StoreError> {
        self.writer
            .write(move |transaction| {
                Ok(edges::purge(transaction, now)? + token_uses::purge(transaction, now)?)
            })
            .await
    }

    async fn check(&self) -> Result<(), StoreError> {
        // An empty transaction is committed and synced like any other, and fails if an earlier one broke the file.
        self.writer.write(|_| Ok(())).await
    }
}

/// Makes the file and its name durable before anything is written to it.
fn create_file(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    // It may have been there before, copied back from somewhere with another mode.
    file.set_permissions(Permissions::from_mode(0o600))?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests;
