//! What the listeners share. The directory is an immutable snapshot that is swapped whole, so a request sees one
//! state of it; keys are behind a lock that is never held across an await.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::directory::{Directory, DirectoryError};
use crate::faults::Faults;
use crate::federation::IssuerKeys;
use crate::keys::{KeyError, KeyRing};
use crate::requests::Requests;

pub(crate) struct State {
    /// `scheme://host:port`, no slash at the end.
    pub(crate) authority: String,
    pub(crate) faults: Faults,
    pub(crate) requests: Requests,
    pub(crate) issuers: IssuerKeys,
    directory: RwLock<Arc<Directory>>,
    keys: RwLock<KeyRing>,
}

impl State {
    pub(crate) fn new(authority: String, directory: Directory, keys: KeyRing, issuers: IssuerKeys) -> Self {
        Self {
            authority,
            faults: Faults::default(),
            requests: Requests::default(),
            issuers,
            directory: RwLock::new(Arc::new(directory)),
            keys: RwLock::new(keys),
        }
    }

    pub(crate) fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.directory.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes a copy of the directory and puts it in place if it is still possible; otherwise nothing changes.
    pub(crate) fn edit<R>(
        &self,
        change: impl FnOnce(&mut Directory) -> Result<R, DirectoryError>,
    ) -> Result<R, DirectoryError> {
        let mut current = self.directory.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = Directory::clone(&current);
        let result = change(&mut changed)?;
        changed.check()?;
        *current = Arc::new(changed);
        Ok(result)
    }

    pub(crate) fn keys<R>(&self, read: impl FnOnce(&KeyRing) -> R) -> R {
        read(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes a key on a thread of its own, then changes the ring with it.
    pub(crate) async fn change_keys<R>(
        &self,
        change: impl FnOnce(&mut KeyRing, Arc<crate::keys::SigningKey>) -> R,
    ) -> Result<R, KeyError> {
        let fresh = tokio::task::spawn_blocking(KeyRing::fresh).await.map_err(KeyError::stopped)??;
        Ok(change(&mut self.keys.write().unwrap_or_else(PoisonError::into_inner), fresh))
    }

    /// Issuer of the tokens of resources that take version 1. Entra's own is on another host (`sts.windows.net`);
    /// here the emulator's one host stands for both, so only the missing `v2.0` tells the two apart.
    pub(crate) fn issuer_v1(&self, tenant: impl std::fmt::Display) -> String {
        format!("{}/{tenant}/", self.authority)
    }

    pub(crate) fn issuer_v2(&self, tenant: impl std::fmt::Display) -> String {
        format!("{}/{tenant}/v2.0", self.authority)
    }
}

/// Seconds since 1970, UTC; 0 for a clock before that.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
