//! Asking people, and hearing what became of it.

use std::{
    future::Future,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use countersign_model::{
    ApprovalId, ApprovalOutcome, Attachment, Binding, Identity, OperationId, Refusal, Resolution,
    SessionFacts, SessionId,
};

/// What people are asked: the bytes that would be sent, and what is attested beside them.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The operation.
    pub operation: OperationId,
    /// What would be sent.
    pub payload: &'a Bytes,
    /// What it would be executed with; `None` in the simple query protocol.
    pub binding: Option<&'a Binding>,
    /// What it means on the connection that it would be sent on.
    pub resolution: &'a Resolution,
    /// The identity that it would be sent as.
    pub identity: Identity,
    /// What makes it one operation of one session.
    pub attached: Attachment,
}

/// A request that people can vote on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requested {
    /// Its id.
    pub approval: ApprovalId,
    /// The end of the time for voting, by the control plane's clock.
    pub expires_at: SystemTime,
    /// The same, counted from the answer.
    pub expires_in: Duration,
}

/// Why nobody waits for an approval any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withdrawal {
    /// The client, or the session with it.
    Cancelled,
    /// What was approved is no longer what would run.
    Superseded,
}

/// People, by way of the control plane.
pub trait Approvals {
    /// Asks. The control plane reads the bytes itself and decides again: what it would not hold is refused.
    fn request(
        &self,
        session: &SessionFacts,
        question: Question<'_>,
    ) -> impl Future<Output = Result<Requested, Refusal>>;

    /// Waits for what became of it, however long that takes. The signature of what is returned is verified. Cancel
    /// safe.
    fn outcome(&self, approval: ApprovalId) -> impl Future<Output = ApprovalOutcome>;

    /// Uses it up, for this operation: it succeeds once.
    fn consume(
        &self,
        session: SessionId,
        approval: ApprovalId,
        operation: OperationId,
    ) -> impl Future<Output = Result<(), Refusal>>;

    /// Says that nobody waits for it any more. Queued, never waited for: it would expire by itself.
    fn withdraw(&self, session: SessionId, approval: ApprovalId, why: Withdrawal, word: &'static str);
}
