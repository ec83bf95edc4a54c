//! Approvals as people look at them, and taken back by an admin.

use std::sync::Arc;

use countersign_model::{ApprovalId, ApprovalState, PrincipalKind};
use countersign_runtime::{Failpoint, failpoint};
use countersign_wire::v1;
use prost::Message as _;

use super::{
    ApprovalError,
    change::{By, Next},
    opened::Opened,
    summary::Summary,
};
use crate::{Admin, Caller, Core, RevokeError, core::to_its_end, listing, revocation::check_reason};

/// Approvals that are read at a time; each holds its operation.
const CHUNK: usize = 20;
/// Chunks that one page looks through for what the caller may see.
const MAX_CHUNKS: usize = 10;
/// A page ends with the approval that passes this many bytes: a message may have four times as many.
const MAX_PAGE_BYTES: usize = 1 << 20;

impl Caller {
    /// Admins and auditors see all approvals, others those that one of their roles is asked for. An agent that
    /// acts for a person sees none: the person's roles are for the person's eyes.
    pub(super) fn sees(&self, summary: &Summary) -> bool {
        self.admin().is_ok()
            || (self.kind != PrincipalKind::AgentForUser
                && summary.requirements.iter().any(|need| self.has(&need.group)))
    }
}

impl Core {
    /// One approval.
    ///
    /// # Errors
    /// [`ApprovalError::NotFound`] also for one that the caller may not see.
    pub async fn get_approval(&self, caller: &Caller, id: &str) -> Result<v1::Approval, ApprovalError> {
        let id: ApprovalId = id.parse().map_err(|_| ApprovalError::NotFound)?;
        let opened = self.opened(id).await?;
        if caller.sees(&opened.summary) {
            Ok(self.approval_message(&opened))
        } else {
            Err(ApprovalError::NotFound)
        }
    }

    /// A page of the approvals that the caller may see, newest first. It may hold fewer than asked for and still
    /// not be the last.
    ///
    /// # Errors
    /// [`ApprovalError::Page`], [`ApprovalError::Malformed`] for an unknown state.
    pub async fn list_approvals(
        &self,
        caller: &Caller,
        request: &v1::ListApprovalsRequest,
    ) -> Result<v1::ListApprovalsResponse, ApprovalError> {
        let (mut before, limit) = listing::page::<ApprovalId>(request.page_size, &request.page_token)?;
        let states = request.states().map(ApprovalState::try_from).collect::<Result<Vec<_>, _>>();
        let mut states = states.map_err(|_| ApprovalError::Malformed("a state is unknown"))?;
        states.sort_unstable();
        states.dedup();
        let (mut approvals, mut bytes) = (Vec::new(), 0);
        for _ in 0..MAX_CHUNKS {
            let page = self.parts.store.approvals(&states, before, CHUNK.min(limit)).await?;
            for record in page.items {
                before = Some(record.id);
                // What was altered says nothing that could be shown; the log has it.
                let Ok(opened) = self.open(record).await? else { continue };
                if !caller.sees(&opened.summary) {
                    continue;
                }
                let message = self.approval_message(&opened);
                bytes += message.encoded_len();
                approvals.push(message);
                if approvals.len() >= limit || bytes > MAX_PAGE_BYTES {
                    return Ok(v1::ListApprovalsResponse {
                        approvals,
                        next_page_token: listing::token(before),
                    });
                }
            }
            if page.next.is_none() {
                return Ok(v1::ListApprovalsResponse { approvals, next_page_token: String::new() });
            }
        }
        Ok(v1::ListApprovalsResponse { approvals, next_page_token: listing::token(before) })
    }

    /// Takes an approval back, whatever became of it: a pending or approved one is cancelled, and the session of
    /// one that was used is ended. Dropping the future does not stop it.
    ///
    /// # Errors
    /// [`RevokeError`].
    pub async fn revoke_approval(
        self: &Arc<Self>,
        admin: &Admin,
        id: &str,
        reason: &str,
    ) -> Result<(v1::Approval, Option<v1::Revocation>), RevokeError> {
        check_reason(reason).map_err(RevokeError::Malformed)?;
        let id: ApprovalId = id.parse().map_err(|_| RevokeError::NotFound)?;
        let (core, actor, reason) = (self.clone(), admin.actor.clone(), reason.to_owned());
        to_its_end(async move {
            core.parts.store.approval(id).await?;
            core.audit(&actor, "approval.revoked", &id.to_string(), &[("reason", &reason)]).await?;
            failpoint(Failpoint::RevocationAudited);
            let step = |opened: &Opened| {
                let cancels = !opened.record.state.is_final();
                Ok::<_, RevokeError>(cancels.then(|| Next::state(ApprovalState::Cancelled)))
            };
            let opened = core.change(id, By { actor: &actor, why: "revoked" }, step).await?;
            if opened.record.state != ApprovalState::Consumed {
                return Ok((core.approval_message(&opened), None));
            }
            let revocation = core.cut(&[opened.session], "approval revoked").await?;
            Ok((core.approval_message(&core.opened(id).await?), Some(revocation)))
        })
        .await
    }
}
