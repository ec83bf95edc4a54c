//! The open stream of an edge as the use cases reach it: what is sent down it, and what it has to confirm.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use countersign_store::BootId;
use countersign_wire::v1::{self, control_message::Message as Control};
use tokio::sync::{Notify, mpsc, oneshot};

/// Messages that wait for an edge that reads slowly; one more and it is cut.
const QUEUED: usize = 256;

/// The open stream of an edge. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Attachment {
    boot: BootId,
    stream: Arc<Stream>,
}

#[derive(Debug)]
struct Stream {
    outgoing: mpsc::Sender<Control>,
    /// Told once, when the stream must end.
    cut: Notify,
    /// It is cut because nobody reads it.
    unread: AtomicBool,
    revocations: Mutex<Revocations>,
}

/// Revocations that the edge was told of.
#[derive(Debug, Default)]
struct Revocations {
    last: u64,
    /// Those that it has not confirmed, while somebody waits for that.
    waiting: HashMap<u64, oneshot::Sender<()>>,
    /// The stream has ended: nothing more will be confirmed.
    over: bool,
}

impl Attachment {
    /// A new stream of a process, and what goes down it.
    pub(super) fn new(boot: BootId) -> (Self, mpsc::Receiver<Control>) {
        let (outgoing, messages) = mpsc::channel(QUEUED);
        let stream = Stream {
            outgoing,
            cut: Notify::new(),
            unread: AtomicBool::new(false),
            revocations: Mutex::default(),
        };
        (Self { boot, stream: Arc::new(stream) }, messages)
    }

    /// The process at its other end.
    pub(crate) fn boot(&self) -> BootId {
        self.boot
    }

    /// Whether both are one stream.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.stream, &other.stream)
    }

    /// Has the stream end.
    pub(super) fn cut(&self) {
        self.stream.cut.notify_one();
    }

    /// Waits until the stream must end. To be awaited once.
    pub(super) async fn must_end(&self) {
        self.stream.cut.notified().await;
    }

    /// Whether the stream must end because its edge does not read it.
    pub(super) fn is_unread(&self) -> bool {
        self.stream.unread.load(Ordering::Relaxed)
    }

    /// Sends without waiting. An edge with a full queue is cut: it hears what it missed when it attaches again.
    pub(crate) fn push(&self, message: Control) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.stream.outgoing.try_send(message) {
            self.stream.unread.store(true, Ordering::Relaxed);
            self.cut();
        }
    }

    /// Tells the edge to end sessions.
    pub(crate) fn revoke(&self, session_ids: Vec<String>, all: bool) -> Revoking {
        let (sender, confirmed) = oneshot::channel();
        let id = {
            let mut revocations = self.revocations();
            revocations.last += 1;
            let id = revocations.last;
            if !revocations.over {
                revocations.waiting.insert(id, sender);
            }
            id
        };
        self.push(Control::Revoke(v1::Revoke { revocation_id: id, session_ids, all }));
        Revoking { attachment: self.clone(), id, confirmed }
    }

    /// The edge says that what a revocation named is cut.
    pub(super) fn confirm(&self, id: u64) {
        if let Some(waiting) = self.revocations().waiting.remove(&id) {
            // Whoever waited may have given up at this moment.
            let _ = waiting.send(());
        }
    }

    /// Nothing more will come from the edge.
    pub(super) fn end(&self) {
        let mut revocations = self.revocations();
        revocations.over = true;
        revocations.waiting.clear();
    }

    fn revocations(&self) -> MutexGuard<'_, Revocations> {
        self.stream.revocations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A revocation that an edge was told of.
#[derive(Debug)]
pub(crate) struct Revoking {
    attachment: Attachment,
    id: u64,
    confirmed: oneshot::Receiver<()>,
}

impl Revoking {
    /// Waits for the edge to say that it is done; false if it does not within that time, or its stream ends.
    pub(crate) async fn confirmed(mut self, within: Duration) -> bool {
        tokio::time::timeout(within, &mut self.confirmed).await.is_ok_and(|told| told.is_ok())
    }
}

impl Drop for Revoking {
    fn drop(&mut self) {
        self.attachment.revocations().waiting.remove(&self.id);
    }
}
