//! The sessions that are open in this process, and the word from outside that ends them.
//!
//! Sessions live on many threads; this is shared by all of them. A session is open from the control plane's answer
//! until it is closed, with all its connections, or dropped.

use std::{
    collections::HashMap,
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use countersign_gate::{CloseReason, ports::Ended};
use countersign_model::SessionId;
use tokio::sync::watch;

use crate::recent::Recent;

/// Revoked sessions that are not open here: they have ended, or the answer that opens them is still under way.
const REMEMBERED: usize = 4096;

/// The open sessions of an edge.
#[derive(Debug)]
pub(crate) struct Sessions(Mutex<Table>);

#[derive(Debug)]
struct Table {
    /// What each is told. Dropping the sender says that the session is no longer open.
    open: HashMap<SessionId, watch::Sender<Option<CloseReason>>>,
    revoked: Recent<SessionId, ()>,
    /// Counts up whenever what was asked for before may have been revoked unheard.
    era: u64,
}

/// When a session was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    era: u64,
}

/// Why a session that the control plane opened is not open here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotOpen {
    /// It was revoked before it was known here.
    Revoked,
    /// It may have been: the edge was shut out, or began a new stream, while the answer was under way.
    Uncertain,
}

impl Default for Sessions {
    fn default() -> Self {
        Self(Mutex::new(Table { open: HashMap::new(), revoked: Recent::new(REMEMBERED), era: 0 }))
    }
}

impl Sessions {
    /// The control plane is about to be asked for a session.
    pub(crate) fn asked(&self) -> Asked {
        Asked { era: self.lock().era }
    }

    /// The session that was asked for is open from now on, unless somebody ended it meanwhile.
    pub(crate) fn register(&self, session: SessionId, asked: Asked) -> Result<(), NotOpen> {
        let mut table = self.lock();
        if table.revoked.remove(&session).is_some() {
            return Err(NotOpen::Revoked);
        }
        if asked.era != table.era {
            return Err(NotOpen::Uncertain);
        }
        table.open.insert(session, watch::channel(None).0);
        Ok(())
    }

    /// The session is closed, and its connections are. Saying so twice is no error.
    pub(crate) fn deregister(&self, session: SessionId) {
        self.lock().open.remove(&session);
    }

    /// Deregisters the session when it is dropped.
    pub(crate) fn while_held(self: &Arc<Self>, session: SessionId) -> Registered {
        Registered { sessions: self.clone(), session }
    }

    /// Waits until the session is told to end. One that is not open has ended already.
    pub(crate) fn ended(&self, session: SessionId) -> Ended {
        let told = self.lock().open.get(&session).map(watch::Sender::subscribe);
        Box::pin(async move {
            let Some(mut told) = told else { return CloseReason::Killed };
            let reason = told.wait_for(Option::is_some).await.ok().and_then(|reason| *reason);
            match reason {
                Some(reason) => reason,
                // Closed by itself.
                None => pending().await,
            }
        })
    }

    /// The sessions that a new stream says are open. The control plane revokes at once those that it has closed; one
    /// whose answer is under way it cannot know of, so that this one does not open.
    pub(crate) fn open_for_hello(&self) -> Vec<SessionId> {
        let mut table = self.lock();
        table.era = table.era.wrapping_add(1);
        table.open.keys().copied().collect()
    }

    /// Tells sessions to end, now or when they are known.
    pub(crate) fn revoke(&self, sessions: &[SessionId]) -> Closing {
        let mut table = self.lock();
        let Table { open, revoked, .. } = &mut *table;
        let mut told = Vec::new();
        for session in sessions {
            match open.get(session) {
                Some(sender) => told.push(tell(sender)),
                None => revoked.insert(*session, ()),
            }
        }
        Closing(told)
    }

    /// Tells every session to end, those too whose answer is under way.
    pub(crate) fn revoke_all(&self) -> Closing {
        let mut table = self.lock();
        table.era = table.era.wrapping_add(1);
        Closing(table.open.values().map(tell).collect())
    }

    /// Nothing panics while it is held, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell(session: &watch::Sender<Option<CloseReason>>) -> watch::Receiver<Option<CloseReason>> {
    session.send_replace(Some(CloseReason::Killed));
    session.subscribe()
}

/// Sessions that were told to end.
#[derive(Debug)]
pub(crate) struct Closing(Vec<watch::Receiver<Option<CloseReason>>>);

impl Closing {
    /// Waits until none of them is open.
    pub(crate) async fn closed(self) {
        for mut session in self.0 {
            while session.changed().await.is_ok() {}
        }
    }
}

/// A session counts as open for as long as this lives, or until it is deregistered.
#[derive(Debug)]
pub(crate) struct Registered {
    sessions: Arc<Sessions>,
    session: SessionId,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.sessions.deregister(self.session);
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    fn open(sessions: &Sessions) -> SessionId {
        let session = SessionId::generate();
        sessions.register(session, sessions.asked()).expect("open");
        session
    }

    fn is_ready<F: Future + Unpin>(future: &mut F) -> bool {
        std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[tokio::test]
    async fn a_revocation_ends_the_sessions_that_it_names_and_is_done_when_they_are_closed() {
        let sessions = Sessions::default();
        let [mine, other, third] = [open(&sessions), open(&sessions), open(&sessions)];
        let (mut ended, mut spared) = (sessions.ended(mine), sessions.ended(third));
        assert!(!is_ready(&mut ended));
        let mut closed = Box::pin(sessions.revoke(&[mine, other, SessionId::generate()]).closed());
        assert_eq!(ended.await, CloseReason::Killed);
        assert_eq!(sessions.ended(other).await, CloseReason::Killed, "also for who asks later");
        assert!(!is_ready(&mut closed));
        sessions.deregister(mine);
        assert!(!is_ready(&mut closed));
        sessions.deregister(other);
        closed.await;
        assert!(!is_ready(&mut spared));
        sessions.deregister(third);
        assert!(!is_ready(&mut spared), "nobody ended it");
        assert_eq!(sessions.ended(third).await, CloseReason::Killed, "what is not open is not to go on");
    }

    #[tokio::test]
    async fn sessions_of_other_threads_are_told() {
        let sessions = Arc::new(Sessions::default());
        let session = open(&sessions);
        let there = sessions.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
            let reason = runtime.block_on(there.ended(session));
            there.deregister(session);
            reason
        });
        sessions.revoke(&[session]).closed().await;
        assert_eq!(thread.join().expect("joined"), CloseReason::Killed);
    }

    #[tokio::test]
    async fn a_session_that_is_revoked_before_its_answer_arrives_does_not_open() {
        let sessions = Sessions::default();
        let session = SessionId::generate();
        let asked = sessions.asked();
        sessions.revoke(&[session]).closed().await;
        assert_eq!(sessions.register(session, asked), Err(NotOpen::Revoked));
        assert!(sessions.open_for_hello().is_empty());
    }

    #[test]
    fn what_is_remembered_of_the_revoked_is_bounded() {
        let sessions = Sessions::default();
        let all: Vec<SessionId> = (0..=REMEMBERED).map(|_| SessionId::generate()).collect();
        drop(sessions.revoke(&all));
        assert_eq!(sessions.lock().revoked.len(), REMEMBERED);
        assert_eq!(sessions.register(all[REMEMBERED], sessions.asked()), Err(NotOpen::Revoked));
    }

    #[tokio::test]
    async fn everything_ends_what_is_under_way_too() {
        let sessions = Sessions::default();
        let (session, under_way) = (open(&sessions), sessions.asked());
        let closing = sessions.revoke_all();
        assert_eq!(sessions.ended(session).await, CloseReason::Killed);
        assert_eq!(sessions.register(SessionId::generate(), under_way), Err(NotOpen::Uncertain));
        sessions.deregister(session);
        closing.closed().await;
        open(&sessions);
    }

    #[test]
    fn a_hello_lists_what_is_open_and_what_it_cannot_list_does_not_open() {
        let sessions = Arc::new(Sessions::default());
        let (session, under_way) = (open(&sessions), sessions.asked());
        let dropped = sessions.while_held(open(&sessions));
        drop(dropped);
        assert_eq!(sessions.open_for_hello(), [session]);
        assert_eq!(sessions.register(SessionId::generate(), under_way), Err(NotOpen::Uncertain));
    }
}
