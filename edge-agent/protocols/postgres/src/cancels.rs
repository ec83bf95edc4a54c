//! PostgreSQL's requests to cancel: they come on connections of their own, with a key, and are never answered.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;
use uuid::Uuid;

use crate::codec::startup::CancelKey;

/// The sessions of an edge by the key that each gave to its client. Shared by all connections of the edge.
#[derive(Default)]
pub struct Cancels(Mutex<HashMap<CancelKey, Arc<Notify>>>);

impl fmt::Debug for Cancels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cancels({})", self.table().len())
    }
}

impl Cancels {
    /// A key for a session, which counts until what is returned is dropped.
    pub(crate) fn register(self: &Arc<Self>) -> Cancellable {
        let cancelled = Arc::<Notify>::default();
        let mut table = self.table();
        loop {
            let key = random_key();
            if let std::collections::hash_map::Entry::Vacant(place) = table.entry(key) {
                place.insert(cancelled.clone());
                return Cancellable { key, cancelled, cancels: self.clone() };
            }
        }
    }

    /// Tells the session of that key, if there is one.
    pub(crate) fn cancel(&self, key: CancelKey) {
        // Looked up by a hash of both halves: how long it takes says nothing about how much of a guess was right.
        if let Some(cancelled) = self.table().get(&key) {
            cancelled.notify_one();
        }
    }

    fn table(&self) -> MutexGuard<'_, HashMap<CancelKey, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key of a session, and the place where it hears of requests.
pub(crate) struct Cancellable {
    pub(crate) key: CancelKey,
    cancelled: Arc<Notify>,
    cancels: Arc<Cancels>,
}

impl Cancellable {
    /// Whether there was a request since this was last asked. One that came too late for its operation must not hit
    /// the next one.
    pub(crate) async fn take(&self) -> bool {
        tokio::select! {
            biased;
            () = self.cancelled.notified() => true,
            () = std::future::ready(()) => false,
        }
    }

    /// Waits for a request. Cancel safe.
    pub(crate) async fn wanted(&self) {
        self.cancelled.notified().await;
    }
}

impl Drop for Cancellable {
    fn drop(&mut self) {
        self.cancels.table().remove(&self.key);
    }
}

/// Random in both halves: nothing about other sessions can be told from it.
fn random_key() -> CancelKey {
    let bytes = Uuid::new_v4().into_bytes();
    let [a, b, c, d, .., w, x, y, z] = bytes;
    // The first and the last four bytes of a random UUID are random throughout. Clients take a process id as signed.
    CancelKey { process: u32::from_be_bytes([a & 0x7f, b, c, d]), secret: u32::from_be_bytes([w, x, y, z]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_reaches_its_session_and_no_other() {
        let cancels = Arc::<Cancels>::default();
        let (one, other) = (cancels.register(), cancels.register());
        cancels.cancel(CancelKey { secret: one.key.secret ^ 1, ..one.key });
        cancels.cancel(one.key);
        one.wanted().await;
        let heard = tokio::time::timeout(std::time::Duration::from_millis(20), other.wanted()).await;
        assert!(heard.is_err());
    }

    #[tokio::test]
    async fn an_early_request_is_forgotten_and_a_session_that_ended_is_gone() {
        let cancels = Arc::<Cancels>::default();
        let session = cancels.register();
        cancels.cancel(session.key);
        assert!(session.take().await);
        let heard = tokio::time::timeout(std::time::Duration::from_millis(20), session.wanted()).await;
        assert!(heard.is_err());
        drop(session);
        assert!(cancels.table().is_empty());
    }
}
