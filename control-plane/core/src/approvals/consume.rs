//! An approval is used: once, for exactly the operation that was voted on, as long as policy still wants no more.

use std::sync::Arc;

use countersign_model::{
    ApprovalId, ApprovalState, Identity, OperationId, Reason, Requirement, SessionFacts, Verdict,
};
use countersign_pki::EdgeIdentity;
use countersign_runtime::{Failpoint, failpoint};
use countersign_store::{SessionRecord, StoreError};
use countersign_wire::v1;
use tracing::warn;

use super::{
    ApprovalRefusal,
    asked::Asked,
    change::{By, Next},
    opened::Opened,
    parsers::parse,
    question::Reading,
};
use crate::{Core, EdgeError, MintRefusal, core::to_its_end, in_force::InForce, sessions::facts};

impl Core {
    /// Uses an approval up for an operation of an open session of this edge's attached process: of all calls one
    /// succeeds. What was voted on is held against the target and decided once more, by what is in force now. Dropping
    /// the future does not stop it.
    ///
    /// # Errors
    /// [`ApprovalRefusal`]; the operation may not be sent then.
    pub async fn consume_approval(
        self: &Arc<Self>,
        peer: &EdgeIdentity,
        request: v1::ConsumeApprovalRequest,
    ) -> Result<(), ApprovalRefusal> {
        let id: ApprovalId =
            request.approval_id.parse().map_err(|_| EdgeError::Malformed("approval_id is malformed"))?;
        let operation: OperationId =
            request.operation_id.parse().map_err(|_| EdgeError::Malformed("operation_id is malformed"))?;
        let session = self.session_of(peer, &request.session_id).await?;
        self.attached_boot(peer, &session.boot_id).await?;
        let core = self.clone();
        to_its_end(async move { core.consume(id, &session, operation).await }).await
    }

    async fn consume(
        &self,
        id: ApprovalId,
        session: &SessionRecord,
        operation: OperationId,
    ) -> Result<(), ApprovalRefusal> {
        let refused = ApprovalRefusal::Refused;
        let in_force = self.in_force.borrow().clone();
        let target = self.permitted(session, &in_force).map_err(refused)?;
        let opened = match self.opened(id).await {
            Err(StoreError::NotFound) => return Err(refused(Reason::ApprovalUsed)),
            opened => opened?,
        };
        let by = |why| By { actor: session.edge.as_str(), why };
        match self.usable(&opened, session, operation) {
            Ok(()) => {}
            Err(reason @ Reason::ApprovalExpired) => {
                self.expire(opened.record, ApprovalState::Approved).await?;
                return Err(refused(reason));
            }
            Err(reason) => return Err(refused(reason)),
        }
        let suits = |asked: &Asked| self.suits(session, &asked.question, target, &in_force).is_ok();
        let still_suits = opened.asked.as_ref().is_some_and(suits);
        if !still_suits || !self.still_wants_no_more(&opened, session, in_force.clone()).await? {
            warn!(approval = %id, "policy or the target changed since this was approved");
            self.end_approval(opened.record, ApprovalState::Superseded, by("policy changed")).await?;
            return Err(refused(Reason::PolicyChanged));
        }
        let step = |opened: &Opened| {
            self.usable(opened, session, operation).map_err(refused)?;
            Ok(Some(Next::state(ApprovalState::Consumed)))
        };
        self.change(id, by("used"), step).await.map(|_| failpoint(Failpoint::ConsumptionStored))
    }

    /// Whether it is approved, in time, and for exactly this.
    fn usable(&self, opened: &Opened, session: &SessionRecord, operation: OperationId) -> Result<(), Reason> {
        let record = &opened.record;
        if record.session != session.id || record.operation != operation {
            return Err(Reason::ApprovalUsed);
        }
        let (Some(asked), Some((_, outcome))) = (&opened.asked, &opened.outcome) else {
            return Err(why_not(record.state));
        };
        if outcome.use_until.is_none_or(|end| end <= self.now()) {
            return Err(Reason::ApprovalExpired);
        }
        // The digest once more, of what is sealed and of who the session belongs to now.
        if asked.digest_for(&session.principal, &session.target) != outcome.digest {
            return Err(Reason::ApprovalUsed);
        }
        Ok(())
    }

    /// Whether the policies of now allow it with the pairs that were approved, and ask for nobody whose vote was
    /// not asked for then.
    async fn still_wants_no_more(
        &self,
        opened: &Opened,
        session: &SessionRecord,
        in_force: Arc<InForce>,
    ) -> Result<bool, StoreError> {
        let Some(asked) = &opened.asked else { return Ok(false) };
        let (question, pairs, now) = (asked.question.clone(), asked.pairs.clone(), self.now());
        let needs: Vec<Requirement> = opened
            .summary
            .requirements
            .iter()
            .map(|need| Requirement { group: need.group.as_str().into(), quorum: need.quorum })
            .collect();
        let session: SessionFacts = facts(session, &in_force);
        parse(move || {
            let Ok(Reading { facts, context }) = question.read() else { return false };
            let enough = match in_force.policies.decide(&session, &facts, &context, now).verdict {
                Verdict::Allow => true,
                Verdict::Hold(hold) => hold.requirements.iter().all(|need| needs.contains(need)),
                Verdict::Deny(_) => false,
            };
            let lifted = in_force.policies.decide_approved(&session, &facts, &context, &pairs, now);
            enough && lifted.verdict == Verdict::Allow
        })
        .await
    }

    /// Claims the one credential of an approval that this session and operation have used up.
    pub(crate) async fn claim_mint(
        &self,
        id: ApprovalId,
        session: &SessionRecord,
        operation: OperationId,
    ) -> Result<(), MintRefusal> {
        let step = |opened: &Opened| {
            let record = &opened.record;
            // What is minted for is what the caller of this holds of the session.
            let its = opened.summary.is_of(session) && record.operation == operation;
            if !its || record.minted || opened.summary.sent_as() != Some(Identity::Approved) {
                return Err(MintRefusal::refused(Reason::ApprovalUsed));
            }
            match record.state {
                ApprovalState::Consumed => {
                    Ok(Some(Next { minted: true, ..Next::state(ApprovalState::Consumed) }))
                }
                _ => Err(MintRefusal::refused(Reason::ApprovalUnavailable)),
            }
        };
        let by = By { actor: session.edge.as_str(), why: "minting" };
        match self.change(id, by, step).await {
            Err(MintRefusal::Edge(EdgeError::Store(StoreError::NotFound))) => {
                Err(MintRefusal::refused(Reason::ApprovalUsed))
            }
            claimed => claimed.map(drop),
        }
    }
}

/// Why an approval in this state cannot be used.
fn why_not(state: ApprovalState) -> Reason {
    match state {
        ApprovalState::Pending => Reason::ApprovalPending,
        ApprovalState::Denied => Reason::ApprovalDenied,
        ApprovalState::Expired => Reason::ApprovalExpired,
        ApprovalState::Cancelled => Reason::ApprovalCancelled,
        ApprovalState::Superseded => Reason::PolicyChanged,
        ApprovalState::Approved | ApprovalState::Consumed => Reason::ApprovalUsed,
    }
}
