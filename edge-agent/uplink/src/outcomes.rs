//! What became of approvals, for the sessions that wait for it.
//!
//! An outcome comes over the edge's stream and may be here before the answer that names its approval. So one that
//! nobody waits for is kept for a while. It may come more than once, too.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use countersign_model::{ApprovalId, ApprovalOutcome, SessionId};
use tokio::sync::watch;

use crate::recent::Recent;

/// Outcomes that nobody waits for yet. Each is for an operation whose request is on its way back: far fewer.
const UNCLAIMED: usize = 1024;

/// The sessions that wait, and the outcomes that nobody waits for. Shared by all threads.
#[derive(Debug)]
pub(crate) struct Outcomes(Mutex<Table>);

#[derive(Debug)]
struct Table {
    waiting: HashMap<ApprovalId, watch::Sender<Option<ApprovalOutcome>>>,
    unclaimed: Recent<ApprovalId, ApprovalOutcome>,
}

impl Default for Outcomes {
    fn default() -> Self {
        Self(Mutex::new(Table { waiting: HashMap::new(), unclaimed: Recent::new(UNCLAIMED) }))
    }
}

impl Outcomes {
    /// Hands an outcome to whoever waits for it, or will. Its signature is verified.
    pub(crate) fn arrived(&self, outcome: ApprovalOutcome) {
        let mut table = self.lock();
        match table.waiting.get(&outcome.approval) {
            Some(waiter) => _ = waiter.send_if_modified(|known| replace(known, outcome)),
            None => table.keep(outcome),
        }
    }

    /// Waits for the outcome of an approval, however long that takes. Cancel safe: an outcome that arrived and was not
    /// returned is there for the next who asks.
    pub(crate) async fn wait(&self, approval: ApprovalId) -> ApprovalOutcome {
        let mut waiter = self.enter(approval);
        loop {
            if let Some(outcome) = waiter.taken() {
                return outcome;
            }
            if waiter.outcome.changed().await.is_err() {
                // Not while `waiter` lives: its sender stays in the table for as long.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Nobody will ask for the outcome of this approval any more.
    pub(crate) fn forget(&self, approval: ApprovalId) {
        self.lock().unclaimed.remove(&approval);
    }

    /// Nobody will ask for outcomes of this session's approvals any more.
    pub(crate) fn forget_session(&self, session: SessionId) {
        self.lock().unclaimed.retain(|outcome| outcome.session != session);
    }

    fn enter(&self, approval: ApprovalId) -> Waiter<'_> {
        let mut table = self.lock();
        let unclaimed = table.unclaimed.remove(&approval);
        let sender = table.waiting.entry(approval).or_insert_with(|| watch::channel(None).0);
        if let Some(outcome) = unclaimed {
            sender.send_if_modified(|known| replace(known, outcome));
        }
        let outcome = sender.subscribe();
        Waiter { outcomes: self, approval, outcome, returned: false }
    }

    /// Nothing panics while it is held, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn sizes(&self) -> (usize, usize) {
        let table = self.lock();
        (table.waiting.len(), table.unclaimed.len())
    }
}

impl Table {
    fn keep(&mut self, outcome: ApprovalOutcome) {
        let mut kept = self.unclaimed.get(&outcome.approval).cloned();
        let approval = outcome.approval;
        replace(&mut kept, outcome);
        if let Some(kept) = kept {
            self.unclaimed.insert(approval, kept);
        }
    }
}

/// What is final stays: an older message that is repeated after it changes nothing.
fn replace(known: &mut Option<ApprovalOutcome>, outcome: ApprovalOutcome) -> bool {
    let settled = known.as_ref().is_some_and(|known| known.state.is_final());
    if !settled {
        *known = Some(outcome);
    }
    !settled
}

/// One who waits. Leaves nothing behind but an outcome that it did not return.
struct Waiter<'a> {
    outcomes: &'a Outcomes,
    approval: ApprovalId,
    outcome: watch::Receiver<Option<ApprovalOutcome>>,
    returned: bool,
}

impl Waiter<'_> {
    fn taken(&mut self) -> Option<ApprovalOutcome> {
        let outcome = self.outcome.borrow_and_update().clone();
        self.returned = outcome.is_some();
        outcome
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut table = self.outcomes.lock();
        // Ours is one of them: another one that waits for the same keeps the place.
        if table.waiting.get(&self.approval).is_none_or(|sender| sender.receiver_count() > 1) {
            return;
        }
        table.waiting.remove(&self.approval);
        let left = self.outcome.borrow_and_update().clone();
        if let Some(outcome) = left.filter(|_| !self.returned) {
            table.keep(outcome);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
