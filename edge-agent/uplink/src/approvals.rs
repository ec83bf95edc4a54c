//! Asking people by way of the control plane, which reads the bytes itself and signs what becomes of it.

use std::time::Duration;

use countersign_gate::ports::{Approvals, Question, Requested, Withdrawal};
use countersign_model::{
    ApprovalId, ApprovalOutcome, ApprovalState, OperationId, Refusal, SessionFacts, SessionId,
};
use countersign_runtime::{Backoff, Failpoint, failpoint};
use countersign_wire::{from_timestamp, v1};
use tokio::{sync::mpsc, time::sleep};
use tonic::{Code, Status};
use tracing::warn;

use crate::{
    ControlPlane,
    channel::{Link, bounded},
    refusals,
};

/// The control plane parses, decides and stores before it answers.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// Using and cancelling change one record.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(10);
/// Attempts to cancel: an approval that is not cancelled expires by itself.
const CANCEL_ATTEMPTS: u32 = 4;

/// An approval that nobody waits for any more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Withdrawn {
    session: SessionId,
    approval: ApprovalId,
    why: Withdrawal,
    word: &'static str,
}

impl Approvals for ControlPlane {
    async fn request(&self, session: &SessionFacts, question: Question<'_>) -> Result<Requested, Refusal> {
        let wire = v1::RequestApprovalRequest {
            session_id: session.session.to_string(),
            operation_id: question.operation.to_string(),
            statement: question.payload.to_vec(),
            resolution: Some(question.resolution.into()),
            identity: v1::Identity::from(question.identity).into(),
            nonce: question.attached.nonce.to_vec(),
            binding: question.binding.map(Into::into),
        };
        let response = self.link.edge_service().request_approval(bounded(wire, REQUEST_TIMEOUT)).await;
        let response = response.map_err(|status| refusals::unanswered("request_approval", &status))?;
        failpoint(Failpoint::HoldAsked);
        match response.into_inner().result {
            Some(v1::request_approval_response::Result::Requested(wire)) => {
                requested(&wire).map_err(|malformed| {
                    warn!(session.id = %session.session, malformed, "the answer to a request for approval");
                    if let Ok(approval) = wire.approval_id.parse() {
                        self.withdraw(session.session, approval, Withdrawal::Cancelled, "malformed");
                    }
                    refusals::away()
                })
            }
            Some(v1::request_approval_response::Result::Refused(refused)) => {
                Err(refusals::of_approval(&refused.reason))
            }
            None => Err(refusals::away()),
        }
    }

    async fn outcome(&self, approval: ApprovalId) -> ApprovalOutcome {
        let outcome = self.outcomes.wait(approval).await;
        if outcome.state == ApprovalState::Approved {
            failpoint(Failpoint::ApprovalReceived);
        }
        outcome
    }

    async fn consume(
        &self,
        session: SessionId,
        approval: ApprovalId,
        operation: OperationId,
    ) -> Result<(), Refusal> {
        let wire = v1::ConsumeApprovalRequest {
            session_id: session.to_string(),
            approval_id: approval.to_string(),
            operation_id: operation.to_string(),
        };
        // Never asked twice: without an answer it may have been used up.
        let response = self.link.edge_service().consume_approval(bounded(wire, CHANGE_TIMEOUT)).await;
        let response = response.map_err(|status| refusals::unanswered("consume_approval", &status))?;
        match response.into_inner().refused {
            None => {
                failpoint(Failpoint::ApprovalConsumed);
                Ok(())
            }
            Some(refused) => Err(refusals::of_approval(&refused.reason)),
        }
    }

    fn withdraw(&self, session: SessionId, approval: ApprovalId, why: Withdrawal, word: &'static str) {
        self.outcomes.forget(approval);
        // The receiver is gone only while the process ends: then the approval ends with its session.
        let _ = self.withdrawn.send(Withdrawn { session, approval, why, word });
    }
}

/// What was asked, or what is malformed about the answer.
fn requested(wire: &v1::ApprovalRequested) -> Result<Requested, &'static str> {
    let approval = wire.approval_id.parse().map_err(|_| "its id is malformed")?;
    let expires_at =
        from_timestamp(wire.expires_at.as_ref()).map_err(|_| "the end of its time is out of range")?;
    let expires_in = wire.expires_in.and_then(|left| Duration::try_from(left).ok());
    let expires_in = expires_in.ok_or("the time that is left is missing or negative")?;
    Ok(Requested { approval, expires_at, expires_in })
}

/// Tells the control plane of approvals that nobody waits for, one after another, for as long as the edge runs.
pub(crate) async fn report_withdrawn(link: Link, mut withdrawn: mpsc::UnboundedReceiver<Withdrawn>) {
    while let Some(withdrawn) = withdrawn.recv().await {
        if let Err(status) = cancel(&link, withdrawn).await {
            let Withdrawn { approval, .. } = withdrawn;
            warn!(%approval, code = ?status.code(), "an approval could not be cancelled, and will expire");
        }
    }
}

async fn cancel(link: &Link, withdrawn: Withdrawn) -> Result<(), Status> {
    let state = match withdrawn.why {
        Withdrawal::Cancelled => ApprovalState::Cancelled,
        Withdrawal::Superseded => ApprovalState::Superseded,
    };
    let wire = v1::CancelApprovalRequest {
        session_id: withdrawn.session.to_string(),
        approval_id: withdrawn.approval.to_string(),
        reason: withdrawn.word.to_owned(),
        state: v1::ApprovalState::from(state).into(),
    };
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(2));
    let mut left = CANCEL_ATTEMPTS;
    loop {
        left = left.saturating_sub(1);
        match link.edge_service().cancel_approval(bounded(wire.clone(), CHANGE_TIMEOUT)).await {
            Err(status) if left > 0 && is_passing(&status) => sleep(backoff.next_delay()).await,
            answered => return answered.map(drop),
        }
    }
}

/// Whether the same call may be answered a moment later.
fn is_passing(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Aborted | Code::Unknown
    )
}

#[cfg(test)]
mod tests;
