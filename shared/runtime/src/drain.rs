//! Stopping in good order: say it once, let what runs finish, wait for it up to a deadline.

use std::time::Duration;

use tokio::sync::{mpsc, watch};

/// The side that says when to stop, and waits.
pub struct Drain {
    stop: watch::Sender<bool>,
    alive: mpsc::Receiver<()>,
    blocker: mpsc::Sender<()>,
}

/// The side that is told. Clones hear the same.
#[derive(Clone)]
pub struct Watch {
    stop: watch::Receiver<bool>,
    blocker: mpsc::WeakSender<()>,
}

/// Holds a drain open while it lives. `None` inside: the drain is gone, nothing waits.
#[must_use = "dropping it says that the work is done"]
pub struct Blocker {
    _alive: Option<mpsc::Sender<()>>,
}

impl Drain {
    /// A drain and the first of its watches.
    pub fn new() -> (Self, Watch) {
        let (stop, stopped) = watch::channel(false);
        let (blocker, alive) = mpsc::channel(1);
        let watch = Watch { stop: stopped, blocker: blocker.downgrade() };
        (Self { stop, alive, blocker }, watch)
    }

    /// Tells every watch to stop, and returns when no [`Blocker`] is left or `limit` has passed; true if none is.
    pub async fn drain(mut self, limit: Duration) -> bool {
        self.stop.send_replace(true);
        drop(self.blocker);
        tokio::time::timeout(limit, self.alive.recv()).await.is_ok()
    }
}

impl Watch {
    /// Returns when it is time to stop; also when the [`Drain`] was dropped. Cancellation safe.
    pub async fn stopped(&mut self) {
        // An error means that the drain is gone: nobody is left to wait for us.
        let _ = self.stop.wait_for(|stop| *stop).await;
    }

    /// Whether it is time to stop.
    pub fn is_stopped(&self) -> bool {
        *self.stop.borrow() || self.stop.has_changed().is_err()
    }

    /// Work that a drain must wait for.
    pub fn block(&self) -> Blocker {
        Blocker { _alive: self.blocker.upgrade() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_for_work_and_no_longer_than_told() {
        let (drain, mut watch) = Drain::new();
        assert!(!watch.is_stopped());
        let blocker = watch.block();
        let work = tokio::spawn(async move {
            watch.stopped().await;
            drop(blocker);
        });
        assert!(drain.drain(Duration::from_secs(10)).await);
        work.await.expect("joined");

        let (drain, watch) = Drain::new();
        let _never_done = watch.block();
        assert!(!drain.drain(Duration::from_millis(10)).await);
        assert!(watch.is_stopped());
    }
}
