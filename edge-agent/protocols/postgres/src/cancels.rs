//! PostgreSQL's requests to cancel: they come on connections of their own, with a key, and are never answered but by
//! the end of that connection, which says that the request has reached what it was for.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::timeout,
};
use uuid::Uuid;

use crate::codec::startup::CancelKey;

/// How long a request may take until it has reached what it was for.
const PATIENCE: Duration = Duration::from_secs(5);

/// The sessions of an edge by the key that each gave to its client. Shared by all connections of the edge.
#[derive(Default)]
pub struct Cancels(Mutex<HashMap<CancelKey, Arc<Requests>>>);

/// The requests for one session.
struct Requests {
    wanted: Notify,
    /// What the session is doing.
    at: watch::Sender<At>,
}

/// What a session is doing, as far as requests to cancel are concerned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct At {
    /// It deals with something that the client asked for.
    busy: bool,
    /// Requests that have reached what they were for.
    reached: u64,
}

impl fmt::Debug for Cancels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cancels({})", self.table().len())
    }
}

impl Cancels {
    /// A key for a session, which counts until what is returned is dropped.
    pub(crate) fn register(self: &Arc<Self>) -> Cancellable {
        let requests = Arc::new(Requests { wanted: Notify::new(), at: watch::Sender::default() });
        let mut table = self.table();
        loop {
            let key = random_key();
            if let std::collections::hash_map::Entry::Vacant(place) = table.entry(key) {
                place.insert(requests.clone());
                return Cancellable { key, requests, cancels: self.clone() };
            }
        }
    }

    /// Tells the session of that key, if there is one and it is doing anything, and waits until the request has
    /// reached it: one that came later would hit what the session does then.
    pub(crate) async fn cancel(&self, key: CancelKey) {
        // Looked up by a hash of both halves: how long it takes says nothing about how much of a guess was right.
        let requests = self.table().get(&key).cloned();
        let Some(requests) = requests else { return };
        let mut at = requests.at.subscribe();
        let before = *at.borrow_and_update();
        if before.busy {
            requests.wanted.notify_one();
            let reached = at.wait_for(|now| !now.busy || now.reached != before.reached);
            let _ = timeout(PATIENCE, reached).await;
        }
    }

    fn table(&self) -> MutexGuard<'_, HashMap<CancelKey, Arc<Requests>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key of a session, and the place where it hears of requests.
pub(crate) struct Cancellable {
    pub(crate) key: CancelKey,
    requests: Arc<Requests>,
    cancels: Arc<Cancels>,
}

impl Cancellable {
    /// The session begins to deal with something that the client asked for, or has done so. Requests that came before
    /// are forgotten: what they were for is over.
    pub(crate) async fn is_busy(&self, busy: bool) {
        self.take().await;
        self.requests.at.send_modify(|at| at.busy = busy);
    }

    /// Whether there was a request since this was last asked.
    pub(crate) async fn take(&self) -> bool {
        tokio::select! {
            biased;
            () = self.requests.wanted.notified() => true,
            () = std::future::ready(()) => false,
        }
    }

    /// Waits for a request. Cancel safe.
    pub(crate) async fn wanted(&self) {
        self.requests.wanted.notified().await;
    }

    /// A request has reached what it was for.
    pub(crate) fn reached(&self) {
        self.requests.at.send_modify(|at| at.reached = at.reached.wrapping_add(1));
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
        one.is_busy(true).await;
        other.is_busy(true).await;
        cancels.cancel(CancelKey { secret: one.key.secret ^ 1, ..one.key }).await;
        tokio::join!(cancels.cancel(one.key), async {
            one.wanted().await;
            one.reached();
        });
        let heard = tokio::time::timeout(std::time::Duration::from_millis(20), other.wanted()).await;
        assert!(heard.is_err());
    }

    #[tokio::test]
    async fn a_request_waits_until_it_is_heard_and_none_is_kept_for_later() {
        let cancels = Arc::<Cancels>::default();
        let session = cancels.register();
        cancels.cancel(session.key).await;
        session.is_busy(true).await;
        assert!(!session.take().await, "it came when there was nothing to cancel");
        let asking = timeout(Duration::from_millis(20), cancels.cancel(session.key)).await;
        assert!(asking.is_err(), "nobody has heard it");
        tokio::join!(cancels.cancel(session.key), session.is_busy(false));
        assert!(!session.take().await);
        drop(session);
        assert!(cancels.table().is_empty());
        cancels.cancel(CancelKey { process: 0, secret: 0 }).await;
    }
}
