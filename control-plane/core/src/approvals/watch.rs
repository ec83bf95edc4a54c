//! Watching approvals change.
//!
//! A change is told as the id alone and looked up by each watcher: what is asked is copied to nobody who does not
//! read it, and of several changes in a row a slow watcher sees the last.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use countersign_model::ApprovalId;
use countersign_store::StoreError;
use countersign_wire::v1;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::{Caller, Core};

/// Changes that wait for a watcher; one that is further behind is told to begin again.
pub(crate) const QUEUED: usize = 256;

/// Why there is nothing more to watch.
#[derive(Debug, thiserror::Error)]
pub enum WatchEnded {
    /// The watcher was too slow, and has missed changes.
    #[error("changes came faster than they were read; watch again")]
    Behind,
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(#[from] StoreError),
}

/// The approvals that one caller may see, as they change.
#[derive(Debug)]
pub struct Watching {
    core: Arc<Core>,
    caller: Caller,
    changes: broadcast::Receiver<ApprovalId>,
    /// Those that were open when the watch began, oldest first.
    first: VecDeque<ApprovalId>,
    /// Versions of open approvals that were shown.
    shown: HashMap<ApprovalId, u64>,
}

impl Core {
    /// Every approval that the caller may see and that is not final now, and then each one whenever it changes.
    ///
    /// # Errors
    /// The store's.
    pub async fn watch_approvals(self: &Arc<Self>, caller: Caller) -> Result<Watching, StoreError> {
        // From here on changes are kept, so that none falls between.
        let changes = self.approval_changes.subscribe();
        let first = self.parts.store.open_approvals().await?.iter().map(|record| record.id).collect();
        Ok(Watching { core: self.clone(), caller, changes, first, shown: HashMap::new() })
    }
}

impl Watching {
    /// The next approval that the caller may see. Cancel safe, but for one that is looked up at that moment: it is
    /// shown at its next change.
    ///
    /// # Errors
    /// [`WatchEnded`]; then the watch is over.
    pub async fn next(&mut self) -> Result<v1::Approval, WatchEnded> {
        loop {
            let id = match self.first.pop_front() {
                Some(id) => id,
                None => match self.changes.recv().await {
                    Ok(id) => id,
                    Err(RecvError::Lagged(_)) => return Err(WatchEnded::Behind),
                    // The sender lives as long as the core, which lives as long as this.
                    Err(RecvError::Closed) => std::future::pending().await,
                },
            };
            if let Some(approval) = self.look_up(id).await? {
                return Ok(approval);
            }
        }
    }

    /// For how long the caller's token is good.
    pub fn time_left(&self) -> Duration {
        self.caller.expires_at.duration_since(self.core.now()).unwrap_or_default()
    }

    async fn look_up(&mut self, id: ApprovalId) -> Result<Option<v1::Approval>, StoreError> {
        let record = self.core.parts.store.approval(id).await?;
        let Ok(opened) = self.core.open(record).await? else { return Ok(None) };
        let version = opened.record.version;
        let is_shown = self.shown.get(&id).is_some_and(|shown| *shown >= version);
        if is_shown || !self.caller.sees(&opened.summary) {
            return Ok(None);
        }
        if opened.record.state.is_final() {
            self.shown.remove(&id);
        } else {
            self.shown.insert(id, version);
        }
        Ok(Some(self.core.approval_message(&opened)))
    }
}
