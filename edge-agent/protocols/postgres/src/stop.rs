//! When a session has to end although neither side left.

use std::time::{Duration, SystemTime};

use countersign_gate::CloseReason;
use countersign_model::{Reason, Refusal};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// Longest session that a deadline can mean; farther ones are brought here.
const HORIZON: Duration = Duration::from_secs(365 * 24 * 3600);

/// The deadline of a session, and the word of the edge.
#[derive(Debug)]
pub(crate) struct Stop {
    deadline: Instant,
    ending: watch::Receiver<Option<CloseReason>>,
    grace: Duration,
    noticed: Option<(CloseReason, Instant)>,
}

impl Stop {
    /// Ends at `deadline`, or as soon as `ending` holds a reason. A sender that is gone counts as a drain: an edge
    /// that cannot tell its sessions to end has ended.
    pub(crate) fn new(
        deadline: SystemTime,
        grace: Duration,
        ending: watch::Receiver<Option<CloseReason>>,
    ) -> Self {
        let left = deadline.duration_since(SystemTime::now()).unwrap_or_default().min(HORIZON);
        Self { deadline: Instant::now() + left, ending, grace, noticed: None }
    }

    /// Waits until the session should end. Cancel safe.
    pub(crate) async fn wanted(&mut self) -> CloseReason {
        if let Some((reason, _)) = self.noticed {
            return reason;
        }
        let reason = tokio::select! {
            () = sleep_until(self.deadline) => CloseReason::Deadline,
            reason = told(&mut self.ending) => reason,
        };
        self.noticed = Some((reason, Instant::now()));
        reason
    }

    /// Waits until an operation that still runs has to be cut. Cancel safe.
    pub(crate) async fn expired(&mut self) -> CloseReason {
        let reason = self.wanted().await;
        if let Some((_, since)) = self.noticed {
            sleep_until(since + self.grace).await;
        }
        reason
    }
}

/// Waits for a reason.
pub(crate) async fn told(ending: &mut watch::Receiver<Option<CloseReason>>) -> CloseReason {
    loop {
        if let Some(reason) = *ending.borrow_and_update() {
            return reason;
        }
        if ending.changed().await.is_err() {
            return CloseReason::Drain;
        }
    }
}

/// What the client is told.
pub(crate) fn refusal(reason: CloseReason) -> Refusal {
    match reason {
        CloseReason::Deadline => Refusal::denied(Reason::DeadlinePassed, "the session's deadline has passed"),
        CloseReason::Lease => {
            Refusal::denied(Reason::DeadlinePassed, "the edge's lease has ended, and its sessions with it")
        }
        _ => Refusal::denied(Reason::ShuttingDown, "the edge is shutting down"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reason_a_deadline_or_a_lost_sender_ends_it() {
        let later = SystemTime::now() + Duration::from_secs(60);
        let (sender, receiver) = watch::channel(None);
        let mut stop = Stop::new(later, Duration::ZERO, receiver.clone());
        sender.send_replace(Some(CloseReason::Lease));
        assert_eq!(stop.wanted().await, CloseReason::Lease);
        assert_eq!(stop.expired().await, CloseReason::Lease);

        let (sender, receiver) = watch::channel(None);
        let mut stop = Stop::new(later, Duration::ZERO, receiver);
        drop(sender);
        assert_eq!(stop.wanted().await, CloseReason::Drain);

        let (_sender, receiver) = watch::channel(None);
        let mut stop = Stop::new(SystemTime::UNIX_EPOCH, Duration::ZERO, receiver);
        assert_eq!(stop.wanted().await, CloseReason::Deadline);
    }
}
