//! When a session has to end although neither side left.

use std::time::{Duration, SystemTime};

use countersign_gate::{CloseReason, ports::Ended};
use countersign_model::{Reason, Refusal};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// Longest session that a deadline can mean; farther ones are brought here.
const HORIZON: Duration = Duration::from_secs(365 * 24 * 3600);

/// The deadline of a session, the word of the edge, and the word of an admin.
pub(crate) struct Stop {
    deadline: Instant,
    /// Of the connection that an approved operation was given, while there is one.
    sooner: Option<Instant>,
    ending: watch::Receiver<Option<CloseReason>>,
    ended: Ended,
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
        ended: Ended,
    ) -> Self {
        Self { deadline: monotonic(deadline), sooner: None, ending, ended, grace, noticed: None }
    }

    /// Ends at `deadline` if that is sooner, until this is called with `None`.
    pub(crate) fn limit(&mut self, deadline: Option<SystemTime>) {
        self.sooner = deadline.map(monotonic);
    }

    /// Waits until the session should end. Cancel safe.
    pub(crate) async fn wanted(&mut self) -> CloseReason {
        if let Some((reason, _)) = self.noticed {
            return reason;
        }
        let deadline = self.sooner.map_or(self.deadline, |sooner| sooner.min(self.deadline));
        let reason = tokio::select! {
            biased;
            reason = &mut self.ended => reason,
            reason = told(&mut self.ending) => reason,
            () = sleep_until(deadline) => CloseReason::Deadline,
        };
        self.noticed = Some((reason, Instant::now()));
        reason
    }

    /// Whether it should end now.
    pub(crate) async fn is_wanted(&mut self) -> Option<CloseReason> {
        tokio::select! {
            biased;
            reason = self.wanted() => Some(reason),
            () = std::future::ready(()) => None,
        }
    }

    /// Waits until an operation that still runs has to be cut: at once if the session was killed. Cancel safe.
    pub(crate) async fn expired(&mut self) -> CloseReason {
        let reason = self.wanted().await;
        if let Some((_, since)) = self.noticed.filter(|_| reason != CloseReason::Killed) {
            sleep_until(since + self.grace).await;
        }
        reason
    }
}

fn monotonic(at: SystemTime) -> Instant {
    Instant::now() + at.duration_since(SystemTime::now()).unwrap_or_default().min(HORIZON)
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
        CloseReason::Killed => Refusal::denied(Reason::SessionKilled, "the session was ended by an admin"),
        _ => Refusal::denied(Reason::ShuttingDown, "the edge is shutting down"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn never() -> Ended {
        Box::pin(std::future::pending())
    }

    #[tokio::test]
    async fn a_reason_a_deadline_or_a_lost_sender_ends_it() {
        let later = SystemTime::now() + Duration::from_secs(60);
        let (sender, receiver) = watch::channel(None);
        let mut stop = Stop::new(later, Duration::ZERO, receiver.clone(), never());
        sender.send_replace(Some(CloseReason::Lease));
        assert_eq!(stop.wanted().await, CloseReason::Lease);
        assert_eq!(stop.expired().await, CloseReason::Lease);

        let (sender, receiver) = watch::channel(None);
        let mut stop = Stop::new(later, Duration::ZERO, receiver, never());
        drop(sender);
        assert_eq!(stop.wanted().await, CloseReason::Drain);

        let (_sender, receiver) = watch::channel(None);
        let mut stop = Stop::new(SystemTime::UNIX_EPOCH, Duration::ZERO, receiver, never());
        assert_eq!(stop.wanted().await, CloseReason::Deadline);
    }

    #[tokio::test]
    async fn a_kill_has_no_grace_and_a_sooner_deadline_counts_while_it_is_set() {
        let later = SystemTime::now() + Duration::from_secs(3600);
        let (_sender, receiver) = watch::channel(None);
        let killed = Box::pin(std::future::ready(CloseReason::Killed));
        let mut stop = Stop::new(later, Duration::from_secs(3600), receiver.clone(), killed);
        assert_eq!(stop.expired().await, CloseReason::Killed);

        let mut stop = Stop::new(later, Duration::ZERO, receiver, never());
        stop.limit(Some(SystemTime::UNIX_EPOCH));
        assert_eq!(stop.wanted().await, CloseReason::Deadline);
    }
}
