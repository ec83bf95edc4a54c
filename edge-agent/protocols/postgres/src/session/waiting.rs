//! The wait for people: nothing is sent to the target, and the client hears at once and every 15 seconds that it waits.

use std::time::Duration;

use bytes::BytesMut;
use countersign_gate::{Held, ports::Ports};
use countersign_model::{ApprovalOutcome, Reason, Refusal, RefusalKind};
use tokio::time::{Instant, sleep_until};

use super::{Driver, ending::Ending, exchange::unasked};
use crate::{client::Client, sqlstate, stop::Stop};

/// Time between two notices.
const NOTICE: Duration = Duration::from_secs(15);
/// The control plane says when an approval expires; this is for when it does not come to say so.
const SLACK: Duration = Duration::from_secs(2);
/// Longest wait that a client or an approval can mean.
const HORIZON: Duration = Duration::from_secs(48 * 3600);

/// How a wait ends.
pub(super) enum Waited {
    /// People decided.
    Decided(ApprovalOutcome),
    /// Nobody waits any more, and the session goes on.
    GaveUp(Refusal),
    /// The session ends.
    Ended(Ending),
}

impl<P: Ports> Driver<'_, P> {
    /// Waits until people decide, or until somebody does not want to wait any longer.
    pub(super) async fn wait_for(&mut self, held: &Held) -> Waited {
        let Self { session, client, line, stop, cancel, .. } = self;
        let began = Instant::now();
        let patience = began + self.wait.unwrap_or(HORIZON).min(HORIZON);
        let expiry = began + held.expires_in().min(HORIZON) + SLACK;
        let notice = notice(held, session.facts().session);
        // At once, however soon people decide: what comes after it is the client's to match with it.
        if let Err(ending) = tell(client, stop, &notice).await {
            return Waited::Ended(ending);
        }
        let mut notice_at = began + NOTICE;
        // Made once: an outcome that comes while something else is dealt with is not lost.
        let mut outcome = std::pin::pin!(session.outcome(held));
        loop {
            tokio::select! {
                biased;
                reason = stop.wanted() => return Waited::Ended(Ending::Stopped(reason)),
                outcome = &mut outcome => return Waited::Decided(outcome),
                () = cancel.wanted() => {
                    cancel.reached();
                    return Waited::GaveUp(cancelled_by_client());
                }
                () = sleep_until(patience) => return Waited::GaveUp(still_pending()),
                () = sleep_until(expiry) => return Waited::GaveUp(expired()),
                () = sleep_until(notice_at) => {
                    if let Err(ending) = tell(client, stop, &notice).await {
                        return Waited::Ended(ending);
                    }
                    notice_at += NOTICE;
                }
                open = line.fill() => {
                    // A target that leaves takes with it what the operation was to run in.
                    let still = unasked(open).and_then(|()| {
                        line.drop_unasked().map_err(|broken| Ending::TargetGone(broken.into()))
                    });
                    if let Err(ending) = still {
                        return Waited::Ended(ending);
                    }
                }
                ahead = client.read_ahead() => {
                    if let Err(error) = ahead {
                        return Waited::Ended(error.into());
                    }
                    // Beyond this nothing is read, so it would not be seen that the client leaves.
                    if !client.may_read_ahead() {
                        return Waited::GaveUp(too_much_ahead());
                    }
                }
            }
        }
    }
}

async fn tell(client: &mut Client, stop: &mut Stop, notice: &[u8]) -> Result<(), Ending> {
    tokio::select! {
        biased;
        written = client.write(notice) => written.map_err(|_| Ending::Left),
        reason = stop.expired() => Err(Ending::Deaf(reason)),
    }
}

fn notice(held: &Held, session: countersign_model::SessionId) -> BytesMut {
    let waiting = Refusal {
        kind: RefusalKind::Pending,
        approval: Some(held.approval()),
        expires_at: Some(held.expires_at()),
        ..Refusal::denied(Reason::ApprovalPending, "this waits until somebody approves it")
    };
    let mut out = BytesMut::new();
    sqlstate::encode_notice(&mut out, &waiting.of(session, held.operation()));
    out
}

fn cancelled_by_client() -> Refusal {
    let message = "the request for approval was cancelled by the client";
    Refusal { kind: RefusalKind::Cancelled, ..Refusal::denied(Reason::Cancelled, message) }
}

fn still_pending() -> Refusal {
    let message =
        "nobody had decided when the client's wait ended: it did not run, and the request is withdrawn";
    Refusal { kind: RefusalKind::Pending, ..Refusal::denied(Reason::ApprovalPending, message) }
}

fn expired() -> Refusal {
    let message = "nobody approved this in time";
    Refusal { kind: RefusalKind::Expired, ..Refusal::denied(Reason::ApprovalExpired, message) }
}

fn too_much_ahead() -> Refusal {
    let message = "the client sent more than is kept while something waits for approval";
    Refusal { kind: RefusalKind::Cancelled, ..Refusal::denied(Reason::OverLimit, message) }
}
